/*
 * Emulated SEV platform: counts of cache flushes. See sev-count.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/core/cpu.h"
#include "sev-count.h"
#include "sev-emu.h"

/* Not in the CPU's state: a reset would clear it. */
static uint64_t flushes[SEV_EMU_MAX_CPUS][SEV_FLUSH_NR];

static bool has_counter(CPUState *cs)
{
    return cs->cpu_index >= 0 && cs->cpu_index < SEV_EMU_MAX_CPUS;
}

void sev_count_flush(CPUState *cs, SevFlush kind)
{
    if (has_counter(cs)) {
        uint64_t *n = &flushes[cs->cpu_index][kind];

        qatomic_set(n, *n + 1);
    }
}

uint64_t sev_count_flushes(CPUState *cs, SevFlush kind)
{
    return has_counter(cs) ? qatomic_read(&flushes[cs->cpu_index][kind]) : 0;
}

uint64_t sev_count_all_flushes(SevFlush kind)
{
    uint64_t n = 0;
    CPUState *cs;

    CPU_FOREACH(cs) {
        n += sev_count_flushes(cs, kind);
    }
    return n;
}
