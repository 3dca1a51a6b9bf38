/* SPDX-License-Identifier: GPL-2.0-only */
/* What svm_nested_tcg_test.c and its guest (svm_nested_tcg_guest.S) agree on. */
#ifndef SELFTEST_SVM_NESTED_TCG_GUEST_H
#define SELFTEST_SVM_NESTED_TCG_GUEST_H

#define GDT		0x1000
#define PML4		0x2000
#define PDPT		0x3000
#define PD_LOW		0x4000
#define PD_HIGH		0x5000
#define CODE		0x8000
#define SHARED		0xa000
#define STACK_TOP	0x20000
/* The IDT has a slot of its own, so that the first event of a guest faults on it. */
#define IDT		0x200000
#define MMIO		0xd0000000
#define APIC		0xfee00000

#define IRQ_VECTOR	0x40
#define SOFT_VECTOR	0x80

#define PORT_SYNC	0x10
#define PORT_DONE	0x11
#define PORT_FAULT	0x12

/* Offsets in struct shared. */
#define DEPTH		0x00
#define COUNT		0x04
#define RIP		0x08
#define SEEN		0x10
#define NESTED		0x14

#ifndef __ASSEMBLER__
/* At SHARED. */
struct shared {
	uint32_t depth;		/* handlers that are running */
	uint32_t count;		/* events taken */
	uint64_t rip;		/* where the last event returned to */
	uint32_t seen;		/* events that the main program noticed */
	uint32_t nested;	/* a handler was interrupted */
};
_Static_assert(offsetof(struct shared, count) == COUNT && offsetof(struct shared, rip) == RIP &&
	       offsetof(struct shared, seen) == SEEN && offsetof(struct shared, nested) == NESTED,
	       "the guest's offsets");

extern const char guest_start[], guest_end[], guest_irq[], guest_soft[], guest_fault[];
extern const char run_init[], run_cr8[], run_once[], run_hlt[], run_nops[], run_sti[];
extern const char run_xsetbv[], run_int[], run_int_end[], run_int3[], run_int3_end[], run_mmio[];

/* Programs that each execute one intercepted instruction 64 times. */
extern const struct {
	const char *name, *code;
} run_skip[];
#define SKIP_COUNT	10
#endif

#endif
