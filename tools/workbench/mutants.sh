#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Show that tests can fail: take one rule at a time out of the kernel, build it, and run the test that
# must notice. A mutant that survives is a failure. Prints TAP.
#
#   mutants.sh            T=PATTERN: only mutants whose name holds PATTERN
#
# A mutant is a patch in tools/workbench/mutants, relative to the kernel tree. Lines before its diff say
# what is lost and what must fail:
#
#   Kernel: fast|debug    which kernel is built
#   Test: COMMAND         run in the emulated host, in the folder of built tests
#   Args: ...             more kernel command line for the host, optional
#
# The kernel tree is changed in place, with its lock held, and put back: a build elsewhere would have to
# begin from nothing. Output goes to copies of the output folders.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/compile_env.sh"

mutants=$root/tools/workbench/mutants
host=$root/tools/testing/selftests/kvm/qemu/host.sh
tree=$build/linux
dir=$logs/mutants
changed=$dir/.changed

field()
{
	sed -n "1,/^--- /s/^$1: *//p" "$2" | head -n 1
}

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

build_kernel()
{
	local from=$build/linux-o out=$build/linux-mut-o

	[ "$1" = fast ] || from=$build/linux-dbg-o out=$build/linux-dbg-mut-o
	[ -d "$out" ] || cp -a "$from" "$out"
	make -C "$tree" O="$out" CC='ccache gcc' LOCALVERSION= -j"${J:-$(nproc)}" bzImage
}

# The test's status: 0 means that the mutant survived.
run_test()
{
	local patch=$1 kernel=$2 name=$3 mem=4G out=$build/linux-mut-o

	[ "$kernel" = fast ] || mem=6G out=$build/linux-dbg-mut-o
	KERNEL=$out/arch/x86/boot/bzImage MEM=$mem HOST_ARGS=$(field Args "$patch") QUIET=1 \
		"$host" --name "mutants/$name" --timeout 600 "$build/selftests" "$(field Test "$patch")" \
		> "$dir/$name.log" 2>&1
}

one()
{
	local patch=$1 name kernel rc=0

	name=$(basename "$patch" .patch)
	kernel=$(field Kernel "$patch")
	[[ $kernel =~ ^(fast|debug)$ ]] || die "$patch: Kernel: fast or debug"
	if ! mutate "$patch" > "$dir/$name.build" 2>&1 || ! build_kernel "$kernel" >> "$dir/$name.build" 2>&1; then
		echo "not ok $n - $name: no kernel (log: $dir/$name.build)"
		restore
		return 1
	fi
	run_test "$patch" "$kernel" "$name" || rc=$?
	restore
	if [ "$rc" = 0 ]; then
		echo "not ok $n - $name survives (log: $dir/$name.log)"
		return 1
	fi
	echo "ok $n - $name is caught (status $rc: $(grep -ahE '^not ok|^ *\| ' "$dir/$name.log" | head -n 1 | cut -c1-100))"
}

"$root/tools/workbench/tree.sh" linux
lock tree-linux
rm -rf "$dir"
mkdir -p "$dir"
mapfile -t list < <(find "$mutants" -name "*${T:-}*.patch" | sort)
[ ${#list[@]} -gt 0 ] || die "no mutant matches T=${T:-}"
echo "1..${#list[@]}"
n=0 failed=0
for patch in "${list[@]}"; do
	n=$((n + 1))
	one "$patch" || failed=$((failed + 1))
done
echo "$((n - failed)) passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
