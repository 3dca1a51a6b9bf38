#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot SEV guests on private memory: from the reset vector through our OVMF to the userspace of Debian's
# kernel, moving data through virtio, once more after a reboot, to power-off; then look whether the numbers that
# the host saw agree. Each boot has a host of its own, of 4 GiB whatever the guest's size. TAP on stdout.
#
#   boot_test.sh [SPEC...]     SPEC: vcpus=1|2,tdp=on|off,thp=on|off,mem=SIZE,kernel=fast|debug[,guest=6.12][,work=...]
#                              work=reboot (the default), full: no reboot, or boot: to the init and off; then [,check=on]:
#                              the machine looks whether the guest uses its memory as it reports it (guest_reports.sh)
#                              [,enc=none|paranoid|strict]: no encryption; all plain text forgotten at each exit; missing
#                              cache flushes reported
#   boot_test.sh product       every combination, one boot each with enc=paranoid and enc=strict, and the disk of the host
#                              read for long while encrypted guests come and go. T=PATTERN: those whose spec holds it
#                              (the disk's is "disk"), so that hours of boots can be made in parts
#   boot_test.sh --check       only look whether the product has a spec that holds T
#
# Without an argument: eight boots in which each two values of different options meet at least once, but for the
# largest guest on the debug kernel, which takes ten minutes: the tiny guest does that (far_larger_than_the_host). Three
# of 2 GiB and three of 64 GiB are among them, for resident_check.sh; in the two that reboot the machine looks at what
# the guest reports, in another one whether a cache flush is missing.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
dir=$logs/boots deadline=${TIMEOUT:-2400}
mkdir -p "$dir"

# shellcheck disable=SC2054 # the commas are the specs'
eight=(
	vcpus=1,tdp=on,thp=on,mem=512M,kernel=debug,work=full
	vcpus=2,tdp=off,thp=off,mem=512M,kernel=fast,guest=6.12,check=on
	vcpus=1,tdp=off,thp=off,mem=2G,kernel=fast,check=on
	vcpus=2,tdp=off,thp=off,mem=2G,kernel=debug,work=boot
	vcpus=2,tdp=on,thp=off,mem=64G,kernel=fast,work=full
	vcpus=2,tdp=off,thp=on,mem=64G,kernel=fast,work=boot
	vcpus=1,tdp=on,thp=on,mem=2G,kernel=fast,work=boot,enc=strict
	vcpus=1,tdp=on,thp=on,mem=64G,kernel=fast,work=boot
)

product()
{
	local vcpus tdp thp mem kernel work

	for kernel in fast debug; do for mem in 512M 2G 64G; do for thp in on off; do for tdp in on off; do for vcpus in 1 2; do
		# There, what a guest does at its init is the same whatever its size, and takes hours.
		work=''
		[ "$kernel" = fast ] || [ "$mem" = 512M ] || work=,work=boot
		echo "vcpus=$vcpus,tdp=$tdp,thp=$thp,mem=$mem,kernel=$kernel$work"
	done; done; done; done; done
	echo vcpus=1,tdp=on,thp=on,mem=2G,kernel=fast,enc=paranoid
	echo vcpus=2,tdp=on,thp=off,mem=2G,kernel=fast,enc=strict
	echo disk
}

# The part of the product that was asked for.
part()
{
	local spec

	product | while read -r spec; do
		# shellcheck disable=SC2053 # a pattern
		[[ $spec != *${T:-}* ]] || echo "$spec"
	done
}

# Each two values of two options that the product holds must be in one of the eight.
pairs()
{
	sed '/^disk$/d; s/,guest=.*//; s/,work=.*//; s/,check=.*//; s/,enc=.*//' | awk -F, '{ for (i = 1; i <= NF; i++) for (j = i + 1; j <= NF; j++) print $i, $j }' |
		grep -vxF 'mem=64G kernel=debug' | sort -u
}

