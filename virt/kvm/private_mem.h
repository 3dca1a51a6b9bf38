/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private memory: what kvm_main.c calls. Without CONFIG_KVM_PRIVATE_MEM everything is absent
 * and every request is refused.
 */
#ifndef __KVM_PRIVATE_MEM_H__
#define __KVM_PRIVATE_MEM_H__

#include <linux/kvm_host.h>

typedef bool (*kvm_gfn_handler_t)(struct kvm *kvm, struct kvm_gfn_range *range);

#ifdef CONFIG_KVM_PRIVATE_MEM
void kvm_private_mem_init_vm(struct kvm *kvm);
void kvm_private_mem_unbind_all(struct kvm *kvm);
void kvm_private_mem_destroy_vm(struct kvm *kvm);
void kvm_private_mem_exit(void);

int kvm_private_mem_check_region(struct kvm *kvm, const struct kvm_userspace_memory_region2 *mem);
bool kvm_private_mem_same_binding(struct kvm *kvm, const struct kvm_memory_slot *slot,
				  const struct kvm_userspace_memory_region2 *mem);
int kvm_private_mem_bind(struct kvm *kvm, struct kvm_memory_slot *slot,
			 const struct kvm_userspace_memory_region2 *mem);
void kvm_private_mem_unbind(struct kvm_memory_slot *slot);

bool __kvm_handle_shared_gfns(struct kvm *kvm, struct kvm_gfn_range *range,
			      kvm_gfn_handler_t handler);

/*
 * An event of the VMM's mapping reaches shared frames only: a private frame is not mapped there.
 * This holds for a changed PTE too, which would put the VMM's page under a private frame. In a slot
 * without a file nothing but the VMM's mapping can be mapped, and all events reach it. Inline, so
 * that the handler is called directly for VMs without private memory.
 */
static __always_inline bool kvm_handle_shared_gfns(struct kvm *kvm, struct kvm_gfn_range *range,
						   kvm_gfn_handler_t handler)
{
	if (likely(!kvm_slot_can_be_private(range->slot)))
		return handler(kvm, range);
	return __kvm_handle_shared_gfns(kvm, range, handler);
}

void kvm_private_mem_begin(struct kvm *kvm, gfn_t start, gfn_t end, bool private);
void kvm_private_mem_end(struct kvm *kvm);

int kvm_private_mem_check_extension(struct kvm *kvm, long cap);
long kvm_private_mem_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp);
int kvm_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, void __user *argp);
#else
static inline void kvm_private_mem_init_vm(struct kvm *kvm) {}
static inline void kvm_private_mem_unbind_all(struct kvm *kvm) {}
static inline void kvm_private_mem_destroy_vm(struct kvm *kvm) {}
static inline void kvm_private_mem_exit(void) {}

static inline int kvm_private_mem_check_region(struct kvm *kvm,
					       const struct kvm_userspace_memory_region2 *mem)
{
	return mem->flags & KVM_MEM_GUEST_MEMFD ? -EINVAL : 0;
}

static inline bool kvm_private_mem_same_binding(struct kvm *kvm,
						const struct kvm_memory_slot *slot,
						const struct kvm_userspace_memory_region2 *mem)
{
	return true;
}

static inline int kvm_private_mem_bind(struct kvm *kvm, struct kvm_memory_slot *slot,
				       const struct kvm_userspace_memory_region2 *mem)
{
	return 0;
}

static inline void kvm_private_mem_unbind(struct kvm_memory_slot *slot) {}

static inline bool kvm_handle_shared_gfns(struct kvm *kvm, struct kvm_gfn_range *range,
					  kvm_gfn_handler_t handler)
{
	return handler(kvm, range);
}

static inline int kvm_private_mem_check_extension(struct kvm *kvm, long cap)
{
	return -ENOENT;
}

static inline long kvm_private_mem_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp)
{
	return -ENOTTY;
}

static inline int kvm_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, void __user *argp)
{
	return -EINVAL;
}
#endif

#endif /* __KVM_PRIVATE_MEM_H__ */
