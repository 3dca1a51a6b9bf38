// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls on the address of a guest's page: what must hold of each of them, page private, page
 * shared, and between. See private_surface.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private_surface.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#define COLLAPSE_TRIES	4

/* A call that nothing disturbs moves the whole page. */
static const char *call_moves_a_page(struct surface *s, long (*call)(struct surface *s))
{
	long ret;

	memset(s->seen, 0xee, PVM_PAGE);
	ret = call(s);
	return ret == (long)PVM_PAGE ? NULL : surface_fail(s, "the call gave %ld", ret);
}

static const char *file_has(struct surface *s, long pages)
{
	long now = pvm_file_pages(s->fd);

	if (now != pages)
		return surface_fail(s, "the file has %ld pages instead of %ld", now, pages);
	return NULL;
}

static const char *same_words(struct surface *s, const char *whose, const uint64_t *words,
			      const uint64_t *expected)
{
	for (size_t i = 0; i < SURFACE_WORDS; i++)
		if (words[i] != expected[i])
			return surface_fail(s, "%s: word %zu is %#lx instead of %#lx", whose, i,
					    words[i], expected[i]);
	return NULL;
}

static const char *private_page_is_intact(struct surface *s, unsigned int round)
{
	return surface_guest_has(s, SURFACE_PRIVATE, round) ?: file_has(s, 1);
}

/* Private, with the VMM's page discarded. */
static const char *make_private(struct surface *s, unsigned int round)
{
	return surface_convert(s, true) ?:
	       surface_guest_has_zeroes(s) ?:
	       surface_fill(s, SURFACE_PRIVATE, round);
}

static const char *make_shared(struct surface *s, unsigned int round)
{
	return surface_convert(s, false) ?:
	       file_has(s, 0) ?:
	       surface_guest_has_zeroes(s) ?:
	       surface_fill(s, SURFACE_SHARED, round);
}

/*
 * The call sees, or changes, the VMM's page: a fresh one, which is not the guest's. It is when the
 * guest shares its page.
 */
const char *surface_check_private(struct surface *s)
{
	const struct surface_call *c = s->call;

	if (surface_fill(s, SURFACE_SHARED, 1) || make_private(s, 2) ||
	    call_moves_a_page(s, c->call))
		return s->why;
	if (!c->writes)
		return surface_all_zero(s, "what the call saw", s->seen) ?:
		       private_page_is_intact(s, 2) ?: make_shared(s, 3);
	return same_words(s, "the VMM's page", s->page, s->given) ?:
	       private_page_is_intact(s, 2) ?: surface_convert(s, false) ?:
	       surface_look(s) ?: same_words(s, "the shared page", s->guest, s->given);
}

/* It is no accident that nothing was seen: the same call finds, or changes, a shared page. */
const char *surface_check_shared(struct surface *s)
{
	if (surface_fill(s, SURFACE_SHARED, 1) || call_moves_a_page(s, s->call->call))
		return s->why;
	if (!s->call->writes)
		return surface_all_are(s, "what the call saw", s->seen, SURFACE_SHARED, 1) ?:
		       surface_guest_has(s, SURFACE_SHARED, 1);
	return surface_look(s) ?: same_words(s, "the guest's page", s->guest, s->given);
}

/* A VMM that never shares the page need not map it: there is no other way to the private half. */
const char *surface_check_unmapped(struct surface *s)
{
	long ret;

	if (make_private(s, 1))
		return s->why;
	if (munmap(s->hva, SURFACE_SIZE))
		return surface_fail(s, "munmap: %s", strerror(errno));
	ret = s->call->call(s);
	if (ret != -s->call->unmapped)
		return surface_fail(s, "the call gave %ld instead of %d", ret, -s->call->unmapped);
	return private_page_is_intact(s, 1);
}

/*
 * What is held is the old page, and stays what it was, or gets what comes: nothing of it is the
 * guest's.
 */
const char *surface_check_held(struct surface *s, bool back)
{
	const struct surface_call *c = s->call;
	int ret;

	if (surface_fill(s, SURFACE_SHARED, 1))
		return s->why;
	ret = c->take(s);
	if (ret)
		return surface_fail(s, "taking the page: %d", ret);
	if (make_private(s, 2) || (back && make_shared(s, 3)) || call_moves_a_page(s, c->finish))
		return s->why;
	if (!c->writes)
		surface_all_are(s, "what the call saw", s->seen, SURFACE_SHARED, 1);
	if (back)
		return surface_failed(s) ?: surface_guest_has(s, SURFACE_SHARED, 3) ?:
		       make_private(s, 4);
	return surface_failed(s) ?: private_page_is_intact(s, 2) ?: make_shared(s, 4);
}

/*
 * Words of a kind and round, or zeroes for none; or, where calls write to the address, words of
 * theirs.
 */
static const char *guest_has_or_call_wrote(struct surface *s, enum surface_kind kind,
					   unsigned int round)
{
	const bool foreign = s->call->writes && !s->call->holds;

	if (surface_look(s))
		return s->why;
	for (size_t i = 0; i < SURFACE_WORDS; i++) {
		uint64_t word = s->guest[i];

		if (word != (kind ? surface_word(kind, round, i) : 0) &&
		    !(foreign && word >> 48 == SURFACE_CALLER))
			return surface_fail(s, "the %s shared page: word %zu is %#lx in round %u",
					    kind ? "filled" : "fresh", i, word, round);
	}
	return NULL;
}