# The value of option $2 in spec $1, or $3.
option()
{
	local value=${1##*"$2"=}

	if [ "$value" = "$1" ]; then
		echo "${3:-}"
	else
		echo "${value%%,*}"
	fi
}

# Conditions on the guest's object, with their names.
# shellcheck disable=SC2016 # the dollar is jq's
expect=(
	"it passed" '.passed and .error == null'
	"no page of the RAM is pinned" '.pages.pinned == 0'
	"no huge page holds what is shared" '.pages.huge == 0'
	"nothing but the flash and a few ROMs is pinned" '.pages.pinned_other == .cost.pinned_pages and .cost.pinned_pages >= 1024 and .cost.pinned_pages < 2048'
	"no pin is left behind" '.cost.pins_left == 0'
	"each page is private or shared" '.pages.private + .pages.shared == .pages.ram'
	"no half holds more than it has" '.pages.resident_private <= .pages.private and .pages.resident_shared <= .pages.shared'
	"a map was made, if one was asked for" '(.map != null) == ($map == "1")'
	"nor anywhere in the map" '.map == null or (.map.cells | all(.[2] <= .[0] and .[3] <= .[1]))'
	"the map holds what is resident" '.map == null or ((.map.cells | map(.[2]) | add) == .pages.resident_private)'
	"it reported" '.conversions.to_shared > 100 and .conversions.to_private > 100'
	"no device model reached for private memory" '.conversions.stray_accesses == 0'
)

# verify FACTS SPEC: print what does not hold
verify()
{
	local facts=$1 spec=$2 map=1 mem thp=never object i

	[ "$(option "$spec" thp)" = off ] || thp=always
	mem=$(option "$spec" mem)
	[ "$mem" != 64G ] || map=0
	object=$("$root/tools/workbench/report.sh" guest "$facts" "status=$rc" firmware=own "ram=$mem" \
		"ram_pages=$(($(mib "$mem") * 256))" "guest_smp=$(option "$spec" vcpus)" \
		"enc=$(machine_encryption "$(psp_args "$spec")")" icount=0 "logs=$log") || return
	echo "$object" > "${facts%.facts}.json"
	for ((i = 0; i < ${#expect[@]}; i += 2)); do
		[ "$(jq --arg map "$map" "${expect[i + 1]}" <<< "$object")" = true ] || echo "does not hold: ${expect[i]}"
	done
	[ "$(option "$spec" work reboot)" != reboot ] || grep -qE '^seconds_to_init_2 ' "$facts" || echo "did not come to its init a second time"
	[ "$(sed -n 's/^cpus //p' "$facts" | tail -n 1)" = "$(option "$spec" vcpus)" ] || echo "not $(option "$spec" vcpus) vCPUs"
	[ "$(sed -n 's/^host_tdp_mmu //p' "$facts")" = "$(option "$spec" tdp | sed 's/on/Y/; s/off/N/')" ] || echo "not tdp=$(option "$spec" tdp)"
	[ "$(sed -n 's/^host_thp //p' "$facts")" = "$thp $thp" ] || echo "not thp=$(option "$spec" thp)"
	[ "$(option "$spec" enc)" != strict ] || no_flush_is_missing
	[ "$(option "$spec" check)" != on ] ||
		"$root/tools/workbench/guest_reports.sh" compare "own-$(option "$spec" guest 6.1)" "$log.check"
}

# The host's flushes. What a guest does to itself is the guest's: Linux uses memory without the C-bit that it, or its
# loader, wrote with it just before.
no_flush_is_missing()
{
	local own='lines of guest [0-9]+ \(ASID ([0-9]+),.*guest-shared-(read|write) by ASID \1 '

	if [ ! -f "$log.qemu" ]; then
		echo "the machine has no log"
	elif grep sev-strict "$log.qemu" | grep -vE "$own" | head -n 3 | grep .; then
		echo "a flush is missing"
	fi
}

# What the secure processor is told for spec $1.
psp_args()
{
	case $(option "$1" enc) in
	'') echo "${PSP_ARGS:-}" ;;
	none) echo enc=none ;;
	paranoid) echo paranoid=on ;;
	strict) echo coherency=strict ;;
	*) die "$1: enc=none, paranoid or strict" ;;
	esac
}

