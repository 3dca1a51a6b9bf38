#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Check that the report of the last make run holds what Documentation/dev/run-report.rst says, and
# that its numbers are of the right size for a stock, pinned guest.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

jq -e '
	.schema == 1 and .passed == true and .emulated == true and .memory == "pinned" and
	(.host.kernel | startswith("6.1.")) and (.host.vmm | startswith("QEMU 7.2")) and
	(.host.psp_api | test("^[0-9]+[.][0-9]+ build:[0-9]+$")) and (.host.sev | startswith("ASIDs")) and
	(.guest.kernel | length > 0) and (.guest.memory_encryption | test("SEV")) and
	(.guest.ram | test("^[0-9]+[MG]$")) and
	# All of the RAM is pinned, and little else: firmware, video memory.
	(.guest.ram | (if endswith("G") then 262144 else 256 end) * (rtrimstr("G") | rtrimstr("M") | tonumber)) as $pages |
	.cost.pinned_pages >= $pages and .cost.pinned_pages < $pages + 8192 and
	.cost.resident_kib > 100000 and .cost.seconds_to_init > 0 and
	(.host.deterministic | not) == (.cost.instructions_to_init == null) and
	.workload.blk_read == "ok" and .workload.net_read == "ok" and .workload.swiotlb_bounces > 0 and
	.error == null' "$build/report/run.json" > /dev/null || {
	echo "the report does not hold what it should:"
	cat "$build/report/run.json"
	exit 1
}
