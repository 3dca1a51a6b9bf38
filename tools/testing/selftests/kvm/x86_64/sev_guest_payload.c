// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest: start, traps, reports, and the programs about memory.
 * What each program checks is said in Documentation/dev/sev-guest-tests.rst.
 */
#include "sev_guest_payload.h"

#define GUEST_FILE	SEV_GUEST_FILE_MAIN
#define STUB_SIZE	16
#define PAGE_WORDS	512
#define IST_DF		1
#define RFLAGS_TF	0x100ull

struct gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_mid;
	u32 offset_high, reserved;
};

_Static_assert(sizeof(struct gate) == 16, "gates of 64-bit mode have 16 bytes");

static struct gate idt[VECTORS];
struct guest_caught guest_caught;
volatile u64 guest_fixup;
volatile u32 guest_arrived[VECTORS];

void guest_done(void)
{
	for (;;)
		out32(SEV_PORT_DONE, 0);
}

void guest_report(u64 value)
{
	out32(SEV_PORT_VALUE_LO, value);
	out32(SEV_PORT_VALUE_HI, value >> 32);
}

void guest_fail(u32 where, u64 want, u64 got)
{
	guest_report(want);
	guest_report(got);
	for (;;)
		out32(SEV_PORT_FAIL, where);
}

void guest_sync(u32 value)
{
	out32(SEV_PORT_SYNC, value);
}

void guest_print(const char *text)
{
	while (*text)
		out8(SEV_PORT_PRINT, *text++);
	out8(SEV_PORT_PRINT, '\n');
}

static void load_idt(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed idtr = { sizeof(idt) - 1, (u64)idt };

	for (u32 i = 0; i < VECTORS; i++) {
		u64 stub = (u64)guest_vectors + i * STUB_SIZE;

		idt[i] = (struct gate) {
			.offset_low = stub, .selector = SEV_GUEST_CS, .type = 0x8e,
			.offset_mid = stub >> 16, .offset_high = stub >> 32,
			/* A double fault may have come from a bad stack; NMI from anywhere. */
			.ist = i == 8 || i == 2 ? IST_DF : 0,
		};
	}
	asm volatile("lidt %0" : : "m"(idtr));
}

static void caught(struct guest_frame *frame)
{
	guest_caught.vector = frame->vector;
	guest_caught.error = frame->error;
	guest_caught.rip = frame->rip;
	if (frame->vector == PF_VECTOR) {
		u64 cr2;

		asm volatile("movq %%cr2, %0" : "=r"(cr2));
		guest_caught.cr2 = cr2;
	}
	if (frame->vector == DB_VECTOR) {
		u64 dr6;

		asm volatile("movq %%db6, %0" : "=r"(dr6));
		guest_caught.dr6 = dr6;
		/* Or the instruction after the fixup traps again. */
		frame->rflags &= ~RFLAGS_TF;
	}
}

void guest_trap(struct guest_frame *frame)
{
	__atomic_add_fetch(&guest_arrived[frame->vector], 1, __ATOMIC_SEQ_CST);
	if (frame->vector >= 32) {
		guest_eoi();
		return;
	}
	caught(frame);
	if (!guest_fixup) {
		guest_print("unexpected exception");
		guest_report(frame->error);
		guest_fail(GUEST_WHERE, frame->rip, frame->vector);
	}
	frame->rip = guest_fixup;
}

u64 guest_vcpu(void)
{
	u64 rsp;

	asm volatile("movq %%rsp, %0" : "=r"(rsp));
	return (SEV_GUEST_STACKS - rsp) / SEV_GUEST_STACK_SIZE;
}

static void smoke(const u64 *args)
{
	u64 cr0, cr3, cr4;

	asm volatile("movq %%cr0, %0" : "=r"(cr0));
	asm volatile("movq %%cr3, %0" : "=r"(cr3));
	asm volatile("movq %%cr4, %0" : "=r"(cr4));
	guest_print("the guest runs");
	guest_report(args[0]);
	guest_report(cr0);
	guest_report(cr3);
	guest_report(cr4);
	guest_report(guest_vcpu());
}

void guest_check_pattern(u64 addr, u64 words, u64 seed)
{
	for (u64 i = 0; i < words; i++)
		GUEST_EQ(sev_guest_pattern(seed, i), *word_at(addr, i));
}

void guest_write_pattern(u64 addr, u64 words, u64 seed)
{
	for (u64 i = 0; i < words; i++)
		*word_at(addr, i) = sev_guest_pattern(seed, i);
}

