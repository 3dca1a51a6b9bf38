// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each flush that guards a page of an SEV guest is needed: the kernel leaves one out, and the machine
 * reports the page that came into use with somebody's lines over it. With all of them in place it
 * reports nothing.
 *
 * Needs a machine that looks (coherency=strict) and a kernel that leaves out flushes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"
#include "sev_machine.h"
#include "sev_skip.h"
#include "sev_test.h"

#define PAGE	SEV_PAGE_SIZE
#define DATA	SEV_GUEST_DATA
#define FIRST	(DATA / PAGE)
#define PAGES	64ul
#define ALL	(FIRST + PAGES)
/* What is read of the disk, at most, until it lands in pages that were the guest's. */
#define DISK	(256ul << 20)

FIXTURE(strict) {
	struct sev_machine machine;
	struct sev_vm vm, other;
	struct rmem_trace trace;
	int mem;
	uint64_t before;
	unsigned long pfns[ALL];
};

static const char *not_strict(struct sev_machine *machine)
{
	if (sev_machine_open(machine))
		return "the machine has no counters";
	return sev_machine_counter(machine, SEV_COUNTER_STRICT) ? NULL : "the machine is not coherency=strict";
}

/* A VM ends, and with it all lines that a test before this one may have left. */
static int flush_all(FIXTURE_DATA(strict) *self)
{
	struct sev_vm_config cfg = { .sev = true, .memory = SEV_MEMORY_PRIVATE, .launch_pages = 1 };
	int ret = sev_vm_create(&self->other, &cfg);

	sev_vm_destroy(&self->other);
	memset(&self->other, 0, sizeof(self->other));
	return ret;
}

FIXTURE_SETUP(strict)
{
	SKIP_IF(sev_type_unavailable());
	SKIP_IF(not_strict(&self->machine));
	SKIP_IF(sev_skip_unavailable());
	self->mem = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	SKIP_IF(self->mem < 0 ? "no /dev/mem" : NULL);
	/* Pages that are given back are taken again by the same CPU first. */
	ASSERT_EQ(0, rmem_stay_on(0));
	ASSERT_EQ(0, flush_all(self));
	self->before = sev_machine_counter(&self->machine, SEV_COUNTER_VIOLATIONS);
}

FIXTURE_TEARDOWN(strict)
{
	sev_skip_end();
	rmem_trace_stop(&self->trace);
	if (self->other.cfg.sev)
		sev_vm_destroy(&self->other);
	if (self->vm.cfg.sev)
		sev_vm_destroy(&self->vm);
	close(self->mem);
	sev_machine_close(&self->machine);
}

#define OK(call)	OK_VM(&self->vm, call)

/* Reports since the last time that this was asked. */
static uint64_t reports(FIXTURE_DATA(strict) *self)
{
	uint64_t now = sev_machine_counter(&self->machine, SEV_COUNTER_VIOLATIONS);
	uint64_t n = now - self->before;

	self->before = now;
	return n;
}

/* The host uses a page of memory, whoever has it. */
static int host_reads(FIXTURE_DATA(strict) *self, unsigned long pfn)
{
	const volatile char *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->mem, pfn * PAGE);

	if (page == MAP_FAILED)
		return -errno;
	(void)*page;
	munmap((void *)page, PAGE);
	return 0;
}

static bool was_guests(FIXTURE_DATA(strict) *self, uint64_t address)
{
	for (unsigned long i = 0; i < ALL; i++) {
		if (self->pfns[i] && self->pfns[i] * PAGE == address)
			return true;
	}
	return false;
}

static bool is_asid(uint32_t asid)
{
	struct sev_cpu_info info;

	return sev_cpu_info(&info) && asid >= info.min_sev_asid && asid <= info.max_asid;
}

static const struct sev_vm_config touching = {
	.sev = true, .memory = SEV_MEMORY_PRIVATE, .pages = ALL, .launch_pages = FIRST,
	.program = SEV_GUEST_TOUCH, .args = { DATA, PAGES, 1, 3 },
};

