#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Check that each series also applies to the second pin of its component: the base that fetch.sh falls
# back to when an archive no longer offers the first; and that no new file is in its way there. Only the
# files that the edits touch, and those with the path of a new file, are looked at.
#
#   basecheck.sh [COMPONENT...]     default: all
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/component.sh"
. "$(dirname "$0")/gitlib.sh"
. "$(dirname "$0")/overlay.sh"
. "$(dirname "$0")/import.sh"

# Files of the base that the edits change.
touched_files()
{
	series_patches | sed "s|^|$series_dir/|" | xargs -r -d '\n' sed -n 's|^--- a/||p' | sort -u
}

# A folder that lives as long as the check.
make_base()
{
	local file=$1 files

	mapfile -t files < <(touched_files; overlay_files)
	tree=$build/.tmp-base-$component
	rm -rf "$tree"
	# A file that the second base lacks is left to the patch to complain about, by name.
	unpack "$file" "$tree" "${files[@]}" > "$tree_log" 2>&1 || [ -n "$(ls -A "$tree")" ] ||
		die "cannot unpack $file: see $tree_log"
	commit_base "$(pin_of_file "$(basename "$file")")"
}

check()
{
	local file count commit

	count=$(series_patches | wc -l)
	if [ "$count" = 0 ]; then
		echo "basecheck: $component: no edits, nothing to check"
		return
	fi
	if [ -z "$(pin 2)" ]; then
		echo "basecheck: $component: not checked: the archives serve one version only ($root/versions), there is no second base"
		return
	fi
	lock "base-$component"
	file=$(fetch "$role" 2)
	tree_log=$logs/basecheck-$component.log
	make_base "$file"
	commit=$(series_commit)
	refuse_overlay_conflicts base
	refuse_overlay_conflicts "$commit"
	echo "basecheck: $component: $count edits apply to $(base_name)"
	rm -rf "$tree"
}

[ $# -gt 0 ] || read -ra all <<< "$components"
for name in "$@" ${all[@]+"${all[@]}"}; do
	set_component "$name"
	check
done
