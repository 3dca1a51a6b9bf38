// SPDX-License-Identifier: GPL-2.0-only
/*
 * The private/shared state of guest pages: the arguments of KVM_SET_MEMORY_ATTRIBUTES, and that it sets the
 * state of the pages it was told, and of no other. The state is read back as the guest sees it: the two
 * halves of a slot hold different patterns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"

/* KVM stores the state by chunks. The slot lies across a boundary of two. */
#define CHUNK		(128 * PVM_MIB)
#define SIZE		(2 * PVM_MIB)
#define PAGES		(SIZE / PVM_PAGE)
#define BASE		(PVM_DATA + CHUNK - SIZE / 2)

#define PRIVATE_VALUE	0x1111000000000000ull
#define SHARED_VALUE	0x2222000000000000ull

FIXTURE(attributes) {
	struct pvm vm;
	int fd;
	uint64_t *hva;
	bool model[PAGES];
};

/* Each page's first word tells the page and the half. */
FIXTURE_SETUP(attributes)
{
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->fd = pvm_create_file(&self->vm, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, self->fd);
	self->hva = pvm_map(SIZE);
	ASSERT_NE(NULL, self->hva);
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, BASE, SIZE, self->hva, self->fd, 0));
	for (uint64_t page = 0; page < PAGES; page++)
		self->hva[page * PVM_PAGE / 8] = SHARED_VALUE + BASE + page * PVM_PAGE;
	ASSERT_EQ(0, pvm_set_private(&self->vm, BASE, SIZE, true));
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, BASE, SIZE, PRIVATE_VALUE, 1));
	ASSERT_EQ(0, pvm_set_private(&self->vm, BASE, SIZE, false));
}

FIXTURE_TEARDOWN(attributes)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

/* Number of the first page that is not as the model says, or PAGES. */
static size_t first_wrong_page(FIXTURE_DATA(attributes) *self)
{
	struct pvm_cmd cmd = { .op = PVM_GATHER, .addr = BASE, .len = SIZE, .step = PVM_PAGE,
			       .value = PVM_FREE };
	const uint64_t *seen = (uint64_t *)(self->vm.low + PVM_FREE);

	if (pvm_command(&self->vm, 0, &cmd))
		return 0;
	for (size_t page = 0; page < PAGES; page++)
		if (seen[page] != BASE + page * PVM_PAGE +
				  (self->model[page] ? PRIVATE_VALUE : SHARED_VALUE))
			return page;
	return PAGES;
}

/* The same change to KVM and to the model; the range may reach beyond the slot. */
static int change(FIXTURE_DATA(attributes) *self, uint64_t start, uint64_t end, bool private)
{
	for (size_t page = 0; page < PAGES; page++)
		if (BASE + page * PVM_PAGE >= start && BASE + page * PVM_PAGE < end)
			self->model[page] = private;
	return pvm_set_private(&self->vm, start, end - start, private);
}

/* Of this process: what others do on the machine does not count. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

TEST_F_TIMEOUT(attributes, arguments, PVM_TEST_SECONDS)
{
	const struct kvm_memory_attributes bad[] = {
		{ .address = BASE, .size = 0 },
		{ .address = BASE, .size = 1 },
		{ .address = BASE, .size = PVM_PAGE - 1 },
		{ .address = BASE, .size = PVM_PAGE + 1 },
		{ .address = BASE + 1, .size = PVM_PAGE },
		{ .address = BASE + 0x800, .size = PVM_PAGE },
		{ .address = -PVM_PAGE, .size = 2 * PVM_PAGE },
		{ .address = PVM_PAGE, .size = -PVM_PAGE },
		{ .address = -PVM_PAGE, .size = -PVM_PAGE },
	};
	struct kvm_memory_attributes attributes;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (int private = 0; private < 2; private++) {
			EXPECT_EQ(-EINVAL, pvm_set_private(&self->vm, bad[i].address, bad[i].size,
							   private)) {
				TH_LOG("address %#llx size %#llx", bad[i].address, bad[i].size);
			}
		}
	}
	for (int bit = 0; bit < 64; bit++) {
		attributes = (struct kvm_memory_attributes){ .address = BASE, .size = SIZE,
							     .flags = 1ull << bit };
		EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes));
		EXPECT_EQ(EINVAL, errno);
		if (1ull << bit == KVM_MEMORY_ATTRIBUTE_PRIVATE)
			continue;
		attributes.flags = 0;
		attributes.attributes = 1ull << bit | KVM_MEMORY_ATTRIBUTE_PRIVATE;
		EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_SET_MEMORY_ATTRIBUTES, NULL));
	EXPECT_EQ(EFAULT, errno);
	/* None of it changed a page. */
	EXPECT_EQ(PAGES, first_wrong_page(self));
}

/* They belong to guest addresses, not to slots. */
TEST_F_TIMEOUT(attributes, need_no_slot, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;
	void *hva = pvm_map(SIZE);

	ASSERT_NE(NULL, hva);
	EXPECT_EQ(0, pvm_set_private(vm, PVM_MMIO, SIZE, true));
	EXPECT_EQ(0, pvm_set_private(vm, PVM_MMIO, SIZE, false));
	ASSERT_EQ(0, pvm_add_slot(vm, PVM_SLOT + 1, PVM_MMIO, SIZE, hva, -1, 0));
	EXPECT_EQ(0, pvm_set_private(vm, PVM_MMIO, SIZE, true));
	EXPECT_EQ(0, pvm_set_private(vm, PVM_MMIO, SIZE, false));
	EXPECT_EQ(0, pvm_write(vm, PVM_MMIO, 1));

	/* Set while there is no slot, they hold for the slot that comes. */
	ASSERT_EQ(0, pvm_delete_slot(vm, PVM_SLOT));
	ASSERT_EQ(0, change(self, BASE + 3 * PVM_PAGE, BASE + 5 * PVM_PAGE, true));
	ASSERT_EQ(0, pvm_add_slot(vm, PVM_SLOT, BASE, SIZE, self->hva, self->fd, 0));
	EXPECT_EQ(PAGES, first_wrong_page(self));
	munmap(hva, SIZE);
}