/* A guest has written to PAGES pages, and it is known where they are. Nothing is amiss until here. */
#define BOOT() do {							\
	ASSERT_EQ(0, rmem_trace_start(&self->trace));			\
	OK(sev_vm_boot(&self->vm, &touching));				\
	RUN_VCPU(&self->vm.vcpus[0], DONE);				\
	ASSERT_EQ((long)ALL, rmem_trace_pfns(&self->trace, self->pfns, ALL));	\
	rmem_trace_stop(&self->trace);					\
	ASSERT_EQ(0, reports(self));					\
} while (0)

#define SKIP_ONE(flush)		ASSERT_EQ(0, sev_skip(flush, 1))
#define WAS_SKIPPED(flush)	EXPECT_EQ(1, sev_skipped(flush, 1))

/*
 * The host reads all pages that the guest wrote, twice. Some may have got another owner before, who was
 * reported for it: each page is reported once, one way or the other. So are pages of the image, if they
 * went too and are used by somebody.
 */
#define EXPECT_REPORTS(least, most, handle_) do {			\
	struct sev_violation v_;					\
	uint64_t n_;							\
									\
	for (unsigned long i_ = FIRST; i_ < ALL; i_++) {		\
		ASSERT_EQ(0, host_reads(self, self->pfns[i_]));		\
		ASSERT_EQ(0, host_reads(self, self->pfns[i_]));		\
	}								\
	n_ = reports(self);						\
	EXPECT_LE(least, n_);						\
	EXPECT_GE(most, n_);						\
	v_ = sev_machine_last_violation(&self->machine);		\
	EXPECT_TRUE(was_guests(self, v_.address));			\
	EXPECT_FALSE(v_.host_lines);					\
	EXPECT_GE(SEV_USE_HOST_WALK, v_.use);				\
	EXPECT_EQ(handle_, v_.handle);					\
	EXPECT_TRUE(is_asid(v_.asid));					\
} while (0)

#define EXPECT_NO_REPORTS() do {					\
	for (unsigned long i_ = FIRST; i_ < ALL; i_++)			\
		ASSERT_EQ(0, host_reads(self, self->pfns[i_]));		\
	EXPECT_EQ(0, reports(self));					\
} while (0)

TEST_F_TIMEOUT(strict, punched, SEV_TEST_SECONDS)
{
	BOOT();
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGES * PAGE));
	EXPECT_NO_REPORTS();
}

TEST_F_TIMEOUT(strict, punched_unflushed, SEV_TEST_SECONDS)
{
	BOOT();
	SKIP_ONE(SEV_SKIP_RECLAIM);
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGES * PAGE));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	EXPECT_REPORTS(PAGES, PAGES, self->vm.handle);
	/* Whatever came of it: a flush ends it. */
	ASSERT_EQ(0, pvm_punch(self->vm.file, 0, DATA));
	EXPECT_NO_REPORTS();
}

/* The pages' next owner is told of by his own zeroes. */
TEST_F_TIMEOUT(strict, punched_unflushed_and_taken, SEV_TEST_SECONDS)
{
	struct sev_violation v;
	uint64_t n;
	int fd;

	BOOT();
	SKIP_ONE(SEV_SKIP_RECLAIM);
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGES * PAGE));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	fd = rmem_create_sized(4 * PAGES);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, rmem_alloc(fd, 0, 4 * PAGES));
	n = reports(self);
	EXPECT_LE(1, n);
	EXPECT_GE(PAGES, n);
	v = sev_machine_last_violation(&self->machine);
	EXPECT_TRUE(was_guests(self, v.address));
	EXPECT_EQ(SEV_USE_HOST_WRITE, v.use);
	EXPECT_EQ(self->vm.handle, v.handle);
	close(fd);
}

/* A disk's data comes by DMA, into pages that no CPU has touched since. */
static uint64_t read_disk(FIXTURE_DATA(strict) *self)
{
	int fd = open("/dev/vda", O_RDONLY | O_CLOEXEC);
	static char buf[1 << 20];
	uint64_t n = 0;

	for (size_t done = 0; fd >= 0 && !n && done < DISK; done += sizeof(buf)) {
		if (read(fd, buf, sizeof(buf)) != sizeof(buf))
			break;
		n = reports(self);
	}
	close(fd);
	return n;
}

