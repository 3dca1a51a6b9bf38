/*
 * Private guest memory in KVM: what becomes of a vCPU whose access to guest
 * memory KVM could not serve.
 *
 * With SEV the processor does not say whether an access was meant private, so
 * such a fault never asks for a conversion: it says that memory is missing.
 * The run ends with a negative errno, and the exit has the address.
 *
 * Locking: under the BQL no memory transaction is on its way, so that a slot
 * that is made anew is there again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include "sysemu/kvm-private-uapi.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "exec/address-spaces.h"
#include "exec/private-ram.h"
#include "hw/core/cpu.h"
#include "sysemu/kvm-private.h"
#include "kvm-private-int.h"

/*
 * What this process can still take when the guest has used up all memory: the
 * pages of private memory cannot be reclaimed, and without room for a page of
 * its own, QEMU would be killed before it could say why it stops.
 */
#define RESERVE_SIZE (1 * MiB)

static const KVMPrivateTarget *private_target;
static void *reserve;

void kvm_private_fault_init(const KVMPrivateTarget *target)
{
    private_target = target;
    reserve = mmap(NULL, RESERVE_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (reserve == MAP_FAILED) {
        reserve = NULL;
    }
}

/*
 * First ask the other vCPUs to stop, which would take what is given back, and
 * before QEMU needs it to say why. The address range stays: to unmap it could
 * split a mapping, and that takes memory of the kernel's. A guest that is reset
 * and comes to the limit again finds no reserve: to fill it anew could need
 * what is not there.
 */
static void release_reserve(void)
{
    kvm_private_stop_others();
    if (reserve) {
        madvise(reserve, RESERVE_SIZE, MADV_DONTNEED);
        reserve = NULL;
    }
}

/* The RAM with a private half at @gpa, with a reference of its region. */
static bool find_private_ram(hwaddr gpa, MemoryRegionSection *section)
{
    *section = memory_region_find(get_system_memory(), gpa, 1);
    if (!section->mr) {
        return false;
    }
    if (!private_ram_of(section->mr)) {
        memory_region_unref(section->mr);
        return false;
    }
    return true;
}

/*
 * A slot that was away while vCPUs ran is there again under the BQL, or a ROM
 * or a device is in its place, which the next try will find. Where the same
 * frame fails again although no slot has changed since the last try, the guest
 * reaches for memory that it does not have.
 */
static bool worth_another_try(hwaddr gpa)
{
    static __thread hwaddr last_gpa = HWADDR_MAX;
    static __thread unsigned int last_generation;
    unsigned int generation = kvm_private_map_generation();
    bool again = gpa == last_gpa && generation == last_generation;

    last_gpa = gpa;
    last_generation = generation;
    return !again;
}

static bool page_lost(CPUState *cpu, hwaddr gpa)
{
    MemoryRegionSection section;
    bool first;

    if (!find_private_ram(gpa, &section)) {
        return false;
    }
    first = kvm_private_poison(section.mr, section.offset_within_region);
    memory_region_unref(section.mr);
    return private_target->page_lost(cpu, gpa, first);
}

static void stop_at_limit(hwaddr gpa)
{
    struct rlimit limit = { 0 };

    getrlimit(RLIMIT_MEMLOCK, &limit);
    kvm_private_stop("KVM: private guest memory at 0x%" HWADDR_PRIx " would"
                     " exceed RLIMIT_MEMLOCK (%" PRIu64 " KiB) and CAP_IPC_LOCK"
                     " is not there: the VM is stopped", gpa,
                     (uint64_t)limit.rlim_cur / 1024);
}

/*
 * With the BQL. What kvm_cpu_exec() goes on with: 0, another KVM_RUN; or
 * EXCP_INTERRUPT, which leaves it: to stop, or to come back with the machine
 * check, which is delivered where it begins and nowhere else. A KVM_RUN that
 * failed has left nothing in KVM that another one would have to complete.
 */
static int memory_fault(CPUState *cpu, int err, hwaddr gpa, bool private)
{
    switch (err) {
    case EFAULT:
        if (worth_another_try(gpa)) {
            return 0;
        }
        kvm_private_stop("KVM: the guest reached for %s memory at 0x%"
                         HWADDR_PRIx " where it has none: the VM is stopped",
                         private ? "private" : "shared", gpa);
        break;
    case EHWPOISON:
        if (page_lost(cpu, gpa)) {
            break;
        }
        kvm_private_stop("KVM: private guest memory at 0x%" HWADDR_PRIx " was"
                         " lost to a memory error, and the guest takes no"
                         " machine checks: the VM is stopped", gpa);
        break;
    case ENOMEM:
        release_reserve();
        kvm_private_stop("KVM: no memory for the guest's private page at 0x%"
                         HWADDR_PRIx " (none is free, or the limit of the"
                         " memory cgroup): the VM is stopped", gpa);
        break;
    case EDQUOT:
        stop_at_limit(gpa);
        break;
    default:
        kvm_private_stop("KVM: the guest's access to %s memory at 0x%"
                         HWADDR_PRIx " failed: %s; the VM is stopped",
                         private ? "private" : "shared", gpa, strerror(err));
        break;
    }
    return EXCP_INTERRUPT;
}

/*
 * With the BQL. KVM has no exit for this: the run failed before it came to the
 * guest's page.
 */
static int no_memory_for_kvm(void)
{
    release_reserve();
    kvm_private_stop("KVM: no memory for what KVM itself needs to run the"
                     " guest, such as page tables (none is free, or the limit"
                     " of the memory cgroup): the VM is stopped");
    return EXCP_INTERRUPT;
}

bool kvm_private_memory_fault(CPUState *cpu, int err, int *ret)
{
    const KVMMemoryFaultExit *fault = kvm_run_memory_fault(cpu->kvm_run);
    bool has_exit = cpu->kvm_run->exit_reason == KVM_EXIT_MEMORY_FAULT;

    if (!kvm_private_vm() || (!has_exit && err != -ENOMEM)) {
        return false;
    }
    qemu_mutex_lock_iothread();
    *ret = has_exit ? memory_fault(cpu, -err, fault->gpa,
                                   fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE)
                    : no_memory_for_kvm();
    qemu_mutex_unlock_iothread();
    return true;
}
