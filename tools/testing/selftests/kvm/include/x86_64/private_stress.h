/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host side of the private memory stress test: VMs whose data pages are converted between
 * private and shared while vCPUs use them, and actors that disturb this in all ways that a host
 * has.
 *
 * The data has three memslots. Two are private-capable and share one file, in the opposite order
 * and with an offset; the shared half of the first is anonymous memory, that of the second is
 * shmem. The third is an ordinary slot, whose dirty log is switched on and off.
 *
 * Locking: the page locks of private_stress_abi.h; below them slots_lock (memslots, and which file
 * they are bound to), then file_lock (the number of the file's descriptor), then give_lock (held
 * together by those who give private pages back to the host, alone by whom such a page must not
 * leave). run_lock is held together by vCPUs that run, alone for a moment in which nobody takes memory:
 * nothing is waited for with it. The output has its own.
 * Lifetime: a struct stress lives in a process of its own, which does one combination of actors.
 */
#ifndef SELFTEST_KVM_PRIVATE_STRESS_H
#define SELFTEST_KVM_PRIVATE_STRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "private_stress_abi.h"
#include "private_vm.h"

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#endif

/* Pages of a private-capable slot: some 2 MiB areas, and an end in the middle of one. */
#define STRESS_SLOT_PAGES	768u
#define STRESS_PLAIN_PAGES	256u
#define STRESS_PRIVATE_PAGES	(2 * STRESS_SLOT_PAGES)
#define STRESS_PAGES		(STRESS_PRIVATE_PAGES + STRESS_PLAIN_PAGES)
/* Of the VM that comes and goes. */
#define STRESS_CYCLE_PAGES	64u

enum stress_slot {
	STRESS_CTL_SLOT	= PVM_SLOT,
	STRESS_ANON_SLOT,	/* private-capable, shared half: anonymous */
	STRESS_SHMEM_SLOT,	/* private-capable, shared half: shmem */
	STRESS_PLAIN_SLOT,
};

/* What runs beside vCPUs and converters. */
enum stress_actors {
	STRESS_HOSTRW	= 1 << 0,	/* host reads and writes of the shared half */
	STRESS_PUNCH	= 1 << 1,	/* punches and allocations in the file */
	STRESS_SLOTS	= 1 << 2,	/* memslots deleted and made again, dirty log on and off */
	STRESS_HVA	= 1 << 3,	/* invalidations of the shared half's mapping */
	STRESS_PREFAULT	= 1 << 4,	/* KVM_PRE_FAULT_MEMORY */
	STRESS_TWIN	= 1 << 5,	/* a second VM on the same file and mapping */
	STRESS_REOPEN	= 1 << 6,	/* the file is closed, the slots get a new one */
	STRESS_CYCLE	= 1 << 7,	/* VMs come and go while their file is punched */
	STRESS_SQUEEZE	= 1 << 8,	/* a memcg limit that private pages run into */
	STRESS_POISON	= 1 << 9,	/* pages with hardware errors, private and shared */
};

#define STRESS_VMS	2

/* The memory cgroup of the process that does a combination. */
#define STRESS_CGROUP	"/sys/fs/cgroup/private_stress"

struct stress {
	unsigned int actors;
	unsigned int vcpus;	/* of the first VM */
	unsigned int converters;
	unsigned long target;	/* conversions to do */
	unsigned int seconds;
	uint64_t seed;
	int current_fd;		/* memory.current of the cgroup */
	int limit_fd;		/* its memory.max */

	struct pvm vm[STRESS_VMS];
	unsigned int nr_vms;
	pthread_mutex_t slots_lock;
	pthread_rwlock_t file_lock;
	pthread_rwlock_t give_lock;
	pthread_rwlock_t run_lock;
	int file;		/* restricted memfd of both private-capable slots */
	int shmem;
	struct stress_ctl *ctl;
	uint8_t *shared;	/* shared half of all data, in the order of the guest's pages */
	int cycle_file;
	void *cycle_memory;

	bool stop;
	bool failed;
	unsigned long conversions;
	unsigned long converted_pages;
	unsigned long punches;
	unsigned long slot_changes;
	unsigned long logs;		/* dirty logs switched on, read and off */
	unsigned long host_reads;
	unsigned long drops;		/* of the mapping: what was done to it, each with effect */
	unsigned long unmaps;
	unsigned long forks;
	unsigned long merges;
	unsigned long collapses;
	unsigned long moves;
	unsigned long prefaults;
	unsigned long reopened;
	unsigned long cycles;
	unsigned long squeezed;
	unsigned long poisoned_private;
	unsigned long poisoned_shared;
	unsigned long replaced;
	unsigned long memory_faults;
	unsigned long mmio;
};

/* A thread of the test. */
struct stress_thread {
	struct stress *s;
	pthread_t thread;
	unsigned int number;	/* of a vCPU: those of the second VM come after the first one's */
	uint64_t rng;
	void (*round)(struct stress_thread *t);
	unsigned int pause_us;	/* between two rounds, at most */
};

/* private_stress_vm.c */
const char *stress_unavailable(void);
int stress_set_up(struct stress *s);
void stress_tear_down(struct stress *s);
int stress_set_slot(struct stress *s, struct pvm *vm, enum stress_slot slot, bool dirty_log);
void *stress_vcpu_thread(void *thread);

/* private_stress_pages.c */
uint64_t stress_random(uint64_t *state);
void stress_fail(struct stress *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool stress_stopping(struct stress *s);
bool stress_over_limit(struct stress *s, int error);
int stress_file_get(struct stress *s);
off_t stress_file_offset(unsigned int page);
unsigned int stress_lock_pages(struct stress *s, unsigned int first, unsigned int end);
void stress_unlock_pages(struct stress *s, unsigned int first, unsigned int end);
void stress_drop_begin(struct stress *s, unsigned int first, unsigned int end);
void stress_drop_end(struct stress *s, unsigned int first, unsigned int end);
int stress_punch(struct stress *s, unsigned int first, unsigned int end);
int stress_discard(struct stress *s, unsigned int first, unsigned int end);
void stress_convert_round(struct stress_thread *t);

/* private_stress_actors.c */
void stress_run_actors(struct stress *s);

/* private_stress_mm.c */
void stress_hva_round(struct stress_thread *t);
void stress_cycle_round(struct stress_thread *t);

/* private_stress_charge.c */
int stress_prepare_process(struct stress *s);
void stress_check_residue(struct stress *s);
void stress_check_limit(struct stress *s);
bool stress_uncharged(struct stress *s);

/* private_stress_limits.c */
void stress_squeeze_round(struct stress_thread *t);
void stress_poison_round(struct stress_thread *t);
void stress_expect_poison(void);
bool stress_poison_handled(struct stress *s, uint64_t gpa);

#endif /* SELFTEST_KVM_PRIVATE_STRESS_H */
