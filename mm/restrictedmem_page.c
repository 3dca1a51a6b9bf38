// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restricted memory: how pages come.
 *
 * A page that exists is found without a lock. This is right because whoever takes pages away
 * publishes the punch first, then calls invalidate_start, then removes: a getter who saw no punch
 * was there before it, and so was the state (KVM: mmu_invalidate_seq) that its user read earlier
 * and checks again when it maps the page. The user's callbacks change that state. The same holds
 * for a page with a memory error, where PageHWPoison takes the place of the list.
 *
 * A page that does not exist is allocated with the invalidate_lock held, shared if that will do, from
 * the question whether a punch runs, or the wish for the page is stale, until the page is in the page
 * cache. A punch passes through the exclusive lock: a getter was before it, and the punch removes its
 * page, or is behind it, and waits for the end of the punch.
 *
 * Accounting: each page is charged to the memcg of the task that causes it, and counted in
 * locked_vm of the user who created the file. RLIMIT_MEMLOCK of the task is looked at only here,
 * page by page, and CAP_IPC_LOCK only if it is exceeded: a VM larger than the limit may start, and
 * need not be told.
 */
#include <linux/capability.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>

#include <trace/events/restrictedmem.h>

#include "restrictedmem.h"

static int restrictedmem_charge(struct restrictedmem_inode *ri)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long locked = atomic_long_inc_return(&ri->user->locked_vm);

	if (locked > limit && !capable(CAP_IPC_LOCK)) {
		atomic_long_dec(&ri->user->locked_vm);
		return -EDQUOT;
	}
	atomic_long_inc(&ri->nr_pages);
	return 0;
}

void restrictedmem_uncharge(struct restrictedmem_inode *ri, unsigned long nr)
{
	atomic_long_sub(nr, &ri->nr_pages);
	atomic_long_sub(nr, &ri->user->locked_vm);
}

static bool restrictedmem_is_poisoned(struct restrictedmem_inode *ri, pgoff_t index)
{
	return !xa_empty(&ri->poisoned) && xa_load(&ri->poisoned, index);
}

/*
 * The flag means: the host has written this page, and no user has prepared it yet. In the page
 * cache of other files it belongs to the file system.
 */
static struct folio *restrictedmem_alloc_folio(struct restrictedmem_inode *ri)
{
	gfp_t gfp = mapping_gfp_mask(ri->inode.i_mapping);
	struct folio *folio = filemap_alloc_folio(gfp | __GFP_ZERO, 0);

	if (folio) {
		folio_set_checked(folio);
		/* Complete before anybody can see it: nobody takes its lock to look. */
		__folio_mark_uptodate(folio);
	}
	return folio;
}

/* Returns with a reference, or -EEXIST when another was faster. */
static int restrictedmem_add_folio(struct restrictedmem_inode *ri, pgoff_t index,
				   struct folio *folio)
{
	struct address_space *mapping = ri->inode.i_mapping;
	int err;

	err = filemap_add_folio(mapping, folio, index, mapping_gfp_mask(mapping));
	if (err)
		return err;

	/*
	 * Soft offline evicts clean folios that are not mapped, and nobody is told. The folio is
	 * locked since before it became visible: there was no moment at which it could go.
	 */
	folio_mark_dirty(folio);

	/*
	 * Another getter's page may have come, been hit by an error and gone since this one
	 * looked. The index was poisoned before that page left its place to this one. Nobody has
	 * taken this one meanwhile, who would have to be told: see restrictedmem_is_usable().
	 */
	if (restrictedmem_is_poisoned(ri, index)) {
		filemap_remove_folio(folio);
		err = -EHWPOISON;
	}
	folio_unlock(folio);
	return err;
}

static int restrictedmem_allocate(struct restrictedmem_inode *ri, pgoff_t index,
				  struct folio **foliop)
{
	struct folio *folio;
	int err;

	lockdep_assert_held(&ri->inode.i_mapping->invalidate_lock);

	err = restrictedmem_charge(ri);
	if (err)
		return err;

	err = -ENOMEM;
	folio = restrictedmem_alloc_folio(ri);
	if (!folio)
		goto err_uncharge;

	err = restrictedmem_add_folio(ri, index, folio);
	if (err)
		goto err_put;

	trace_restrictedmem_allocate(&ri->inode, index, folio_pfn(folio));
	*foliop = folio;
	return 0;

err_put:
	folio_put(folio);
err_uncharge:
	restrictedmem_uncharge(ri, 1);
	return err;
}

/* Find the page, with a reference; or NULL. */
static struct folio *restrictedmem_find(struct restrictedmem_inode *ri, pgoff_t index)
{
	return filemap_get_folio(ri->inode.i_mapping, index);
}

/*
 * Not a page with an error. Nor one that stands where an error has taken another page: whoever added it
 * takes it out again, and tells nobody. The index was poisoned before the first page left its place,
 * so before this one could be found.
 */
static bool restrictedmem_is_usable(struct restrictedmem_inode *ri, pgoff_t index,
				    struct folio *folio)
{
	/* Pairs with the unlock of the page cache in filemap_add_folio(). */
	smp_rmb();
	return !folio_test_hwpoison(folio) && !restrictedmem_is_poisoned(ri, index);
}

/*
 * Without a lock: true when the answer is final. The question whether a punch runs comes first. One
 * that is over by then has removed its pages, and they are not found. One that begins later tells the
 * user, who has bound by now, before it removes anything. The other way round, a user who bound while
 * a punch was past its telling could find a page right before it goes, and the punch over right after.
 */
static bool restrictedmem_get_fast(struct restrictedmem_inode *ri, pgoff_t index,
				   struct folio **foliop)
{
	struct folio *folio;

