// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of restricted memory: pages with memory errors. memory_failure() itself comes, for a page
 * that is told to be broken; afterwards the page is given back.
 */
#include <linux/mm.h>

#include "restrictedmem_test.h"

/* The page at @index, populated, without a reference. */
static struct page *page_at(struct kunit *test, struct test_file *tf, pgoff_t index)
{
	struct page *page;

	KUNIT_ASSERT_EQ(test, test_populate(tf, index, index + 1), 0);
	page = xa_load(&tf->ri->inode.i_mapping->i_pages, index);
	KUNIT_ASSERT_NOT_NULL(test, page);
	return page;
}

static int break_page(struct page *page)
{
	return memory_failure(page_to_pfn(page), MF_SW_SIMULATED);
}

static void mend_page(struct kunit *test, struct page *page)
{
	KUNIT_EXPECT_EQ(test, unpoison_memory(page_to_pfn(page)), 0);
}

/* Recovered: the page is gone, users know, nobody is killed; and there is no page in its place. */
static void test_error_order(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *page = page_at(test, f->tf, 3);

	test_assert_bind(test, &f->one, 2, 8);
	test_assert_bind(test, &f->two, 4, 8);
	KUNIT_EXPECT_EQ(test, break_page(page), 0);

	TEST_EXPECT_NR_EVENTS(test, f->tf, 4);
	TEST_EXPECT_EVENT(test, f->tf, 0, TEST_START, 1, 3, 4);
	TEST_EXPECT_EVENT(test, f->tf, 1, TEST_ERROR, 1, 3, 4);
	TEST_EXPECT_EVENT(test, f->tf, 2, TEST_FLUSH, 1, 0, 0);
	TEST_EXPECT_EVENT(test, f->tf, 3, TEST_END, 1, 3, 4);
	KUNIT_EXPECT_EQ(test, f->tf->events[1].resident, 1L);
	KUNIT_EXPECT_EQ(test, f->tf->events[2].resident, 0L);
	test_expect_charged(test, f->tf, 0);

	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, test_populate(f->tf, 3, 4), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 2), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 4), 0);
	test_expect_charged(test, f->tf, 2);
	mend_page(test, page);
}

/* Mending the memory does not bring the content back: the index stays lost until it is given up. */
static void test_error_forgotten(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *page = page_at(test, f->tf, 3);

	test_assert_bind(test, &f->one, 0, 8);
	KUNIT_EXPECT_EQ(test, break_page(page), 0);
	mend_page(test, page);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 0, 3), 0);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 4, 8), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, test_punch(f->tf, 3, 4), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), 0);
	test_expect_charged(test, f->tf, 1);
}

/* While the error is handled, or if it cannot be, the flag of the page keeps it from users. */
static void test_error_flag(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *page = page_at(test, f->tf, 3);

	test_assert_bind(test, &f->one, 0, 8);
	SetPageHWPoison(page);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), -EHWPOISON);
	ClearPageHWPoison(page);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), 0);
	test_expect_charged(test, f->tf, 1);
}

/*
 * A page that came where an error has taken another one: its getter is about to take it out again, and
 * nobody else may use it meanwhile.
 */
static void test_error_second_page(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct xarray *poisoned = &f->tf->ri->poisoned;

	page_at(test, f->tf, 3);
	test_assert_bind(test, &f->one, 0, 8);
	KUNIT_ASSERT_EQ(test, xa_err(xa_store(poisoned, 3, xa_mk_value(1), GFP_KERNEL)), 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, test_populate(f->tf, 3, 4), -EHWPOISON);
	xa_erase(poisoned, 3);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), 0);
	test_expect_charged(test, f->tf, 1);
}

/* Whoever holds a reference keeps memory_failure() from saying that it recovered, and no more. */
static void test_error_referenced(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *page = page_at(test, f->tf, 3);

	test_assert_bind(test, &f->one, 0, 8);
	get_page(page);
	KUNIT_EXPECT_EQ(test, break_page(page), -EBUSY);
	test_expect_charged(test, f->tf, 0);
	KUNIT_EXPECT_EQ(test, test_get(&f->one, 3), -EHWPOISON);
	put_page(page);
	mend_page(test, page);
}

/* The file is being released: there is nobody to tell. */
static void test_error_no_file(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *page = page_at(test, f->tf, 3);

	RCU_INIT_POINTER(f->tf->ri->file, NULL);
	KUNIT_EXPECT_EQ(test, break_page(page), 0);
	rcu_assign_pointer(f->tf->ri->file, f->tf->file);
	test_expect_charged(test, f->tf, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&f->tf->ri->poisoned));
	mend_page(test, page);
}

/* Soft offline finds a page that it can neither move nor drop. */
static void test_soft_offline(struct kunit *test)
{
	struct test_fixture *f = test->priv;
	struct page *page = page_at(test, f->tf, 3);

	test_assert_bind(test, &f->one, 0, 8);
	KUNIT_EXPECT_NE(test, soft_offline_page(page_to_pfn(page), 0), 0);
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&f->tf->ri->inode.i_mapping->i_pages, 3), (void *)page);
	TEST_EXPECT_NR_EVENTS(test, f->tf, 0);
	test_expect_charged(test, f->tf, 1);
}

static struct kunit_case restrictedmem_error_cases[] = {
	KUNIT_CASE(test_error_order),
	KUNIT_CASE(test_error_forgotten),
	KUNIT_CASE(test_error_flag),
	KUNIT_CASE(test_error_second_page),
	KUNIT_CASE(test_error_referenced),
	KUNIT_CASE(test_error_no_file),
	KUNIT_CASE(test_soft_offline),
	{}
};

static struct kunit_suite restrictedmem_error_suite = {
	.name = "restrictedmem_error",
	.init = restrictedmem_test_init,
	.exit = restrictedmem_test_exit,
	.test_cases = restrictedmem_error_cases,
};
kunit_test_suite(restrictedmem_error_suite);

MODULE_LICENSE("GPL");
