#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Do guests use their memory as they report it? The machine's checker (Documentation/dev/sev-check.rst) looks at a whole
# boot, and what it finds is compared with the list in Documentation/virt/guest-reports.rst.
#
#   guest_reports.sh names ROLE        files with the names of a guest's kernel and of firmware, for check-maps
#   guest_reports.sh table FILE        what a file of check-json says, in lines of the list with numbers of pages
#   guest_reports.sh compare SETUP FILE   print what the file has and the list has not, and the other way round
#   guest_reports.sh stock             boot stock firmware and kernel under a VMM that wants reports, and compare: TAP
#
# SETUP: stock-6.1, own-6.1, own-6.12
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

list=$root/Documentation/virt/guest-reports.rst
platform=$root/tools/testing/selftests/kvm/qemu

names()
{
	local part file files=()

	for part in "$1" edk2; do
		file=$build/names/$part
		# A kernel is its package's; modules keep their names.
		if [ ! -f "$file" ] || { [ -f "$build/$part/vmlinuz" ] && [ "$build/$part/vmlinuz" -nt "$file" ]; }; then
			"$root/tools/workbench/symbols.sh" "$part" "$file" >&2 || return
		fi
		files+=("$file")
	done
	(IFS=:; echo "${files[*]}")
}

# How pages were used, by whom, and how many there are. What they were reported as, or were without a report, is the
# other way.
table()
{
	jq -r 'select(.event == "page") | [if ."c-bit" then "private" else "shared" end, .where // "-"] | join(" ")' "$1" |
		LC_ALL=C sort | uniq -c | awk '{ print $2, $3, $1 }'
}

# Lines of the list are those of its literal blocks that begin with the setup.
listed()
{
	awk -v setup="$1" '$1 == setup { print $2, $3 }' "$list" | LC_ALL=C sort -u
}

compare()
{
	local setup=$1 file=$2 reports

	reports=$(jq -s 'map(select(.event == "end").reports) | add // 0' "$file")
	[ "$reports" -gt 100 ] || echo "the guest made $reports reports"
	diff <(listed "$setup") <(table "$file" | awk '{ print $1, $2 }') |
		sed -n "s/^< /in the list of $setup, but not found: /p; s/^> /found, but not in the list of $setup: /p"
}

# Debian's QEMU does not ask for reports. What is preloaded before it does, and answers.
boot_stock()
{
	local out=$logs/guest-reports/stock deadline=${TIMEOUT:-900} maps rc=0

	mkdir -p "$(dirname "$out")"
	rm -f "$out".{json,text}
	maps=$(names guest-6.1) || return
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$tmp/page-reports.so" "$platform/page-reports.c" || return
	cp -al "$build/guest-6.1" "$tmp/guest" && mv "$tmp/page-reports.so" "$tmp/guest/"
	PSP_ARGS=enc=none,check=c-bit,check-json=$out.json,check-text=$out.text,check-maps=$maps MEM=2G QUIET=1 BOOT_TIMEOUT=400 \
		"$platform/host.sh" --name guest-reports/stock --timeout "$deadline" "$tmp/guest" \
		"export GUEST_FIRMWARE=4m GUEST_MEM=512M GUEST_SMP=2 GUEST_DEADLINE=$((deadline - 50)) GUEST_CONSOLE=1 GUEST_APPEND=nokaslr
		REPORTS_LOG=/run/reports REPORTS_MEM=$((512 << 20)) REPORTS_OFFER=2 LD_PRELOAD=/mnt/page-reports.so bash guest.sh" \
		> "$out.facts" 2> "$out.guest" || rc=$?
	return $rc
}

stock()
{
	tmp=$(mktemp -d "$build/.guest-reports-XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	check "stock firmware and kernel: the guest passes" boot_stock
	check "what it uses otherwise is what the list says" nothing_said compare stock-6.1 "$logs/guest-reports/stock.json"
	echo "1..$n"
}

nothing_said()
{
	local said

	said=$("$@" 2>&1)
	[ -z "$said" ] || { echo "$said"; return 1; }
}

case ${1:-} in
names|table) "$1" "${2:?}" ;;
compare) compare "${2:?}" "${3:?}" ;;
stock) stock ;;
*) die "usage: guest_reports.sh names ROLE | table FILE | compare SETUP FILE | stock" ;;
esac
