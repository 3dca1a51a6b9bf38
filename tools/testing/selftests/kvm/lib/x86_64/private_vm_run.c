// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small KVM guest for tests of private memory: its vCPUs and their commands. See private_vm.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private_vm.h"

#define CR0_PE_ET	0x11u
#define CR0_PG		(1u << 31)
#define CR4_PAE		(1u << 5)
#define EFER_LME_LMA	0x500u

#define MSR_APIC_BASE	0x1b
#define APIC_BASE_X2	0xfee00d00	/* where it always is; on, x2APIC, of the first processor */
#define APIC_SVR	0xf
#define APIC_SVR_ON	0x1ff

#define MAX_CPUID	200

#define SAME_FIELD(field, offset) \
	_Static_assert(offsetof(struct pvm_cmd, field) == (offset), "command page: " #field)

SAME_FIELD(op, PVM_OP);
SAME_FIELD(addr, PVM_ADDR);
SAME_FIELD(len, PVM_LEN);
SAME_FIELD(value, PVM_VALUE);
SAME_FIELD(mul, PVM_MUL);
SAME_FIELD(step, PVM_STEP);
SAME_FIELD(result, PVM_RESULT);
SAME_FIELD(at, PVM_AT);
SAME_FIELD(seen, PVM_SEEN);
SAME_FIELD(vector, PVM_VECTOR);
SAME_FIELD(cr2, PVM_CR2);
SAME_FIELD(frame, PVM_FRAME);

/* All that KVM supports. */
static int set_cpuid(struct pvm *vm, int vcpu)
{
	struct kvm_cpuid2 *cpuid;
	int ret = 0;

	cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = MAX_CPUID;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) || ioctl(vcpu, KVM_SET_CPUID2, cpuid))
		ret = -errno;
	free(cpuid);
	return ret;
}

static int set_long_mode(int vcpu)
{
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		return -errno;
	s.cr0 = CR0_PG | CR0_PE_ET;
	s.cr3 = PVM_PML4;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME_LMA;
	s.cs = (struct kvm_segment){ .selector = 8, .limit = ~0u, .type = 0xb,
				     .s = 1, .present = 1, .l = 1, .g = 1 };
	s.ss = (struct kvm_segment){ .selector = 16, .limit = ~0u, .type = 3,
				     .s = 1, .present = 1, .db = 1, .g = 1 };
	s.ds = s.es = s.fs = s.gs = s.ss;
	s.gdt = (struct kvm_dtable){ .base = PVM_GDT, .limit = 23 };
	s.idt = (struct kvm_dtable){ .base = PVM_IDT, .limit = PVM_VECTORS * 16 - 1 };
	return ioctl(vcpu, KVM_SET_SREGS, &s) ? -errno : 0;
}

int pvm_drop(struct pvm *vm, unsigned int vcpu)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = {
		.rip = PVM_CODE + (pvm_guest_entry - pvm_guest_start),
		.rbp = PVM_CPU + vcpu * PVM_CPU_SIZE,
		.rflags = 2,
	};
	struct pvm_vcpu *v = &vm->vcpu[vcpu];

	/* What an exit left to be done is done first: it must not hit the next command. */
	v->run->immediate_exit = 1;
	if (!ioctl(v->fd, KVM_RUN, NULL) || errno != EINTR)
		return -EIO;
	v->run->immediate_exit = 0;
	if (ioctl(v->fd, KVM_SET_MP_STATE, &state) || ioctl(v->fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

static int add_vcpu(struct pvm *vm, unsigned int id)
{
	struct pvm_vcpu *v = &vm->vcpu[id];
	int ret;

	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (v->fd < 0)
		return -errno;
	v->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		close(v->fd);
		return -ENOMEM;
	}
	v->cmd = (struct pvm_cmd *)(vm->low + PVM_CPU + id * PVM_CPU_SIZE);
	vm->nr_vcpus++;
	ret = set_cpuid(vm, v->fd);
	if (!ret)
		ret = set_long_mode(v->fd);
	return ret ? ret : pvm_drop(vm, id);
}

int pvm_add_vcpus(struct pvm *vm, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < n && !ret; i++)
		ret = vm->nr_vcpus < PVM_MAX_VCPUS ? add_vcpu(vm, vm->nr_vcpus) : -E2BIG;
	return ret;
}

int pvm_run(struct pvm *vm, unsigned int vcpu)
{
	if (ioctl(vm->vcpu[vcpu].fd, KVM_RUN, NULL))
		return -errno;
	return vm->vcpu[vcpu].run->exit_reason;
}

/* The answer to the guest's wish is in the exit; whether the guest can go on. */
static bool answer_hypercall(struct pvm *vm, struct kvm_run *run)
{
	uint64_t *args = (uint64_t *)run->hypercall.args;

	if (!vm->convert || run->hypercall.nr != KVM_HC_MAP_GPA_RANGE)
		return false;
	run->hypercall.ret = vm->convert(vm, args[0], args[1] * PVM_PAGE,
					 args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED);
	return true;
}

