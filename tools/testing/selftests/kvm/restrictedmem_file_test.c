// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a restricted file is: how it is created, what stat says, how it gets its size, which fallocate()
 * does what, and who else may get it. What is refused altogether is restrictedmem_fd_test.c's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/stat.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

#define PAGES		16UL
#define SIZE		((long)(PAGES * RMEM_PAGE))
#define K		((long)RMEM_PAGE)
#define KEEP		FALLOC_FL_KEEP_SIZE
#define PUNCH		(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)
#define OTHER_USER	1000

FIXTURE(create) {
	int fd;
};

FIXTURE_SETUP(create)
{
	self->fd = -1;
}

FIXTURE_TEARDOWN(create)
{
	close(self->fd);
}

TEST_F_TIMEOUT(create, flags, RMEM_TEST_SECONDS)
{
	int bit, fd;

	for (bit = 0; bit < 32; bit++) {
		if (1U << bit == MEMFD_RESTRICTED_CLOEXEC)
			continue;
		fd = rmem_create(1U << bit);
		EXPECT_EQ(-EINVAL, fd) TH_LOG("flag bit %d", bit);
		fd = rmem_create(1U << bit | MEMFD_RESTRICTED_CLOEXEC);
		EXPECT_EQ(-EINVAL, fd) TH_LOG("flag bit %d and CLOEXEC", bit);
	}
	self->fd = rmem_create(0);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(0, fcntl(self->fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(self->fd, F_GETFL) & O_ACCMODE);
	close(self->fd);
	self->fd = rmem_create(MEMFD_RESTRICTED_CLOEXEC);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

TEST_F_TIMEOUT(create, no_descriptor_left, RMEM_TEST_SECONDS)
{
	struct rlimit limit = { 3, 3 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, rmem_create(0));
}

TEST_F_TIMEOUT(create, stat, RMEM_TEST_SECONDS)
{
	struct stat st, other;
	int second;

	self->fd = rmem_create(0);
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(S_IFREG | 0600U, st.st_mode);
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ(0, st.st_blocks);
	EXPECT_EQ(RMEM_PAGE, (unsigned long)st.st_blksize);
	EXPECT_EQ(1, st.st_nlink);
	EXPECT_EQ(0, st.st_uid);

	second = rmem_create_sized(PAGES);
	ASSERT_EQ(0, fstat(second, &other));
	EXPECT_NE(st.st_ino, other.st_ino);
	EXPECT_EQ(st.st_dev, other.st_dev);
	EXPECT_EQ(SIZE, other.st_size);
	close(second);
}

/* How much is allocated: what no other call tells. */
TEST_F_TIMEOUT(create, fdinfo, RMEM_TEST_SECONDS)
{
	struct stat st;

	self->fd = rmem_create(0);
	EXPECT_EQ(0, rmem_fdinfo(self->fd, "size"));
	EXPECT_EQ(0, rmem_fdinfo(self->fd, "resident"));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	EXPECT_EQ(SIZE, rmem_fdinfo(self->fd, "size"));
	ASSERT_EQ(0, rmem_alloc(self->fd, 3, 5));
	EXPECT_EQ(5 * K, rmem_fdinfo(self->fd, "resident"));
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ((long)st.st_ino, rmem_fdinfo(self->fd, "ino"));
	/* Nobody has bound it. */
	EXPECT_EQ(-ENOENT, rmem_fdinfo(self->fd, "bound"));
}

TEST_F_TIMEOUT(create, statx, RMEM_TEST_SECONDS)
{
	struct statx stx;

	self->fd = rmem_create_sized(PAGES);
	ASSERT_EQ(0, rmem_alloc(self->fd, 3, 5));
	ASSERT_EQ(0, statx(self->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx));
	EXPECT_EQ((unsigned long)SIZE, stx.stx_size);
	EXPECT_EQ(5 * RMEM_PAGE / 512, stx.stx_blocks);
	EXPECT_EQ(S_IFREG | 0600, stx.stx_mode);
}

/* Size: once, from nothing, whole pages. By path too, which only its owner can. */
TEST_F_TIMEOUT(create, size_once, RMEM_TEST_SECONDS)
{
	char path[32];

	self->fd = rmem_create(0);
	ASSERT_EQ(-1, ftruncate(self->fd, RMEM_PAGE + 1));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, ftruncate(self->fd, RMEM_PAGE - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, rmem_size(self->fd));
	EXPECT_EQ(-EINVAL, rmem_alloc(self->fd, 0, 1));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	EXPECT_EQ(-1, truncate(path, 100));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, truncate(path, SIZE));
	EXPECT_EQ(SIZE, rmem_size(self->fd));
	EXPECT_EQ(-1, ftruncate(self->fd, SIZE));
	EXPECT_EQ(SIZE, rmem_size(self->fd));
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
}

TEST_F_TIMEOUT(create, size_by_other_user, RMEM_TEST_SECONDS)
{
	char path[32];

	self->fd = rmem_create(0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	ASSERT_EQ(0, rmem_become(OTHER_USER, false));
	EXPECT_EQ(-1, truncate(path, SIZE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, rmem_size(self->fd));
}

TEST_F_TIMEOUT(create, size_huge, RMEM_TEST_SECONDS)
{
	unsigned long last = (LLONG_MAX >> 12) - 1;

	self->fd = rmem_create_sized(last + 1);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(0, rmem_alloc(self->fd, last, 1));
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, 1));
	EXPECT_EQ(2, rmem_pages(self->fd));
	EXPECT_EQ(0, rmem_punch(self->fd, last, 1));
	EXPECT_EQ(1, rmem_pages(self->fd));
}

static volatile sig_atomic_t size_signals;

static void count_signal(int sig __attribute__((unused)))
{
	size_signals++;
}

/* The limit is for the size, not for what is allocated. */
TEST_F_TIMEOUT(create, size_limit, RMEM_TEST_SECONDS)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct rlimit limit = { K, RLIM_INFINITY };
	int large = rmem_create_sized(PAGES);

	self->fd = rmem_create(0);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, large);
	ASSERT_EQ(0, sigaction(SIGXFSZ, &action, NULL));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQ(-1, ftruncate(self->fd, SIZE));
	EXPECT_EQ(EFBIG, errno);
	EXPECT_EQ(1, size_signals);
	EXPECT_EQ(0, rmem_size(self->fd));
	EXPECT_EQ(0, ftruncate(self->fd, K));
	EXPECT_EQ(0, rmem_alloc(large, 0, PAGES));
	EXPECT_EQ(1, size_signals);
	close(large);
}

