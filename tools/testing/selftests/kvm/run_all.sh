#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the emulated host: several test programs, one after the other, as one TAP. A boot of the host
# costs more than many a program.
#
#   run_all.sh PROGRAM...       in the folder of this script
#
# Results have the program's name before them. A program whose plan does not hold, or that fails without
# a result that says so, gives a failed result of its own.
set -uo pipefail
cd "$(dirname "$0")" || exit

number=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

tap()
{
	number=$((number + 1))
	echo "$1 $number - $2"
	[ "$1" = ok ] || failed=$((failed + 1))
}

# One line for each of the program's; its comments go through.
renumber()
{
	local program=$1 line
	local re='^(not ok|ok) [0-9]+( -)? ?(.*)$'

	while IFS= read -r line; do
		if [[ $line =~ $re ]]; then
			tap "${BASH_REMATCH[1]}" "$program: ${BASH_REMATCH[3]}"
		elif [[ $line == \#* ]]; then
			echo "$line"
		fi
	done < "$out"
}

for program in "$@"; do
	rc=0 before=$number bad=$failed start=$SECONDS
	"./$program" > "$out" || rc=$?
	renumber "$program"
	plan=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$out" | head -n 1)
	if [ "$plan" != $((number - before)) ]; then
		tap "not ok" "$program: $((number - before)) of ${plan:-no} planned tests gave a result"
	elif [ "$rc" != 0 ] && [ "$bad" = "$failed" ]; then
		tap "not ok" "$program: status $rc"
	fi
	echo "# $program: $((SECONDS - start)) s, emulated"
done
echo "1..$number"
[ "$failed" = 0 ] && [ "$number" -gt 0 ]
