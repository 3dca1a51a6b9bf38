#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: a private page of our QEMU's guest goes bad, as the kernel's test
# interface for memory errors makes it. The guest gets a machine check when it touches the page,
# if it takes any; QEMU says which page; the host keeps the bad frame, and the guest has a new one
# after a reset. TAP on stdout.
set -u

work=/run/vmm-poison
. "$(dirname "$0")/vmm-lib.sh"
trace=/sys/kernel/tracing/instances/vmm-poison
# The answer: in progress, at the instruction; uncorrected, with an address, action required, a
# read of data; where.
machine_check="mc 00000000 00000007 bd800000 00000134 00000000"

# The frame that the file got last for guest address $1, in hexadecimal: the block begins at
# address 0.
frame_of()
{
	sed -n "s/.*restrictedmem_allocate: .* index $(printf '0x%x' $((0x$1 >> 12))) pfn \(0x[0-9a-f]*\).*/\1/p" "$trace/trace" |
		tail -n 1
}

# Have the host lose the page of guest address $1.
spoil()
{
	local frame

	frame=$(frame_of "$1")
	[ -n "$frame" ] || { echo "no frame was seen for $1"; return 1; }
	printf '0x%x' $((frame << 12)) > /sys/devices/system/memory/hard_offline_page
}

# Memory that the host has lost, in pages.
lost()
{
	awk '/^HardwareCorrupted:/ { print $2 / 4 }' /proc/meminfo
}

# Bit 19 of a frame's flags.
is_bad()
{
	local flags

	flags=$(od -An -t u8 -j $(($1 * 8)) -N 8 /proc/kpageflags)
	is 1 $((flags >> 19 & 1))
}

differ()
{
	echo "'$1' and '$2'"
	[ -n "$1" ] && [ -n "$2" ] && [ "$1" != "$2" ]
}

# write_to ADDRESS: the guest has a page there, with content.
write_to()
{
	is "wrote 0$1" "$(ask w "$1" 600d)" && is "read 0000600d" "$(ask r "$1")"
}

# The guest has a page at ADDRESS, and then it has none.
lose()
{
	write_to "$1" && spoil "$1"
}

injected()
{
	said "$2" "Guest MCE Memory Error at GUEST addr 0x$1 of type BUS_MCEERR_AR injected: private memory was lost"
}

stopped()
{
	is internal-error "$(wait_state internal-error)" &&
		said 1 "KVM: private guest memory at 0x$1 was lost to a memory error, and the guest takes no machine checks: the VM is stopped"
}

reset()
{
	qmp system_reset > /dev/null
	qmp cont > /dev/null
	hear
}

vmm_prepare
mkdir "$trace"
echo 4096 > "$trace/buffer_size_kb"
echo 1 > "$trace/events/restrictedmem/restrictedmem_allocate/enable"
before=$(lost)

# A guest that takes machine checks.
vmm_start
check "the guest starts" is ready "$(hear)"
check "the guest takes machine checks" is "cr4 00000040" "$(ask m 1)"
check "the guest has a page" write_to 1000000
bad=$(frame_of 1000000)
held=$(stat populated-private)
check "the page goes bad" spoil 1000000
check "the private half holds a page less" is $((held - 4096)) "$(stat populated-private)"
check "the guest that reads it gets a machine check with its address" is "$machine_check 01000000" "$(ask r 1000000)"
check "QEMU says so, with the address" injected 1000000 1
check "the guest that writes to it gets one too, and no page of zeroes" is "$machine_check 01000000" "$(ask w 1000000 1)"
check "QEMU says nothing twice, which would be the guest's to repeat" injected 1000000 1
check "the VM runs" is running "$(vmm_state)"
check "the guest's other pages are there" write_to 1001000
check "the shared half stays empty" is 0 "$(stat populated-shared)"

# A guest may give the page up, as any other.
check "a second page goes bad" lose 2000000
check "the guest touches it" is "$machine_check 02000000" "$(ask r 2000000)"
check "the guest shares it" is "shared 00000000" "$(ask s 2000000)"
check "and takes it back" is "private 00000000" "$(ask p 2000000)"
check "it is a new one, and empty" is "read 00000000" "$(ask r 2000000)"
check "the guest can use it" write_to 2000000

check "after a reset the guest starts" is ready "$(reset)"
check "the page is there again, and empty" is "read 00000000" "$(ask r 1000000)"
check "and can be used" write_to 1000000
check "it is another frame" differ "$bad" "$(frame_of 1000000)"
check "the other pages kept what they had" is "read 0000600d" "$(ask r 1001000)"
check "so did the one that the guest had replaced itself" is "read 0000600d" "$(ask r 2000000)"
check "the bad frame is marked" is_bad "$bad"
check "the host has lost two pages" is $((before + 2)) "$(lost)"

# The stack is where the processor has to write to before it can tell the guest.
check "the guest takes machine checks again" is "cr4 00000040" "$(ask m 1)"
check "the page of its stack goes bad" spoil 7000
tell ""
check "the guest is reset: it cannot take this machine check" is ready "$(hear)"
check "QEMU says which page it was" injected 7000 1
# The bank holds the one that the guest could not take: a reset leaves banks alone, and this one overflows.
check "a later machine check is taken as the first one was" is "${machine_check/bd80/fd80} 01002000" \
	"$(ask m 1 > /dev/null; lose 1002000; ask r 1002000)"
ask m 0 > /dev/null

# A processor that does not take machine checks (CR4.MCE) shuts down, and the machine resets.
check "a page goes bad, of a guest that does not take machine checks" lose 3000000
tell r 3000000
check "the guest is reset when it reads the page" is ready "$(hear)"
check "QEMU says which page it was" injected 3000000 1
check "the VM runs, and the page is a new one" is "read 00000000" "$(ask r 3000000)"

# The register that enables the bank's reports: QEMU raises nothing then.
check "the guest takes machine checks, but none of guest memory" is "set 00000424" "$(ask m 1 > /dev/null; ask t 424 0)"
check "a page of it goes bad" lose 3001000
tell r 3001000
check "the VM stops when the guest reads it, and QEMU says why" stopped 3001000
check "after a reset it runs, with a new page" is "ready, read 00000000" "$(reset), $(ask r 3001000)"
vmm_quit
check "QEMU ends" is 0 "$status"

# A processor without machine checks.
cpu=$cpu,mce=off
vmm_start
check "a guest without machine checks starts" is ready "$(hear)"
check "a page of it goes bad" lose 1000000
tell r 1000000
check "the VM stops when the guest reads it, and QEMU says why" stopped 1000000
check "after a reset it runs, with a new page" is "ready, read 00000000" "$(reset), $(ask r 1000000)"
vmm_quit
check "QEMU ends" is 0 "$status"

check "the host has lost seven pages, and keeps them" is $((before + 7)) "$(lost)"
check "the first one is still marked" is_bad "$bad"
check "no file of private memory is left" is 0 "$(find /proc/[0-9]*/fd -lname '*restrictedmem*' 2>/dev/null | wc -l)"
rmdir "$trace"
echo "1..$n"