# boot SPEC: one boot; leaves rc, log, facts
boot()
{
	local spec=$1 tdp=1 thp=always kernel=linux-o mem=4G map=1 psp append='' maps

	log=$dir/${spec//[=,]/-}
	facts=$log.facts
	# What an earlier run left must not be taken for this one's.
	rm -f "$log".{facts,json,guest,check,check.text}
	rc=1
	psp=$(psp_args "$spec") || return
	if [ "$(option "$spec" check)" = on ]; then
		maps=$("$root/tools/workbench/guest_reports.sh" names "guest-$(option "$spec" guest 6.1)") || return
		psp+=${psp:+,}check=c-bit,check-json=$log.check,check-text=$log.check.text,check-maps=$maps
		append=nokaslr
	fi
	[ "$(option "$spec" tdp)" = on ] || tdp=0
	[ "$(option "$spec" thp)" = on ] || thp=never
	# A cell of the largest ones is 16 MiB: too much to see anything, and a lot of work.
	[ "$(option "$spec" mem)" != 64G ] || map=0
	[ "$(option "$spec" kernel)" = fast ] || kernel=linux-dbg-o
	rc=0
	# shellcheck disable=SC2030,SC2031
	env PSP_ARGS="$psp" KERNEL="${KERNEL:-$build/$kernel/arch/x86/boot/bzImage}" MEM=$mem SMP=2 ICOUNT=0 QUIET=1 BOOT_TIMEOUT=400 \
		HOST_ARGS="kvm.tdp_mmu=$tdp transparent_hugepage=$thp" \
		"$host" --name "boots/${spec//[=,]/-}" --timeout "$deadline" "$build/guest-$(option "$spec" guest 6.1)" \
		"echo host_tdp_mmu \$(cat /sys/module/kvm/parameters/tdp_mmu)
		echo $thp > /sys/kernel/mm/transparent_hugepage/shmem_enabled
		echo host_thp \$(cd /sys/kernel/mm/transparent_hugepage && sed 's/.*\[\(.*\)\].*/\1/' enabled shmem_enabled)
		GUEST_MEMORY=private GUEST_FIRMWARE=own GUEST_WORKLOAD=$(option "$spec" work reboot) GUEST_MEM=$(option "$spec" mem) GUEST_SMP=$(option "$spec" vcpus) \
		GUEST_APPEND=$append GUEST_MAP=$map GUEST_CONSOLE=1 GUEST_DEADLINE=$((deadline - 60)) bash guest.sh" > "$facts" 2> "$log.guest" || rc=$?
}

# What make check does a few times, ROUNDS times.
disk()
{
	local out=$dir/disk

	rc=0
	PSP_ARGS='' MEM=4G SMP=2 ICOUNT=0 QUIET=1 MACHINE_ARGS="-drive file=$build/userland.img,format=raw,if=virtio,snapshot=on" \
		"$host" --name boots/disk --timeout "$deadline" "$build/selftests" \
		"SEV_DISK_ROUNDS=${ROUNDS:-200} ./sev_encryption_test" > "$out.log" 2> "$out.err" || rc=$?
	[ "$rc" = 0 ] || echo "status $rc: $(grep -a -m 1 '^not ok' "$out.log")"
	grep -aqE '^ok .*disk' "$out.log" || echo "the disk was not read"
	! grep -a -m 1 '# *SKIP' "$out.log"
}

specs=("$@") kind=${1:-eight}
case $kind in
eight)
	specs=("${eight[@]}")
	missing=$(comm -23 <(product | pairs) <(printf '%s\n' "${specs[@]}" | pairs))
	[ -z "$missing" ] || die "the eight boots miss a pair: $missing"
	;;
product|--check)
	mapfile -t specs < <(part)
	[ ${#specs[@]} -gt 0 ] || die "T=${T:-}: no boot's spec holds it, e.g. $(product | sed -n 1p)"
	[ "$kind" = product ] || exit 0
	;;
esac

# Are there enough guests of either size to compare?
sizes()
{
	printf '%s\n' "${specs[@]}" | grep -c "mem=$1,"
}
compare=0
[ "$(sizes 2G)" -lt 3 ] || [ "$(sizes 64G)" -lt 3 ] || compare=1

n=0 failed=0
names=()

# verdict SPEC WRONG LOG: one line of TAP, and what is wrong below it
verdict()
{
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $1 (log: $3)"
		cut -c1-160 <<< "$2" | sed 's/^/# /'
	fi
}

one()
{
	local spec=$1 wrong

	boot "$spec"
	names+=("$log")
	wrong=$(verify "$facts" "$spec" 2>&1)
	[ -z "$wrong" ] || wrong=$(echo "status $rc"; sed -n 's/^error /error /p' "$facts" | tail -n 2
		echo "$wrong"; tail -n 4 "$log.guest" | tr -d '\r')
	verdict "$spec" "$wrong" "$log.guest"
	echo "# $((SECONDS - began)) s, to init $(sed -n 's/^seconds_to_init //p' "$facts") s (emulated), resident $(jq -r '.pages.resident // "-"' "$log.json" 2>/dev/null) pages"
}

echo "1..$((${#specs[@]} + compare))"
for spec in "${specs[@]}"; do
	began=$SECONDS
	if [ "$spec" = disk ]; then
		verdict disk "$(disk)" "$dir/disk.log"
		echo "# $((SECONDS - began)) s"
	else
		one "$spec"
	fi
done
if [ $compare = 1 ]; then
	n=$((n + 1))
	said=$("$root/tools/workbench/resident_check.sh" "${names[@]}") || failed=$((failed + 1))
	grep '^#' <<< "$said"
	sed -n "s/^\(ok\|not ok\) /\1 $n - /p" <<< "$said"
fi
[ "$kind" != product ] || echo "$((n - failed)) passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
