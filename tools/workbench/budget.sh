# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# How much an edit may add: hooks are thin, bodies live in files of their own. Sourced after lib.sh.
#
# Exceptions are lines of tools/workbench/budget:  PATCH LINES REASON

hunk_budget=25
series_budget=350

hunk_limit()
{
	local exceptions=$root/tools/workbench/budget

	[ -f "$exceptions" ] || exceptions=/dev/null
	awk -v key="$1" -v max="$hunk_budget" '$1 == key && NF > 2 { max = $2 } END { print max }' "$exceptions"
}

# Name the hunks of the patch file $1 that add more lines than $2 (its path for people) may.
over_budget()
{
	awk -v name="$2" -v max="$(hunk_limit "$2")" '
	function done_hunk() {
		if (added > max)
			printf "%s: hunk at %s:%s adds %d lines, %d is the budget: move the body to a file of ours\n", \
				name, file, at, added, max
		added = 0
	}
	/^\+\+\+ / && !old && !new { file = substr($2, 3); next }
	/^@@ / && !old && !new {
		done_hunk()
		split($2, o, ","); split($3, n, ",")
		old = (2 in o) ? o[2] : 1; new = (2 in n) ? n[2] : 1
		at = substr(n[1], 2)
		delete o; delete n
		next
	}
	!old && !new { next }
	/^\+/ { added++; new--; next }
	/^-/ { old--; next }
	/^ / || /^$/ { old--; new-- }
	END { done_hunk() }' "$1"
}

# Lines that a kernel edit adds to code. Documentation and the selftests' Makefile are not counted.
added_lines()
{
	awk '
	/^--- / && !old && !new { next }
	/^\+\+\+ / && !old && !new {
		counted = !($2 ~ /^b\/Documentation\// || $2 ~ /^b\/tools\/testing\/selftests\/.*Makefile$/)
		next
	}
	/^@@ / && !old && !new {
		split($2, o, ","); split($3, n, ",")
		old = (2 in o) ? o[2] : 1; new = (2 in n) ? n[2] : 1
		delete o; delete n
		next
	}
	!old && !new { next }
	/^\+/ { sum += counted; new--; next }
	/^-/ { old--; next }
	/^ / || /^$/ { old--; new-- }
	END { print sum + 0 }' "$@"
}
