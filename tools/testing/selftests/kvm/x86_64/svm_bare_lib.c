// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests of svm_bare need: output, the local APIC, events, the VMCB of a guest, a page
 * whose mapping can be changed.
 *
 * Output goes to the debug port as TAP; the debug-exit device ends the machine.
 */
#include "svm_bare.h"

#define PORT_OUT	0xe9
#define PORT_EXIT	0xf4
#define PORT_PANIC	0x505
#define PORT_PIC1	0x21
#define PORT_PIC2	0xa1
#define PORT_PIT0	0x40
#define PORT_PIT_MODE	0x43

/* Statuses that QEMU does not end with by itself. */
#define END_PASSED	16
#define END_FAILED	17

u8 vmcb[VMCB_SIZE] __attribute__((aligned(4096)));
volatile struct seen seen;

static u8 hsave[4096] __attribute__((aligned(4096)));
static u64 idt[512];
static int failed;

struct table {
	u16 limit;
	u64 base;
} __attribute__((packed));

static void io_out(u8 value, u16 port)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void put(const char *text)
{
	while (*text)
		io_out(*text++, PORT_OUT);
}

static void put_hex(u64 value)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		io_out("0123456789abcdef"[value >> shift & 15], PORT_OUT);
}

static void put_number(int n)
{
	if (n >= 10)
		put_number(n / 10);
	io_out('0' + n % 10, PORT_OUT);
}

static void __attribute__((noreturn)) end(u8 status)
{
	io_out(status, PORT_EXIT);
	for (;;)
		asm volatile("hlt");
}

/* The processor stops before the instruction that this returns to: the emulator looks there. */
void svm_bare_stop(void)
{
	io_out(1, PORT_PANIC);
}

void expect(const char *what, u64 want, u64 got)
{
	if (want == got)
		return;
	failed = 1;
	put("# ");
	put(what);
	put(": want ");
	put_hex(want);
	put(", got ");
	put_hex(got);
	put("\n");
}

static u32 apic_read(u32 reg)
{
	return *(volatile u32 *)(APIC + reg);
}

void apic_write(u32 reg, u32 value)
{
	*(volatile u32 *)(APIC + reg) = value;
}

static void wait_ms(u32 ms)
{
	apic_write(APIC_LVTT, APIC_MASKED | IRQ_SELF);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_TMICT, ms * 1000000);
	while (apic_read(APIC_TMCCT))
		;
}

static void interrupt(u64 vector)
{
	seen.depth++;
	seen.irqs++;
	seen.vector = vector;
	if (seen.depth > 1)
		seen.nested++;
	else if (seen.irq_spins)
		wait_ms(300);
	seen.depth--;
	if (vector == IRQ_SELF)
		apic_write(APIC_EOI, 0);
}

/* Every event of host and guests comes here. */
void svm_bare_event(struct frame *frame)
{
	u64 dr6;

	if (frame->vector >= 32) {
		interrupt(frame->vector);
		return;
	}
	seen.vector = frame->vector;
	seen.error = frame->error;
	seen.rip = frame->rip;
	asm volatile("movq %%db6, %0" : "=r"(dr6));
	seen.dr6 = dr6;
	if (!seen.recover) {
		put("Bail out! unexpected event ");
		put_hex(frame->vector);
		put(" at ");
		put_hex(frame->rip);
		put("\n");
		end(END_FAILED);
	}
	frame->rip = seen.recover;
	seen.recover = 0;
}

int svm_bare_failed(void)
{
	return failed;
}

static void set_gates(void)
{
	struct table idtr = { sizeof(idt) - 1, (u64)idt };

	for (u64 i = 0; i < 256; i++) {
		u64 at = (u64)svm_bare_stubs + 16 * i;

		idt[2 * i] = (at & 0xffff) | CODE64 << 16 | 0x8e00ul << 32 |
			     (at & 0xffff0000) << 32;
	}
	asm volatile("lidt %0" : : "m"(idtr));
}

static void set_segment(int at, u16 selector, u16 attrib, u64 base, u32 limit)
{
	FIELD(u16, at) = selector;
	FIELD(u16, at + 2) = attrib;
	FIELD(u32, at + 4) = limit;
	FIELD(u64, at + 8) = base;
}

