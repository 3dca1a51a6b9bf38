#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Make the emulated host's disk: a Debian 12 userland unpacked from packages into an ext4 image.
# No root and no chroot: nothing of the packages is executed, so no maintainer script runs. QEMU,
# OVMF and SeaBIOS, which are part of what is tested, are pinned in ../../versions; the libraries
# around them are what bookworm offers.
#
#   userland.sh IMAGE
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

image=$1
stage=$build/.tmp-userland
pinned=(host-qemu ovmf)
packages=(bash busybox-static coreutils dash gawk grep iproute2 kmod libgcrypt20 liburing2 libnuma1
	mount numactl procps sed seabios strace util-linux)

# Resolve the closure against an empty machine, so that the result does not depend on this one.
packages_for_empty_machine()
{
	local role version wanted=() empty=$apt_dir/empty-status

	for role in "${pinned[@]}"; do
		version=$("$root/tools/workbench/fetch.sh" --version "$role")
		wanted+=("$(awk -F'\t' -v r="$role" -v v="$version" '$1 == r && $4 == v { print $3 "=" v }' "$root/versions")")
	done
	: > "$empty"
	APT_STATUS=$empty apt_get install --no-install-recommends "$@" "${wanted[@]}" "${packages[@]}"
}

unpack()
{
	local deb dir

	# Debian's merged /usr: the links must be there before the first package is unpacked.
	for dir in bin sbin lib lib64; do
		mkdir -p "$stage/root/usr/$dir"
		ln -s "usr/$dir" "$stage/root/$dir"
	done
	for deb in "$stage"/debs/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$stage/root" --keep-directory-symlink --no-same-owner
	done
}

# What maintainer scripts would have made, as far as a test needs it.
finish()
{
	local r=$stage/root

	mkdir -p "$r"/{dev,proc,sys,run,tmp,mnt,root,etc,var/tmp}
	ln -sf mawk "$r/usr/bin/awk"
	[ ! -e "$r/usr/bin/gawk" ] || ln -sf gawk "$r/usr/bin/awk"
	ln -sf dash "$r/usr/bin/sh"
	echo 'root:x:0:0:root:/root:/bin/bash' > "$r/etc/passwd"
	echo 'root:x:0:' > "$r/etc/group"
	echo '127.0.0.1 localhost emulated-host' > "$r/etc/hosts"
	printf 'export PS1="emulated-host# "\ncd /mnt\n' > "$r/etc/profile"
	/sbin/ldconfig -r "$r" 2>/dev/null || true
	rm -rf "$r"/usr/share/{doc,man,locale,info,lintian,iso-codes,xml} "$r/usr/share/qemu/skiboot.lid"
	# Some packages ship files that only root may read, and the image is made by whoever builds.
	chmod -R u+rwX "$r"
}

trap 'rm -rf "$stage"' EXIT
rm -rf "$stage"
need_space "$build" 2500
mkdir -p "$stage/root" "$stage/debs" "$(dirname "$image")"
for role in "${pinned[@]}"; do
	"$root/tools/workbench/fetch.sh" "$role" > /dev/null
done
# shellcheck disable=SC2119 # no argument means: when it is old
apt_refresh
packages_for_empty_machine --download-only -o "Dir::Cache::archives=$apt_dir/cache/archives"
packages_for_empty_machine --print-uris -o "Dir::Cache::archives=$stage/debs" -qq |
	awk '/^'\''/ { print $2 }' |
	while read -r file; do
		[ -f "$apt_dir/cache/archives/$file" ] || die "apt did not download $file"
		ln -s "$apt_dir/cache/archives/$file" "$stage/debs/$file"
	done
unpack
finish
rm -f "$image.tmp"
size=$(du -sm --apparent-size "$stage/root" | cut -f1)
/sbin/mke2fs -q -t ext4 -d "$stage/root" -E root_owner=0:0 -O ^has_journal "$image.tmp" "$((size * 13 / 10 + 64))M"
mv -f "$image.tmp" "$image"
