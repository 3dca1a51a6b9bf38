// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restricted memory: how pages go, by a punch, by a memory error, or with the file.
 *
 * A punch does not hold the invalidate_lock while it works. It would be held for seconds (zapping,
 * cache flushes, freeing of gigabytes), against faults of all other pages, and a fault that waits
 * in a rwsem cannot be interrupted. Instead the punch publishes its range, takes the lock
 * exclusive once so that getters who did not see it are done, and then works in three phases:
 *
 *  1. part by part, between invalidate_start and invalidate_end, users stop to use the pages.
 *     Faults that come later wait for the punch: nothing comes back into a part that is done.
 *  2. once, users flush what the CPUs' caches hold of the pages.
 *  3. part by part, the pages return to the allocator.
 *
 * A killed process ends phase 1 with nothing removed. Punches may overlap: each does the whole of
 * its range, and a page is removed by whoever gets its lock first, after its own phases 1 and 2.
 *
 * A memory error comes with the folio lock held, and takes neither the invalidate_lock nor waits
 * for a punch. The file must be held meanwhile: once the page is out of the page cache, the
 * eviction of the inode no longer waits for its lock.
 *
 * The last user of the file removes the pages that are left. Nobody is bound by then, and whoever
 * was has flushed when it unbound.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include <trace/events/restrictedmem.h>

#include "internal.h"
#include "restrictedmem.h"

/* What a user is asked to invalidate at a time, and what may pass between two looks at signals. */
#define PUNCH_PART	(SZ_64M >> PAGE_SHIFT)

static pgoff_t part_end(pgoff_t start, pgoff_t end)
{
	return end - start > PUNCH_PART ? start + PUNCH_PART : end;
}

bool restrictedmem_is_punched(struct restrictedmem_inode *ri, pgoff_t index)
{
	struct restrictedmem_punch *punch;
	bool found = false;

	if (list_empty(&ri->punches))
		return false;

	spin_lock(&ri->punch_lock);
	list_for_each_entry(punch, &ri->punches, list)
		found |= index >= punch->start && index < punch->end;
	spin_unlock(&ri->punch_lock);
	return found;
}

/*
 * The entry must be in the list before a callback of this punch runs: see the head of
 * restrictedmem_page.c. The unlock and the user's lock, taken later, give this order.
 */
static int punch_publish(struct restrictedmem_inode *ri, struct restrictedmem_punch *punch)
{
	struct rw_semaphore *lock = &ri->inode.i_mapping->invalidate_lock;

	if (down_write_killable(lock))
		return -EINTR;
	spin_lock(&ri->punch_lock);
	list_add(&punch->list, &ri->punches);
	spin_unlock(&ri->punch_lock);
	up_write(lock);
	return 0;
}

static void punch_unpublish(struct restrictedmem_inode *ri, struct restrictedmem_punch *punch)
{
	spin_lock(&ri->punch_lock);
	list_del(&punch->list);
	spin_unlock(&ri->punch_lock);
	wake_up_all(&ri->punch_wait);
}

/*
 * The first part of [start, end), counted from @start, that has a page; @end if none has. The size of
 * the file is not what a punch costs: it may be sparse and larger than any memory.
 */
static pgoff_t next_part(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	unsigned long index = start;

	if (start >= end || !xa_find(&ri->inode.i_mapping->i_pages, &index, end - 1, XA_PRESENT))
		return end;
	return start + round_down(index - start, PUNCH_PART);
}

/*
 * Phase 1. A part without pages is left out: nobody uses what does not exist, and whoever removed
 * the pages that were there has told.
 */
static int punch_invalidate(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end, bool *found)
{
	pgoff_t next;

	for (start = next_part(ri, start, end); start < end; start = next_part(ri, next, end)) {
		next = part_end(start, end);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		*found = true;
		down_read(&ri->bindings_lock);
		restrictedmem_invalidate_start(ri, start, next);
		restrictedmem_invalidate_end(ri, start, next);
		up_read(&ri->bindings_lock);
		trace_restrictedmem_invalidate(&ri->inode, start, next);
	}
	return 0;
}

/* Phase 2. Under the lock, so that no user goes away with the function that is called. */
static void punch_reclaim(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	down_read(&ri->bindings_lock);
	restrictedmem_reclaim(ri, start, end);
	up_read(&ri->bindings_lock);
}

/* The charge goes first: with the folio gone, nothing keeps an inode that is being evicted. */
static void remove_folio(struct restrictedmem_inode *ri, struct folio *folio)
{
	restrictedmem_uncharge(ri, 1);
	truncate_inode_folio(ri->inode.i_mapping, folio);
}

/*
 * Lock what is still in the file, and leave out the rest. In ascending order, as everybody does who
 * holds several folio locks of one mapping: punches may overlap.
 */
