// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of restricted memory: who may bind what, which callbacks a punch and a memory error make
 * and in which order, which pages exist and who pays for them. restrictedmem_race_test.c has what
 * runs at once.
 */
#include <linux/file.h>
#include <linux/falloc.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>

#include "restrictedmem_test.h"

static void test_create(struct kunit *test)
{
	struct file *other = shmem_kernel_file_setup("other", PAGE_SIZE, 0);
	struct test_fixture *f = test->priv;

	KUNIT_ASSERT_FALSE(test, IS_ERR(other));
	KUNIT_EXPECT_TRUE(test, file_is_restrictedmem(f->tf->file));
	KUNIT_EXPECT_FALSE(test, file_is_restrictedmem(other));
	KUNIT_EXPECT_EQ(test, restrictedmem_bind(other, 0, 1, 0, &f->one.binding), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(restrictedmem_file_create(1, 0)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(restrictedmem_file_create(-PAGE_SIZE, 0)), -EINVAL);
	fput(other);
}

/* Nothing that walks the inodes of a super block may find the file. */
static void test_no_list(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	KUNIT_EXPECT_TRUE(test, list_empty(&f->tf->ri->inode.i_sb_list));
	KUNIT_EXPECT_TRUE(test, mapping_unevictable(f->tf->ri->inode.i_mapping));
}

static void test_set_size(struct kunit *test)
{
	struct file *file = restrictedmem_file_create(0, 0);
	struct dentry *dentry;

	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	dentry = file->f_path.dentry;
	KUNIT_EXPECT_EQ(test, do_truncate(&init_user_ns, dentry, 0, 0, file), -EINVAL);
	KUNIT_EXPECT_EQ(test, do_truncate(&init_user_ns, dentry, 1, 0, file), -EINVAL);
	KUNIT_EXPECT_EQ(test, do_truncate(&init_user_ns, dentry, 2 * PAGE_SIZE, 0, file), 0);
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(file)), (loff_t)(2 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, do_truncate(&init_user_ns, dentry, 4 * PAGE_SIZE, 0, file), -EINVAL);
	KUNIT_EXPECT_EQ(test, do_truncate(&init_user_ns, dentry, 2 * PAGE_SIZE, 0, file), -EINVAL);
	KUNIT_EXPECT_EQ(test, do_truncate(&init_user_ns, dentry, 0, 0, file), -EINVAL);
	fput(file);
}

static void test_bind_range(struct kunit *test)
{
	static const struct { pgoff_t start, end; int err; } cases[] = {
		{ 0, 0, -EINVAL },
		{ 5, 5, -EINVAL },
		{ 6, 5, -EINVAL },
		{ 0, TEST_PAGES + 1, -EINVAL },
		{ TEST_PAGES, TEST_PAGES + 1, -EINVAL },
		{ 1, ULONG_MAX, -EINVAL },
		{ ULONG_MAX, 1, -EINVAL },
		{ 0, TEST_PAGES, 0 },
		{ TEST_PAGES - 1, TEST_PAGES, 0 },
	};
	struct test_fixture *f = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_EXPECT_EQ_MSG(test, test_bind(&f->one, cases[i].start, cases[i].end),
				    cases[i].err, "range %u", i);
		test_unbind(&f->one);
	}
}

static void test_bind_overlap(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	test_assert_bind(test, &f->one, 8, 16);
	f->two.binding.domain = f->one.binding.domain;
	KUNIT_EXPECT_EQ(test, test_bind(&f->two, 8, 16), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_bind(&f->two, 0, 9), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_bind(&f->two, 15, 20), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_bind(&f->two, 0, TEST_PAGES), -EINVAL);
	KUNIT_EXPECT_EQ(test, test_bind(&f->two, 0, 8), 0);
	KUNIT_EXPECT_EQ(test, test_bind(&f->three, 0, TEST_PAGES), 0);
	test_unbind(&f->two);
	KUNIT_EXPECT_EQ(test, test_bind(&f->two, 16, 17), 0);
	test_unbind(&f->two);
	test_unbind(&f->one);
	KUNIT_EXPECT_EQ(test, test_bind(&f->two, 0, 9), 0);
}

