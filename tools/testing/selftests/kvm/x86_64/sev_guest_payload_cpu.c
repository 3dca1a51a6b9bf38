// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest: CPUID, MSRs, control and debug registers, exceptions.
 * Most of these are intercepted, and KVM has to finish them with what the CPU
 * recorded, since it cannot read a SEV guest's instructions.
 */
#include "sev_guest_payload.h"

#define GUEST_FILE	SEV_GUEST_FILE_CPU

#define MSR_APIC_BASE	0x1b
#define MSR_PAT		0x277
#define MSR_EFER	0xc0000080
#define MSR_LSTAR	0xc0000082
#define MSR_KERNEL_GS	0xc0000102
#define MSR_SEV_STATUS	0xc0010131
#define MSR_UNKNOWN	0x4abcdef0

#define CR0_TS		(1ull << 3)
#define CR0_WP		(1ull << 16)
#define CR0_CD		(1ull << 30)
#define CR4_PGE		(1ull << 7)
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_RESERVED	(1ull << 31)
#define EFER_START	0xd01ull
#define APIC_ENABLED	((1ull << 11) | (1ull << 8))

struct regs4 {
	u32 eax, ebx, ecx, edx;
};

static struct regs4 cpuid(u32 leaf, u32 subleaf)
{
	struct regs4 r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

void guest_cpuid(const u64 *args)
{
	struct regs4 r = cpuid(args[0], 0);

	GUEST_EQ(SEV_GUEST_CPUID_EAX, r.eax);
	GUEST_EQ(SEV_GUEST_CPUID_EBX, r.ebx);
	GUEST_EQ(SEV_GUEST_CPUID_ECX, r.ecx);
	GUEST_EQ(SEV_GUEST_CPUID_EDX, r.edx);
	r = cpuid(0x8000001f, 0);
	guest_report(r.eax);
	guest_report(r.ebx);
}

static u64 try_rdmsr(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;

	asm volatile(TRY_BEGIN "rdmsr" TRY_END
		     : "+a"(lo), "+d"(hi) : "c"(msr) : "r11", "memory");
	*value = (u64)hi << 32 | lo;
	return guest_caught.vector;
}

/* Written, read back, and put back as it was. */
static void msr_round_trip(u32 msr, u64 value)
{
	u64 before = rdmsr(msr);

	wrmsr(msr, value);
	GUEST_EQ(value, rdmsr(msr));
	wrmsr(msr, before);
	GUEST_EQ(before, rdmsr(msr));
}

void guest_msr(const u64 *args)
{
	u64 value, tsc;

	if (args[0]) {
		GUEST_EQ(NO_VECTOR, try_rdmsr(MSR_SEV_STATUS, &value));
		GUEST_EQ(1, value);
	} else {
		GUEST_EQ(GP_VECTOR, try_rdmsr(MSR_SEV_STATUS, &value));
	}
	GUEST_EQ(EFER_START, rdmsr(MSR_EFER));
	wrmsr(MSR_EFER, EFER_START);
	GUEST_EQ(APIC_ENABLED | 0xfee00000, rdmsr(MSR_APIC_BASE));
	msr_round_trip(MSR_PAT, 0x0007010600070106ull);
	msr_round_trip(MSR_LSTAR, 0xffff800012345678ull);
	msr_round_trip(MSR_KERNEL_GS, 0x00007f00deadb000ull);
	GUEST_EQ(GP_VECTOR, try_rdmsr(MSR_UNKNOWN, &value));
	GUEST_EQ(0, guest_caught.error);
	GUEST_EQ(GP_VECTOR, TRY("wrmsr", "c"(MSR_UNKNOWN), "a"(1), "d"(0)));

	tsc = rdtsc();
	cpuid(0, 0);
	GUEST_EQ(1, rdtsc() > tsc);
	guest_report(rdtsc() - tsc);
}

static void faults(void)
{
	u64 unmapped = SEV_GUEST_UNMAPPED + 0x123;

	GUEST_EQ(UD_VECTOR, TRY("ud2", "a"(0)));
	GUEST_EQ(PF_VECTOR, TRY("movb (%0), %%r11b", "r"(unmapped)));
	GUEST_EQ(0, guest_caught.error);
	GUEST_EQ(unmapped, guest_caught.cr2);
	GUEST_EQ(PF_VECTOR, TRY("movb $1, (%0)", "r"(unmapped)));
	GUEST_EQ(2, guest_caught.error);
	/* A code fetch; the error code says so because NX is enabled. */
	GUEST_EQ(PF_VECTOR, TRY("jmp *%0", "r"(unmapped)));
	GUEST_EQ(16, guest_caught.error);
	GUEST_EQ(unmapped, guest_caught.rip);
	GUEST_EQ(GP_VECTOR, TRY("movb (%0), %%r11b", "r"(0x8000000000000000ull)));
	/* A selector beyond the end of the GDT. */
	GUEST_EQ(GP_VECTOR, TRY("movw %w0, %%fs", "r"(0xff8)));
	GUEST_EQ(0xff8, guest_caught.error);
}

static u64 try_divide(u64 by)
{
	u64 rax = 1, rdx = 0;

	asm volatile(TRY_BEGIN "divq %2" TRY_END
		     : "+a"(rax), "+d"(rdx) : "r"(by) : "r11", "memory");
	return guest_caught.vector;
}

/* Traps: the saved RIP is that of the next instruction. */
static void traps(void)
{
	u64 next;

	asm volatile(TRY_BEGIN "int3" TRY_END "\tleaq 771b(%%rip), %0"
		     : "=r"(next) : : "r11", "memory");
	GUEST_EQ(BP_VECTOR, guest_caught.vector);
	GUEST_EQ(next, guest_caught.rip);
	asm volatile(TRY_BEGIN "int $4" TRY_END "\tleaq 771b(%%rip), %0"
		     : "=r"(next) : : "r11", "memory");
	GUEST_EQ(4, guest_caught.vector);
	GUEST_EQ(next, guest_caught.rip);
	/* The trap flag: one #DB after the next instruction. */
	asm volatile(TRY_BEGIN "pushfq; orq $0x100, (%%rsp); popfq; nop" TRY_END
		     "\tleaq 771b(%%rip), %0"
		     : "=r"(next) : : "r11", "memory", "cc");
	GUEST_EQ(DB_VECTOR, guest_caught.vector);
	GUEST_EQ(next, guest_caught.rip);
}

void guest_exceptions(const u64 *args)
{
	(void)args;
	faults();
	GUEST_EQ(DE_VECTOR, try_divide(0));
	GUEST_EQ(NO_VECTOR, try_divide(1));
	traps();
	guest_report(guest_arrived[UD_VECTOR]);
	guest_report(guest_arrived[PF_VECTOR]);
	guest_report(guest_arrived[BP_VECTOR]);
	guest_report(guest_arrived[DB_VECTOR]);
}

#define CR_READ(cr, reg) ({						\
	u64 v_;								\
									\
	asm volatile("movq %%" cr ", %%" reg "; movq %%" reg ", %0"	\
		     : "=r"(v_) : : reg);				\
	v_;								\
})

