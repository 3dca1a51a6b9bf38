// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memslots with a private half: what KVM accepts, what it refuses and how, and which VM types have it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE	(4 * PVM_MIB)

FIXTURE(slots) {
	struct pvm vm;
	int fd;
	void *hva;
};

FIXTURE_VARIANT(slots) {
	enum pvm_file kind;
};

FIXTURE_VARIANT_ADD(slots, restricted) {
	.kind = PVM_RESTRICTED,
};

FIXTURE_VARIANT_ADD(slots, guest_memfd) {
	.kind = PVM_GUEST_MEMFD,
};

FIXTURE_SETUP(slots)
{
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->fd = pvm_create_file(&self->vm, variant->kind, SIZE);
	ASSERT_LE(0, self->fd);
	self->hva = pvm_map(SIZE);
	ASSERT_NE(NULL, self->hva);
}

FIXTURE_TEARDOWN(slots)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

static struct kvm_userspace_memory_region2 good_region(const void *hva, int fd)
{
	return (struct kvm_userspace_memory_region2){
		.slot = PVM_SLOT,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = PVM_DATA,
		.memory_size = SIZE,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = fd,
	};
}

/* The good region with some fields changed must be refused with @error. */
#define REFUSED(error, ...) do {						\
	struct kvm_userspace_memory_region2 region_ =				\
		good_region(self->hva, self->fd);				\
										\
	__VA_ARGS__;								\
	EXPECT_EQ(-(error), pvm_set_region(&self->vm, &region_));		\
} while (0)

TEST_F_TIMEOUT(slots, content_outlives_the_slot, PVM_TEST_SECONDS)
{
	uint64_t value;

	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, self->fd, 0));
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE, 7, 3));
	ASSERT_EQ(0, pvm_delete_slot(&self->vm, PVM_SLOT));
	/* No slot: an access goes to a device, or where a private page should be. */
	ASSERT_EQ(-EFAULT, pvm_read(&self->vm, PVM_DATA, &value));
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));

	/* The second half of the file, where the first one was: the attributes stayed, too. */
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE / 2, self->hva, self->fd,
				  SIZE / 2));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE / 2, 7 + SIZE / 2 * 3, 3));
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT + 1, PVM_DATA + SIZE / 2, SIZE / 2,
				  self->hva, self->fd, 0));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA + SIZE / 2, SIZE / 2, 7 - SIZE / 2 * 3, 3));
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
}

TEST_F_TIMEOUT(slots, offset_and_size, PVM_TEST_SECONDS)
{
	REFUSED(EINVAL, region_.guest_memfd_offset = 0x800);
	REFUSED(EINVAL, region_.guest_memfd_offset = 1);
	REFUSED(EINVAL, region_.guest_memfd_offset = PVM_PAGE);
	REFUSED(EINVAL, region_.guest_memfd_offset = SIZE);
	REFUSED(EINVAL, region_.guest_memfd_offset = -PVM_PAGE);
	REFUSED(EINVAL, region_.guest_memfd_offset = 1ull << 63);
	REFUSED(EINVAL, region_.guest_memfd_offset = (1ull << 63) - PVM_PAGE);
	REFUSED(EINVAL, region_.memory_size = SIZE + PVM_PAGE);
	REFUSED(EINVAL, region_.memory_size = SIZE - 1);
	REFUSED(EINVAL, region_.guest_phys_addr = PVM_DATA + 1);
	REFUSED(EINVAL, region_.guest_phys_addr = -PVM_PAGE);
	REFUSED(EINVAL, region_.userspace_addr += 1);
	/* Nothing of it was kept. */
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, self->fd, 0));
}

TEST_F_TIMEOUT(slots, last_page_of_the_file, PVM_TEST_SECONDS)
{
	uint64_t value = 1;

	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, PVM_PAGE, self->hva, self->fd,
				  SIZE - PVM_PAGE));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, true));
	ASSERT_EQ(0, pvm_read(&self->vm, PVM_DATA + PVM_PAGE - 8, &value));
	EXPECT_EQ(0, value);
}

TEST_F_TIMEOUT(slots, files, PVM_TEST_SECONDS)
{
	int event = eventfd(0, EFD_CLOEXEC);
	int memfd = memfd_create("shared", MFD_CLOEXEC);
	int unsized = syscall(PVM_NR_RESTRICTED, O_CLOEXEC);

	ASSERT_LE(0, event);
	ASSERT_LE(0, memfd);
	ASSERT_LE(0, unsized);
	ASSERT_EQ(0, ftruncate(memfd, SIZE));
	REFUSED(EBADF, region_.guest_memfd = -1);
	REFUSED(EBADF, region_.guest_memfd = 1000);
	REFUSED(EINVAL, region_.guest_memfd = event);
	REFUSED(EINVAL, region_.guest_memfd = memfd);
	REFUSED(EINVAL, region_.guest_memfd = self->vm.fd);
	REFUSED(EINVAL, region_.guest_memfd = unsized);
	close(event);
	close(memfd);
	close(unsized);
}

