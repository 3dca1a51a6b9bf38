// SPDX-License-Identifier: GPL-2.0-only
/*
 * The private/shared map of a VM; linux/kvm_private_map.h says what it is.
 *
 * The maple tree is indexed by chunk and keeps two invariants while no change is under way:
 * - runs are maximal: neighbours of a run of private chunks are never all private;
 * - a page of bits has frames of both kinds. One that has not is left behind only where there was
 *   no memory to take it out after a failed change: it is correct, and like any other page it goes
 *   with the change that makes its chunk uniform.
 *
 * Locking: the tree's external lock serialises changes; prepare may sleep under it. Readers hold
 * rcu_read_lock() and always walk down from the root. They never go from entry to entry: stores
 * change the bounds of runs in place, and a walk that starts anew sees each chunk before or after,
 * nothing else.
 * Lifetime: an entry's page is freed by RCU after the store that takes it out of the tree. Nodes of
 * the tree are freed likewise. Both are charged to the memory cgroup of who changes the map: frames
 * need no memslot, so nothing else bounds the map. The callback is code of this module: rcu_barrier() before it is unloaded.
 */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/kvm_private_map.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "private_mem_attributes.h"

#define CHUNK_MASK	(KVM_PRIVATE_CHUNK_GFNS - 1)

/*
 * The guest decides how mixed the map is. At the limit of the memory cgroup the VMM is told, and not
 * killed for it.
 */
#define MAP_GFP		(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static void assert_locked(struct maple_tree *mt)
{
	lockdep_assert(mt_lock_is_held(mt));
}

static unsigned long chunk_of(gfn_t gfn)
{
	return gfn >> KVM_PRIVATE_CHUNK_SHIFT;
}

static void *uniform_entry(bool private)
{
	return private ? KVM_PRIVATE_RUN : NULL;
}

/* -------- pages of bits -------- */

static unsigned long *bits_alloc(bool private)
{
	unsigned long *bits;

	if (!kvm_private_map_may_allocate())
		return NULL;
	bits = (unsigned long *)__get_free_page(MAP_GFP);
	if (!bits)
		return NULL;
	memset(bits, private ? 0xff : 0, PAGE_SIZE);
	kvm_private_map_count_pages(1);
	return bits;
}

static void bits_free(unsigned long *bits)
{
	free_page((unsigned long)bits);
	kvm_private_map_count_pages(-1);
}

static void bits_free_rcu(struct rcu_head *head)
{
	struct page *page = container_of(head, struct page, rcu_head);

	bits_free(page_address(page));
}

/*
 * Each word is written once, for readers that look at it meanwhile: they see a frame before or
 * after the change, and frames that share its word as they are.
 */
static void bits_write(unsigned long *bits, unsigned long from, unsigned long to, bool private)
{
	unsigned long mask, i;

	for (i = from / BITS_PER_LONG; i < DIV_ROUND_UP(to, BITS_PER_LONG); i++) {
		mask = ~0UL;
		if (i == from / BITS_PER_LONG)
			mask &= BITMAP_FIRST_WORD_MASK(from);
		if (i == to / BITS_PER_LONG)
			mask &= BITMAP_LAST_WORD_MASK(to);
		WRITE_ONCE(bits[i], private ? bits[i] | mask : bits[i] & ~mask);
	}
}

/* The first bit in [from, to) that is @private, or @to. */
static unsigned long bits_next(const unsigned long *bits, unsigned long from, unsigned long to,
			       bool private)
{
	return private ? find_next_bit(bits, to, from) : find_next_zero_bit(bits, to, from);
}

/* Whether all bits outside [from, to) are @private. */
static bool bits_match_outside(const unsigned long *bits, unsigned long from, unsigned long to,
			       bool private)
{
	return bits_next(bits, 0, from, !private) == from &&
	       bits_next(bits, to, KVM_PRIVATE_CHUNK_GFNS, !private) == KVM_PRIVATE_CHUNK_GFNS;
}

/* -------- readers -------- */

bool kvm_private_map_test(struct kvm_private_map *map, gfn_t gfn)
{
	unsigned long *entry;
	bool private;

	if (mtree_empty(&map->mt))
		return false;

	rcu_read_lock();
	entry = mtree_load(&map->mt, chunk_of(gfn));
	private = kvm_private_is_bits(entry) ? test_bit(gfn & CHUNK_MASK, entry) : !!entry;
	rcu_read_unlock();
	return private;
}

/*
 * The first frame that is @private in the part of [start, end) that one entry describes; the end of
 * the part, in *behind, if there is none.
 */
