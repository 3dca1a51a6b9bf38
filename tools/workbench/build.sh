#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Bring one part of the build up to date, in a step with a log. Fast when nothing changed: a build
# system is entered only when a file of its tree is newer than its last success.
#
#   build.sh kernel|debug|stock|headers|qemu|ovmf|userland|firmware|initrd|guest ROLE|vmm ROLE
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/compile_env.sh"

bench=$root/tools/workbench
machine=$root/tools/testing/selftests/kvm/qemu
jobs=${J:-$(nproc)}

# stale STAMP PATH...: something below the paths is newer than the stamp. Directories count, so that
# a removed file does too; a link counts with what it points to.
stale()
{
	local stamp=$1

	shift
	[ -f "$stamp" ] || return 0
	[ -n "$(find -L "$@" -name .git -prune -o -newer "$stamp" -print -quit 2>/dev/null)" ]
}

# The stamp is as old as the start of the build: what changes meanwhile is built next time.
run_step()
{
	local stamp=$1 label=$2 log=$3

	shift 3
	mkdir -p "$(dirname "$stamp")"
	touch "$stamp.new"
	say BUILD "$label"
	"$bench/step.sh" "$label" "$log" "$@"
	mv -f "$stamp.new" "$stamp"
}

# kernel TREE OUT LABEL LOG [--known] FRAGMENT...
kernel()
{
	local tree=$1 out=$2 label=$3 log=$4 stamp=$2/.built known=()
	shift 4

	[ "$1" != --known ] || { known=(--known); shift; }
	need_space "$build" 1000
	"$bench/kconfig.sh" "${known[@]}" "$tree" "$out" "$@" || die "the kernel configuration does not hold (fragments: $*)"
	stale "$stamp" "$tree" "$out/.fragments" || return 0
	# shellcheck disable=SC2016 # of the inner shell
	run_step "$stamp" "$label" "$log" bash -ec 'log=$0; make "$@"
		! grep -q "warning:" "$log" || { echo "error: a warning, see above"; exit 1; }' "$logs/$log.log" \
		-C "$tree" O="$out" CC='ccache gcc' LOCALVERSION= -j"$jobs" bzImage
	# The build brings the configuration in line with Kconfig files that changed, and says nothing.
	"$bench/kconfig.sh" "${known[@]}" "$tree" "$out" "$@" || {
		rm -f "$stamp"
		die "the kernel configuration did not survive the build (fragments: $*)"
	}
}

# The pinned source without our edits, beside its own output folder as build/linux is beside its own:
# the compiler sees the same relative paths, so what the edits do not touch comes from the cache.
stock_tree()
{
	local tree=$build/stock/linux base

	base=$(git -C "$build/linux" rev-parse 'base^{commit}')
	[ "$(cat "$build/stock/.base" 2>/dev/null)" != "$base" ] || return 0
	need_space "$build" 2000
	rm -rf "$build/stock"
	mkdir -p "$tree"
	git -C "$build/linux" archive base | tar -x -m -C "$tree"
	echo "$base" > "$build/stock/.base"
}

# Nobody edits this tree, and the selftests' makefile leaves marks in it: what it was made from counts.
stock()
{
	stock_tree
	stale "$build/stock/headers/.built" "$build/stock/.base" "$machine/kernel.config" || return 0
	kernel "$build/stock/linux" "$build/stock/linux-o" "stock host kernel" kernel-stock --known "$machine/kernel.config"
	run_step "$build/stock/headers/.built" "stock kernel headers" headers-stock \
		make -C "$build/stock/linux" O="$build/stock/linux-o" INSTALL_HDR_PATH="$build/stock/headers" headers_install
}

headers()
{
	local stamp=$build/linux-headers/.built

	stale "$stamp" "$build/linux/include/uapi" "$build/linux/arch/x86/include/uapi" || return 0
	run_step "$stamp" "kernel headers" headers \
		make -C "$build/linux" O="$build/linux-o" INSTALL_HDR_PATH="$build/linux-headers" headers_install
}

