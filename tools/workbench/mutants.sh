#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Show that tests can fail: take one rule at a time out of the kernel, build it, and run the test that
# must notice. A mutant that survives is a failure. Prints TAP.
#
#   mutants.sh [--check]  T=PATTERN: only mutants whose name holds PATTERN. --check: only look at T
#
# A mutant is a patch in tools/workbench/mutants, relative to the kernel tree. Lines before its diff say
# what is lost and what must fail:
#
#   Kernel: fast|debug    which kernel is built
#   Test: COMMAND         run in the emulated host, in the folder of built tests
#   Args: ...             more kernel command line for the host, optional
#   Sign: REGEX           optional: what the host's kernel log holds where the kernel itself notices
#
# A mutant is caught when its test says "not ok", or when the command fails and the kernel log has the
# mutant's sign. Nothing else counts: a host that does not boot, a deadline or a test that is not there
# says nothing about a rule. And the test must be one that passes otherwise: each runs first on the
# kernel that has all its rules (the control), where the sign must not be either.
#
# The kernel tree is changed in place, with its lock held, and put back: a build elsewhere would have to
# begin from nothing. Output goes to copies of the output folders.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/compile_env.sh"

# Putting the tree back is a checkout: what is not committed there would go with the mutant.
[ "${DIRTY:-0}" = 0 ] || die "DIRTY=1: mutants change the tree and put it back, which loses what is not committed in it"

mutants=$root/tools/workbench/mutants
host=$root/tools/testing/selftests/kvm/qemu/host.sh
tree=$build/linux
dir=$logs/mutants
changed=$dir/.changed
n=0 failed=0
# How the last test ended; the log's name of each control that passed, by its test.
rc=0
declare -A control=()
# What a user set for another command must not change what is tested.
unset SMP MEM KERNEL HOST_ARGS MACHINE_ARGS CPU_ARGS ICOUNT TIMEOUT NO_SEV QEMU

field()
{
	sed -n "1,/^--- /s/^$1: *//p" "$2" | head -n 1
}

mapfile -t list < <(find "$mutants" -name "*${T:-}*.patch" | sort)
[ ${#list[@]} -gt 0 ] || die "T=${T:-}: no mutant's name holds it (see $mutants)"
for patch in "${list[@]}"; do
	[[ $(field Kernel "$patch") =~ ^(fast|debug)$ ]] || die "$patch: Kernel: fast or debug"
	[ -n "$(field Test "$patch")" ] || die "$patch: no Test:"
done
[ "${1:-}" != --check ] || exit 0

# A link to a file of ours becomes a copy of it for the while.
mutate()
{
	local path

	sed -n 's|^+++ b/||p' "$1" > "$changed"
	while read -r path; do
		[ ! -L "$tree/$path" ] || cp --remove-destination "$(realpath "$tree/$path")" "$tree/$path" || return 1
	done < "$changed"
	patch -s -F0 -p1 -d "$tree" < "$1"
}

restore()
{
	local path

	[ -f "$changed" ] || return 0
	while read -r path; do
		if git -C "$tree" ls-files --error-unmatch "$path" > /dev/null 2>&1; then
			git -C "$tree" checkout -q -- "$path"
		else
			ln -sf "$(realpath -m --relative-to="$(dirname "$tree/$path")" "$root/$path")" "$tree/$path"
		fi
		# What was built from the mutant is newer than the file of ours.
		touch -c "$root/$path" "$tree/$path"
		rm -f "$tree/$path.orig" "$tree/$path.rej"
	done < "$changed"
	rm -f "$changed"
}
trap restore EXIT
trap 'exit 130' INT TERM

# out KERNEL: the output folder of the kernel with all its rules; out KERNEL mut-: of mutants.
out()
{
	case $1 in
	fast) echo "$build/linux-${2:-}o" ;;
	debug) echo "$build/linux-dbg-${2:-}o" ;;
	esac
}

# The copy follows the configuration of what it was copied from.
build_kernel()
{
	local from to

	from=$(out "$1") to=$(out "$1" mut-)
	if [ ! -d "$to" ]; then
		rm -rf "$to.new"
		cp -a "$from" "$to.new" && mv "$to.new" "$to" || return 1
	fi
	cmp -s "$from/.config" "$to/.config" || cp "$from/.config" "$to/.config" || return 1
	make -C "$tree" O="$to" CC='ccache gcc' LOCALVERSION= -j"${J:-$(nproc)}" bzImage
}

