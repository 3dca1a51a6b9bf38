/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Restricted memory, the fixture of its tests: a file that belongs to a user of its own, and users
 * that record which of their callbacks ran, in which order.
 */
#ifndef __MM_RESTRICTEDMEM_TEST_H
#define __MM_RESTRICTEDMEM_TEST_H

#include <kunit/test.h>

#include "restrictedmem.h"

#define TEST_PAGES	64
#define TEST_EVENTS	32
#define TEST_OWNER	7
#define TEST_UID	61234

enum test_event_kind { TEST_START, TEST_END, TEST_FLUSH, TEST_ERROR, TEST_PREPARE };

struct test_event {
	enum test_event_kind kind;
	/* Of the binding, or of the flush function. */
	int id;
	pgoff_t start;
	pgoff_t end;
	/* Pages in the file at that time. */
	long resident;
};

struct test_file {
	struct file *file;
	struct restrictedmem_inode *ri;
	struct user_struct *user;
	atomic_t nr_events;
	struct test_event events[TEST_EVENTS];
};

/* A user of restricted memory that uses nothing. */
struct test_user {
	struct restrictedmem_binding binding;
	struct test_file *tf;
	int id;
	bool stale;
	restrictedmem_flush_t flush;
	/* Optional: invalidate_start says that it is there, and waits to be let go. */
	struct completion *entered;
	struct completion *leave;
};

/* What each test has. The users are not bound; the first two share a flush function. */
struct test_fixture {
	struct test_file *tf;
	struct test_user one;
	struct test_user two;
	struct test_user three;
};

int restrictedmem_test_init(struct kunit *test);
void restrictedmem_test_exit(struct kunit *test);

int test_bind(struct test_user *user, pgoff_t start, pgoff_t end);
void test_assert_bind(struct kunit *test, struct test_user *user, pgoff_t start, pgoff_t end);
void test_unbind(struct test_user *user);
int test_get(struct test_user *user, pgoff_t index);
int test_punch(struct test_file *tf, pgoff_t start, pgoff_t end);
int test_populate(struct test_file *tf, pgoff_t start, pgoff_t end);
int test_populate_limited(struct test_file *tf, pgoff_t end, unsigned long pages, bool capable);
long test_resident(struct test_file *tf);
void test_expect_charged(struct kunit *test, struct test_file *tf, long pages);

/* The @n-th event is this one. */
#define TEST_EXPECT_EVENT(test, tf, n, _kind, _id, _start, _end)				\
	do {											\
		KUNIT_EXPECT_EQ(test, (int)(tf)->events[n].kind, (int)(_kind));			\
		KUNIT_EXPECT_EQ(test, (tf)->events[n].id, _id);					\
		KUNIT_EXPECT_EQ(test, (tf)->events[n].start, (pgoff_t)(_start));		\
		KUNIT_EXPECT_EQ(test, (tf)->events[n].end, (pgoff_t)(_end));			\
	} while (0)

#define TEST_EXPECT_NR_EVENTS(test, tf, n)							\
	KUNIT_EXPECT_EQ(test, atomic_read(&(tf)->nr_events), n)

#endif /* __MM_RESTRICTEDMEM_TEST_H */
