#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# See that every Debian package a build or a test needs is installed; install what is missing, as
# root or with sudo. Without either, one line says what to install.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(
	# builds: kernel, QEMU, edk2, the tests
	gcc g++ make bc bison flex libc6-dev libelf-dev libssl-dev cpio rsync kmod ccache xz-utils zstd python3
	ninja-build meson pkg-config libglib2.0-dev libpixman-1-dev liburing-dev libgcrypt20-dev libfdt-dev
	libattr1-dev libcap-ng-dev libslirp-dev libnuma-dev python3-venv nasm acpica-tools uuid-dev
	# the workbench itself
	git dpkg-dev e2fsprogs busybox-static shellcheck perl procps jq gnuplot-nox
)

# Sources, headers and libraries are Debian 12's: nothing is installed on another system.
system=$(sed -n 's/^ID=//p; s/^VERSION_ID=//p' "${MP_OS_RELEASE:-/etc/os-release}" 2>/dev/null | tr -d '"' | sort -r | tr '\n' ' ')
system+=$(dpkg --print-architecture 2>/dev/null || true)
[ "$system" = "debian 12 amd64" ] || die "this workbench runs on Debian 12, x86-64, and this is '$system'"

missing=()
installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
for package in "${packages[@]}"; do
	[[ $'\n'$installed$'\n' == *$'\nii  '"$package"$'\n'* ]] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ]; then
		as_root=(env)
	elif command -v sudo > /dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		as_root=(sudo)
	else
		die "missing Debian packages, and no root to install them: apt-get install ${missing[*]}"
	fi
	say INSTALL "${missing[*]}"
	mkdir -p "$logs"
	{
		"${as_root[@]}" apt-get -q update
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
	} > "$logs/deps.log" 2>&1 ||
		die "cannot install ${missing[*]}: $(grep -m1 '^E:' "$logs/deps.log") (log: $logs/deps.log)"
fi
