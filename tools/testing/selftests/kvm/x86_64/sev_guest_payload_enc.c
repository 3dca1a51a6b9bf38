// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest: what memory encryption makes of its memory, as only the guest can see it.
 */
#include "sev_guest_payload.h"

#define GUEST_FILE	SEV_GUEST_FILE_ENC
#define PAGE_WORDS	512
#define BLOCK_WORDS	(SEV_BLOCK_SIZE / 8)

#define PTE_TABLE	3ull	/* present, writable */
/* A directory entry that the host left empty, and where it leads. */
#define SPARE_PDE	100ull
#define SPARE_ADDRESS	(SPARE_PDE << 21)

static u64 matching_blocks(u64 addr, u64 first_word, u64 seed)
{
	u64 n = 0;

	for (u64 i = 0; i < PAGE_WORDS; i += BLOCK_WORDS) {
		u32 same = 1;

		for (u64 j = i; j < i + BLOCK_WORDS; j++)
			same &= *word_at(addr, j) == sev_guest_pattern(seed, first_word + j);
		n += same;
	}
	return n;
}

/* How many blocks of each page hold the pattern, as often as the host asks. */
void guest_compare(const u64 *args)
{
	u64 gpa = args[0], pages = args[1], seed = args[2];

	if (args[3])
		guest_write_pattern(gpa, pages * PAGE_WORDS, seed);
	for (;;) {
		for (u64 i = 0; i < pages; i++)
			guest_report(matching_blocks(gpa + i * 4096, i * PAGE_WORDS, seed));
		guest_sync(1);
	}
}

static u64 run_code(u64 addr)
{
	u64 ret = 0;

	asm volatile("call *%1" : "+a"(ret) : "r"(addr) : "memory", "cc");
	return ret;
}

/* A function that returns @value. */
static void write_code(u64 addr, u32 value)
{
	volatile u8 *code = (u8 *)addr;

	code[0] = 0xb8;
	for (u32 i = 0; i < 4; i++)
		code[1 + i] = value >> (8 * i);
	code[5] = 0xc3;
}

static u32 is_code(u64 addr, u32 value)
{
	volatile u8 *code = (u8 *)addr;

	for (u32 i = 0; i < 4; i++) {
		if (code[1 + i] != (u8)(value >> (8 * i)))
			return 0;
	}
	return code[0] == 0xb8 && code[5] == 0xc3;
}

/*
 * Instructions are decrypted whatever the C-bit says: through the view without it the guest runs
 * what it wrote privately, and reads what is in memory.
 */
void guest_shared_code(const u64 *args)
{
	u64 gpa = args[0];

	for (u32 value = 0x1234; value < 0x1244; value++) {
		write_code(gpa, value);
		asm volatile("clflush (%0); mfence" : : "r"(gpa) : "memory");
		GUEST_EQ(value, run_code(SEV_GUEST_ALIAS + gpa));
		GUEST_EQ(!args[1], is_code(SEV_GUEST_ALIAS + gpa, value));
		GUEST_EQ(value, run_code(SEV_GUEST_ALIAS + gpa));
		GUEST_EQ(value, run_code(gpa));
	}
}

static u64 read_cr3(void)
{
	u64 cr3;

	asm volatile("movq %%cr3, %0" : "=r"(cr3));
	return cr3;
}

static void write_cr3(u64 cr3)
{
	asm volatile("movq %0, %%cr3" : : "r"(cr3) : "memory");
}

/*
 * So are page tables: one that an entry without the C-bit leads to, and all of them when CR3 has no
 * C-bit. The accessed and dirty bits that the walk sets are found by a private read.
 */
void guest_shared_table(const u64 *args)
{
	u64 pt = args[0], page = args[0] + 4096, cr3 = read_cr3();
	u64 c = cr3 & ~0xffffffffull;

	for (u64 i = 0; i < PAGE_WORDS; i++)
		*word_at(pt, i) = 0;
	guest_write_pattern(page, PAGE_WORDS, 1);
	*word_at(pt, 5) = page | PTE_TABLE | c;
	*word_at(SEV_GUEST_PD_PRIVATE, SPARE_PDE) = pt | PTE_TABLE;
	guest_sync(0);
	guest_check_pattern(SPARE_ADDRESS + 5 * 4096, PAGE_WORDS, 1);
	GUEST_EQ(page | PTE_TABLE | 0x20 | c, *word_at(pt, 5));
	guest_write_pattern(SPARE_ADDRESS + 5 * 4096, PAGE_WORDS, 2);
	GUEST_EQ(page | PTE_TABLE | 0x60 | c, *word_at(pt, 5));
	guest_sync(1);
	guest_check_pattern(page, PAGE_WORDS, 2);
	GUEST_EQ(page | PTE_TABLE | 0x60 | c, *word_at(pt, 5));
	write_cr3(cr3 & ~c);
	guest_check_pattern(page, PAGE_WORDS, 2);
	guest_sync(2);
	write_cr3(cr3);
}
