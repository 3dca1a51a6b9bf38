#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of what makes the report out of a guest's facts: on facts that are written here, without a machine.
# TAP on stdout.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

make_report=$root/tools/workbench/report.sh
mkdir -p "$build"
tmp=$(mktemp -d "$build/.report-test-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

is()
{
	[ "$1" = "$2" ] || { printf 'got:\n%s\nwant:\n%s\n' "$1" "$2"; return 1; }
}

# field FILTER JSON: one line of jq's
field()
{
	jq -c "$1" <<< "$2"
}

# guest ARGUMENT...: the object of the facts on stdin, of a guest of 1 MiB or as the arguments say (of two with one
# name jq takes the first)
guest()
{
	cat > "$tmp/facts"
	"$make_report" guest "$tmp/facts" "$@" status=0 firmware=F ram=1M ram_pages=256 guest_smp=2 enc=xts icount=1 logs=build/logs/x
}

# Five cells of 64 KiB: each has 16 pages.
cells='[{"private": 65536, "shared": 0, "populated-shared": 0}, {"private": 65536, "shared": 0, "populated-shared": 0},
	{"private": 65536, "shared": 0, "populated-shared": 0}, {"private": 32768, "shared": 32768, "populated-shared": 8192},
	{"private": 0, "shared": 65536, "populated-shared": 0}]'
read -r -d '' private_facts <<END
vmm QEMU 1.2
error first
error the last one
exits 70
seconds_to_init 1.50
instructions_to_init 123
pinned_ram_pages 0
pinned_other_pages 9
private_memory [{"private": 229376, "shared": 98304, "populated-private": 98304, "populated-shared": 8192, "conversions-to-shared": 3, "pages-to-shared": 30, "conversions-to-private": 2, "pages-to-private": 6, "unchanged": 1, "stray-reads": 2, "stray-writes": 5}]
private_map {"cell-size": 65536, "cells": $(tr -d '\n\t' <<< "$cells")}
resident_cells 16 7 0 1 0
END
private=$(guest <<< "$private_facts")
check "facts: numbers are numbers, words are words" is "$(field '[.vmm, .cost.exits, .cost.seconds_to_init, .guest.cpus]' "$private")" '["QEMU 1.2",70,1.5,2]'
check "facts: the last of two counts" is "$(field .error "$private")" '"the last one"'
check "facts: what was not seen is null" is "$(field '[.guest.kernel, .cost.flushes, .workload.blk_read]' "$private")" '[null,null,null]'
check "facts: bytes become pages" is "$(field '.pages | [.private, .shared, .resident, .resident_private, .resident_shared]' "$private")" '[56,24,26,24,2]'
check "facts: stray accesses of both kinds" is "$(field .conversions.stray_accesses "$private")" 7
check "facts: a status is a verdict" is "$(field .passed "$(guest status=1 <<< "$private_facts")")" false
check "facts: no instructions outside of the deterministic mode" \
	is "$(field .cost.instructions_to_init "$(guest icount=0 <<< "$private_facts")")" null
check "facts: what the machine does to the guest's memory" is "$(field .machine_encryption "$private")" '"xts"'
check "machine_encryption: the default, a choice, the last of two, none of it a part of another word" \
	is "$(for args in '' paranoid=on enc=none,x=y x=y,enc=none enc=none,enc=xts x=enc=none; do machine_encryption "$args"; done | tr '\n' ' ')" \
	"xts xts none none xts xts "
check "facts: none at all" is "$(field '[.vmm, .pages.private, .pages.resident, .map, .cost.exits]' "$(guest < /dev/null)")" '[null,null,null,null,null]'
check "map: the pages of each cell, and what is resident of both halves" \
	is "$(field .map "$private")" '{"pages_per_cell":16,"cells":[[16,0,16,0],[16,0,7,0],[16,0,0,0],[8,8,1,2],[0,16,0,0]]}'
check "map: none when it is not known what is resident" \
	is "$(field .map "$(grep -v resident_cells <<< "$private_facts" | guest)")" null

pinned=$(guest <<< $'resident_ram_pages 256\npinned_ram_pages 256\nflushes 1234567')
jq -n --argjson private "$private" --argjson pinned "$pinned" '{runs: {private: $private, pinned: $pinned}}' > "$tmp/both"
"$make_report" table "$tmp/both" > "$tmp/table"
check "table: a column for each kind" is "$(head -n 1 "$tmp/table" | tr -s ' ')" " pages of 4 KiB private pinned"
check "table: digits in groups, and a dash for what is not known" \
	is "$(grep -E 'flushes|^ {4}private' "$tmp/table" | tr -s ' ')" $' private 56 -\n flushes of all caches - 1,234,567'

"$make_report" map "$tmp/both" "$tmp/map.png" > "$tmp/map"
check "map: a character for each state" is "$(tail -n 1 "$tmp/map")" "    0x000000000 #:.+S"
check "map: says what a character is" grep -q 'a character is 16 pages of 4 KiB (64 KiB)' "$tmp/map"
check "map: a picture" is "$(head -c 8 "$tmp/map.png" | od -An -t x1)" " 89 50 4e 47 0d 0a 1a 0a"

# 4096 cells are 2048 characters: two cells each, the second row from cell 128 on.
jq '.runs.private.map = {pages_per_cell: 4, cells: [range(4096) | if . == 129 then [0, 4, 0, 4] else [4, 0, 0, 0] end]}' "$tmp/both" > "$tmp/many"
"$make_report" map "$tmp/many" "$tmp/map.png" > "$tmp/map"
check "map: never more than 32 lines of 64 characters" \
	is "$(grep -c '0x' "$tmp/map") $(grep 0x "$tmp/map" | awk '{ print length($2) }' | sort -u)" "32 64"
check "map: cells that were joined hold the pages of both" is "$(grep 0x "$tmp/map" | sed -n 2p | cut -c1-19)" "    0x000200000 +.."
check "map: lines have their addresses" is "$(grep 0x "$tmp/map" | awk 'NR == 3 || NR == 32 { print $1 }' | tr '\n' ' ')" "0x000400000 0x003e00000 "
jq '.runs = {pinned: .runs.pinned}' "$tmp/both" > "$tmp/pinned"
"$make_report" map "$tmp/pinned" "$tmp/map.png" > "$tmp/map"
check "map: a sentence, and no old picture, when there is none" \
	is "$(wc -l < "$tmp/map")$(grep -c 'cannot tell' "$tmp/map")$(ls "$tmp/map.png" 2>/dev/null)" 11
echo "1..$n"
