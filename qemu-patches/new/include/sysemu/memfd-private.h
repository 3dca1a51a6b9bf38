/*
 * memory-backend-memfd-private: guest memory with a private half that this
 * process cannot reach. What the rest of QEMU must know of it.
 *
 * The order of events at start: the command line names the backend
 * (memfd_private_expect), the accelerator creates a VM that can have private
 * memory and says so (memfd_private_enable), the backend is created, the
 * machine maps it. A backend without such a VM is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSEMU_MEMFD_PRIVATE_H
#define SYSEMU_MEMFD_PRIVATE_H

#include "exec/memory.h"

#define TYPE_MEMORY_BACKEND_MEMFD_PRIVATE "memory-backend-memfd-private"

/*
 * A file for @size bytes of private memory, which only this VM can use.
 * Returns: the descriptor, or -1 with @errp set.
 */
typedef int MemfdPrivateCreate(uint64_t size, Error **errp);

struct ObjectOptions;

#ifdef CONFIG_LINUX
/**
 * memfd_private_expect: an object with these options will be created
 *
 * Called for every object of the command line, before network backends, block
 * devices and the accelerator are there.
 */
void memfd_private_expect(const struct ObjectOptions *options);

/* True if the command line has a backend with a private half. */
bool memfd_private_expected(void);

/* True if it has one with stray-dma=stop. */
bool memfd_private_expected_stop(void);

/**
 * memfd_private_enable: the VM that was created can have private memory
 *
 * @create: makes files on kernels without memfd_restricted(2)
 */
void memfd_private_enable(MemfdPrivateCreate *create);

/* True after memfd_private_enable(). */
bool memfd_private_enabled(void);

/* True if the user knows better than the check of the firmware. */
bool memfd_private_allow_unreporting(void);

/* True if @mr is the memory of such a backend. Works in RAM block notifiers. */
bool memfd_private_owns(const MemoryRegion *mr);

/**
 * memfd_private_refuse_dma: whether DMA from outside of QEMU must be refused
 *
 * Devices that are assigned to the guest map all of its memory at once. That
 * would allocate and pin the whole shared half, and go on using pages that
 * were discarded when the guest converted them.
 *
 * @what: what asks, for the message
 *
 * Returns: true with @errp set if guest memory has, or will have, a private
 * half.
 */
bool memfd_private_refuse_dma(const char *what, Error **errp);

/**
 * memfd_private_refuse_vhost: the same for devices outside of QEMU that map
 * guest memory and do not pin it
 *
 * Nobody checks what they reach for. They map the shared half alone, and see
 * what the guest shares.
 *
 * @what: what asks, for the message
 *
 * Returns: true with @errp set if a stray access must stop the VM
 */
bool memfd_private_refuse_vhost(const char *what, Error **errp);

/**
 * memfd_private_refuse_blkio: one or the other, of a block driver of libblkio
 *
 * Three of them give all of guest memory to the device that they drive.
 */
bool memfd_private_refuse_blkio(const char *driver, Error **errp);

/**
 * memfd_private_refuse_keeper: whether a device must be refused that goes on
 * using guest memory after it has unmapped it
 *
 * A page that the guest converts leaves the shared half, but stays with whoever
 * holds a reference: the device works on a page that the guest does not have
 * any more, and the guest can have more memory than it was given.
 *
 * Returns: true with @errp set if guest memory will have a private half.
 */
bool memfd_private_refuse_keeper(const char *what, Error **errp);

/* True with @errp set if guest memory will have a private half. */
bool memfd_private_refuse_virtio_mem(Error **errp);

/* True with @errp set if a snapshot must not be loaded: see the blocker. */
bool memfd_private_refuse_load(Error **errp);

/* Ends QEMU with a reason if the machine, which is complete, cannot be run. */
void memfd_private_refuse_devices(void);
#else
static inline void memfd_private_expect(const struct ObjectOptions *options)
{
}

static inline bool memfd_private_enabled(void)
{
    return false;
}

static inline bool memfd_private_allow_unreporting(void)
{
    return false;
}

static inline bool memfd_private_refuse_dma(const char *what, Error **errp)
{
    return false;
}

static inline bool memfd_private_refuse_vhost(const char *what, Error **errp)
{
    return false;
}

static inline bool memfd_private_refuse_blkio(const char *driver, Error **errp)
{
    return false;
}

static inline bool memfd_private_refuse_keeper(const char *what, Error **errp)
{
    return false;
}

static inline bool memfd_private_refuse_virtio_mem(Error **errp)
{
    return false;
}

static inline bool memfd_private_refuse_load(Error **errp)
{
    return false;
}
#endif

#endif
