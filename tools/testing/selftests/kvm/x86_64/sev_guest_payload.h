/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the source files of the tiny SEV guest share. Freestanding: no libc, no
 * SSE, one address space, everything at privilege level 0.
 *
 * The I/O helpers are single instructions on purpose: each is one exit that
 * KVM has to handle without reading the guest's memory.
 */
#ifndef SELFTEST_KVM_SEV_GUEST_PAYLOAD_H
#define SELFTEST_KVM_SEV_GUEST_PAYLOAD_H

#include "sev_guest_abi.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define VECTORS		256
/* The assembly of TRY_BEGIN has this number too. */
#define NO_VECTOR	256

#define DE_VECTOR	0
#define DB_VECTOR	1
#define BP_VECTOR	3
#define UD_VECTOR	6
#define GP_VECTOR	13
#define PF_VECTOR	14

/* What guest_trap() finds on the stack; the order is that of the stubs. */
struct guest_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* The last exception that a TRY() caught. */
struct guest_caught {
	volatile u64 vector, error, rip, cr2, dr6;
};

extern struct guest_caught guest_caught;
extern volatile u64 guest_fixup;
/* How often each vector arrived, all vCPUs together. */
extern volatile u32 guest_arrived[VECTORS];

/* sev_guest_entry.S */
extern const u8 guest_vectors[];

void guest_main(u64 vcpu);
void guest_trap(struct guest_frame *frame);
u32 guest_read_across(volatile void *mmio);

void __noreturn guest_done(void);
void __noreturn guest_fail(u32 where, u64 want, u64 got);
void guest_report(u64 value);
void guest_sync(u32 value);
void guest_print(const char *text);

/* GUEST_FILE names the source file; see sev_guest_abi.h. */
#define GUEST_WHERE	(GUEST_FILE << 16 | __LINE__)

#define GUEST_EQ(want, got) do {					\
	u64 want_ = (want), got_ = (got);				\
									\
	if (want_ != got_)						\
		guest_fail(GUEST_WHERE, want_, got_);			\
} while (0)

/*
 * Around one instruction that may fault: a trap comes back after it, and
 * guest_caught.vector says which it was, or stays NO_VECTOR. Uses %r11.
 */
#define TRY_BEGIN							\
	"movq $256, guest_caught(%%rip)\n\t"				\
	"leaq 771f(%%rip), %%r11\n\t"					\
	"movq %%r11, guest_fixup(%%rip)\n"				\
	"770:\t"
#define TRY_END								\
	"\n771:\tmovq $0, guest_fixup(%%rip)\n"

/* For an instruction that changes no register that is not an input. */
#define TRY(insn, ...) ({						\
	asm volatile(TRY_BEGIN insn TRY_END				\
		     : : __VA_ARGS__ : "r11", "memory");		\
	(u64)guest_caught.vector;					\
})

static inline u8 in8(u16 port)
{
	u8 v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void out8(u16 port, u8 v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out16(u16 port, u16 v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out32(u16 port, u32 v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline u32 mmio_read32(u64 addr)
{
	u32 v;

	asm volatile("movl (%1), %0" : "=r"(v) : "r"(addr) : "memory");
	return v;
}

static inline void mmio_write32(u64 addr, u32 v)
{
	asm volatile("movl %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* KVM_HC_MAP_GPA_RANGE, and what its attributes can say. */
#define HC_MAP_GPA_RANGE	12
#define TO_SHARED		0ull
#define TO_PRIVATE		(1ull << 4)

/* How the VMM is told which pages are shared: returns what it answered. */
static inline u64 map_gpa_range(u64 gpa, u64 pages, u64 attributes)
{
	u64 ret;

	asm volatile("vmmcall"
		     : "=a"(ret) : "a"((u64)HC_MAP_GPA_RANGE), "b"(gpa), "c"(pages), "d"(attributes)
		     : "memory");
	return ret;
}

static inline volatile u64 *word_at(u64 addr, u64 index)
{
	return (volatile u64 *)addr + index;
}

/* The programs; sev_guest_payload.c has the table. */
void guest_pio(const u64 *args);
void guest_pio_string(const u64 *args);
void guest_mmio_access(const u64 *args);
void guest_cpuid(const u64 *args);
void guest_msr(const u64 *args);
void guest_exceptions(const u64 *args);
void guest_cr(const u64 *args);
void guest_dr(const u64 *args);
void guest_xcr(const u64 *args);
void guest_cache(const u64 *args);
void guest_hypercall(const u64 *args);
void guest_self_ipi(const u64 *args);
void guest_tpr(const u64 *args);
void guest_timer(const u64 *args);
void guest_external(const u64 *args);
void guest_hlt(const u64 *args);
void guest_ping_pong(const u64 *args);
void guest_convert(const u64 *args);
void guest_touch(const u64 *args);
void guest_churn(const u64 *args);
void guest_hostile(const u64 *args);
void guest_compare(const u64 *args);
void guest_shared_code(const u64 *args);
void guest_shared_table(const u64 *args);
void guest_check(const u64 *args);

/* CHECK's uses of a page. */
void guest_use_write(u64 addr);
void guest_use_read(u64 addr);
void guest_use_code(u64 addr);

/* Words of memory that hold what a seed says. */
void guest_check_pattern(u64 addr, u64 words, u64 seed);
void guest_write_pattern(u64 addr, u64 words, u64 seed);

/* The number of the vCPU that runs. */
u64 guest_vcpu(void);

/* sev_guest_payload_irq.c: end of interrupt, for guest_trap(). */
void guest_eoi(void);

#endif /* SELFTEST_KVM_SEV_GUEST_PAYLOAD_H */
