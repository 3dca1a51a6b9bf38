/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: what an access by QEMU itself does with a private page.
 *
 * The shared half of a private page has no content, and an access would only
 * give it some. So whatever goes by an address space asks first. There are
 * three kinds of accesses:
 *
 * - before the machine runs for the first time: the loaders fill the shared
 *   half, for the launch commands. All is allowed.
 * - inspection: a debugger or the monitor. It is told that it cannot have the
 *   page, and reads zeros, so that a walk of page tables ends.
 * - everything else is a device model that does what its guest did not expect:
 *   a stray access. It fails, a read gives ones (a vring's index or a length of
 *   ones is refused by those who use it, where zeros would pass as data), and
 *   the policy of the block says whether the VM goes on.
 *
 * A caller asks before the access, and again after it, because the guest may
 * convert the page meanwhile (see private-ram.c). Both are one test of a
 * variable as long as no block has a private half.
 *
 * What reaches RAM by its host address is not seen here: vhost, vhost-user
 * (both refused unless the policy is to warn), and device models between their
 * address_space_map() and address_space_unmap(). The latter asks.
 */
#ifndef EXEC_PRIVATE_RAM_ACCESS_H
#define EXEC_PRIVATE_RAM_ACCESS_H

#include "exec/hwaddr.h"
#include "exec/memattrs.h"
#include "qemu/typedefs.h"

/*
 * Some block has, or had, a private half, or somebody observes. Set once, with
 * the BQL.
 */
extern bool private_ram_in_use;

/*
 * Somebody who looks at all accesses to RAM by address spaces, private or not,
 * right before them, and at mappings when they end. At most one, for good, set
 * before the machine runs. Inspection is not shown.
 */
typedef void PrivateRAMObserver(AddressSpace *as, MemoryRegion *mr,
                                hwaddr offset, hwaddr len, bool is_write);
void private_ram_observe(PrivateRAMObserver *observer);

/* For the functions below alone. */
bool private_ram_access_begin(AddressSpace *as, MemoryRegion *mr,
                              hwaddr offset, hwaddr len, bool is_write);
MemTxResult private_ram_access_end(AddressSpace *as, MemoryRegion *mr,
                                   hwaddr offset, hwaddr len, bool is_write);
bool private_ram_map_bounces_slow(MemoryRegion *mr, hwaddr offset,
                                  hwaddr *len);
hwaddr private_ram_map_length_slow(MemoryRegion *mr, hwaddr offset,
                                   hwaddr len);
bool private_ram_backs(MemoryRegion *mr);

/**
 * private_ram_may_access: may RAM be accessed through its mapping?
 * @as: for whom; it names the device
 * @mr: a region of RAM
 * @offset: in @mr; any alignment
 *
 * No page of the range is accessed if one must not be. Then the caller fails
 * with MEMTX_ACCESS_ERROR, and gives a reader private_ram_no_data().
 */
static inline bool private_ram_may_access(AddressSpace *as, MemoryRegion *mr,
                                          hwaddr offset, hwaddr len,
                                          bool is_write)
{
    return likely(!private_ram_in_use) ||
           private_ram_access_begin(as, mr, offset, len, is_write);
}

/*
 * The other half of it, after the access. Data that was read counts for naught
 * when this fails.
 */
static inline MemTxResult private_ram_accessed(AddressSpace *as,
                                               MemoryRegion *mr, hwaddr offset,
                                               hwaddr len, bool is_write)
{
    return likely(!private_ram_in_use) ? MEMTX_OK :
           private_ram_access_end(as, mr, offset, len, is_write);
}

/* What a reader gets instead of data: for loads, and for buffers. */
uint64_t private_ram_no_data(void);
void private_ram_fill_no_data(void *buf, size_t len);

