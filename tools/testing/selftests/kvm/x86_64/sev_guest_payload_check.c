// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest: pages used as they were reported, and otherwise. What the machine's checker
 * has to say about each is in tools/workbench/sev_check_test.sh, by the page's address and the
 * name of the function that used it.
 */
#include "sev_guest_payload.h"

#define GUEST_FILE	SEV_GUEST_FILE_CHECK
#define PAGE_SIZE	4096ull
#define LARGE_PAGES	512ull

#define LARGE			1ull	/* the size that the guest has mapped it with */

#define PTE_TABLE	3ull	/* present, writable */
#define SPARE_PDE	100ull
#define SPARE_ADDRESS	(SPARE_PDE << 21)

/* What is at a page's beginning is a function that returns. */
#define CODE_RET	0xc3

/*
 * Each is a function of its own, so that its name tells which instruction it was: the second one,
 * behind one byte.
 */
void __attribute__((noinline)) guest_use_write(u64 addr)
{
	asm volatile("nop");
	*word_at(addr, 1) = addr;
}

void __attribute__((noinline)) guest_use_read(u64 addr)
{
	asm volatile("nop");
	(void)*word_at(addr, 1);
}

void __attribute__((noinline)) guest_use_code(u64 addr)
{
	asm volatile("call *%0" : : "r"(addr) : "memory", "cc");
}

/* Leaves no TLB entry behind. */
static void flush(void)
{
	u64 cr3;

	asm volatile("movq %%cr3, %0; movq %0, %%cr3" : "=r"(cr3) : : "memory");
}

/* Everything, as it should be. */
static void check_clean(u64 gpa)
{
	u64 large = (gpa + LARGE_PAGES * PAGE_SIZE - 1) & -(LARGE_PAGES * PAGE_SIZE);

	*(volatile u8 *)gpa = CODE_RET;
	guest_use_code(gpa);
	guest_use_write(gpa);
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_SHARED));
	guest_use_write(SEV_GUEST_ALIAS + gpa);
	guest_use_read(SEV_GUEST_ALIAS + gpa);
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_PRIVATE));
	guest_use_write(gpa);
	/* A page out of a large one, and one at each end. */
	GUEST_EQ(0, map_gpa_range(large, LARGE_PAGES, TO_SHARED | LARGE));
	guest_use_write(SEV_GUEST_ALIAS + large + 7 * PAGE_SIZE);
	GUEST_EQ(0, map_gpa_range(large + 7 * PAGE_SIZE, 1, TO_PRIVATE));
	guest_use_write(large + 7 * PAGE_SIZE);
	guest_use_write(SEV_GUEST_ALIAS + large + 6 * PAGE_SIZE);
	guest_use_write(SEV_GUEST_ALIAS + large + 8 * PAGE_SIZE);
	guest_use_write(SEV_GUEST_ALIAS + large);
	guest_use_write(SEV_GUEST_ALIAS + large + (LARGE_PAGES - 1) * PAGE_SIZE);
	guest_use_write(large - PAGE_SIZE);
	guest_use_write(large + LARGE_PAGES * PAGE_SIZE);
	GUEST_EQ(0, map_gpa_range(large, LARGE_PAGES, TO_PRIVATE | LARGE));
	guest_use_write(large + 6 * PAGE_SIZE);
}

/* Three times, which are one; then its report begins another. */
static void check_shared_use(u64 gpa)
{
	guest_use_write(SEV_GUEST_ALIAS + gpa);
	guest_use_read(SEV_GUEST_ALIAS + gpa);
	flush();
	guest_use_write(SEV_GUEST_ALIAS + gpa);
}

static void check_again(u64 gpa)
{
	check_shared_use(gpa);
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_SHARED));
	check_shared_use(gpa);
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_PRIVATE));
	guest_use_read(SEV_GUEST_ALIAS + gpa);
}

/* It was in the TLB, for writes, when the report came. */
static void check_private_use(u64 gpa)
{
	guest_use_write(gpa);
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_SHARED));
	guest_use_write(gpa);
	guest_use_write(SEV_GUEST_ALIAS + gpa);
}