#define CR_WRITE(cr, reg, value) ({					\
	u64 v_ = (value);						\
									\
	asm volatile("movq %0, %%" reg "; movq %%" reg ", %%" cr	\
		     : : "r"(v_) : reg, "memory");			\
})

/*
 * With CD set KVM intercepts CR0: the CPU tells it which register it was. Try
 * some of each half of the register file, both ways.
 */
static void cr0_intercepted(u64 cr0)
{
	CR_WRITE("cr0", "r9", cr0 | CR0_CD);
	GUEST_EQ(cr0 | CR0_CD, CR_READ("cr0", "rax"));
	GUEST_EQ(cr0 | CR0_CD, CR_READ("cr0", "rbx"));
	GUEST_EQ(cr0 | CR0_CD, CR_READ("cr0", "r8"));
	GUEST_EQ(cr0 | CR0_CD, CR_READ("cr0", "r15"));
	CR_WRITE("cr0", "rdi", cr0 | CR0_CD | CR0_TS);
	GUEST_EQ(cr0 | CR0_CD | CR0_TS, CR_READ("cr0", "r12"));
	CR_WRITE("cr0", "r14", (cr0 | CR0_CD) & ~CR0_WP);
	GUEST_EQ((cr0 | CR0_CD) & ~CR0_WP, CR_READ("cr0", "rsi"));
	CR_WRITE("cr0", "rax", cr0);
	GUEST_EQ(cr0, CR_READ("cr0", "r10"));
}

static void cr0_and_cr4(void)
{
	u64 cr0 = CR_READ("cr0", "rax"), cr4 = CR_READ("cr4", "r8");

	CR_WRITE("cr0", "rbx", cr0 | CR0_TS);
	GUEST_EQ(cr0 | CR0_TS, CR_READ("cr0", "r15"));
	asm volatile("clts");
	GUEST_EQ(cr0, CR_READ("cr0", "rdi"));
	asm volatile("lmsw %w0" : : "r"(cr0 | CR0_TS));
	GUEST_EQ(cr0 | CR0_TS, CR_READ("cr0", "rsi"));
	CR_WRITE("cr0", "r13", cr0);
	CR_WRITE("cr0", "rcx", cr0 & ~CR0_WP);
	GUEST_EQ(cr0 & ~CR0_WP, CR_READ("cr0", "rdx"));
	CR_WRITE("cr0", "rcx", cr0);
	cr0_intercepted(cr0);

	CR_WRITE("cr4", "r12", cr4 | CR4_PGE);
	GUEST_EQ(cr4 | CR4_PGE, CR_READ("cr4", "rbx"));
	CR_WRITE("cr4", "rsi", cr4);
	GUEST_EQ(cr4, CR_READ("cr4", "r14"));
	GUEST_EQ(GP_VECTOR, TRY("movq %0, %%cr4", "r"(cr4 | CR4_RESERVED)));
	GUEST_EQ(GP_VECTOR, TRY("movq %0, %%cr0", "r"(1ull << 31)));
	GUEST_EQ(cr4, CR_READ("cr4", "rcx"));
	GUEST_EQ(cr0, CR_READ("cr0", "r11"));
}

