/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts flushes of the caches of all CPUs, by a kprobe of wbinvd_on_all_cpus(): also those that
 * another process causes, so a test wants the machine for itself.
 *
 * Locking: none. Lifetime: sev_flushes_stop() undoes sev_flushes_start(), also one that failed.
 */
#ifndef SELFTEST_KVM_SEV_FLUSHES_H
#define SELFTEST_KVM_SEV_FLUSHES_H

struct sev_flushes {
	char dir[96];
};

/* Why they cannot be counted here, or NULL. */
const char *sev_flushes_unavailable(void);
int sev_flushes_start(struct sev_flushes *flushes);
void sev_flushes_stop(struct sev_flushes *flushes);
/* How many there were since the last call. */
long sev_flushes_take(struct sev_flushes *flushes);

#endif /* SELFTEST_KVM_SEV_FLUSHES_H */
