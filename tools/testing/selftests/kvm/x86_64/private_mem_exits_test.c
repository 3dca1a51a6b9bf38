// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_EXIT_MEMORY_FAULT: when a private page cannot be given to the guest, KVM_RUN fails with an error
 * that says why, and the exit says which page. Once the reason is gone, the guest goes on where it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE	(4 * PVM_MIB)
#define NOBODY	65534

#define HARD_OFFLINE	"/sys/devices/system/memory/hard_offline_page"

FIXTURE(exits) {
	struct pvm vm;
	int fd;
	void *hva;
};

FIXTURE_SETUP(exits)
{
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->fd = pvm_create_file(&self->vm, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, self->fd);
	self->hva = pvm_map(SIZE);
	ASSERT_NE(NULL, self->hva);
}

FIXTURE_TEARDOWN(exits)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

static int add_slot(FIXTURE_DATA(exits) *self, int fd)
{
	return pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, fd, 0);
}

/* The command has ended with @error, for the private page of @gpa. */
#define ENDED_WITH(error, command, page) do {						\
	ASSERT_EQ(-(error), command);							\
	EXPECT_TRUE(pvm_is_memory_fault(&self->vm, 0, (page), true)) {			\
		struct kvm_run *run_ = self->vm.vcpu[0].run;				\
											\
		TH_LOG("exit %u flags %#llx gpa %#llx size %#llx", run_->exit_reason,	\
		       run_->memory_fault.flags, run_->memory_fault.gpa,		\
		       run_->memory_fault.size);					\
	}										\
} while (0)

/* Whatever the access is, the page is named, not the address. */
TEST_F_TIMEOUT(exits, slot_without_file, PVM_TEST_SECONDS)
{
	struct pvm_cmd call = { .op = PVM_CALL, .addr = PVM_DATA + 3 * PVM_PAGE };
	uint64_t value;

	ASSERT_EQ(0, add_slot(self, -1));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ENDED_WITH(EFAULT, pvm_read(&self->vm, PVM_DATA + 0x123, &value), PVM_DATA);
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	ENDED_WITH(EFAULT, pvm_write(&self->vm, PVM_DATA + PVM_PAGE + 8, 1), PVM_DATA + PVM_PAGE);
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	ENDED_WITH(EFAULT, pvm_command(&self->vm, 0, &call), PVM_DATA + 3 * PVM_PAGE);
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
}

/*
 * A slot without a file does not know which of its frames are private: what KVM maps beside the frame
 * that was asked for (the older MMU does) must not be a private one, and what the VMM takes away must
 * be gone for the guest, whatever the state of the frames.
 */
TEST_F_TIMEOUT(exits, checkered_slot_without_file, PVM_TEST_SECONDS)
{
	uint64_t *page[8], value;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		page[i] = self->hva + i * PVM_PAGE;
		*page[i] = 100 + i;
	}
	ASSERT_EQ(0, add_slot(self, -1));
	for (i = 1; i < 8; i += 2)
		ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA + i * PVM_PAGE, PVM_PAGE, true));
	for (i = 0; i < 8; i += 2) {
		ASSERT_EQ(0, pvm_read(&self->vm, PVM_DATA + i * PVM_PAGE, &value));
		EXPECT_EQ(100 + i, value);
	}
	for (i = 1; i < 8; i += 2) {
		ENDED_WITH(EFAULT, pvm_read(&self->vm, PVM_DATA + i * PVM_PAGE, &value),
			   PVM_DATA + i * PVM_PAGE);
		ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	}
	ASSERT_EQ(0, madvise(self->hva, 8 * PVM_PAGE, MADV_DONTNEED));
	for (i = 0; i < 8; i += 2) {
		ASSERT_EQ(0, pvm_read(&self->vm, PVM_DATA + i * PVM_PAGE, &value));
		EXPECT_EQ(0, value);
	}
}

/*
 * A page that belongs to no slot is a device's while it is shared. Private, it is no device's, nor if
 * KVM has noted down that it was one.
 */
TEST_F_TIMEOUT(exits, no_slot, PVM_TEST_SECONDS)
{
	uint64_t value;

	ASSERT_EQ(KVM_EXIT_MMIO, pvm_read(&self->vm, PVM_DATA, &value));
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA + PVM_PAGE, PVM_PAGE, true));
	ENDED_WITH(EFAULT, pvm_read(&self->vm, PVM_DATA + PVM_PAGE, &value), PVM_DATA + PVM_PAGE);
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	ASSERT_EQ(KVM_EXIT_MMIO, pvm_read(&self->vm, PVM_DATA + 2 * PVM_PAGE, &value));
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, true));
	ENDED_WITH(EFAULT, pvm_read(&self->vm, PVM_DATA, &value), PVM_DATA);
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, false));
	ASSERT_EQ(KVM_EXIT_MMIO, pvm_read(&self->vm, PVM_DATA, &value));
}

