// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring has paths of its own into files: by plain and by registered descriptor, with plain and with
 * registered buffers. Each must end where the system call does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

#define PAGES		8UL
#define PATTERN		0x5a
#define OTHER_USER	1000

FIXTURE(uring) {
	struct io_uring ring;
	int fd;
	int pipe[2];
	unsigned char *buf;
	struct iovec iov;
	struct statx stx;
	char path[32];
};

FIXTURE_VARIANT(uring) {
	bool registered;
};

FIXTURE_VARIANT_ADD(uring, plain) { .registered = false };
FIXTURE_VARIANT_ADD(uring, registered) { .registered = true };

FIXTURE_SETUP(uring)
{
	self->fd = rmem_create_sized(PAGES);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, PAGES / 2));
	self->buf = aligned_alloc(RMEM_PAGE, RMEM_PAGE);
	ASSERT_NE(NULL, self->buf);
	memset(self->buf, PATTERN, RMEM_PAGE);
	self->iov = (struct iovec) { self->buf, RMEM_PAGE };
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(16, write(self->pipe[1], self->buf, 16));
	ASSERT_EQ(0, io_uring_queue_init(4, &self->ring, 0));
	ASSERT_EQ(0, io_uring_register_buffers(&self->ring, &self->iov, 1));
	ASSERT_EQ(0, io_uring_register_files(&self->ring, &self->fd, 1));
	snprintf(self->path, sizeof(self->path), "/proc/self/fd/%d", self->fd);
}

FIXTURE_TEARDOWN(uring)
{
	io_uring_queue_exit(&self->ring);
	close(self->fd);
}

/* Let an operation run, on the registered file if that is the variant's, and give its result. */
static int run(FIXTURE_DATA(uring) *self, const FIXTURE_VARIANT(uring) *variant,
	       struct io_uring_sqe *sqe)
{
	struct io_uring_cqe *cqe;
	int ret;

	/* statx() looks its file up by name. */
	if (variant->registered && sqe->fd == self->fd && sqe->opcode != IORING_OP_STATX) {
		sqe->fd = 0;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	ret = io_uring_submit_and_wait(&self->ring, 1);
	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe(&self->ring, &cqe);
	if (ret < 0)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&self->ring, cqe);
	return ret;
}

static const char *what_changed(FIXTURE_DATA(uring) *self)
{
	int queued = -1;

	if (rmem_pages(self->fd) != PAGES / 2)
		return "the number of pages";
	for (size_t i = 0; i < RMEM_PAGE; i++) {
		if (self->buf[i] != PATTERN)
			return "the buffer";
	}
	if (ioctl(self->pipe[0], FIONREAD, &queued) || queued != 16)
		return "the pipe";
	return NULL;
}