/* A descriptor that only names the file, and one that is none. */
TEST_F_TIMEOUT(create, bad_descriptor, RMEM_TEST_SECONDS)
{
	char path[32];
	int named;

	self->fd = rmem_create(0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	named = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, named);
	EXPECT_EQ(-1, ftruncate(named, SIZE));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(0, ftruncate(self->fd, SIZE));
	EXPECT_EQ(-EBADF, rmem_alloc(named, 0, 1));
	EXPECT_EQ(-EBADF, rmem_punch(named, 0, 1));
	close(named);
	EXPECT_EQ(-1, ftruncate(named, SIZE));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-EBADF, rmem_alloc(named, 0, 1));
	EXPECT_EQ(0, rmem_pages(self->fd));
}

/* Run this program again with a descriptor to look at; its status tells what it saw. */
static int look_after_exec(int fd)
{
	char self_path[] = "/proc/self/exe", number[16];
	char *argv[] = { self_path, number, NULL };
	char env[] = "RMEM_LOOK=1";
	char *envp[] = { env, NULL };
	int status;
	pid_t pid;

	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	if (!pid) {
		execve(argv[0], argv, envp);
		_exit(99);
	}
	status = rmem_wait(pid, RMEM_TEST_SECONDS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 1: no such descriptor, 2: not the file, 3: it gives data. */
static void __attribute__((constructor)) look(int argc, char **argv)
{
	char c;
	int fd;

	if (!getenv("RMEM_LOOK") || argc != 2)
		return;
	fd = atoi(argv[1]);
	if (fcntl(fd, F_GETFD) < 0)
		_exit(1);
	if (rmem_size(fd) != SIZE || rmem_pages(fd) != 2)
		_exit(2);
	_exit(read(fd, &c, 1) < 0 && errno == EINVAL && !rmem_punch(fd, 1, 1) ? 0 : 3);
}

TEST_F_TIMEOUT(create, exec, RMEM_TEST_SECONDS)
{
	self->fd = rmem_create_sized(PAGES);
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, 2));
	EXPECT_EQ(1, look_after_exec(self->fd));
	EXPECT_EQ(2, rmem_pages(self->fd));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFD, 0));
	EXPECT_EQ(0, look_after_exec(self->fd));
	EXPECT_EQ(1, rmem_pages(self->fd));
}

