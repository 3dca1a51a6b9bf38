/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Has the kernel leave out a cache flush that guards memory: what the flush is for must then be seen to
 * go wrong. Needs the debug kernel's fault injection (CONFIG_KVM_FAIL_SEV_FLUSH).
 *
 * Locking: none; for all processes of the machine.
 * Lifetime: sev_skip_end() undoes sev_skip(), also one that failed.
 */
#ifndef SELFTEST_KVM_SEV_SKIP_H
#define SELFTEST_KVM_SEV_SKIP_H

/* The kinds of flushes, by their folders. */
#define SEV_SKIP_RECLAIM	"reclaim"	/* WBINVD before pages go */
#define SEV_SKIP_PREPARE	"prepare"	/* CLFLUSH of a new page */
#define SEV_SKIP_COMMAND	"command"	/* CLFLUSH before a command */

/* Why flushes cannot be left out here, or NULL. */
const char *sev_skip_unavailable(void);
/* Leave out the next @times flushes of kind @flush; -1: all. */
int sev_skip(const char *flush, int times);
/* How many flushes of kind @flush were left out of @times. */
int sev_skipped(const char *flush, int times);
void sev_skip_end(void);

#endif /* SELFTEST_KVM_SEV_SKIP_H */
