// SPDX-License-Identifier: GPL-2.0-only
/*
 * The surface of a restricted file: every system call that could read, write, map or drop its pages,
 * with the error that it gives. The errors are those of mainline's guest_memfd. The table is run for
 * the file of memfd_restricted(2) and for KVM's, as its owner and as somebody who was handed it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

#define PAGES		8UL
#define ALLOCATED	(PAGES / 2)
#define PATTERN		0x5a
#define OTHER_USER	1000

/* Everything that a row of the table may need. */
struct rows {
	int fd;
	int twin;		/* another restricted file */
	int plain;		/* a shmem file, full of PATTERN */
	int pipe[2];		/* has some bytes in it, and room */
	int sock[2];
	int aio;
	unsigned char *buf;	/* a page of PATTERN */
	struct iovec iov;
	off64_t zero;
	int block;
	struct flock lock;
	struct rmem_space space;
	struct timespec times[2];
	struct stat before;
	char *argv[2];
	char path[32];
};

struct row {
	const char *name;
	int owner;
	int other;
	long (*call)(struct rows *c);
};

static long aio(struct rows *c, int opcode)
{
	struct iocb cb = {
		.aio_lio_opcode = opcode, .aio_fildes = c->fd, .aio_nbytes = RMEM_PAGE,
		.aio_buf = (uintptr_t)c->buf,
	}, *cbs[] = { &cb };
	aio_context_t ctx = 0;
	long ret;
	int err;

	if (opcode == IOCB_CMD_PREADV) {
		cb.aio_buf = (uintptr_t)&c->iov;
		cb.aio_nbytes = 1;
	} else if (opcode == IOCB_CMD_FSYNC) {
		cb.aio_buf = 0;
		cb.aio_nbytes = 0;
	}
	if (syscall(SYS_io_setup, 1, &ctx))
		return -1;
	ret = syscall(SYS_io_submit, ctx, 1, cbs);
	err = errno;
	syscall(SYS_io_destroy, ctx);
	errno = err;
	return ret;
}

static long map(struct rows *c, int prot, int flags)
{
	return (long)mmap(NULL, RMEM_PAGE, prot, flags, c->fd, 0);
}

/* Over memory that exists: the old mapping may go, but must not be replaced by the file's. */
static long map_fixed(struct rows *c, int flags)
{
	void *place = mmap(NULL, RMEM_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (place == MAP_FAILED)
		return 0;
	return (long)mmap(place, RMEM_PAGE, PROT_READ, flags | MAP_FIXED, c->fd, 0);
}

static long dedupe(struct rows *c)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} args = {
		.range = { .src_length = RMEM_PAGE, .dest_count = 1 },
		.info = { .dest_fd = c->twin },
	};

	return ioctl(c->fd, FIDEDUPERANGE, &args);
}

static long advise(struct rows *c, int advice)
{
	int ret = posix_fadvise(c->fd, 0, 0, advice);

	errno = ret;
	return ret ? -1 : 0;
}

static long handle(struct rows *c)
{
	struct file_handle *handle = (struct file_handle *)c->buf;
	unsigned char saved[sizeof(*handle)];
	int id;
	long ret;

	memcpy(saved, handle, sizeof(saved));
	handle->handle_bytes = 128;
	ret = name_to_handle_at(c->fd, "", handle, &id, AT_EMPTY_PATH);
	memcpy(handle, saved, sizeof(saved));
	return ret;
}

static long epoll(struct rows *c)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	return epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &event);
}

static long uring_eventfd(struct rows *c)
{
	struct io_uring_params params = { 0 };
	int ring = syscall(SYS_io_uring_setup, 1, &params);

	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_EVENTFD, &c->fd, 1);
}

static long opened(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd;
}

static long read_fd(int fd)
{
	char c;

	return read(fd, &c, 1);
}

static long map_fd(int fd)
{
	return (long)mmap(NULL, RMEM_PAGE, PROT_READ, MAP_SHARED, fd, 0);
}

static long alloc_fd(int fd)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, RMEM_PAGE);
}

static long reopen_fd(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDWR);
}

/* O_PATH is a name, not an open file: it gives no more than the name. */
static long use_o_path(struct rows *c, long (*use)(int fd))
{
	int fd = open(c->path, O_PATH | O_CLOEXEC);
	long ret = use(fd);
	int err = errno;

	close(fd);
	errno = err;
	return ret;
}

#define ROW(name_, owner_, other_, call_)				\
static long row_##name_(struct rows *c)					\
{									\
	return call_;							\
}
#include "restrictedmem_refused.h"
#undef ROW

