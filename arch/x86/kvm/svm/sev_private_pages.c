// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV guests whose memory is private: the pages that a command works on.
 *
 * A command names guest memory by its address in the VMM's mapping. For a private frame the page
 * that the guest uses is not there but in the restricted memfd. sev.c works on arrays of pages and
 * their physical addresses; here is where a VM of an SEV type gets its arrays from, and where they
 * go. An array may hold both kinds: private pages, with a reference, and pinned pages of the VMM's
 * mapping (plain buffers, shared frames, memslots without a file).
 *
 * Registering a region pins what the guest may use encrypted at the same physical address as long
 * as it lives. Memslots that can be private need no pin: their pages do not move. They are left
 * out, and so is what they show of the VMM's mapping: that is ordinary memory.
 *
 * Locking: kvm->lock is held by all commands. kvm->srcu is held while an address is resolved, and
 * nothing but references of the pages while the secure processor works: a punch or a conversion
 * that overtakes the command takes its result away, but no page with a reference is given to
 * anybody else. What a guest wrote into the page is flushed before the punch removes it; the
 * secure processor leaves nothing in the CPUs' caches.
 */
#include <linux/interval_tree.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "svm.h"
#include "sev_private.h"
#include "sev_private_pages.h"

/*
 * The memslot that can be private and shows the VMM's address @uaddr; NULL without one. *@end is
 * cut to where the answer changes. Of several memslots that show one address the one that can be
 * private counts: what is private can be reached through it only.
 */
static struct kvm_memory_slot *private_slot_at(struct kvm *kvm, unsigned long uaddr,
					       unsigned long *end)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	struct interval_tree_node *node;

	for (node = interval_tree_iter_first(&slots->hva_tree, uaddr, *end - 1); node;
	     node = interval_tree_iter_next(node, uaddr, *end - 1)) {
		struct kvm_memory_slot *slot;

		slot = container_of(node, struct kvm_memory_slot, hva_node[slots->node_idx]);
		if (!kvm_slot_can_be_private(slot))
			continue;
		/* Nodes come in ascending order of their start: no other begins before this. */
		if (node->start > uaddr) {
			*end = node->start;
			return NULL;
		}
		*end = min(*end, node->last + 1);
		return slot;
	}
	return NULL;
}

/*
 * The memslot if the frame that @uaddr shows is private; *@end is then behind this page. Else
 * NULL, and from @uaddr to *@end there is no private frame.
 */
static struct kvm_memory_slot *private_frame_at(struct kvm *kvm, unsigned long uaddr,
						unsigned long *end, gfn_t *gfn)
{
	struct kvm_memory_slot *slot = private_slot_at(kvm, uaddr, end);
	gfn_t shared;

	if (!slot)
		return NULL;

	*gfn = hva_to_gfn_memslot(uaddr, slot);
	shared = kvm_slot_shared_run(slot, *gfn, (*end - uaddr) >> PAGE_SHIFT);
	*end = uaddr + (shared ?: 1) * PAGE_SIZE;
	return shared ? NULL : slot;
}

/*
 * As a fault does it: snapshot, then the frame's state, then the page; if something changed
 * meanwhile, again. That the frame may become shared once we have the page costs the caller the
 * result, nothing else.
 */
static int try_private_page(struct kvm *kvm, unsigned long uaddr, unsigned long *end,
			    struct page **page)
{
	unsigned long mmu_seq = READ_ONCE(kvm->mmu_invalidate_seq);
	struct kvm_memory_slot *slot;
	kvm_pfn_t pfn;
	gfn_t gfn;
	int r;

	/* Pairs with the smp_wmb() in kvm_mmu_invalidate_end(). */
	smp_rmb();

	slot = private_frame_at(kvm, uaddr, end, &gfn);
	if (!slot)
		return 0;
	/* It is being deleted, and whoever does that waits for us to leave the read section. */
	if (slot->flags & KVM_MEMSLOT_INVALID)
		return -EAGAIN;

	r = kvm_private_mem_get_pfn(kvm, slot, gfn, mmu_seq, &pfn);
	if (r)
		return r;
	*page = pfn_to_page(pfn);
	return 1;
}

/*
 * 1: @uaddr shows a private frame, whose page is *@page, with a reference. 0: up to *@end there is
 * none. Or an error.
 */
static int private_page(struct kvm *kvm, unsigned long uaddr, unsigned long *end,
			struct page **page)
{
	unsigned long behind;
	int r, idx;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		behind = *end;
		idx = srcu_read_lock(&kvm->srcu);
		r = try_private_page(kvm, uaddr, &behind, page);
		srcu_read_unlock(&kvm->srcu, idx);
	} while (r == -EAGAIN);

	*end = behind;
	return r;
}

