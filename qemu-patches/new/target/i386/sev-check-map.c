/*
 * Emulated SEV platform: what an SEV guest reported, page by page. See
 * sev-check.h.
 *
 * Ranges in order, disjoint, as long as possible. A guest of any size has few
 * of them, and a hostile one no more than it makes hypercalls.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sev-check-internal.h"

typedef struct Range {
    uint64_t first, end;
    SevCheckReport report;
} Range;

struct SevCheckMap {
    GArray *ranges;
};

static GArray *new_ranges(void)
{
    return g_array_new(false, false, sizeof(Range));
}

SevCheckMap *sev_check_map_new(void)
{
    SevCheckMap *map = g_new0(SevCheckMap, 1);

    map->ranges = new_ranges();
    return map;
}

void sev_check_map_free(SevCheckMap *map)
{
    g_array_free(map->ranges, true);
    g_free(map);
}

static void append(GArray *ranges, uint64_t first, uint64_t end,
                   SevCheckReport report)
{
    Range range = { first, end, report };
    Range *last;

    if (first >= end) {
        return;
    }
    if (ranges->len) {
        last = &g_array_index(ranges, Range, ranges->len - 1);
        if (last->end == first && last->report == report) {
            last->end = end;
            return;
        }
    }
    g_array_append_val(ranges, range);
}

void sev_check_map_set(SevCheckMap *map, uint64_t first, uint64_t end,
                       SevCheckReport report)
{
    GArray *old = map->ranges;
    bool done = false;

    map->ranges = new_ranges();
    for (unsigned i = 0; i < old->len; i++) {
        const Range *r = &g_array_index(old, Range, i);

        append(map->ranges, r->first, MIN(r->end, first), r->report);
        if (!done && r->end > first) {
            append(map->ranges, first, end, report);
            done = true;
        }
        append(map->ranges, MAX(r->first, end), r->end, r->report);
    }
    if (!done) {
        append(map->ranges, first, end, report);
    }
    g_array_free(old, true);
}

SevCheckReport sev_check_map_get(const SevCheckMap *map, uint64_t page)
{
    unsigned low = 0, high = map->ranges->len;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const Range *r = &g_array_index(map->ranges, Range, middle);

        if (page < r->first) {
            high = middle;
        } else if (page >= r->end) {
            low = middle + 1;
        } else {
            return r->report;
        }
    }
    return SEV_CHECK_NOTHING;
}