TEST_F_TIMEOUT(strict, punched_unflushed_then_dma, SEV_TEST_SECONDS)
{
	struct sev_violation v;

	BOOT();
	ASSERT_EQ(0, rmem_write("/proc/sys/vm/drop_caches", "1"));
	SKIP_ONE(SEV_SKIP_RECLAIM);
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGES * PAGE));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	EXPECT_LE(1, read_disk(self));
	v = sev_machine_last_violation(&self->machine);
	EXPECT_TRUE(was_guests(self, v.address));
	EXPECT_EQ(SEV_USE_DMA_WRITE, v.use);
	EXPECT_EQ(self->vm.handle, v.handle);
}

TEST_F_TIMEOUT(strict, slot_and_file, SEV_TEST_SECONDS)
{
	BOOT();
	OK(sev_vm_set_slot(&self->vm, 0, 0, NULL, 0, -1, 0));
	close(self->vm.file);
	self->vm.file = -1;
	EXPECT_NO_REPORTS();
}

TEST_F_TIMEOUT(strict, slot_unflushed_and_file, SEV_TEST_SECONDS)
{
	BOOT();
	SKIP_ONE(SEV_SKIP_RECLAIM);
	OK(sev_vm_set_slot(&self->vm, 0, 0, NULL, 0, -1, 0));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	close(self->vm.file);
	self->vm.file = -1;
	EXPECT_REPORTS(PAGES, ALL, self->vm.handle);
}

static void destroy(FIXTURE_DATA(strict) *self)
{
	sev_vm_destroy(&self->vm);
	self->vm.cfg.sev = false;
}

TEST_F_TIMEOUT(strict, vm, SEV_TEST_SECONDS)
{
	BOOT();
	destroy(self);
	EXPECT_NO_REPORTS();
}

TEST_F_TIMEOUT(strict, vm_unflushed, SEV_TEST_SECONDS)
{
	uint32_t handle;

	BOOT();
	handle = self->vm.handle;
	SKIP_ONE(SEV_SKIP_RECLAIM);
	destroy(self);
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	/* The guest is gone, and its name is still known. */
	EXPECT_REPORTS(PAGES, ALL, handle);
}

/* @file: hard_offline_page breaks it; soft_offline_page first copies it elsewhere, as compaction does. */
static int offline_page(const char *file, unsigned long pfn)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "/sys/devices/system/memory/%s", file);
	snprintf(text, sizeof(text), "%#lx", pfn * PAGE);
	return rmem_write(path, text);
}

TEST_F_TIMEOUT(strict, broken, SEV_TEST_SECONDS)
{
	BOOT();
	ASSERT_EQ(0, offline_page("hard_offline_page", self->pfns[FIRST]));
	ASSERT_EQ(0, host_reads(self, self->pfns[FIRST]));
	EXPECT_EQ(0, reports(self));
}

TEST_F_TIMEOUT(strict, broken_unflushed, SEV_TEST_SECONDS)
{
	struct sev_violation v;

	BOOT();
	SKIP_ONE(SEV_SKIP_RECLAIM);
	ASSERT_EQ(0, offline_page("hard_offline_page", self->pfns[FIRST]));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	ASSERT_EQ(0, host_reads(self, self->pfns[FIRST]));
	EXPECT_EQ(1, reports(self));
	v = sev_machine_last_violation(&self->machine);
	EXPECT_EQ(self->pfns[FIRST] * PAGE, v.address);
	EXPECT_EQ(SEV_USE_HOST_READ, v.use);
	EXPECT_EQ(self->vm.handle, v.handle);
}

/* Where the pages of the VMM's own mapping are. */
static bool find_mapped(FIXTURE_DATA(strict) *self)
{
	for (unsigned long i = FIRST; i < ALL; i++) {
		self->pfns[i] = rmem_mapping_pfn(self->vm.mem + i * PAGE);
		if (!self->pfns[i])
			return false;
	}
	return true;
}

