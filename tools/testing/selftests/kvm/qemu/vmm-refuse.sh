#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: what our QEMU refuses on private memory. Each row is a command line that differs
# from one that starts in one thing, and must end QEMU, or be answered, with one line that says why. TAP
# on stdout. The folder above this one holds a guest (tools/workbench/guest.sh), this one our QEMU.
#
#   vmm-refuse.sh             on a host with SEV
#   vmm-refuse.sh incapable   on a host whose KVM has no SEV
#   vmm-refuse.sh stock       on one whose KVM has pinned memory only
# shellcheck disable=SC2054 # commas are part of QEMU's options
set -u

here=$(cd "$(dirname "$0")" && pwd)
guest=$(dirname "$here")
work=/run/vmm-refuse
# shellcheck source=../../../../workbench/tap.sh
. "$here/tap.sh"
rm -rf "$work"
mkdir -p "$work"
cp "$here/qemu-system-x86_64" "$work/qemu"
cp "$guest/OVMF_VARS_own.fd" "$work/vars"

# The command line that starts, in parts that a row can replace.
default()
{
	accel=(-accel kvm)
	cpu=(-cpu EPYC,check=off)
	machine=q35,memory-backend=ram1,confidential-guest-support=sev0
	sev=(-object sev-guest,id=sev0,cbitpos=47,reduced-phys-bits=1,policy=0x1)
	ram=(-object memory-backend-memfd-private,id=ram1,size=256M)
	flash=(-drive "if=pflash,format=raw,unit=0,readonly=on,file=$guest/OVMF_CODE_own.fd"
		-drive "if=pflash,format=raw,unit=1,file=$work/vars")
	more=()
	environment=()
}

# Start QEMU without running the guest, and give its monitor the lines $1. Leaves status, out, err.
start()
{
	printf '%s\nquit\n' "$1" > "$work/in"
	status=0
	timeout -k 5 60 env "${environment[@]}" "$work/qemu" -S -nodefaults -nographic -monitor stdio -L /usr/share/qemu -L /usr/share/seabios \
		"${accel[@]}" "${cpu[@]}" -machine "$machine" "${sev[@]}" "${ram[@]}" "${flash[@]}" "${more[@]}" \
		< "$work/in" > "$work/out" 2> "$work/err" || status=$?
}

# known STATUS: what is known, when it is no success
known()
{
	[ "$1" != 0 ] || return 0
	echo "status $status"
	sed 's/^/stderr: /' "$work/err"
	tail -n 4 "$work/out" | tr -d '\r' | sed 's/^/monitor: /'
	return 1
}

# report STATUS NAME: one line of TAP; the next row begins with the default
report()
{
	check "$2" known "$1"
	default
}

# The row's command line ends QEMU with status 1 and one line that matches $2.
refused()
{
	start ""
	[ "$status" = 1 ] && [ "$(wc -l < "$work/err")" = 1 ] && grep -qE -e "$2" "$work/err"
	report $? "refused: $1"
}

# The row's command line starts, and the monitor answers command $2 with a line that matches $3.
answered()
{
	start "$2"
	[ "$status" = 0 ] && tr -d '\r' < "$work/out" | grep -qE -e "$3"
	report $? "$1"
}

default
case ${1:-} in
incapable|stock)
	refused "a kernel without VMs of the SEV type" 'memory-backend-memfd-private: the host.s KVM has not got VMs of the SEV type'
	if [ "$1" = stock ]; then
		ram=(-object memory-backend-memfd,id=ram1,size=256M)
		answered "pinned memory starts there" "info status" 'VM status: paused'
	fi
	echo "1..$n"
	exit 0
	;;
esac

answered "the command line that the others differ from starts" "info status" 'VM status: paused'
answered "CPUID says that the guest may report" \
	"qom-get /machine/unattached/device[0] kvm-hc-map-gpa-range" '^true'
answered "and that it finds the MSR of migration control" \
	"qom-get /machine/unattached/device[0] kvm-migration-control" '^true'
machine=pc,memory-backend=ram1,confidential-guest-support=sev0
answered "an i440FX machine starts" "info status" 'VM status: paused'
ram=(-object memory-backend-memfd-private,id=ram1,size=64G)
answered "so does a machine with 64 GiB, on a host with less" "info private-memory" 'size: *(64 GiB|68719476736)'
machine=q35,confidential-guest-support=sev0
ram=(-m 512M -object memory-backend-memfd-private,id=ram1,size=256M -object memory-backend-memfd-private,id=ram2,size=256M
	-numa node,memdev=ram1 -numa node,memdev=ram2)
