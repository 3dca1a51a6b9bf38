// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages on the shared side: one mapping of 2 MiB must not cover a private page. If it did, the guest
 * would use the VMM's memory where it believes to be alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"

#define HUGE	(2 * PVM_MIB)
#define SIZE	(2 * HUGE)
#define PAGES	(SIZE / PVM_PAGE)

#define PRIVATE_VALUE	0x1111000000000000ull
#define SHARED_VALUE	0x2222000000000000ull

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

FIXTURE(huge) {
	struct pvm vm;
	int fd;
	void *hva;
	bool hugetlb;
};

FIXTURE_VARIANT(huge) {
	bool hugetlb;
};

FIXTURE_VARIANT_ADD(huge, transparent) {
	.hugetlb = false,
};

FIXTURE_VARIANT_ADD(huge, hugetlb) {
	.hugetlb = true,
};

static int reserve_huge_pages(void)
{
	int fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY | O_CLOEXEC);
	int ret = fd < 0 || write(fd, "8", 1) != 1 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

/* What lies at @addr comes from a file of huge pages. */
static int map_hugetlb(void *addr)
{
	int fd = memfd_create("shared", MFD_CLOEXEC | MFD_HUGETLB);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, SIZE) ||
	    mmap(addr, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != addr)
		ret = -errno;
	close(fd);
	return ret;
}

FIXTURE_SETUP(huge)
{
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->fd = pvm_create_file(&self->vm, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, self->fd);
	self->hva = pvm_map(SIZE);
	ASSERT_NE(NULL, self->hva);
	if (variant->hugetlb) {
		ASSERT_EQ(0, reserve_huge_pages());
		ASSERT_EQ(0, map_hugetlb(self->hva));
	}
	self->hugetlb = variant->hugetlb;
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, self->fd, 0));
}

FIXTURE_TEARDOWN(huge)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

/* How many huge pages KVM has mapped: that there were some tells that a test tested something. */
#define MAPPED_HUGE(n)	EXPECT_EQ((n), pvm_vm_stat(&self->vm, "pages_2m"))

static int fill_shared(FIXTURE_DATA(huge) *self)
{
	if (!self->hugetlb && madvise(self->hva, SIZE, MADV_HUGEPAGE))
		return -errno;
	for (uint64_t page = 0; page < PAGES; page++)
		*(uint64_t *)(self->hva + page * PVM_PAGE) = SHARED_VALUE + PVM_DATA + page * PVM_PAGE;
	return 0;
}

static int64_t check_shared(FIXTURE_DATA(huge) *self)
{
	return pvm_check_pages(&self->vm, PVM_DATA, SIZE, SHARED_VALUE, 1);
}

/* Make one page private under, or before, a huge mapping; the guest writes to it and to all others. */
static void one_private_page(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self, uint64_t hole)
{
	const uint64_t gpa = PVM_DATA + hole * PVM_PAGE;
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, pvm_set_private(vm, gpa, PVM_PAGE, true));
	EXPECT_EQ(0, pvm_check(vm, gpa, PVM_PAGE, 0, 0));
	ASSERT_EQ(0, pvm_fill(vm, gpa, PVM_PAGE, PRIVATE_VALUE, 1));
	for (uint64_t page = 0; page < PAGES; page++)
		if (page != hole)
			ASSERT_EQ(0, pvm_write(vm, PVM_DATA + page * PVM_PAGE + 8, page));
	EXPECT_EQ(0, pvm_check(vm, gpa, PVM_PAGE, PRIVATE_VALUE, 1));
	/* The huge page with the hole is mapped by small ones, the other as before. */
	MAPPED_HUGE(1);
	for (uint64_t page = 0; page < PAGES; page++) {
		const uint64_t *at = self->hva + page * PVM_PAGE;

		ASSERT_EQ(SHARED_VALUE + PVM_DATA + page * PVM_PAGE, at[0]);
		ASSERT_EQ(page == hole ? 0 : page, at[1]);
	}
	EXPECT_EQ(1, pvm_file_pages(self->fd));
}

