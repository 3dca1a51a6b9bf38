/*
 * Whether the firmware reports which pages it shares.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_PRIVATE_FIRMWARE_H
#define HW_I386_PRIVATE_FIRMWARE_H

/*
 * Ends QEMU with a reason if guest memory is private and the firmware, whose
 * GUIDed table was parsed, does not report. Before anything is encrypted.
 */
void private_firmware_check(void);

#endif
