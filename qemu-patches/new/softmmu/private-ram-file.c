/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: what the files of its halves hold. The private half can be
 * punched, and tells its size; it cannot be searched.
 *
 * Locking: none; the answers are as old as the calls.
 */
#include "qemu/osdep.h"
#include "private-ram-internal.h"

#ifdef CONFIG_FALLOCATE_PUNCH_HOLE
#include <linux/falloc.h>
#endif

int private_ram_file_punch(int fd, ram_addr_t offset, uint64_t size)
{
#ifdef CONFIG_FALLOCATE_PUNCH_HOLE
    int ret;

    do {
        ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        offset, size);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
#else
    return -ENOSYS;
#endif
}

bool private_ram_file_holds(int fd, ram_addr_t offset, uint64_t size)
{
#ifdef CONFIG_LINUX
    off_t data = lseek(fd, offset, SEEK_DATA);

    if (data < 0) {
        /* No data up to the end of the file; all else: it does not tell. */
        return errno != ENXIO;
    }
    return data < offset + size;
#else
    return true;
#endif
}

bool private_ram_file_bytes(int fd, uint64_t *bytes)
{
#ifdef CONFIG_LINUX
    struct stat st;

    if (fstat(fd, &st) == 0) {
        *bytes = (uint64_t)st.st_blocks * 512;
        return true;
    }
#endif
    return false;
}

bool private_ram_file_bytes_in(int fd, ram_addr_t offset, uint64_t size,
                               uint64_t *bytes)
{
#ifdef CONFIG_LINUX
    off_t start = offset, end = offset + size, data, hole;

    *bytes = 0;
    while (start < end) {
        data = lseek(fd, start, SEEK_DATA);
        if (data < 0) {
            return errno == ENXIO;
        }
        hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0) {
            /* The data was discarded since. */
            hole = data + PRIVATE_RAM_PAGE_SIZE;
        } else {
            *bytes += MIN(hole, end) - MIN(data, end);
        }
        start = hole;
    }
    return true;
#else
    return false;
#endif
}
