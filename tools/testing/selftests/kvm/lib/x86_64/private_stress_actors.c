// SPDX-License-Identifier: GPL-2.0-only
/*
 * Actors of the stress test: who they are, and those that need nothing but KVM and the file.
 *
 * Locking: see private_stress.h. Each actor is a thread that does rounds until the test stops; a
 * round leaves all slots in place.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/falloc.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "private_stress.h"

#define MAX_ACTORS	16
#define HOSTRW_PAGES	32
#define MAX_PUNCH	32
/* Conversions beyond those wanted, for what is rare to come about. */
#define PATIENCE	10000

static void count(unsigned long *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static bool known_word(uint64_t got, uint64_t tag, uint64_t writer, unsigned int page)
{
	return !got || STRESS_WITHOUT_GEN(got) ==
		       STRESS_WITHOUT_GEN(STRESS_SIGNATURE(tag, writer, page, 0, 0));
}

static void mapping_failed(struct stress *s, unsigned int page, unsigned int offset, uint64_t got)
{
	stress_fail(s, "the mapping of page %u (%s) has 0x%016llx at 0x%x", page,
		    s->ctl->page[page].private ? "private" : "shared",
		    (unsigned long long)got, offset);
}

/* Whatever the state of the page: nothing meant for its private half is ever in the mapping. */
static void check_shared_half(struct stress *s, unsigned int page)
{
	const uint8_t *at = s->shared + page * PVM_PAGE;
	uint64_t got;

	for (unsigned int v = 0; v < STRESS_MAX_VCPUS; v++) {
		got = *(volatile uint64_t *)(at + STRESS_LOCKED_WORD(v));
		if (!known_word(got, STRESS_SHARED, v, page))
			mapping_failed(s, page, STRESS_LOCKED_WORD(v), got);
		got = *(volatile uint64_t *)(at + STRESS_RACED_WORD(v));
		if (!known_word(got, STRESS_RACED, v, page))
			mapping_failed(s, page, STRESS_RACED_WORD(v), got);
	}
	got = *(volatile uint64_t *)(at + STRESS_NO_WORD);
	if (got)
		mapping_failed(s, page, STRESS_NO_WORD, got);
}

static void hostrw_round(struct stress_thread *t)
{
	struct stress *s = t->s;
	uint64_t r = stress_random(&t->rng);
	unsigned int page = r % STRESS_PAGES;

	for (unsigned int i = 0; i < HOSTRW_PAGES; i++, page++) {
		if (page == STRESS_PAGES)
			page = 0;
		check_shared_half(s, page);
		if (r >> (32 + i) & 1)
			*(volatile uint64_t *)(s->shared + page * PVM_PAGE + STRESS_HOST_WORD) =
				STRESS_SIGNATURE(STRESS_HOST, STRESS_HOST_WRITER, page, 0, i);
	}
	count(&s->host_reads);
}

static void punch_round(struct stress_thread *t)
{
	uint64_t r = stress_random(&t->rng);
	unsigned int first = (r & 1 ? r >> 1 & 63 : (r >> 1) % STRESS_PRIVATE_PAGES);
	unsigned int end = first + 1 + (r >> 32) % MAX_PUNCH;

	if (end > STRESS_PRIVATE_PAGES)
		end = STRESS_PRIVATE_PAGES;
	stress_drop_begin(t->s, first, end);
	stress_punch(t->s, first, end);
	stress_drop_end(t->s, first, end);
	count(&t->s->punches);
}

static void slot_failed(struct stress *s, enum stress_slot slot, const char *what, int ret)
{
	stress_fail(s, "%s of slot %u: %s", what, slot, strerror(-ret));
}

/* The dirty log of the ordinary slot goes on, is read, and goes off. */
static void log_plain_slot(struct stress_thread *t, struct pvm *vm)
{
	uint64_t bitmap[STRESS_PLAIN_PAGES / 64];
	struct kvm_dirty_log log = { .slot = STRESS_PLAIN_SLOT, .dirty_bitmap = bitmap };
	int ret;

	ret = stress_set_slot(t->s, vm, STRESS_PLAIN_SLOT, true);
	for (int i = 0; !ret && i < 3; i++) {
		usleep(stress_random(&t->rng) % 300);
		ret = ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) ? -errno : 0;
	}
	if (!ret)
		ret = stress_set_slot(t->s, vm, STRESS_PLAIN_SLOT, false);
	if (ret)
		slot_failed(t->s, STRESS_PLAIN_SLOT, "dirty log", ret);
	count(&t->s->logs);
}

