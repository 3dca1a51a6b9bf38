// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded before a VMM, it answers calls as a kernel, or a sandbox, that lacks something. The
 * variable VMM_WITHOUT has a list of rules, with blanks between them:
 *
 *	s:CALL=ERRNO		the system call of this number, made through syscall(3), fails
 *	i:REQUEST=ERRNO		the ioctl of this request fails; with 0 it does nothing, and
 *				says that it did
 *	f:MODE=ERRNO		fallocate(2) of this mode fails
 *	v:CAPABILITY=ANSWER	KVM_CHECK_EXTENSION of a VM, and not of /dev/kvm, says so: the
 *				host's KVM has it for VMs of other types
 *
 * With the variable VMM_WITHOUT_WHILE, the rules hold only while the file of that name is there.
 *
 * Calls that libc makes by itself do not come by here; those that the tests are about have no
 * wrapper.
 *
 * No locking: one VM is enough, whose descriptor is that of the last KVM_CREATE_VM.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>

static int rules_hold(void)
{
	const char *file = getenv("VMM_WITHOUT_WHILE");

	return !file || access(file, F_OK) == 0;
}

/* What the rule for @what says, or -1. */
static int rule_for(char kind, unsigned long what)
{
	const char *rule = getenv("VMM_WITHOUT");
	char *end;

	for (; rule && *rule; rule = end) {
		unsigned long number = strtoul(rule + 2, &end, 0), says = strtoul(end + 1, &end, 0);

		if (*rule == kind && number == what)
			return rules_hold() ? (int)says : -1;
		while (*end == ' ')
			end++;
	}
	return -1;
}

static int fail(int error)
{
	errno = error;
	return error ? -1 : 0;
}

long syscall(long number, ...)
{
	long (*next)(long number, ...) = (long (*)(long number, ...))dlsym(RTLD_NEXT, "syscall");
	int error = rule_for('s', number);
	long arg[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (error >= 0)
		return fail(error);
	return next(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	int (*next)(int fd, int mode, off64_t offset, off64_t len) =
		(int (*)(int fd, int mode, off64_t offset, off64_t len))dlsym(RTLD_NEXT, "fallocate64");
	int error = rule_for('f', mode);

	return error >= 0 ? fail(error) : next(fd, mode, offset, len);
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int fd, unsigned long request, ...) =
		(int (*)(int fd, unsigned long request, ...))dlsym(RTLD_NEXT, "ioctl");
	/* QEMU keeps requests in an int, which widens with its sign. */
	int error = rule_for('i', (unsigned int)request), answer = -1;
	static int vm = -1;
	unsigned long arg;
	va_list args;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);
	if (error >= 0)
		return fail(error);
	if (request == KVM_CHECK_EXTENSION && fd == vm)
		answer = rule_for('v', arg);
	if (answer < 0)
		answer = next(fd, request, arg);
	if (request == KVM_CREATE_VM)
		vm = answer;
	return answer;
}