qemu_options=(--without-default-features --with-git-submodules=ignore --target-list=x86_64-softmmu
	--enable-system --enable-kvm --enable-tcg --enable-gcrypt --enable-fdt=system --enable-linux-io-uring
	--enable-virtfs --enable-attr --enable-slirp --enable-numa --enable-cap-ng
	--enable-vhost-kernel --enable-vhost-user --enable-vhost-net --enable-vhost-vdpa --with-pkgversion=memfd-private)

qemu_targets=(qemu-system-x86_64 tests/qtest/sev-psp-test tests/unit/test-svm-insn
	tests/unit/test-sev-cipher
	tests/unit/test-private-ram tests/unit/test-private-ram-access
	tests/qtest/private-ram-test tests/qtest/private-ram-refuse-test)

qemu_configured()
{
	[ -f "$build/qemu-o/build.ninja" ] &&
		[ "$(cat "$build/qemu-o/.options" 2>/dev/null)" = "$build/qemu ${qemu_options[*]}" ]
}

configure_qemu()
{
	rm -rf "$build/qemu-o"
	mkdir -p "$build/qemu-o"
	cd "$build/qemu-o"
	CC='ccache gcc' "$build/qemu/configure" "${qemu_options[@]}"
	echo "$build/qemu ${qemu_options[*]}" > .options
}

qemu()
{
	local stamp=$build/qemu-o/.built

	need_space "$build" 1000
	if ! qemu_configured; then
		export -f configure_qemu
		export build
		"$bench/step.sh" "QEMU configure" qemu-configure bash -ec "$(declare -p qemu_options); configure_qemu"
	fi
	stale "$stamp" "$build/qemu" || return 0
	run_step "$stamp" "QEMU" qemu ninja -C "$build/qemu-o" -j"$jobs" "${qemu_targets[@]}"
}

# Debian's options of the X64, 4M, no-SMM build; the tools are built beside the tree, not in it.
build_ovmf()
{
	local out=$build/edk2-o

	# edk2 has no variable for a compiler behind the cache, but looks for gcc in the path.
	export PATH=/usr/lib/ccache:$PATH
	mkdir -p "$out/Conf"
	rsync -a "$build/edk2/BaseTools" "$out/"
	make -C "$out/BaseTools" -j1 PYTHON_COMMAND=python3
	cd "$out"
	export WORKSPACE=$out PACKAGES_PATH=$build/edk2 EDK_TOOLS_PATH=$out/BaseTools PYTHON_COMMAND=python3
	export CONF_PATH=$out/Conf PYTHON3_ENABLE=TRUE
	set +u
	# shellcheck disable=SC1091 # of the tree
	. "$build/edk2/edksetup.sh" BaseTools
	build -a X64 -t GCC5 -b RELEASE -n "$jobs" -p OvmfPkg/OvmfPkgX64.dsc -DFD_SIZE_4MB \
		-DSECURE_BOOT_ENABLE=TRUE -DTPM2_ENABLE=TRUE
	mkdir -p "$build/ovmf"
	cp "$out"/Build/OvmfX64/RELEASE_GCC5/FV/OVMF_{CODE,VARS}.fd "$build/ovmf/"
}

ovmf()
{
	local stamp=$build/ovmf/.built

	need_space "$build" 1500
	stale "$stamp" "$build/edk2" || return 0
	export -f build_ovmf
	export build jobs
	run_step "$stamp" "OVMF" ovmf bash -ec build_ovmf
}

build_initrd()
{
	local tmp=$build/.tmp-initrd

	rm -rf "$tmp"
	mkdir -p "$tmp"
	gcc -static -O2 -Wall -Wextra -Werror -Wno-unused-result -o "$tmp/init" "$machine/init.c"
	(cd "$tmp" && echo init | cpio -o -H newc -R 0:0 --quiet) > "$build/host-initrd.cpio.tmp"
	mv -f "$build/host-initrd.cpio.tmp" "$build/host-initrd.cpio"
	rm -rf "$tmp"
}