	if (!list_empty(&ri->punches))
		return false;
	/* Pairs with the lock in punch_unpublish(): what it had removed is gone. */
	smp_rmb();

	folio = restrictedmem_find(ri, index);
	if (!folio)
		return false;
	if (!restrictedmem_is_usable(ri, index, folio)) {
		folio_put(folio);
		return false;
	}
	*foliop = folio;
	return true;
}

/* No punch covers the index, and none begins to. -EEXIST: look again. */
static int restrictedmem_get_locked(struct restrictedmem_inode *ri, pgoff_t index,
				    struct restrictedmem_binding *binding, unsigned long cookie,
				    struct folio **foliop)
{
	struct folio *folio;

	folio = restrictedmem_find(ri, index);
	if (folio && !restrictedmem_is_usable(ri, index, folio)) {
		folio_put(folio);
		return -EHWPOISON;
	}
	if (folio) {
		*foliop = folio;
		return 0;
	}

	/* Pairs with the unlocks in filemap_remove_folio(): the page is gone, its error seen. */
	smp_rmb();
	if (restrictedmem_is_poisoned(ri, index))
		return -EHWPOISON;
	if (binding && binding->ops->stale && binding->ops->stale(binding, cookie))
		return -EAGAIN;

	return restrictedmem_allocate(ri, index, foliop);
}

/* Several getters at a time, or one alone. */
static void restrictedmem_lock(struct address_space *mapping, bool alone)
{
	if (alone)
		filemap_invalidate_lock(mapping);
	else
		filemap_invalidate_lock_shared(mapping);
}

static void restrictedmem_unlock(struct address_space *mapping, bool alone)
{
	if (alone)
		filemap_invalidate_unlock(mapping);
	else
		filemap_invalidate_unlock_shared(mapping);
}

/*
 * Get the page at @index with a reference. @binding is NULL to populate the file for nobody.
 *
 * Each getter charges its page before it knows whether another is faster, so what is missing at a
 * limit may be held by somebody who is about to bring this very page, or to give up. Such an error
 * counts only if nobody else is in here.
 */
int restrictedmem_get_folio(struct restrictedmem_inode *ri, pgoff_t index,
			    struct restrictedmem_binding *binding, unsigned long cookie,
			    struct folio **foliop)
{
	struct address_space *mapping = ri->inode.i_mapping;
	bool punched, retry, alone = false;
	int err;

	if (restrictedmem_get_fast(ri, index, foliop))
		return 0;

	do {
		restrictedmem_lock(mapping, alone);
		punched = restrictedmem_is_punched(ri, index);
		err = punched ? -EEXIST : restrictedmem_get_locked(ri, index, binding, cookie,
								   foliop);
		restrictedmem_unlock(mapping, alone);

		if (punched && wait_event_interruptible(ri->punch_wait,
							!restrictedmem_is_punched(ri, index)))
			return -EINTR;

		retry = err == -EEXIST || (!alone && (err == -EDQUOT || err == -ENOMEM));
		alone = retry && err != -EEXIST;
	} while (retry);

	return err;
}

/*
 * A page becomes prepared when somebody has prepared it. Two who get it at the same time both do so
 * before they use it; that the second does it while the first already uses it must do no harm.
 */
static void restrictedmem_prepare(struct restrictedmem_binding *binding, struct folio *folio)
{
	if (!binding->ops->prepare || !folio_test_checked(folio))
		return;

	binding->ops->prepare(binding, &folio->page);
	/* Whoever misses the flag may use the page. */
	smp_mb__before_atomic();
	folio_clear_checked(folio);
}

/**
 * restrictedmem_get_page() - get a page of a bound range, allocate it if there is none
 * @binding: the binding
 * @index: of the page in the file, within the binding
 * @cookie: what the stale callback is asked about
 * @pagep: the page, with a reference that the caller puts
 *
 * The reference keeps the memory, not the page's place in the file. To use the page for longer than
 * that, the caller must check, under a lock that its invalidate_start takes too, that there was no
 * invalidation since before the call.
 *
 * Waits for a punch of the page that runs. Never invokes the OOM killer.
 *
 * Return: 0; -EAGAIN if the wish is stale; -EHWPOISON if the page was lost to a memory error,
 * until it is punched; -ENOMEM; -EDQUOT if it would exceed RLIMIT_MEMLOCK; -EINTR.
 */
int restrictedmem_get_page(struct restrictedmem_binding *binding, pgoff_t index,
			   unsigned long cookie, struct page **pagep)
{
	struct restrictedmem_inode *ri = to_restrictedmem(file_inode(binding->file));
	struct folio *folio;
	int err;

	if (WARN_ON_ONCE(index < restrictedmem_binding_start(binding) ||
			 index >= restrictedmem_binding_end(binding)))
		return -EINVAL;

	err = restrictedmem_get_folio(ri, index, binding, cookie, &folio);
	if (err)
		return err;

	restrictedmem_prepare(binding, folio);
	*pagep = &folio->page;
	return 0;
}
EXPORT_SYMBOL_GPL(restrictedmem_get_page);

/*
 * Allocate the pages [start, end). Those that came before an error stay. A poisoned index is an
 * error: success means that a later fault finds a page.
 */
int restrictedmem_populate(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end)
{
	struct folio *folio;
	pgoff_t index;
	int err;

	for (index = start; index < end; index++) {
		if (signal_pending(current))
			return -EINTR;
		err = restrictedmem_get_folio(ri, index, NULL, 0, &folio);
		if (err)
			return err;
		folio_put(folio);
		cond_resched();
	}
	return 0;
}
