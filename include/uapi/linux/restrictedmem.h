/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * memfd_restricted(unsigned int flags): a file that owns memory which nobody can read, write or
 * map. Its size is set once, by ftruncate(). fallocate() allocates and punches pages.
 */
#ifndef _UAPI_LINUX_RESTRICTEDMEM_H
#define _UAPI_LINUX_RESTRICTEDMEM_H

/* Of <fcntl.h>, or <linux/fcntl.h>, which cannot be included together. */
#define MEMFD_RESTRICTED_CLOEXEC	O_CLOEXEC

#endif /* _UAPI_LINUX_RESTRICTEDMEM_H */
