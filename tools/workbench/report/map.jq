# SPDX-License-Identifier: GPL-2.0-only
#
# The map of one guest's memory as text: 64 characters a line, 32 lines or less. Run with -r on the map's object.

def letter:
	if .[0] > 0 and .[1] > 0 then "+"
	elif .[1] > 0 then "S"
	elif .[2] * 2 >= .[0] then "#"
	elif .[2] > 0 then ":"
	else "."
	end;

# Join cells so that 2048 are left at most.
def coarser($by): [range(0; length; $by) as $i | .[$i:$i + $by] | [(map(.[0]) | add), (map(.[1]) | add), (map(.[2]) | add)]];

def hex: if . < 16 then "0123456789abcdef"[.:. + 1] else (. / 16 | floor | hex) + (. % 16 | hex) end;
def address: hex | if length < 9 then "0" * (9 - length) + . else . end;

(((.cells | length) + 2047) / 2048 | floor) as $by |
(.pages_per_cell * $by) as $pages |
(.cells | coarser($by) | map(letter)) as $letters |
"guest memory: a character is \($pages) pages of 4 KiB (\($pages * 4) KiB), a line is 64 characters",
"  #  private   :  private, less than half touched   .  private, never touched   S  shared   +  private and shared",
(range(0; $letters | length; 64) as $i | "  0x\($i * $pages * 4096 | address) \($letters[$i:$i + 64] | join(""))")
