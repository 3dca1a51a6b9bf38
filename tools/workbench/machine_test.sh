#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the emulated host as a user sees it: what make exec promises, and how bad input ends.
# TAP on stdout.
# shellcheck disable=SC2016 # much here is for the host's shell
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tap.sh"

host=$root/tools/testing/selftests/kvm/qemu/host.sh
tmp=$(mktemp -d "$build/.machine-test-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/dir"
echo "seen through" > "$tmp/dir/file"

# run COMMAND [VAR=VALUE...]: in the host; leaves out, err and status
run()
{
	local command=$1

	shift
	status=0
	env "$@" "$host" --name machine-test --timeout "${limit:-120}" "$tmp/dir" "$command" > "$tmp/out" 2> "$tmp/err" || status=$?
}

is()
{
	[ "$1" = "$2" ] || { echo "got '$1', want '$2'"; cat "$tmp/err"; return 1; }
}

says()
{
	grep -qE "$1" "$tmp/err" || { echo "stderr does not say '$1':"; cat "$tmp/err"; return 1; }
}

# All but the excerpt of logs is one line, and the log that it names is there.
one_line_names_a_log()
{
	local log

	is "$(grep -vc '^    | ' "$tmp/err")" 1 || return 1
	log=$(sed -nE 's/.*(console|log): ([^)]*)\)$/\2/p' "$tmp/err")
	[ -s "$log" ] || { echo "no log '$log'"; cat "$tmp/err"; return 1; }
}

run 'printf "one\ntwo"; echo to-stderr >&2; exit 7'
check "exec: the exit status comes through" is "$status" 7
check "exec: stdout is the command's, to the byte" is "$(cat "$tmp/out"; echo .)" "$(printf 'one\ntwo'; echo .)"
check "exec: stderr holds the command's" says '^to-stderr$'

run 'cat file && ! touch file 2>/dev/null && id -u && echo kernel noise > /dev/kmsg'
check "exec: DIR is visible, read-only, and the command is root" is "$(cat "$tmp/out")" "$(printf 'seen through\n0')"

head -c 3000000 /dev/urandom > "$tmp/dir/big"
run 'cat big'
check "exec: 3 MB of binary output are unharmed" cmp "$tmp/out" "$tmp/dir/big"

run 'kill -SEGV $$'
check "exec: a command killed by a signal gives 128 + signal" is "$status" 139

run 'dd if=/dev/zero of=/dev/null bs=1M count=10 2>/dev/null; nproc; awk "/MemTotal/ { print int(\$2 / 1048576) }" /proc/meminfo; grep -o memfd.test /proc/cmdline' \
	SMP=1 MEM=3G HOST_ARGS=memfd.test
check "exec: SMP, MEM and HOST_ARGS hold" is "$(tr '\n' ' ' < "$tmp/out")" "1 2 memfd.test "

run 'echo "WARNING: CPU: 0 PID: 1 at a test" > /dev/kmsg'
check "exec: a warning in the kernel log fails a command that succeeded" is "$status" 126
check "exec: and is shown" says 'PID: 1 at a test'

limit=20 run 'sleep 1000'
check "exec: a hang ends at the deadline with status 124" is "$status" 124
check "exec: and names the console log" says "console: .*machine-test.console"

head -c 100000 /dev/urandom > "$tmp/kernel"
limit=20 run 'true' KERNEL="$tmp/kernel"
check "exec: a kernel that is none fails" test "$status" = 125
check "exec: with the reason" says "qemu: linux kernel too old"
check "exec: and one line that names the log" one_line_names_a_log

mkdir "$tmp/bin"
printf '#!/bin/sh\nprintf "%%s\\n" head "/dev/x 100 97 3 97%%%% /"\n' > "$tmp/bin/df"
chmod +x "$tmp/bin/df"
run 'true' PATH="$tmp/bin:$PATH"
check "exec: a full disk is named in one line" is "$status$(cat "$tmp/err")" "1host.sh: not enough disk space for $build: 3 MiB free, 50 MiB needed"

limit=60 run 'true' HOST_ARGS=init=/nonexistent\ rdinit=/nonexistent
check "exec: a host that dies before the command fails" test "$status" = 125
check "exec: with the reason" says "Kernel panic"
check "exec: and one line that names the log" one_line_names_a_log

# refused WORDS: the last command failed with one line that holds them
refused()
{
	[ "$status" != 0 ] && [ "$(wc -l < "$tmp/err")" = 1 ] && grep -qF -- "$1" "$tmp/err" && return
	echo "status $status"
	cat "$tmp/err"
	return 1
}

while IFS='|' read -r bad words; do
	run true "$bad" < /dev/null
	check "exec: $bad is refused: $words" refused "$words"
done <<'END'
SMP=x|SMP=x: not a positive number
SMP=65|SMP=65: the host's kernel takes 64 processors
MEM=4|MEM=4: want a number with M or G
MEM=100M|MEM=100M: the host needs 512M
MEM=9999G|MEM=9999G: more than this machine has
ICOUNT=2|ICOUNT=2: 0 or 1
KERNEL=/nonexistent|KERNEL=/nonexistent: no file that can be read
KERNEL=/|KERNEL=/: no file that can be read
END

# The same command executes the same number of instructions, give or take what time of day costs.
measure='od -An -t u8 -j 3221225705 -N 8 /dev/cpu/0/msr'
run "$measure" ICOUNT=1 SMP=1
first=$(tr -d ' \n' < "$tmp/out")
run "$measure" ICOUNT=1 SMP=1
second=$(tr -d ' \n' < "$tmp/out")
check "exec: ICOUNT=1 counts instructions, the same within 0.1 %" \
	awk "BEGIN { a = ${first:-0}; b = ${second:-1}; d = a - b; if (d < 0) d = -d; print a, b; exit !(a > 1000000 && d < a / 1000) }"

# Stock TCG changes processors for a timer only; a kernel that starts the second one waits for minutes.
run 'nproc' ICOUNT=1 SMP=2
check "exec: ICOUNT=1 starts more than one processor" is "$status$(cat "$tmp/out")" "02"

run 'dmesg | grep -oE "SEV enabled \(ASIDs [0-9]+ - [0-9]+\)|SEV API:[0-9.]+ build:[0-9]+" | sort; test -c /dev/sev && echo device'
check "host: our KVM and the stock ccp drive the emulated secure processor" \
	is "$(cat "$tmp/out")" "$(printf 'SEV API:1.55 build:24\nSEV enabled (ASIDs 5 - 8)\ndevice')"

run 'dmesg | grep -c SEV; ls /dev/sev' NO_SEV=1
check "host: without the options there is no SEV" is "$status$(cat "$tmp/out")" "20"

# A shell, as make shell gives it: its terminal is a port of the machine's.
status=0
timeout -k 5 200 "$host" --shell "$tmp/dir" > "$tmp/out" 2> "$tmp/err" <<< 'echo "in $(id -un) $(cat file)"; exit' || status=$?
check "shell: runs what is typed, as root, with DIR at /mnt" grep -q '^in root seen through' "$tmp/out"
check "shell: exit ends the host, with status 0" is "$status" 0

# make's own line comes after the one that counts.
make_refused()
{
	[ "$status" != 0 ] && [ "$(wc -l < "$tmp/err")" -le 2 ] && grep -qF -- "$1" "$tmp/err" && return
	echo "status $status"
	cat "$tmp/err"
	return 1
}

while IFS='|' read -r bad words; do
	# shellcheck disable=SC2086 # words of a command line
	make -s -C "$root" ${bad//TMP/$tmp} > "$tmp/out" 2> "$tmp/err" < /dev/null
	status=$?
	check "make $bad is refused: $words" make_refused "${words//TMP/$tmp}"
done <<'END'
run MEMORY=x|MEMORY=x: private, pinned or both
run MEMORY=private FIRMWARE=4m|FIRMWARE=4m: on private memory the firmware must report
run MEMORY=both FIRMWARE=2m|FIRMWARE=2m: on private memory the firmware must report
run FIRMWARE=x|FIRMWARE=x: 2m, 4m or own
run GUEST_MEM=x|GUEST_MEM=x: want a number with M or G
run GUEST_MEM=64M|GUEST_MEM=64M: the guest needs 256M
run MEMORY=pinned MEM=2G GUEST_MEM=2G|MEM=2G: the host needs GUEST_MEM=2G, which it pins, and 512M
check T=nosuch|T=nosuch: no test's name holds it
shell DIR=/nonexistent|DIR=/nonexistent: no such folder
gdb SMP=x|SMP=x: not a positive number
exec DIR=/nonexistent CMD=true|DIR=/nonexistent: no such folder
exec DIR=TMP/dir|make exec: DIR=<folder> CMD='<command>' are needed
exec DIR=TMP/dir CMD=true TIMEOUT=-1|TIMEOUT=-1: not a positive number
exec DIR=TMP/dir CMD=true ICOUNT=5|ICOUNT=5: 0 or 1
soak N=0|N=0: not a positive number
soak LOAD=2|LOAD=2: 0 or 1
soak PRIVATE=2|PRIVATE=2: 0 or 1
soak PRIVATE=1 N=5|PRIVATE=1 boots each combination once
soak PRIVATE=1 T=mem=3G|T=mem=3G: no boot's spec holds it
soak T=boot|T=boot: only PRIVATE=1 has parts
soak PRIVATE=1 LOAD=1|LOAD=1 is for boots
soak PRIVATE=1 STRESS=1|STRESS=1 and PRIVATE=1
soak STRESS=1 LOAD=1|LOAD=1 is for boots
bench KERNEL=/nonexistent|KERNEL=/nonexistent: no file that can be read
peers KERNEL=/nonexistent|KERNEL=/nonexistent: no file that can be read
discard|make discard: DISCARD=linux, qemu or edk2
discard DISCARD=x|unknown component 'x'
help NOSUCH=1|unknown variable: NOSUCH
END
echo "1..$n"
