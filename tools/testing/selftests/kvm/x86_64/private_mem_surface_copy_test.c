// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that copy from and to the address of a guest's page: those of another process, by way of
 * process_vm_readv() and process_vm_writev(), /proc/PID/mem and ptrace(), and the VMM's own read()
 * and write().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "private_surface_tests.h"

/*
 * What the other process is asked for, and its answer. A page of data is either the wish or the
 * result.
 */
struct order {
	long (*run)(struct order *order);
	pid_t vmm, thread;
	uint64_t *at;
	int mem;
	long result;
	uint64_t data[SURFACE_WORDS];
};

static struct {
	struct order *order;	/* shared with the other process */
	pid_t pid;
	int ask[2], answer[2];
	pthread_t idle;
	int stay[2];
	int pipe[2];
} io;

/* The other process. */
static long vm_readv(struct order *order)
{
	struct iovec to = { order->data, PVM_PAGE }, from = { order->at, PVM_PAGE };

	return process_vm_readv(order->vmm, &to, 1, &from, 1, 0);
}

static long vm_writev(struct order *order)
{
	struct iovec from = { order->data, PVM_PAGE }, to = { order->at, PVM_PAGE };

	return process_vm_writev(order->vmm, &from, 1, &to, 1, 0);
}

static long mem_read(struct order *order)
{
	return pread(order->mem, order->data, PVM_PAGE, (uintptr_t)order->at);
}

static long mem_write(struct order *order)
{
	return pwrite(order->mem, order->data, PVM_PAGE, (uintptr_t)order->at);
}

static long peek(struct order *order)
{
	for (size_t i = 0; i < SURFACE_WORDS; i++) {
		errno = 0;
		order->data[i] = ptrace(PTRACE_PEEKDATA, order->thread, order->at + i, NULL);
		if (errno)
			return -1;
	}
	return PVM_PAGE;
}

static long poke(struct order *order)
{
	for (size_t i = 0; i < SURFACE_WORDS; i++)
		if (ptrace(PTRACE_POKEDATA, order->thread, order->at + i, order->data[i]))
			return -1;
	return PVM_PAGE;
}

/* A thread that is stopped can be looked into; those that run the guest go on. */
static long seize(struct order *order)
{
	int status;

	if (ptrace(PTRACE_SEIZE, order->thread, NULL, NULL) ||
	    ptrace(PTRACE_INTERRUPT, order->thread, NULL, NULL))
		return -1;
	if (waitpid(order->thread, &status, __WALL) != order->thread)
		return -1;
	return WIFSTOPPED(status) ? 0 : -1;
}

static long open_mem(struct order *order)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", order->vmm);
	order->mem = open(path, O_RDWR | O_CLOEXEC);
	return order->mem < 0 ? -1 : 0;
}

