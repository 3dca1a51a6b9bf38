/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test device of private RAM: the numbers that it and its test agree on.
 */
#ifndef HW_MISC_PRIVATE_RAM_TESTDEV_H
#define HW_MISC_PRIVATE_RAM_TESTDEV_H

#define TYPE_PRIVATE_RAM_TESTDEV        "private-ram-testdev"

#define PRIVATE_RAM_TESTDEV_VENDOR      0x1234
#define PRIVATE_RAM_TESTDEV_DEVICE      0x11ef

/* Registers in BAR 0, of 8 bytes; a command is done when its write is. */
#define PRIVATE_RAM_TESTDEV_ADDR        0x00
#define PRIVATE_RAM_TESTDEV_LEN         0x08
#define PRIVATE_RAM_TESTDEV_DATA        0x10
#define PRIVATE_RAM_TESTDEV_CMD         0x18
#define PRIVATE_RAM_TESTDEV_RESULT      0x20

/* Commands; the result is an errno, or what the access returned. */
enum {
    /* What a guest would ask the accelerator for: ADDR, LEN in pages */
    TESTDEV_TO_PRIVATE = 1,
    TESTDEV_TO_SHARED,
    /* Accesses: ADDR, LEN up to a page; DATA: their first 8 bytes */
    TESTDEV_READ,
    TESTDEV_WRITE,
    /* LEN: 1, 2, 4 or 8 */
    TESTDEV_LOAD,
    TESTDEV_STORE,
    /* One mapping: LEN becomes what was mapped, DATA is its first byte */
    TESTDEV_MAP_READ,
    TESTDEV_MAP_WRITE,
    TESTDEV_TOUCH,              /* the last byte of the mapping gets DATA */
    TESTDEV_UNMAP,              /* LEN: what was accessed */
    /* One cache: ADDR in it from 0 on, 2 bytes of DATA */
    TESTDEV_CACHE,
    TESTDEV_CACHE_LOAD,
    TESTDEV_CACHE_STORE,
    TESTDEV_UNCACHE,
};

#endif
