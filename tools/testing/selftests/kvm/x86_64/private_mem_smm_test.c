// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM with private memory has no system management mode: the state that a vCPU saves there would be lost
 * in a private page, and a frame would have two states. KVM_CAP_X86_SMM says so; here is that neither the
 * VMM nor the guest gets a vCPU there nevertheless. The default type, where both succeed, shows that
 * the calls are right.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "private_vm.h"

/* Where a processor's SMM is after reset: its handler, and the state that is saved. */
#define HANDLER		0x38000
#define SAVED		0x3fe00
#define SAVED_SIZE	0x200

#define SMM_SPACE	(1 << 16)

#define X2APIC_ICR	(PVM_X2APIC + 0x30)
#define ICR_SMI		0x200		/* to the processor 0, by its number */

FIXTURE(smm) {
	struct pvm vm;
	/* The type has it. */
	bool has;
};

FIXTURE_VARIANT(smm) {
	unsigned long type;
};

FIXTURE_VARIANT_ADD(smm, default_type) {
	.type = KVM_X86_DEFAULT_VM,
};

FIXTURE_VARIANT_ADD(smm, sw_protected) {
	.type = KVM_X86_SW_PROTECTED_VM,
};

FIXTURE_SETUP(smm)
{
	ASSERT_EQ(0, pvm_create(&self->vm, variant->type));
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_CREATE_IRQCHIP, NULL));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->has = variant->type == KVM_X86_DEFAULT_VM;
	/* What a processor sees in SMM is another address space: here the same memory. */
	if (self->has)
		ASSERT_EQ(0, pvm_add_slot(&self->vm, SMM_SPACE | PVM_LOW_SLOT, 0, PVM_LOW_SIZE,
					  self->vm.low, -1, 0));
	/* The handler does nothing: RSM. */
	memcpy(self->vm.low + HANDLER, "\x0f\xaa", 2);
}

FIXTURE_TEARDOWN(smm)
{
	pvm_destroy(&self->vm);
}

static bool state_was_saved(struct pvm *vm)
{
	for (size_t i = 0; i < SAVED_SIZE; i++)
		if (vm->low[SAVED + i])
			return true;
	return false;
}

/* The guest goes on where it was, with a visit to SMM or without. */
#define GOES_ON() do {									\
	struct kvm_vcpu_events events_;							\
	uint64_t value_ = 1;								\
											\
	EXPECT_EQ(0, pvm_read(&self->vm, PVM_FREE, &value_));				\
	EXPECT_EQ(0, value_);								\
	EXPECT_EQ(self->has, state_was_saved(&self->vm));				\
	ASSERT_EQ(0, ioctl(self->vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events_));	\
	EXPECT_EQ(0, events_.smi.smm);							\
	EXPECT_EQ(0, events_.smi.pending);						\
} while (0)

TEST_F_TIMEOUT(smm, asked_for_by_the_vmm, PVM_TEST_SECONDS)
{
	errno = 0;
	EXPECT_EQ(self->has ? 0 : -1, ioctl(self->vm.vcpu[0].fd, KVM_SMI, NULL));
	EXPECT_EQ(self->has ? 0 : EINVAL, errno);
	GOES_ON();
}

TEST_F_TIMEOUT(smm, asked_for_by_the_guest, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, pvm_enable_apic(&self->vm));
	EXPECT_EQ(0, pvm_wrmsr(&self->vm, X2APIC_ICR, ICR_SMI));
	GOES_ON();
}

static int set_smi(struct pvm *vm, bool pending, bool smm)
{
	struct kvm_vcpu_events events;

	if (ioctl(vm->vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events))
		return -errno;
	events.flags = KVM_VCPUEVENT_VALID_SMM;
	events.smi.pending = pending;
	events.smi.smm = smm;
	return ioctl(vm->vcpu[0].fd, KVM_SET_VCPU_EVENTS, &events) ? -errno : 0;
}

/* As a VMM does that restores a vCPU: with an SMI that is to come, or in the middle of its handler. */
TEST_F_TIMEOUT(smm, restored, PVM_TEST_SECONDS)
{
	EXPECT_EQ(self->has ? 0 : -EINVAL, set_smi(&self->vm, false, true));
	EXPECT_EQ(self->has ? 0 : -EINVAL, set_smi(&self->vm, true, true));
	EXPECT_EQ(0, set_smi(&self->vm, false, false));
	EXPECT_EQ(self->has ? 0 : -EINVAL, set_smi(&self->vm, true, false));
	GOES_ON();
}

/* An SEV guest that is not launched yet; one that runs is refused by the same line. */
TEST(sev_type)
{
	struct pvm vm;

	ASSERT_EQ(0, pvm_create(&vm, KVM_X86_SEV_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&vm, 1));
	EXPECT_EQ(-1, ioctl(vm.vcpu[0].fd, KVM_SMI, NULL));
	EXPECT_EQ(EINVAL, errno);
	pvm_destroy(&vm);
}

TEST_HARNESS_MAIN
