// SPDX-License-Identifier: GPL-2.0-only
/*
 * A KVM guest of a few bytes. See svm_vm.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "svm_vm.h"

#define MAX_CPUID	200

#define CR0_PE_ET	0x11u
#define CR0_PG		(1u << 31)
#define CR4_PAE		(1u << 5)
#define EFER_LME_LMA	0x500u
#define EFER_SVME	(1u << 12)

#define PTE_P_W		3u
#define PTE_LARGE	(1u << 7)

#define FN_SVM		0x8000000au
#define SVM_EDX_NRIP	(1u << 3)
#define FN_EXT		0x80000001u
#define EXT_ECX_SVM	(1u << 2)
#define EXT_EDX_RDTSCP	(1u << 27)

static struct kvm_cpuid2 *supported_cpuid(int kvm)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return NULL;
	cpuid->nent = MAX_CPUID;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid)) {
		free(cpuid);
		return NULL;
	}
	return cpuid;
}

static struct kvm_cpuid_entry2 *cpuid_leaf(struct kvm_cpuid2 *cpuid, uint32_t fn)
{
	static struct kvm_cpuid_entry2 none;

	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == fn)
			return &cpuid->entries[i];
	return &none;
}

const char *svm_vm_unavailable(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	const char *why = NULL;
	struct kvm_cpuid2 *cpuid;

	if (kvm < 0)
		return "no /dev/kvm";
	cpuid = supported_cpuid(kvm);
	if (!cpuid)
		why = "no CPUID from KVM";
	else if (!(cpuid_leaf(cpuid, FN_EXT)->ecx & EXT_ECX_SVM))
		why = "KVM offers no nested SVM";
	else if (!(cpuid_leaf(cpuid, FN_SVM)->edx & SVM_EDX_NRIP))
		why = "KVM uses no next RIP";
	free(cpuid);
	close(kvm);
	return why;
}

static int set_cpuid(struct svm_vm *vm, bool rdtscp)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(vm->kvm);
	int ret = 0;

	if (!cpuid)
		return -ENOMEM;
	if (!rdtscp)
		cpuid_leaf(cpuid, FN_EXT)->edx &= ~EXT_EDX_RDTSCP;
	if (ioctl(vm->vcpu, KVM_SET_CPUID2, cpuid))
		ret = -errno;
	free(cpuid);
	return ret;
}

/* Find the counter that svm_vm_emulations() reads. */
static int find_stat(struct svm_vm *vm)
{
	struct kvm_stats_header head;
	struct kvm_stats_desc *desc;
	size_t size;

	if (pread(vm->stats, &head, sizeof(head), 0) != sizeof(head))
		return -EIO;
	size = sizeof(*desc) + head.name_size;
	desc = alloca(size);
	for (uint32_t i = 0; i < head.num_desc; i++) {
		if (pread(vm->stats, desc, size, head.desc_offset + i * size) !=
		    (ssize_t)size)
			return -EIO;
		if (!strcmp(desc->name, "insn_emulation")) {
			vm->emulations_at = head.data_offset + desc->offset;
			return 0;
		}
	}
	return -ENOENT;
}

int64_t svm_vm_emulations(struct svm_vm *vm)
{
	uint64_t value;

	if (pread(vm->stats, &value, sizeof(value), vm->emulations_at) != sizeof(value))
		return -EIO;
	return value;
}

static int make_memory(struct svm_vm *vm)
{
	struct kvm_userspace_memory_region region = { .memory_size = SVM_VM_SIZE };
	uint64_t *pd, *idt;

	vm->mem = mmap(NULL, SVM_VM_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->mem == MAP_FAILED)
		return -ENOMEM;
	region.userspace_addr = (uintptr_t)vm->mem;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		return -errno;

	*(uint64_t *)(vm->mem + SVM_VM_PML4) = SVM_VM_PDPT | PTE_P_W;
	*(uint64_t *)(vm->mem + SVM_VM_PDPT) = SVM_VM_PD | PTE_P_W;
	pd = (uint64_t *)(vm->mem + SVM_VM_PD);
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i << 21 | PTE_LARGE | PTE_P_W;

	((uint64_t *)(vm->mem + SVM_VM_GDT))[1] = 0x00af9b000000ffffull;
	((uint64_t *)(vm->mem + SVM_VM_GDT))[2] = 0x00cf93000000ffffull;
	idt = (uint64_t *)(vm->mem + SVM_VM_IDT);
	for (uint64_t i = 0; i < 256; i++)
		/* A present interrupt gate of selector 8. */
		idt[2 * i] = 0x8e0000080000ull | (SVM_VM_HANDLERS + i);
	for (uint32_t i = 0; i < 256; i++)
		/* And real mode's, at address 0. */
		((uint32_t *)vm->mem)[i] = SVM_VM_HANDLERS + i;
	memset(vm->mem + SVM_VM_HANDLERS, 0xf4, 256);
	return 0;
}

