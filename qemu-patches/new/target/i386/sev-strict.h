/*
 * Emulated SEV platform: a checker of missing cache flushes (coherency=strict).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A part without SME_COHERENT knows a cache line by its address and the key
 * that it was accessed with. Lines of different keys over one address do not
 * know of each other: whoever writes back last wins, at any time later. So two
 * kinds of lines are followed here:
 *
 * - what a guest has written under its key stays in the shadow (sev-enc.c)
 *   until something flushes it. Whoever else uses the page before that is
 *   reported, and what would be written back over his data is dropped.
 * - what the host has written stays in its caches too. RAM is up to date all
 *   the same, but the page is marked, line by line, and is reported if it
 *   becomes encrypted with marks on it.
 *
 * The host's stores are seen where their TLB entries are made. An entry that
 * is made for a load is writable only over a page that is marked already; when
 * marks go, so do the entries that would let a store pass unseen. Where only
 * some lines of a page are marked, each store is seen: which lines it marks
 * again must be known.
 *
 * WBINVD writes back the lines of one CPU, CLFLUSH a line of the key that its
 * mapping has, on all CPUs; INVLPG and MOV to CR3 write back nothing. Nothing
 * is ever evicted by itself. A store that changes nothing makes nothing dirty.
 *
 * Locking: with sev_enc_lock held, except for sev_strict_on, which is set once
 * before the machine runs.
 *
 * Lifetime: made once, and stays.
 */
#ifndef TARGET_I386_SEV_STRICT_H
#define TARGET_I386_SEV_STRICT_H

#include "cpu.h"
#include "sev-cipher.h"

#define SEV_STRICT_LINE     64
#define SEV_STRICT_LINES    (SEV_CIPHER_PAGE / SEV_STRICT_LINE)
#define SEV_STRICT_LOG_LEN  256

extern bool sev_strict_on;
/* A TLB entry is made to find out where an address is: no access follows. */
extern bool sev_strict_probing;

/* How a page came into use that has lines which nobody has flushed. */
typedef enum SevStrictUse {
    SEV_STRICT_HOST_READ,
    SEV_STRICT_HOST_WRITE,
    SEV_STRICT_HOST_WALK,       /* as a page table of the host */
    SEV_STRICT_SHARED_READ,     /* by a guest, without the C-bit */
    SEV_STRICT_SHARED_WRITE,
    SEV_STRICT_PRIVATE,         /* by a guest, under its key */
    SEV_STRICT_DMA_READ,
    SEV_STRICT_DMA_WRITE,
    SEV_STRICT_PSP_READ,        /* by a command of the secure processor */
    SEV_STRICT_PSP_WRITE,
    SEV_STRICT_USES,
} SevStrictUse;

typedef struct SevStrictReport {
    uint64_t number;        /* from 0 on */
    int64_t time;           /* of the virtual clock, in ns */
    hwaddr pa;              /* of the page */
    bool host_lines;        /* whose lines they are: the host's, a guest's */
    int cpu;                /* the last one known to have written them, or -1 */
    uint32_t asid;          /* the guest's; with the host's lines: of him who */
    uint32_t handle;        /* uses the page encrypted. 0: not known */
    SevStrictUse use;
    int user_cpu;           /* -1: none */
    uint32_t user_asid;     /* 0: not a guest */
} SevStrictReport;

void sev_strict_init(uint64_t pages);

/* Number and time are filled in. Also written to QEMU's log of errors. */
void sev_strict_report(SevStrictReport report);
uint64_t sev_strict_reports(void);
/* Reports [first, sev_strict_reports()) can be read. */
uint64_t sev_strict_first_report(void);
const SevStrictReport *sev_strict_get_report(uint64_t number);
const char *sev_strict_use_str(SevStrictUse use);
bool sev_strict_is_write(SevStrictUse use);

/*
 * A TLB entry for @page of RAM is about to be made, for the host or for a
 * guest's access without the C-bit: a store to the lines @stored, or, if these
 * are none, another access. Narrows @prot.
 */
void sev_strict_map(CPUState *cs, uint64_t page, uint64_t stored, int *prot);
/* No CPU has a TLB entry for @page that was made so, after this. */
void sev_strict_unmap(uint64_t page);

/* What flushes lines of the host. */
void sev_strict_wbinvd(CPUState *cs);
void sev_strict_flush_line(uint64_t page, unsigned line);

/*
 * The @lines of a page are used encrypted. @report has the guest and the use;
 * it is made if the host's lines are not flushed.
 */
void sev_strict_encrypted(uint64_t page, uint64_t lines,
                          SevStrictReport report);

#endif
