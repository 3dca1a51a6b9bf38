#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Make a kernel configuration from fragments on allnoconfig, and fail when a requested line did not
# survive: an option whose dependency is missing disappears silently otherwise.
#
#   kconfig.sh [--known] TREE OUT FRAGMENT...
#
# With --known, lines whose option the tree's Kconfig files do not have are left out: for a tree without
# some of our edits.
set -euo pipefail
export LC_ALL=C

known="cat"
if [ "${1:-}" = --known ]; then
	shift
	known="known_lines"
fi
tree=$1 out=$2
shift 2
mkdir -p "$out"

known_lines()
{
	find "$tree" -name 'Kconfig*' -exec sed -nE 's/^[[:space:]]*(menu)?config ([A-Z0-9_]+)$/CONFIG_\2/p' {} + |
		awk 'NR == FNR { known[$0] = 1; next } !/^CONFIG_/ || known[substr($0, 1, index($0, "=") - 1)]' - "$1"
}

# The last fragment that names an option wins, as in merge_config.sh.
merged=$(mktemp)
trap 'rm -f "$merged" "$merged.all"' EXIT
cat "$@" | awk '
	/^CONFIG_[A-Z0-9_]+=/ { name = $0; sub(/=.*/, "", name); line[name] = $0; next }
	/^(#|$)/ { next }
	{ print "kconfig.sh: not a CONFIG_ line: " $0 > "/dev/stderr"; bad = 1 }
	END { for (n in line) print line[n]; exit bad }' | sort > "$merged.all"
"$known" "$merged.all" > "$merged"

# Made already: looked at once more all the same, because an edit of a Kconfig file may drop a line.
if ! { [ -f "$out/.config" ] && cmp -s "$merged" "$out/.fragments"; }; then
	make -s -C "$tree" O="$out" KCONFIG_ALLCONFIG="$merged" allnoconfig > "$out/kconfig.log" 2>&1 || {
		cat "$out/kconfig.log" >&2
		exit 1
	}
	cp "$merged" "$out/.fragments"
fi
lost=$(sort "$out/.config" | comm -23 "$merged" - | grep -v '=n$' || true)
for line in $(grep -h '=n$' "$merged" || true); do
	if grep -q "^${line%=n}=" "$out/.config"; then
		lost+=" $line"
	fi
done
if [ -n "$lost" ]; then
	rm -f "$out/.config"
	echo "kconfig.sh: requested but not in the final configuration: ${lost//$'\n'/ }" >&2
	exit 1
fi
