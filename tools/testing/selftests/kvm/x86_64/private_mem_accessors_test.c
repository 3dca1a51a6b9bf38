// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM itself reads and writes guest memory: structures that the guest registers, instructions that it
 * emulates, page tables that it walks. At a private page it does neither: it must not touch the page, and
 * above all not the VMM's page at the same place, which would come into being by that.
 */
#define _GNU_SOURCE
#include <asm/kvm_para.h>
#include <errno.h>
#include <linux/kvm_para.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE	PVM_MIB
/* The page that KVM is sent to. The one before it stays shared. */
#define TARGET	(PVM_DATA + PVM_PAGE)
#define CODE	(PVM_DATA + 16 * PVM_PAGE)

#define PRIVATE_VALUE	0x1111000000000000ull

#define MSR_SYSTEM_TIME_OLD	0x12
#define MSR_WALL_CLOCK_OLD	0x11
#define HV_GUEST_OS_ID		0x40000000
#define HV_HYPERCALL		0x40000001
#define HV_REFERENCE_TSC	0x40000021
#define HV_VP_ASSIST_PAGE	0x40000073

struct target {
	struct pvm vm;
	int fd;
	void *hva;
};

static void make_target(struct __test_metadata *_metadata, struct target *self)
{
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, pvm_create(vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL));
	ASSERT_EQ(0, pvm_add_vcpus(vm, 1));
	self->hva = pvm_add_data(vm, PVM_RESTRICTED, SIZE, &self->fd);
	ASSERT_NE(NULL, self->hva);
	ASSERT_EQ(0, pvm_set_private(vm, TARGET, SIZE - PVM_PAGE, true));
	ASSERT_EQ(0, pvm_fill(vm, TARGET, PVM_PAGE, PRIVATE_VALUE, 1));
}

static void destroy_target(struct target *self)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

/* The guest goes on, its page is as it was, and the VMM's mapping holds nothing but the shared page. */
#define UNTOUCHED(target) do {								\
	EXPECT_EQ(0, pvm_check(&(target)->vm, TARGET, PVM_PAGE, PRIVATE_VALUE, 1));		\
	EXPECT_EQ(0, pvm_resident((target)->hva + PVM_PAGE, SIZE - PVM_PAGE));	\
} while (0)

/* By the VMM; 0 as well, or -EINVAL when KVM refuses. */
static int set_msr(struct pvm *vm, uint32_t msr, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry = { .index = msr, .data = value } };
	int ret = ioctl(vm->vcpu[0].fd, KVM_SET_MSRS, &msrs);

	return ret < 0 ? -errno : ret ? 0 : -EINVAL;
}

static int steal_time(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_KVM_STEAL_TIME, gpa | KVM_MSR_ENABLED);
}

static int system_time(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_KVM_SYSTEM_TIME_NEW, gpa | KVM_MSR_ENABLED);
}

static int system_time_old(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_SYSTEM_TIME_OLD, gpa | KVM_MSR_ENABLED);
}

static int wall_clock(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_KVM_WALL_CLOCK_NEW, gpa);
}

static int wall_clock_old(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_WALL_CLOCK_OLD, gpa);
}

static int pv_eoi(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_KVM_PV_EOI_EN, gpa | KVM_MSR_ENABLED);
}

static int async_pf(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_KVM_ASYNC_PF_EN, gpa | KVM_ASYNC_PF_ENABLED |
			 KVM_ASYNC_PF_SEND_ALWAYS | KVM_ASYNC_PF_DELIVERY_AS_INT);
}

static int vapic(struct pvm *vm, uint64_t gpa)
{
	struct kvm_vapic_addr addr = { .vapic_addr = gpa };

	return ioctl(vm->vcpu[0].fd, KVM_SET_VAPIC_ADDR, &addr) ? -errno : 0;
}

static int hv_hypercall(struct pvm *vm, uint64_t gpa)
{
	int ret = set_msr(vm, HV_GUEST_OS_ID, 1);

	return ret ? ret : set_msr(vm, HV_HYPERCALL, gpa | 1);
}

static int hv_assist(struct pvm *vm, uint64_t gpa)
{
	return set_msr(vm, HV_VP_ASSIST_PAGE, gpa | 1);
}

static int hv_reference_tsc(struct pvm *vm, uint64_t gpa)
{
	return set_msr(vm, HV_REFERENCE_TSC, gpa | 1);
}