# Run the mutant's test on the kernel in OUT. KUnit's suites run before the host's init does.
run_test()
{
	local patch=$1 name=$2 out=$3 mem=4G deadline=900

	[ "$(field Kernel "$patch")" = fast ] || mem=6G deadline=1500
	rm -f "$logs/mutants/$name.console"
	rc=0
	KERNEL=$out/arch/x86/boot/bzImage MEM=$mem HOST_ARGS=$(field Args "$patch") BOOT_TIMEOUT=700 QUIET=1 \
		"$host" --name "mutants/$name" --timeout "$deadline" "$build/selftests" "$(field Test "$patch")" \
		> "$dir/$name.log" 2>&1 || rc=$?
}

# The first line of FILE that REGEX matches, short.
first()
{
	grep -aE -m 1 -e "$1" "$2" 2> /dev/null | tr -d '\r' | sed 's/^ *//' | cut -c1-100
}

# Why the run NAME ended as it did.
last_word()
{
	{ first '^not ok ' "$dir/$1.log" || first '^ *FAIL ' "$dir/$1.log" || tail -n 1 "$dir/$1.log"; } | head -n 1 | cut -c1-120
}

# The kernel's own word, if the mutant names one.
sign()
{
	local sign

	sign=$(field Sign "$1")
	[ -z "$sign" ] || first "$sign" "$logs/mutants/$2.console"
}

result()
{
	n=$((n + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $n - $2"
}

# A test is one for a kernel and a command line.
key()
{
	echo "$(field Kernel "$1") $(field Args "$1") $(field Test "$1")"
}

why_not_control()
{
	if [ "$rc" != 0 ]; then
		echo "status $rc: $(last_word "$1")"
	elif [ -n "$(first '^ok .*# *SKIP' "$dir/$1.log")" ]; then
		echo "it skips something"
	elif [ -z "$(first '^ok ' "$dir/$1.log")" ]; then
		echo "it gives no result"
	fi
}

# The test passes where the rule is.
run_control()
{
	local patch=$1 key=$2 name why

	name=control-$(basename "$patch" .patch)
	run_test "$patch" "$name" "$(out "$(field Kernel "$patch")")"
	why=$(why_not_control "$name")
	control[$key]=$name
	if [ -n "$why" ]; then
		control[$key]=''
		result "not ok" "control: $key: $why (log: $dir/$name.log)"
	else
		result ok "control: $key"
	fi
}

judge()
{
	local patch=$1 name=$2 said seen

	said=$(first '^not ok ' "$dir/$name.log")
	seen=$(sign "$patch" "$name")
	if [ -n "$said" ] && [ "$rc" != 0 ]; then
		result ok "$name is caught ($said)"
	elif [ -n "$seen" ] && [ "$rc" != 0 ]; then
		result ok "$name is caught (status $rc, the kernel: $seen)"
	elif [ "$rc" = 0 ]; then
		result "not ok" "$name survives (log: $dir/$name.log)"
	else
		result "not ok" "$name: no verdict, status $rc: $(last_word "$name") (log: $dir/$name.log)"
	fi
}

run_mutant()
{
	local patch=$1 name=$2 kernel

	kernel=$(field Kernel "$patch")
	if ! mutate "$patch" > "$dir/$name.build" 2>&1 || ! build_kernel "$kernel" >> "$dir/$name.build" 2>&1; then
		result "not ok" "$name: no kernel (log: $dir/$name.build)"
	else
		run_test "$patch" "$name" "$(out "$kernel" mut-)"
		judge "$patch" "$name"
	fi
	restore
}

one()
{
	local patch=$1 name key

	name=$(basename "$patch" .patch) key=$(key "$patch")
	[ -n "${control[$key]+run}" ] || run_control "$patch" "$key"
	if [ -z "${control[$key]}" ]; then
		result "not ok" "$name: no verdict, its test fails where the rule is"
	elif [ -n "$(sign "$patch" "${control[$key]}")" ]; then
		result "not ok" "$name: no verdict, its sign is there where the rule is"
	else
		run_mutant "$patch" "$name"
	fi
}

"$(dirname "$0")/tree.sh" linux || exit 1
lock tree-linux
rm -rf "$dir"
mkdir -p "$dir"
echo "1..$((${#list[@]} + $(for patch in "${list[@]}"; do key "$patch"; done | sort -u | wc -l)))"
for patch in "${list[@]}"; do
	one "$patch"
done
echo "$((n - failed)) passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
