#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot the emulated SEV host, start an SEV guest in it, wait for its end, and say what was seen: on the
# terminal and in build/report/run.json (Documentation/dev/run-report.rst).
#
# MEMORY=private: our QEMU and firmware, memory that belongs to a file. MEMORY=pinned: Debian's own QEMU
# and firmware, all memory pinned. MEMORY=both: one after the other, each in a host of its own. The guest's
# kernel is Debian's in any case.
#
#   run.sh [--check]     --check: only look at the variables
set -euo pipefail
. "$(dirname "$0")/lib.sh"

memory=${MEMORY:-private} guest=${GUEST:-6.1}
mem=${GUEST_MEM:-2G} smp=${GUEST_SMP:-1}
folder=$build/guest-$guest report=$build/report/run.json
host=$root/tools/testing/selftests/kvm/qemu/host.sh

case $memory in
private|pinned) kinds=("$memory") ;;
both) kinds=(private pinned) ;;
*) die "MEMORY=$memory: private, pinned or both" ;;
esac
case ${FIRMWARE:-4m} in 2m|4m|own) ;; *) die "FIRMWARE=$FIRMWARE: 2m, 4m or own" ;; esac
[ "$memory" = pinned ] || [ "${FIRMWARE:-own}" = own ] ||
	die "FIRMWARE=$FIRMWARE: on private memory the firmware must report, which only FIRMWARE=own does"
case $guest in 6.1|6.12) ;; *) die "GUEST=$guest: 6.1 or 6.12" ;; esac
[[ $mem =~ ^[1-9][0-9]*[MG]$ ]] || die "GUEST_MEM=$mem: want a number with M or G, such as 2G"
[[ $smp =~ ^[1-9]$ ]] || die "GUEST_SMP=$smp: 1 to 9"
[ "$(mib "$mem")" -ge 256 ] || die "GUEST_MEM=$mem: the guest needs 256M"

# Memory that is pinned must be there, all of it, beside room for the host itself. Private memory is there
# when it is touched; then 4 GiB do for a guest of any size that does not touch more.
want=$(($(mib "$mem") + 1536))
if [ "$memory" = private ] && [ "$want" -gt 4096 ]; then
	want=4096
fi
export MEM=${MEM:-${want}M} ICOUNT=${ICOUNT:-1} SMP=${SMP:-1} TIMEOUT=${TIMEOUT:-900}
"$host" --check "$root" true
[ "$memory" = private ] || [ "$(mib "$MEM")" -ge $(($(mib "$mem") + 512)) ] ||
	die "MEM=$MEM: the host needs GUEST_MEM=$mem, which it pins, and 512M for itself"
[ "${1:-}" != --check ] || exit 0
# The report and the logs are one run's.
lock run

if [ ! -f "$folder/release" ]; then
	"$root/tools/workbench/build.sh" guest "guest-$guest"
	"$root/tools/workbench/build.sh" vmm "guest-$guest"
fi
mkdir -p "$build/report"
rm -f "$report" "$build"/report/run.{private,pinned}.{facts,json} "$build/report/map.png"
# Of the command, builds included: what a user waits for.
began=${MP_START:-$(date +%s)}

real_seconds()
{
	echo $(($(date +%s) - began))
}

firmware_of()
{
	local kind=$1

	if [ "$kind" = private ]; then
		echo own
	else
		echo "${FIRMWARE:-4m}"
	fi
}

# The package that a firmware was built from or is part of, with its version.
firmware_name()
{
	local role=ovmf

	[ "$1" != own ] || role=edk2
	echo "OVMF $("$root/tools/workbench/fetch.sh" --version "$role") $1"
}

# The default type of VM loses pages that this kernel does not pin (sev-encryption.rst): the pinned guest has no
# encryption, unless the user wants to see that.
psp_args()
{
	if [ "$1" = pinned ]; then
		echo "${PSP_ARGS:-enc=none}"
	else
		echo "${PSP_ARGS:-}"
	fi
}

fact()
{
	sed -n "s/^$2 //p" "$build/report/run.$1.facts" | tail -n 1
}

# Pass a guest's facts on, and note when it came to its init.
pass_facts()
{
	local line

	while IFS= read -r line; do
		printf '%s\n' "$line"
		[[ $line != init\ * ]] || echo "real_seconds_to_init $(real_seconds)"
	done
}

