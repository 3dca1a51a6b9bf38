// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of restricted memory: what runs at the same time. First who waits for whom, with threads
 * that are held at known places; then everything at once, with users that map pages as KVM does:
 * they read a sequence number, get the page, and install it under a lock only if no invalidation
 * came since.
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>

#include "internal.h"
#include "restrictedmem_test.h"

#define LONG_ENOUGH	msecs_to_jiffies(30000)
#define A_MOMENT	msecs_to_jiffies(100)

/* A thread that does one thing and tells what came of it. */
struct actor {
	int (*act)(struct actor *actor);
	struct test_fixture *f;
	pgoff_t start;
	pgoff_t end;
	int result;
	struct completion started;
	struct completion done;
	struct task_struct *task;
};

static int run_actor(void *data)
{
	struct actor *actor = data;

	allow_signal(SIGTERM);
	complete(&actor->started);
	actor->result = actor->act(actor);
	complete(&actor->done);
	return 0;
}

static void start_actor(struct kunit *test, struct actor *actor, int (*act)(struct actor *actor),
			pgoff_t start, pgoff_t end)
{
	*actor = (struct actor) { .act = act, .f = test->priv, .start = start, .end = end };
	init_completion(&actor->started);
	init_completion(&actor->done);
	actor->task = kthread_run(run_actor, actor, "restrictedmem");
	KUNIT_ASSERT_FALSE(test, IS_ERR(actor->task));
	KUNIT_ASSERT_TRUE(test, wait_for_completion_timeout(&actor->started, LONG_ENOUGH));
}

static bool finishes(struct actor *actor)
{
	return wait_for_completion_timeout(&actor->done, LONG_ENOUGH);
}

static bool waits(struct actor *actor)
{
	return !wait_for_completion_timeout(&actor->done, A_MOMENT);
}

static int act_punch(struct actor *actor)
{
	return test_punch(actor->f->tf, actor->start, actor->end);
}

static int act_get(struct actor *actor)
{
	return test_get(&actor->f->two, actor->start);
}

static int act_populate(struct actor *actor)
{
	return test_populate(actor->f->tf, actor->start, actor->end);
}

/* Without the right to exceed a limit of @end pages. */
static int act_populate_limited(struct actor *actor)
{
	return test_populate_limited(actor->f->tf, actor->end, actor->end, false);
}

/* The first user's invalidate_start waits until it is let go. */
struct held_punch {
	struct completion entered;
	struct completion leave;
	struct actor puncher;
};

/* Pages [0, 16) exist, [0, 8) are being punched, and the second user has them all. */
static void hold_punch(struct kunit *test, struct held_punch *held)
{
	struct test_fixture *f = test->priv;

	init_completion(&held->entered);
	init_completion(&held->leave);
	f->one.entered = &held->entered;
	f->one.leave = &held->leave;
	test_assert_bind(test, &f->one, 0, 8);
	test_assert_bind(test, &f->two, 0, TEST_PAGES);
	KUNIT_ASSERT_EQ(test, test_populate(f->tf, 0, 16), 0);
	start_actor(test, &held->puncher, act_punch, 0, 8);
	KUNIT_ASSERT_TRUE(test, wait_for_completion_timeout(&held->entered, LONG_ENOUGH));
}

static void let_punch_go(struct kunit *test, struct held_punch *held)
{
	complete_all(&held->leave);
	KUNIT_EXPECT_TRUE(test, finishes(&held->puncher));
	KUNIT_EXPECT_EQ(test, held->puncher.result, 0);
}

/* Pages of the range wait, though they are still there; others do not. */
static void test_get_waits(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct actor getter, populater;
	struct held_punch held;

	hold_punch(test, &held);
	start_actor(test, &getter, act_get, 3, 4);
	start_actor(test, &populater, act_populate, 5, 6);
	KUNIT_EXPECT_TRUE(test, waits(&getter));
	KUNIT_EXPECT_TRUE(test, waits(&populater));
	KUNIT_EXPECT_EQ(test, test_get(&f->two, 8), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->two, 30), 0);

	let_punch_go(test, &held);
	KUNIT_EXPECT_TRUE(test, finishes(&getter));
	KUNIT_EXPECT_EQ(test, getter.result, 0);
	KUNIT_EXPECT_TRUE(test, finishes(&populater));
	KUNIT_EXPECT_EQ(test, populater.result, 0);
	/* 8 to 15, and those that were got. */
	test_expect_charged(test, f->tf, 11);
}

/*
 * The limit has room for the page, but another getter has just charged one that it will give back. Who
 * is refused then waits until nobody else allocates, and only then it counts.
 */
static void test_limit_held(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct test_file *tf = f->tf;
	struct actor getter;

	filemap_invalidate_lock_shared(tf->ri->inode.i_mapping);
	atomic_long_inc(&tf->user->locked_vm);
	start_actor(test, &getter, act_populate_limited, 0, 4);
	KUNIT_EXPECT_TRUE(test, waits(&getter));
	atomic_long_dec(&tf->user->locked_vm);
	filemap_invalidate_unlock_shared(tf->ri->inode.i_mapping);

	KUNIT_EXPECT_TRUE(test, finishes(&getter));
	KUNIT_EXPECT_EQ(test, getter.result, 0);
	test_expect_charged(test, tf, 4);
}