static int pass(int sock, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	if (fd >= 0) {
		control.header = (struct cmsghdr) {
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		return sendmsg(sock, &msg, 0);
	}
	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1 || control.header.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/* A file in flight keeps its pages; the one who gets it can give them back, and no more. */
TEST_F_TIMEOUT(create, passed_in_flight, RMEM_TEST_SECONDS)
{
	int sock[2], fd;
	struct stat st, got;
	char byte;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
	self->fd = rmem_create_sized(PAGES);
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	ASSERT_EQ(0, fstat(self->fd, &st));
	ASSERT_EQ(1, pass(sock[0], self->fd));
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, rmem_become(OTHER_USER, false));
	fd = pass(sock[1], -1);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &got));
	EXPECT_EQ(st.st_ino, got.st_ino);
	EXPECT_EQ((long)PAGES, rmem_pages(fd));
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(0, rmem_punch(fd, 0, PAGES));
	EXPECT_EQ(0, rmem_pages(fd));
}

/* A loop device takes any regular file; it must get nothing from this one, and lose nothing of it. */
TEST_F_TIMEOUT(create, loop_device, RMEM_TEST_SECONDS)
{
	int loop = open("/dev/loop0", O_RDWR | O_CLOEXEC);
	unsigned char buf[512] = { 0 };

	ASSERT_LE(0, loop);
	self->fd = rmem_create_sized(PAGES);
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	ASSERT_EQ(0, ioctl(loop, LOOP_SET_FD, self->fd));
	EXPECT_EQ(-1, pread(loop, buf, sizeof(buf), 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, pwrite(loop, buf, sizeof(buf), 0));
	EXPECT_EQ(-1, ioctl(loop, LOOP_SET_DIRECT_IO, 1UL));
	EXPECT_EQ((long)PAGES, rmem_pages(self->fd));
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, PAGES));
	EXPECT_EQ(0, ioctl(loop, LOOP_CLR_FD, 0));
	close(loop);
}

FIXTURE(fallocate) {
	int fd;
};

FIXTURE_VARIANT(fallocate) {
	bool kvm;
};

FIXTURE_VARIANT_ADD(fallocate, memfd) { .kvm = false };
FIXTURE_VARIANT_ADD(fallocate, kvm) { .kvm = true };

