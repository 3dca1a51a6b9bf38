# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The environment of every compilation: the compiler cache, and what makes the same source give the
# same bytes. Sourced after lib.sh.

export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
# The clone's place must not matter to the compiler cache. The kernel's prefix map names it, and takes
# it out of what is compiled.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_IGNOREOPTIONS='-fmacro-prefix-map=*'
# The same source gives the same bytes, and so the same cache entries.
export KBUILD_BUILD_TIMESTAMP='2026-01-01' KBUILD_BUILD_USER=memfd-private KBUILD_BUILD_HOST=memfd-private
export SOURCE_DATE_EPOCH=1767225600
export LC_ALL=C
