// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: guest memory is mapped before the guest touches it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"

#define SIZE	(4 * PVM_MIB)
#define PAGES	(SIZE / PVM_PAGE)

FIXTURE(prefault) {
	struct pvm vm;
	int fd;
	void *hva;
	/* Without nested page tables there is nothing to map a guest address in. */
	bool possible;
};

FIXTURE_SETUP(prefault)
{
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->hva = pvm_add_data(&self->vm, PVM_RESTRICTED, SIZE, &self->fd);
	ASSERT_NE(NULL, self->hva);
	self->possible = !pvm_shadow_paging();
}

FIXTURE_TEARDOWN(prefault)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

static int prefault(struct pvm *vm, struct kvm_pre_fault_memory *range)
{
	return ioctl(vm->vcpu[0].fd, KVM_PRE_FAULT_MEMORY, range) ? -errno : 0;
}

/* Let the guest reach the address and nothing more, so that its own tables and code are mapped. */
static int64_t faults_of_touching(struct pvm *vm, uint64_t gpa, uint64_t size)
{
	int64_t before = pvm_stat(vm, 0, "pf_taken");

	if (before < 0 || pvm_check_pages(vm, gpa, size, 0, 0))
		return -EIO;
	return pvm_stat(vm, 0, "pf_taken") - before;
}

TEST_F_TIMEOUT(prefault, refused_without_nested_page_tables, PVM_TEST_SECONDS)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA, .size = SIZE };

	EXPECT_EQ(self->possible ? 0 : -EOPNOTSUPP, prefault(&self->vm, &range));
	EXPECT_EQ(self->possible ? PAGES : 0, pvm_resident(self->hva, SIZE));
}

TEST_F_TIMEOUT(prefault, private, PVM_TEST_SECONDS)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA, .size = SIZE };

	if (!self->possible)
		return;
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, prefault(&self->vm, &range));
	EXPECT_EQ(PVM_DATA + SIZE, range.gpa);
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(PAGES, pvm_file_pages(self->fd));
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
	/* Once to get the guest going, then each page without a fault. */
	ASSERT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, PVM_PAGE, 0, 0));
	EXPECT_EQ(0, faults_of_touching(&self->vm, PVM_DATA, SIZE));
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE, 1, 1));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE, 1, 1));
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
}

TEST_F_TIMEOUT(prefault, shared, PVM_TEST_SECONDS)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA, .size = SIZE };

	if (!self->possible)
		return;
	ASSERT_EQ(0, prefault(&self->vm, &range));
	EXPECT_EQ(PVM_DATA + SIZE, range.gpa);
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(0, pvm_file_pages(self->fd));
	EXPECT_EQ(PAGES, pvm_resident(self->hva, SIZE));
	ASSERT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, PVM_PAGE, 0, 0));
	EXPECT_EQ(0, faults_of_touching(&self->vm, PVM_DATA, SIZE));
}

/* A page more or less: each from its own half. */
TEST_F_TIMEOUT(prefault, mixed, PVM_TEST_SECONDS)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA + PVM_MIB, .size = 2 * PVM_MIB };

	if (!self->possible)
		return;
	for (uint64_t at = 0; at < SIZE; at += 2 * PVM_PAGE)
		ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA + at, PVM_PAGE, true));
	ASSERT_EQ(0, prefault(&self->vm, &range));
	EXPECT_EQ(PAGES / 4, pvm_file_pages(self->fd));
	EXPECT_EQ(PAGES / 4, pvm_resident(self->hva, SIZE));
	EXPECT_EQ(PAGES / 4, pvm_resident(self->hva + PVM_MIB, 2 * PVM_MIB));
}

