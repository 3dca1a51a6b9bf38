// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests of restricted memory share. See restrictedmem_util.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "restrictedmem_util.h"

#define TRACING		"/sys/kernel/tracing"
#define EVENTS		"events/restrictedmem"

int rmem_create(unsigned int flags)
{
	int fd = syscall(__NR_memfd_restricted, flags);

	return fd < 0 ? -errno : fd;
}

int rmem_create_sized(unsigned long pages)
{
	int fd = rmem_create(MEMFD_RESTRICTED_CLOEXEC), ret;

	if (fd >= 0 && ftruncate(fd, pages * RMEM_PAGE)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* The same object from KVM. The file does not need the VM's descriptor to stay open. */
int rmem_create_guest_memfd(unsigned long pages)
{
	struct kvm_create_guest_memfd args = { .size = pages * RMEM_PAGE };
	int kvm, vm, fd, ret = 0;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return -errno;
	vm = ioctl(kvm, KVM_CREATE_VM, 1UL /* SW_PROTECTED */);
	if (vm < 0) {
		ret = -errno;
		goto close_kvm;
	}
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	ret = fd < 0 ? -errno : fd;
	close(vm);
close_kvm:
	close(kvm);
	return ret;
}

static int change(int fd, int mode, unsigned long first, unsigned long pages)
{
	return fallocate(fd, mode, first * RMEM_PAGE, pages * RMEM_PAGE) ? -errno : 0;
}

int rmem_alloc(int fd, unsigned long first, unsigned long pages)
{
	return change(fd, FALLOC_FL_KEEP_SIZE, first, pages);
}

int rmem_punch(int fd, unsigned long first, unsigned long pages)
{
	return change(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, first, pages);
}

/* How many pages are allocated, by fdinfo. */
long rmem_pages(int fd)
{
	long bytes = rmem_fdinfo(fd, "resident");

	return bytes < 0 || bytes % RMEM_PAGE ? bytes : bytes / (long)RMEM_PAGE;
}

long rmem_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : st.st_size;
}

int rmem_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* An entry of pagemap: Documentation/admin-guide/mm/pagemap.rst. */
#define PAGEMAP_PRESENT	(1ull << 63)
#define PAGEMAP_PFN	((1ull << 55) - 1)

unsigned long rmem_mapping_pfn(const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry), (uintptr_t)addr / sysconf(_SC_PAGESIZE) * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry & PAGEMAP_PRESENT ? entry & PAGEMAP_PFN : 0;
}

int rmem_stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* The number behind @key in a file of lines "key value" or "key: value"; a NULL key: the first number. */
long rmem_value(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	long value = -ENOENT;
	char line[256];

	if (!file)
		return -errno;
	while (value == -ENOENT && fgets(line, sizeof(line), file)) {
		size_t len = key ? strlen(key) : 0;

		if (key && (strncmp(line, key, len) || !strchr(": \t", line[len])))
			continue;
		value = strtol(line + len + strspn(line + len, ": \t"), NULL, 0);
	}
	fclose(file);
	return value;
}

long rmem_fdinfo(int fd, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return rmem_value(path, key);
}

/* The ranges that are bound, "start-end start-end ...", as fdinfo shows them; an empty text for none. */
int rmem_bound(int fd, char *text, size_t size)
{
	char path[64], line[128], range[64];
	size_t used = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	*text = '\0';
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "bound:\t%63s", range) == 1 && used < size)
			used += snprintf(text + used, size - used, "%s%s", used ? " " : "", range);
	fclose(file);
	return used < size ? 0 : -E2BIG;
}

static int trace_write(struct rmem_trace *trace, const char *name, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", trace->dir, name);
	return rmem_write(path, text);
}

int rmem_trace_start(struct rmem_trace *trace)
{
	int ret;

	snprintf(trace->dir, sizeof(trace->dir), TRACING "/instances/rmem-%d", getpid());
	if (mkdir(trace->dir, 0700))
		return -errno;
	trace->on = 1;
	ret = trace_write(trace, "buffer_size_kb", "4096");
	return ret ?: trace_write(trace, EVENTS "/enable", "1");
}

/* Note in @pfns[index] the page that a line of the trace says was allocated at this index. */
static long note_pfn(const char *line, unsigned long *pfns, unsigned long pages)
{
	const char *event = strstr(line, "restrictedmem_allocate: ");
	unsigned long ino, at, pfn;

	if (!event || sscanf(event, "%*s ino %lu index 0x%lx pfn 0x%lx", &ino, &at, &pfn) != 3)
		return 0;
	if (at >= pages)
		return 0;
	pfns[at] = pfn;
	return 1;
}

/* Read the trace, fill @pfns by page index; returns how many allocations were seen. */
long rmem_trace_pfns(struct rmem_trace *trace, unsigned long *pfns, unsigned long pages)
{
	char path[160], line[512];
	long seen = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace", trace->dir);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		seen += note_pfn(line, pfns, pages);
	fclose(file);
	return seen;
}

/* How many lines say that @event happened to the file, and exactly @what with it. */
long rmem_trace_count(struct rmem_trace *trace, const char *event, int fd, const char *what)
{
	char path[160], line[512], wish[256];
	struct stat st;
	long seen = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace", trace->dir);
	file = fstat(fd, &st) ? NULL : fopen(path, "re");
	if (!file)
		return -errno;
	snprintf(wish, sizeof(wish), " restrictedmem_%s: ino %lu %s\n", event, st.st_ino, what);
	while (fgets(line, sizeof(line), file)) {
		const char *found = strstr(line, wish);

		seen += found && !found[strlen(wish)];
	}
	fclose(file);
	return seen;
}

void rmem_trace_stop(struct rmem_trace *trace)
{
	if (!trace->on)
		return;
	trace_write(trace, EVENTS "/enable", "0");
	rmdir(trace->dir);
	trace->on = 0;
}

int64_t rmem_kpageflags(unsigned long pfn)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	int64_t flags = -EIO;

	if (fd < 0)
		return -errno;
	if (pread(fd, &flags, sizeof(flags), pfn * sizeof(flags)) != sizeof(flags))
		flags = -EIO;
	close(fd);
	return flags;
}

static int set_capabilities(uint32_t low)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = low, .permitted = low } };

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/*
 * Become another user, for good: with CAP_IPC_LOCK as the only capability, or with none. Who is the user
 * already only loses the rest.
 */
int rmem_become(uid_t uid, bool ipc_lock)
{
	if (getuid() != uid && (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) ||
				setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		return -errno;
	return set_capabilities(ipc_lock ? 1U << CAP_IPC_LOCK : 0);
}

/* RLIMIT_MEMLOCK, and what counts as locked, is for those who do not have this capability. */
int rmem_drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	data[0].permitted &= ~(1U << CAP_IPC_LOCK);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

double rmem_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* The wait status of a child, or -ETIME when it has not ended after @seconds. It is reaped anyway. */
int rmem_wait(pid_t pid, unsigned int seconds)
{
	double end = rmem_now() + seconds;
	int status;

	do {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got)
			return got < 0 ? -errno : status;
		usleep(10000);
	} while (rmem_now() < end);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -ETIME;
}