static void obey(void)
{
	char byte;

	while (read(io.ask[0], &byte, 1) == 1) {
		long ret = io.order->run(io.order);

		io.order->result = ret < 0 ? -errno : ret;
		if (write(io.answer[1], &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/* The VMM. */
static long ask(long (*run)(struct order *order))
{
	char byte = 0;

	io.order->run = run;
	if (write(io.ask[1], &byte, 1) != 1 || read(io.answer[0], &byte, 1) != 1)
		return -EPIPE;
	return io.order->result;
}

static long ask_with_page(struct surface *s, long (*run)(struct order *order))
{
	long ret;

	io.order->at = s->page;
	if (s->call->writes)
		memcpy(io.order->data, s->given, PVM_PAGE);
	ret = ask(run);
	if (!s->call->writes)
		memcpy(s->seen, io.order->data, PVM_PAGE);
	return ret;
}

/* It is started before the VM: it has nothing of the guest's memory but what it can get. */
static int start_other(struct surface *s __attribute__((unused)))
{
	io.order = mmap(NULL, sizeof(*io.order), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (io.order == MAP_FAILED || pipe2(io.ask, O_CLOEXEC) || pipe2(io.answer, O_CLOEXEC))
		return -errno;
	io.order->vmm = getpid();
	io.pid = fork();
	if (io.pid < 0)
		return -errno;
	if (!io.pid) {
		close(io.ask[1]);
		close(io.answer[0]);
		obey();
	}
	close(io.ask[0]);
	close(io.answer[1]);
	return ask(open_mem);
}

static void stop_other(struct surface *s __attribute__((unused)))
{
	close(io.ask[1]);
	waitpid(io.pid, NULL, 0);
	munmap(io.order, sizeof(*io.order));
}

static void *stay_idle(void *data __attribute__((unused)))
{
	char byte;

	io.order->thread = syscall(SYS_gettid);
	if (write(io.stay[1], "", 1) == 1)
		while (read(io.pipe[0], &byte, 1) < 0)
			;
	return NULL;
}

static int attach_tracer(struct surface *s __attribute__((unused)))
{
	char byte;

	if (pipe2(io.stay, O_CLOEXEC) || pipe2(io.pipe, O_CLOEXEC) ||
	    pthread_create(&io.idle, NULL, stay_idle, NULL) || read(io.stay[0], &byte, 1) != 1)
		return -EIO;
	return ask(seize);
}

/* The thread goes on when its tracer is gone. */
static void stop_tracer(struct surface *s)
{
	stop_other(s);
	close(io.pipe[1]);
	pthread_join(io.idle, NULL);
}

static int open_pipe(struct surface *s __attribute__((unused)))
{
	return pipe2(io.pipe, O_CLOEXEC) ? -errno : 0;
}

static void close_pipe(struct surface *s __attribute__((unused)))
{
	close(io.pipe[0]);
	close(io.pipe[1]);
}

static long call_vm_readv(struct surface *s)
{
	return ask_with_page(s, vm_readv);
}

static long call_vm_writev(struct surface *s)
{
	return ask_with_page(s, vm_writev);
}

static long call_mem_read(struct surface *s)
{
	return ask_with_page(s, mem_read);
}

static long call_mem_write(struct surface *s)
{
	return ask_with_page(s, mem_write);
}

static long call_peek(struct surface *s)
{
	return ask_with_page(s, peek);
}

static long call_poke(struct surface *s)
{
	return ask_with_page(s, poke);
}

static long call_write(struct surface *s)
{
	if (write(io.pipe[1], s->page, PVM_PAGE) != (ssize_t)PVM_PAGE)
		return -errno;
	return read(io.pipe[0], s->seen, PVM_PAGE);
}

static long call_read(struct surface *s)
{
	ssize_t ret = write(io.pipe[1], s->given, PVM_PAGE);

	if (ret == (ssize_t)PVM_PAGE)
		ret = read(io.pipe[0], s->page, PVM_PAGE);
	return ret < 0 ? -errno : ret;
}

static long call_vmsplice(struct surface *s)
{
	struct iovec iov = { s->page, PVM_PAGE };
	ssize_t ret = write(io.pipe[1], s->given, PVM_PAGE);

	if (ret == (ssize_t)PVM_PAGE)
		ret = vmsplice(io.pipe[0], &iov, 1, 0);
	return ret < 0 ? -errno : ret;
}

#define OTHER	.start = start_other, .stop = stop_other
#define TRACER	.start = start_other, .attach = attach_tracer, .stop = stop_tracer
#define PIPE	.start = open_pipe, .stop = close_pipe

FIXTURE_VARIANT_ADD(surface, vm_readv) {
	SURFACE_CALL(vm_readv, EFAULT, OTHER),
};

FIXTURE_VARIANT_ADD(surface, vm_writev) {
	SURFACE_CALL(vm_writev, EFAULT, OTHER, .writes = true),
};

FIXTURE_VARIANT_ADD(surface, mem_read) {
	SURFACE_CALL(mem_read, EIO, OTHER),
};

FIXTURE_VARIANT_ADD(surface, mem_write) {
	SURFACE_CALL(mem_write, EIO, OTHER, .writes = true),
};

FIXTURE_VARIANT_ADD(surface, peek) {
	SURFACE_CALL(peek, EIO, TRACER),
};

FIXTURE_VARIANT_ADD(surface, poke) {
	SURFACE_CALL(poke, EIO, TRACER, .writes = true),
};

FIXTURE_VARIANT_ADD(surface, write) {
	SURFACE_CALL(write, EFAULT, PIPE),
};

FIXTURE_VARIANT_ADD(surface, read) {
	SURFACE_CALL(read, EFAULT, PIPE, .writes = true),
};

FIXTURE_VARIANT_ADD(surface, vmsplice) {
	SURFACE_CALL(vmsplice, EFAULT, PIPE, .writes = true),
};

#include "private_surface_last_test.h"

TEST_HARNESS_MAIN
