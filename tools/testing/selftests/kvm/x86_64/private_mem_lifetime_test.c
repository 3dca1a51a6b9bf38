// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of private memory, VMs and memslots come and go in any order, while others use them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"

#define SIZE	(2 * PVM_MIB)
#define PAGES	(SIZE / PVM_PAGE)

FIXTURE(lifetime) {
	struct pvm vm;
	int fd;
	void *hva;
};

FIXTURE_VARIANT(lifetime) {
	enum pvm_file kind;
};

FIXTURE_VARIANT_ADD(lifetime, restricted) {
	.kind = PVM_RESTRICTED,
};

FIXTURE_VARIANT_ADD(lifetime, guest_memfd) {
	.kind = PVM_GUEST_MEMFD,
};

static int create_vm(struct pvm *vm)
{
	int ret = pvm_create(vm, KVM_X86_SW_PROTECTED_VM);

	return ret ? ret : pvm_add_vcpus(vm, 1);
}

static int use_file(struct pvm *vm, void *hva, int fd)
{
	int ret = pvm_add_slot(vm, PVM_SLOT, PVM_DATA, SIZE, hva, fd, 0);

	return ret ? ret : pvm_set_private(vm, PVM_DATA, SIZE, true);
}

FIXTURE_SETUP(lifetime)
{
	self->hva = pvm_map(SIZE);
	ASSERT_NE(NULL, self->hva);
	ASSERT_EQ(0, create_vm(&self->vm));
	self->fd = pvm_create_file(&self->vm, variant->kind, SIZE);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, use_file(&self->vm, self->hva, self->fd));
}

FIXTURE_TEARDOWN(lifetime)
{
	munmap(self->hva, SIZE);
}

/* The slot keeps the file. */
TEST_F_TIMEOUT(lifetime, file_closed_first, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE / 2, 1, 1));
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE / 2, 1, 1));
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA + SIZE / 2, SIZE / 2, 1, 1));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE, 1, 1));
	pvm_destroy(&self->vm);
}

/* What the file holds outlives the VM; a file of its own is of no use to another, but can be punched. */
TEST_F_TIMEOUT(lifetime, vm_destroyed_first, PVM_TEST_SECONDS)
{
	struct pvm other;

	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE, 1, 1));
	pvm_destroy(&self->vm);
	EXPECT_EQ(PAGES, pvm_file_pages(self->fd));

	ASSERT_EQ(0, create_vm(&other));
	if (variant->kind == PVM_RESTRICTED) {
		ASSERT_EQ(0, use_file(&other, self->hva, self->fd));
		EXPECT_EQ(0, pvm_check_pages(&other, PVM_DATA, SIZE, 1, 1));
	} else {
		EXPECT_EQ(-EINVAL, use_file(&other, self->hva, self->fd));
	}
	ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE / 2));
	EXPECT_EQ(PAGES / 2, pvm_file_pages(self->fd));
	pvm_destroy(&other);
	ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
	EXPECT_EQ(0, pvm_file_pages(self->fd));
	ASSERT_EQ(0, close(self->fd));
}

/* A vCPU keeps the VM, and with it the file, after both descriptors are closed. */
TEST_F_TIMEOUT(lifetime, only_vcpu_left, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE, 1, 1));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_EQ(0, close(self->vm.fd));
	self->vm.fd = -1;
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE, 1, 1));
	pvm_destroy(&self->vm);
}

/* The memory of a process that dies is free again: as often as it is taken, more than there is. */
TEST_F_TIMEOUT(lifetime, pages_come_back, PVM_TEST_SECONDS)
{
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE, i, 1));
		EXPECT_EQ(PAGES, pvm_file_pages(self->fd));
		ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
		EXPECT_EQ(0, pvm_file_pages(self->fd));
		EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE, 0, 0));
	}
	pvm_destroy(&self->vm);
	close(self->fd);
}

struct puncher {
	pthread_t thread;
	int fd;
	atomic_bool stop;
	atomic_ulong punches;
	int error;
};

static void *punch_all_the_time(void *data)
{
	struct puncher *p = data;
	unsigned int seed = 1;

	while (!p->stop && !p->error) {
		uint64_t at = rand_r(&seed) % PAGES, n = rand_r(&seed) % (PAGES - at) + 1;

		p->error = pvm_punch(p->fd, at * PVM_PAGE, n * PVM_PAGE);
		p->punches++;
	}
	return NULL;
}

static int start_puncher(struct puncher *p, int fd)
{
	*p = (struct puncher){ .fd = dup(fd) };
	return p->fd < 0 ? -errno : -pthread_create(&p->thread, NULL, punch_all_the_time, p);
}

