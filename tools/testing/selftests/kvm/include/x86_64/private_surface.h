/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls on the address of a guest's page. The VMM has the page's shared half in its mapping; other
 * system calls, the VMM's own or somebody else's, copy from there or to it, pin the page that is
 * there, or decide what will be there. None of them may ever see the private half, change it, or
 * keep a page that becomes the guest's again.
 *
 * A test is a call in a situation: the page private, shared, private with nothing mapped, or
 * converted all the time while the call is made again and again; or a page that a call holds over
 * a conversion.
 *
 * Words of the page tell whose they are, and of which round. Checks return NULL, or what is wrong.
 *
 * Locking: the vCPU and the conversions are the test's thread's, but in surface_check_race() those
 * of a thread that this starts. Nothing else is written by both but what is atomic. Lifetime:
 * surface_open() to surface_close(), in a memory cgroup of its own; surface_check_charges() is for
 * a process that comes after them.
 */
#ifndef SELFTEST_KVM_PRIVATE_SURFACE_H
#define SELFTEST_KVM_PRIVATE_SURFACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "private_vm.h"

#define SURFACE_SIZE	(2 * PVM_MIB)
/* The page, in the middle of others. */
#define SURFACE_PAGE	7
#define SURFACE_WORDS	(PVM_PAGE / sizeof(uint64_t))
/* Conversions there and back of a race. */
#define SURFACE_ROUNDS	64

/* What the VMM's mapping is made of, and so how it is discarded. */
enum surface_backing {
	SURFACE_ANONYMOUS,
	SURFACE_HUGE,
	SURFACE_SHMEM,
};

/* Whose a word is. */
enum surface_kind {
	SURFACE_PRIVATE = 0x1111,	/* the guest's, written while private */
	SURFACE_SHARED = 0x2222,	/* the guest's, written while shared */
	SURFACE_CALLER = 0x3333,	/* the call's */
};

struct surface;

struct surface_call {
	const char *name;
	/* Before the VM exists, and when all is over. Either may be missing. */
	int (*start)(struct surface *s);
	void (*stop)(struct surface *s);
	/* After the VM exists. */
	int (*attach)(struct surface *s);
	/*
	 * Bring s->page to s->seen, or s->given to s->page; the bytes, or a negative error. Without
	 * a mapping the error is "unmapped"; against conversions those of "busy" may come as well.
	 */
	long (*call)(struct surface *s);
	int unmapped;
	int busy[2];
	bool writes;
	/* The page of the first call is the one of all further ones, whatever the address has. */
	bool holds;
	/* In a race, before the guest looks at a page that was just made shared. */
	void (*before_look)(struct surface *s);
	/*
	 * Hold the page, so that what happens to the address does not matter; let go after a call.
	 */
	int (*take)(struct surface *s);
	long (*finish)(struct surface *s);
};

struct surface {
	struct pvm vm;
	const struct surface_call *call;
	bool open;
	int fd;				/* the private half */
	int shmem;			/* of the shared half, or -1 */
	bool huge;
	uint8_t *hva;
	uint64_t *page;			/* the page's address in it */
	uint64_t *seen, *given;		/* a page each */
	uint64_t guest[SURFACE_WORDS];	/* what the guest has seen */
	unsigned int nr_given;

	pthread_t converter;
	atomic_bool is_private;
	atomic_uint phase;		/* 0: changing; or the round, and what the page is */
	atomic_ulong calls;
	atomic_bool done;
	unsigned long in_private, in_shared;	/* calls that no conversion met */
	unsigned long in_change;		/* calls that one did */
	unsigned long collapsed;		/* times that the memory became a huge page */

	atomic_flag failing;
	char why[200];
};

#define SURFACE_IS_PRIVATE	1u
#define SURFACE_IS_SHARED	2u
#define SURFACE_IS		3u

/* @test names the cgroup, with the call's name. 0, or a negative error. */
int surface_open(struct surface *s, const struct surface_call *call, const char *test,
		 enum surface_backing backing);
void surface_close(struct surface *s);

/* Note what is wrong, unless something has been before; returns what is. */
const char *surface_fail(struct surface *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
const char *surface_failed(struct surface *s);

/* Word @i of a page. */
uint64_t surface_word(enum surface_kind kind, unsigned int round, size_t i);
/* The state first, then the half that is no longer used is given back. */
const char *surface_convert(struct surface *s, bool private);
/* The guest fills its page with words of a kind and a round. */
const char *surface_fill(struct surface *s, enum surface_kind kind, unsigned int round);
/* The guest's page, into s->guest. */
const char *surface_look(struct surface *s);
/* The guest's page holds these words, and no others; zeroes if it is a fresh page. */
const char *surface_guest_has(struct surface *s, enum surface_kind kind, unsigned int round);
const char *surface_guest_has_zeroes(struct surface *s);
/* New words for s->given. */
void surface_give(struct surface *s);

const char *surface_check_private(struct surface *s);
const char *surface_check_shared(struct surface *s);
const char *surface_check_unmapped(struct surface *s);
const char *surface_check_race(struct surface *s);
/* The call holds the page when it becomes private, and with @back until it is shared again. */
const char *surface_check_held(struct surface *s, bool back);

/* Nothing is charged any more for what tests did that have ended. */
const char *surface_check_charges(struct surface *s);

/* All of a test whose fixture has the surface as "s", and its variant the call. */
#define SURFACE_TEST(test, backing, check, ...) do {					\
	ASSERT_EQ(0, surface_open(&self->s, &variant->call, test, backing));		\
	EXPECT_EQ(NULL, check(&self->s, ##__VA_ARGS__)) TH_LOG("%s", self->s.why);	\
} while (0)

/* The checks of a list, word by word; for private_surface*.c. */
const char *surface_all_are(struct surface *s, const char *whose, const uint64_t *words,
			    enum surface_kind kind, unsigned int round);
const char *surface_all_zero(struct surface *s, const char *whose, const uint64_t *words);

#endif /* SELFTEST_KVM_PRIVATE_SURFACE_H */
