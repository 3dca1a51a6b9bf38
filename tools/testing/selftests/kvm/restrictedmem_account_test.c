// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who pays for restricted memory: the memory cgroup of the task that causes a page, and the user who
 * created the file, against RLIMIT_MEMLOCK of the task. Beyond either limit there is an error and no
 * more; a page that goes is paid back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

#define CGROUPS		"/sys/fs/cgroup"
#define PAGES		4096UL
#define LIMIT_PAGES	2048UL

FIXTURE(memcg) {
	char dir[64];
	char path[128];
	int fd;
};

static char *in_group(FIXTURE_DATA(memcg) *self, const char *name)
{
	snprintf(self->path, sizeof(self->path), "%s/%s", self->dir, name);
	return self->path;
}

FIXTURE_SETUP(memcg)
{
	ASSERT_EQ(0, rmem_write(CGROUPS "/cgroup.subtree_control", "+memory"));
	snprintf(self->dir, sizeof(self->dir), CGROUPS "/rmem-%d", getpid());
	ASSERT_EQ(0, mkdir(self->dir, 0755));
	self->fd = rmem_create_sized(PAGES);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(memcg)
{
	close(self->fd);
	rmdir(self->dir);
}

/*
 * Allocate from within the group; 0, an errno, or 200 and more when the child was killed. In a group that
 * is full, any page that a program touches for the first time may be its end: it has touched all before.
 */
static int alloc_in_group(FIXTURE_DATA(memcg) *self, unsigned long first, unsigned long pages)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		status = rmem_alloc(self->fd, 0, 0);
		syscall(SYS_getppid);
		if (rmem_write(in_group(self, "cgroup.procs"), "0"))
			_exit(199);
		status = rmem_alloc(self->fd, first, pages);
		syscall(SYS_exit_group, -status);
	}
	status = rmem_wait(pid, RMEM_TEST_SECONDS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

/* What the group's statistics say about pages of files, or @wish once they do: they lag a little. */
static long file_pages(FIXTURE_DATA(memcg) *self, long wish)
{
	double end = rmem_now() + 10;
	long pages;

	do {
		pages = rmem_value(in_group(self, "memory.stat"), "file") / (long)RMEM_PAGE;
	} while (pages != wish && rmem_now() < end && !usleep(100000));
	return pages;
}

#define FILE_PAGES(wish)	EXPECT_EQ(wish, file_pages(self, wish))

TEST_F_TIMEOUT(memcg, allocator_pays, RMEM_TEST_SECONDS)
{
	EXPECT_EQ(0, alloc_in_group(self, 0, 1000));
	FILE_PAGES(1000);
	EXPECT_LE(1000 * (long)RMEM_PAGE, rmem_value(in_group(self, "memory.current"), NULL));
	/* Ours, from outside of the group. */
	EXPECT_EQ(0, rmem_alloc(self->fd, 1000, 1000));
	FILE_PAGES(1000);
	EXPECT_EQ(0, rmem_punch(self->fd, 0, 10));
	FILE_PAGES(990);
	EXPECT_EQ(0, rmem_punch(self->fd, 0, PAGES));
	FILE_PAGES(0);
}

TEST_F_TIMEOUT(memcg, limit, RMEM_TEST_SECONDS)
{
	char limit[32];
	long pages;

	snprintf(limit, sizeof(limit), "%lu", LIMIT_PAGES * RMEM_PAGE);
	ASSERT_EQ(0, rmem_write(in_group(self, "memory.max"), limit));
	EXPECT_EQ(ENOMEM, alloc_in_group(self, 0, PAGES));
	pages = rmem_pages(self->fd);
	EXPECT_LT((long)LIMIT_PAGES / 2, pages);
	EXPECT_GE((long)LIMIT_PAGES, pages);
	FILE_PAGES(pages);
	EXPECT_EQ(0, rmem_value(in_group(self, "memory.events"), "oom"));
	EXPECT_EQ(0, rmem_value(in_group(self, "memory.events"), "oom_kill"));
	EXPECT_LT(0, rmem_value(in_group(self, "memory.events"), "max"));
	/* The group is full, not broken. */
	EXPECT_EQ(0, rmem_punch(self->fd, 0, 512));
	EXPECT_EQ(0, alloc_in_group(self, 0, 256));
	EXPECT_EQ(ENOMEM, alloc_in_group(self, 0, PAGES));
	EXPECT_EQ(0, rmem_value(in_group(self, "memory.events"), "oom_kill"));
}

TEST_F_TIMEOUT(memcg, reclaim_takes_nothing, RMEM_TEST_SECONDS)
{
	ASSERT_EQ(0, alloc_in_group(self, 0, 2000));
	EXPECT_EQ(-EAGAIN, rmem_write(in_group(self, "memory.reclaim"), "4M"));
	EXPECT_EQ(2000, rmem_pages(self->fd));
	FILE_PAGES(2000);
}

static long dying_groups(void)
{
	return rmem_value(CGROUPS "/cgroup.stat", "nr_dying_descendants");
}

/* Wait until all groups that are gone are freed, too; returns how many are not. */
static long wait_for_groups(unsigned int seconds)
{
	double end = rmem_now() + seconds;

	while (dying_groups() && rmem_now() < end)
		usleep(100000);
	return dying_groups();
}

/* A group that is gone lives on while a page is charged to it. */
TEST_F_TIMEOUT(memcg, paid_back_at_close, RMEM_TEST_SECONDS)
{
	ASSERT_EQ(0, wait_for_groups(30));
	ASSERT_EQ(0, alloc_in_group(self, 0, 3000));
	ASSERT_EQ(0, rmdir(self->dir));
	EXPECT_EQ(1, wait_for_groups(2));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, wait_for_groups(30));
}

