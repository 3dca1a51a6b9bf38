/*
 * Emulated SEV host, the CPU's side. See sev-host.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "sysemu/cpu-timers.h"
#include "sysemu/tcg.h"
#include "sysemu/qtest.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "migration/vmstate.h"
#include "sev-count.h"
#include "sev-check.h"
#include "sev-emu.h"
#include "sev-enc.h"
#include "sev-strict.h"
#include "svm.h"

/* CPUID 0x8000001F EAX. */
#define CPUID_SEV           (1U << 1)
#define CPUID_VM_PAGE_FLUSH (1U << 2)
#define CPUID_SME_COHERENT  (1U << 10)

/* Physical address bits that the C-bit costs when encryption is on. */
#define SEV_REDUCED_PHYS_BITS 1

bool sev_host_realize(X86CPU *cpu, Error **errp)
{
    SevHostConfig *sev = &cpu->sev_host;
    CPUX86State *env = &cpu->env;
    const char *problem = NULL;

    if (!sev->enabled) {
        return true;
    }
    if (!tcg_enabled() && !qtest_enabled()) {
        problem = "needs the TCG accelerator";
    } else if (!(env->features[FEAT_8000_0001_ECX] & CPUID_EXT3_SVM) ||
               !(env->features[FEAT_SVM] & CPUID_SVM_NPT)) {
        problem = "needs svm=on,npt=on";
    } else if (env->cpuid_xlevel < 0x8000001f) {
        problem = "needs xlevel to be left out or at least 0x8000001f";
    } else if (sev->cbitpos < 32 || sev->cbitpos >= cpu->phys_bits) {
        problem = "needs sev-cbitpos in [32, phys-bits)";
    } else if (sev->cbitpos != cpu->phys_bits - 1) {
        /*
         * KVM marks MMIO with the bits above the C-bit, and the walk treats
         * only bits from phys-bits on as reserved.
         */
        problem = "needs phys-bits to be sev-cbitpos + 1";
    } else if (sev->max_asid < 1 || sev->max_asid >= SEV_EMU_NR_ASIDS) {
        problem = "needs sev-max-asid in [1, 511]";
    } else if (sev->min_asid < 1 || sev->min_asid > sev->max_asid + 1) {
        problem = "needs sev-min-asid in [1, sev-max-asid + 1]";
    }
    if (problem) {
        error_setg(errp, "sev-host=on %s", problem);
        return false;
    }
    return true;
}

void sev_host_reset(X86CPU *cpu)
{
    SevHostState *state = &cpu->env.sev_host;

    if (cpu->sev_host.enabled) {
        sev_enc_leave(&cpu->env);
        /* The firmware of a part that offers SEV enables and locks it. */
        *state = (SevHostState) {
            .syscfg = SYSCFG_MEM_ENCRYPT_EN,
            .hwcr = HWCR_SMMLOCK,
        };
    }
}

void sev_host_cpuid(X86CPU *cpu, uint32_t *eax, uint32_t *ebx, uint32_t *ecx,
                    uint32_t *edx)
{
    const SevHostConfig *sev = &cpu->sev_host;

    if (!sev->enabled) {
        return;
    }
    *eax = CPUID_SEV | CPUID_VM_PAGE_FLUSH;
    *eax |= sev->coherent ? CPUID_SME_COHERENT : 0;
    *ebx = sev->cbitpos | SEV_REDUCED_PHYS_BITS << 6;
    *ecx = sev->max_asid;
    *edx = sev->min_asid;
}

bool sev_host_rdmsr_unintercepted(CPUX86State *env, uint32_t msr,
                                  uint64_t *val)
{
    if (msr != MSR_AMD64_SEV_STATUS || !env->sev_host.guest_asid) {
        return false;
    }
    *val = SEV_STATUS_SEV_ENABLED;
    return true;
}

bool sev_host_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val)
{
    if (msr == MSR_F17H_IRPERF &&
        env->features[FEAT_8000_0008_EBX] & CPUID_8000_0008_EBX_IRPERF) {
        /* One counter for the machine: -icount runs one CPU at a time. */
        *val = icount_enabled() ? icount_get_raw() : 0;
        return true;
    }
    if (!env_archcpu(env)->sev_host.enabled) {
        return false;
    }
    switch (msr) {
    case MSR_AMD64_SYSCFG:
        *val = env->sev_host.syscfg;
        return true;
    case MSR_K7_HWCR:
        *val = env->sev_host.hwcr;
        return true;
    case MSR_AMD64_SEV_STATUS:
        *val = 0;
        return true;
    default:
        return false;
    }
}

/* Where @addr is and whether under a guest's key; false: not mapped. */
static bool find_page(CPUX86State *env, target_ulong addr, hwaddr *pa,
                      bool *private)
{
    CPUTLBEntryFull *full;
    void *host;
    int flags;

    sev_strict_probing = true;
    flags = probe_access_full(env, addr, MMU_DATA_LOAD,
                              cpu_mmu_index(env, false), true, &host, &full,
                              0);
    sev_strict_probing = false;
    if (flags & TLB_INVALID_MASK) {
        return false;
    }
    *pa = full->phys_addr | (addr & ~TARGET_PAGE_MASK);
    *private = full->attrs.target_tlb_bit0;
    if (!*private && sev_enc_has_lines(*pa)) {
        /* An access by this TLB entry would not be seen. */
        tlb_flush_page(env_cpu(env), addr);
    }
    return true;
}

