/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private memory as the rest of KVM sees it. Included by kvm_host.h, behind the structures it
 * uses.
 *
 * A guest frame is private or shared: a property of the VM's frame, not of a memslot. A private
 * frame is backed by the restricted memfd that is bound to its memslot, a shared one by the
 * VMM's mapping.
 */
#ifndef _LINUX_KVM_HOST_PRIVATE_H
#define _LINUX_KVM_HOST_PRIVATE_H

#include <linux/restrictedmem.h>

/* Whether frames of this VM can be private: set by the VM's type, fixed when the VM is created. */
#ifndef kvm_arch_has_private_mem
static inline bool kvm_arch_has_private_mem(struct kvm *kvm)
{
	return false;
}
#endif

/* Whether a memslot with a restricted memfd can log dirty pages. */
#ifndef kvm_arch_can_log_private_mem
static inline bool kvm_arch_can_log_private_mem(struct kvm *kvm)
{
	return false;
}
#endif

static inline bool kvm_slot_can_be_private(const struct kvm_memory_slot *slot)
{
	return IS_ENABLED(CONFIG_KVM_PRIVATE_MEM) && slot && slot->private;
}

#ifdef CONFIG_KVM_PRIVATE_MEM
/*
 * The answer may change at once. Who acts on it takes a snapshot of mmu_invalidate_seq before,
 * and looks at it again under mmu_lock; see kvm_set_memory_attributes() for the other side.
 */
static inline bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	return kvm_arch_has_private_mem(kvm) && kvm_private_map_test(&kvm->private_map, gfn);
}

/* Any frame of [start, end) private? */
static inline bool kvm_range_has_private(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return kvm_arch_has_private_mem(kvm) &&
	       kvm_private_map_has(&kvm->private_map, start, end, true);
}

/*
 * A cached address of the VMM's is no longer what the guest sees at the frame, or is again: the
 * generation of the memslots does not tell of conversions.
 */
static inline bool kvm_hva_cache_stale(struct kvm *kvm, const struct kvm_memslots *slots,
				       const struct gfn_to_hva_cache *ghc)
{
	if (slots->generation != ghc->generation)
		return true;
	return kvm_arch_has_private_mem(kvm) &&
	       (kvm_is_error_hva(ghc->hva) ||
		kvm_range_has_private(kvm, gpa_to_gfn(ghc->gpa),
				      gpa_to_gfn(ghc->gpa + ghc->len + PAGE_SIZE - 1)));
}

gfn_t __kvm_slot_shared_run(const struct kvm_memory_slot *slot, gfn_t gfn, gfn_t npages);

/* How many of @npages frames of @slot from @gfn on are shared: 0 if @gfn is private. */
static inline gfn_t kvm_slot_shared_run(const struct kvm_memory_slot *slot, gfn_t gfn, gfn_t npages)
{
	return kvm_slot_can_be_private(slot) ? __kvm_slot_shared_run(slot, gfn, npages) : npages;
}

int kvm_private_mem_get_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
			    unsigned long mmu_seq, kvm_pfn_t *pfn);

/* What must be called before private pages of the VM return to the host, or NULL. */
restrictedmem_flush_t kvm_arch_private_mem_flush(struct kvm *kvm);
/* Whether a page that the host has written must be prepared before the guest gets it; and do so. */
bool kvm_arch_private_mem_must_prepare(struct kvm *kvm);
void kvm_arch_private_mem_prepare(struct page *page);
/* Whether kvm_unmap_gfn_range() gives up mmu_lock now and then, if it may block. */
bool kvm_arch_unmap_yields(struct kvm *kvm);
/* A capability's value, or -ENOENT when the architecture leaves it to the others. */
int kvm_arch_private_mem_check_extension(struct kvm *kvm, long cap);
/*
 * Map what is next in the range. Bytes mapped, or an error; -EAGAIN: try again, in another read
 * section of kvm->srcu. Called with the vCPU loaded.
 */
long kvm_arch_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range);
#else
static inline bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	return false;
}

static inline bool kvm_hva_cache_stale(struct kvm *kvm, const struct kvm_memslots *slots,
				       const struct gfn_to_hva_cache *ghc)
{
	return slots->generation != ghc->generation;
}

static inline gfn_t kvm_slot_shared_run(const struct kvm_memory_slot *slot, gfn_t gfn, gfn_t npages)
{
	return npages;
}

static inline bool kvm_range_has_private(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return false;
}
#endif

#endif /* _LINUX_KVM_HOST_PRIVATE_H */