void make_vmcb(void)
{
	struct table gdtr;

	asm volatile("sgdt %0" : "=m"(gdtr));
	for (int i = 0; i < VMCB_SIZE; i++)
		vmcb[i] = 0;
	FIELD(u32, INTERCEPT) = 1u << 31;		/* shutdown */
	FIELD(u32, INTERCEPT2) = 3;			/* VMRUN, VMMCALL */
	FIELD(u32, ASID) = 1;
	set_segment(SEG_CS, CODE64, 0xa9b, 0, ~0u);
	set_segment(SEG_DS, DATA64, 0xc93, 0, ~0u);
	set_segment(SEG_ES, DATA64, 0xc93, 0, ~0u);
	set_segment(SEG_SS, DATA64, 0xc93, 0, ~0u);
	set_segment(GDTR, 0, 0, gdtr.base, gdtr.limit);
	set_segment(IDTR, 0, 0, (u64)idt, sizeof(idt) - 1);
	FIELD(u64, VMCB_EFER) = EFER_LME_SVME | 0x400;
	FIELD(u64, VMCB_CR0) = READ_REG("cr0");
	FIELD(u64, VMCB_CR3) = READ_REG("cr3");
	FIELD(u64, VMCB_CR4) = READ_REG("cr4");
	FIELD(u64, VMCB_DR6) = 0xffff0ff0;
	FIELD(u64, VMCB_DR7) = 0x400;
	FIELD(u64, VMCB_RFLAGS) = 2;
	FIELD(u64, VMCB_RIP) = (u64)svm_bare_guest;
	FIELD(u64, VMCB_RSP) = (u64)svm_bare_guest_stack_top;
	FIELD(u64, VMCB_PAT) = 0x0007040600070406ul;
}

u64 svm_bare_nested_pdpt[512] __attribute__((aligned(4096)));
static u64 nested_pml4[512] __attribute__((aligned(4096)));

void make_nested_vmcb(u64 nested_ctl, u32 asid)
{
	/* Pages of 1 GiB; nested walks are a user's. */
	nested_pml4[0] = (u64)svm_bare_nested_pdpt | 7;
	for (u64 i = 0; i < 4; i++)
		svm_bare_nested_pdpt[i] = i << 30 | 0x87;
	make_vmcb();
	FIELD(u64, NESTED_CTL) = nested_ctl;
	FIELD(u64, NESTED_CR3) = (u64)nested_pml4;
	FIELD(u32, ASID) = asid;
}

void expect_exit(u64 code)
{
	expect("exit code", code, FIELD(u64, EXIT_CODE));
}

void svm_bare_do_nothing(void)
{
}

void svm_bare_load_window(void)
{
	expect("the page behind the window", WINDOW_DATA, *(volatile u64 *)WINDOW);
}

static u64 window_page[512] __attribute__((aligned(4096)));
static u64 window_tables[WINDOW_LEVELS - 1][512] __attribute__((aligned(4096)));

void map_window(int level, u64 bits)
{
	u64 *entries[WINDOW_LEVELS] = {
		&svm_bare_pml4[1], window_tables[0], window_tables[1], window_tables[2],
	};

	window_page[0] = WINDOW_DATA;
	for (int i = 0; i < WINDOW_LEVELS; i++) {
		u64 next = i + 1 < WINDOW_LEVELS ? (u64)window_tables[i] : (u64)window_page;

		*entries[i] = next | 3 | (i == level ? bits : 0);
	}
	WRITE_REG("cr3", READ_REG("cr3"));
}

void unmap_window(void)
{
	svm_bare_pml4[1] = 0;
	WRITE_REG("cr3", READ_REG("cr3"));
}

/* No interrupt but those that a test makes, and no timer tick: one shot, and that soon over. */
static void stop_devices(void)
{
	io_out(0xff, PORT_PIC1);
	io_out(0xff, PORT_PIC2);
	io_out(0x30, PORT_PIT_MODE);
	io_out(1, PORT_PIT0);
	io_out(0, PORT_PIT0);
}

void svm_bare_run(const struct bare_test *tests, int n)
{
	int tests_failed = 0;

	set_gates();
	stop_devices();
	apic_write(APIC_SPIV, 0x1ff);
	write_msr(MSR_HSAVE_PA, (u64)hsave);
	put("1..");
	put_number(n);
	put("\n");
	for (int i = 0; i < n; i++) {
		failed = 0;
		tests[i].run();
		tests_failed += failed;
		put(failed ? "not ok " : "ok ");
		put_number(i + 1);
		put(" - ");
		put(tests[i].name);
		put("\n");
	}
	end(tests_failed ? END_FAILED : END_PASSED);
}
