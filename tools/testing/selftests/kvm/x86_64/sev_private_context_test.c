// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two VMs and one encryption context, on private memory: mirrors
 * (KVM_CAP_VM_COPY_ENC_CONTEXT_FROM) and moves (KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM). Both VMs bind
 * the same file; whether a frame is private is said to each of them. Only VMs of the same type
 * share or inherit a context.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define PAGE	SEV_PAGE_SIZE
#define COPY	KVM_CAP_VM_COPY_ENC_CONTEXT_FROM
#define MOVE	KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM

FIXTURE(context) {
	struct sev_vm vm, other;
	struct sev_holdings before;
};

FIXTURE_VARIANT(context) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(context, ordinary) {
	.memory = SEV_MEMORY_DEFAULT,
};

FIXTURE_VARIANT_ADD(context, pinned) {
	.memory = SEV_MEMORY_PINNED,
};

FIXTURE_VARIANT_ADD(context, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_SETUP(context)
{
	struct sev_vm_config cfg = { .sev = true, .memory = variant->memory, .program = SEV_GUEST_COUNT,
				     .args = { SEV_GUEST_DATA } };

	SKIP_IF(sev_type_unavailable());
	self->before = sev_holdings_now();
	OK_VM(&self->vm, sev_vm_boot(&self->vm, &cfg));
}

FIXTURE_TEARDOWN(context)
{
	if (self->other.vcpus[0].vm)
		sev_vm_destroy(&self->other);
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

#define OK(call)	OK_VM(&self->vm, call)
#define OK_OTHER(call)	OK_VM(&self->other, call)
#define PRIVATE		sev_vm_is_private(&self->vm)

/* The guest's program adds one to what is there. */
#define COUNTS(vm_, n) do {						\
	struct sev_vcpu *v_ = &(vm_)->vcpus[0];				\
									\
	RUN_VCPU(v_, DONE);						\
	ASSERT_EQ(1, v_->nr_values);					\
	EXPECT_EQ(n, v_->values[0]);					\
} while (0)

static uint64_t number_in_guest(struct sev_vm *vm)
{
	uint64_t word[2] __aligned(16) = { -1 };

	return sev_vm_peek(vm, SEV_GUEST_DATA, word, sizeof(word)) ? -1ull : word[0];
}

TEST_F_TIMEOUT(context, mirror, SEV_TEST_SECONDS)
{
	COUNTS(&self->vm, 1);
	OK_OTHER(sev_vm_create_mirror(&self->other, &self->vm));
	OK_OTHER(sev_vm_add_vcpus(&self->other));
	COUNTS(&self->other, 2);
	EXPECT_EQ(2, number_in_guest(&self->other));
	EXPECT_EQ(2, number_in_guest(&self->vm));
	EXPECT_EQ(self->before.guests + 1, sev_holdings_now().guests);
	if (PRIVATE) {
		EXPECT_EQ((long)self->vm.cfg.pages, pvm_file_pages(self->vm.file));
		EXPECT_EQ(-EINVAL, sev_vm_register_memory(&self->other));
	}
}

/* The owner goes first, and the mirror keeps what it needs of it. */
TEST_F_TIMEOUT(context, mirror_outlives_owner, SEV_TEST_SECONDS)
{
	OK_OTHER(sev_vm_create_mirror(&self->other, &self->vm));
	OK_OTHER(sev_vm_add_vcpus(&self->other));
	close(self->vm.vcpus[0].fd);
	close(self->vm.fd);
	self->vm.vcpus[0].fd = -1;
	self->vm.fd = -1;
	COUNTS(&self->other, 1);
	EXPECT_EQ(self->before.guests + 1, sev_holdings_now().guests);
}

/* A punch takes the page from both. */
TEST_F_TIMEOUT(context, punch_reaches_the_mirror, SEV_TEST_SECONDS)
{
	struct sev_vcpu *vcpu = &self->other.vcpus[0];

	if (!PRIVATE)
		return;
	OK_OTHER(sev_vm_create_mirror(&self->other, &self->vm));
	OK_OTHER(sev_vm_add_vcpus(&self->other));
	COUNTS(&self->other, 1);
	COUNTS(&self->vm, 2);
	ASSERT_EQ(0, pvm_punch(self->vm.file, 0, self->vm.cfg.pages * PAGE));
	EXPECT_EQ(0, pvm_file_pages(self->vm.file));
	/* Code and page tables are gone with the pages that both had mapped. */
	EXPECT_NE(SEV_EVENT_DONE, sev_vcpu_run(vcpu, SEV_RUN_DEADLINE_MS));
	EXPECT_NE(SEV_EVENT_DONE, sev_vcpu_run(&self->vm.vcpus[0], SEV_RUN_DEADLINE_MS));
}

static void flush_lines(const uint8_t *mem, size_t size)
{
	for (size_t i = 0; i < size; i += 64)
		asm volatile("clflush %0" : : "m"(mem[i]) : "memory");
}

/* What is private in one is not so in the other until it is said. */
TEST_F_TIMEOUT(context, mirror_has_its_own_attributes, SEV_TEST_SECONDS)
{
	struct sev_vm *other = &self->other;

	if (!PRIVATE)
		return;
	COUNTS(&self->vm, 1);
	OK_OTHER(sev_vm_create_mirror(other, &self->vm));
	OK_OTHER(sev_vm_set_private(other, SEV_GUEST_DATA, PAGE, false));
	OK_OTHER(sev_vm_add_vcpus(other));
	*(uint64_t *)(self->vm.mem + SEV_GUEST_DATA) = 99;
	/*
	 * The mirror writes the VMM's page by its C=1 mapping; what it reads there is its own
	 * affair. A host's line over it is not: the emulated machine would report that, rightly.
	 */
	flush_lines(self->vm.mem + SEV_GUEST_DATA, PAGE);
	RUN_VCPU(&other->vcpus[0], DONE);
	EXPECT_EQ(1, number_in_guest(&self->vm));
	EXPECT_EQ((long)self->vm.cfg.pages, pvm_file_pages(self->vm.file));
}

TEST_F_TIMEOUT(context, move, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm, *heir = &self->other;

	COUNTS(vm, 1);
	OK_OTHER(sev_vm_create_heir(heir, vm, sev_vm_type(vm)));
	OK_OTHER(sev_vm_add_memory(heir));
	OK_OTHER(sev_vm_enable_cap(heir, MOVE, vm->fd));
	OK_OTHER(sev_vm_add_vcpus(heir));
	EXPECT_EQ(self->before.guests + 1, sev_holdings_now().guests);
	/* The source is dead, and cannot touch what it gave away. */
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(SEV_EVENT_ERROR, sev_vcpu_run(&vm->vcpus[0], SEV_RUN_DEADLINE_MS));
	COUNTS(heir, 2);
	if (!PRIVATE)
		return;
	EXPECT_EQ((long)vm->cfg.pages, pvm_file_pages(vm->file));
	/* It punches what the source's guest wrote. */
	ASSERT_EQ(0, pvm_punch(vm->file, SEV_GUEST_DATA, PAGE));
	EXPECT_EQ((long)vm->cfg.pages - 1, pvm_file_pages(vm->file));
}

/* First the source's end, then the target's: the context ends with the latter. */
TEST_F_TIMEOUT(context, move_and_source_gone, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm, *heir = &self->other;

	OK_OTHER(sev_vm_create_heir(heir, vm, sev_vm_type(vm)));
	OK_OTHER(sev_vm_enable_cap(heir, MOVE, vm->fd));
	close(vm->vcpus[0].fd);
	close(vm->fd);
	vm->vcpus[0].fd = -1;
	vm->fd = -1;
	OK_OTHER(sev_vm_add_memory(heir));
	OK_OTHER(sev_vm_add_vcpus(heir));
	COUNTS(heir, 1);
	EXPECT_EQ(self->before.guests + 1, sev_holdings_now().guests);
	if (PRIVATE)
		EXPECT_EQ((long)vm->cfg.pages, pvm_file_pages(vm->file));
}

/* The VMM's mapping holds another number at the guest's data, and a launch command comes too late for it. */
static int update_too_late(struct sev_vm *vm)
{
	*(uint64_t *)(vm->mem + SEV_GUEST_DATA) = 99;
	return sev_launch_update(vm, vm->mem + SEV_GUEST_DATA, PAGE);
}

/*
 * A guest that runs is nobody's to write: the firmware refuses, and by then nothing may have happened
 * to the private page. The heir of a context knows as well that it has been launched; its command does
 * not reach the firmware, because a move leaves the source's descriptor of /dev/sev behind.
 */
TEST_F_TIMEOUT(context, no_update_once_launched, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm, *heir = &self->other;

	COUNTS(vm, 1);
	/* Without private memory the VMM's mapping is the guest's memory. */
	if (!PRIVATE)
		return;
	REFUSED_VM(vm, SEV_RET_INVALID_GUEST_STATE, update_too_late(vm));
	EXPECT_EQ(1, number_in_guest(vm));
	OK_OTHER(sev_vm_create_heir(heir, vm, sev_vm_type(vm)));
	OK_OTHER(sev_vm_enable_cap(heir, MOVE, vm->fd));
	OK_OTHER(sev_vm_add_memory(heir));
	OK_OTHER(sev_vm_add_vcpus(heir));
	EXPECT_GT(0, update_too_late(heir));
	COUNTS(heir, 2);
}

/* A context is for VMs of the type that it was made for; nothing happens to either VM. */
TEST_F_TIMEOUT(context, other_types_are_refused, SEV_TEST_SECONDS)
{
	static const unsigned long types[] = {
		KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM, KVM_X86_SEV_VM,
	};
	const struct kvm_sev_init init = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct sev_vm heir;

		if (types[i] == sev_vm_type(&self->vm))
			continue;
		OK_VM(&heir, sev_vm_create_heir(&heir, &self->vm, types[i]));
		EXPECT_EQ(-EINVAL, sev_vm_enable_cap(&heir, COPY, self->vm.fd));
		EXPECT_EQ(-EINVAL, sev_vm_enable_cap(&heir, MOVE, self->vm.fd));
		/* It is no SEV VM, and can become one yet, by itself. */
		EXPECT_EQ(-ENOTTY, sev_launch_start(&heir, 0, 0));
		if (types[i] == KVM_X86_SEV_VM)
			EXPECT_EQ(0, sev_init2(&heir, &init));
		if (types[i] == KVM_X86_DEFAULT_VM)
			EXPECT_EQ(0, sev_init(&heir));
		sev_vm_destroy(&heir);
	}
	COUNTS(&self->vm, 1);
}

