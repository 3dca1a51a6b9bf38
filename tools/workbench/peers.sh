#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run KVM selftests that are not ours, unmodified, in the emulated host: those of the pinned 6.1, which
# must end on our kernel as on the stock one, and those of the pinned 6.12, built with the headers of
# 6.12, whose programs of private memory must pass. TAP on standard output.
#
#   peers.sh private               6.12's programs of private memory and SEV types on our kernel
#   peers.sh compare [PATTERN]     both suites on the stock kernel and on ours, or the programs whose
#                                  name holds PATTERN; table in build/report/peers.txt
#   peers.sh --check [PATTERN]     only look at the variables, and at PATTERN if the suites' sources are there
#
# What is left out, run with arguments, or known to end otherwise is said in
# tools/testing/selftests/kvm/qemu/peers.list, with the reason.
#
# On the stock kernel 6.12's library would skip everything, since it makes even plain memslots with an
# ioctl of 6.8; there peers-region2.c stands in for that ioctl.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/import.sh"

bench=$root/tools/workbench
platform=$root/tools/testing/selftests/kvm/qemu
peers=$build/peers run=$build/peers/run results=$build/peers/results
limit=300
jobs=${J:-$(nproc)}
export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache} CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
export LC_ALL=C

# What 6.12's library and headers are built from.
parts=(Makefile 'scripts/*' 'include/*' 'usr/include/*' 'arch/x86/Makefile*' 'arch/x86/entry/syscalls/*'
	'arch/x86/include/*' 'arch/x86/tools/*' 'arch/x86/boot/*' 'tools/arch/x86/*' 'tools/build/*'
	'tools/include/*' 'tools/lib/*' 'tools/scripts/*' 'tools/testing/selftests/lib.mk'
	'tools/testing/selftests/*.h' 'tools/testing/selftests/kvm/*' 'tools/testing/selftests/rseq/*')

# The programs of 6.12 that are about private memory and the VM types that have it, and the arguments
# of more runs of them.
private=(guest_memfd_test set_memory_region_test pre_fault_memory_test x86_64/private_mem_conversions_test
	x86_64/private_mem_kvm_exits_test x86_64/sev_init2_tests x86_64/sev_smoke_test)
more_private=('x86_64/private_mem_conversions_test -n 2 -m 4 -s anonymous_thp')

# ---- building

source_6_12()
{
	local file tree=$peers/linux-6.12

	file=$("$bench/fetch.sh" linux-6.12)
	[ "$(cat "$tree/.pin" 2>/dev/null)" != "$(basename "$file")" ] || return 0
	rm -rf "$peers"/linux-6.12* "$peers/headers-6.12" "$run/6.12"
	mkdir -p "$peers"
	unpack "$file" "$tree.tmp" "${parts[@]}" > "$logs/peers-source.log" 2>&1 ||
		die "cannot unpack $file: see $logs/peers-source.log"
	basename "$file" > "$tree.tmp/.pin"
	mv "$tree.tmp" "$tree"
}

headers_6_12()
{
	[ ! -f "$peers/headers-6.12/.done" ] || return 0
	"$bench/step.sh" "headers of 6.12" peers-headers make -C "$peers/linux-6.12" O="$peers/linux-6.12-o" \
		INSTALL_HDR_PATH="$peers/headers-6.12" headers_install
	touch "$peers/headers-6.12/.done"
}

# build_set SET TREE HEADERS [TARGET...]: a suite by its own makefile, beside its tree.
build_set()
{
	local set=$1 tree=$2 headers=$3 flags=()

	shift 3
	# The makefile of 6.1.192 does not get through its own tree: steal_time.c lacks an include, and
	# dirty_log_test.c says by its later name what the library calls ASSERT_EQ.
	[ "$set" != 6.1 ] || flags=(EXTRA_CFLAGS="-include linux/stddef.h -DTEST_ASSERT_EQ=ASSERT_EQ")
	mkdir -p "$run/$set"
	"$bench/step.sh" "selftests of $set" "peers-$set" make -j"$jobs" -C "$tree/tools/testing/selftests/kvm" \
		OUTPUT="$run/$set" ARCH=x86_64 CC='ccache gcc' "${flags[@]}" KHDR_INCLUDES="-isystem $headers/include" "$@"
}

build_6_12()
{
	source_6_12
	headers_6_12
	build_set 6.12 "$peers/linux-6.12" "$peers/headers-6.12" "$@"
	cp "$platform/peers-run.sh" "$run/"
}

