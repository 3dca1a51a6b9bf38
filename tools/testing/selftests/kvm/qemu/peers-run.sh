#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the emulated host: run a list of selftest programs, one after the other, and say how each
# ended. Called by tools/workbench/peers.sh.
#
#   peers-run.sh SECONDS < LIST       a line of LIST: PROGRAM [ARGUMENT...]
#
# Standard output has two lines a program: "begin PROGRAM", so that a host that dies names its killer,
# and "end PROGRAM RESULT SECONDS". RESULT is PASS, SKIP, FAIL(status), SIGNAL(number) or TIMEOUT,
# with "+warning" after it when the kernel complained meanwhile. Standard error has what they said.
set -uo pipefail

limit=$1
here=$(cd "$(dirname "$0")" && pwd)
signs='WARNING:|BUG:|INFO: task|Call Trace:|kernel tried to execute|general protection'

complaints()
{
	dmesg | grep -cE "$signs"
}

result()
{
	case $1 in
	0) echo PASS ;;
	4) echo SKIP ;;
	124|137) echo TIMEOUT ;;
	129|13?|14?|15?) echo "SIGNAL($(($1 - 128)))" ;;
	*) echo "FAIL($1)" ;;
	esac
}

# Some programs write beside themselves, and the folder is read-only.
cd /tmp || exit
while read -r line <&9; do
	read -r program arguments <<< "$line"
	echo "begin $program"
	echo "=== $line" >&2
	before=$(complaints) start=$SECONDS rc=0
	# shellcheck disable=SC2086 # a list of arguments
	timeout -k 5 "$limit" ${PRELOAD:+env LD_PRELOAD=$here/$PRELOAD} "$here/$program" $arguments >&2 < /dev/null || rc=$?
	end=$(result "$rc")
	[ "$(complaints)" = "$before" ] || end+=+warning
	echo "end $program $end $((SECONDS - start))"
done 9<&0
