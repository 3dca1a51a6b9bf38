/*
 * Private guest memory in KVM, x86: the type of the VM, and how the guest says
 * which of its pages it shares.
 *
 * An SEV guest keeps all of its memory private, and reports each change by the
 * hypercall KVM_HC_MAP_GPA_RANGE. Linux does so if CPUID has the feature
 * KVM_FEATURE_MIGRATION_CONTROL, for which the hypercall was made; with that
 * feature comes an MSR, in which the guest says whether it may be migrated.
 * Nothing here migrates: the MSR is kept for the guest to read back.
 *
 * Locking: hypercalls and MSRs are handled in vCPU threads without the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "sysemu/kvm-private-uapi.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "qapi/error.h"
#include "qapi/qapi-types-common.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "exec/confidential-guest-support.h"
#include "exec/private-ram.h"
#include "hw/boards.h"
#include "hw/i386/x86.h"
#include "sysemu/kvm_int.h"
#include "sysemu/memfd-private.h"
#include "sysemu/reset.h"
#include "sysemu/runstate.h"
#include "kvm_i386.h"
#include "private-mem.h"
#include "trace.h"

/* From <linux/kvm_para.h>, which is not among the imported headers. */
#define KVM_HC_MAP_GPA_RANGE 12
#define KVM_GUEST_ENOSYS 1000

#define MSR_KVM_MIGRATION_CONTROL 0x4b564d08

#define REPORTING_FEATURES \
    (1U << KVM_FEATURE_HC_MAP_GPA_RANGE | 1U << KVM_FEATURE_MIGRATION_CONTROL)

#define SEV_POLICY_BIT_ES 0x4

static int vm_type;
static uint64_t migration_control;      /* atomic; of the VM, not of a vCPU */

static void check_machine(MachineState *ms)
{
    Object *sev = object_dynamic_cast(OBJECT(ms->cgs), "sev-guest");

    if (!sev) {
        error_report(TYPE_MEMORY_BACKEND_MEMFD_PRIVATE " needs -machine"
                     " confidential-guest-support=<a sev-guest object>: only a"
                     " guest that encrypts its memory reports which pages it"
                     " shares");
        exit(EXIT_FAILURE);
    }
    if (object_property_get_uint(sev, "policy", &error_abort) &
        SEV_POLICY_BIT_ES) {
        error_report(TYPE_MEMORY_BACKEND_MEMFD_PRIVATE ": not with SEV-ES yet"
                     " (bit 2 of the sev-guest's policy)");
        exit(EXIT_FAILURE);
    }
    if (object_dynamic_cast(OBJECT(ms), TYPE_X86_MACHINE) &&
        X86_MACHINE(ms)->smm == ON_OFF_AUTO_ON) {
        error_report(TYPE_MEMORY_BACKEND_MEMFD_PRIVATE ": not with smm=on:"
                     " system management mode has a second view of memory, in"
                     " which a page's state would not hold");
        exit(EXIT_FAILURE);
    }
    /*
     * To reap the ring, all vCPUs are waited for inside a memory transaction;
     * one that converts pages waits for its end.
     */
    if (KVM_STATE(ms->accelerator)->kvm_dirty_ring_size) {
        error_report(TYPE_MEMORY_BACKEND_MEMFD_PRIVATE ": not with -accel"
                     " kvm,dirty-ring-size=: it is for migration, which private"
                     " memory does not have");
        exit(EXIT_FAILURE);
    }
}

static const struct {
    unsigned int cap, bits;
    const char *name;
} needed[] = {
    { KVM_CAP_VM_TYPES, 1U << KVM_X86_SEV_VM,
      "VMs of the SEV type (KVM_CAP_VM_TYPES)" },
    { KVM_CAP_USER_MEMORY2, 1, "KVM_CAP_USER_MEMORY2" },
    { KVM_CAP_MEMORY_ATTRIBUTES, KVM_MEMORY_ATTRIBUTE_PRIVATE,
      "private frames (KVM_CAP_MEMORY_ATTRIBUTES)" },
    { KVM_CAP_GUEST_MEMFD, 1, "KVM_CAP_GUEST_MEMFD" },
    { KVM_CAP_MEMORY_FAULT_INFO, 1, "KVM_CAP_MEMORY_FAULT_INFO" },
    { KVM_CAP_EXIT_HYPERCALL, 1U << KVM_HC_MAP_GPA_RANGE,
      "the hypercall that guests report with (KVM_CAP_EXIT_HYPERCALL)" },
    { KVM_CAP_X86_USER_SPACE_MSR, 1, "KVM_CAP_X86_USER_SPACE_MSR" },
};

/*
 * Asked twice: of /dev/kvm before there is a VM, and of the VM. The former says
 * what some type of VM can do, and the SEV type may not be among those.
 */
static void check_capabilities(KVMState *s, const char *who,
                               int (*check)(KVMState *s, unsigned int cap))
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(needed); i++) {
        int have = check(s, needed[i].cap);

        if (have < 0 || (have & needed[i].bits) != needed[i].bits) {
            error_report(TYPE_MEMORY_BACKEND_MEMFD_PRIVATE ": %s not got %s",
                         who, needed[i].name);
            exit(EXIT_FAILURE);
        }
    }
}

int kvm_x86_private_vm_type(MachineState *ms)
{
    if (memfd_private_expected()) {
        check_machine(ms);
        check_capabilities(KVM_STATE(ms->accelerator), "the host's KVM has",
                           kvm_check_extension);
        vm_type = KVM_X86_SEV_VM;
    }
    return vm_type;
}

/*
 * An injection comes to nothing, and says so to nobody, where the guest has
 * disabled reports of uncorrected errors. Then it would come back to the same
 * page for ever. Without CR4.MCE, or with one under way, the machine resets.
 */
