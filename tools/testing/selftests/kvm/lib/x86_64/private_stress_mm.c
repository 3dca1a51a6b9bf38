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

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define HUGE_PAGES	512u

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
}

/* Shared memory keeps its content: only the mapping goes. */
static void unmap_shmem(struct stress *s, uint64_t r)
{
	unsigned int first = STRESS_SLOT_PAGES + r % (STRESS_SLOT_PAGES - 64);

	if (madvise(address_of(s, first), (1 + (r >> 32) % 64) * PVM_PAGE, MADV_DONTNEED))
		stress_fail(s, "MADV_DONTNEED of shmem: %s", strerror(errno));
}

/* May fail for reasons of its own: memory, a page in use. */
static void collapse(struct stress *s)
{
	madvise(address_of(s, 0), HUGE_PAGES * PVM_PAGE, MADV_HUGEPAGE);
	madvise(address_of(s, 0), HUGE_PAGES * PVM_PAGE, MADV_COLLAPSE);
}

/* Pages that only hold zeroes become one, until somebody writes or they are split again. */
static void merge(struct stress *s, bool on)
{
	int advice = on ? MADV_MERGEABLE : MADV_UNMERGEABLE;

	if (on && !stress_write_file("/sys/kernel/mm/ksm/run", "1"))
		return;
	madvise(address_of(s, 0), STRESS_SLOT_PAGES * PVM_PAGE, advice);
	madvise(address_of(s, STRESS_PRIVATE_PAGES), STRESS_PLAIN_PAGES * PVM_PAGE, advice);
}

/* All anonymous pages are shared with the child for a moment; it copies some. */
static void fork_and_write(struct stress *s, uint64_t r)
{
	pid_t pid = fork();

	if (!pid) {
		for (unsigned int i = 0; i < 16; i++)
			*(volatile uint8_t *)address_of(s, (r + i * 7) % STRESS_SLOT_PAGES) = 1;
		_exit(0);
	}
	if (pid < 0)
		stress_fail(s, "fork: %s", strerror(errno));
	else
		waitpid(pid, NULL, 0);
}

void stress_hva_round(struct stress_thread *t)
{
	uint64_t r = stress_random(&t->rng);

	switch (r >> 8 & 31) {
	case 0:
		fork_and_write(t->s, r >> 16);
		break;
	case 1:
		merge(t->s, true);
		break;
	case 2:
		merge(t->s, false);
		break;
	case 3:
	case 4:
		collapse(t->s);
		break;
	case 5:
		/* Pages move. */
		stress_write_file("/proc/sys/vm/compact_memory", "1");
		break;
	case 6 ... 11:
		unmap_shmem(t->s, r >> 16);
		break;
	default:
		drop_anonymous(t->s, stress_random(&t->rng));
	}
	__atomic_fetch_add(&t->s->invalidations, 1, __ATOMIC_RELAXED);
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
