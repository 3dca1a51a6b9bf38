#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: what gdb and the monitor see of a guest on private memory that shares one page
# (vmm-inspect.S). First with paging off, where an address is a page of memory or not; then with page tables
# that are private. A look tells that memory is private, is no stray access, and allocates nothing. TAP on
# stdout.
set -u

work=/run/vmm-inspect
. "$(dirname "$0")/vmm-lib.sh"
port=1234 shared=200000 private=300000

# The guest has sent letter $1; the bound is for hangs.
wait_letter()
{
	local tries

	for ((tries = 0; tries < 1200; tries++)); do
		grep -q "$1" "$work/serial" && return
		sleep 0.1
	done
	echo "serial: $(cat "$work/serial")"
	return 1
}

hmp()
{
	qmp human-monitor-command "{\"command-line\": \"$1\"}"
}

# monitor COMMAND WANT: what it says matches
monitor()
{
	local said

	said=$(hmp "$1")
	[[ $said =~ $2 ]] || { echo "'$1' says: $said"; return 1; }
}

# Each page of the memory is as it was: one is shared, and nothing else of the shared half is there.
untouched()
{
	local info

	info=$(qmp query-private-memory)
	[[ $info =~ \"stray-reads\":\ 0, && $info =~ \"stray-writes\":\ 0, && $info =~ \"populated-shared\":\ 4096, ]] ||
		{ echo "$info"; return 1; }
}

# Attaching stops the guest.
attach()
{
	exec {gdb}<> "/dev/tcp/127.0.0.1/$port"
}

detach()
{
	gdb_ask D > /dev/null
	exec {gdb}>&-
}

# gdb_ask PACKET: gdb's question and the stub's answer. The plus is for what came before.
gdb_ask()
{
	local packet=$1 sum=0 i char answer

	for ((i = 0; i < ${#packet}; i++)); do
		printf -v char %d "'${packet:i:1}"
		sum=$(((sum + char) & 255))
	done
	printf '+$%s#%02x' "$packet" "$sum" >&"$gdb"
	# That the guest has stopped is said without being asked.
	while
		read -r -t 60 -u "$gdb" -d '$' answer
		read -r -t 60 -u "$gdb" -d '#' answer
		read -r -t 60 -u "$gdb" -N 2 sum
		[[ $answer == T* ]]
	do
		:
	done
	echo "$answer"
}

# answers PACKET WANT
answers()
{
	is "$2" "$(gdb_ask "$1")"
}

vmm_prepare
: > "$work/serial"
memory=${memory/64M/256M}
vmm_launch -gdb "tcp:127.0.0.1:$port" -serial "file:$work/serial" -bios "$here/vmm-inspect.bin"

check "the guest shares a page" wait_letter S
attach
# A debugger that writes to the page is the first to touch it.
check "gdb writes to a shared page" answers "M$shared,2:a55a" OK
check "gdb reads a shared page" answers "m$shared,2" a55a
check "gdb cannot read a private page" answers "m$private,2" E14
check "gdb cannot write to a private page" answers "M$private,1:00" E14
check "gdb cannot read across the border" answers "m200fff,2" E14
check "gdb sets a breakpoint in a shared page" answers "Z0,$shared,1" OK
check "which is there" monitor "xp /2bx 0x$shared" '0xcc 0x5a'
check "and takes it away" answers "z0,$shared,1" OK
check "after which the page is as it was" monitor "xp /2bx 0x$shared" '0xa5 0x5a'
check "gdb cannot set a breakpoint in a private page" answers "Z0,$private,1" E22
check "gdb switches to physical addresses" answers Qqemu.PhyMemMode:1 OK
check "physical: gdb reads a shared page" answers "m$shared,2" a55a
check "physical: gdb cannot read a private page" answers "m$private,2" E14
check "physical: gdb cannot write to a private page" answers "M$private,1:00" E14
check "gdb switches back" answers Qqemu.PhyMemMode:0 OK
check "gva2gpa translates" monitor "gva2gpa 0x$private" 'gpa: 0x300000'
check "x shows a shared page" monitor "x /2bx 0x$shared" '0xa5 0x5a'
check "x does not show a private page" monitor "x /2bx 0x$private" 'Cannot access memory: it is private to the guest'
check "xp does not show a private page" monitor "xp /2bx 0x$private" 'Cannot access memory: it is private to the guest'
check "gpa2hpa knows a shared page" monitor "gpa2hpa 0x$shared" 'Host physical address for 0x200000'
check "gpa2hpa does not look for a private page" monitor "gpa2hpa 0x$private" '0x300000 is private to the guest'
check "calc-dirty-rate is refused" monitor "calc_dirty_rate 1" "calc-dirty-rate: the memory of 'ram1' is private"
check "no look was a stray access, or allocated anything" untouched
detach

hmp "o /b 0x3ff 0x5a" > /dev/null
check "the guest switches paging on" wait_letter P
attach
check "gva2gpa says that the page table is private" monitor "gva2gpa 0x$shared" 'Unmapped: it is private to the guest'
check "x cannot find even a shared page" monitor "x /2bx 0x$shared" 'Cannot access memory: it is private to the guest'
check "xp does" monitor "xp /2bx 0x$shared" '0xa5 0x5a'
check "gdb cannot read it either" answers "m$shared,2" E14
check "gdb cannot set a breakpoint" answers "Z0,$shared,1" E22
check "info tlb is refused" monitor "info tlb" "'ram1' is private"
check "again nothing was a stray access, or allocated anything" untouched
detach
vmm_quit
check "QEMU ends" is 0 "$status"
echo "1..$n"
