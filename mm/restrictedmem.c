// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restricted memory: the file. It owns pages that nobody can read, write or map; an in-kernel user
 * binds ranges of it and takes pages (include/linux/restrictedmem.h). The pages are unmovable and
 * unevictable.
 *
 * What the file cannot do is left out rather than refused: without these operations, the VFS has
 * no way to the pages. A process that holds the file can size it once, allocate, punch, and look
 * at fdinfo.
 *
 * Locking: the inode lock and the invalidate_lock, in this order, for the size.
 *
 * Lifetime: the inodes are on no list of their super block (alloc_anon_inode()), so nothing that
 * walks such lists, as drop_caches does, comes here. There is one struct file for an inode, as
 * nothing opens one: when its last reference goes, so do the pages. A dentry that is held longer
 * keeps an empty inode.
 */
#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/init.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/user.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/syscalls.h>

#include <uapi/linux/restrictedmem.h>

#define CREATE_TRACE_POINTS
#include <trace/events/restrictedmem.h>

#include "restrictedmem.h"

/*
 * No __GFP_MOVABLE: the pages do not move. __GFP_RETRY_MAYFAIL: neither the OOM killer nor that of
 * the memcg is called; a VM that asks for too much gets an error. A failure is reported to whoever
 * asked, who can do so at will: no warning.
 */
#define RESTRICTEDMEM_GFP	(GFP_HIGHUSER | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static struct vfsmount *restrictedmem_mnt __ro_after_init;
static struct kmem_cache *restrictedmem_inode_cache __ro_after_init;

/* Mainline's guest_memfd gives the same errors. */
static long restrictedmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct restrictedmem_inode *ri = to_restrictedmem(file_inode(file));
	pgoff_t start, end, size;

	if (!(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(len))
		return -EINVAL;

	/* vfs_fallocate() has checked the sum. */
	start = offset >> PAGE_SHIFT;
	end = (offset + len) >> PAGE_SHIFT;
	size = restrictedmem_nr_pages(ri);

	if (mode & FALLOC_FL_PUNCH_HOLE) {
		end = min(end, size);
		return start < end ? restrictedmem_punch(ri, start, end) : 0;
	}
	return end <= size ? restrictedmem_populate(ri, start, end) : -EINVAL;
}

static void restrictedmem_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct restrictedmem_inode *ri = to_restrictedmem(file_inode(file));
	struct restrictedmem_binding *binding;

	seq_printf(m, "size:\t%llu\n", i_size_read(&ri->inode));
	seq_printf(m, "resident:\t%llu\n", (u64)atomic_long_read(&ri->nr_pages) << PAGE_SHIFT);

	down_read(&ri->bindings_lock);
	for_each_restrictedmem_binding(binding, ri, 0, restrictedmem_nr_pages(ri))
		seq_printf(m, "bound:\t0x%llx-0x%llx\n",
			   (u64)restrictedmem_binding_start(binding) << PAGE_SHIFT,
			   (u64)restrictedmem_binding_end(binding) << PAGE_SHIFT);
	up_read(&ri->bindings_lock);
}

/* Bindings hold the file: there is none, and no punch. A memory error may still be coming. */
static int restrictedmem_release(struct inode *inode, struct file *file)
{
	struct restrictedmem_inode *ri = to_restrictedmem(inode);

	RCU_INIT_POINTER(ri->file, NULL);
	restrictedmem_remove(ri, 0, restrictedmem_nr_pages(ri));
	return 0;
}

static const struct file_operations restrictedmem_fops = {
	.release	= restrictedmem_release,
	.fallocate	= restrictedmem_fallocate,
	.show_fdinfo	= restrictedmem_show_fdinfo,
};

/**
 * file_is_restrictedmem() - whether a file is one of restricted memory
 * @file: any file
 */
bool file_is_restrictedmem(const struct file *file)
{
	return file->f_op == &restrictedmem_fops;
}
EXPORT_SYMBOL_GPL(file_is_restrictedmem);

/*
 * Quietly, because compaction and memory offlining ask at the wish of any user. Without the
 * function a clean page would be moved.
 */
static int restrictedmem_migrate_folio(struct address_space *mapping, struct folio *dst,
				       struct folio *src, enum migrate_mode mode)
{
	return -EBUSY;
}

static const struct address_space_operations restrictedmem_aops = {
	.dirty_folio		= noop_dirty_folio,
	.migrate_folio		= restrictedmem_migrate_folio,
	.error_remove_page	= restrictedmem_error_remove_page,
};

/* Users compute with the size: it changes once, from nothing to what it stays. */
static int restrictedmem_set_size(struct user_namespace *mnt_userns, struct dentry *dentry,
				  struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int err;

	if (i_size_read(inode) || !attr->ia_size || !PAGE_ALIGNED(attr->ia_size))
		return -EINVAL;

	err = setattr_prepare(mnt_userns, dentry, attr);
	if (err)
		return err;

	i_size_write(inode, attr->ia_size);
	setattr_copy(mnt_userns, inode, attr);
	return 0;
}

/*
 * Also reached by path, through /proc/PID/fd, so it is the place to check. Owner, mode and times
 * are refused, as by mainline's guest_memfd: nothing can open the file, so they would promise a
 * protection that nobody enforces.
 */
static int restrictedmem_setattr(struct user_namespace *mnt_userns, struct dentry *dentry,
				 struct iattr *attr)
{
	struct address_space *mapping = d_inode(dentry)->i_mapping;
	int err;

	if (!(attr->ia_valid & ATTR_SIZE))
		return -EINVAL;