FIXTURE_SETUP(fallocate)
{
	self->fd = variant->kvm ? rmem_create_guest_memfd(PAGES) : rmem_create_sized(PAGES);
	RMEM_SKIP_IF(variant->kvm && self->fd < 0 ? "KVM has no guest_memfd" : NULL);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(fallocate)
{
	close(self->fd);
}

static const struct fallocate_row {
	int mode;
	long offset;
	long len;
	int error;
	long pages;		/* afterwards, when the first four were there before */
} rows[] = {
	/* allocate */
	{ KEEP, 0, 4 * K, 0, 4 },
	{ KEEP, 2 * K, 4 * K, 0, 6 },
	{ KEEP, 0, SIZE, 0, PAGES },
	{ KEEP, SIZE - K, K, 0, 5 },
	{ KEEP, SIZE, K, EINVAL, 4 },
	{ KEEP, SIZE - K, 2 * K, EINVAL, 4 },
	{ KEEP, 0, SIZE + K, EINVAL, 4 },
	{ KEEP, 1L << 40, K, EINVAL, 4 },
	{ KEEP, 1, K, EINVAL, 4 },
	{ KEEP, 4 * K, 1, EINVAL, 4 },
	{ KEEP, 4 * K + 512, K - 512, EINVAL, 4 },
	{ KEEP, 0, 0, EINVAL, 4 },
	{ KEEP, -K, K, EINVAL, 4 },
	{ KEEP, 0, -K, EINVAL, 4 },
	{ KEEP, LONG_MAX - K + 1, K, EFBIG, 4 },
	/* punch */
	{ PUNCH, 0, 4 * K, 0, 0 },
	{ PUNCH, K, 2 * K, 0, 2 },
	{ PUNCH, 3 * K, K, 0, 3 },
	{ PUNCH, 0, SIZE, 0, 0 },
	{ PUNCH, 4 * K, SIZE - 4 * K, 0, 4 },
	{ PUNCH, SIZE, K, 0, 4 },
	{ PUNCH, 0, 1L << 40, 0, 0 },
	{ PUNCH, 2 * K, LONG_MAX - 3 * K + 1, 0, 2 },
	{ PUNCH, 1, K, EINVAL, 4 },
	{ PUNCH, 0, 1, EINVAL, 4 },
	{ PUNCH, 512, K - 512, EINVAL, 4 },
	{ PUNCH, 0, 4 * K - 1, EINVAL, 4 },
	{ PUNCH, 0, 0, EINVAL, 4 },
	{ PUNCH, -K, K, EINVAL, 4 },
	{ PUNCH, LONG_MAX - K + 1, K, EFBIG, 4 },
	/* nothing else */
	{ 0, 0, SIZE, EOPNOTSUPP, 4 },
	{ 0, 0, SIZE + K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_PUNCH_HOLE, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_ZERO_RANGE, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_ZERO_RANGE | KEEP, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_ZERO_RANGE | PUNCH, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_NO_HIDE_STALE, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_NO_HIDE_STALE | KEEP, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_NO_HIDE_STALE | PUNCH, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_COLLAPSE_RANGE, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_COLLAPSE_RANGE | KEEP, 0, K, EINVAL, 4 },
	{ FALLOC_FL_INSERT_RANGE, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_INSERT_RANGE | KEEP, 0, K, EINVAL, 4 },
	{ FALLOC_FL_UNSHARE_RANGE, 0, K, EOPNOTSUPP, 4 },
	{ FALLOC_FL_UNSHARE_RANGE | KEEP, 0, K, EOPNOTSUPP, 4 },
};

TEST_F_TIMEOUT(fallocate, table, RMEM_TEST_SECONDS)
{
	const struct fallocate_row *row;

	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		ASSERT_EQ(0, rmem_punch(self->fd, 0, PAGES));
		ASSERT_EQ(0, rmem_alloc(self->fd, 0, 4));
		errno = 0;
		EXPECT_EQ(row->error ? -1 : 0, fallocate(self->fd, row->mode, row->offset, row->len));
		EXPECT_EQ(row->error, errno)
			TH_LOG("mode %#x [%#lx, +%#lx)", row->mode, row->offset, row->len);
		EXPECT_EQ(row->pages, rmem_pages(self->fd))
			TH_LOG("mode %#x [%#lx, +%#lx)", row->mode, row->offset, row->len);
		EXPECT_EQ(SIZE, rmem_size(self->fd));
	}
}

TEST_F_TIMEOUT(fallocate, unknown_modes, RMEM_TEST_SECONDS)
{
	const int known = KEEP | PUNCH | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE |
		FALLOC_FL_UNSHARE_RANGE;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if ((1U << bit) & known)
			continue;
		errno = 0;
		EXPECT_EQ(-1, fallocate(self->fd, KEEP | (int)(1U << bit), 0, K));
		EXPECT_EQ(EOPNOTSUPP, errno) TH_LOG("mode bit %d", bit);
	}
	EXPECT_EQ(0, rmem_pages(self->fd));
}

/* XFS's old calls are fallocate() under another name. */
TEST_F_TIMEOUT(fallocate, preallocation_ioctls, RMEM_TEST_SECONDS)
{
	struct rmem_space space = { .l_start = K, .l_len = 2 * K };

	EXPECT_EQ(0, ioctl(self->fd, RMEM_IOC_RESVSP, &space));
	EXPECT_EQ(2, rmem_pages(self->fd));
	space.l_len = K;
	EXPECT_EQ(0, ioctl(self->fd, RMEM_IOC_UNRESVSP, &space));
	EXPECT_EQ(1, rmem_pages(self->fd));
	space.l_len = 1;
	EXPECT_EQ(-1, ioctl(self->fd, RMEM_IOC_UNRESVSP, &space));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(1, rmem_pages(self->fd));
}

TEST_HARNESS_MAIN
