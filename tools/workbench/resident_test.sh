#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Private memory is there when a guest touches it, not when it is created: a guest of 64 GiB at its prompt takes what
# one of 2 GiB takes (and 15 %), plus what its kernel itself allocates in proportion to RAM. Each is booted
# in turn in one host of 4 GiB; the median counts. TAP on stdout.
#
#   resident_test.sh        TIMES=3: boots of either size
set -uo pipefail
. "$(dirname "$0")/lib.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
times=${TIMES:-3}
small=2G big=64G
out=$logs/resident
log=$out.guest
mkdir -p "$logs"

# boots: an "at SIZE" line, then the facts, for each boot; the consoles follow the same lines on stderr
rc=0
MEM=4G SMP=2 ICOUNT=0 QUIET=1 "$host" --name resident --timeout "${TIMEOUT:-1500}" "$build/guest-6.1" \
	"for i in \$(seq $times); do for mem in $small $big; do
		echo at \$mem; echo at \$mem >&2
		GUEST_MEMORY=private GUEST_FIRMWARE=own GUEST_WORKLOAD=boot GUEST_MEM=\$mem GUEST_CONSOLE=1 GUEST_DEADLINE=600 bash guest.sh || exit
	done; done" > "$out.facts" 2> "$log" || rc=$?

# Pages that the RAM took at each boot of a guest of size $1, one a line.
resident_at_init()
{
	awk -v size="$1" '$1 == "at" { at = $2 } $1 == "private_memory_at_init" && at == size' "$out.facts" | sed 's/^[a-z_]* //' |
		jq -s '.[][0] | (."populated-private" + ."populated-shared") / 4096'
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}

# What the kernel's log of the first guest of size $1 says of what grows with RAM, in pages of 4 KiB: a page struct of
# 64 bytes for each page, tables whose size it chooses by RAM, and bounce buffers.
by_size()
{
	tr -d '\r' < "$log" | awk -v size="$1" '
		$1 == "at" { at = $2; guests += at == size; next }
		at != size || guests > 1 { next }
		match($0, /Memory: [0-9]+K\/[0-9]+K available/) { split(substr($0, RSTART, RLENGTH), part, "/"); structs = part[2] / 4 * 64 / 4096 }
		match($0, /\(order: [0-9]+, [0-9]+ bytes/) { split(substr($0, RSTART, RLENGTH), part, ", "); tables += part[2] / 4096 }
		/software IO TLB: mapped/ && match($0, /\([0-9]+MB\)/) { buffers = substr($0, RSTART + 1) * 256 }
		END { printf "%d %d %d\n", structs, tables, buffers }'
}

echo "1..3"
if [ "$rc" = 0 ]; then
	echo "ok 1 - $times boots each of a guest of $small and one of $big in a host of 4 GiB"
else
	echo "not ok 1 - boots: status $rc, $(sed -n 's/^error //p' "$out.facts" | tail -n 1) (log: $log)"
fi
a=$(resident_at_init $small | median) b=$(resident_at_init $big | median)
read -r structs_a tables_a buffers_a < <(by_size $small)
read -r structs_b tables_b buffers_b < <(by_size $big)
sum=$((structs_b + tables_b + buffers_b))
for line in "$small ${a:-none} $structs_a $tables_a $buffers_a" "$big ${b:-none} $structs_b $tables_b $buffers_b"; do
	# shellcheck disable=SC2086 # words
	printf '# %s: %s pages resident at init; in proportion to RAM: %s page structs, %s tables, %s bounce buffers\n' $line
done
if [ -n "$a" ] && [ -n "$b" ] && [ "$structs_b" -gt 0 ] && [ "$tables_b" -gt 0 ] && [ "$buffers_b" -gt 0 ]; then
	echo "ok 2 - both told what they take"
else
	echo "not ok 2 - a guest did not tell what it takes (log: $log)"
fi
limit=$((${a:-0} * 115 / 100 + sum))
if [ "${b:-$limit}" -lt "$limit" ]; then
	echo "ok 3 - $big: $b pages, at most 1.15 times the $a of $small, plus $sum in proportion to RAM"
else
	echo "not ok 3 - $big: ${b:-unknown} pages, want at most $limit"
fi
