#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: our QEMU with a guest that does nothing but ask for conversions, from two vCPUs,
# of whatever a random number says (vmm-hostile.S). It gets what it asks for, as far as it is its own
# memory; the VM goes on, and the books are right. TAP on stdout. The folder above this one holds
# a guest (tools/workbench/guest.sh), this one our QEMU and the guest's firmware.
set -u

here=$(cd "$(dirname "$0")" && pwd)
guest=$(dirname "$here")
work=/run/vmm-hostile
size=$((512 << 20)) page=4096
n=0
. "$guest/guest-qmp.sh"
rm -rf "$work"
mkdir -p "$work"
cp "$here/qemu-system-x86_64" "$here/vmm-hostile.bin" "$work/"

pinned_pages()
{
	echo 1 > /proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { n += $2 } /^nr_foll_pin_released/ { n -= $2 } END { print n }' /proc/vmstat
}

# holds NAME CONDITION: one line of TAP; the condition is one of arithmetic
holds()
{
	n=$((n + 1))
	if (($2)); then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		{ echo "$2"; echo "serial: $(cat "$work/serial")"; echo "$info"; tail -n 3 "$work/err"; } | cut -c1-400 | sed 's/^/# /'
	fi
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

state()
{
	qmp query-status | sed -n 's/.*"status": "\([a-z-]*\)".*/\1/p'
}

# Wait for as many of a letter from the guest. The bound is for hangs.
wait_letters()
{
	local tries

	for ((tries = 0; tries < 500; tries++)); do
		[ "$(tr -cd "$1" < "$work/serial" | wc -c)" -lt "$2" ] || return 0
		[ "$(state)" = running ] || return 1
		sleep 1
	done
	return 1
}

# What must hold while the VM does not run.
books()
{
	look
	holds "$1: private and shared are all there is" "$(stat private) + $(stat shared) == $size"
	holds "$1: conversions there and back add up" \
		"($(stat pages-to-shared) - $(stat pages-to-private)) * $page == $(stat shared)"
	holds "$1: the private half holds no more than what is private" \
		"$(stat populated-private) > 0 && $(stat populated-private) <= $(stat private)"
	holds "$1: the shared half holds no more than what is shared" "$(stat populated-shared) <= $(stat shared)"
}

pins=$(pinned_pages)
: > "$work/serial"
qmp_prepare "$work"
"$work/qemu-system-x86_64" -accel kvm -cpu EPYC -smp 2 -nodefaults -nographic -monitor none \
	-L /usr/share/qemu -L /usr/share/seabios -serial "file:$work/serial" "${qmp_args[@]}" \
	-object sev-guest,id=sev0,cbitpos=47,reduced-phys-bits=1,policy=0x1 \
	-object "memory-backend-memfd-private,id=ram1,size=$size,allow-unreporting=on" \
	-machine q35,memory-backend=ram1,confidential-guest-support=sev0 -bios "$work/vmm-hostile.bin" \
	< /dev/null > "$work/out" 2> "$work/err" &
pid=$!

wait_letters AB 2
look
holds "both vCPUs came to their end" "$(tr -cd A < "$work/serial" | wc -c) == 1 && $(tr -cd B < "$work/serial" | wc -c) == 1"
holds "each request was answered" "$(tr -cd X < "$work/serial" | wc -c) == 0"
holds "the VM runs" "$([ "$(state)" = running ] && echo 1 || echo 0)"
holds "many were conversions" "$(stat conversions-to-private) > 100 && $(stat conversions-to-shared) > 100"
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
holds "after a reset nothing is shared" "$(stat shared) == 0 && $(stat populated-shared) == 0"
qmp cont > /dev/null
wait_letters AB 4
holds "the guest came to its end again" "$(tr -cd AB < "$work/serial" | wc -c) == 4"
qmp stop > /dev/null
books "after the second time"

qmp quit > /dev/null
wait "$pid"
holds "QEMU ends" "$? == 0"
holds "and nothing is pinned any more" "$(pinned_pages) <= $pins"
echo "1..$n"