TEST_F_TIMEOUT(prefault, arguments, PVM_TEST_SECONDS)
{
	const struct kvm_pre_fault_memory bad[] = {
		{ .gpa = PVM_DATA, .size = 0 },
		{ .gpa = PVM_DATA, .size = 1 },
		{ .gpa = PVM_DATA, .size = PVM_PAGE + 1 },
		{ .gpa = PVM_DATA + 1, .size = PVM_PAGE },
		{ .gpa = -PVM_PAGE, .size = PVM_PAGE },
		{ .gpa = PVM_PAGE, .size = -PVM_PAGE },
		{ .gpa = PVM_DATA, .size = PVM_PAGE, .flags = 1 },
		{ .gpa = PVM_DATA, .size = PVM_PAGE, .flags = 1ull << 63 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct kvm_pre_fault_memory range = bad[i];

		EXPECT_EQ(-EINVAL, prefault(&self->vm, &range)) {
			TH_LOG("gpa %#llx size %#llx", bad[i].gpa, bad[i].size);
		}
	}
	EXPECT_EQ(-EFAULT, prefault(&self->vm, NULL));
}

TEST_F_TIMEOUT(prefault, no_slot, PVM_TEST_SECONDS)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_MMIO, .size = PVM_PAGE };
	uint32_t reason;

	if (!self->possible)
		return;
	/* An exit to compare with: the ioctl leaves the exit of KVM_RUN alone. */
	ASSERT_EQ(0, pvm_check_pages(&self->vm, 0, PVM_PAGE, 0, 0));
	reason = self->vm.vcpu[0].run->exit_reason;
	EXPECT_EQ(-ENOENT, prefault(&self->vm, &range));
	EXPECT_EQ(PVM_MMIO, range.gpa);
	EXPECT_EQ(PVM_PAGE, range.size);
	EXPECT_EQ(reason, self->vm.vcpu[0].run->exit_reason);
	/* Up to the end of the slot it is done. */
	range = (struct kvm_pre_fault_memory){ .gpa = PVM_DATA + SIZE - 3 * PVM_PAGE,
					       .size = 5 * PVM_PAGE };
	EXPECT_EQ(0, prefault(&self->vm, &range));
	EXPECT_EQ(PVM_DATA + SIZE, range.gpa);
	EXPECT_EQ(2 * PVM_PAGE, range.size);
	EXPECT_EQ(3, pvm_resident(self->hva, SIZE));
}

/* A private page without a file: an error of the call, and not an exit of the guest. */
TEST_F_TIMEOUT(prefault, no_file, PVM_TEST_SECONDS)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA, .size = SIZE };
	uint32_t reason;

	if (!self->possible)
		return;
	ASSERT_EQ(0, pvm_delete_slot(&self->vm, PVM_SLOT));
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, -1, 0));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_check_pages(&self->vm, 0, PVM_PAGE, 0, 0));
	reason = self->vm.vcpu[0].run->exit_reason;
	EXPECT_EQ(-EFAULT, prefault(&self->vm, &range));
	EXPECT_EQ(SIZE, range.size);
	EXPECT_EQ(reason, self->vm.vcpu[0].run->exit_reason);
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
}

static void on_signal(int signal)
{
	(void)signal;
}

static void *interrupt(void *data)
{
	pthread_t target = *(pthread_t *)data;

	for (int i = 0; i < 200; i++) {
		usleep(2000);
		pthread_kill(target, SIGUSR1);
	}
	return NULL;
}

/* A signal ends the call; what is done is told, and the rest can be asked for. */
TEST_F_TIMEOUT(prefault, signals, PVM_TEST_SECONDS)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA, .size = SIZE };
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t self_thread = pthread_self(), thread;
	uint64_t left = SIZE;
	int calls = 0, ret;

	if (!self->possible)
		return;
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pthread_create(&thread, NULL, interrupt, &self_thread));
	do {
		ret = prefault(&self->vm, &range);
		calls++;
		ASSERT_TRUE(ret == 0 || (ret == -EINTR && range.size == left));
		ASSERT_LE(range.size, left);
		ASSERT_EQ(PVM_DATA + SIZE, range.gpa + range.size);
		left = range.size;
	} while (left);
	pthread_join(thread, NULL);
	TH_LOG("%d calls", calls);
	EXPECT_EQ(PAGES, pvm_file_pages(self->fd));
	EXPECT_EQ(0, pvm_check(&self->vm, PVM_DATA, SIZE, 0, 0));
}

TEST_HARNESS_MAIN
