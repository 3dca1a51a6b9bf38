#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot the emulated SEV host and run one command in it as root, or give a shell.
#
#   host.sh [--name LOGNAME] [--timeout SECONDS] DIR COMMAND
#   host.sh --shell DIR
#   host.sh --check DIR COMMAND      only look at the arguments and variables
#
# The command's stdout and stderr are this script's, its exit status too. Other ends:
#   124  the deadline passed            125  the host died or never got to the command
#   126  the command succeeded, but the host's kernel log holds a warning
# The console goes to build/logs/LOGNAME.console, which is named on every failure.
#
# Environment: SMP MEM KERNEL HOST_ARGS MACHINE_ARGS ICOUNT CPU_ARGS PSP_ARGS TIMEOUT (see make help);
# BOOT_TIMEOUT=120: seconds until the host must have come to its init; NO_SEV=1: a machine without
# SEV; QEMU: another binary for the machine; QUIET=1: no word on a status.
# shellcheck disable=SC2054 # commas are part of QEMU's options
set -euo pipefail
. "$(dirname "$0")/../../../../workbench/lib.sh"

name=exec deadline=${TIMEOUT:-600} shell=false check=false
while [ $# -gt 0 ]; do
	case $1 in
	--name) name=$2; shift 2 ;;
	--timeout) deadline=$2; shift 2 ;;
	--check) check=true; shift ;;
	--shell) shell=true; name=shell; shift ;;
	*) break ;;
	esac
done
dir=${1:?host.sh: no folder given}
command=${2:-}

number()
{
	[[ $2 =~ ^[1-9][0-9]*$ ]] || die "$1=$2: not a positive number"
}

smp=${SMP:-2} mem=${MEM:-4G} kernel=${KERNEL:-$build/linux-o/arch/x86/boot/bzImage}
number SMP "$smp"
[ "$smp" -le 64 ] || die "SMP=$smp: the host's kernel takes 64 processors"
number TIMEOUT "$deadline"
[[ $mem =~ ^[1-9][0-9]*[MG]$ ]] || die "MEM=$mem: want a number with M or G, such as 4G"
[ "$(mib "$mem")" -ge 512 ] || die "MEM=$mem: the host needs 512M"
total=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
[ "$(mib "$mem")" -le "$total" ] || die "MEM=$mem: more than this machine has ($total MiB)"
[ -d "$dir" ] || die "DIR=$dir: no such folder"
case ${ICOUNT:-0} in
0) icount=() ;;
1) icount=(-icount "shift=0,sleep=on") ;;
*) die "ICOUNT=$ICOUNT: 0 or 1" ;;
esac

readable()
{
	if [ ! -f "$kernel" ] || [ ! -r "$kernel" ]; then
		die "KERNEL=$kernel: no file that can be read"
	fi
}

if $check; then
	[ -z "${KERNEL:-}" ] || readable
	exit 0
fi
readable

# The machine: an EPYC with what KVM's SEV code needs, and a secure processor.
cpu=EPYC,svm=on,npt=on,nrip-save=on,decodeassists=on,flushbyasid=on,phys-bits=48,irperf=on
# Without these and tsc_early_khz below, guests stall when the machine is busy: see tcg-svm.rst.
cpu+=,invtsc=on,tsc-frequency=1000000000
if [ "${NO_SEV:-0}" = 0 ]; then
	cpu+=,sev-host=on
	psp=(-device "sev-psp${PSP_ARGS:+,$PSP_ARGS}")
else
	psp=()
fi
cpu+=${CPU_ARGS:+,$CPU_ARGS}

need_space "$build" 50
# Two hosts with one name, such as two make exec, must not write one log.
mkdir -p "$(dirname "$logs/$name")"
exec {log_lock}> "$build/.lock-log-${name//\//-}"
flock -n "$log_lock" || name+=.$$
console=$logs/$name.console
work=$(mktemp -d "$build/.host-XXXXXX")
trap 'rm -rf "$work"' EXIT
[ ! -f "$console" ] || mv -f "$console" "$console.old"

args=(-machine q35 -accel tcg,thread=single -cpu "$cpu" -smp "$smp" -m "$mem" "${icount[@]}"
	-pidfile "$work/pid" -nodefaults -no-user-config -nographic -no-reboot -monitor none -nic none
	-L "$build/firmware"
	-kernel "$kernel" -initrd "$build/host-initrd.cpio"
	-append "console=ttyS0 panic=-1 loglevel=7 mitigations=off no_timer_check tsc=reliable tsc_early_khz=1000000 ${HOST_ARGS:-}"
	-drive "file=$build/userland.img,format=raw,if=virtio,readonly=on"
	-virtfs "local,path=${dir//,/,,},mount_tag=dir,security_model=none,readonly=on,multidevs=remap"
	-serial "file:$console"
	-device virtio-serial-pci,max_ports=8)
