#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The results of the KUnit suites that the kernel has run at boot (kunit.enable=1), as one TAP. Names on the
# command line are patterns of suites that must be there.
set -euo pipefail

results=/sys/kernel/debug/kunit
files=()
for pattern; do
	for file in "$results"/$pattern/results; do
		[ -r "$file" ] || { echo "Bail out! no KUnit suite $pattern"; exit 1; }
		files+=("$file")
	done
done
cat "${files[@]}" | awk '
	/^    1\.\./ { plan += substr($1, 4) }
	/^    (not )?ok / { sub(/^ +/, ""); sub(/ok [0-9]+/, "ok " ++n); bad += /^not/; print; next }
	/^ *#/ { sub(/^ +/, ""); print }
	END { print "1.." plan + 0; exit bad > 0 }'
