/*
 * Emulated SEV platform: what the secure processor and the CPUs share.
 *
 * The PSP device (hw/misc/sev-psp*) decides which guest owns which ASID and
 * whether that ASID may run; the CPUs (target/i386/tcg) read that at VMRUN and
 * tell the PSP when they executed WBINVD, on which DF_FLUSH depends.
 *
 * Locking: all functions are called with the big QEMU lock held, except
 * sev_emu_asid_state() and sev_emu_wbinvd_done(), which are atomic and may be
 * called from a vCPU thread without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_EMU_H
#define TARGET_I386_SEV_EMU_H

#include "cpu.h"

/* One more than the largest SEV ASID that any configuration can have. */
#define SEV_EMU_NR_ASIDS 512
/* CPUs that flushes are noted of. */
#define SEV_EMU_MAX_CPUS 1024

typedef enum SevEmuAsidState {
    SEV_EMU_ASID_FREE,      /* no guest: VMRUN with it is VMEXIT_INVALID */
    SEV_EMU_ASID_BOUND,     /* activated, launch not finished: not runnable */
    SEV_EMU_ASID_RUNNABLE,  /* LAUNCH_FINISH or RECEIVE_FINISH was done */
} SevEmuAsidState;

/* Set by the PSP: [1, SEV_EMU_NR_ASIDS). */
void sev_emu_asid_set(uint32_t asid, SevEmuAsidState state);
SevEmuAsidState sev_emu_asid_state(uint32_t asid);

/* A CPU executed WBINVD in host mode. */
void sev_emu_wbinvd_done(CPUState *cs);
/* True when every CPU executed WBINVD since sev_emu_wbinvd_rearm(). */
bool sev_emu_wbinvd_done_on_all(void);
/* From now on every CPU owes a WBINVD (after INIT and DEACTIVATE). */
void sev_emu_wbinvd_rearm(void);

/* The CPU model's SEV parameters (CPUID 0x8000001F); false: SEV is off. */
typedef struct SevEmuParams {
    uint32_t cbitpos;       /* position of the C-bit in a page table entry */
    uint32_t max_asid;      /* largest SEV ASID, inclusive (ECX) */
    uint32_t min_sev_asid;  /* first ASID for SEV without ES (EDX) */
    bool es;                /* SEV-ES offered (EAX[3]) */
    bool coherent;          /* SME_COHERENT offered (EAX[10]) */
} SevEmuParams;
bool sev_emu_params(SevEmuParams *params);

/* True when SYSCFG.MEM_ENCRYPT_EN and HWCR.SMMLOCK are set on all CPUs. */
bool sev_emu_platform_enabled(void);

#endif