TEST_F_TIMEOUT(huge, hole_in_a_mapping, PVM_TEST_SECONDS)
{
	const uint64_t holes[] = { 0, 1, HUGE / PVM_PAGE - 1, HUGE / PVM_PAGE, PAGES - 1 };

	ASSERT_EQ(0, fill_shared(self));
	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		for (uint64_t page = 0; page < PAGES; page++)
			((uint64_t *)(self->hva + page * PVM_PAGE))[1] = 0;
		ASSERT_EQ(0, check_shared(self));
		one_private_page(_metadata, self, holes[i]);
		ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, false));
		ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
	}
	ASSERT_EQ(0, check_shared(self));
}

/* Whole again, a huge page may be mapped as one. */
TEST_F_TIMEOUT(huge, mapped_huge, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, fill_shared(self));
	ASSERT_EQ(0, check_shared(self));
	MAPPED_HUGE(2);
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, HUGE, true));
	ASSERT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, HUGE, 0, 0));
	MAPPED_HUGE(1);
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, HUGE, false));
	EXPECT_EQ(0, check_shared(self));
	MAPPED_HUGE(2);
}

/* The hole is there before the huge page is, and the huge page before it is first mapped. */
TEST_F_TIMEOUT(huge, hole_before_the_first_mapping, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA + 7 * PVM_PAGE, PVM_PAGE, true));
	ASSERT_EQ(0, fill_shared(self));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA + 7 * PVM_PAGE, PVM_PAGE, false));
	ASSERT_EQ(0, check_shared(self));
	MAPPED_HUGE(2);
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, fill_shared(self));
	one_private_page(_metadata, self, 7);
}

/* The kernel makes a huge page of small ones beneath a private page. */
TEST_F_TIMEOUT(huge, collapsed, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;
	const uint64_t gpa = PVM_DATA + 9 * PVM_PAGE;

	/* Huge pages of hugetlb are never anything else. */
	if (variant->hugetlb)
		return;
	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA, SIZE, SHARED_VALUE, 1));
	MAPPED_HUGE(0);
	ASSERT_EQ(0, pvm_set_private(vm, gpa, PVM_PAGE, true));
	ASSERT_EQ(0, pvm_fill(vm, gpa, PVM_PAGE, PRIVATE_VALUE, 1));
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_HUGEPAGE));
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_COLLAPSE));
	EXPECT_EQ(0, pvm_check(vm, gpa, PVM_PAGE, PRIVATE_VALUE, 1));
	ASSERT_EQ(0, pvm_check_pages(vm, PVM_DATA, 9 * PVM_PAGE, SHARED_VALUE, 1));
	ASSERT_EQ(0, pvm_check_pages(vm, gpa + PVM_PAGE, SIZE - 10 * PVM_PAGE, SHARED_VALUE, 1));
	MAPPED_HUGE(1);
	EXPECT_EQ(0, pvm_check(vm, gpa, PVM_PAGE, PRIVATE_VALUE, 1));
}

/* Only one word of a huge page's 512 pages tells them apart: every second one private. */
TEST_F_TIMEOUT(huge, checkered, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, fill_shared(self));
	ASSERT_EQ(0, check_shared(self));
	for (uint64_t page = 0; page < PAGES; page += 2)
		ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA + page * PVM_PAGE, PVM_PAGE, true));
	for (uint64_t page = 0; page < PAGES; page++)
		ASSERT_EQ(0, pvm_write(vm, PVM_DATA + page * PVM_PAGE + 8, page + 1));
	MAPPED_HUGE(0);
	EXPECT_EQ(PAGES / 2, pvm_file_pages(self->fd));
	for (uint64_t page = 0; page < PAGES; page++)
		ASSERT_EQ(page % 2 ? page + 1 : 0, ((uint64_t *)(self->hva + page * PVM_PAGE))[1]);
}

TEST_HARNESS_MAIN
