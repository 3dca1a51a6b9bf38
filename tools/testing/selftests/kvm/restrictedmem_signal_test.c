// SPDX-License-Identifier: GPL-2.0-only
/*
 * Long operations on restricted memory can be ended: an allocation by any signal, a punch by SIGKILL.
 * And nobody who waits for one is stuck with it, nor the CPU that it runs on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

/* More than can be allocated before the first signal, less than the machine has. */
#define LARGE		(1UL << 18)
/* Nothing in it, but a great many places to look. */
#define ENDLESS		(1UL << 50)
/* When something must have ended that was told to. */
#define SOON		20

FIXTURE(signal) {
	int fd;
};

FIXTURE_VARIANT(signal) {
	unsigned long pages;
};

FIXTURE_VARIANT_ADD(signal, large) { .pages = LARGE };
FIXTURE_VARIANT_ADD(signal, endless) { .pages = ENDLESS };

FIXTURE_SETUP(signal)
{
	self->fd = rmem_create_sized(variant->pages);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(signal)
{
	close(self->fd);
}

static void ignore(int sig __attribute__((unused)))
{
}

static void alarm_every(unsigned int ms)
{
	struct itimerval timer = { { 0, ms * 1000L }, { 0, ms * 1000L } };
	struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* A child that does one thing, which is expected not to return by itself. */
static pid_t start(int (*call)(int fd, unsigned long first, unsigned long pages), int fd,
		   unsigned long first, unsigned long pages)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	_exit(call(fd, first, pages) ? 1 : 0);
}

/* Let a child run for a moment and kill it. */
static int kill_soon(pid_t pid)
{
	usleep(200000);
	kill(pid, SIGKILL);
	return rmem_wait(pid, SOON);
}

/* The limits of the machine end an allocation of the endless file; a signal must do so earlier. */
TEST_F_TIMEOUT(signal, interrupts_allocation, RMEM_TEST_SECONDS)
{
	long pages;

	alarm_every(100);
	EXPECT_EQ(-EINTR, rmem_alloc(self->fd, 0, variant->pages));
	alarm_every(0);
	pages = rmem_pages(self->fd);
	EXPECT_LT(0, pages);
	EXPECT_GT((long)LARGE, pages);
	EXPECT_EQ(0, rmem_punch(self->fd, 0, LARGE));
	EXPECT_EQ(0, rmem_pages(self->fd));
}

TEST_F_TIMEOUT(signal, kills_allocation, RMEM_TEST_SECONDS)
{
	int status = kill_soon(start(rmem_alloc, self->fd, 0, variant->pages));
	long pages;

	EXPECT_EQ(SIGKILL, status);
	pages = rmem_pages(self->fd);
	EXPECT_LT(0, pages);
	EXPECT_GT((long)LARGE, pages);
}

/* Other signals do not end a punch: what would be given back half could not be told from all. */
TEST_F_TIMEOUT(signal, does_not_interrupt_punch, RMEM_TEST_SECONDS)
{
	ASSERT_EQ(0, rmem_alloc(self->fd, 0, LARGE / 8));
	alarm_every(1);
	EXPECT_EQ(0, rmem_punch(self->fd, 0, LARGE));
	alarm_every(0);
	EXPECT_EQ(0, rmem_pages(self->fd));
}

/* The end of a file takes as long as it has pages, whatever its size. */
TEST_F_TIMEOUT(signal, close, RMEM_TEST_SECONDS)
{
	double begin;

	ASSERT_EQ(0, rmem_alloc(self->fd, 0, 1));
	ASSERT_EQ(0, rmem_alloc(self->fd, variant->pages / 2, 1));
	ASSERT_EQ(0, rmem_alloc(self->fd, variant->pages - 1, 1));
	begin = rmem_now();
	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	EXPECT_GT(SOON, rmem_now() - begin);
}

FIXTURE(endless) {
	int fd;
};

FIXTURE_SETUP(endless)
{
	self->fd = rmem_create_sized(ENDLESS);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(endless)
{
	close(self->fd);
}

/* A punch costs what it finds, not what it covers: no part of a sparse file keeps the CPU busy. */
TEST_F_TIMEOUT(endless, punched_by_its_pages, RMEM_TEST_SECONDS)
{
	double begin;

	ASSERT_EQ(0, rmem_alloc(self->fd, 0, 1));
	ASSERT_EQ(0, rmem_alloc(self->fd, ENDLESS / 2, 1));
	ASSERT_EQ(0, rmem_alloc(self->fd, ENDLESS - 1, 1));
	begin = rmem_now();
	EXPECT_EQ(0, rmem_punch(self->fd, 1, ENDLESS - 1));
	EXPECT_GT(SOON, rmem_now() - begin);
	EXPECT_EQ(1, rmem_pages(self->fd));
	EXPECT_EQ(0, rmem_punch(self->fd, 0, ENDLESS));
	EXPECT_EQ(0, rmem_pages(self->fd));
}

/* A punch that is killed is over: nobody waits for it, and the page it came to is whole or gone. */
TEST_F_TIMEOUT(endless, killed, RMEM_TEST_SECONDS)
{
	pid_t pid;
	int i;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, rmem_alloc(self->fd, 0, LARGE / 64));
		pid = start(rmem_punch, self->fd, 0, ENDLESS);
		usleep(i * 500);
		kill(pid, SIGKILL);
		rmem_wait(pid, SOON);
		EXPECT_EQ(0, rmem_alloc(self->fd, 5, 1));
	}
	EXPECT_EQ(0, rmem_punch(self->fd, 0, ENDLESS));
	EXPECT_EQ(0, rmem_pages(self->fd));
}

TEST_HARNESS_MAIN