answered "and one with two NUMA nodes" "info private-memory" '^ram2:'
ram=(-object memory-backend-memfd-private,id=ram1,size=256M,prealloc=on)
answered "prealloc=on allocates the private half" "info private-memory" 'populated, private half: *(256 MiB|268435456)'
ram=(-object memory-backend-memfd-private,id=ram1,size=256M,prealloc=on)
answered "and not the shared one" "info private-memory" 'populated, shared half: *0 '
# With system management mode, KVM is given a second address space of this name.
start "info mtree"
[ "$status" = 0 ] && grep -q 'address-space: memory' "$work/out" && ! grep -q KVM-SMRAM "$work/out"
report $? "smm=auto means off"
# Its port tells QEMU to read memory at an address of the guest's choice.
start "info qtree"
[ "$status" = 0 ] && grep -q 'bus: main-system-bus' "$work/out" && ! grep -q kvmvapic "$work/out"
report $? "there is no option ROM for the task priority register"

# The machine.
machine=q35,memory-backend=ram1
refused "no confidential-guest-support" 'memory-backend-memfd-private needs -machine confidential-guest-support='
accel=(-accel tcg)
refused "another accelerator" 'memory-backend-memfd-private needs KVM'
sev=(-object sev-guest,id=sev0,cbitpos=47,reduced-phys-bits=1,policy=0x5)
refused "SEV-ES" 'not with SEV-ES'
machine+=,smm=on
refused "smm=on" 'not with smm=on'
accel=(-accel kvm,dirty-ring-size=1024)
refused "a dirty ring" 'not with -accel kvm,dirty-ring-size='
cpu=(-cpu EPYC,check=off,kvm=off)
refused "a CPU that hides KVM" 'with -cpu kvm=off the guest cannot report'
cpu=(-cpu EPYC,check=off,kvm-migration-control=off)
refused "a CPU that hides the report" 'kvm-migration-control=off the guest cannot report'

# The kernel has private memory, and SEV VMs have not.
for lack in '233 private frames .KVM_CAP_MEMORY_ATTRIBUTES' '234 KVM_CAP_GUEST_MEMFD'; do
	environment=("LD_PRELOAD=$here/vmm-without.so" "VMM_WITHOUT=v:${lack%% *}=0")
	refused "SEV VMs without capability ${lack%% *}" "SEV VMs of the host.s KVM have not got ${lack#* }"
done
environment=("LD_PRELOAD=$here/vmm-without.so" VMM_WITHOUT=v:9999=0)
answered "SEV VMs that lack nothing start" "info status" 'VM status: paused'

# Properties of the backend.
ram=(-object memory-backend-memfd-private,id=ram1,size=256M,share=off)
refused "share=off" 'share=off:'
ram=(-object memory-backend-memfd-private,id=ram1,size=256M,host-nodes=0,policy=bind)
refused "host-nodes and policy" 'host-nodes and policy:'
ram=(-object memory-backend-memfd-private,id=ram1,size=268435457)
refused "a size that is not whole pages" 'size=268435457: not a multiple'
ram=(-object memory-backend-memfd-private,id=ram1,size=256M,stray-dma=ignore)
refused "an unknown policy for stray DMA" "stray-dma.*ignore"

more=(-overcommit mem-lock=on)
refused "memory that is locked" 'mem-lock=on would allocate the shared half'

# Firmware.
for suffix in '' _4M; do
	flash=(-drive "if=pflash,format=raw,unit=0,readonly=on,file=$guest/OVMF_CODE$suffix.fd")
	refused "Debian's OVMF_CODE$suffix.fd, which does not report" 'the firmware does not report.*57f5dce4-d08d-47a0-9917-33c1231f2982'
done
flash=()
refused "SeaBIOS, which does not report" 'the firmware does not report'
flash=(-drive "if=pflash,format=raw,unit=0,readonly=on,file=$guest/OVMF_CODE_4M.fd")
ram=(-object memory-backend-memfd-private,id=ram1,size=256M,allow-unreporting=on)
answered "allow-unreporting=on starts it" "info status" 'VM status: paused'

