// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded before a VMM, it takes one capability away from each of its VMs, and not from /dev/kvm: a
 * host whose KVM has private memory for VMs of other types. The number is in the variable VMM_LACKS.
 *
 * One VM is enough: its descriptor is that of the last KVM_CREATE_VM.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kvm.h>

int ioctl(int fd, unsigned long request, ...);

int ioctl(int fd, unsigned long request, ...)
{
	static int vm = -1;
	unsigned long arg;
	va_list args;
	int ret;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);

	if (request == KVM_CHECK_EXTENSION && fd == vm && arg == strtoul(getenv("VMM_LACKS"), NULL, 0))
		return 0;
	ret = syscall(SYS_ioctl, fd, request, arg);
	if (request == KVM_CREATE_VM)
		vm = ret;
	return ret;
}
