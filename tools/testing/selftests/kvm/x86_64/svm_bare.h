/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of svm_bare share, programs without an operating system that test SVM and the
 * registers around it on the processor itself: svm_bare.c and svm_bare_{sev,nosev,strict,busy,monitor}.c,
 * the tests, each a program; svm_bare_lib.c, what they need; svm_bare_psp.c, the secure processor;
 * svm_bare_launch.c, an SEV guest; svm_bare_entry.S, where host, guests and events begin.
 *
 * Locking: none; one processor, and events interrupt a test only where it waits for them.
 */
#ifndef SELFTEST_SVM_BARE_H
#define SELFTEST_SVM_BARE_H

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define STACK_SIZE	0x4000

#define CODE64		0x08
#define DATA64		0x10

#define EFER		0xc0000080
#define EFER_LME_SVME	0x1100

#ifndef __ASSEMBLER__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* What an event saved: registers by us, the rest by the processor (an absent error code is 0). */
struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* Entry points of the processor: 16 bytes each, for all vectors in order. */
extern u8 svm_bare_stubs[];
extern u64 svm_bare_pml4[512];
extern u8 svm_bare_guest_stack_top[];

/* Calls RBX as a function, and ends with VMMCALL. Here a guest begins. */
extern u8 svm_bare_guest[];

/* Four instructions of one byte, and a jump to R10. */
extern u8 svm_bare_nops[];

/*
 * VMRUN with @fn in RBX, without interrupts before and after. No segment state but that of VMRUN
 * itself is switched: host and guest have the same.
 */
void svm_bare_vmrun(void *vmcb, void (*fn)(void));

/* Called by svm_bare_entry.S. */
void svm_bare_main(void);
void svm_bare_event(struct frame *frame);

#define DB_VECTOR	1
#define GP_VECTOR	13
#define PF_VECTOR	14
#define IRQ_INJECTED	0x40
#define IRQ_VIRTUAL	0x50
#define IRQ_SELF	0x60

#define MSR_SYSCFG	0xc0010010
#define MSR_HWCR	0xc0010015
#define MSR_HSAVE_PA	0xc0010117
#define MSR_SEV_STATUS	0xc0010131
#define RFLAGS_IF	0x200

/* The local APIC; its timer counts nanoseconds down. */
#define APIC		0xfee00000ul
#define APIC_EOI	0xb0
#define APIC_SPIV	0xf0
#define APIC_ICR	0x300
#define APIC_SELF	0x44000
#define APIC_LVTT	0x320
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_MASKED	0x10000

/* Offsets in the VMCB. */
enum {
	EXCEPTIONS = 0x08, INTERCEPT = 0x0c, INTERCEPT2 = 0x10, MSRPM_BASE = 0x48, ASID = 0x58,
	INT_CTL = 0x60, INT_VECTOR = 0x64, EXIT_CODE = 0x70, EXIT_INFO1 = 0x78, EXIT_INFO2 = 0x80,
	EXIT_INTINFO = 0x88, NESTED_CTL = 0x90, EVENT_INJ = 0xa8, NESTED_CR3 = 0xb0,
	SAVE = 0x400, SEG_ES = 0x400, SEG_CS = 0x410, SEG_SS = 0x420,
	SEG_DS = 0x430, GDTR = 0x460, IDTR = 0x480, VMCB_EFER = 0x4d0, VMCB_CR4 = 0x548,
	VMCB_CR3 = 0x550, VMCB_CR0 = 0x558, VMCB_DR7 = 0x560, VMCB_DR6 = 0x568, VMCB_RFLAGS = 0x570,
	VMCB_RIP = 0x578, VMCB_RSP = 0x5d8, VMCB_PAT = 0x668, VMCB_SIZE = 0x1000,
};

#define EXIT_EXCP	0x40
#define EXIT_VMMCALL	0x81
#define EXIT_NPF	0x400
#define EXIT_INVALID	(~0ul)
#define EVENT_VALID	(1u << 31)
#define V_IRQ		(1u << 8)
#define V_IGN_TPR	(1u << 20)
#define V_INTR_MASKING	(1u << 24)
#define NESTED_PAGING	1
#define NESTED_SEV	2

