/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMM's side of conversions for VMs with private memory, as a careful VMM does it: a guest's
 * request is cut down to the memory that can be private, and only what really changes is touched.
 * First the attribute, then the half that the pages have left is discarded.
 *
 * Locking: any thread may convert; the state is under @lock, and so is each change with its
 * discard: the kernel cannot know to which of two changes a discard belongs.
 * Lifetime: sev_convert_free() before the VM is destroyed.
 */
#ifndef SELFTEST_KVM_SEV_CONVERT_H
#define SELFTEST_KVM_SEV_CONVERT_H

#include <pthread.h>

#include "sev_guest.h"

struct sev_convert {
	struct sev_vm *vm;
	pthread_mutex_t lock;
	uint8_t *shared;		/* of each page of vm->mem */
	unsigned long requests;
	unsigned long calls;		/* of KVM_SET_MEMORY_ATTRIBUTES */
	unsigned long pages[2];		/* that became shared, private */
	int error;			/* the first of the host; the VM must not run on */
};

/* Everything is private now; hypercalls exit from here on. */
int sev_convert_init(struct sev_convert *convert, struct sev_vm *vm);
void sev_convert_free(struct sev_convert *convert);

/* What the guest is told: 0, or a negative error of its own. */
int64_t sev_convert(struct sev_convert *convert, uint64_t gpa, uint64_t pages, bool private);

/* Run a vCPU and answer its conversions, until another event. The deadline is for all of it. */
enum sev_event sev_vcpu_run_converting(struct sev_vcpu *vcpu, struct sev_convert *convert,
				       unsigned int deadline_ms);

#endif /* SELFTEST_KVM_SEV_CONVERT_H */
