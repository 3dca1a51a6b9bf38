/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private memory as the x86 MMU's faults see it. Included by mmu_internal.h, behind what it uses.
 * Everything here is constant for VMs without private memory.
 */
#ifndef __KVM_X86_MMU_PRIVATE_FAULT_H
#define __KVM_X86_MMU_PRIVATE_FAULT_H

/* Called only where a frame can be private, and so never without CONFIG_KVM_PRIVATE_MEM. */
int kvm_faultin_pfn_private(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);
int __kvm_private_mem_max_level(struct kvm *kvm, gfn_t gfn, int max_level);

#ifdef CONFIG_KVM_PRIVATE_MEM
void kvm_mmu_init_private_caches(struct kvm_vcpu *vcpu);
#else
static inline void kvm_mmu_init_private_caches(struct kvm_vcpu *vcpu) {}
#endif

static inline int kvm_private_mem_max_level(struct kvm *kvm, gfn_t gfn, int max_level)
{
	return kvm_arch_has_private_mem(kvm) ? __kvm_private_mem_max_level(kvm, gfn, max_level) :
					       max_level;
}

/*
 * Prefetching takes the neighbours of a frame from its slot, as far as the slot knows them to be
 * shared. A slot without a file knows nothing of private frames.
 */
static inline bool kvm_private_mem_no_prefetch(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	return kvm_arch_has_private_mem(kvm) && !kvm_slot_can_be_private(slot);
}

/*
 * What KVM has noted down as MMIO may be a private frame by now: then the fault is looked at
 * anew, and the VMM is told.
 */
static inline int kvm_mmio_fault_result(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return kvm_mem_is_private(vcpu->kvm, gfn) ? RET_PF_INVALID : RET_PF_EMULATE;
}

/*
 * The frame was shared when the fault looked, and private when its page was asked for. That is no
 * error of the VMM's: the next try finds it private.
 */
static inline bool kvm_private_mem_overtook(const struct kvm_page_fault *fault)
{
	return fault->hva == KVM_HVA_ERR_PRIVATE;
}

#endif /* __KVM_X86_MMU_PRIVATE_FAULT_H */
