#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: our QEMU with guests that have no private memory, an SEV guest whose memory is pinned
# and a plain one. They boot as they do with Debian's QEMU. TAP on stdout. The folder above this one holds
# a guest (tools/workbench/guest.sh).
set -u

here=$(cd "$(dirname "$0")" && pwd)
guest=$(dirname "$here")
# shellcheck source=../../../../workbench/tap.sh
. "$here/tap.sh"

# boot VAR=VALUE...: one guest; leaves status and facts. Its console is this script's stderr.
boot()
{
	status=0
	facts=$(env GUEST_VMM=own GUEST_MEMORY=pinned GUEST_MEM=512M GUEST_WORKLOAD=boot GUEST_CONSOLE=1 GUEST_DEADLINE=400 "$@" bash "$guest/guest.sh") ||
		status=$?
}

passed()
{
	[ "$status" = 0 ] || { echo "status $status"; echo "$facts"; return 1; }
}

# fact NAME PATTERN: the whole value matches
fact()
{
	grep -qE "^$1 $2\$" <<< "$facts" || { echo "no '$1 $2' in:"; echo "$facts"; return 1; }
}

boot GUEST_FIRMWARE=4m
check "SEV, pinned: the guest boots" passed
check "SEV, pinned: with our QEMU" fact vmm 'QEMU 7\.2.*memfd-private.*'
check "SEV, pinned: memory is encrypted" fact memory_encryption '.*SEV.*'
check "SEV, pinned: all of the RAM is pinned" fact pinned_ram_pages $((512 * 256))
check "SEV, pinned: no pin is left behind" fact pins_left 0

boot GUEST_FIRMWARE=seabios GUEST_SEV=0
check "plain: the guest boots" passed
check "plain: with our QEMU" fact vmm 'QEMU 7\.2.*memfd-private.*'
check "plain: memory is not encrypted" fact memory_encryption '[^S]*'
check "plain: nothing is pinned" fact pinned_pages 0
check "plain: no pin is left behind" fact pins_left 0
echo "1..$n"