bool sev_host_wrmsr(CPUX86State *env, uint32_t msr, uint64_t val)
{
    bool private;
    hwaddr pa;

    if (!env_archcpu(env)->sev_host.enabled) {
        return false;
    }
    switch (msr) {
    case MSR_AMD64_SYSCFG:
        /* Encryption stays enabled until the next reset. */
        env->sev_host.syscfg = val | (env->sev_host.syscfg &
                                      SYSCFG_MEM_ENCRYPT_EN);
        return true;
    case MSR_K7_HWCR:
        env->sev_host.hwcr = val | (env->sev_host.hwcr & HWCR_SMMLOCK);
        return true;
    case MSR_AMD64_VM_PAGE_FLUSH:
        /* A page of the host's addresses, and an ASID in its offset. */
        if (find_page(env, val, &pa, &private)) {
            sev_enc_flush_page(pa, val & ~TARGET_PAGE_MASK);
        }
        env->sev_host.page_flushes++;
        sev_count_flush(env_cpu(env), SEV_FLUSH_PAGE);
        return true;
    default:
        return false;
    }
}

void sev_host_clflush(CPUX86State *env, uint64_t addr)
{
    bool private;
    hwaddr pa;

    if (env->sev_host.guest_asid) {
        sev_count_flush(env_cpu(env), SEV_FLUSH_GUEST_LINE);
    } else if (!(env->hflags & HF_GUEST_MASK)) {
        sev_count_flush(env_cpu(env), SEV_FLUSH_LINE);
    }
    if (sev_strict_on && find_page(env, addr, &pa, &private)) {
        sev_enc_flush_line(env, pa, private);
    }
}

bool sev_host_vmrun(CPUX86State *env, uint64_t nested_ctl, uint32_t asid)
{
    const SevHostConfig *sev = &env_archcpu(env)->sev_host;
    const char *problem = NULL;

    env->sev_host.guest_asid = 0;
    if (!sev->enabled || !(nested_ctl & SVM_SEV_ENABLED)) {
        return true;
    }
    if (!(nested_ctl & SVM_NPT_ENABLED)) {
        problem = "nested paging is off";
    } else if (!(env->sev_host.syscfg & SYSCFG_MEM_ENCRYPT_EN) ||
               !(env->sev_host.hwcr & HWCR_SMMLOCK)) {
        problem = "SYSCFG or HWCR does not enable encryption";
    } else if (asid < sev->min_asid || asid > sev->max_asid) {
        problem = "the ASID is not one for SEV";
    } else if (sev_emu_asid_state(asid) != SEV_EMU_ASID_RUNNABLE) {
        problem = "no finished guest owns the ASID";
    }
    if (problem) {
        qemu_log_mask(LOG_GUEST_ERROR, "SEV: VMRUN with ASID %u: %s\n", asid,
                      problem);
        return false;
    }
    env->sev_host.guest_asid = asid;
    sev_check_vmrun(env);
    tlb_flush(env_cpu(env));
    return true;
}

void sev_host_vmexit(CPUX86State *env)
{
    if (env->sev_host.guest_asid) {
        sev_enc_leave(env);
        env->sev_host.guest_asid = 0;
    }
}

uint64_t sev_host_cbit(const CPUX86State *env)
{
    const SevHostConfig *sev = &env_archcpu((CPUX86State *)env)->sev_host;

    return sev->enabled ? 1ULL << sev->cbitpos : 0;
}

uint64_t sev_host_cr3_reserved(const CPUX86State *env)
{
    return env->sev_host.guest_asid ? 0 : sev_host_cbit(env);
}

bool sev_host_private(const CPUX86State *env, bool pae, bool cbit_set)
{
    return env->sev_host.guest_asid && (!pae || cbit_set);
}

static bool sev_host_vmstate_needed(void *opaque)
{
    X86CPU *cpu = opaque;

    return cpu->sev_host.enabled;
}

const VMStateDescription vmstate_sev_host = {
    .name = "cpu/sev_host",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sev_host_vmstate_needed,
    .fields = (VMStateField[]) {
        VMSTATE_UINT64(env.sev_host.syscfg, X86CPU),
        VMSTATE_UINT64(env.sev_host.hwcr, X86CPU),
        VMSTATE_UINT64(env.sev_host.page_flushes, X86CPU),
        VMSTATE_UINT32(env.sev_host.guest_asid, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

bool sev_emu_platform_enabled(void)
{
    SevEmuParams params;
    CPUState *cs;

    if (qtest_enabled()) {
        return true;
    }
    if (!sev_emu_params(&params)) {
        return false;
    }
    CPU_FOREACH(cs) {
        SevHostState *state = &X86_CPU(cs)->env.sev_host;

        if (!(state->syscfg & SYSCFG_MEM_ENCRYPT_EN) ||
            !(state->hwcr & HWCR_SMMLOCK)) {
            return false;
        }
    }
    return true;
}
