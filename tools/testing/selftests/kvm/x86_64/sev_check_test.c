// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that use pages as they report them, and otherwise, for a machine that looks (check=c-bit).
 * Here they only have to come to their ends; what the machine has found is another machine's to
 * see: tools/workbench/sev_check_test.sh. Each use has an address of its own.
 *
 * Without such a machine all of this is done just the same, and nobody looks.
 */
#define _GNU_SOURCE
#include <linux/kvm_para.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "sev_test.h"

#define PAGES		(4 * SEV_DEFAULT_PAGES)
#define STEP		0x10000ul
/* Where a use is; each has some pages. */
#define PLACE(n)	(SEV_GUEST_DATA + (n) * STEP)

#define OK(call)	OK_VM(&self->vm, call)

static int boot(struct sev_vm *vm, enum sev_guest_check use, uint64_t gpa, unsigned int vcpus)
{
	struct sev_vm_config cfg = {
		.sev = true, .pages = PAGES, .vcpus = vcpus, .program = SEV_GUEST_CHECK,
		.args = { use, gpa },
	};
	int ret = sev_vm_boot(vm, &cfg);

	return ret ? ret : sev_vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL,
					     1 << KVM_HC_MAP_GPA_RANGE);
}

/* The memory is one for both views: whatever the guest reports, there is nothing to do. */
static enum sev_event run(struct sev_vcpu *vcpu)
{
	enum sev_event event;

	do {
		event = sev_vcpu_run(vcpu, SEV_RUN_DEADLINE_MS);
		if (event == SEV_EVENT_HYPERCALL)
			vcpu->run->hypercall.ret = 0;
	} while (event == SEV_EVENT_HYPERCALL);
	return event;
}

#define RUN_TO_END(vcpu) do {						\
	struct sev_vcpu *vcpu_ = (vcpu);				\
	enum sev_event event_ = run(vcpu_);				\
									\
	ASSERT_EQ(SEV_EVENT_DONE, event_)				\
		TH_LOG("%s: %s", sev_event_name(event_), vcpu_->vm->error);	\
} while (0)

/* One guest with one vCPU that does one thing. */
FIXTURE(use) {
	struct sev_vm vm;
};

FIXTURE_VARIANT(use) {
	enum sev_guest_check use;
	uint64_t gpa;
};

FIXTURE_VARIANT_ADD(use, clean) { SEV_CHECK_CLEAN, PLACE(0) };
FIXTURE_VARIANT_ADD(use, shared) { SEV_CHECK_SHARED_USE, PLACE(1) };
FIXTURE_VARIANT_ADD(use, again) { SEV_CHECK_AGAIN, PLACE(2) };
FIXTURE_VARIANT_ADD(use, private) { SEV_CHECK_PRIVATE_USE, PLACE(3) };
FIXTURE_VARIANT_ADD(use, code) { SEV_CHECK_CODE, PLACE(4) };
FIXTURE_VARIANT_ADD(use, shared_code) { SEV_CHECK_SHARED_CODE, PLACE(5) };
FIXTURE_VARIANT_ADD(use, table) { SEV_CHECK_TABLE, PLACE(6) };
FIXTURE_VARIANT_ADD(use, refused) { SEV_CHECK_REFUSED, PLACE(7) };

FIXTURE_SETUP(use)
{
	SKIP_IF(sev_unavailable());
}

FIXTURE_TEARDOWN(use)
{
	if (self->vm.cfg.sev)
		sev_vm_destroy(&self->vm);
}

TEST_F_TIMEOUT(use, of_a_page, SEV_TEST_SECONDS)
{
	OK(boot(&self->vm, variant->use, variant->gpa, 1));
	RUN_TO_END(&self->vm.vcpus[0]);
}

/* More than that. */
FIXTURE(check) {
	struct sev_vm vm;
};

FIXTURE_SETUP(check)
{
	SKIP_IF(sev_unavailable());
}

FIXTURE_TEARDOWN(check)
{
	if (self->vm.cfg.sev)
		sev_vm_destroy(&self->vm);
}

