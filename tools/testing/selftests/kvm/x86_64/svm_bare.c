// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the emulated processor that no guest of KVM can make, because KVM stands between: it
 * keeps debug registers apart, intercepts CR4, and injects and intercepts as it likes. This program
 * is all the software of a machine (a multiboot image; svm_bare_test.sh starts it) and uses VMRUN
 * itself.
 *
 * Each test fails on QEMU 7.2 as it was, some by a machine that stands still: one that ends before
 * its last line of TAP has failed.
 *
 * Host and guests share page tables, segments and the interrupt table. A guest is a function of
 * this file.
 */
#include "svm_bare.h"

/* Configuration space of the root port that the machine has at device 5: a page that is no RAM. */
#define PORT_CONFIG	0xb0028000ul
#define PORT_ID		0x000c1b36u
#define PORT_PREF_UPPER	0x28

/* Nothing is mapped here. */
#define NOWHERE		0x500000000ul

static u64 device_pdpt[512] __attribute__((aligned(4096)));
static u64 device_pd[512] __attribute__((aligned(4096)));
static u64 target_page[512] __attribute__((aligned(4096)));
static u8 vmcb_before[VMCB_SIZE];
static volatile u64 watched;

/* Without the stack, so that a fault on the way may be left for good. */
#define NOPS	"leaq 1f(%%rip), %%r10\n\tjmp svm_bare_nops\n1:"

static void run_nops(void)
{
	asm volatile(NOPS : : : "r10");
}

/* Reserved bits raise #GP(0), in the host without a guest as in a guest, and change nothing. */
static void set_reserved_bits(void)
{
	u64 cr3 = READ_REG("cr3"), cr4 = READ_REG("cr4");

	for (int bit = 52; bit < 64; bit += 11) {
		expect("CR3, reserved bit", GP_VECTOR, TRY("movq %1, %%cr3", cr3 | 1ul << bit));
		expect("error code", 0, seen.error);
	}
	expect("CR3 as it was", cr3, READ_REG("cr3"));
	expect("CR3 written back", 0, TRY("movq %1, %%cr3", cr3));
	expect("CR4, reserved bit 31", GP_VECTOR, TRY("movq %1, %%cr4", cr4 | 1ul << 31));
	expect("error code", 0, seen.error);
	expect("CR4, reserved bit 40", GP_VECTOR, TRY("movq %1, %%cr4", cr4 | 1ul << 40));
	expect("CR4 as it was", cr4, READ_REG("cr4"));
	expect("CR4 with PGE", 0, TRY("movq %1, %%cr4", cr4 | 1ul << 7));
	expect("CR4 with PGE", cr4 | 1ul << 7, READ_REG("cr4"));
	WRITE_REG("cr4", cr4);
	expect("CR8, bit 4", GP_VECTOR, TRY("movq %1, %%cr8", 16));
	expect("CR8, bit 63", GP_VECTOR, TRY("movq %1, %%cr8", 1ul << 63));
	expect("CR8 15", 0, TRY("movq %1, %%cr8", 15));
	expect("CR8 15", 15, READ_REG("cr8"));
	WRITE_REG("cr8", 0);
}

static void reserved_bits_in_a_guest(void)
{
	make_vmcb();
	svm_bare_vmrun(vmcb, set_reserved_bits);
	expect_exit(EXIT_VMMCALL);
	make_vmcb();
	FIELD(u32, INT_CTL) = V_INTR_MASKING;
	svm_bare_vmrun(vmcb, set_reserved_bits);
	expect_exit(EXIT_VMMCALL);
}

/* VMRUN inserts the breakpoints that the VMCB's DR7 enables, of either kind. */
static void breakpoints_of_the_vmcb(void)
{
	make_vmcb();
	FIELD(u32, EXCEPTIONS) = 1u << DB_VECTOR;
	WRITE_REG("db0", (u64)svm_bare_nops + 2);
	FIELD(u64, VMCB_DR7) = 0x402;
	svm_bare_vmrun(vmcb, run_nops);
	expect_exit(EXIT_EXCP + DB_VECTOR);
	expect("RIP at the breakpoint", (u64)svm_bare_nops + 2, FIELD(u64, VMCB_RIP));
	expect("DR7 of the guest", 0x402, FIELD(u64, VMCB_DR7));
}

static void write_watched(void)
{
	watched++;
}

