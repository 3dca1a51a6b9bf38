#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the kernel at each commit of the mailed series: somebody who bisects later must find a kernel
# at every step. A compiler's warning is a failure, too. The configuration is the host's with the unit
# tests of the debug host, as far as a commit knows its options; the last commit must know them all.
# Prints TAP.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/compile_env.sh"

machine=$root/tools/testing/selftests/kvm/qemu
dir=$build/bisect
tree=$dir/linux out=$dir/linux-o

# A clone, so that neither the build nor its tree is touched; beside its output as build/linux is beside its own, so that the compiler cache knows most files.
checkout_base()
{
	rm -rf "$tree"
	mkdir -p "$dir"
	git clone -q --shared --no-checkout "$build/linux" "$tree"
	git -C "$tree" fetch -q origin refs/workbench/mail refs/tags/base:refs/tags/base
	git -C "$tree" rev-parse FETCH_HEAD > "$dir/tip"
	git -C "$tree" checkout -q --detach base
}

build_commit()
{
	local commit=$1 known=(--known)

	[ "$commit" != "$(cat "$dir/tip")" ] || known=()
	git -C "$tree" checkout -q --detach "$commit" &&
		"$root/tools/workbench/kconfig.sh" "${known[@]}" "$tree" "$out" "$machine/kernel.config" "$dir/kunit.config" &&
		make -C "$tree" O="$out" CC='ccache gcc' LOCALVERSION= -j"${J:-$(nproc)}" bzImage
}

need_space "$build" 4000
lock bisect
"$root/tools/workbench/mbox.sh" linux >&2
checkout_base
grep KUNIT "$machine/debug.config" > "$dir/kunit.config"
mapfile -t commits < <(git -C "$tree" rev-list --reverse "base..$(cat "$dir/tip")")
mkdir -p "$logs/bisect"
echo "1..${#commits[@]}"
failed=0 n=0
for commit in "${commits[@]}"; do
	n=$((n + 1)) log=$logs/bisect/$n.log word=ok why=
	name=$(git -C "$tree" log -1 --format=%s "$commit")
	say BUILD "$n of ${#commits[@]}: $name"
	build_commit "$commit" > "$log" 2>&1 < /dev/null || why=": does not build"
	[ -n "$why" ] || ! grep -q 'warning:' "$log" || why=": $(grep -c 'warning:' "$log") warnings"
	[ -z "$why" ] || word='not ok' failed=$((failed + 1)) why+=" (log: $log)"
	echo "$word $n - $name$why"
done
echo "$((n - failed)) passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