/* Whether the page at @uaddr is of a memslot that can be private, whatever the frame is now. */
bool sev_hva_may_be_private(struct kvm *kvm, unsigned long uaddr)
{
	unsigned long end = uaddr + PAGE_SIZE;
	bool found;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	found = private_slot_at(kvm, uaddr, &end);
	srcu_read_unlock(&kvm->srcu, idx);
	return found;
}

/* The next addresses [*@start, *@behind) below @end that no memslot shows that can be private. */
static bool next_plain_run(struct kvm *kvm, unsigned long *start, unsigned long *behind,
			   unsigned long end)
{
	struct kvm_memory_slot *slot;
	int idx;

	for (; *start < end && !fatal_signal_pending(current); *start = *behind) {
		cond_resched();
		*behind = end;
		idx = srcu_read_lock(&kvm->srcu);
		slot = private_slot_at(kvm, *start, behind);
		srcu_read_unlock(&kvm->srcu, idx);
		if (!slot)
			return true;
	}
	return false;
}

static struct page **alloc_page_array(unsigned long npages)
{
	size_t size = (npages + BITS_TO_LONGS(npages)) * sizeof(long);

	static_assert(sizeof(struct page *) == sizeof(long));

	/* Not kvmalloc(), which refuses 2 GiB: a region may have more pages than that. */
	if (size > PAGE_SIZE)
		return __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return kzalloc(size, GFP_KERNEL_ACCOUNT);
}

/* Entries that were not filled are NULL. */
static void put_pages(struct page **pages, unsigned long npages)
{
	unsigned long i;

	for (i = 0; i < npages; i++) {
		if (sev_page_is_private(pages, npages, i))
			put_page(pages[i]);
		else if (pages[i])
			unpin_user_page(pages[i]);
		cond_resched();
	}
	kvfree(pages);
}

/* Pinned pages count against RLIMIT_MEMLOCK; private ones are counted where they are allocated. */
static int charge_pinned(struct kvm *kvm, unsigned long npages)
{
	struct kvm_sev_info *sev = &to_kvm_svm(kvm)->sev_info;
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	lockdep_assert_held(&kvm->lock);

	if (npages && sev->pages_locked + npages > limit && !capable(CAP_IPC_LOCK))
		return -ENOMEM;
	sev->pages_locked += npages;
	return 0;
}

/* Under kvm->lock, or the VM is being destroyed and nobody else has it. */
static void uncharge_pinned(struct kvm *kvm, unsigned long npages)
{
	to_kvm_svm(kvm)->sev_info.pages_locked -= npages;
}

/* All of the run, or none of it and an error of GUP's. */
static int pin_run(unsigned long uaddr, unsigned long npages, unsigned int gup_flags,
		   struct page **pages)
{
	unsigned long done = 0;
	int pinned;

	while (done < npages) {
		pinned = pin_user_pages_fast(uaddr + done * PAGE_SIZE, npages - done, gup_flags,
					     pages + done);
		if (pinned <= 0)
			goto err;
		done += pinned;
	}
	return 0;

err:
	unpin_user_pages(pages, done);
	/* GUP may leave pages in the array that it looked at and did not pin: forget all of them. */
	memset(pages, 0, npages * sizeof(*pages));
	return pinned ?: -EFAULT;
}

/* As the stock path says it, but for a signal. */
static int pin_error(int r)
{
	return r && r != -EINTR ? -ENOMEM : r;
}

/* Take the private pages of [start, end), mark them; returns how many pages are left, or an error. */
static long get_private_pages(struct kvm *kvm, unsigned long start, unsigned long end,
			      struct page **pages, unsigned long npages)
{
	unsigned long uaddr, behind, i;
	long plain = 0;
	int r;

	for (uaddr = start; uaddr < end; uaddr = behind) {
		behind = end;
		i = (uaddr - start) >> PAGE_SHIFT;
		r = private_page(kvm, uaddr, &behind, &pages[i]);
		if (r < 0)
			return r;
		if (r)
			__set_bit(i, sev_private_marks(pages, npages));
		else
			plain += (behind - uaddr) >> PAGE_SHIFT;
	}
	return plain;
}

static int pin_plain_pages(unsigned long start, unsigned int gup_flags, struct page **pages,
			   unsigned long npages)
{
	unsigned long *marks = sev_private_marks(pages, npages);
	unsigned long first, behind;
	int r;

	for_each_clear_bitrange(first, behind, marks, npages) {
		r = pin_run(start + first * PAGE_SIZE, behind - first, gup_flags, &pages[first]);
		if (r)
			return pin_error(r);
	}
	return 0;
}

