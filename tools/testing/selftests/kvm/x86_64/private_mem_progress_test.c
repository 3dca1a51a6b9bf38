// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU goes on while another thread punches, or converts, a great many pages. Only faults wait
 * for a change, because none of the VM's addresses can be mapped meanwhile: of a punch they wait
 * for one part, of a conversion for its end, but not for a signal longer than for anything else.
 *
 * What a vCPU does is counted, not timed: each round is an exit to this program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"

/* Enough pages for a change to take many times as long as a round. */
#define SIZE		(128 * PVM_MIB)
/* If all waited for the end of a change there would be none, but those at its begin and end. */
#define ROUNDS		10
/* The vCPU's own pages, in a slot and a file of their own. */
#define OWN		(PVM_DATA + PVM_GIB)
#define OWN_SIZE	(16 * PVM_PAGE)
/* Changes to see something that the scheduler has a say in. */
#define TRIES		10

FIXTURE(progress) {
	struct pvm vm;
	int fd, own_fd;
	void *hva, *own_hva;
	pthread_t thread;
	bool faults;		/* each round has to map its page */
	atomic_bool stop, changing;
	atomic_ulong rounds;
	atomic_ulong interrupted;	/* while a change was under way */
	atomic_int error;
};

static void ignore(int sig __attribute__((unused)))
{
}

FIXTURE_SETUP(progress)
{
	struct sigaction action = { .sa_handler = ignore };
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, pvm_create(vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(vm, 2));
	self->fd = pvm_create_file(NULL, PVM_RESTRICTED, SIZE);
	self->own_fd = pvm_create_file(NULL, PVM_RESTRICTED, OWN_SIZE);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->own_fd);
	self->hva = pvm_map(SIZE);
	self->own_hva = pvm_map(OWN_SIZE);
	ASSERT_NE(NULL, self->hva);
	ASSERT_NE(NULL, self->own_hva);
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, pvm_add_slot(vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, self->fd, 0));
	ASSERT_EQ(0, pvm_add_slot(vm, PVM_SLOT + 1, OWN, OWN_SIZE, self->own_hva, self->own_fd, 0));
	ASSERT_EQ(0, pvm_set_private(vm, OWN, OWN_SIZE, true));
}

FIXTURE_TEARDOWN(progress)
{
	pvm_destroy(&self->vm);
	close(self->own_fd);
	close(self->fd);
	munmap(self->own_hva, OWN_SIZE);
	munmap(self->hva, SIZE);
}

/* All pages are there and mapped, without the exits of as many faults. */
static int map_all(FIXTURE_DATA(progress) *self)
{
	struct kvm_pre_fault_memory range = { .gpa = PVM_DATA, .size = SIZE };

	while (range.size)
		if (ioctl(self->vm.vcpu[0].fd, KVM_PRE_FAULT_MEMORY, &range) && errno != EINTR)
			return -errno;
	return 0;
}

/* One write of the second vCPU, gone on with when a signal has ended KVM_RUN. */
static int write_own(FIXTURE_DATA(progress) *self, uint64_t gpa, uint64_t value)
{
	struct pvm_cmd write = { .op = PVM_WRITE, .addr = gpa, .value = value };
	int ret = pvm_command(&self->vm, 1, &write);

	while (ret == -EINTR) {
		self->interrupted += self->changing;
		ret = pvm_resume(&self->vm, 1);
	}
	return ret;
}

/* Rounds of writes to pages of its own; those that shall fault give the page back before. */
static void *run_vcpu(void *data)
{
	FIXTURE_DATA(progress) *self = data;
	int ret = 0;

	for (uint64_t i = 0; !self->stop && !ret; i++) {
		uint64_t at = i * PVM_PAGE % OWN_SIZE;

		if (self->faults)
			ret = pvm_punch(self->own_fd, at, PVM_PAGE);
		if (!ret)
			ret = write_own(self, OWN + at, i);
		self->rounds++;
	}
	self->error = ret;
	return NULL;
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(progress) *self, bool faults)
{
	ASSERT_EQ(0, pvm_fill_pages(&self->vm, OWN, OWN_SIZE, 1, 1));
	self->faults = faults;
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, run_vcpu, self));
	while (self->rounds < 2 * OWN_SIZE / PVM_PAGE && !self->error)
		usleep(1000);
}

static void stop(struct __test_metadata *_metadata, FIXTURE_DATA(progress) *self)
{
	self->stop = true;
	pthread_join(self->thread, NULL);
	EXPECT_EQ(0, self->error);
}

/* Rounds that begin and end within the call. */
#define ROUNDS_OF(call) ({					\
	unsigned long before_ = self->rounds, after_;		\
								\
	self->changing = true;					\
	ASSERT_EQ(0, call);					\
	self->changing = false;					\
	after_ = self->rounds;					\
	TH_LOG("%lu rounds of the vCPU", after_ - before_);	\
	after_ - before_ > 2 ? after_ - before_ - 2 : 0;	\
})

/* Faults, of other pages than those that go. */
TEST_F_TIMEOUT(progress, punch, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, map_all(self));
	start(_metadata, self, true);
	EXPECT_LE(ROUNDS, ROUNDS_OF(pvm_punch(self->fd, 0, SIZE)));
	stop(_metadata, self);
	EXPECT_EQ(0, pvm_file_pages(self->fd));
}

/* Whoever has its pages is not disturbed by a conversion of others. */
TEST_F_TIMEOUT(progress, conversion, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, map_all(self));
	start(_metadata, self, false);
	EXPECT_LE(ROUNDS, ROUNDS_OF(pvm_set_private(&self->vm, PVM_DATA, SIZE, true)));
	stop(_metadata, self);
}

static void *signal_all_the_time(void *data)
{
	FIXTURE_DATA(progress) *self = data;

	while (!self->stop) {
		if (self->changing)
			pthread_kill(self->thread, SIGUSR1);
		usleep(500);
	}
	return NULL;
}

/* A fault that waits for a conversion is ended by a signal, and comes to its page afterwards. */
TEST_F_TIMEOUT(progress, signal_in_a_fault, PVM_TEST_SECONDS)
{
	pthread_t signals;
	bool private = true;

	start(_metadata, self, true);
	ASSERT_EQ(0, pthread_create(&signals, NULL, signal_all_the_time, self));
	for (int i = 0; i < TRIES && !self->interrupted; i++, private = !private) {
		ASSERT_EQ(0, map_all(self));
		ROUNDS_OF(pvm_set_private(&self->vm, PVM_DATA, SIZE, private));
	}
	EXPECT_LT(0, self->interrupted);
	stop(_metadata, self);
	pthread_join(signals, NULL);
	EXPECT_EQ((long)(OWN_SIZE / PVM_PAGE), pvm_file_pages(self->own_fd));
}

TEST_HARNESS_MAIN
