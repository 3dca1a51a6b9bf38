/*
 * Private guest memory in KVM, x86: what kvm.c, kvm-cpu.c and sev.c call.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_KVM_PRIVATE_MEM_H
#define TARGET_I386_KVM_PRIVATE_MEM_H

#include "cpu.h"
#include "hw/boards.h"
#include "sysemu/kvm-private.h"

/**
 * kvm_x86_private_vm_type: the type to create the VM with
 *
 * The default type (0), unless the command line has a backend with a private
 * half. Ends QEMU with a reason where the machine or the kernel cannot have
 * private memory. The descriptor of /dev/kvm is open, there is no VM yet.
 */
int kvm_x86_private_vm_type(MachineState *ms);

/* In kvm_arch_init(): nothing for the default type. */
int kvm_x86_private_init(KVMState *s, Error **errp);

/*
 * With private memory, bits that the guest needs in order to report join what
 * KVM supports, and what KVM cannot offer then goes; @value without it.
 */
uint32_t kvm_x86_private_cpuid(uint32_t function, int reg, uint32_t value);

/* A vCPU about to be realized: the guest must be able to report. */
bool kvm_x86_private_realize(X86CPU *cpu, Error **errp);

/* KVM_EXIT_HYPERCALL; without the BQL. As kvm_arch_handle_exit(). */
int kvm_x86_handle_hypercall(CPUState *cs, struct kvm_run *run);

#endif
