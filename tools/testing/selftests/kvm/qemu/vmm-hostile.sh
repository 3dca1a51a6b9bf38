#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: our QEMU with a guest that does nothing but ask for conversions, from two vCPUs,
# of whatever a random number says (vmm-hostile.S). It gets what it asks for, as far as it is its own
# memory; the VM goes on, and the books are right: in sum, and, in a machine with little memory, for
# each page. TAP on stdout.
set -u

work=/run/vmm-hostile
size=$((512 << 20)) dense=$((16 << 20)) page=4096
. "$(dirname "$0")/vmm-lib.sh"
. "$guest/guest-pins.sh"

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

# start IMAGE
start()
{
	: > "$work/serial"
	memory=memory-backend-memfd-private,id=ram1,size=$size,allow-unreporting=on
	vmm_launch -smp 2 -serial "file:$work/serial" -bios "$here/$1.bin"
}

# cells [PATTERN...]: how many pages there are for which all of these hold. A cell of the map is a page.
cells()
{
	local lines pattern

	lines=$(grep -o '{[^{}]*}' <<< "$map")
	for pattern; do
		lines=$(grep -E "$pattern" <<< "$lines")
	done
	grep -c . <<< "$lines"
}

# What must hold for each page, while the VM does not run. Of the private half the kernel tells no more
# than its sum.
books_of_pages()
{
	map=$(qmp query-private-memory-map '{"id": "ram1", "cells": 4096}')
	check "each page: there is a cell for it" is $((size / page)) "$(cells)"
	check "each page: some are private, some shared, and of these most hold something" holds \
		"$(cells '"private": 4096') > 100 && $(cells '"shared": 4096' '"populated-shared": 4096') > 100"
	check "each page: what is private has nothing in the shared half" is 0 \
		"$(cells '"private": 4096' '"populated-shared": [1-9]')"
	check "each page: they are all that the shared half has" is "$(stat populated-shared)" \
		$(($(cells '"populated-shared": 4096') * page))
	echo "# $(cells '"private": 4096') pages are private, $(cells '"populated-shared": 4096') of the shared ones hold something"
}

pins=$(pinned_pages)
vmm_prepare
start vmm-hostile

wait_letters AB 2
look
check "both vCPUs came to their end" holds "$(letters A) == 1 && $(letters B) == 1"
check "each request was answered" holds "$(letters X) == 0"
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
check "the guest came to its end again" holds "$(letters AB) == 4"
qmp stop > /dev/null
books "after the second time"

vmm_quit
check "QEMU ends" is 0 "$status"

# Each processor keeps to a half of the memory, so that what is left in the wrong place is nobody's race.
size=$dense
start vmm-hostile-dense
wait_letters AB 2
check "16 MiB: both vCPUs came to their end" holds "$(letters AB) == 2"
check "16 MiB: each request was answered" holds "$(letters X) == 0"
qmp stop > /dev/null
books "16 MiB"
books_of_pages
vmm_quit
check "16 MiB: QEMU ends" is 0 "$status"
check "and nothing is pinned any more" holds "$(pinned_pages) <= $pins"
echo "1..$n"
