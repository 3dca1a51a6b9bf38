/*
 * SVM: next RIP and decode assists.
 *
 * The translator knows lengths and registers, but half of the intercepts are
 * checked in helpers that it told nothing, and page faults have no such place
 * at all. So the instruction is fetched and decoded again when it exits, which
 * costs little next to the exit itself.
 *
 * Locking: see svm_decode.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "tcg/helper-tcg.h"
#include "svm_decode.h"
#include "svm_insn.h"

/* EXITINFO1 of a CR access: it was MOV, and bits 3:0 name the register. */
#define SVM_EXITINFO1_MOV_CR (1ULL << 63)

QEMU_BUILD_BUG_ON(offsetof(struct vmcb, control.next_rip) != 0xc8);
QEMU_BUILD_BUG_ON(offsetof(struct vmcb, control.insn_len) != 0xd0);
QEMU_BUILD_BUG_ON(offsetof(struct vmcb, control.insn_bytes) != 0xd1);
QEMU_BUILD_BUG_ON(offsetof(struct vmcb, save) != 0x400);
QEMU_BUILD_BUG_ON(sizeof_field(struct vmcb, control.insn_bytes) !=
                  SVM_INSN_MAX_LEN);
QEMU_BUILD_BUG_ON((int)SVM_INSN_SS != R_SS || (int)SVM_INSN_DS != R_DS);

static bool has_nrip(CPUX86State *env)
{
    return env->features[FEAT_SVM] & CPUID_SVM_NRIPSAVE;
}

static bool has_decode(CPUX86State *env)
{
    return env->features[FEAT_SVM] & CPUID_SVM_DECODEASSIST;
}

static int code_bits(CPUX86State *env)
{
    if (env->hflags & HF_CS64_MASK) {
        return 64;
    }
    return env->hflags & HF_CS32_MASK ? 32 : 16;
}

static target_ulong code_addr(CPUX86State *env, target_ulong addr)
{
    return env->hflags & HF_CS64_MASK ? addr : (uint32_t)addr;
}

/*
 * Read up to SVM_INSN_MAX_LEN bytes at CS:RIP as an instruction fetch would,
 * but without faults; return how many there are. The bytes come through the
 * TLB: what the guest executes is what is read, encrypted memory included.
 */
static size_t fetch_insn(CPUX86State *env, uint8_t *buf)
{
    target_ulong start = env->segs[R_CS].base + env->eip;
    int mmu_idx = cpu_mmu_index(env, true);
    size_t got = 0;

    while (got < SVM_INSN_MAX_LEN) {
        target_ulong addr = code_addr(env, start + got);
        size_t n = MIN(SVM_INSN_MAX_LEN - got, -(addr | TARGET_PAGE_MASK));
        void *host;
        int flags;

        flags = probe_access_flags(env, addr, MMU_INST_FETCH, mmu_idx, true,
                                   &host, 0);
        if (flags & (TLB_INVALID_MASK | TLB_MMIO)) {
            break;
        }
        memcpy(buf + got, host, n);
        got += n;
    }
    return got;
}

static bool decode_current(CPUX86State *env, SvmInsn *insn)
{
    uint8_t buf[SVM_INSN_MAX_LEN];

    return svm_insn_decode(buf, fetch_insn(env, buf), code_bits(env), insn);
}

/* Does the exit belong to the instruction at RIP, one that is known here? */
static bool is_insn_exit(uint32_t exit_code)
{
    switch (exit_code) {
    case SVM_EXIT_READ_CR0 ... SVM_EXIT_EXCP_BASE - 1:
    case SVM_EXIT_EXCP_BASE + EXCP03_INT3:
    case SVM_EXIT_EXCP_BASE + EXCP04_INTO:
    case SVM_EXIT_EXCP_BASE + EXCP05_BOUND:
    case SVM_EXIT_CR0_SEL_WRITE ... SVM_EXIT_MSR:
    case SVM_EXIT_VMRUN ... SVM_EXIT_XSETBV:
        return true;
    default:
        return false;
    }
}

static target_ulong mem_operand(CPUX86State *env, const SvmInsn *insn)
{
    target_ulong addr = insn->disp;
    bool long_mode = env->hflags & HF_CS64_MASK;

    if (insn->rip_relative) {
        addr += env->eip + insn->len;
    }
    if (insn->base != SVM_INSN_NO_REG) {
        addr += env->regs[insn->base];
    }
    if (insn->index != SVM_INSN_NO_REG) {
        addr += env->regs[insn->index] << insn->scale;
    }
    if (insn->addr_shift < 3) {
        addr &= MAKE_64BIT_MASK(0, 8 << insn->addr_shift);
    }
    if (!long_mode || insn->seg >= R_FS) {
        addr += env->segs[insn->seg].base;
    }
    return code_addr(env, addr);
}

