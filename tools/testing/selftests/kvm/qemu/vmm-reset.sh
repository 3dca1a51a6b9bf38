#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: what a guest of our QEMU can change besides its memory's state, and what a
# reset makes of it: the MSR of migration control, memory that was allocated in advance, and the
# hashes that the launch has put there. TAP on stdout.
set -u

work=/run/vmm-reset
. "$(dirname "$0")/vmm-lib.sh"
msr=4b564d08
size=$((64 << 20))

reset()
{
	qmp system_reset > /dev/null
	hear
}

# SEV's own refusal may come first: it is enough that there is one.
migrate_refused()
{
	! qmp migrate '{"uri": "exec:true"}'
}

vmm_prepare
vmm_start
check "the guest starts" is ready "$(hear)"
check "migration control: 0 at first, not ready" is "msr 00000000 00000000" "$(ask g $msr)"
check "the guest says that it may be migrated" is "set $msr" "$(ask t $msr 1)"
check "and reads that back" is "msr 00000000 00000001" "$(ask g $msr)"
check "bits that mean nothing are refused" is "refused $msr" "$(ask t $msr 3)"
check "in the upper half too" is "refused $msr" "$(ask t $msr ffffffff)"
check "they have changed nothing" is "msr 00000000 00000001" "$(ask g $msr)"
check "it is not migrated, all the same" migrate_refused
check "the VM runs" is running "$(vmm_state)"
check "the guest takes it back" is "set $msr" "$(ask t $msr 0)"
check "and reads that back too" is "msr 00000000 00000000" "$(ask g $msr)"
check "it says so once more" is "set $msr" "$(ask t $msr 1)"
check "after a reset it starts" is ready "$(reset)"
check "and is not ready" is "msr 00000000 00000000" "$(ask g $msr)"
vmm_quit
check "QEMU ends" is 0 "$status"
check "and has said nothing but that the firmware does not report" said 1 ""

# On ordinary memory nobody answers: neither KVM nor QEMU has the MSR.
private=$memory
memory="memory-backend-memfd,id=ram1,size=64M"
vmm_start
check "a guest on pinned memory starts" is ready "$(hear)"
check "it has no such MSR to write" is "refused $msr" "$(ask t $msr 1)"
check "nor to read" is "refused $msr" "$(ask g $msr)"
vmm_quit

# A page that is shared is given back. It is allocated again when it is touched, not by a reset.
memory=$private,prealloc=on
vmm_start
check "a guest with prealloc=on starts" is ready "$(hear)"
check "all of its memory is allocated" is $size "$(stat populated-private)"
check "the guest shares three pages" is "shared 00000000 00000000 00000000" \
	"$(ask s 1000000) $(ask s 1001000 | cut -d' ' -f2) $(ask s 1002000 | cut -d' ' -f2)"
check "they are given back" is $((size - 3 * 4096)) "$(stat populated-private)"
check "it takes one back" is "private 00000000" "$(ask p 1000000)"
check "that is not allocated yet" is $((size - 3 * 4096)) "$(stat populated-private)"
check "it is when it is touched" is "read 00000000 $((size - 2 * 4096))" "$(ask r 1000000) $(stat populated-private)"
check "after a reset the guest starts" is ready "$(reset)"
check "nothing is shared" is "0 0" "$(stat shared) $(stat populated-shared)"
check "the two pages are still to be allocated" is $((size - 2 * 4096)) "$(stat populated-private)"
check "the guest can have them" is "read 00000000 read 00000000 $size" \
	"$(ask r 1001000) $(ask r 1002000) $(stat populated-private)"
vmm_quit
check "QEMU ends" is 0 "$status"

# What the guest reads for the first word of a hash of stdin.
hash_word()
{
	sha256sum | sed 's/^\(..\)\(..\)\(..\)\(..\).*/read \4\3\2\1/'
}

# hashes WHEN: the guest has the table of hashes, whose entries are those of SevHashTable in QEMU
hashes()
{
	check "$1: the guest has the table of hashes" is "read 9438d606" "$(ask r 10000)"
	check "$1: the hash of the command line" is "$(printf 'quiet\0' | hash_word)" "$(ask r 10024)"
	check "$1: the hash of the kernel" is "$(hash_word < "$guest/vmlinuz")" "$(ask r 10088)"
	check "$1: nothing is in the shared half" is "0 0" "$(stat shared) $(stat populated-shared)"
}

# They are written where devices would find them, for the launch to encrypt.
memory=$private sev=,kernel-hashes=on more=(-S -kernel "$guest/vmlinuz" -append quiet)
vmm_start
check "kernel-hashes=on: before the guest runs the shared half is empty" is 0 "$(stat populated-shared)"
check "and the private half has the page" holds "$(stat populated-private) >= 4096"
qmp cont > /dev/null
check "the guest starts" is ready "$(hear)"
hashes "at the start"
check "the guest shares a page, and takes it back" is "shared 00000000 private 00000000" "$(ask s 1000000) $(ask p 1000000)"
check "after a reset it starts" is ready "$(reset)"
hashes "after a reset"
vmm_quit
check "QEMU ends" is 0 "$status"
echo "1..$n"
