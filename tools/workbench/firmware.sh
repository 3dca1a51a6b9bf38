#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Gather the machine's own firmware in one folder: Debian's SeaBIOS, and the option ROMs that start
# a kernel (or a test in its place) given with -kernel.
#
#   firmware.sh FOLDER
set -euo pipefail
. "$(dirname "$0")/lib.sh"

out=$1
tmp=$build/.tmp-firmware
trap 'rm -rf "$tmp"' EXIT
rm -rf "$tmp"
mkdir -p "$tmp"

# take ROLE FILE: one file out of the package that the role names
take()
{
	local deb

	deb=$("$root/tools/workbench/fetch.sh" "$1")
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "$2" > "$tmp/$(basename "$2")"
}

take seabios ./usr/share/seabios/bios-256k.bin
take optionrom ./usr/share/qemu/linuxboot_dma.bin
take optionrom ./usr/share/qemu/multiboot_dma.bin
take optionrom ./usr/share/qemu/kvmvapic.bin
# The stamp of the build: newer than the pins, whatever dates the packages hold.
touch "$tmp"/*
rm -rf "$out"
mv "$tmp" "$out"
