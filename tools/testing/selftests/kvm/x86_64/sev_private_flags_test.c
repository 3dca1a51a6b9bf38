// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flags of a memslot that is bound to a file change all the time: its dirty log goes on, is read and
 * goes off, and each change replaces the slot's object. Meanwhile the file is punched and filled,
 * two vCPUs write to the slot's pages and have them converted. Nothing gets lost that was not
 * punched, and on the debug kernel nobody uses an object that is gone.
 *
 * Of the types with private memory only the SEV ones have a dirty log.
 *
 * Locking: conversions and discards are under the lock of struct sev_convert; the other threads
 * share nothing but counters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/falloc.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "sev_convert.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define SECONDS		600
#define PAGE		SEV_PAGE_SIZE
#define PAGES		1024ul
#define DATA		SEV_GUEST_DATA
#define FIRST		(DATA / PAGE)
/* Of each vCPU; what is behind is only the file's. */
#define CHURN		64ul
#define REQUESTS	400ul
#define SLICE_MS	500
/* So often must each happen while the others do. */
#define ENOUGH		100ul

FIXTURE(flags) {
	struct sev_vm vm;
	struct sev_convert convert;
	struct sev_holdings before;
	unsigned long first;		/* of the pages that are punched */
	atomic_bool stop;
	atomic_ulong changes, dirty, punches;
	atomic_int error;
};

FIXTURE_VARIANT(flags) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(flags, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_VARIANT_ADD(flags, guest_memfd) {
	.memory = SEV_MEMORY_GUEST_MEMFD,
};

FIXTURE_SETUP(flags)
{
	SKIP_IF(sev_type_unavailable());
	self->before = sev_holdings_now();
}

FIXTURE_TEARDOWN(flags)
{
	sev_convert_free(&self->convert);
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

static int set_log(struct sev_vm *vm, bool on)
{
	struct kvm_userspace_memory_region2 region = {
		.flags = KVM_MEM_GUEST_MEMFD | (on ? KVM_MEM_LOG_DIRTY_PAGES : 0),
		.memory_size = PAGES * PAGE,
		.userspace_addr = (uintptr_t)vm->mem,
		.guest_memfd = vm->file,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region) ? -errno : 0;
}

/* How many pages were written since the last time; they are write-protected again. */
static long read_log(struct sev_vm *vm)
{
	uint64_t bitmap[PAGES / 64] = { 0 };
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };
	long n = 0;

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(bitmap); i++)
		n += __builtin_popcountll(bitmap[i]);
	return n;
}

static void *change_flags(void *data)
{
	FIXTURE_DATA(flags) *self = data;
	unsigned int seed = 1;
	long n;

	while (!self->stop && !self->error) {
		n = set_log(&self->vm, true);
		for (int i = 0; n >= 0 && i < 4; i++) {
			usleep(rand_r(&seed) % 2000);
			n = read_log(&self->vm);
			self->dirty += n > 0;
		}
		if (n >= 0)
			n = set_log(&self->vm, false);
		if (n < 0)
			self->error = -n;
		usleep(rand_r(&seed) % 1000);
		self->changes += 2;
	}
	return NULL;
}

static void *punch(void *data)
{
	FIXTURE_DATA(flags) *self = data;
	unsigned int seed = 2;

	while (!self->stop && !self->error) {
		uint64_t at = self->first + rand_r(&seed) % (PAGES - self->first);
		uint64_t n = 1 + rand_r(&seed) % 32;
		int mode = FALLOC_FL_KEEP_SIZE | (rand_r(&seed) & 1 ? FALLOC_FL_PUNCH_HOLE : 0);

		if (n > PAGES - at)
			n = PAGES - at;
		if (fallocate(self->vm.file, mode, at * PAGE, n * PAGE) && errno != EINTR)
			self->error = errno;
		self->punches++;
		usleep(rand_r(&seed) % 500);
	}
	return NULL;
}

struct runner {
	FIXTURE_DATA(flags) *self;
	struct sev_vcpu *vcpu;
	enum sev_event event;
};

