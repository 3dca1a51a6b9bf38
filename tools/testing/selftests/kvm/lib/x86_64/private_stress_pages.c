// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of the stress test: their locks, drops of their content, and conversions.
 *
 * Locking: see private_stress_abi.h. A converter holds the locks of its whole range alone, taken in
 * ascending order with a bounded wait: a vCPU may keep one for as long as it cannot get a page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private_stress.h"

/* Looks at a page that somebody uses before a converter chooses another range. */
#define LOCK_PATIENCE	64
#define ACCESSES_PER_CONVERSION	2

static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;

uint64_t stress_random(uint64_t *state)
{
	uint64_t z;

	*state += 0x9e3779b97f4a7c15ull;
	z = *state;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Report a failure, the first few of them, and end the combination. */
void stress_fail(struct stress *s, const char *format, ...)
{
	static int reported;
	va_list args;

	pthread_mutex_lock(&output_lock);
	if (reported++ < 8) {
		printf("# ");
		va_start(args, format);
		vprintf(format, args);
		va_end(args);
		printf("\n");
		fflush(stdout);
	}
	pthread_mutex_unlock(&output_lock);
	__atomic_store_n(&s->failed, true, __ATOMIC_RELAXED);
	__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
}

bool stress_stopping(struct stress *s)
{
	return __atomic_load_n(&s->stop, __ATOMIC_RELAXED);
}

/* RLIMIT_MEMLOCK is enough, unless pages of files that were replaced are still there. */
bool stress_over_limit(struct stress *s, int error)
{
	return error == -EDQUOT && s->actors & STRESS_REOPEN;
}

/* A descriptor of its own for the file that is in use: it may be replaced at any time. */
int stress_file_get(struct stress *s)
{
	int fd;

	pthread_rwlock_rdlock(&s->file_lock);
	fd = fcntl(s->file, F_DUPFD_CLOEXEC, 0);
	pthread_rwlock_unlock(&s->file_lock);
	if (fd < 0)
		stress_fail(s, "cannot duplicate the restricted memfd: %s", strerror(errno));
	return fd;
}

/* Where a page of the private-capable slots is in the file: the second slot comes first. */
off_t stress_file_offset(unsigned int page)
{
	unsigned int at;

	at = page < STRESS_SLOT_PAGES ? page + STRESS_SLOT_PAGES : page - STRESS_SLOT_PAGES;
	return (off_t)at * PVM_PAGE;
}

void stress_drop_begin(struct stress *s, unsigned int first, unsigned int end)
{
	for (unsigned int i = first; i < end; i++) {
		__atomic_fetch_add(&s->ctl->page[i].dropping, 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&s->ctl->page[i].drops, 1, __ATOMIC_SEQ_CST);
	}
}

void stress_drop_end(struct stress *s, unsigned int first, unsigned int end)
{
	for (unsigned int i = first; i < end; i++)
		__atomic_fetch_sub(&s->ctl->page[i].dropping, 1, __ATOMIC_SEQ_CST);
}

/* Split a range of pages where the slots meet: the other part, if any, is the next call's. */
static unsigned int part_end(unsigned int first, unsigned int end, unsigned int border)
{
	return first < border && end > border ? border : end;
}

int stress_punch(struct stress *s, unsigned int first, unsigned int end)
{
	int fd = stress_file_get(s), ret = 0;
	unsigned int next;

	pthread_rwlock_rdlock(&s->give_lock);
	for (; !ret && first < end; first = next) {
		next = part_end(first, end, STRESS_SLOT_PAGES);
		do {
			ret = pvm_punch(fd, stress_file_offset(first), (next - first) * PVM_PAGE);
		} while (ret == -EINTR);
	}
	pthread_rwlock_unlock(&s->give_lock);
	if (ret)
		stress_fail(s, "punch of page %u: %s", first, strerror(-ret));
	close(fd);
	return ret;
}

static int discard_shmem(struct stress *s, unsigned int first, unsigned int end)
{
	return fallocate(s->shmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (first - STRESS_SLOT_PAGES) * PVM_PAGE,
			 (end - first) * PVM_PAGE);
}

/* Under memory pressure nothing may be given up that then cannot be had again: it is cleared. */
static void clear_shared(struct stress *s, unsigned int first, unsigned int end)
{
	for (unsigned int i = first; i < end; i++)
		for (unsigned int v = 0; v < STRESS_MAX_VCPUS; v++)
			*(volatile uint64_t *)(s->shared + i * PVM_PAGE +
					       STRESS_LOCKED_WORD(v)) = 0;
}

int stress_discard(struct stress *s, unsigned int first, unsigned int end)
{
	unsigned int next;
	int ret = 0;

	if (s->actors & STRESS_SQUEEZE) {
		clear_shared(s, first, end);
		return 0;
	}
	for (; !ret && first < end; first = next) {
		next = part_end(first, end, STRESS_SLOT_PAGES);
		if (first < STRESS_SLOT_PAGES)
			ret = madvise(s->shared + first * PVM_PAGE,
				      (next - first) * PVM_PAGE, MADV_DONTNEED);
		else
			ret = discard_shmem(s, first, next);
	}
	if (ret)
		stress_fail(s, "discard of shared page %u: %s", first, strerror(errno));
	return ret;
}

static bool lock_page(struct stress_page *page)
{
	if (__atomic_fetch_or(&page->lock, STRESS_WRITER_LOCK, __ATOMIC_ACQUIRE) &
	    STRESS_WRITER_LOCK)
		return false;
	for (int i = 0; i < LOCK_PATIENCE; i++) {
		if (__atomic_load_n(&page->lock, __ATOMIC_ACQUIRE) == STRESS_WRITER_LOCK)
			return true;
		sched_yield();
	}
	__atomic_fetch_and(&page->lock, ~STRESS_WRITER_LOCK, __ATOMIC_RELEASE);
	return false;
}

void stress_unlock_pages(struct stress *s, unsigned int first, unsigned int end)
{
	for (unsigned int i = first; i < end; i++)
		__atomic_fetch_and(&s->ctl->page[i].lock, ~STRESS_WRITER_LOCK, __ATOMIC_RELEASE);
}

/* The pages from @first on that could be locked; returns their end. */
unsigned int stress_lock_pages(struct stress *s, unsigned int first, unsigned int end)
{
	unsigned int i;

	for (i = first; i < end && lock_page(&s->ctl->page[i]); i++)
		;
	return i;
}

static int set_private(struct stress *s, unsigned int first, unsigned int end, bool private)
{
	int ret;

	for (unsigned int vm = 0; vm < s->nr_vms; vm++) {
		do {
			ret = pvm_set_private(&s->vm[vm], STRESS_DATA_GPA + first * PVM_PAGE,
					      (end - first) * PVM_PAGE, private);
		} while (ret == -EINTR);
		/* All or nothing: there is one VM when memory is short. */
		if (ret == -ENOMEM && s->actors & STRESS_SQUEEZE)
			return ret;
		if (ret) {
			stress_fail(s, "attributes of pages [%u, %u): %s", first, end,
				    strerror(-ret));
			return ret;
		}
	}
	return 0;
}

/* Locks held alone. A page that has the state already keeps its content. */
static void pages_converted(struct stress *s, unsigned int first, unsigned int end, bool private)
{
	for (unsigned int i = first; i < end; i++) {
		struct stress_page *page = &s->ctl->page[i];

		if (page->private == private)
			continue;
		page->private = private;
		page->gen++;
		memset(page->mine, 0, sizeof(page->mine));
		/* A drop that goes on may hit the new half. */
		__atomic_store_n(&page->drops, __atomic_load_n(&page->dropping, __ATOMIC_SEQ_CST),
				 __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&s->converted_pages, 1, __ATOMIC_RELAXED);
	}
}

static void convert(struct stress *s, unsigned int first, unsigned int end, bool private)
{
	if (set_private(s, first, end, private))
		return;
	pages_converted(s, first, end, private);
	if (private)
		stress_discard(s, first, end);
	else
		stress_punch(s, first, end);
	__atomic_fetch_add(&s->conversions, 1, __ATOMIC_RELAXED);
}

/* Mostly a few pages among those that all vCPUs use; at times any range, at times everything. */
static void choose_range(struct stress_thread *t, unsigned int *first, unsigned int *end)
{
	uint64_t r = stress_random(&t->rng);
	unsigned int among = r & 3 ? 64 : STRESS_PRIVATE_PAGES, most = 8;

	r >>= 2;
	if (!(r & 15))
		most = 512;
	r >>= 4;
	if (!(r & 255))
		most = STRESS_PRIVATE_PAGES;
	if (most == STRESS_PRIVATE_PAGES)
		among = most;
	r >>= 8;
	*first = r % among;
	r >>= 16;
	*end = *first + 1 + r % most;
	if (*end > STRESS_PRIVATE_PAGES)
		*end = STRESS_PRIVATE_PAGES;
}

/*
 * While a conversion goes on no vCPU can map a page, and conversions without a break would leave
 * vCPUs nothing to do. They get their share of checked accesses for each one.
 */
static bool ahead_of_vcpus(struct stress *s)
{
	unsigned long conversions = __atomic_load_n(&s->conversions, __ATOMIC_RELAXED);
	unsigned long accesses = 0;

	for (unsigned int i = 0; i < STRESS_MAX_VCPUS; i++)
		accesses += __atomic_load_n(&s->ctl->vcpu[i].locked, __ATOMIC_RELAXED);
	return conversions * ACCESSES_PER_CONVERSION > accesses;
}

void stress_convert_round(struct stress_thread *t)
{
	struct stress *s = t->s;
	unsigned int first, end, locked;

	if (ahead_of_vcpus(s)) {
		usleep(100);
		return;
	}
	choose_range(t, &first, &end);
	locked = stress_lock_pages(s, first, end);
	if (locked > first)
		convert(s, first, locked, stress_random(&t->rng) & 1);
	stress_unlock_pages(s, first, locked);
}
