// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV VMs for selftests: page tables, descriptor tables and the state in which
 * a vCPU starts, which is 64-bit mode with interrupts off.
 *
 * The tables are part of what is launched, so a SEV guest's are encrypted like
 * the rest of its private memory; hardware reads them so in any case.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "sev_guest.h"

#define PTE_P			(1ull << 0)
#define PTE_W			(1ull << 1)
#define PTE_PCD			(1ull << 4)
#define PTE_LARGE		(1ull << 7)
#define PTE_TABLE		(PTE_P | PTE_W)
#define LARGE_SIZE		(2ull << 20)
#define HUGE_SIZE		(1ull << 30)
#define PTES			512

#define CR0_START		0x80010033ull	/* PG WP NE ET MP PE */
#define CR4_START		0x620ull	/* OSXMMEXCPT OSFXSR PAE */
#define EFER_START		0xd01ull	/* NXE LMA LME SCE */

#define LOCAL_APIC		0xfee00000ull
#define IO_APIC			0xfec00000ull

#define CPUID_SEV_LEAF		0x8000001f
#define MAX_CPUID		256

/* 64-bit TSS: only the stacks matter. */
struct tss64 {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap;
} __packed;

_Static_assert(sizeof(struct tss64) == 104, "a 64-bit TSS has 104 bytes");
_Static_assert(sizeof(struct tss64) <= SEV_GUEST_TSS_SIZE, "each TSS has its place");

static uint64_t *table(struct sev_vm *vm, uint64_t gpa)
{
	return (uint64_t *)(vm->mem + gpa);
}

/* [gpa, gpa + size) as large pages at the start of the directory's range. */
static void map_large(uint64_t *pd, uint64_t gpa, uint64_t size, uint64_t flags)
{
	for (uint64_t i = 0; i * LARGE_SIZE < size; i++)
		pd[i] = (gpa + i * LARGE_SIZE) | PTE_LARGE | PTE_TABLE | flags;
}

static void map_mmio(uint64_t *pd, uint64_t gpa)
{
	pd[gpa / LARGE_SIZE % PTES] = (gpa & ~(LARGE_SIZE - 1)) | PTE_LARGE | PTE_TABLE | PTE_PCD;
}

static void build_page_tables(struct sev_vm *vm)
{
	uint64_t size = vm->cfg.pages * SEV_PAGE_SIZE, c = vm->c_mask;
	uint64_t *pdpt = table(vm, SEV_GUEST_PDPT);
	uint64_t *pt = table(vm, SEV_GUEST_PT_PRIVATE);

	table(vm, SEV_GUEST_PML4)[0] = SEV_GUEST_PDPT | PTE_TABLE | c;
	pdpt[0] = SEV_GUEST_PD_PRIVATE | PTE_TABLE | c;
	pdpt[1] = SEV_GUEST_PD_SHARED | PTE_TABLE | c;
	pdpt[2] = SEV_GUEST_PD_ALIAS | PTE_TABLE | c;
	pdpt[3] = SEV_GUEST_PD_MMIO | PTE_TABLE | c;
	for (uint64_t i = 0; i < vm->cfg.far_gib; i++)
		pdpt[4 + i] = (SEV_GUEST_FAR + i * HUGE_SIZE) | PTE_LARGE | PTE_TABLE | c;

	map_large(table(vm, SEV_GUEST_PD_PRIVATE), 0, size, c);
	table(vm, SEV_GUEST_PD_PRIVATE)[0] = SEV_GUEST_PT_PRIVATE | PTE_TABLE | c;
	for (uint64_t i = 0; i < PTES && i < vm->cfg.pages; i++)
		pt[i] = i * SEV_PAGE_SIZE | PTE_TABLE | c;
	pt[SEV_GUEST_UNMAPPED / SEV_PAGE_SIZE] = 0;

	map_large(table(vm, SEV_GUEST_PD_SHARED), SEV_GUEST_SHARED,
		  vm->cfg.shared_pages * SEV_PAGE_SIZE, 0);
	map_large(table(vm, SEV_GUEST_PD_ALIAS), 0, size, 0);
	map_mmio(table(vm, SEV_GUEST_PD_MMIO), SEV_GUEST_MMIO);
	map_mmio(table(vm, SEV_GUEST_PD_MMIO), LOCAL_APIC);
	map_mmio(table(vm, SEV_GUEST_PD_MMIO), IO_APIC);
}

static uint64_t stack_end(unsigned int vcpu)
{
	return SEV_GUEST_STACKS - vcpu * SEV_GUEST_STACK_SIZE;
}

static uint64_t tss_address(unsigned int vcpu)
{
	return SEV_GUEST_TSS + vcpu * SEV_GUEST_TSS_SIZE;
}

static uint16_t tss_selector(unsigned int vcpu)
{
	return SEV_GUEST_TR + 16 * vcpu;
}

