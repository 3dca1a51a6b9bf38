// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the stress test's process is charged for: its limits, and that nothing is left of the
 * charges.
 *
 * Locking: none; nothing else runs when charges are looked at.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "private_stress.h"
#include "restrictedmem_util.h"

/* What is freed by RCU and per-CPU caches is uncharged late. */
#define SETTLE_MS		10000
#define MAX_KERNEL_BYTES	(256 << 10)

/*
 * Enough for all files at a time, also for one that is replaced and the one that replaces it; and
 * for pages that two vCPUs want at the same time, of which one is given back.
 */
static unsigned long limit_pages(struct stress *s)
{
	unsigned long pages = STRESS_PRIVATE_PAGES * (s->actors & STRESS_REOPEN ? 2 : 1);

	return pages + STRESS_CYCLE_PAGES + 2 * STRESS_MAX_VCPUS;
}

int stress_prepare_process(struct stress *s)
{
	struct rlimit limit = { limit_pages(s) * PVM_PAGE, limit_pages(s) * PVM_PAGE };
	int ret = rmem_write(STRESS_CGROUP "/cgroup.procs", "0");

	if (ret)
		return ret;
	s->current_fd = open(STRESS_CGROUP "/memory.current", O_RDONLY | O_CLOEXEC);
	s->limit_fd = open(STRESS_CGROUP "/memory.max", O_WRONLY | O_CLOEXEC);
	if (s->current_fd < 0 || s->limit_fd < 0)
		return -errno;
	/* At the limit allocations shall fail, not the process. */
	ret = rmem_write("/proc/self/oom_score_adj", "-1000");
	if (!ret)
		ret = rmem_drop_ipc_lock();
	if (!ret && setrlimit(RLIMIT_MEMLOCK, &limit))
		ret = -errno;
	return ret;
}

/* After punches of what is private, the file is empty: no page came back where one is shared. */
void stress_check_residue(struct stress *s)
{
	unsigned int end;
	long pages;

	for (unsigned int i = 0; i < STRESS_PRIVATE_PAGES; i = end) {
		for (end = i; end < STRESS_PRIVATE_PAGES && s->ctl->page[end].private; end++)
			;
		if (end > i)
			stress_punch(s, i, end);
		else
			end++;
	}
	pages = pvm_file_pages(s->file);
	if (pages)
		stress_fail(s, "the file has %ld pages where the guest's memory is shared", pages);
}

/* All that was counted has been given back: the whole limit can be had, and not one page more. */
void stress_check_limit(struct stress *s)
{
	unsigned long pages = limit_pages(s);
	int fd = pvm_create_file(NULL, PVM_RESTRICTED, (pages + 1) * PVM_PAGE);

	if (fd < 0) {
		stress_fail(s, "a file at the end: %s", strerror(-fd));
		return;
	}
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, pages * PVM_PAGE))
		stress_fail(s, "RLIMIT_MEMLOCK: %ld of %lu pages can be had at the end: %s",
			    pvm_file_pages(fd), pages, strerror(errno));
	else if (!fallocate(fd, FALLOC_FL_KEEP_SIZE, pages * PVM_PAGE, PVM_PAGE))
		stress_fail(s, "RLIMIT_MEMLOCK: one page more than its %lu can be had", pages);
	close(fd);
}

/*
 * Everything that the process was charged for is gone with it: pages of the file and of the
 * mapping, page tables of the host and of the guests. Of small objects some stay in caches.
 */
bool stress_uncharged(struct stress *s)
{
	const struct {
		const char *key;
		long most;
	} kinds[] = {
		{ "anon", 0 },
		/* The kernel takes a broken page out of the charge, but not out of this. */
		{ "file", s->poisoned_private * PVM_PAGE },
		{ "unevictable", 0 },
		{ "pagetables", 0 },
		{ "sec_pagetables", 0 },
		{ "kernel", MAX_KERNEL_BYTES },
	};
	bool ok = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		long bytes = rmem_value(STRESS_CGROUP "/memory.stat", kinds[i].key);

		for (int ms = 0; ms < SETTLE_MS && bytes > kinds[i].most; ms += 100) {
			/* For the pages of this program's own file. */
			rmem_write(STRESS_CGROUP "/memory.reclaim", "64M");
			usleep(100000);
			bytes = rmem_value(STRESS_CGROUP "/memory.stat", kinds[i].key);
		}
		if (bytes < 0 || bytes > kinds[i].most) {
			printf("# %s: %ld bytes are still charged\n", kinds[i].key, bytes);
			ok = false;
		}
	}
	return ok;
}
