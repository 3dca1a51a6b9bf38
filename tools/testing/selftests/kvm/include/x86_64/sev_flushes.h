/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts calls of the kernel's functions that flush caches, by a kprobe: also those that another
 * process causes, so a test wants the machine for itself.
 *
 * Locking: none. Lifetime: sev_flushes_stop() undoes sev_flushes_start(), also one that failed.
 */
#ifndef SELFTEST_KVM_SEV_FLUSHES_H
#define SELFTEST_KVM_SEV_FLUSHES_H

/* What to count: WBINVD on all CPUs, and CLFLUSH of a piece of memory. */
#define SEV_FLUSH_ALL	"wbinvd_on_all_cpus"
#define SEV_FLUSH_LINES	"clflush_cache_range"

struct sev_flushes {
	const char *function;
	char dir[96];
};

/* Why they cannot be counted here, or NULL. */
const char *sev_flushes_unavailable(void);
int sev_flushes_start(struct sev_flushes *flushes, const char *function);
void sev_flushes_stop(struct sev_flushes *flushes);
/* How many there were since the last call. */
long sev_flushes_take(struct sev_flushes *flushes);

#endif /* SELFTEST_KVM_SEV_FLUSHES_H */
