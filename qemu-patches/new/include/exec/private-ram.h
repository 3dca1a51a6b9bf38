/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: which pages of a RAMBlock the guest keeps private.
 *
 * A RAMBlock with a private half has two backings of the same size. The shared
 * half is the block's ordinary mapping (RAMBlock::host). The private half is a
 * file that nobody can read, write or map; offset N of the file is offset N of
 * the block. Each page of the block is in one state, private or shared, and
 * only the half of that state may hold memory. The accelerator is told the
 * state by guest physical address (the attribute); the bitmap here tells it by
 * offset in the block, and so outlives any change of the memory map.
 *
 * Units: gpa, offset and size are bytes and multiples of
 * PRIVATE_RAM_PAGE_SIZE unless a function says otherwise. Ranges are
 * [start, start + size).
 *
 * Errors: functions that return int give 0 or a negative errno, and set @errp
 * on failure. After a failed conversion, reset or replay the VM must not run
 * on: the caller stops it (RUN_STATE_INTERNAL_ERROR, which a reset alone
 * leaves). The bitmap then still says what the attribute says, but the half of
 * the other state may hold memory; private_ram_reset_all() puts that right.
 *
 * Locking: one recursive mutex is around {attribute, bitmap, discard} and
 * every counter. It is taken inside these functions, with or without the BQL;
 * the order is BQL, private-RAM mutex, locks of the accelerator. So an
 * accelerator's set_private() takes neither the BQL nor a lock under which it
 * calls private_ram_apply() from anywhere but a memory transaction. The mutex
 * is held during a memory transaction of the whole system, so that a
 * conversion sees the memory map either before or after the transaction, and
 * set_private() is never called between the two for a page that moves.
 * private_ram_test() and private_ram_any_private() take no lock.
 *
 * Lifetime: a PrivateRAM lives as long as its RAMBlock, which frees it after
 * an RCU grace period.
 */
#ifndef EXEC_PRIVATE_RAM_H
#define EXEC_PRIVATE_RAM_H

#include "exec/cpu-common.h"
#include "exec/hwaddr.h"
#include "qapi/qapi-types-private-ram.h"

#define PRIVATE_RAM_PAGE_BITS   12
#define PRIVATE_RAM_PAGE_SIZE   (1ULL << PRIVATE_RAM_PAGE_BITS)

typedef struct PrivateRAM PrivateRAM;

/* What the accelerator does for private RAM. */
typedef struct PrivateRAMOps {
    /*
     * Make [gpa, gpa + size) private or shared for the guest. All or nothing.
     * Called from any thread, with the private-RAM mutex held; the range may
     * be in the wanted state already, wholly or in part.
     */
    int (*set_private)(hwaddr gpa, uint64_t size, bool to_private,
                       Error **errp);
} PrivateRAMOps;

/* Once, by the accelerator, before the first block is mapped. */
void private_ram_register_accel(const PrivateRAMOps *ops);

/**
 * private_ram_new: give a RAMBlock a private half
 * @rb: the block: mapped shared, with pages of PRIVATE_RAM_PAGE_SIZE, not
 *      resizeable, and not yet in the memory map
 * @id: the name of the backend, for people
 * @fd: the private half, at least as large as the block. On success it belongs
 *      to the block; on failure it stays the caller's.
 * @stray: what happens when a device model reaches for a private page
 *
 * All pages start private.
 *
 * Returns: what is now rb->private_ram, or NULL.
 */
PrivateRAM *private_ram_new(RAMBlock *rb, const char *id, int fd,
                            PrivateRAMStrayPolicy stray, Error **errp);

/* For the RAMBlock, when it is reclaimed. @pr may be NULL. */
void private_ram_free(PrivateRAM *pr);

/* NULL for a region that is no RAM or has no private half. */
PrivateRAM *private_ram_of(const MemoryRegion *mr);

/* The private half, for a memory slot. It stays the block's. */
int private_ram_fd(const PrivateRAM *pr);
const char *private_ram_id(const PrivateRAM *pr);

/* Is the page that holds @offset (any alignment) private? */
bool private_ram_test(const PrivateRAM *pr, ram_addr_t offset);

/* Is any page that [offset, offset + size) touches (any alignment) private? */
bool private_ram_any_private(const PrivateRAM *pr, ram_addr_t offset,
                             uint64_t size);

/**
 * private_ram_apply: tell the accelerator the state of part of a block
 * @gpa: where the part is, or is about to be, mapped
 *
 * Called with the BQL, whenever a memory slot of the block is made. The range
 * is told run by run, so that no page shows the other state meanwhile.
 */
int private_ram_apply(PrivateRAM *pr, hwaddr gpa, ram_addr_t offset,
                      uint64_t size, Error **errp);

/**
 * private_ram_convert: what a guest asked for
 * @gpa: any value, of the guest's choice
 * @npages: any value, of the guest's choice
 *
 * Converts the pages of private RAM in the range. What is something else
 * (MMIO, ROM, blocks without a private half, nothing at all) is passed over,
 * and pages that are so already keep their content. The guest's unaligned
 * address is an error of the guest's, not of the VM's: nothing is converted
 * and 0 is returned.
 *
 * The work is bounded by the RAM in the range, whatever @npages: two system
 * calls for each PRIVATE_RAM_PIECE or part of one in which a page changes.
 *
 * Content after a conversion is undefined.
 */
int private_ram_convert(hwaddr gpa, uint64_t npages, bool to_private,
                        Error **errp);

/* The mutex is let go, and taken again, between pieces of this size. */
#define PRIVATE_RAM_PIECE       (1ULL << 30)

/**
 * private_ram_discard_shared: drop the shared half of private pages
 * @offset: any alignment
 * @size: any alignment
 *
 * For content that has reached the private half by another way (a launch
 * command copies it). Each private page that the range touches.
 */
int private_ram_discard_shared(PrivateRAM *pr, ram_addr_t offset,
                               uint64_t size, Error **errp);

/**
 * private_ram_reset_all: a reset of the machine
 *
 * Makes every page of every block private and discards all of the shared
 * halves. Private content stays. Called with the BQL, vCPUs stopped.
 */
int private_ram_reset_all(Error **errp);

#endif
