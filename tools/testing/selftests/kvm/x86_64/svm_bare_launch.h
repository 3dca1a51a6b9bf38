/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An SEV guest of a program without an operating system: a copy of the program, encrypted, with the
 * same addresses. Its physical memory begins GUEST_RAM higher. At PRIVATE both see one page, the guest
 * under its key; at ALIAS the guest sees it without.
 *
 * Numbers are those of svm_bare_test.sh's machine.
 */
#ifndef SELFTEST_SVM_BARE_LAUNCH_H
#define SELFTEST_SVM_BARE_LAUNCH_H

#include "svm_bare.h"

#define SEV_ASID	5
#define OTHER_ASID	6

#define GUEST_RAM	0x1000000ul
#define PRIVATE		0x800000ul
#define ALIAS		0xa00000ul
#define PLAIN		0xc00000ul	/* the host's own, for what is decrypted */
#define PAGE		0x1000ul
#define LINE		64ul

/* The host's addresses are physical ones. */
#define PAGE_OF_GUEST	(PRIVATE + GUEST_RAM)

/* Of the secure processor's counters (sev_machine.h). */
enum {
	COUNTER_GUEST_CLFLUSH = 2, COUNTER_PAGE_FLUSH,
	COUNTER_VIOLATIONS = 7, COUNTER_ADDRESS, COUNTER_WHAT,
};

static inline volatile u64 *word(u64 at)
{
	return (volatile u64 *)at;
}

static inline void wbinvd(void)
{
	asm volatile("wbinvd" : : : "memory");
}

/* Bring the secure processor up, and a guest to where it can run; the guest's handle. */
u32 launch_guest(void);

/* Run @fn as the guest. What it changes is the guest's copy: each run begins where the last one ended. */
void run_guest(void (*fn)(void));

/* DBG_DECRYPT, as it is given to the secure processor; good until the next call. */
void *decrypt_buffer(u64 from, u64 to, u32 len);

/* The same, executed; its status. */
u32 decrypt(u64 from, u64 to, u32 len);

void remove_guest(void);

#endif