static void private_memory(const u64 *args)
{
	u64 gpa = args[0], words = args[1] * PAGE_WORDS;

	guest_check_pattern(gpa, words, args[2]);
	guest_write_pattern(gpa, words, args[3]);
	guest_check_pattern(gpa, words, args[3]);
	guest_sync(1);
	/* The host has looked: what it did must not have changed anything. */
	guest_check_pattern(gpa, words, args[3]);
}

static void shared_memory(const u64 *args)
{
	u64 words = args[0] * PAGE_WORDS;

	guest_check_pattern(SEV_GUEST_SHARED, words, args[1]);
	guest_write_pattern(SEV_GUEST_SHARED, words, args[2]);
	guest_sync(1);
	/* The host wrote again while the guest was stopped. */
	guest_check_pattern(SEV_GUEST_SHARED, words, args[1] + 1);
}

static void flush_page(u64 addr)
{
	for (u64 i = 0; i < PAGE_WORDS; i += 8)
		asm volatile("clflush (%0)" : : "r"(word_at(addr, i)) : "memory");
	asm volatile("mfence" : : : "memory");
}

/*
 * A page of private memory used with C=0: from then on the host and the guest
 * see the same bytes in it. Caches are not coherent between the two views.
 */
static void aliased(const u64 *args)
{
	u64 gpa = args[0];

	flush_page(gpa);
	guest_write_pattern(SEV_GUEST_ALIAS + gpa, PAGE_WORDS, args[1]);
	flush_page(SEV_GUEST_ALIAS + gpa);
	guest_sync(1);
	guest_check_pattern(SEV_GUEST_ALIAS + gpa, PAGE_WORDS, args[1] + 1);
	/* And back: private again, with contents of the guest's own. */
	flush_page(SEV_GUEST_ALIAS + gpa);
	guest_write_pattern(gpa, PAGE_WORDS, args[1] + 2);
	guest_check_pattern(gpa, PAGE_WORDS, args[1] + 2);
}

static void spin(const u64 *args)
{
	(void)args;
	guest_sync(1);
	for (;;)
		asm volatile("" : : : "memory");
}

static void count(const u64 *args)
{
	volatile u64 *word = word_at(args[0], 0);

	guest_report(++*word);
}

static void (*const programs[SEV_GUEST_NR_PROGRAMS])(const u64 *args) = {
	[SEV_GUEST_SMOKE] = smoke,
	[SEV_GUEST_PRIVATE] = private_memory,
	[SEV_GUEST_SHARED_MEM] = shared_memory,
	[SEV_GUEST_ALIASED] = aliased,
	[SEV_GUEST_PIO] = guest_pio,
	[SEV_GUEST_PIO_STRING] = guest_pio_string,
	[SEV_GUEST_MMIO_ACCESS] = guest_mmio_access,
	[SEV_GUEST_CPUID] = guest_cpuid,
	[SEV_GUEST_MSR] = guest_msr,
	[SEV_GUEST_EXCEPTIONS] = guest_exceptions,
	[SEV_GUEST_CR] = guest_cr,
	[SEV_GUEST_DR] = guest_dr,
	[SEV_GUEST_XCR] = guest_xcr,
	[SEV_GUEST_CACHE] = guest_cache,
	[SEV_GUEST_HYPERCALL] = guest_hypercall,
	[SEV_GUEST_SELF_IPI] = guest_self_ipi,
	[SEV_GUEST_TPR] = guest_tpr,
	[SEV_GUEST_TIMER] = guest_timer,
	[SEV_GUEST_EXTERNAL] = guest_external,
	[SEV_GUEST_HLT] = guest_hlt,
	[SEV_GUEST_PING_PONG] = guest_ping_pong,
	[SEV_GUEST_SPIN] = spin,
	[SEV_GUEST_COUNT] = count,
	[SEV_GUEST_CONVERT] = guest_convert,
	[SEV_GUEST_TOUCH] = guest_touch,
	[SEV_GUEST_CHURN] = guest_churn,
	[SEV_GUEST_HOSTILE] = guest_hostile,
	[SEV_GUEST_COMPARE] = guest_compare,
	[SEV_GUEST_SHARED_CODE] = guest_shared_code,
	[SEV_GUEST_SHARED_TABLE] = guest_shared_table,
	[SEV_GUEST_CHECK] = guest_check,
};

void guest_main(u64 vcpu)
{
	const struct sev_guest_params *params = (void *)SEV_GUEST_PARAMS;

	load_idt();
	GUEST_EQ(guest_vcpu(), vcpu);
	if (params->program >= SEV_GUEST_NR_PROGRAMS)
		guest_fail(GUEST_WHERE, SEV_GUEST_NR_PROGRAMS, params->program);
	programs[params->program](params->args);
	guest_done();
}
