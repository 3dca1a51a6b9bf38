/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault injection for the cache flushes that guard the memory of SEV guests: a flush that fails is
 * left out. Nothing in software shows the harm, so it is for machines that look at caches.
 */
#ifndef __KVM_X86_FAIL_SEV_FLUSH_H
#define __KVM_X86_FAIL_SEV_FLUSH_H

#include <linux/types.h>

enum sev_flush {
	SEV_FLUSH_RECLAIM,	/* all caches, before pages return to the host */
	SEV_FLUSH_PREPARE,	/* a new page, before its first use by a guest */
	SEV_FLUSH_COMMAND,	/* the pages that a command works on */
	NR_SEV_FLUSHES
};

#ifdef CONFIG_KVM_FAIL_SEV_FLUSH
/* Is this one flush to be left out? Counts as one call; any context in which should_fail() may run. */
bool sev_flush_fails(enum sev_flush flush);
void sev_flush_fail_init(void);
void sev_flush_fail_exit(void);
#else
static inline bool sev_flush_fails(enum sev_flush flush)
{
	return false;
}

static inline void sev_flush_fail_init(void) {}
static inline void sev_flush_fail_exit(void) {}
#endif

#endif /* __KVM_X86_FAIL_SEV_FLUSH_H */
