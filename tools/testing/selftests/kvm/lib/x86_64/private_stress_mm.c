// SPDX-License-Identifier: GPL-2.0-only
/*
 * Actors of the stress test that work on the memory of the process: what a host may do at any time
 * to the mapping of the shared half, and VMs that come and go.
 *
 * Locking: see private_stress.h. What loses content is a drop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "private_stress.h"
#include "restrictedmem_util.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* Of <asm-generic/mman-common.h>, which does not go together with <sys/mman.h>. */
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

#define HUGE_PAGES	512u
#define MAX_MOVES	16
#define KSM		"/sys/kernel/mm/ksm/"

/* Only what had an effect counts. */
static void count_if(unsigned long *counter, bool done)
{
	if (done)
		__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static uint8_t *address_of(struct stress *s, unsigned int page)
{
	return s->shared + page * PVM_PAGE;
}

/* A range of anonymous memory: the first slot's shared half, or the ordinary slot. */
static void anonymous_range(uint64_t r, unsigned int most, unsigned int *first, unsigned int *end)
{
	unsigned int start = r & 1 ? 0 : STRESS_PRIVATE_PAGES;
	unsigned int pages = r & 1 ? STRESS_SLOT_PAGES : STRESS_PLAIN_PAGES;

	*first = start + (r >> 1 & 0xffff) % pages;
	*end = *first + 1 + (r >> 32) % most;
	if (*end > start + pages)
		*end = start + pages;
}

/* Also what splits a huge page. */
static void drop_anonymous(struct stress *s, uint64_t r)
{
	unsigned int first, end;

	anonymous_range(r, r >> 60 & 1 ? 1 : 64, &first, &end);
	stress_drop_begin(s, first, end);
	if (madvise(address_of(s, first), (end - first) * PVM_PAGE, MADV_DONTNEED))
		stress_fail(s, "MADV_DONTNEED of page %u: %s", first, strerror(errno));
	stress_drop_end(s, first, end);
	count_if(&s->drops, true);
}

/* Shared memory keeps its content: only the mapping goes. */
static void unmap_shmem(struct stress *s, uint64_t r)
{
	unsigned int first = STRESS_SLOT_PAGES + r % (STRESS_SLOT_PAGES - 64);

	if (madvise(address_of(s, first), (1 + (r >> 32) % 64) * PVM_PAGE, MADV_DONTNEED))
		stress_fail(s, "MADV_DONTNEED of shmem: %s", strerror(errno));
	count_if(&s->unmaps, true);
}

/* May fail for reasons of its own: memory, a page in use. */
static void collapse(struct stress *s)
{
	madvise(address_of(s, 0), HUGE_PAGES * PVM_PAGE, MADV_HUGEPAGE);
	count_if(&s->collapses, !madvise(address_of(s, 0), HUGE_PAGES * PVM_PAGE, MADV_COLLAPSE));
}

static void advise_merging(struct stress *s, int advice)
{
	if (madvise(address_of(s, 0), STRESS_SLOT_PAGES * PVM_PAGE, advice) ||
	    madvise(address_of(s, STRESS_PRIVATE_PAGES), STRESS_PLAIN_PAGES * PVM_PAGE, advice))
		stress_fail(s, "madvise(%d): %s", advice, strerror(errno));
}

/* Pages that only hold zeroes become one, in the course of time. */
static void merge(struct stress *s)
{
	int ret = rmem_write(KSM "run", "1");

	if (ret)
		stress_fail(s, KSM "run: %s", strerror(-ret));
	advise_merging(s, MADV_MERGEABLE);
}

/* And are split again, mostly not before some are one. */
static void unmerge(struct stress *s, uint64_t r)
{
	bool merged = rmem_value(KSM "pages_sharing", NULL) > 0;

	if (!merged && r & 15)
		return;
	advise_merging(s, MADV_UNMERGEABLE);
	count_if(&s->merges, merged);
}

/*
 * A page moves: the one where it was is lost to the machine, so there are few of these. Compaction
 * finds nothing to do in a machine whose memory is mostly free.
 */
static void move(struct stress *s, uint64_t r)
{
	unsigned int page = r % STRESS_PAGES;

	if (__atomic_load_n(&s->moves, __ATOMIC_RELAXED) >= MAX_MOVES)
		return;
	/* A page of its own, not that of all zeroes. */
	*(volatile uint64_t *)(address_of(s, page) + STRESS_HOST_WORD) =
		STRESS_SIGNATURE(STRESS_HOST, STRESS_HOST_WRITER, page, 0, 0);
	count_if(&s->moves, !madvise(address_of(s, page), PVM_PAGE, MADV_SOFT_OFFLINE));
}

/* All anonymous pages are shared with the child for a moment; it copies some. */
static void fork_and_write(struct stress *s, uint64_t r)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		for (unsigned int i = 0; i < 16; i++)
			*(volatile uint8_t *)address_of(s, (r + i * 7) % STRESS_SLOT_PAGES) = 1;
		_exit(0);
	}
	if (pid < 0)
		stress_fail(s, "fork: %s", strerror(errno));
	else
		waitpid(pid, &status, 0);
	count_if(&s->forks, !status);
}

void stress_hva_round(struct stress_thread *t)
{
	uint64_t r = stress_random(&t->rng);

	switch (r >> 8 & 31) {
	case 0:
		fork_and_write(t->s, r >> 16);
		break;
	case 1:
		merge(t->s);
		break;
	case 2:
		unmerge(t->s, r >> 16);
		break;
	case 3:
	case 4:
		collapse(t->s);
		break;
	case 5:
		move(t->s, r >> 16);
		break;
	case 6 ... 11:
		unmap_shmem(t->s, r >> 16);
		break;
	default:
		drop_anonymous(t->s, stress_random(&t->rng));
	}
}

static int use_cycle_vm(struct stress *s, struct pvm *vm, uint64_t r)
{
	const uint64_t size = STRESS_CYCLE_PAGES * PVM_PAGE;
	int ret;

	ret = pvm_add_slot(vm, STRESS_ANON_SLOT, PVM_DATA, size, s->cycle_memory, s->cycle_file, 0);
	if (!ret)
		ret = pvm_set_private(vm, PVM_DATA, size, true);
	if (ret || r & 1)
		return ret;
	ret = pvm_add_vcpus(vm, 1);
	if (!ret)
		ret = pvm_fill_pages(vm, PVM_DATA, size, 1, 0);
	if (!ret && r & 2)
		ret = pvm_set_private(vm, PVM_DATA, size / 2, false);
	if (!ret && r & 4)
		ret = pvm_delete_slot(vm, STRESS_ANON_SLOT);
	return ret;
}

/* A VM comes, binds the file that somebody punches, uses it or not, and goes. */
void stress_cycle_round(struct stress_thread *t)
{
	struct stress *s = t->s;
	struct pvm vm;
	int ret;

	ret = pvm_create(&vm, KVM_X86_SW_PROTECTED_VM);
	if (!ret) {
		ret = use_cycle_vm(s, &vm, stress_random(&t->rng));
		pvm_destroy(&vm);
	}
	if (ret && !stress_over_limit(s, ret))
		stress_fail(s, "a passing VM: %s (%d)", ret < 0 ? strerror(-ret) : "exit", ret);
	__atomic_fetch_add(&s->cycles, 1, __ATOMIC_RELAXED);
}
