// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine counts cache flushes by their kind. What it counts is what the kernel says it does,
 * as seen by probes of its functions: so the machine's numbers can be a budget. And it counts the
 * memory that its encryption takes, which has a bound.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "sev_flushes.h"
#include "sev_machine.h"
#include "sev_test.h"

#define PAGE	SEV_PAGE_SIZE
#define LINES	(PAGE / 64)
#define DATA	SEV_GUEST_DATA
#define PAGES	64ul

FIXTURE(counters) {
	struct sev_machine machine;
	struct sev_flushes flushes;
	struct sev_vm vm;
	uint64_t before;
};

FIXTURE_SETUP(counters)
{
	SKIP_IF(sev_type_unavailable());
	SKIP_IF(sev_flushes_unavailable());
	SKIP_IF(sev_machine_open(&self->machine) ? "the machine has no counters" : NULL);
}

FIXTURE_TEARDOWN(counters)
{
	if (self->vm.vcpus[0].vm)
		sev_vm_destroy(&self->vm);
	sev_flushes_stop(&self->flushes);
	sev_machine_close(&self->machine);
}

#define COUNT(counter)		sev_machine_counter(&self->machine, SEV_COUNTER_##counter)
#define BEGIN(counter)		(self->before = COUNT(counter))
#define SINCE(counter)		(COUNT(counter) - self->before)

#define BOOT(...) do {							\
	struct sev_vm_config cfg_ = { .sev = true, .memory = SEV_MEMORY_PRIVATE, __VA_ARGS__ };	\
									\
	OK_VM(&self->vm, sev_vm_boot(&self->vm, &cfg_));		\
} while (0)

TEST_F_TIMEOUT(counters, wbinvd, SEV_TEST_SECONDS)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	BOOT(.program = SEV_GUEST_COUNT, .args = { DATA });
	ASSERT_EQ(0, sev_flushes_start(&self->flushes, SEV_FLUSH_ALL));
	BEGIN(WBINVD);
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGE));
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA + PAGE, PAGE));
	EXPECT_EQ(2, sev_flushes_take(&self->flushes));
	EXPECT_EQ(2 * cpus, (long)SINCE(WBINVD));
	EXPECT_EQ(0, COUNT(PAGE_FLUSH));
}

TEST_F_TIMEOUT(counters, clflush, SEV_TEST_SECONDS)
{
	BOOT(.pages = DATA / PAGE + PAGES, .launch_pages = DATA / PAGE, .program = SEV_GUEST_TOUCH,
	     .args = { DATA, PAGES, 1, 3 });
	ASSERT_EQ(0, sev_flushes_start(&self->flushes, SEV_FLUSH_LINES));
	BEGIN(CLFLUSH);
	RUN_VCPU(&self->vm.vcpus[0], DONE);
	EXPECT_EQ((long)PAGES, sev_flushes_take(&self->flushes));
	EXPECT_EQ(PAGES * LINES, SINCE(CLFLUSH));
}

/* The ASIDs of guests that are gone become usable again all at once. */
TEST_F_TIMEOUT(counters, df_flush, SEV_TEST_SECONDS)
{
	struct sev_cpu_info info;
	unsigned int asids;

	ASSERT_TRUE(sev_cpu_info(&info));
	asids = info.max_asid - info.min_sev_asid + 1;
	BEGIN(DF_FLUSH);
	for (unsigned int i = 0; i < 2 * asids; i++) {
		BOOT(.program = SEV_GUEST_COUNT, .args = { DATA });
		sev_vm_destroy(&self->vm);
	}
	EXPECT_LE(1, SINCE(DF_FLUSH));
	EXPECT_GE(2, SINCE(DF_FLUSH));
	self->vm.vcpus[0].vm = NULL;
}

/*
 * Encryption takes a page of the emulating machine for each page that guests touch privately, and
 * some for what is being written, and gives them back.
 */
TEST_F_TIMEOUT(counters, shadow, SEV_TEST_SECONDS)
{
	const uint64_t pages = 4096, spare = 256;
	uint64_t others = COUNT(SHADOW_PAGES);

	BOOT(.pages = DATA / PAGE + pages, .launch_pages = DATA / PAGE, .program = SEV_GUEST_TOUCH,
	     .args = { DATA, pages, 1, 3 });
	EXPECT_GT(others + DATA / PAGE + 64, COUNT(SHADOW_PAGES));
	RUN_VCPU(&self->vm.vcpus[0], DONE);
	EXPECT_LE(others + pages, COUNT(SHADOW_PAGES));
	EXPECT_GT(others + pages + DATA / PAGE + 64, COUNT(SHADOW_PAGES));
	EXPECT_LT(0, COUNT(SHADOW_RESIDENT));
	EXPECT_GE(COUNT(SHADOW_PAGES), COUNT(SHADOW_RESIDENT));
	EXPECT_GE(spare, COUNT(SHADOW_COPIES));
	sev_vm_destroy(&self->vm);
	self->vm.vcpus[0].vm = NULL;
	EXPECT_GE(others, COUNT(SHADOW_PAGES));
	EXPECT_GE(others, COUNT(SHADOW_RESIDENT));
}

TEST_HARNESS_MAIN
