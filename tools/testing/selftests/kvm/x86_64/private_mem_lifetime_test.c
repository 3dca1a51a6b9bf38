// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of private memory, VMs and memslots come and go in any order, while others use them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE	(2 * PVM_MIB)
#define PAGES	(SIZE / PVM_PAGE)
#define MANY_SLOTS	64u

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

/* All of the memory, private, in as many slots. */
static int use_file_in_slots(struct pvm *vm, void *hva, int fd, unsigned int slots)
{
	const uint64_t size = SIZE / slots;

	for (unsigned int i = 0; i < slots; i++) {
		int ret = pvm_add_slot(vm, PVM_SLOT + i, PVM_DATA + i * size, size, hva + i * size, fd, i * size);

		if (ret)
			return ret;
	}
	return pvm_set_private(vm, PVM_DATA, SIZE, true);
}

static int use_file(struct pvm *vm, void *hva, int fd)
{
	return use_file_in_slots(vm, hva, fd, 1);
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

/* A file that was emptied is as a new one, again and again. */
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

/* Each punch finds a page: the file's users are not told of one that finds none. */
static void *punch_all_the_time(void *data)
{
	struct puncher *p = data;
	unsigned int seed = 1;

	while (!p->stop && !p->error) {
		uint64_t at = rand_r(&seed) % PAGES, n = rand_r(&seed) % (PAGES - at) + 1;

		p->error = rmem_alloc(p->fd, at, 1);
		if (!p->error)
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

/*
 * One after the other VM, whose end meets a punch at any moment. Those with many slots are long in freeing
 * them: who still looks for one then finds others that are gone.
 */
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
			ASSERT_EQ(0, use_file_in_slots(&self->vm, self->hva, fd, i / 2 % 2 ? MANY_SLOTS : 1));
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

/* A VMM in a process of its own: tells the number of its file, and has the guest write until both are killed. */
static void be_vmm(int tell, enum pvm_file kind)
{
	void *hva = pvm_map(SIZE);
	struct pvm vm;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!hva || create_vm(&vm))
		_exit(1);
	fd = pvm_create_file(&vm, kind, SIZE);
	if (fd < 0 || use_file(&vm, hva, fd) || write(tell, &fd, sizeof(fd)) != sizeof(fd))
		_exit(2);
	for (int i = 0; !pvm_fill_pages(&vm, PVM_DATA, SIZE, i, 1); i++)
		;
	_exit(3);
}

/* The file of a process, when the process says which it is. */
static int file_of(pid_t pid, int told)
{
	int pidfd = syscall(__NR_pidfd_open, pid, 0), number, fd = -1;

	if (pidfd >= 0 && read(told, &number, sizeof(number)) == sizeof(number))
		fd = syscall(__NR_pidfd_getfd, pidfd, number, 0);
	if (pidfd >= 0)
		close(pidfd);
	return fd;
}

/*
 * The VMM is killed in the middle of everything: its address space goes first, and with it all mappings
 * of the guest, then the VM. The file lives on in this process, which punches it all the time.
 */
TEST_F_TIMEOUT(lifetime, vmm_killed_while_punched, PVM_TEST_SECONDS)
{
	struct puncher punchers[2];
	int pipes[2], status, fd;
	pid_t pid;

	pvm_destroy(&self->vm);
	close(self->fd);
	ASSERT_EQ(0, pipe(pipes));
	for (int i = 0; i < 20; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			be_vmm(pipes[1], variant->kind);
		fd = file_of(pid, pipes[0]);
		ASSERT_LE(0, fd);
		for (size_t j = 0; j < ARRAY_SIZE(punchers); j++)
			ASSERT_EQ(0, start_puncher(&punchers[j], fd));
		usleep(i * 3000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
			TH_LOG("the VMM's status is %#x", status);
		}
		for (size_t j = 0; j < ARRAY_SIZE(punchers); j++)
			EXPECT_EQ(0, stop_puncher(&punchers[j]));
		/* Nobody has the pages any more. */
		ASSERT_EQ(0, pvm_punch(fd, 0, SIZE));
		EXPECT_EQ(0, pvm_file_pages(fd));
		close(fd);
	}
	close(pipes[0]);
	close(pipes[1]);
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

#define HARD_OFFLINE	"/sys/devices/system/memory/hard_offline_page"
/* Each breaks a page of the machine for good. */
#define POISONS		8
#define POISON_PAGES	16

struct poisoner {
	unsigned long pfn;
	atomic_bool go;
	int error;
};

static void *poison(void *data)
{
	struct poisoner *p = data;
	char address[32];

	snprintf(address, sizeof(address), "%#lx", p->pfn * PVM_PAGE);
	while (!p->go)
		;
	p->error = rmem_write(HARD_OFFLINE, address);
	return NULL;
}

/*
 * A memory error of a page that the guest has, against the end of the VM, and every other time against
 * that of the file too. The file's users are told of an error while there are any.
 */
TEST_F_TIMEOUT(lifetime, vm_destroyed_while_poisoned, PVM_TEST_SECONDS)
{
	unsigned long pfns[POISON_PAGES] = { 0 };
	struct rmem_trace trace = { 0 };
	struct poisoner poisoner;
	pthread_t thread;
	int fd = -1;

	ASSERT_EQ(0, rmem_trace_start(&trace));
	for (int i = 0; i < POISONS; i++) {
		bool closed = i % 2;

		if (i) {
			ASSERT_EQ(0, create_vm(&self->vm));
			self->fd = pvm_create_file(&self->vm, variant->kind, SIZE);
			ASSERT_LE(0, self->fd);
			ASSERT_EQ(0, use_file(&self->vm, self->hva, self->fd));
		}
		ASSERT_EQ(0, pvm_fill_pages(&self->vm, PVM_DATA, POISON_PAGES * PVM_PAGE, i, 1));
		ASSERT_EQ((i + 1) * POISON_PAGES, rmem_trace_pfns(&trace, pfns, POISON_PAGES));
		poisoner = (struct poisoner){ .pfn = pfns[i] };
		ASSERT_EQ(0, pthread_create(&thread, NULL, poison, &poisoner));
		fd = self->fd;
		if (closed)
			close(fd);
		poisoner.go = true;
		usleep(i * 100);
		pvm_destroy(&self->vm);
		pthread_join(thread, NULL);
		if (closed)
			continue;
		/* The VM's end is not the page's: the error has found it. */
		EXPECT_EQ(0, poisoner.error);
		EXPECT_EQ(POISON_PAGES - 1, pvm_file_pages(fd));
		EXPECT_EQ(-EHWPOISON, rmem_alloc(fd, i, 1));
		close(fd);
	}
	rmem_trace_stop(&trace);
}

TEST_HARNESS_MAIN