/* Until it is over, or it is enough. */
static void *run_vcpu(void *data)
{
	struct runner *r = data;

	do {
		r->event = sev_vcpu_run_converting(r->vcpu, &r->self->convert, SLICE_MS);
	} while ((r->event == SEV_EVENT_DEADLINE || r->event == SEV_EVENT_MMIO ||
		  (r->event == SEV_EVENT_SYNC && r->vcpu->value == 1)) && !r->self->stop);
	return NULL;
}

#define BOOT(first_, ...) do {								\
	struct sev_vm_config cfg_ = {							\
		.sev = true, .memory = variant->memory, .pages = PAGES, .vcpus = 2,	\
		__VA_ARGS__								\
	};										\
											\
	self->first = (first_);								\
	OK_VM(&self->vm, sev_vm_boot(&self->vm, &cfg_));				\
	ASSERT_EQ(0, madvise(self->vm.mem, PAGES * PAGE, MADV_DONTNEED));		\
	OK_VM(&self->vm, sev_convert_init(&self->convert, &self->vm));			\
} while (0)

/* All threads until each has done enough, or the vCPUs are at their end. */
static void run_all(struct __test_metadata *_metadata, FIXTURE_DATA(flags) *self,
		    struct runner runners[2], bool ends)
{
	pthread_t vcpus[2], flags, puncher;

	ASSERT_EQ(0, pthread_create(&flags, NULL, change_flags, self));
	ASSERT_EQ(0, pthread_create(&puncher, NULL, punch, self));
	for (int i = 0; i < 2; i++) {
		runners[i] = (struct runner) { self, &self->vm.vcpus[i], SEV_EVENT_ERROR };
		ASSERT_EQ(0, pthread_create(&vcpus[i], NULL, run_vcpu, &runners[i]));
	}
	while (!ends && !self->error &&
	       (self->changes < ENOUGH || self->punches < ENOUGH || self->dirty < ENOUGH ||
		self->convert.requests < ENOUGH))
		usleep(10000);
	if (!ends)
		self->stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(vcpus[i], NULL);
	self->stop = true;
	pthread_join(flags, NULL);
	pthread_join(puncher, NULL);
	EXPECT_EQ(0, self->error);
	EXPECT_EQ(0, self->convert.error);
	TH_LOG("%lu changes of flags, %lu reads of a log with pages, %lu punches, %lu requests",
	       self->changes, self->dirty, self->punches, self->convert.requests);
}

/* Each vCPU checks what it wrote to its own pages; others are punched. */
TEST_F_TIMEOUT(flags, nothing_lost, SECONDS)
{
	struct runner runners[2];

	BOOT(FIRST + 2 * CHURN, .program = SEV_GUEST_CHURN, .args = { DATA, CHURN });
	run_all(_metadata, self, runners, false);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(SEV_EVENT_DEADLINE, runners[i].event) {
			TH_LOG("%s: %s", sev_event_name(runners[i].event), self->vm.error);
		}
	}
}

/* Pages are punched that vCPUs use, in either view, and convert as they like. */
TEST_F_TIMEOUT(flags, in_use, SECONDS)
{
	struct runner runners[2];
	struct sev_vm *vm = &self->vm;

	BOOT(FIRST, .program = SEV_GUEST_HOSTILE, .args = { DATA, PAGES - FIRST, 77, REQUESTS });
	run_all(_metadata, self, runners, true);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(SEV_EVENT_SYNC, runners[i].event) {
			TH_LOG("%s: %s", sev_event_name(runners[i].event), vm->error);
		}
	}
	EXPECT_LT(0, self->changes);
	EXPECT_LT(0, self->dirty);
	EXPECT_LT(0, self->punches);
	/* Where pages are shared the file may hold what the puncher has put there, and no more. */
	ASSERT_EQ(0, pvm_punch(vm->file, 0, PAGES * PAGE));
	EXPECT_EQ(0, pvm_file_pages(vm->file));
}

TEST_HARNESS_MAIN
