// SPDX-License-Identifier: GPL-2.0-only
/*
 * The half that a guest shares is memory of the VMM like any other: it can be swapped, moved,
 * merged and copied on write, which pinned memory cannot. The guest keeps finding what was
 * written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"
#include "sev_convert.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define PAGE		SEV_PAGE_SIZE
#define WORDS		(PAGE / sizeof(uint64_t))
#define DATA		SEV_GUEST_DATA
#define PAGES		8ul
#define SEED		500

#define LOOP		"/dev/loop5"
#define SWAP_PAGES	2048ul
/* Of <asm-generic/mman-common.h>, which does not go together with <sys/mman.h>. */
#define MADV_SOFT_OFFLINE	101
#define KSM		"/sys/kernel/mm/ksm/"

FIXTURE(shared) {
	struct sev_vm vm;
	struct sev_convert convert;
	struct sev_holdings before;
	uint8_t *mem;
};

FIXTURE_VARIANT(shared) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(shared, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

/* The guest has shared its pages and written them, and waits. */
FIXTURE_SETUP(shared)
{
	struct sev_vm_config cfg = {
		.sev = true, .memory = variant->memory, .program = SEV_GUEST_CONVERT,
		.args = { DATA, PAGES, SEED, 1 },
	};
	struct sev_vm *vm = &self->vm;

	SKIP_IF(sev_type_unavailable());
	self->before = sev_holdings_now();
	OK_VM(vm, sev_vm_boot(vm, &cfg));
	self->mem = vm->mem + DATA;
	ASSERT_EQ(0, madvise(vm->mem, vm->cfg.pages * PAGE, MADV_NOHUGEPAGE));
	OK_VM(vm, sev_convert_init(&self->convert, vm));
}

FIXTURE_TEARDOWN(shared)
{
	sev_convert_free(&self->convert);
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

#define RUN(event) do {							\
	enum sev_event e_ = sev_vcpu_run_converting(&self->vm.vcpus[0], &self->convert,	\
						    SEV_RUN_DEADLINE_MS);	\
									\
	ASSERT_EQ(SEV_EVENT_##event, e_)				\
		TH_LOG("%s: %s", sev_event_name(e_), self->vm.error);	\
} while (0)

#define RUN_UNTIL(what) do {						\
	RUN(SYNC);							\
	ASSERT_EQ(what, self->vm.vcpus[0].value);			\
} while (0)

static void fill(void *mem, uint64_t seed)
{
	for (uint64_t i = 0; i < PAGES * WORDS; i++)
		((uint64_t *)mem)[i] = sev_guest_pattern(seed, i);
}

static uint64_t matching(const void *mem, uint64_t seed)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < PAGES * WORDS; i++)
		n += ((const uint64_t *)mem)[i] == sev_guest_pattern(seed, i);
	return n;
}

/* The guest has the pages mapped when it has written them. */
static void share_and_write(struct __test_metadata *_metadata, FIXTURE_DATA(shared) *self)
{
	RUN_UNTIL(SEV_SYNC_SHARED);
	fill(self->mem, SEED + 1);
	RUN_UNTIL(SEV_SYNC_WRITTEN);
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 2));
	EXPECT_EQ((long)PAGES, pvm_resident(self->mem, PAGES * PAGE));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
}

static void take_back(struct __test_metadata *_metadata, FIXTURE_DATA(shared) *self)
{
	RUN_UNTIL(SEV_SYNC_PRIVATE);
	EXPECT_EQ(0, pvm_resident(self->mem, PAGES * PAGE));
	RUN_UNTIL(SEV_SYNC_REWRITTEN);
	RUN(DONE);
}

/* Swap on a file in memory: what counts is that the pages go. */
static int make_swap(void)
{
	uint32_t header[3] = { 1, SWAP_PAGES - 1, 0 };
	int file = memfd_create("swap", MFD_CLOEXEC), loop = open(LOOP, O_RDWR | O_CLOEXEC), ret = 0;

	if (file < 0 || loop < 0 || ftruncate(file, SWAP_PAGES * PAGE) ||
	    pwrite(file, header, sizeof(header), 1024) != sizeof(header) ||
	    pwrite(file, "SWAPSPACE2", 10, PAGE - 10) != 10 || ioctl(loop, LOOP_SET_FD, file) ||
	    swapon(LOOP, 0))
		ret = -errno;
	/* The device keeps the file; the swap keeps the device. */
	close(loop);
	close(file);
	return ret;
}

static int drop_swap(void)
{
	int loop, ret = swapoff(LOOP) ? -errno : 0;

	loop = open(LOOP, O_RDWR | O_CLOEXEC);
	if (ioctl(loop, LOOP_CLR_FD, 0) && !ret)
		ret = -errno;
	close(loop);
	return ret;
}

/* Pages of the mapping whose entry in the page table is one of swap. */
static unsigned int swapped_pages(const void *addr, unsigned int pages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned int n = 0;
	uint64_t entry;

	for (unsigned int i = 0; i < pages; i++)
		n += pread(fd, &entry, 8, ((uintptr_t)addr / PAGE + i) * 8) == 8 && entry >> 62 & 1;
	close(fd);
	return n;
}

