/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Has the kernel leave out a function of its own that guards memory: what the guard is for must then
 * be seen to go wrong. Needs the debug kernel's fault injection, and the function to allow it.
 *
 * Locking: none; one function at a time, for all processes of the machine.
 * Lifetime: sev_skip_end() undoes sev_skip(), also one that failed.
 */
#ifndef SELFTEST_KVM_SEV_SKIP_H
#define SELFTEST_KVM_SEV_SKIP_H

/* The guards: each returns at once, with nothing done. */
#define SEV_SKIP_RECLAIM	"kvm_arch_private_mem_flush"	/* WBINVD before a page goes */
#define SEV_SKIP_PREPARE	"kvm_arch_private_mem_prepare"	/* CLFLUSH of a new page */
#define SEV_SKIP_IMAGE		"sev_clflush_pages"		/* CLFLUSH before a command */

/* Why functions cannot be left out here, or NULL. */
const char *sev_skip_unavailable(void);
/* Leave out the next @times calls of @function; -1: all. */
int sev_skip(const char *function, int times);
/* How many calls were left out of @times. */
int sev_skipped(int times);
void sev_skip_end(void);

#endif /* SELFTEST_KVM_SEV_SKIP_H */
