/*
 * Private guest memory in KVM: what kvm-all.c and the targets share with
 * accel/kvm/kvm-private*.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSEMU_KVM_PRIVATE_H
#define SYSEMU_KVM_PRIVATE_H

#include "exec/memory.h"
#include "sysemu/kvm.h"

/* What a target that has private memory does for the rest. */
typedef struct KVMPrivateTarget {
    /*
     * The private page at @gpa was lost to a memory error: tell the guest, and
     * say so if it is the @first time. Called with the BQL in the thread of
     * @cpu. False: the guest has no way to hear.
     */
    bool (*page_lost)(CPUState *cpu, hwaddr gpa, bool first);
} KVMPrivateTarget;

/**
 * kvm_private_init: the VM of @s has a type that can have private memory
 *
 * Called from kvm_arch_init(), before KVM's memory listener is registered.
 */
void kvm_private_init(KVMState *s, const KVMPrivateTarget *target);

/* True after kvm_private_init(). */
bool kvm_private_vm(void);

/* False: the section, in the memory map, must have no slot. */
bool kvm_private_has_slot(const MemoryRegionSection *section);

/* KVM_MEM_GUEST_MEMFD if @mr is RAM with a private half, 0 otherwise. */
int kvm_private_mem_flags(const MemoryRegion *mr);

/*
 * KVM_SET_USER_MEMORY_REGION, or what it takes for a slot with a private half,
 * which the flags tell.
 */
int kvm_private_set_region(KVMState *s,
                           const struct kvm_userspace_memory_region *mem);

/**
 * kvm_private_memory_fault: KVM_RUN failed with @err (negative)
 *
 * Called without the BQL in the thread of @cpu. True: the failure was an
 * access to guest memory, and @ret is what kvm_cpu_exec() goes on with, 0 for
 * another KVM_RUN.
 */
bool kvm_private_memory_fault(CPUState *cpu, int err, int *ret);

/*
 * A page that must not be seen again before the guest is reset, so that it
 * cannot mistake the empty page in its place for its own. False: it was known.
 */
bool kvm_private_poison(MemoryRegion *mr, ram_addr_t offset);

/*
 * Stop the VM for good and say why. It needs a reset to run again. From any
 * thread, with the BQL.
 */
void kvm_private_stop(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* Counts the memory transactions that changed a slot with a private half. */
unsigned int kvm_private_map_generation(void);

#endif