static int stop_puncher(struct puncher *p)
{
	p->stop = true;
	pthread_join(p->thread, NULL);
	close(p->fd);
	return p->error;
}

/* One after the other VM, whose end meets a punch at any moment. */
TEST_F_TIMEOUT(lifetime, vm_destroyed_while_punched, PVM_TEST_SECONDS)
{
	struct puncher punchers[2];
	int fd;

	for (int i = 0; i < 20; i++) {
		if (i) {
			ASSERT_EQ(0, create_vm(&self->vm));
			fd = pvm_create_file(&self->vm, variant->kind, SIZE);
			ASSERT_LE(0, fd);
			self->fd = fd;
			ASSERT_EQ(0, use_file(&self->vm, self->hva, fd));
		}
		for (size_t j = 0; j < ARRAY_SIZE(punchers); j++)
			ASSERT_EQ(0, start_puncher(&punchers[j], self->fd));
		ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, SIZE, i, 1));
		if (i % 2)
			close(self->fd);
		pvm_destroy(&self->vm);
		if (!(i % 2))
			close(self->fd);
		for (size_t j = 0; j < ARRAY_SIZE(punchers); j++)
			EXPECT_EQ(0, stop_puncher(&punchers[j]));
	}
}

/* The same for slots, of a VM that lives on. */
TEST_F_TIMEOUT(lifetime, slot_deleted_while_punched, PVM_TEST_SECONDS)
{
	struct puncher puncher;

	ASSERT_EQ(0, start_puncher(&puncher, self->fd));
	for (int i = 0; i < 60; i++) {
		ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, 32 * PVM_PAGE, i, 1));
		ASSERT_EQ(0, pvm_delete_slot(&self->vm, PVM_SLOT));
		ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE, self->hva,
					  self->fd, 0));
	}
	EXPECT_LT(0, puncher.punches);
	EXPECT_EQ(0, stop_puncher(&puncher));
	ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
	EXPECT_EQ(0, pvm_check_pages(&self->vm, PVM_DATA, SIZE, 0, 0));
	pvm_destroy(&self->vm);
	close(self->fd);
}

static unsigned long dirty_pages(struct pvm *vm, uint32_t slot, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };
	unsigned long n = 0;

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
		return -errno;
	for (size_t i = 0; i < PAGES / 64; i++)
		n += __builtin_popcountll(bitmap[i]);
	return n;
}

/* The log of a slot without a file; slots with one have none, and do not show in others. */
TEST_F_TIMEOUT(lifetime, dirty_log, PVM_TEST_SECONDS)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = PVM_SLOT + 1,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.guest_phys_addr = PVM_DATA + SIZE,
		.memory_size = SIZE,
	};
	uint64_t bitmap[PAGES / 64] = {};
	void *hva = pvm_map(SIZE);
	struct pvm *vm = &self->vm;

	ASSERT_NE(NULL, hva);
	region.userspace_addr = (uintptr_t)hva;
	ASSERT_EQ(0, pvm_set_region(vm, &region));
	EXPECT_EQ(0, dirty_pages(vm, PVM_SLOT + 1, bitmap));
	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA, SIZE, 1, 1));
	EXPECT_EQ(0, dirty_pages(vm, PVM_SLOT + 1, bitmap));
	EXPECT_EQ((unsigned long)-ENOENT, dirty_pages(vm, PVM_SLOT, bitmap));

	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA + SIZE, 8 * PVM_PAGE, 2, 1));
	ASSERT_EQ(0, pvm_write(vm, PVM_DATA + SIZE + 70 * PVM_PAGE, 3));
	EXPECT_EQ(9, dirty_pages(vm, PVM_SLOT + 1, bitmap));
	EXPECT_EQ(0xff, bitmap[0]);
	EXPECT_EQ(1 << 6, bitmap[1]);
	/* Write-protected anew, and the private pages are what they were. */
	ASSERT_EQ(0, pvm_write(vm, PVM_DATA + SIZE, 4));
	ASSERT_EQ(0, pvm_write(vm, PVM_DATA, 4));
	EXPECT_EQ(1, dirty_pages(vm, PVM_SLOT + 1, bitmap));
	region.flags = 0;
	ASSERT_EQ(0, pvm_set_region(vm, &region));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA + PVM_PAGE, SIZE - PVM_PAGE, 1, 1));
	EXPECT_EQ(4, *(uint64_t *)hva);
	pvm_destroy(vm);
	close(self->fd);
	munmap(hva, SIZE);
}

TEST_HARNESS_MAIN
