#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: our QEMU with a guest that does nothing but ask for conversions, from two vCPUs,
# of whatever a random number says (vmm-hostile.S). It gets what it asks for, as far as it is its own
# memory; the VM goes on, and the books are right. TAP on stdout.
set -u

work=/run/vmm-hostile
size=$((512 << 20)) page=4096
. "$(dirname "$0")/vmm-lib.sh"
. "$guest/guest-pins.sh"

# holds CONDITION: one of arithmetic
holds()
{
	(($1)) || { echo "$1"; return 1; }
}

check_also()
{
	echo "serial: $(cat "$work/serial")"
	echo "$info"
	tail -n 3 "$work/err"
}

# A number of what QEMU last said of its memory. What it said stays for the line of a failure.
info=
look()
{
	info=$(qmp query-private-memory)
}

stat()
{
	sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" <<< "$info"
}

# Wait for as many of a letter from the guest. The bound is for hangs.
wait_letters()
{
	local tries

	for ((tries = 0; tries < 500; tries++)); do
		[ "$(tr -cd "$1" < "$work/serial" | wc -c)" -lt "$2" ] || return 0
		[ "$(vmm_state)" = running ] || return 1
		sleep 1
	done
	return 1
}

# What must hold while the VM does not run.
books()
{
	look
	check "$1: private and shared are all there is" holds "$(stat private) + $(stat shared) == $size"
	check "$1: conversions there and back add up" holds \
		"($(stat pages-to-shared) - $(stat pages-to-private)) * $page == $(stat shared)"
	check "$1: the private half holds no more than what is private" holds \
		"$(stat populated-private) > 0 && $(stat populated-private) <= $(stat private)"
	check "$1: the shared half holds no more than what is shared" holds "$(stat populated-shared) <= $(stat shared)"
}

pins=$(pinned_pages)
vmm_prepare
: > "$work/serial"
memory=memory-backend-memfd-private,id=ram1,size=$size,allow-unreporting=on
vmm_launch -smp 2 -serial "file:$work/serial" -bios "$here/vmm-hostile.bin"

wait_letters AB 2
look
check "both vCPUs came to their end" holds "$(tr -cd A < "$work/serial" | wc -c) == 1 && $(tr -cd B < "$work/serial" | wc -c) == 1"
check "each request was answered" holds "$(tr -cd X < "$work/serial" | wc -c) == 0"
check "the VM runs" is running "$(vmm_state)"
check "many were conversions" holds "$(stat conversions-to-private) > 100 && $(stat conversions-to-shared) > 100"
echo "# $(stat conversions-to-private) conversions to private, $(stat conversions-to-shared) to shared," \
	"$(stat unchanged) requests that changed nothing"
qmp stop > /dev/null
books "after it"

# Reset, and once more: it starts from a state like the first.
qmp system_reset > /dev/null
for ((tries = 0; tries < 100; tries++)); do
	look
	[ "$(stat shared)" != 0 ] || break
	sleep 0.2
done
check "after a reset nothing is shared" holds "$(stat shared) == 0 && $(stat populated-shared) == 0"
qmp cont > /dev/null
wait_letters AB 4
check "the guest came to its end again" holds "$(tr -cd AB < "$work/serial" | wc -c) == 4"
qmp stop > /dev/null
books "after the second time"

vmm_quit
check "QEMU ends" is 0 "$status"
check "and nothing is pinned any more" holds "$(pinned_pages) <= $pins"
echo "1..$n"
