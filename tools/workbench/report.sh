#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# From what a guest's host said to what a person reads: the object of one guest, the table of a report, and the
# map of a guest's memory. Documentation/dev/run-report.rst describes the report.
#
#   report.sh guest FACTS NAME=VALUE...   one guest's object on stdout; names: status firmware ram ram_pages
#                                         guest_smp enc icount logs
#   report.sh table REPORT                a column for each guest
#   report.sh map REPORT PNG              the map of the guest on private memory: text on stdout, and a picture;
#                                         a sentence if there is none
set -euo pipefail
. "$(dirname "$0")/lib.sh"

parts=$root/tools/workbench/report

guest()
{
	local facts=$1 argument arguments=()

	shift
	for argument; do
		arguments+=(--arg "${argument%%=*}" "${argument#*=}")
	done
	jq -Rn "${arguments[@]}" -f "$parts/facts.jq" "$facts"
}

table()
{
	jq -r -f "$parts/table.jq" "$1" | awk -F'\t' '
		NF == 1 { printf "  %s\n", $1; next }
		{ printf "  %-28s", $1; for (i = 2; i <= NF; i++) printf " %18s", $i; print "" }'
}

# 128 cells a row of the picture: 32 rows.
picture()
{
	local map=$1 png=$2 data=$2.data columns=128 cells rows mib

	jq -r --argjson columns "$columns" '
		def state: if .[0] > 0 and .[1] > 0 then 3 elif .[1] > 0 then 4
			elif .[2] * 2 >= .[0] then 2 elif .[2] > 0 then 1 else 0 end;
		.cells | map(state) | [range(0; length; $columns) as $i | .[$i:$i + $columns]]
		| map(. + [range($columns - length) | 0] | join(" ")) | .[]' <<< "$map" > "$data"
	rows=$(wc -l < "$data")
	mib=$(jq --argjson columns "$columns" '.pages_per_cell * $columns / 256' <<< "$map")
	cells=$(jq '.pages_per_cell * 4' <<< "$map")
	gnuplot -e "data='$data'; columns=$columns; rows=$rows; mib=$mib; out='$png.new'" \
		-e "heading='guest memory, private: a cell is $cells KiB'" "$parts/map.gp"
	mv -f "$png.new" "$png"
	rm -f "$data"
}

map()
{
	local map

	rm -f "$2"
	map=$(jq -c '.runs.private.map' "$1")
	if [ "$map" = null ]; then
		echo "  no map: of a guest whose memory is pinned the host cannot tell what is private or touched"
		return
	fi
	jq -r -f "$parts/map.jq" <<< "$map" | sed 's/^/  /'
	picture "$map" "$2"
}

what=${1:-}
case $what in
guest|table|map) shift; "$what" "$@" ;;
*) die "'$what': guest, table or map" ;;
esac