TEST_F_TIMEOUT(slots, flags, PVM_TEST_SECONDS)
{
	REFUSED(EINVAL, region_.flags |= KVM_MEM_READONLY);
	REFUSED(EINVAL, region_.flags |= KVM_MEM_LOG_DIRTY_PAGES);
	for (int bit = 3; bit < 32; bit++)
		REFUSED(EINVAL, region_.flags |= 1u << bit);
	/* Without the file the other flags are as ever. */
	for (uint32_t flags = 0; flags < 4; flags++) {
		struct kvm_userspace_memory_region2 region = good_region(self->hva, -1);

		region.slot += flags;
		region.flags = flags;
		region.guest_phys_addr += flags * SIZE;
		EXPECT_EQ(0, pvm_set_region(&self->vm, &region));
	}
}

TEST_F_TIMEOUT(slots, second_address_space, PVM_TEST_SECONDS)
{
	REFUSED(EINVAL, region_.slot |= 1u << 16);
	REFUSED(EINVAL, region_.slot |= 1u << 16, region_.flags = 0);
}

TEST_F_TIMEOUT(slots, padding_is_not_looked_at, PVM_TEST_SECONDS)
{
	struct kvm_userspace_memory_region2 region = good_region(self->hva, self->fd);

	region.pad1 = 0x5a5a5a5a;
	for (int i = 0; i < 14; i++)
		region.pad2[i] = -1;
	EXPECT_EQ(0, pvm_set_region(&self->vm, &region));
}

TEST_F_TIMEOUT(slots, no_change_but_deletion, PVM_TEST_SECONDS)
{
	int other = pvm_create_file(&self->vm, variant->kind, SIZE);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE / 2, self->hva, self->fd, 0));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE / 2, true));
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE / 2, 1, 1));
	REFUSED(EINVAL, region_.guest_phys_addr += SIZE, region_.memory_size = SIZE / 2);
	REFUSED(EINVAL, region_.guest_memfd = other, region_.memory_size = SIZE / 2);
	REFUSED(EINVAL, region_.guest_memfd_offset = PVM_PAGE, region_.memory_size = SIZE / 2);
	REFUSED(EINVAL, region_.flags = 0, region_.memory_size = SIZE / 2);
	REFUSED(EINVAL, region_.flags = KVM_MEM_READONLY, region_.memory_size = SIZE / 2);
	REFUSED(EINVAL, region_.flags |= KVM_MEM_LOG_DIRTY_PAGES, region_.memory_size = SIZE / 2);
	REFUSED(EINVAL, region_.memory_size = SIZE);
	REFUSED(EINVAL, region_.memory_size = SIZE / 2, region_.userspace_addr += PVM_PAGE);
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE / 2, 1, 1));
	close(other);
}

TEST_F_TIMEOUT(slots, slot_without_file_gets_none, PVM_TEST_SECONDS)
{
	struct kvm_userspace_memory_region2 region = good_region(self->hva, self->fd);

	region.flags = 0;
	ASSERT_EQ(0, pvm_set_region(&self->vm, &region));
	REFUSED(EINVAL, (void)region_);
	/* Nor was the file bound in passing. */
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT + 1, PVM_DATA + SIZE, SIZE, self->hva,
				  self->fd, 0));
}

TEST_F_TIMEOUT(slots, ranges_of_a_file_do_not_overlap, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;
	const uint64_t q = SIZE / 4;
	const struct {
		uint64_t offset, size;
	} overlaps[] = {
		{ 0, q + PVM_PAGE }, { 0, SIZE }, { q, PVM_PAGE }, { q, 2 * q }, { 2 * q, q },
		{ q + PVM_PAGE, PVM_PAGE }, { 3 * q - PVM_PAGE, PVM_PAGE }, { 3 * q - PVM_PAGE, q },
	};

	ASSERT_EQ(0, pvm_add_slot(vm, 1, PVM_DATA, 2 * q, self->hva, self->fd, q));
	for (size_t i = 0; i < ARRAY_SIZE(overlaps); i++) {
		EXPECT_EQ(-EINVAL, pvm_add_slot(vm, 2, PVM_DATA + SIZE, overlaps[i].size, self->hva,
						self->fd, overlaps[i].offset)) {
			TH_LOG("offset %#lx size %#lx", overlaps[i].offset, overlaps[i].size);
		}
	}
	EXPECT_EQ(0, pvm_add_slot(vm, 2, PVM_DATA + SIZE, q, self->hva, self->fd, 0));
	EXPECT_EQ(0, pvm_add_slot(vm, 3, PVM_DATA + 2 * SIZE, q, self->hva, self->fd, 3 * q));
	EXPECT_EQ(-EINVAL, pvm_add_slot(vm, 4, PVM_DATA + 3 * SIZE, SIZE, self->hva, self->fd, 0));
	ASSERT_EQ(0, pvm_delete_slot(vm, 1));
	EXPECT_EQ(0, pvm_add_slot(vm, 4, PVM_DATA + 3 * SIZE, 2 * q, self->hva, self->fd, q));
}