/* EXITINFO1 of an intercepted instruction. */
static uint64_t insn_exit_info(CPUX86State *env, uint32_t exit_code,
                               const SvmInsn *insn, uint64_t exit_info_1)
{
    switch (exit_code) {
    case SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_DR0 - 1:
    case SVM_EXIT_CR0_SEL_WRITE:
        /* LMSW, SMSW and CLTS come here too, and have no register to name. */
        if (insn->opcode == (SVM_INSN_0F | 0x20) ||
            insn->opcode == (SVM_INSN_0F | 0x22)) {
            return SVM_EXITINFO1_MOV_CR | insn->rm;
        }
        return exit_info_1;
    case SVM_EXIT_READ_DR0 ... SVM_EXIT_EXCP_BASE - 1:
        return insn->rm;
    case SVM_EXIT_SWINT:
        return insn->imm;
    case SVM_EXIT_INVLPG:
        return mem_operand(env, insn);
    case SVM_EXIT_INVLPGA:
        return insn->addr_shift < 3 ? (uint32_t)env->regs[R_EAX]
                                    : env->regs[R_EAX];
    default:
        return exit_info_1;
    }
}

/* Page faults on data: give the instruction to whoever emulates the access. */
static void save_insn_bytes(CPUX86State *env, uint32_t exit_code,
                            uint64_t exit_info_1)
{
    CPUState *cs = env_cpu(env);
    bool is_fault = exit_code == SVM_EXIT_NPF ||
                    exit_code == SVM_EXIT_EXCP_BASE + EXCP0E_PAGE;
    uint8_t buf[SVM_INSN_MAX_LEN];
    size_t n = 0;
    size_t i;

    if (is_fault && !(exit_info_1 & PG_ERROR_I_D_MASK)) {
        n = fetch_insn(env, buf);
        if (n == 0) {
            qemu_log_mask(CPU_LOG_INT, "SVM: exit 0x%x, error 0x%" PRIx64
                          ": no instruction bytes at " TARGET_FMT_lx "\n",
                          exit_code, exit_info_1, env->eip);
        }
    }
    x86_stb_phys(cs, env->vm_vmcb + offsetof(struct vmcb, control.insn_len), n);
    for (i = 0; i < n; i++) {
        x86_stb_phys(cs, env->vm_vmcb + i +
                     offsetof(struct vmcb, control.insn_bytes), buf[i]);
    }
}

uint64_t svm_decode_exit(CPUX86State *env, uint32_t exit_code,
                         uint64_t exit_info_1)
{
    target_ulong next_rip = 0;
    SvmInsn insn;

    /* A VMRUN that failed its checks has no guest to look into. */
    if (exit_code == (uint32_t)SVM_EXIT_ERR ||
        !(has_nrip(env) || has_decode(env))) {
        return exit_info_1;
    }
    if (is_insn_exit(exit_code)) {
        if (decode_current(env, &insn)) {
            next_rip = code_addr(env, env->eip + insn.len);
            if (has_decode(env)) {
                exit_info_1 = insn_exit_info(env, exit_code, &insn,
                                             exit_info_1);
            }
        } else {
            qemu_log_mask(CPU_LOG_INT, "SVM: exit 0x%x: cannot decode the "
                          "instruction at " TARGET_FMT_lx "\n", exit_code,
                          env->eip);
        }
    }
    if (has_nrip(env)) {
        x86_stq_phys(env_cpu(env), env->vm_vmcb +
                     offsetof(struct vmcb, control.next_rip), next_rip);
    }
    if (has_decode(env)) {
        save_insn_bytes(env, exit_code, exit_info_1);
    }
    return exit_info_1;
}

void svm_inject_soft(CPUX86State *env, int vector, bool is_exception)
{
    if (!has_nrip(env)) {
        return;
    }
    if (is_exception && vector != EXCP03_INT3 && vector != EXCP04_INTO) {
        return;
    }
    /*
     * RIP itself stays: an exit during the delivery reports it, and the
     * hypervisor recognizes the interrupted injection by it. To return
     * elsewhere is what the delivery does for INTn, of which a #BP then also
     * has the check of the gate's privilege level, as INT3 does.
     */
    env->exception_is_int = 1;
    env->exception_next_eip =
        x86_ldq_phys(env_cpu(env), env->vm_vmcb +
                     offsetof(struct vmcb, control.next_rip));
}

bool svm_is_soft_exception(CPUX86State *env, int vector)
{
    SvmInsn insn;

    /* INTn can have the same vector. Only the instruction tells them apart. */
    return (vector == EXCP03_INT3 || vector == EXCP04_INTO) &&
           decode_current(env, &insn) && insn.opcode != 0xcd;
}

void svm_check_soft_intercept(CPUX86State *env, int vector, uintptr_t retaddr)
{
    uint32_t exit_code = SVM_EXIT_SWINT;

    if (likely(!(env->hflags & HF_GUEST_MASK))) {
        return;
    }
    cpu_restore_state(env_cpu(env), retaddr);
    if (svm_is_soft_exception(env, vector)) {
        exit_code = SVM_EXIT_EXCP_BASE + vector;
    }
    cpu_svm_check_intercept_param(env, exit_code, 0, 0);
}
