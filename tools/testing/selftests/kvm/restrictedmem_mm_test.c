// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restricted memory and the parts of memory management that move, drop or take away pages: whatever
 * they do, the pages of the file stay, and stay where they are.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

#define PAGES		512UL
#define MEMORY		"/sys/devices/system/memory"

FIXTURE(resident) {
	int fd;
	struct rmem_trace trace;
	unsigned long pfns[PAGES];
};

FIXTURE_SETUP(resident)
{
	ASSERT_EQ(0, rmem_trace_start(&self->trace));
	self->fd = rmem_create_sized(PAGES);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	ASSERT_EQ((long)PAGES, rmem_trace_pfns(&self->trace, self->pfns, PAGES));
	/* Also brings new pages from the CPUs' batches to their list. */
	ASSERT_EQ(0, rmem_write("/proc/sys/vm/compact_memory", "1"));
}

FIXTURE_TEARDOWN(resident)
{
	rmem_trace_stop(&self->trace);
	close(self->fd);
}

static bool in_place(unsigned long pfn)
{
	int64_t flags = rmem_kpageflags(pfn);

	return flags >= 0 && (flags & RMEM_KPF_SET) == RMEM_KPF_SET && !(flags & RMEM_KPF_CLEAR) &&
		!(flags & RMEM_KPF_HWPOISON);
}

static unsigned long count_in_place(const unsigned long *pfns, unsigned long first, unsigned long end)
{
	unsigned long n = 0;

	for (; first < end; first++)
		n += in_place(pfns[first]);
	return n;
}

#define ALL_IN_PLACE() do {						\
	EXPECT_EQ((long)PAGES, rmem_pages(self->fd));			\
	EXPECT_EQ(PAGES, count_in_place(self->pfns, 0, PAGES));		\
} while (0)

#define TRACED(event, what)	rmem_trace_count(&self->trace, event, self->fd, what)

TEST_F_TIMEOUT(resident, allocation_is_idempotent, RMEM_TEST_SECONDS)
{
	ALL_IN_PLACE();
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	/* Not one more line in the trace, and the same pages. */
	EXPECT_EQ((long)PAGES, rmem_trace_pfns(&self->trace, self->pfns, PAGES));
	ALL_IN_PLACE();
}

TEST_F_TIMEOUT(resident, punch_frees_exactly, RMEM_TEST_SECONDS)
{
	EXPECT_EQ(0, rmem_punch(self->fd, 100, 7));
	EXPECT_EQ((long)PAGES - 7, rmem_pages(self->fd));
	EXPECT_EQ(100, count_in_place(self->pfns, 0, 100));
	EXPECT_EQ(0, count_in_place(self->pfns, 100, 107));
	EXPECT_EQ(PAGES - 107, count_in_place(self->pfns, 107, PAGES));
	EXPECT_EQ(0, rmem_punch(self->fd, 100, 7));
	EXPECT_EQ((long)PAGES - 7, rmem_pages(self->fd));
	/* Nothing was told for the second one, which had nothing to remove. */
	EXPECT_EQ(1, TRACED("invalidate", "range 0x64-0x6b"));
	EXPECT_EQ(1, TRACED("punch", "range 0x64-0x6b removed 7"));
	EXPECT_EQ(1, TRACED("punch", "range 0x64-0x6b removed 0"));
}

TEST_F_TIMEOUT(resident, close_frees_all, RMEM_TEST_SECONDS)
{
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, count_in_place(self->pfns, 0, PAGES));
}

TEST_F_TIMEOUT(resident, drop_caches, RMEM_TEST_SECONDS)
{
	EXPECT_EQ(0, rmem_write("/proc/sys/vm/drop_caches", "1"));
	EXPECT_EQ(0, rmem_write("/proc/sys/vm/drop_caches", "3"));
	ALL_IN_PLACE();
}

TEST_F_TIMEOUT(resident, compaction, RMEM_TEST_SECONDS)
{
	unsigned long i;

	/* Holes all over: what compaction would like to fill. */
	for (i = 1; i < PAGES; i += 2)
		ASSERT_EQ(0, rmem_punch(self->fd, i, 1));
	ASSERT_EQ(0, rmem_write("/proc/sys/vm/compact_unevictable_allowed", "1"));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, rmem_write("/proc/sys/vm/compact_memory", "1"));
	EXPECT_EQ((long)PAGES / 2, rmem_pages(self->fd));
	for (i = 0; i < PAGES; i += 2)
		EXPECT_TRUE(in_place(self->pfns[i])) TH_LOG("page %lu moved", i);
}

static int offline_page(const char *how, unsigned long pfn)
{
	char path[64], address[32];

	snprintf(path, sizeof(path), MEMORY "/%s", how);
	snprintf(address, sizeof(address), "%#lx", pfn * RMEM_PAGE);
	return rmem_write(path, address);
}

TEST_F_TIMEOUT(resident, soft_offline, RMEM_TEST_SECONDS)
{
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(-EBUSY, offline_page("soft_offline_page", self->pfns[i]));
	ALL_IN_PLACE();
}

/* The memory block of a page, as a path to its state. */
static int block_state(unsigned long pfn, char *path, size_t size)
{
	char text[32] = "";
	int fd = open(MEMORY "/block_size_bytes", O_RDONLY | O_CLOEXEC);
	unsigned long bytes;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return -EIO;
	close(fd);
	bytes = strtoul(text, NULL, 16);
	snprintf(path, size, MEMORY "/memory%lu/state", pfn * RMEM_PAGE / bytes);
	return access(path, W_OK) ? -errno : 0;
}

