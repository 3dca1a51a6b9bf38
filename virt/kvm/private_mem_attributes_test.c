// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the private/shared map, against its interface and the shape of its tree: runs of
 * private chunks and pages of bits.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "private_mem_attributes.h"
#include "private_mem_attributes_test.h"

#define GIB		(1UL << (30 - PAGE_SHIFT))

/* -------- hooks -------- */

static atomic_t pages_alive;

/* Allocations of one task are counted, and those with the numbers [first, behind) fail. */
static struct {
	struct task_struct *task;
	unsigned int calls;
	unsigned int first;
	unsigned int behind;
} allocations;

bool kvm_private_map_may_allocate(void)
{
	unsigned int call;

	if (READ_ONCE(allocations.task) != current)
		return true;
	call = allocations.calls++;
	return call < allocations.first || call >= allocations.behind;
}

void kvm_private_map_count_pages(int change)
{
	atomic_add(change, &pages_alive);
}

void map_test_watch_allocations(unsigned int first, unsigned int behind)
{
	allocations.calls = 0;
	allocations.first = first;
	allocations.behind = behind;
	WRITE_ONCE(allocations.task, current);
}

unsigned int map_test_unwatch_allocations(void)
{
	WRITE_ONCE(allocations.task, NULL);
	return allocations.calls;
}

/* Pages that are not freed yet, once those are that wait for readers. */
static int count_pages(void)
{
	rcu_barrier();
	return atomic_read(&pages_alive);
}

/* -------- helpers -------- */

int map_test_try(struct map_test *t, gfn_t start, gfn_t end, bool private)
{
	struct kvm_private_map_change change;
	int ret;

	mutex_lock(&t->lock);
	ret = kvm_private_map_prepare(&t->map, start, end, private, &change);
	if (!ret)
		kvm_private_map_commit(&change);
	mutex_unlock(&t->lock);
	return ret;
}

void map_test_set(struct kunit *test, gfn_t start, gfn_t end, bool private)
{
	KUNIT_ASSERT_EQ(test, map_test_try(test->priv, start, end, private), 0);
}

void map_test_cancel(struct map_test *t, gfn_t start, gfn_t end, bool private)
{
	struct kvm_private_map_change change;

	mutex_lock(&t->lock);
	if (!kvm_private_map_prepare(&t->map, start, end, private, &change))
		kvm_private_map_cancel(&change);
	mutex_unlock(&t->lock);
}

void map_test_expect_shape(struct kunit *test, int runs, int pages)
{
	MA_STATE(mas, &((struct map_test *)test->priv)->map.mt, 0, 0);
	int runs_found = 0, pages_found = 0;
	struct map_test *t = test->priv;
	unsigned long behind = ULONG_MAX;
	void *entry;

	mutex_lock(&t->lock);
	mas_for_each(&mas, entry, ULONG_MAX) {
		if (kvm_private_is_bits(entry)) {
			pages_found++;
			KUNIT_EXPECT_EQ(test, mas.index, mas.last);
			KUNIT_EXPECT_FALSE(test, bitmap_full(entry, CHUNK));
			KUNIT_EXPECT_FALSE(test, bitmap_empty(entry, CHUNK));
			continue;
		}
		runs_found++;
		KUNIT_EXPECT_PTR_EQ(test, entry, KVM_PRIVATE_RUN);
		KUNIT_EXPECT_NE(test, mas.index, behind);
		behind = mas.last + 1;
	}
	mutex_unlock(&t->lock);

	if (runs >= 0)
		KUNIT_EXPECT_EQ(test, runs_found, runs);
	if (pages >= 0)
		KUNIT_EXPECT_EQ(test, pages_found, pages);
	KUNIT_EXPECT_EQ(test, count_pages(), pages_found);
}

/* [start, end) is a run of frames: all are @private, and those next to it are not. */
static void expect_run(struct kunit *test, gfn_t start, gfn_t end, bool private)
{
	struct kvm_private_map *map = &((struct map_test *)test->priv)->map;

	KUNIT_EXPECT_EQ(test, kvm_private_map_next(map, start, end, !private), end);
	KUNIT_EXPECT_EQ(test, kvm_private_map_next(map, start, end, private), start);
	KUNIT_EXPECT_FALSE(test, kvm_private_map_has(map, start, end, !private));
	KUNIT_EXPECT_EQ(test, kvm_private_map_test(map, start), private);
	KUNIT_EXPECT_EQ(test, kvm_private_map_test(map, end - 1), private);
	KUNIT_EXPECT_EQ(test, kvm_private_map_test(map, end), !private);
	KUNIT_EXPECT_EQ(test, kvm_private_map_next(map, start, end + 1, !private), end);
	if (start)
		KUNIT_EXPECT_EQ(test, kvm_private_map_test(map, start - 1), !private);
}