/* Instructions are private through either view, beside data that is not. */
static void check_code(u64 gpa, u64 view)
{
	*(volatile u8 *)gpa = CODE_RET;
	asm volatile("clflush (%0); mfence" : : "r"(gpa) : "memory");
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_SHARED));
	guest_use_read(SEV_GUEST_ALIAS + gpa);
	guest_use_code(view + gpa);
	guest_use_read(SEV_GUEST_ALIAS + gpa);
	guest_use_code(view + gpa);
}

/* So are page tables, whatever the entry above them says. */
static void check_table(u64 gpa)
{
	u64 c;

	asm volatile("movq %%cr3, %0" : "=r"(c));
	c &= ~0xffffffffull;
	*word_at(gpa, 5) = (gpa + PAGE_SIZE) | PTE_TABLE | c;
	*word_at(SEV_GUEST_PD_PRIVATE, SPARE_PDE) = gpa | PTE_TABLE;
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_SHARED));
	guest_use_read(SPARE_ADDRESS + 5 * PAGE_SIZE);
	*word_at(SEV_GUEST_PD_PRIVATE, SPARE_PDE) = 0;
	flush();
}

/* What KVM refuses is no report. */
static void check_refused(u64 gpa)
{
	GUEST_EQ(-22ull, map_gpa_range(gpa + 8, 1, TO_SHARED));
	GUEST_EQ(-22ull, map_gpa_range(gpa, 0, TO_SHARED));
	GUEST_EQ(-22ull, map_gpa_range(gpa, -1ull, TO_SHARED));
	guest_use_write(gpa);
	/* And to the end of the world is one. */
	GUEST_EQ(0, map_gpa_range(gpa, 1ull << 50, TO_SHARED));
	guest_use_write(SEV_GUEST_ALIAS + gpa);
	guest_use_write(SEV_GUEST_ALIAS + gpa + PAGE_SIZE);
}

/* The first vCPU reports what the second one has in its TLB; both meet in the page behind. */
static void check_second_vcpu(u64 gpa, u64 vcpu)
{
	volatile u64 *step = word_at(gpa + PAGE_SIZE, 0);

	if (!vcpu) {
		while (*step != 1)
			asm volatile("pause");
		GUEST_EQ(0, map_gpa_range(gpa, 1, TO_SHARED));
		*step = 2;
		return;
	}
	guest_use_write(gpa);
	*step = 1;
	while (*step != 2)
		asm volatile("");
	guest_use_write(gpa);
}

/* Shared before a reset, or by a guest before, or by nobody; the host says which this time is. */
static void check_reset(u64 gpa)
{
	GUEST_EQ(0, map_gpa_range(gpa, 1, TO_SHARED));
	guest_use_write(SEV_GUEST_ALIAS + gpa);
}

void guest_check(const u64 *args)
{
	u64 gpa = args[1];

	switch (args[0]) {
	case SEV_CHECK_CLEAN:
		return check_clean(gpa);
	case SEV_CHECK_SHARED_USE:
		return check_shared_use(gpa);
	case SEV_CHECK_AGAIN:
		return check_again(gpa);
	case SEV_CHECK_PRIVATE_USE:
		return check_private_use(gpa);
	case SEV_CHECK_CODE:
		return check_code(gpa, 0);
	case SEV_CHECK_SHARED_CODE:
		return check_code(gpa, SEV_GUEST_ALIAS);
	case SEV_CHECK_TABLE:
		return check_table(gpa);
	case SEV_CHECK_REFUSED:
		return check_refused(gpa);
	case SEV_CHECK_SECOND_VCPU:
		return check_second_vcpu(gpa, guest_vcpu());
	case SEV_CHECK_REPORT:
		return check_reset(gpa);
	case SEV_CHECK_PRIVATE:
		return guest_use_write(gpa);
	default:
		guest_fail(GUEST_WHERE, 0, args[0]);
	}
}