build_6_1()
{
	"$bench/build.sh" stock
	build_set 6.1 "$build/stock/linux" "$build/stock/headers"
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$run/region2.so" "$platform/peers-region2.c"
}

# The programs of a suite, in its makefile's order.
programs()
{
	local set=$1 tree=$2

	sed -n "s|^TEST_GEN_PROGS_x86_64 +\{0,1\}= |$set/|p" "$tree/tools/testing/selftests/kvm/Makefile"
}

list_programs()
{
	mkdir -p "$results"
	programs 6.1 "$build/linux" > "$results/6.1.all"
	programs 6.12 "$peers/linux-6.12" > "$results/6.12.all"
}

# Dies when no program's name holds the pattern.
need_program()
{
	cat "$results/6.1.all" "$results/6.12.all" | grep -qF -- "$pattern" || die "T=$pattern: no program's name holds it"
}

check()
{
	local tree

	"$platform/host.sh" --check "$root" true
	for tree in "$build/linux" "$peers/linux-6.12"; do
		[ -f "$tree/tools/testing/selftests/kvm/Makefile" ] || return 0
	done
	list_programs
	need_program
}

# ---- the list of exceptions: PROGRAM | WHAT | REASON

# The second field for a program when it begins with the word $2, without that word.
exception()
{
	awk -F' *[|] *' -v program="$1" -v word="$2" '
		$1 == program && ($2 == word || index($2, word " ") == 1) { print substr($2, length(word) + 2); found = 1 }
		END { exit !found }' "$platform/peers.list"
}

reason()
{
	awk -F' *[|] *' -v program="$1" '$1 == program { print $3 }' "$platform/peers.list" | head -n 1
}

# Programs on standard input, with the arguments that they are run with, less those that are left out.
to_run()
{
	local program

	while read -r program; do
		[[ $program == *$pattern* ]] || continue
		exception "$program" leave > /dev/null || echo "$program $(exception "$program" run || true)"
	done
}

# ---- running

# One host: run the lines of the file $3 on a kernel, and append to the file $4 how each ended.
one_host()
{
	local name=$1 kernel=$2 list=$3 ended=$4 preload=$5 out=$logs/peers/$1.out

	KERNEL=$kernel QUIET=1 "$platform/host.sh" --name "peers/$name" --timeout $((120 + $(wc -l < "$list") * (limit + 10))) \
		"$run" "PRELOAD=$preload bash peers-run.sh $limit <<'END'
$(cat "$list")
END" > "$out" 2>> "$logs/peers/$name.log" || true
	awk '$1 == "begin" { running = $2 } $1 == "end" { print $2, $3, $4; running = "" }
		END { if (running) print running, "DIED", 0 }' "$out" >> "$ended"
	grep -q '^begin ' "$out"
}

# run_list NAME KERNEL PRELOAD < LIST: all of a list, in as many hosts as it takes. A program that takes
# the host with it is the last of its host; the next host goes on after it.
run_list()
{
	local name=$1 kernel=$2 preload=$3 todo=$results/$1.todo ended=$results/$1

	cat > "$todo.all"
	: > "$ended"
	: > "$logs/peers/$name.log"
	while tail -n +$(($(wc -l < "$ended") + 1)) "$todo.all" > "$todo" && [ -s "$todo" ]; do
		one_host "$name" "$kernel" "$todo" "$ended" "$preload" ||
			die "the host did not come to its first program (log: $logs/peers/$name.log)"
	done
}

ended()
{
	awk -v program="$2" '$1 == program { print $2 }' "$results/$1" 2>/dev/null | tail -n 1
}

# ---- verdicts

number=0 passed=0 failed=0 left=0