/**
 * private_ram_map_bounces: is a mapping of RAM refused?
 * @len: clipped to the end of the page if so
 *
 * A private page is mapped by the bounce buffer: a NULL would make some device
 * models try again for ever, and the request that they hold could never be
 * drained. What is read into the buffer, or written back from it, is then an
 * access like any other.
 */
static inline bool private_ram_map_bounces(MemoryRegion *mr, hwaddr offset,
                                           hwaddr *len)
{
    return unlikely(private_ram_in_use) &&
           private_ram_map_bounces_slow(mr, offset, len);
}

/* How much of a range whose first page may be mapped can be mapped at once. */
static inline hwaddr private_ram_map_length(MemoryRegion *mr, hwaddr offset,
                                            hwaddr len)
{
    return likely(!private_ram_in_use) ? len :
           private_ram_map_length_slow(mr, offset, len);
}

/**
 * private_ram_unmapped: a mapping of RAM ends
 * @len: what was mapped
 * @access_len: what of it was accessed, from its start
 *
 * Pages that became private meanwhile lose their shared half. If one of them
 * was accessed, that was a stray access.
 */
void private_ram_unmapped(AddressSpace *as, MemoryRegion *mr, hwaddr offset,
                          hwaddr len, hwaddr access_len, bool is_write);

/*
 * No pointer into a block with a private half is cached: it could not ask. Nor
 * one into any block while somebody observes.
 */
static inline bool private_ram_may_cache(MemoryRegion *mr)
{
    return likely(!private_ram_in_use) || !private_ram_backs(mr);
}

/*
 * From here to the end of the scope, accesses of this thread are inspection.
 * Scopes nest. private_ram_inspect_hit(), in the outermost scope or after it,
 * says whether one of its accesses met a private page.
 */
typedef struct PrivateRAMInspect {
    bool unused;
} PrivateRAMInspect;

PrivateRAMInspect *private_ram_inspect_begin(void);
void private_ram_inspect_end(PrivateRAMInspect *inspect);
bool private_ram_inspect_hit(void);

/* If it did: words to append to an error, or an error about @addr. */
const char *private_ram_inspect_reason(void);
bool private_ram_inspect_denied(uint64_t addr, Error **errp);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrivateRAMInspect, private_ram_inspect_end)

#define PRIVATE_RAM_INSPECT_GUARD() \
    g_autoptr(PrivateRAMInspect) private_ram_inspect_guard \
        __attribute__((unused)) = private_ram_inspect_begin()

/*
 * The same for a reset, in which loaders write their images again: those for
 * private pages, which the guest has long had, are dropped. The first time,
 * before the machine runs, they are not.
 */
PrivateRAMInspect *private_ram_reload_begin(void);

#define PRIVATE_RAM_RELOAD_GUARD() \
    g_autoptr(PrivateRAMInspect) private_ram_reload_guard \
        __attribute__((unused)) = private_ram_reload_begin()

/*
 * From here to the end of the scope, accesses of this thread are those of the
 * device @name, which has no address space of its own to be told by. Scopes do
 * not nest.
 */
typedef struct PrivateRAMDevice {
    bool unused;
} PrivateRAMDevice;

PrivateRAMDevice *private_ram_device_begin(const char *name);
void private_ram_device_end(PrivateRAMDevice *device);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrivateRAMDevice, private_ram_device_end)

#define PRIVATE_RAM_DEVICE_GUARD(name) \
    g_autoptr(PrivateRAMDevice) private_ram_device_guard \
        __attribute__((unused)) = private_ram_device_begin(name)

/*
 * From here to the end, this thread hands on an access of a vCPU's to @gpa,
 * where no memory was when the vCPU came there. If there is private RAM by now,
 * the access was too early for it, as on a bus where nobody answers: what was
 * written is lost, what is read is ones, and no device is to blame.
 */
void private_ram_vcpu_begin(hwaddr gpa);
void private_ram_vcpu_end(void);

/* For commands that make no sense without all of guest memory. */
bool private_ram_refuses(const char *what, Error **errp);

#endif