static const struct row table[] = {
#define ROW(name_, owner_, other_, call_)				\
	{ #name_, owner_, other_, row_##name_ },
#include "restrictedmem_refused.h"
#undef ROW
};

static int make_file(bool kvm, unsigned long pages)
{
	return kvm ? rmem_create_guest_memfd(pages) : rmem_create_sized(pages);
}

FIXTURE(refused) {
	struct rows c;
};

FIXTURE_VARIANT(refused) {
	bool kvm;
	bool other;
};

FIXTURE_VARIANT_ADD(refused, owner) { .kvm = false };
FIXTURE_VARIANT_ADD(refused, other) { .other = true };
FIXTURE_VARIANT_ADD(refused, kvm) { .kvm = true };
FIXTURE_VARIANT_ADD(refused, kvm_other) { .kvm = true, .other = true };

FIXTURE_SETUP(refused)
{
	struct rows *c = &self->c;

	c->fd = make_file(variant->kvm, PAGES);
	RMEM_SKIP_IF(variant->kvm && c->fd < 0 ? "KVM has no guest_memfd" : NULL);
	ASSERT_LE(0, c->fd);
	c->twin = make_file(variant->kvm, PAGES);
	ASSERT_LE(0, c->twin);
	ASSERT_EQ(0, rmem_alloc(c->fd, 0, ALLOCATED));
	c->buf = aligned_alloc(RMEM_PAGE, RMEM_PAGE);
	ASSERT_NE(NULL, c->buf);
	memset(c->buf, PATTERN, RMEM_PAGE);
	c->iov = (struct iovec) { c->buf, RMEM_PAGE };
	c->plain = memfd_create("plain", MFD_CLOEXEC);
	ASSERT_EQ((long)RMEM_PAGE, write(c->plain, c->buf, RMEM_PAGE));
	ASSERT_EQ(0, pipe2(c->pipe, O_CLOEXEC));
	ASSERT_EQ(16, write(c->pipe[1], c->buf, 16));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, c->sock));
	c->lock = (struct flock) { .l_type = F_WRLCK };
	c->space = (struct rmem_space) { .l_len = RMEM_PAGE };
	c->argv[0] = "restricted";
	ASSERT_EQ(0, fstat(c->fd, &c->before));
	snprintf(c->path, sizeof(c->path), "/proc/self/fd/%d", c->fd);
}

FIXTURE_TEARDOWN(refused)
{
}

/* Whatever a call said: it moved no byte, and neither took nor gave a page. */
static const char *what_changed(struct rows *c)
{
	unsigned char now[RMEM_PAGE], byte;
	struct stat st;
	int queued = -1;

	if (rmem_size(c->fd) != (long)(PAGES * RMEM_PAGE))
		return "the size";
	if (rmem_pages(c->fd) != (long)ALLOCATED)
		return "the number of pages";
	if (fstat(c->fd, &st) || st.st_mode != c->before.st_mode || st.st_uid != c->before.st_uid)
		return "mode or owner";
	if (memcmp(&st.st_mtim, &c->before.st_mtim, sizeof(st.st_mtim)))
		return "the time";
	for (size_t i = 0; i < RMEM_PAGE; i++) {
		if (c->buf[i] != PATTERN)
			return "the buffer";
	}
	if (pread(c->plain, now, sizeof(now), 0) != sizeof(now) || memcmp(now, c->buf, sizeof(now)))
		return "the other file";
	if (ioctl(c->pipe[0], FIONREAD, &queued) || queued != 16)
		return "the pipe";
	if (recv(c->sock[1], &byte, 1, MSG_DONTWAIT) >= 0)
		return "the socket";
	return NULL;
}

static void check_row(struct __test_metadata *_metadata, struct rows *c, const struct row *row,
		      int expected)
{
	const char *changed;
	long ret;
	int err;

	c->zero = 0;
	lseek(c->plain, 0, SEEK_SET);
	errno = 0;
	ret = row->call(c);
	err = ret < 0 ? errno : 0;
	EXPECT_EQ(expected, err) TH_LOG("%s: returned %ld, %s", row->name, ret, strerror(err));
	changed = what_changed(c);
	EXPECT_EQ(NULL, changed) TH_LOG("%s changed %s", row->name, changed);
}

TEST_F_TIMEOUT(refused, table, RMEM_TEST_SECONDS)
{
	if (variant->other)
		ASSERT_EQ(0, rmem_become(OTHER_USER, false));
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		int expected = variant->other ? table[i].other : table[i].owner;

		check_row(_metadata, &self->c, &table[i], expected);
	}
	/* The allocation itself still works for whoever has the descriptor. */
	EXPECT_EQ(0, rmem_punch(self->c.fd, 0, PAGES));
	EXPECT_EQ(0, rmem_pages(self->c.fd));
}

TEST_HARNESS_MAIN
