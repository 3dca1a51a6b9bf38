/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest of private_vm.c and the host share: memory layout, ports and the command page.
 */
#ifndef SELFTEST_KVM_PRIVATE_VM_GUEST_H
#define SELFTEST_KVM_PRIVATE_VM_GUEST_H

/* The first slot, always shared: the guest's tables, code and stacks. Mapped one to one, as 4 GiB are. */
#define PVM_LOW_SIZE	0x200000
#define PVM_PML4	0x1000
#define PVM_PDPT	0x2000
#define PVM_PD		0x3000		/* four pages */
#define PVM_GDT		0x7000
#define PVM_IDT		0x8000
#define PVM_CODE	0x9000
#define PVM_CPU		0x10000		/* a command page and a page of stack for each vCPU */
#define PVM_CPU_SIZE	0x2000
#define PVM_FREE	0x80000		/* from here on the test's */

/* The guest writes to these: the command is done, or an exception ended it. */
#define PVM_PORT_DONE	0x10
#define PVM_PORT_FAULT	0x11

#define PVM_VECTORS	32
#define PVM_VECTOR_SIZE	16

/* Commands. Unless said otherwise they work on quadwords. */
#define PVM_READ	0	/* result = *addr */
#define PVM_WRITE	1	/* *addr = value */
#define PVM_FILL	2	/* at each step of [addr, addr + len): *at = value + at * mul */
#define PVM_CHECK	3	/* the same compared: result = differences; at, seen = of the first one */
#define PVM_COPY	4	/* len bytes from addr to value, by bytes */
#define PVM_XADD	5	/* result = *addr; *addr += value, locked */
#define PVM_CALL	6	/* result = what the code at addr leaves in RAX; RSI = value, RCX = len */
#define PVM_VMMCALL	7	/* RAX = value, RBX = addr, RCX = len, RDX = mul, RSI = step; result = RAX */
#define PVM_RDMSR	8	/* result = MSR addr */
#define PVM_WRMSR	9	/* MSR addr = value */

#define PVM_GATHER	10	/* the array at value = what is at each step of [addr, addr + len) */
/*
 * Read mul, then *addr, again and again without an exit, until mul is not 0: result = what was read last.
 * seen counts. A CPU goes on with what its TLB says for as long as it is let.
 */
#define PVM_WATCH	11

/* Fields of the command page. */
#define PVM_OP		0
#define PVM_ADDR	8
#define PVM_LEN		16
#define PVM_VALUE	24
#define PVM_MUL		32
#define PVM_STEP	40
#define PVM_RESULT	48
#define PVM_AT		56
#define PVM_SEEN	64
#define PVM_VECTOR	72
#define PVM_CR2		80
#define PVM_FRAME	88	/* two words of the exception's frame: RIP, or error code and RIP */

#endif /* SELFTEST_KVM_PRIVATE_VM_GUEST_H */