args+=("${psp[@]}")

port()
{
	args+=(-chardev "$2" -device "virtserialport,chardev=$1,name=$1")
}

port result "file,id=result,path=$work/result"
if $shell; then
	deadline=0
	args+=(-chardev stdio,id=tty,signal=off -device "virtconsole,chardev=tty")
else
	[ ${#command} -lt 60000 ] || die "CMD: longer than 60000 characters"
	printf '%s' "$command" > "$work/command"
	args+=(-fw_cfg "name=opt/memfd-private/command,file=$work/command")
	# The ports write to descriptors of this script: they are this script's stdout and stderr,
	# whatever these are, never opened anew and so never truncated.
	args+=(-add-fd "fd=3,set=1" -add-fd "fd=4,set=2")
	port stdout file,id=stdout,path=/dev/fdset/1,append=on
	port stderr file,id=stderr,path=/dev/fdset/2,append=on
fi
# shellcheck disable=SC2206 # a list of arguments, as the user wrote it
args+=(${MACHINE_ARGS:-})

# End this script's machine, which says who it is in a file that it takes away when it ends. A number that
# is free again may be somebody else's: only a process whose command line has this run's folder is it.
kill_machine()
{
	local pid

	pid=$(cat "$work/pid" 2> /dev/null) || return 0
	! grep -qaF "path=$work/result" "/proc/$pid/cmdline" 2> /dev/null || kill -KILL "$pid"
}

# A host that never gets to its init need not be waited for until the deadline. The watch ends by itself
# and is waited for.
boot_watch()
{
	local left=$((${BOOT_TIMEOUT:-120} * 5))

	while [ ! -e "$work/ended" ] && ! grep -qsx begin "$work/result"; do
		sleep 0.2
		left=$((left - 1))
		[ "$left" -gt 0 ] || { kill_machine; return; }
	done
}

rc=0 start=$SECONDS
boot_watch &
watch=$!
if $shell; then
	"${QEMU:-$build/qemu-o/qemu-system-x86_64}" "${args[@]}" 2> "$logs/$name.qemu" || rc=$?
else
	# The shell's own word on a child that was killed would not be the command's stderr.
	exec {stderr}>&2
	{
		timeout --foreground -k 5 "$deadline" "${QEMU:-$build/qemu-o/qemu-system-x86_64}" "${args[@]}" \
			3>&1 4>&"$stderr" {stderr}>&- < /dev/null > "$logs/$name.qemu" 2>&1
	} 2> /dev/null || rc=$?
fi

touch "$work/ended"
wait "$watch" || true

# What TCG lacks of an EPYC is said at every start, and is never why it failed.
excerpt()
{
	{
		{ grep -v "TCG doesn't support requested feature" "$logs/$name.qemu" || true; } | tail -n 5
		{ tail -n 12 "$console" 2>/dev/null || true; } | tr -d '\r'
	} | cut -c1-200 | sed 's/^/    | /' >&2
}

# The log to read: a QEMU that did not start has no console.
log()
{
	if [ -s "$console" ]; then
		echo "console: $console"
	else
		echo "log: $logs/$name.qemu"
	fi
}

value()
{
	sed -n "s/^$1 //p" "$work/result" 2>/dev/null | head -n "${2:-1}"
}

# SIGKILL comes from a time limit, or from the kernel of this machine.
killed()
{
	[ "$rc" = 137 ] && [ $((SECONDS - start)) -lt "$1" ]
}

if killed "$deadline" && { grep -qsx begin "$work/result" || killed "${BOOT_TIMEOUT:-120}"; }; then
	excerpt
	say FAIL "QEMU was killed (out of memory?) ($(log))"
	exit 125
fi
if ! grep -qsx begin "$work/result"; then
	excerpt
	say FAIL "the host did not boot (QEMU's status $rc, $(log))"
	exit 125
fi
if [ "$rc" = 124 ] || [ "$rc" = 137 ]; then
	excerpt
	say FAIL "the host did not end within $deadline s ($(log))"
	exit 124
fi
if ! grep -qx 'done' "$work/result" 2>/dev/null; then
	excerpt
	say FAIL "the host did not get to the end of the command: $(value error) QEMU's status $rc ($(log))"
	exit 125
fi
status=$(value status)
warnings=$(value warnings)
if [ "${warnings:-0}" != 0 ]; then
	value warning 5 | sed 's/^/    | /' >&2
	say FAIL "$warnings warnings in the host's kernel log (console: $console)"
	[ "$status" != 0 ] || status=126
elif [ "$status" != 0 ] && [ -z "${QUIET:-}" ]; then
	say FAIL "the command's exit status is $status (console: $console)"
fi
exit "$status"