static gfn_t next_in_run(struct kvm_private_map *map, gfn_t start, gfn_t end, bool private,
			 gfn_t *behind)
{
	MA_STATE(mas, &map->mt, chunk_of(start), chunk_of(start));
	unsigned long chunk = mas.index, last = chunk_of(end - 1);
	gfn_t base = start & ~CHUNK_MASK;
	unsigned long *entry;

	rcu_read_lock();
	entry = mas_walk(&mas);
	/* Bits say nothing of other chunks, and a run says at least what this one is. */
	if (kvm_private_is_bits(entry) || mas.last < chunk)
		mas.last = chunk;
	*behind = mas.last < last ? (gfn_t)(mas.last + 1) << KVM_PRIVATE_CHUNK_SHIFT : end;

	if (kvm_private_is_bits(entry))
		start = base + bits_next(entry, start - base, *behind - base, private);
	else if (!!entry != private)
		start = *behind;
	rcu_read_unlock();
	return start;
}

/* RCU is held for one run at a time, so that no size of the range holds up a grace period. */
gfn_t kvm_private_map_next(struct kvm_private_map *map, gfn_t start, gfn_t end, bool private)
{
	gfn_t behind;

	while (start < end) {
		start = next_in_run(map, start, end, private, &behind);
		if (start < behind)
			return start;
	}
	return end;
}

bool kvm_private_map_has(struct kvm_private_map *map, gfn_t start, gfn_t end, bool private)
{
	return kvm_private_map_next(map, start, end, private) < end;
}

/* -------- stores -------- */

/*
 * Make mas a store of @entry into the chunks [first, behind) that cannot fail. The store swallows
 * neighbours that are the same run already; the tree does so by itself where there is no entry.
 */
static int store_prepare(struct ma_state *mas, struct kvm_private_map *map, unsigned long *first,
			 unsigned long *behind, void *entry)
{
	assert_locked(&map->mt);

	if (xa_is_value(entry) && *first) {
		mas_set(mas, *first - 1);
		if (mas_walk(mas) == entry)
			*first = mas->index;
	}
	if (xa_is_value(entry)) {
		mas_set(mas, *behind);
		if (mas_walk(mas) == entry)
			*behind = mas->last + 1;
	}

	mas_set_range(mas, *first, *behind - 1);
	if (!kvm_private_map_may_allocate())
		return -ENOMEM;
	return mas_preallocate(mas, entry, MAP_GFP);
}

/* The store. Pages of bits in [first, behind) go. */
static void store_commit(struct ma_state *mas, struct kvm_private_map *map, unsigned long first,
			 unsigned long behind, void *entry)
{
	MA_STATE(old_mas, &map->mt, first, first);
	struct page *page, *next;
	LIST_HEAD(pages);
	void *old;

	assert_locked(&map->mt);

	/* Readers look at the memory of the page, not at its struct page: it can be on a list. */
	mas_for_each(&old_mas, old, behind - 1) {
		if (kvm_private_is_bits(old))
			list_add(&virt_to_page(old)->lru, &pages);
	}
	mas_store_prealloc(mas, entry);
	list_for_each_entry_safe(page, next, &pages, lru)
		call_rcu(&page->rcu_head, bits_free_rcu);
}

/* Store into one chunk, and at once. */
static int store_chunk(struct kvm_private_map *map, unsigned long chunk, void *entry)
{
	MA_STATE(mas, &map->mt, chunk, chunk);
	unsigned long first = chunk, behind = chunk + 1;
	int ret;

	ret = store_prepare(&mas, map, &first, &behind, entry);
	if (!ret)
		store_commit(&mas, map, first, behind, entry);
	return ret;
}

/* -------- changes -------- */

/* The change concerns a part of the chunk, which keeps its page of bits. */
static bool is_edge(const struct kvm_private_map_change *change, unsigned long chunk)
{
	return chunk < change->first || chunk >= change->behind;
}

/* The bits [from, to) of the chunk that the change concerns. */
static void edge_range(const struct kvm_private_map_change *change, unsigned long chunk,
		       unsigned long *from, unsigned long *to)
{
	*from = chunk == chunk_of(change->start) ? change->start & CHUNK_MASK : 0;
	*to = chunk == chunk_of(change->end) ? change->end & CHUNK_MASK : KVM_PRIVATE_CHUNK_GFNS;
}

