# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What every script of the workbench shares: where things are, and how to fail.
# Sourced, never run. Sets: root, build, cache, logs.

root=${MP_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${MP_BUILD:-$root/build}
# Downloads, the compiler cache and the package index outlive the clone.
cache=${MP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memfd-private}
logs=$build/logs
export root build cache logs

# One clear line and a non-zero status: how everything here ends when it cannot go on.
die()
{
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# The kernel's make takes no blanks and colons in paths, QEMU's options no commas.
case $root$build in
*[[:space:],:]*) die "the clone's path holds a blank, a comma or a colon, which make or QEMU cannot take: $root" ;;
esac

say()
{
	printf '  %-8s %s\n' "$1" "$2" >&2
}

# Take the named lock for the rest of the script. Two makes in one clone then wait for each other
# instead of building the same tree twice.
lock()
{
	mkdir -p "$build"
	exec {lock_fd}> "$build/.lock-$1"
	flock -n "$lock_fd" || {
		say WAIT "another make holds build/.lock-$1"
		flock "$lock_fd"
	}
}

# Free space of the file system that holds the nearest existing parent of $1, in MiB.
free_mib()
{
	local dir=$1

	while [ ! -d "$dir" ]; do
		dir=$(dirname "$dir")
	done
	df -Pm "$dir" | awk 'NR == 2 { print $4 }'
}

need_space()
{
	local dir=$1 want=$2 have

	have=$(free_mib "$dir")
	[ "$have" -ge "$want" ] ||
		die "not enough disk space for $dir: $have MiB free, $want MiB needed"
}

# A size with M or G in MiB.
mib()
{
	case $1 in
	*G) echo $((${1%G} * 1024)) ;;
	*) echo "${1%M}" ;;
	esac
}

# What the secure processor does to guests' memory by PSP_ARGS=$1; xts is the device's default.
machine_encryption()
{
	local args=,$1,

	case $args in
	*,enc=*) args=${args##*,enc=} && echo "${args%%,*}" ;;
	*) echo xts ;;
	esac
}

# Memory of this machine in MiB: MemTotal or MemAvailable.
memory_mib()
{
	awk -v name="$1:" '$1 == name { print int($2 / 1024) }' "${MP_MEMINFO:-/proc/meminfo}"
}

# A machine that is sold with $1 GiB: firmware and kernel keep some for themselves.
need_memory()
{
	local gib=$1 what=$2 have

	have=$(memory_mib MemTotal)
	[ "$have" -ge $((gib * 1024 * 7 / 8)) ] || die "$what needs $gib GiB of memory, this machine has $have MiB"
}
