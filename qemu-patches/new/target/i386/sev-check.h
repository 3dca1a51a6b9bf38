/*
 * Emulated SEV platform: does a guest use its memory as it reports it
 * (check=c-bit)?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A plain SEV guest chooses for each access whether it is encrypted, and tells
 * the host by hypercall which of its pages are shared. Hardware never compares
 * the two. The machine sees both, and reports each page of a guest's RAM that
 * is used otherwise than the guest said last. What was never reported counts
 * as private: a guest starts with all of its memory encrypted.
 *
 * Off, nothing here runs but a test in the TLB fill of SEV guests. On, each
 * access is seen when its TLB entry is made; a report flushes the TLBs of the
 * CPUs that run the guest, so that what it changes is seen again.
 *
 * Locking: one lock for everything, taken inside the functions. Code that asks
 * for the name of an address reads guest memory and takes it not.
 *
 * Lifetime: what is known of a guest lasts from ACTIVATE to DEACTIVATE, and is
 * forgotten when a vCPU starts at the reset vector. Guests that share an ASID
 * (mirrors) are one guest here.
 */
#ifndef TARGET_I386_SEV_CHECK_H
#define TARGET_I386_SEV_CHECK_H

#include "cpu.h"

/* Properties of the secure processor. */
typedef struct SevCheckConfig {
    char *what;             /* check: c-bit, or NULL */
    char *text;             /* check-text: a file; NULL: standard error */
    char *json;             /* check-json: a file, an object a line */
    char *maps;             /* check-maps: files with names, by ':' */
} SevCheckConfig;

/* Fixed before the first CPU runs. */
extern bool sev_check_on;

bool sev_check_enable(const SevCheckConfig *config, Error **errp);

/* The guest that had @asid is gone, and a new one has it if @active. */
void sev_check_new_guest(uint32_t asid, bool active);
/* VMRUN of an SEV guest; its state is still in the VMCB. */
void sev_check_vmrun(CPUX86State *env);
/* VMMCALL, before it leaves the guest. */
void sev_check_hypercall(CPUX86State *env);
/* A page table at @gpa is read for an access of the instruction at @ra. */
void sev_check_walk(CPUX86State *env, hwaddr gpa, uintptr_t ra);
/*
 * A TLB entry for @gpa is about to be made; @private: its data is encrypted.
 * Narrows @prot to accesses of which this one says all.
 */
void sev_check_fill(CPUX86State *env, hwaddr gpa, bool private,
                    MMUAccessType type, int mmu_idx, int *prot, uintptr_t ra);

#endif
