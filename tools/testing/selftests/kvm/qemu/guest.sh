#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the emulated host: start one guest, with Debian's own QEMU or with ours, wait for its end, and print
# what was seen as "name value" lines. The folder that holds this script holds the guest (tools/workbench/
# guest.sh). Exit status 0: the guest ran to its end and all its data arrived.
#
# Environment:
#   GUEST_FIRMWARE  seabios, 2m (OVMF, X64), 4m (OVMF, Ia32X64) or own (OVMF, X64, which reports
#                   page encryption)                                 default 4m
#   GUEST_SEV       1: an SEV guest, 0: a plain one                  default 1
#   GUEST_MEMORY    pinned or private                                default pinned
#   GUEST_VMM       debian: Debian's QEMU; own: ours (vmm/ in this folder), which private memory
#                   needs                                            default as the memory needs
#   GUEST_MEM GUEST_SMP                                              default 2G, 1
#   GUEST_WORKLOAD  full, boot, or reboot: full, after a reboot      default full
#   GUEST_DEADLINE  seconds of the host's clock until it counts as hung   default 300
#   GUEST_CONSOLE   1: the guest's console goes to stderr as it comes
#   GUEST_MAP       1: private memory: tell where it is             default 0
#   GUEST_APPEND    more words for the kernel's command line
# shellcheck disable=SC2054 # commas are part of QEMU's options
set -u

here=$(cd "$(dirname "$0")" && pwd)
firmware=${GUEST_FIRMWARE:-4m} sev=${GUEST_SEV:-1} mem=${GUEST_MEM:-2G} smp=${GUEST_SMP:-1}
workload=${GUEST_WORKLOAD:-full} deadline=${GUEST_DEADLINE:-300} memory=${GUEST_MEMORY:-pinned}
qemu='qemu-system-x86_64'
work=/run/guest
console=$work/console
rm -rf "$work"
mkdir -p "$work"

. "$here/guest-qmp.sh"
. "$here/guest-pins.sh"
. "$here/guest-measure.sh"

disk()
{
	head -c 8M /dev/urandom > "$work/disk"
	blk_md5=$(md5sum < "$work/disk" | cut -d' ' -f1)
	truncate -s 16M "$work/disk"
}

server()
{
	mkdir -p "$work/www"
	head -c 2M /dev/urandom > "$work/www/data"
	net_md5=$(md5sum < "$work/www/data" | cut -d' ' -f1)
	busybox httpd -f -p 127.0.0.1:8080 -h "$work/www" &
	server=$!
}

# Random numbers whose origin the guest can tell: one line, over and over.
rng()
{
	rng_line=$(od -An -N 16 -t x1 /dev/urandom | tr -d ' \n' | head -c 31)
	mkfifo "$work/rng"
	# Open at both ends before QEMU comes, to which an end of file would be data of no length.
	# shellcheck disable=SC2034 # only held
	exec {rng_fd}<> "$work/rng"
	yes "$rng_line" > "$work/rng" &
	rng=$!
}

args=(-enable-kvm -cpu EPYC -smp "$smp" -nodefaults -nographic -monitor none
	-kernel "$here/vmlinuz" -initrd "$here/initrd" -serial "file:$console")
machine=q35
append="console=ttyS0,115200 panic=-1 workload=$workload ${GUEST_APPEND:-}"

case $firmware in
seabios) ;;
2m|4m|own)
	declare -A suffixes=([2m]='' [4m]=_4M [own]=_own)
	suffix=${suffixes[$firmware]}
	cp "$here/OVMF_VARS$suffix.fd" "$work/vars"
	args+=(-drive "if=pflash,format=raw,unit=0,readonly=on,file=$here/OVMF_CODE$suffix.fd"
		-drive "if=pflash,format=raw,unit=1,file=$work/vars")
	;;
*)
	echo "error GUEST_FIRMWARE=$firmware: not seabios, 2m, 4m or own"
	exit 2
	;;
esac
case $memory in
pinned)
	vmm=debian
	args+=(-m "$mem")
	;;
private)
	vmm=own
	machine+=,memory-backend=ram1
	args+=(-object "memory-backend-memfd-private,id=ram1,size=$mem")
	;;
*)
	echo "error GUEST_MEMORY=$memory: not pinned or private"
	exit 2
	;;
esac
case ${GUEST_VMM:-$vmm} in
debian) ;;
own)
	# Not from the shared folder: each page of it that is executed would be a message to the machine.
	qemu=$work/qemu-system-x86_64
	cp "$here/vmm/qemu-system-x86_64" "$qemu"
	args+=(-L /usr/share/qemu -L /usr/share/seabios)
	;;
