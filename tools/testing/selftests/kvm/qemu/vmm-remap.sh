#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: a guest of our QEMU changes the memory map, by q35's registers that show and
# hide RAM below 1 MiB. Its memory slots go and come while it runs: pages keep their state and their
# content, and a vCPU that finds no slot tries again. TAP on stdout.
set -u

work=/run/vmm-remap
. "$(dirname "$0")/vmm-lib.sh"
set_user_memory_region2=0x40a0ae49
pam0=90 shown=30 hidden=0 smram=9d open=42 closed=2
page=4096

# register NAME VALUE: the guest sets it, and it keeps that
register()
{
	is "bridge $(printf '%08x' 0x"$2")" "$(ask c "$1" "$2")"
}

# address NUMBER: of a page of the 16 that PAM0 shows
address()
{
	printf '%x' $((0xf0000 + $1 * page))
}

# all ANSWER COMMAND FIRST LAST VALUE: the guest's answers for each of the pages, with a value of its own
all()
{
	local i want

	for ((i = $3; i <= $4; i++)); do
		case $2 in
		w) want="wrote $(printf '%08x' 0x"$(address "$i")")" ;;
		r) want="read $(printf '%08x' $((0x$5 + i)))" ;;
		*) want="$1 00000000" ;;
		esac
		is "$want" "$(ask "$2" "$(address "$i")" "$(printf '%x' $((0x$5 + i)))")" || { echo "page $i"; return 1; }
	done
}

# The numbers of the memory's state: what is shared, and where something is.
books()
{
	qmp query-private-memory | grep -oE '"(shared|populated-shared|populated-private)": [0-9]+' | sort | tr '\n' ' '
}

# cover NAME: the pages are hidden and shown, and the guest asks for the contrary of their state meanwhile
cover()
{
	local before

	before=$(books)
	check "$1: the pages are hidden" register $pam0 $hidden
	check "$1: the image is in their place" is "$(ask r ffff0000)" "$(ask r f0000)"
	check "$1: the guest asks for all to be shared, of which there is none" all shared s 0 15 0
	check "$1: and private" all private p 0 15 0
	check "$1: nothing has changed" is "$before" "$(books)"
	check "$1: the pages are shown again" register $pam0 $shown
	check "$1: nothing has changed" is "$before" "$(books)"
}

vmm_prepare
# Without a VGA there would be RAM at 0xa0000 always: nothing else is there that could hide it.
more=(-device "VGA,romfile=")
vmm_start
check "the guest starts" is ready "$(hear)"
check "RAM is shown at 0xf0000" register $pam0 $shown
check "the guest shares the first eight pages" all shared s 0 7 0
check "and writes to all" all wrote w 0 15 5ea0000
check "eight are shared" is "$((8 * page)) $((8 * page))" "$(stat shared) $(stat populated-shared)"
cover "first"
check "each page has its content" all read r 0 15 5ea0000
check "the guest takes four of them back" all private p 0 3 0
check "and shares the last four" all shared s 12 15 0
check "it writes to all" all wrote w 0 15 cafe000
check "eight are shared" is "$((8 * page)) $((8 * page))" "$(stat shared) $(stat populated-shared)"
cover "second"
check "each page has its content" all read r 0 15 cafe000
check "the VM runs" is running "$(vmm_state)"

# The VGA window: what is shown there is one with the memory that has the guest's stack.
check "RAM is shown at 0xa0000" register $smram $open
check "the guest shares a page" is "shared 00000000" "$(ask s a0000)"
check "and writes to it, and to a private one" is "wrote 000a0000 wrote 000a1000" "$(ask w a0000 600d) $(ask w a1000 cafe)"
before=$(books)
check "the window is closed" register $smram $closed
check "the guest takes back what is not there, and shares it" is "private 00000000 shared 00000000" \
	"$(ask p a0000) $(ask s a1000)"
check "and open again" register $smram $open
check "nothing has changed" is "$before" "$(books)"
check "the pages have their content" is "read 0000600d read 0000cafe" "$(ask r a0000) $(ask r a1000)"
check "nothing was a stray access" is "0 0" "$(stat stray-reads) $(stat stray-writes)"

# After a reset all is private, in whichever place it is.
check "the pages at 0xf0000 are hidden" register $pam0 $hidden
qmp system_reset > /dev/null
check "after a reset with shared pages hidden the guest starts" is ready "$(hear)"
check "nothing is shared, and nothing left" is "0 0" "$(stat shared) $(stat populated-shared)"
check "RAM is shown at 0xf0000" register $pam0 $shown
check "what was private has its content, what was shared is empty" is "read 0cafe000 read 00000000" \
	"$(ask r f0000) $(ask r f4000)"
vmm_quit
check "QEMU ends" is 0 "$status"
check "and has said nothing but that the firmware does not report" said 1 ""

# Two vCPUs, of which one changes the map and the other one uses all of it.
: > "$work/serial"
vmm_launch -smp 2 -serial "file:$work/serial" -bios "$here/vmm-remap.bin"
check "two vCPUs: both come to their end" wait_letters AB 2
check "two vCPUs: no word was lost" is 0 "$(letters X)"
check "two vCPUs: the map has changed meanwhile, and not only once" wait_letters T 2
echo "# $(letters T) times 16 changes of the map"
check "two vCPUs: the VM runs" is running "$(vmm_state)"
check "two vCPUs: nothing is shared, and nothing left" is "0 0" "$(stat shared) $(stat populated-shared)"
vmm_quit
check "two vCPUs: QEMU ends" is 0 "$status"
check "two vCPUs: it has said nothing but that the firmware does not report" said 1 ""

# A slot that does not come back (vmm-without.c): the guest reaches for memory that is not there.
more=()
launcher=(env "LD_PRELOAD=$here/vmm-without.so" "VMM_WITHOUT=i:$set_user_memory_region2=0" "VMM_WITHOUT_WHILE=$work/lost")
vmm_start
check "a slot is lost: the guest starts" is ready "$(hear)"
check "a slot is lost: it has a page" is "wrote 01002000 read 0000600d" "$(ask w 1002000 600d) $(ask r 1002000)"
touch "$work/lost"
check "a slot is lost: RAM is shown beside it" register $pam0 $shown
check "a slot is lost: the VM runs" is running "$(vmm_state)"
tell r 1002ffc
check "a slot is lost: the VM stops when the guest reaches there" is internal-error "$(wait_state internal-error)"
check "a slot is lost: the line says where" said 1 \
	'KVM: the guest reached for private memory at 0x1002[0-9a-f]{3} where it has none: the VM is stopped$'
check "a slot is lost: that is all" said 2 ""
check "a slot is lost: it does not go on" is refused "$(qmp cont > /dev/null 2>&1 && echo "goes on" || echo refused)"
vmm_quit
check "a slot is lost: QEMU ends" is 0 "$status"
echo "1..$n"