	filemap_invalidate_lock(mapping);
	err = restrictedmem_set_size(mnt_userns, dentry, attr);
	filemap_invalidate_unlock(mapping);
	return err;
}

static const struct inode_operations restrictedmem_iops = {
	.getattr	= simple_getattr,
	.setattr	= restrictedmem_setattr,
};

static struct inode *restrictedmem_alloc_inode(struct super_block *sb)
{
	struct restrictedmem_inode *ri = alloc_inode_sb(sb, restrictedmem_inode_cache, GFP_KERNEL);

	if (!ri)
		return NULL;

	ri->owner = 0;
	ri->user = NULL;
	RCU_INIT_POINTER(ri->file, NULL);
	atomic_long_set(&ri->nr_pages, 0);
	xa_init(&ri->poisoned);
	spin_lock_init(&ri->punch_lock);
	INIT_LIST_HEAD(&ri->punches);
	init_waitqueue_head(&ri->punch_wait);
	init_rwsem(&ri->bindings_lock);
	ri->bindings = RB_ROOT_CACHED;
	return &ri->inode;
}

static void restrictedmem_free_inode(struct inode *inode)
{
	kmem_cache_free(restrictedmem_inode_cache, to_restrictedmem(inode));
}

/* The release has removed the pages, or there never was a file. */
static void restrictedmem_evict_inode(struct inode *inode)
{
	struct restrictedmem_inode *ri = to_restrictedmem(inode);

	truncate_inode_pages_final(inode->i_mapping);
	WARN_ON_ONCE(atomic_long_read(&ri->nr_pages));
	WARN_ON_ONCE(!RB_EMPTY_ROOT(&ri->bindings.rb_root));
	WARN_ON_ONCE(!list_empty(&ri->punches));

	xa_destroy(&ri->poisoned);
	if (ri->user)
		free_uid(ri->user);
	clear_inode(inode);
}

static const struct super_operations restrictedmem_super_ops = {
	.alloc_inode	= restrictedmem_alloc_inode,
	.free_inode	= restrictedmem_free_inode,
	.drop_inode	= generic_delete_inode,
	.evict_inode	= restrictedmem_evict_inode,
	.statfs		= simple_statfs,
};

static struct inode *restrictedmem_new_inode(loff_t size, u64 owner)
{
	struct restrictedmem_inode *ri;
	struct inode *inode;

	inode = anon_inode_make_secure_inode(restrictedmem_mnt->mnt_sb, "[restrictedmem]", NULL);
	if (IS_ERR(inode))
		return inode;

	inode->i_op = &restrictedmem_iops;
	inode->i_mode |= S_IFREG;
	inode->i_size = size;
	inode->i_mapping->a_ops = &restrictedmem_aops;
	mapping_set_gfp_mask(inode->i_mapping, RESTRICTEDMEM_GFP);
	mapping_set_unevictable(inode->i_mapping);

	ri = to_restrictedmem(inode);
	ri->owner = owner;
	ri->user = get_uid(current_user());
	return inode;
}

/**
 * restrictedmem_file_create() - create a file of restricted memory
 * @size: in bytes, page aligned; 0: whoever holds the file sets it
 * @owner: not 0: who alone can bind the file
 *
 * Its pages are counted in locked_vm of the current user.
 *
 * Return: the file, or an ERR_PTR().
 */
struct file *restrictedmem_file_create(loff_t size, u64 owner)
{
	struct inode *inode;
	struct file *file;

	if (size < 0 || !PAGE_ALIGNED(size))
		return ERR_PTR(-EINVAL);

	inode = restrictedmem_new_inode(size, owner);
	if (IS_ERR(inode))
		return ERR_CAST(inode);

	file = alloc_file_pseudo(inode, restrictedmem_mnt, "restrictedmem", O_RDWR | O_LARGEFILE,
				 &restrictedmem_fops);
	if (IS_ERR(file)) {
		iput(inode);
		return file;
	}
	rcu_assign_pointer(to_restrictedmem(inode)->file, file);
	return file;
}
EXPORT_SYMBOL_GPL(restrictedmem_file_create);

/**
 * sys_memfd_restricted() - create a file of restricted memory that anybody can bind
 * @flags: MEMFD_RESTRICTED_CLOEXEC
 */
SYSCALL_DEFINE1(memfd_restricted, unsigned int, flags)
{
	struct file *file;
	int fd;

	if (flags & ~MEMFD_RESTRICTED_CLOEXEC)
		return -EINVAL;

	fd = get_unused_fd_flags(flags);
	if (fd < 0)
		return fd;

	file = restrictedmem_file_create(0, 0);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}

	fd_install(fd, file);
	return fd;
}

static int restrictedmem_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, RESTRICTEDMEM_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &restrictedmem_super_ops;
	return 0;
}

static struct file_system_type restrictedmem_fs = {
	.name			= "restrictedmem",
	.init_fs_context	= restrictedmem_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static void restrictedmem_init_once(void *object)
{
	struct restrictedmem_inode *ri = object;

	inode_init_once(&ri->inode);
}

static int __init restrictedmem_init(void)
{
	const slab_flags_t flags = SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT | SLAB_PANIC;

	restrictedmem_inode_cache = kmem_cache_create("restrictedmem_inode_cache",
						      sizeof(struct restrictedmem_inode), 0, flags,
						      restrictedmem_init_once);

	restrictedmem_mnt = kern_mount(&restrictedmem_fs);
	if (IS_ERR(restrictedmem_mnt))
		panic("restrictedmem: no mount: %ld", PTR_ERR(restrictedmem_mnt));

	restrictedmem_mnt->mnt_flags |= MNT_NOEXEC;
	return 0;
}
fs_initcall(restrictedmem_init);
