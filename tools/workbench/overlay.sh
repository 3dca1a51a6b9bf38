# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Our new files as links in a build tree: saving a file here is saving it there. The links are
# relative, so that the clone can be moved. Sourced after gitlib.sh.
#
# .git/workbench/overlay lists the links that were made; .git/info/exclude hides them from git.

# Die if a new file has the path of a file that the tree has of its own, or gets from an edit.
refuse_overlay_conflicts()
{
	local commit=$1 hit

	hit=$(overlay_files | sed "s|^|$commit:|" | g cat-file --batch-check='%(objecttype)' |
		paste - <(overlay_files) | awk '$1 == "blob" || $1 == "tree" || $1 == "commit" { print $2; exit }')
	[ -z "$hit" ] || die "$new_prefix$hit is a new file here, but $(base_name) or an edit has it too"
}

# Links that were made before: the recorded ones, and those into our folders that somebody made and
# excluded by hand.
known_links()
{
	local path target

	cat "$tree/.git/workbench/overlay" 2>/dev/null || true
	{
		sed -n 's|^/*\([^*?!#][^*?]*\)$|\1|p' "$tree/.git/info/exclude" 2>/dev/null || true
	} | while read -r path; do
		[ -L "$tree/$path" ] || continue
		target=$(realpath -m "$tree/$path")
		if [ "$target" = "$root/$new_prefix$path" ]; then
			echo "$path"
		fi
	done
}

remove_dead_links()
{
	local path dir

	comm -23 <(known_links | sort -u) <(overlay_files) | while read -r path; do
		[ -L "$tree/$path" ] || continue
		rm -f "$tree/$path"
		dir=$(dirname "$path")
		[ "$dir" = . ] || (cd "$tree" && rmdir -p --ignore-fail-on-non-empty "$dir")
	done
}

# Exclude lines outside of our block are kept.
write_exclude()
{
	local file=$tree/.git/info/exclude

	mkdir -p "$tree/.git/info" "$tree/.git/workbench"
	{
		sed '/^# overlay begin$/,/^# overlay end$/d' "$file" 2>/dev/null || true
		echo "# overlay begin"
		overlay_files | sed 's|^|/|'
		echo "# overlay end"
	} > "$tmp/exclude"
	cmp -s "$tmp/exclude" "$file" || cp "$tmp/exclude" "$file"
	overlay_files > "$tmp/overlay"
	cmp -s "$tmp/overlay" "$tree/.git/workbench/overlay" || cp "$tmp/overlay" "$tree/.git/workbench/overlay"
}

# A link that leads to the right file is left as it is: its own time is a build's input.
link_one()
{
	local path=$1 up dir=""

	if [ -L "$tree/$path" ] && [ "$tree/$path" -ef "$root/$new_prefix$path" ]; then
		return 0
	fi
	[ -L "$tree/$path" ] || [ ! -e "$tree/$path" ] ||
		die "build/$component/$path is a plain file where a link to $new_prefix$path belongs: move it away"
	[[ $path != */* ]] || dir=${path%/*}
	up=$(realpath -m --relative-to="$tree/$dir" "$root")
	mkdir -p "$tree/$dir"
	ln -sfn "$up/$new_prefix$path" "$tree/$path"
}

link_overlay()
{
	local path

	remove_dead_links
	overlay_files | while read -r path; do
		link_one "$path"
	done
	write_exclude
}
