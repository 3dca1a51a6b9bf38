#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Check what can be checked without building: style by the pinned trees' own checkers, shell scripts,
# licence lines, the series files, the size of edits, words that do not belong here. One line a problem.
#
#   lint.sh          V=1 also shows checkpatch's CHECK remarks, which are advice
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/component.sh"
. "$(dirname "$0")/gitlib.sh"
. "$(dirname "$0")/budget.sh"

# Remarks of the kernel's checkpatch that do not hold here:
#   FILE_PATH_CHANGES  asks for a MAINTAINERS entry; new files enter by the overlay, and upstream chooses
#   ENOSYS             fires on the stub of a system call, where -ENOSYS is the interface
kernel_ignore=FILE_PATH_CHANGES,ENOSYS
# And in programs that run on the kernel, not in it:
#   PREFER_DEFINED_ATTRIBUTE_MACRO  __noreturn and its like are the kernel's own macros
#   STATIC_CONST_CHAR_ARRAY         execve() takes an argument vector that is neither
#   VOLATILE                        memory that another machine changes, where there is no READ_ONCE()
program_ignore=$kernel_ignore,PREFER_DEFINED_ATTRIBUTE_MACRO,STATIC_CONST_CHAR_ARRAY,VOLATILE

found=$tmp/found
advice=$tmp/advice
: > "$found"
: > "$advice"

# Our files, relative to root: what git tracks or would, or all of them where there is no git.
our_files()
{
	{
		git -C "$root" ls-files -co --exclude-standard 2>/dev/null ||
			(cd "$root" && find . -path ./build -prune -o -type f -print | sed 's|^\./||')
	} | sort -u | while read -r path; do
		[ ! -f "$root/$path" ] || echo "$path"
	done
}

# Standard input: checkpatch --terse lines. ERROR and WARNING are problems, CHECK is advice.
sort_remarks()
{
	sed "s|^$root/||; s|^\./||" | sort > "$tmp/remarks"
	grep -E '(ERROR|WARNING):' "$tmp/remarks" >> "$found" || true
	grep 'CHECK:' "$tmp/remarks" >> "$advice" || true
}

# Run a checker for many files, two at a time. Status 1 says what its lines say; a checker that could
# not run is a problem of its own, and must not end the others (xargs stops at 255).
check_each()
{
	# shellcheck disable=SC2016 # for the inner shell
	xargs -r -d '\n' -P 2 -n 1 -- bash -c '
		"$@" 2>&1
		rc=$?
		[ "$rc" -le 1 ] || echo "${!#}:1: ERROR: $1 ended with status $rc"' check "$@"
}

