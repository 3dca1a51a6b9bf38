// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the private/shared map that choose changes at random: against a flat bitmap, and
 * under readers that take no lock.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "private_mem_attributes_test.h"

static u32 any(struct map_test *t, u32 behind)
{
	return prandom_u32_state(&t->rnd) % behind;
}

static void any_range(struct map_test *t, gfn_t *start, gfn_t *end)
{
	*start = any(t, MODEL_GFNS);
	switch (any(t, 16)) {
	case 0:
		*end = *start + 1 + any(t, MODEL_GFNS / 2);
		break;
	case 1 ... 4:
		*end = *start + 1 + any(t, 200);
		break;
	case 5 ... 10:
		*start = round_down(*start, CHUNK);
		*end = *start + (1 + any(t, 4)) * CHUNK;
		break;
	default:
		*start = round_down(*start, CHUNK) + any(t, 3);
		*end = round_down(*start, CHUNK) + (1 + any(t, 2)) * CHUNK - any(t, 3);
		break;
	}
	*end = min_t(gfn_t, *end, MODEL_GFNS);
}

static void any_change(struct kunit *test, gfn_t start, gfn_t end, bool private)
{
	struct map_test *t = test->priv;
	u32 kind = any(t, 16);
	int ret;

	if (kind == 0) {
		map_test_cancel(t, start, end, private);
		return;
	}
	if (kind < 3)
		map_test_watch_allocations(kind - 1, kind);
	ret = map_test_try(t, start, end, private);
	map_test_unwatch_allocations();
	if (!ret)
		map_test_model_set(t, start, end, private);
	else
		KUNIT_EXPECT_TRUE(test, ret == -ENOMEM && kind < 3);
}

/* Each is 5,000 changes, and a case for KUnit, which gives a case only so much time. */
static const u64 seeds[] = { 1, 2, 3, 4 };

static void describe_seed(const u64 *seed, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu", *seed);
}

KUNIT_ARRAY_PARAM(seed, seeds, describe_seed);

static void map_test_random(struct kunit *test)
{
	struct map_test *t = test->priv;
	gfn_t start, end;
	bool private;
	int i;

	prandom_seed_state(&t->rnd, *(const u64 *)test->param_value);
	for (i = 0; i < 5000; i++) {
		any_range(t, &start, &end);
		any_change(test, start, end, any(t, 2));

		any_range(t, &start, &end);
		for (private = false; ; private = true) {
			KUNIT_ASSERT_EQ(test, kvm_private_map_next(&t->map, start, end, private),
					map_test_model_next(t, start, end, private));
			if (private)
				break;
		}
		KUNIT_ASSERT_EQ(test, kvm_private_map_test(&t->map, start),
				test_bit(start, t->model));
		if (i % 100)
			continue;
		map_test_expect_model(test);
		map_test_expect_shape(test, -1, -1);
		cond_resched();
	}
}

/* -------- readers without a lock -------- */

/*
 * Of four chunks the first stays private and the third shared. The second changes all over. In the
 * fourth two frames stay what they are, although they share a word with others that change.
 */
#define GROUP		(4 * CHUNK)
#define NR_GROUPS	16
#define STAYS_PRIVATE	100
#define STAYS_SHARED	101

struct map_reader {
	struct map_test *t;
	struct task_struct *task;
	unsigned long rounds;
	unsigned long wrong;
};

/* What stays is as it is, whatever happens next to it. */
static int wrong_frames(struct kvm_private_map *map, gfn_t base)
{
	const gfn_t private = base + 3 * CHUNK + STAYS_PRIVATE;
	const gfn_t shared = base + 3 * CHUNK + STAYS_SHARED;

	return kvm_private_map_has(map, base, base + CHUNK, false) +
	       !kvm_private_map_test(map, base + CHUNK - 1) +
	       kvm_private_map_has(map, base + 2 * CHUNK, base + 3 * CHUNK, true) +
	       kvm_private_map_test(map, base + 2 * CHUNK) +
	       !kvm_private_map_test(map, private) + kvm_private_map_test(map, shared) +
	       (kvm_private_map_next(map, private, shared + 1, false) != shared);
}

/* What changes is in either state, and looked at, to touch pages that come and go. */
static int wrong_answers(struct kvm_private_map *map, gfn_t start)
{
	const gfn_t end = start + CHUNK;
	gfn_t private = kvm_private_map_next(map, start, end, true);
	gfn_t shared = kvm_private_map_next(map, start, end, false);

	return (private < start) + (private > end) + (shared < start) + (shared > end);
}

static int map_reader(void *data)
{
	struct map_reader *r = data;
	gfn_t base;

	while (!kthread_should_stop()) {
		base = r->rounds % NR_GROUPS * GROUP;
		r->wrong += wrong_frames(&r->t->map, base);
		r->wrong += wrong_answers(&r->t->map, base + CHUNK);
		WRITE_ONCE(r->rounds, r->rounds + 1);
		cond_resched();
	}
	return 0;
}

static int readers_start(struct map_test *t, struct map_reader *readers, int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		readers[i] = (struct map_reader) { .t = t };
		readers[i].task = kthread_run(map_reader, &readers[i], "map-reader");
		if (IS_ERR(readers[i].task))
			break;
		while (!READ_ONCE(readers[i].rounds))
			cond_resched();
	}
	return i;
}

/* Not by assertion, which would end the test without stopping the readers. */
static int flip_something(struct map_test *t)
{
	gfn_t base = any(t, NR_GROUPS) * GROUP, from = any(t, CHUNK), to = any(t, CHUNK) + 1;
	bool private = any(t, 2);

	switch (any(t, 3)) {
	case 0:
		return map_test_try(t, base + CHUNK, base + 2 * CHUNK, private);
	case 1:
		if (from >= to)
			return 0;
		return map_test_try(t, base + CHUNK + from, base + CHUNK + to, private);
	default:
		base += 3 * CHUNK;
		return map_test_try(t, base, base + STAYS_PRIVATE, private) ?:
		       map_test_try(t, base + STAYS_SHARED + 1, base + CHUNK, !private);
	}
}

static void map_test_readers(struct kunit *test)
{
	struct map_test *t = test->priv;
	struct map_reader readers[2];
	int i, nr, failed = 0;
	gfn_t base, edge;

	for (base = 0; base < NR_GROUPS * GROUP; base += GROUP) {
		map_test_set(test, base, base + CHUNK, true);
		edge = base + 3 * CHUNK;
		map_test_set(test, edge + STAYS_PRIVATE, edge + STAYS_SHARED, true);
	}

	nr = readers_start(t, readers, ARRAY_SIZE(readers));
	for (i = 0; i < 5000; i++) {
		failed += !!flip_something(t);
		cond_resched();
	}
	for (i = 0; i < nr; i++) {
		kthread_stop(readers[i].task);
		KUNIT_EXPECT_EQ(test, readers[i].wrong, 0);
		KUNIT_EXPECT_GT(test, readers[i].rounds, 0);
	}
	KUNIT_EXPECT_EQ(test, nr, (int)ARRAY_SIZE(readers));
	KUNIT_EXPECT_EQ(test, failed, 0);
	map_test_expect_shape(test, -1, -1);
}

/* -------- suite -------- */

static struct kunit_case map_random_cases[] = {
	KUNIT_CASE_PARAM(map_test_random, seed_gen_params),
	KUNIT_CASE(map_test_readers),
	{}
};

static struct kunit_suite map_random_suite = {
	.name = "kvm-private-map-random",
	.init = map_test_init,
	.exit = map_test_exit,
	.test_cases = map_random_cases,
};

kunit_test_suite(map_random_suite);
