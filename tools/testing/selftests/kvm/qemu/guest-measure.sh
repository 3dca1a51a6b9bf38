# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What one guest costs the host, as "name value" lines (Documentation/dev/run-report.rst says what they
# mean). Sourced by guest.sh, in the emulated host, which runs nothing else. Needs guest-qmp.sh and guest-pins.sh.
#
# Counters of the kernel are read, and its tracing is used for what has no counter: probes count cache
# flushes and tell which region of the VMM a pin belongs to; the events of restricted memory tell which
# pages of the private half are there. They stay in the ring buffer until the guest has ended its
# work, so that reading them costs the guest nothing.

tracing=/sys/kernel/tracing
probed=$tracing/instances/measure
map_cells=4096

# Retired instructions of the whole machine, from the emulated CPU's counter; it counts in the
# deterministic mode only, and reads 0 otherwise.
instructions()
{
	od -An -t u8 -j $((0xc00000e9)) -N 8 /dev/cpu/0/msr 2>/dev/null | tr -d ' '
}

exits()
{
	cat /sys/kernel/debug/kvm/exits 2>/dev/null || echo 0
}

# Flushes of all caches of all processors since measure_begin; nothing when no probe counts them.
flushes()
{
	awk '$1 == "flush" { print $2 }' "$tracing/kprobe_profile" 2>/dev/null
}

since()
{
	awk "BEGIN { printf \"%.2f\", $EPOCHREALTIME - $1 }"
}

# Room for each page of the guest to come twice, and no more than the host can spare.
trace_buffer_kib()
{
	local pages=$1 kib

	kib=$((pages * 2 * 40 / 1024 / $(nproc)))
	echo $((kib < 1024 ? 1024 : kib > 65536 ? 65536 : kib))
}

start_probes()
{
	local probes=$tracing/kprobe_events

	[ -w "$probes" ] || return 0
	# shellcheck disable=SC2016 # the dollars are the probes'
	{
		echo 'p:measure/flush wbinvd_on_all_cpus'
		echo 'p:measure/region sev_mem_enc_register_region addr=+0($arg2):x64 size=+8($arg2):u64'
		echo 'r:measure/region_end sev_mem_enc_register_region'
		echo 'p:measure/region_gone sev_mem_enc_unregister_region addr=+0($arg2):x64'
		echo 'r:measure/pin pin_user_pages_fast pages=$retval:s32'
	} > "$probes" && mkdir -p "$probed" || return 0
	# Regions are registered first, and flushes may be many: what comes first stays.
	echo nooverwrite > "$probed/trace_options"
	echo 1 > "$probed/events/measure/enable"
}

# The next guest in this host counts from nothing.
stop_probes()
{
	[ -d "$probed" ] || return 0
	echo 0 > "$probed/events/measure/enable"
	rmdir "$probed"
	echo > "$tracing/kprobe_events"
}

# measure_begin PAGES: right before QEMU starts
measure_begin()
{
	measure_pages=$1
	trace_buffer_kib "$1" > "$tracing/buffer_size_kb"
	echo > "$tracing/trace"
	start_probes
	# An event that is not there (an old kernel) is a map that is not there.
	echo 1 > "$tracing/events/restrictedmem/enable" 2>/dev/null
	measure_pins=$(pinned_pages) measure_instructions=$(instructions) measure_start=$EPOCHREALTIME
}

# measure_init TIME KIND: the guest has come to its init, for the first time, the second, ...
measure_init()
{
	local suffix=

	[ "$1" = 1 ] || suffix=_$1
	echo "seconds_to_init$suffix $(since "$measure_start")"
	echo "instructions_to_init$suffix $(($(instructions) - measure_instructions))"
	echo "exits_to_init$suffix $(exits)"
	[ "$2" != private ] || echo "private_memory_at_init$suffix $(qmp query-private-memory)"
}

# Which pins are the guest's RAM? A region is pinned as a whole or not at all, and none but the RAM has its size.
pins_by_region()
{
	awk -v ram=$((measure_pages * 4096)) '
		function value(name, i) { for (i = NF; i > 1; i--) if (index($i, name "=") == 1) return substr($i, length(name) + 2) }
		/ region: / { inside = value("addr"); size[inside] = value("size"); pins[inside] = 0 }
		/ pin: / && inside { if (value("pages") > 0) pins[inside] += value("pages") }
		/ region_end: / { inside = "" }
		/ region_gone: / { delete pins[value("addr")] }
		END { for (addr in pins) if (size[addr] == ram) of_ram += pins[addr]; else other += pins[addr]
			printf "pinned_ram_pages %d\npinned_other_pages %d\n", of_ram, other }' "$probed/trace"
}

# How much of the VMM's largest mapping, the RAM, is there, and how much of that is huge pages: both in pages.
mapped_ram()
{
	awk '/^Size:/ { big = $2 > max; if (big) { max = $2; huge = 0 } }
		/^Rss:/ && big { rss = $2 } /^(AnonHugePages|ShmemPmdMapped|FilePmdMapped):/ && big { huge += $2 }
		END { print rss / 4, huge / 4 }' "/proc/$1/smaps"
}

# Which cells of $1 pages hold how many pages of the private half: the pages that came and did not go again.
resident_cells()
{
	awk -v per="$1" -v cells=$(((measure_pages + $1 - 1) / $1)) '
		function after(word, i) { for (i = 1; i < NF; i++) if ($i == word) return $(i + 1) }
		/ restrictedmem_allocate: / { i = strtonum(after("index")); if (!(i in there)) { there[i]; n[int(i / per)]++ } }
		/ restrictedmem_poison: / { i = strtonum(after("index")); if (i in there) { delete there[i]; n[int(i / per)]-- } }
		/ restrictedmem_punch: / { split(after("range"), r, "-"); end = strtonum(r[2])
			for (i = strtonum(r[1]); i < end; i++) if (i in there) { delete there[i]; n[int(i / per)]-- } }
		END { for (c = 0; c < cells; c++) printf "%s%d", c ? " " : "", n[c]; print "" }' "$tracing/trace"
}

private_map()
{
	local map per

	map=$(qmp query-private-memory-map "{\"id\": \"ram1\", \"cells\": $map_cells}") || return 0
	echo "private_map $map"
	# Events that were overwritten: what is resident is not known.
	if grep -q '^overrun: [1-9]' "$tracing"/per_cpu/cpu*/stats; then
		return
	fi
	per=$(($(sed -n 's/.*"cell-size": \([0-9]*\).*/\1/p' <<< "$map") / 4096))
	echo "resident_cells $(resident_cells "$per")"
}

# measure_end PID KIND MAP: while the guest still has all its memory, and is stopped
measure_end()
{
	local mapped huge

	read -r mapped huge <<< "$(mapped_ram "$1")"
	echo "pinned_pages $(($(pinned_pages) - measure_pins))"
	echo "exits $(exits)"
	[ -z "$(flushes)" ] || pins_by_region
	echo "huge_ram_pages $huge"
	echo "resident_kib $(awk '/^VmRSS/ { print $2 }' "/proc/$1/status")"
	if [ "$2" = private ]; then
		echo "private_memory $(qmp query-private-memory)"
		[ "$3" != 1 ] || private_map
	else
		echo "resident_ram_pages $mapped"
	fi
}

# Once, after the VMM's end.
measure_gone()
{
	echo "seconds_total $(since "$measure_start")"
	[ -z "$(flushes)" ] || echo "flushes $(flushes)"
	echo "pins_left $(($(pinned_pages) - measure_pins))"
	stop_probes
}