initrd()
{
	stale "$build/host-initrd.cpio" "$machine/init.c" || return 0
	export -f build_initrd
	export build machine
	"$bench/step.sh" "host initrd" initrd bash -ec build_initrd
}

userland()
{
	stale "$build/userland.img" "$bench/userland.sh" "$root/versions" || return 0
	say BUILD "the host's userland"
	"$bench/step.sh" "userland" userland "$bench/userland.sh" "$build/userland.img"
}

firmware()
{
	stale "$build/firmware/bios-256k.bin" "$bench/firmware.sh" "$root/versions" || return 0
	"$bench/step.sh" "firmware" firmware "$bench/firmware.sh" "$build/firmware"
}

guest()
{
	local out=$build/$1

	[ -f "$build/ovmf/.built" ] || die "the guest needs our firmware: make ovmf"
	stale "$out/release" "$bench/guest.sh" "$machine"/guest*.sh "$root/versions" "$build/ovmf/OVMF_CODE.fd" || return 0
	say BUILD "$1: kernel, initrd, firmware"
	"$bench/step.sh" "$1" "$1" "$bench/guest.sh" "$1" "$out"
}

# Firmware in C: no libc, and nothing that would need more set up than flat 32-bit mode.
vmm_guest_options=(-m32 -march=i686 -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns)

# flat_firmware NAME ADDRESS [VARIANT]: firmware in assembler, for vmm()
flat_firmware()
{
	local name=$1${3:+-$3}

	gcc -m32 -DROUNDS=2000 ${3:+"-D${3^^}"} -c -o "$out/.$name.o" "$machine/$1.S"
	ld -m elf_i386 -Ttext="$2" --oformat binary -o "$out/$name.bin" "$out/.$name.o"
}

# Our QEMU beside a guest, and the tests that run it, with their firmware, for a host that shows one folder
# only. Without symbols, and not by a link: it is copied into the host's memory for each run.
vmm()
{
	local out=$build/$1/vmm

	stale "$out/qemu-system-x86_64" "$build/qemu-o/qemu-system-x86_64" "$machine"/vmm-*.{sh,S,c,lds} "$bench/tap.sh" || return 0
	mkdir -p "$out"
	cp "$machine"/vmm-*.sh "$bench/tap.sh" "$out/"
	flat_firmware vmm-hostile 0xf0000
	flat_firmware vmm-hostile 0xf0000 dense
	flat_firmware vmm-inspect 0xf0000
	flat_firmware vmm-remap 0xffff0000
	gcc -m32 -c -o "$out/.guest-entry.o" "$machine/vmm-guest-entry.S"
	gcc "${vmm_guest_options[@]}" -c -o "$out/.guest.o" "$machine/vmm-guest.c"
	ld -m elf_i386 -T "$machine/vmm-guest.lds" -o "$out/vmm-guest.bin" "$out/.guest-entry.o" "$out/.guest.o"
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$out/vmm-without.so" "$machine/vmm-without.c"
	strip -o "$out/.new" "$build/qemu-o/qemu-system-x86_64"
	mv -f "$out/.new" "$out/qemu-system-x86_64"
}

what=${1:-}
lock "$what${2:+-$2}"
case $what in
kernel) kernel "$build/linux" "$build/linux-o" "host kernel" kernel "$machine/kernel.config" ;;
debug)
	need_space "$build" 2500
	kernel "$build/linux" "$build/linux-dbg-o" "debug host kernel" kernel-debug "$machine/kernel.config" "$machine/debug.config"
	;;
stock|headers|qemu|ovmf|userland|firmware|initrd) "$what" ;;
guest) guest "$2" ;;
vmm) vmm "$2" ;;
*) die "unknown part '$what'" ;;
esac
