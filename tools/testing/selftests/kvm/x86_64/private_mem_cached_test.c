// SPDX-License-Identifier: GPL-2.0-only
/*
 * Structures that the guest has registered while their page was shared, and whose address KVM has kept:
 * when the page becomes private, KVM must neither write to the VMM's page nor bring it back after it was
 * discarded, and must go on when the page is shared again. One case for each way in which KVM keeps an
 * address, and for each moment at which it uses one.
 */
#define _GNU_SOURCE
#include <asm/kvm_para.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE		PVM_MIB
#define PRIVATE_VALUE	0x1111000000000000ull

#define RFLAGS_ONE	0x2
#define RFLAGS_IF	0x200
#define X2APIC_EOI	(PVM_X2APIC + 0xb)
#define X2APIC_SELF_IPI	(PVM_X2APIC + 0x3f)
/* The guest has handlers for the first 32 vectors; an APIC takes them from 16 on. */
#define VECTOR		31

FIXTURE(cached) {
	struct pvm vm;
	int fd;
	uint8_t *hva;
};

FIXTURE_VARIANT(cached) {
	/* The guest registers the structure; the test has KVM use it. */
	int (*arm)(struct pvm *vm, uint64_t gpa);
	int (*use)(struct pvm *vm);
	/* What the VMM's page is full of: something that KVM does not write there. */
	uint8_t background;
	/* KVM uses it once. */
	bool once;
};

static int enter_guest(struct pvm *vm)
{
	uint64_t value;

	return pvm_read(vm, PVM_FREE, &value);
}

/* Also has KVM look at what is to be injected when it enters the guest. */
static int set_rflags(struct pvm *vm, uint64_t rflags)
{
	struct kvm_regs regs;

	if (ioctl(vm->vcpu[0].fd, KVM_GET_REGS, &regs))
		return -errno;
	regs.rflags = rflags;
	return ioctl(vm->vcpu[0].fd, KVM_SET_REGS, &regs) ? -errno : 0;
}

/* Written at each entry of a vCPU that has been scheduled. */
static int arm_steal_time(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_KVM_STEAL_TIME, gpa | KVM_MSR_ENABLED);
}

FIXTURE_VARIANT_ADD(cached, steal_time) {
	.arm = arm_steal_time, .use = enter_guest, .background = 0x5a,
};

static int arm_system_time(struct pvm *vm, uint64_t gpa)
{
	return pvm_wrmsr(vm, MSR_KVM_SYSTEM_TIME_NEW, gpa | KVM_MSR_ENABLED);
}

/* Written when the VM's clock has changed. */
static int change_clock(struct pvm *vm)
{
	struct kvm_clock_data clock = { .clock = 1000000000 };

	return ioctl(vm->fd, KVM_SET_CLOCK, &clock) ? -errno : enter_guest(vm);
}

FIXTURE_VARIANT_ADD(cached, system_time) {
	.arm = arm_system_time, .use = change_clock, .background = 0x5a,
};

static int arm_pv_eoi(struct pvm *vm, uint64_t gpa)
{
	int ret = pvm_enable_apic(vm);

	return ret ? ret : pvm_wrmsr(vm, MSR_KVM_PV_EOI_EN, gpa | KVM_MSR_ENABLED);
}

/* Written before an interrupt's handler runs, which is a report of this guest's. */
static int interrupt(struct pvm *vm)
{
	int ret = pvm_wrmsr(vm, X2APIC_EOI, 0);

	if (!ret)
		ret = set_rflags(vm, RFLAGS_ONE | RFLAGS_IF);
	if (ret)
		return ret;
	ret = pvm_wrmsr(vm, X2APIC_SELF_IPI, VECTOR);
	return ret == PVM_EXCEPTION && vm->vcpu[0].cmd->vector == VECTOR ? 0 : -EIO;
}

FIXTURE_VARIANT_ADD(cached, pv_eoi) {
	.arm = arm_pv_eoi, .use = interrupt, .background = 0x5a,
};

/* With its APIC off the guest cannot be told anything yet. */
static int arm_async_pf(struct pvm *vm, uint64_t gpa)
{
	int ret = pvm_wrmsr(vm, MSR_KVM_ASYNC_PF_INT, VECTOR);

	return ret ? ret : pvm_wrmsr(vm, MSR_KVM_ASYNC_PF_EN, gpa | KVM_ASYNC_PF_ENABLED |
				     KVM_ASYNC_PF_SEND_ALWAYS | KVM_ASYNC_PF_DELIVERY_AS_INT);
}

/* Read for a token of zero, then written: who waits for pages may look again. */
static int tell_of_pages(struct pvm *vm)
{
	int ret = pvm_enable_apic(vm);

	return ret ? ret : enter_guest(vm);
}

FIXTURE_VARIANT_ADD(cached, async_pf) {
	.arm = arm_async_pf, .use = tell_of_pages, .background = 0, .once = true,
};

static int arm_vapic(struct pvm *vm, uint64_t gpa)
{
	struct kvm_vapic_addr addr = { .vapic_addr = gpa };
	int ret = pvm_enable_apic(vm);

	return ret ? ret : ioctl(vm->vcpu[0].fd, KVM_SET_VAPIC_ADDR, &addr) ? -errno : 0;
}

/* Written at an entry that looks for interrupts, and read at each exit. */
static int look_for_interrupts(struct pvm *vm)
{
	int ret = set_rflags(vm, RFLAGS_ONE);

	return ret ? ret : enter_guest(vm);
}

FIXTURE_VARIANT_ADD(cached, vapic) {
	.arm = arm_vapic, .use = look_for_interrupts, .background = 0x5a,
};

