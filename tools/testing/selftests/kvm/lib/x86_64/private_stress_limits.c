// SPDX-License-Identifier: GPL-2.0-only
/*
 * Actors of the stress test that take memory away: a limit of the memory cgroup, and hardware
 * errors.
 *
 * Locking: see private_stress.h. The search for a private page to break holds give_lock alone, so
 * that nobody frees the page meanwhile: its next owner could be the kernel. Cycles free pages of a
 * file of their own without it: they are not combined with memory errors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private_stress.h"

/* Each page with an error is lost to the machine. */
#define MAX_POISONED	16
/* A page that stays broken after so many punches is not touched any more. */
#define MAX_PUNCHES	8

/* Of /proc/kpageflags. */
#define KPF_UNEVICTABLE	18

#define KPF_CHUNK	2048
#define KPF_STRIDE	32
/* The first chunk of the memory that the kernel uses first, if there is so much. */
#define ABOVE_4G	((1ull << 20) / KPF_CHUNK)
/* Conversions after which all stacks and tables are there: only private pages are new. */
#define WARM_UP	50
#define SQUEEZE_MS	200

static long read_number(int fd)
{
	char text[32];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	if (len <= 0)
		return -1;
	text[len] = '\0';
	return strtol(text, NULL, 10);
}

static bool write_limit(struct stress *s, const char *limit)
{
	if (pwrite(s->limit_fd, limit, strlen(limit), 0) == (ssize_t)strlen(limit))
		return true;
	stress_fail(s, "memory.max: %s", strerror(errno));
	return false;
}

/* Until a page could not be had, or for a while. */
static void wait_for_faults(struct stress *s)
{
	unsigned long before = __atomic_load_n(&s->memory_faults, __ATOMIC_RELAXED);

	for (int ms = 0; ms < SQUEEZE_MS; ms++) {
		if (__atomic_load_n(&s->memory_faults, __ATOMIC_RELAXED) != before)
			break;
		usleep(1000);
	}
	usleep(1000);
}

/*
 * A limit below what is charged already would have the kernel call its OOM killer for it, and tell the log.
 * So nobody takes memory while the two numbers are compared.
 */
static bool limit_to_current(struct stress *s, long more)
{
	char limit[32];
	bool ok = false;
	long now;

	pthread_rwlock_wrlock(&s->run_lock);
	now = read_number(s->current_fd);
	if (now < 0) {
		stress_fail(s, "memory.current: %s", strerror(errno));
	} else {
		snprintf(limit, sizeof(limit), "%ld", now + more);
		ok = write_limit(s, limit);
	}
	pthread_rwlock_unlock(&s->run_lock);
	return ok;
}

/*
 * The process gives its private pages away, and for a while may have but a few more than what is
 * left. CPUs have pages in stock that are charged already: those must be used up first.
 */
void stress_squeeze_round(struct stress_thread *t)
{
	struct stress *s = t->s;

	if (__atomic_load_n(&s->conversions, __ATOMIC_RELAXED) < WARM_UP)
		return;
	stress_drop_begin(s, 0, STRESS_PRIVATE_PAGES);
	stress_punch(s, 0, STRESS_PRIVATE_PAGES);
	stress_drop_end(s, 0, STRESS_PRIVATE_PAGES);
	if (limit_to_current(s, stress_random(&t->rng) % 16 * PVM_PAGE))
		wait_for_faults(s);
	write_limit(s, "max");
	__atomic_fetch_add(&s->squeezed, 1, __ATOMIC_RELAXED);
}

static bool read_at(int fd, uint64_t *values, size_t n, uint64_t index)
{
	return pread(fd, values, n * 8, index * 8) == (ssize_t)(n * 8);
}

/* Of the page frames of a chunk one that holds a page of the file, or 0. */
static uint64_t private_pfn_of_chunk(int kpageflags, const uint64_t *owner, uint64_t cgroup,
				     uint64_t chunk)
{
	static uint64_t flags[KPF_CHUNK];
	bool flags_read = false;

	for (unsigned int i = 0; i < KPF_CHUNK; i++) {
		if (owner[i] != cgroup)
			continue;
		if (!flags_read && !read_at(kpageflags, flags, KPF_CHUNK, chunk * KPF_CHUNK))
			return 0;
		flags_read = true;
		/* No other page of the cgroup is unevictable. */
		if (flags[i] >> KPF_UNEVICTABLE & 1)
			return chunk * KPF_CHUNK + i;
	}
	return 0;
}

/* Where the file's pages were at the last long search: what is freed there is taken again. */
struct chunks {
	uint64_t chunk[64];
	unsigned int nr;
};

struct page_files {
	int owners;
	int flags;
};

static struct page_files open_page_files(void)
{
	return (struct page_files){
		.owners = open("/proc/kpagecgroup", O_RDONLY | O_CLOEXEC),
		.flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC),
	};
}

static void close_page_files(struct page_files *files)
{
	close(files->owners);
	close(files->flags);
}

/*
 * Note down which chunks of [first, end) hold a page of the file, as many as there is room for. Its
 * pages lie close together: to look at some of each chunk is enough, and on the debug kernel all of
 * them would take the time of thousands of conversions.
 */