/* Setting what is set neither loses content nor makes the guest fault again. */
TEST_F_TIMEOUT(attributes, set_again, PVM_TEST_SECONDS)
{
	int64_t faults;

	for (int private = 0; private < 2; private++) {
		ASSERT_EQ(0, change(self, BASE, BASE + SIZE, private));
		ASSERT_EQ(PAGES, first_wrong_page(self));
		faults = pvm_stat(&self->vm, 0, "pf_taken");
		ASSERT_LT(0, faults);
		ASSERT_EQ(0, change(self, BASE, BASE + SIZE, private));
		ASSERT_EQ(0, change(self, BASE + PVM_PAGE, BASE + 9 * PVM_PAGE, private));
		EXPECT_EQ(PAGES, first_wrong_page(self));
		EXPECT_EQ(faults, pvm_stat(&self->vm, 0, "pf_taken"));
	}
}

/* A page is taken out of a range that is stored as one, and put back. */
TEST_F_TIMEOUT(attributes, one_page_of_many_chunks, PVM_TEST_SECONDS)
{
	const size_t at[] = { 0, 1, PAGES / 2 - 1, PAGES / 2, PAGES - 1 };
	uint64_t gpa;

	for (int private = 0; private < 2; private++) {
		for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
			gpa = BASE + at[i] * PVM_PAGE;
			ASSERT_EQ(0, change(self, PVM_DATA - CHUNK, PVM_DATA + 4 * CHUNK, private));
			ASSERT_EQ(0, change(self, gpa, gpa + PVM_PAGE, !private));
			EXPECT_EQ(PAGES, first_wrong_page(self));
			ASSERT_EQ(0, change(self, gpa, gpa + PVM_PAGE, private));
			EXPECT_EQ(PAGES, first_wrong_page(self));
		}
	}
}

/* A place for a border: any page near the slot, or the borders of chunks and of the slot. */
static uint64_t random_border(struct random_data *random)
{
	int32_t kind, n;

	random_r(random, &kind);
	random_r(random, &n);
	switch (kind % 8) {
	case 0:
		return PVM_DATA + (n % 6 - 2) * CHUNK;
	case 1:
		return PVM_DATA - 2 * CHUNK + n % (4 * CHUNK / PVM_PAGE) * PVM_PAGE;
	case 2:
		return BASE + n % 3 * (SIZE / 2);
	default:
		return BASE + n % (PAGES + 1) * PVM_PAGE;
	}
}

TEST_F_TIMEOUT(attributes, random_changes, PVM_TEST_SECONDS)
{
	const char *given = getenv("SEED");
	unsigned int seed = given ? strtoul(given, NULL, 0) : 20221;
	struct random_data random = {};
	uint64_t start, end, swap;
	char state[64];
	int32_t private;
	size_t wrong;

	TH_LOG("SEED=%u", seed);
	ASSERT_EQ(0, initstate_r(seed, state, sizeof(state), &random));
	for (int i = 0; i < 300; i++) {
		start = random_border(&random);
		end = random_border(&random);
		random_r(&random, &private);
		if (start > end) {
			swap = start;
			start = end;
			end = swap;
		}
		if (start == end)
			continue;
		ASSERT_EQ(0, change(self, start, end, private & 1));
		/* Several changes at a time, so that they meet ranges nobody has looked at. */
		if (i % 3)
			continue;
		wrong = first_wrong_page(self);
		ASSERT_EQ(PAGES, wrong) {
			TH_LOG("change %d: [%#lx, %#lx) to %d", i, start, end, private & 1);
		}
	}
}

/* What a guest may ask for does not cost what it would if each page counted. */
TEST_F_TIMEOUT(attributes, size_costs_nothing, PVM_TEST_SECONDS)
{
	const struct {
		uint64_t start, size;
	} ranges[] = {
		{ 0, 1ull << 52 },			/* 2^40 pages */
		{ PVM_PAGE, (1ull << 52) - 3 * PVM_PAGE },
		{ 0, -PVM_PAGE },
		{ PVM_PAGE, -2 * PVM_PAGE },
	};
	double began = seconds();

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (int private = 1; private >= 0; private--) {
			ASSERT_EQ(0, change(self, ranges[i].start, ranges[i].start + ranges[i].size,
					    private));
			/* The tables and the code are in the range, too. */
			if (private)
				ASSERT_EQ(0, pvm_set_private(&self->vm, 0, PVM_LOW_SIZE, false));
			EXPECT_EQ(PAGES, first_wrong_page(self));
		}
	}
	EXPECT_GT(10, seconds() - began);
}

/* Of a machine that is no test's: 192 GiB, with borders in the middle of chunks. */
TEST_F_TIMEOUT(attributes, large_guest, PVM_TEST_SECONDS)
{
	const uint64_t start = 4 * PVM_GIB + 5 * PVM_PAGE, end = 196 * PVM_GIB - PVM_PAGE;
	double began = seconds();

	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, change(self, start, end, true));
		/* And holes, as a guest makes them for its devices. */
		for (uint64_t hole = start; hole < end; hole += 16 * PVM_GIB)
			ASSERT_EQ(0, change(self, hole, hole + 64 * PVM_MIB, false));
		ASSERT_EQ(0, change(self, start, end, false));
	}
	EXPECT_GT(10, seconds() - began);
	EXPECT_EQ(PAGES, first_wrong_page(self));
}

TEST_HARNESS_MAIN
