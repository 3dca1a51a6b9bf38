// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV guests whose memory is private: what the VM's type forbids, and what the commands do with
 * private pages beside what they do with pinned ones. Where the pages come from is in
 * sev_private_pages.c.
 *
 * Locking: kvm->lock serialises the commands of a VM.
 */
#include <linux/bitmap.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "x86.h"
#include "svm.h"
#include "sev_private.h"
#include "sev_private_pages.h"

static_assert(KVM_SEV_INIT2 == KVM_SEV_NR_MAX);
static_assert(sizeof(struct kvm_sev_init) == 48);
static_assert(offsetof(struct kvm_sev_init, ghcb_version) == 12);

void sev_private_setup(bool sev_enabled)
{
	/* The capabilities are kvm.ko's, and outlive a module of ours that was loaded before. */
	if (sev_enabled)
		kvm_caps.supported_vm_types |= BIT(KVM_X86_SEV_VM);
	else
		kvm_caps.supported_vm_types &= ~BIT(KVM_X86_SEV_VM);
}

static int check_init2(struct kvm *kvm, const struct kvm_sev_cmd *cmd)
{
	struct kvm_sev_init init;

	if (!kvm_is_sev_type(kvm) || sev_guest(kvm))
		return -EINVAL;
	if (copy_from_user(&init, u64_to_user_ptr(cmd->data), sizeof(init)))
		return -EFAULT;
	/* The padding is not looked at, as in mainline. */
	if (init.flags || init.vmsa_features || init.ghcb_version)
		return -EINVAL;
	return 0;
}

/*
 * What the type of the VM forbids. The type says what the guest will be, and INIT2 makes it so;
 * the older commands make VMs of the default type SEV guests, whose memory is pinned.
 */
int sev_private_check_cmd(struct kvm *kvm, const struct kvm_sev_cmd *cmd)
{
	lockdep_assert_held(&kvm->lock);

	switch (cmd->id) {
	case KVM_SEV_INIT2:
		return check_init2(kvm, cmd);
	case KVM_SEV_INIT:
	case KVM_SEV_ES_INIT:
		return kvm_arch_has_private_mem(kvm) ? -EINVAL : 0;
	case KVM_SEV_SEND_START ... KVM_SEV_RECEIVE_FINISH:
	case KVM_SEV_SEND_CANCEL:
		return kvm_is_sev_type(kvm) ? -EOPNOTSUPP : 0;
	default:
		return 0;
	}
}

/* Of an SEV type but no SEV guest: it would run in clear, on memory that is meant to be private. */
int sev_private_vcpu_pre_run(struct kvm_vcpu *vcpu)
{
	return kvm_is_sev_type(vcpu->kvm) && !sev_guest(vcpu->kvm) ? -EINVAL : 1;
}

/*
 * A command that encrypts in place needs a page that stays where it is: the ciphertext belongs to
 * the address. A frame that is shared, in a memslot that can be private, has no such page.
 */
static int check_stays(struct kvm *kvm, unsigned long uaddr, struct page **pages,
		       unsigned long npages)
{
	unsigned long i;

	uaddr &= PAGE_MASK;
	for (i = 0; i < npages; i++, uaddr += PAGE_SIZE) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!sev_page_is_private(pages, npages, i) && sev_hva_may_be_private(kvm, uaddr))
			return -EINVAL;
		cond_resched();
	}
	return 0;
}

static int copy_in(unsigned long uaddr, unsigned long size, struct page **pages,
		   unsigned long npages)
{
	unsigned long i, len;

	for (i = 0; i < npages; i++, uaddr += len, size -= len) {
		len = min(size, PAGE_SIZE - offset_in_page(uaddr));
		if (sev_page_is_private(pages, npages, i) &&
		    copy_from_user(page_address(pages[i]) + offset_in_page(uaddr),
				   (void __user *)uaddr, len))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* The caller does not go on to its own flush: what was copied must not stay in the caches. */
static void flush_copied(struct kvm *kvm, struct page **pages, unsigned long npages)
{
	unsigned long i;

	if (!kvm_arch_private_mem_must_prepare(kvm))
		return;
	for (i = 0; i < npages; i++) {
		if (sev_page_is_private(pages, npages, i))
			kvm_arch_private_mem_prepare(pages[i]);
		cond_resched();
	}
}

/*
 * The VMM has written the image into its own mapping: take it into the private pages, exactly the
 * bytes that will be encrypted. Other pages hold it already.
 *
 * Once the guest is launched the secure processor refuses the command. Until it says so nothing may
 * have been written: private memory of a guest that runs is not the VMM's to write.
 */
int sev_private_copy_in(struct kvm *kvm, unsigned long uaddr, unsigned long size,
			struct page **pages, unsigned long npages)
{
	int r;

	if (!kvm_is_sev_type(kvm))
		return 0;

	r = check_stays(kvm, uaddr, pages, npages);
	if (r || to_kvm_svm(kvm)->sev_info.launched)
		return r;

	r = copy_in(uaddr, size, pages, npages);
	if (r)
		flush_copied(kvm, pages, npages);
	return r;
}

/* The secret goes into one run of memory. Private pages are next to each other by luck only. */
int sev_private_check_secret(struct kvm *kvm, unsigned long uaddr, struct page **pages,
			     unsigned long npages)
{
	if (!kvm_is_sev_type(kvm))
		return 0;
	if (npages > 1 && sev_has_private_page(pages, npages))
		return -EINVAL;
	return check_stays(kvm, uaddr, pages, npages);
}

/*
 * What is not aligned is copied by the CPU, to or from the VMM's mapping, which shows nothing of
 * a private page: the plaintext side must be another one then.
 */
int sev_private_check_dbg(struct kvm *kvm, const struct kvm_sev_dbg *dbg, struct page **src,
			  struct page **dst, bool dec)
{
	struct page **plain = dec ? dst : src;

	if (!kvm_is_sev_type(kvm) || IS_ALIGNED(dbg->src_uaddr | dbg->dst_uaddr | dbg->len, 16))
		return 0;
	return sev_page_is_private(plain, 1, 0) ? -EINVAL : 0;
}

/*
 * Memory of the guest goes back to the host in another way than by a punch: with a memslot, with
 * the VM, or because the VMM's mapping changes. A shared page counts too: the guest may have
 * written to it with its key, whatever it has reported.
 */
void sev_private_reclaimed(struct kvm *kvm)
{
	restrictedmem_flush_t flush = kvm_arch_private_mem_flush(kvm);

	if (flush)
		flush();
}

/* The VMs must agree on what memory is: private pages of one are nothing to one of another type. */
int sev_private_check_context(struct kvm *dst, struct kvm *src)
{
	return dst->arch.vm_type == src->arch.vm_type ? 0 : -EINVAL;
}

/* The files that the source has made (KVM_CREATE_GUEST_MEMFD) follow the guest, and its state. */
void sev_private_move_context(struct kvm *dst, struct kvm *src)
{
	if (!kvm_is_sev_type(dst))
		return;

	mutex_lock(&dst->slots_lock);
	dst->private_owner = src->private_owner;
	mutex_unlock(&dst->slots_lock);
	to_kvm_svm(dst)->sev_info.launched = to_kvm_svm(src)->sev_info.launched;
}
