// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest on private memory: it shares pages and takes them back, and each half of a
 * page holds what was written to it, and is gone when the page has left it. Private pages come
 * one by one as the guest touches them; shared ones are memory of the VMM like any other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "sev_convert.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define PAGE		SEV_PAGE_SIZE
#define WORDS		(PAGE / sizeof(uint64_t))
#define DATA		SEV_GUEST_DATA
#define LAUNCHED	(SEV_GUEST_DATA / PAGE)

FIXTURE(guest) {
	struct sev_vm vm;
	struct sev_convert convert;
	struct sev_holdings before;
};

FIXTURE_VARIANT(guest) {
	enum sev_memory memory;
	bool huge;			/* pages of the VMM's mapping */
};

FIXTURE_VARIANT_ADD(guest, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_VARIANT_ADD(guest, restricted_thp) {
	.memory = SEV_MEMORY_PRIVATE,
	.huge = true,
};

FIXTURE_VARIANT_ADD(guest, guest_memfd) {
	.memory = SEV_MEMORY_GUEST_MEMFD,
};

FIXTURE_SETUP(guest)
{
	SKIP_IF(sev_type_unavailable());
	self->before = sev_holdings_now();
}

FIXTURE_TEARDOWN(guest)
{
	sev_convert_free(&self->convert);
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

#define OK(call)	OK_VM(&self->vm, call)

#define BOOT(...) do {							\
	struct sev_vm_config cfg_ = {					\
		.sev = true, .memory = variant->memory, __VA_ARGS__	\
	};								\
									\
	OK(sev_vm_boot(&self->vm, &cfg_));				\
	/* The image is launched: the VMM needs its copy no more. */	\
	ASSERT_EQ(0, madvise(self->vm.mem, self->vm.cfg.pages * PAGE, MADV_DONTNEED));	\
	ASSERT_EQ(0, madvise(self->vm.mem, self->vm.cfg.pages * PAGE,	\
			     variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));	\
	OK(sev_convert_init(&self->convert, &self->vm));		\
} while (0)

#define RUN(vcpu_, event) do {						\
	enum sev_event e_ = sev_vcpu_run_converting(vcpu_, &self->convert, SEV_RUN_DEADLINE_MS);	\
									\
	ASSERT_EQ(SEV_EVENT_##event, e_)				\
		TH_LOG("%s: %s", sev_event_name(e_), self->vm.error);	\
} while (0)

/* The vCPU says where it is. */
#define RUN_UNTIL(what) do {						\
	RUN(&self->vm.vcpus[0], SYNC);					\
	ASSERT_EQ(what, self->vm.vcpus[0].value);			\
} while (0)

static void fill(void *mem, uint64_t pages, uint64_t seed)
{
	for (uint64_t i = 0; i < pages * WORDS; i++)
		((uint64_t *)mem)[i] = sev_guest_pattern(seed, i);
}

static uint64_t matching(const void *mem, uint64_t pages, uint64_t seed)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < pages * WORDS; i++)
		n += ((const uint64_t *)mem)[i] == sev_guest_pattern(seed, i);
	return n;
}

/* A round of the guest's CONVERT, seen from the VMM. */
static void convert_round(struct __test_metadata *_metadata, FIXTURE_DATA(guest) *self, uint64_t pages,
			  uint64_t seed, uint8_t *copy)
{
	struct sev_vm *vm = &self->vm;
	uint8_t *mem = vm->mem + DATA;
	const long all = vm->cfg.pages;

	RUN_UNTIL(SEV_SYNC_SHARED);
	/* The private half is given back, and the shared one is fresh. */
	EXPECT_EQ(all - (long)pages, pvm_file_pages(vm->file));
	EXPECT_EQ(0, pvm_resident(mem, pages * PAGE));
	EXPECT_EQ(0, matching(mem, pages, seed));
	fill(mem, pages, seed + 1);

	RUN_UNTIL(SEV_SYNC_WRITTEN);
	EXPECT_EQ(pages * WORDS, matching(mem, pages, seed + 2));
	EXPECT_EQ(all - (long)pages, pvm_file_pages(vm->file));

	RUN_UNTIL(SEV_SYNC_PRIVATE);
	/* The shared half is gone, and nothing is private yet that the guest has not touched. */
	EXPECT_EQ(0, pvm_resident(mem, pages * PAGE));
	EXPECT_EQ(all - (long)pages, pvm_file_pages(vm->file));

	RUN_UNTIL(SEV_SYNC_REWRITTEN);
	EXPECT_EQ(all, pvm_file_pages(vm->file));
	EXPECT_EQ(0, pvm_resident(mem, pages * PAGE));
	OK(sev_vm_peek(vm, DATA, copy, pages * PAGE));
	EXPECT_EQ(pages * WORDS, matching(copy, pages, seed + 3));
	EXPECT_EQ(0, pvm_resident(mem, pages * PAGE));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
}

