#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run one job of make check, and print a line "PASS|FAIL|SKIP name (reason)" for each of its tests. Its output
# goes to build/logs/check/NAME.log and .err. The exit status says nothing: the lines do.
#
#   check_job.sh NAME tap|plain WHERE SECONDS COMMAND      the fields of tests.cfg
set -uo pipefail
. "$(dirname "$0")/lib.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
dir=$logs/check

result()
{
	local verdict=$1 name=$2 why=${3:-}

	echo "$verdict $name${why:+ ($why)}"
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

# The report and its logs are one for all that boot a guest by run.sh. Waiting does not count as the job's time.
if [[ ${5:-} == *run.sh* ]]; then
	exec 8> "$build/.lock-check-run"
	flock 8
fi
run_job "$@"
