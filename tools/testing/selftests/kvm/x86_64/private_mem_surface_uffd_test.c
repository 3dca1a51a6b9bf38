// SPDX-License-Identifier: GPL-2.0-only
/*
 * userfaultfd at the address of a guest's page: who handles faults there decides what a shared
 * page is. It hears nothing of a private page, and what it puts at the address of one is the
 * VMM's, not the guest's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_surface.h"

/* What the handler of faults gives: words of a call that no test makes. */
#define HANDLER_ROUND	0xffff
#define RACES		10

FIXTURE(uffd) {
	struct surface s;
};

FIXTURE_VARIANT(uffd) {
	struct surface_call call;
	enum surface_backing backing;
	uint64_t mode, features;
	/* Lets go on who waits. */
	int (*resolve)(struct surface *s);
};

static struct {
	const FIXTURE_VARIANT(uffd) *variant;
	int fd, quit[2];
	pthread_t handler;
	uint64_t words[SURFACE_WORDS];
	/* The page of shared memory under another address, where nobody handles faults. */
	uint64_t *second;
	atomic_ulong faults, removals;
} io;

static struct uffdio_range page_range(struct surface *s)
{
	return (struct uffdio_range){ (uintptr_t)s->page, PVM_PAGE };
}

static long copy(struct surface *s, const uint64_t *words)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)s->page, .src = (uintptr_t)words, .len = PVM_PAGE,
	};

	return ioctl(io.fd, UFFDIO_COPY, &copy) ? -errno : (long)PVM_PAGE;
}

static long zeropage(struct surface *s)
{
	struct uffdio_zeropage zero = { .range = page_range(s) };

	return ioctl(io.fd, UFFDIO_ZEROPAGE, &zero) ? -errno : (long)PVM_PAGE;
}

static long map_what_is_there(struct surface *s)
{
	struct uffdio_continue map = { .range = page_range(s) };

	return ioctl(io.fd, UFFDIO_CONTINUE, &map) ? -errno : (long)PVM_PAGE;
}

static long protect(struct surface *s, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = page_range(s), .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(io.fd, UFFDIO_WRITEPROTECT, &wp) ? -errno : (long)PVM_PAGE;
}

/* A call may have been faster, and then has woken nobody who came later. */
static int or_wake(struct surface *s, long ret)
{
	struct uffdio_range range = page_range(s);

	if (ret == -EEXIST)
		return ioctl(io.fd, UFFDIO_WAKE, &range);
	return ret == (long)PVM_PAGE ? 0 : ret;
}

static int resolve_copy(struct surface *s)
{
	return or_wake(s, copy(s, io.words));
}

static int resolve_zeropage(struct surface *s)
{
	return or_wake(s, zeropage(s));
}

static int resolve_continue(struct surface *s)
{
	return or_wake(s, map_what_is_there(s));
}

static int resolve_wp(struct surface *s)
{
	return or_wake(s, protect(s, false));
}

/*
 * Of the page, and not while it is private: nobody but the guest comes to the address without a
 * page.
 */
static void handle_fault(struct surface *s, uint64_t address)
{
	int ret;

	if (s->is_private)
		surface_fail(s, "a fault at the address of a private page");
	if ((address & -PVM_PAGE) != (uintptr_t)s->page)
		surface_fail(s, "a fault at %#lx", address);
	/* First: who waits goes on with the next line, and may look. */
	io.faults++;
	ret = io.variant->resolve(s);
	if (ret)
		surface_fail(s, "a fault is not resolved: %d", ret);
}

