// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restricted memory: bindings, and the callbacks of their users.
 *
 * Locking: the bindings lock, shared while callbacks run and exclusive to bind and unbind. It is
 * held from an invalidate_start to its invalidate_end, so that each binding sees both or neither.
 * It is not held from one part of a punch to the next: who binds or unbinds waits for a part, not
 * for the punch. Nothing is allocated under it: a shrinker may wait for somebody who unbinds.
 *
 * Lifetime: a binding belongs to its user, and holds a reference of the file from
 * restrictedmem_bind() to restrictedmem_unbind(). The latter waits until callbacks that run have
 * returned.
 */
#include <linux/export.h>
#include <linux/file.h>
#include <linux/kernel.h>
#include <linux/mm.h>

#include <trace/events/restrictedmem.h>

#include "restrictedmem.h"

static struct restrictedmem_binding *node_to_binding(struct interval_tree_node *node)
{
	return node ? container_of(node, struct restrictedmem_binding, node) : NULL;
}

struct restrictedmem_binding *restrictedmem_first_binding(struct restrictedmem_inode *ri,
							  pgoff_t start, pgoff_t end)
{
	lockdep_assert_held(&ri->bindings_lock);

	if (start >= end)
		return NULL;
	return node_to_binding(interval_tree_iter_first(&ri->bindings, start, end - 1));
}

struct restrictedmem_binding *restrictedmem_next_binding(struct restrictedmem_binding *binding,
							 pgoff_t start, pgoff_t end)
{
	return node_to_binding(interval_tree_iter_next(&binding->node, start, end - 1));
}

void restrictedmem_invalidate_start(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	struct restrictedmem_binding *binding;

	for_each_restrictedmem_binding(binding, ri, start, end)
		binding->ops->invalidate_start(binding,
					       max(start, restrictedmem_binding_start(binding)),
					       min(end, restrictedmem_binding_end(binding)));
}

void restrictedmem_invalidate_end(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	struct restrictedmem_binding *binding;

	for_each_restrictedmem_binding(binding, ri, start, end)
		binding->ops->invalidate_end(binding,
					     max(start, restrictedmem_binding_start(binding)),
					     min(end, restrictedmem_binding_end(binding)));
}

/*
 * Call each distinct flush of the bindings of a range once: it makes every CPU write its caches
 * back. There are as many as there are kinds of users; should there be more than fit, some are
 * called twice. The lock keeps their text: a user unbinds before its module goes.
 */
void restrictedmem_reclaim(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	struct restrictedmem_binding *binding;
	restrictedmem_flush_t done[4];
	restrictedmem_flush_t flush;
	unsigned int nr = 0, i;

	for_each_restrictedmem_binding(binding, ri, start, end) {
		flush = binding->ops->reclaim ? binding->ops->reclaim(binding) : NULL;
		if (!flush)
			continue;
		for (i = 0; i < nr && done[i] != flush; i++)
			;
		if (i < nr)
			continue;
		flush();
		if (nr < ARRAY_SIZE(done))
			done[nr++] = flush;
	}
}

void restrictedmem_error(struct restrictedmem_inode *ri, pgoff_t index)
{
	struct restrictedmem_binding *binding;

	for_each_restrictedmem_binding(binding, ri, index, index + 1)
		if (binding->ops->error)
			binding->ops->error(binding, index);
}

static bool domain_overlaps(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end,
			    const void *domain)
{
	struct restrictedmem_binding *binding;

	for_each_restrictedmem_binding(binding, ri, start, end)
		if (binding->domain == domain)
			return true;
	return false;
}

static void insert_binding(struct restrictedmem_inode *ri, struct file *file, pgoff_t start,
			   pgoff_t end, struct restrictedmem_binding *binding)
{
	lockdep_assert_held_write(&ri->bindings_lock);

	binding->file = get_file(file);
	binding->node.start = start;
	binding->node.last = end - 1;
	interval_tree_insert(&binding->node, &ri->bindings);
}

/**
 * restrictedmem_bind() - tie a range of a restricted memory file to a user
 * @file: the file; it may be any file
 * @start: first page
 * @end: first page behind the range, within the file
 * @owner: whom the file must have been created for, if it was for somebody
 * @binding: with ops and domain set; the user's until restrictedmem_unbind()
 *
 * A punch may run. @binding then sees the parts of it that are still to come, each from start to
 * end; pages of the other parts cannot be got before the punch is over.
 *
 * Return: 0, or -EINVAL: no restricted memory, not the owner, no such range, or a range that
 * overlaps with a binding of the same domain.
 */
int restrictedmem_bind(struct file *file, pgoff_t start, pgoff_t end, u64 owner,
		       struct restrictedmem_binding *binding)
{
	struct restrictedmem_inode *ri;
	int err = -EINVAL;

	if (!file_is_restrictedmem(file))
		return -EINVAL;

	ri = to_restrictedmem(file_inode(file));
	if (ri->owner && ri->owner != owner)
		return -EINVAL;
	if (start >= end || end > restrictedmem_nr_pages(ri))
		return -EINVAL;

	down_write(&ri->bindings_lock);
	if (!domain_overlaps(ri, start, end, binding->domain)) {
		insert_binding(ri, file, start, end, binding);
		err = 0;
	}
	up_write(&ri->bindings_lock);

	if (!err)
		trace_restrictedmem_bind(&ri->inode, start, end);
	return err;
}
EXPORT_SYMBOL_GPL(restrictedmem_bind);

/**
 * restrictedmem_unbind() - undo restrictedmem_bind()
 * @binding: the binding
 *
 * The pages stay in the file. The user must have stopped using them, and have done what its reclaim
 * callback would ask for: from now on nobody knows that it used them.
 */
void restrictedmem_unbind(struct restrictedmem_binding *binding)
{
	struct restrictedmem_inode *ri = to_restrictedmem(file_inode(binding->file));

	trace_restrictedmem_unbind(&ri->inode, restrictedmem_binding_start(binding),
				   restrictedmem_binding_end(binding));

	down_write(&ri->bindings_lock);
	interval_tree_remove(&binding->node, &ri->bindings);
	up_write(&ri->bindings_lock);

	fput(binding->file);
	binding->file = NULL;
}
EXPORT_SYMBOL_GPL(restrictedmem_unbind);
