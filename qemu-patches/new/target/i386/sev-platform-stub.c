/*
 * Emulated SEV platform: the monitor's commands in a QEMU without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/hmp-target.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-sev-platform-target.h"

SevPlatformInfo *qmp_query_sev_platform(Error **errp)
{
    error_setg(errp, "This QEMU has no emulated SEV platform");
    return NULL;
}

void hmp_info_sev_platform(Monitor *mon, const QDict *qdict)
{
    monitor_printf(mon, "This QEMU has no emulated SEV platform\n");
}