static void *handle_faults(void *data)
{
	struct pollfd fds[2] = { { .fd = io.fd, .events = POLLIN },
				 { .fd = io.quit[0], .events = POLLIN } };
	struct surface *s = data;
	struct uffd_msg msg;

	while (poll(fds, 2, -1) >= 0 && !fds[1].revents) {
		if (read(io.fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		if (msg.event == UFFD_EVENT_PAGEFAULT)
			handle_fault(s, msg.arg.pagefault.address);
		else
			io.removals += msg.event == UFFD_EVENT_REMOVE;
	}
	return NULL;
}

static int attach(struct surface *s)
{
	struct uffdio_api api = { .api = UFFD_API, .features = io.variant->features };
	struct uffdio_register reg = {
		.range = { (uintptr_t)s->hva, SURFACE_SIZE }, .mode = io.variant->mode,
	};

	for (size_t i = 0; i < SURFACE_WORDS; i++)
		io.words[i] = surface_word(SURFACE_CALLER, HANDLER_ROUND, i);
	if (s->shmem >= 0)
		io.second = mmap(NULL, PVM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s->shmem,
				 SURFACE_PAGE * PVM_PAGE);
	io.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (io.second == MAP_FAILED || io.fd < 0 || ioctl(io.fd, UFFDIO_API, &api) ||
	    ioctl(io.fd, UFFDIO_REGISTER, &reg) || pipe2(io.quit, O_CLOEXEC))
		return -errno;
	return -pthread_create(&io.handler, NULL, handle_faults, s);
}

static void stop(struct surface *s __attribute__((unused)))
{
	close(io.quit[1]);
	pthread_join(io.handler, NULL);
	close(io.fd);
	if (io.second)
		munmap(io.second, PVM_PAGE);
}

static long call_copy(struct surface *s)
{
	return copy(s, s->given);
}

static long call_zeropage(struct surface *s)
{
	memset(s->given, 0, PVM_PAGE);
	return zeropage(s);
}

static long call_continue(struct surface *s)
{
	memcpy(io.second, s->given, PVM_PAGE);
	return map_what_is_there(s);
}

/* What is protected can be read. */
static long call_wp(struct surface *s)
{
	long ret = protect(s, true);

	if (ret == (long)PVM_PAGE)
		memcpy(s->seen, s->page, PVM_PAGE);
	return ret;
}

/* There is a page, but the address does not have it: a minor fault. */
static void put_page(struct surface *s __attribute__((unused)))
{
	memcpy(io.second, io.words, PVM_PAGE);
}

/* Against conversions, there may be a page already, or what error says. */
#define CALL(name_, what, mode_, error)						\
	.call = {								\
		.name = "uffd_" #name_, .attach = attach, .stop = stop,		\
		.call = call_##what, .unmapped = ENOENT, .busy = { EEXIST, error },	\
		.writes = UFFDIO_REGISTER_MODE_##mode_ != UFFDIO_REGISTER_MODE_WP,	\
		.before_look = UFFDIO_REGISTER_MODE_##mode_ ==			\
			       UFFDIO_REGISTER_MODE_MINOR ? put_page : NULL,	\
	},									\
	.resolve = resolve_##what, .mode = UFFDIO_REGISTER_MODE_##mode_

FIXTURE_VARIANT_ADD(uffd, copy) {
	CALL(copy, copy, MISSING, 0),
	.backing = SURFACE_ANONYMOUS,
};

FIXTURE_VARIANT_ADD(uffd, copy_shmem) {
	CALL(copy_shmem, copy, MISSING, 0),
	.backing = SURFACE_SHMEM,
};

/* A discard waits until the handler has read of it. */
FIXTURE_VARIANT_ADD(uffd, copy_events) {
	CALL(copy_events, copy, MISSING, EAGAIN),
	.features = UFFD_FEATURE_EVENT_REMOVE,
};

FIXTURE_VARIANT_ADD(uffd, copy_events_shmem) {
	CALL(copy_events_shmem, copy, MISSING, EAGAIN),
	.features = UFFD_FEATURE_EVENT_REMOVE,
	.backing = SURFACE_SHMEM,
};

FIXTURE_VARIANT_ADD(uffd, zeropage) {
	CALL(zeropage, zeropage, MISSING, 0),
	.backing = SURFACE_ANONYMOUS,
};

FIXTURE_VARIANT_ADD(uffd, continue) {
	CALL(continue, continue, MINOR, EFAULT),
	.features = UFFD_FEATURE_MINOR_SHMEM,
	.backing = SURFACE_SHMEM,
};

FIXTURE_VARIANT_ADD(uffd, wp) {
	CALL(wp, wp, WP, 0),
	.backing = SURFACE_ANONYMOUS,
};

FIXTURE_VARIANT_ADD(uffd, wp_huge) {
	CALL(wp_huge, wp, WP, 0),
	.backing = SURFACE_HUGE,
};

FIXTURE_SETUP(uffd)
{
	io.variant = variant;
}

FIXTURE_TEARDOWN(uffd)
{
	surface_close(&self->s);
}

TEST_F_TIMEOUT(uffd, private, PVM_TEST_SECONDS)
{
	SURFACE_TEST("private", variant->backing, surface_check_private);
}

TEST_F_TIMEOUT(uffd, unmapped, PVM_TEST_SECONDS)
{
	SURFACE_TEST("unmapped", variant->backing, surface_check_unmapped);
}

static const char *faults_are(struct surface *s, unsigned long wish)
{
	return io.faults == wish ? surface_failed(s) : surface_fail(s, "%lu faults", io.faults);
}

/* A page that is missing comes from the handler. */
static const char *check_missing(struct surface *s)
{
	if (s->call->before_look)
		s->call->before_look(s);
	if (surface_look(s))
		return s->why;
	if (io.variant->resolve == resolve_zeropage)
		surface_all_zero(s, "the guest's page", s->guest);
	else
		surface_all_are(s, "the guest's page", s->guest, SURFACE_CALLER, HANDLER_ROUND);
	return faults_are(s, 1);
}

/* The guest's write to a page that is protected waits for the handler. */
static const char *check_protected(struct surface *s)
{
	if (surface_fill(s, SURFACE_SHARED, 1) || faults_are(s, 0))
		return s->why;
	if (s->call->call(s) != (long)PVM_PAGE)
		return surface_fail(s, "the page is not protected");
	return surface_all_are(s, "what the VMM saw", s->seen, SURFACE_SHARED, 1) ?:
	       surface_fill(s, SURFACE_SHARED, 2) ?: faults_are(s, 1) ?:
	       surface_guest_has(s, SURFACE_SHARED, 2);
}

static const char *check_shared(struct surface *s)
{
	return io.variant->mode & UFFDIO_REGISTER_MODE_WP ? check_protected(s) : check_missing(s);
}

TEST_F_TIMEOUT(uffd, shared, PVM_TEST_SECONDS)
{
	SURFACE_TEST("shared", variant->backing, check_shared);
}

static const char *check_race(struct surface *s)
{
	/* On a busy machine all conversions may be over before the page was asked for once. */
	for (int tries = 0; !io.faults && tries < RACES; tries++) {
		s->done = false;
		if (surface_check_race(s))
			return s->why;
	}
	if (!io.faults)
		return surface_fail(s, "the handler was never asked");
	if (!io.removals != !(io.variant->features & UFFD_FEATURE_EVENT_REMOVE))
		return surface_fail(s, "the handler heard of %lu discards", io.removals);
	return NULL;
}

TEST_F_TIMEOUT(uffd, converted, PVM_TEST_SECONDS)
{
	SURFACE_TEST("converted", variant->backing, check_race);
}

#include "private_surface_last_test.h"

TEST_HARNESS_MAIN
