/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restricted memory: a file that owns pages which nobody can read, write or map. An in-kernel user,
 * such as KVM, binds ranges of the file, takes pages from them, and is told before a page goes away.
 *
 * Locking:
 *	invalidate_lock of the mapping (shared: get a page; exclusive: announce a punch, set the size)
 *	  folio lock
 *	    bindings lock (shared: callbacks; exclusive: bind, unbind)
 *	      locks of the user that its callbacks take
 * Callbacks never run under a spinlock, and may sleep. They must not take the mmap_lock, allocate file
 * pages, or wait for anybody who binds, unbinds, punches or gets a page.
 *
 * Lifetime: a binding holds a reference of the file; the file holds none of the binding's owner. When
 * restrictedmem_unbind() returns, no callback of the binding runs or will run.
 */
#ifndef _LINUX_RESTRICTEDMEM_H
#define _LINUX_RESTRICTEDMEM_H

#include <linux/err.h>
#include <linux/interval_tree.h>
#include <linux/types.h>

struct file;
struct page;
struct restrictedmem_binding;

/* Make the CPUs' caches forget what they hold of pages that return to the host. */
typedef void (*restrictedmem_flush_t)(void);

/**
 * struct restrictedmem_ops - what a user of restricted memory must do when pages go
 * @invalidate_start: Stop using the pages [@start, @end) of the file: unmap them and flush TLBs. From
 *	its return to @invalidate_end no page of the range may come into use, whatever page the user
 *	got before.
 * @invalidate_end: Ends what @invalidate_start began; called as often, with the same range.
 * @reclaim: Optional. Returns what must be called once before pages that this binding used return to
 *	the allocator, or NULL. A punch calls each distinct function once for all bindings of its
 *	range, after it has invalidated the whole range. Called with pages unmapped.
 * @error: Optional. The page at @index is poisoned: the memory controller reported an error. Called
 *	between @invalidate_start and @invalidate_end of this page.
 * @prepare: Optional. The host has written the page (zeroed it), and no user has prepared it yet:
 *	make it fit for use, for example by flushing it from the CPUs' caches. Called before
 *	restrictedmem_get_page() returns the page. Two who get it at the same time both call this; it
 *	must do no harm while the other already uses the page.
 * @stale: Optional. Tells whether @cookie, given to restrictedmem_get_page(), no longer stands for
 *	a wish to have the page. Called with the invalidate_lock held shared, before a page is
 *	allocated: a page must not appear in a range that was punched because its user gave it up.
 *
 * Ranges are clamped to the binding.
 */
struct restrictedmem_ops {
	void (*invalidate_start)(struct restrictedmem_binding *binding, pgoff_t start, pgoff_t end);
	void (*invalidate_end)(struct restrictedmem_binding *binding, pgoff_t start, pgoff_t end);
	restrictedmem_flush_t (*reclaim)(struct restrictedmem_binding *binding);
	void (*error)(struct restrictedmem_binding *binding, pgoff_t index);
	void (*prepare)(struct restrictedmem_binding *binding, struct page *page);
	bool (*stale)(struct restrictedmem_binding *binding, unsigned long cookie);
};

/**
 * struct restrictedmem_binding - the tie between a range of a restricted memory file and its user
 * @ops: set by the user before restrictedmem_bind()
 * @domain: set by the user; bindings of one domain must not overlap. KVM: the VM.
 * @file: the file, referenced while bound
 * @node: [start, last] in the file's tree of bindings, in pages
 */
struct restrictedmem_binding {
	const struct restrictedmem_ops *ops;
	const void *domain;
	struct file *file;
	struct interval_tree_node node;
};

/* First page of the file in the binding, and the first one behind it. */
static inline pgoff_t restrictedmem_binding_start(const struct restrictedmem_binding *binding)
{
	return binding->node.start;
}

static inline pgoff_t restrictedmem_binding_end(const struct restrictedmem_binding *binding)
{
	return binding->node.last + 1;
}

#ifdef CONFIG_RESTRICTEDMEM
struct file *restrictedmem_file_create(loff_t size, u64 owner);
bool file_is_restrictedmem(const struct file *file);
int restrictedmem_bind(struct file *file, pgoff_t start, pgoff_t end, u64 owner,
		       struct restrictedmem_binding *binding);
void restrictedmem_unbind(struct restrictedmem_binding *binding);
int restrictedmem_get_page(struct restrictedmem_binding *binding, pgoff_t index,
			   unsigned long cookie, struct page **pagep);
#else
static inline bool file_is_restrictedmem(const struct file *file)
{
	return false;
}
#endif

#endif /* _LINUX_RESTRICTEDMEM_H */
