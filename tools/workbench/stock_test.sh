#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Stock software is untouched: Debian's own QEMU, OVMF and kernel as an SEV guest, on the stock host kernel and on
# ours. What the host counts must be the same: as many pages pinned for each kind of region; and as many resident
# pages, flushes, VM exits and instructions as far as two runs agree, in which the guest draws other random numbers and
# so touches other pages. Without encryption, in which the default type loses pages that it does not pin
# (Documentation/dev/sev-encryption.rst). TAP on stdout.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
out=$logs/stock
mkdir -p "$out"

# boot NAME KERNEL: leaves NAME.facts
boot()
{
	PSP_ARGS=enc=none KERNEL=$2 MEM=2G SMP=1 ICOUNT=1 QUIET=1 "$host" --name "stock/$1" --timeout 500 "$build/guest-6.1" \
		"echo release \$(uname -r); GUEST_MEM=512M GUEST_WORKLOAD=full GUEST_CONSOLE=1 GUEST_DEADLINE=450 bash guest.sh" \
		> "$out/$1.facts" 2> "$out/$1.guest"
}

# compare NAME CONDITION...: when it does not hold, what both hosts saw follows
compare()
{
	local name=$1

	shift
	check "$name" both "$@"
}

both()
{
	"$@" || { paste "$out/stock.facts" "$out/ours.facts"; return 1; }
}

fact()
{
	sed -n "s/^$2 //p" "$out/$1.facts" | tail -n 1
}

same()
{
	[ -n "$(fact stock "$1")" ] && [ "$(fact stock "$1")" = "$(fact ours "$1")" ]
}

# within PERCENT NAME
within()
{
	awk -v a="$(fact stock "$2")" -v b="$(fact ours "$2")" -v p="$1" 'BEGIN { d = a - b; exit !(a > 0 && (d < 0 ? -d : d) * 100 <= a * p) }'
}

"$root/tools/workbench/build.sh" stock || exit
boot stock "$build/stock/linux-o/arch/x86/boot/bzImage"
compare "the guest passes on the stock kernel" test $? = 0
boot ours "$build/linux-o/arch/x86/boot/bzImage"
compare "and on ours" test $? = 0
compare "pinned pages are as many" same pinned_pages
compare "for RAM" same pinned_ram_pages
compare "and for flash and others" same pinned_other_pages
# The guest's workload takes pages from wherever they are free: 7 % is what two runs were seen to differ by.
compare "resident RAM agrees within 15 %" within 15 resident_ram_pages
compare "flushes of the caches agree within 15 %" within 15 flushes
compare "no pin is left behind on either" test "$(fact stock pins_left)$(fact ours pins_left)" = 00
compare "VM exits agree within 2 %" within 2 exits
compare "instructions to the guest's init agree within 2 %" within 2 instructions_to_init
echo "1..$n"