/* RLIMIT_MEMLOCK. Each test has a user of its own, so that nothing else counts. */
#define LOCKED		16UL

FIXTURE(memlock) {
	int fd;
	int other;
};

FIXTURE_SETUP(memlock)
{
	struct rlimit limit = { LOCKED * RMEM_PAGE, LOCKED * RMEM_PAGE };

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	self->fd = -1;
	self->other = -1;
}

FIXTURE_TEARDOWN(memlock)
{
	close(self->fd);
	close(self->other);
}

#define BECOME(uid, ipc_lock) do {					\
	ASSERT_EQ(0, rmem_become(uid, ipc_lock));			\
	self->fd = rmem_create_sized(4 * LOCKED);			\
	ASSERT_LE(0, self->fd);						\
	self->other = rmem_create_sized(4 * LOCKED);			\
	ASSERT_LE(0, self->other);					\
} while (0)

TEST_F_TIMEOUT(memlock, limit, RMEM_TEST_SECONDS)
{
	BECOME(2001, false);
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, LOCKED));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->fd, LOCKED, 1));
	EXPECT_EQ((long)LOCKED, rmem_pages(self->fd));
	/* What is there needs no more. */
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, LOCKED));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->fd, 0, 4 * LOCKED));
	EXPECT_EQ(0, rmem_punch(self->fd, 3, 2));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->fd, LOCKED, 3));
	EXPECT_EQ((long)LOCKED, rmem_pages(self->fd));
	EXPECT_EQ(0, rmem_punch(self->fd, 0, 4 * LOCKED));
	EXPECT_EQ(0, rmem_alloc(self->fd, 2 * LOCKED, LOCKED));
}

TEST_F_TIMEOUT(memlock, shared_by_files, RMEM_TEST_SECONDS)
{
	BECOME(2002, false);
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, 10));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->other, 0, LOCKED));
	EXPECT_EQ((long)LOCKED - 10, rmem_pages(self->other));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, rmem_alloc(self->other, 0, LOCKED));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->other, LOCKED, 1));
}

