/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tiny SEV guest and the test that runs it agree on: where things are
 * in guest memory, which ports they talk over, and which test the guest runs.
 *
 * Included by the freestanding guest, by its assembly and linker script, and by
 * the host side: macros first, types only for C.
 */
#ifndef SELFTEST_KVM_SEV_GUEST_ABI_H
#define SELFTEST_KVM_SEV_GUEST_ABI_H

/*
 * Private memory starts at guest physical 0 and is identity mapped with the
 * C-bit. The first pages hold what the host puts there before the launch.
 */
#define SEV_GUEST_PML4		0x1000
#define SEV_GUEST_PDPT		0x2000
#define SEV_GUEST_PD_PRIVATE	0x3000
#define SEV_GUEST_PT_PRIVATE	0x4000	/* 4 KiB pages of the first 2 MiB */
#define SEV_GUEST_PD_SHARED	0x5000
#define SEV_GUEST_PD_ALIAS	0x6000
#define SEV_GUEST_PD_MMIO	0x7000
#define SEV_GUEST_PARAMS	0x8000	/* struct sev_guest_params */
#define SEV_GUEST_GDT		0x9000
#define SEV_GUEST_TSS		0xa000	/* one of SEV_GUEST_TSS_SIZE per vCPU */
#define SEV_GUEST_IMAGE		0x10000
#define SEV_GUEST_IMAGE_END	0x60000
/* vCPU n has the stacks that end at SEV_GUEST_STACKS - n * SEV_GUEST_STACK_SIZE. */
#define SEV_GUEST_STACKS	0xa0000
#define SEV_GUEST_STACK_SIZE	0x4000
#define SEV_GUEST_IST_SIZE	0x1000	/* upper part of a stack: #DF and NMI */
/* Free for tests: [SEV_GUEST_DATA, end of private memory). */
#define SEV_GUEST_DATA		0x100000

#define SEV_GUEST_MAX_VCPUS	4

/* Virtual addresses that are not private memory. */
#define SEV_GUEST_SHARED	0x40000000	/* C=0, a slot of its own */
#define SEV_GUEST_ALIAS		0x80000000	/* C=0 view of private memory */
#define SEV_GUEST_MMIO		0xd0000000	/* C=0, no memory behind it */
/* More private memory, a slot of its own; C=1, by pages of 1 GiB. */
#define SEV_GUEST_FAR		0x100000000
#define SEV_GUEST_FAR_MAX_GIB	508
/* A hole in the identity map: touching it is a #PF. */
#define SEV_GUEST_UNMAPPED	0xf000

#define SEV_GUEST_CS		0x08
#define SEV_GUEST_DS		0x10
#define SEV_GUEST_TR		0x20	/* descriptors of 16 bytes, one per vCPU */
#define SEV_GUEST_TSS_SIZE	0x80

/* Ports of the protocol; all are 32 bits wide except SEV_PORT_PRINT. */
#define SEV_PORT_PRINT		0x500	/* a character; '\n' ends the line */
#define SEV_PORT_VALUE_LO	0x504	/* low half of a reported value */
#define SEV_PORT_VALUE_HI	0x508	/* high half; appends it to the list */
#define SEV_PORT_FAIL		0x50c	/* file << 16 | line; want, got reported */
#define SEV_PORT_DONE		0x510	/* the guest is finished */
#define SEV_PORT_SYNC		0x514	/* the host's turn; value says for what */
/* The test's own device. */
#define SEV_PORT_DEVICE		0x520
#define SEV_PORT_IMM		0xe0	/* a port that fits an immediate */

/* What a guest's source file is called in SEV_PORT_FAIL. */
#define SEV_GUEST_FILE_MAIN	1
#define SEV_GUEST_FILE_IO	2
#define SEV_GUEST_FILE_CPU	3
#define SEV_GUEST_FILE_IRQ	4
#define SEV_GUEST_FILE_SHARE	5
#define SEV_GUEST_FILE_ENC	6
#define SEV_GUEST_FILE_CHECK	7
#define SEV_GUEST_NR_FILES	8

#define SEV_GUEST_NR_ARGS	4

/* A CPUID leaf of the VMM's own, in the range that hardware leaves alone. */
#define SEV_GUEST_CPUID_LEAF	0x40000f00
#define SEV_GUEST_CPUID_EAX	0x5e11a001
#define SEV_GUEST_CPUID_EBX	0x5e11b002
#define SEV_GUEST_CPUID_ECX	0x5e11c003
#define SEV_GUEST_CPUID_EDX	0x5e11d004

#ifndef __ASSEMBLER__

#ifndef __packed
#define __packed	__attribute__((packed))
#endif
#ifndef __aligned
#define __aligned(n)	__attribute__((aligned(n)))
#endif
#ifndef __noreturn
#define __noreturn	__attribute__((noreturn))
#endif

