/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restricted memory, what its files share: restrictedmem.c (the file), restrictedmem_page.c (how
 * pages come), restrictedmem_remove.c (how they go), restrictedmem_bind.c (who uses them).
 * include/linux/restrictedmem.h has the order of the locks.
 */
#ifndef __MM_RESTRICTEDMEM_H
#define __MM_RESTRICTEDMEM_H

#include <linux/fs.h>
#include <linux/interval_tree.h>
#include <linux/pagemap.h>
#include <linux/restrictedmem.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

struct user_struct;

/*
 * A file, from its creation to the eviction of its inode. The inode may outlive the file, because
 * a path holds the dentry (O_PATH of /proc/PID/fd/N); the pages do not.
 */
struct restrictedmem_inode {
	struct inode inode;

	/* Who may bind: 0 for anybody. Constant. */
	u64 owner;

	/* Pays for the pages, in locked_vm. Constant. */
	struct user_struct *user;

	/* The one open file; NULL once nobody holds it. It is freed after an RCU grace period. */
	struct file __rcu *file;

	/* Pages in the page cache, and what @user was charged. */
	atomic_long_t nr_pages;

	/*
	 * Indices whose page was lost to a memory error. Written before the page leaves the page
	 * cache, so that whoever misses it finds the reason.
	 */
	struct xarray poisoned;

	/*
	 * The punches that run. Entries are added with the invalidate_lock held exclusive, and
	 * removed without it: a reader who holds it shared sees none appear.
	 */
	spinlock_t punch_lock;
	struct list_head punches;
	wait_queue_head_t punch_wait;

	/* The bindings, by page. */
	struct rw_semaphore bindings_lock;
	struct rb_root_cached bindings;
};

static inline struct restrictedmem_inode *to_restrictedmem(const struct inode *inode)
{
	return container_of(inode, struct restrictedmem_inode, inode);
}

/* The size of the file in pages. Changes once at most, from 0. */
static inline pgoff_t restrictedmem_nr_pages(struct restrictedmem_inode *ri)
{
	return i_size_read(&ri->inode) >> PAGE_SHIFT;
}

/* A punch of the pages [start, end) that runs. Lives on the puncher's stack. */
struct restrictedmem_punch {
	struct list_head list;
	pgoff_t start;
	pgoff_t end;
};

/* restrictedmem_page.c */
int restrictedmem_get_folio(struct restrictedmem_inode *ri, pgoff_t index,
			    struct restrictedmem_binding *binding, unsigned long cookie,
			    struct folio **foliop);
int restrictedmem_populate(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end);
void restrictedmem_uncharge(struct restrictedmem_inode *ri, unsigned long nr);

/* restrictedmem_remove.c */
bool restrictedmem_is_punched(struct restrictedmem_inode *ri, pgoff_t index);
int restrictedmem_punch(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end);
unsigned long restrictedmem_remove(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end);
int restrictedmem_error_remove_page(struct address_space *mapping, struct page *page);

/* restrictedmem_bind.c; all with the bindings lock held. */
struct restrictedmem_binding *restrictedmem_first_binding(struct restrictedmem_inode *ri,
							  pgoff_t start, pgoff_t end);
struct restrictedmem_binding *restrictedmem_next_binding(struct restrictedmem_binding *binding,
							 pgoff_t start, pgoff_t end);
void restrictedmem_invalidate_start(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end);
void restrictedmem_invalidate_end(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end);
void restrictedmem_reclaim(struct restrictedmem_inode *ri, pgoff_t start, pgoff_t end);
void restrictedmem_error(struct restrictedmem_inode *ri, pgoff_t index);

/* Every binding that overlaps the pages [start, end). */
#define for_each_restrictedmem_binding(binding, ri, start, end)				\
	for (binding = restrictedmem_first_binding(ri, start, end); binding;			\
	     binding = restrictedmem_next_binding(binding, start, end))

#endif /* __MM_RESTRICTEDMEM_H */
