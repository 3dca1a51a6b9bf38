// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest: interrupts through the local APIC that KVM emulates, by
 * MMIO, and HLT. Each interrupt must arrive once, not twice and not never.
 *
 * A vCPU that waits for an interrupt uses "sti; hlt": the interrupt shadow of
 * STI makes the pair atomic, so a wakeup between the two is not lost.
 */
#include "sev_guest_payload.h"

#define GUEST_FILE	SEV_GUEST_FILE_IRQ

#define APIC		0xfee00000ull
#define APIC_ID		(APIC + 0x20)
#define APIC_EOI	(APIC + 0xb0)
#define APIC_SPURIOUS	(APIC + 0xf0)
#define APIC_IRR	(APIC + 0x200)
#define APIC_ICR_LOW	(APIC + 0x300)
#define APIC_ICR_HIGH	(APIC + 0x310)
#define APIC_LVT_TIMER	(APIC + 0x320)
#define APIC_LVT_LINT0	(APIC + 0x350)
#define APIC_TIMER_INIT	(APIC + 0x380)
#define APIC_TIMER_DIV	(APIC + 0x3e0)
#define APIC_MASKED	(1u << 16)
#define APIC_PERIODIC	(1u << 17)
#define APIC_ENABLE	(1u << 8)
#define ICR_PENDING	(1u << 12)
#define ICR_SELF	(1u << 18)

#define IOAPIC_INDEX	0xfec00000ull
#define IOAPIC_DATA	0xfec00010ull
#define IOAPIC_ENTRY(n)	(0x10 + 2 * (n))

#define PIC_MASTER_DATA	0x21
#define PIC_SLAVE_DATA	0xa1

#define TIMER_TICKS	1000000	/* KVM's local APIC counts nanoseconds */

void guest_eoi(void)
{
	mmio_write32(APIC_EOI, 0);
}

static void apic_on(void)
{
	/* The 8259s start unmasked and would be seen through LINT0. */
	out8(PIC_MASTER_DATA, 0xff);
	out8(PIC_SLAVE_DATA, 0xff);
	mmio_write32(APIC_LVT_LINT0, APIC_MASKED);
	mmio_write32(APIC_SPURIOUS, APIC_ENABLE | 0xff);
	GUEST_EQ(APIC_ENABLE | 0xff, mmio_read32(APIC_SPURIOUS) & 0x1ff);
	GUEST_EQ(guest_vcpu() << 24, mmio_read32(APIC_ID));
}

static void cli(void)
{
	asm volatile("cli" : : : "memory");
}

