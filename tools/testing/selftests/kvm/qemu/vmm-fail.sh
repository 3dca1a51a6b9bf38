#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: conversions, and the guest's runs, that fail, because KVM or a file refuses what
# our QEMU asks for (vmm-without.c). The VM stops with the reason, and a reset makes all of it good: the guest starts
# at its first instruction, and no page has content in two places. TAP on stdout.
set -u

work=/run/vmm-fail
. "$(dirname "$0")/vmm-lib.sh"
set_memory_attributes=0x4020aed2 run=0xae80 punch_hole=3
ENOMEM=12 EPERM=1
trigger=$work/fail
page=1000000 range="from 0x1000000 to 0x1001000"

# cont, and what it says
resume()
{
	qmp cont > /dev/null 2>&1 && echo "goes on" || echo refused
}

# fails COMMAND WHAT LINE LINES: the guest's COMMAND stops the VM, with the line; QEMU has then said so
# many of them
fails()
{
	touch "$trigger"
	tell "$1" $page
	check "$2 stops the VM" is internal-error "$(wait_state internal-error)"
	check "$2: the reason is said" said 1 "$3: the VM is stopped\$"
	check "$2: and nothing else" said "$4" ""
	check "$2: it does not go on without a reset" is refused "$(resume)"
	rm "$trigger"
	qmp system_reset > /dev/null
	qmp cont > /dev/null
	check "$2: after a reset the guest starts" is ready "$(hear)"
	check "$2: nothing is shared, and nothing left" is "0 0" "$(stat shared) $(stat populated-shared)"
}

# a_run RULE NAME HOW-IT-ENDS
a_run()
{
	launcher=(env "LD_PRELOAD=$here/vmm-without.so" "VMM_WITHOUT=$1" "VMM_WITHOUT_WHILE=$trigger")
	vmm_start
	check "$2: the guest starts" is ready "$(hear)"
	fails r "$2" "$3" 2
	vmm_quit
	check "$2: QEMU ends" is 0 "$status"
}

# a_guest RULE NAME HOW-SHARING-ENDS HOW-TAKING-BACK-ENDS
a_guest()
{
	launcher=(env "LD_PRELOAD=$here/vmm-without.so" "VMM_WITHOUT=$1" "VMM_WITHOUT_WHILE=$trigger")
	vmm_start
	check "$2: the guest starts" is ready "$(hear)"
	check "$2: it writes to a page" is "wrote 01000000" "$(ask w $page 600d)"
	fails s "$2, to share it" "$3" 2
	check "$2: the guest has what it wrote" is "read 0000600d" "$(ask r $page)"

	check "$2: it shares the page" is "shared 00000000" "$(ask s $page)"
	check "$2: and writes to it" is "wrote 01000000" "$(ask w $page 5ea)"
	check "$2: which is in the shared half" is "4096 4096" "$(stat shared) $(stat populated-shared)"
	fails p "$2, to take it back" "$4" 3
	check "$2: the page is private and empty" is "read 00000000" "$(ask r $page)"
	check "$2: it can be shared and taken back" is "shared 00000000 private 00000000" "$(ask s $page) $(ask p $page)"
	vmm_quit
	check "$2: QEMU ends" is 0 "$status"
}

vmm_prepare
a_guest "i:$set_memory_attributes=$ENOMEM" "no memory for an attribute" \
	"cannot make the memory $range shared: KVM_SET_MEMORY_ATTRIBUTES: Cannot allocate memory" \
	"cannot make the memory $range private: KVM_SET_MEMORY_ATTRIBUTES: Cannot allocate memory"
a_guest "f:$punch_hole=$EPERM" "a file that cannot be punched" \
	"cannot discard the private half of 'ram1' $range: Operation not permitted" \
	"cannot discard the shared half of 'ram1' $range: Operation not permitted"
a_run "i:$run=$ENOMEM" "no memory for KVM itself" \
	"no memory for what KVM itself needs to run the guest, such as page tables \(none is free, or the limit of the memory cgroup\)"
echo "1..$n"
