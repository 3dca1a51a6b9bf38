// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls on the address of a guest's page: the VM, conversions, words, and charges.
 * See private_surface.h.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private_surface.h"
#include "restrictedmem_util.h"

#define CGROUPS		"/sys/fs/cgroup"
#define CGROUP		"surface-"

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#endif

#define GPA		(PVM_DATA + SURFACE_PAGE * PVM_PAGE)

/* What may be locked when nothing is, and small objects that caches keep. */
#define LIMIT_PAGES	64ul
#define MAX_KERNEL	(256l << 10)
#define SETTLE_MS	10000

const char *surface_fail(struct surface *s, const char *format, ...)
{
	va_list args;

	if (atomic_flag_test_and_set(&s->failing))
		return "another check has failed";
	va_start(args, format);
	vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	return s->why;
}

const char *surface_failed(struct surface *s)
{
	return s->why[0] ? s->why : NULL;
}

uint64_t surface_word(enum surface_kind kind, unsigned int round, size_t i)
{
	return (uint64_t)kind << 48 | (uint64_t)(round & 0xffff) << 32 | (GPA + 8 * i);
}

const char *surface_all_are(struct surface *s, const char *whose, const uint64_t *words,
			    enum surface_kind kind, unsigned int round)
{
	for (size_t i = 0; i < SURFACE_WORDS; i++)
		if (words[i] != surface_word(kind, round, i))
			return surface_fail(s, "%s: word %zu is %#lx instead of %#lx", whose, i,
					    words[i], surface_word(kind, round, i));
	return NULL;
}

const char *surface_all_zero(struct surface *s, const char *whose, const uint64_t *words)
{
	for (size_t i = 0; i < SURFACE_WORDS; i++)
		if (words[i])
			return surface_fail(s, "%s: word %zu is %#lx instead of 0", whose, i,
					    words[i]);
	return NULL;
}

void surface_give(struct surface *s)
{
	s->nr_given++;
	for (size_t i = 0; i < SURFACE_WORDS; i++)
		s->given[i] = surface_word(SURFACE_CALLER, s->nr_given, i);
}

const char *surface_fill(struct surface *s, enum surface_kind kind, unsigned int round)
{
	int ret = pvm_fill(&s->vm, GPA, PVM_PAGE, surface_word(kind, round, 0) - GPA, 1);

	return ret ? surface_fail(s, "the guest writes: %d", ret) : NULL;
}

const char *surface_look(struct surface *s)
{
	struct pvm_cmd cmd = { .op = PVM_GATHER, .addr = GPA, .len = PVM_PAGE, .step = 8,
			       .value = PVM_FREE };
	int ret = pvm_command(&s->vm, 0, &cmd);

	if (ret)
		return surface_fail(s, "the guest reads: %d", ret);
	memcpy(s->guest, s->vm.low + PVM_FREE, PVM_PAGE);
	return NULL;
}

const char *surface_guest_has(struct surface *s, enum surface_kind kind, unsigned int round)
{
	return surface_look(s) ?: surface_all_are(s, "the guest's page", s->guest, kind, round);
}

const char *surface_guest_has_zeroes(struct surface *s)
{
	return surface_look(s) ?: surface_all_zero(s, "the guest's fresh page", s->guest);
}

/* MADV_REMOVE takes the page out of the file, too. */
const char *surface_convert(struct surface *s, bool private)
{
	int ret;

	if (!private)
		s->is_private = false;
	ret = pvm_set_private(&s->vm, GPA, PVM_PAGE, private);
	if (ret)
		return surface_fail(s, "conversion: %s", strerror(-ret));
	s->is_private = private;
	if (!private)
		ret = pvm_punch(s->fd, SURFACE_PAGE * PVM_PAGE, PVM_PAGE);
	else if (madvise(s->page, PVM_PAGE, s->shmem < 0 ? MADV_DONTNEED : MADV_REMOVE))
		ret = -errno;
	return ret ? surface_fail(s, "discard: %s", strerror(-ret)) : NULL;
}

static int map_shared_half(struct surface *s, enum surface_backing backing)
{
	s->shmem = -1;
	s->huge = backing == SURFACE_HUGE;
	s->hva = pvm_map(SURFACE_SIZE);
	if (!s->hva)
		return -ENOMEM;
	s->page = (uint64_t *)(s->hva + SURFACE_PAGE * PVM_PAGE);
	if (s->huge) {
		if (madvise(s->hva, SURFACE_SIZE, MADV_HUGEPAGE))
			return -errno;
		*(volatile uint8_t *)s->hva = 0;
		return pvm_resident(s->hva, SURFACE_SIZE) == SURFACE_SIZE / PVM_PAGE ? 0 : -ENOMEM;
	}
	if (backing == SURFACE_ANONYMOUS)
		return 0;
	s->shmem = memfd_create("shared half", MFD_CLOEXEC);
	if (s->shmem < 0 || ftruncate(s->shmem, SURFACE_SIZE) ||
	    mmap(s->hva, SURFACE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->shmem,
		 0) != s->hva)
		return -errno;
	return 0;
}

