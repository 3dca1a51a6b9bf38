/*
 * SEV guests on private memory.
 *
 * The launch itself is as without: commands name guest memory by its mapping
 * here, and KVM finds that the frames are private, copies what is there into
 * the private half, and encrypts it in place.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sysemu/kvm-private-uapi.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/private-ram.h"
#include "sysemu/memfd-private.h"
#include "sev-private.h"

void *sev_private_init(int *cmd)
{
    /* No VMSA features, no GHCB: plain SEV has neither. */
    static KVMPrivateSevInit init;

    if (!memfd_private_expected()) {
        return NULL;
    }
    *cmd = KVM_PRIVATE_SEV_INIT2;
    return &init;
}

bool sev_private_launched(hwaddr gpa, uint64_t len, Error **errp)
{
    MemoryRegionSection section = memory_region_find(get_system_memory(), gpa,
                                                     len);
    PrivateRAM *pr;
    bool done = true;

    if (!section.mr) {
        return true;
    }
    pr = private_ram_of(section.mr);
    if (pr) {
        done = private_ram_discard_shared(pr, section.offset_within_region,
                                          int128_get64(section.size),
                                          errp) >= 0;
    }
    memory_region_unref(section.mr);
    return done;
}
