#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the tests that run in the emulated host into build/selftests.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

lock selftests
mkdir -p "$build/selftests"
"$root/tools/workbench/step.sh" "selftests" selftests \
	make -C "$root/tools/testing/selftests/kvm" -f sev.mk OUT="$build/selftests" KSRC="$build/linux" HDR="$build/linux-headers/include"
