#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Private memory is there when a guest touches it, not when it is created: a guest of 64 GiB at its init takes what one
# of 2 GiB takes (and 15 %), plus what its kernel itself allocates in proportion to RAM. Of three boots of either size,
# which boot_test.sh has made, the median counts. Prints "ok" or "not ok" with the numbers; lines that begin with # tell more.
#
#   resident_check.sh NAME...      NAME.json: the object of a guest; NAME.guest: its console
set -euo pipefail

small=2G big=64G

# The names whose guest has size $1.
of_size()
{
	local size=$1 name

	shift
	for name; do
		[ ! -f "$name.json" ] || [ "$(jq -r .guest.ram "$name.json")" != "$size" ] || echo "$name"
	done
}

# The median of what the guests of size $1 took; nothing if there are less than three.
median()
{
	of_size "$@" | while read -r name; do
		jq '.pages.resident_at_init // empty' "$name.json"
	done | sort -n | awk '{ v[NR] = $1 } END { if (NR >= 3) print v[int((NR + 1) / 2)] }'
}

# What a kernel's log says of what grows with RAM, in pages of 4 KiB: a page struct of 64 bytes for each page, tables
# whose size the kernel chooses by RAM, bounce buffers. Of the first boot in console $1.
in_proportion()
{
	tr -d '\r' < "$1" | awk '
		/Linux version/ && n++ { exit }
		match($0, /Memory: [0-9]+K\/[0-9]+K available/) { split(substr($0, RSTART, RLENGTH), part, "/"); structs = part[2] / 4 * 64 / 4096 }
		match($0, /\(order: [0-9]+, [0-9]+ bytes/) { split(substr($0, RSTART, RLENGTH), part, ", "); tables += part[2] / 4096 }
		/software IO TLB: mapped/ && match($0, /\([0-9]+MB\)/) { buffers = substr($0, RSTART + 1) * 256 }
		END { printf "%d %d %d\n", structs, tables, buffers }'
}

# describe SIZE NAME...: leaves pages, structs and tables
describe()
{
	local size=$1 first buffers

	pages=$(median "$@")
	first=$(of_size "$@" | sed -n 1p)
	if [ -z "$pages" ]; then
		echo "not ok resident: less than three boots of a guest of $size"
		exit 1
	fi
	read -r structs tables buffers < <(in_proportion "$first.guest")
	echo "# $size: $pages pages resident at init, of which in proportion to RAM $structs of page structs and $tables of tables; $buffers pages of bounce buffers were touched, shared and given back"
	if [ "$structs" = 0 ] || [ "$tables" = 0 ] || [ "$buffers" = 0 ]; then
		echo "not ok resident: the log of a guest of $size does not tell what grows with RAM ($first.guest)"
		exit 1
	fi
}

describe "$small" "$@"
of_small=$pages
describe "$big" "$@"
limit=$((of_small * 115 / 100 + structs + tables))
if [ "$pages" -le "$limit" ]; then
	echo "ok resident: $big takes $pages pages, at most 1.15 times the $of_small of $small plus $((structs + tables)) in proportion to RAM"
else
	echo "not ok resident: $big takes $pages pages, more than 1.15 times the $of_small of $small plus $((structs + tables)) in proportion to RAM"
	exit 1
fi
