# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A line of TAP for a condition. Sourced by tests, which print the plan from n at their end.

n=0

# What a test has to say at a failure, besides what its condition printed: it may replace this.
check_also()
{
	:
}

# check NAME CONDITION...: one line of TAP; the end of what the condition printed follows when it does not hold.
check()
{
	local name=$1 check_said

	shift
	n=$((n + 1))
	if check_said=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		{ printf '%s\n' "$check_said" | tail -n 25; check_also; } | cut -c1-400 | sed 's/^/# /'
	fi
}
