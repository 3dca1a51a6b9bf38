// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM with private memory runs no guest of its own: KVM would have to read that guest's tables and
 * control blocks from memory that it must not look at. Neither the guest nor the VMM gets a vCPU
 * there, by whatever way; the default type, where the same calls succeed, shows that they are right.
 *
 * This is SVM's side. VMX is not in the emulated machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "private_vm.h"

#define MSR_EFER	0xc0000080
#define EFER_SVME	(1ull << 12)
#define GP_VECTOR	13

#define VMCB		PVM_FREE
/* Of the AMD64 manual's VMCB: the fields that KVM looks at before it takes one. */
#define VMCB_INTERCEPT_VMRUN	0x10
#define VMCB_ASID		0x58
#define VMCB_EFER		0x4d0
#define VMCB_CR4		0x548
#define VMCB_CR3		0x550
#define VMCB_CR0		0x558
#define VMCB_RFLAGS		0x570

FIXTURE(nested) {
	struct pvm vm;
	int vcpu;
	/* What KVM_RUN, or a call, makes of the wish for a nested guest. */
	int error;
};

FIXTURE_VARIANT(nested) {
	unsigned long type;
};

FIXTURE_VARIANT_ADD(nested, default_type) {
	.type = KVM_X86_DEFAULT_VM,
};

FIXTURE_VARIANT_ADD(nested, sw_protected) {
	.type = KVM_X86_SW_PROTECTED_VM,
};

FIXTURE_VARIANT_ADD(nested, sev) {
	.type = KVM_X86_SEV_VM,
};

FIXTURE_SETUP(nested)
{
	ASSERT_EQ(0, pvm_create(&self->vm, variant->type));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->vcpu = self->vm.vcpu[0].fd;
	self->error = variant->type == KVM_X86_DEFAULT_VM ? 0 : EINVAL;
}

FIXTURE_TEARDOWN(nested)
{
	pvm_destroy(&self->vm);
}

/* The call gives the fixture's error, and EFER says the same. */
#define ENDS_ALIKE(call) do {							\
	struct kvm_sregs after_;						\
										\
	errno = 0;								\
	EXPECT_EQ(self->error ? -1 : 0, call);					\
	EXPECT_EQ(self->error, errno);						\
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_SREGS, &after_));		\
	EXPECT_EQ(!self->error, !!(after_.efer & EFER_SVME));			\
} while (0)

TEST_F_TIMEOUT(nested, asked_for_by_the_guest, PVM_TEST_SECONDS)
{
	struct pvm_cmd read = { .op = PVM_RDMSR, .addr = MSR_EFER };
	struct pvm_cmd write = { .op = PVM_WRMSR, .addr = MSR_EFER };
	struct pvm_cmd *cmd = self->vm.vcpu[0].cmd;

	/* Its page tables are not launched: no guest runs in this VM. */
	if (variant->type == KVM_X86_SEV_VM) {
		ASSERT_EQ(-EINVAL, pvm_command(&self->vm, 0, &read));
		return;
	}
	ASSERT_EQ(0, pvm_command(&self->vm, 0, &read));
	write.value = cmd->result | EFER_SVME;
	ASSERT_EQ(self->error ? PVM_EXCEPTION : 0, pvm_command(&self->vm, 0, &write));
	if (self->error)
		EXPECT_EQ(GP_VECTOR, cmd->vector);
	ENDS_ALIKE((errno = self->error) ? -1 : 0);
}

TEST_F_TIMEOUT(nested, sregs, PVM_TEST_SECONDS)
{
	struct kvm_sregs sregs;

	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_SREGS, &sregs));
	sregs.efer |= EFER_SVME;
	ENDS_ALIKE(ioctl(self->vcpu, KVM_SET_SREGS, &sregs));
}

TEST_F_TIMEOUT(nested, sregs2, PVM_TEST_SECONDS)
{
	struct kvm_sregs2 sregs;

	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_SREGS2, &sregs));
	sregs.efer |= EFER_SVME;
	ENDS_ALIKE(ioctl(self->vcpu, KVM_SET_SREGS2, &sregs));
}