TEST_F_TIMEOUT(guest, page_there_and_back, SEV_TEST_SECONDS)
{
	static uint8_t copy[PAGE] __aligned(4096);

	BOOT(.program = SEV_GUEST_CONVERT, .args = { DATA, 1, 100, 3 });
	for (int i = 0; i < 3; i++)
		convert_round(_metadata, self, 1, 100 + i * SEV_CONVERT_SEEDS, copy);
	RUN(&self->vm.vcpus[0], DONE);
	EXPECT_EQ(6, self->convert.requests);
}

/* All from there to the end: pages that the guest maps by 4 KiB, and by 2 MiB. */
TEST_F_TIMEOUT(guest, range_there_and_back, 2 * SEV_TEST_SECONDS)
{
	static uint8_t copy[768 * PAGE] __aligned(4096);

	BOOT(.program = SEV_GUEST_CONVERT, .pages = 1024, .args = { DATA, 768, 200, 2 });
	for (int i = 0; i < 2; i++)
		convert_round(_metadata, self, 768, 200 + i * SEV_CONVERT_SEEDS, copy);
	RUN(&self->vm.vcpus[0], DONE);
	EXPECT_EQ(4, self->convert.calls);
}

static blkcnt_t blocks(int file)
{
	struct stat st;

	return fstat(file, &st) ? -1 : st.st_blocks;
}

/* A page that nobody touches is not there, whatever the size of the guest. */
TEST_F_TIMEOUT(guest, resident_follows_touch, SEV_TEST_SECONDS)
{
	const uint64_t pages = 65536, stride = 64;
	struct sev_vm *vm = &self->vm;
	long touched = (pages - LAUNCHED) / stride;

	BOOT(.program = SEV_GUEST_TOUCH, .pages = pages, .launch_pages = LAUNCHED,
	     .args = { DATA, pages - LAUNCHED, stride, 7 });
	EXPECT_EQ((long)LAUNCHED, pvm_file_pages(vm->file));
	EXPECT_EQ(0, pvm_resident(vm->mem, pages * PAGE));
	RUN(&vm->vcpus[0], DONE);
	EXPECT_EQ((uint64_t)touched, vm->vcpus[0].values[0]);
	EXPECT_EQ((long)LAUNCHED + touched, pvm_file_pages(vm->file));
	EXPECT_EQ((blkcnt_t)((LAUNCHED + touched) * (PAGE / 512)), blocks(vm->file));
	EXPECT_EQ(0, pvm_resident(vm->mem, pages * PAGE));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
}

/* Two vCPUs with ranges of their own, as fast as they can. */
struct runner {
	struct sev_vcpu *vcpu;
	struct sev_convert *convert;
	unsigned int ms;
	enum sev_event event;
};

static void *run_until_deadline(void *data)
{
	struct runner *r = data;

	r->event = sev_vcpu_run_converting(r->vcpu, r->convert, SEV_RUN_DEADLINE_MS);
	if (r->event == SEV_EVENT_SYNC)
		r->event = sev_vcpu_run_converting(r->vcpu, r->convert, r->ms);
	return NULL;
}

TEST_F_TIMEOUT(guest, two_vcpus_convert, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	struct runner runners[2];
	pthread_t threads[2];

	BOOT(.program = SEV_GUEST_CHURN, .vcpus = 2, .args = { DATA, 100 });
	for (int i = 0; i < 2; i++) {
		runners[i] = (struct runner) { &vm->vcpus[i], &self->convert, 3000, SEV_EVENT_ERROR };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, run_until_deadline, &runners[i]));
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(SEV_EVENT_DEADLINE, runners[i].event) {
			TH_LOG("%s: %s", sev_event_name(runners[i].event), vm->error);
		}
	}
	EXPECT_EQ(0, self->convert.error);
	EXPECT_LT(20, self->convert.requests);
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
}

