/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What takes pages of the VMM's mapping for calls on the address of a guest's page: a disk for
 * O_DIRECT, a transfer that stalls half-way, and an io_uring. See private_surface.h;
 * lib/x86_64/private_surface_io.c.
 *
 * Functions give 0, or what they say, or a negative error.
 */
#ifndef SELFTEST_KVM_PRIVATE_SURFACE_IO_H
#define SELFTEST_KVM_PRIVATE_SURFACE_IO_H

#include <liburing.h>
#include <pthread.h>

#include "private_surface.h"

/* A loop device: what is written to it comes to its file, what is read from there. */
struct surface_disk {
	int fd;			/* the device, with O_DIRECT */
	int file;
};

int surface_open_disk(struct surface_disk *disk);
void surface_close_disk(struct surface_disk *disk);

/*
 * A transfer of the page and the one behind it, in a thread of its own. The latter is missing, and
 * somebody has to provide it: until surface_stall_end() the transfer has the first page and waits
 * for the second.
 */
struct surface_stall {
	pthread_t thread;
	int uffd;
	long (*transfer)(uint8_t *pages, size_t size);
	uint8_t *page;
	long result;
};

/* @transfer returns bytes, or a negative error. */
int surface_stall_begin(struct surface_stall *stall, struct surface *s,
			long (*transfer)(uint8_t *pages, size_t size));
/* The bytes of the first page. */
long surface_stall_end(struct surface_stall *stall);

/* The page can be registered once as its buffer 0. */
struct surface_ring {
	struct io_uring ring;
	bool registered;
};

int surface_open_ring(struct surface_ring *ring);
void surface_close_ring(struct surface_ring *ring);
int surface_register_page(struct surface_ring *ring, struct surface *s);
int surface_unregister_page(struct surface_ring *ring);
/* The operation's result; and in @more, if it is not NULL, whether a notification will follow. */
long surface_run(struct surface_ring *ring, bool *more);
int surface_wait_notification(struct surface_ring *ring);

#endif /* SELFTEST_KVM_PRIVATE_SURFACE_IO_H */
