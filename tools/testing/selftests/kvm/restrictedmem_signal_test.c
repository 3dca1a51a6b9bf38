// SPDX-License-Identifier: GPL-2.0-only
/*
 * Long operations on restricted memory can be ended: an allocation by any signal, a punch by SIGKILL.
 * And nobody who waits for one is stuck with it, nor the CPU that it runs on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"

/* More than can be allocated before the first signal, less than the machine has. */
#define LARGE		(1UL << 18)
/* A punch of it would take hours: nothing in it, but a great many places to look. */
#define ENDLESS		(1UL << 50)
/* A punch of it takes seconds. */
#define SECONDS		(1UL << 36)
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
	pid_t punch;
};

FIXTURE_SETUP(endless)
{
	self->fd = rmem_create_sized(ENDLESS);
	ASSERT_LE(0, self->fd);
	self->punch = 0;
}

FIXTURE_TEARDOWN(endless)
{
	if (self->punch)
		kill(self->punch, SIGKILL);
	close(self->fd);
}

TEST_F_TIMEOUT(endless, killed, RMEM_TEST_SECONDS)
{
	int status;

	ASSERT_EQ(0, rmem_alloc(self->fd, 5, 1));
	status = kill_soon(start(rmem_punch, self->fd, 0, ENDLESS));
	EXPECT_EQ(SIGKILL, status);
	/* The punch is over: nobody waits for it, and the page that it came to is whole or gone. */
	EXPECT_EQ(0, rmem_alloc(self->fd, 5, 1));
	EXPECT_EQ(1, rmem_pages(self->fd));
}

/* While a punch goes on: its range is waited for, in a way that a signal ends; the rest is free. */
TEST_F_TIMEOUT(endless, others_meanwhile, RMEM_TEST_SECONDS)
{
	double begin;

	self->punch = start(rmem_punch, self->fd, 1, ENDLESS - 1);
	usleep(200000);
	begin = rmem_now();
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, 1));
	EXPECT_EQ(0, rmem_punch(self->fd, 0, 1));
	EXPECT_EQ(0, rmem_alloc(self->fd, 0, 1));
	EXPECT_GT(SOON, rmem_now() - begin);
	alarm_every(300);
	EXPECT_EQ(-EINTR, rmem_alloc(self->fd, 1, 1));
	alarm_every(0);
	EXPECT_EQ(SIGKILL, kill_soon(start(rmem_alloc, self->fd, 7, 1)));
	EXPECT_EQ(1, rmem_pages(self->fd));
	EXPECT_EQ(0, waitpid(self->punch, NULL, WNOHANG)) TH_LOG("the punch has ended by itself");
	EXPECT_EQ(SIGKILL, kill_soon(self->punch));
	self->punch = 0;
	EXPECT_EQ(0, rmem_alloc(self->fd, 1, 1));
	EXPECT_EQ(2, rmem_pages(self->fd));
}

static void stay_on_cpu0(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Run all the time, beside others, and note the longest time that they let it wait. */
static void measure_waits(double *longest)
{
	double last = rmem_now(), now;

	for (;;) {
		now = rmem_now();
		if (now - last > *longest)
			*longest = now - last;
		last = now;
	}
}

/* No part of a punch keeps the CPU to itself; its longest part is about a half of it. */
TEST_F_TIMEOUT(endless, shares_the_cpu, RMEM_TEST_SECONDS)
{
	double *longest = mmap(NULL, RMEM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			       -1, 0);
	double begin;
	pid_t other;

	ASSERT_NE(MAP_FAILED, longest);
	*longest = 0;
	stay_on_cpu0();
	other = fork();
	if (!other)
		measure_waits(longest);
	usleep(100000);
	begin = rmem_now();
	EXPECT_EQ(0, rmem_punch(self->fd, 0, SECONDS));
	begin = rmem_now() - begin;
	kill(other, SIGKILL);
	rmem_wait(other, SOON);
	EXPECT_GT(begin / 4, *longest)
		TH_LOG("%.2f s of %.2f s without a chance for others", *longest, begin);
}

TEST_HARNESS_MAIN
