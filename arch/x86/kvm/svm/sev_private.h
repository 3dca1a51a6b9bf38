/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEV guests whose memory is private: what sev.c and svm.c call. Without
 * CONFIG_KVM_SEV_PRIVATE_MEM there are no such guests, and nothing is left of the calls.
 */
#ifndef __SVM_SEV_PRIVATE_H
#define __SVM_SEV_PRIVATE_H

#include <linux/kvm_host.h>

#include "../private_mem.h"

#ifdef CONFIG_KVM_SEV_PRIVATE_MEM
void sev_private_setup(bool sev_enabled);
int sev_private_check_cmd(struct kvm *kvm, const struct kvm_sev_cmd *cmd);
int sev_private_vcpu_pre_run(struct kvm_vcpu *vcpu);

struct page **sev_private_pin(struct kvm *kvm, unsigned long uaddr, unsigned long size,
			      unsigned long *npages, unsigned int gup_flags);
void sev_private_unpin(struct kvm *kvm, struct page **pages, unsigned long npages);

int sev_private_copy_in(struct kvm *kvm, unsigned long uaddr, unsigned long size,
			struct page **pages, unsigned long npages);
int sev_private_check_secret(struct kvm *kvm, unsigned long uaddr, struct page **pages,
			     unsigned long npages);
int sev_private_check_dbg(struct kvm *kvm, const struct kvm_sev_dbg *dbg, struct page **src,
			  struct page **dst, bool dec);

void sev_private_reclaimed(struct kvm *kvm);

int sev_private_check_context(struct kvm *dst, struct kvm *src);
void sev_private_move_context(struct kvm *dst, struct kvm *src);
#else
static inline void sev_private_setup(bool sev_enabled) {}

static inline int sev_private_check_cmd(struct kvm *kvm, const struct kvm_sev_cmd *cmd)
{
	return cmd->id == KVM_SEV_INIT2 ? -EINVAL : 0;
}

static inline int sev_private_vcpu_pre_run(struct kvm_vcpu *vcpu)
{
	return 1;
}

static inline struct page **sev_private_pin(struct kvm *kvm, unsigned long uaddr,
					    unsigned long size, unsigned long *npages,
					    unsigned int gup_flags)
{
	return ERR_PTR(-EINVAL);
}

static inline void sev_private_unpin(struct kvm *kvm, struct page **pages, unsigned long npages) {}

static inline int sev_private_copy_in(struct kvm *kvm, unsigned long uaddr, unsigned long size,
				      struct page **pages, unsigned long npages)
{
	return 0;
}

static inline int sev_private_check_secret(struct kvm *kvm, unsigned long uaddr,
					   struct page **pages, unsigned long npages)
{
	return 0;
}

static inline int sev_private_check_dbg(struct kvm *kvm, const struct kvm_sev_dbg *dbg,
					struct page **src, struct page **dst, bool dec)
{
	return 0;
}

static inline void sev_private_reclaimed(struct kvm *kvm) {}

static inline int sev_private_check_context(struct kvm *dst, struct kvm *src)
{
	return dst->arch.vm_type == src->arch.vm_type ? 0 : -EINVAL;
}

static inline void sev_private_move_context(struct kvm *dst, struct kvm *src) {}
#endif

#endif /* __SVM_SEV_PRIVATE_H */
