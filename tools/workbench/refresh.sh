#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Turn the commits base..HEAD of a build tree into its edits: patch files and the series file. Nothing
# changes, byte for byte, when the commits are those that the patches made.
#
#   refresh.sh [COMPONENT...]             default: every component that has a tree
#   refresh.sh --check [COMPONENT...]     write nothing, but die when a byte would change
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/component.sh"
. "$(dirname "$0")/gitlib.sh"
. "$(dirname "$0")/export.sh"
. "$(dirname "$0")/budget.sh"

# Commits only can be exported, and only the branch that tree.sh moves.
refuse_unready()
{
	local untracked

	is_workbench_tree || die "build/$component was not made by tree.sh"
	finish_interrupted
	[ "$(g symbolic-ref -q HEAD)" = refs/heads/series ] ||
		die "build/$component is not on its branch 'series' (a rebase that is not finished?)"
	[ -z "$(tracked_changes)" ] || die "build/$component has uncommitted changes: commit them there first"
	untracked=$(untracked_files | head -n1)
	[ -z "$untracked" ] || die "build/$component/$untracked is new there: move it to" \
		"$new_prefix$untracked in this repository (or remove it)"
	g merge-base --is-ancestor base HEAD || die "build/$component: 'series' does not begin at 'base'"
}

# Patches that came into this repository after the tree was made are in no commit of the tree: an
# export would delete them.
refuse_overtaken()
{
	local theirs

	theirs=$(series_commit)
	[ "$theirs" != "$(g rev-parse refs/workbench/applied)" ] || return 0
	! g merge-base --is-ancestor "$theirs" HEAD || return 0
	[ "$(g rev-parse HEAD)" != "$(g rev-parse refs/workbench/applied)" ] ||
		die "$series has changed since build/$component was made from it: run tree.sh $component first"
	g update-ref refs/workbench/theirs "$theirs"
	die "$series has changed since build/$component was made from it; first run" \
		"git -C build/$component rebase --onto refs/workbench/theirs refs/workbench/applied series"
}

# Put the exported patches in place of the old ones. Files that did not change are not written.
install_series()
{
	local out=$1 path

	series_patches > "$tmp/old"
	while read -r path; do
		if ! cmp -s "$out/$path" "$series_dir/$path"; then
			mkdir -p "$series_dir/$(dirname "$path")"
			cp "$out/$path" "$series_dir/$path"
			say PATCH "$path"
		fi
	done < "$out/series"
	grep -vxFf "$out/series" "$tmp/old" | while read -r path; do
		rm -f "$series_dir/$path"
		say REMOVED "$path"
	done || true
	if ! cmp -s "$tmp/old" "$out/series"; then
		series_text "$out/series" > "$tmp/series"
		cp "$tmp/series" "$series"
	fi
}

refresh()
{
	local commit path out=$tmp/out

	rm -rf "$out"
	refuse_unready
	refuse_overtaken
	export_series "$out"
	commit=$(round_trip "$out")
	while read -r path; do
		over_budget "$out/$path" "$(edit_name "$path")" | sed 's/^/  NOTE     /' >&2
	done < "$out/series"
	install_series "$out"
	# The same files and messages, as the commits that these patches always give.
	settle_refs "$commit"
	say REFRESH "$component: $(wc -l < "$out/series") edits"
}

# The trees are the patches' and nothing else: what an export gives is what is there.
check()
{
	local path out=$tmp/out

	rm -rf "$out"
	refuse_unready
	export_series "$out"
	cmp -s <(series_patches) "$out/series" ||
		die "$series: an export has other patches: $(diff <(series_patches) "$out/series" | grep -m 1 '^[<>]')"
	while read -r path; do
		cmp -s "$out/$path" "$series_dir/$path" ||
			die "$(edit_name "$path"): an export has other bytes: $(diff "$series_dir/$path" "$out/$path" | grep -m 1 '^[<>]')"
	done < "$out/series"
	echo "refresh: $component: $(wc -l < "$out/series") edits, to the byte"
}

if [ "${1:-}" = --check ]; then
	shift
	for_trees check "$@"
else
	for_trees refresh "$@"
fi
