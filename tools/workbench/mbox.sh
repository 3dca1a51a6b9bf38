#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Write each component's work as a mail-ready series: build/mail/COMPONENT/. A new file enters with the
# edit that names it (trailer "Overlay: PATH..."); the others follow, one patch a folder. The mails are
# then applied again, and must give the tree that is built.
#
#   mbox.sh [COMPONENT...]     default: all
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/component.sh"
. "$(dirname "$0")/gitlib.sh"
. "$(dirname "$0")/export.sh"

author="memfd-private developers"
author_mail=memfd-private@localhost

# Put a new file, read below $1, into the private index as a regular file.
stage()
{
	local from=$1 path=$2 mode=100644

	[ ! -x "$from/$path" ] || mode=100755
	g update-index --add --cacheinfo "$mode,$(g hash-object -w --no-filters "$(realpath "$from/$path")"),$path"
}

# New files that the commit's message names.
named_by()
{
	g log -1 --format=%B "$1" | sed -n 's/^Overlay:[[:space:]]*//p' | tr -s ' \t' '\n'
}

# Take the paths named by $1 from the list of files that wait.
enter_named()
{
	local path

	for path in $(named_by "$1"); do
		grep -qxF "$path" "$tmp/waiting" ||
			die "'$(g log -1 --format=%s "$1")' names Overlay: $path, which is no new file," \
				"or entered with an earlier edit"
		grep -vxF "$path" "$tmp/waiting" > "$tmp/waiting.new" || true
		mv "$tmp/waiting.new" "$tmp/waiting"
		echo "$path" >> "$tmp/entered"
	done
}

# The edit $2 with its new files, on top of $1.
mail_commit()
{
	local parent=$1 commit=$2 path

	g read-tree "$commit"
	while read -r path; do
		stage "$root/$new_prefix" "$path"
	done < "$tmp/entered"
	g log -1 --format=%B "$commit" | sed '/^Overlay:/d' |
		GIT_AUTHOR_NAME=$(g log -1 --format=%an "$commit") \
		GIT_AUTHOR_EMAIL=$(g log -1 --format=%ae "$commit") \
		GIT_AUTHOR_DATE=$(g log -1 --format=%ad "$commit") \
		git -C "$tree" commit-tree "$(g write-tree)" -p "$parent"
}

# One patch for the files of folder $2 that no edit names. Its date is the parent's: a fixed one.
folder_commit()
{
	local parent=$1 dir=$2 path names

	while read -r path; do
		stage "$root/$new_prefix" "$path"
	done < "$tmp/folder"
	names=$(sed 's|.*/||' "$tmp/folder" | paste -sd, | sed 's/,/, /g')
	[ $((${#dir} + ${#names})) -le 64 ] || names="$(wc -l < "$tmp/folder") new files"
	{
		printf '%s: Add %s\n\n' "$dir" "$names"
		sed 's/^/  /' "$tmp/folder"
		printf '\nSigned-off-by: %s <%s>\n' "$author" "$author_mail"
	} | GIT_AUTHOR_NAME=$author GIT_AUTHOR_EMAIL=$author_mail \
		GIT_AUTHOR_DATE=$(g log -1 --format=%ad "$parent") \
		git -C "$tree" commit-tree "$(g write-tree)" -p "$parent"
}

# Print the tip of the series as it is mailed.
mail_tip()
{
	local tip commit dir

	overlay_files > "$tmp/waiting"
	: > "$tmp/entered"
	export GIT_INDEX_FILE=$tmp/index
	tip=$(g rev-parse base)
	g read-tree base
	for commit in $(g rev-list --reverse --topo-order base..refs/workbench/applied); do
		enter_named "$commit"
		tip=$(mail_commit "$tip" "$commit")
	done
	sed -n 's|/[^/]*$||p; t; s|.*|.|p' "$tmp/waiting" | sort -u > "$tmp/dirs"
	while read -r dir; do
		awk -v dir="$dir" '{ d = $0; if (!sub(/\/[^\/]*$/, "", d)) d = "."; if (d == dir) print }' \
			"$tmp/waiting" > "$tmp/folder"
		tip=$(folder_commit "$tip" "$dir")
	done < "$tmp/dirs"
	echo "$tip"
}

# The tree as a compiler sees it: what is checked out, and what its links lead to.
built_tree()
{
	local path

	export GIT_INDEX_FILE=$tmp/built
	g read-tree HEAD
	while read -r path; do
		stage "$tree" "$path"
	done < "$tree/.git/workbench/overlay"
	g write-tree
}

# Subject and text of the cover letter, from a file of ours where there is one.
write_cover()
{
	local cover=$1 text=$root/Documentation/dev/cover-letter-$component.txt

	if [ ! -f "$text" ]; then
		text=$tmp/cover
		printf 'memfd-private: %s series\n\nThe edits and new files of the %s side.\n' \
			"$component" "$component" > "$text"
	fi
	awk -v text="$text" -v base="$(base_name), sha256 $(cut -d' ' -f4 "$tree/.git/workbench/pin")" '
	BEGIN { getline subject < text }
	/^Subject: / { sub(/\*\*\* SUBJECT HERE \*\*\*/, subject) }
	/^\*\*\* BLURB HERE \*\*\*$/ {
		while ((getline line < text) > 0)
			if (line != "" || started) { print line; started = 1 }
		print "\nBase: Debian source package " base
		next
	}
	{ print }' "$cover" > "$tmp/cover.new"
	mv "$tmp/cover.new" "$cover"
}

write_mails()
{
	local tip=$1 out=$2

	rm -rf "$out.new"
	mkdir -p "$out.new"
	g format-patch -q -o "$out.new" -n --cover-letter --base=base --no-signature --no-attach --no-notes \
		"${diff_options[@]}" "base..$tip"
	write_cover "$out.new/0000-cover-letter.patch"
	rm -rf "$out"
	mv "$out.new" "$out"
}

# The two views of the work must not drift apart.
check_mails()
{
	local tip=$1 out=$2 want again mails

	want=$(built_tree)
	[ "$(g rev-parse "$tip^{tree}")" = "$want" ] ||
		die "$component: the mailed series is not the tree that is built: $(g diff --stat "$tip^{tree}" "$want" | tail -n1)"
	mapfile -t mails < <(cd "$out" && printf '%s\n' [0-9]*.patch | tail -n +2)
	again=$(apply_patches base "$out" "${mails[@]}")
	[ "$(g rev-parse "$again^{tree}")" = "$want" ] || die "$component: the mails in $out do not give the tree that is built"
}

mail_component()
{
	local tip out=$build/mail/$component

	if [ -z "$(series_patches)" ] && [ -z "$(overlay_files)" ]; then
		rm -rf "$out"
		echo "mbox: $component: no edits and no new files, nothing to mail"
		return
	fi
	"$workbench/tree.sh" "$component"
	lock "tree-$component"
	tip=$(mail_tip)
	g update-ref refs/workbench/mail "$tip"
	write_mails "$tip" "$out"
	check_mails "$tip" "$out"
	echo "mbox: $component: $(g rev-list --count "base..$tip") patches in ${out#"$root/"}, same tree as build/$component"
}

[ $# -gt 0 ] || read -ra all <<< "$components"
for name in "$@" ${all[@]+"${all[@]}"}; do
	set_component "$name"
	mail_component
done