void guest_cr(const u64 *args)
{
	u64 cr3 = CR_READ("cr3", "rax");

	(void)args;
	cr0_and_cr4();
	CR_WRITE("cr2", "r8", 0x123456789abcull);
	GUEST_EQ(0x123456789abcull, CR_READ("cr2", "r9"));
	CR_WRITE("cr3", "r10", cr3);
	GUEST_EQ(cr3, CR_READ("cr3", "rbx"));
	for (u64 tpr = 0; tpr < 16; tpr++) {
		CR_WRITE("cr8", "r13", tpr);
		GUEST_EQ(tpr, CR_READ("cr8", "rdx"));
		/* The task priority has a second home in the local APIC. */
		GUEST_EQ(tpr << 4, mmio_read32(0xfee00080));
	}
	GUEST_EQ(GP_VECTOR, TRY("movq %0, %%cr8", "r"(16ull)));
	CR_WRITE("cr8", "rax", 0);
}

void guest_dr(const u64 *args)
{
	u64 here;

	(void)args;
	GUEST_EQ(0x400, CR_READ("db7", "rax"));
	CR_WRITE("db0", "rbx", 0x1234567890ull);
	CR_WRITE("db3", "r9", SEV_GUEST_DATA);
	GUEST_EQ(0x1234567890ull, CR_READ("db0", "r15"));
	GUEST_EQ(SEV_GUEST_DATA, CR_READ("db3", "rcx"));
	/* DR0: execution at the label; a fault, so RIP is that instruction's. */
	asm volatile("leaq 1f(%%rip), %0; movq %0, %%db0; movq %1, %%db7\n\t"
		     TRY_BEGIN "nop\n1:\tnop" TRY_END
		     : "=&r"(here) : "r"(0x401ull) : "r11", "memory");
	GUEST_EQ(DB_VECTOR, guest_caught.vector);
	GUEST_EQ(here, guest_caught.rip);
	GUEST_EQ(1, guest_caught.dr6 & 0xf);
	/* DR3: a write of 8 bytes; a trap. */
	CR_WRITE("db7", "r8", 0x400 | 1 << 6 | 9ull << 28);
	GUEST_EQ(DB_VECTOR, TRY("movq %0, (%0)", "r"((u64)SEV_GUEST_DATA)));
	GUEST_EQ(8, guest_caught.dr6 & 0xf);
	CR_WRITE("db7", "rsi", 0x400);
	GUEST_EQ(NO_VECTOR, TRY("movq %0, (%0)", "r"((u64)SEV_GUEST_DATA)));
}

static u64 xgetbv(void)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (u64)hi << 32 | lo;
}

void guest_xcr(const u64 *args)
{
	u64 cr4 = CR_READ("cr4", "rax");

	(void)args;
	GUEST_EQ(UD_VECTOR, TRY("xsetbv", "c"(0), "a"(3), "d"(0)));
	CR_WRITE("cr4", "rbx", cr4 | CR4_OSXSAVE);
	/* CPUID must follow CR4. */
	GUEST_EQ(1, cpuid(1, 0).ecx >> 27 & 1);
	GUEST_EQ(1, xgetbv());
	GUEST_EQ(NO_VECTOR, TRY("xsetbv", "c"(0), "a"(3), "d"(0)));
	GUEST_EQ(3, xgetbv());
	/* x87 cannot be off; an unknown XCR; a bit without CPUID. */
	GUEST_EQ(GP_VECTOR, TRY("xsetbv", "c"(0), "a"(2), "d"(0)));
	GUEST_EQ(GP_VECTOR, TRY("xsetbv", "c"(7), "a"(3), "d"(0)));
	GUEST_EQ(GP_VECTOR, TRY("xsetbv", "c"(0), "a"(3), "d"(0x40000000)));
	GUEST_EQ(3, xgetbv());
	CR_WRITE("cr4", "rcx", cr4);
}

/* Intercepted or not, these must neither fault nor change anything. */
void guest_cache(const u64 *args)
{
	volatile u64 *word = word_at(SEV_GUEST_DATA, 0);

	(void)args;
	*word = 0x0123456789abcdefull;
	asm volatile("wbinvd" : : : "memory");
	GUEST_EQ(0x0123456789abcdefull, *word);
	asm volatile("clflush (%0)" : : "r"(word) : "memory");
	asm volatile("invlpg (%0)" : : "r"(word) : "memory");
	asm volatile("pause");
	GUEST_EQ(0x0123456789abcdefull, *word);
	/* Not offered to the guest. */
	GUEST_EQ(UD_VECTOR, TRY("vmload %%rax", "a"(0ull)));
}