lint_kernel_style()
{
	local checkpatch=$build/linux/scripts/checkpatch.pl options

	set_component linux
	if [ ! -f "$checkpatch" ]; then
		echo "build/linux: no tree to take checkpatch.pl from: run tree.sh linux" >> "$found"
		return
	fi
	# Some rules depend on the path in the tree: files are named as they are there. The folder of
	# links takes what checkpatch.pl leaves behind in the one it runs in.
	mkdir "$tmp/view"
	ln -s "$root"/*/ "$tmp/view/"
	cd "$tmp/view"
	options=(--no-tree --terse --no-summary --show-types --strict)
	{
		overlay_files | { grep -v '^tools/' || true; } | c_files |
			check_each perl "$checkpatch" "${options[@]}" --ignore "$kernel_ignore" -f
		{ grep '^tools/testing/' "$tmp/ours" || true; } | c_files |
			check_each perl "$checkpatch" "${options[@]}" --ignore "$program_ignore" -f
		existing_patches |
			check_each perl "$checkpatch" "${options[@]}" --ignore "$kernel_ignore"
	} | sort_remarks
}

# The series as files; those that do not exist are the series check's business.
existing_patches()
{
	series_patches | while read -r path; do
		[ ! -f "$series_dir/$path" ] || echo "$series_dir/$path"
	done
}

# Of the paths on standard input.
c_files()
{
	grep -E '\.[chS]$' || true
}

lint_qemu_style()
{
	local checkpatch=$build/qemu/scripts/checkpatch.pl options

	set_component qemu
	if [ -z "$(series_patches)$(overlay_files)" ]; then
		return
	elif [ ! -f "$checkpatch" ]; then
		echo "build/qemu: no tree to take checkpatch.pl from: run tree.sh qemu" >> "$found"
		return
	fi
	options=(--no-tree --terse --no-summary --color=never)
	{
		if cd "$root/$new_prefix" 2> /dev/null; then
			overlay_files | c_files | check_each perl "$checkpatch" "${options[@]}" -f | sed "s|^|$new_prefix|"
		fi
		existing_patches | check_each perl "$checkpatch" "${options[@]}"
	} | sort_remarks
}

# Scripts by name or by their first line.
shell_files()
{
	while read -r path; do
		if [[ $path == *.sh ]] || [[ $(head -c 40 "$root/$path" | head -n1 | tr -d '\0') =~ ^#!.*[/\ ](ba|da)?sh($|\ ) ]]; then
			echo "$path"
		fi
	done < "$tmp/ours"
}

# A sourced file's variables come from and go to others: only there are SC2034 and SC2154 no remarks.
lint_shell()
{
	local path

	if ! command -v shellcheck > /dev/null; then
		echo "shellcheck is not installed" >> "$found"
		return
	fi
	cd "$root"
	{ grep -vxFf <(sourced_files) "$tmp/shell" || true; } | check_each shellcheck -x -P SCRIPTDIR -f gcc >> "$found"
	sourced_files | check_each shellcheck -x -P SCRIPTDIR -f gcc -e SC2034,SC2154 >> "$found"
}

sourced_files()
{
	while read -r path; do
		if head -n1 "$root/$path" | grep -q '^# shellcheck shell='; then
			echo "$path"
		fi
	done < "$tmp/shell"
}

lint_spdx()
{
	{
		grep -E '\.([chS]|sh)$' "$tmp/ours" || true
		cat "$tmp/shell"
	} | sort -u | while read -r path; do
		head -n 20 "$root/$path" | grep -q 'SPDX-License-Identifier: ' || echo "$path:1: no SPDX-License-Identifier line"
	done >> "$found"
}

# Each list names exactly the patch files that exist, once.
lint_series()
{
	local name=${series#"$root/"}

	{
		series_patches | sort | uniq -d | sed "s|^|$name: names twice: |"
		comm -23 <(series_patches | sort -u) <(patch_files) | sed "s|^|$name: names a file that does not exist: |"
		comm -13 <(series_patches | sort -u) <(patch_files) | sed "s|^|$name: does not name |"
	} >> "$found"
}

lint_edits()
{
	local path name sum

	series_patches | while read -r path; do
		[ -f "$series_dir/$path" ] || continue
		name=$(edit_name "$path")
		over_budget "$series_dir/$path" "$name"
		if grep -q '^new file mode' "$series_dir/$path"; then
			echo "$name: an edit adds a file: it belongs in the overlay"
		fi
	done >> "$found"
	if [ "$component" = linux ] && [ -n "$(series_patches)" ]; then
		sum=$(existing_patches | xargs -r -d '\n' cat | added_lines -)
		[ "$sum" -le "$series_budget" ] ||
			echo "series: the kernel edits add $sum lines, $series_budget is the budget" >> "$found"
	fi
}

lint_words()
{
	grep -vE '^(#|$)' "$workbench/forbidden" > "$tmp/words"
	{ (cd "$root" && xargs -r -d '\n' grep -nIHEf "$tmp/words" --) < "$tmp/ours" || true; } |
		cut -c1-160 | sed 's/$/   (forbidden: see tools\/workbench\/forbidden)/' >> "$found"
}

our_files > "$tmp/ours"
shell_files > "$tmp/shell"
lint_kernel_style
lint_qemu_style
lint_shell
lint_spdx
for name in $components; do
	set_component "$name"
	lint_series
	lint_edits
done
lint_words

[ "${V:-0}" != 1 ] || cat "$advice"
cat "$found"
count=$(wc -l < "$found")
echo "lint: $count problems ($(wc -l < "$advice") CHECK remarks)"
[ "$count" = 0 ]
