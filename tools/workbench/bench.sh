#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measure what a guest costs the host, side by side in one run of deterministic machines: a plain
# guest and an SEV guest on stock, pinned memory, each with two sizes of RAM. Prints a table and
# writes build/report/bench.json, a list with one object a line of the table: kind, ram, and the
# cost fields of Documentation/dev/run-report.rst.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
out=$build/report/bench.json
rows=$build/report/.bench-rows
mkdir -p "$build/report"
: > "$rows"

fact()
{
	sed -n "s/^$2 //p" "$1" | tail -n 1
}

measure()
{
	local kind=$1 sev=$2 ram=$3 facts=$build/report/bench-$1-$3.facts

	ICOUNT=1 SMP=1 MEM=3G TIMEOUT=900 "$host" --name "bench-$kind-$ram" "$build/guest-6.1" \
		"GUEST_SEV=$sev GUEST_MEM=$ram GUEST_WORKLOAD=boot bash guest.sh" > "$facts" 2> "$logs/bench-$kind-$ram.guest" ||
		die "the $kind guest with $ram did not pass: $(fact "$facts" error) (log: $logs/bench-$kind-$ram.guest)"
	jq -nc --arg kind "$kind" --arg ram "$ram" --argjson pinned "$(fact "$facts" pinned_pages)" \
		--argjson resident "$(fact "$facts" resident_kib)" --argjson instructions "$(fact "$facts" instructions_to_init)" \
		'{kind: $kind, ram: $ram, pinned_pages: $pinned, resident_kib: $resident, instructions_to_init: $instructions}' >> "$rows"
	printf '%-12s %6s %14s %14s %22s\n' "$kind" "$ram" "$(fact "$facts" pinned_pages)" \
		"$(fact "$facts" resident_kib)" "$(fact "$facts" instructions_to_init)"
}

printf '%-12s %6s %14s %14s %22s\n' guest RAM 'pages pinned' 'KiB resident' 'instructions to init'
for ram in 512M 1G; do
	measure plain 0 "$ram"
	measure sev-pinned 1 "$ram"
done
jq -s . "$rows" > "$out"
rm -f "$rows"
say REPORT "$out (emulated; instructions of host and guest together)"
