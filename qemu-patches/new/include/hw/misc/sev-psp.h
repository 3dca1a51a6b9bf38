/*
 * Emulated AMD Platform Security Processor (PCI function 1022:14ca): the
 * names and register numbers that the device and its tests agree on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_MISC_SEV_PSP_H
#define HW_MISC_SEV_PSP_H

#include "qom/object.h"

#define TYPE_SEV_PSP "sev-psp"
OBJECT_DECLARE_SIMPLE_TYPE(SevPspState, SEV_PSP)

#define PCI_DEVICE_ID_AMD_PSP_GENOA 0x14ca

#define SEV_PSP_REGS_BAR        2
#define SEV_PSP_MSIX_BAR        4
#define SEV_PSP_REGS_SIZE       0x20000
#define SEV_PSP_MSIX_VECTORS    2

/* Offsets in the register BAR. */
#define SEV_PSP_REG_INTEN       0x10690
#define SEV_PSP_REG_INTSTS      0x10694
#define SEV_PSP_REG_CMDRESP     0x10980
#define SEV_PSP_REG_CMDBUF_LO   0x109e0
#define SEV_PSP_REG_CMDBUF_HI   0x109e4
#define SEV_PSP_REG_FEATURE     0x109fc

#define SEV_PSP_FEATURE_SEV     (1U << 0)
#define SEV_PSP_INT_CMD_DONE    (1U << 1)
#define SEV_PSP_CMDRESP_IOC     (1U << 0)
#define SEV_PSP_CMDRESP_RESP    (1U << 31)
#define SEV_PSP_CMDRESP_SHIFT   16
#define SEV_PSP_CMDRESP_ID_MASK 0x7fff

#endif