/* The hypercall's own result is the guest's. */
static int clock_pairing(struct pvm *vm, uint64_t gpa)
{
	struct pvm_cmd cmd = { .op = PVM_VMMCALL, .value = KVM_HC_CLOCK_PAIRING, .addr = gpa };
	int ret = pvm_command(vm, 0, &cmd);

	return ret ? ret : (int)vm->vcpu[0].cmd->result;
}

FIXTURE(structure) {
	struct target target;
};

FIXTURE_VARIANT(structure) {
	int (*access)(struct pvm *vm, uint64_t gpa);
	/* What comes of a private page; a shared one succeeds. */
	int refused;
	/* A shared page is written to at once. */
	bool writes;
};

/* These MSRs take any address, and KVM updates the structure if it can. */
FIXTURE_VARIANT_ADD(structure, steal_time) {
	.access = steal_time, .refused = 0, .writes = true,
};

FIXTURE_VARIANT_ADD(structure, system_time) {
	.access = system_time, .refused = 0, .writes = true,
};

FIXTURE_VARIANT_ADD(structure, system_time_old) {
	.access = system_time_old, .refused = 0, .writes = true,
};

FIXTURE_VARIANT_ADD(structure, wall_clock) {
	.access = wall_clock, .refused = 0, .writes = true,
};

FIXTURE_VARIANT_ADD(structure, wall_clock_old) {
	.access = wall_clock_old, .refused = 0, .writes = true,
};

FIXTURE_VARIANT_ADD(structure, hv_reference_tsc) {
	.access = hv_reference_tsc, .refused = 0, .writes = true,
};

/* These are refused at once: the guest gets #GP, the VMM an error. */
FIXTURE_VARIANT_ADD(structure, pv_eoi) {
	.access = pv_eoi, .refused = PVM_EXCEPTION, .writes = false,
};

FIXTURE_VARIANT_ADD(structure, async_pf) {
	.access = async_pf, .refused = PVM_EXCEPTION, .writes = false,
};

FIXTURE_VARIANT_ADD(structure, vapic) {
	.access = vapic, .refused = -EINVAL, .writes = false,
};

FIXTURE_VARIANT_ADD(structure, hv_hypercall) {
	.access = hv_hypercall, .refused = -EINVAL, .writes = true,
};

FIXTURE_VARIANT_ADD(structure, hv_assist) {
	.access = hv_assist, .refused = -EINVAL, .writes = true,
};

FIXTURE_VARIANT_ADD(structure, clock_pairing) {
	.access = clock_pairing, .refused = -KVM_EFAULT, .writes = true,
};

FIXTURE_SETUP(structure)
{
	make_target(_metadata, &self->target);
}

FIXTURE_TEARDOWN(structure)
{
	destroy_target(&self->target);
}

/* A page of the VMM's, filled with this, shows that KVM wrote to it. */
static bool written_to(const uint8_t *page)
{
	for (size_t i = 0; i < PVM_PAGE; i++)
		if (page[i] != 0x5a)
			return true;
	return false;
}

TEST_F_TIMEOUT(structure, refused, PVM_TEST_SECONDS)
{
	struct target *target = &self->target;

	EXPECT_EQ(variant->refused, variant->access(&target->vm, TARGET));
	if (variant->refused == PVM_EXCEPTION)
		EXPECT_EQ(13, target->vm.vcpu[0].cmd->vector);
	UNTOUCHED(target);
	/* It is no accident that nothing happened: the same works with a shared page. */
	memset(target->hva, 0x5a, PVM_PAGE);
	EXPECT_EQ(0, variant->access(&target->vm, PVM_DATA));
	UNTOUCHED(target);
	EXPECT_EQ(variant->writes, written_to(target->hva));
}

FIXTURE(accessors) {
	struct target target;
};

FIXTURE_SETUP(accessors)
{
	make_target(_metadata, &self->target);
}

FIXTURE_TEARDOWN(accessors)
{
	destroy_target(&self->target);
}

/* Put code at @gpa and run it, with RSI = @value. */
static int run_code(struct pvm *vm, uint64_t gpa, const void *code, size_t len, uint64_t value)
{
	struct pvm_cmd copy = { .op = PVM_COPY, .addr = PVM_FREE, .value = gpa, .len = len };
	struct pvm_cmd call = { .op = PVM_CALL, .addr = gpa, .value = value };
	int ret;

	memcpy(vm->low + PVM_FREE, code, len);
	ret = pvm_command(vm, 0, &copy);
	return ret ? ret : pvm_command(vm, 0, &call);
}

