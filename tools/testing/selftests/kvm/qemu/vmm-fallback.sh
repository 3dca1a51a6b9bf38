#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: our QEMU where memfd_restricted(2) is not there, as on a kernel with
# guest_memfd only, and where the one or the other is refused (vmm-without.c). TAP on stdout.
set -u

work=/run/vmm-fallback
. "$(dirname "$0")/vmm-lib.sh"
memfd_restricted=548 create_guest_memfd=0xc040aed4
ENOSYS=38 EPERM=1 ENOTTY=25

# without RULES: what QEMU is to be without
without()
{
	launcher=(env "LD_PRELOAD=$here/vmm-without.so" "VMM_WITHOUT=$1")
}

# QEMU ends with status 1, and one line that matches $1. The bound is for one that is not refused.
refused()
{
	launcher=(timeout -k 5 60 "${launcher[@]}")
	vmm_start
	status=0
	wait "$pid" || status=$?
	is 1 "$status" && said 1 "" && said 1 "$1"
}

vmm_prepare
without "s:$memfd_restricted=$ENOSYS"
vmm_start
check "without memfd_restricted(2) the guest starts" is ready "$(hear)"
check "one file of private memory is open" is 1 "$(readlink "/proc/$pid/fd/"* | grep -c restrictedmem)"
check "the guest writes to a private page" is "wrote 01000000" "$(ask w 1000000 600d)"
check "and reads it" is "read 0000600d" "$(ask r 1000000)"
held=$(stat populated-private)
check "it shares the page" is "shared 00000000" "$(ask s 1000000)"
check "the private half of it is gone" is $((held - 4096)) "$(stat populated-private)"
check "the guest writes to the shared page" is "wrote 01000000" "$(ask w 1000000 5ea)"
check "which is in the shared half" is "4096 4096" "$(stat shared) $(stat populated-shared)"
check "it takes the page back" is "private 00000000" "$(ask p 1000000)"
check "the shared half of it is gone" is "0 0" "$(stat shared) $(stat populated-shared)"
check "it is empty" is "read 00000000" "$(ask r 1000000)"
qmp system_reset > /dev/null
check "after a reset the guest starts" is ready "$(hear)"
vmm_quit
check "QEMU ends" is 0 "$status"

without "i:$create_guest_memfd=$EPERM"
vmm_start
check "with memfd_restricted(2) nothing is asked of KVM" is ready "$(hear)"
vmm_quit

without "s:$memfd_restricted=$ENOSYS i:$create_guest_memfd=$EPERM"
check "refused: neither, the second not permitted" refused \
	'KVM cannot create a file for 67108864 bytes of private memory: Operation not permitted$'
without "s:$memfd_restricted=$ENOSYS i:$create_guest_memfd=$ENOTTY"
check "refused: neither is known" refused \
	'KVM cannot create a file for 67108864 bytes of private memory: Inappropriate ioctl for device$'
without "s:$memfd_restricted=$EPERM"
check "refused: memfd_restricted(2) not permitted" refused 'memfd_restricted\(\) failed: Operation not permitted$'
echo "1..$n"