/*
 * A guest may write with its key to what it said it would share, and so do these. The VMM has
 * touched the pages before, and its lines are flushed.
 */
#define BOOT_SHARED() do {						\
	char *mem_;							\
									\
	OK(sev_vm_boot(&self->vm, &touching));				\
	mem_ = (char *)self->vm.mem + DATA;				\
	memset(mem_, 1, PAGES * PAGE);					\
	ASSERT_TRUE(find_mapped(self));					\
	ASSERT_EQ(0, flush_all(self));					\
	OK(sev_vm_set_private(&self->vm, DATA, PAGES * PAGE, false));	\
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGES * PAGE));	\
	RUN_VCPU(&self->vm.vcpus[0], DONE);				\
	ASSERT_EQ(self->pfns[FIRST], rmem_mapping_pfn(mem_));		\
	ASSERT_EQ(0, reports(self));					\
} while (0)

static int discard_shared(FIXTURE_DATA(strict) *self)
{
	return madvise(self->vm.mem + DATA, PAGES * PAGE, MADV_DONTNEED) ? -errno : 0;
}

TEST_F_TIMEOUT(strict, shared_half, SEV_TEST_SECONDS)
{
	BOOT_SHARED();
	ASSERT_EQ(0, discard_shared(self));
	EXPECT_NO_REPORTS();
}

TEST_F_TIMEOUT(strict, shared_half_unflushed, SEV_TEST_SECONDS)
{
	BOOT_SHARED();
	SKIP_ONE(SEV_SKIP_RECLAIM);
	ASSERT_EQ(0, discard_shared(self));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	EXPECT_REPORTS(PAGES, PAGES, self->vm.handle);
}

static int move_shared(FIXTURE_DATA(strict) *self)
{
	int ret = offline_page("soft_offline_page", self->pfns[FIRST]);

	if (!ret && rmem_mapping_pfn(self->vm.mem + DATA) == self->pfns[FIRST])
		ret = -EBUSY;
	return ret;
}

TEST_F_TIMEOUT(strict, shared_half_moved, SEV_TEST_SECONDS)
{
	BOOT_SHARED();
	ASSERT_EQ(0, move_shared(self));
	EXPECT_EQ(0, reports(self));
}

TEST_F_TIMEOUT(strict, shared_half_moved_unflushed, SEV_TEST_SECONDS)
{
	struct sev_violation v;

	BOOT_SHARED();
	SKIP_ONE(SEV_SKIP_RECLAIM);
	ASSERT_EQ(0, move_shared(self));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	EXPECT_EQ(1, reports(self));
	v = sev_machine_last_violation(&self->machine);
	EXPECT_EQ(self->pfns[FIRST] * PAGE, v.address);
	EXPECT_EQ(SEV_USE_HOST_READ, v.use);
	EXPECT_EQ(self->vm.handle, v.handle);
}

/* Without a file, the VMM's pages are the guest's, and pinned until they are unregistered. */
#define BOOT_PINNED() do {						\
	struct sev_vm_config cfg_ = touching;				\
									\
	cfg_.memory = SEV_MEMORY_PINNED;				\
	OK(sev_vm_boot(&self->vm, &cfg_));				\
	RUN_VCPU(&self->vm.vcpus[0], DONE);				\
	ASSERT_TRUE(find_mapped(self));					\
	ASSERT_EQ(0, reports(self));					\
} while (0)

/* The pages stay mapped, so that no other flush is due. */
static int unregister(FIXTURE_DATA(strict) *self)
{
	return sev_vm_unregister(&self->vm, self->vm.mem, ALL * PAGE);
}

TEST_F_TIMEOUT(strict, unregistered, SEV_TEST_SECONDS)
{
	BOOT_PINNED();
	OK(unregister(self));
	EXPECT_NO_REPORTS();
}