int pvm_resume(struct pvm *vm, unsigned int vcpu)
{
	struct kvm_run *run = vm->vcpu[vcpu].run;
	int ret;

	do {
		ret = pvm_run(vm, vcpu);
	} while (ret == KVM_EXIT_HYPERCALL && answer_hypercall(vm, run));
	if (ret != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT)
		return ret;
	if (run->io.port == PVM_PORT_DONE)
		return 0;
	return run->io.port == PVM_PORT_FAULT ? PVM_EXCEPTION : ret;
}

int pvm_command(struct pvm *vm, unsigned int vcpu, const struct pvm_cmd *cmd)
{
	*vm->vcpu[vcpu].cmd = *cmd;
	return pvm_resume(vm, vcpu);
}

int pvm_read(struct pvm *vm, uint64_t gpa, uint64_t *value)
{
	struct pvm_cmd cmd = { .op = PVM_READ, .addr = gpa };
	int ret = pvm_command(vm, 0, &cmd);

	*value = vm->vcpu[0].cmd->result;
	return ret;
}

int pvm_write(struct pvm *vm, uint64_t gpa, uint64_t value)
{
	struct pvm_cmd cmd = { .op = PVM_WRITE, .addr = gpa, .value = value };

	return pvm_command(vm, 0, &cmd);
}

int pvm_wrmsr(struct pvm *vm, uint32_t msr, uint64_t value)
{
	struct pvm_cmd cmd = { .op = PVM_WRMSR, .addr = msr, .value = value };

	return pvm_command(vm, 0, &cmd);
}

int pvm_enable_apic(struct pvm *vm)
{
	int ret = pvm_wrmsr(vm, MSR_APIC_BASE, APIC_BASE_X2);

	return ret ? ret : pvm_wrmsr(vm, PVM_X2APIC + APIC_SVR, APIC_SVR_ON);
}

static int fill(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul,
		uint64_t step)
{
	struct pvm_cmd cmd = { .op = PVM_FILL, .addr = gpa, .len = size, .value = value,
			       .mul = mul, .step = step };

	return pvm_command(vm, 0, &cmd);
}

int pvm_fill(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul)
{
	return fill(vm, gpa, size, value, mul, 8);
}

int pvm_fill_pages(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul)
{
	return fill(vm, gpa, size, value, mul, PVM_PAGE);
}

/* An unexpected exit is an error here, so that it cannot pass for a number of differences. */
static int64_t check(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul,
		     uint64_t step)
{
	struct pvm_cmd cmd = { .op = PVM_CHECK, .addr = gpa, .len = size, .value = value,
			       .mul = mul, .step = step };
	int ret = pvm_command(vm, 0, &cmd);

	if (ret > 0)
		return -EIO;
	return ret ? ret : (int64_t)vm->vcpu[0].cmd->result;
}

int64_t pvm_check(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul)
{
	return check(vm, gpa, size, value, mul, 8);
}

int64_t pvm_check_pages(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value, uint64_t mul)
{
	return check(vm, gpa, size, value, mul, PVM_PAGE);
}

int pvm_hypercall(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t attributes, int64_t *ret)
{
	struct pvm_cmd cmd = { .op = PVM_VMMCALL, .value = KVM_HC_MAP_GPA_RANGE, .addr = gpa,
			       .len = size / PVM_PAGE, .mul = attributes };
	int error = pvm_command(vm, 0, &cmd);

	*ret = vm->vcpu[0].cmd->result;
	return error;
}

static int64_t read_stat(int fd, const char *name)
{
	struct kvm_stats_header head;
	struct kvm_stats_desc *desc;
	uint64_t value;
	size_t size;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head))
		return -EIO;
	size = sizeof(*desc) + head.name_size;
	desc = alloca(size);
	for (uint32_t i = 0; i < head.num_desc; i++) {
		if (pread(fd, desc, size, head.desc_offset + i * size) != (ssize_t)size)
			return -EIO;
		if (strcmp(desc->name, name))
			continue;
		if (pread(fd, &value, sizeof(value), head.data_offset + desc->offset) != sizeof(value))
			return -EIO;
		return value;
	}
	return -ENOENT;
}

static int64_t stat_of(int owner, const char *name)
{
	int fd = ioctl(owner, KVM_GET_STATS_FD, NULL);
	int64_t value;

	if (fd < 0)
		return -errno;
	value = read_stat(fd, name);
	close(fd);
	return value;
}

int64_t pvm_stat(struct pvm *vm, unsigned int vcpu, const char *name)
{
	return stat_of(vm->vcpu[vcpu].fd, name);
}

int64_t pvm_vm_stat(struct pvm *vm, const char *name)
{
	return stat_of(vm->fd, name);
}

bool pvm_is_memory_fault(const struct pvm *vm, unsigned int vcpu, uint64_t gpa, bool private)
{
	const struct kvm_run *run = vm->vcpu[vcpu].run;

	return run->exit_reason == KVM_EXIT_MEMORY_FAULT &&
	       run->memory_fault.flags == (private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0) &&
	       run->memory_fault.gpa == gpa && run->memory_fault.size == PVM_PAGE;
}