gfn_t map_test_model_next(struct map_test *t, gfn_t start, gfn_t end, bool private)
{
	return private ? find_next_bit(t->model, end, start) :
			 find_next_zero_bit(t->model, end, start);
}

void map_test_expect_model(struct kunit *test)
{
	struct map_test *t = test->priv;
	gfn_t found, gfn = 0;
	bool private = true;

	while (gfn < MODEL_GFNS) {
		found = kvm_private_map_next(&t->map, gfn, MODEL_GFNS, private);
		KUNIT_ASSERT_EQ(test, found, map_test_model_next(t, gfn, MODEL_GFNS, private));
		gfn = found;
		private = !private;
	}
}

void map_test_model_set(struct map_test *t, gfn_t start, gfn_t end, bool private)
{
	if (private)
		bitmap_set(t->model, start, end - start);
	else
		bitmap_clear(t->model, start, end - start);
}

static void set_both(struct kunit *test, gfn_t start, gfn_t end, bool private)
{
	map_test_set(test, start, end, private);
	map_test_model_set(test->priv, start, end, private);
}

/* Runs and pages of both kinds around chunks 2 to 5, as the model knows it. */
static void set_up_mixture(struct kunit *test)
{
	set_both(test, 0, CHUNK, true);
	set_both(test, 2 * CHUNK + 100, 2 * CHUNK + 200, true);
	set_both(test, 4 * CHUNK, 6 * CHUNK, true);
	set_both(test, 7 * CHUNK - 1, 7 * CHUNK + 1, true);
	map_test_expect_shape(test, 2, 3);
}

/* -------- cases -------- */

static void map_test_empty(struct kunit *test)
{
	struct kvm_private_map *map = &((struct map_test *)test->priv)->map;

	KUNIT_EXPECT_FALSE(test, kvm_private_map_test(map, 0));
	KUNIT_EXPECT_FALSE(test, kvm_private_map_has(map, 0, BIT_ULL(40), true));
	KUNIT_EXPECT_TRUE(test, kvm_private_map_has(map, 5, 6, false));
	KUNIT_EXPECT_EQ(test, kvm_private_map_next(map, 7, 7, false), 7);
	KUNIT_EXPECT_EQ(test, kvm_private_map_next(map, 7, BIT_ULL(40), false), 7);
	map_test_set(test, 0, BIT_ULL(40), false);
	map_test_expect_shape(test, 0, 0);
}

static void map_test_chunk_boundary(struct kunit *test)
{
	map_test_set(test, CHUNK - 1, CHUNK, true);
	expect_run(test, CHUNK - 1, CHUNK, true);
	map_test_expect_shape(test, 0, 1);
	map_test_set(test, CHUNK, CHUNK + 1, true);
	expect_run(test, CHUNK - 1, CHUNK + 1, true);
	map_test_expect_shape(test, 0, 2);
	map_test_set(test, CHUNK - 1, CHUNK, false);
	expect_run(test, CHUNK, CHUNK + 1, true);
	map_test_expect_shape(test, 0, 1);
	map_test_set(test, CHUNK, CHUNK + 1, false);
	map_test_expect_shape(test, 0, 0);
}

/* The neighbours of what becomes shared stay private, in its chunk and in the run it splits. */
static void map_test_partial_clear(struct kunit *test)
{
	map_test_set(test, 0, 4 * CHUNK, true);
	map_test_expect_shape(test, 1, 0);
	map_test_set(test, CHUNK + 63, CHUNK + 65, false);
	expect_run(test, 0, CHUNK + 63, true);
	expect_run(test, CHUNK + 63, CHUNK + 65, false);
	expect_run(test, CHUNK + 65, 4 * CHUNK, true);
	map_test_expect_shape(test, 2, 1);
	map_test_set(test, 3 * CHUNK, 4 * CHUNK, false);
	expect_run(test, CHUNK + 65, 3 * CHUNK, true);
	map_test_expect_shape(test, 2, 1);
}

