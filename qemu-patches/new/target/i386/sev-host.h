/*
 * Emulated SEV host, the CPU's side: what a part with SEV reports in CPUID and
 * keeps in model-specific registers. Off unless the CPU has sev-host=on.
 *
 * Facts from AMD's Architecture Programmer's Manual (volumes 2 and 3) and from
 * what Linux 6.1 reads at boot.
 *
 * Locking: a CPU's registers belong to its own thread; another thread only
 * reads them, under the big QEMU lock, when it asks whether the platform is
 * enabled.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_HOST_H
#define TARGET_I386_SEV_HOST_H

#define MSR_AMD64_SEV_STATUS        0xc0010131
#define MSR_AMD64_VM_PAGE_FLUSH     0xc001011e
#define MSR_AMD64_SYSCFG            0xc0010010
#define MSR_K7_HWCR                 0xc0010015
#define MSR_F17H_IRPERF             0xc00000e9

#define SYSCFG_MEM_ENCRYPT_EN       (1ULL << 23)
#define HWCR_SMMLOCK                (1ULL << 0)
#define SEV_STATUS_SEV_ENABLED      (1ULL << 0)

/* The CPU's address space for memory under a guest's key; see sev-enc.h. */
#define SEV_ENC_ASIDX               2

/* Properties of the CPU, all fixed at realize. */
typedef struct SevHostConfig {
    bool enabled;           /* sev-host */
    bool coherent;          /* sme-coherent: the host need not flush */
    uint32_t cbitpos;       /* sev-cbitpos */
    uint32_t max_asid;      /* sev-max-asid, inclusive */
    uint32_t min_asid;      /* sev-min-asid, first one without SEV-ES */
} SevHostConfig;

/* Model-specific registers; reset gives them what firmware leaves behind. */
typedef struct SevHostState {
    uint64_t syscfg;
    uint64_t hwcr;
    uint64_t page_flushes;  /* writes to VM_PAGE_FLUSH since reset */
    uint32_t guest_asid;    /* ASID of the SEV guest that runs, 0: none does */
} SevHostState;

/* How many ASIDs CPUID 0x8000000A reports: with SEV, KVM needs room above. */
#define SVM_NR_ASIDS                16
#define SVM_NR_ASIDS_SEV            0x8000

#ifndef CONFIG_USER_ONLY
/* Check the properties against each other and the CPU; sets @errp. */
bool sev_host_realize(X86CPU *cpu, Error **errp);
void sev_host_reset(X86CPU *cpu);
/* CPUID leaf 0x8000001F. */
void sev_host_cpuid(X86CPU *cpu, uint32_t *eax, uint32_t *ebx, uint32_t *ecx,
                    uint32_t *edx);
/* True when the register is one of ours and the access is done. */
bool sev_host_rdmsr(struct CPUArchState *env, uint32_t msr, uint64_t *val);
bool sev_host_wrmsr(struct CPUArchState *env, uint32_t msr, uint64_t val);
/*
 * Check what VMRUN demands of an SEV guest; false: VMEXIT_INVALID. On success
 * guest_asid tells which guest runs, until #VMEXIT sets it back to 0.
 */
bool sev_host_vmrun(struct CPUArchState *env, uint64_t nested_ctl,
                    uint32_t asid);
/* The C-bit as a mask; 0 when the CPU is no SEV host. */
uint64_t sev_host_cbit(const struct CPUArchState *env);
/* Bits that CR3 may not have besides those from phys-bits on. */
uint64_t sev_host_cr3_reserved(const struct CPUArchState *env);
/* #VMEXIT: no SEV guest runs on this CPU any more. */
void sev_host_vmexit(struct CPUArchState *env);
/*
 * Is the guest's data on a page private? @pae: its page tables have room for
 * the C-bit, and @cbit_set says whether the last entry has it. Without such
 * tables everything is private.
 */
bool sev_host_private(const struct CPUArchState *env, bool pae, bool cbit_set);
extern const struct VMStateDescription vmstate_sev_host;
/* CLFLUSH and its like, at a virtual address. */
void sev_host_clflush(struct CPUArchState *env, uint64_t addr);
/* SEV_STATUS answers a guest without an exit, whatever the permission map. */
bool sev_host_rdmsr_unintercepted(struct CPUArchState *env, uint32_t msr,
                                  uint64_t *val);
#else
static inline bool sev_host_realize(X86CPU *cpu, Error **errp)
{
    return true;
}
static inline void sev_host_reset(X86CPU *cpu)
{
}
static inline void sev_host_cpuid(X86CPU *cpu, uint32_t *eax, uint32_t *ebx,
                                  uint32_t *ecx, uint32_t *edx)
{
}
#endif

#endif
