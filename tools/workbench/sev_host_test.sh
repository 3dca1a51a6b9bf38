#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the machine's option sev-host: what QEMU refuses at its start (Documentation/dev/tcg-svm.rst has the
# list), and what a host makes of a machine that has the secure processor but not the option. TAP on stdout.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

qemu=$build/qemu-o/qemu-system-x86_64
host=$root/tools/testing/selftests/kvm/qemu/host.sh
tmp=$(mktemp -d "$build/.sev-host-test-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# A machine that comes to its monitor ends at once.
start()
{
	echo quit | timeout -k 5 60 "$qemu" -machine q35 -accel tcg -cpu "EPYC,svm=on,npt=on,phys-bits=48,sev-host=on$1" -m 64M -S \
		-nodefaults -no-user-config -display none -nic none -L "$build/firmware" -monitor stdio > "$tmp/out" 2> "$tmp/err"
}

refused()
{
	if start "$1"; then
		echo "it started"
		return 1
	fi
	sed '/TCG doesn.t support/d; /This feature depends on other features/d' "$tmp/err" > "$tmp/said"
	cat "$tmp/said"
	[ "$(wc -l < "$tmp/said")" = 1 ] && grep -qF ": sev-host=on $2" "$tmp/said"
}

accepted()
{
	start "$1" || { cat "$tmp/err"; return 1; }
}

while IFS='|' read -r options words; do
	check "$options is refused: $words" refused ",$options" "$words"
done <<END
svm=off|needs svm=on,npt=on
npt=off|needs svm=on,npt=on
xlevel=0x8000001e|needs xlevel to be left out or at least 0x8000001f
sev-cbitpos=31|needs sev-cbitpos in [32, phys-bits)
sev-cbitpos=48|needs sev-cbitpos in [32, phys-bits)
sev-cbitpos=46|needs phys-bits to be sev-cbitpos + 1
phys-bits=40|needs sev-cbitpos in [32, phys-bits)
sev-max-asid=0|needs sev-max-asid in [1, 511]
sev-max-asid=512|needs sev-max-asid in [1, 511]
sev-min-asid=0|needs sev-min-asid in [1, sev-max-asid + 1]
sev-min-asid=10|needs sev-min-asid in [1, sev-max-asid + 1]
END
for options in '' ,xlevel=0x8000001f ,sev-cbitpos=39,phys-bits=40 ,sev-max-asid=511 ,sev-min-asid=9 ,sev-max-asid=1,sev-min-asid=1; do
	check "sev-host=on$options is accepted" accepted "$options"
done

# Our QEMU in a host, with that host's KVM; and the host on a machine with sev-host=off.
status=0
CPU_ARGS=sev-host=off "$host" --name sev-host-test --timeout 300 "$build/guest-6.1" 'grep -lx 0x14ca /sys/bus/pci/devices/*/device | wc -l
	dmesg | grep -o "SEV: memory encryption not enabled by BIOS"; dmesg | grep -c "SEV API"; ls /dev/sev 2> /dev/null
	cp vmm/qemu-system-x86_64 /run/qemu
	timeout 100 /run/qemu -accel kvm -cpu EPYC,sev-host=on -S -nodefaults -display none -nic none -L /usr/share/qemu -L /usr/share/seabios \
		2>&1 | grep -o "sev-host=on needs.*"
	cat /sys/module/kvm_amd/parameters/sev' > "$tmp/out" 2> "$tmp/err" || status=$?
# The lines of what the host said from $1 to $2, or why there are none.
host_said()
{
	[ "$(sed -n "$1,$2p" "$tmp/out")" = "$3" ] || { echo "status $status"; cat "$tmp/out" "$tmp/err"; return 1; }
}
check "a host with the secure processor, but sev-host=off: the driver says why there is no SEV" \
	host_said 1 3 "$(printf '1\nSEV: memory encryption not enabled by BIOS\n0')"
check "sev-host=on with KVM is refused" host_said 4 4 "sev-host=on needs the TCG accelerator"
check "and KVM there offers no SEV" host_said 5 5 N
echo "1..$n"
