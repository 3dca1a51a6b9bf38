# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of mutants.sh: what counts as caught, what does not, and that the tree is put back. The "kernel" is two
# source files in one, the "host" runs the command here, with RULE=1 when the kernel has line_5, and CONSOLE, its
# kernel log. Sourced by workbench_test.sh, which finds the functions by their names.

# shellcheck disable=SC2016 # commands for the host, in single quotes

write_fake_make()
{
	mkdir -p "$work/bin"
	cat > "$work/bin/make" <<-'END'
		#!/bin/bash
		while [ $# -gt 0 ]; do
			case $1 in
			-C) tree=$2; shift ;;
			O=*) out=${1#O=} ;;
			esac
			shift
		done
		mkdir -p "$out/arch/x86/boot"
		cat "$tree/mm/a.c" "$tree/mm/ours.c" > "$out/arch/x86/boot/bzImage"
	END
	chmod +x "$work/bin/make"
	PATH=$work/bin:$PATH
}

write_fake_host()
{
	local dir=$root/tools/testing/selftests/kvm/qemu

	mkdir -p "$dir" "$root/build/selftests"
	cat > "$dir/host.sh" <<-'END'
		#!/bin/bash
		export CONSOLE=$MP_BUILD/logs/$2.console RULE=0
		! grep -q "line_5;" "$KERNEL" || RULE=1
		exec bash -c "$6"
	END
	chmod +x "$dir/host.sh"
}

# mutant NAME TEST [SIGN]: line_5 goes.
mutant()
{
	mkdir -p "$root/tools/workbench/mutants"
	{
		printf 'A rule.\n\nKernel: fast\nTest: %s\n%s\n' "$2" "${3:+Sign: $3}"
		printf -- '--- a/mm/a.c\n+++ b/mm/a.c\n@@ -4,3 +4,2 @@\n int line_4;\n-int line_5;\n int line_6;\n'
	} > "$root/tools/workbench/mutants/$1.patch"
}

# Run all mutants: status $1, and a line of result that matches each of the rest.
mutants_end()
{
	local want=$1 rc=0 line

	shift
	write_fake_make
	write_fake_host
	make -C "$linux" O="$root/build/linux-o"
	touch "$root/build/linux-o/.config"
	run mutants > "$work/out" 2>&1 || rc=$?
	cat "$work/out"
	same "$rc" "$want"
	for line in "$@"; do
		grep -qE "$line" "$work/out" || fail "no line '$line'"
	done
	same "$(git -C "$linux" status --porcelain)" ""
	run tree linux
}

failing='echo "ok 1 - a"; [ $RULE = 1 ] || { echo "not ok 2 - b"; exit 1; }'

test_a_mutant_is_caught_by_a_test_that_fails()
{
	mutant 01-one "$failing"
	mutant 02-two "$failing"
	mutants_end 0 '^1\.\.3$' '^ok 1 - control: fast' '^ok 2 - 01-one is caught \(not ok 2 - b\)' \
		'^ok 3 - 02-two is caught' '^3 passed, 0 failed'
}

test_a_mutant_of_a_file_of_ours_leaves_it_as_it_was()
{
	local before

	before=$(sha256sum < "$root/mm/ours.c")
	mutant 01-ours 'echo "ok 1 - a"; grep -q theirs "$KERNEL" || exit 0; echo "not ok 1 - a"; exit 1'
	sed -i '/^---/,$d' "$root/tools/workbench/mutants/01-ours.patch"
	printf -- '--- a/mm/ours.c\n+++ b/mm/ours.c\n@@ -1,2 +1,2 @@\n // SPDX-License-Identifier: GPL-2.0-only\n-int ours;\n+int theirs;\n' \
		>> "$root/tools/workbench/mutants/01-ours.patch"
	mutants_end 0 '^ok 2 - 01-ours is caught'
	[ -L "$linux/mm/ours.c" ] || fail "the link is gone"
	same "$(sha256sum < "$root/mm/ours.c")" "$before"
}

test_a_mutant_that_nobody_notices_survives()
{
	mutant 01-one 'echo "ok 1 - a"'
	mutants_end 1 '^not ok 2 - 01-one survives' '^1 passed, 1 failed'
}

test_a_mutant_is_not_caught_by_a_host_that_does_not_boot()
{
	mutant 01-boot 'echo "ok 1 - a"; [ $RULE = 1 ] || exit 125'
	mutant 02-time 'echo "ok 1 - a"; [ $RULE = 1 ] || exit 124'
	mutant 03-none 'echo "ok 1 - a"; [ $RULE = 1 ] || exit 127'
	mutant 04-warn 'echo "ok 1 - a"; [ $RULE = 1 ] || exit 126'
	mutants_end 1 '^not ok 2 - 01-boot: no verdict, status 125' '^not ok 4 - 02-time: no verdict, status 124' \
		'^not ok 6 - 03-none: no verdict, status 127' '^not ok 8 - 04-warn: no verdict, status 126'
}

test_a_mutant_is_caught_by_its_sign_in_the_kernel_log()
{
	mutant 01-sign 'echo "ok 1 - a"; [ $RULE = 1 ] || { echo "BUG: KASAN: x" > "$CONSOLE"; exit 126; }' 'BUG: KASAN'
	mutant 02-other 'echo "ok 1 - a"; [ $RULE = 1 ] || { echo "WARNING: y" > "$CONSOLE"; exit 126; }' 'BUG: KASAN'
	mutant 03-always 'echo "ok 1 - a"; echo "BUG: KASAN" > "$CONSOLE"; [ $RULE = 1 ] || exit 126' 'BUG: KASAN'
	mutants_end 1 '^ok 2 - 01-sign is caught \(status 126, the kernel: BUG: KASAN: x\)' \
		'^not ok 4 - 02-other: no verdict' '^not ok 6 - 03-always: no verdict, its sign is there'
}

test_a_mutant_needs_a_test_that_passes_otherwise()
{
	mutant 01-fails 'echo "not ok 1 - a"; exit 1'
	mutant 02-skips '[ $RULE = 1 ] && { echo "ok 1 - a # SKIP no"; exit 0; }; echo "not ok 1 - a"; exit 1'
	mutant 03-silent '[ $RULE = 1 ] && exit 0; echo "not ok 1 - a"; exit 1'
	mutants_end 1 '^not ok 1 - control: .*status 1: not ok 1 - a' '^not ok 2 - 01-fails: no verdict' \
		'^not ok 3 - control: .*it skips' '^not ok 5 - control: .*it gives no result' '^0 passed, 6 failed'
}

test_a_mutant_that_does_not_apply_is_no_kernel()
{
	mutant 01-drift "$failing"
	sed -i 's/line_4/line_44/' "$root/tools/workbench/mutants/01-drift.patch"
	mutants_end 1 '^ok 1 - control' '^not ok 2 - 01-drift: no kernel'
}

test_mutants_refuses_a_pattern_before_it_builds()
{
	mutant 01-one "$failing"
	rm -rf "$root/build"
	T=none refuses "T=none: no mutant" mutants
	T=none refuses "T=none: no mutant" mutants --check
	[ ! -e "$root/build" ] || fail "something was built"
	T=one run mutants --check
}
