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
n=0
. "$guest/guest-qmp.sh"

# report STATUS NAME: one line of TAP; when it is no success, what is known follows
report()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		{ echo "$seen"; sed 's/^/stderr: /' "$work/err"; tail -n 3 "$work/console" | tr -d '\r'; } | cut -c1-160 | sed 's/^/# /'
	fi
}

# start MEM COMMAND...: QEMU, behind a command that takes a command; leaves pid
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
		-object "memory-backend-memfd-private,id=ram1,size=$mem" \
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

# Exactly 0 of what is counted one by one, and little of what is counted for other things too.
left_behind()
{
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		echo 1 > /proc/sys/vm/stat_refresh
		seen="pins $(awk '/^nr_foll_pin_acquired/ { n += $2 } /^nr_foll_pin_released/ { n -= $2 } END { print n }' /proc/vmstat)"
		seen+=" asids $(awk '$1 == "sev" { print $2 }' "$group/misc.current")"
		seen+=" pages $(awk '$1 == "unevictable" { print $2 }' "$group/memory.stat")"
		seen+=" files $(find /proc/[0-9]*/fd -lname '*restrictedmem*' 2>/dev/null | wc -l)"
		charge=$(cat "$group/memory.current")
		if [ "$seen" = "pins 0 asids 0 pages 0 files 0" ] && [ "$charge" -lt $((16 << 20)) ]; then
			return 0
		fi
		sleep 0.1
	done
	seen+=" charge $charge"
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
report $? "RLIMIT_MEMLOCK: a guest of 1 GiB starts, and stops at 64 MiB with one line that says why"
first=$held
[ "$first" -ge 48 ] && [ "$first" -le 64 ]
report $? "RLIMIT_MEMLOCK: it had used the limit up"
start 1G limited
stopped_by 'would exceed RLIMIT_MEMLOCK .65536 KiB.' && [ "$held" = "$first" ]
report $? "RLIMIT_MEMLOCK: what the first one had locked is free again"

echo 160M > "$group/memory.max"
start 1G in_group
stopped_by 'no memory for the guest.s private page'
report $? "memory cgroup: a guest of 1 GiB starts, and stops at the limit with one line that says why"
seen=$(tr '\n' ' ' < "$group/memory.events")
grep -qx 'oom_kill 0' "$group/memory.events"
report $? "memory cgroup: nothing was killed"
left_behind
report $? "memory cgroup: nothing is left behind"
echo max > "$group/memory.max"

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
	left_behind && [ "$alive" = 0 ]
	report $? "kill -9 of a guest in its boot: no pin, ASID, page, file or charge is left behind"
	echo "# killed with $held MiB of private pages, $moment were waited for"
done
echo "1..$n"
