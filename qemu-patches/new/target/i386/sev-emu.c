/*
 * Emulated SEV platform: the state that the secure processor and the CPUs
 * share. See sev-emu.h.
 *
 * Locking: the ASID states and the set of CPUs that still owe a WBINVD are
 * atomic; the rest runs under the big QEMU lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "hw/core/cpu.h"
#include "sysemu/qtest.h"
#include "sev-count.h"
#include "sev-check.h"
#include "sev-emu.h"
#include "sev-enc.h"

static uint8_t asid_state[SEV_EMU_NR_ASIDS];
/* CPUs that have executed WBINVD since the last rearm, by cpu_index. */
static unsigned long wbinvd_cpus[BITS_TO_LONGS(SEV_EMU_MAX_CPUS)];

void sev_emu_asid_set(uint32_t asid, SevEmuAsidState state)
{
    SevEmuAsidState old;

    if (asid > 0 && asid < SEV_EMU_NR_ASIDS) {
        old = qatomic_xchg(&asid_state[asid], state);
        if (old == SEV_EMU_ASID_FREE || state == SEV_EMU_ASID_FREE) {
            sev_check_new_guest(asid, state != SEV_EMU_ASID_FREE);
        }
    }
}

SevEmuAsidState sev_emu_asid_state(uint32_t asid)
{
    return asid < SEV_EMU_NR_ASIDS ? qatomic_read(&asid_state[asid])
                                   : SEV_EMU_ASID_FREE;
}

void sev_emu_wbinvd_done(CPUState *cs)
{
    sev_count_flush(cs, SEV_FLUSH_WBINVD);
    if (cs->cpu_index >= 0 && cs->cpu_index < SEV_EMU_MAX_CPUS) {
        set_bit_atomic(cs->cpu_index, wbinvd_cpus);
    }
    sev_enc_wbinvd(cs);
}

bool sev_emu_wbinvd_done_on_all(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cs->cpu_index < 0 || cs->cpu_index >= SEV_EMU_MAX_CPUS ||
            !test_bit(cs->cpu_index, wbinvd_cpus)) {
            return false;
        }
    }
    return true;
}

void sev_emu_wbinvd_rearm(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(wbinvd_cpus); i++) {
        qatomic_set(&wbinvd_cpus[i], 0);
    }
}

bool sev_emu_params(SevEmuParams *params)
{
    uint32_t max_leaf, eax, ebx, ecx, edx;

    if (!first_cpu) {
        return false;
    }
    cpu_x86_cpuid(first_cpu->env_ptr, 0x80000000, 0, &max_leaf, &ebx, &ecx,
                  &edx);
    if (max_leaf >= 0x8000001f) {
        cpu_x86_cpuid(first_cpu->env_ptr, 0x8000001f, 0, &eax, &ebx, &ecx,
                      &edx);
        if (eax & BIT(1)) {
            params->cbitpos = ebx & 0x3f;
            params->max_asid = ecx;
            params->min_sev_asid = edx;
            params->es = eax & BIT(3);
            params->coherent = eax & BIT(10);
            return true;
        }
    }
    if (qtest_enabled()) {
        *params = (SevEmuParams) {
            .cbitpos = 47, .max_asid = 8, .min_sev_asid = 5,
        };
        return true;
    }
    return false;
}