FIXTURE_SETUP(cached)
{
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, pvm_create(vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL));
	ASSERT_EQ(0, pvm_add_vcpus(vm, 1));
	self->hva = pvm_add_data(vm, PVM_RESTRICTED, SIZE, &self->fd);
	ASSERT_NE(NULL, self->hva);
}

FIXTURE_TEARDOWN(cached)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

static bool written_to(const uint8_t *page, uint8_t background)
{
	for (size_t i = 0; i < PVM_PAGE; i++)
		if (page[i] != background)
			return true;
	return false;
}

/* The structure is registered, and its page is what it is for: KVM writes to it. */
static void make_cached(struct __test_metadata *_metadata, FIXTURE_DATA(cached) *self,
			const FIXTURE_VARIANT(cached) *variant)
{
	ASSERT_EQ(0, variant->arm(&self->vm, PVM_DATA));
	if (variant->once)
		return;
	memset(self->hva, variant->background, PVM_PAGE);
	ASSERT_EQ(0, variant->use(&self->vm));
	ASSERT_TRUE(written_to(self->hva, variant->background));
}

/* The guest's page is the guest's alone. */
static void use_private(struct __test_metadata *_metadata, FIXTURE_DATA(cached) *self,
			const FIXTURE_VARIANT(cached) *variant)
{
	ASSERT_EQ(0, pvm_fill(&self->vm, PVM_DATA, PVM_PAGE, PRIVATE_VALUE, 1));
	for (int i = 0; i < 5; i++) {
		usleep(1000);
		ASSERT_EQ(0, variant->use(&self->vm));
	}
	EXPECT_EQ(0, pvm_check(&self->vm, PVM_DATA, PVM_PAGE, PRIVATE_VALUE, 1));
}

static void use_shared_again(struct __test_metadata *_metadata, FIXTURE_DATA(cached) *self,
			     const FIXTURE_VARIANT(cached) *variant)
{
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, false));
	memset(self->hva, variant->background, PVM_PAGE);
	ASSERT_EQ(0, variant->use(&self->vm));
	EXPECT_TRUE(written_to(self->hva, variant->background));
}

/* A VMM that keeps the shared half finds there what it had there. */
TEST_F_TIMEOUT(cached, half_is_kept, PVM_TEST_SECONDS)
{
	make_cached(_metadata, self, variant);
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, true));
	memset(self->hva, variant->background, PVM_PAGE);
	use_private(_metadata, self, variant);
	EXPECT_FALSE(written_to(self->hva, variant->background));
	use_shared_again(_metadata, self, variant);
}

/* A VMM that discards it pays for no page. */
TEST_F_TIMEOUT(cached, half_is_discarded, PVM_TEST_SECONDS)
{
	make_cached(_metadata, self, variant);
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, true));
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_DONTNEED));
	use_private(_metadata, self, variant);
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
	use_shared_again(_metadata, self, variant);
}

/*
 * A vCPU that another task drives off its processor is marked so in the steal time: an access from the
 * scheduler, which looks up nothing.
 */
FIXTURE(preempted) {
	struct pvm vm;
	int fd;
	uint8_t *hva;
	pthread_t thread;
	int ran;
};

#define BACKGROUND	0x5a
#define HOG_SECONDS	0.06
#define ROUNDS		5

FIXTURE_SETUP(preempted)
{
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, pvm_create(vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(vm, 1));
	self->hva = pvm_add_data(vm, PVM_RESTRICTED, SIZE, &self->fd);
	ASSERT_NE(NULL, self->hva);
	ASSERT_EQ(0, arm_steal_time(vm, PVM_DATA));
}

FIXTURE_TEARDOWN(preempted)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

/* One KVM_RUN, until it is told to end. */
static void *wait_in_guest(void *data)
{
	FIXTURE_DATA(preempted) *self = data;
	struct pvm_cmd watch = { .op = PVM_WATCH, .addr = PVM_FREE };

	self->ran = rmem_stay_on(1);
	if (!self->ran)
		self->ran = pvm_command(&self->vm, 0, &watch);
	return NULL;
}

static void *hog(void *error)
{
	double end;

	*(int *)error = rmem_stay_on(1);
	end = rmem_now() + HOG_SECONDS;
	while (rmem_now() < end)
		;
	return NULL;
}

/* Long enough for the scheduler to change between the two some times. */
static int drive_off(void)
{
	pthread_t thread;
	int error = 0;

	if (pthread_create(&thread, NULL, hog, &error))
		return -EAGAIN;
	pthread_join(thread, NULL);
	return error;
}

TEST_F_TIMEOUT(preempted, half_is_kept, PVM_TEST_SECONDS)
{
	ASSERT_LT(1, sysconf(_SC_NPROCESSORS_ONLN));
	ASSERT_EQ(0, rmem_stay_on(0));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, wait_in_guest, self));
	usleep(100000);
	for (int i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, true));
		memset(self->hva, BACKGROUND, PVM_PAGE);
		ASSERT_EQ(0, drive_off());
		EXPECT_FALSE(written_to(self->hva, BACKGROUND));
		ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, false));
		memset(self->hva, BACKGROUND, PVM_PAGE);
		ASSERT_EQ(0, drive_off());
		EXPECT_TRUE(written_to(self->hva, BACKGROUND));
	}
	__atomic_store_n(&self->vm.vcpu[0].cmd->mul, 1, __ATOMIC_SEQ_CST);
	pthread_join(self->thread, NULL);
	EXPECT_EQ(0, self->ran);
}

TEST_HARNESS_MAIN