/* A slot that is refused for its guest range must leave no binding behind. */
TEST_F_TIMEOUT(slots, refused_slot_binds_nothing, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;

	EXPECT_EQ(-EEXIST, pvm_add_slot(vm, 1, 0, SIZE, self->hva, self->fd, 0));
	EXPECT_EQ(0, pvm_add_slot(vm, 1, PVM_DATA, SIZE, self->hva, self->fd, 0));
}

TEST_F_TIMEOUT(slots, second_vm, PVM_TEST_SECONDS)
{
	bool restricted = variant->kind == PVM_RESTRICTED;
	struct pvm other;
	uint64_t value;

	ASSERT_EQ(0, pvm_create(&other, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&other, 1));
	ASSERT_EQ(0, pvm_add_slot(&self->vm, 1, PVM_DATA, SIZE, self->hva, self->fd, 0));
	ASSERT_EQ(restricted ? 0 : -EINVAL,
		  pvm_add_slot(&other, 1, PVM_DATA, SIZE, self->hva, self->fd, 0));
	if (restricted) {
		/* One content, but each VM has its own attributes. */
		ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
		ASSERT_EQ(0, pvm_write(&self->vm, PVM_DATA, 0x1234));
		ASSERT_EQ(0, pvm_read(&other, PVM_DATA, &value));
		EXPECT_EQ(0, value);
		ASSERT_EQ(0, pvm_set_private(&other, PVM_DATA, SIZE, true));
		ASSERT_EQ(0, pvm_read(&other, PVM_DATA, &value));
		EXPECT_EQ(0x1234, value);
		/* A punch takes the page from both. */
		ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
		ASSERT_EQ(0, pvm_read(&other, PVM_DATA, &value));
		EXPECT_EQ(0, value);
		ASSERT_EQ(0, pvm_write(&other, PVM_DATA, 0x4321));
		ASSERT_EQ(0, pvm_read(&self->vm, PVM_DATA, &value));
		EXPECT_EQ(0x4321, value);
	}
	pvm_destroy(&other);
}

/*
 * A page of the file is that page of the guest's which the slot's offset makes it, and none beside it. The
 * slots show the second half of the file first, then all of the first half but a page at each end.
 */
TEST_F_TIMEOUT(slots, punch_finds_its_page, PVM_TEST_SECONDS)
{
	const uint64_t half = SIZE / 2, second = PVM_DATA + SIZE;
	const uint64_t pages[] = { 0, 1, 255, 511 };
	struct pvm *vm = &self->vm;
	uint64_t value = 1;

	ASSERT_EQ(0, pvm_add_slot(vm, 1, PVM_DATA, half, self->hva, self->fd, half));
	ASSERT_EQ(0, pvm_add_slot(vm, 2, second, half - 2 * PVM_PAGE, self->hva, self->fd, PVM_PAGE));
	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, 2 * SIZE, true));
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		const uint64_t at = pages[i] * PVM_PAGE, behind = at + PVM_PAGE;

		ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA, half, 1, 1));
		ASSERT_EQ(0, pvm_fill_pages(vm, second, half - 2 * PVM_PAGE, 2, 1));
		ASSERT_EQ(0, pvm_punch(self->fd, half + at, PVM_PAGE));
		ASSERT_EQ(0, pvm_read(vm, PVM_DATA + at, &value));
		EXPECT_EQ(0, value);
		ASSERT_EQ(0, pvm_write(vm, PVM_DATA + at, PVM_DATA + at + 1));
		EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, half, 1, 1));
		EXPECT_EQ(0, pvm_check_pages(vm, second, half - 2 * PVM_PAGE, 2, 1));
		if (behind < half) {
			ASSERT_EQ(0, pvm_punch(self->fd, half + behind, half - behind));
			EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA + behind, half - behind, 0, 0));
		}
		EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, behind, 1, 1));
	}
	/* From the first page that a slot shows to the last one before the other slot's. */
	ASSERT_EQ(0, pvm_punch(self->fd, 0, half));
	EXPECT_EQ(0, pvm_check_pages(vm, second, half - 2 * PVM_PAGE, 0, 0));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, half, 1, 1));
}

