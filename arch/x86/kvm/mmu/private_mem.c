// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory in the x86 MMU: a fault on a private frame, the size of mappings beside
 * private frames, and mapping ahead of the guest.
 *
 * Locking: kvm->srcu is held on all of these paths; what is found here is looked at again under
 * mmu_lock by is_page_fault_stale(), see virt/kvm/private_mem.c.
 */
#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "x86.h"

/*
 * Tell the VMM which frame could not be given to the guest. KVM_RUN then returns the error, and
 * this is the one exit that is valid together with one. A fault that nobody waits for tells
 * nothing.
 */
static void memory_fault_exit(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm_run *run = vcpu->run;

	if (fault->prefetch)
		return;

	run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	run->memory_fault.flags = KVM_MEMORY_EXIT_FLAG_PRIVATE;
	run->memory_fault.gpa = gfn_to_gpa(fault->gfn);
	run->memory_fault.size = PAGE_SIZE;
}

/*
 * A first fault needs page tables, too. Where the memory cgroup has no room for them it shall fail as the
 * page itself does, and not call the OOM killer for a VMM that can be told; and as quietly.
 */
void kvm_mmu_init_private_caches(struct kvm_vcpu *vcpu)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;

	if (!kvm_arch_has_private_mem(vcpu->kvm))
		return;
	vcpu->arch.mmu_pte_list_desc_cache.gfp_custom = gfp;
	vcpu->arch.mmu_page_header_cache.gfp_custom = gfp;
	vcpu->arch.mmu_shadow_page_cache.gfp_custom = gfp;
	vcpu->arch.mmu_shadowed_info_cache.gfp_custom = gfp;
}

/* The walk over reverse mappings looks at each frame, mapped or not, and does not yield. */
bool kvm_arch_unmap_yields(struct kvm *kvm)
{
	return !kvm_memslots_have_rmaps(kvm);
}

/*
 * Find the page of a private frame. fault->hva stays 0: no event of the VMM's mapping is about
 * it, while changes of private memory block all addresses.
 */
int kvm_faultin_pfn_private(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	int r;

	r = -EFAULT;
	if (kvm_slot_can_be_private(fault->slot))
		r = kvm_private_mem_get_pfn(vcpu->kvm, fault->slot, fault->gfn, fault->mmu_seq,
					    &fault->pfn);
	switch (r) {
	case 0:
		fault->map_writable = true;
		fault->max_level = PG_LEVEL_4K;
		return RET_PF_CONTINUE;
	case -EAGAIN:
	case -EINTR:
		/* The way back into the guest looks for signals. */
		return RET_PF_RETRY;
	default:
		memory_fault_exit(vcpu, fault);
		return r;
	}
}

/*
 * The largest mapping of shared memory at @gfn, up to @max_level, that covers no private frame;
 * and a private frame's mapping is a single page. The answer holds under mmu_lock while no
 * change is running; elsewhere it is a hint.
 */
int __kvm_private_mem_max_level(struct kvm *kvm, gfn_t gfn, int max_level)
{
	int level;

	for (level = max_level; level > PG_LEVEL_4K; level--) {
		gfn_t start = gfn & ~(KVM_PAGES_PER_HPAGE(level) - 1);

		if (!kvm_range_has_private(kvm, start, start + KVM_PAGES_PER_HPAGE(level)))
			break;
	}
	return level;
}

/* As if the guest had read the page, but without its accessed bit, statistics and exits. */
static int pre_fault_page(struct kvm_vcpu *vcpu, gpa_t gpa, u8 *level)
{
	struct kvm_page_fault fault = {
		.addr = gpa,
		.prefetch = true,
		.is_tdp = true,
		.nx_huge_page_workaround_enabled = is_nx_huge_page_enabled(vcpu->kvm),
		.max_level = KVM_MAX_HUGEPAGE_LEVEL,
		.req_level = PG_LEVEL_4K,
		.goal_level = PG_LEVEL_4K,
	};
	int r;

	r = kvm_tdp_page_fault(vcpu, &fault);
	*level = fault.goal_level;
	return r;
}

long kvm_arch_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	u64 end;
	u8 level;
	int r;

	if (!tdp_enabled)
		return -EOPNOTSUPP;

	/* A root that has gone stale makes every fault a retry. */
	if (kvm_check_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS, vcpu))
		kvm_mmu_free_obsolete_roots(vcpu);
	r = kvm_mmu_reload(vcpu);
	if (r)
		return r;
	/* What maps gpas directly is only there while the guest does not run a guest. */
	if (vcpu->arch.mmu->page_fault != kvm_tdp_page_fault)
		return -EOPNOTSUPP;

	r = pre_fault_page(vcpu, range->gpa, &level);
	switch (r) {
	case RET_PF_RETRY:
		return -EAGAIN;
	case RET_PF_FIXED:
	case RET_PF_SPURIOUS:
		end = (range->gpa & KVM_HPAGE_MASK(level)) + KVM_HPAGE_SIZE(level);
		return min(range->size, end - range->gpa);
	case RET_PF_EMULATE:
		return -ENOENT;
	default:
		return r < 0 ? r : -EIO;
	}
}