# Devices and memory.
more=(-device ramfb)
refused "ramfb" 'ramfb: not with'
more=(-device vmgenid)
refused "vmgenid" 'vmgenid: not with'
more=(-drive "if=none,id=nvme,file=nvme://0000:00:01.0/1")
refused "nvme://" 'not with memory-backend-memfd-private'
more=(-device "vfio-pci,host=0000:00:01.0")
refused "VFIO" 'VFIO: not with memory-backend-memfd-private: it would map all'
more=(-netdev vhost-vdpa,id=net0,vhostdev=/dev/null)
refused "vhost-vdpa" 'vhost-vdpa: not with memory-backend-memfd-private: it would map all'
more=(-m 256M,slots=2,maxmem=1G -object memory-backend-ram,id=vm0,size=128M -device virtio-mem-pci,memdev=vm0)
refused "virtio-mem" 'virtio-mem: not with memory-backend-memfd-private: it decides itself which pages exist'
more=(-m 256M,slots=2,maxmem=1G -object memory-backend-memfd-private,id=ram2,size=128M -device pc-dimm,memdev=ram2)
refused "a private DIMM" 'ram2: memory-backend-memfd-private is for the machine.s own memory'
more=(-object memory-backend-memfd-private,id=ram2,size=128M)
refused "a backend that the machine does not use" 'ram2: memory-backend-memfd-private is for the machine.s own memory'
answered "refused: a private backend for a machine that runs" \
	"object_add memory-backend-memfd-private,id=ram2,size=128M" 'cannot be added to a machine that runs'

# Devices of the kernel and of other processes. With stray-dma=warn they are not refused.
more=(-chardev "socket,id=chr0,server=on,wait=off,path=$work/socket" -netdev vhost-user,id=net0,chardev=chr0)
refused "vhost-user, network" 'vhost-user: not with .* stray-dma=stop: nothing would notice'
more=(-chardev null,id=chr0 -device vhost-user-blk-pci,chardev=chr0)
refused "vhost-user, disk" 'vhost-user: not with .* stray-dma=stop'
more=(-netdev tap,id=net0,vhost=on,script=no,downscript=no)
refused "vhost-net" 'vhost-net: not with .* stray-dma=stop'
more=(-device vhost-vsock-pci,guest-cid=3,vhostfd=0)
refused "vhost in the kernel" 'vhost: not with .* stray-dma=stop'
ram=(-object memory-backend-memfd-private,id=ram1,size=256M,stray-dma=warn)
more=(-chardev null,id=chr0 -device vhost-user-blk-pci,chardev=chr0)
start ""
grep -q 'vhost_backend_init failed' "$work/err" && ! grep -q stray-dma "$work/err"
report $? "vhost-user with stray-dma=warn: that nobody is behind it is all that is wrong"

# Snapshots and migration.
more=(-only-migratable)
refused "-only-migratable" 'disallowing migration blocker.*private guest memory'
more=(-incoming defer)
refused "-incoming" '-incoming: private guest memory'
answered "refused: migrate" "migrate exec:true" 'private guest memory .* cannot be migrated'
answered "refused: savevm" "savevm x" 'private guest memory .* cannot be migrated, nor saved in a snapshot'
answered "refused: loadvm" "loadvm x" 'a snapshot cannot be loaded: guest memory is private'

# What must not change.
machine=q35,memory-backend=ram1,confidential-guest-support=sev0
ram=(-object memory-backend-memfd,id=ram1,size=256M)
flash=(-drive "if=pflash,format=raw,unit=0,readonly=on,file=$guest/OVMF_CODE_4M.fd")
answered "pinned memory takes any firmware, as before" "info status" 'VM status: paused'
ram=(-object memory-backend-memfd,id=ram1,size=256M)
answered "and has no CPUID bit of reports" "qom-get /machine/unattached/device[0] kvm-migration-control" '^false'
ram=(-object memory-backend-memfd,id=ram1,size=256M)
answered "but an option ROM for the task priority register" "info qtree" 'dev: kvmvapic'
ram=(-object memory-backend-memfd,id=ram1,size=256M)
answered "a private backend cannot be added to a VM of the default type" \
	"object_add memory-backend-memfd-private,id=ram2,size=128M" 'this VM cannot have private memory'
echo "1..$n"