static void slots_round(struct stress_thread *t)
{
	struct stress *s = t->s;
	uint64_t r = stress_random(&t->rng);
	struct pvm *vm = &s->vm[r % s->nr_vms];
	enum stress_slot slot = STRESS_ANON_SLOT + (r >> 8) % 3;
	int ret;

	pthread_mutex_lock(&s->slots_lock);
	if (slot == STRESS_PLAIN_SLOT && r >> 16 & 1) {
		log_plain_slot(t, vm);
	} else {
		ret = pvm_delete_slot(vm, slot);
		if (ret)
			slot_failed(s, slot, "deletion", ret);
		usleep((r >> 32) % 300);
		ret = stress_set_slot(s, vm, slot, false);
		if (ret)
			slot_failed(s, slot, "creation", ret);
	}
	pthread_mutex_unlock(&s->slots_lock);
	count(&s->slot_changes);
}

/* slots_lock held, no slot bound to the file. Which of the two exists first is left to chance. */
static int replace_file(struct stress *s, bool close_first)
{
	int ret = 0, fd, old;

	pthread_rwlock_wrlock(&s->file_lock);
	pthread_rwlock_rdlock(&s->give_lock);
	old = s->file;
	if (close_first)
		close(old);
	fd = pvm_create_file(NULL, PVM_RESTRICTED, STRESS_PRIVATE_PAGES * PVM_PAGE);
	if (fd < 0)
		ret = fd;
	if (!close_first)
		close(old);
	s->file = fd;
	pthread_rwlock_unlock(&s->give_lock);
	pthread_rwlock_unlock(&s->file_lock);
	return ret;
}

static void reopen_round(struct stress_thread *t)
{
	struct stress *s = t->s;
	int ret = 0;

	pthread_mutex_lock(&s->slots_lock);
	stress_drop_begin(s, 0, STRESS_PRIVATE_PAGES);
	for (unsigned int i = 0; !ret && i < s->nr_vms; i++) {
		ret = pvm_delete_slot(&s->vm[i], STRESS_ANON_SLOT);
		if (!ret)
			ret = pvm_delete_slot(&s->vm[i], STRESS_SHMEM_SLOT);
	}
	if (!ret)
		ret = replace_file(s, stress_random(&t->rng) & 1);
	for (unsigned int i = 0; !ret && i < s->nr_vms; i++) {
		ret = stress_set_slot(s, &s->vm[i], STRESS_ANON_SLOT, false);
		if (!ret)
			ret = stress_set_slot(s, &s->vm[i], STRESS_SHMEM_SLOT, false);
	}
	stress_drop_end(s, 0, STRESS_PRIVATE_PAGES);
	if (ret)
		stress_fail(s, "a new file for the slots: %s", strerror(-ret));
	pthread_mutex_unlock(&s->slots_lock);
	count(&s->reopened);
}

static void cycle_punch_round(struct stress_thread *t)
{
	struct stress *s = t->s;
	uint64_t r = stress_random(&t->rng);
	uint64_t first = r % STRESS_CYCLE_PAGES;
	uint64_t pages = 1 + (r >> 16) % (STRESS_CYCLE_PAGES - first);
	int mode = FALLOC_FL_KEEP_SIZE;

	if (r >> 32 & 3)
		mode |= FALLOC_FL_PUNCH_HOLE;
	if (fallocate(s->cycle_file, mode, first * PVM_PAGE, pages * PVM_PAGE) &&
	    !stress_over_limit(s, -errno))
		stress_fail(s, "fallocate of the file of passing VMs: %s", strerror(errno));
}

static const struct {
	unsigned int actor;
	void (*round)(struct stress_thread *t);
	unsigned int pause_us;
} actors[] = {
	{ STRESS_HOSTRW, hostrw_round, 500 },
	{ STRESS_PUNCH, punch_round, 500 },
	{ STRESS_SLOTS, slots_round, 5000 },
	{ STRESS_HVA, stress_hva_round, 1000 },
	{ STRESS_REOPEN, reopen_round, 20000 },
	{ STRESS_CYCLE, stress_cycle_round, 2000 },
	{ STRESS_CYCLE, cycle_punch_round, 500 },
	{ STRESS_SQUEEZE, stress_squeeze_round, 50000 },
	{ STRESS_POISON, stress_poison_round, 20000 },
};

static void *actor_thread(void *thread)
{
	struct stress_thread *t = thread;

	while (!stress_stopping(t->s)) {
		t->round(t);
		if (t->pause_us)
			usleep(stress_random(&t->rng) % t->pause_us);
	}
	return NULL;
}