tap()
{
	local word=$1 text=$2

	number=$((number + 1))
	echo "$word $number - $text"
	case $word$text in
	ok*'# SKIP'*) left=$((left + 1)) ;;
	ok*) passed=$((passed + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
}

# What a program said before its end.
last_words()
{
	sed -n "\|^=== $2\( .*\)*$|,\|^=== |p" "$logs/peers/$1.log" | { grep -v '^===' || true; } | tail -n 6 | cut -c1-160 | sed 's/^/# /'
}

is_private()
{
	local program

	for program in "${private[@]}"; do
		[ "6.12/$program" != "$1" ] || return 0
	done
	return 1
}

# Both kernels agree about a program, or the list says why they do not.
agreed()
{
	local program=$1 stock=$2 ours=$3 known

	if exception "$program" warns > /dev/null; then
		stock=${stock%+warning} ours=${ours%+warning}
	fi
	if is_private "$program"; then
		[ "$ours" = PASS ]
	elif known=$(exception "$program" differs); then
		[ "$known" = "$stock $ours" ]
	elif known=$(exception "$program" fails); then
		[ "$known" = "$stock" ] && [ "$stock" = "$ours" ]
	else
		[ "$stock" = "$ours" ] && [[ $stock =~ ^(PASS|SKIP)$ ]]
	fi
}

run_private()
{
	local line ours list=$results/private.list

	build_6_12 "${private[@]/#/$run/6.12/}"
	printf '6.12/%s\n' "${private[@]}" "${more_private[@]}" > "$list"
	run_list private "$build/linux-o/arch/x86/boot/bzImage" '' < "$list"
	echo "1..$(wc -l < "$list")"
	while read -r line <&8 && read -r _ ours _ <&9; do
		if [ "$ours" = PASS ]; then
			tap ok "$line"
		else
			last_words private "$line"
			tap 'not ok' "$line: $ours"
		fi
	done 8< "$list" 9< "$results/private"
}

# The two kernels side by side, one processor each.
run_both()
{
	local name=$1 list=$2 preload=$3 pid

	run_list "$name-stock" "$build/stock/linux-o/arch/x86/boot/bzImage" "$preload" < "$list" &
	pid=$!
	run_list "$name-ours" "$build/linux-o/arch/x86/boot/bzImage" '' < "$list"
	wait "$pid"
}

# Results that differ may differ by chance: emulation is slow, and some programs look at clocks. They are
# run once more, alone; the second result counts, and the table shows both.
run_again()
{
	local set=$1 preload=$2 list=$results/$1.again program arguments

	while read -r program arguments; do
		agreed "$program" "$(ended "$set-stock" "$program")" "$(ended "$set-ours" "$program")" ||
			echo "$program $arguments"
	done < "$results/$set.list" > "$list"
	[ ! -s "$list" ] || run_both "$set-again" "$list" "$preload"
}

compare_set()
{
	local set=$1 preload=$2

	to_run < "$results/$set.all" > "$results/$set.list"
	[ -s "$results/$set.list" ] || return 0
	rm -f "$results/$set-"*
	say RUN "$(wc -l < "$results/$set.list") programs of $set on the stock kernel and on ours"
	run_both "$set" "$results/$set.list" "$preload"
	run_again "$set" "$preload"
}

report_program()
{
	local program=$1 set=${1%%/*} stock ours note

	note=$(reason "$program")
	if exception "$program" leave > /dev/null; then
		tap ok "$program # SKIP $note"
		printf '%-52s %-18s %-18s %s\n' "$program" - - "left out: $note" >> "$table"
		return
	fi
	for from in "$set" "$set-again"; do
		[ -n "$(ended "$from-ours" "$program")" ] || continue
		stock=$(ended "$from-stock" "$program") ours=$(ended "$from-ours" "$program")
		printf '%-52s %-18s %-18s %s\n' "$program" "$stock" "$ours" "$note" >> "$table"
	done
	if agreed "$program" "$stock" "$ours"; then
		tap ok "$program: $ours"
	else
		last_words "$from-ours" "$program"
		tap 'not ok' "$program: stock $stock, ours $ours"
	fi
}

run_compare()
{
	local program

	source_6_12
	list_programs
	need_program
	build_6_12
	build_6_1
	compare_set 6.1 ''
	compare_set 6.12 region2.so
	table=$build/report/peers.txt
	mkdir -p "$build/report"
	printf '%-52s %-18s %-18s %s\n' program stock ours remark > "$table"
	cat "$results"/6.1.all "$results"/6.12.all | while read -r program; do
		[[ $program != *$pattern* ]] || echo "$program"
	done > "$results/all"
	echo "1..$(wc -l < "$results/all")"
	while read -r program <&9; do
		report_program "$program"
	done 9< "$results/all"
	say REPORT "$table"
}

pattern=
case ${1:-} in compare|--check) pattern=${2:-} ;; esac
if [ "${1:-}" = --check ]; then
	check
	exit
fi
lock peers
mkdir -p "$run" "$results" "$logs/peers"
case ${1:-} in
private) run_private ;;
compare) run_compare ;;
*) die "usage: peers.sh private|compare" ;;
esac
echo "# $passed agree or pass, $failed do not, $left left out"
[ "$failed" = 0 ] && [ "$number" -gt 0 ]
