// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that put the page at the address of a guest's page into a pipe or into the queue of a
 * connection, without copying it: vmsplice(), MSG_ZEROCOPY, and io_uring's zero-copy send. A page
 * that is queued when its address is discarded lives on, with what it held, and is nobody else's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "private_surface_held_tests.h"
#include "private_surface_io.h"

/* What the receiver takes before it reads, about; and more than that. */
#define WINDOW		(32 << 10)
#define BACKLOG		(256 << 10)
#define WAIT_MS		(PVM_TEST_SECONDS * 1000)

static struct {
	struct surface_ring ring;
	int pipe[2];
	int out, in;			/* a connection */
	unsigned int sent, completed;
} io;

static long error(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* vmsplice(): the pipe has the page itself. */
static int open_pipe(struct surface *s __attribute__((unused)))
{
	return pipe2(io.pipe, O_CLOEXEC) ? -errno : 0;
}

static void close_pipe(struct surface *s __attribute__((unused)))
{
	close(io.pipe[0]);
	close(io.pipe[1]);
}

static long splice_page(struct surface *s, unsigned int flags)
{
	struct iovec iov = { s->page, PVM_PAGE };

	return error(vmsplice(io.pipe[1], &iov, 1, flags));
}

static int take_vmsplice(struct surface *s)
{
	return splice_page(s, 0) == (long)PVM_PAGE ? 0 : -EIO;
}

static int take_vmsplice_gift(struct surface *s)
{
	return splice_page(s, SPLICE_F_GIFT) == (long)PVM_PAGE ? 0 : -EIO;
}

static long finish_vmsplice(struct surface *s)
{
	return error(read(io.pipe[0], s->seen, PVM_PAGE));
}

static long finish_vmsplice_gift(struct surface *s)
{
	return finish_vmsplice(s);
}

static long call_vmsplice(struct surface *s)
{
	long ret = splice_page(s, 0);

	return ret < 0 ? ret : finish_vmsplice(s);
}

static long call_vmsplice_gift(struct surface *s)
{
	long ret = splice_page(s, SPLICE_F_GIFT);

	return ret < 0 ? ret : finish_vmsplice(s);
}

/* MSG_ZEROCOPY: the queue of a TCP connection has the page until the other side has taken it. */
static int open_connection(struct surface *s __attribute__((unused)))
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int window = WINDOW, queue = 4 * BACKLOG, one = 1;
	socklen_t len = sizeof(address);

	io.out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)) ||
	    setsockopt(io.out, SOL_SOCKET, SO_SNDBUFFORCE, &queue, sizeof(queue)) ||
	    setsockopt(io.out, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) ||
	    bind(listener, (struct sockaddr *)&address, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &len) ||
	    connect(io.out, (struct sockaddr *)&address, len))
		return -errno;
	io.in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return io.in < 0 ? -errno : 0;
}

static void close_connection(struct surface *s __attribute__((unused)))
{
	close(io.out);
	close(io.in);
}

/* Completions come as ranges of the numbers of the calls. */
static int reap(int timeout)
{
	struct pollfd poll_fd = { .fd = io.out };
	char control[128];

	while (io.completed < io.sent && poll(&poll_fd, 1, timeout) == 1) {
		struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };
		struct sock_extended_err *err;

		if (recvmsg(io.out, &msg, MSG_ERRQUEUE) < 0 || !CMSG_FIRSTHDR(&msg))
			return -EIO;
		err = (struct sock_extended_err *)CMSG_DATA(CMSG_FIRSTHDR(&msg));
		if (err->ee_origin != SO_EE_ORIGIN_ZEROCOPY || err->ee_errno)
			return -EIO;
		io.completed = err->ee_data + 1;
	}
	return io.completed == io.sent ? 0 : -EAGAIN;
}

/*
 * The sender hears at once that it is done with the pages, not when the receiver has something to
 * say.
 */
static long receive(void *data, size_t size)
{
	long ret = error(recv(io.in, data, size, MSG_WAITALL));
	int one = 1;

	return setsockopt(io.in, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)) ? -errno : ret;
}

static long send_zerocopy(struct surface *s)
{
	long ret = error(send(io.out, s->page, PVM_PAGE, MSG_ZEROCOPY));

	io.sent += ret > 0;
	return ret;
}

/*
 * The other side has what was there when it was sent, and the sender is told when it is done with
 * it.
 */
static long call_zerocopy(struct surface *s)
{
	long ret = send_zerocopy(s);

	if (ret == (long)PVM_PAGE)
		ret = receive(s->seen, PVM_PAGE);
	return ret < 0 || !reap(WAIT_MS) ? ret : -EIO;
}

