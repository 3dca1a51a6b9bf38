#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: an SEV guest on private memory that comes to a limit of its VMM, and one whose VMM is
# killed. TAP on stdout. The folder above this one holds a guest (tools/workbench/guest.sh), this one our QEMU.
# shellcheck disable=SC2054 # commas are part of QEMU's options
set -u

here=$(cd "$(dirname "$0")" && pwd)
guest=$(dirname "$here")
work=/run/vmm-limits
group=/sys/fs/cgroup/vmm
user=1000
. "$guest/guest-qmp.sh"
. "$guest/guest-pins.sh"
# shellcheck source=../../../../workbench/tap.sh
. "$here/tap.sh"

# known STATUS: what is known, when it is no success
known()
{
	[ "$1" != 0 ] || return 0
	{ echo "$seen"; sed 's/^/stderr: /' "$work/err"; tail -n 3 "$work/console" | tr -d '\r'; } | cut -c1-160
	return 1
}

# start MEM COMMAND...: QEMU, behind a command that takes a command; leaves pid. more: of the backend
more=
start()
{
	local mem=$1 virtio=disable-legacy=on,iommu_platform=on

	shift
	rm -rf "$work/run"
	mkdir "$work/run"
	cp "$guest/OVMF_VARS_own.fd" "$work/run/vars"
	: > "$work/console"
	chown -R "$user" "$work"
	qmp_prepare "$work/run"
	chown "$user" "$work"/run/qmp.*
	"$@" "$work/qemu-system-x86_64" -enable-kvm -cpu EPYC,check=off -nodefaults -nographic -no-reboot -monitor none \
		-L /usr/share/qemu -L /usr/share/seabios -serial "file:$work/console" "${qmp_args[@]}" \
		-object "memory-backend-memfd-private,id=ram1,size=$mem$more" \
		-object sev-guest,id=sev0,cbitpos=47,reduced-phys-bits=1,policy=0x1 \
		-machine q35,memory-backend=ram1,confidential-guest-support=sev0 \
		-drive "if=pflash,format=raw,unit=0,readonly=on,file=$guest/OVMF_CODE_own.fd" \
		-drive "if=pflash,format=raw,unit=1,file=$work/run/vars" \
		-kernel "$guest/vmlinuz" -initrd "$guest/initrd" -append "console=ttyS0,115200 panic=-1 workload=boot" \
		-device "virtio-rng-pci,$virtio" -serial null < /dev/null > "$work/out" 2> "$work/err" &
	pid=$!
}

# Wait until the guest does not run any more; leaves state: what QEMU calls it. The bound is for hangs.
wait_stopped()
{
	local tries

	state=
	for ((tries = 0; tries < 2400; tries++)); do
		state=$(qmp query-status 2>&1 | sed -n 's/.*"status": "\([a-z-]*\)".*/\1/p')
		[ "$state" = running ] || return
		sleep 0.5
	done
}

# The private pages that are there, in MiB.
private_mib()
{
	qmp query-private-memory | sed -n 's/.*"populated-private": \([0-9]*\).*/\1/p' | awk '{ print int($1 / 1048576) }'
}

quit()
{
	qmp quit > /dev/null
	status=0
	wait "$pid" || status=$?
}

# Let the guest run until it stops at a limit; $1: what QEMU must say, in one line, and why it stopped.
stopped_by()
{
	wait_stopped
	held=$(private_mib)
	quit
	seen="state $state, $held MiB private, status $status"
	[ "$state" = internal-error ] && [ "$status" = 0 ] && [ "$(grep -cE "$1" "$work/err")" = 1 ] && [ "$(wc -l < "$work/err")" = 1 ]
}

