#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot the debug host stopped at its first instruction, and attach gdb with the kernel's scripts.
# CMD and DIR as for make exec; without CMD the host goes to sleep when it is up.
#
#   gdb.sh [--check]     --check: only look at the variables and for gdb
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$root/tools/testing/selftests/kvm/qemu/host.sh" --check "${DIR:-$root}" "${CMD:-true}"
command -v gdb > /dev/null || die "gdb is not installed (Debian package gdb)"
[ "${1:-}" != --check ] || exit 0
socket=$build/.gdb
kernel=$build/linux-dbg-o
export KERNEL=$kernel/arch/x86/boot/bzImage HOST_ARGS="nokaslr ${HOST_ARGS:-}" TIMEOUT=86400 BOOT_TIMEOUT=86400
export MACHINE_ARGS="-S -chardev socket,path=$socket,server=on,wait=off,id=gdb -gdb chardev:gdb ${MACHINE_ARGS:-}"
# gdb detaches at its end, and the machine would go on: all of the host's group goes.
finish()
{
	local pid

	for pid in $(jobs -rp); do
		kill -- "-$pid"
	done
	rm -f "$socket"
}

rm -f "$socket"
trap finish EXIT
setsid "$root/tools/testing/selftests/kvm/qemu/host.sh" --name gdb "${DIR:-$root}" "${CMD:-sleep 86400}" &
while [ ! -S "$socket" ]; do
	[ -n "$(jobs -rp)" ] || die "the host did not start (log: $logs/gdb.qemu)"
	sleep 0.1
done
gdb -ex "add-auto-load-safe-path $build" -ex "file $kernel/vmlinux" -ex "target remote $socket" \
	-ex "hbreak start_kernel" -ex continue
