# SPDX-License-Identifier: GPL-2.0-only
#
# The "name value" lines of one guest as the object that the report holds for it. Run with -Rn; of facts
# that come twice the last one counts. Pages are 4 KiB.

def number: if test("^-?[0-9]+(\\.[0-9]+)?$") then tonumber else . end;
def pages: if . == null then null else . / 4096 end;

# Each cell: how many pages are private, shared, there in the private half, and there in the shared half.
def map($private; $resident):
	if $private == null or $resident == null then null else
		{
			pages_per_cell: ($private."cell-size" | pages),
			cells: [$private.cells, ($resident | split(" ") | map(tonumber))] | transpose
				| map([(.[0].private | pages), (.[0].shared | pages), .[1], (.[0]."populated-shared" | pages)])
		}
	end;

[inputs | capture("^(?<key>[a-z0-9_]+) (?<value>.*)$")] | map({key, value: (.value | number)}) | from_entries as $f |
# Null for a guest whose memory is pinned: nobody tells the host what such a guest shares.
((($f.private_memory // "[]") | fromjson)[0]) as $p |
((($f.private_memory_at_init // "[]") | fromjson)[0]) as $first |
{
	passed: ($status == "0"),
	vmm: $f.vmm,
	firmware: $firmware,
	machine_encryption: $enc,
	guest: {
		kernel: $f.kernel, cpus: ($guest_smp | number), ram: $ram, mem_kib: $f.mem_kib,
		memory_encryption: $f.memory_encryption
	},
	pages: {
		ram: ($ram_pages | number),
		pinned: $f.pinned_ram_pages,
		pinned_other: $f.pinned_other_pages,
		resident: (if $p then ($p."populated-private" + $p."populated-shared" | pages) else $f.resident_ram_pages end),
		resident_private: ($p."populated-private" | pages),
		resident_shared: ($p."populated-shared" | pages),
		huge: $f.huge_ram_pages,
		resident_at_init: (if $first then ($first."populated-private" + $first."populated-shared" | pages) else null end),
		private: ($p.private | pages),
		shared: ($p.shared | pages)
	},
	conversions: {
		to_shared: $p."conversions-to-shared", pages_to_shared: $p."pages-to-shared",
		to_private: $p."conversions-to-private", pages_to_private: $p."pages-to-private",
		unchanged: $p.unchanged,
		stray_accesses: (if $p then $p."stray-reads" + $p."stray-writes" else null end)
	},
	cost: {
		pinned_pages: $f.pinned_pages, pins_left: $f.pins_left,
		resident_kib: $f.resident_kib,
		flushes: $f.flushes,
		exits_to_init: $f.exits_to_init, exits: $f.exits,
		seconds_to_init: $f.seconds_to_init,
		instructions_to_init: (if $icount == "1" then $f.instructions_to_init else null end),
		seconds_total: $f.seconds_total
	},
	workload: {
		blk_read: $f.blk_read, net_read: $f.net_read, rng_read: $f.rng_read, memory_verified: $f.memory_verified,
		swiotlb_bounces: $f.swiotlb_bounces
	},
	map: map((($f.private_map // "null") | fromjson); $f.resident_cells),
	error: $f.error,
	logs: {host: ($logs + ".console"), guest: ($logs + ".guest")}
}