static bool injected(CPUState *cs)
{
    return cs->interrupt_request & CPU_INTERRUPT_MCE ||
           qemu_reset_requested_get() || qemu_shutdown_requested_get();
}

static bool page_lost(CPUState *cs, hwaddr gpa, bool first)
{
    X86CPU *cpu = X86_CPU(cs);

    if (!(cpu->env.mcg_cap & MCG_SER_P)) {
        return false;
    }
    kvm_mce_inject(cpu, gpa, BUS_MCEERR_AR);
    if (!injected(cs)) {
        return false;
    }
    if (first) {
        error_report("Guest MCE Memory Error at GUEST addr 0x%" HWADDR_PRIx
                     " of type BUS_MCEERR_AR injected: private memory was lost",
                     gpa);
    }
    return true;
}

static const KVMPrivateTarget private_target = {
    .page_lost = page_lost,
};

static bool read_migration_control(X86CPU *cpu, uint32_t msr, uint64_t *val)
{
    *val = qatomic_read(&migration_control);
    return true;
}

/* False: the guest gets #GP. */
static bool write_migration_control(X86CPU *cpu, uint32_t msr, uint64_t val)
{
    if (val & ~(uint64_t)KVM_MIGRATION_READY) {
        return false;
    }
    qatomic_set(&migration_control, val);
    return true;
}

/* A guest with encrypted memory starts as one that may not be migrated. */
static void reset_migration_control(void *opaque)
{
    qatomic_set(&migration_control, 0);
}

int kvm_x86_private_init(KVMState *s, Error **errp)
{
    int ret;

    if (!vm_type) {
        return 0;
    }
    check_capabilities(s, "SEV VMs of the host's KVM have",
                       kvm_vm_check_extension);
    ret = kvm_vm_enable_cap(s, KVM_CAP_EXIT_HYPERCALL, 0,
                            1U << KVM_HC_MAP_GPA_RANGE);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "KVM_CAP_EXIT_HYPERCALL, which guests"
                         " with private memory need, cannot be enabled");
        return ret;
    }
    if (!kvm_filter_msr(s, MSR_KVM_MIGRATION_CONTROL, read_migration_control,
                        write_migration_control)) {
        error_setg(errp, "the MSR of KVM_FEATURE_MIGRATION_CONTROL, which"
                   " guests with private memory need, cannot be filtered");
        return -ENOTSUP;
    }
    /*
     * The option ROM that speeds up accesses to the TPR would be read at an
     * address of the guest's choice, by its host address, and patched.
     */
    object_register_sugar_prop("apic-common", "vapic", "off", false);
    qemu_register_reset(reset_migration_control, NULL);
    kvm_private_init(s, &private_target);
    return 0;
}

uint32_t kvm_x86_private_cpuid(uint32_t function, int reg, uint32_t value)
{
    if (!vm_type) {
        return value;
    }
    if (function == KVM_CPUID_FEATURES && reg == R_EAX) {
        return value | REPORTING_FEATURES;
    }
    /* Private VMs cannot run guests of their own. */
    if (function == 0x80000001 && reg == R_ECX) {
        return value & ~CPUID_EXT3_SVM;
    }
    return value;
}

bool kvm_x86_private_realize(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;

    if (!vm_type) {
        return true;
    }
    if (cpu->expose_kvm) {
        env->features[FEAT_KVM] |=
            REPORTING_FEATURES & ~env->user_features[FEAT_KVM];
    }
    if ((env->features[FEAT_KVM] & REPORTING_FEATURES) != REPORTING_FEATURES &&
        !memfd_private_allow_unreporting()) {
        error_setg(errp, TYPE_MEMORY_BACKEND_MEMFD_PRIVATE ": with %s the"
                   " guest cannot report which pages it shares"
                   " (allow-unreporting=on on the backend runs it all the"
                   " same)",
                   cpu->expose_kvm ? "kvm-hc-map-gpa-range=off or"
                                     " kvm-migration-control=off"
                                   : "-cpu kvm=off");
        return false;
    }
    return true;
}

static void map_gpa_range(CPUState *cs, uint64_t gpa, uint64_t npages,
                          uint64_t attributes)
{
    bool to_private = attributes & KVM_MAP_GPA_RANGE_ENCRYPTED;
    Error *err = NULL;
    int ret;

    ret = private_ram_convert(gpa, npages, to_private, &err);
    trace_kvm_map_gpa_range(cs->cpu_index, gpa, npages, to_private, ret);
    if (ret < 0) {
        qemu_mutex_lock_iothread();
        kvm_private_stop("%s: the VM is stopped", error_get_pretty(err));
        qemu_mutex_unlock_iothread();
        error_free(err);
    }
}

/*
 * The result is always written: KVM leaves in it what the last exit had there.
 * Guests ignore it, so a conversion that failed cannot be left to them.
 *
 * KVM completes the hypercall at the next KVM_RUN. So there must be one even if
 * the VM is to stop: kvm_private_stop() has asked for it to end right after
 * that. EXCP_INTERRUPT would leave the completion to the first KVM_RUN after a
 * reset, which would put the result and the address of the next instruction
 * into the registers of a vCPU that is about to start.
 */
int kvm_x86_handle_hypercall(CPUState *cs, struct kvm_run *run)
{
    if (!vm_type || run->hypercall.nr != KVM_HC_MAP_GPA_RANGE) {
        run->hypercall.ret = -KVM_GUEST_ENOSYS;
        return 0;
    }
    run->hypercall.ret = 0;
    map_gpa_range(cs, run->hypercall.args[0], run->hypercall.args[1],
                  run->hypercall.args[2]);
    return 0;
}
