#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Set unexported work in a build tree aside: commits, uncommitted changes and new files are kept under
# refs/workbench/discarded/TIME, and the tree goes back to what the series file produced.
#
#   discard.sh [COMPONENT...]     default: every component that has a tree
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/component.sh"
. "$(dirname "$0")/gitlib.sh"

# One commit that holds all of the tree as it is now.
snapshot()
{
	local tree_id

	cp "$tree/.git/index" "$tmp/index"
	(
		export GIT_INDEX_FILE=$tmp/index
		g add -u
		untracked_files | g --literal-pathspecs add -f --pathspec-from-file=-
		g write-tree
	) > "$tmp/tree-id"
	tree_id=$(cat "$tmp/tree-id")
	GIT_AUTHOR_NAME=$GIT_COMMITTER_NAME GIT_AUTHOR_EMAIL=$GIT_COMMITTER_EMAIL \
		git -C "$tree" commit-tree "$tree_id" -p HEAD -m "work set aside from build/$component"
}

discard()
{
	local ref commit

	is_workbench_tree || die "build/$component was not made by tree.sh"
	finish_interrupted
	if [ -z "$(unexported)" ]; then
		say CLEAN "build/$component: nothing to set aside"
		return
	fi
	# An unmerged index cannot be kept as one commit, and the operation's own abort loses nothing.
	[ -z "$(g ls-files -u)" ] || die "build/$component has unmerged files: end or abort that git operation first"
	ref=refs/workbench/discarded/$(date -u +%Y%m%dT%H%M%S.%N)
	commit=$(snapshot)
	g update-ref "$ref" "$commit"
	untracked_files > "$tmp/untracked"
	g read-tree --reset -u refs/workbench/applied
	(cd "$tree" && xargs -r -d '\n' rm -f -- < "$tmp/untracked")
	g update-ref refs/heads/series refs/workbench/applied
	g symbolic-ref HEAD refs/heads/series
	say ASIDE "build/$component: kept as $ref (git -C build/$component log -p base..$ref)"
}

for_trees discard "$@"