int svm_vm_create(struct svm_vm *vm, bool rdtscp)
{
	int ret;

	*vm = (struct svm_vm){ .kvm = -1, .fd = -1, .vcpu = -1, .stats = -1,
			       .run = MAP_FAILED, .mem = MAP_FAILED };
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		goto fail;
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		goto fail;
	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu < 0)
		goto fail;
	vm->run_size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		goto fail;
	vm->stats = ioctl(vm->vcpu, KVM_GET_STATS_FD, NULL);
	if (vm->stats < 0)
		goto fail;
	ret = find_stat(vm);
	if (!ret)
		ret = make_memory(vm);
	if (!ret)
		ret = set_cpuid(vm, rdtscp);
	if (ret)
		svm_vm_destroy(vm);
	return ret;
fail:
	ret = -errno;
	svm_vm_destroy(vm);
	return ret;
}

void svm_vm_destroy(struct svm_vm *vm)
{
	int fds[] = { vm->stats, vm->vcpu, vm->fd, vm->kvm };

	if (vm->run != MAP_FAILED)
		munmap(vm->run, vm->run_size);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (vm->mem != MAP_FAILED)
		munmap(vm->mem, SVM_VM_SIZE);
}

static void long_mode(struct kvm_sregs *s)
{
	s->cr0 = CR0_PG | CR0_PE_ET;
	s->cr3 = SVM_VM_PML4;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME_LMA | EFER_SVME;
	s->cs = (struct kvm_segment){ .selector = 8, .limit = ~0u, .type = 0xb,
				      .s = 1, .present = 1, .l = 1, .g = 1 };
	s->ss = (struct kvm_segment){ .selector = 16, .limit = ~0u, .type = 3,
				      .s = 1, .present = 1, .db = 1, .g = 1 };
	s->ds = s->es = s->fs = s->gs = s->ss;
	s->gdt = (struct kvm_dtable){ .base = SVM_VM_GDT, .limit = 23 };
	s->idt = (struct kvm_dtable){ .base = SVM_VM_IDT, .limit = 4095 };
}

static void real_mode(struct kvm_sregs *s, uint64_t addr)
{
	s->cr0 = 0x10;
	s->cr4 = 0;
	s->efer = EFER_SVME;
	s->cs = (struct kvm_segment){ .selector = addr >> 4, .base = addr & ~0xfull,
				      .limit = 0xffff, .type = 0xb, .s = 1, .present = 1 };
	s->ss = (struct kvm_segment){ .limit = 0xffff, .type = 3, .s = 1, .present = 1 };
	s->es = s->fs = s->gs = s->ss;
	/* Out of reach of 16-bit addresses otherwise. */
	s->ds = s->ss;
	s->ds.base = SVM_VM_MMIO;
	s->idt = (struct kvm_dtable){ .limit = 0x3ff };
}

int svm_vm_load(struct svm_vm *vm, int bits, uint64_t addr, const void *code,
		size_t len, const struct kvm_regs *regs)
{
	struct kvm_regs r = *regs;
	struct kvm_sregs s;

	memcpy(vm->mem + addr, code, len);
	vm->mem[addr + len] = 0xf4;
	if (ioctl(vm->vcpu, KVM_GET_SREGS, &s))
		return -errno;
	if (bits == 64)
		long_mode(&s);
	else
		real_mode(&s, addr);
	if (ioctl(vm->vcpu, KVM_SET_SREGS, &s))
		return -errno;
	r.rip = bits == 64 ? addr : addr & 0xf;
	r.rsp = bits == 64 ? SVM_VM_STACK : SVM_VM_STACK16;
	r.rflags = 2;
	return ioctl(vm->vcpu, KVM_SET_REGS, &r) ? -errno : 0;
}

int svm_vm_run(struct svm_vm *vm)
{
	if (ioctl(vm->vcpu, KVM_RUN, NULL))
		return -errno;
	return vm->run->exit_reason;
}
