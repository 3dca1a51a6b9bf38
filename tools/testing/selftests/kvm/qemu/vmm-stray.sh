#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: devices of our QEMU that reach for private memory, because the guest does
# not report what it shares: Debian's OVMF, which does not; and a guest of ours, again and again.
# TAP on stdout.
set -u

work=/run/vmm-stray
. "$(dirname "$0")/vmm-lib.sh"
device=fw_cfg

# Debian's OVMF, until its first DMA: fw_cfg's.
start_ovmf()
{
	cp "$guest/OVMF_VARS_4M.fd" "$work/vars"
	vmm_launch -drive "if=pflash,format=raw,unit=0,readonly=on,file=$guest/OVMF_CODE_4M.fd" \
		-drive "if=pflash,format=raw,unit=1,file=$work/vars"
}

# The one line that says where; it is where QMP says it was.
reported()
{
	local gpa

	gpa=$(stat gpa)
	echo "at '$gpa'"
	[ "${gpa:-0}" -gt 0 ] && [ "$gpa" -lt $((512 << 20)) ] &&
		said 1 "ram1: $device read 16 bytes of private memory at gpa $(printf '0x%x' "$gpa")$1\$"
}

# Wait for as many reads that were stray. The bound is for hangs.
wait_reads()
{
	local tries

	for ((tries = 0; tries < 600; tries++)); do
		[ "$(stat stray-reads)" -lt "$1" ] || break
		sleep 0.5
	done
	stat stray-reads
}

# What fw_cfg is to do, at $1: select the signature, and put its four bytes behind, at offset 0x10
# ($2: where that is, with its bytes turned round).
prepare_dma()
{
	ask w "$1" 0a000000 && ask w "${1%0}4" 04000000 && ask w "${1%0}8" 0 && ask w "${1%0}c" "$2"
}

vmm_prepare
ram="memory-backend-memfd-private,id=ram1,allow-unreporting=on,size=512M"

memory=$ram
start_ovmf
check "OVMF that does not report: the VM stops" is internal-error "$(wait_state internal-error)"
check "the line names the device and the address" reported ": the VM stops"
check "the read is counted" is 1 "$(stat stray-reads)"
check "and so is the device" is "$device" "$(stat device)"
check "it went nowhere: the shared half is empty" is 0 "$(stat populated-shared)"
vmm_quit
check "QEMU ends" is 0 "$status"

# The firmware waits for an answer, which it does not get; the VM runs.
memory=$ram,stray-dma=warn
start_ovmf
check "stray-dma=warn: OVMF comes to the same point" is 1 "$(wait_reads 1)"
check "QEMU warns, with the device and the address" reported ""
check "the VM runs" is running "$(vmm_state)"
qmp system_reset > /dev/null
check "it counts on when OVMF gets there again, after a reset" is 2 "$(wait_reads 2)"
check "the VM still runs" is running "$(vmm_state)"
vmm_quit
check "QEMU ends" is 0 "$status"

# A guest that can do it often, and right.
memory=${ram/512M/64M},stray-dma=warn
vmm_start
check "a guest of ours starts" is ready "$(hear)"
check "it asks for DMA in a shared page" is "shared 00000000" "$(ask s 1000000)"
prepare_dma 1000000 10000001 > /dev/null
check "the device takes it" is "dma 01000000" "$(ask d 1000000)"
check "it is done" is "read 00000000" "$(ask r 1000000)"
check "and has the signature of fw_cfg" is "read 554d4551" "$(ask r 1000010)"
check "none of that was stray" is "0 0" "$(stat stray-reads) $(stat stray-writes)"
prepare_dma 1800000 10008001 > /dev/null
for ((i = 1; i <= 20; i++)); do
	tell d 1800000
	hear > /dev/null
done
check "it asks for DMA in a private page, 20 times: each is counted" is 20 "$(stat stray-reads)"
check "with a message for the first few" said 8 "private memory at gpa 0x18000"
check "its memory is as it was" is "read 0a000000" "$(ask r 1800000)"
check "nothing of it is in the shared half but the shared page" is 4096 "$(stat populated-shared)"
check "the VM runs" is running "$(vmm_state)"
vmm_quit
check "QEMU ends" is 0 "$status"

# The same guest stops at the first one; what it stopped at is answered when it goes on after a
# reset.
memory=${ram/512M/64M}
vmm_start
check "stray-dma=stop: the guest starts" is ready "$(hear)"
tell d 1800000
check "the VM stops at the first one" is internal-error "$(wait_state internal-error)"
check "the line names the device and the address" reported ": the VM stops"
check "which is the one that the guest gave" is $((0x1800000)) "$(stat gpa)"
check "it does not go on without a reset" is refused "$(qmp cont > /dev/null 2>&1 && echo "goes on" || echo refused)"
qmp system_reset > /dev/null
qmp cont > /dev/null
check "after a reset it starts" is ready "$(hear)"
check "and does as it is told" is "read 00000000" "$(ask r 1800000)"
vmm_quit
check "QEMU ends" is 0 "$status"
echo "1..$n"