static void start_thread(struct stress_thread *t, void *(*run)(void *))
{
	int error = pthread_create(&t->thread, NULL, run, t);

	if (error) {
		fprintf(stderr, "pthread_create: %s\n", strerror(error));
		_exit(1);
	}
}

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Each vCPU has looked at pages with their lock and without. */
static bool idle_vcpu(struct stress *s)
{
	for (unsigned int i = 0; i < s->vcpus + (s->nr_vms > 1); i++)
		if (!__atomic_load_n(&s->ctl->vcpu[i].locked, __ATOMIC_RELAXED) ||
		    !__atomic_load_n(&s->ctl->vcpu[i].raced, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* An actor that did nothing, or had no effect, would make its combination a lie. */
static const char *idle_actor(struct stress *s)
{
	const struct {
		unsigned int actor;
		const unsigned long *done;
		const char *name;
	} work[] = {
		{ STRESS_HOSTRW, &s->host_reads, "reads of the host" },
		{ STRESS_PUNCH, &s->punches, "punches" },
		{ STRESS_SLOTS, &s->slot_changes, "slot changes" },
		{ STRESS_SLOTS, &s->logs, "dirty logs" },
		{ STRESS_HVA, &s->drops, "drops of pages" },
		{ STRESS_HVA, &s->unmaps, "unmappings" },
		{ STRESS_HVA, &s->forks, "forks" },
		{ STRESS_HVA, &s->merges, "merged pages" },
		{ STRESS_HVA, &s->collapses, "huge pages" },
		{ STRESS_HVA, &s->moves, "moved pages" },
		{ STRESS_PREFAULT, &s->prefaults, "pre-faults" },
		{ STRESS_REOPEN, &s->reopened, "new files" },
		{ STRESS_CYCLE, &s->cycles, "passing VMs" },
		{ STRESS_SQUEEZE, &s->memory_faults, "pages refused at the limit" },
		{ STRESS_POISON, &s->poisoned_private, "private pages broken" },
		{ STRESS_POISON, &s->poisoned_shared, "shared pages broken" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(work); i++)
		if (s->actors & work[i].actor && !__atomic_load_n(work[i].done, __ATOMIC_RELAXED))
			return work[i].name;
	return idle_vcpu(s) ? "accesses of a vCPU" : NULL;
}

/* As many as are wanted, and more as long as something has not come about yet. */
static bool enough(struct stress *s)
{
	unsigned long made = __atomic_load_n(&s->conversions, __ATOMIC_RELAXED);

	return made >= s->target && (!idle_actor(s) || made >= s->target + PATIENCE);
}

static void wait_for_conversions(struct stress *s)
{
	time_t end = now() + s->seconds;

	while (!stress_stopping(s) && (!s->seconds || now() < end) && !enough(s))
		usleep(10000);
	if (!s->failed && idle_actor(s))
		stress_fail(s, "no %s in %lu conversions", idle_actor(s), s->conversions);
	__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
}

static unsigned int start_actors(struct stress *s, struct stress_thread *threads)
{
	unsigned int n = 0;

	for (; n < s->converters; n++)
		threads[n].round = stress_convert_round;
	for (unsigned int i = 0; i < ARRAY_SIZE(actors); i++) {
		if (!(s->actors & actors[i].actor))
			continue;
		threads[n].round = actors[i].round;
		threads[n++].pause_us = actors[i].pause_us;
	}
	for (unsigned int i = 0; i < n; i++) {
		threads[i].s = s;
		threads[i].rng = s->seed ^ (uint64_t)(i + 1) << 32;
		start_thread(&threads[i], actor_thread);
	}
	return n;
}

/*
 * Run vCPUs, converters and actors until enough conversions were made or something failed. At the
 * end the vCPUs look at all of their memory, undisturbed.
 */
void stress_run_actors(struct stress *s)
{
	struct stress_thread threads[MAX_ACTORS] = {}, vcpus[STRESS_MAX_VCPUS] = {};
	unsigned int nr_vcpus = s->vcpus + (s->nr_vms > 1), nr_threads;

	for (unsigned int i = 0; i < nr_vcpus; i++) {
		vcpus[i] = (struct stress_thread) { .s = s, .number = i, .rng = s->seed + i };
		start_thread(&vcpus[i], stress_vcpu_thread);
	}
	nr_threads = start_actors(s, threads);
	wait_for_conversions(s);
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i].thread, NULL);
	for (unsigned int i = 0; i < nr_vcpus; i++)
		__atomic_store_n(&s->ctl->vcpu[i].mode, STRESS_VERIFY, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < nr_vcpus; i++)
		pthread_join(vcpus[i].thread, NULL);
}