static void test_bind_owner(struct kunit *test)
{
	struct file *anybody = restrictedmem_file_create(PAGE_SIZE, 0);
	struct test_fixture *f = test->priv;
	struct file *file = f->tf->file;

	KUNIT_ASSERT_FALSE(test, IS_ERR(anybody));
	KUNIT_EXPECT_EQ(test, restrictedmem_bind(file, 0, 1, 0, &f->one.binding), -EINVAL);
	KUNIT_EXPECT_EQ(test, restrictedmem_bind(file, 0, 1, TEST_OWNER + 1, &f->one.binding),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, restrictedmem_bind(file, 0, 1, TEST_OWNER, &f->one.binding), 0);
	KUNIT_EXPECT_EQ(test, restrictedmem_bind(anybody, 0, 1, TEST_OWNER, &f->two.binding), 0);
	KUNIT_EXPECT_EQ(test, restrictedmem_bind(anybody, 0, 1, 0, &f->three.binding), 0);
	fput(anybody);
}

/* The binding keeps the file and its pages, whoever closes it. */
static void test_bind_lifetime(struct kunit *test)
{
	struct file *file = restrictedmem_file_create(PAGE_SIZE, 0);
	struct test_fixture *f = test->priv;

	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	KUNIT_ASSERT_EQ(test, restrictedmem_bind(file, 0, 1, 0, &f->one.binding), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 0), 0);
	fput(file);
	flush_delayed_fput();
	KUNIT_EXPECT_EQ(test, atomic_long_read(&to_restrictedmem(file_inode(file))->nr_pages), 1L);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 0), 0);
}

static bool page_is(struct page *page, int byte)
{
	void *address = kmap_local_page(page);
	bool same = !memchr_inv(address, byte, PAGE_SIZE);

	kunmap_local(address);
	return same;
}

static void dirty_page(struct page *page)
{
	void *address = kmap_local_page(page);

	memset(address, 0xaa, PAGE_SIZE);
	kunmap_local(address);
}

static void test_get_twice(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *first, *second;

	test_assert_bind(test, &f->one, 8, 16);
	KUNIT_ASSERT_EQ(test, restrictedmem_get_page(&f->one.binding, 8, 1, &first), 0);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 1L);
	KUNIT_EXPECT_EQ(test, first->index, 8UL);
	KUNIT_EXPECT_TRUE(test, page_is(first, 0));
	KUNIT_EXPECT_TRUE(test, PageDirty(first));
	KUNIT_EXPECT_TRUE(test, PageUptodate(first));
	KUNIT_EXPECT_FALSE(test, PageLocked(first));

	KUNIT_ASSERT_EQ(test, restrictedmem_get_page(&f->one.binding, 8, 1, &second), 0);
	KUNIT_EXPECT_PTR_EQ(test, first, second);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 1L);
	put_page(first);
	put_page(second);
}

/* What a page held before must not be there when it comes back: each one is zeroed. */
static void test_zeroed_again(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *page;
	int round;

	test_assert_bind(test, &f->one, 0, TEST_PAGES);
	for (round = 0; round < 200; round++) {
		KUNIT_ASSERT_EQ(test, restrictedmem_get_page(&f->one.binding, 3, 1, &page), 0);
		KUNIT_ASSERT_TRUE(test, page_is(page, 0));
		dirty_page(page);
		put_page(page);
		KUNIT_ASSERT_EQ(test, test_punch(f->tf, 3, 4), 0);
	}
}

/* Who prepares is asked until somebody has done it, also for pages that came without a user. */
static void test_prepare(struct kunit *test)
{
	static const struct restrictedmem_ops plain_ops = { };
	struct test_fixture *f = test->priv;

	test_assert_bind(test, &f->one, 0, 8);
	f->two.binding.ops = &plain_ops;
	test_assert_bind(test, &f->two, 0, 8);

	KUNIT_ASSERT_EQ(test, test_populate(f->tf, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->two, 0), 0);
	TEST_EXPECT_NR_EVENTS(test, f->tf, 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 0), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 0), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 5), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 5), 0);
	TEST_EXPECT_NR_EVENTS(test, f->tf, 2);
	TEST_EXPECT_EVENT(test, f->tf, 0, TEST_PREPARE, 1, 0, 1);
	TEST_EXPECT_EVENT(test, f->tf, 1, TEST_PREPARE, 1, 5, 6);
	test_unbind(&f->two);
}

