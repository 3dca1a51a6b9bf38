// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault that a conversion overtakes: it saw its frame shared and asks for the VMM's page, which is
 * slow to come (a userfaultfd holds it up), and meanwhile the frame becomes private and the VMM discards
 * the shared half. The page must not come after that: it would be a page of the VMM's for a private
 * frame, and nobody would take it away. So the conversion waits for such faults.
 *
 * The other way round no conversion waits. A fault that saw its frame private is held up by a large punch
 * of the file, and meanwhile the frame becomes shared. It must not bring a page to the file any more.
 *
 * With an interrupt controller in the kernel and interrupts on, a fault of an ordinary slot may be
 * finished by a thread of the kernel's, that no conversion waits for. Slots with a file must not have
 * such faults.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE		PVM_MIB
#define RFLAGS_IF	0x202

/* How long a conversion that does not wait gets to show it. Too short hides a mistake, and invents none. */
#define PATIENCE_MS	500

FIXTURE(overtaken) {
	struct pvm vm;
	int fd, uffd;
	void *hva;
	atomic_int converted;
	int converted_with;
	uint64_t value;
	int read_with;
};

FIXTURE_VARIANT(overtaken) {
	bool irqchip;
};

FIXTURE_VARIANT_ADD(overtaken, synchronous) { .irqchip = false };
FIXTURE_VARIANT_ADD(overtaken, asynchronous) { .irqchip = true };

/* Missing pages of the mapping are the test's to bring. */
static int register_missing(int uffd, void *hva)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (unsigned long)hva, .len = SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &range))
		return -errno;
	return 0;
}

FIXTURE_SETUP(overtaken)
{
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	if (variant->irqchip)
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_CREATE_IRQCHIP));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->fd = pvm_create_file(&self->vm, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, self->fd);
	self->hva = pvm_map(SIZE);
	ASSERT_NE(NULL, self->hva);
	/* Pages of 4 KiB, or one answer would bring many. */
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, pvm_add_slot(&self->vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, self->fd, 0));
	self->uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	ASSERT_LE(0, self->uffd);
	ASSERT_EQ(0, register_missing(self->uffd, self->hva));
}

FIXTURE_TEARDOWN(overtaken)
{
	close(self->uffd);
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

static void *convert(void *arg)
{
	FIXTURE_DATA(overtaken) *self = arg;

	self->converted_with = pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, true);
	atomic_store(&self->converted, 1);
	return NULL;
}

static void *read_page(void *arg)
{
	FIXTURE_DATA(overtaken) *self = arg;

	self->read_with = pvm_read(&self->vm, PVM_DATA, &self->value);
	return NULL;
}

/* The address that the fault which comes first is about, or 0. */
static unsigned long wait_for_fault(int uffd)
{
	struct pollfd fd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&fd, 1, PVM_TEST_SECONDS * 1000) != 1 || read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		return 0;
	return msg.event == UFFD_EVENT_PAGEFAULT ? msg.arg.pagefault.address : 0;
}

static int bring_page(FIXTURE_DATA(overtaken) *self)
{
	struct uffdio_zeropage page = {
		.range = { .start = (unsigned long)self->hva, .len = PVM_PAGE },
	};

	return ioctl(self->uffd, UFFDIO_ZEROPAGE, &page) ? -errno : 0;
}

static bool converted_within(FIXTURE_DATA(overtaken) *self, int ms)
{
	while (ms-- > 0 && !atomic_load(&self->converted))
		usleep(1000);
	return atomic_load(&self->converted);
}

/* KVM halts a vCPU whose page comes asynchronously if interrupts could wake it. */
static int enable_interrupts(struct pvm *vm)
{
	struct kvm_regs regs;

	if (ioctl(vm->vcpu[0].fd, KVM_GET_REGS, &regs))
		return -errno;
	regs.rflags = RFLAGS_IF;
	return ioctl(vm->vcpu[0].fd, KVM_SET_REGS, &regs) ? -errno : 0;
}

TEST_F_TIMEOUT(overtaken, page_comes_late, PVM_TEST_SECONDS)
{
	pthread_t reader, converter;
	bool early;

	if (variant->irqchip)
		ASSERT_EQ(0, enable_interrupts(&self->vm));
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_page, self));
	ASSERT_EQ((unsigned long)self->hva, wait_for_fault(self->uffd) & ~(PVM_PAGE - 1));
	ASSERT_EQ(0, pthread_create(&converter, NULL, convert, self));

	/* What a VMM does after its conversion, as soon as it can. */
	early = converted_within(self, PATIENCE_MS);
	if (early)
		EXPECT_EQ(0, madvise(self->hva, PVM_PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, bring_page(self));
	pthread_join(converter, NULL);
	EXPECT_EQ(0, self->converted_with);
	if (!early)
		EXPECT_EQ(0, madvise(self->hva, PVM_PAGE, MADV_DONTNEED));

	/* The guest's read is done, on the private half. */
	pthread_join(reader, NULL);
	EXPECT_EQ(0, self->read_with);
	EXPECT_EQ(0, self->value);
	EXPECT_EQ(1, pvm_file_pages(self->fd));
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
}