# QEMU ends by itself; $1: what it must say, in one line. The bound is for hangs.
refused_by()
{
	local tries

	for ((tries = 0; tries < 600; tries++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.2
	done
	status=0
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" || status=$?
	seen="status $status"
	[ "$status" = 1 ] && [ "$(grep -cE "$1" "$work/err")" = 1 ] && [ "$(wc -l < "$work/err")" = 1 ]
}

# As a user without a capability, who may lock 64 MiB.
limited()
{
	exec prlimit --memlock=$((64 << 20)) setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps -all --bounding-set -all "$@"
}

in_group()
{
	echo $BASHPID > "$group/cgroup.procs"
	exec "$@"
}

dying_groups()
{
	awk '$1 == "nr_dying_descendants" { print $2 }' /sys/fs/cgroup/cgroup.stat
}

# What QEMU has written to files is charged to the group as long as the files are there.
take_files_over()
{
	local file

	for file in console out err; do
		cat "$work/$file" > "$work/copy"
		mv -f "$work/copy" "$work/$file"
	done
	rm -rf "$work/run"
}

# The group is removed, and goes for good when the last page that is charged to it does. A new one comes.
nothing_charged()
{
	local tries dying

	take_files_over
	seen+=", charged $(cat "$group/memory.current")"
	rmdir "$group" || return 1
	for ((tries = 0; tries < 100; tries++)); do
		# What was read of the disk stays in memory until it is told to go.
		echo 1 > /proc/sys/vm/drop_caches
		dying=$(dying_groups)
		[ "$dying" != 0 ] || break
		sleep 0.1
	done
	mkdir "$group"
	seen+=", groups that cannot go: $dying"
	[ "$dying" = 0 ]
}

# Of a VMM that is gone: 0 of what is counted one by one, and then of all that is charged.
nothing_left()
{
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		seen="pins $(pinned_pages)"
		seen+=" asids $(awk '$1 == "sev" { print $2 }' "$group/misc.current")"
		seen+=" pages $(awk '$1 == "unevictable" { print $2 }' "$group/memory.stat")"
		seen+=" files $(find /proc/[0-9]*/fd -lname '*restrictedmem*' 2>/dev/null | wc -l)"
		if [ "$seen" = "pins 0 asids 0 pages 0 files 0" ]; then
			nothing_charged
			return
		fi
		sleep 0.1
	done
	return 1
}

rm -rf "$work"
mkdir -p "$work"
cp "$here/qemu-system-x86_64" "$work/"
chmod 666 /dev/kvm /dev/sev
echo "+memory +misc" > /sys/fs/cgroup/cgroup.subtree_control
mkdir -p "$group"

# The limit counts 64 MiB, whatever the guest's size: it starts, and stops at the page that crosses the limit.
start 1G limited
stopped_by 'would exceed RLIMIT_MEMLOCK .65536 KiB.'
check "RLIMIT_MEMLOCK: a guest of 1 GiB starts, and stops at 64 MiB with one line that says why" known $?
first=$held
[ "$first" -ge 48 ] && [ "$first" -le 64 ]
check "RLIMIT_MEMLOCK: it had used the limit up" known $?
start 1G limited
stopped_by 'would exceed RLIMIT_MEMLOCK .65536 KiB.' && [ "$held" = "$first" ]
check "RLIMIT_MEMLOCK: what the first one had locked is free again" known $?
more=,prealloc=on
start 1G limited
refused_by 'prealloc: 1073741824 bytes of private memory cannot be allocated .RLIMIT_MEMLOCK.'
check "RLIMIT_MEMLOCK: with prealloc=on it does not start, and says why in one line" known $?

echo 160M > "$group/memory.max"
start 1G in_group
refused_by 'prealloc: 1073741824 bytes of private memory cannot be allocated: Cannot allocate memory'
check "memory cgroup: nor does it there" known $?
more=
start 1G in_group
stopped_by 'no memory for the guest.s private page'
check "memory cgroup: a guest of 1 GiB starts, and stops at the limit with one line that says why" known $?
seen=$(tr '\n' ' ' < "$group/memory.events")
grep -qx 'oom_kill 0' "$group/memory.events"
check "memory cgroup: nothing was killed" known $?
nothing_left
check "memory cgroup: nothing is left behind" known $?

# Wait until a guest that runs has $1 MiB of private pages; the bound is for hangs.
grown_to()
{
	local tries

	for ((tries = 0; tries < 1200; tries++)); do
		held=$(private_mib)
		[ "${held:-0}" -lt "$1" ] || return 0
		sleep 0.2
	done
	return 1
}

# What a VMM holds while it lives: without it, that nothing is left would say nothing.
holds_something()
{
	[ "$(awk '$1 == "sev" { print $2 }' "$group/misc.current")" = 1 ] &&
		[ "$(awk '$1 == "unevictable" { print $2 }' "$group/memory.stat")" -gt 0 ]
}

# At moments of the firmware and of the kernel's start: each has touched so much.
for ((i = 1; i <= 3; i++)); do
	moment=$((RANDOM % 50 + 4))
	start 1G in_group
	grown_to "$moment" && holds_something
	alive=$?
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	nothing_left && [ "$alive" = 0 ]
	check "kill -9 of a guest in its boot: no pin, ASID, page, file or charge is left behind" known $?
	echo "# killed with $held MiB of private pages, $moment were waited for"
done
echo "1..$n"
