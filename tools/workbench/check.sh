#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run the tests of tests.cfg and print a line for each, then the one that counts. A test passes or
# fails; a skipped one fails the run, because what is listed is what must be tested here.
#
#   check.sh [--check]  T=PATTERN: only tests whose name holds PATTERN. --check: only look at T
#
# Two jobs run at a time where there are two processors and memory for two hosts: an emulated host keeps
# one processor busy. What a job says is printed when it ends.
#
# Ends with status 0 only when at least one test ran, none failed and none was skipped.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

bench=$root/tools/workbench
host=$root/tools/testing/selftests/kvm/qemu/host.sh
list=${TESTS:-$bench/tests.cfg}
dir=$logs/check
passed=0 failed=0 skipped=0 bad=()
# What a user set for another command must not change what is tested.
unset SMP MEM KERNEL HOST_ARGS MACHINE_ARGS CPU_ARGS ICOUNT TIMEOUT GUEST GUEST_MEM GUEST_SMP FIRMWARE MEMORY N LOAD STRESS PRIVATE SEED DIR CMD

# The names of the tests that were asked for.
wanted()
{
	local name

	awk -F'|' '!/^#/ && NF > 1 { gsub(/ /, "", $1); print $1 }' "$list" | while read -r name; do
		[[ $name != *${T:-}* ]] || echo "$name"
	done
}

[ -n "$(wanted)" ] || die "T=${T:-}: no test's name holds it (see $list)"
[ "${1:-}" != --check ] || exit 0

result()
{
	local verdict=$1 name=$2 why=${3:-}

	echo "$verdict $name${why:+ ($why)}"
}

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

# One line of result for each of the job's own; the job's plan and exit status must agree with them.
tap_results()
{
	local job=$1 rc=$2 log=$3 line plan='' seen=0 wrong=0
	local re='^(not )?ok [0-9]+( -)? ?(.*)$'

	while IFS= read -r line; do
		if [[ $line =~ ^1\.\.([0-9]+) ]]; then
			plan=${BASH_REMATCH[1]}
		elif [[ $line =~ $re ]]; then
			local name=$job:${BASH_REMATCH[3]%% #*}

			seen=$((seen + 1))
			if [ -n "${BASH_REMATCH[1]}" ]; then
				wrong=1
				result FAIL "$name" "log: $log"
			elif [[ ${BASH_REMATCH[3]} =~ \#\ *SKIP\ *(.*) ]]; then
				result SKIP "$name" "${BASH_REMATCH[1]}"
			else
				result PASS "$name"
			fi
		fi
	done < <(tr -d '\r' < "$log")
	if [ -z "$plan" ] && [ "$wrong" = 0 ]; then
		result FAIL "$job" "no plan, log: $log"
	elif [ -n "$plan" ] && [ "$plan" != "$seen" ]; then
		result FAIL "$job" "$seen of $plan planned tests gave a result, log: $log"
	elif [ "$rc" != 0 ] && [ "$wrong" = 0 ]; then
		result FAIL "$job" "status $rc, log: $log"
	elif [ "$seen" = 0 ]; then
		result FAIL "$job" "no result, log: $log"
	fi
}

run_job()
{
	local name=$1 kind=$2 where=${3%%+*} timeout=$4 command=$5 log=$dir/$1.log rc=0 start=$SECONDS
	local host_args=${3#"$where"}

	host_args=${host_args//+/ }
	case $where in
	machine)
		(cd "$root" && timeout -k 10 "$timeout" bash -c "$command") > "$log" 2> "$log.err" < /dev/null || rc=$?
		;;
	host)
		HOST_ARGS=$host_args "$host" --name "check/$name" --timeout "$timeout" "$build/selftests" "$command" \
			> "$log" 2> "$log.err" || rc=$?
		;;
	debug)
		HOST_ARGS=$host_args KERNEL=$build/linux-dbg-o/arch/x86/boot/bzImage MEM=6G \
			"$host" --name "check/$name" --timeout "$timeout" "$build/selftests" "$command" > "$log" 2> "$log.err" || rc=$?
		;;
	esac
	if [ "$kind" = tap ]; then
		tap_results "$name" "$rc" "$log"
	elif [ "$rc" = 0 ]; then
		result PASS "$name" "$((SECONDS - start)) s"
	else
		result FAIL "$name" "status $rc, log: $log"
	fi
	if [ "$rc" != 0 ]; then
		{ grep -aE '^(#|not ok|  FAIL|    \||error|lint)' "$log" "$log.err" -h || tail -qn 8 "$log" "$log.err"; } |
			tail -n 12 | cut -c1-180 | sed 's/^/    /'
	fi
	echo "seconds $name $((SECONDS - start))" >> "$dir/TIMES"
}

# The report and its logs are one for all that boot a guest by run.sh.
alone()
{
	[[ $1 != *run.sh* ]] || flock 8
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

lanes=1
if [ "$(nproc)" -ge 2 ] && [ "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)" -ge 12000000 ]; then
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
	(alone "$command"; run_job "$name" "$kind" "$where" "$timeout" "$command") > "$dir/$name.result" 8> "$build/.lock-check-run" 9<&- &
	running[$!]=$name
done 9< "$list"
wait_for_lane 1

{
	echo "commit $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo none)"
	echo "seconds $((SECONDS - began))"
	printf 'bad %s\n' "${bad[@]}"
} > "$dir/SUMMARY"
[ "$((passed + failed + skipped))" -gt 0 ] || { echo "no test gave a result" >&2; failed=1; }
[ ${#bad[@]} = 0 ] || printf 'again: make check T=%s\n' "$(printf '%s\n' "${bad[@]%%:*}" | sort -u | head -n 1)" >&2
say TIME "$((SECONDS - began)) s of tests, accelerator tcg (emulated), logs in $dir"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$skipped" = 0 ]