*)
	echo "error GUEST_VMM=$GUEST_VMM: not debian or own"
	exit 2
	;;
esac
# A guest that resets when it should not is one that failed.
[ "$workload" = reboot ] || args+=(-no-reboot)
virtio=disable-legacy=on,iommu_platform=on
if [ "$sev" = 1 ]; then
	machine+=,confidential-guest-support=sev0
	args+=(-object "sev-guest,id=sev0,cbitpos=47,reduced-phys-bits=1,policy=0x1")
fi
if [ "$workload" != boot ]; then
	disk
	server
	rng
	trap 'kill $server $rng' EXIT
	append+=" blk_md5=$blk_md5 net_md5=$net_md5 rng_line=$rng_line"
	args+=(-drive "if=none,id=disk,format=raw,file=$work/disk,cache=unsafe"
		-device "virtio-blk-pci,drive=disk,$virtio"
		-netdev user,id=net -device "virtio-net-pci,netdev=net,romfile=,$virtio"
		-object "rng-random,id=rng,filename=$work/rng" -device "virtio-rng-pci,rng=rng,$virtio")
fi
qmp_prepare "$work"
args+=(-machine "$machine" -append "$append" "${qmp_args[@]}")

# The guest's facts come through a pipe, the end of QEMU as the last of them; another one takes our answer.
# Both are open here for reading and writing, so that nobody waits for the other end.
mkfifo "$work/facts.in" "$work/facts.out"
exec {facts_in}<> "$work/facts.in" {facts_out}<> "$work/facts.out"
run_vm()
{
	timeout -k 5 "$deadline" "$qemu" "${args[@]}" -chardev "pipe,id=facts,path=$work/facts" -serial chardev:facts \
		< /dev/null > "$work/qemu" 2>&1
	echo "vmm_status $?" >&"$facts_out"
}

failed=0
complain()
{
	echo "error $*"
	failed=1
}

"$qemu" --version | sed -n 's/^QEMU emulator version /vmm QEMU /p'
: > "$console"
if [ "${GUEST_CONSOLE:-0}" = 1 ]; then
	tail -n +1 -f "$console" >&2 &
fi
case $mem in
*G) pages=$((${mem%G} << 18)) ;;
*M) pages=$((${mem%M} << 8)) ;;
esac

# What the guest cost, seen while it still has all its memory; it waits for our answer.
at_end()
{
	if ! qmp stop > /dev/null; then
		complain "QEMU does not answer"
		return
	fi
	measure_end "$(pgrep -o qemu-system-x86)" "$memory" "${GUEST_MAP:-0}"
	qmp cont > /dev/null || complain "QEMU does not go on"
	echo seen >&"$facts_in"
}

measure_begin "$pages"
run_vm &
end=none written=none status=none boots=0
while read -r name value; do
	value=${value%$'\r'}
	case $name in
	init)
		boots=$((boots + 1))
		measure_init $boots "$memory"
		;;
	blk_written) written=$value ;;
	blk_read|net_read|rng_read|memory_verified) [ "$value" = ok ] || complain "$name: $value" ;;
	swiotlb_bounces) [ "$sev" = 0 ] || [ "$value" -gt 0 ] || complain "virtio did not bounce" ;;
	error) failed=1 ;;
	end)
		end=$value
		at_end
		;;
	vmm_status) status=$value ;;
	esac
	echo "$name $value"
	[ "$name" != vmm_status ] || break
done <&"$facts_out"
measure_gone

# A triple fault, a panic and a hang must not look like an end.
case $status in
0) ;;
124|137) complain "the guest did not end within $deadline s" ;;
*) complain "QEMU's exit status is $status: $(tail -n1 "$work/qemu")" ;;
esac
[ "$end" = ok ] || complain "the guest did not get to its end"
if [ "$sev" = 1 ]; then
	grep -q 'Memory Encryption Features active:.* SEV' "$console" || complain "the guest's log does not say that SEV is active"
fi
if [ "$workload" = reboot ] && [ "$boots" != 2 ]; then
	complain "the guest came to its init $boots times, not twice"
fi
if [ "$workload" != boot ] && [ "$failed" = 0 ]; then
	[ "$(tail -c 8M "$work/disk" | md5sum | cut -d' ' -f1)" = "$written" ] || complain "the disk does not hold what the guest wrote"
fi
if [ "$failed" != 0 ]; then
	{ tail -n 3 "$work/qemu"; tail -n 15 "$console"; } | tr -d '\r' | cut -c1-180 | sed 's/^/guest| /' >&2
fi
exit "$failed"
