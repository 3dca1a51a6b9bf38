/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit tests of the private/shared map have in common: a map with its lock, a flat bitmap
 * to compare it with, and the control of its allocations.
 */
#ifndef __KVM_PRIVATE_MEM_ATTRIBUTES_TEST_H
#define __KVM_PRIVATE_MEM_ATTRIBUTES_TEST_H

#include <kunit/test.h>
#include <linux/kvm_private_map.h>
#include <linux/mutex.h>
#include <linux/prandom.h>

#define CHUNK		KVM_PRIVATE_CHUNK_GFNS
/* Enough chunks for a tree of some nodes, whose stores split, join and span them. */
#define MODEL_GFNS	(128 * CHUNK)
#define NEVER		UINT_MAX

struct map_test {
	struct kvm_private_map map;
	/* The map's lock, for changes. */
	struct mutex lock;
	unsigned long *model;
	struct rnd_state rnd;
};

int map_test_init(struct kunit *test);
void map_test_exit(struct kunit *test);

/*
 * Count the caller's allocations for maps until unwatch, which returns how many there were. Those
 * with the numbers [first, behind) fail.
 */
void map_test_watch_allocations(unsigned int first, unsigned int behind);
unsigned int map_test_unwatch_allocations(void);

int map_test_try(struct map_test *t, gfn_t start, gfn_t end, bool private);
void map_test_set(struct kunit *test, gfn_t start, gfn_t end, bool private);
void map_test_cancel(struct map_test *t, gfn_t start, gfn_t end, bool private);

void map_test_model_set(struct map_test *t, gfn_t start, gfn_t end, bool private);
gfn_t map_test_model_next(struct map_test *t, gfn_t start, gfn_t end, bool private);
void map_test_expect_model(struct kunit *test);

/* The tree has so many runs and pages, or any number if it is negative, each as it must be. */
void map_test_expect_shape(struct kunit *test, int runs, int pages);

#endif /* __KVM_PRIVATE_MEM_ATTRIBUTES_TEST_H */
