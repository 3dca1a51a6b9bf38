/*
 * Emulated SEV platform: how often the host and its guests flush caches.
 *
 * What a flush costs differs by orders of magnitude, so each kind is counted
 * by itself and by the CPU that asks for it. A flush that finds nothing counts
 * too: hardware does not know that beforehand either.
 *
 * Locking: each CPU counts for itself, from its own thread; anybody may read.
 *
 * Lifetime: from the machine's start to its end, across resets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_COUNT_H
#define TARGET_I386_SEV_COUNT_H

#include "cpu.h"

typedef enum SevFlush {
    SEV_FLUSH_WBINVD,       /* by the host; a guest's is intercepted */
    SEV_FLUSH_LINE,         /* CLFLUSH, CLFLUSHOPT, CLWB by the host */
    SEV_FLUSH_GUEST_LINE,   /* the same by an SEV guest */
    SEV_FLUSH_PAGE,         /* a write to VM_PAGE_FLUSH */
    SEV_FLUSH_NR,
} SevFlush;

void sev_count_flush(CPUState *cs, SevFlush kind);
uint64_t sev_count_flushes(CPUState *cs, SevFlush kind);
uint64_t sev_count_all_flushes(SevFlush kind);

#endif
