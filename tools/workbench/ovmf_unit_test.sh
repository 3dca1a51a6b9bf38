#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build and run a test of code of OVMF on this machine. TAP on stdout.
#
#   ovmf_unit_test.sh report|split
#
# report: page tables are changed, and the hypervisor is told. split: CpuDxe splits a page.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

tree=$build/edk2
lib=$tree/OvmfPkg/Library/BaseMemEncryptSevLib
out=$build/ovmf-test
# What the code of Debian's edk2 has to say to these warnings is not ours to change.
quiet=(-Wno-unused-parameter -Wno-missing-field-initializers)
case ${1:-} in
report)
	sources=("$lib"/UnitTest/PageEncReportTest*.c "$lib"/X64/{PageEncReport,PageEncReportKvm,PeiDxeVirtualMemory}.c)
	;;
split)
	sources=("$tree/UefiCpuPkg/CpuDxe/UnitTest/SplitPageTest.c" -I"$tree/UefiCpuPkg/CpuDxe")
	quiet+=(-Wno-unused-function -Wno-unused-variable -Wno-unused-const-variable)
	;;
*) die "usage: ovmf_unit_test.sh report|split" ;;
esac
log=$logs/ovmf-unit-$1.log
mkdir -p "$out" "$logs"

# As edk2 compiles: its basic header before all, wide characters of 16 bits, a release without assertions.
# Not position independent, or edk2's headers hide the symbols of the C library. What a file has besides
# the code under test is left out by the linker, with all that it would need.
gcc -std=gnu11 -O1 -g -Wall -Wextra -Werror "${quiet[@]}" \
	-fshort-wchar -fno-strict-aliasing -fno-pie -no-pie -fsanitize=undefined -fno-sanitize-recover=all \
	-ffunction-sections -fdata-sections -Wl,--gc-sections \
	-D_GNU_SOURCE -DMDEPKG_NDEBUG -include stddef.h -include Uefi.h \
	-isystem "$tree/MdePkg/Include" -isystem "$tree/MdePkg/Include/X64" -isystem "$tree/MdeModulePkg/Include" \
	-isystem "$tree/OvmfPkg/Include" -isystem "$tree/UefiCpuPkg/Include" \
	-o "$out/$1" "${sources[@]}" 2> "$log" ||
	die "the test does not compile: $(grep -m1 -E 'error|undefined' "$log") (log: $log)"
"$out/$1"