# One guest on one kind of memory, in a host of its own; leaves run.KIND.facts and run.KIND.json.
run_guest()
{
	local kind=$1 log=run.$1 facts=$build/report/run.$1.facts firmware rc=0

	firmware=$(firmware_of "$kind")
	say RUN "emulated host ($SMP processors, $MEM), in it an SEV guest ($smp, $mem $kind, OVMF $firmware, Debian $(cat "$folder/release"))"
	PSP_ARGS=$(psp_args "$kind") QUIET=1 "$host" --name "$log" "$folder" \
		"echo host_kernel \$(uname -r); dmesg | sed -n 's/.*SEV API:/psp_api /p; s/.*SEV enabled (\(ASIDs.*\))/host_sev \1/p';
		GUEST_MEMORY=$kind GUEST_FIRMWARE=$firmware GUEST_MEM=$mem GUEST_SMP=$smp GUEST_MAP=1 GUEST_CONSOLE=1 GUEST_DEADLINE=600 bash guest.sh" \
		2> >(tr -d '\r' | tee "$logs/$log.guest" | sed -u 's/^/  guest| /' >&2) | pass_facts > "$facts" || rc=$?
	"$root/tools/workbench/report.sh" guest "$facts" "status=$rc" "firmware=$(firmware_name "$firmware")" \
		"ram=$mem" "ram_pages=$(($(mib "$mem") * 256))" "guest_smp=$smp" \
		"enc=$(machine_encryption "$(psp_args "$kind")")" "icount=$ICOUNT" "logs=build/logs/$log" \
		> "$build/report/run.$kind.json"
}

objects=()
for kind in "${kinds[@]}"; do
	run_guest "$kind"
	objects+=("$build/report/run.$kind.json")
done

# A host that did not come to its guest says nothing about itself.
facts=$(cat "$build"/report/run.*.facts)
one_fact()
{
	sed -n "s/^$1 //p" <<< "$facts" | head -n 1
}

jq -n --arg kinds "${kinds[*]}" --arg kernel "$(one_fact host_kernel)" --argjson cpus "$SMP" --arg mem "$MEM" \
	--arg psp_api "$(one_fact psp_api)" --arg sev "$(one_fact host_sev)" --arg icount "$ICOUNT" \
	--argjson seconds "$(real_seconds)" --arg seconds_to_init "$(one_fact real_seconds_to_init)" \
	'[inputs] as $guests | ($kinds | split(" ")) as $kinds | def said: if . == "" then null else . end;
	{
		schema: 2,
		passed: ($guests | all(.passed)),
		emulated: true,
		host: {kernel: ($kernel | said), cpus: $cpus, mem: $mem, psp_api: ($psp_api | said), sev: ($sev | said),
			deterministic: ($icount == "1")},
		real: {seconds_to_init: ($seconds_to_init | said | if . then tonumber else . end), seconds: $seconds},
		runs: ([$kinds, $guests] | transpose | map({key: .[0], value: .[1]}) | from_entries)
	}' "${objects[@]}" > "$report.tmp"
mv "$report.tmp" "$report"

show()
{
	printf '  %-22s %s\n' "$1" "$2"
}

for kind in "${kinds[@]}"; do
	log=$logs/run.$kind.console
	[ -s "$log" ] || log=$logs/run.$kind.qemu
	[ -n "$(fact "$kind" vmm)" ] || die "the emulated host did not start the guest ($kind memory, log: $log)"
done
show "host" "Linux $(one_fact host_kernel), SEV API $(one_fact psp_api), $(one_fact host_sev)"
show "guest" "Linux $(one_fact kernel), $smp processors, $mem"
for kind in "${kinds[@]}"; do
	show "$kind memory" "$(fact "$kind" vmm), $(firmware_name "$(firmware_of "$kind")")"
	show "  memory encryption" "$(fact "$kind" memory_encryption) (emulated)"
	show "  workload" "disk $(fact "$kind" blk_read), network $(fact "$kind" net_read), random numbers $(fact "$kind" rng_read), memory $(fact "$kind" memory_verified), $(fact "$kind" swiotlb_bounces) swiotlb bounces"
done
echo
"$root/tools/workbench/report.sh" table "$report"
echo
"$root/tools/workbench/report.sh" map "$report" "$build/report/map.png"
echo
to_init=$(one_fact real_seconds_to_init)
show "real time" "${to_init:-?} s to the guest's init (budget 90 with everything built, 2100 for the first run), $(real_seconds) s in all"
show "report" "$report$([ ! -f "$build/report/map.png" ] || echo ", map: $build/report/map.png")"
show "logs" "$logs/run.$([ "$memory" = both ] && echo '*' || echo "$memory").console (host), .guest (guest)"
for kind in "${kinds[@]}"; do
	[ "$(jq .passed "$build/report/run.$kind.json")" = true ] ||
		die "the guest on $kind memory did not pass: $(fact "$kind" error) (logs: $logs/run.$kind.console $logs/run.$kind.guest)"
done
