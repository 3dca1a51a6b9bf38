/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the private memory stress test and its guest agree on.
 *
 * Each page of the guest's data has words that one writer owns: one for each vCPU to be written
 * with the page locked, one for each vCPU to be written at any time, and one for the host's writes
 * through its mapping. A word holds 0 or a signature that names the half that it was meant for, the
 * writer, the page and the conversion. Nothing else may ever be read, in whatever state the page
 * is.
 *
 * Locking: struct stress_page has a lock of its own, taken by guest and host alike: vCPUs share it,
 * a converter has it alone. Who holds it knows which half an access goes to. Accesses without it
 * are made all the time: they are what races with the conversions, and are checked for whose they
 * are only.
 *
 * A "drop" takes content away behind the back of the lock's holders (a punch of the file, an
 * MADV_DONTNEED): from its start on, zero is a right answer until the next conversion of the page.
 */
#ifndef SELFTEST_KVM_PRIVATE_STRESS_ABI_H
#define SELFTEST_KVM_PRIVATE_STRESS_ABI_H

#include <linux/types.h>

#define STRESS_PAGE_SIZE	4096ul

/* The guest's memory: struct stress_ctl and the code, which are never converted, and the data. */
#define STRESS_CTL_GPA		(16ul << 20)
#define STRESS_CTL_SIZE		(1ul << 20)
#define STRESS_CODE_GPA		(STRESS_CTL_GPA + STRESS_CTL_SIZE - 0x2000)
#define STRESS_DATA_GPA		(1ul << 30)

#define STRESS_MAX_VCPUS	4
#define STRESS_MAX_PAGES	2048

/* Ports, beside those of private_vm_guest.h: time for the host to look round, a failure. */
#define STRESS_PORT_SYNC	0x20
#define STRESS_PORT_FAIL	0x21

/* Where the words of a page are. What is between is never written. */
#define STRESS_LOCKED_WORD(vcpu)	((vcpu) * 256u)
#define STRESS_RACED_WORD(vcpu)		((vcpu) * 256u + 128u)
#define STRESS_HOST_WORD		2048u
#define STRESS_NO_WORD			4088u

enum stress_tag {
	STRESS_PRIVATE	= 0xa5,
	STRESS_SHARED	= 0x5a,
	STRESS_RACED	= 0x3c,
	STRESS_HOST	= 0xc3,
};

#define STRESS_HOST_WRITER	0xful

/* tag 8 bits, writer 4, page 20, conversion 16, count 16. */
#define STRESS_SIGNATURE(tag, writer, page, gen, count)				\
	((__u64)(tag) << 56 | (__u64)(writer) << 52 | (__u64)(page) << 32 |	\
	 ((__u64)(gen) & 0xffff) << 16 | ((__u64)(count) & 0xffff))
/* Without the count, and without conversion and count. */
#define STRESS_WITH_GEN(signature)	((signature) >> 16)
#define STRESS_WITHOUT_GEN(signature)	((signature) >> 32)

#define STRESS_WRITER_LOCK	(1u << 31)

struct stress_page {
	__u32 lock;		/* STRESS_WRITER_LOCK, or the number of readers */
	__u32 gen;		/* conversions so far; changed with the lock held alone */
	__u32 dropping;		/* drops under way */
	__u32 drops;		/* since the last conversion, with those under way at that time */
	__u32 private;		/* the state; changed with the lock held alone */
	__u32 bad;		/* not to be accessed: it cannot be had any more */
	/* What each vCPU wrote last with the lock held, and can expect to find; 0: nothing. */
	__u64 mine[STRESS_MAX_VCPUS];
	__u64 pad;
};

enum stress_mode {
	STRESS_RUN,		/* access pages at random for ever */
	STRESS_VERIFY,		/* look at each page once, and end */
};

enum stress_fault {
	STRESS_FAULT_NONE,
	STRESS_FAULT_LOST,	/* a vCPU did not find what it wrote */
	STRESS_FAULT_STALE,	/* a signature of the wrong half or of an earlier conversion */
	STRESS_FAULT_FOREIGN,	/* not a signature of this word of this page */
	STRESS_FAULT_FRESH,	/* not zero where nothing was ever written */
};

/* One for each vCPU; written by the guest, but for mode, seed and mmio. */
struct stress_vcpu_ctl {
	__u64 seed;
	__u32 mode;
	__u32 mmio;		/* accesses that the host answered because there was no memslot */
	__u64 locked;		/* accesses so far */
	__u64 raced;
	__u64 busy;		/* locks not got */
	/* A failure. */
	__u32 fault;
	__u32 page;
	__u64 offset;
	__u64 got;
	__u64 want;
	__u32 private;
	__u32 gen;
	__u64 pad[4];
};

struct stress_ctl {
	__u32 pages;
	__u32 pad[31];
	struct stress_vcpu_ctl vcpu[STRESS_MAX_VCPUS];
	struct stress_page page[STRESS_MAX_PAGES];
};

#endif /* SELFTEST_KVM_PRIVATE_STRESS_ABI_H */
