/*
 * Emulated AMD Platform Security Processor: a window of counters, behind the
 * registers that the real part has.
 *
 * Software in the machine measures itself with it: a test reads the numbers
 * before and after what it does. Nothing can be written there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sev-psp-internal.h"
#include "target/i386/sev-count.h"
#include "target/i386/sev-strict.h"

static uint64_t last_violation(bool address)
{
    uint64_t n = sev_strict_reports();
    const SevStrictReport *r;

    if (!n) {
        return 0;
    }
    r = sev_strict_get_report(n - 1);
    return address ? r->pa : r->use | (uint64_t)r->host_lines << 8 |
                             (uint64_t)r->asid << 16 |
                             (uint64_t)r->handle << 32;
}

static uint64_t counter(SevPspState *s, unsigned index)
{
    switch (index) {
    case SEV_PSP_COUNTER_WBINVD:
        return sev_count_all_flushes(SEV_FLUSH_WBINVD);
    case SEV_PSP_COUNTER_CLFLUSH:
        return sev_count_all_flushes(SEV_FLUSH_LINE);
    case SEV_PSP_COUNTER_GUEST_CLFLUSH:
        return sev_count_all_flushes(SEV_FLUSH_GUEST_LINE);
    case SEV_PSP_COUNTER_PAGE_FLUSH:
        return sev_count_all_flushes(SEV_FLUSH_PAGE);
    case SEV_PSP_COUNTER_DF_FLUSH:
        return s->df_flushes;
    case SEV_PSP_COUNTER_WRITE_BACKS:
        return sev_enc_stats().write_backs;
    case SEV_PSP_COUNTER_STRICT:
        return s->strict;
    case SEV_PSP_COUNTER_VIOLATIONS:
        return sev_strict_reports();
    case SEV_PSP_COUNTER_LAST_ADDRESS:
    case SEV_PSP_COUNTER_LAST_WHAT:
        return last_violation(index == SEV_PSP_COUNTER_LAST_ADDRESS);
    case SEV_PSP_COUNTER_SHADOW_PAGES:
        return sev_enc_use().pages;
    case SEV_PSP_COUNTER_SHADOW_RESIDENT:
        return sev_enc_use().resident;
    case SEV_PSP_COUNTER_SHADOW_COPIES:
        return sev_enc_use().copies;
    default:
        return 0;
    }
}

bool sev_psp_counter_read(SevPspState *s, hwaddr addr, uint32_t *val)
{
    unsigned index;
    uint64_t n;

    if (addr == SEV_PSP_REG_COUNTERS) {
        *val = SEV_PSP_COUNTERS_MAGIC;
        return true;
    }
    if (addr < SEV_PSP_REG_COUNTER(0) ||
        addr >= SEV_PSP_REG_COUNTER(SEV_PSP_COUNTER_NR)) {
        return false;
    }
    index = (addr - SEV_PSP_REG_COUNTER(0)) / 8;
    n = counter(s, index);
    *val = addr & 4 ? n >> 32 : n;
    return true;
}
