// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded before a VMM, it makes calls fail as on a kernel, or in a sandbox, that lacks something. The
 * variable VMM_WITHOUT has a list of rules, with blanks between them:
 *
 *	s:CALL=ERRNO		the system call of this number, made through syscall(3)
 *	i:REQUEST=ERRNO		the ioctl of this request
 *
 * Calls that libc makes by itself do not come by here; those that the tests are about have no wrapper.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The error of the rule for @what, or 0. */
static int error_of(char kind, unsigned long what)
{
	const char *rule = getenv("VMM_WITHOUT");
	char *end;

	for (; rule && *rule; rule = end) {
		unsigned long number = strtoul(rule + 2, &end, 0), error = strtoul(end + 1, &end, 0);

		if (*rule == kind && number == what)
			return error;
		while (*end == ' ')
			end++;
	}
	return 0;
}

long syscall(long number, ...)
{
	long (*next)(long number, ...) = (long (*)(long number, ...))dlsym(RTLD_NEXT, "syscall");
	int error = error_of('s', number);
	long arg[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (!error)
		return next(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	errno = error;
	return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int fd, unsigned long request, ...) =
		(int (*)(int fd, unsigned long request, ...))dlsym(RTLD_NEXT, "ioctl");
	/* QEMU keeps requests in an int, which widens with its sign. */
	int error = error_of('i', (unsigned int)request);
	unsigned long arg;
	va_list args;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);
	if (!error)
		return next(fd, request, arg);
	errno = error;
	return -1;
}