/* A page whose last frame of one kind goes is freed, and its chunk joins its neighbours. */
static void map_test_collapse(struct kunit *test)
{
	map_test_set(test, 0, 3 * CHUNK, true);
	map_test_set(test, CHUNK, CHUNK + 1, false);
	map_test_set(test, 2 * CHUNK - 1, 2 * CHUNK, false);
	map_test_expect_shape(test, 2, 1);
	map_test_set(test, CHUNK, CHUNK + 1, true);
	map_test_expect_shape(test, 2, 1);
	map_test_set(test, 2 * CHUNK - 1, 2 * CHUNK, true);
	map_test_expect_shape(test, 1, 0);
	expect_run(test, 0, 3 * CHUNK, true);

	/* Both edges of one change, and whole pages between them. */
	map_test_set(test, 10, 2 * CHUNK + 10, false);
	map_test_expect_shape(test, 0, 2);
	map_test_set(test, CHUNK + 5, CHUNK + 6, true);
	map_test_expect_shape(test, 0, 3);
	map_test_set(test, 10, 2 * CHUNK + 10, true);
	map_test_expect_shape(test, 1, 0);
	map_test_set(test, 0, 3 * CHUNK, false);
	map_test_expect_shape(test, 0, 0);
}

static void map_test_merge(struct kunit *test)
{
	unsigned long i;

	for (i = 0; i < 200; i += 2)
		map_test_set(test, i * CHUNK, (i + 1) * CHUNK, true);
	map_test_expect_shape(test, 100, 0);
	/* One that joins two, to the left and to the right, and many that become one. */
	map_test_set(test, 101 * CHUNK, 102 * CHUNK, true);
	map_test_expect_shape(test, 99, 0);
	map_test_set(test, 199 * CHUNK, 200 * CHUNK, true);
	map_test_expect_shape(test, 99, 0);
	map_test_set(test, 51 * CHUNK, 150 * CHUNK, true);
	map_test_expect_shape(test, 50, 0);
	expect_run(test, 50 * CHUNK, 151 * CHUNK, true);
	for (i = 1; i < 200; i += 2)
		map_test_set(test, i * CHUNK, (i + 1) * CHUNK, true);
	map_test_expect_shape(test, 1, 0);
	expect_run(test, 0, 200 * CHUNK, true);
	map_test_set(test, 0, 200 * CHUNK, false);
	map_test_expect_shape(test, 0, 0);
}

static void map_test_huge(struct kunit *test)
{
	const gfn_t top = BIT_ULL(52);

	map_test_set(test, 0, BIT_ULL(40), true);
	expect_run(test, 0, BIT_ULL(40), true);
	map_test_expect_shape(test, 1, 0);
	map_test_set(test, 3, BIT_ULL(40) - 3, false);
	expect_run(test, 3, BIT_ULL(40) - 3, false);
	map_test_expect_shape(test, 0, 2);
	map_test_set(test, 0, BIT_ULL(40), false);
	map_test_expect_shape(test, 0, 0);

	map_test_set(test, top - BIT_ULL(40) - 1, top, true);
	expect_run(test, top - BIT_ULL(40) - 1, top, true);
	map_test_expect_shape(test, 1, 1);
	map_test_set(test, 0, top, false);
	map_test_expect_shape(test, 0, 0);
}

static void map_test_cancelled(struct kunit *test)
{
	struct map_test *t = test->priv;
	gfn_t start, end;
	bool private;

	set_up_mixture(test);
	for (start = CHUNK / 2; start < 4 * CHUNK; start += CHUNK / 2) {
		for (end = 4 * CHUNK + 1; end < 8 * CHUNK; end += CHUNK / 2 - 1) {
			private = end & 1;
			map_test_cancel(t, start, end, private);
			map_test_cancel(t, start, end, !private);
			map_test_expect_shape(test, 2, 3);
		}
	}
	map_test_expect_model(test);
}

/* Commit does not sleep, and a page that it takes out is there as long as a reader may have it. */
static void map_test_grace_period(struct kunit *test)
{
	struct kvm_private_map_change change;
	struct map_test *t = test->priv;
	int ret, alive = 0;

	map_test_set(test, 1, 2, true);
	mutex_lock(&t->lock);
	ret = kvm_private_map_prepare(&t->map, 0, CHUNK, true, &change);
	if (!ret) {
		rcu_read_lock();
		kvm_private_map_commit(&change);
		alive = atomic_read(&pages_alive);
		rcu_read_unlock();
	}
	mutex_unlock(&t->lock);

	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, alive, 1);
	map_test_expect_shape(test, 1, 0);
}

/* Each of the change's allocations fails once: nothing remains of the change. */
static void fail_each(struct kunit *test, gfn_t start, gfn_t end, bool private, unsigned int nr)
{
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		map_test_watch_allocations(i, i + 1);
		ret = map_test_try(test->priv, start, end, private);
		map_test_unwatch_allocations();
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		map_test_expect_shape(test, 2, 3);
		map_test_expect_model(test);
	}

	map_test_watch_allocations(nr, NEVER);
	ret = map_test_try(test->priv, start, end, private);
	KUNIT_EXPECT_EQ(test, map_test_unwatch_allocations(), nr);
	KUNIT_EXPECT_EQ(test, ret, 0);
	map_test_model_set(test->priv, start, end, private);
	map_test_expect_model(test);
}