/* What is sent behind this stays in the queue until the receiver reads. */
static int fill_queue(void)
{
	static uint8_t backlog[BACKLOG];

	return send(io.out, backlog, sizeof(backlog), MSG_DONTWAIT) == BACKLOG ? 0 : -EIO;
}

static long drain_queue(void)
{
	static uint8_t backlog[BACKLOG];

	return receive(backlog, sizeof(backlog)) == BACKLOG ? 0 : -EIO;
}

static int take_zerocopy(struct surface *s)
{
	if (fill_queue() || send_zerocopy(s) != (long)PVM_PAGE)
		return -EIO;
	return reap(0) == -EAGAIN ? 0 : -EALREADY;
}

static long finish_zerocopy(struct surface *s)
{
	long ret = drain_queue();

	if (!ret)
		ret = receive(s->seen, PVM_PAGE);
	return ret < 0 || !reap(WAIT_MS) ? ret : -EIO;
}

/* By io_uring. With a fixed buffer, the first call registers it, and it is held by that, too. */
static int open_ring(struct surface *s)
{
	int ret = surface_open_ring(&io.ring);

	return ret ? ret : open_connection(s);
}

static void close_ring(struct surface *s)
{
	surface_close_ring(&io.ring);
	close_connection(s);
}

static long queue_page(struct surface *s, bool fixed, bool *more)
{
	struct io_uring_sqe *sqe;
	int ret = fixed ? surface_register_page(&io.ring, s) : 0;

	if (ret)
		return ret;
	sqe = io_uring_get_sqe(&io.ring.ring);
	if (fixed)
		io_uring_prep_send_zc_fixed(sqe, io.out, s->page, PVM_PAGE, MSG_WAITALL, 0, 0);
	else
		io_uring_prep_send_zc(sqe, io.out, s->page, PVM_PAGE, MSG_WAITALL, 0);
	return surface_run(&io.ring, more);
}

/* The notification says that the page is no longer needed. A send that fails need not give one. */
static long send_by_ring(struct surface *s, bool fixed)
{
	bool more = false;
	long ret = queue_page(s, fixed, &more);

	if (ret == (long)PVM_PAGE)
		ret = receive(s->seen, PVM_PAGE);
	return more && surface_wait_notification(&io.ring) ? -EIO : ret;
}

static int take_by_ring(struct surface *s, bool fixed)
{
	bool more = false;

	if (fill_queue() || queue_page(s, fixed, &more) != (long)PVM_PAGE)
		return -EIO;
	return more && !io_uring_cq_ready(&io.ring.ring) ? 0 : -EALREADY;
}

static long finish_by_ring(struct surface *s)
{
	long ret = drain_queue();

	if (!ret)
		ret = receive(s->seen, PVM_PAGE);
	return surface_wait_notification(&io.ring) ? -EIO : ret;
}

static long call_send_zc(struct surface *s)
{
	return send_by_ring(s, false);
}

static long call_send_zc_fixed(struct surface *s)
{
	return send_by_ring(s, true);
}

static int take_send_zc(struct surface *s)
{
	return take_by_ring(s, false);
}

static int take_send_zc_fixed(struct surface *s)
{
	return take_by_ring(s, true);
}

static long finish_send_zc(struct surface *s)
{
	return finish_by_ring(s);
}

static long finish_send_zc_fixed(struct surface *s)
{
	long ret = finish_by_ring(s);

	return surface_unregister_page(&io.ring) ? -EIO : ret;
}

#define PIPE		.start = open_pipe, .stop = close_pipe
#define CONNECTION	.start = open_connection, .stop = close_connection
#define RING		.start = open_ring, .stop = close_ring

FIXTURE_VARIANT_ADD(surface, vmsplice) {
	SURFACE_HOLDING_CALL(vmsplice, PIPE),
};

FIXTURE_VARIANT_ADD(surface, vmsplice_gift) {
	SURFACE_HOLDING_CALL(vmsplice_gift, PIPE),
};

FIXTURE_VARIANT_ADD(surface, zerocopy) {
	SURFACE_HOLDING_CALL(zerocopy, CONNECTION),
};

FIXTURE_VARIANT_ADD(surface, send_zc) {
	SURFACE_HOLDING_CALL(send_zc, RING),
};

FIXTURE_VARIANT_ADD(surface, send_zc_fixed) {
	SURFACE_HOLDING_CALL(send_zc_fixed, RING, .holds = true),
};

#include "private_surface_last_test.h"

TEST_HARNESS_MAIN
