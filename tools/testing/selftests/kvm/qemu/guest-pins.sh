# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What is pinned in the emulated host. Sourced by guest.sh and vmm-*.sh.

pinned_pages()
{
	# The counters are kept per CPU and are exact only after a refresh.
	echo 1 > /proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { n += $2 } /^nr_foll_pin_released/ { n -= $2 } END { print n }' /proc/vmstat
}
