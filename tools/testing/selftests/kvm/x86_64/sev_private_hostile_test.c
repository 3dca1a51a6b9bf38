// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that asks for conversions at random: misaligned, empty, overlapping, enormous, of
 * devices and of nothing, from two vCPUs at speed, and uses its pages by the wrong view. The VMM
 * does what it is asked as a careful one does. The guest may ruin itself; the host must stay
 * clean, and what it spends bounded.
 *
 * The requests are the same in each run; in which order they come is up to the two vCPUs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"
#include "sev_convert.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define SECONDS		600
#define PAGE		SEV_PAGE_SIZE
#define PAGES		2048ul
#define FIRST		(SEV_GUEST_DATA / PAGE)
#define REQUESTS	1500ul
#define RUN_MS		(400 * 1000)
/* What the kernel's map of the guest may take, generously: a page for each 128 MiB and its tree. */
#define SLAB_KB		512
/* A kernel that looks for bugs keeps what was freed for a while, and a record of each allocation. */
#define SLAB_DEBUG_KB	(16 * 1024)

FIXTURE(hostile) {
	struct sev_vm vm;
	struct sev_convert convert;
	struct sev_holdings before;
};

FIXTURE_VARIANT(hostile) {
	enum sev_memory memory;
	bool huge;
};

FIXTURE_VARIANT_ADD(hostile, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_VARIANT_ADD(hostile, guest_memfd_thp) {
	.memory = SEV_MEMORY_GUEST_MEMFD,
	.huge = true,
};

FIXTURE_SETUP(hostile)
{
	struct sev_vm_config cfg = {
		.sev = true, .memory = variant->memory, .pages = PAGES, .vcpus = 2,
		.program = SEV_GUEST_HOSTILE,
		.args = { SEV_GUEST_DATA, PAGES - FIRST, 77, REQUESTS },
	};
	struct sev_vm *vm = &self->vm;

	SKIP_IF(sev_type_unavailable());
	self->before = sev_holdings_now();
	OK_VM(vm, sev_vm_boot(vm, &cfg));
	ASSERT_EQ(0, madvise(vm->mem, PAGES * PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(vm->mem, PAGES * PAGE,
			     variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
	OK_VM(vm, sev_convert_init(&self->convert, vm));
}

FIXTURE_TEARDOWN(hostile)
{
	sev_convert_free(&self->convert);
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

struct runner {
	struct sev_vcpu *vcpu;
	struct sev_convert *convert;
	enum sev_event event;
};

static void *run_vcpu(void *data)
{
	struct runner *r = data;

	/* Whatever it does with pages that are devices to it, the answer is zero. */
	do {
		r->event = sev_vcpu_run_converting(r->vcpu, r->convert, RUN_MS);
	} while (r->event == SEV_EVENT_MMIO);
	return NULL;
}

/*
 * Each page has one half: the VMM's is empty where it is private, unless a huge page came there
 * with a neighbour that is shared; the file's is empty where it is shared.
 */
static void check_halves(struct __test_metadata *_metadata, FIXTURE_DATA(hostile) *self, bool huge)
{
	struct sev_vm *vm = &self->vm;
	unsigned long private = 0, wrong = 0;

	for (unsigned long i = 0; i < PAGES; i++) {
		if (self->convert.shared[i])
			continue;
		private++;
		wrong += !huge && pvm_resident(vm->mem + i * PAGE, PAGE);
	}
	EXPECT_EQ(0, wrong);
	EXPECT_GE((long)private, pvm_file_pages(vm->file));
	/*
	 * What is private is given up page by page until the file is empty: none was where it is
	 * shared.
	 */
	for (unsigned long i = 0; i < PAGES; i++)
		if (!self->convert.shared[i])
			EXPECT_EQ(0, pvm_punch(vm->file, i * PAGE, PAGE));
	EXPECT_EQ(0, pvm_file_pages(vm->file));
}

TEST_F_TIMEOUT(hostile, two_vcpus, SECONDS)
{
	struct sev_vm *vm = &self->vm;
	struct runner runners[2];
	pthread_t threads[2];
	long slab = rmem_value("/proc/meminfo", "SUnreclaim");

	for (int i = 0; i < 2; i++) {
		runners[i] = (struct runner) { &vm->vcpus[i], &self->convert, SEV_EVENT_ERROR };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, run_vcpu, &runners[i]));
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		ASSERT_EQ(SEV_EVENT_SYNC, runners[i].event) {
			TH_LOG("vCPU %d: %s: %s", i, sev_event_name(runners[i].event), vm->error);
		}
		ASSERT_EQ(2, vm->vcpus[i].nr_values);
		EXPECT_EQ(REQUESTS, vm->vcpus[i].values[0]);
		/*
		 * KVM itself refuses what is no page, and nothing; the rest is the VMM's
		 * business.
		 */
		EXPECT_LT(REQUESTS / 10, vm->vcpus[i].values[1]);
		EXPECT_GT(REQUESTS / 2, vm->vcpus[i].values[1]);
	}
	EXPECT_EQ(0, self->convert.error);
	EXPECT_LT(REQUESTS, self->convert.requests);
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
	EXPECT_GE(slab + (access("/sys/kernel/debug/kmemleak", F_OK) ? SLAB_KB : SLAB_DEBUG_KB),
		  rmem_value("/proc/meminfo", "SUnreclaim"));
	TH_LOG("%lu requests, %lu changes, %lu pages to shared, %lu to private", self->convert.requests,
	       self->convert.calls, self->convert.pages[0], self->convert.pages[1]);
	check_halves(_metadata, self, variant->huge);
}

/* All of its memory becomes shared under its feet: no page table, no code. */
TEST_F_TIMEOUT(hostile, suicide, SECONDS)
{
	struct sev_vm *vm = &self->vm;
	struct runner runner = { &vm->vcpus[0], &self->convert, SEV_EVENT_ERROR };

	run_vcpu(&runner);
	ASSERT_EQ(SEV_EVENT_SYNC, runner.event) {
		TH_LOG("%s: %s", sev_event_name(runner.event), vm->error);
	}
	run_vcpu(&runner);
	EXPECT_EQ(SEV_EVENT_SHUTDOWN, runner.event) {
		TH_LOG("%s: %s", sev_event_name(runner.event), vm->error);
	}
	EXPECT_EQ(0, self->convert.error);
	EXPECT_EQ(0, pvm_file_pages(vm->file));
}

TEST_HARNESS_MAIN
