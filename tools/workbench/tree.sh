#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Make build/COMPONENT what the pins, the series file and the overlay say: import the pinned source
# once, apply the edits, link the new files. Work in the tree that no patch has is never touched.
#
#   tree.sh linux|qemu|edk2
#   tree.sh --check COMPONENT     only say whether the tree could be removed without losing work
#
# DIRTY=1 lets a build go on with unexported work in the tree: the series is then left as it is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/component.sh"
. "$(dirname "$0")/gitlib.sh"
. "$(dirname "$0")/overlay.sh"
. "$(dirname "$0")/import.sh"

# Take a tree that is no longer wanted out of the way. One that holds branches or set-aside work of
# somebody's is kept under a name of its own.
retire()
{
	local old=$1 keep

	if [ -z "$(other_refs "$old")" ]; then
		mv "$old" "$build/.tmp-old-$component"
		return
	fi
	keep=$old.old-$(date -u +%Y%m%dT%H%M%S)
	mv "$old" "$keep"
	say KEPT "$keep: it holds branches or work that was set aside"
}

# Import into a folder that does not count as a tree, and rename it when it is whole.
import()
{
	local file pin final=$tree

	file=$(fetch "$role")
	pin=$(pin_of_file "$(basename "$file")")
	[ -n "$pin" ] || die "$file is no pin of $role"
	need_space "$build" 3000
	say IMPORT "$component: ${pin% * *}"
	tree=$build/.tmp-$component
	rm -rf "$tree" "$build/.tmp-old-$component"
	unpack "$file" "$tree" > "$tree_log" 2>&1 || die "cannot unpack $file: see $tree_log"
	commit_base "$pin"
	if [ -e "$final" ]; then
		# A change of base: the series must fit the new one before the old one goes.
		update
		retire "$final"
	fi
	mv "$tree" "$final"
	tree=$final
	rm -rf "$build/.tmp-old-$component"
}

# The tree stands on the first pin, or on another one that fetch.sh had to fall back to.
base_is_pinned()
{
	local have

	have=$(cat "$tree/.git/workbench/pin")
	[ "$have" != "$(pin 1)" ] || return 0
	[ "$have" = "$(pin_of_file "$(cut -d' ' -f3 <<< "$have")")" ] &&
		[ "$(fetch --version "$role" 2>/dev/null)" = "$(cut -d' ' -f2 <<< "$have")" ]
}

# Everything that the state of the tree follows from, as one hash.
inputs()
{
	{
		cat "$tree/.git/workbench/pin"
		series_patches
		series_patches | sed "s|^|$series_dir/|" | xargs -r -d '\n' cat
		overlay_files
		cat "$workbench/gitlib.sh" "$workbench/tree.sh"
	} | sha256sum
}

# Apply the series and check the overlay against it; every refusal comes before the first change.
update()
{
	local commit

	commit=$(series_commit)
	refuse_overlay_conflicts base
	refuse_overlay_conflicts "$commit"
	remove_dead_links
	if [ "$commit" != "$(g rev-parse HEAD)" ]; then
		move_tree "$commit"
		say TREE "$component: $(base_name), $(series_patches | wc -l) edits, $(overlay_files | wc -l) new files"
	fi
	link_overlay
	inputs > "$tree/.git/workbench/stamp"
}

check()
{
	local refs aside

	is_workbench_tree || die "build/$component was not made by this script"
	refuse_unexported
	mapfile -t refs < <(other_refs "$tree")
	aside=$(printf '%s\n' "${refs[@]}" | grep -m 1 '^refs/workbench/discarded/') || true
	[ -z "$aside" ] || die "build/$component holds work that was set aside as $aside:" \
		"\`git -C build/$component update-ref -d $aside\` deletes it"
	[ ${#refs[@]} = 0 ] || die "build/$component holds work on ${refs[*]}: merge it or delete it first"
}

main()
{
	local only_check=false

	if [ "${1:-}" = --check ]; then
		only_check=true
		shift
	fi
	set_component "${1:?usage: tree.sh $components}"
	lock "tree-$component"
	if $only_check; then
		check
		return
	fi
	if [ -e "$tree" ]; then
		is_workbench_tree || die "build/$component was not made by this script: move it away"
		finish_interrupted
		if [ "${DIRTY:-0}" = 1 ] && [ -n "$(unexported)" ]; then
			say DIRTY "$component: holds $(unexported) that no patch has; the series is left as it is"
			link_overlay
			return
		fi
		refuse_unexported
		if base_is_pinned && cmp -s <(inputs) "$tree/.git/workbench/stamp"; then
			link_overlay
			return
		fi
	fi
	if [ ! -e "$tree" ] || ! base_is_pinned; then
		import
	fi
	update
}

main "$@"
