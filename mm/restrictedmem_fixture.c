// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restricted memory, the fixture of its tests.
 *
 * Locking: a test runs alone: the functions that flush have no argument, and find the file in a
 * variable.
 */
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>

#include "restrictedmem_test.h"

static struct test_file *current_file;

/* Counted by the page cache. The other counters must agree when nobody changes them. */
long test_resident(struct test_file *tf)
{
	return READ_ONCE(tf->ri->inode.i_mapping->nrpages);
}

static void record(struct test_file *tf, enum test_event_kind kind, int id, pgoff_t start,
		   pgoff_t end)
{
	int n = atomic_fetch_inc(&tf->nr_events);

	if (n < TEST_EVENTS)
		tf->events[n] = (struct test_event) {
			.kind = kind, .id = id, .start = start, .end = end,
			.resident = test_resident(tf),
		};
}

static void flush_one(void)
{
	record(current_file, TEST_FLUSH, 1, 0, 0);
}

static void flush_two(void)
{
	record(current_file, TEST_FLUSH, 2, 0, 0);
}

static struct test_user *to_user(struct restrictedmem_binding *binding)
{
	return container_of(binding, struct test_user, binding);
}

static void user_start(struct restrictedmem_binding *binding, pgoff_t start, pgoff_t end)
{
	struct test_user *user = to_user(binding);

	record(user->tf, TEST_START, user->id, start, end);
	if (!user->entered)
		return;
	complete(user->entered);
	wait_for_completion(user->leave);
}

static void user_end(struct restrictedmem_binding *binding, pgoff_t start, pgoff_t end)
{
	struct test_user *user = to_user(binding);

	record(user->tf, TEST_END, user->id, start, end);
}

static restrictedmem_flush_t user_reclaim(struct restrictedmem_binding *binding)
{
	return to_user(binding)->flush;
}

static void user_error(struct restrictedmem_binding *binding, pgoff_t index)
{
	struct test_user *user = to_user(binding);

	record(user->tf, TEST_ERROR, user->id, index, index + 1);
}

static void user_prepare(struct restrictedmem_binding *binding, struct page *page)
{
	struct test_user *user = to_user(binding);

	record(user->tf, TEST_PREPARE, user->id, page->index, page->index + 1);
}

/* The cookie is in use when it is 1. */
static bool user_stale(struct restrictedmem_binding *binding, unsigned long cookie)
{
	return to_user(binding)->stale && cookie;
}

static const struct restrictedmem_ops test_user_ops = {
	.invalidate_start	= user_start,
	.invalidate_end		= user_end,
	.reclaim		= user_reclaim,
	.error			= user_error,
	.prepare		= user_prepare,
	.stale			= user_stale,
};

/* A file whose pages are counted for a user who has nothing else. */
static struct file *create_file(void)
{
	struct user_struct *user = alloc_uid(KUIDT_INIT(TEST_UID));
	struct cred *cred = prepare_creds();
	const struct cred *old;
	struct file *file;

	if (!cred || !user)
		return ERR_PTR(-ENOMEM);

	free_uid(cred->user);
	cred->user = user;
	old = override_creds(cred);
	file = restrictedmem_file_create(TEST_PAGES * PAGE_SIZE, TEST_OWNER);
	revert_creds(old);
	put_cred(cred);
	return file;
}

static struct test_file *create_test_file(struct kunit *test)
{
	struct test_file *tf = kunit_kzalloc(test, sizeof(*tf), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, tf);
	tf->file = create_file();
	KUNIT_ASSERT_FALSE(test, IS_ERR(tf->file));
	tf->ri = to_restrictedmem(file_inode(tf->file));
	tf->user = get_uid(tf->ri->user);
	test_expect_charged(test, tf, 0);
	current_file = tf;
	return tf;
}

/* With the last reference, every page goes and every charge. */
static void destroy_test_file(struct kunit *test, struct test_file *tf)
{
	fput(tf->file);
	flush_delayed_fput();
	KUNIT_EXPECT_EQ(test, atomic_long_read(&tf->user->locked_vm), 0L);
	free_uid(tf->user);
	current_file = NULL;
}

static void init_user(struct test_file *tf, struct test_user *user, int id,
		      restrictedmem_flush_t flush)
{
	user->tf = tf;
	user->id = id;
	user->flush = flush;
	user->binding.ops = &test_user_ops;
	user->binding.domain = user;
}

int restrictedmem_test_init(struct kunit *test)
{
	struct test_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->tf = create_test_file(test);
	init_user(f->tf, &f->one, 1, flush_one);
	init_user(f->tf, &f->two, 2, flush_one);
	init_user(f->tf, &f->three, 3, flush_two);
	test->priv = f;
	return 0;
}

void restrictedmem_test_exit(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	if (!f)
		return;
	test_unbind(&f->one);
	test_unbind(&f->two);
	test_unbind(&f->three);
	destroy_test_file(test, f->tf);
}

int test_bind(struct test_user *user, pgoff_t start, pgoff_t end)
{
	return restrictedmem_bind(user->tf->file, start, end, TEST_OWNER, &user->binding);
}

void test_assert_bind(struct kunit *test, struct test_user *user, pgoff_t start, pgoff_t end)
{
	KUNIT_ASSERT_EQ(test, test_bind(user, start, end), 0);
}

void test_unbind(struct test_user *user)
{
	if (user->binding.file)
		restrictedmem_unbind(&user->binding);
}

/* The page cache, the file and its payer count the same. */
void test_expect_charged(struct kunit *test, struct test_file *tf, long pages)
{
	KUNIT_EXPECT_EQ(test, test_resident(tf), pages);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&tf->ri->nr_pages), pages);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&tf->user->locked_vm), pages);
}

int test_get(struct test_user *user, pgoff_t index)
{
	struct page *page;
	int err;

	err = restrictedmem_get_page(&user->binding, index, 1, &page);
	if (!err)
		put_page(page);
	return err;
}

int test_punch(struct test_file *tf, pgoff_t start, pgoff_t end)
{
	return vfs_fallocate(tf->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     (loff_t)start << PAGE_SHIFT, (loff_t)(end - start) << PAGE_SHIFT);
}

int test_populate(struct test_file *tf, pgoff_t start, pgoff_t end)
{
	return vfs_fallocate(tf->file, FALLOC_FL_KEEP_SIZE,
			     (loff_t)start << PAGE_SHIFT, (loff_t)(end - start) << PAGE_SHIFT);
}

/* As a task with a limit of @pages, with or without the right to exceed it. */
int test_populate_limited(struct test_file *tf, pgoff_t end, unsigned long pages, bool capable)
{
	struct rlimit *limit = &current->signal->rlim[RLIMIT_MEMLOCK];
	struct cred *cred = prepare_creds();
	struct rlimit saved = *limit;
	const struct cred *old;
	int err;

	if (!cred)
		return -ENOMEM;
	if (!capable)
		cap_lower(cred->cap_effective, CAP_IPC_LOCK);
	old = override_creds(cred);
	limit->rlim_cur = pages << PAGE_SHIFT;
	err = test_populate(tf, 0, end);
	*limit = saved;
	revert_creds(old);
	put_cred(cred);
	return err;
}
