#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the patch side of the workbench, on a fixture of a few files: the traps that make a tree
# silently wrong, the round trips, that no work is ever lost, and what counts as a caught mutant. TAP.
#
#   workbench_test.sh [PATTERN]     only the tests whose name matches
set -euo pipefail

workbench=$(cd "$(dirname "$0")" && pwd)
real_linux=$workbench/../../build/linux
export real_linux
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fixture=$work/fixture
export HOME=$work
. "$workbench/test_fixture.sh"
. "$workbench/test_tree.sh"
. "$workbench/test_series.sh"
. "$workbench/test_fetch.sh"
. "$workbench/test_mutants.sh"
. "$workbench/test_check.sh"
. "$workbench/test_host.sh"

skip()
{
	echo "SKIP: $*"
	exit 77
}

number=0
failed=0

run_test()
{
	local name=${1#test_} rc=0 top=$work

	number=$((number + 1))
	work=$top/$number
	mkdir "$work"
	# A subshell in no condition: there, and only there, does every command's status count.
	set +e
	(
		set -euo pipefail
		cp -a "$fixture" "$work/root"
		use "$work/root"
		cd "$work"
		"$1"
	) > "$work/log" 2>&1
	rc=$?
	set -e
	name=${name//_/ }
	case $rc in
	0) echo "ok $number - $name" ;;
	77) echo "ok $number - $name # SKIP $(sed -n 's/^SKIP: //p' "$work/log")" ;;
	*)
		echo "not ok $number - $name"
		tail -n 15 "$work/log" | sed 's/^/# /'
		failed=$((failed + 1))
		;;
	esac
	rm -rf "$work"
	work=$top
}

make_fixture > "$work/log" 2>&1 || {
	cat "$work/log"
	echo "Bail out! the fixture cannot be made"
	exit 1
}
mapfile -t tests < <(sed -n 's/^\(test_[a-z0-9_]*\)()$/\1/p' \
	"$workbench"/test_{tree,series,fetch,mutants,check,host}.sh | grep -E "${1:-.}")
echo "1..${#tests[@]}"
for name in "${tests[@]}"; do
	run_test "$name"
done
[ "$failed" = 0 ] || {
	echo "# $failed of $number failed"
	exit 1
}