TEST_F_TIMEOUT(context, targets_that_cannot, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = self->vm.cfg;
	struct sev_vm *other = &self->other;

	/* The VM itself; one that is a SEV VM; a file that is no VM. */
	EXPECT_EQ(-EINVAL, sev_vm_enable_cap(&self->vm, COPY, self->vm.fd));
	EXPECT_EQ(-EINVAL, sev_vm_enable_cap(&self->vm, MOVE, self->vm.fd));
	OK_OTHER(sev_vm_create(other, &cfg));
	EXPECT_EQ(-EINVAL, sev_vm_enable_cap(other, COPY, self->vm.fd));
	EXPECT_EQ(-EINVAL, sev_vm_enable_cap(other, MOVE, self->vm.fd));
	EXPECT_EQ(-EBADF, sev_vm_enable_cap(other, COPY, other->kvm_fd));
	EXPECT_EQ(-EBADF, sev_vm_enable_cap(other, MOVE, other->sev_fd));
	sev_vm_destroy(other);
	/* For a mirror it is too late when it has vCPUs. */
	OK_OTHER(sev_vm_create_heir(other, &self->vm, sev_vm_type(&self->vm)));
	other->vcpus[0].fd = ioctl(other->fd, KVM_CREATE_VCPU, 0);
	ASSERT_LE(0, other->vcpus[0].fd);
	EXPECT_EQ(-EINVAL, sev_vm_enable_cap(other, COPY, self->vm.fd));
	COUNTS(&self->vm, 1);
}

/*
 * A file of KVM_CREATE_GUEST_MEMFD belongs to the VM that made it, and follows the context that
 * it moves.
 */
TEST_F_TIMEOUT(context, file_of_one_vm, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = self->vm.cfg;
	struct sev_vm owner, *other = &self->other;

	if (!PRIVATE)
		return;
	cfg.memory = SEV_MEMORY_GUEST_MEMFD;
	OK_VM(&owner, sev_vm_boot(&owner, &cfg));
	COUNTS(&owner, 1);
	EXPECT_EQ(-EINVAL, sev_vm_create_mirror(other, &owner));
	sev_vm_destroy(other);
	OK_OTHER(sev_vm_create_heir(other, &owner, KVM_X86_SEV_VM));
	EXPECT_EQ(-EINVAL, sev_vm_add_memory(other));
	OK_OTHER(sev_vm_enable_cap(other, MOVE, owner.fd));
	OK_OTHER(sev_vm_add_memory(other));
	OK_OTHER(sev_vm_add_vcpus(other));
	COUNTS(other, 2);
	sev_vm_destroy(other);
	sev_vm_destroy(&owner);
}

TEST_HARNESS_MAIN