static void watchpoint_of_the_vmcb(void)
{
	make_vmcb();
	FIELD(u32, EXCEPTIONS) = 1u << DB_VECTOR;
	WRITE_REG("db1", (u64)&watched);
	FIELD(u64, VMCB_DR7) = 0x400 | 2 << 2 | 9ul << 20;
	watched = 5;
	svm_bare_vmrun(vmcb, write_watched);
	expect_exit(EXIT_EXCP + DB_VECTOR);
	expect("the write was done", 6, watched);
}

/* Without an intercept, the guest's own handler has them. */
static void breakpoint_in_the_guest(void)
{
	make_vmcb();
	WRITE_REG("db2", (u64)svm_bare_nops + 1);
	FIELD(u64, VMCB_DR7) = 0x400 | 2 << 4;
	seen.vector = 0;
	seen.recover = (u64)svm_bare_nops + 4;
	svm_bare_vmrun(vmcb, run_nops);
	seen.recover = 0;
	expect_exit(EXIT_VMMCALL);
	expect("vector", DB_VECTOR, seen.vector);
	expect("RIP", (u64)svm_bare_nops + 1, seen.rip);
	expect("DR6", 4, seen.dr6 & 15);
}

/* A guest's breakpoints end with it: its DR7 is saved, and the host's is disabled. */
static void breakpoints_end_with_the_guest(void)
{
	make_vmcb();
	WRITE_REG("db0", (u64)svm_bare_nops + 2);
	WRITE_REG("db1", (u64)&watched);
	FIELD(u64, VMCB_DR7) = 0x402 | 2 << 2 | 9ul << 20;
	svm_bare_vmrun(vmcb, svm_bare_do_nothing);
	expect_exit(EXIT_VMMCALL);
	expect("DR7 of the host", 0x400, READ_REG("db7"));
	expect("execution in the host", 0, TRY(NOPS, 0));
	expect("write in the host", 0, TRY("movq %1, watched(%%rip)", 7));
	/* And are there again when it goes on. */
	FIELD(u32, EXCEPTIONS) = 1u << DB_VECTOR;
	FIELD(u64, VMCB_RIP) = (u64)svm_bare_guest;
	svm_bare_vmrun(vmcb, run_nops);
	expect_exit(EXIT_EXCP + DB_VECTOR);
}

/* Those of the host do not hit in a guest, and are off after it. */
static void breakpoints_of_the_host(void)
{
	make_vmcb();
	FIELD(u32, EXCEPTIONS) = 1u << DB_VECTOR;
	WRITE_REG("db0", (u64)svm_bare_nops + 2);
	WRITE_REG("db7", 0x402);
	svm_bare_vmrun(vmcb, run_nops);
	expect_exit(EXIT_VMMCALL);
	expect("DR7 of the host", 0x400, READ_REG("db7"));
	WRITE_REG("db7", 0x402);
	expect("the host's own hits", DB_VECTOR, TRY(NOPS, 0));
	expect("at", (u64)svm_bare_nops + 2, seen.rip);
	WRITE_REG("db7", 0x400);
}

/*
 * An injected interrupt is delivered once. The second processor makes the emulator leave its loop
 * ten times a second, and the handler takes longer than that. Five times, because whatever else
 * reaches the local APIC meanwhile can hide the fault.
 */
static void injected_interrupt_once(void)
{
	seen.irqs = 0;
	seen.nested = 0;
	seen.irq_spins = 1;
	for (int i = 0; i < 5; i++) {
		make_vmcb();
		FIELD(u32, EVENT_INJ) = EVENT_VALID | IRQ_INJECTED;
		svm_bare_vmrun(vmcb, svm_bare_do_nothing);
		expect_exit(EXIT_VMMCALL);
	}
	seen.irq_spins = 0;
	expect("interrupts", 5, seen.irqs);
	expect("interrupts in an interrupt", 0, seen.nested);
	expect("vector", IRQ_INJECTED, seen.vector);
}

/* The interrupt table has no page: the delivery ends in an intercepted #PF. */
static void make_undeliverable(void)
{
	make_vmcb();
	FIELD(u32, EXCEPTIONS) = 1u << PF_VECTOR;
	FIELD(u64, IDTR + 8) = NOWHERE;
	FIELD(u64, VMCB_RFLAGS) = 2 | RFLAGS_IF;
}

