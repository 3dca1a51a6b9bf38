// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that pin the page at the address of a guest's page, and let the kernel or a device work on
 * it: O_DIRECT, and io_uring with plain and with registered buffers. A page that is pinned when
 * its address is discarded lives on, with what it held, and is nobody else's: not the guest's
 * private page, and not its shared one when the guest shares its page again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "private_surface_held_tests.h"
#include "private_surface_io.h"

static struct {
	struct surface_disk disk;
	struct surface_stall stall;
	struct surface_ring ring;
} io;

static long error(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* O_DIRECT. What is written comes to the disk's file, what is read comes from there. */
static int open_disk(struct surface *s __attribute__((unused)))
{
	return surface_open_disk(&io.disk);
}

static void close_disk(struct surface *s __attribute__((unused)))
{
	surface_close_disk(&io.disk);
}

static long from_disk_file(struct surface *s, long ret)
{
	return ret != (long)PVM_PAGE ? ret : error(pread(io.disk.file, s->seen, PVM_PAGE, 0));
}

static long to_disk_file(struct surface *s)
{
	return error(pwrite(io.disk.file, s->given, PVM_PAGE, 0));
}

static long direct_write(uint8_t *pages, size_t size)
{
	return error(pwrite(io.disk.fd, pages, size, 0));
}

static long direct_read(uint8_t *pages, size_t size)
{
	return error(pread(io.disk.fd, pages, size, 0));
}

/* io_uring. The disk is a registered file. */
static int open_ring(struct surface *s)
{
	int ret = open_disk(s);

	if (!ret)
		ret = surface_open_ring(&io.ring);
	return ret ? ret : io_uring_register_files(&io.ring.ring, &io.disk.fd, 1);
}

static void close_ring(struct surface *s)
{
	surface_close_ring(&io.ring);
	close_disk(s);
}

static long run(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_FIXED_FILE;
	return surface_run(&io.ring, NULL);
}

static long uring_write(uint8_t *pages, size_t size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io.ring.ring);

	io_uring_prep_write(sqe, 0, pages, size, 0);
	return run(sqe);
}

static long uring_read(uint8_t *pages, size_t size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io.ring.ring);

	io_uring_prep_read(sqe, 0, pages, size, 0);
	return run(sqe);
}

/* In flight, the page is pinned, and the next one is being waited for. */
#define WRITE_CALLS(name)						\
static long call_##name(struct surface *s)				\
{									\
	return from_disk_file(s, name((uint8_t *)s->page, PVM_PAGE));	\
}									\
									\
static int take_##name(struct surface *s)				\
{									\
	return surface_stall_begin(&io.stall, s, name);			\
}									\
									\
static long finish_##name(struct surface *s)				\
{									\
	return from_disk_file(s, surface_stall_end(&io.stall));		\
}

#define READ_CALLS(name)						\
static long call_##name(struct surface *s)				\
{									\
	long ret = to_disk_file(s);					\
									\
	return ret < 0 ? ret : name((uint8_t *)s->page, PVM_PAGE);	\
}									\
									\
static int take_##name(struct surface *s)				\
{									\
	return surface_stall_begin(&io.stall, s, name);			\
}									\
									\
static long finish_##name(struct surface *s)				\
{									\
	long ret = to_disk_file(s);					\
									\
	return ret < 0 ? ret : surface_stall_end(&io.stall);		\
}

WRITE_CALLS(direct_write)
WRITE_CALLS(uring_write)
READ_CALLS(direct_read)
READ_CALLS(uring_read)

/* The buffer is registered by the first call. */
static int take_fixed_write(struct surface *s)
{
	return surface_register_page(&io.ring, s);
}

static int take_fixed_read(struct surface *s)
{
	return surface_register_page(&io.ring, s);
}

static long call_fixed_write(struct surface *s)
{
	long ret = surface_register_page(&io.ring, s);
	struct io_uring_sqe *sqe;

	if (ret)
		return ret;
	sqe = io_uring_get_sqe(&io.ring.ring);
	io_uring_prep_write_fixed(sqe, 0, s->page, PVM_PAGE, 0, 0);
	return from_disk_file(s, run(sqe));
}

static long call_fixed_read(struct surface *s)
{
	long ret = surface_register_page(&io.ring, s);
	struct io_uring_sqe *sqe;

	if (!ret)
		ret = to_disk_file(s);
	if (ret < 0)
		return ret;
	sqe = io_uring_get_sqe(&io.ring.ring);
	io_uring_prep_read_fixed(sqe, 0, s->page, PVM_PAGE, 0, 0);
	return run(sqe);
}

static long finish_fixed_write(struct surface *s)
{
	long ret = call_fixed_write(s);

	return surface_unregister_page(&io.ring) ? -EIO : ret;
}

static long finish_fixed_read(struct surface *s)
{
	long ret = call_fixed_read(s);

	return surface_unregister_page(&io.ring) ? -EIO : ret;
}

#define DISK	.start = open_disk, .stop = close_disk
#define RING	.start = open_ring, .stop = close_ring

FIXTURE_VARIANT_ADD(surface, direct_write) {
	SURFACE_HOLDING_CALL(direct_write, DISK),
};

FIXTURE_VARIANT_ADD(surface, direct_read) {
	SURFACE_HOLDING_CALL(direct_read, DISK, .writes = true),
};

FIXTURE_VARIANT_ADD(surface, uring_write) {
	SURFACE_HOLDING_CALL(uring_write, RING),
};

FIXTURE_VARIANT_ADD(surface, uring_read) {
	SURFACE_HOLDING_CALL(uring_read, RING, .writes = true),
};

FIXTURE_VARIANT_ADD(surface, fixed_write) {
	SURFACE_HOLDING_CALL(fixed_write, RING, .holds = true),
};

FIXTURE_VARIANT_ADD(surface, fixed_read) {
	SURFACE_HOLDING_CALL(fixed_read, RING, .holds = true, .writes = true),
};

#include "private_surface_last_test.h"

TEST_HARNESS_MAIN