/* A punch of what no slot shows leaves nothing open: the guest goes on, also with what it did not touch yet. */
TEST_F_TIMEOUT(slots, punch_beside_slots, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;
	int64_t faults;

	ASSERT_EQ(0, pvm_add_slot(vm, 1, PVM_DATA, SIZE / 4, self->hva, self->fd, SIZE / 4));
	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA, SIZE / 8, 1, 1));
	faults = pvm_stat(vm, 0, "pf_taken");
	ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE / 4));
	ASSERT_EQ(0, pvm_punch(self->fd, SIZE / 2, SIZE / 2));
	ASSERT_EQ(0, pvm_punch(self->fd, SIZE, SIZE));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, SIZE / 8, 1, 1));
	EXPECT_EQ(faults, pvm_stat(vm, 0, "pf_taken"));
	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA + SIZE / 8, SIZE / 8, 1, 1));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, SIZE / 4, 1, 1));
}

#define TRACED(event, what)	rmem_trace_count(&trace, event, self->fd, what)

/* What fdinfo and the events tell of slots that come and go, and of a punch of what one shows. */
TEST_F_TIMEOUT(slots, shown_and_traced, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;
	struct rmem_trace trace;
	const uint64_t q = SIZE / 4;
	char bound[128];

	ASSERT_EQ(0, rmem_trace_start(&trace));
	ASSERT_EQ(0, rmem_bound(self->fd, bound, sizeof(bound)));
	EXPECT_STREQ("", bound);
	ASSERT_EQ(0, pvm_add_slot(vm, 1, PVM_DATA, 2 * q, self->hva, self->fd, q));
	ASSERT_EQ(0, pvm_add_slot(vm, 2, PVM_DATA + SIZE, PVM_PAGE, self->hva, self->fd, 0));
	ASSERT_EQ(0, rmem_bound(self->fd, bound, sizeof(bound)));
	EXPECT_STREQ("0x0-0x1000 0x100000-0x300000", bound);
	EXPECT_EQ(1, TRACED("bind", "range 0x100-0x300"));
	EXPECT_EQ(1, TRACED("bind", "range 0x0-0x1"));
	/* One that is refused does not show. */
	EXPECT_EQ(-EINVAL, pvm_add_slot(vm, 3, PVM_DATA + 2 * SIZE, q, self->hva, self->fd, 0));
	EXPECT_EQ(0, TRACED("bind", "range 0x0-0x100"));

	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA, 3 * PVM_PAGE, 1, 1));
	ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
	EXPECT_EQ(1, TRACED("invalidate", "range 0x0-0x400"));
	EXPECT_EQ(1, TRACED("punch", "range 0x0-0x400 removed 3"));

	EXPECT_EQ(0, TRACED("unbind", "range 0x100-0x300"));
	ASSERT_EQ(0, pvm_delete_slot(vm, 1));
	EXPECT_EQ(1, TRACED("unbind", "range 0x100-0x300"));
	ASSERT_EQ(0, rmem_bound(self->fd, bound, sizeof(bound)));
	EXPECT_STREQ("0x0-0x1000", bound);
	pvm_destroy(vm);
	EXPECT_EQ(1, TRACED("unbind", "range 0x0-0x1"));
	EXPECT_EQ(-ENOENT, rmem_fdinfo(self->fd, "bound"));
	rmem_trace_stop(&trace);
}

TEST_F_TIMEOUT(slots, first_ioctl, PVM_TEST_SECONDS)
{
	struct kvm_userspace_memory_region region = {
		.slot = PVM_SLOT,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = PVM_DATA,
		.memory_size = SIZE,
		.userspace_addr = (uintptr_t)self->hva,
	};

	EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_SET_USER_MEMORY_REGION, &region));
	EXPECT_EQ(EINVAL, errno);
	region.flags = 0;
	EXPECT_EQ(0, ioctl(self->vm.fd, KVM_SET_USER_MEMORY_REGION, &region));
	/* It deletes what the second one made. */
	region.memory_size = 0;
	EXPECT_EQ(0, ioctl(self->vm.fd, KVM_SET_USER_MEMORY_REGION, &region));
	ASSERT_EQ(0, pvm_add_slot(&self->vm, 1, PVM_DATA, SIZE, self->hva, self->fd, 0));
	EXPECT_EQ(0, ioctl(self->vm.fd, KVM_SET_USER_MEMORY_REGION, &region));
	EXPECT_EQ(0, pvm_add_slot(&self->vm, 2, PVM_DATA, SIZE, self->hva, self->fd, 0));
}

TEST_HARNESS_MAIN
