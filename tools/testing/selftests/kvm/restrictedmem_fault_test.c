// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation that the kernel makes for a restricted file fails once: the call gives a clean error,
 * what it did before is undone or whole, and at the end nothing is counted any more. Needs the fault
 * injection of the debug kernel.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

#define DEBUGFS		"/sys/kernel/debug"
#define USER		3000
#define PAGES		64UL
#define SPARSE		(1UL << 24)
/* No call makes as many allocations. */
#define TOO_MANY	2000

FIXTURE(fault) {
	int fd;
	int nth;
	unsigned int injected;
};

/* All allocations may fail, silently: the log is read for warnings. */
static int set_up_injection(void)
{
	static const char *const settings[][2] = {
		{ DEBUGFS "/failslab/ignore-gfp-wait", "N" },
		{ DEBUGFS "/failslab/verbose", "0" },
		{ DEBUGFS "/fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUGFS "/fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUGFS "/fail_page_alloc/min-order", "0" },
		{ DEBUGFS "/fail_page_alloc/verbose", "0" },
	};
	size_t i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(settings) && !ret; i++)
		ret = rmem_write(settings[i][0], settings[i][1]);
	return ret;
}

FIXTURE_SETUP(fault)
{
	self->fd = -1;
	self->injected = 0;
	RMEM_SKIP_IF(access(DEBUGFS "/failslab", F_OK) ? "no fault injection" : NULL);
	ASSERT_EQ(0, set_up_injection());
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->nth);
}

FIXTURE_TEARDOWN(fault)
{
	close(self->fd);
}

static void inject(FIXTURE_DATA(fault) *self, unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	if (pwrite(self->nth, text, strlen(text), 0) < 0)
		abort();
}

/* Whether the failure that was asked for happened; ends the injection. */
static bool injected(FIXTURE_DATA(fault) *self)
{
	char text[16] = "";

	if (pread(self->nth, text, sizeof(text) - 1, 0) <= 0)
		abort();
	inject(self, 0);
	self->injected += atoi(text) == 0;
	return atoi(text) == 0;
}

/*
 * Do a call again and again, with the n-th allocation failing, until it makes fewer than n. @check is a
 * statement after each of them; ret is the call's result, failed whether it was hit.
 */
#define EACH_FAILURE(call, check) do {					\
	unsigned int n_;						\
	bool failed = true;						\
	int ret;							\
									\
	for (n_ = 1; failed && n_ < TOO_MANY; n_++) {			\
		inject(self, n_);					\
		ret = (call);						\
		failed = injected(self);				\
		check;							\
	}								\
	EXPECT_FALSE(failed);						\
	EXPECT_EQ(0, ret) TH_LOG("%s without a failure: %s", #call, strerror(-ret));	\
} while (0)

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Creates and closes a file: what fails half-way must leave nothing. */
static int create_and_close(void)
{
	int fd = rmem_create(0);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

TEST_F_TIMEOUT(fault, create, RMEM_TEST_SECONDS)
{
	int descriptors = count_descriptors();

	EACH_FAILURE(create_and_close(), {
		EXPECT_TRUE(ret == 0 || ret == -ENOMEM) TH_LOG("%s", strerror(-ret));
		EXPECT_EQ(descriptors, count_descriptors());
	});
	EXPECT_LE(3, self->injected);
}

static int set_size(int fd)
{
	return ftruncate(fd, PAGES * RMEM_PAGE) ? -errno : 0;
}

TEST_F_TIMEOUT(fault, size, RMEM_TEST_SECONDS)
{
	self->fd = rmem_create(0);
	ASSERT_LE(0, self->fd);
	EACH_FAILURE(set_size(self->fd), {
		EXPECT_EQ(ret ? 0 : (long)(PAGES * RMEM_PAGE), rmem_size(self->fd));
		EXPECT_TRUE(ret == 0 || ret == -ENOMEM);
	});
}

/* A limit that is exact: a page that is counted and not there, or the other way round, shows. */
static void limit_user(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self)
{
	struct rlimit limit = { PAGES * RMEM_PAGE, PAGES * RMEM_PAGE };

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, rmem_become(USER, false));
	self->fd = rmem_create_sized(2 * PAGES);
	ASSERT_LE(0, self->fd);
}

#define NOTHING_IS_COUNTED() do {					\
	EXPECT_EQ(0, rmem_pages(self->fd));				\
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));			\
	EXPECT_EQ(-EDQUOT, rmem_alloc(self->fd, PAGES, 1));		\
	EXPECT_EQ(0, rmem_punch(self->fd, 0, PAGES));			\
	EXPECT_EQ(0, rmem_pages(self->fd));				\
} while (0)

