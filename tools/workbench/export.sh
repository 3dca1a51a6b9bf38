# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Commits to patch files. Sourced after gitlib.sh.
#
# Every option that changes a byte of the text is given here, so that the same commit is the same
# patch for everybody.

diff_options=(--no-renames --diff-algorithm=histogram --indent-heuristic --unified=3 --inter-hunk-context=0
	--src-prefix=a/ --dst-prefix=b/ --no-ext-diff --no-textconv --no-color --binary --abbrev=12 --stat=80)
format_options=(-N --zero-commit --no-signature --no-attach --no-thread --no-cover-letter --no-base --no-notes
	"${diff_options[@]}")

# The patch of one commit on standard output.
format_commit()
{
	g -c diff.suppressBlankEmpty=false -c core.quotePath=true \
		format-patch --stdout "${format_options[@]}" -1 "$1"
}

# Refuse commits that cannot become an edit.
refuse_commit()
{
	local commit=$1 added subject

	subject=$(g log -1 --format=%s "$commit")
	[ "$(g rev-list --parents -n1 "$commit" | wc -w)" = 2 ] || die "'$subject' is a merge: a series is a line"
	added=$(g diff-tree -r --no-renames --diff-filter=A --name-only --no-commit-id "$commit" | head -n1)
	[ -z "$added" ] || die "'$subject' adds $added: a new file belongs at $new_prefix$added in this" \
		"repository (it is linked into the tree), not in an edit"
	[ -n "$(g diff-tree -r --name-only --no-commit-id "$commit" | head -n1)" ] || die "'$subject' changes nothing"
}

# Write the patches of base..HEAD below $1 and their paths, in order, to $1/series.
export_series()
{
	local out=$1 commit path

	mkdir -p "$out"
	: > "$out/series"
	for commit in $(g rev-list --reverse --topo-order base..HEAD); do
		refuse_commit "$commit"
		path=$(patch_path "$(g log -1 --format=%s "$commit")")
		[ ! -e "$out/$path" ] || die "two commits would both be $path: give one another subject"
		mkdir -p "$out/$(dirname "$path")"
		format_commit "$commit" > "$out/$path"
		echo "$path" >> "$out/series"
	done
}

# What must come back when patches become commits again.
describe_commits()
{
	g log --reverse --topo-order --format='%an%n%ae%n%ad%n%T%n%B' "base..$1"
}

# Print the commit that the exported patches give; die unless it says the same as HEAD.
round_trip()
{
	local out=$1 commit patches

	mapfile -t patches < "$out/series"
	commit=$(apply_patches base "$out" "${patches[@]}")
	if ! cmp -s <(describe_commits HEAD) <(describe_commits "$commit"); then
		diff <(describe_commits HEAD) <(describe_commits "$commit") >> "$tree_log" || true
		die "a commit of build/$component does not survive as a patch (a message line that looks" \
			"like a diff, or trailing blanks?): see $tree_log"
	fi
	echo "$commit"
}

# The series file with the patches of $1 in their order: each keeps the comment lines above it, and the
# lines up to the first blank one stay at the top.
series_text()
{
	local old=$series

	[ -f "$old" ] || old=/dev/null
	awk -v new="$1" -v top=1 '
	/^[ \t]*$/ && top { header = held $0 "\n"; held = ""; top = 0; next }
	/^[ \t]*(#.*)?$/ { held = held $0 "\n"; next }
	{
		path = $0
		sub(/#.*/, "", path)
		gsub(/^[ \t]+|[ \t]+$/, "", path)
		line[path] = held $0
		held = ""
		top = 0
	}
	END {
		printf "%s", header
		while ((getline path < new) > 0)
			print (path in line) ? line[path] : path
		printf "%s", held
	}' "$old"
}