static int create_vm(struct surface *s)
{
	int ret = pvm_create(&s->vm, KVM_X86_SW_PROTECTED_VM);

	if (!ret)
		ret = pvm_add_vcpus(&s->vm, 1);
	if (ret)
		return ret;
	s->fd = pvm_create_file(&s->vm, PVM_RESTRICTED, SURFACE_SIZE);
	if (s->fd < 0)
		return s->fd;
	return pvm_add_slot(&s->vm, PVM_SLOT, PVM_DATA, SURFACE_SIZE, s->hva, s->fd, 0);
}

/*
 * Everything is charged to the test's own group; without CAP_IPC_LOCK what is locked counts, too.
 */
static int enter_cgroup(const struct surface_call *call, const char *test)
{
	char path[160];
	int ret = rmem_write(CGROUPS "/cgroup.subtree_control", "+memory");

	snprintf(path, sizeof(path), CGROUPS "/" CGROUP "%s-%s", call->name, test);
	if (!ret && mkdir(path, 0755))
		ret = -errno;
	strncat(path, "/cgroup.procs", sizeof(path) - strlen(path) - 1);
	if (!ret)
		ret = rmem_write(path, "0");
	return ret ? ret : rmem_drop_ipc_lock();
}

int surface_open(struct surface *s, const struct surface_call *call, const char *test,
		 enum surface_backing backing)
{
	int ret = enter_cgroup(call, test);

	s->call = call;
	s->fd = -1;
	s->seen = aligned_alloc(PVM_PAGE, PVM_PAGE);
	s->given = aligned_alloc(PVM_PAGE, PVM_PAGE);
	if (!s->seen || !s->given)
		return -ENOMEM;
	surface_give(s);
	if (!ret && call->start)
		ret = call->start(s);
	if (!ret)
		ret = map_shared_half(s, backing);
	if (!ret)
		ret = create_vm(s);
	if (!ret && call->attach)
		ret = call->attach(s);
	s->open = !ret;
	return ret;
}

void surface_close(struct surface *s)
{
	/* What is left of a test that did not begin goes with the process. */
	if (!s->open)
		return;
	if (s->call->stop)
		s->call->stop(s);
	pvm_destroy(&s->vm);
	close(s->fd);
	munmap(s->hva, SURFACE_SIZE);
	if (s->shmem >= 0)
		close(s->shmem);
	rmem_write(CGROUPS "/cgroup.procs", "0");
}

/*
 * Of a group that nobody is in any more. Statistics lag; pages of this program's own file stay if
 * they may.
 */
static const char *group_is_empty(struct surface *s, const char *group)
{
	static const struct {
		const char *key;
		long most;
	} kinds[] = {
		{ "anon", 0 }, { "file", 0 }, { "unevictable", 0 }, { "sock", 0 },
		{ "pagetables", 0 }, { "sec_pagetables", 0 }, { "kernel", MAX_KERNEL },
	};
	char path[320], reclaim[320];

	snprintf(path, sizeof(path), CGROUPS "/%s/memory.stat", group);
	snprintf(reclaim, sizeof(reclaim), CGROUPS "/%s/memory.reclaim", group);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		long bytes = rmem_value(path, kinds[i].key);

		for (int ms = 0; ms < SETTLE_MS && bytes > kinds[i].most; ms += 100) {
			rmem_write(reclaim, "64M");
			usleep(100000);
			bytes = rmem_value(path, kinds[i].key);
		}
		if (bytes < 0 || bytes > kinds[i].most)
			return surface_fail(s, "%s: %s is %ld", group, kinds[i].key, bytes);
	}
	return NULL;
}

/* The user has nothing locked if all of a limit can be had, and no more than it. */
static const char *nothing_is_locked(struct surface *s)
{
	struct rlimit limit = { LIMIT_PAGES * PVM_PAGE, LIMIT_PAGES * PVM_PAGE };
	int ret = rmem_drop_ipc_lock(), fd = rmem_create_sized(LIMIT_PAGES + 1);

	if (ret || fd < 0 || setrlimit(RLIMIT_MEMLOCK, &limit))
		return surface_fail(s, "no file for what is locked");
	ret = rmem_alloc(fd, 0, LIMIT_PAGES);
	for (int ms = 0; ret && ms < SETTLE_MS; ms += 100) {
		usleep(100000);
		ret = rmem_alloc(fd, 0, LIMIT_PAGES);
	}
	if (ret)
		surface_fail(s, "%ld of %lu pages can be locked: %s", rmem_pages(fd), LIMIT_PAGES,
			     strerror(-ret));
	else if (rmem_alloc(fd, LIMIT_PAGES, 1) != -EDQUOT)
		surface_fail(s, "more pages than %lu can be locked", LIMIT_PAGES);
	close(fd);
	return surface_failed(s);
}

const char *surface_check_charges(struct surface *s)
{
	DIR *dir = opendir(CGROUPS);
	unsigned int groups = 0;
	struct dirent *entry;
	char path[320];

	while (dir && !surface_failed(s) && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, CGROUP, strlen(CGROUP)))
			continue;
		groups++;
		group_is_empty(s, entry->d_name);
		snprintf(path, sizeof(path), CGROUPS "/%s", entry->d_name);
		if (rmdir(path))
			surface_fail(s, "%s: %s", entry->d_name, strerror(errno));
	}
	if (dir)
		closedir(dir);
	if (!groups)
		return surface_fail(s, "no test has left a cgroup");
	return surface_failed(s) ?: nothing_is_locked(s);
}
