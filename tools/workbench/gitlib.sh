# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Patches to commits and back, in the component's own git repository. Sourced after component.sh.
#
# Refs in a build tree: tag `base` is the import; branch `series` is what is checked out;
# refs/workbench/applied is the commit that the series file produced; refs/workbench/next exists only
# while `series` is moved from one such commit to another.
#
# Results are the same bytes everywhere: no user's or system's git configuration is read, author and
# date come from the patch, and the committer is fixed.

# A hook's environment or an outer repository must never take over: a build tree without its .git
# would otherwise be looked at as an ignored folder of this repository, where `git apply` does nothing
# and calls it success.
# shellcheck disable=SC2046 # a list of names
unset $(git rev-parse --local-env-vars)
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_CEILING_DIRECTORIES=$build
export GIT_COMMITTER_NAME="memfd-private workbench" GIT_COMMITTER_EMAIL=memfd-private@localhost
export LC_ALL=C

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

g()
{
	git -C "$tree" "$@"
}

is_workbench_tree()
{
	[ -d "$tree/.git" ] && g rev-parse -q --verify 'refs/tags/base^{commit}' > /dev/null &&
		g rev-parse -q --verify 'refs/workbench/applied^{commit}' > /dev/null
}

# What the tree is based on, for people: "package version".
base_name()
{
	cut -d' ' -f1,2 "$tree/.git/workbench/pin" 2>/dev/null || echo "an unknown base"
}

info_field()
{
	sed -n "s/^$1: //p" "$tmp/info" | head -n1
}

# Commit the private index on top of $1 with author and message from the mail that was just split.
commit_mail()
{
	local parent=$1 new_tree=$2 name email date

	name=$(info_field Author) email=$(info_field Email) date=$(info_field Date)
	if [ -z "$name" ] || [ -z "$email" ] || [ -z "$date" ] || [ -z "$(info_field Subject)" ]; then
		echo "not a mail with From, Date and Subject"
		return 1
	fi >&2
	{
		info_field Subject
		if [ -s "$tmp/msg" ]; then
			echo
			cat "$tmp/msg"
		fi
	} | GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$email GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date \
		git -C "$tree" commit-tree "$new_tree" -p "$parent"
}

# Apply one patch to the private index and print the commit it gives on top of $1. `git apply` allows
# moved lines but no changed context, and all of a patch or nothing.
patch_commit()
{
	local parent=$1 patch=$2 new_tree

	git mailinfo -b --quoted-cr=nowarn "$tmp/msg" "$tmp/diff" < "$patch" > "$tmp/info" || return 1
	g apply --cached --whitespace=nowarn "$tmp/diff" || return 1
	new_tree=$(g write-tree) || return 1
	if [ "$new_tree" = "$(g rev-parse "$parent^{tree}")" ]; then
		echo "the patch changes nothing" >&2
		return 1
	fi
	commit_mail "$parent" "$new_tree"
}

# Print the commit that the patches give on top of $1. Neither index nor files of the tree move.
# Runs in a subshell: commit=$(apply_patches BASE DIR PATCH...)
apply_patches()
{
	local commit dir=$2 patch

	commit=$(g rev-parse "$1^{commit}")
	shift 2
	: > "$tree_log"
	export GIT_INDEX_FILE=$tmp/index
	g read-tree "$commit"
	for patch in "$@"; do
		[ -f "$dir/$patch" ] || die "$series names $patch, which does not exist"
		commit=$(patch_commit "$commit" "$dir/$patch" 2>> "$tree_log") ||
			die "$patch does not apply to $(base_name): see $tree_log"
	done
	echo "$commit"
}

# The commit that the series file stands for.
series_commit()
{
	local patches

	mapfile -t patches < <(series_patches)
	apply_patches base "$series_dir" "${patches[@]}"
}

# Files of the tree that neither git nor the overlay knows. Debian's kernel ignores all of its top
# level: taken literally, no new file would ever be seen there.
untracked_files()
{
	local unhide=()

	if grep -qsx '/\*' "$tree/.gitignore"; then
		unhide=(-x '!/*/')
	fi
	g ls-files -o --exclude-standard "${unhide[@]}" | sort | comm -23 - <(overlay_files)
}

tracked_changes()
{
	g status --porcelain --untracked-files=no
}

# Say in a few words what work in the tree is in no patch; print nothing when all of it is.
unexported()
{
	local untracked

	if [ "$(g rev-parse HEAD)" != "$(g rev-parse refs/workbench/applied)" ]; then
		echo "commits"
	elif [ "$(g symbolic-ref -q HEAD)" != refs/heads/series ]; then
		echo "another branch checked out"
	elif [ -n "$(tracked_changes)" ]; then
		echo "uncommitted changes"
	else
		untracked=$(untracked_files | head -n1)
		[ -z "$untracked" ] || echo "a new file ($untracked)"
	fi
}

refuse_unexported()
{
	local what

	what=$(unexported)
	[ -z "$what" ] || die "build/$component holds $what that no patch has:" \
		"commit there and run \`make refresh\` to keep it, or \`make discard DISCARD=$component\` to set it aside"
}

# Refs of the tree $1 that are somebody's and none of ours: branches, a stash, and what was set aside.
other_refs()
{
	git -C "$1" for-each-ref --format='%(refname)' refs/heads refs/stash refs/workbench/discarded |
		grep -vx refs/heads/series || true
}

# Make $1 the content of the tree. Only files that differ are written, so that a build sees no more
# than what changed.
move_tree()
{
	g update-ref refs/workbench/next "$1"
	g read-tree -m -u HEAD "$1" || die "cannot check out the series in build/$component"
	settle_refs "$1"
}

settle_refs()
{
	g update-ref --stdin <<-END
		update refs/heads/series $1
		update refs/workbench/applied $1
		delete refs/workbench/next
	END
}

# An earlier run was stopped between writing files and moving the branch. Every file then is either
# old or new; if so, go on to the new one. Anything else is somebody's work and is left alone.
finish_interrupted()
{
	local next

	next=$(g rev-parse -q --verify refs/workbench/next) || return 0
	[ ! -e "$tree/.git/index.lock" ] ||
		die "build/$component/.git/index.lock: another git runs there, or one was killed (then remove it)"
	g update-index -q --refresh > /dev/null || true
	if [ "$(g rev-parse HEAD)" != "$(g rev-parse refs/workbench/applied)" ] ||
		[ -n "$(comm -12 <(g diff --no-ext-diff --name-only HEAD | sort) \
			<(g diff --no-ext-diff --name-only "$next" | sort))" ]; then
		g update-ref -d refs/workbench/next
		return 0
	fi
	g read-tree --reset -u "$next"
	settle_refs "$next"
}
