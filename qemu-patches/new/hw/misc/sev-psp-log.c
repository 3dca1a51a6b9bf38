/*
 * Emulated AMD Platform Security Processor: the log of its commands.
 *
 * A ring: the last SEV_PSP_LOG_LEN commands, whether they succeeded or not.
 * It is there to be read after something went wrong, so a reset of the device
 * leaves it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sev-psp-internal.h"

void sev_psp_log_add(SevPspState *s, const SevPspLogEntry *entry)
{
    SevPspLogEntry *slot = &s->log[s->log_nr % SEV_PSP_LOG_LEN];

    *slot = *entry;
    slot->number = s->log_nr++;
    slot->time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    slot->state = s->state;
}

uint64_t sev_psp_log_first(const SevPspState *s)
{
    return s->log_nr > SEV_PSP_LOG_LEN ? s->log_nr - SEV_PSP_LOG_LEN : 0;
}

const SevPspLogEntry *sev_psp_log_get(const SevPspState *s, uint64_t number)
{
    assert(number >= sev_psp_log_first(s) && number < s->log_nr);
    return &s->log[number % SEV_PSP_LOG_LEN];
}
