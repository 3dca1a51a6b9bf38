# SPDX-License-Identifier: GPL-2.0-only
#
# The map of one guest's memory as a picture. Set before: data (a file with a row of states a line), columns,
# rows, mib (of a row), out, heading. The states: 0 private and never
# touched, 1 private and less than half touched, 2 private, 3 private and shared, 4 shared.
set terminal pngcairo size 1040, 200 + 16 * rows noenhanced font "sans,11"
set output out
set title heading
set palette maxcolors 5 defined (0 "#e8e8e8", 1 "#9dc3e6", 2 "#2b6ca3", 3 "#8e5ea2", 4 "#e8853a")
set rmargin 24
set cbrange [-0.5:4.5]
set cbtics ("never touched" 0, "less than half touched" 1, "private" 2, "private and shared" 3, "shared" 4) scale 0
set xrange [-0.5:columns - 0.5]
set yrange [rows - 0.5:-0.5]
unset xtics
set ytics ("0 MiB" 0) scale 0
set for [row = 4:rows - 1:4] ytics add (sprintf("%g MiB", row * mib) row)
plot data matrix using 1:2:3 with image pixels notitle
