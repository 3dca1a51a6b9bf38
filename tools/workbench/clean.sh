#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove what was built. Work in a tree that no patch has is never removed.
#
#   clean.sh [all]     all: downloads and the compiler cache too
set -euo pipefail
. "$(dirname "$0")/lib.sh"

for component in linux qemu edk2; do
	[ -d "$build/$component/.git" ] || continue
	"$(dirname "$0")/tree.sh" --check "$component" ||
		die "build/$component is kept: nothing was removed"
done
for kept in "$build"/*.old-*; do
	[ ! -e "$kept" ] || die "$kept holds work that was set aside: move it or remove it first"
done
case ${1:-} in
'') ;;
all) rm -rf "${cache:?}" ;;
*) die "unknown argument '$1'" ;;
esac
rm -rf "${build:?}"
