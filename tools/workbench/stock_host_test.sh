#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The emulated machine as stock software sees it: the pinned kernel without our edits as host, its driver and its KVM,
# programs that launch and destroy SEV guests, and Debian's own QEMU, OVMF (2M) and kernel as an SEV guest with two
# processors that moves data through virtio: without encryption, for the reason that stock_test.sh gives, which has
# the other firmware (4M). TAP on stdout.
# shellcheck disable=SC2016 # much here is for the host's shell
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
out=$logs/stock
export KERNEL=$build/stock/linux-o/arch/x86/boot/bzImage QUIET=1
mkdir -p "$out"

is()
{
	[ "$1" = "$2" ] || { echo "got '$1', want '$2'"; tail -n 15 "$3"; return 1; }
}

# One line for each of the programs' own.
pass_on()
{
	local line
	local re='^(not ok|ok) [0-9]+ - (.*)$'

	while IFS= read -r line; do
		[[ $line =~ $re ]] || continue
		n=$((n + 1))
		echo "${BASH_REMATCH[1]} $n - ${BASH_REMATCH[2]}"
	done < <(tr -d '\r' < "$1")
}

"$root/tools/workbench/build.sh" stock || exit

# The last of them leaves ASIDs behind on this kernel.
rc=0
"$host" --name stock/host --timeout 800 "$build/selftests" 'ls -d /sys/kernel/tracing/events/restrictedmem 2> /dev/null
	dmesg | grep -oE "SEV enabled \(ASIDs [0-9]+ - [0-9]+\)|SEV API:[0-9.]+ build:[0-9]+" | sort
	test -c /dev/sev && echo device
	./run_all.sh sev_platform_test sev_recycle_test || exit
	./sev_migrate_tests > /dev/null && echo moved and mirrored' > "$out/host.out" 2> "$out/host.err" || rc=$?
check "the host prints the ASIDs and the API's version, and has the device" \
	is "$(sed -n 1,3p "$out/host.out")" "$(printf 'SEV API:1.55 build:24\nSEV enabled (ASIDs 5 - 8)\ndevice')" "$out/host.err"
check "the kernel's own sev_migrate_tests pass" is "$(tail -n 1 "$out/host.out")" "moved and mirrored" "$out/host.err"
pass_on "$out/host.out"
check "all of them passed, and nothing is wrong in the log of the host" is "$rc" 0 "$out/host.err"

rc=0
PSP_ARGS=enc=none MEM=2G SMP=2 "$host" --name stock/guest-2m --timeout 800 "$build/guest-6.1" \
	'GUEST_FIRMWARE=2m GUEST_SMP=2 GUEST_MEM=512M GUEST_WORKLOAD=full GUEST_CONSOLE=1 GUEST_DEADLINE=750 bash guest.sh' \
	> "$out/guest-2m.facts" 2> "$out/guest-2m.guest" || rc=$?
check "an SEV guest with Debian's QEMU, OVMF (2M, X64) and kernel passes" is "$rc" 0 "$out/guest-2m.facts"
check "SEV is active in it, its disk, network and random numbers work, and it has two processors" \
	is "$(grep -oE '^(memory_encryption .*SEV|(blk_read|net_read|rng_read|memory_verified) ok|cpus 2)' "$out/guest-2m.facts" | sort | cut -d' ' -f1 | tr '\n' ' ')" \
	"blk_read cpus memory_encryption memory_verified net_read rng_read " "$out/guest-2m.facts"
check "through bounce buffers" test "$(sed -n 's/^swiotlb_bounces //p' "$out/guest-2m.facts")" -gt 0
echo "1..$n"