TEST_F_TIMEOUT(exits, deleted_slot, PVM_TEST_SECONDS)
{
	uint64_t value = 0;

	ASSERT_EQ(0, add_slot(self, self->fd));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_write(&self->vm, PVM_DATA, 0x5a5a));
	ASSERT_EQ(0, pvm_delete_slot(&self->vm, PVM_SLOT));
	ENDED_WITH(EFAULT, pvm_read(&self->vm, PVM_DATA, &value), PVM_DATA);
	/* The same instruction, when the slot is back. */
	ASSERT_EQ(0, add_slot(self, self->fd));
	ASSERT_EQ(0, pvm_resume(&self->vm, 0));
	EXPECT_EQ(0x5a5a, self->vm.vcpu[0].cmd->result);
}

/* The VMM may also decide that the page is to be shared. */
TEST_F_TIMEOUT(exits, shared_instead, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, add_slot(self, -1));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ENDED_WITH(EFAULT, pvm_write(&self->vm, PVM_DATA, 77), PVM_DATA);
	/* Nothing has changed: the same again, as often as it is asked for. */
	ENDED_WITH(EFAULT, pvm_resume(&self->vm, 0), PVM_DATA);
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, false));
	ASSERT_EQ(0, pvm_resume(&self->vm, 0));
	EXPECT_EQ(77, *(uint64_t *)self->hva);
}

TEST_F_TIMEOUT(exits, memory_error, PVM_TEST_SECONDS)
{
	unsigned long pfns[16] = { 0 };
	struct rmem_trace trace = { 0 };
	uint64_t value = 1;
	char text[32];

	ASSERT_EQ(0, add_slot(self, self->fd));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, rmem_trace_start(&trace));
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, 16 * PVM_PAGE, 1, 1));
	ASSERT_EQ(16, rmem_trace_pfns(&trace, pfns, 16));
	rmem_trace_stop(&trace);
	snprintf(text, sizeof(text), "%#lx", pfns[5] * PVM_PAGE);
	ASSERT_EQ(0, rmem_write(HARD_OFFLINE, text));

	ENDED_WITH(EHWPOISON, pvm_read(&self->vm, PVM_DATA + 5 * PVM_PAGE, &value),
		   PVM_DATA + 5 * PVM_PAGE);
	ENDED_WITH(EHWPOISON, pvm_resume(&self->vm, 0), PVM_DATA + 5 * PVM_PAGE);
	EXPECT_EQ(15, pvm_file_pages(self->fd));
	/* Its neighbours are as they were; the page itself is lost until it is given back. */
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, 5 * PVM_PAGE, 1, 1));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA + 6 * PVM_PAGE, 10 * PVM_PAGE, 1, 1));
	ASSERT_EQ(0, pvm_punch(self->fd, 5 * PVM_PAGE, PVM_PAGE));
	ASSERT_EQ(0, pvm_read(&self->vm, PVM_DATA + 5 * PVM_PAGE, &value));
	EXPECT_EQ(0, value);
}

/* Without CAP_IPC_LOCK the limit holds, page by page; the VM itself may be larger. */
TEST_F_TIMEOUT(exits, mlock_limit, PVM_TEST_SECONDS)
{
	struct pvm_cmd fill = { .op = PVM_FILL, .addr = PVM_DATA, .len = SIZE, .mul = 1,
				.step = PVM_PAGE };
	struct rlimit limit;
	int fd;

	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_LE(SIZE, limit.rlim_max);
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	fd = pvm_create_file(&self->vm, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, fd);
	limit.rlim_cur = 16 * PVM_PAGE;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, add_slot(self, fd));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));

	ENDED_WITH(EDQUOT, pvm_command(&self->vm, 0, &fill), PVM_DATA + 16 * PVM_PAGE);
	EXPECT_EQ(16, pvm_file_pages(fd));
	ENDED_WITH(EDQUOT, pvm_resume(&self->vm, 0), PVM_DATA + 16 * PVM_PAGE);
	/* A page that is given back is one that may be had. */
	ASSERT_EQ(0, pvm_punch(fd, 0, PVM_PAGE));
	ENDED_WITH(EDQUOT, pvm_resume(&self->vm, 0), PVM_DATA + 17 * PVM_PAGE);
	limit.rlim_cur = SIZE;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, pvm_resume(&self->vm, 0));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA + PVM_PAGE, SIZE - PVM_PAGE, 0, 1));
	close(fd);
}

/* The reason of an exit is that of this KVM_RUN, even if it fails for another one than the last did. */
TEST_F_TIMEOUT(exits, no_stale_reason, PVM_TEST_SECONDS)
{
	void *gone = pvm_map(SIZE);
	uint64_t value;

	ASSERT_NE(NULL, gone);
	ASSERT_EQ(0, add_slot(self, -1));
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT + 1, PVM_DATA + SIZE, SIZE, gone, -1, 0));
	ASSERT_EQ(0, munmap(gone, SIZE));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ENDED_WITH(EFAULT, pvm_read(&self->vm, PVM_DATA, &value), PVM_DATA);
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	/* A shared page whose mapping the VMM has lost: an error without a reason. */
	ASSERT_EQ(-EFAULT, pvm_read(&self->vm, PVM_DATA + SIZE, &value));
	EXPECT_EQ(KVM_EXIT_UNKNOWN, self->vm.vcpu[0].run->exit_reason);
}

TEST_HARNESS_MAIN