TEST_F_TIMEOUT(shared, swapped_out_and_in, SEV_TEST_SECONDS)
{
	ASSERT_EQ(0, make_swap());
	RUN_UNTIL(SEV_SYNC_SHARED);
	fill(self->mem, SEED + 1);
	/* A page that was written lately may be kept for a round. */
	for (int i = 0; i < 10 && swapped_pages(self->mem, PAGES) < PAGES; i++)
		ASSERT_EQ(0, madvise(self->mem, PAGES * PAGE, MADV_PAGEOUT));
	EXPECT_EQ(PAGES, swapped_pages(self->mem, PAGES));
	/* The guest checks all of it, and its writes come to the page that was read back. */
	RUN_UNTIL(SEV_SYNC_WRITTEN);
	EXPECT_EQ(0, swapped_pages(self->mem, PAGES));
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 2));
	/* Also those that the guest has mapped. */
	for (int i = 0; i < 10 && swapped_pages(self->mem, PAGES) < PAGES; i++)
		ASSERT_EQ(0, madvise(self->mem, PAGES * PAGE, MADV_PAGEOUT));
	EXPECT_EQ(PAGES, swapped_pages(self->mem, PAGES));
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 2));
	take_back(_metadata, self);
	EXPECT_EQ(0, drop_swap());
}

/* A page that has just come may be in a CPU's list of new ones, where nobody can take it. */
static int move_away(void *addr)
{
	int ret = 0;

	for (int i = 0; i < 20; i++) {
		ret = madvise(addr, PAGE, MADV_SOFT_OFFLINE) ? -errno : 0;
		if (!ret)
			break;
		usleep(50000);
	}
	return ret;
}

/* To another page frame: soft offlining moves what is in use, or fails where that cannot be. */
TEST_F_TIMEOUT(shared, moved, SEV_TEST_SECONDS)
{
	uint64_t frame;

	RUN_UNTIL(SEV_SYNC_SHARED);
	fill(self->mem, SEED + 1);
	frame = rmem_mapping_pfn(self->mem);
	ASSERT_NE(0, frame);
	ASSERT_EQ(0, move_away(self->mem));
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 1));
	EXPECT_NE(frame, rmem_mapping_pfn(self->mem));
	RUN_UNTIL(SEV_SYNC_WRITTEN);
	frame = rmem_mapping_pfn(self->mem);
	ASSERT_EQ(0, move_away(self->mem));
	EXPECT_NE(frame, rmem_mapping_pfn(self->mem));
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 2));
	take_back(_metadata, self);
}

/* A child holds the old pages; the guest writes new ones. */
TEST_F_TIMEOUT(shared, copied_on_write, SEV_TEST_SECONDS)
{
	int status, go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	RUN_UNTIL(SEV_SYNC_SHARED);
	fill(self->mem, SEED + 1);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) < 0)
			_exit(2);
		_exit(matching(self->mem, SEED + 1) != PAGES * WORDS);
	}
	RUN_UNTIL(SEV_SYNC_WRITTEN);
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 2));
	close(go[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(go[0]);
	take_back(_metadata, self);
}

/* KSM puts one page in the place of two that are equal, and the guest's next write undoes it. */
TEST_F_TIMEOUT(shared, merged, SEV_TEST_SECONDS)
{
	uint8_t *twin = pvm_map(PAGES * PAGE);
	long merged = 0;

	ASSERT_NE(NULL, twin);
	RUN_UNTIL(SEV_SYNC_SHARED);
	fill(self->mem, SEED + 1);
	fill(twin, SEED + 1);
	ASSERT_EQ(0, madvise(self->mem, PAGES * PAGE, MADV_MERGEABLE));
	ASSERT_EQ(0, madvise(twin, PAGES * PAGE, MADV_MERGEABLE));
	ASSERT_EQ(0, rmem_write(KSM "sleep_millisecs", "1"));
	ASSERT_EQ(0, rmem_write(KSM "run", "1"));
	for (int ms = 0; ms < SEV_RUN_DEADLINE_MS && merged < (long)PAGES; ms += 20) {
		usleep(20000);
		merged = rmem_value(KSM "pages_sharing", NULL);
	}
	EXPECT_EQ((long)PAGES, merged);
	EXPECT_EQ(rmem_mapping_pfn(twin), rmem_mapping_pfn(self->mem));
	RUN_UNTIL(SEV_SYNC_WRITTEN);
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 2));
	EXPECT_EQ(PAGES * WORDS, matching(twin, SEED + 1));
	EXPECT_NE(rmem_mapping_pfn(twin), rmem_mapping_pfn(self->mem));
	ASSERT_EQ(0, rmem_write(KSM "run", "2"));
	take_back(_metadata, self);
	munmap(twin, PAGES * PAGE);
}

/*
 * What the guest has mapped can be taken away and put elsewhere, as a VMM does with its own
 * memory.
 */
TEST_F_TIMEOUT(shared, replaced_by_the_vmm, SEV_TEST_SECONDS)
{
	static uint8_t copy[PAGES * PAGE];

	RUN_UNTIL(SEV_SYNC_SHARED);
	fill(self->mem, SEED);
	memcpy(copy, self->mem, sizeof(copy));
	ASSERT_EQ(self->mem, mmap(self->mem, PAGES * PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill(self->mem, SEED + 1);
	RUN_UNTIL(SEV_SYNC_WRITTEN);
	EXPECT_EQ(PAGES * WORDS, matching(self->mem, SEED + 2));
	EXPECT_EQ(PAGES * WORDS, matching(copy, SEED));
}

/* No pin from the first touch to the last, however the guest's pages come and go. */
TEST_F_TIMEOUT(shared, never_pinned, SEV_TEST_SECONDS)
{
	long acquired;

	sev_fold_counters();
	acquired = rmem_value("/proc/vmstat", "nr_foll_pin_acquired");
	share_and_write(_metadata, self);
	take_back(_metadata, self);
	sev_fold_counters();
	EXPECT_EQ(acquired, rmem_value("/proc/vmstat", "nr_foll_pin_acquired"));
}

TEST_HARNESS_MAIN