/* Expect @error of the operation that the statement @prep fills into "sqe". */
#define ENDS(error, prep) do {						\
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);	\
	const char *changed_;						\
	int res_;							\
									\
	ASSERT_NE(NULL, sqe);						\
	prep;								\
	res_ = run(self, variant, sqe);					\
	EXPECT_EQ(error, res_) TH_LOG("%s: %s", #prep, strerror(-res_));	\
	changed_ = what_changed(self);					\
	EXPECT_EQ(NULL, changed_) TH_LOG("%s changed %s", #prep, changed_);	\
} while (0)

TEST_F_TIMEOUT(uring, transfer, RMEM_TEST_SECONDS)
{
	ENDS(-EINVAL, io_uring_prep_read(sqe, self->fd, self->buf, RMEM_PAGE, 0));
	ENDS(-EINVAL, io_uring_prep_read(sqe, self->fd, self->buf, RMEM_PAGE, -1));
	ENDS(-EINVAL, io_uring_prep_readv(sqe, self->fd, &self->iov, 1, 0));
	ENDS(-EINVAL, io_uring_prep_readv2(sqe, self->fd, &self->iov, 1, 0, RWF_HIPRI));
	ENDS(-EINVAL, io_uring_prep_read_fixed(sqe, self->fd, self->buf, RMEM_PAGE, 0, 0));
	ENDS(-EINVAL, io_uring_prep_write(sqe, self->fd, self->buf, RMEM_PAGE, 0));
	ENDS(-EINVAL, io_uring_prep_write(sqe, self->fd, self->buf, RMEM_PAGE, -1));
	ENDS(-EINVAL, io_uring_prep_writev(sqe, self->fd, &self->iov, 1, 0));
	ENDS(-EINVAL, io_uring_prep_write_fixed(sqe, self->fd, self->buf, RMEM_PAGE, 0, 0));
	ENDS(-EINVAL, io_uring_prep_read(sqe, self->fd, self->buf, RMEM_PAGE, 0);
	     sqe->flags |= IOSQE_ASYNC);
}

TEST_F_TIMEOUT(uring, splice, RMEM_TEST_SECONDS)
{
	ENDS(-EINVAL, io_uring_prep_splice(sqe, self->pipe[0], -1, self->fd, -1, RMEM_PAGE, 0));
	ENDS(-EINVAL, io_uring_prep_splice(sqe, self->pipe[0], -1, self->fd, 0, RMEM_PAGE, 0));
	ENDS(-EINVAL, io_uring_prep_splice(sqe, self->fd, -1, self->pipe[1], -1, RMEM_PAGE, 0));
	ENDS(-EINVAL, io_uring_prep_splice(sqe, self->fd, 0, self->pipe[1], -1, RMEM_PAGE, 0));
	ENDS(-EINVAL, io_uring_prep_splice(sqe, 0, 0, self->pipe[1], -1, RMEM_PAGE,
					   SPLICE_F_FD_IN_FIXED));
	ENDS(-EINVAL, io_uring_prep_tee(sqe, self->fd, self->pipe[1], RMEM_PAGE, 0));
	ENDS(-EINVAL, io_uring_prep_tee(sqe, self->pipe[0], self->fd, RMEM_PAGE, 0));
}

TEST_F_TIMEOUT(uring, not_sockets, RMEM_TEST_SECONDS)
{
	ENDS(-ENOTSOCK, io_uring_prep_send(sqe, self->fd, self->buf, RMEM_PAGE, 0));
	ENDS(-ENOTSOCK, io_uring_prep_recv(sqe, self->fd, self->buf, RMEM_PAGE, 0));
	ENDS(-ENOTSOCK, io_uring_prep_send_zc(sqe, self->fd, self->buf, RMEM_PAGE, 0, 0));
}

TEST_F_TIMEOUT(uring, maintenance, RMEM_TEST_SECONDS)
{
	ENDS(-EINVAL, io_uring_prep_fsync(sqe, self->fd, 0));
	ENDS(0, io_uring_prep_sync_file_range(sqe, self->fd, PAGES * RMEM_PAGE, 0, SYNC_FILE_RANGE_WRITE));
	ENDS(0, io_uring_prep_fadvise(sqe, self->fd, 0, 0, POSIX_FADV_DONTNEED));
	ENDS(0, io_uring_prep_fadvise(sqe, self->fd, 0, 0, POSIX_FADV_WILLNEED));
	ENDS(-ENXIO, io_uring_prep_openat(sqe, AT_FDCWD, self->path, O_RDWR, 0));
	ENDS(-ENXIO, io_uring_prep_openat(sqe, AT_FDCWD, self->path, O_RDWR | O_TRUNC, 0));
	ENDS(variant->registered ? -EBADF : -EOPNOTSUPP,
	     io_uring_prep_fsetxattr(sqe, self->fd, "user.a", "b", 0, 1));
}

TEST_F_TIMEOUT(uring, fallocate, RMEM_TEST_SECONDS)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

	io_uring_prep_fallocate(sqe, self->fd, FALLOC_FL_KEEP_SIZE, 0, PAGES * RMEM_PAGE);
	EXPECT_EQ(0, run(self, variant, sqe));
	EXPECT_EQ((long)PAGES, rmem_pages(self->fd));
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_fallocate(sqe, self->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
				PAGES / 2 * RMEM_PAGE, PAGES / 2 * RMEM_PAGE);
	EXPECT_EQ(0, run(self, variant, sqe));
	ENDS(-EINVAL, io_uring_prep_fallocate(sqe, self->fd, FALLOC_FL_KEEP_SIZE,
					      PAGES * RMEM_PAGE, RMEM_PAGE));
	ENDS(-EINVAL, io_uring_prep_fallocate(sqe, self->fd, FALLOC_FL_KEEP_SIZE, 1, RMEM_PAGE));
	ENDS(-EOPNOTSUPP, io_uring_prep_fallocate(sqe, self->fd, 0, 0, RMEM_PAGE));
	ENDS(-EOPNOTSUPP, io_uring_prep_fallocate(sqe, self->fd, FALLOC_FL_ZERO_RANGE, 0, RMEM_PAGE));
}

TEST_F_TIMEOUT(uring, statx, RMEM_TEST_SECONDS)
{
	ENDS(0, io_uring_prep_statx(sqe, self->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS,
				    &self->stx));
	EXPECT_EQ(PAGES * RMEM_PAGE, self->stx.stx_size);
}

/* A registered file outlives its descriptor, and its pages do with it. */
TEST_F_TIMEOUT(uring, registered_outlives_descriptor, RMEM_TEST_SECONDS)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

	if (!variant->registered)
		ASSERT_EQ(0, io_uring_unregister_files(&self->ring));
	close(self->fd);
	self->fd = -1;
	io_uring_prep_fallocate(sqe, 0, FALLOC_FL_KEEP_SIZE, 0, RMEM_PAGE);
	sqe->flags |= IOSQE_FIXED_FILE;
	EXPECT_EQ(variant->registered ? 0 : -EBADF, run(self, variant, sqe));
}

/* What the file is not: memory that could be registered, as there is no mapping of it. */
TEST_F_TIMEOUT(uring, no_buffer_of_it, RMEM_TEST_SECONDS)
{
	struct iovec iov = { mmap(NULL, RMEM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
			     RMEM_PAGE };

	ASSERT_NE(MAP_FAILED, iov.iov_base);
	EXPECT_EQ(MAP_FAILED, mmap(iov.iov_base, RMEM_PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
	ASSERT_EQ(0, io_uring_unregister_buffers(&self->ring));
	EXPECT_EQ(-EFAULT, io_uring_register_buffers(&self->ring, &iov, 1));
}

TEST_HARNESS_MAIN