/* Give a uniform chunk that becomes mixed its page; its bits say what the chunk still is. */
static int edge_split(struct kvm_private_map *map, unsigned long chunk, bool private)
{
	unsigned long *bits = bits_alloc(private);
	int ret;

	if (!bits)
		return -ENOMEM;
	ret = store_chunk(map, chunk, bits);
	if (ret)
		bits_free(bits);
	return ret;
}

static int edge_prepare(struct kvm_private_map_change *change, unsigned long chunk)
{
	unsigned long *entry, from, to;

	if (!is_edge(change, chunk))
		return 0;

	entry = mtree_load(&change->map->mt, chunk);
	if (!kvm_private_is_bits(entry)) {
		if (!!entry == change->private)
			return 0;
		return edge_split(change->map, chunk, !!entry);
	}

	/* A chunk that becomes uniform loses its page: the store of the middle covers it too. */
	edge_range(change, chunk, &from, &to);
	if (bits_match_outside(entry, from, to, change->private)) {
		change->first = min(change->first, chunk);
		change->behind = max(change->behind, chunk + 1);
	}
	return 0;
}

static void edge_commit(struct kvm_private_map_change *change, unsigned long chunk)
{
	unsigned long *entry, from, to;

	if (!is_edge(change, chunk))
		return;

	entry = mtree_load(&change->map->mt, chunk);
	if (!kvm_private_is_bits(entry))
		return;
	edge_range(change, chunk, &from, &to);
	bits_write(entry, from, to, change->private);
}

/* Take out the page that edge_split() stored. If that fails, the page still says what is true. */
static void edge_cancel(struct kvm_private_map_change *change, unsigned long chunk)
{
	unsigned long *entry = mtree_load(&change->map->mt, chunk);

	if (kvm_private_is_bits(entry) && bits_match_outside(entry, 0, 0, test_bit(0, entry)))
		store_chunk(change->map, chunk, uniform_entry(test_bit(0, entry)));
}

static int middle_prepare(struct kvm_private_map_change *change)
{
	MA_STATE(mas, &change->map->mt, change->first, change->first);

	if (change->first >= change->behind)
		return 0;

	/* Whole chunks that are one run of what they shall be need no store. */
	if (mas_walk(&mas) == uniform_entry(change->private) && mas.last >= change->behind - 1) {
		change->behind = change->first;
		return 0;
	}
	return store_prepare(&change->mas, change->map, &change->first, &change->behind,
			     uniform_entry(change->private));
}

int kvm_private_map_prepare(struct kvm_private_map *map, gfn_t start, gfn_t end, bool private,
			    struct kvm_private_map_change *change)
{
	MA_STATE(mas, &map->mt, 0, 0);
	int ret;

	assert_locked(&map->mt);
	if (WARN_ON_ONCE(start >= end))
		return -EINVAL;

	*change = (struct kvm_private_map_change) {
		.map = map,
		.start = start,
		.end = end,
		.private = private,
		.first = chunk_of(start) + !!(start & CHUNK_MASK),
		.behind = chunk_of(end),
		.mas = mas,
	};

	/* The edges' stores come first: they change the tree that the middle's is sized for. */
	ret = edge_prepare(change, chunk_of(start));
	if (!ret)
		ret = edge_prepare(change, chunk_of(end - 1));
	if (!ret)
		ret = middle_prepare(change);
	if (ret)
		kvm_private_map_cancel(change);
	return ret;
}

void kvm_private_map_commit(struct kvm_private_map_change *change)
{
	assert_locked(&change->map->mt);

	edge_commit(change, chunk_of(change->start));
	edge_commit(change, chunk_of(change->end - 1));
	if (change->first < change->behind)
		store_commit(&change->mas, change->map, change->first, change->behind,
			     uniform_entry(change->private));
}

void kvm_private_map_cancel(struct kvm_private_map_change *change)
{
	assert_locked(&change->map->mt);

	mas_destroy(&change->mas);
	edge_cancel(change, chunk_of(change->start));
	edge_cancel(change, chunk_of(change->end - 1));
}

/* -------- a VM's map comes and goes -------- */

void kvm_private_map_init(struct kvm_private_map *map, struct mutex *lock)
{
	mt_init_flags(&map->mt, MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN);
	mt_set_external_lock(&map->mt, lock);
}

/* Nobody reads or changes the map any more; the lock is held because the tree asks for it. */
void kvm_private_map_destroy(struct kvm_private_map *map)
{
	MA_STATE(mas, &map->mt, 0, 0);
	void *entry;

	assert_locked(&map->mt);

	mas_for_each(&mas, entry, ULONG_MAX) {
		if (kvm_private_is_bits(entry))
			bits_free(entry);
	}
	__mt_destroy(&map->mt);
}