/* The guest's programs. */
enum sev_guest_program {
	SEV_GUEST_SMOKE,
	SEV_GUEST_PRIVATE,	/* args: gpa, pages, seed found, seed to write */
	SEV_GUEST_SHARED_MEM,	/* args: pages, host's seed, guest's seed */
	SEV_GUEST_ALIASED,	/* args: gpa, seed */
	SEV_GUEST_PIO,
	SEV_GUEST_PIO_STRING,	/* args: 1: expect #UD */
	SEV_GUEST_MMIO_ACCESS,
	SEV_GUEST_CPUID,	/* args: leaf */
	SEV_GUEST_MSR,		/* args: 1: this is a SEV guest */
	SEV_GUEST_EXCEPTIONS,
	SEV_GUEST_CR,
	SEV_GUEST_DR,
	SEV_GUEST_XCR,
	SEV_GUEST_CACHE,
	SEV_GUEST_HYPERCALL,	/* args: gpa, pages, attributes */
	SEV_GUEST_SELF_IPI,
	SEV_GUEST_TPR,
	SEV_GUEST_TIMER,	/* args: ticks */
	SEV_GUEST_EXTERNAL,	/* args: interrupts */
	SEV_GUEST_HLT,		/* args: wakeups */
	SEV_GUEST_PING_PONG,	/* args: rounds; needs two vCPUs */
	SEV_GUEST_SPIN,
	SEV_GUEST_COUNT,	/* args: gpa; adds one to the value there */
	SEV_GUEST_CONVERT,	/* args: gpa, pages, seed, rounds */
	SEV_GUEST_TOUCH,	/* args: gpa, pages, stride in pages, seed */
	SEV_GUEST_CHURN,	/* args: gpa, pages; converts and writes until it is stopped */
	SEV_GUEST_HOSTILE,	/* args: gpa, pages, seed, requests of each vCPU */
	SEV_GUEST_COMPARE,	/* args: gpa, pages, seed, 1: write first; until it is stopped */
	SEV_GUEST_SHARED_CODE,	/* args: gpa, 1: this is a SEV guest */
	SEV_GUEST_SHARED_TABLE,	/* args: gpa of two pages */
	SEV_GUEST_CHECK,	/* args: enum sev_guest_check, gpa */
	SEV_GUEST_NR_PROGRAMS,
};

/* How CHECK uses pages, and whether as it reports them. */
enum sev_guest_check {
	SEV_CHECK_CLEAN,
	SEV_CHECK_SHARED_USE,
	SEV_CHECK_AGAIN,
	SEV_CHECK_PRIVATE_USE,
	SEV_CHECK_CODE,
	SEV_CHECK_SHARED_CODE,
	SEV_CHECK_TABLE,
	SEV_CHECK_REFUSED,
	SEV_CHECK_SECOND_VCPU,	/* needs two vCPUs */
	SEV_CHECK_REPORT,	/* shares a page, and uses it so */
	SEV_CHECK_PRIVATE,	/* uses it as private, and reports nothing */
};

struct sev_guest_params {
	unsigned long long program;
	unsigned long long args[SEV_GUEST_NR_ARGS];
};

/* The word at @index of the pattern that @seed names: each word differs. */
static inline unsigned long long sev_guest_pattern(unsigned long long seed,
						   unsigned long long index)
{
	unsigned long long v = (seed + 1) * 0x9e3779b97f4a7c15ull + index;

	v ^= v >> 29;
	v *= 0xbf58476d1ce4e5b9ull;
	return v ^ (v >> 32);
}

/* What memory is encrypted in; COMPARE counts these. */
#define SEV_BLOCK_SIZE		16
#define SEV_PAGE_BLOCKS		(4096 / SEV_BLOCK_SIZE)

/* Interrupt vectors that tests use; the host has to know the external ones. */
#define SEV_VECTOR_TIMER	0x50
#define SEV_VECTOR_IRQ		0x51
#define SEV_VECTOR_MSI		0x52
#define SEV_VECTOR_IPI		0x53
#define SEV_VECTOR_LOW		0x31
#define SEV_GUEST_IRQ_LINE	10

/* Where CONVERT is, as it says by SEV_PORT_SYNC, and which seeds a round of it uses. */
#define SEV_SYNC_SHARED		2	/* now shared; the host writes seed + 1 */
#define SEV_SYNC_WRITTEN	3	/* the guest wrote seed + 2 there */
#define SEV_SYNC_PRIVATE	4	/* private again, not used yet */
#define SEV_SYNC_REWRITTEN	5	/* holds seed + 3 */
#define SEV_CONVERT_SEEDS	4

/* Offsets in the shared page where PING_PONG counts. */
#define SEV_PING_COUNT		0x0
#define SEV_PONG_COUNT		0x40
#define SEV_PONG_READY		0x80

#endif /* !__ASSEMBLER__ */
#endif /* SELFTEST_KVM_SEV_GUEST_ABI_H */
