// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded before a selftest program of 6.8 or newer, it lets that program run on a kernel that has no
 * KVM_SET_USER_MEMORY_REGION2: the library asks for every memslot by that ioctl, and skips where it is
 * missing. A slot without a guest_memfd says nothing that the old ioctl cannot say, and the old struct
 * is the head of the new one. So the same programs can be compared on the stock kernel and on ours.
 *
 *	cc -shared -fPIC -o region2.so peers-region2.c
 *
 * Only KVM_CAP_USER_MEMORY2 is claimed: programs of private memory go on skipping themselves.
 *
 * Locking and lifetime: none, there is no state.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The numbers of <linux/kvm.h>, which may be older than what is asked for. */
#define CHECK_EXTENSION		0xae03UL
#define SET_MEMORY_REGION	0x4020ae46UL
#define SET_MEMORY_REGION2	0x40a0ae49UL
#define CAP_USER_MEMORY2	231UL

#define OLD_SLOT_FLAGS		0x3U	/* dirty logging and read-only */

struct slot_head {
	unsigned int slot;
	unsigned int flags;
};

static int call(int fd, unsigned long request, unsigned long argument)
{
	return syscall(SYS_ioctl, fd, request, argument);
}

static int set_slot(int fd, unsigned long argument)
{
	const struct slot_head *head = (const struct slot_head *)argument;

	if (head->flags & ~OLD_SLOT_FLAGS) {
		errno = EINVAL;
		return -1;
	}
	return call(fd, SET_MEMORY_REGION, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
	unsigned long argument;
	va_list list;

	va_start(list, request);
	argument = va_arg(list, unsigned long);
	va_end(list);

	if (request == CHECK_EXTENSION && argument == CAP_USER_MEMORY2)
		return 1;
	if (request == SET_MEMORY_REGION2)
		return set_slot(fd, argument);
	return call(fd, request, argument);
}
