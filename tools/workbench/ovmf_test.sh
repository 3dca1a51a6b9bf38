#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of our OVMF as a VMM sees it: what its image declares, and what it reports in a boot, to a
# stand-in for a VMM that wants reports (page-reports.c, preloaded before Debian's QEMU). The guests are
# stock, their memory is pinned, and not encrypted: the stand-in reads their page tables. TAP on stdout.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

platform=$root/tools/testing/selftests/kvm/qemu
mem_mib=512
mkdir -p "$logs/ovmf-test"
tmp=$(mktemp -d "$build/.ovmf-test-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# The bytes [$2, $3) before the end of file $1, in hexadecimal.
bytes_before_end()
{
	tail -c "$2" "$1" | head -c $(($2 - $3)) | od -An -v -t x1 | tr -d ' \n'
}

# A little-endian number of 2 or 4 bytes in hexadecimal.
number()
{
	local hex=$1 value=0 i

	for ((i = ${#hex} - 2; i >= 0; i -= 2)); do
		value=$((value * 256 + 0x${hex:i:2}))
	done
	echo "$value"
}

# The data of an entry of the image's GUIDed table, which is read from its end: 32 bytes before that of the
# image is the table's own entry, and each ends with its length and GUID.
table_entry()
{
	local image=$1 guid=$2 at=32 length end

	[ "$(bytes_before_end "$image" $((at + 16)) "$at")" = de82b596b21ff745baeaa366c55a082d ] ||
		{ echo "no table"; return 1; }
	end=$((at + $(number "$(bytes_before_end "$image" $((at + 18)) $((at + 16)))")))
	at=$((at + 18))
	while [ "$at" -lt "$end" ]; do
		length=$(number "$(bytes_before_end "$image" $((at + 18)) $((at + 16)))")
		[ "$length" -ge 18 ] || { echo "an entry of $length bytes"; return 1; }
		if [ "$(bytes_before_end "$image" $((at + 16)) "$at")" = "$guid" ]; then
			bytes_before_end "$image" $((at + length)) $((at + 18))
			return
		fi
		at=$((at + length))
	done
	echo "none"
}

entry_is()
{
	local got

	got=$(table_entry "$1" "$2")
	[ "$got" = "$3" ] || { echo "got '$got', want '$3'"; return 1; }
}

# boot NAME VAR=VALUE...: one guest in a host of its own; leaves facts, reports, console and status
boot()
{
	local name=$1 variables

	shift
	printf -v variables '%q ' "$@"
	status=0
	PSP_ARGS=enc=none MEM=2G QUIET=1 TIMEOUT=900 "$platform/host.sh" --name "ovmf-test/$name" "$tmp/guest" \
		"export GUEST_FIRMWARE=own GUEST_MEM=${mem_mib}M GUEST_DEADLINE=600 GUEST_CONSOLE=1
		export REPORTS_LOG=/run/reports REPORTS_MEM=$((mem_mib << 20)) $variables
		LD_PRELOAD=/mnt/page-reports.so bash guest.sh; rc=\$?; sed 's/^/pagereport /' /run/reports; exit \$rc" \
		> "$tmp/out" 2> "$logs/ovmf-test/$name.guest" || status=$?
	cp "$tmp/out" "$logs/ovmf-test/$name.out"
	sed -n 's/^pagereport //p' "$tmp/out" > "$tmp/reports"
	grep -v '^pagereport ' "$tmp/out" > "$tmp/facts"
}

passed()
{
	[ "$status" = 0 ] || { echo "status $status"; cat "$tmp/facts"; return 1; }
}

says()
{
	grep -qE "$1" "$2" || { echo "no '$1' in:"; cat "$2"; return 1; }
}

says_not()
{
	! grep -E "$1" "$2"
}

# At least so many reports in each direction.
reports_both_ways()
{
	awk -v want="$1" '$1 == "report" { n[$4]++ } END { print n[0] + 0, n[1] + 0; exit !(n[0] >= want && n[1] >= want) }' "$tmp/reports"
}

# Each report changes all of its pages (the stand-in sees to it), so that a sum tells what is left.
nothing_left_shared()
{
	awk '$1 == "report" { left += $4 ? -$3 : $3 } END { print left + 0, "pages"; exit left != 0 }' "$tmp/reports"
}

gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$tmp/page-reports.so" "$platform/page-reports.c" ||
	die "the stand-in does not compile"
cp -al "$build/guest-6.1" "$tmp/guest" && mv "$tmp/page-reports.so" "$tmp/guest/"

guid=e4dcf5578dd0a047991733c1231f2982
check "image: declares version 1, all changes of RAM" \
	entry_is "$build/guest-6.1/OVMF_CODE_own.fd" "$guid" 0100000001000000
check "image: keeps the entry of the kernel's hashes" \
	test "$(table_entry "$build/guest-6.1/OVMF_CODE_own.fd" 1f3755723b3a044b927b1da6efa8d454 | wc -c)" = 16
check "image: Debian's does not declare anything" entry_is "$build/guest-6.1/OVMF_CODE.fd" "$guid" none

boot offered GUEST_SMP=2 GUEST_WORKLOAD=full
check "offered: the guest boots and moves data" passed
check "offered: it is an SEV guest" says '^memory_encryption .*SEV' "$tmp/facts"
check "offered: hundreds of reports each way" reports_both_ways 200
check "offered: each is well formed, and the page tables hold no change that was not reported" says_not '^bad' "$tmp/reports"
check "offered: nothing is left shared when the kernel takes over" nothing_left_shared
awk '$1 == "report" { n++; pages += $3; if ($3 > max) max = $3; one += $3 == 1 }
	END { printf "# %d reports, %d pages, %d reports of one page, the largest of %d\n", n, pages, one, max }' "$tmp/reports"

boot not-offered GUEST_SMP=1 GUEST_WORKLOAD=boot REPORTS_OFFER=0
check "not offered: an SEV guest boots" passed
check "not offered: it is an SEV guest" says '^memory_encryption .*SEV' "$tmp/facts"
check "not offered: no report" says_not . "$tmp/reports"

boot no-sev GUEST_SMP=1 GUEST_WORKLOAD=boot GUEST_SEV=0
check "without SEV: a guest boots" passed
check "without SEV: no report" says_not . "$tmp/reports"

boot refused GUEST_SMP=1 GUEST_WORKLOAD=boot REPORTS_REFUSE=1
check "refused: the guest does not get to its kernel" says '^error the guest did not get to its end' "$tmp/facts"
check "refused: there was one report" test "$(grep -c '^refused' "$tmp/reports")" = 1
check "refused: and nothing after it" says_not '^after' "$tmp/reports"
check "refused: it was watched for a while" says '^end$' "$tmp/reports"

echo "1..$n"
