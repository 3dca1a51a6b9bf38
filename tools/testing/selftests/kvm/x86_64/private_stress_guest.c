// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of the private memory stress test: write signatures to pages, and check those found.
 *
 * The code is copied into the guest's memory from a section of the test, and must not refer to
 * anything outside of it. It runs without stack protector, SSE and interrupts.
 *
 * Locking: see private_stress_abi.h.
 */
#include "private_stress_abi.h"
#include "private_stress_guest.h"

#define GUEST_CODE	__attribute__((section("stress_guest"), used))

/* Rounds between two looks of the host at the vCPU, at most. */
#define SYNC_ROUNDS	64

struct guest {
	struct stress_ctl *ctl;
	struct stress_vcpu_ctl *me;
	__u64 rng;
	__u32 vcpu;
	__u32 count;
};

static inline __attribute__((always_inline)) void out(__u16 port)
{
	asm volatile("outb %%al, %%dx" : : "a"(0), "d"(port) : "memory");
}

/* Plain moves: without a memslot the host's emulator has to understand them. */
static inline __attribute__((always_inline)) __u64 load(__u64 addr)
{
	__u64 value;

	asm volatile("movq (%1), %0" : "=r"(value) : "r"(addr) : "memory");
	return value;
}

static inline __attribute__((always_inline)) void store(__u64 addr, __u64 value)
{
	asm volatile("movq %1, (%0)" : : "r"(addr), "r"(value) : "memory");
}

static inline __attribute__((always_inline)) __u64 word_address(__u32 page, __u32 offset)
{
	return STRESS_DATA_GPA + page * STRESS_PAGE_SIZE + offset;
}

static inline __attribute__((always_inline)) __u32 mmio_count(struct guest *g)
{
	return *(volatile __u32 *)&g->me->mmio;
}

GUEST_CODE static __u32 random32(struct guest *g)
{
	g->rng ^= g->rng << 13;
	g->rng ^= g->rng >> 7;
	g->rng ^= g->rng << 17;
	return g->rng >> 32;
}

GUEST_CODE static void fail(struct guest *g, enum stress_fault fault, __u32 page, __u32 offset,
			    __u64 got, __u64 want)
{
	struct stress_page *p = &g->ctl->page[page];

	g->me->page = page;
	g->me->offset = offset;
	g->me->got = got;
	g->me->want = want;
	g->me->private = p->private;
	g->me->gen = p->gen;
	g->me->fault = fault;
	for (;;)
		out(STRESS_PORT_FAIL);
}

GUEST_CODE static int lock_page(struct guest *g, struct stress_page *p)
{
	if (__atomic_fetch_add(&p->lock, 1, __ATOMIC_ACQUIRE) & STRESS_WRITER_LOCK) {
		__atomic_fetch_sub(&p->lock, 1, __ATOMIC_RELEASE);
		g->me->busy++;
		return 0;
	}
	return 1;
}

GUEST_CODE static void unlock_page(struct stress_page *p)
{
	__atomic_fetch_sub(&p->lock, 1, __ATOMIC_RELEASE);
}

GUEST_CODE static int was_dropped(struct stress_page *p)
{
	return __atomic_load_n(&p->drops, __ATOMIC_ACQUIRE) != 0;
}

/*
 * Page locked: the word of this vCPU is what it wrote last. After a drop it may be zero, but then
 * what was there before must not come back.
 */
GUEST_CODE static void check_mine(struct guest *g, __u32 page)
{
	struct stress_page *p = &g->ctl->page[page];
	__u32 mmio = mmio_count(g), offset = STRESS_LOCKED_WORD(g->vcpu);
	__u64 got = load(word_address(page, offset)), want = p->mine[g->vcpu];

	if (mmio != mmio_count(g) || got == want)
		return;
	if (got || !was_dropped(p))
		fail(g, STRESS_FAULT_LOST, page, offset, got, want);
	p->mine[g->vcpu] = 0;
}

/* Page locked: another vCPU's word is of this half and of this conversion. */
GUEST_CODE static void check_other(struct guest *g, __u32 page, __u32 vcpu)
{
	struct stress_page *p = &g->ctl->page[page];
	__u32 offset = STRESS_LOCKED_WORD(vcpu);
	__u64 got = load(word_address(page, offset)), want;

	want = STRESS_SIGNATURE(p->private ? STRESS_PRIVATE : STRESS_SHARED, vcpu, page, p->gen, 0);
	if (got && STRESS_WITH_GEN(got) != STRESS_WITH_GEN(want))
		fail(g, STRESS_FAULT_STALE, page, offset, got, want);
}

