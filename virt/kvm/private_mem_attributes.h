/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the private/shared map shares with its tests: how entries look, and where tests can watch
 * pages of bits come and go and make allocations fail. Without the tests these hooks are nothing.
 */
#ifndef __KVM_PRIVATE_MEM_ATTRIBUTES_H
#define __KVM_PRIVATE_MEM_ATTRIBUTES_H

#include <linux/kconfig.h>
#include <linux/types.h>
#include <linux/xarray.h>

/* A run of chunks that are all private. All shared is no entry. */
#define KVM_PRIVATE_RUN		xa_mk_value(1)

/* The entry is the memory of a page with a bit for each frame of one chunk, 1 for private. */
static inline bool kvm_private_is_bits(const void *entry)
{
	return entry && !xa_is_value(entry);
}

#if IS_ENABLED(CONFIG_KVM_PRIVATE_MEM_KUNIT_TEST)
bool kvm_private_map_may_allocate(void);
void kvm_private_map_count_pages(int change);
#else
static inline bool kvm_private_map_may_allocate(void)
{
	return true;
}

static inline void kvm_private_map_count_pages(int change)
{
}
#endif

#endif /* __KVM_PRIVATE_MEM_ATTRIBUTES_H */
