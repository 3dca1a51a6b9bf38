# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The three things that are built from somebody else's source plus our files: linux, qemu, edk2.
# Each has a build tree (its own git repository), a series of edits, and an overlay of new files.
# Sourced after lib.sh. Sets by set_component: component, role, tree, series, series_dir, new_prefix.

# A failure inside $(...) is a failure.
shopt -s inherit_errexit

workbench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
components="linux qemu edk2"

# Where new kernel files may lie. A plain file below one of these is part of the kernel tree.
linux_overlay_dirs=(mm virt arch include tools/testing Documentation/virt Documentation/mm)

# new_prefix is what stands before a tree path to give the path of the new file in this repository.
set_component()
{
	component=$1 role=$1 new_prefix=
	case $1 in
	linux) series_dir=$root ;;
	qemu) series_dir=$root/qemu-patches new_prefix=qemu-patches/new/ ;;
	edk2) series_dir=$root/ovmf-patches new_prefix=ovmf-patches/new/ ;;
	*) die "unknown component '$1': one of $components" ;;
	esac
	series=$series_dir/series
	tree=$build/$component
	tree_log=$logs/tree-$component.log
	mkdir -p "$logs"
	export component role tree series series_dir new_prefix tree_log
}

# Run $1 for the components named in the rest, or for all that have a tree.
for_trees()
{
	local action=$1 name named=true

	shift
	if [ $# = 0 ]; then
		read -ra names <<< "$components"
		set -- "${names[@]}"
		named=false
	fi
	for name in "$@"; do
		set_component "$name"
		if [ ! -e "$tree" ]; then
			! $named || die "build/$component does not exist: run tree.sh $component"
			continue
		fi
		lock "tree-$component"
		"$action"
	done
}

fetch()
{
	"${MP_FETCH:-$workbench/fetch.sh}" "$@"
}

# The N-th pin of the component's role as "package version file sha256".
pin()
{
	awk -F'[ \t]+' -v role="$role" -v n="$1" \
		'$1 == role && ++i == n { print $3, $4, $5, $6 }' "$root/versions"
}

# The pin whose file is $1.
pin_of_file()
{
	awk -F'[ \t]+' -v role="$role" -v file="$1" \
		'$1 == role && $5 == file { print $3, $4, $5, $6; exit }' "$root/versions"
}

# The series file's patches in order, relative to series_dir. No file means no edits.
series_patches()
{
	[ -f "$series" ] || return 0
	sed -e 's/#.*//' -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$series"
}

# The path of a patch in this repository, from its path in the series file.
edit_name()
{
	local name=${series_dir#"$root"}/$1

	echo "${name#/}"
}

# Patch files that lie in the component's edits folders, relative to series_dir, sorted.
patch_files()
{
	local dirs=(edits)

	[ "$component" != linux ] || dirs=(mm virt arch include tools Documentation)
	(
		cd "$series_dir" 2>/dev/null || exit 0
		for dir in "${dirs[@]}"; do
			[ ! -d "$dir" ] || find "$dir" -path '*edits/*.patch' -type f
		done
	) | sort
}

# New files as paths in the component's tree, sorted. Editor leftovers and hidden files are none.
overlay_files()
{
	local dirs=(.) dir

	[ "$component" != linux ] || dirs=("${linux_overlay_dirs[@]}")
	(
		cd "$root/$new_prefix" 2>/dev/null || exit 0
		for dir in "${dirs[@]}"; do
			[ ! -d "$dir" ] || find "$dir" \
				\( -name edits -o -name __pycache__ -o -path "$platform_dir" \) -prune \
				-o -type f ! -name '.*' ! -name '*~' ! -name '*.orig' ! -name '*.rej' \
				! -name '*.pyc' ! -name '*.o' -print
		done
	) | sed 's|^\./||' | sort
}

# The emulated platform lies among the selftests, but it is a user of the kernel, not a part of it.
platform_dir=tools/testing/selftests/kvm/qemu

# The folder that a kernel edit's subject puts it into: where those who review it look.
linux_edit_dir()
{
	case $1 in
	"KVM: SVM:"* | "KVM: x86"* | "x86/kvm"*) echo arch/x86/kvm/edits ;;
	"KVM: selftests:"*) echo tools/testing/selftests/kvm/edits ;;
	"KVM:"*) echo virt/kvm/edits ;;
	"x86:"* | "x86/"*) echo arch/x86/entry/edits ;;
	"mm:"* | "mm/"*) echo mm/edits ;;
	*) return 1 ;;
	esac
}

# Path of the patch for a subject, relative to series_dir. No number: the series file has the order.
patch_path()
{
	local subject=$1 dir=edits slug

	if [ "$component" = linux ]; then
		dir=$(linux_edit_dir "$subject") ||
			die "'$subject': a kernel edit's subject begins with mm:, KVM:, KVM: x86, KVM: SVM:," \
				"KVM: selftests:, x86: or x86/ (it chooses the folder of the patch)"
	fi
	slug=$(printf '%s' "$subject" | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9' - | sed 's/^-//; s/-$//')
	[ -n "$slug" ] || die "'$subject': no letter or digit to name a patch by"
	echo "$dir/$slug.patch"
}
