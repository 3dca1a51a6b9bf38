// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private guest memory: the tie between memslots and restricted memfds.
 *
 * A memslot with a restricted memfd has a binding: the slot's frames are, one to one, a range
 * of the file. A private frame's page is taken from the file at the guest's first access and
 * mapped; KVM keeps no reference of it. What keeps it in place is the file, and the file calls
 * back before it lets a page go.
 *
 * Locking: kvm->slots_lock serialises everything that changes a memslot's binding or the
 * private/shared map. Callbacks of the file come with the file's bindings lock held shared, and
 * take kvm->srcu (read) and then mmu_lock. From this follows that whoever binds or unbinds,
 * which takes the bindings lock exclusively, must not hold kvm->srcu or mmu_lock.
 *
 * Lifetime: a binding belongs to its memslot, passes to the new slot object when flags change,
 * and is dropped when the slot is freed, which is after the SRCU grace period that ends all use
 * of the slot. When a VM goes, all bindings are dropped before its vCPUs: a callback may send
 * requests to them. The binding holds the file, the file nothing of KVM's: a file may outlive
 * its VM, and a VM the descriptor.
 *
 * A mapping of a private frame exists only while the frame is private and its page is in the
 * file. Two counters make it so: whoever changes either does, under mmu_lock, {begin, zap,
 * flush TLBs}, changes it, and then, under mmu_lock, {end}. Whoever maps takes a snapshot of
 * mmu_invalidate_seq, only then looks at the map and gets the page, and under mmu_lock gives up
 * if a change is running or has ended.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/restrictedmem.h>

#include "kvm_mm.h"
#include "private_mem.h"

struct kvm_private_binding {
	struct restrictedmem_binding rm;
	struct kvm *kvm;
	gfn_t base_gfn;
};

static struct kvm_private_binding *to_private_binding(struct restrictedmem_binding *rm)
{
	return container_of(rm, struct kvm_private_binding, rm);
}

static pgoff_t binding_gfn_to_index(const struct kvm_private_binding *binding, gfn_t gfn)
{
	return restrictedmem_binding_start(&binding->rm) + (gfn - binding->base_gfn);
}

static gfn_t binding_index_to_gfn(const struct kvm_private_binding *binding, pgoff_t index)
{
	return binding->base_gfn + (index - restrictedmem_binding_start(&binding->rm));
}

/*
 * Frames up to which a handler may not yield: it takes milliseconds for so many mappings, and looks
 * at a few tables if there are none.
 */
#define ATOMIC_RUN (SZ_1G >> PAGE_SHIFT)

/*
 * TLBs are flushed before mmu_lock is given up: who takes it relies on what it finds unmapped, and
 * may free the page.
 */
static void flush_pending(struct kvm *kvm, bool *flush)
{
	if (*flush)
		kvm_flush_remote_tlbs(kvm);
	*flush = false;
}

/* Between two runs: a map may have a run for every other frame of terabytes. */
static void yield_mmu_lock(struct kvm *kvm, struct kvm_gfn_range *range, bool *flush)
{
	if (!range->may_block || !(need_resched() || rwlock_needbreak(&kvm->mmu_lock)))
		return;
	flush_pending(kvm, flush);
	cond_resched_rwlock_write(&kvm->mmu_lock);
}

/*
 * Where the run of frames that begins at @start ends. A handler that cannot yield by itself gets no
 * more than it may do in one go.
 */
static gfn_t run_end(struct kvm *kvm, gfn_t start, const struct kvm_gfn_range *range, bool private)
{
	gfn_t end = kvm_private_map_next(&kvm->private_map, start, range->end, !private);

	if (range->may_block && !kvm_arch_unmap_yields(kvm))
		end = min(end, start + ATOMIC_RUN);
	return end;
}

