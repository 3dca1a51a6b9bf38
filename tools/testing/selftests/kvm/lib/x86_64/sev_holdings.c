// SPDX-License-Identifier: GPL-2.0-only
/*
 * What SEV VMs take from the machine, and must give back. See sev_holdings.h.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "restrictedmem_util.h"
#include "sev_guest.h"
#include "sev_holdings.h"

#define CGROUPS		"/sys/fs/cgroup"
#define KVM_DEBUG	"/sys/kernel/debug/kvm"
/* What settles late, such as the release of the last page, gets this long. */
#define SETTLE_MS	5000
/*
 * What is freed by RCU and per-CPU caches is uncharged later still, and of small objects some
 * stay.
 */
#define UNCHARGE_MS	10000
#define MAX_KERNEL_BYTES	(256l << 10)
#define MAX_BYTES		(512l << 10)

void sev_fold_counters(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_RDONLY | O_CLOEXEC);
	char c;

	if (fd < 0)
		return;
	if (read(fd, &c, 1) < 0)
		perror("# stat_refresh");
	close(fd);
}

/* A folder for each VM. */
static long count_vms(void)
{
	DIR *dir = opendir(KVM_DEBUG);
	struct dirent *entry;
	long n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_type == DT_DIR && entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

struct sev_holdings sev_holdings_now(void)
{
	struct sev_user_data_status status;
	struct sev_holdings now;

	sev_fold_counters();
	now.guests = sev_platform_status(&status) ? -1 : (long)status.guest_count;
	now.pinned = rmem_value("/proc/vmstat", "nr_foll_pin_acquired") -
		     rmem_value("/proc/vmstat", "nr_foll_pin_released");
	now.locked_kb = rmem_value("/proc/self/status", "VmLck") +
			rmem_value("/proc/self/status", "VmPin");
	now.vms = count_vms();
	return now;
}

struct sev_holdings sev_holdings_settled(const struct sev_holdings *want)
{
	struct sev_holdings now;

	for (int ms = 0; ms < SETTLE_MS; ms += 50) {
		now = sev_holdings_now();
		if (!memcmp(&now, want, sizeof(now)))
			break;
		usleep(50000);
	}
	return now;
}

int sev_group_create(struct sev_group *group, const char *name)
{
	int ret = rmem_write(CGROUPS "/cgroup.subtree_control", "+memory");

	if (ret)
		return ret;
	rmem_write(CGROUPS "/cgroup.subtree_control", "+misc");
	snprintf(group->dir, sizeof(group->dir), CGROUPS "/%s-%d", name, getpid());
	return mkdir(group->dir, 0755) ? -errno : 0;
}

static const char *path_of(const struct sev_group *group, const char *file)
{
	static __thread char path[160];

	snprintf(path, sizeof(path), "%s/%s", group->dir, file);
	return path;
}

int sev_group_set(const struct sev_group *group, const char *file, const char *text)
{
	return rmem_write(path_of(group, file), text);
}

int sev_group_enter(const struct sev_group *group)
{
	return sev_group_set(group, "cgroup.procs", "0");
}

void sev_group_destroy(struct sev_group *group)
{
	rmem_write(CGROUPS "/cgroup.procs", "0");
	rmdir(group->dir);
}

long sev_group_value(const struct sev_group *group, const char *file, const char *key)
{
	return rmem_value(path_of(group, file), key);
}

/* A NULL key: everything, also what no line of the statistics knows any more. */
static long charged(const struct sev_group *group, const char *key)
{
	return sev_group_value(group, key ? "memory.stat" : "memory.current", key);
}

static long residue_of(const struct sev_group *group, const char *key, long most)
{
	long bytes = charged(group, key);

	for (int ms = 0; ms < UNCHARGE_MS && bytes > most; ms += 100) {
		/* For the pages of the program's own file. */
		sev_group_set(group, "memory.reclaim", "64M");
		usleep(100000);
		bytes = charged(group, key);
	}
	return bytes;
}

const char *sev_group_residue(const struct sev_group *group)
{
	static const struct kind {
		const char *key;
		long most;
	} kinds[] = {
		{ "anon", 0 }, { "file", 0 }, { "unevictable", 0 }, { "pagetables", 0 },
		{ "sec_pagetables", 0 }, { "kernel", MAX_KERNEL_BYTES }, { NULL, MAX_BYTES }, { NULL, 0 },
	};
	static char text[96];

	for (const struct kind *kind = kinds; kind->key || kind->most; kind++) {
		long bytes = residue_of(group, kind->key, kind->most);

		if (bytes < 0 || bytes > kind->most) {
			snprintf(text, sizeof(text), "%s: %ld bytes are still charged",
				 kind->key ? kind->key : "in all", bytes);
			return text;
		}
	}
	return NULL;
}
