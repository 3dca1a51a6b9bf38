#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run svm_bare, a test of the processor that is all the software of its machine, and pass its TAP on.
# The second processor stays asleep: it is there because an emulator with two leaves its loop often.
#
#   svm_bare_test.sh     QEMU: another binary for the machine
set -euo pipefail
. "$(dirname "$0")/lib.sh"

log=$logs/svm-bare.qemu
mkdir -p "$logs"
rc=0
timeout -k 5 60 "${QEMU:-$build/qemu-o/qemu-system-x86_64}" -machine q35 -accel tcg,thread=single \
	-cpu EPYC,svm=on,npt=on,nrip-save=on,decodeassists=on,phys-bits=48 -smp 2 -m 64M \
	-nodefaults -no-user-config -nographic -no-reboot -monitor none -nic none \
	-L "$build/firmware" -kernel "$build/selftests/svm_bare" \
	-device pcie-root-port,addr=5 -device isa-debug-exit,iobase=0xf4 \
	-chardev stdio,id=out,signal=off -device isa-debugcon,chardev=out < /dev/null 2> "$log" || rc=$?
# The debug-exit device doubles what it is given (END_ in svm_bare.c), and adds one.
case $rc in
33) exit 0 ;;
35) exit 1 ;;
124|137) echo "Bail out! the machine stands still (log: $log)" ;;
*) echo "Bail out! QEMU ended with status $rc: $(tail -n 1 "$log") (log: $log)" ;;
esac
exit 1
