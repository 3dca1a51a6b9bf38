/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The private/shared map of a VM: for each guest frame one bit, private or shared.
 *
 * Stored by chunks of KVM_PRIVATE_CHUNK_GFNS frames. A chunk is all shared (absent), all
 * private (a value entry) or mixed (a page with a bit for each frame). Runs of equal uniform
 * chunks are one entry of a maple tree: a change of a range costs what differs in it, not its
 * size.
 *
 * Locking: one mutex of the caller, given to kvm_private_map_init(), serialises changes.
 * Readers take nothing; they see either state of a frame that changes meanwhile. Who needs more
 * must order the reading against commit (KVM: mmu_invalidate_seq).
 * Lifetime: pages of bits that a change made useless are freed after an RCU grace period.
 */
#ifndef _LINUX_KVM_PRIVATE_MAP_H
#define _LINUX_KVM_PRIVATE_MAP_H

#include <linux/kvm_types.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/types.h>

/* A page of bits. */
#define KVM_PRIVATE_CHUNK_SHIFT	(PAGE_SHIFT + 3)
#define KVM_PRIVATE_CHUNK_GFNS	BIT(KVM_PRIVATE_CHUNK_SHIFT)

struct kvm_private_map {
	struct maple_tree mt;
};

/*
 * A change between prepare and commit. Everything that can fail is done by prepare, which
 * changes nothing that a reader could see.
 */
struct kvm_private_map_change {
	struct kvm_private_map *map;
	gfn_t start;
	gfn_t end;
	bool private;
	/* Chunks [first, behind) get one entry; bits of the edge chunks change in place. */
	unsigned long first;
	unsigned long behind;
	struct ma_state mas;
};

void kvm_private_map_init(struct kvm_private_map *map, struct mutex *lock);
void kvm_private_map_destroy(struct kvm_private_map *map);

bool kvm_private_map_test(struct kvm_private_map *map, gfn_t gfn);
gfn_t kvm_private_map_next(struct kvm_private_map *map, gfn_t start, gfn_t end, bool private);
bool kvm_private_map_has(struct kvm_private_map *map, gfn_t start, gfn_t end, bool private);

int kvm_private_map_prepare(struct kvm_private_map *map, gfn_t start, gfn_t end, bool private,
			    struct kvm_private_map_change *change);
void kvm_private_map_commit(struct kvm_private_map_change *change);
void kvm_private_map_cancel(struct kvm_private_map_change *change);

#endif /* _LINUX_KVM_PRIVATE_MAP_H */