static void test_wait_interrupted(struct kunit *test)
{
	struct held_punch held;
	struct actor getter;

	hold_punch(test, &held);
	start_actor(test, &getter, act_get, 3, 4);
	KUNIT_EXPECT_TRUE(test, waits(&getter));
	send_sig(SIGTERM, getter.task, 1);
	KUNIT_EXPECT_TRUE(test, finishes(&getter));
	KUNIT_EXPECT_EQ(test, getter.result, -EINTR);
	let_punch_go(test, &held);
}

/* A wish that became stale while it waited does not refill the hole. */
static void test_wait_stale(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct held_punch held;
	struct actor getter;

	hold_punch(test, &held);
	start_actor(test, &getter, act_get, 3, 4);
	KUNIT_EXPECT_TRUE(test, waits(&getter));
	f->two.stale = true;
	let_punch_go(test, &held);
	KUNIT_EXPECT_TRUE(test, finishes(&getter));
	KUNIT_EXPECT_EQ(test, getter.result, -EAGAIN);
	test_expect_charged(test, f->tf, 8);
}

/* A second punch over the same pages; whoever waits, waits for both. */
static void test_punch_overlap(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct held_punch held;
	struct actor getter;

	hold_punch(test, &held);
	start_actor(test, &getter, act_get, 3, 4);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 8, 16), 0);
	KUNIT_EXPECT_TRUE(test, waits(&getter));
	let_punch_go(test, &held);
	KUNIT_EXPECT_TRUE(test, finishes(&getter));
	test_expect_charged(test, f->tf, 1);
}

#define STRESS_GETTERS	2

/* Maps pages like a VM. */
struct mapper {
	struct restrictedmem_binding binding;
	struct restrictedmem_inode *ri;
	struct mutex lock;
	struct page *map[TEST_PAGES];
	unsigned long seq;
	int invalidating;
	/* Installed pages that are not in the file, ends without a start. */
	int wrong;
	unsigned long installed;
	unsigned long retries;
};

struct stress {
	struct test_file *tf;
	struct mapper mapper[STRESS_GETTERS];
	struct mapper guest;
	unsigned long end;
	atomic_t punches;
	atomic_t errors;
	atomic_t binds;
};

static struct mapper *to_mapper(struct restrictedmem_binding *binding)
{
	return container_of(binding, struct mapper, binding);
}

static void mapper_start(struct restrictedmem_binding *binding, pgoff_t start, pgoff_t end)
{
	struct mapper *mapper = to_mapper(binding);

	mutex_lock(&mapper->lock);
	mapper->invalidating++;
	memset(mapper->map + start, 0, (end - start) * sizeof(*mapper->map));
	mutex_unlock(&mapper->lock);
}

static void mapper_end(struct restrictedmem_binding *binding, pgoff_t start, pgoff_t end)
{
	struct mapper *mapper = to_mapper(binding);

	mutex_lock(&mapper->lock);
	mapper->seq++;
	mapper->wrong += --mapper->invalidating < 0;
	mutex_unlock(&mapper->lock);
}

static const struct restrictedmem_ops mapper_ops = {
	.invalidate_start	= mapper_start,
	.invalidate_end		= mapper_end,
};

/* What is installed is in the file: whoever removes it has told this user first. */
static void mapper_check(struct mapper *mapper)
{
	struct xarray *pages = &mapper->ri->inode.i_mapping->i_pages;
	pgoff_t index;

	lockdep_assert_held(&mapper->lock);
	for (index = 0; index < TEST_PAGES; index++)
		if (mapper->map[index] && xa_load(pages, index) != mapper->map[index])
			mapper->wrong++;
}

static void mapper_fault(struct mapper *mapper, pgoff_t index)
{
	unsigned long seq = READ_ONCE(mapper->seq);
	struct page *page;

	/* The number first: what invalidates the page later changes it. */
	smp_rmb();
	if (restrictedmem_get_page(&mapper->binding, index, 0, &page))
		return;

	mutex_lock(&mapper->lock);
	if (mapper->invalidating || mapper->seq != seq) {
		mapper->retries++;
	} else {
		mapper->map[index] = page;
		mapper->installed++;
	}
	mapper_check(mapper);
	mutex_unlock(&mapper->lock);
	put_page(page);
}

static void mapper_init(struct mapper *mapper, struct restrictedmem_inode *ri)
{
	mutex_init(&mapper->lock);
	mapper->ri = ri;
	mapper->binding.ops = &mapper_ops;
	mapper->binding.domain = mapper;
}

static bool stress_goes_on(struct stress *stress)
{
	cond_resched();
	return time_before(jiffies, stress->end);
}

static pgoff_t random_page(void)
{
	return get_random_u32() % TEST_PAGES;
}

static int stress_fault(struct stress *stress, int nr)
{
	while (stress_goes_on(stress))
		mapper_fault(&stress->mapper[nr], random_page());
	return 0;
}

