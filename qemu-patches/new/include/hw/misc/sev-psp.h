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

/*
 * Not of the real part: a window of counters of 64 bits, lower half first,
 * behind a number that says it is there.
 */
#define SEV_PSP_REG_COUNTERS    0x1f000
#define SEV_PSP_COUNTERS_MAGIC  0x31564553
#define SEV_PSP_REG_COUNTER(n)  (SEV_PSP_REG_COUNTERS + 8 + 8 * (n))
enum {
    SEV_PSP_COUNTER_WBINVD,
    SEV_PSP_COUNTER_CLFLUSH,
    SEV_PSP_COUNTER_GUEST_CLFLUSH,
    SEV_PSP_COUNTER_PAGE_FLUSH,
    SEV_PSP_COUNTER_DF_FLUSH,
    SEV_PSP_COUNTER_WRITE_BACKS,
    SEV_PSP_COUNTER_STRICT,         /* 1: coherency=strict */
    SEV_PSP_COUNTER_VIOLATIONS,
    /*
     * The last violation: address of the page; its use (a byte), whose lines
     * (a byte, 1: the host's), ASID (16 bits) and handle (32 bits).
     */
    SEV_PSP_COUNTER_LAST_ADDRESS,
    SEV_PSP_COUNTER_LAST_WHAT,
    /* What encryption takes of the emulating machine's memory: sev_enc_use() */
    SEV_PSP_COUNTER_SHADOW_PAGES,
    SEV_PSP_COUNTER_SHADOW_RESIDENT,
    SEV_PSP_COUNTER_SHADOW_COPIES,
    SEV_PSP_COUNTER_NR,
};

#define SEV_PSP_FEATURE_SEV     (1U << 0)
#define SEV_PSP_INT_CMD_DONE    (1U << 1)
#define SEV_PSP_CMDRESP_IOC     (1U << 0)
#define SEV_PSP_CMDRESP_RESP    (1U << 31)
#define SEV_PSP_CMDRESP_SHIFT   16
#define SEV_PSP_CMDRESP_ID_MASK 0x7fff

#endif