static void expect_interrupted(const char *what, u32 intinfo)
{
	expect_exit(EXIT_EXCP + PF_VECTOR);
	expect(what, EVENT_VALID | intinfo, FIELD(u32, EXIT_INTINFO));
	expect("RIP", (u64)svm_bare_guest, FIELD(u64, VMCB_RIP));
}

/* Once with the number of an exception that has an error code: an interrupt has none. */
static void interrupted_virtual_interrupt(void)
{
	static const u8 vectors[] = { IRQ_VIRTUAL, GP_VECTOR };

	for (int i = 0; i < 2; i++) {
		make_undeliverable();
		FIELD(u32, INT_CTL) = V_IRQ | V_IGN_TPR;
		FIELD(u32, INT_VECTOR) = vectors[i];
		svm_bare_vmrun(vmcb, svm_bare_do_nothing);
		expect_interrupted("a virtual interrupt", vectors[i]);
		expect("still pending", 0, FIELD(u32, INT_CTL) & V_IRQ);
	}
}

static void interrupted_interrupt(void)
{
	make_undeliverable();
	apic_write(APIC_ICR, APIC_SELF | IRQ_SELF);
	svm_bare_vmrun(vmcb, svm_bare_do_nothing);
	expect_interrupted("an interrupt", IRQ_SELF);
	apic_write(APIC_EOI, 0);
}

/* A refused VMRUN leaves the guest's state alone, and works when the reason is gone. */
static void refused_vmrun_keeps_the_guest(void)
{
	make_vmcb();
	FIELD(u32, ASID) = 0;
	for (int i = 0; i < VMCB_SIZE; i++)
		vmcb_before[i] = vmcb[i];
	svm_bare_vmrun(vmcb, svm_bare_do_nothing);
	expect_exit(EXIT_INVALID);
	for (int i = SAVE; i < VMCB_SIZE; i++)
		expect("a byte of the saved state", vmcb_before[i], vmcb[i]);
	FIELD(u32, ASID) = 1;
	svm_bare_vmrun(vmcb, svm_bare_do_nothing);
	expect_exit(EXIT_VMMCALL);
}

/*
 * A page table in a device: a register of the root port is its sixth entry. The walk sets A and D
 * in it as in memory.
 */
static void page_table_in_a_device(void)
{
	volatile u64 *entry = (void *)(PORT_CONFIG + PORT_PREF_UPPER);
	volatile u64 *page = (void *)(1ul << 39 | PORT_PREF_UPPER / 8 << 12);
	u64 value = (u64)target_page | 3;

	expect("the root port", PORT_ID, *(volatile u32 *)PORT_CONFIG);
	if (svm_bare_failed())
		return;
	svm_bare_pml4[1] = (u64)device_pdpt | 3;
	device_pdpt[0] = (u64)device_pd | 3;
	device_pd[0] = PORT_CONFIG | 3;
	*entry = value;
	expect("the register", value, *entry);
	target_page[3] = 0x123456789abcdef0;
	expect("a load", target_page[3], page[3]);
	expect("the entry with A", value | 0x20, *entry);
	page[4] = 77;
	expect("a store", 77, target_page[4]);
	expect("the entry with A and D", value | 0x60, *entry);
	*entry = 0;
	svm_bare_pml4[1] = 0;
	WRITE_REG("cr3", READ_REG("cr3"));
}

static const struct bare_test tests[] = {
	{ "reserved bits of control registers in the host", set_reserved_bits },
	{ "a page table in a device", page_table_in_a_device },
	{ "reserved bits of control registers in a guest", reserved_bits_in_a_guest },
	{ "VMRUN inserts breakpoints", breakpoints_of_the_vmcb },
	{ "VMRUN inserts watchpoints", watchpoint_of_the_vmcb },
	{ "a guest handles its breakpoint", breakpoint_in_the_guest },
	{ "breakpoints end with the guest", breakpoints_end_with_the_guest },
	{ "breakpoints of the host", breakpoints_of_the_host },
	{ "an injected interrupt is delivered once", injected_interrupt_once },
	{ "an interrupted virtual interrupt", interrupted_virtual_interrupt },
	{ "an interrupted interrupt", interrupted_interrupt },
	{ "a refused VMRUN keeps the guest", refused_vmrun_keeps_the_guest },
};

void svm_bare_main(void)
{
	svm_bare_run(tests, ARRAY_SIZE(tests));
}