/*
 * In half of the rounds, let a call begin and end while nothing changes. In the others none or a
 * part of one fits in between.
 */
static void let_calls_run(struct surface *s, unsigned int round)
{
	unsigned long end = s->calls + 2;

	if (round % 2)
		usleep(round * 37 % 200);
	while (!(round % 2) && s->calls < end && !surface_failed(s))
		usleep(50);
}

/*
 * Its page becomes part of a huge one again, or what was there a copy of it. A page that a call has
 * at the moment prevents that.
 */
static void make_huge(struct surface *s, unsigned int round)
{
	int ret = -1;

	if (!s->huge || !(round % 2))
		return;
	for (int i = 0; ret && i < COLLAPSE_TRIES; i++) {
		ret = madvise(s->hva, SURFACE_SIZE, MADV_COLLAPSE);
		if (ret)
			usleep(20);
	}
	s->collapsed += !ret;
}

static const char *private_phase(struct surface *s, unsigned int round)
{
	if (surface_convert(s, true) || surface_guest_has_zeroes(s) ||
	    surface_fill(s, SURFACE_PRIVATE, round))
		return s->why;
	s->phase = round << 2 | SURFACE_IS_PRIVATE;
	make_huge(s, round);
	let_calls_run(s, round);
	/* The guest writes again what is there, against the calls. */
	if (surface_fill(s, SURFACE_PRIVATE, round) || private_page_is_intact(s, round))
		return s->why;
	s->phase = 0;
	return NULL;
}

static const char *shared_phase(struct surface *s, unsigned int round)
{
	if (surface_convert(s, false) || file_has(s, 0))
		return s->why;
	if (s->call->before_look)
		s->call->before_look(s);
	if (guest_has_or_call_wrote(s, 0, round) ||
	    surface_fill(s, SURFACE_SHARED, round))
		return s->why;
	s->phase = round << 2 | SURFACE_IS_SHARED;
	make_huge(s, round);
	let_calls_run(s, round);
	if (guest_has_or_call_wrote(s, SURFACE_SHARED, round))
		return s->why;
	s->phase = 0;
	return NULL;
}

static void *convert_all_the_time(void *data)
{
	struct surface *s = data;
	unsigned int round;

	for (round = 1; round <= SURFACE_ROUNDS && !surface_failed(s); round++)
		if (private_phase(s, round) || shared_phase(s, round))
			break;
	s->done = true;
	return NULL;
}

/*
 * Of two states, or while it changed: a page of zeroes, or anything that is not the private
 * half's.
 */
static const char *saw_nothing_private(struct surface *s)
{
	for (size_t i = 0; i < SURFACE_WORDS; i++)
		if (s->seen[i] && s->seen[i] >> 48 != SURFACE_SHARED)
			return surface_fail(s, "the call saw %#lx in word %zu", s->seen[i], i);
	return NULL;
}

/* @phase: of the call's begin and end, 0 if it was not the same all along. */
static const char *saw_what_it_may(struct surface *s, uint32_t phase)
{
	if (s->call->writes)
		return NULL;
	if (s->call->holds)
		return surface_all_are(s, "what the call saw of its page", s->seen,
				       SURFACE_SHARED, 0);
	if (!phase)
		return saw_nothing_private(s);
	if (phase & SURFACE_IS_PRIVATE)
		return surface_all_zero(s, "what the call saw of a private page", s->seen);
	return surface_all_are(s, "what the call saw of a shared page", s->seen, SURFACE_SHARED,
			       phase >> 2);
}

static const char *call_once(struct surface *s)
{
	uint32_t begin = s->phase, end;
	long ret;

	surface_give(s);
	memset(s->seen, 0xee, PVM_PAGE);
	ret = s->call->call(s);
	end = s->phase;
	if (begin != end)
		begin = 0;
	if (ret == (long)PVM_PAGE) {
		if (saw_what_it_may(s, begin))
			return s->why;
	} else if (ret >= 0 || (ret != -s->call->busy[0] && ret != -s->call->busy[1])) {
		return surface_fail(s, "the call gave %ld", ret);
	}
	s->in_private += (begin & SURFACE_IS) == SURFACE_IS_PRIVATE;
	s->in_shared += (begin & SURFACE_IS) == SURFACE_IS_SHARED;
	s->in_change += !begin;
	s->calls++;
	return NULL;
}

/* It was a race: enough calls met each state, and some met a conversion. */
static const char *race_was_one(struct surface *s)
{
	if (s->in_private < SURFACE_ROUNDS / 2 || s->in_shared < SURFACE_ROUNDS / 2)
		return surface_fail(s, "only %lu calls met a private page, and %lu a shared one",
				    s->in_private, s->in_shared);
	if (!s->in_change)
		return surface_fail(s, "no call met a conversion");
	/* Whoever decides what the address has may never let it. */
	if (s->huge && !s->call->holds && !s->call->busy[0] && !s->collapsed)
		return surface_fail(s, "the memory never became a huge page again");
	return NULL;
}

const char *surface_check_race(struct surface *s)
{
	if (surface_fill(s, SURFACE_SHARED, 0) || (s->call->holds && call_once(s)))
		return s->why;
	if (pthread_create(&s->converter, NULL, convert_all_the_time, s))
		return surface_fail(s, "no thread");
	while (!s->done && !surface_failed(s))
		call_once(s);
	pthread_join(s->converter, NULL);
	return surface_failed(s) ?: race_was_one(s);
}
