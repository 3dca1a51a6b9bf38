#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Gather a guest in one folder: Debian's stock cloud kernel, an initrd of ours with that kernel's
# own virtio modules, Debian's stock OVMF, and beside it the OVMF that reports page encryption.
#
#   guest.sh ROLE FOLDER        ROLE: guest-6.1 or guest-6.12 of ../../versions
set -euo pipefail
. "$(dirname "$0")/lib.sh"

role=$1 out=$2
tmp=$build/.tmp-$role
modules=(virtio_pci virtio_blk virtio_net virtio_rng)
trap 'rm -rf "$tmp"' EXIT
rm -rf "$tmp"
mkdir -p "$tmp/deb" "$tmp/initrd/"{bin,dev,proc,sys,mnt,lib/modules} "$tmp/out"

busybox=$(command -v busybox) || die "busybox is not installed (Debian package busybox-static)"
deb=$("$root/tools/workbench/fetch.sh" "$role")
dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tmp/deb"
release=$(basename "$tmp"/deb/lib/modules/*)
/sbin/depmod -b "$tmp/deb" "$release" 2>/dev/null

# The list that init loads, in order; a module that the kernel has built in gives no line.
for module in "${modules[@]}"; do
	/sbin/modprobe -d "$tmp/deb" -S "$release" --show-depends "$module" |
		sed -n "s|^insmod $tmp/deb/lib/modules/$release/||p"
done | awk '!seen[$1]++ { print $1 }' > "$tmp/list"
while read -r path; do
	cp "$tmp/deb/lib/modules/$release/$path" "$tmp/initrd/lib/modules/"
	basename "$path"
done < "$tmp/list" > "$tmp/initrd/lib/modules/order"

cp "$busybox" "$tmp/initrd/bin/busybox"
cp "$root/tools/testing/selftests/kvm/qemu/guest-init.sh" "$tmp/initrd/init"
chmod 755 "$tmp/initrd/init"
(cd "$tmp/initrd" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -1 > "$tmp/out/initrd"

cp "$tmp"/deb/boot/vmlinuz-* "$tmp/out/vmlinuz"
chmod 644 "$tmp/out/vmlinuz"
dpkg-deb --fsys-tarfile "$("$root/tools/workbench/fetch.sh" ovmf)" |
	tar -x -C "$tmp/out" --strip-components=4 --wildcards './usr/share/OVMF/OVMF_*.fd'
for part in CODE VARS; do
	cp "$build/ovmf/OVMF_$part.fd" "$tmp/out/OVMF_${part}_own.fd"
done
echo "$release" > "$tmp/out/release"
cp "$root"/tools/testing/selftests/kvm/qemu/guest{,-qmp,-pins,-measure}.sh "$tmp/out/"
rm -rf "$out"
mv "$tmp/out" "$out"