#define RUN_CODE(gpa, code, value)	run_code(&self->target.vm, gpa, code, sizeof(code) - 1, value)

/* mov (%rsi),%rax; ret */
#define LOAD		"\x48\x8b\x06\xc3"
/* mov $0x80,%edx; outsb; ret */
#define OUTS		"\xba\x80\x00\x00\x00\x6e\xc3"
/* mov %rsi,%rdi; mov $0x80,%edx; insb; ret */
#define INS		"\x48\x89\xf7\xba\x80\x00\x00\x00\x6c\xc3"
/* mov $0x80,%edx; out %al,%dx; ret */
#define OUT		"\xba\x80\x00\x00\x00\xee\xc3"
/* mov %rsi,%rdi; mov $MMIO,%esi; movsq; ret */
#define FROM_MMIO	"\x48\x89\xf7\xbe\x00\x00\x00\xd0\x48\xa5\xc3"
/* mov $MMIO,%edi; movsq; ret */
#define TO_MMIO		"\xbf\x00\x00\x00\xd0\x48\xa5\xc3"

/* The CPU tells KVM the bytes of what it must emulate, and what ports need: no fetch. */
TEST_F_TIMEOUT(accessors, device_access_of_private_code, PVM_TEST_SECONDS)
{
	struct kvm_run *run = self->target.vm.vcpu[0].run;

	ASSERT_EQ(KVM_EXIT_MMIO, RUN_CODE(CODE, LOAD, PVM_MMIO + 8));
	EXPECT_EQ(PVM_MMIO + 8, run->mmio.phys_addr);
	EXPECT_EQ(8, run->mmio.len);
	EXPECT_EQ(0, run->mmio.is_write);
	memcpy(run->mmio.data, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	ASSERT_EQ(0, pvm_resume(&self->target.vm, 0));
	EXPECT_EQ(0x8877665544332211ull, self->target.vm.vcpu[0].cmd->result);

	ASSERT_EQ(KVM_EXIT_IO, RUN_CODE(CODE, OUT, 0));
	EXPECT_EQ(0x80, run->io.port);
	ASSERT_EQ(0, pvm_resume(&self->target.vm, 0));
	UNTOUCHED(&self->target);
}

/* An instruction that KVM would have to fetch from, or whose operand is in, a private page, it gives up. */
#define GIVEN_UP(ended) do {								\
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, ended);					\
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->target.vm.vcpu[0].run->internal.suberror); \
	ASSERT_EQ(0, pvm_drop(&self->target.vm, 0));						\
	UNTOUCHED(&self->target);								\
} while (0)

TEST_F_TIMEOUT(accessors, fetch_of_private_code, PVM_TEST_SECONDS)
{
	/* The operand is shared. */
	GIVEN_UP(RUN_CODE(CODE, OUTS, PVM_FREE));
}

TEST_F_TIMEOUT(accessors, string_output_of_private_data, PVM_TEST_SECONDS)
{
	GIVEN_UP(RUN_CODE(PVM_FREE, OUTS, TARGET));
}

TEST_F_TIMEOUT(accessors, string_input_to_private_data, PVM_TEST_SECONDS)
{
	struct kvm_run *run = self->target.vm.vcpu[0].run;
	int ret = RUN_CODE(PVM_FREE, INS, TARGET);

	/* The port is read first. */
	ASSERT_EQ(KVM_EXIT_IO, ret);
	EXPECT_EQ(KVM_EXIT_IO_IN, run->io.direction);
	*((uint8_t *)run + run->io.data_offset) = 0xee;
	GIVEN_UP(pvm_resume(&self->target.vm, 0));
}

TEST_F_TIMEOUT(accessors, device_to_private_data, PVM_TEST_SECONDS)
{
	struct kvm_run *run = self->target.vm.vcpu[0].run;

	ASSERT_EQ(KVM_EXIT_MMIO, RUN_CODE(PVM_FREE, FROM_MMIO, TARGET));
	EXPECT_EQ(PVM_MMIO, run->mmio.phys_addr);
	memset(run->mmio.data, 0xee, 8);
	GIVEN_UP(pvm_resume(&self->target.vm, 0));
}

