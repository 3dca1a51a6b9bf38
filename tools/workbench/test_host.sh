# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of what host.sh makes of a machine's end, with a QEMU that is a few lines of shell. Sourced by
# workbench_test.sh, which finds the functions by their names.

# machine LINE...: what QEMU does. $result is where the host's init would write.
machine()
{
	{
		# shellcheck disable=SC2016 # the text of a script
		printf '%s\n' '#!/bin/bash' 'result=$(echo " $* " | sed "s/.* file,id=result,path=\([^ ]*\) .*/\1/")' "$@"
	} > "$work/qemu"
	chmod +x "$work/qemu"
	touch "$work/kernel"
	export QEMU=$work/qemu KERNEL=$work/kernel
}

# ends STATUS WORDS ARGUMENT...: the status of host.sh, and what the one line says that is no excerpt of a log
ends()
{
	local want=$1 words=$2 rc=0

	shift 2
	"$workbench/../testing/selftests/kvm/qemu/host.sh" "$@" "$work" true > "$work/out" 2> "$work/err" || rc=$?
	cat "$work/err"
	same "$rc" "$want"
	same "$(grep -vc '^    | ' "$work/err")" 1
	grep -qE "$words" "$work/err" || fail "it does not say: $words"
}

# shellcheck disable=SC2016 # the text of scripts
test_a_machine_that_is_killed_is_no_deadline()
{
	machine 'echo begin > $result' 'kill -KILL $$'
	ends 125 'FAIL +QEMU was killed \(out of memory\?\) \(log: .*/logs/exec.qemu\)' --timeout 30
	machine 'kill -KILL $$'
	ends 125 'FAIL +QEMU was killed' --timeout 30
	machine 'echo no such option >&2; exit 1'
	ends 125 'FAIL +the host did not boot \(QEMU.s status 1, log: .*/logs/exec.qemu\)' --timeout 30
	machine 'echo begin > $result' 'exec sleep 60'
	ends 124 'FAIL +the host did not end within 1 s' --timeout 1
	machine 'trap "" TERM' 'echo begin > $result' 'while :; do sleep 0.1; done'
	ends 124 'FAIL +the host did not end within 1 s' --timeout 1
}