/* Each user sees its part of the range, and its page numbers are the file's. */
static void test_punch_clamped(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	test_assert_bind(test, &f->one, 2, 10);
	test_assert_bind(test, &f->two, 8, 20);
	test_assert_bind(test, &f->three, 9, 20);
	f->two.flush = NULL;
	KUNIT_ASSERT_EQ(test, test_populate(f->tf, 0, TEST_PAGES), 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, 9), 0);

	TEST_EXPECT_NR_EVENTS(test, f->tf, 5);
	TEST_EXPECT_EVENT(test, f->tf, 0, TEST_START, 1, 2, 9);
	TEST_EXPECT_EVENT(test, f->tf, 1, TEST_START, 2, 8, 9);
	TEST_EXPECT_EVENT(test, f->tf, 2, TEST_END, 1, 2, 9);
	TEST_EXPECT_EVENT(test, f->tf, 3, TEST_END, 2, 8, 9);
	TEST_EXPECT_EVENT(test, f->tf, 4, TEST_FLUSH, 1, 0, 0);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), (long)TEST_PAGES - 9);
	KUNIT_EXPECT_FALSE(test, xa_load(&f->tf->ri->inode.i_mapping->i_pages, 8));
	KUNIT_EXPECT_TRUE(test, xa_load(&f->tf->ri->inode.i_mapping->i_pages, 9));
}

/* First nobody uses the pages, then each flush runs once, then they go. */
static void test_punch_order(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	int i;

	test_assert_bind(test, &f->one, 0, 4);
	test_assert_bind(test, &f->two, 4, 8);
	test_assert_bind(test, &f->three, 0, 8);
	KUNIT_ASSERT_EQ(test, test_populate(f->tf, 0, 8), 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, 8), 0);

	TEST_EXPECT_NR_EVENTS(test, f->tf, 8);
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, f->tf->events[i].resident, 8L);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, (int)f->tf->events[i].kind, (int)TEST_START);
	for (i = 3; i < 6; i++)
		KUNIT_EXPECT_EQ(test, (int)f->tf->events[i].kind, (int)TEST_END);
	KUNIT_EXPECT_EQ(test, f->tf->events[6].id + f->tf->events[7].id, 3);
	KUNIT_EXPECT_EQ(test, (int)f->tf->events[6].kind, (int)TEST_FLUSH);
	KUNIT_EXPECT_EQ(test, (int)f->tf->events[7].kind, (int)TEST_FLUSH);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 0L);
}

static void test_punch_nothing(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	test_assert_bind(test, &f->one, 0, TEST_PAGES);
	KUNIT_ASSERT_EQ(test, test_get(&f->one, 0), 0);
	atomic_set(&f->tf->nr_events, 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 1, TEST_PAGES), 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, TEST_PAGES, TEST_PAGES + 5), 0);
	TEST_EXPECT_NR_EVENTS(test, f->tf, 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, ULONG_MAX >> (PAGE_SHIFT + 1)), 0);
	TEST_EXPECT_NR_EVENTS(test, f->tf, 3);
	TEST_EXPECT_EVENT(test, f->tf, 0, TEST_START, 1, 0, TEST_PAGES);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 0L);
}

/* A killed process gives nothing back, and calls nobody. */
static void test_punch_killed(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	test_assert_bind(test, &f->one, 0, 8);
	KUNIT_ASSERT_EQ(test, test_populate(f->tf, 0, 8), 0);
	allow_signal(SIGKILL);
	send_sig(SIGKILL, current, 1);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, 8), -EINTR);
	flush_signals(current);
	disallow_signal(SIGKILL);

	TEST_EXPECT_NR_EVENTS(test, f->tf, 0);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 8L);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->tf->ri->punches));
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, 8), 0);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 0L);
}

static void test_stale(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	test_assert_bind(test, &f->one, 0, 8);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 0), 0);
	f->one.stale = true;
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 1), -EAGAIN);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 1L);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&f->tf->user->locked_vm), 1L);
	/* What is there is not asked about. */
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 0), 0);
	f->one.stale = false;
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 1), 0);
}

