/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What SEV VMs take from the machine, and must give back: contexts in the firmware, pins, VMs
 * that KVM keeps, charges of a memory cgroup. For tests that compare with what there was before.
 *
 * All of it is global to the machine but the charges of a group: such a test wants the machine
 * for itself.
 *
 * Locking: none. Lifetime: sev_group_destroy() removes what sev_group_create() made, once all
 * processes have left it.
 */
#ifndef SELFTEST_KVM_SEV_HOLDINGS_H
#define SELFTEST_KVM_SEV_HOLDINGS_H

#include <stdbool.h>

/* What must be as before. */
struct sev_holdings {
	long guests;		/* contexts in the firmware */
	long pinned;		/* pages with a pin, short or long */
	long locked_kb;		/* VmLck and VmPin of this process */
	long vms;		/* of KVM, by its debugfs; 0 without one */
};

struct sev_holdings sev_holdings_now(void);
/* The same once it is as @want, or after a time in which everything settles. */
struct sev_holdings sev_holdings_settled(const struct sev_holdings *want);

/* Each CPU counts for itself; only after this do /proc/vmstat and its like add up. */
void sev_fold_counters(void);

struct sev_group {
	char dir[96];
};

/* A cgroup with the memory controller, and the misc controller where the kernel has it. */
int sev_group_create(struct sev_group *group, const char *name);
int sev_group_enter(const struct sev_group *group);
/*
 * Back to the root, and the group is removed. What it still is charged for keeps it in the
 * kernel.
 */
void sev_group_destroy(struct sev_group *group);
/* The number behind @key in a file of the group; a NULL key: the file is the number. */
long sev_group_value(const struct sev_group *group, const char *file, const char *key);
int sev_group_set(const struct sev_group *group, const char *file, const char *text);
/*
 * The group's processes are gone, and so is all that they were charged for. NULL, or what is
 * left.
 */
const char *sev_group_residue(const struct sev_group *group);

/* EXPECT that nothing is left of what came since @before. After kselftest_harness.h. */
#define NOTHING_LEFT_SINCE(before) do {					\
	const struct sev_holdings *before_ = (before);			\
	struct sev_holdings now_ = sev_holdings_settled(before_);	\
									\
	EXPECT_EQ(before_->guests, now_.guests);			\
	EXPECT_EQ(before_->pinned, now_.pinned);			\
	EXPECT_EQ(before_->locked_kb, now_.locked_kb);			\
	EXPECT_EQ(before_->vms, now_.vms);				\
} while (0)

#endif /* SELFTEST_KVM_SEV_HOLDINGS_H */