static void build_descriptors(struct sev_vm *vm)
{
	uint64_t *gdt = table(vm, SEV_GUEST_GDT);

	gdt[SEV_GUEST_CS / 8] = 0x00af9b000000ffffull;
	gdt[SEV_GUEST_DS / 8] = 0x00cf93000000ffffull;
	for (unsigned int i = 0; i < SEV_GUEST_MAX_VCPUS; i++) {
		uint64_t base = tss_address(i);
		struct tss64 *tss = (void *)(vm->mem + base);
		uint64_t *desc = &gdt[tss_selector(i) / 8];

		/* Present, busy 64-bit TSS; the base has no bit above 23. */
		desc[0] = 0x00008b0000000000ull | base << 16 | (sizeof(*tss) - 1);
		desc[1] = 0;
		tss->rsp[0] = stack_end(i) - SEV_GUEST_IST_SIZE;
		tss->ist[0] = stack_end(i);
		tss->iomap = sizeof(*tss);
	}
}

void sev_vm_build_tables(struct sev_vm *vm)
{
	build_page_tables(vm);
	build_descriptors(vm);
}

static struct kvm_segment code_segment(void)
{
	return (struct kvm_segment) {
		.selector = SEV_GUEST_CS, .limit = 0xffffffff,
		.type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1,
	};
}

static struct kvm_segment data_segment(void)
{
	return (struct kvm_segment) {
		.selector = SEV_GUEST_DS, .limit = 0xffffffff,
		.type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1,
	};
}

static void fill_sregs(struct sev_vcpu *vcpu, struct kvm_sregs *sregs)
{
	sregs->cs = code_segment();
	sregs->ds = data_segment();
	sregs->es = sregs->ds;
	sregs->fs = sregs->ds;
	sregs->gs = sregs->ds;
	sregs->ss = sregs->ds;
	sregs->tr = (struct kvm_segment) {
		.selector = tss_selector(vcpu->index), .base = tss_address(vcpu->index),
		.limit = sizeof(struct tss64) - 1, .type = 0xb, .present = 1,
	};
	sregs->gdt.base = SEV_GUEST_GDT;
	sregs->gdt.limit = tss_selector(SEV_GUEST_MAX_VCPUS) - 1;
	/* No interrupt table yet: an early exception is a shutdown, not a loop. */
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	sregs->cr0 = CR0_START;
	sregs->cr3 = SEV_GUEST_PML4 | vcpu->vm->c_mask;
	sregs->cr4 = CR4_START;
	sregs->efer = EFER_START;
}

/* What KVM supports, plus what only the VMM knows: the place of the C-bit. */
static int set_cpuid(struct sev_vcpu *vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[MAX_CPUID];
	} cpuid;
	struct sev_cpu_info info;

	memset(&cpuid, 0, sizeof(cpuid));
	cpuid.head.nent = MAX_CPUID - 1;
	if (ioctl(vcpu->vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid))
		return sev_vm_error(vcpu->vm, -errno, "KVM_GET_SUPPORTED_CPUID");
	for (unsigned int i = 0; i < cpuid.head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid.entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0x00ffffff) | vcpu->index << 24;
		if (e->function != CPUID_SEV_LEAF)
			continue;
		if (vcpu->vm->cfg.sev && sev_cpu_info(&info)) {
			e->eax = 1u << 1;
			e->ebx = info.cbit | info.phys_reduction << 6;
		} else {
			e->eax = 0;
			e->ebx = 0;
		}
		e->ecx = 0;
		e->edx = 0;
	}
	cpuid.entries[cpuid.head.nent++] = (struct kvm_cpuid_entry2) {
		.function = SEV_GUEST_CPUID_LEAF,
		.eax = SEV_GUEST_CPUID_EAX, .ebx = SEV_GUEST_CPUID_EBX,
		.ecx = SEV_GUEST_CPUID_ECX, .edx = SEV_GUEST_CPUID_EDX,
	};
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, &cpuid))
		return sev_vm_error(vcpu->vm, -errno, "KVM_SET_CPUID2");
	return 0;
}

int sev_vcpu_set_state(struct sev_vcpu *vcpu)
{
	/* As a call would leave it: the stack is 16-byte aligned before it. */
	struct kvm_regs regs = {
		.rip = SEV_GUEST_IMAGE,
		.rsp = stack_end(vcpu->index) - SEV_GUEST_IST_SIZE,
		.rdi = vcpu->index,
		.rflags = 2,
	};
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;
	int ret = set_cpuid(vcpu);

	if (ret)
		return ret;
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return sev_vm_error(vcpu->vm, -errno, "KVM_GET_SREGS");
	fill_sregs(vcpu, &sregs);
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		return sev_vm_error(vcpu->vm, -errno, "KVM_SET_SREGS");
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return sev_vm_error(vcpu->vm, -errno, "KVM_SET_REGS");
	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp))
		return sev_vm_error(vcpu->vm, -errno, "KVM_SET_MP_STATE");
	return 0;
}
