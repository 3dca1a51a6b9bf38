# SPDX-License-Identifier: GPL-2.0-only
#
# The table of a report, one column for each kind of memory: lines of fields separated by tabs. Run with -r.

def grouped: tostring as $s | [range($s | length; 0; -3) as $to | $s[([0, $to - 3] | max):$to]] | reverse | join(",");
def shown: if . == null then "-" elif type == "number" and . == floor then grouped else tostring end;
def row($name; value): [$name] + [.runs[] | value | shown] | join("\t");

(["pages of 4 KiB"] + (.runs | keys_unsorted) | join("\t")),
row("guest RAM"; .pages.ram),
row("  pinned"; .pages.pinned),
row("  resident"; .pages.resident),
row("  private"; .pages.private),
row("    of which resident"; .pages.resident_private),
row("  shared"; .pages.shared),
row("    of which resident"; .pages.resident_shared),
row("flash and others, pinned"; .pages.pinned_other),
row("converted to shared"; .conversions.pages_to_shared),
row("converted to private"; .conversions.pages_to_private),
row("memory encryption, emulated"; .machine_encryption),
(["events"] | join("\t")),
row("conversions to shared"; .conversions.to_shared),
row("conversions to private"; .conversions.to_private),
row("flushes of all caches"; .cost.flushes),
row("VM exits to guest init"; .cost.exits_to_init),
row("VM exits"; .cost.exits),
(["to guest init, emulated"] | join("\t")),
row("instructions"; .cost.instructions_to_init),
row("seconds"; .cost.seconds_to_init)