/* Page locked: what the host writes to the shared half is seen there, and only there. */
GUEST_CODE static void check_host(struct guest *g, __u32 page)
{
	struct stress_page *p = &g->ctl->page[page];
	__u64 got = load(word_address(page, STRESS_HOST_WORD)), want = 0;

	if (!p->private)
		want = STRESS_SIGNATURE(STRESS_HOST, STRESS_HOST_WRITER, page, 0, 0);
	if (got && (p->private || STRESS_WITHOUT_GEN(got) != STRESS_WITHOUT_GEN(want)))
		fail(g, STRESS_FAULT_STALE, page, STRESS_HOST_WORD, got, want);
}

GUEST_CODE static void write_mine(struct guest *g, __u32 page)
{
	struct stress_page *p = &g->ctl->page[page];
	__u32 mmio = mmio_count(g);
	__u64 value;

	value = STRESS_SIGNATURE(p->private ? STRESS_PRIVATE : STRESS_SHARED, g->vcpu, page, p->gen,
				 ++g->count);
	store(word_address(page, STRESS_LOCKED_WORD(g->vcpu)), value);
	if (mmio == mmio_count(g))
		p->mine[g->vcpu] = value;
}

GUEST_CODE static int access_locked(struct guest *g, __u32 page)
{
	struct stress_page *p = &g->ctl->page[page];
	__u32 r = random32(g);

	if (!lock_page(g, p))
		return 0;
	check_mine(g, page);
	if (r & 1) {
		write_mine(g, page);
		check_mine(g, page);
	}
	check_other(g, page, r >> 8 & (STRESS_MAX_VCPUS - 1));
	check_host(g, page);
	unlock_page(p);
	g->me->locked++;
	return 1;
}

/* Page not locked: the word may be of any half and time, but of nobody else. */
GUEST_CODE static void check_raced(struct guest *g, __u32 page, __u32 vcpu)
{
	__u32 offset = STRESS_LOCKED_WORD(vcpu);
	__u64 got = load(word_address(page, offset)), a, b;

	a = STRESS_WITHOUT_GEN(STRESS_SIGNATURE(STRESS_PRIVATE, vcpu, page, 0, 0));
	b = STRESS_WITHOUT_GEN(STRESS_SIGNATURE(STRESS_SHARED, vcpu, page, 0, 0));
	if (got && STRESS_WITHOUT_GEN(got) != a && STRESS_WITHOUT_GEN(got) != b)
		fail(g, STRESS_FAULT_FOREIGN, page, offset, got, a << 32);

	offset = STRESS_RACED_WORD(vcpu);
	got = load(word_address(page, offset));
	a = STRESS_WITHOUT_GEN(STRESS_SIGNATURE(STRESS_RACED, vcpu, page, 0, 0));
	if (got && STRESS_WITHOUT_GEN(got) != a)
		fail(g, STRESS_FAULT_FOREIGN, page, offset, got, a << 32);
}

GUEST_CODE static void access_raced(struct guest *g, __u32 page)
{
	__u32 r = random32(g), offset = STRESS_RACED_WORD(g->vcpu);
	__u64 got;

	if (r & 1)
		store(word_address(page, offset),
		      STRESS_SIGNATURE(STRESS_RACED, g->vcpu, page, 0, ++g->count));
	else
		check_raced(g, page, r >> 8 & (STRESS_MAX_VCPUS - 1));
	got = load(word_address(page, STRESS_NO_WORD));
	if (got)
		fail(g, STRESS_FAULT_FRESH, page, STRESS_NO_WORD, got, 0);
	g->me->raced++;
}

GUEST_CODE static void verify_all(struct guest *g)
{
	for (__u32 page = 0; page < g->ctl->pages; page++) {
		if (g->ctl->page[page].bad)
			continue;
		while (!access_locked(g, page))
			out(STRESS_PORT_SYNC);
		access_raced(g, page);
	}
}

/* A few pages that all vCPUs use are worth more races than many that none shares. */
GUEST_CODE static __u32 choose_page(struct guest *g)
{
	__u32 r = random32(g), pages = g->ctl->pages;

	if (r & 1)
		pages = pages < 64 ? pages : 64;
	return (r >> 1) % pages;
}

/* Called by PVM_CALL. */
GUEST_CODE void stress_guest_main(void *code __attribute__((unused)), struct stress_ctl *ctl,
				  __u32 vcpu)
{
	struct guest g = { .ctl = ctl, .me = &ctl->vcpu[vcpu], .vcpu = vcpu };

	g.rng = g.me->seed | 1;
	for (;;) {
		__u32 rounds = random32(&g) % SYNC_ROUNDS;

		for (__u32 i = 0; i < rounds; i++) {
			__u32 page = choose_page(&g);

			if (ctl->page[page].bad)
				continue;
			if (!(random32(&g) & 1) || !access_locked(&g, page))
				access_raced(&g, page);
		}
		out(STRESS_PORT_SYNC);
		if (*(volatile __u32 *)&g.me->mode == STRESS_VERIFY) {
			verify_all(&g);
			return;
		}
	}
}
