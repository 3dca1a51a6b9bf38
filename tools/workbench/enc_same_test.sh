#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Encryption is nobody's business but the machine's: with enc=xts and with enc=none the same guests do the same. The
# tiny guest's programs run in two hosts, in the deterministic mode and on one processor, and what they said and each
# exit that they made, with its instruction and its details, must be the same. TAP on stdout.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
out=$logs/enc-same
mkdir -p "$out"

# run ENC PROGRAM
run()
{
	PSP_ARGS=enc=$1 ICOUNT=1 SMP=1 QUIET=1 "$host" --name "enc-same/$1-$2" --timeout 400 "$build/selftests" "./exits.sh $2" \
		> "$out/$1-$2.out" 2> "$out/$1-$2.err"
}

lines()
{
	tr -d '\r' < "$out/$1-$2.out" | grep "$3"
}

same()
{
	diff <(lines none "$1" "$2") <(lines xts "$1" "$2") > "$out/$1.diff" || { head -n 20 "$out/$1.diff"; return 1; }
}

many_exits()
{
	[ "$(lines xts "$1" '^exit ' | wc -l)" -ge "$2" ]
}

for program in "$@"; do
	check "$program passes without encryption" run none "$program"
	check "$program passes with it" run xts "$program"
	check "$program says the same" same "$program" '^\(ok\|not ok\|# \)'
	check "$program makes some hundred exits" many_exits "$program" 200
	check "$program makes the same exits" same "$program" '^exit '
done
echo "1..$n"
[ $n -gt 0 ]