static void map_test_no_memory(struct kunit *test)
{
	/* A page and its store at each edge, and the store of the middle. */
	set_up_mixture(test);
	fail_each(test, CHUNK / 2, 5 * CHUNK + 7, false, 5);
	set_both(test, 0, MODEL_GFNS, false);

	set_up_mixture(test);
	fail_each(test, CHUNK + 1, 4 * CHUNK + 1, true, 3);
	set_both(test, 0, MODEL_GFNS, false);

	set_up_mixture(test);
	fail_each(test, 5 * CHUNK + 1, 5 * CHUNK + 2, false, 2);
}

/* Not even the undoing has memory: frames are what they were all the same, and pages bounded. */
static void map_test_no_memory_to_undo(struct kunit *test)
{
	unsigned int i;
	int ret;

	for (i = 0; i < 5; i++) {
		set_both(test, 0, MODEL_GFNS, true);
		map_test_expect_shape(test, 1, 0);
		map_test_watch_allocations(i, NEVER);
		ret = map_test_try(test->priv, CHUNK / 2, 5 * CHUNK + 7, false);
		map_test_unwatch_allocations();
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_EQ(test, count_pages(), i / 2);
		map_test_expect_model(test);
	}
}

/* Allocations, which are one for a store and one for a page, do not grow with the range. */
static unsigned int cost(struct kunit *test, gfn_t start, gfn_t end, bool private)
{
	map_test_watch_allocations(NEVER, NEVER);
	map_test_set(test, start, end, private);
	return map_test_unwatch_allocations();
}

static void map_test_cost(struct kunit *test)
{
	const gfn_t small = 4 * GIB, large = 192 * GIB;
	gfn_t gfn;

	KUNIT_EXPECT_EQ(test, cost(test, 0, small, true), 1);
	KUNIT_EXPECT_EQ(test, cost(test, 0, small, false), 1);
	KUNIT_EXPECT_EQ(test, cost(test, 0, large, true), 1);
	KUNIT_EXPECT_EQ(test, cost(test, 0, large, true), 0);
	KUNIT_EXPECT_EQ(test, cost(test, 1, small - 1, false), 5);
	KUNIT_EXPECT_EQ(test, cost(test, 0, large, true), 1);
	KUNIT_EXPECT_EQ(test, cost(test, 1, large - 1, false), 5);
	map_test_expect_shape(test, 0, 2);
	KUNIT_EXPECT_EQ(test, cost(test, 0, large, false), 1);

	/* At worst there is a bit for each frame. */
	for (gfn = 0; gfn < GIB; gfn += CHUNK / 4)
		map_test_set(test, gfn, gfn + 1, true);
	KUNIT_EXPECT_LE(test, count_pages() * PAGE_SIZE, 32768);
	map_test_expect_shape(test, 0, GIB / CHUNK);
}

/* -------- suite -------- */

int map_test_init(struct kunit *test)
{
	struct map_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->model = kvcalloc(BITS_TO_LONGS(MODEL_GFNS), sizeof(long), GFP_KERNEL);
	if (!t->model)
		return -ENOMEM;

	prandom_seed_state(&t->rnd, 1);
	mutex_init(&t->lock);
	kvm_private_map_init(&t->map, &t->lock);
	test->priv = t;
	return 0;
}

void map_test_exit(struct kunit *test)
{
	struct map_test *t = test->priv;

	map_test_unwatch_allocations();
	mutex_lock(&t->lock);
	kvm_private_map_destroy(&t->map);
	mutex_unlock(&t->lock);
	KUNIT_EXPECT_EQ(test, count_pages(), 0);
	kvfree(t->model);
}

static struct kunit_case map_test_cases[] = {
	KUNIT_CASE(map_test_empty),
	KUNIT_CASE(map_test_chunk_boundary),
	KUNIT_CASE(map_test_partial_clear),
	KUNIT_CASE(map_test_collapse),
	KUNIT_CASE(map_test_merge),
	KUNIT_CASE(map_test_huge),
	KUNIT_CASE(map_test_cancelled),
	KUNIT_CASE(map_test_grace_period),
	KUNIT_CASE(map_test_no_memory),
	KUNIT_CASE(map_test_no_memory_to_undo),
	KUNIT_CASE(map_test_cost),
	{}
};

static struct kunit_suite map_test_suite = {
	.name = "kvm-private-map",
	.init = map_test_init,
	.exit = map_test_exit,
	.test_cases = map_test_cases,
};

kunit_test_suite(map_test_suite);