/* A punch of so much memory is to take longer than all that happens beside it. */
#define LEAST_PUNCH	(64 * PVM_MIB)
#define MOST_PUNCH	(1024 * PVM_MIB)
#define SHARED_VALUE	0x5ead

FIXTURE(hole) {
	struct pvm vm;
	int fd;
	uint64_t *hva;
	size_t size;
	atomic_int punched, done;
	atomic_int reader;
	uint64_t value;
	int punched_with, read_with;
};

FIXTURE_SETUP(hole)
{
	self->fd = -1;
}

static void release_hole(FIXTURE_DATA(hole) *self)
{
	if (self->fd < 0)
		return;
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, self->size);
	self->fd = -1;
}

FIXTURE_TEARDOWN(hole)
{
	release_hole(self);
}

static void *punch_all(void *arg)
{
	FIXTURE_DATA(hole) *self = arg;

	self->punched_with = pvm_punch(self->fd, 0, self->size);
	atomic_store(&self->punched, 1);
	return NULL;
}

static void *read_first(void *arg)
{
	FIXTURE_DATA(hole) *self = arg;

	atomic_store(&self->reader, syscall(__NR_gettid));
	self->read_with = pvm_read(&self->vm, PVM_DATA, &self->value);
	atomic_store(&self->done, 1);
	return NULL;
}

/* The punch has begun to take pages away, or is over. */
static void wait_for_punch(FIXTURE_DATA(hole) *self)
{
	while (!atomic_load(&self->punched) && pvm_file_pages(self->fd) == (long)(self->size / PVM_PAGE))
		;
}

static bool sleeps(int tid)
{
	char path[64], text[256] = "";
	const char *name_end;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = '\0';
	close(fd);
	name_end = strrchr(text, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

/* The fault waits for the punch, or is over. */
static void wait_for_reader(FIXTURE_DATA(hole) *self)
{
	while (!atomic_load(&self->done)) {
		int tid = atomic_load(&self->reader);

		if (tid && sleeps(tid))
			break;
	}
}

/* A VM with @size bytes of private memory, all of it there. */
static int fill_hole(FIXTURE_DATA(hole) *self, size_t size)
{
	int ret = pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM);

	if (ret)
		return ret;
	self->size = size;
	atomic_store(&self->punched, 0);
	atomic_store(&self->done, 0);
	atomic_store(&self->reader, 0);
	ret = pvm_add_vcpus(&self->vm, 1);
	self->hva = ret ? NULL : pvm_add_data(&self->vm, PVM_RESTRICTED, size, &self->fd);
	if (!self->hva)
		return ret ? ret : -ENOMEM;
	self->hva[0] = SHARED_VALUE;
	ret = pvm_set_private(&self->vm, PVM_DATA, size, true);
	return ret ? ret : rmem_alloc(self->fd, 0, size / PVM_PAGE);
}

/* What a guest and its VMM do at a conversion, while a fault of the frame is held up. False: it was not. */
static bool convert_meanwhile(FIXTURE_DATA(hole) *self, int *converted_with)
{
	pthread_t puncher, reader;
	bool held;

	if (pthread_create(&puncher, NULL, punch_all, self))
		return false;
	wait_for_punch(self);
	if (pthread_create(&reader, NULL, read_first, self)) {
		pthread_join(puncher, NULL);
		return false;
	}
	wait_for_reader(self);
	*converted_with = pvm_set_private(&self->vm, PVM_DATA, PVM_PAGE, false);
	if (!*converted_with)
		*converted_with = pvm_punch(self->fd, 0, PVM_PAGE);
	held = !atomic_load(&self->punched) && !atomic_load(&self->done);
	pthread_join(puncher, NULL);
	pthread_join(reader, NULL);
	return held;
}

TEST_F_TIMEOUT(hole, stays_empty, PVM_TEST_SECONDS)
{
	int converted_with = -1;
	bool held = false;
	size_t size;

	for (size = LEAST_PUNCH; size <= MOST_PUNCH && !held; size *= 2) {
		release_hole(self);
		ASSERT_EQ(0, fill_hole(self, size));
		held = convert_meanwhile(self, &converted_with);
		ASSERT_EQ(0, converted_with);
		ASSERT_EQ(0, self->punched_with);
	}
	ASSERT_TRUE(held) TH_LOG("no punch was long enough");
	/* The guest's read is done, on the shared half, and the file is as empty as the VMM has left it. */
	EXPECT_EQ(0, self->read_with);
	EXPECT_EQ(SHARED_VALUE, self->value);
	EXPECT_EQ(0, pvm_file_pages(self->fd));
}

TEST_HARNESS_MAIN