/* For a command: every page of [start, end), wherever it is. */
static struct page **pin_for_command(struct kvm *kvm, unsigned long start, unsigned long end,
				     unsigned long *npages, unsigned int gup_flags)
{
	unsigned long n = (end - start) >> PAGE_SHIFT;
	struct page **pages;
	long plain;
	int r;

	pages = alloc_page_array(n);
	if (!pages)
		return ERR_PTR(-ENOMEM);

	plain = get_private_pages(kvm, start, end, pages, n);
	r = plain < 0 ? plain : charge_pinned(kvm, plain);
	if (r)
		goto out_put_pages;

	r = pin_plain_pages(start, gup_flags, pages, n);
	if (r)
		goto out_uncharge;
	*npages = n;
	return pages;

out_uncharge:
	uncharge_pinned(kvm, plain);
out_put_pages:
	put_pages(pages, n);
	return ERR_PTR(r);
}

static unsigned long count_plain(struct kvm *kvm, unsigned long start, unsigned long end)
{
	unsigned long behind, npages = 0;

	for (; next_plain_run(kvm, &start, &behind, end); start = behind)
		npages += (behind - start) >> PAGE_SHIFT;
	return npages;
}

/*
 * In this kernel a pin for reading takes the zero page where nothing was written yet, and the page
 * that the guest gets there later is not pinned. So ask for writing, unless the mapping forbids it:
 * that, and not that memory is short, is EFAULT.
 */
static int pin_for_good(unsigned long uaddr, unsigned long npages, unsigned int gup_flags,
			struct page **pages)
{
	int r = pin_run(uaddr, npages, gup_flags | FOLL_WRITE, pages);

	if (r == -EFAULT)
		r = pin_run(uaddr, npages, gup_flags, pages);
	return pin_error(r);
}

/* -EBUSY: memslots came or went since the pages were counted. */
static int pin_plain_runs(struct kvm *kvm, unsigned long start, unsigned long end,
			  unsigned int gup_flags, struct page **pages, unsigned long npages)
{
	unsigned long behind, n, done = 0;
	int r;

	for (; next_plain_run(kvm, &start, &behind, end); start = behind) {
		n = (behind - start) >> PAGE_SHIFT;
		if (n > npages - done)
			return -EBUSY;
		r = pin_for_good(start, n, gup_flags, &pages[done]);
		if (r)
			return r;
		done += n;
	}
	return done == npages ? 0 : -EBUSY;
}

/* For a region: what no memslot shows that can be private; maybe nothing. */
static struct page **pin_for_region(struct kvm *kvm, unsigned long start, unsigned long end,
				    unsigned long *npages, unsigned int gup_flags)
{
	unsigned long n = count_plain(kvm, start, end);
	struct page **pages;
	int r;

	r = charge_pinned(kvm, n);
	if (r)
		return ERR_PTR(r);

	r = -ENOMEM;
	pages = alloc_page_array(n);
	if (!pages)
		goto out_uncharge;

	r = pin_plain_runs(kvm, start, end, gup_flags, pages, n);
	if (r)
		goto out_put_pages;
	*npages = n;
	return pages;

out_put_pages:
	put_pages(pages, n);
out_uncharge:
	uncharge_pinned(kvm, n);
	return ERR_PTR(r);
}

/*
 * The pages of @size bytes at the VMM's address @uaddr, for a VM of an SEV type. With FOLL_LONGTERM
 * (a region that is registered) only those that must be pinned. *@npages says how many they are.
 *
 * -EINVAL: nothing, more than INT_MAX pages, or the range wraps. -ENOMEM: no memory, beyond
 * RLIMIT_MEMLOCK, or there is nothing at the address. -EINTR: a signal. -EBUSY: memslots changed.
 * -EDQUOT, -EHWPOISON: as for a fault on the frame.
 */
struct page **sev_private_pin(struct kvm *kvm, unsigned long uaddr, unsigned long size,
			      unsigned long *npages, unsigned int gup_flags)
{
	unsigned long start, end;

	lockdep_assert_held(&kvm->lock);

	if (!size || uaddr + size < uaddr)
		return ERR_PTR(-EINVAL);
	if (!access_ok((void __user *)uaddr, size))
		return ERR_PTR(-ENOMEM);
	start = uaddr & PAGE_MASK;
	end = PAGE_ALIGN(uaddr + size);
	if ((end - start) >> PAGE_SHIFT > INT_MAX)
		return ERR_PTR(-EINVAL);

	if (gup_flags & FOLL_LONGTERM)
		return pin_for_region(kvm, start, end, npages, gup_flags);
	return pin_for_command(kvm, start, end, npages, gup_flags);
}

void sev_private_unpin(struct kvm *kvm, struct page **pages, unsigned long npages)
{
	unsigned long *marks = sev_private_marks(pages, npages);

	uncharge_pinned(kvm, npages - bitmap_weight(marks, npages));
	put_pages(pages, npages);
}