/*
 * Call @handler for each run of frames in @range whose state is @private. @flush and the result:
 * TLBs must be flushed; or, where the range may not block, any truth that handlers tell. A handler
 * of a long run may drop mmu_lock and sleep: nothing of the map is held across a call. That the map
 * may change then does no harm: whoever changes it has zapped first, and nothing is mapped until
 * the change is over.
 */
static bool handle_gfn_runs(struct kvm *kvm, struct kvm_gfn_range *range, bool private,
			    kvm_gfn_handler_t handler, bool flush)
{
	struct kvm_private_map *map = &kvm->private_map;
	struct kvm_gfn_range run = *range;

	lockdep_assert_held_write(&kvm->mmu_lock);

	for (;;) {
		run.start = kvm_private_map_next(map, run.start, range->end, private);
		if (run.start >= range->end)
			return flush;
		run.end = run_end(kvm, run.start, range, private);
		/* A handler that yields flushes what it has unmapped itself, not what was before. */
		run.may_block = range->may_block && run.end - run.start > ATOMIC_RUN;
		if (run.may_block)
			flush_pending(kvm, &flush);
		/* The map may have changed between the two looks at it. */
		if (run.start < run.end)
			flush |= handler(kvm, &run);
		run.start = run.end;
		yield_mmu_lock(kvm, range, &flush);
	}
}

bool __kvm_handle_shared_gfns(struct kvm *kvm, struct kvm_gfn_range *range,
			      kvm_gfn_handler_t handler)
{
	return handle_gfn_runs(kvm, range, false, handler, false);
}

/* Unmap the frames of [start, end) whose state is @private. True: TLBs must be flushed. */
static bool unmap_gfns(struct kvm *kvm, gfn_t start, gfn_t end, bool private)
{
	struct kvm_memslots *slots = __kvm_memslots(kvm, 0);
	struct kvm_memslot_iter iter;
	bool flush = false;

	lockdep_assert_held_write(&kvm->mmu_lock);

	kvm_for_each_memslot_in_gfn_range(&iter, slots, start, end) {
		struct kvm_memory_slot *slot = iter.slot;
		struct kvm_gfn_range range = {
			.slot = slot,
			.start = max(start, slot->base_gfn),
			.end = min(end, slot->base_gfn + slot->npages),
			.may_block = true,
		};

		flush = handle_gfn_runs(kvm, &range, private, kvm_unmap_gfn_range, flush);
	}
	return flush;
}

/*
 * Open a change of [start, end): from here to kvm_private_mem_end() no fault of the VM installs
 * a mapping, and frames whose state is @private are mapped nowhere. The caller holds slots_lock
 * or kvm->srcu, so that the memslots stay.
 *
 * The range that faults look at is all of the host's addresses: a private frame has none of its
 * own.
 */
void kvm_private_mem_begin(struct kvm *kvm, gfn_t start, gfn_t end, bool private)
{
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_begin(kvm, 0, -1ul);
	if (unmap_gfns(kvm, start, end, private))
		kvm_flush_remote_tlbs(kvm);
	KVM_MMU_UNLOCK(kvm);
}

void kvm_private_mem_end(struct kvm *kvm)
{
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_end(kvm, 0, -1ul);
	KVM_MMU_UNLOCK(kvm);
}

static void binding_invalidate_start(struct restrictedmem_binding *rm, pgoff_t start, pgoff_t end)
{
	struct kvm_private_binding *binding = to_private_binding(rm);
	struct kvm *kvm = binding->kvm;
	int idx;

	/*
	 * The slot itself is looked up anew: it may not be visible yet, or no longer, or be
	 * another object than the one that was bound. Without a slot nothing is mapped.
	 */
	idx = srcu_read_lock(&kvm->srcu);
	kvm_private_mem_begin(kvm, binding_index_to_gfn(binding, start),
			      binding_index_to_gfn(binding, end), true);
	srcu_read_unlock(&kvm->srcu, idx);
}

static void binding_invalidate_end(struct restrictedmem_binding *rm, pgoff_t start, pgoff_t end)
{
	kvm_private_mem_end(to_private_binding(rm)->kvm);
}