TEST_F_TIMEOUT(memlock, no_limit_with_capability, RMEM_TEST_SECONDS)
{
	int status;
	pid_t pid;

	BECOME(2003, true);
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, 3 * LOCKED));
	pid = fork();
	if (!pid) {
		/* The same user without it: the pages count. */
		if (rmem_become(2003, false))
			_exit(100);
		_exit(-rmem_alloc(self->other, 0, 1));
	}
	status = rmem_wait(pid, RMEM_TEST_SECONDS);
	EXPECT_EQ(EDQUOT, WEXITSTATUS(status));
	EXPECT_EQ(0, rmem_pages(self->other));

	EXPECT_EQ(0, rmem_punch(self->fd, LOCKED - 2, 4 * LOCKED));
	ASSERT_EQ(0, rmem_become(2003, false));
	EXPECT_EQ(0, rmem_alloc(self->other, 0, 2));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->other, 2, 1));
}

static int create_as(uid_t uid)
{
	int fd;

	if (setresuid(uid, uid, 0))
		return -errno;
	fd = rmem_create_sized(4 * LOCKED);
	return setresuid(0, 0, 0) ? -errno : fd;
}

/* Allocate as a user without capabilities, in the file given or in a new one; 0 or an errno. */
static int alloc_as(uid_t uid, int fd, unsigned long pages)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (rmem_become(uid, false))
			_exit(199);
		if (fd < 0)
			fd = rmem_create_sized(4 * LOCKED);
		_exit(-rmem_alloc(fd, 0, pages));
	}
	status = rmem_wait(pid, RMEM_TEST_SECONDS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

/* The count is the creator's, whoever makes it grow; the limit is the task's that does. */
TEST_F_TIMEOUT(memlock, creator_pays, RMEM_TEST_SECONDS)
{
	self->fd = create_as(2004);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(EDQUOT, alloc_as(2014, self->fd, LOCKED + 1));
	EXPECT_EQ((long)LOCKED, rmem_pages(self->fd));
	EXPECT_EQ(0, alloc_as(2014, -1, LOCKED));
	EXPECT_EQ(EDQUOT, alloc_as(2004, -1, 1));
	EXPECT_EQ(0, rmem_punch(self->fd, 0, 1));
	EXPECT_EQ(EDQUOT, alloc_as(2004, -1, 2));
	EXPECT_EQ(0, alloc_as(2004, -1, 1));
}

/* A file made by root and handed on: its pages are root's, and no burden of who holds it. */
TEST_F_TIMEOUT(memlock, handed_on, RMEM_TEST_SECONDS)
{
	int mine;

	self->fd = rmem_create_sized(4 * LOCKED);
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, 2 * LOCKED));
	ASSERT_EQ(0, rmem_become(2005, false));
	mine = rmem_create_sized(4 * LOCKED);
	EXPECT_EQ(0, rmem_alloc(mine, 0, LOCKED));
	EXPECT_EQ(-EDQUOT, rmem_alloc(mine, LOCKED, 1));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->fd, 3 * LOCKED, 1));
	EXPECT_EQ(0, rmem_punch(self->fd, 0, 2 * LOCKED));
	EXPECT_EQ(-EDQUOT, rmem_alloc(mine, LOCKED, 1));
	close(mine);
}

TEST_F_TIMEOUT(memlock, no_limit_no_page, RMEM_TEST_SECONDS)
{
	struct rlimit none = { 0, 0 }, odd = { RMEM_PAGE * 2 - 1, RMEM_PAGE * 2 - 1 };

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &odd));
	BECOME(2006, false);
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->fd, 0, 2));
	EXPECT_EQ(1, rmem_pages(self->fd));
	EXPECT_EQ(0, rmem_punch(self->fd, 0, 1));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->fd, 0, 1));
	EXPECT_EQ(0, rmem_pages(self->fd));
}

TEST_HARNESS_MAIN
