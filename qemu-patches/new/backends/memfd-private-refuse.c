/*
 * What a machine with private memory cannot have: devices that reach guest
 * memory in a way that the guest's reports do not cover.
 *
 * Most devices need no mention. A confidential guest knows that devices see
 * none of its private memory, and goes through buffers that it shares; a
 * device model's access to a private page is a stray one and caught where it
 * happens. Refused at start is what would do harm before that, or could never
 * work.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "sysemu/memfd-private.h"

static const struct {
    const char *type, *why;
} refused[] = {
    { "ramfb", "the firmware puts its frame buffer into private memory" },
    { "vmgenid", "the firmware puts its page into private memory" },
};

bool memfd_private_refuse_dma(const char *what, Error **errp)
{
    if (!memfd_private_expected()) {
        return false;
    }
    error_setg(errp, "%s: not with " TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
               ": it would map all of the guest's memory for DMA, and private"
               " pages are not there to be mapped", what);
    return true;
}

bool memfd_private_refuse_vhost(const char *what, Error **errp)
{
    if (!memfd_private_expected_stop()) {
        return false;
    }
    error_setg(errp, "%s: not with " TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
               " and stray-dma=stop: nothing would notice that it reaches for"
               " private memory", what);
    return true;
}

/*
 * The names are libblkio's own. Its other drivers, io_uring and nvme-io_uring,
 * take an address with each request, as QEMU's own do.
 */
static const struct {
    const char *driver;
    bool (*refuse)(const char *what, Error **errp);
} refused_blkio[] = {
    { "virtio-blk-vfio-pci", memfd_private_refuse_dma },
    { "virtio-blk-vhost-vdpa", memfd_private_refuse_dma },
    { "virtio-blk-vhost-user", memfd_private_refuse_vhost },
};

bool memfd_private_refuse_blkio(const char *driver, Error **errp)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(refused_blkio); i++) {
        if (g_str_equal(driver, refused_blkio[i].driver)) {
            return refused_blkio[i].refuse(driver, errp);
        }
    }
    return false;
}

bool memfd_private_refuse_keeper(const char *what, Error **errp)
{
    if (!memfd_private_expected()) {
        return false;
    }
    error_setg(errp, "%s: not with " TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
               ": it keeps pages of guest memory, and would go on with them"
               " after the guest has made them private", what);
    return true;
}

bool memfd_private_refuse_virtio_mem(Error **errp)
{
    if (!memfd_private_expected()) {
        return false;
    }
    error_setg(errp, "virtio-mem: not with " TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
               ": it decides itself which pages exist, and so does the guest's"
               " report of what it shares");
    return true;
}

bool memfd_private_refuse_load(Error **errp)
{
    if (!memfd_private_enabled()) {
        return false;
    }
    error_setg(errp, "a snapshot cannot be loaded: guest memory is private ("
               TYPE_MEMORY_BACKEND_MEMFD_PRIVATE ") and cannot be written");
    return true;
}

static int refuse_one(Object *obj, void *opaque)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        if (object_dynamic_cast(obj, refused[i].type)) {
            error_report("%s: not with " TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
                         ": %s, and no device can reach it there",
                         refused[i].type, refused[i].why);
            exit(EXIT_FAILURE);
        }
    }
    return 0;
}

/* Neither kind can be plugged in later. */
void memfd_private_refuse_devices(void)
{
    object_child_foreach_recursive(object_get_root(), refuse_one, NULL);
}
