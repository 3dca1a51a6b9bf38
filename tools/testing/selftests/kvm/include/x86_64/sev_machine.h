/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the emulated machine counts and reports, seen from inside: a window in the secure
 * processor's registers that the real part does not have.
 *
 * Locking: none. Lifetime: sev_machine_close() undoes sev_machine_open(), also one that failed.
 */
#ifndef SELFTEST_KVM_SEV_MACHINE_H
#define SELFTEST_KVM_SEV_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum sev_counter {
	SEV_COUNTER_WBINVD,		/* of all CPUs of the host */
	SEV_COUNTER_CLFLUSH,		/* lines */
	SEV_COUNTER_GUEST_CLFLUSH,
	SEV_COUNTER_PAGE_FLUSH,
	SEV_COUNTER_DF_FLUSH,
	SEV_COUNTER_WRITE_BACKS,	/* pages encrypted to memory */
	SEV_COUNTER_STRICT,		/* 1: coherency=strict */
	SEV_COUNTER_VIOLATIONS,
	SEV_COUNTER_LAST_ADDRESS,
	SEV_COUNTER_LAST_WHAT,
	/* What enc=xts takes of the emulating machine, in pages. */
	SEV_COUNTER_SHADOW_PAGES,	/* that have plain text */
	SEV_COUNTER_SHADOW_RESIDENT,	/* memory that is taken for it */
	SEV_COUNTER_SHADOW_COPIES,	/* of pages that are being written */
};

/* How a page came into use without a flush that it needed. */
enum sev_cache_use {
	SEV_USE_HOST_READ,
	SEV_USE_HOST_WRITE,
	SEV_USE_HOST_WALK,
	SEV_USE_SHARED_READ,
	SEV_USE_SHARED_WRITE,
	SEV_USE_PRIVATE,
	SEV_USE_DMA_READ,
	SEV_USE_DMA_WRITE,
	SEV_USE_PSP_READ,
	SEV_USE_PSP_WRITE,
};

struct sev_violation {
	uint64_t address;
	enum sev_cache_use use;
	bool host_lines;
	uint32_t asid;
	uint32_t handle;
};

struct sev_machine {
	const volatile uint32_t *regs;
};

/* -ENODEV: there is no such machine. */
int sev_machine_open(struct sev_machine *machine);
void sev_machine_close(struct sev_machine *machine);
uint64_t sev_machine_counter(const struct sev_machine *machine, enum sev_counter counter);
struct sev_violation sev_machine_last_violation(const struct sev_machine *machine);

#endif /* SELFTEST_KVM_SEV_MACHINE_H */
