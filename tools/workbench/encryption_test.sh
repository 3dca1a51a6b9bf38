#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With memory encryption and without it, software must see the same machine. TAP on stdout: the tiny guest's
# tests give the same results, a Debian guest on private memory boots and does its work. What encryption costs
# is printed as a ratio of wall time, of runs one after the other, and is never judged.
#
#   encryption_test.sh [ROUNDS]     pairs of boots that are timed (1)
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
rounds=${1:-1}
out=$logs/encryption
mkdir -p "$out"

# tests MODE: leaves MODE.tap. One processor, and time that is a count of instructions: no run differs by chance.
tests()
{
	PSP_ARGS=enc=$1 SMP=1 ICOUNT=1 "$host" --name "encryption/tests.$1" --timeout 280 "$build/selftests" \
		'./run_all.sh sev_guest_test sev_launch_test' > "$out/$1.tap" 2> "$out/$1.err"
}

# boot MODE ROUND: leaves MODE.facts, and MODE.seconds with the real time of each boot.
boot()
{
	local began=$EPOCHREALTIME rc=0

	PSP_ARGS=enc=$1 MEM=2560M SMP=1 ICOUNT=1 QUIET=1 "$host" --name "encryption/boot.$1" --timeout 400 "$build/guest-6.1" \
		"GUEST_MEMORY=private GUEST_FIRMWARE=own GUEST_MEM=512M GUEST_CONSOLE=1 GUEST_DEADLINE=350 bash guest.sh" \
		> "$out/$1.facts" 2> "$out/$1.guest" || rc=$?
	bc <<< "$EPOCHREALTIME - $began" >> "$out/$1.seconds"
	return "$rc"
}

# What the guest says about itself, without what depends on time.
said()
{
	grep -E '^(kernel|cpus|mem_kib|clocksource|memory_encryption|blk_read|net_read|rng_read|memory_verified|end|vmm_status|pins_left) ' \
		"$out/$1.facts"
}

same()
{
	[ -s "$1" ] && diff -u "$1" "$2"
}

results()
{
	grep -E '^(not )?ok|^1\.\.' "$out/$1.tap" > "$out/$1.results"
}

fact()
{
	sed -n "s/^$2 //p" "$out/$1.facts" | tail -n 1
}

rm -f "$out"/*.seconds
for mode in none xts; do
	check "enc=$mode: the tiny guest's tests pass" tests "$mode"
	results "$mode"
done
check "their results are the same" same "$out/none.results" "$out/xts.results"
for round in $(seq "$rounds"); do
	for mode in none xts; do
		check "enc=$mode: a Debian guest boots and works (pair $round)" boot "$mode"
		said "$mode" > "$out/$mode.said"
	done
	check "it says the same of itself (pair $round)" same "$out/none.said" "$out/xts.said"
	printf '# pair %s: enc=none %s s, enc=xts %s s; instructions to init: %s, %s; exits: %s, %s\n' "$round" \
		"$(tail -n 1 "$out/none.seconds")" "$(tail -n 1 "$out/xts.seconds")" "$(fact none instructions_to_init)" \
		"$(fact xts instructions_to_init)" "$(fact none exits)" "$(fact xts exits)"
done
paste "$out/none.seconds" "$out/xts.seconds" |
	awk '{ sum += $2 / $1; n++ } END { printf "# wall time of a boot, enc=xts by enc=none: %.2f (%d pairs)\n", sum / n, n }'
echo "1..$n"
