/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A KVM guest of a few bytes, for tests of what the CPU tells KVM about the
 * guest's instructions: 2 MiB of memory, one vCPU, no devices.
 *
 * Locking: none; a VM belongs to one thread.
 */
#ifndef SELFTEST_KVM_SVM_VM_H
#define SELFTEST_KVM_SVM_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#endif

#define SVM_VM_SIZE	0x200000u

/* Where things are in the guest's memory, which is mapped one to one. */
enum {
	/* Real mode's interrupt table is below its stack. */
	SVM_VM_STACK16	= 0x1000,
	SVM_VM_PML4	= 0x1000,
	SVM_VM_PDPT	= 0x2000,
	SVM_VM_PD	= 0x3000,
	SVM_VM_GDT	= 0x4000,
	SVM_VM_IDT	= 0x5000,
	/* A HLT for each vector. */
	SVM_VM_HANDLERS	= 0x6000,
	SVM_VM_FREE	= 0x7000,
	SVM_VM_STACK	= 0x1f000,
	SVM_VM_CODE	= 0x20000,
	/* No memory here: an access goes to the test. */
	SVM_VM_MMIO	= 0x10000000,
};

struct svm_vm {
	int kvm;
	int fd;
	int vcpu;
	int stats;
	size_t run_size;
	off_t emulations_at;
	struct kvm_run *run;
	uint8_t *mem;
};

/* A reason why this host cannot run the tests, or NULL. */
const char *svm_vm_unavailable(void);

/*
 * A VM with all that KVM supports in CPUID, RDTSCP at choice. Returns 0 or a
 * negative error code; nothing is to destroy after an error.
 */
int svm_vm_create(struct svm_vm *vm, bool rdtscp);
void svm_vm_destroy(struct svm_vm *vm);

/*
 * Put @len bytes of code for @bits (16 or 64) at @addr, followed by HLT, and set
 * the vCPU to start there with its registers at @regs, RIP, RSP and flags aside.
 */
int svm_vm_load(struct svm_vm *vm, int bits, uint64_t addr, const void *code,
		size_t len, const struct kvm_regs *regs);

/* Run until the next exit; its reason (KVM_EXIT_*) or a negative error code. */
int svm_vm_run(struct svm_vm *vm);

/* How often KVM has emulated an instruction; negative on failure. */
int64_t svm_vm_emulations(struct svm_vm *vm);

#endif /* SELFTEST_KVM_SVM_VM_H */
