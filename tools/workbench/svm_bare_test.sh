#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run a test of the processor that is all the software of its machine, and pass its TAP on.
#
#   svm_bare_test.sh          svm_bare: SVM without SEV. The second processor stays asleep: it is there because
#                             an emulator with two leaves its loop often
#   svm_bare_test.sh sev      svm_bare_sev: an SEV host and a secure processor
#   svm_bare_test.sh nosev    svm_bare_nosev: a secure processor, but no SEV host
#   svm_bare_test.sh strict   svm_bare_strict: what flushes caches, on an SEV host that looks
#   svm_bare_test.sh busy [strict]
#                             svm_bare_busy: a guest that runs while the secure processor works for it; strict: on
#                             such a host
#   svm_bare_test.sh monitor  svm_bare_monitor: stops for svm_bare_monitor_test.sh, which looks at it from outside
#
# MACHINE_ARGS: more arguments for the machine; QEMU: another binary for it
set -euo pipefail
. "$(dirname "$0")/lib.sh"

name=svm_bare${1:+_$1}
log=$logs/$name${2:+-$2}.qemu
cpu=EPYC,svm=on,npt=on,nrip-save=on,decodeassists=on,phys-bits=48
args=(-smp 1 -device "sev-psp,enc=none,addr=6")
case ${1:-} in
'') args=(-smp 2) ;;
sev) cpu+=,sev-host=on ;;
nosev) ;;
strict)
	cpu+=,sev-host=on
	args=(-smp 1 -device "sev-psp,enc=xts,coherency=strict,addr=6")
	;;
busy)
	cpu+=,sev-host=on
	args=(-smp 1 -device "sev-psp,enc=xts,coherency=${2:-eager},busy-ns=2000000,addr=6")
	;;
monitor)
	cpu+=,sev-host=on
	args=(-smp 1 -device "sev-psp,enc=xts,coherency=strict,addr=6" -device pvpanic -action panic=pause)
	;;
*) die "'$1': sev, nosev, strict, busy, monitor or nothing" ;;
esac
# shellcheck disable=SC2206 # a list of arguments, as the user wrote it
args+=(${MACHINE_ARGS:-})
mkdir -p "$logs"
rc=0
timeout -k 5 60 "${QEMU:-$build/qemu-o/qemu-system-x86_64}" -machine q35 -accel tcg,thread=single \
	-cpu "$cpu" "${args[@]}" -m 64M \
	-nodefaults -no-user-config -nographic -no-reboot -monitor none -nic none \
	-L "$build/firmware" -kernel "$build/selftests/$name" \
	-device pcie-root-port,addr=5 -device isa-debug-exit,iobase=0xf4 \
	-chardev stdio,id=out,signal=off -device isa-debugcon,chardev=out < /dev/null 2> "$log" || rc=$?
# The debug-exit device doubles what it is given (END_ in svm_bare_lib.c), and adds one.
case $rc in
33) exit 0 ;;
35) exit 1 ;;
124|137) echo "Bail out! the machine stands still (log: $log)" ;;
*) echo "Bail out! QEMU ended with status $rc: $(tail -n 1 "$log") (log: $log)" ;;
esac
exit 1