extern u8 vmcb[VMCB_SIZE];

#define FIELD(type, at)	(*(volatile type *)(vmcb + (at)))

/* What the last events were. */
struct seen {
	u64 recover;		/* where a fault goes on, and 0 if none is expected */
	u64 vector, error, rip, dr6;
	u32 irqs, depth, nested;
	int irq_spins;		/* an interrupt takes 300 ms */
};

extern volatile struct seen seen;

/* Execute an instruction; the vector of the event that it raised, or 0. */
#define TRY(insn, value) ({							\
	seen.vector = 0;							\
	asm volatile("leaq 771f(%%rip), %%r11\n\t"				\
		     "movq %%r11, %0\n\t" insn "\n771:"			\
		     : "+m"(seen.recover) : "r"((u64)(value))			\
		     : "r10", "r11", "memory");					\
	seen.recover = 0;							\
	seen.vector;								\
})

#define READ_REG(reg) ({							\
	u64 v_;									\
										\
	asm volatile("movq %%" reg ", %0" : "=r"(v_));				\
	v_;									\
})

#define WRITE_REG(reg, value) ({						\
	asm volatile("movq %0, %%" reg : : "r"((u64)(value)) : "memory");	\
})

static inline u64 read_msr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (u64)high << 32;
}

static inline void write_msr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid read_cpuid(u32 leaf)
{
	struct cpuid r;

	asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(0));
	return r;
}

void apic_write(u32 reg, u32 value);

/* A line of text for the test's log; it has failed if the two differ. */
void expect(const char *what, u64 want, u64 got);

/* Stop the machine, where it has a pvpanic device and -action panic=pause, until the monitor says "cont". */
void svm_bare_stop(void);

/* Whether the current test has failed. */
int svm_bare_failed(void);

/*
 * Fill in the VMCB of a guest that is the host with another stack, and with no intercepts but those
 * that it cannot be without.
 */
void make_vmcb(void);

/* make_vmcb() with this nested control and ASID, and nested tables that map 4 GiB one to one. */
void make_nested_vmcb(u64 nested_ctl, u32 asid);
extern u64 svm_bare_nested_pdpt[512];

/* The last VMRUN ended like this. */
void expect_exit(u64 code);

/* Guests. */
void svm_bare_do_nothing(void);
void svm_bare_load_window(void);

/*
 * A page at WINDOW that is mapped by four tables of its own, of host and guests alike: each entry,
 * from the top one, can be changed. What is loaded from it is WINDOW_DATA.
 */
#define WINDOW		(1ul << 39)
#define WINDOW_DATA	0x123456789abcdef0ul
#define WINDOW_LEVELS	4

/* Map the window, with @bits more in the entry of @level (0: the root's). */
void map_window(int level, u64 bits);
void unmap_window(void);

/* The secure processor: 1 if it is there. */
int psp_find(void);

/* Execute a command without an interrupt; its status. */
u32 psp_command(u32 command, void *buffer);

/* The same in two steps, with something to do between them. */
void psp_start(u32 command, void *buffer);
u32 psp_wait(void);

/* One of the machine's own counters. */
u64 psp_counter(int index);

#define PSP_INIT		0x001
#define PSP_SHUTDOWN		0x002
#define PSP_STATUS		0x004
#define PSP_DF_FLUSH		0x00a
#define PSP_DECOMMISSION	0x020
#define PSP_ACTIVATE		0x021
#define PSP_DEACTIVATE		0x022
#define PSP_LAUNCH_START	0x030
#define PSP_LAUNCH_UPDATE_DATA	0x031
#define PSP_LAUNCH_MEASURE	0x033
#define PSP_LAUNCH_FINISH	0x035
#define PSP_DBG_DECRYPT		0x060

#define PSP_WBINVD_REQUIRED	14
#define PSP_HW_PLATFORM		19

struct bare_test {
	const char *name;
	void (*run)(void);
};

/* Run the tests, and end the machine. */
void __attribute__((noreturn)) svm_bare_run(const struct bare_test *tests, int n);
#endif

#endif