static void lock_batch(struct address_space *mapping, struct folio_batch *batch)
{
	unsigned int i, n = 0;

	for (i = 0; i < folio_batch_count(batch); i++) {
		struct folio *folio = batch->folios[i];

		folio_lock(folio);
		if (folio->mapping == mapping) {
			batch->folios[n++] = folio;
			continue;
		}
		folio_unlock(folio);
		folio_put(folio);
	}
	batch->nr = n;
}

/* Nothing maps the folios, and they have no private data: they need no more than to be taken out. */
static unsigned int remove_batch(struct restrictedmem_inode *ri, struct folio_batch *batch)
{
	struct address_space *mapping = ri->inode.i_mapping;
	unsigned int i, n;

	lock_batch(mapping, batch);
	n = folio_batch_count(batch);
	restrictedmem_uncharge(ri, n);
	delete_from_page_cache_batch(mapping, batch);
	for (i = 0; i < n; i++)
		folio_unlock(batch->folios[i]);
	folio_batch_release(batch);
	return n;
}

/* Remove the pages [start, end), which nobody uses. Returns how many there were. */
unsigned long restrictedmem_remove(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	unsigned long removed = 0;
	struct folio_batch batch;

	if (start >= end)
		return 0;

	folio_batch_init(&batch);
	while (filemap_get_folios(ri->inode.i_mapping, &start, end - 1, &batch)) {
		removed += remove_batch(ri, &batch);
		cond_resched();
	}
	return removed;
}

/*
 * The next page at the index is another one. An error that comes now finds no page in the range,
 * and one that came before has finished, because its page's lock was waited for.
 */
static void forget_poison(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	unsigned long index;
	void *entry;

	xa_for_each_range(&ri->poisoned, index, entry, start, end - 1)
		xa_erase(&ri->poisoned, index);
}

/* Phase 3. */
static int punch_remove(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end,
			unsigned long *removed)
{
	pgoff_t next, from = start;

	for (start = next_part(ri, start, end); start < end; start = next_part(ri, next, end)) {
		next = part_end(start, end);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		*removed += restrictedmem_remove(ri, start, next);
	}
	/* Where an error has taken a page, none is left. */
	forget_poison(ri, from, end);
	return 0;
}

/* Give the pages [start, end) back. -EINTR: the process is killed; some may be gone. */
int restrictedmem_punch(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	struct restrictedmem_punch punch = { .start = start, .end = end };
	unsigned long removed = 0;
	bool found = false;
	int err;

	err = punch_publish(ri, &punch);
	if (err)
		return err;

	err = punch_invalidate(ri, start, end, &found);
	if (!err) {
		if (found)
			punch_reclaim(ri, start, end);
		err = punch_remove(ri, start, end, &removed);
	}

	punch_unpublish(ri, &punch);
	trace_restrictedmem_punch(&ri->inode, start, end, removed);
	return err;
}

/* The folio is locked and in the page cache: the inode is there, whoever may be evicting it. */
static struct file *get_open_file(struct restrictedmem_inode *ri)
{
	struct file *file;

	rcu_read_lock();
	file = rcu_dereference(ri->file);
	if (file && !get_file_rcu(file))
		file = NULL;
	rcu_read_unlock();
	return file;
}

/*
 * memory_failure() found that a page is broken: take it out of the file, and remember its index.
 * Removed, it counts as recovered; kept, it would kill the process even if that can do without the
 * page.
 *
 * Later calls for the index fail, rather than find a new page full of zeroes. A getter that found
 * the page before the flag was set cannot use it: its user was told in between. A failure leaves
 * the page where it is, and PageHWPoison then keeps getters away.
 */
int restrictedmem_error_remove_page(struct address_space *mapping, struct page *page)
{
	struct restrictedmem_inode *ri = to_restrictedmem(mapping->host);
	struct folio *folio = page_folio(page);
	pgoff_t index = folio->index;
	struct file *file;
	int err;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio) || folio->mapping != mapping, folio);

	/*
	 * The file is going away: nobody is bound, and nobody will ask again. The inode, which the
	 * folio keeps no more when it is removed, is freed after a grace period.
	 */
	file = get_open_file(ri);
	if (!file) {
		rcu_read_lock();
		remove_folio(ri, folio);
		rcu_read_unlock();
		return 0;
	}

	/* Before the bindings lock, under which nothing is allocated. */
	err = xa_err(xa_store(&ri->poisoned, index, xa_mk_value(1), GFP_NOIO | __GFP_NOWARN));
	if (err)
		goto out;

	down_read(&ri->bindings_lock);
	restrictedmem_invalidate_start(ri, index, index + 1);
	restrictedmem_error(ri, index);
	remove_folio(ri, folio);
	restrictedmem_reclaim(ri, index, index + 1);
	restrictedmem_invalidate_end(ri, index, index + 1);
	up_read(&ri->bindings_lock);
	trace_restrictedmem_poison(&ri->inode, index, page_to_pfn(page));
out:
	/* The last one does not release the file here, under a folio lock, but in task work. */
	fput(file);
	return err;
}