static void test_fallocate_errors(struct kunit *test)
{
	static const struct { int mode; loff_t offset, len; int err; } cases[] = {
		{ 0, 0, PAGE_SIZE, -EOPNOTSUPP },
		{ FALLOC_FL_PUNCH_HOLE, 0, PAGE_SIZE, -EOPNOTSUPP },
		{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE, -EOPNOTSUPP },
		{ FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE, -EOPNOTSUPP },
		{ FALLOC_FL_KEEP_SIZE, 1, PAGE_SIZE, -EINVAL },
		{ FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE - 1, -EINVAL },
		{ FALLOC_FL_KEEP_SIZE, 0, 0, -EINVAL },
		{ FALLOC_FL_KEEP_SIZE, 0, (TEST_PAGES + 1) * PAGE_SIZE, -EINVAL },
		{ FALLOC_FL_KEEP_SIZE, TEST_PAGES * PAGE_SIZE, PAGE_SIZE, -EINVAL },
		{ FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 1, -EINVAL },
		{ FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 1, PAGE_SIZE, -EINVAL },
	};
	struct test_fixture *f = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, vfs_fallocate(f->tf->file, cases[i].mode, cases[i].offset,
							cases[i].len), cases[i].err, "case %u", i);
	KUNIT_EXPECT_EQ(test, test_resident(f->tf), 0L);
}

static void test_charges(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	test_assert_bind(test, &f->one, 0, TEST_PAGES);
	KUNIT_EXPECT_EQ(test, test_populate(f->tf, 0, 10), 0);
	test_expect_charged(test, f->tf, 10);
	KUNIT_EXPECT_EQ(test, test_populate(f->tf, 5, 15), 0);
	test_expect_charged(test, f->tf, 15);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 20), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 20), 0);
	test_expect_charged(test, f->tf, 16);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 14, 21), 0);
	test_expect_charged(test, f->tf, 14);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 14, 21), 0);
	test_expect_charged(test, f->tf, 14);
}

static void test_limit(struct kunit *test)
{
	struct test_fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, test_populate_limited(f->tf, 4, 4, false), 0);
	test_expect_charged(test, f->tf, 4);
	KUNIT_EXPECT_EQ(test, test_populate_limited(f->tf, 8, 5, false), -EDQUOT);
	test_expect_charged(test, f->tf, 5);
	KUNIT_EXPECT_EQ(test, test_populate_limited(f->tf, 8, 5, true), 0);
	test_expect_charged(test, f->tf, 8);
	/* Pages that are there cost nothing, however low the limit is now. */
	KUNIT_EXPECT_EQ(test, test_populate_limited(f->tf, 8, 0, false), 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, test_populate_limited(f->tf, 2, 7, false), -EDQUOT);
	test_expect_charged(test, f->tf, 7);
}

static struct kunit_case restrictedmem_cases[] = {
	KUNIT_CASE(test_create),
	KUNIT_CASE(test_no_list),
	KUNIT_CASE(test_set_size),
	KUNIT_CASE(test_bind_range),
	KUNIT_CASE(test_bind_overlap),
	KUNIT_CASE(test_bind_owner),
	KUNIT_CASE(test_bind_lifetime),
	KUNIT_CASE(test_get_twice),
	KUNIT_CASE(test_zeroed_again),
	KUNIT_CASE(test_prepare),
	KUNIT_CASE(test_punch_clamped),
	KUNIT_CASE(test_punch_order),
	KUNIT_CASE(test_punch_nothing),
	KUNIT_CASE(test_punch_killed),
	KUNIT_CASE(test_stale),
	KUNIT_CASE(test_fallocate_errors),
	KUNIT_CASE(test_charges),
	KUNIT_CASE(test_limit),
	{}
};

static struct kunit_suite restrictedmem_suite = {
	.name = "restrictedmem",
	.init = restrictedmem_test_init,
	.exit = restrictedmem_test_exit,
	.test_cases = restrictedmem_cases,
};
kunit_test_suite(restrictedmem_suite);

MODULE_LICENSE("GPL");
