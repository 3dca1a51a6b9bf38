// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls on the address of a guest's page: what takes pages. See private_surface_io.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "private_surface_io.h"

#define DISK_SIZE	(16 * PVM_PAGE)
#define STALL_MS	(PVM_TEST_SECONDS * 1000)

static int set_up_loop(struct surface_disk *disk, int control)
{
	struct loop_config config = {
		.fd = disk->file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	char path[32];
	int nr = ioctl(control, LOOP_CTL_GET_FREE);

	if (nr < 0)
		return -errno;
	snprintf(path, sizeof(path), "/dev/loop%d", nr);
	disk->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk->fd < 0 || ioctl(disk->fd, LOOP_CONFIGURE, &config))
		return -errno;
	return 0;
}

int surface_open_disk(struct surface_disk *disk)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), ret;

	disk->file = memfd_create("disk", MFD_CLOEXEC);
	if (control < 0 || disk->file < 0 || ftruncate(disk->file, DISK_SIZE))
		return -errno;
	ret = set_up_loop(disk, control);
	close(control);
	return ret;
}

void surface_close_disk(struct surface_disk *disk)
{
	close(disk->fd);
	close(disk->file);
}

static void *transfer(void *data)
{
	struct surface_stall *stall = data;

	stall->result = stall->transfer(stall->page, 2 * PVM_PAGE);
	return NULL;
}

/* The page behind the first is gone, and does not come back by itself. */
static int make_missing(struct surface_stall *stall, struct surface *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)stall->page + PVM_PAGE, PVM_PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	stall->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (stall->uffd < 0 || ioctl(stall->uffd, UFFDIO_API, &api) ||
	    ioctl(stall->uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	return madvise(stall->page + PVM_PAGE, PVM_PAGE,
		       s->shmem < 0 ? MADV_DONTNEED : MADV_REMOVE) ? -errno : 0;
}

int surface_stall_begin(struct surface_stall *stall, struct surface *s,
			long (*run)(uint8_t *pages, size_t size))
{
	struct pollfd missing = { .events = POLLIN };
	struct uffd_msg msg;
	int ret;

	*stall = (struct surface_stall) { .transfer = run, .page = (uint8_t *)s->page };
	ret = make_missing(stall, s);
	if (!ret)
		ret = -pthread_create(&stall->thread, NULL, transfer, stall);
	if (ret)
		return ret;
	missing.fd = stall->uffd;
	if (poll(&missing, 1, STALL_MS) != 1 || read(stall->uffd, &msg, sizeof(msg)) != sizeof(msg))
		return -ETIME;
	return msg.event == UFFD_EVENT_PAGEFAULT ? 0 : -EIO;
}

long surface_stall_end(struct surface_stall *stall)
{
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)stall->page + PVM_PAGE, PVM_PAGE },
	};

	if (ioctl(stall->uffd, UFFDIO_ZEROPAGE, &zero))
		return -errno;
	pthread_join(stall->thread, NULL);
	close(stall->uffd);
	return stall->result < 0 ? stall->result : stall->result - (long)PVM_PAGE;
}

int surface_open_ring(struct surface_ring *ring)
{
	ring->registered = false;
	return io_uring_queue_init(4, &ring->ring, 0);
}

void surface_close_ring(struct surface_ring *ring)
{
	io_uring_queue_exit(&ring->ring);
}

int surface_register_page(struct surface_ring *ring, struct surface *s)
{
	struct iovec iov = { s->page, PVM_PAGE };
	int ret = ring->registered ? 0 : io_uring_register_buffers(&ring->ring, &iov, 1);

	ring->registered |= !ret;
	return ret;
}

int surface_unregister_page(struct surface_ring *ring)
{
	ring->registered = false;
	return io_uring_unregister_buffers(&ring->ring);
}

long surface_run(struct surface_ring *ring, bool *more)
{
	struct io_uring_cqe *cqe;
	long ret = io_uring_submit_and_wait(&ring->ring, 1);

	if (ret >= 0)
		ret = io_uring_wait_cqe(&ring->ring, &cqe);
	if (ret < 0)
		return ret;
	ret = cqe->res;
	if (more)
		*more = cqe->flags & IORING_CQE_F_MORE;
	io_uring_cqe_seen(&ring->ring, cqe);
	return ret;
}

int surface_wait_notification(struct surface_ring *ring)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_wait_cqe(&ring->ring, &cqe);

	if (ret)
		return ret;
	ret = cqe->flags & IORING_CQE_F_NOTIF ? 0 : -EIO;
	io_uring_cqe_seen(&ring->ring, cqe);
	return ret;
}
