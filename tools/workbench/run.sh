#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot the emulated SEV host, start an SEV guest in it with Debian's own QEMU, OVMF and kernel (or with our
# OVMF, FIRMWARE=own), wait for its end, and say what was seen: on the terminal and in build/report/run.json
# (Documentation/dev/run-report.rst).
#
#   run.sh [--check]     --check: only look at the variables
set -euo pipefail
. "$(dirname "$0")/lib.sh"

memory=${MEMORY:-pinned} firmware=${FIRMWARE:-4m} guest=${GUEST:-6.1}
mem=${GUEST_MEM:-2G} smp=${GUEST_SMP:-1}
facts=$build/report/run.facts report=$build/report/run.json

case $memory in
pinned) ;;
private) die "MEMORY=private: this kernel has no private memory yet; use MEMORY=pinned" ;;
*) die "MEMORY=$memory: pinned (private is not there yet)" ;;
esac
case $firmware in
2m|4m) ovmf=ovmf ;;
own) ovmf=edk2 ;;
*) die "FIRMWARE=$firmware: 2m, 4m or own" ;;
esac
case $guest in 6.1|6.12) ;; *) die "GUEST=$guest: 6.1 or 6.12" ;; esac
[[ $mem =~ ^[1-9][0-9]*[MG]$ ]] || die "GUEST_MEM=$mem: want a number with M or G, such as 2G"
[[ $smp =~ ^[1-9]$ ]] || die "GUEST_SMP=$smp: 1 to 9"

[ "$(mib "$mem")" -ge 256 ] || die "GUEST_MEM=$mem: the guest needs 256M"

# The host needs the guest's memory, all of it pinned, and room for itself.
export MEM=${MEM:-$(($(mib "$mem") + 1536))M} ICOUNT=${ICOUNT:-1} SMP=${SMP:-1} TIMEOUT=${TIMEOUT:-900}

host=$root/tools/testing/selftests/kvm/qemu/host.sh
"$host" --check "$root" true
[ "$(mib "$MEM")" -ge $(($(mib "$mem") + 512)) ] || die "MEM=$MEM: the host needs GUEST_MEM=$mem and 512M for itself"
[ "${1:-}" != --check ] || exit 0

folder=$build/guest-$guest
if [ ! -f "$folder/release" ]; then
	"$root/tools/workbench/build.sh" guest "guest-$guest"
fi
mkdir -p "$build/report"
rm -f "$report"
say RUN "emulated host ($SMP processors, $MEM), in it an SEV guest ($smp, $mem, OVMF $firmware, Debian $(cat "$folder/release"))"

rc=0 began=$(date +%s)
QUIET=1 "$host" --name run "$folder" \
	"echo host_kernel \$(uname -r); dmesg | sed -n 's/.*SEV API:/psp_api /p; s/.*SEV enabled (\(ASIDs.*\))/host_sev \1/p';
	GUEST_FIRMWARE=$firmware GUEST_MEM=$mem GUEST_SMP=$smp GUEST_CONSOLE=1 GUEST_DEADLINE=600 bash guest.sh" \
	> "$facts" 2> >(tr -d '\r' | tee "$logs/run.guest" | sed -u 's/^/  guest| /' >&2) || rc=$?

fact()
{
	sed -n "s/^$1 //p" "$facts" | tail -n 1
}

# jq turns the facts into one object; numbers become numbers.
jq -Rn --arg memory "$memory" --arg firmware "$firmware" --arg mem "$mem" --arg smp "$SMP" \
	--arg guest_smp "$smp" --arg icount "$ICOUNT" --arg status "$rc" --arg ovmf "$("$root/tools/workbench/fetch.sh" --version "$ovmf")" \
	--arg logs "build/logs" '
	def num: if test("^-?[0-9]+(\\.[0-9]+)?$") then tonumber else . end;
	[inputs | capture("^(?<key>[a-z0-9_]+) (?<value>.*)$")] | map({key, value: (.value | num)}) | from_entries as $f |
	{
		schema: 1,
		passed: ($status == "0"),
		emulated: true,
		memory: $memory,
		host: {kernel: $f.host_kernel, vmm: $f.vmm, cpus: ($smp | num), psp_api: $f.psp_api, sev: $f.host_sev,
			deterministic: ($icount == "1")},
		guest: {kernel: $f.kernel, firmware: ("OVMF " + $ovmf + " " + $firmware), cpus: ($guest_smp | num), ram: $mem,
			mem_kib: $f.mem_kib, memory_encryption: $f.memory_encryption},
		cost: {pinned_pages: $f.pinned_pages, resident_kib: $f.resident_kib, seconds_to_init: $f.seconds_to_init,
			instructions_to_init: (if $icount == "1" then $f.instructions_to_init else null end),
			seconds_total: $f.seconds_total},
		workload: {blk_read: $f.blk_read, net_read: $f.net_read, swiotlb_bounces: $f.swiotlb_bounces},
		error: $f.error,
		logs: {host: ($logs + "/run.console"), guest: ($logs + "/run.guest")}
	}' "$facts" > "$report.tmp"
mv "$report.tmp" "$report"

log=$logs/run.console
[ -s "$log" ] || log=$logs/run.qemu
[ -n "$(fact vmm)" ] || die "the emulated host did not start the guest (status $rc, log: $log)"

show()
{
	printf '  %-22s %s\n' "$1" "$2"
}

show "host" "Linux $(fact host_kernel), $(fact vmm), SEV API $(fact psp_api), $(fact host_sev)"
show "guest" "Linux $(fact kernel), OVMF $firmware, $smp processors, $mem"
show "memory encryption" "$(fact memory_encryption) (emulated, enc=none: nothing is encrypted yet)"
show "guest memory" "$memory: $(fact pinned_pages) pages pinned, $(fact resident_kib) KiB of the VMM resident"
show "to guest init" "$(fact seconds_to_init) s of emulated time, $(fact instructions_to_init) instructions"
show "workload" "disk $(fact blk_read), network $(fact net_read), $(fact swiotlb_bounces) swiotlb bounces"
show "real time" "$(($(date +%s) - ${MP_START:-$began})) s, builds included (aims on 2 cores: the first time 35 min, later 90 s)"
show "report" "$report"
show "logs" "$logs/run.console (host), $logs/run.guest (guest)"
if [ "$rc" != 0 ]; then
	die "the guest did not pass: $(fact error) (status $rc, logs: $logs/run.console $logs/run.guest)"
fi