/* Sixteen times the memory of this host: what counts is what is used of it. */
TEST_F_TIMEOUT(guest, far_larger_than_the_host, SEV_TEST_SECONDS)
{
	const uint64_t gib = 64, pages = gib << 30 >> 12, stride = 8192, touched = pages / stride;
	struct sev_vm *vm = &self->vm;

	BOOT(.program = SEV_GUEST_TOUCH, .launch_pages = LAUNCHED, .far_gib = gib,
	     .args = { SEV_GUEST_FAR, pages, stride, 11 });
	EXPECT_EQ((long)LAUNCHED, pvm_file_pages(vm->file));
	RUN(&vm->vcpus[0], DONE);
	EXPECT_EQ(touched, vm->vcpus[0].values[0]);
	EXPECT_EQ((long)(LAUNCHED + touched), pvm_file_pages(vm->file));
	/* To the last page, and back from all of it in one call. */
	ASSERT_EQ(0, pvm_punch(vm->file, 0, (vm->cfg.pages + pages) * PAGE));
	EXPECT_EQ(0, pvm_file_pages(vm->file));
}

/* A page that is punched without a word to the guest comes back empty; the guest sees that. */
TEST_F_TIMEOUT(guest, punched_behind_its_back, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	BOOT(.program = SEV_GUEST_CONVERT, .args = { DATA, 1, 400, 1 });
	RUN_UNTIL(SEV_SYNC_SHARED);
	fill(vm->mem + DATA, 1, 401);
	RUN_UNTIL(SEV_SYNC_WRITTEN);
	RUN_UNTIL(SEV_SYNC_PRIVATE);
	RUN_UNTIL(SEV_SYNC_REWRITTEN);
	ASSERT_EQ(0, pvm_punch(vm->file, DATA, PAGE));
	RUN(&vm->vcpus[0], ASSERT);
	EXPECT_EQ((long)vm->cfg.pages, pvm_file_pages(vm->file));
}

/* A private frame without a slot, or whose slot is gone, is a fault and no device. */
TEST_F_TIMEOUT(guest, slot_taken_away, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	struct sev_vcpu *vcpu = &vm->vcpus[0];

	BOOT(.program = SEV_GUEST_COUNT, .args = { DATA });
	OK(sev_vm_set_slot(vm, 0, 0, NULL, 0, -1, 0));
	RUN(vcpu, FAULT);
	EXPECT_EQ(-EFAULT, vcpu->run_error);
	EXPECT_EQ(KVM_MEMORY_EXIT_FLAG_PRIVATE, vcpu->run->memory_fault.flags);
	EXPECT_EQ(PAGE, vcpu->run->memory_fault.size);
	EXPECT_GT(DATA, vcpu->run->memory_fault.gpa);
	/* The file still holds it all. */
	OK(sev_vm_set_slot(vm, 0, 0, vm->mem, vm->cfg.pages, vm->file, 0));
	RUN(vcpu, DONE);
	EXPECT_EQ(1, vcpu->values[0]);
}

/* Dirty pages are logged for VMs of this type, private ones among them. */
TEST_F_TIMEOUT(guest, dirty_log, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	uint64_t bitmap[SEV_DEFAULT_PAGES / 64] = { 0 };
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };
	struct kvm_userspace_memory_region2 region = {
		.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES,
	};
	uint64_t page = DATA / PAGE;

	BOOT(.program = SEV_GUEST_COUNT, .args = { DATA });
	region.memory_size = vm->cfg.pages * PAGE;
	region.userspace_addr = (uintptr_t)vm->mem;
	region.guest_memfd = vm->file;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region));
	RUN(&vm->vcpus[0], DONE);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(1, bitmap[page / 64] >> page % 64 & 1);
	/* Of the others from there on the guest has used none. */
	EXPECT_EQ(1ull << page % 64, bitmap[page / 64]);
	for (uint64_t i = page / 64 + 1; i < ARRAY_SIZE(bitmap); i++)
		EXPECT_EQ(0, bitmap[i]);
}

TEST_HARNESS_MAIN
