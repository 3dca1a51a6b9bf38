/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small KVM guest for tests of private memory: a VM of any type, a shared slot with the guest's code
 * and tables, slots of the test's own, and vCPUs that do one command after the other.
 *
 * Every function that can fail returns 0 (or what it says) or a negative error code, and leaves it
 * to the test to judge.
 *
 * Locking: none. Different vCPUs may be used by different threads at a time.
 * Lifetime: pvm_destroy() undoes everything but the test's own mappings and files.
 */
#ifndef SELFTEST_KVM_PRIVATE_VM_H
#define SELFTEST_KVM_PRIVATE_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "private_vm_guest.h"

#define PVM_PAGE	4096ul
#define PVM_MIB		(1ul << 20)
#define PVM_GIB		(1ul << 30)
#define PVM_MAX_VCPUS	8

/* A test's deadline. The debug kernel on a busy machine takes long for what takes no time elsewhere. */
#define PVM_TEST_SECONDS	300

/* Slots: 0 is the library's. Guest addresses for the test's own, mapped by the guest. */
#define PVM_LOW_SLOT	0
#define PVM_SLOT	1
#define PVM_DATA	(1ul << 30)
/* No slot is ever here. */
#define PVM_MMIO	0xd0000000ul

#define PVM_NR_RESTRICTED	548

struct pvm_cmd {
	uint64_t op, addr, len, value, mul, step;
	uint64_t result, at, seen;
	uint64_t vector, cr2, frame[2];
};

struct pvm_vcpu {
	int fd;
	struct kvm_run *run;
	struct pvm_cmd *cmd;
};

struct pvm {
	int kvm;
	int fd;
	size_t run_size;
	uint8_t *low;
	unsigned int nr_vcpus;
	struct pvm_vcpu vcpu[PVM_MAX_VCPUS];
	/* Answers KVM_HC_MAP_GPA_RANGE; without it the exit goes to the test. */
	int64_t (*convert)(struct pvm *vm, uint64_t gpa, uint64_t size, bool private);
	/* The test's own. */
	void *data;
};

/* Where private pages come from: the system call, or the ioctl of the VM. */
enum pvm_file {
	PVM_RESTRICTED,
	PVM_GUEST_MEMFD,
};

/* Of the module kvm_amd or kvm; false when there is no such parameter. */
bool pvm_module_parameter(const char *module, const char *name);
/* Guest addresses are host addresses of pages: there are no nested page tables. */
bool pvm_shadow_paging(void);

/* A VM with its first slot and without vCPUs. Nothing is to destroy after an error. */
int pvm_create(struct pvm *vm, unsigned long type);
/* @n vCPUs more, in 64-bit mode, waiting for a command. */
int pvm_add_vcpus(struct pvm *vm, unsigned int n);
void pvm_destroy(struct pvm *vm);

/* A file descriptor. @vm is the owner of a PVM_GUEST_MEMFD. */
int pvm_create_file(struct pvm *vm, enum pvm_file kind, uint64_t size);
/* Pages that the file holds. */
long pvm_file_pages(int fd);
int pvm_punch(int fd, uint64_t offset, uint64_t size);

/* Zero-filled memory of this process, on a boundary of 2 MiB, at first not resident. */
void *pvm_map(size_t size);
/* Pages of a mapping that are resident. */
long pvm_resident(const void *addr, size_t size);

int pvm_set_region(struct pvm *vm, const struct kvm_userspace_memory_region2 *region);
/* A slot with the shared half at @hva, and the private half in @fd from @offset if it is not -1. */
int pvm_add_slot(struct pvm *vm, uint32_t slot, uint64_t gpa, uint64_t size, void *hva, int fd,
		 uint64_t offset);
/* Memory at PVM_DATA that can be private: the mapping, with the file in @fd; NULL: it failed. */
void *pvm_add_data(struct pvm *vm, enum pvm_file kind, uint64_t size, int *fd);
int pvm_delete_slot(struct pvm *vm, uint32_t slot);
int pvm_set_private(struct pvm *vm, uint64_t gpa, uint64_t size, bool private);
int pvm_check_cap(int fd, long cap);
int pvm_enable_cap(struct pvm *vm, uint32_t cap, uint64_t arg);

/* One KVM_RUN: the exit reason, or the error of the call. */
int pvm_run(struct pvm *vm, unsigned int vcpu);
/*
 * Run until the command is done. Otherwise returns the error of KVM_RUN, or the reason of the exit, or
 * PVM_EXCEPTION. After the first two pvm_resume() goes on, pvm_drop() gives the command up; after the
 * last the guest waits for the next command.
 */
#define PVM_EXCEPTION	1000
int pvm_resume(struct pvm *vm, unsigned int vcpu);
int pvm_drop(struct pvm *vm, unsigned int vcpu);
int pvm_command(struct pvm *vm, unsigned int vcpu, const struct pvm_cmd *cmd);

int pvm_read(struct pvm *vm, uint64_t gpa, uint64_t *value);
int pvm_write(struct pvm *vm, uint64_t gpa, uint64_t value);
/* Each quadword of a page, or with pvm_*_pages() the first of each page, by PVM_FILL and PVM_CHECK. */
int pvm_fill(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul);
int pvm_fill_pages(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul);
/* Number of differences. */
int64_t pvm_check(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul);
int64_t pvm_check_pages(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul);
int pvm_wrmsr(struct pvm *vm, uint32_t msr, uint64_t value);
/* The guest switches its APIC on, as x2APIC: its registers are MSRs from PVM_X2APIC on. Needs an irqchip. */
#define PVM_X2APIC	0x800
int pvm_enable_apic(struct pvm *vm);
/* The guest asks for a conversion: what KVM or vm->convert answers in @ret. */
int pvm_hypercall(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t attributes, int64_t *ret);

/* A counter of KVM's statistics of a vCPU, or of the VM. */
int64_t pvm_stat(struct pvm *vm, unsigned int vcpu, const char *name);
int64_t pvm_vm_stat(struct pvm *vm, const char *name);

/* KVM_RUN or a command ended with -@error and tells of a fault at @gpa. */
bool pvm_is_memory_fault(const struct pvm *vm, unsigned int vcpu, uint64_t gpa, bool private);

/* The guest's code, for the library. */
extern const uint8_t pvm_guest_start[], pvm_guest_entry[], pvm_guest_end[];

#endif /* SELFTEST_KVM_PRIVATE_VM_H */