/* With interrupts off: sleep until one came, and take it. */
static void sleep(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

/* Take what is pending; the NOPs are past the interrupt shadow. */
static void open_window(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

static void wait_for(u32 vector, u32 times)
{
	while (guest_arrived[vector] < times)
		sleep();
	GUEST_EQ(times, guest_arrived[vector]);
}

static u32 irr(u32 vector)
{
	return mmio_read32(APIC_IRR + vector / 32 * 0x10) >> vector % 32 & 1;
}

static void self_ipi(u32 vector)
{
	mmio_write32(APIC_ICR_LOW, ICR_SELF | vector);
}

void guest_self_ipi(const u64 *args)
{
	(void)args;
	apic_on();
	cli();
	for (u32 i = 0; i < 50; i++) {
		self_ipi(SEV_VECTOR_IPI);
		/* IF is 0: it waits in the APIC. */
		GUEST_EQ(i, guest_arrived[SEV_VECTOR_IPI]);
		GUEST_EQ(1, irr(SEV_VECTOR_IPI));
		if (i & 1)
			open_window();
		else
			sleep();
		GUEST_EQ(i + 1, guest_arrived[SEV_VECTOR_IPI]);
		GUEST_EQ(0, irr(SEV_VECTOR_IPI));
	}
	/* A window with nothing pending delivers nothing. */
	open_window();
	GUEST_EQ(50, guest_arrived[SEV_VECTOR_IPI]);
	guest_report(guest_arrived[SEV_VECTOR_IPI]);
}

static void write_cr8(u64 tpr)
{
	asm volatile("movq %0, %%cr8" : : "r"(tpr) : "memory");
}

/* The task priority holds back vectors of its class and below. */
void guest_tpr(const u64 *args)
{
	(void)args;
	apic_on();
	cli();
	for (u32 i = 0; i < 20; i++) {
		write_cr8(SEV_VECTOR_LOW >> 4);
		self_ipi(SEV_VECTOR_LOW);
		self_ipi(SEV_VECTOR_IPI);
		open_window();
		GUEST_EQ(i, guest_arrived[SEV_VECTOR_LOW]);
		GUEST_EQ(i + 1, guest_arrived[SEV_VECTOR_IPI]);
		/* Lowered with interrupts on: it comes now. */
		asm volatile("sti; nop" : : : "memory");
		GUEST_EQ(i, guest_arrived[SEV_VECTOR_LOW]);
		write_cr8(0);
		asm volatile("nop; cli" : : : "memory");
		GUEST_EQ(i + 1, guest_arrived[SEV_VECTOR_LOW]);
	}
	guest_report(guest_arrived[SEV_VECTOR_LOW]);
}

static void periodic_ticks(u32 ticks)
{
	u32 seen;

	mmio_write32(APIC_LVT_TIMER, APIC_PERIODIC | SEV_VECTOR_TIMER);
	mmio_write32(APIC_TIMER_INIT, TIMER_TICKS);
	seen = guest_arrived[SEV_VECTOR_TIMER];
	while (guest_arrived[SEV_VECTOR_TIMER] < seen + ticks)
		sleep();
	mmio_write32(APIC_TIMER_INIT, 0);
	mmio_write32(APIC_LVT_TIMER, APIC_MASKED | SEV_VECTOR_TIMER);
	open_window();
}

void guest_timer(const u64 *args)
{
	u32 ticks = args[0], seen;
	u64 before;

	apic_on();
	cli();
	mmio_write32(APIC_TIMER_DIV, 0xb);
	mmio_write32(APIC_LVT_TIMER, SEV_VECTOR_TIMER);
	before = rdtsc();
	for (u32 i = 0; i < ticks; i++) {
		mmio_write32(APIC_TIMER_INIT, TIMER_TICKS);
		wait_for(SEV_VECTOR_TIMER, i + 1);
	}
	guest_report(guest_arrived[SEV_VECTOR_TIMER]);
	guest_report(rdtsc() - before);
	periodic_ticks(ticks);
	/* The timer is off: nothing more may come. */
	seen = guest_arrived[SEV_VECTOR_TIMER];
	for (u32 i = 0; i < 100; i++) {
		asm volatile("pause");
		open_window();
	}
	GUEST_EQ(seen, guest_arrived[SEV_VECTOR_TIMER]);
}

static void ioapic_route(u32 pin, u32 vector)
{
	mmio_write32(IOAPIC_INDEX, IOAPIC_ENTRY(pin) + 1);
	mmio_write32(IOAPIC_DATA, 0);
	mmio_write32(IOAPIC_INDEX, IOAPIC_ENTRY(pin));
	mmio_write32(IOAPIC_DATA, vector);
	GUEST_EQ(vector, mmio_read32(IOAPIC_DATA));
}

/* The host pulses the line, then signals an MSI, each time it is asked. */
void guest_external(const u64 *args)
{
	apic_on();
	cli();
	ioapic_route(SEV_GUEST_IRQ_LINE, SEV_VECTOR_IRQ);
	for (u32 i = 0; i < args[0]; i++) {
		guest_sync(SEV_VECTOR_IRQ);
		wait_for(SEV_VECTOR_IRQ, i + 1);
		guest_sync(SEV_VECTOR_MSI);
		wait_for(SEV_VECTOR_MSI, i + 1);
	}
	guest_report(guest_arrived[SEV_VECTOR_IRQ]);
	guest_report(guest_arrived[SEV_VECTOR_MSI]);
}

/* The host sends MSIs from another thread; between them the vCPU sleeps. */
void guest_hlt(const u64 *args)
{
	apic_on();
	cli();
	guest_sync(1);
	for (u32 i = 0; i < args[0]; i++) {
		wait_for(SEV_VECTOR_MSI, i + 1);
		*word_at(SEV_GUEST_SHARED, 0) = i + 1;
	}
	guest_report(guest_arrived[SEV_VECTOR_MSI]);
}

static void ipi_to(u64 vcpu, u32 vector)
{
	while (mmio_read32(APIC_ICR_LOW) & ICR_PENDING)
		;
	mmio_write32(APIC_ICR_HIGH, vcpu << 24);
	mmio_write32(APIC_ICR_LOW, vector);
}

/*
 * Two vCPUs wake each other in turns. Each has a vector of its own, so that an
 * interrupt that gets lost, is delivered twice or goes astray is seen.
 */
void guest_ping_pong(const u64 *args)
{
	volatile u64 *ready = word_at(SEV_GUEST_SHARED + SEV_PONG_READY, 0);
	u64 me = guest_vcpu();
	u32 mine = me ? SEV_VECTOR_LOW : SEV_VECTOR_IPI;
	u32 other = me ? SEV_VECTOR_IPI : SEV_VECTOR_LOW;

	apic_on();
	cli();
	if (me) {
		*ready = 1;
	} else {
		while (!*ready)
			asm volatile("pause");
	}
	for (u32 i = 0; i < args[0]; i++) {
		if (!me)
			ipi_to(1, other);
		wait_for(mine, i + 1);
		*word_at(SEV_GUEST_SHARED + (me ? SEV_PONG_COUNT : SEV_PING_COUNT), 0) = i + 1;
		if (me)
			ipi_to(0, other);
	}
	guest_report(guest_arrived[mine]);
}
