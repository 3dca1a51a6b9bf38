// SPDX-License-Identifier: GPL-2.0-only
/*
 * A private page comes from the node that the policy of the vCPU's thread says, whoever has made the file.
 * Needs a host of two nodes: numa=fake=2 on the kernel's command line makes one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE	(32 * PVM_MIB)
#define PAGES	((long)(SIZE / PVM_PAGE))
/* What the nodes' counters may be off: pages that wait in batches of the CPUs, and others' pages. */
#define SLACK	1024L
#define NODES	"/sys/devices/system/node/"

FIXTURE(numa) {
	struct pvm vm;
	int fd;
	void *hva;
	/* What the vCPU's thread does, and with which policy. */
	int (*access)(struct pvm *vm);
	unsigned long node;
	int error;
};

FIXTURE_VARIANT(numa) {
	int (*access)(struct pvm *vm);
};

static int fault(struct pvm *vm)
{
	return pvm_fill_pages(vm, PVM_DATA, SIZE, 1, 1);
}

static int prefault(struct pvm *vm)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA, .size = SIZE };

	while (range.size)
		if (ioctl(vm->vcpu[0].fd, KVM_PRE_FAULT_MEMORY, &range) && errno != EINTR)
			return -errno;
	return 0;
}

FIXTURE_VARIANT_ADD(numa, fault) {
	.access = fault,
};

FIXTURE_VARIANT_ADD(numa, prefault) {
	.access = prefault,
};

FIXTURE_SETUP(numa)
{
	RMEM_SKIP_IF(access(NODES "node1", F_OK) ? "the host has one node" : NULL);
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->hva = pvm_add_data(&self->vm, PVM_GUEST_MEMFD, SIZE, &self->fd);
	ASSERT_NE(NULL, self->hva);
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	self->access = variant->access;
}

FIXTURE_TEARDOWN(numa)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

static int set_policy(int mode, unsigned long nodes)
{
	return syscall(SYS_set_mempolicy, mode, &nodes, 8 * sizeof(nodes)) ? -errno : 0;
}

static long file_pages(int node)
{
	char path[64];

	snprintf(path, sizeof(path), NODES "node%d/vmstat", node);
	return rmem_value(path, "nr_file_pages");
}

static void *run_vcpu(void *data)
{
	FIXTURE_DATA(numa) *self = data;

	self->error = set_policy(MPOL_BIND, 1UL << self->node);
	if (!self->error)
		self->error = self->access(&self->vm);
	return NULL;
}

/* The rest of the VMM would rather have the other node. */
TEST_F_TIMEOUT(numa, policy_of_the_vcpu, PVM_TEST_SECONDS)
{
	for (self->node = 0; self->node < 2; self->node++) {
		long before = file_pages(self->node), other = file_pages(!self->node);
		pthread_t thread;

		ASSERT_LE(0, before);
		ASSERT_LE(0, other);
		ASSERT_EQ(0, set_policy(MPOL_BIND, 1UL << !self->node));
		ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, self));
		pthread_join(thread, NULL);
		ASSERT_EQ(0, self->error);
		EXPECT_EQ(PAGES, pvm_file_pages(self->fd));
		before = file_pages(self->node) - before;
		other = file_pages(!self->node) - other;
		EXPECT_LE(PAGES - SLACK, before);
		EXPECT_GE(PAGES + SLACK, before);
		EXPECT_LE(-SLACK, other);
		EXPECT_GE(SLACK, other);
		ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
	}
}

TEST_HARNESS_MAIN