static void ignore(int sig __attribute__((unused)))
{
}

static void alarm_every(unsigned int ms)
{
	struct itimerval timer = { { 0, ms * 1000L }, { 0, ms * 1000L } };
	struct sigaction action = { .sa_handler = ignore };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Offlining goes on for as long as it is let; it must not succeed, nor take the pages along. */
TEST_F_TIMEOUT(resident, memory_offline, RMEM_TEST_SECONDS)
{
	char path[96], text[16] = "";
	int fd, ret;

	ASSERT_EQ(0, block_state(self->pfns[0], path, sizeof(path)));
	alarm_every(900);
	ret = rmem_write(path, "offline");
	alarm_every(0);
	EXPECT_TRUE(ret == -EBUSY || ret == -EINTR) TH_LOG("%s: %s", path, strerror(-ret));
	fd = open(path, O_RDONLY);
	EXPECT_LT(0, read(fd, text, sizeof(text) - 1));
	EXPECT_EQ(0, strcmp("online\n", text));
	close(fd);
	ALL_IN_PLACE();
}

/* Hardware errors. Each test loses pages of the machine for good. */
#define HARD		"hard_offline_page"

TEST_F_TIMEOUT(resident, poison, RMEM_TEST_SECONDS)
{
	long corrupted = rmem_value("/proc/meminfo", "HardwareCorrupted");
	unsigned long pfn = self->pfns[7], again[PAGES] = { 0 };
	char line[64];

	ASSERT_EQ(0, offline_page(HARD, pfn));
	snprintf(line, sizeof(line), "index 0x7 pfn %#lx", pfn);
	EXPECT_EQ(1, TRACED("poison", line));
	EXPECT_EQ(corrupted + 4, rmem_value("/proc/meminfo", "HardwareCorrupted"));
	EXPECT_EQ((long)PAGES - 1, rmem_pages(self->fd));
	EXPECT_NE(0, rmem_kpageflags(pfn) & RMEM_KPF_HWPOISON);
	/* The content is lost, and whoever asks must be told: no new page of zeroes. */
	EXPECT_EQ(-EHWPOISON, rmem_alloc(self->fd, 7, 1));
	EXPECT_EQ(-EHWPOISON, rmem_alloc(self->fd, 0, PAGES));
	EXPECT_EQ((long)PAGES - 1, rmem_pages(self->fd));
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, 7));
	EXPECT_EQ(0, rmem_alloc(self->fd, 8, PAGES - 8));
	EXPECT_EQ(7, count_in_place(self->pfns, 0, 7));
	EXPECT_EQ(PAGES - 8, count_in_place(self->pfns, 8, PAGES));
	/* A punch says that the content is not wanted any more. */
	EXPECT_EQ(0, rmem_punch(self->fd, 6, 1));
	EXPECT_EQ(-EHWPOISON, rmem_alloc(self->fd, 7, 1));
	EXPECT_EQ(0, rmem_punch(self->fd, 7, 1));
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	EXPECT_LT((long)PAGES, rmem_trace_pfns(&self->trace, again, PAGES));
	EXPECT_NE(pfn, again[7]);
}

TEST_F_TIMEOUT(resident, poison_twice, RMEM_TEST_SECONDS)
{
	ASSERT_EQ(0, offline_page(HARD, self->pfns[3]));
	EXPECT_EQ(-EHWPOISON, offline_page(HARD, self->pfns[3]));
	EXPECT_EQ((long)PAGES - 1, rmem_pages(self->fd));
	EXPECT_EQ(-EHWPOISON, rmem_alloc(self->fd, 3, 1));
	/* Soft offline of what is broken already is no error, and changes nothing. */
	EXPECT_EQ(0, offline_page("soft_offline_page", self->pfns[3]));
	EXPECT_EQ(-EHWPOISON, rmem_alloc(self->fd, 3, 1));
}

TEST_F_TIMEOUT(resident, poison_and_close, RMEM_TEST_SECONDS)
{
	ASSERT_EQ(0, offline_page(HARD, self->pfns[0]));
	ASSERT_EQ(0, offline_page(HARD, self->pfns[PAGES - 1]));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, count_in_place(self->pfns, 0, PAGES));
	EXPECT_NE(0, rmem_kpageflags(self->pfns[0]) & RMEM_KPF_HWPOISON);
}

/* An error against punches and allocations of the same page: one of the two outcomes, never a mixture. */
TEST_F_TIMEOUT(resident, poison_races_punch, RMEM_TEST_SECONDS)
{
	for (unsigned int i = 0; i < 16; i++) {
		pid_t pid = fork();

		if (!pid) {
			for (int n = 0; n < 50; n++) {
				rmem_punch(self->fd, i, 1);
				rmem_alloc(self->fd, i, 1);
			}
			_exit(0);
		}
		usleep(i * 300);
		offline_page(HARD, self->pfns[i]);
		EXPECT_EQ(0, rmem_wait(pid, RMEM_TEST_SECONDS));
		EXPECT_EQ(0, rmem_punch(self->fd, i, 1));
		EXPECT_EQ((long)PAGES - 1, rmem_pages(self->fd));
		EXPECT_EQ(0, rmem_alloc(self->fd, i, 1));
	}
	EXPECT_EQ((long)PAGES, rmem_pages(self->fd));
}

TEST_HARNESS_MAIN
