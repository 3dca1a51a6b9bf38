#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measure what memory costs the host, in deterministic machines. First single operations of KVM, by
# private_mem_perf_test; then whole guests, side by side: a plain guest and an SEV guest on stock,
# pinned memory, each with two sizes of RAM. Last, in real time, what the machine's encryption costs
# the boot of the standard guest: two pairs of boots, in an order in which a machine that becomes
# faster or slower meanwhile does not matter. Prints all and writes build/report/bench.json:
# "kvm" has the operations by name, in instructions; "guests" is a list with one object a line of the
# table: kind, ram, and the cost fields of Documentation/dev/run-report.rst; "encryption" has
# "seconds" to the guest's init by the value of enc, of both boots, and their "ratio".
#
#   bench.sh [--check]     --check: only look at the variables
set -euo pipefail
. "$(dirname "$0")/lib.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
# What is compared must be the same machine, whatever a user set for another command.
export ICOUNT=1 SMP=1 MEM=3G TIMEOUT=900 PSP_ARGS=enc=none
"$host" --check "$root" true
[ "${1:-}" != --check ] || exit 0
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

	"$host" --name "bench-$kind-$ram" "$build/guest-6.1" \
		"GUEST_SEV=$sev GUEST_MEM=$ram GUEST_WORKLOAD=boot bash guest.sh" > "$facts" 2> "$logs/bench-$kind-$ram.guest" ||
		die "the $kind guest with $ram did not pass: $(fact "$facts" error) (log: $logs/bench-$kind-$ram.guest)"
	jq -nc --arg kind "$kind" --arg ram "$ram" --argjson pinned "$(fact "$facts" pinned_pages)" \
		--argjson resident "$(fact "$facts" resident_kib)" --argjson instructions "$(fact "$facts" instructions_to_init)" \
		'{kind: $kind, ram: $ram, pinned_pages: $pinned, resident_kib: $resident, instructions_to_init: $instructions}' >> "$rows"
	printf '%-12s %6s %14s %14s %22s\n' "$kind" "$ram" "$(fact "$facts" pinned_pages)" \
		"$(fact "$facts" resident_kib)" "$(fact "$facts" instructions_to_init)"
}

# Seconds of this machine from the start of the VMM in the host to the init of the guest.
seconds_to_init()
{
	local log=bench-enc-$1 began='' line

	PSP_ARGS=enc=$1 ICOUNT=0 MEM=4G "$host" --name "$log" "$build/guest-6.1" \
		"echo began; GUEST_MEMORY=private GUEST_FIRMWARE=own GUEST_MEM=2G GUEST_WORKLOAD=boot GUEST_DEADLINE=800 bash guest.sh" \
		2> "$logs/$log.guest" | while IFS= read -r line; do
			case $line in
			began*) began=$(date +%s%N) ;;
			init\ *) echo "$(($(date +%s%N) - began))" ;;
			esac
		done
}

encryption()
{
	local enc ns

	for enc in none xts xts none; do
		ns=$(seconds_to_init $enc) || ns=
		[ -n "$ns" ] || die "the guest with enc=$enc did not come to its init (log: $logs/bench-enc-$enc.guest)"
		jq -nc --arg enc $enc --argjson ns "$ns" '{$enc, seconds: ($ns / 1e7 | round / 100)}'
	done | jq -s 'group_by(.enc) | map({key: .[0].enc, value: map(.seconds)}) | from_entries |
		{seconds: ., ratio: ((.xts | add) / (.none | add) * 1000 | round / 1000)}'
}

operations=$build/report/bench-kvm.facts
"$host" --name bench-kvm "$build/selftests" ./private_mem_perf_test > "$operations" ||
	die "private_mem_perf_test did not pass (log: $logs/bench-kvm.console)"
grep ' instructions$' "$operations" | tr -d '\r' || die "private_mem_perf_test measured nothing: see $operations"
echo

printf '%-12s %6s %14s %14s %22s\n' guest RAM 'pages pinned' 'KiB resident' 'instructions to init'
for ram in 512M 1G; do
	measure plain 0 "$ram"
	measure sev-pinned 1 "$ram"
done
enc=$(encryption)
jq -r '"\nencryption: boots of \(.seconds.none | join(" and ")) s without, \(.seconds.xts | join(" and ")) s with; ratio \(.ratio) (seconds of this machine)"' <<< "$enc"
jq -Rn '[inputs | capture("^(?<key>\\w+) (?<value>[0-9]+) instructions") | {key, value: (.value | tonumber)}] | from_entries' \
	"$operations" > "$build/report/.bench-kvm"
jq -n --slurpfile kvm "$build/report/.bench-kvm" --slurpfile guests "$rows" --argjson encryption "$enc" \
	'{kvm: $kvm[0], guests: $guests, $encryption}' > "$out"
rm -f "$rows" "$build/report/.bench-kvm"
say REPORT "$out (emulated; instructions of host and guest together)"
