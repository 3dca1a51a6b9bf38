#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Convert guest memory between private and shared N times, in the debug host: KASAN, lockdep and
# kmemleak watch. Each combination of disturbances has a host of its own and an equal share of N, so
# that one that fails does not end the others. Prints TAP; a log of each is in build/logs/stress.
#
#   stress.sh            N= SEED= (see make help)
#   stress.sh short      a few thousand conversions, all combinations in one host
#   stress.sh --check    only look at the variables
set -euo pipefail
. "$(dirname "$0")/lib.sh"

count=${N:-1000000} seed=${SEED:-$(od -An -t u4 -N 4 /dev/urandom | tr -d ' ')}
[[ $count =~ ^[1-9][0-9]*$ ]] || die "N=$count: not a positive number"
[[ $seed =~ ^(0x[0-9a-fA-F]+|[1-9][0-9]*)$ ]] || die "SEED=$seed: not a positive number"
case ${1:-} in
''|short) ;;
--check) exit 0 ;;
*) die "$1: short, --check or nothing" ;;
esac
host=$root/tools/testing/selftests/kvm/qemu/host.sh
dir=$logs/stress
export KERNEL=${KERNEL:-$build/linux-dbg-o/arch/x86/boot/bzImage} MEM=${MEM:-6G} SMP=${SMP:-2} ICOUNT=0
# At the limit of a memory cgroup only private pages shall fail: what the kernel allocates for itself
# would call the OOM killer, whose report is a warning in the log.
export HOST_ARGS="cgroup.memory=nokmem ${HOST_ARGS:-}"

if [ "${1:-}" = short ]; then
	exec "$host" --name private-stress --timeout "${TIMEOUT:-850}" "$build/selftests" ./private_mem_stress_test
fi
rm -rf "$dir.old"
[ ! -d "$dir" ] || mv "$dir" "$dir.old"
mkdir -p "$dir"

# The test knows its combinations.
mapfile -t names < <("$build/selftests/private_mem_stress_test" -h | sed -n 's/^combinations: //p' | tr ' ' '\n')
[ ${#names[@]} -gt 0 ] || die "private_mem_stress_test names no combinations"
share=$(((count + ${#names[@]} - 1) / ${#names[@]}))
# The hang of a test is the test's business; this is for that of a host: a conversion takes milliseconds.
deadline=$((600 + share / 10))

passed=0 failed=0 done=0
echo "1..${#names[@]}"
say STRESS "$share conversions in each of ${#names[@]} combinations, SEED=$seed"
for name in "${names[@]}"; do
	log=$dir/$name.log rc=0 start=$SECONDS
	"$host" --name "stress/$name" --timeout "$deadline" "$build/selftests" \
		"./private_mem_stress_test -o $name -c $share -s $seed" > "$log" 2> "$log.err" || rc=$?
	made=$(sed -n 's/^# \([0-9]*\) conversions .*/\1/p' "$log" | tail -n 1)
	done=$((done + ${made:-0}))
	if [ "$rc" = 0 ] && [ "${made:-0}" -ge "$share" ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) - $name ($made conversions, $((SECONDS - start)) s)"
	else
		failed=$((failed + 1))
		{ grep -aE '^(# .*:|    \|)|FAIL' "$log" "$log.err" -h || true; } | tail -n 12 | cut -c1-180 | sed 's/^/#   /'
		echo "not ok $((passed + failed)) - $name: status $rc, ${made:-no} conversions (log: $log)"
	fi
done
echo "# $done conversions"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