/* The result is how many MSRs were set. */
static int set_efer(int vcpu, uint64_t efer)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = MSR_EFER, .data = efer } };
	int set = ioctl(vcpu, KVM_SET_MSRS, &msrs);

	errno = set ? errno : EINVAL;
	return set == 1 ? 0 : -1;
}

TEST_F_TIMEOUT(nested, msr, PVM_TEST_SECONDS)
{
	struct kvm_sregs sregs;

	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_SREGS, &sregs));
	ENDS_ALIKE(set_efer(self->vcpu, sregs.efer | EFER_SVME));
}

struct nested_state {
	struct kvm_nested_state head;
	uint8_t vmcb[KVM_STATE_NESTED_SVM_VMCB_SIZE];
};

static void put(struct nested_state *state, unsigned int offset, uint64_t value)
{
	memcpy(state->vmcb + offset, &value, sizeof(value));
}

/* The vCPU would be in a nested guest, entered from the state that @sregs says. */
static struct nested_state in_nested_guest(const struct kvm_sregs *sregs)
{
	struct nested_state state = {
		.head.flags = KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_GIF_SET,
		.head.format = KVM_STATE_NESTED_FORMAT_SVM,
		.head.size = sizeof(state),
		.head.hdr.svm.vmcb_pa = VMCB,
	};

	put(&state, VMCB_INTERCEPT_VMRUN, 1);
	put(&state, VMCB_ASID, 1);
	put(&state, VMCB_EFER, sregs->efer | EFER_SVME);
	put(&state, VMCB_CR4, sregs->cr4);
	put(&state, VMCB_CR3, sregs->cr3);
	put(&state, VMCB_CR0, sregs->cr0);
	put(&state, VMCB_RFLAGS, 2);
	return state;
}

/* As a migrated vCPU is put back where it was: its registers, then that it is in a nested guest. */
TEST_F_TIMEOUT(nested, state, PVM_TEST_SECONDS)
{
	struct nested_state state;
	struct kvm_sregs sregs;

	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_SREGS, &sregs));
	state = in_nested_guest(&sregs);
	sregs.efer |= EFER_SVME;
	ASSERT_EQ(self->error ? -1 : 0, ioctl(self->vcpu, KVM_SET_SREGS, &sregs));
	ENDS_ALIKE(ioctl(self->vcpu, KVM_SET_NESTED_STATE, &state));

	memset(&state, 0, sizeof(state));
	state.head.size = sizeof(state);
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_NESTED_STATE, &state));
	EXPECT_EQ(self->error ? 0 : KVM_STATE_NESTED_GUEST_MODE,
		  state.head.flags & KVM_STATE_NESTED_GUEST_MODE);
}

/* What is not SVM's state, or of a guest with SVM off but in no state that this has. */
TEST_F_TIMEOUT(nested, other_states, PVM_TEST_SECONDS)
{
	struct nested_state state;
	struct kvm_sregs sregs;

	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_SREGS, &sregs));
	for (uint16_t flags = 0; flags < 4; flags++) {
		state = in_nested_guest(&sregs);
		state.head.format = KVM_STATE_NESTED_FORMAT_VMX;
		state.head.flags = flags;
		EXPECT_EQ(-1, ioctl(self->vcpu, KVM_SET_NESTED_STATE, &state));
		EXPECT_EQ(EINVAL, errno);
		state.head.format = KVM_STATE_NESTED_FORMAT_SVM;
		EXPECT_EQ(-1, ioctl(self->vcpu, KVM_SET_NESTED_STATE, &state));
		EXPECT_EQ(EINVAL, errno);
	}
	/* The one that each vCPU has: a VMM may set it in any VM. */
	state.head.flags = KVM_STATE_NESTED_GIF_SET;
	EXPECT_EQ(0, ioctl(self->vcpu, KVM_SET_NESTED_STATE, &state));
}

TEST_HARNESS_MAIN
