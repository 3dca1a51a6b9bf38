#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the emulated host: one test program, and the exits of its guests: a line "exit ..." for each, besides the
# test's own output; those of the first vCPUs in their order, then those of the second ones: which of two vCPUs is first
# is the scheduler's. Left out are exits for interrupts, to wait for one, to get one, and for a loop that waits for
# another vCPU: how many of these there are depends on when it comes, not on what the guest does. So does what an
# exit tells of the interrupt that was delivered when the guest was entered: another exit may have come between.
#
#   exits.sh PROGRAM       in the folder of this script
set -uo pipefail
cd "$(dirname "$0")" || exit

trace=/sys/kernel/tracing/instances/exits
# SVM's INTR, NMI, VINTR, PAUSE, HLT
events='exit_reason != 0x60 && exit_reason != 0x61 && exit_reason != 0x64 && exit_reason != 0x77 && exit_reason != 0x78'

mkdir "$trace" &&
	echo 32768 > "$trace/buffer_size_kb" &&
	echo "$events" > "$trace/events/kvm/kvm_exit/filter" &&
	echo 1 > "$trace/events/kvm/kvm_exit/enable" || exit
rc=0
"./$1" || rc=$?
echo 0 > "$trace/events/kvm/kvm_exit/enable"
if grep -h '^overrun:' "$trace"/per_cpu/cpu*/stats | grep -qv ': 0$'; then
	echo "exits.sh: more exits than the buffer holds" >&2
	rc=1
fi
sed -n 's/.* kvm_exit: \(.*\) intr_info .*/exit \1/p' "$trace/trace" | sort -s -n -k 3,3
rmdir "$trace"
exit "$rc"
