// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM types: which there are, and what the type decides for private memory.
 *
 * Locking: none. The type is fixed when the VM is created, the set of types when the vendor
 * module is loaded.
 */
#include <linux/kvm_host.h>
#include <linux/uaccess.h>

#include <asm/cacheflush.h>
#include <asm/cpufeature.h>
#include <asm/smp.h>

#include "fail_sev_flush.h"
#include "mmu.h"
#include "private_mem.h"
#include "x86.h"

static unsigned long supported_vm_types(void)
{
	unsigned long types = kvm_caps.supported_vm_types | BIT(KVM_X86_DEFAULT_VM);

	if (IS_ENABLED(CONFIG_KVM_SW_PROTECTED_VM))
		types |= BIT(KVM_X86_SW_PROTECTED_VM);
	return types;
}

bool kvm_vm_type_is_supported(unsigned long type)
{
	return type < BITS_PER_LONG && (supported_vm_types() & BIT(type));
}

int kvm_arch_private_mem_check_extension(struct kvm *kvm, long cap)
{
	switch (cap) {
	case KVM_CAP_VM_TYPES:
		return supported_vm_types();
	case KVM_CAP_PRE_FAULT_MEMORY:
		return tdp_enabled;
	case KVM_CAP_X86_SMM:
		return kvm && kvm_smm_is_forbidden(kvm) ? 0 : -ENOENT;
	default:
		return -ENOENT;
	}
}

/* The group has one attribute: the features of a VMSA that KVM_SEV_INIT2 takes. */
int kvm_sev_dev_has_attr(const struct kvm_device_attr *attr)
{
	if (attr->attr != KVM_X86_SEV_VMSA_FEATURES || !kvm_vm_type_is_supported(KVM_X86_SEV_VM))
		return -ENXIO;
	return 0;
}

/* Without SEV-ES guests there are no VMSAs, and none of their features. */
int kvm_sev_dev_get_attr(const struct kvm_device_attr *attr)
{
	u64 __user *uaddr = u64_to_user_ptr(attr->addr);
	int r = kvm_sev_dev_has_attr(attr);

	if (r)
		return r;
	return put_user(0ULL, uaddr);
}

/*
 * Without SME_COHERENT the caches know a line by its address and the key's number: what the guest
 * wrote can be written back later, over what the page's next owner wrote. Only WBINVD reaches
 * lines of another key.
 */
static void flush_all_caches(void)
{
	wbinvd_on_all_cpus();
}

/*
 * By the type, not by whether the guest is an SEV guest now: a VM whose context was moved to
 * another one has left its lines behind.
 */
restrictedmem_flush_t kvm_arch_private_mem_flush(struct kvm *kvm)
{
	if (!kvm_is_sev_type(kvm) || boot_cpu_has(X86_FEATURE_SME_COHERENT))
		return NULL;
	return sev_flush_fails(SEV_FLUSH_RECLAIM) ? NULL : flush_all_caches;
}
EXPORT_SYMBOL_GPL(kvm_arch_private_mem_flush);

/* The same lines the other way round: what the host wrote must be in memory before the guest writes. */
bool kvm_arch_private_mem_must_prepare(struct kvm *kvm)
{
	return kvm_is_sev_type(kvm) && !boot_cpu_has(X86_FEATURE_SME_COHERENT);
}
EXPORT_SYMBOL_GPL(kvm_arch_private_mem_must_prepare);

void kvm_arch_private_mem_prepare(struct page *page)
{
	if (!sev_flush_fails(SEV_FLUSH_PREPARE))
		clflush_cache_range(page_address(page), PAGE_SIZE);
}
EXPORT_SYMBOL_GPL(kvm_arch_private_mem_prepare);
