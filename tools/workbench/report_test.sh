#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Check that the report of the last make run holds what Documentation/dev/run-report.rst says, and that its
# numbers agree with each other and are of the right size for the kind of memory.
#
#   report_test.sh KIND...      the kinds of memory that must be there, and no other: private, pinned
# shellcheck disable=SC2016 # the dollars are jq's
set -euo pipefail
. "$(dirname "$0")/lib.sh"

report=$build/report/run.json
kinds=$(printf '%s\n' "$@" | jq -Rnc '[inputs] | sort')

# holds NAME CONDITION: a condition on the report
failed=0
holds()
{
	jq -e --argjson kinds "$kinds" "$2" "$report" > /dev/null && return
	echo "does not hold: $1"
	failed=1
}

# holds_for KIND NAME CONDITION: on one guest, if it is there
holds_for()
{
	holds "$1: $2" ".runs.$1 | . == null or ($3)"
}

holds "the kinds of memory" '(.runs | keys) == $kinds'
holds "the head" '.schema == 2 and .passed == true and .emulated == true'
holds "the host" '(.host.kernel | startswith("6.1.")) and (.host.psp_api | test("^[0-9]+[.][0-9]+ build:[0-9]+$")) and
	(.host.sev | startswith("ASIDs")) and (.host.mem | test("^[0-9]+[MG]$"))'
holds "the real time" '.real.seconds_to_init > 0 and .real.seconds >= .real.seconds_to_init'
# The flash that holds OVMF is 4 MiB or 2 MiB; a guest may write to it, and it stays pinned.
for kind in private pinned; do
	holds_for $kind "the guest" '.passed and .error == null and (.guest.kernel | length > 0) and
		(.guest.memory_encryption | test("SEV")) and (.vmm | startswith("QEMU 7.2")) and (.firmware | startswith("OVMF"))'
	holds_for $kind "the workload" '[.workload | .blk_read, .net_read, .rng_read, .memory_verified] == ["ok", "ok", "ok", "ok"] and
		.workload.swiotlb_bounces > 0'
	holds_for $kind "the size of RAM" '(.guest.ram | (if endswith("G") then 262144 else 256 end) * (rtrimstr("G") | rtrimstr("M") | tonumber)) == .pages.ram'
	holds_for $kind "the costs" '.cost.exits_to_init > 1000 and .cost.exits >= .cost.exits_to_init and .cost.flushes > 0 and
		.cost.seconds_to_init > 0 and .cost.seconds_total > .cost.seconds_to_init and .cost.resident_kib > 20000'
	holds_for $kind "the flash is pinned" '.pages.pinned_other >= 512 and .pages.pinned_other < 4096'
	holds_for $kind "no pin is left behind" '.cost.pins_left == 0'
done
# The stock path pins for reading: where nothing was written yet that is the zero page, whose pins are not all counted.
holds_for private "the pins by region add up to all pins" '.pages.pinned + .pages.pinned_other == .cost.pinned_pages'
holds_for pinned "the pins by region hold all pins, and all RAM is among them" \
	'.cost.pinned_pages <= .pages.pinned + .pages.pinned_other and .cost.pinned_pages > .pages.pinned'
holds "instructions in the deterministic mode only" \
	'.host.deterministic as $d | .runs | all((.cost.instructions_to_init != null) == $d)'

holds_for private "its memory is ciphertext" '.machine_encryption == "xts"'
holds_for pinned "its memory is not" '.machine_encryption == "none"'
# What the guest has not touched is pinned as the zero page: see "Pinned and resident" in run-report.rst.
holds_for pinned "all of the RAM is pinned" '.pages.pinned == .pages.ram and .pages.resident > 16384 and .pages.resident <= .pages.ram'
holds_for pinned "nothing is known of what the guest shares" '.pages.private == null and .pages.shared == null and .map == null'

holds_for private "no page of the RAM is pinned" '.pages.pinned == 0'
holds_for private "each page is private or shared" '.pages.private + .pages.shared == .pages.ram'
holds_for private "some are shared, most are not" '.pages.shared > 0 and .pages.shared < .pages.ram / 2'
holds_for private "resident is what the guest touched" '.pages.resident == .pages.resident_private + .pages.resident_shared and
	.pages.resident_private <= .pages.private and .pages.resident_shared <= .pages.shared and
	.pages.resident_private > 16384'
holds_for private "no huge page holds what is shared" '.pages.huge == 0'
holds_for private "conversions both ways" '.conversions | .to_shared > 100 and .to_private > 100 and
	.pages_to_shared >= .to_shared and .pages_to_private >= .to_private'
# All pages start private.
holds_for private "conversions leave what is shared" '.conversions.pages_to_shared - .conversions.pages_to_private == .pages.shared'
holds_for private "no device model reached for private memory" '.conversions.stray_accesses == 0'
holds_for private "the map adds up" '. as $run | .map.cells |
	[map(.[0]), map(.[1]), map(.[2]), map(.[3]) | add] == [$run.pages | .private, .shared, .resident_private, .resident_shared]'
holds_for private "no half holds pages of the other state, anywhere" '.map.cells | all(.[2] <= .[0] and .[3] <= .[1])'
holds_for private "the picture" '.map.pages_per_cell >= 1'
if [ "$(jq '.runs.private.map != null' "$report")" = true ]; then
	[ "$(head -c 4 "$build/report/map.png" | od -An -c | tr -d ' ')" = '211PNG' ] || { echo "no picture"; failed=1; }
fi
[ "$failed" = 0 ] || jq 'del(.runs[].map.cells)' "$report"
exit "$failed"