static void *run_second(void *vcpu)
{
	return (void *)(uintptr_t)run(vcpu);
}

TEST_F_TIMEOUT(check, second_vcpu, SEV_TEST_SECONDS)
{
	pthread_t thread;
	void *event;

	OK(boot(&self->vm, SEV_CHECK_SECOND_VCPU, PLACE(8), 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_second, &self->vm.vcpus[1]));
	RUN_TO_END(&self->vm.vcpus[0]);
	pthread_join(thread, &event);
	EXPECT_EQ(SEV_EVENT_DONE, (uintptr_t)event) TH_LOG("%s", self->vm.error);
}

/* The state of a processor after a reset, as far as the machine looks at it. */
static int to_reset_vector(struct sev_vcpu *vcpu)
{
	struct kvm_regs regs = { .rip = 0xfff0, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_segment data = {
		.limit = 0xffff, .type = 3, .present = 1, .s = 1,
	};

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.cr0 = 0x60000010;
	sregs.cr3 = 0;
	sregs.cr4 = 0;
	sregs.efer = 0;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.cs = data;
	sregs.cs.type = 0xb;
	sregs.cs.selector = 0xf000;
	sregs.cs.base = 0xffff0000;
	return ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

/* Another use by the same guest. What it is told is private, so the firmware has to write it. */
static int again(struct sev_vm *vm, enum sev_guest_check use)
{
	struct sev_guest_params *params = (void *)(vm->mem + SEV_GUEST_PARAMS);
	static struct sev_guest_params copy __aligned(16);
	int ret;

	copy = (struct sev_guest_params) {
		.program = SEV_GUEST_CHECK, .args = { use, vm->cfg.args[1] },
	};
	ret = sev_dbg_encrypt(vm, &copy, params, sizeof(copy));
	return ret ? ret : sev_vcpu_set_state(&vm->vcpus[0]);
}

/* There is no memory at the reset vector: the guest is there, and gets no further. */
TEST_F_TIMEOUT(check, reset, SEV_TEST_SECONDS)
{
	struct sev_vcpu *vcpu = &self->vm.vcpus[0];

	OK(boot(&self->vm, SEV_CHECK_REPORT, PLACE(9), 1));
	RUN_TO_END(vcpu);
	ASSERT_EQ(0, to_reset_vector(vcpu));
	EXPECT_NE(SEV_EVENT_DONE, sev_vcpu_run(vcpu, 1000));
	/* What was shared before is private now, without a word. */
	OK(again(&self->vm, SEV_CHECK_PRIVATE));
	RUN_TO_END(vcpu);
	OK(again(&self->vm, SEV_CHECK_SHARED_USE));
	RUN_TO_END(vcpu);
}

/* The same without a reset. */
TEST_F_TIMEOUT(check, no_reset, SEV_TEST_SECONDS)
{
	OK(boot(&self->vm, SEV_CHECK_REPORT, PLACE(10), 1));
	RUN_TO_END(&self->vm.vcpus[0]);
	OK(again(&self->vm, SEV_CHECK_PRIVATE));
	RUN_TO_END(&self->vm.vcpus[0]);
}

/* As many as there are ASIDs, and more: each ASID has had a guest that shared the page. */
TEST_F_TIMEOUT(check, new_guest, SEV_TEST_SECONDS)
{
	struct sev_cpu_info info;

	ASSERT_TRUE(sev_cpu_info(&info));
	for (unsigned int asid = info.min_sev_asid; asid <= info.max_asid; asid++) {
		OK(boot(&self->vm, SEV_CHECK_REPORT, PLACE(11), 1));
		RUN_TO_END(&self->vm.vcpus[0]);
		sev_vm_destroy(&self->vm);
	}
	for (unsigned int asid = info.min_sev_asid; asid <= info.max_asid; asid++) {
		OK(boot(&self->vm, SEV_CHECK_PRIVATE, PLACE(11), 1));
		RUN_TO_END(&self->vm.vcpus[0]);
		sev_vm_destroy(&self->vm);
	}
	self->vm.cfg.sev = false;
}

TEST_HARNESS_MAIN
