// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of gigabytes. KVM unmaps a run of more than 1 GiB with pauses, in which it gives up the lock that
 * keeps faults out: then the rest of the protocol has to. Few pages of the slot exist, far apart, so that
 * it is the search that takes long, through a great many tables.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"

/* Up to 2.5 GiB, all of it mapped by the guest. */
#define SIZE		(1536 * PVM_MIB)
#define STEP		(2 * PVM_MIB)
#define PAGES		(SIZE / STEP)
/* More vCPUs than the host has processors, that all fault: somebody always waits for the processor. */
#define READERS		2
#define ROUNDS		4
/* Until there was a pause, which is the scheduler's to say. */
#define MOST_ROUNDS	40
/* Of parts, while the VMM discards all. */
#define CONVERSIONS	50

#define PRIVATE_VALUE	0x1111000000000000ull
#define SHARED_VALUE	0x2222000000000000ull

struct reader {
	struct pvm *vm;
	unsigned int vcpu;
	pthread_t thread;
	atomic_bool *stop;
	/* An error of an access, or what was neither half's. */
	int error;
	uint64_t strange;
	unsigned long reads;
};

FIXTURE(yield) {
	struct pvm vm;
	int fd;
	void *hva;
	struct reader readers[READERS];
	atomic_bool stop;
};

static int fill(struct pvm *vm, uint64_t value)
{
	struct pvm_cmd cmd = { .op = PVM_FILL, .addr = PVM_DATA, .len = SIZE, .value = value,
			       .mul = 1, .step = STEP };

	return pvm_command(vm, 0, &cmd);
}

/* Differences of the pages of [gpa, gpa + size), or an error. */
static int64_t check(struct pvm *vm, uint64_t gpa, uint64_t size, uint64_t value)
{
	struct pvm_cmd cmd = { .op = PVM_CHECK, .addr = gpa, .len = size, .value = value,
			       .mul = 1, .step = STEP };
	int ret = pvm_command(vm, 0, &cmd);

	return ret > 0 ? -EIO : ret ? ret : (int64_t)vm->vcpu[0].cmd->result;
}

/* Each half has its own content, which it keeps. */
FIXTURE_SETUP(yield)
{
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, pvm_create(vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(vm, 1 + READERS));
	self->fd = pvm_create_file(vm, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, self->fd);
	self->hva = pvm_map(SIZE);
	ASSERT_NE(NULL, self->hva);
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, pvm_add_slot(vm, PVM_SLOT, PVM_DATA, SIZE, self->hva, self->fd, 0));
	ASSERT_EQ(0, fill(vm, SHARED_VALUE));
	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, fill(vm, PRIVATE_VALUE));
}

FIXTURE_TEARDOWN(yield)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

/* Pages at random: each read is a fault, or ends one that has waited. */
static void *read_all_the_time(void *data)
{
	struct reader *r = data;
	struct pvm_cmd *cmd = r->vm->vcpu[r->vcpu].cmd;
	unsigned int seed = r->vcpu;

	while (!*r->stop && !r->error) {
		uint64_t gpa = PVM_DATA + rand_r(&seed) % PAGES * STEP, value;
		struct pvm_cmd read = { .op = PVM_READ, .addr = gpa };

		r->error = pvm_command(r->vm, r->vcpu, &read);
		value = cmd->result;
		/* 0: what the VMM has discarded. */
		if (value && value != PRIVATE_VALUE + gpa && value != SHARED_VALUE + gpa)
			r->strange = value;
		r->reads++;
	}
	return NULL;
}

static void start_readers(struct __test_metadata *_metadata, FIXTURE_DATA(yield) *self)
{
	for (unsigned int i = 0; i < READERS; i++) {
		self->readers[i] = (struct reader){ .vm = &self->vm, .vcpu = 1 + i, .stop = &self->stop };
		ASSERT_EQ(0, pthread_create(&self->readers[i].thread, NULL, read_all_the_time,
					    &self->readers[i]));
	}
}

static void stop_readers(struct __test_metadata *_metadata, FIXTURE_DATA(yield) *self)
{
	self->stop = true;
	for (unsigned int i = 0; i < READERS; i++) {
		struct reader *r = &self->readers[i];

		pthread_join(r->thread, NULL);
		EXPECT_EQ(0, r->error);
		EXPECT_EQ(0, r->strange);
		EXPECT_LT(0, r->reads);
	}
}

/* How often this thread has given its processor up to others without having to wait. */
static long pauses(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? -errno : usage.ru_nivcsw;
}

/*
 * A fault in a pause must not map what has been passed already: it would be there when the state has
 * changed. Nobody touches a page between the change and the look at all of them but the readers.
 */
TEST_F_TIMEOUT(yield, faults_in_a_conversion, PVM_TEST_SECONDS)
{
	bool private = true;
	long before, n = 0;
	int i;

	start_readers(_metadata, self);
	for (i = 0; i < ROUNDS || (!n && i < MOST_ROUNDS); i++) {
		private = !private;
		before = pauses();
		ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, private));
		n += pauses() - before;
		EXPECT_EQ(0, check(&self->vm, PVM_DATA, SIZE, private ? PRIVATE_VALUE : SHARED_VALUE));
	}
	stop_readers(_metadata, self);
	TH_LOG("%ld pauses in %d conversions", n, i);
	/* Or the test tests nothing. */
	EXPECT_LT(0, n);
}

static void *discard_all_the_time(void *data)
{
	FIXTURE_DATA(yield) *self = data;

	while (!self->stop)
		if (madvise(self->hva, SIZE, MADV_DONTNEED))
			return self;
	return NULL;
}

/*
 * The VMM discards all of its mapping, and KVM unmaps what is shared, with pauses; the map of what is private
 * changes meanwhile, behind a shared run that is long enough.
 */
TEST_F_TIMEOUT(yield, conversions_in_a_discard, PVM_TEST_SECONDS)
{
	const uint64_t tail = PVM_DATA + PVM_GIB + 64 * PVM_MIB, size = PVM_DATA + SIZE - tail;
	pthread_t thread;
	unsigned int seed = 1;
	void *failed;

	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, false));
	start_readers(_metadata, self);
	ASSERT_EQ(0, pthread_create(&thread, NULL, discard_all_the_time, self));
	for (int i = 0; i < CONVERSIONS; i++) {
		uint64_t at = rand_r(&seed) % (size / STEP) * STEP;

		ASSERT_EQ(0, pvm_set_private(&self->vm, tail + at, size - at, i % 2));
	}
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	EXPECT_EQ(0, check(&self->vm, PVM_DATA, SIZE, PRIVATE_VALUE));
	stop_readers(_metadata, self);
	pthread_join(thread, &failed);
	EXPECT_EQ(NULL, failed);
	EXPECT_EQ((long)PAGES, pvm_file_pages(self->fd));
}

TEST_HARNESS_MAIN
