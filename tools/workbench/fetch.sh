#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Print the path of the verified file that a role of ../../versions names, downloading it first when
# the cache does not have it. The first pin of a role is taken; when the archive no longer offers it,
# the next pin is, with a notice. Nothing else ever is, and no other trouble, such as a dead network,
# leads to another version. Where the next pin is in the cache, the archive is asked for the first one
# again once an hour, and need not be there.
#
#   fetch.sh ROLE          the first pin on offer
#   fetch.sh ROLE N        exactly the N-th pin of the role (1, 2)
#   fetch.sh --version ROLE    version of the pin that is in the cache
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

dl=$cache/downloads

# The N-th pin of a role as "kind package version file sha256".
pin()
{
	awk -F'\t' -v role="$1" -v n="$2" '$1 == role && ++i == n { print $2, $3, $4, $5, $6 }' "$root/versions"
}

# A file counts when its hash is right; a wrong one is removed, so that it is never taken for good.
verified()
{
	local file=$1 sha=$2 got

	[ -f "$file" ] || return 1
	got=$(sha256sum < "$file" | cut -d' ' -f1)
	[ "$got" = "$sha" ] && return 0
	rm -f "$file"
	die "wrong hash: $(basename "$file"): expected $sha, got $got; the file was removed"
}

# The parts that a .dsc names, as "sha256 file".
dsc_parts()
{
	awk '/^Checksums-Sha256:/ { on = 1; next } /^[^ ]/ { on = 0 } on { print $1, $3 }' "$1"
}

# Nothing of a pin went away or changed since its hashes were looked at.
unchanged()
{
	local file=$2 sha part

	[ -f "$file" ] && [ "$file.ok" -nt "$file" ] || return 1
	[ "$1" = dsc ] || return 0
	while read -r sha part; do
		[ "$file.ok" -nt "$dl/$part" ] || return 1
		[ -f "$dl/$part" ] || return 1
	done < <(dsc_parts "$file")
}

# All of one pin is in the cache and has the right hash. Hashing 140 MB takes a second: a mark that
# holds the hash and is newer than the file saves it on later runs.
complete()
{
	local kind=$1 file=$dl/$2 sha=$3 part psha

	if [ -f "$file.ok" ] && [ "$(cat "$file.ok")" = "$sha" ] && unchanged "$kind" "$file"; then
		return 0
	fi
	verified "$file" "$sha" || return 1
	if [ "$kind" = dsc ]; then
		while read -r psha part; do
			verified "$dl/$part" "$psha" || return 1
		done < <(dsc_parts "$file")
	fi
	echo "$sha" > "$file.ok"
}

download()
{
	local kind=$1 package=$2 version=$3 tmp=$dl/.partial-$2-$$ rc=0

	rm -rf "$tmp"
	mkdir -p "$tmp"
	if [ "$kind" = dsc ]; then
		(cd "$tmp" && apt_get source --download-only --only-source "$package=$version") || rc=$?
	else
		(cd "$tmp" && apt_get download "$package=$version") || rc=$?
	fi > "$dl/$package.log" 2>&1
	if [ "$rc" = 0 ]; then
		local file
		# apt writes a colon of the version as %3a; the pins name files the same way.
		for file in "$tmp"/*; do
			mv -f "$file" "$dl/"
		done
	fi
	rm -rf "$tmp"
	return "$rc"
}

offered()
{
	apt_cache madison "$1" 2>/dev/null | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | sort -uV | tr '\n' ' '
}

try_pin()
{
	local kind=$1 package=$2 version=$3 file=$4 sha=$5

	complete "$kind" "$file" "$sha" && return 0
	need_space "$dl" 600
	say FETCH "$package $version"
	apt_refresh
	if ! download "$kind" "$package" "$version"; then
		# An index from before the last point release misleads: look again, once.
		apt_refresh force
		download "$kind" "$package" "$version" || return 1
	fi
	complete "$kind" "$file" "$sha" && return 0
	die "$package $version came without $file or a part of it (log: $dl/$package.log)"
}

# Why the last download failed is that the archive has dropped this version: its index does not list
# it, or still does while the file is gone.
dropped()
{
	[[ " $(offered "$1")" != *" $2 "* ]] || grep -qE '^E: .* 404 ' "$dl/$1.log"
}

# The role has a pin after the N-th that is in the cache.
later_is_cached()
{
	local n kind package version file sha

	for ((n = $2 + 1; n <= last; n++)); do
		read -r kind package version file sha < <(pin "$1" "$n") || return 1
		! complete "$kind" "$file" "$sha" || return 0
	done
	return 1
}

# The archive said not long ago that it has dropped the pin, or is asked and does not give it now.
still_dropped()
{
	local mark=$apt_dir/dropped-$2-$3

	[ -f "$mark" ] || return 1
	[ -z "$(find "$mark" -mmin -60)" ] || return 0
	! (try_pin "$@") 2> /dev/null || return 1
	touch "$mark"
}

only_cached=false
if [ "${1:-}" = --version ]; then
	only_cached=true
	shift
fi
role=${1:?usage: fetch.sh [--version] ROLE [N]}
first=${2:-1} last=${2:-9}
mkdir -p "$dl"
# All clones share the cache.
exec {cache_fd}> "$cache/.lock"
flock "$cache_fd"
# What downloads that were killed have left behind.
rm -rf "$dl"/.partial-*
[ -n "$(pin "$role" "$first")" ] || die "no pin $first for '$role' in $root/versions"

for ((n = first; n <= last; n++)); do
	read -r kind package version file sha < <(pin "$role" "$n") || break
	wanted+="${wanted:+ or }$package $version"
	if $only_cached; then
		complete "$kind" "$file" "$sha" || continue
		echo "$version"
		exit 0
	fi
	if later_is_cached "$role" "$n" && still_dropped "$kind" "$package" "$version" "$file" "$sha"; then
		continue
	fi
	if try_pin "$kind" "$package" "$version" "$file" "$sha"; then
		rm -f "$apt_dir/dropped-$package-$version"
		[ "$n" = "$first" ] || say NOTE "$role: fell back to pin $n, $package $version"
		echo "$dl/$file"
		exit 0
	fi
	last_package=$package
	dropped "$package" "$version" || break
	touch "$apt_dir/dropped-$package-$version"
done
if $only_cached; then
	die "$role is not in the cache yet"
fi
reason=$(grep -m1 -E '^(E:|Err)' "$dl/$last_package.log" || true)
die "cannot get $wanted: on offer: $(offered "$last_package")${reason:+($reason) }(log: $dl/$last_package.log)"