static int stress_punch(struct stress *stress, int nr)
{
	pgoff_t start;

	while (stress_goes_on(stress)) {
		start = random_page();
		if (test_punch(stress->tf, start, start + 1 + random_page()))
			return -EIO;
		atomic_inc(&stress->punches);
	}
	return 0;
}

/* As memory_failure() does it, without breaking the machine's memory. */
static int stress_error(struct stress *stress, int nr)
{
	struct address_space *mapping = stress->tf->ri->inode.i_mapping;
	struct folio *folio;

	while (stress_goes_on(stress)) {
		folio = filemap_lock_folio(mapping, random_page());
		if (!folio)
			continue;
		if (restrictedmem_error_remove_page(mapping, &folio->page))
			return -EIO;
		folio_unlock(folio);
		folio_put(folio);
		atomic_inc(&stress->errors);
	}
	return 0;
}

/* A user that comes, uses some of the memory, and goes. */
static int stress_bind(struct stress *stress, int nr)
{
	struct mapper *guest = &stress->guest;
	pgoff_t start;
	int i;

	while (stress_goes_on(stress)) {
		start = random_page();
		if (restrictedmem_bind(stress->tf->file, start, TEST_PAGES, TEST_OWNER,
				       &guest->binding))
			return -EIO;
		for (i = 0; i < 10; i++)
			mapper_fault(guest, start + random_page() % (TEST_PAGES - start));
		restrictedmem_unbind(&guest->binding);
		/* No callback runs now; a start without its end would show. */
		guest->wrong += !!guest->invalidating;
		memset(guest->map, 0, sizeof(guest->map));
		atomic_inc(&stress->binds);
	}
	return 0;
}

struct stress_thread {
	int (*run)(struct stress *stress, int nr);
	int nr;
	struct stress *stress;
	struct task_struct *task;
};

static int run_stress(void *data)
{
	struct stress_thread *thread = data;
	int ret = thread->run(thread->stress, thread->nr);

	/* kthread_stop() must find the thread. */
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);
	return ret;
}

static void run_threads(struct kunit *test, struct stress *stress)
{
	struct stress_thread threads[] = {
		{ stress_fault, 0 }, { stress_fault, 1 }, { stress_punch }, { stress_punch },
		{ stress_error }, { stress_bind },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		threads[i].stress = stress;
		threads[i].task = kthread_run(run_stress, &threads[i], "restrictedmem/%d", i);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		KUNIT_EXPECT_FALSE(test, IS_ERR(threads[i].task));
		if (!IS_ERR(threads[i].task))
			KUNIT_EXPECT_EQ(test, kthread_stop(threads[i].task), 0);
	}
}

static void expect_sane(struct kunit *test, struct mapper *mapper)
{
	mutex_lock(&mapper->lock);
	mapper_check(mapper);
	mutex_unlock(&mapper->lock);
	KUNIT_EXPECT_EQ(test, mapper->wrong, 0);
	KUNIT_EXPECT_EQ(test, mapper->invalidating, 0);
	KUNIT_EXPECT_GT(test, mapper->installed, 0UL);
}

static void test_stress(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct stress *stress = kunit_kzalloc(test, sizeof(*stress), GFP_KERNEL);
	struct mapper *mapper;

	KUNIT_ASSERT_NOT_NULL(test, stress);
	stress->tf = f->tf;
	mapper_init(&stress->guest, f->tf->ri);
	for (mapper = stress->mapper; mapper < stress->mapper + STRESS_GETTERS; mapper++) {
		mapper_init(mapper, f->tf->ri);
		KUNIT_ASSERT_EQ(test, restrictedmem_bind(f->tf->file, 0, TEST_PAGES, TEST_OWNER,
							 &mapper->binding), 0);
	}

	stress->end = jiffies + 2 * HZ;
	run_threads(test, stress);

	expect_sane(test, &stress->guest);
	for (mapper = stress->mapper; mapper < stress->mapper + STRESS_GETTERS; mapper++) {
		expect_sane(test, mapper);
		restrictedmem_unbind(&mapper->binding);
	}
	test_expect_charged(test, f->tf, test_resident(f->tf));
	KUNIT_EXPECT_GT(test, atomic_read(&stress->punches), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&stress->errors), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&stress->binds), 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, TEST_PAGES), 0);
	test_expect_charged(test, f->tf, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&f->tf->ri->poisoned));
}

static struct kunit_case restrictedmem_race_cases[] = {
	KUNIT_CASE(test_get_waits),
	KUNIT_CASE(test_limit_held),
	KUNIT_CASE(test_wait_interrupted),
	KUNIT_CASE(test_wait_stale),
	KUNIT_CASE(test_punch_overlap),
	KUNIT_CASE(test_stress),
	{}
};

static struct kunit_suite restrictedmem_race_suite = {
	.name = "restrictedmem_race",
	.init = restrictedmem_test_init,
	.exit = restrictedmem_test_exit,
	.test_cases = restrictedmem_race_cases,
};
kunit_test_suite(restrictedmem_race_suite);

MODULE_LICENSE("GPL");