TEST_F_TIMEOUT(fault, allocate, RMEM_TEST_SECONDS)
{
	limit_user(_metadata, self);
	EACH_FAILURE(rmem_alloc(self->fd, 0, 4), {
		EXPECT_TRUE(ret == 0 || ret == -ENOMEM) TH_LOG("%s", strerror(-ret));
		EXPECT_TRUE(ret || rmem_pages(self->fd) == 4);
		EXPECT_TRUE(!ret || rmem_pages(self->fd) < 4);
		EXPECT_EQ(0, rmem_punch(self->fd, 0, PAGES));
		EXPECT_EQ(0, rmem_pages(self->fd));
	});
	NOTHING_IS_COUNTED();
	EXPECT_LE(4, self->injected);
}

/* Wide apart, so that the page cache needs nodes for each. */
static int allocate_sparse(int fd)
{
	int ret = 0;

	for (unsigned long at = 1; !ret && at < SPARSE; at <<= 7)
		ret = rmem_alloc(fd, at, 1);
	return ret;
}

TEST_F_TIMEOUT(fault, allocate_sparse, RMEM_TEST_SECONDS)
{
	limit_user(_metadata, self);
	close(self->fd);
	self->fd = rmem_create_sized(SPARSE);
	EACH_FAILURE(allocate_sparse(self->fd), {
		EXPECT_TRUE(ret == 0 || ret == -ENOMEM);
		EXPECT_EQ(0, rmem_punch(self->fd, 0, SPARSE));
		EXPECT_EQ(0, rmem_pages(self->fd));
	});
	NOTHING_IS_COUNTED();
	EXPECT_LE(3, self->injected);
}

/* Giving back must not depend on getting. */
TEST_F_TIMEOUT(fault, punch, RMEM_TEST_SECONDS)
{
	limit_user(_metadata, self);
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	EACH_FAILURE(rmem_punch(self->fd, 1, PAGES - 2), {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(2, rmem_pages(self->fd));
		EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	});
	EXPECT_EQ(0, rmem_punch(self->fd, 0, PAGES));
	NOTHING_IS_COUNTED();
}

static int close_fd(int fd)
{
	return close(fd) ? -errno : 0;
}

TEST_F_TIMEOUT(fault, close, RMEM_TEST_SECONDS)
{
	limit_user(_metadata, self);
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	EACH_FAILURE(close_fd(self->fd), {
		EXPECT_EQ(0, ret);
		self->fd = rmem_create_sized(2 * PAGES);
		EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	});
	EXPECT_EQ(0, rmem_punch(self->fd, 0, PAGES));
	NOTHING_IS_COUNTED();
}

static int look_at(int fd)
{
	struct stat st;
	long bytes;

	if (fstat(fd, &st))
		return -errno;
	bytes = rmem_fdinfo(fd, "resident");
	return bytes < 0 ? bytes : 0;
}

TEST_F_TIMEOUT(fault, look, RMEM_TEST_SECONDS)
{
	self->fd = rmem_create_sized(PAGES);
	EACH_FAILURE(look_at(self->fd), EXPECT_TRUE(ret == 0 || ret == -ENOMEM || ret == -ENOENT));
}

/* A broken page whose error cannot be written down: it must not come back as a new page either. */
static int poison(unsigned long pfn)
{
	char address[32];

	snprintf(address, sizeof(address), "%#lx", pfn * RMEM_PAGE);
	return rmem_write("/sys/devices/system/memory/hard_offline_page", address);
}

TEST_F_TIMEOUT(fault, poison, RMEM_TEST_SECONDS)
{
	unsigned long pfns[PAGES], index = 1;
	struct rmem_trace trace = { 0 };

	ASSERT_EQ(0, rmem_trace_start(&trace));
	self->fd = rmem_create_sized(PAGES);
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	ASSERT_EQ((long)PAGES, rmem_trace_pfns(&trace, pfns, PAGES));
	rmem_trace_stop(&trace);
	EACH_FAILURE(poison(pfns[index]), {
		/* The page may be left alone only if memory_failure() was not even begun. */
		bool hit = rmem_kpageflags(pfns[index]) & RMEM_KPF_HWPOISON;

		EXPECT_TRUE(hit || ret);
		EXPECT_EQ(hit ? -EHWPOISON : 0, rmem_alloc(self->fd, index, 1));
		/* So that the next one has no memory for its note yet. */
		EXPECT_EQ(0, rmem_punch(self->fd, index, 1));
		EXPECT_EQ(0, rmem_alloc(self->fd, index, 1));
		EXPECT_EQ((long)PAGES, rmem_pages(self->fd));
		index++;
		ASSERT_GT(PAGES, index);
	});
	EXPECT_LE(1, self->injected);
	EXPECT_EQ(0, rmem_punch(self->fd, 0, PAGES));
	EXPECT_EQ(0, rmem_pages(self->fd));
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
}

TEST_HARNESS_MAIN
