#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run one long step with its output in a log: show that it lives, and when it fails end in one line
# that names the log.
#
#   step.sh LABEL LOGNAME COMMAND...
set -euo pipefail
. "$(dirname "$0")/lib.sh"

label=$1 log=$logs/$2.log
shift 2
mkdir -p "$logs"
[ ! -f "$log" ] || mv -f "$log" "$log.old"

# The step gets a process group of its own, so that an interrupt ends all of it.
setsid "$@" > "$log" 2>&1 < /dev/null &
job=$!
trap 'kill -- "-$job" 2>/dev/null; exit 130' INT TERM

start=$SECONDS
next=20
while kill -0 "$job" 2>/dev/null; do
	sleep 0.2
	if [ $((SECONDS - start)) -ge "$next" ]; then
		next=$((next + 20))
		say "..." "$label: $((SECONDS - start)) s, $(tail -n1 "$log" | cut -c1-90)"
	fi
done
if wait "$job"; then
	if [ $((SECONDS - start)) -ge 3 ]; then
		say OK "$label ($((SECONDS - start)) s)"
	fi
	exit 0
fi
reason=$(grep -aE '(^|[^a-z])([Ee]rror|ERROR|fatal|FAILED|No space left)' "$log" | tail -n1 | cut -c1-160) || true
die "$label failed: ${reason:-$(tail -n1 "$log" | cut -c1-160)} (log: $log)"
