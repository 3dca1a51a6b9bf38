/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM types and what they mean for private memory: what x86.c and svm/ call. Without
 * CONFIG_KVM_PRIVATE_MEM there is the default type only.
 */
#ifndef __KVM_X86_PRIVATE_MEM_H
#define __KVM_X86_PRIVATE_MEM_H

#include <linux/kvm_host.h>

/* Of a type whose private memory is encrypted with a key of the guest. */
static inline bool kvm_is_sev_type(struct kvm *kvm)
{
	return IS_ENABLED(CONFIG_KVM_SEV_PRIVATE_MEM) &&
	       (kvm->arch.vm_type == KVM_X86_SEV_VM || kvm->arch.vm_type == KVM_X86_SEV_ES_VM);
}

/* SMM needs a second address space, and KVM would have to write the guest's state. */
static inline bool kvm_smm_is_forbidden(struct kvm *kvm)
{
	return kvm_arch_has_private_mem(kvm);
}

#ifdef CONFIG_KVM_PRIVATE_MEM
bool kvm_vm_type_is_supported(unsigned long type);
int kvm_sev_dev_has_attr(const struct kvm_device_attr *attr);
int kvm_sev_dev_get_attr(const struct kvm_device_attr *attr);
#else
static inline bool kvm_vm_type_is_supported(unsigned long type)
{
	return type == KVM_X86_DEFAULT_VM;
}

static inline int kvm_sev_dev_has_attr(const struct kvm_device_attr *attr)
{
	return -ENXIO;
}

static inline int kvm_sev_dev_get_attr(const struct kvm_device_attr *attr)
{
	return -ENXIO;
}
#endif

#endif /* __KVM_X86_PRIVATE_MEM_H */
