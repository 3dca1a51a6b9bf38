// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest: pages that it shares and takes back. A guest has two views of its memory:
 * with C=1 where it is, with C=0 from SEV_GUEST_ALIAS on. Which half a page has is what the VMM
 * was told last by hypercall, so the guest uses one view at a time; the hostile program does not
 * care.
 *
 * The content of a page after a change is undefined: nothing here depends on it.
 */
#include "sev_guest_payload.h"

#define GUEST_FILE	SEV_GUEST_FILE_SHARE
#define PAGE_SIZE	4096ull
#define PAGE_WORDS	512

#define REFUSED			(-22ull)

/* One page, or several, there and back; the host looks at each stage. */
void guest_convert(const u64 *args)
{
	u64 gpa = args[0], pages = args[1], seed = args[2], words = pages * PAGE_WORDS;

	for (u64 round = 0; round < args[3]; round++, seed += SEV_CONVERT_SEEDS) {
		guest_write_pattern(gpa, words, seed);
		GUEST_EQ(0, map_gpa_range(gpa, pages, TO_SHARED));
		guest_sync(SEV_SYNC_SHARED);
		guest_check_pattern(SEV_GUEST_ALIAS + gpa, words, seed + 1);
		guest_write_pattern(SEV_GUEST_ALIAS + gpa, words, seed + 2);
		guest_sync(SEV_SYNC_WRITTEN);
		GUEST_EQ(0, map_gpa_range(gpa, pages, TO_PRIVATE));
		guest_sync(SEV_SYNC_PRIVATE);
		guest_write_pattern(gpa, words, seed + 3);
		guest_check_pattern(gpa, words, seed + 3);
		guest_sync(SEV_SYNC_REWRITTEN);
		guest_check_pattern(gpa, words, seed + 3);
	}
}

/* A word in each page that is touched; the others are left alone. */
void guest_touch(const u64 *args)
{
	u64 step = args[2] * PAGE_SIZE, end = args[0] + args[1] * PAGE_SIZE, n = 0;

	for (u64 gpa = args[0]; gpa < end; gpa += step)
		*word_at(gpa, 0) = sev_guest_pattern(args[3], gpa);
	for (u64 gpa = args[0]; gpa < end; gpa += step, n++)
		GUEST_EQ(sev_guest_pattern(args[3], gpa), *word_at(gpa, 0));
	guest_report(n);
}

/* For tests that stop it at any moment. Each vCPU has a range of its own, one behind the other. */
void guest_churn(const u64 *args)
{
	u64 pages = args[1], gpa = args[0] + guest_vcpu() * pages * PAGE_SIZE;

	guest_sync(1);
	for (u64 i = 0;; i++) {
		u64 at = gpa + i % pages * PAGE_SIZE;

		guest_write_pattern(at, 8, i);
		GUEST_EQ(0, map_gpa_range(at, 1, TO_SHARED));
		guest_write_pattern(SEV_GUEST_ALIAS + at, 8, i + 1);
		guest_check_pattern(SEV_GUEST_ALIAS + at, 8, i + 1);
		GUEST_EQ(0, map_gpa_range(at, 1, TO_PRIVATE));
		guest_write_pattern(at, 8, i + 2);
		guest_check_pattern(at, 8, i + 2);
	}
}

static u64 random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct request {
	u64 gpa, pages, attributes;
};

/*
 * Anything but a request for the guest's own code, tables and stacks, which would end it early:
 * those are below @gpa. @gpa, @pages: the memory that is fought over.
 */
static struct request random_request(u64 *state, u64 gpa, u64 pages)
{
	u64 at = random(state) % pages, room = pages - at;
	struct request r = {
		.gpa = gpa + at * PAGE_SIZE,
		.pages = random(state) % room + 1,
		.attributes = random(state) & TO_PRIVATE,
	};

	switch (random(state) % 10) {
	case 0: /* not a page */
		r.gpa += random(state) % PAGE_SIZE;
		break;
	case 1: /* nothing */
		r.pages = 0;
		break;
	case 2: /* to the end of memory and far beyond */
		r.pages = 1ull << (20 + random(state) % 44);
		break;
	case 3: /* anywhere above, there or not */
		r.gpa += random(state) << 12;
		r.pages = random(state) >> random(state) % 64;
		break;
	case 4: /* devices */
		r.gpa = SEV_GUEST_MMIO + (random(state) % 0x40000) * PAGE_SIZE;
		break;
	case 5: /* across the end of memory */
		r.pages = room + random(state) % 1024;
		break;
	case 6: /* memory that is never private */
		r.gpa = SEV_GUEST_SHARED;
		break;
	case 7: /* bits that mean nothing yet, and page sizes that do not fit */
		r.attributes = random(state);
		break;
	}
	if (r.gpa < gpa)
		r.gpa = gpa;
	return r;
}

static void touch_any(u64 *state, u64 gpa, u64 pages)
{
	u64 at = gpa + random(state) % pages * PAGE_SIZE + random(state) % PAGE_WORDS * 8;

	if (random(state) & 1)
		at += SEV_GUEST_ALIAS;
	if (random(state) & 1)
		*word_at(at, 0) = *state;
	else
		(void)*word_at(at, 0);
}

void guest_hostile(const u64 *args)
{
	u64 state = (args[2] << 8 | guest_vcpu()) * 0x9e3779b97f4a7c15ull | 1, refused = 0;

	for (u64 i = 0; i < args[3]; i++) {
		struct request r = random_request(&state, args[0], args[1]);
		u64 ret = map_gpa_range(r.gpa, r.pages, r.attributes);

		if (ret && ret != REFUSED)
			guest_fail(GUEST_WHERE, 0, ret);
		refused += ret == REFUSED;
		for (u64 j = 0; j < 4; j++)
			touch_any(&state, args[0], args[1]);
	}
	guest_report(args[3]);
	guest_report(refused);
	guest_sync(SEV_SYNC_REWRITTEN);
	/* And the ground under its own feet. */
	map_gpa_range(0, args[0] / PAGE_SIZE + args[1], TO_SHARED);
}
