#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
#
# PID 1 of the guest: say what this guest is, move data through virtio, power off. Facts go to the
# second serial port as "name value" lines, and a line that comes there after the last one lets the guest go; the
# console is for people.
#
# Kernel command line: workload=boot (power off at once), workload=full, or workload=reboot (full, after
# a reboot); blk_md5 and net_md5, the sums that the data on the disk and from the network must have; rng_line, what the random numbers are made of.

export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
exec > /dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo 2>/dev/null

fact()
{
	echo "$1 $2"
}

compare()
{
	if [ "$2" = "$3" ]; then
		fact "$1" ok
	else
		fact "$1" "bad: $2 instead of $3"
	fi
}

fact init "$(cut -d' ' -f1 /proc/uptime)"

off()
{
	fact end "$1"
	sync
	# The host looks at what this guest costs while it is still whole, and answers then: on a slow host that takes
	# long. The bound is for a host that does not know of it.
	# shellcheck disable=SC3045 # busybox has it
	read -r -t 300 _ < /dev/ttyS1
	poweroff -f
}

arg()
{
	sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

fact kernel "$(uname -r)"
fact cpus "$(grep -c ^processor /proc/cpuinfo)"
fact mem_kib "$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)"
fact clocksource "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
fact memory_encryption "$(dmesg | sed -n 's/.*Memory Encryption Features active: *//p')"
[ "$(arg workload)" != boot ] || off ok

mount -t tracefs trace /sys/kernel/tracing 2>/dev/null || {
	mount -t debugfs debug /sys/kernel/debug
	mount -t tracefs trace /sys/kernel/tracing
}
echo 1 > /sys/kernel/tracing/events/swiotlb/swiotlb_bounced/enable
while read -r module; do
	insmod "/lib/modules/$module" || fact error "insmod $module"
done < /lib/modules/order

i=0
while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do
	sleep 0.1
	i=$((i + 1))
done

# The second half of the disk is empty until the guest writes it: a mark there outlives a reboot.
if [ "$(arg workload)" = reboot ] && [ "$(dd if=/dev/vda bs=512 skip=16384 count=1 iflag=direct 2>/dev/null | head -c 4)" != mark ]; then
	{ printf mark; head -c 508 /dev/zero; } > /tmp.mark
	dd if=/tmp.mark of=/dev/vda bs=512 seek=16384 oflag=direct 2>/dev/null
	sync
	fact rebooting 1
	reboot -f
fi

# The disk: the first 8 MiB are the host's, the second 8 MiB are for the guest to write.
sum=$(dd if=/dev/vda bs=1M count=8 iflag=direct 2>/dev/null | md5sum | cut -d' ' -f1)
compare blk_read "$sum" "$(arg blk_md5)"
dd if=/dev/urandom of=/tmp.data bs=1M count=8 2>/dev/null
dd if=/tmp.data of=/dev/vda bs=1M seek=8 oflag=direct 2>/dev/null
sync
written=$(md5sum < /tmp.data | cut -d' ' -f1)
fact blk_written "$written"

# The network: QEMU's user network, with the host's server behind the address of the router.
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
sum=$(wget -q -O - http://10.0.2.2:8080/data | md5sum | cut -d' ' -f1)
compare net_read "$sum" "$(arg net_md5)"

# Random numbers: the host's line, over and over. The kernel takes some too, so a line may be cut.
lines=$(dd if=/dev/hwrng bs=4096 count=1 2>/dev/null | grep -cx "$(arg rng_line)")
if [ "$lines" -ge 64 ]; then
	fact rng_read ok
else
	fact rng_read "bad: $lines of 128 lines are the host's"
fi

# Memory: 64 MiB, eight times the same random data, read back.
for i in 1 2 3 4 5 6 7 8; do
	cat /tmp.data
done > /tmp.fill
verified=ok
for i in 0 1 2 3 4 5 6 7; do
	sum=$(dd if=/tmp.fill bs=1M skip=$((i * 8)) count=8 2>/dev/null | md5sum | cut -d' ' -f1)
	[ "$sum" = "$written" ] || verified="bad: part $i is $sum instead of $written"
done
fact memory_verified "$verified"

fact swiotlb_bounces "$(grep -c swiotlb_bounced /sys/kernel/tracing/trace)"
off ok
