#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run the tests of tests.cfg and print a line for each, then the one that counts. A test passes or
# fails; a skipped one fails the run, because what is listed is what must be tested here.
#
#   check.sh [--check]  T=PATTERN: only tests whose name holds PATTERN. --check: only look at T
#
# Two jobs run at a time where there are two processors and memory for two hosts: an emulated host keeps
# one processor busy. What a job says is printed when it ends. An interrupt ends all jobs with their children:
# each has a session of its own, because what limits a command's time leaves the group of processes.
#
# Ends with status 0 only when at least one test ran, none failed and none was skipped.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

bench=$root/tools/workbench
list=${TESTS:-$bench/tests.cfg}
dir=$logs/check
passed=0 failed=0 skipped=0 bad=()
# What a user set for another command must not change what is tested. T is for this script: other commands have one, too.
export -n T
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MP_START SMP MEM KERNEL HOST_ARGS MACHINE_ARGS CPU_ARGS PSP_ARGS ICOUNT TIMEOUT GUEST GUEST_MEM GUEST_SMP FIRMWARE MEMORY N LOAD STRESS PRIVATE SEED DIR CMD

# The names of the tests that were asked for.
wanted()
{
	local name

	awk -F'|' '!/^#/ && NF > 1 { gsub(/ /, "", $1); print $1 }' "$list" | while read -r name; do
		[[ $name != *${T:-}* ]] || echo "$name"
	done
}

# Some of these tests boot the debug host, which has 6 GiB.
wants_debug_host()
{
	wanted | grep -qxFf <(awk -F'|' '!/^#/ && $3 $5 ~ /debug|MEM=6G|stress.sh/ { gsub(/ /, "", $1); print $1 }' "$list")
}

[ -n "$(wanted)" ] || die "T=${T:-}: no test's name holds it (see $list)"
! wants_debug_host || need_memory 8 "make check"
[ "${1:-}" != --check ] || exit 0
# The logs and the lanes are one check's.
lock check

# Print what a job has said, and count it.
collect()
{
	local line

	while IFS= read -r line; do
		case $line in
		PASS\ *) passed=$((passed + 1)) ;;
		FAIL\ *) failed=$((failed + 1)) ;;&
		SKIP\ *) skipped=$((skipped + 1)) ;;&
		FAIL\ *|SKIP\ *)
			line=${line#* }
			bad+=("${line%% (*}")
			;;
		esac
	done < "$1"
	cat "$1"
}

declare -A running=()

# Wait until less than $1 jobs run.
wait_for_lane()
{
	local pid

	while [ ${#running[@]} -ge "$1" ]; do
		wait -n -p pid "${!running[@]}"
		collect "$dir/${running[$pid]}.result"
		unset "running[$pid]"
	done
}

# End the jobs that still run, and what is in their sessions; what has not gone after ten seconds is killed.
# The jobs are not waited for here, so that their numbers are nobody else's.
stop_jobs()
{
	local sessions i

	sessions=$(IFS=,; echo "${!running[*]}")
	[ -n "$sessions" ] || return 0
	say STOP "${running[*]}"
	kill -TERM "${!running[@]}" 2> /dev/null
	pkill -TERM -s "$sessions"
	for ((i = 0; i < 100; i++)); do
		pgrep -s "$sessions" -r D,R,S,T > /dev/null || return 0
		sleep 0.1
	done
	pkill -KILL -s "$sessions"
}
trap stop_jobs EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

lanes=1
if [ "$(nproc)" -ge 2 ] && [ "$(memory_mib MemAvailable)" -ge 12000 ]; then
	lanes=2
fi

rm -rf "$dir.old"
[ ! -d "$dir" ] || mv "$dir" "$dir.old"
mkdir -p "$dir" "$build/selftests"
began=$SECONDS
while IFS='|' read -r name kind where timeout command <&9; do
	name=${name// /} kind=${kind// /} where=${where// /} timeout=${timeout// /}
	case $name in ''|\#*) continue ;; esac
	[[ $name == *${T:-}* ]] || continue
	[[ "$kind $where" =~ ^(tap|plain)\ (machine|(host|debug)(\+[a-z0-9_.=+]+)?)$ ]] || die "$list: $name: kind '$kind', where '$where'"
	wait_for_lane "$lanes"
	setsid "$(dirname "$0")/check_job.sh" "$name" "$kind" "$where" "$timeout" "$command" \
		> "$dir/$name.result" 9<&- < /dev/null &
	running[$!]=$name
done 9< "$list"
wait_for_lane 1

{
	echo "commit $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo none)"
	echo "seconds $((SECONDS - began))"
	[ ${#bad[@]} = 0 ] || printf 'bad %s\n' "${bad[@]}"
} > "$dir/SUMMARY"
[ "$((passed + failed + skipped))" -gt 0 ] || { echo "no test gave a result" >&2; failed=1; }
[ ${#bad[@]} = 0 ] || printf 'again: make check T=%s\n' "$(printf '%s\n' "${bad[@]%%:*}" | sort -u | head -n 1)" >&2
say TIME "$((SECONDS - began)) s of tests, accelerator tcg (emulated), logs in $dir"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$skipped" = 0 ]
