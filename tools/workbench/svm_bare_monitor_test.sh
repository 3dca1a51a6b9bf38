#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Does the monitor say what is so? svm_bare_monitor is all the software of a machine with coherency=strict, and stops
# it at known points of an SEV guest's life: there query-sev-platform, info sev-platform and a dump of memory are
# asked. TAP on stdout.
# shellcheck disable=SC2016 # $page and $before are variables of jq
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"
. "$(dirname "$0")/../testing/selftests/kvm/qemu/guest-qmp.sh"

# Where they are (svm_bare_launch.h, svm_bare_monitor.c), in decimal as QMP has it.
page_of_guest=$((0x1800000)) plain=$((0xc00000)) copy=$((0xc01000))

tmp=$(mktemp -d "$build/.svm-bare-monitor-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
qmp_prepare "$tmp"
(
	rc=0
	MACHINE_ARGS=${qmp_args[*]} "$(dirname "$0")/svm_bare_test.sh" monitor > "$tmp/tap" || rc=$?
	# Who waits for an answer now would wait long.
	echo '{"error": "the machine has ended"}' >&"$qmp_out"
	exit "$rc"
) &
machine=$!

# As qmp, of a machine that is still there.
ask()
{
	kill -0 "$machine" 2> /dev/null || { cat "$tmp/tap" >&2; return 1; }
	qmp "$@"
}

# The program has come to its next stop.
stops()
{
	local status

	while status=$(ask query-status); do
		[[ $status != *guest-panicked* ]] || return 0
		sleep 0.1
	done
	echo "$status"
	return 1
}

go_on()
{
	ask cont > "$tmp/answer"
}

# A filter of jq holds for the answer. The last one is "before".
shows()
{
	[ ! -f "$tmp/info" ] || mv "$tmp/info" "$tmp/before"
	ask query-sev-platform > "$tmp/info" || return
	jq -e --slurpfile before "$tmp/before" --argjson page "$page_of_guest" "$1" "$tmp/info" > /dev/null ||
		{ jq -c 'del(.log)' "$tmp/info"; return 1; }
}

# The same answer for people has this text.
says()
{
	ask human-monitor-command '{"command-line": "info sev-platform"}' > "$tmp/said" || return
	grep -qF "$1" "$tmp/said" || { cat "$tmp/said"; return 1; }
}

dump()
{
	ask pmemsave "{\"val\": $1, \"size\": 4096, \"filename\": \"$tmp/$2\"}" > "$tmp/answer"
}

# A dump has the guest's page as a CPU of the host read it, and not as the guest has it.
dump_is_ciphertext()
{
	dump "$page_of_guest" page && dump "$copy" seen && dump "$plain" guest || return
	cmp "$tmp/page" "$tmp/seen" && ! cmp "$tmp/page" "$tmp/guest"
}

echo '{}' > "$tmp/before"
check "a guest has run" stops
check "the guest: handle, ASID, policy, state; its pages, all of them clean" shows '
	.state == "working" and .encryption == "xts" and .strict and (.guests | length) == 1 and
	(.guests[0] | .handle == 1 and .asid == 5 and .policy == 0 and .state == "running") and
	(.guests[0].memory | .pages >= 1 and .pages <= 32 and .dirty == 0 and .["written-back"] >= 1)'
go_on
check "it has written to a page" stops
check "two dirty pages: that one, and its stack" shows '
	.guests[0].memory == ($before[0].guests[0].memory | .dirty = 2) and .violations == 0 and .reports == []'
go_on
check "the host has read that page" stops
check "the report: address, owner, use" shows '
	.violations == 1 and (.guests[0].memory | .violations == 1 and .dirty == 2) and
	(.reports | length) == 1 and (.reports[0] | del(.time)) == {
		number: 0, address: $page, lines: "guest", cpu: 0, asid: 5, handle: 1, use: "host-read", "user-cpu": 0}'
check "the same for people" says "page 0x1800000: lines of the guest, guest 1 (ASID 5), host-read"
check "and the guest's numbers" says "dirty: 2, written back: $(jq '.guests[0].memory["written-back"]' "$tmp/info"), violations: 1"
go_on
check "the caches are flushed" stops
check "nothing is dirty, and one page was written back" shows '
	.guests[0].memory == ($before[0].guests[0].memory | .dirty = 0 | .["written-back"] += 1) and
	.flushes[0].wbinvd == $before[0].flushes[0].wbinvd + 1'
check "a dump of memory has ciphertext" dump_is_ciphertext
check "and is no use without a flush" shows '.violations == 1'
go_on
wait "$machine"
check "the program's own view" test $? = 0
sed -n 's/^\(not ok\|Bail\|#\)/# &/p' "$tmp/tap"
echo "1..$n"
