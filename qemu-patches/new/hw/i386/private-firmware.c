/*
 * Whether the firmware reports which pages it shares.
 *
 * A guest that does not report puts its DMA buffers into private pages, where
 * no device finds them: it hangs or reads zeroes. Firmware that reports says
 * so by an entry in its GUIDed table, at the end of its image, as it does for
 * what else the VMM must know of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "hw/i386/pc.h"
#include "hw/i386/private-firmware.h"
#include "sysemu/memfd-private.h"

#define PRIVATE_FIRMWARE_GUID "57f5dce4-d08d-47a0-9917-33c1231f2982"

/* The entry, little endian. Later versions may be longer. */
typedef struct QEMU_PACKED PrivateFirmwareEntry {
    uint32_t version;
    uint32_t features;
} PrivateFirmwareEntry;

#define PRIVATE_FIRMWARE_REPORTS (1U << 0)

static bool firmware_reports(void)
{
    uint8_t *data;
    int len;

    /* pc_system_ovmf_table_find() gives the length without the header's. */
    return pc_system_ovmf_table_find(PRIVATE_FIRMWARE_GUID, &data, &len) &&
        len >= (int)sizeof(PrivateFirmwareEntry) &&
        ldl_le_p(data + offsetof(PrivateFirmwareEntry, version)) >= 1 &&
        (ldl_le_p(data + offsetof(PrivateFirmwareEntry, features)) &
         PRIVATE_FIRMWARE_REPORTS);
}

void private_firmware_check(void)
{
    if (!memfd_private_enabled() || firmware_reports()) {
        return;
    }
    if (memfd_private_allow_unreporting()) {
        warn_report("the firmware does not report which pages it shares: its"
                    " device drivers will not work");
        return;
    }
    error_report("the firmware does not report which pages it shares (no entry"
                 " " PRIVATE_FIRMWARE_GUID " in its GUIDed table), so it"
                 " cannot run on " TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
                 " (allow-unreporting=on on the backend runs it all the same)");
    exit(EXIT_FAILURE);
}
