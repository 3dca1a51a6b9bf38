#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Does the machine's checker of SEV guests (check=c-bit) name each wrong use of a page once, with all that belongs to
# it, and nothing else? The uses are those of sev_check_test; where they are, and which function of the guest it was,
# tells them apart. Without encryption and with it. TAP on stdout.
#
#   sev_check_test.sh [none|xts]
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
tmp=$(mktemp -d "$build/.sev-check-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# page, access, C-bit, what was reported, starts at the reset vector before it, function
sort > "$tmp/want" << 'END'
0x110000 write false nothing 0 guest_use_write
0x120000 read false private 0 guest_use_read
0x120000 write false nothing 0 guest_use_write
0x130000 write true shared 0 guest_use_write
0x140000 execute true shared 0 null
0x150000 execute true shared 0 null
0x160000 page_table true shared 0 guest_use_read
0x180000 write true shared 0 guest_use_write
0x190000 write false nothing 1 guest_use_write
0x1a0000 write true shared 0 guest_use_write
END

# refused OPTIONS MESSAGE: the machine does not start, and says why
refused()
{
	local said

	said=$("$build/qemu-o/qemu-system-x86_64" -machine q35 -accel tcg,thread=single -nodefaults -display none \
		-L "$build/firmware" -device "sev-psp,$1" 2>&1 < /dev/null) && { echo "it started"; return 1; }
	grep -qF "$2" <<< "$said" || { echo "$said"; return 1; }
}

found()
{
	jq -r 'select(.event == "page") | [.gpa, (.access | sub(" "; "_")), ."c-bit", .reported, .boot, .where] |
		map(tostring) | join(" ")' "$tmp/$1.json" | sort
}

is_expected()
{
	found "$1" | diff - "$tmp/want"
}

# The instruction is one of the function's, and the text says the same as the JSON.
is_exact()
{
	local line rip where offset

	while read -r rip where offset; do
		line=$(awk -v name="$where" '$3 == name { print $1 }' "$tmp/map")
		if [ $((rip)) != $((0x$line + offset)) ] || [ $((offset)) != 1 ]; then
			echo "$rip is not $where+$offset"
			return 1
		fi
	done < <(jq -r 'select(.event == "page" and .where != null) | "\(.rip) \(.where) \(.offset)"' "$tmp/$1.json")
	jq -r 'select(.event == "page") | "\(.gpa): \(.access), \(if ."c-bit" then "private" else "shared" end), but reported \(.reported); CPU \(.cpu) at \(.rip)"' \
		"$tmp/$1.json" > "$tmp/said"
	sed -n 's/^sev-check: guest [0-9]* boot [0-9]*: page \(.*\) [^ ]*$/\1/p' "$tmp/$1.text" | diff - "$tmp/said"
}

# Each guest begins and ends, and what it is said to have done in all is what was said of it.
is_complete()
{
	jq -se '(map(select(.event == "guest").guest) | sort) == (map(select(.event == "end").guest) | sort) and
		(map(select(.event == "end").pages) | add) == (map(select(.event == "page")) | length) and
		(map(select(.event == "reset")) | length) == 1' "$tmp/$1.json" > /dev/null || { cat "$tmp/$1.json"; return 1; }
}

check "an unknown check is refused" refused check=d-bit "check=d-bit is not supported"
check "files without a check are refused" refused check-json=/dev/null "need check=c-bit"
check "a file that cannot be written is refused" refused check=c-bit,check-json=/nowhere/x "Could not open '/nowhere/x'"
check "a map that is not there is refused" refused check=c-bit,check-maps=/nowhere/x "check-maps: Failed to open"
printf '0000000000001000 T one\n\nnonsense\n' > "$tmp/bad"
check "a map that is none is refused" refused "check=c-bit,check-maps=$tmp/bad" "$tmp/bad:3: neither a symbol nor a GUID"

nm "$build/selftests/sev_guest_payload.elf" > "$tmp/map"
mkdir -p "$logs/sev-check"
for enc in ${1:-none xts}; do
	rc=0
	PSP_ARGS=enc=$enc,check=c-bit,check-json=$tmp/$enc.json,check-text=$tmp/$enc.text,check-maps=$tmp/map \
		"$host" --name "sev-check/$enc" --timeout 400 "$build/selftests" './sev_check_test' > "$tmp/$enc.tap" 2> "$logs/sev-check/$enc.err" || rc=$?
	cp "$tmp/$enc".{json,text,tap} "$logs/sev-check/" 2> /dev/null
	check "enc=$enc: the guests come to their ends" test "$rc" = 0
	check "enc=$enc: each wrong use is named once, and no other" is_expected "$enc"
	check "enc=$enc: with the instruction, in both files" is_exact "$enc"
	check "enc=$enc: the sums are right" is_complete "$enc"
done
echo "1..$n"
