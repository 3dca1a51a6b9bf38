#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Prove that the emulated machine's nested SVM is reliable: N boots in a row of a plain guest, going
# round SeaBIOS and OVMF, one and two processors, each in a fresh host and in real time (not the
# deterministic mode, which hides races). With LOAD=1 a kernel build keeps the machine busy.
#
# A boot fails when it does not end, when QEMU dies, when a kernel on either level reports a lockup,
# a stall or what leads to one (tcg-svm.rst), or when the guest's log has a gap: STALL seconds between
# two lines of its own clock. The deadline (TIMEOUT) is for hangs: a machine that is busy with ten
# other things takes four times as long, and is no failure.
#
# With STRESS=1 it is private memory that is to prove itself, and stress.sh does it. With PRIVATE=1 it is SEV
# guests on private memory, in every combination of options that boot_test.sh knows; T=PATTERN takes a part of them.
#
#   soak.sh [--check]    --check: only look at the variables
set -euo pipefail
. "$(dirname "$0")/lib.sh"

stress=${STRESS:-0} private=${PRIVATE:-0} load=${LOAD:-0}
case $stress in 0|1) ;; *) die "STRESS=$stress: 0 or 1" ;; esac
case $private in 0|1) ;; *) die "PRIVATE=$private: 0 or 1" ;; esac
case $load in 0|1) ;; *) die "LOAD=$load: 0 or 1" ;; esac
[ "$stress$private" != 11 ] || die "STRESS=1 and PRIVATE=1: they are two different runs"
[ "$private" = 0 ] || [ -z "${N:-}${SEED:-}" ] || die "PRIVATE=1 boots each combination once: N and SEED mean nothing to it"
[ "$stress$private" = 00 ] || [ "$load" = 0 ] || die "LOAD=1 is for boots of plain guests, not for STRESS=1 or PRIVATE=1"
[ "$private" = 1 ] || [ -z "${T:-}" ] || die "T=$T: only PRIVATE=1 has parts"
[ "$stress" = 0 ] || exec "$root/tools/workbench/stress.sh" "$@"

count=${N:-50} stall=15 deadline=${TIMEOUT:-900}
[[ $count =~ ^[1-9][0-9]*$ ]] || die "N=$count: not a positive number"
[[ $deadline =~ ^[1-9][0-9]*$ ]] || die "TIMEOUT=$deadline: not a positive number"
[ "$private" = 0 ] || exec "$root/tools/workbench/boot_test.sh" "${1:-product}"
[ "${1:-}" != --check ] || exit 0
host=$root/tools/testing/selftests/kvm/qemu/host.sh
dir=$logs/soak
rm -rf "$dir.old"
[ ! -d "$dir" ] || mv "$dir" "$dir.old"
mkdir -p "$dir"

# A build without the compiler cache, over and over, in a folder and a process group of its own.
busy()
{
	local out=$build/.tmp-load

	while :; do
		rm -rf "$out"
		mkdir -p "$out"
		make -s -C "$build/linux" O="$out" tinyconfig
		make -s -C "$build/linux" O="$out" -j"$(nproc)" vmlinux
	done
}

cleanup()
{
	[ -z "${load_pid:-}" ] || kill -- "-$load_pid" 2>/dev/null || true
	rm -rf "$build/.tmp-load"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ "$load" = 1 ]; then
	set -m
	busy > "$dir/load.log" 2>&1 < /dev/null &
	load_pid=$!
	set +m
fi

# The longest pause in a kernel log, in seconds of its own clock, and after which line it came. The one
# after "Console:" is none: there the serial console prints all lines so far, an exit a character, before
# the timer that could stall is in use.
longest_gap()
{
	tr -d '\r' < "$1" | awk 'match($0, /^\[ *[0-9]+\.[0-9]+\]/) {
		t = substr($0, 2, RLENGTH - 2) + 0
		if (n++ && text !~ /\] Console: / && t - last > gap) { gap = t - last; line = text }
		last = t; text = $0 }
		END { printf "%.1f %s\n", gap, line }'
}

lockup='soft lockup|rcu.*(stall|starved)|hard LOCKUP|blocked for more than|clocksource.*unstable|clocksource watchdog'
lockup+='|user requested TSC rate below hardware speed'
passed=0 failed=0
echo "1..$count"
for ((i = 1; i <= count; i++)); do
	case $((i % 4)) in
	1) firmware=seabios smp=1 ;;
	2) firmware=4m smp=1 ;;
	3) firmware=seabios smp=2 ;;
	0) firmware=4m smp=2 ;;
	esac
	[ "$load" = 0 ] || kill -0 "$load_pid" 2>/dev/null || die "the load ended (log: $dir/load.log)"
	name=soak/$(printf '%03d' "$i")-$firmware-smp$smp
	rc=0
	SMP=$smp MEM=2G ICOUNT=0 TIMEOUT=$deadline BOOT_TIMEOUT=$deadline "$host" --name "$name" "$build/guest-6.1" \
		"GUEST_SEV=0 GUEST_FIRMWARE=$firmware GUEST_SMP=$smp GUEST_MEM=512M GUEST_WORKLOAD=boot GUEST_CONSOLE=1 GUEST_DEADLINE=$deadline bash guest.sh" \
		> "$logs/$name.facts" 2> "$logs/$name.guest" || rc=$?
	gap=$(longest_gap "$logs/$name.guest")
	why=
	if [ "$rc" != 0 ]; then
		why="status $rc: $(sed -n 's/^error //p' "$logs/$name.facts" | head -n 1)"
	elif grep -qaE "$lockup" "$logs/$name.guest" "$logs/$name.console"; then
		why="a kernel reports: $(grep -haE "$lockup" "$logs/$name.guest" "$logs/$name.console" | head -n 1)"
	elif awk "BEGIN { exit !(${gap%% *} > $stall) }"; then
		why="the guest's log stands still for $gap"
	fi
	seconds=$(sed -n 's/^seconds_total //p' "$logs/$name.facts")
	if [ -z "$why" ]; then
		passed=$((passed + 1))
		echo "ok $i - $firmware smp=$smp ($seconds s, longest pause ${gap%% *} s)"
	else
		failed=$((failed + 1))
		echo "not ok $i - $firmware smp=$smp: $why (log: $logs/$name.guest)"
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