static restrictedmem_flush_t binding_reclaim(struct restrictedmem_binding *rm)
{
	return kvm_arch_private_mem_flush(to_private_binding(rm)->kvm);
}

/*
 * A fault that found its frame private and was overtaken by a conversion must not allocate: the
 * page would appear in the hole that the VMM has punched meanwhile, and stay there. The check
 * is made with the file's invalidate_lock held, which a punch takes before it begins: either
 * this sees the conversion that came before the punch, or the punch sees the page.
 */
static bool binding_stale(struct restrictedmem_binding *rm, unsigned long mmu_seq)
{
	struct kvm *kvm = to_private_binding(rm)->kvm;

	/*
	 * A change that runs and has no lower bound may be one of ours. Events of the VMM's mapping
	 * have one: a fault need not wait for them, and for a large one it would for long. The two are
	 * read without mmu_lock; a conversion whose punch could come next has ended, and shows below.
	 */
	if (READ_ONCE(kvm->mmu_invalidate_in_progress) && !READ_ONCE(kvm->mmu_invalidate_range_start))
		return true;
	/* Pairs with the smp_wmb() in kvm_mmu_invalidate_end(). */
	smp_rmb();
	return READ_ONCE(kvm->mmu_invalidate_seq) != mmu_seq;
}

static void binding_prepare(struct restrictedmem_binding *rm, struct page *page)
{
	kvm_arch_private_mem_prepare(page);
}

static const struct restrictedmem_ops kvm_private_binding_ops = {
	.invalidate_start	= binding_invalidate_start,
	.invalidate_end		= binding_invalidate_end,
	.reclaim		= binding_reclaim,
	.stale			= binding_stale,
};

/*
 * For guests that use the page in a way that the host's caches do not know. Not a callback that
 * may do nothing: a page counts as prepared once any binding's callback has been called.
 */
static const struct restrictedmem_ops kvm_private_prepared_binding_ops = {
	.invalidate_start	= binding_invalidate_start,
	.invalidate_end		= binding_invalidate_end,
	.reclaim		= binding_reclaim,
	.stale			= binding_stale,
	.prepare		= binding_prepare,
};

/*
 * The page of a private frame, with a reference that the caller drops once it is mapped or
 * given up.
 * @mmu_seq is the snapshot that was taken before the frame was found private. Called with
 * kvm->srcu held.
 *
 * -EAGAIN: overtaken, try again. -EINTR: a signal is pending. -ENOMEM, -EDQUOT (RLIMIT_MEMLOCK),
 * -EHWPOISON: no page.
 */
int kvm_private_mem_get_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
			    unsigned long mmu_seq, kvm_pfn_t *pfn)
{
	struct kvm_private_binding *binding = slot->private;
	struct page *page;
	int r;

	lockdep_assert(srcu_read_lock_held(&kvm->srcu));

	r = restrictedmem_get_page(&binding->rm, binding_gfn_to_index(binding, gfn), mmu_seq, &page);
	if (!r)
		*pfn = page_to_pfn(page);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_private_mem_get_pfn);

gfn_t __kvm_slot_shared_run(const struct kvm_memory_slot *slot, gfn_t gfn, gfn_t npages)
{
	struct kvm_private_map *map = &slot->private->kvm->private_map;

	return kvm_private_map_next(map, gfn, gfn + npages, true) - gfn;
}
EXPORT_SYMBOL_GPL(__kvm_slot_shared_run);

