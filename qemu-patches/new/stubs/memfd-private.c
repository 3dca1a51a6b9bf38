/*
 * Programs without guest memory: none of it is private.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sysemu/memfd-private.h"

bool memfd_private_refuse_dma(const char *what, Error **errp)
{
    return false;
}

bool memfd_private_refuse_blkio(const char *driver, Error **errp)
{
    return false;
}
