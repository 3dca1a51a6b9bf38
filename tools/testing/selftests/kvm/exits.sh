#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the emulated host: one test program, and the exits of its guests: a line "exit ..." for each, in their
# order, besides the test's own output. Left out are exits for interrupts, to wait for one, and to get one: how many of
# these there are depends on when it comes, not on what the guest does.
#
#   exits.sh PROGRAM       in the folder of this script
set -uo pipefail
cd "$(dirname "$0")" || exit

trace=/sys/kernel/tracing/instances/exits
# SVM's INTR, NMI, VINTR, HLT
interrupts='exit_reason != 0x60 && exit_reason != 0x61 && exit_reason != 0x64 && exit_reason != 0x78'

mkdir "$trace" &&
	echo 32768 > "$trace/buffer_size_kb" &&
	echo "$interrupts" > "$trace/events/kvm/kvm_exit/filter" &&
	echo 1 > "$trace/events/kvm/kvm_exit/enable" || exit
rc=0
"./$1" || rc=$?
echo 0 > "$trace/events/kvm/kvm_exit/enable"
if grep -h '^overrun:' "$trace"/per_cpu/cpu*/stats | grep -qv ': 0$'; then
	echo "exits.sh: more exits than the buffer holds" >&2
	rc=1
fi
sed -n 's/.* kvm_exit: /exit /p' "$trace/trace"
rmdir "$trace"
exit "$rc"
