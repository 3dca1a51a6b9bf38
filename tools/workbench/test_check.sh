# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of check.sh: which jobs it leaves behind, and what it makes of their results. The jobs are lines of
# shell in a list of the test's own. Sourced by workbench_test.sh, which finds the functions by their names.

# job NAME KIND COMMAND: a line of the list
job()
{
	echo "$1 | $2 | machine | 60 | $3" >> "$work/jobs"
	export TESTS=$work/jobs
}

# gone PID...: the processes end within ten seconds
gone()
{
	local pid i

	for pid; do
		for ((i = 0; i < 100; i++)); do
			[[ $(ps -o stat= -p "$pid") =~ ^(Z.*)?$ ]] && break
			sleep 0.1
		done
		[ $i -lt 100 ] || fail "process $pid is left: $(ps -o args= -p "$pid")"
	done
}

test_an_interrupted_check_takes_its_jobs_along()
{
	local check rc signal

	# A child in the background, one that ends at nothing but SIGKILL, and one behind a time limit of its own.
	job children plain "sleep 322 & echo \$! > $work/one; (trap '' TERM; echo \$BASHPID > $work/two; while :; do sleep 0.2; done) & timeout 300 bash -c 'echo \$\$ > $work/three; sleep 323; :'"
	for signal in INT TERM; do
		rm -f one two three
		env --default-signal=INT "$workbench/check.sh" > "$work/out" 2>&1 &
		check=$!
		until [ -s one ] && [ -s two ] && [ -s three ]; do sleep 0.1; done
		kill -$signal "$check"
		rc=0
		wait "$check" || rc=$?
		cat "$work/out"
		same "$rc" "$([ $signal = INT ] && echo 130 || echo 143)"
		# shellcheck disable=SC2046 # a number each
		gone $(cat one two three)
	done
}

test_a_second_check_waits_for_the_first()
{
	local first second i

	job hold plain "touch $work/begun; until [ -e $work/go ]; do sleep 0.1; done; touch $work/done"
	run check > "$work/first" 2>&1 &
	first=$!
	until [ -e begun ]; do sleep 0.1; done
	TESTS=$work/after
	echo "after | plain | machine | 60 | test -e $work/done" > "$TESTS"
	run check > "$work/second" 2>&1 &
	second=$!
	for ((i = 0; i < 100; i++)); do
		! grep -q "WAIT .*lock-check" second || break
		sleep 0.1
	done
	[ ! -s "$root/build/logs/check/after.result" ] || fail "it did not wait"
	touch go
	wait "$first"
	wait "$second" || { cat second; fail "the second ran beside the first"; }
	same "$(grep -c '^bad' "$root/build/logs/check/SUMMARY" || true)" 0
	same "$(tail -n 1 first)$(tail -n 1 second)" "1 passed, 0 failed, 0 skipped1 passed, 0 failed, 0 skipped"
}

test_check_counts_what_jobs_say()
{
	job good tap "printf '1..2\nok 1 - a\nok 2 - b # SKIP no reason\n'"
	job short tap "printf '1..2\nok 1 - a\n'"
	job wrong tap "printf '1..1\nnot ok 1 - a\n'; exit 1"
	job dies tap "printf '1..1\nok 1 - a\n'; exit 3"
	job silent tap true
	job plain plain "exit 4"
	! run check > out 2>&1 || fail "it passed"
	cat out
	same "$(grep -cE '^PASS (good:a|short:a|dies:a)$' out)" 3
	grep -q '^SKIP good:b (no reason)$' out
	grep -q '^FAIL short (1 of 2 planned tests gave a result, log: ' out
	grep -q '^FAIL wrong:a (log: ' out
	grep -q '^FAIL dies (status 3, log: ' out
	grep -q '^FAIL silent (no plan, log: ' out
	grep -q '^FAIL plain (status 4, log: ' out
	same "$(tail -n 1 out)" "3 passed, 5 failed, 1 skipped"
	same "$(grep -c '^bad ' "$root/build/logs/check/SUMMARY")" 6
	T=nosuch refuses "T=nosuch: no test.s name holds it" check
}

test_check_looks_at_memory_first()
{
	export MP_MEMINFO=$work/meminfo
	printf 'MemTotal:        6291456 kB\nMemAvailable:    6000000 kB\n' > meminfo
	job small plain true
	echo "large | plain | debug | 60 | true" >> "$work/jobs"
	refuses "make check needs 8 GiB of memory, this machine has 6144 MiB" check --check
	T=large refuses "make check needs 8 GiB" check
	[ ! -e "$root/build/logs/check" ] || fail "it began"
	T=small run check
	echo 'MemTotal:        7900000 kB' > meminfo
	run check --check
}
