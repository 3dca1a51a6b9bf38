// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory at the limit of a memory cgroup: what a guest can make KVM allocate is charged to the
 * task that runs it, fails with ENOMEM, and never calls the OOM killer.
 *
 * While there is no memory left, the tests do nothing that could need any: for their own needs, the OOM
 * killer would come.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define CGROUP		"/sys/fs/cgroup"
#define CGROUP_OWN	CGROUP "/private_mem_cgroup_test"

/* What one page table maps, and how many of them the guest needs. */
#define TABLE_SIZE	(2 * PVM_MIB)
#define TABLES		64
#define SIZE		(TABLES * TABLE_SIZE)
/* Frames that share a page of the map when they are mixed: KVM_PRIVATE_CHUNK_SHIFT. */
#define CHUNK_SIZE	(128 * PVM_MIB)
/* More than what a charge may take ahead, 64 pages on each CPU. */
#define CHUNKS		1024

FIXTURE(cgroup) {
	struct pvm vm;
	int fd;
	void *hva;
	/* memory.max of a cgroup that this process is in alone, and what is written there, in bytes. */
	int max;
	long limit;
};

FIXTURE_SETUP(cgroup)
{
	int ret;

	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->hva = pvm_add_data(&self->vm, PVM_RESTRICTED, SIZE, &self->fd);
	ASSERT_NE(NULL, self->hva);
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, rmem_write(CGROUP "/cgroup.subtree_control", "+memory"));
	ret = mkdir(CGROUP_OWN, 0755);
	ASSERT_TRUE(!ret || errno == EEXIST);
	ASSERT_EQ(0, rmem_write(CGROUP_OWN "/memory.max", "max"));
	ASSERT_EQ(0, rmem_write(CGROUP_OWN "/cgroup.procs", "0"));
	self->max = open(CGROUP_OWN "/memory.max", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, self->max);
}

FIXTURE_TEARDOWN(cgroup)
{
	EXPECT_EQ(0, rmem_value(CGROUP_OWN "/memory.events", "oom_kill"));
	EXPECT_EQ(0, rmem_write(CGROUP "/cgroup.procs", "0"));
	close(self->max);
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
	/* What is freed later stays charged there. */
	rmdir(CGROUP_OWN);
}

static bool set_limit(FIXTURE_DATA(cgroup) *self, long limit)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%ld", limit);

	self->limit = limit;
	return write(self->max, text, n) == n;
}

/* @more bytes than what is charged now. */
static bool limit_to(FIXTURE_DATA(cgroup) *self, long more)
{
	long current = rmem_value(CGROUP_OWN "/memory.current", NULL);

	return current > 0 && set_limit(self, current + more);
}

static bool no_limit(FIXTURE_DATA(cgroup) *self)
{
	return write(self->max, "max", 3) == 3;
}

/* The page that lacks is named, and the guest goes on there. */
TEST_F_TIMEOUT(cgroup, pages, PVM_TEST_SECONDS)
{
	const uint64_t size = 4 * PVM_MIB;
	struct pvm_cmd fill = { .op = PVM_FILL, .addr = PVM_DATA, .len = size, .mul = 1,
				.step = PVM_PAGE };
	struct pvm_vcpu *vcpu = &self->vm.vcpu[0];
	uint32_t reason;
	int refused;
	long pages;

	/* KVM's own tables are there before memory gets scarce. */
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, size, false));
	for (uint64_t at = 0; at < size; at += TABLE_SIZE)
		ASSERT_EQ(0, pvm_write(&self->vm, PVM_DATA + at, PVM_DATA + at));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, size, true));
	ASSERT_TRUE(limit_to(self, size / 4));

	refused = pvm_command(&self->vm, 0, &fill);
	reason = vcpu->run->exit_reason;
	ASSERT_TRUE(no_limit(self));
	EXPECT_EQ(-ENOMEM, refused);
	EXPECT_EQ(KVM_EXIT_MEMORY_FAULT, reason);
	pages = pvm_file_pages(self->fd);
	/* In its order. */
	EXPECT_TRUE(pvm_is_memory_fault(&self->vm, 0, PVM_DATA + pages * PVM_PAGE, true));
	EXPECT_LT(0, pages);
	EXPECT_GT(size / PVM_PAGE, pages);

	ASSERT_EQ(0, pvm_resume(&self->vm, 0));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, size, 0, 1));
	EXPECT_EQ(size / PVM_PAGE, pvm_file_pages(self->fd));
	EXPECT_LE((long)size, rmem_value(CGROUP_OWN "/memory.current", NULL));
}

/*
 * A guest that needs a page table for each of its pages, and room for one page more each time that it
 * stops: sometimes it is a page of its own that lacks, sometimes one of KVM's. The latter is an error
 * without an exit, and nothing is lost either.
 */
TEST_F_TIMEOUT(cgroup, page_tables, PVM_TEST_SECONDS)
{
	struct pvm_cmd touch = { .op = PVM_FILL, .addr = PVM_DATA, .len = SIZE, .mul = 1,
				 .step = TABLE_SIZE };
	struct pvm_cmd check = touch;
	unsigned int stops[2] = { 0 }, others = 0;
	int ret;

	check.op = PVM_CHECK;
	ASSERT_TRUE(limit_to(self, 16 * PVM_PAGE));
	ret = pvm_command(&self->vm, 0, &touch);
	for (int i = 0; i < 16 * TABLES && ret == -ENOMEM; i++) {
		uint32_t reason = self->vm.vcpu[0].run->exit_reason;

		if (reason == KVM_EXIT_MEMORY_FAULT || reason == KVM_EXIT_UNKNOWN)
			stops[reason == KVM_EXIT_MEMORY_FAULT]++;
		else
			others++;
		if (!set_limit(self, self->limit + PVM_PAGE))
			break;
		ret = pvm_resume(&self->vm, 0);
	}
	ASSERT_TRUE(no_limit(self));
	ASSERT_EQ(0, ret);
	EXPECT_LT(0, stops[0]) {
		TH_LOG("no page table lacked");
	}
	EXPECT_LT(0, stops[1]) {
		TH_LOG("no page lacked");
	}
	EXPECT_EQ(0, others);
	EXPECT_EQ(TABLES, pvm_file_pages(self->fd));
	ASSERT_EQ(0, pvm_command(&self->vm, 0, &check));
	EXPECT_EQ(0, self->vm.vcpu[0].cmd->result);
}

/* The guest decides how mixed its memory is. That a failed change has changed nothing is KUnit's to show. */
TEST_F_TIMEOUT(cgroup, map, PVM_TEST_SECONDS)
{
	const uint64_t base = 4 * PVM_GIB;
	unsigned int mixed = 0;
	int ret = 0;

	ASSERT_TRUE(limit_to(self, 16 * PVM_PAGE));
	while (!ret && mixed < CHUNKS)
		ret = pvm_set_private(&self->vm, base + mixed++ * CHUNK_SIZE, PVM_PAGE, true);
	ASSERT_TRUE(no_limit(self));
	ASSERT_EQ(-ENOMEM, ret);
	EXPECT_LT(1, mixed);
	EXPECT_EQ(0, pvm_set_private(&self->vm, base + (mixed - 1) * CHUNK_SIZE, PVM_PAGE, true));
}

TEST_HARNESS_MAIN