static void find_chunks(struct chunks *found, uint64_t cgroup, uint64_t first, uint64_t end)
{
	static uint64_t owner[KPF_CHUNK];
	struct page_files files = open_page_files();
	uint64_t pfn = first * KPF_CHUNK, chunk;

	while (found->nr < ARRAY_SIZE(found->chunk) && pfn < end * KPF_CHUNK) {
		if (!read_at(files.owners, owner, 1, pfn))
			break;
		chunk = pfn / KPF_CHUNK;
		pfn += KPF_STRIDE;
		if (owner[0] != cgroup || !read_at(files.owners, owner, KPF_CHUNK, chunk * KPF_CHUNK))
			continue;
		if (private_pfn_of_chunk(files.flags, owner, cgroup, chunk)) {
			found->chunk[found->nr++] = chunk;
			pfn = (chunk + 1) * KPF_CHUNK;
		}
	}
	close_page_files(&files);
}

/* A page frame of the file in one of the chunks, or 0. */
static uint64_t private_pfn_of_chunks(const struct chunks *chunks, uint64_t cgroup)
{
	static uint64_t owner[KPF_CHUNK];
	struct page_files files = open_page_files();
	uint64_t pfn = 0;

	for (unsigned int i = 0; !pfn && i < chunks->nr; i++)
		if (read_at(files.owners, owner, KPF_CHUNK, chunks->chunk[i] * KPF_CHUNK))
			pfn = private_pfn_of_chunk(files.flags, owner, cgroup, chunks->chunk[i]);
	close_page_files(&files);
	return pfn;
}

static void offline_pfn(struct stress *s, uint64_t pfn)
{
	int fd = open("/sys/devices/system/memory/hard_offline_page", O_WRONLY | O_CLOEXEC);
	char text[32];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)pfn << 12);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		stress_fail(s, "hard offline of %s: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/*
 * The long search, over all page frames, is made without holding anybody up. Meanwhile pages come
 * and go, on the debug kernel each of them many times: what counts is a short one with the lock.
 */
static void poison_private(struct stress_thread *t)
{
	static struct chunks chunks;
	struct stress *s = t->s;
	struct stat st;
	uint64_t pfn;

	if (stat(STRESS_CGROUP, &st))
		return;
	if (!chunks.nr) {
		find_chunks(&chunks, st.st_ino, ABOVE_4G, ~0ull / KPF_CHUNK);
		find_chunks(&chunks, st.st_ino, 0, ABOVE_4G);
	}
	pthread_rwlock_wrlock(&s->give_lock);
	pfn = private_pfn_of_chunks(&chunks, st.st_ino);
	if (pfn) {
		offline_pfn(s, pfn);
		s->poisoned_private++;
	} else {
		chunks.nr = 0;
	}
	pthread_rwlock_unlock(&s->give_lock);
}

static void poison_shared(struct stress_thread *t)
{
	struct stress *s = t->s;
	unsigned int page = stress_random(&t->rng) % STRESS_SLOT_PAGES;

	stress_drop_begin(s, page, page + 1);
	/* A page of its own, not that of all zeroes. */
	*(volatile uint64_t *)(s->shared + page * PVM_PAGE + STRESS_HOST_WORD) =
		STRESS_SIGNATURE(STRESS_HOST, STRESS_HOST_WRITER, page, 0, 0);
	if (madvise(s->shared + page * PVM_PAGE, PVM_PAGE, MADV_HWPOISON) && errno != EBUSY &&
	    errno != EIO)
		stress_fail(s, "MADV_HWPOISON of page %u: %s", page, strerror(errno));
	stress_drop_end(s, page, page + 1);
	s->poisoned_shared++;
}

void stress_poison_round(struct stress_thread *t)
{
	if (t->s->poisoned_private < MAX_POISONED)
		poison_private(t);
	if (t->s->poisoned_shared < MAX_POISONED)
		poison_shared(t);
}

/* SIGBUS: the thread, or its guest, used a broken page of the mapping. It gets another one. */
static void replace_page(int signal __attribute__((unused)), siginfo_t *info,
			 void *context __attribute__((unused)))
{
	void *page = (void *)((uintptr_t)info->si_addr & -PVM_PAGE);

	if (madvise(page, PVM_PAGE, MADV_DONTNEED))
		_exit(1);
}

void stress_expect_poison(void)
{
	struct sigaction action = { .sa_sigaction = replace_page, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &action, NULL);
}

/* A vCPU was told that the private page at @gpa is broken: a punch makes room for another one. */
bool stress_poison_handled(struct stress *s, uint64_t gpa)
{
	static unsigned int punches[STRESS_PRIVATE_PAGES];
	unsigned int page = (gpa - STRESS_DATA_GPA) / PVM_PAGE;

	if (!(s->actors & STRESS_POISON))
		return false;
	if (__atomic_fetch_add(&punches[page], 1, __ATOMIC_RELAXED) >= MAX_PUNCHES) {
		stress_fail(s, "page %u is broken after %u punches", page, MAX_PUNCHES);
		return false;
	}
	stress_drop_begin(s, page, page + 1);
	stress_punch(s, page, page + 1);
	stress_drop_end(s, page, page + 1);
	__atomic_fetch_add(&s->replaced, 1, __ATOMIC_RELAXED);
	return true;
}