TEST_F_TIMEOUT(accessors, private_data_to_device, PVM_TEST_SECONDS)
{
	GIVEN_UP(RUN_CODE(PVM_FREE, TO_MMIO, TARGET));
}

#define FORCED_EMULATION	"/sys/module/kvm/parameters/force_emulation_prefix"

/* mov (%rsi),%rax; mov $0x77,%edx; ud2; "kvm"; lock cmpxchg %rdx,(%rsi); ret */
#define EXCHANGE	"\x48\x8b\x06\xba\x77\x00\x00\x00\x0f\x0b\x6bvm\xf0\x48\x0f\xb1\x16\xc3"

/* No device has such an access: KVM is made to emulate it, on a shared page where it must succeed. */
TEST_F_TIMEOUT(accessors, locked_exchange_of_private_data, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->target.vm;
	int64_t emulated;

	ASSERT_EQ(0, rmem_write(FORCED_EMULATION, "1"));
	ASSERT_EQ(0, pvm_write(vm, PVM_DATA, 5));
	emulated = pvm_stat(vm, 0, "insn_emulation");
	ASSERT_EQ(0, RUN_CODE(PVM_FREE, EXCHANGE, PVM_DATA));
	EXPECT_EQ(0x77, *(uint64_t *)self->target.hva);
	EXPECT_LT(emulated, pvm_stat(vm, 0, "insn_emulation"));
	GIVEN_UP(RUN_CODE(PVM_FREE, EXCHANGE, TARGET));
	ASSERT_EQ(0, rmem_write(FORCED_EMULATION, "0"));
}

/* A copy of the guest's page tables in private memory, with the same addresses but for the first levels. */
static int copy_tables(struct pvm *vm, uint64_t gpa)
{
	struct pvm_cmd copy = { .op = PVM_COPY, .addr = PVM_PML4, .value = gpa, .len = 2 * PVM_PAGE };
	const uint64_t flags = 0x63;
	int ret;

	ret = pvm_command(vm, 0, &copy);
	return ret ? ret : pvm_write(vm, gpa, (gpa + PVM_PAGE) | flags);
}

static int set_cr3(struct pvm *vm, uint64_t cr3)
{
	struct kvm_sregs sregs;
	int vcpu = vm->vcpu[0].fd;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cr3 = cr3;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

static int translate(struct pvm *vm, uint64_t address, struct kvm_translation *translation)
{
	*translation = (struct kvm_translation){ .linear_address = address };
	return ioctl(vm->vcpu[0].fd, KVM_TRANSLATE, translation) ? -errno : 0;
}

/* With nested paging the CPU walks them; without, KVM would have to, and finds nothing there. */
TEST_F_TIMEOUT(accessors, private_page_tables, PVM_TEST_SECONDS)
{
	const uint64_t tables = PVM_DATA + 32 * PVM_PAGE;
	struct kvm_translation translation;
	struct pvm *vm = &self->target.vm;
	uint64_t value = 0;

	ASSERT_EQ(0, translate(vm, TARGET + 8, &translation));
	EXPECT_EQ(1, translation.valid);
	EXPECT_EQ(TARGET + 8, translation.physical_address);

	ASSERT_EQ(0, copy_tables(vm, tables));
	ASSERT_EQ(0, set_cr3(vm, tables));
	ASSERT_EQ(0, translate(vm, TARGET + 8, &translation));
	EXPECT_EQ(0, translation.valid);
	EXPECT_EQ(pvm_shadow_paging() ? KVM_EXIT_SHUTDOWN : 0, pvm_read(vm, TARGET, &value));
	EXPECT_EQ(0, pvm_resident(self->target.hva + PVM_PAGE, SIZE - PVM_PAGE));
}

/* The four first-level entries of 32-bit PAE paging are KVM's to load; it does without. */
TEST_F_TIMEOUT(accessors, private_pdptrs, PVM_TEST_SECONDS)
{
	struct kvm_sregs sregs;
	int vcpu = self->target.vm.vcpu[0].fd;

	ASSERT_EQ(0, ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.efer = 0;
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	sregs.cr3 = TARGET;
	EXPECT_EQ(0, ioctl(vcpu, KVM_SET_SREGS, &sregs));
	EXPECT_EQ(0, pvm_resident(self->target.hva + PVM_PAGE, SIZE - PVM_PAGE));
}

TEST_HARNESS_MAIN
