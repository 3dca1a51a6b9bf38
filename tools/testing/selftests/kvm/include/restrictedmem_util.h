/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of restricted memory share: make such a file, allocate and punch by pages, read what
 * the kernel says about it, find its pages in physical memory, and become somebody else.
 *
 * Functions that return int or long give -errno where they fail, and print nothing.
 */
#ifndef SELFTEST_KVM_RESTRICTEDMEM_UTIL_H
#define SELFTEST_KVM_RESTRICTEDMEM_UTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#define RMEM_PAGE	4096UL

/* An emulated host is slow, and it may be busy with something else. */
#define RMEM_TEST_SECONDS	120

/* Numbers of the system call, for headers that are older than it. */
#ifndef __NR_memfd_restricted
#define __NR_memfd_restricted	548
#endif
#ifndef MEMFD_RESTRICTED_CLOEXEC
#define MEMFD_RESTRICTED_CLOEXEC	02000000U
#endif

/*
 * For a fixture's set-up: end the test as skipped when @why is not NULL. The exit status is the
 * harness's own for this; its SKIP() alone would go on.
 */
#define RMEM_SKIP_IF(why) do {						\
	const char *why_ = (why);					\
									\
	if (why_)							\
		SKIP(_exit(255), "%s", why_);				\
} while (0)

/* XFS's calls, which every file system has: fallocate() by another name. In no uAPI header. */
struct rmem_space {
	int16_t l_type;
	int16_t l_whence;
	int64_t l_start;
	int64_t l_len;
	int32_t l_sysid;
	uint32_t l_pid;
	int32_t l_pad[4];
};

#define RMEM_IOC_RESVSP		_IOW('X', 40, struct rmem_space)
#define RMEM_IOC_UNRESVSP	_IOW('X', 41, struct rmem_space)
#define RMEM_IOC_ZERO_RANGE	_IOW('X', 57, struct rmem_space)

int rmem_create(unsigned int flags);
int rmem_create_sized(unsigned long pages);
int rmem_create_guest_memfd(unsigned long pages);

int rmem_alloc(int fd, unsigned long first, unsigned long pages);
int rmem_punch(int fd, unsigned long first, unsigned long pages);
long rmem_pages(int fd);
long rmem_size(int fd);

int rmem_write(const char *path, const char *text);
/* The page frame behind an address of this process, or 0 if there is none, or root is not asking. */
unsigned long rmem_mapping_pfn(const void *addr);
/* The calling thread, and those that it makes, run on this processor only. */
int rmem_stay_on(int cpu);
long rmem_value(const char *path, const char *key);
long rmem_fdinfo(int fd, const char *key);
int rmem_bound(int fd, char *text, size_t size);

/* The kernel's trace of what happens to files, and by it where a file's pages are in physical memory. */
struct rmem_trace {
	int on;
	char dir[64];
};

int rmem_trace_start(struct rmem_trace *trace);
long rmem_trace_pfns(struct rmem_trace *trace, unsigned long *pfns, unsigned long pages);
long rmem_trace_count(struct rmem_trace *trace, const char *event, int fd, const char *what);
void rmem_trace_stop(struct rmem_trace *trace);

/* Bits of /proc/kpageflags that pages of a restricted file have, and those that they must not. */
#define RMEM_KPF_SET	((1ULL << 3) | (1ULL << 4) | (1ULL << 18))	/* uptodate, dirty, unevictable */
#define RMEM_KPF_CLEAR	((1ULL << 10) | (1ULL << 11) | (1ULL << 12))	/* buddy, mmap, anon */
#define RMEM_KPF_HWPOISON	(1ULL << 19)

int64_t rmem_kpageflags(unsigned long pfn);

int rmem_become(uid_t uid, bool ipc_lock);
int rmem_drop_ipc_lock(void);
int rmem_wait(pid_t pid, unsigned int seconds);
double rmem_now(void);

#endif /* SELFTEST_KVM_RESTRICTEDMEM_UTIL_H */
