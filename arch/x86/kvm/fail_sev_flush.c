// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injection for the cache flushes that guard the memory of SEV guests, under
 * /sys/kernel/debug/fail_sev_flush: a folder for each kind, with the files that
 * Documentation/fault-injection/fault-injection.rst describes.
 *
 * A question that the code asks where it would flush, and not a function that is left out by a
 * breakpoint (fail_function): the latter draws its random number in what counts as an NMI.
 *
 * Locking: that of struct fault_attr, which has none: who sets it up is alone.
 * Lifetime: as long as kvm is loaded.
 */
#include <linux/dcache.h>
#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/fault-inject.h>

#include "fail_sev_flush.h"

static const char * const names[NR_SEV_FLUSHES] = {
	[SEV_FLUSH_RECLAIM] = "reclaim",
	[SEV_FLUSH_PREPARE] = "prepare",
	[SEV_FLUSH_COMMAND] = "command",
};

static struct fault_attr attrs[NR_SEV_FLUSHES] = {
	[0 ... NR_SEV_FLUSHES - 1] = FAULT_ATTR_INITIALIZER,
};

static struct dentry *dir;

bool sev_flush_fails(enum sev_flush flush)
{
	return should_fail(&attrs[flush], 1);
}
EXPORT_SYMBOL_GPL(sev_flush_fails);

/* Without debugfs nothing is ever left out, and kvm does without. */
void sev_flush_fail_init(void)
{
	unsigned int i;

	dir = debugfs_create_dir("fail_sev_flush", NULL);
	for (i = 0; i < NR_SEV_FLUSHES; i++)
		fault_create_debugfs_attr(names[i], dir, &attrs[i]);
}

void sev_flush_fail_exit(void)
{
	unsigned int i;

	debugfs_remove_recursive(dir);
	for (i = 0; i < NR_SEV_FLUSHES; i++)
		dput(attrs[i].dname);
}