TEST_F_TIMEOUT(strict, unregistered_unflushed, SEV_TEST_SECONDS)
{
	BOOT_PINNED();
	SKIP_ONE(SEV_SKIP_RECLAIM);
	OK(unregister(self));
	WAS_SKIPPED(SEV_SKIP_RECLAIM);
	EXPECT_REPORTS(PAGES, PAGES, self->vm.handle);
}

/* The other way round: the host's zeroes are in its caches when the guest uses the page. */
TEST_F_TIMEOUT(strict, new_pages_unflushed, SEV_TEST_SECONDS)
{
	struct sev_violation v;

	OK(sev_vm_boot(&self->vm, &touching));
	ASSERT_EQ(0, reports(self));
	ASSERT_EQ(0, sev_skip(SEV_SKIP_PREPARE, PAGES));
	RUN_VCPU(&self->vm.vcpus[0], DONE);
	EXPECT_EQ((int)PAGES, sev_skipped(SEV_SKIP_PREPARE, PAGES));
	EXPECT_EQ(PAGES, reports(self));
	v = sev_machine_last_violation(&self->machine);
	EXPECT_TRUE(v.host_lines);
	EXPECT_EQ(SEV_USE_PRIVATE, v.use);
	EXPECT_EQ(self->vm.handle, v.handle);
	EXPECT_TRUE(is_asid(v.asid));
}

/* What LAUNCH_UPDATE_DATA has copied into the guest's pages. */
TEST_F_TIMEOUT(strict, image_unflushed, SEV_TEST_SECONDS)
{
	const unsigned int pages = 4;
	struct sev_violation v;

	OK(sev_vm_create(&self->vm, &touching));
	sev_vm_load_guest(&self->vm);
	OK(sev_launch_start(&self->vm, 0, 0));
	OK(sev_launch_update(&self->vm, self->vm.mem, pages * PAGE));
	ASSERT_EQ(0, reports(self));
	SKIP_ONE(SEV_SKIP_COMMAND);
	OK(sev_launch_update(&self->vm, self->vm.mem + pages * PAGE, pages * PAGE));
	WAS_SKIPPED(SEV_SKIP_COMMAND);
	EXPECT_EQ(pages, reports(self));
	v = sev_machine_last_violation(&self->machine);
	EXPECT_TRUE(v.host_lines);
	EXPECT_EQ(SEV_USE_PSP_WRITE, v.use);
	EXPECT_EQ(self->vm.handle, v.handle);
}

/* No flush is missing here, but sense: a VMM gives a page to a second guest. */
TEST_F_TIMEOUT(strict, two_keys, SEV_TEST_SECONDS)
{
	struct sev_violation v;
	static char text[PAGE];

	ASSERT_EQ(0, rmem_trace_start(&self->trace));
	OK(sev_vm_boot(&self->vm, &touching));
	/* Before the first one writes: when no ASID is left that was not used, all caches are flushed. */
	OK_VM(&self->other, sev_vm_create_heir(&self->other, &self->vm, KVM_X86_SEV_VM));
	OK_VM(&self->other, sev_init2(&self->other, &(struct kvm_sev_init){}));
	OK_VM(&self->other, sev_vm_add_memory(&self->other));
	OK_VM(&self->other, sev_launch_start(&self->other, 0, 0));
	RUN_VCPU(&self->vm.vcpus[0], DONE);
	ASSERT_EQ((long)ALL, rmem_trace_pfns(&self->trace, self->pfns, ALL));
	/* The secure processor reads for the second what the first has written. */
	reports(self);
	OK_VM(&self->other, sev_dbg_decrypt(&self->other, self->other.mem + DATA, text, sizeof(text)));
	EXPECT_EQ(1, reports(self));
	v = sev_machine_last_violation(&self->machine);
	EXPECT_FALSE(v.host_lines);
	EXPECT_EQ(SEV_USE_PSP_READ, v.use);
	EXPECT_EQ(self->vm.handle, v.handle);
	EXPECT_EQ(self->pfns[FIRST] * PAGE, v.address);
}

TEST_HARNESS_MAIN
