/* SPDX-License-Identifier: GPL-2.0-only */
/* Arrays of pages that SEV commands work on; see sev_private_pages.c. */
#ifndef __SVM_SEV_PRIVATE_PAGES_H
#define __SVM_SEV_PRIVATE_PAGES_H

#include <linux/bitmap.h>
#include <linux/kvm_host.h>

/* One bit a page, behind the array: set for a private page, which has a reference but no pin. */
static inline unsigned long *sev_private_marks(struct page **pages, unsigned long npages)
{
	return (unsigned long *)(pages + npages);
}

static inline bool sev_page_is_private(struct page **pages, unsigned long npages, unsigned long i)
{
	return test_bit(i, sev_private_marks(pages, npages));
}

static inline bool sev_has_private_page(struct page **pages, unsigned long npages)
{
	return !bitmap_empty(sev_private_marks(pages, npages), npages);
}

bool sev_hva_may_be_private(struct kvm *kvm, unsigned long uaddr);

#endif /* __SVM_SEV_PRIVATE_PAGES_H */
