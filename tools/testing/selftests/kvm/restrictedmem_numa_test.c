// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restricted memory comes from the nodes that the policy of the allocating task says; the file has none
 * of its own. Needs a host of two nodes: numa=fake=2 on the kernel's command line makes one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

#define PAGES		8192L
/* What the nodes' counters may be off: pages that wait in batches of the CPUs, and others' pages. */
#define SLACK		1024L
#define NODES		"/sys/devices/system/node/"

FIXTURE(numa) {
	int fd;
	long before[2];
};

static long file_pages(int node)
{
	char path[64];

	snprintf(path, sizeof(path), NODES "node%d/vmstat", node);
	return rmem_value(path, "nr_file_pages");
}

FIXTURE_SETUP(numa)
{
	RMEM_SKIP_IF(access(NODES "node1", F_OK) ? "the host has one node" : NULL);
	self->fd = rmem_create_sized(PAGES);
	ASSERT_LE(0, self->fd);
	for (int node = 0; node < 2; node++) {
		self->before[node] = file_pages(node);
		ASSERT_LE(0, self->before[node]);
	}
}

FIXTURE_TEARDOWN(numa)
{
	close(self->fd);
}

static int set_policy(int mode, unsigned long nodes)
{
	return syscall(SYS_set_mempolicy, mode, &nodes, 8 * sizeof(nodes)) ? -errno : 0;
}

static long grown(FIXTURE_DATA(numa) *self, int node)
{
	return file_pages(node) - self->before[node];
}

#define ABOUT(pages, node) do {						\
	long grown_ = grown(self, node);				\
									\
	EXPECT_LE((pages) - SLACK, grown_);				\
	EXPECT_GE((pages) + SLACK, grown_);				\
} while (0)

TEST_F_TIMEOUT(numa, bind, RMEM_TEST_SECONDS)
{
	for (int node = 0; node < 2; node++) {
		ASSERT_EQ(0, set_policy(MPOL_BIND, 1UL << node));
		ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
		ABOUT(PAGES, node);
		ABOUT(0, !node);
		ASSERT_EQ(0, rmem_punch(self->fd, 0, PAGES));
		ABOUT(0, node);
	}
}

TEST_F_TIMEOUT(numa, interleave, RMEM_TEST_SECONDS)
{
	ASSERT_EQ(0, set_policy(MPOL_INTERLEAVE, 3));
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	ABOUT(PAGES / 2, 0);
	ABOUT(PAGES / 2, 1);
}

/* Pages stay where they are: they do not follow the task that has them. */
TEST_F_TIMEOUT(numa, migrate_pages, RMEM_TEST_SECONDS)
{
	unsigned long from = 1, to = 2;

	ASSERT_EQ(0, set_policy(MPOL_BIND, from));
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	EXPECT_LE(0, syscall(SYS_migrate_pages, 0, 8 * sizeof(from), &from, &to));
	ABOUT(PAGES, 0);
	ABOUT(0, 1);
	EXPECT_EQ(PAGES, rmem_pages(self->fd));
}

TEST_HARNESS_MAIN