/* What the uAPI forbids before any memslot is looked at. */
int kvm_private_mem_check_region(struct kvm *kvm, const struct kvm_userspace_memory_region2 *mem)
{
	u64 offset = mem->guest_memfd_offset;

	if (!(mem->flags & KVM_MEM_GUEST_MEMFD))
		return 0;
	if (!kvm_arch_has_private_mem(kvm))
		return -EINVAL;
	/* A write to a read-only slot is MMIO, and KVM cannot emulate on private memory. */
	if (mem->flags & KVM_MEM_READONLY)
		return -EINVAL;
	if ((mem->flags & KVM_MEM_LOG_DIRTY_PAGES) && !kvm_arch_can_log_private_mem(kvm))
		return -EINVAL;
	if (!PAGE_ALIGNED(offset) || offset + mem->memory_size < offset)
		return -EINVAL;
	return 0;
}

/* Whether @mem, which modifies @slot, leaves the binding alone. Everything else is refused. */
bool kvm_private_mem_same_binding(struct kvm *kvm, const struct kvm_memory_slot *slot,
				  const struct kvm_userspace_memory_region2 *mem)
{
	struct kvm_private_binding *binding = slot->private;
	struct fd f;
	bool same;

	lockdep_assert_held(&kvm->slots_lock);

	if (!(mem->flags & KVM_MEM_GUEST_MEMFD))
		return !binding;
	if (!binding || mem->guest_phys_addr >> PAGE_SHIFT != binding->base_gfn ||
	    mem->guest_memfd_offset >> PAGE_SHIFT != restrictedmem_binding_start(&binding->rm))
		return false;

	f = fdget(mem->guest_memfd);
	same = f.file == binding->rm.file;
	fdput(f);
	return same;
}

int kvm_private_mem_bind(struct kvm *kvm, struct kvm_memory_slot *slot,
			 const struct kvm_userspace_memory_region2 *mem)
{
	pgoff_t start = mem->guest_memfd_offset >> PAGE_SHIFT;
	struct kvm_private_binding *binding;
	struct file *file;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	if (!(mem->flags & KVM_MEM_GUEST_MEMFD))
		return 0;

	file = fget(mem->guest_memfd);
	if (!file)
		return -EBADF;

	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	r = -ENOMEM;
	if (!binding)
		goto out_put_file;

	binding->kvm = kvm;
	binding->base_gfn = slot->base_gfn;
	binding->rm.ops = kvm_arch_private_mem_must_prepare(kvm) ?
			  &kvm_private_prepared_binding_ops : &kvm_private_binding_ops;
	binding->rm.domain = kvm;
	r = restrictedmem_bind(file, start, start + slot->npages, kvm->private_owner, &binding->rm);
	if (r)
		kfree(binding);
	else
		slot->private = binding;
out_put_file:
	/* The binding has a reference of its own. */
	fput(file);
	return r;
}

/* No mapping of the slot is left, and caches have been flushed. */
void kvm_private_mem_unbind(struct kvm_memory_slot *slot)
{
	struct kvm_private_binding *binding = slot->private;

	if (!binding)
		return;
	restrictedmem_unbind(&binding->rm);
	slot->private = NULL;
	kfree(binding);
}

void kvm_private_mem_init_vm(struct kvm *kvm)
{
	static atomic64_t last_owner;

	/* Not the VM's address: that may come again while a file of the old VM is still open. */
	kvm->private_owner = atomic64_inc_return(&last_owner);
	kvm_private_map_init(&kvm->private_map, &kvm->slots_lock);
}

/*
 * The VM has no user left. Its files may have: end their callbacks while there are still vCPUs,
 * and after the last event of the VMM's mapping, which has unmapped everything and flushed
 * caches.
 */
void kvm_private_mem_unbind_all(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int bkt;

	mutex_lock(&kvm->slots_lock);
	kvm_for_each_memslot(slot, bkt, kvm_memslots(kvm))
		kvm_private_mem_unbind(slot);
	mutex_unlock(&kvm->slots_lock);
}

void kvm_private_mem_destroy_vm(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	kvm_private_map_destroy(&kvm->private_map);
	mutex_unlock(&kvm->slots_lock);
}

/* The map frees pages by RCU callbacks, whose code must not go before they have run. */
void kvm_private_mem_exit(void)
{
	rcu_barrier();
}
