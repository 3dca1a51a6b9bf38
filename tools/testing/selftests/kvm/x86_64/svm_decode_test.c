// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM skips the instructions that it intercepts, and handles MOV CR and MOV DR,
 * with what the CPU told it: without a look at the guest's code. For an SEV
 * guest it could not have one; here its counter of emulations gives it away.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "svm_vm.h"

FIXTURE(decode) {
	struct svm_vm vm;
	/* Of the code that was loaded last, and after it ran. */
	size_t code_len;
	int64_t emulations;
	struct kvm_regs regs;
};

FIXTURE_VARIANT(decode) {
	int bits;
	uint64_t addr;
};

FIXTURE_VARIANT_ADD(decode, real_mode) {
	.bits = 16, .addr = SVM_VM_CODE,
};

FIXTURE_VARIANT_ADD(decode, long_mode) {
	.bits = 64, .addr = SVM_VM_CODE,
};

/* The first byte of an instruction is the last one of a page. */
FIXTURE_VARIANT_ADD(decode, page_crossing) {
	.bits = 64, .addr = SVM_VM_CODE + 0xfff,
};

FIXTURE_SETUP(decode)
{
	const char *why = svm_vm_unavailable();

	if (why)
		SKIP(_exit(255), "%s", why);
	ASSERT_EQ(0, svm_vm_create(&self->vm, true));
}

FIXTURE_TEARDOWN(decode)
{
	svm_vm_destroy(&self->vm);
}

#define LOAD(regs, text) do {						\
	struct kvm_regs regs_ = regs;					\
	int ret_ = svm_vm_load(&self->vm, variant->bits, variant->addr,	\
			       (text), sizeof(text) - 1, &regs_);			\
									\
	ASSERT_EQ(0, ret_);						\
	self->code_len = sizeof(text) - 1;				\
	self->emulations = svm_vm_emulations(&self->vm);		\
	ASSERT_LE(0, self->emulations);					\
} while (0)

#define RUN(reason)	ASSERT_EQ(KVM_EXIT_##reason, svm_vm_run(&self->vm))
#define REGS(...)	((struct kvm_regs){ __VA_ARGS__ })

/* At the HLT after the code, having emulated @n instructions. */
#define AT_END(n) do {							\
	uint64_t start_ = variant->bits == 64 ? variant->addr : 0;	\
									\
	ASSERT_EQ(0, ioctl(self->vm.vcpu, KVM_GET_REGS, &self->regs));	\
	EXPECT_EQ(start_ + self->code_len + 1, self->regs.rip);		\
	EXPECT_EQ(self->emulations + (n), svm_vm_emulations(&self->vm));	\
} while (0)

#define RUN_TO_END() do { RUN(HLT); AT_END(0); } while (0)

TEST_F(decode, cpuid)
{
	LOAD(REGS(.rax = 0), "\x0f\xa2");
	RUN_TO_END();
	EXPECT_EQ(0x68747541, self->regs.rbx);	/* "Auth" */
}

/* Prefixes that mean nothing to CPUID, up to the longest instruction. */
TEST_F(decode, prefixes)
{
	LOAD(REGS(.rax = 0), "\x3e\x0f\xa2\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e"
			     "\x3e\x3e\x3e\x3e\x0f\xa2");
	RUN_TO_END();
}

TEST_F(decode, msr)
{
	/* PAT, which KVM intercepts as most MSRs. */
	LOAD(REGS(.rcx = 0x277, .rax = 0x00070406, .rdx = 0x00070406), "\x0f\x30");
	RUN_TO_END();
	LOAD(REGS(.rcx = 0x277), "\x0f\x32");
	RUN_TO_END();
	EXPECT_EQ(0x00070406, self->regs.rax);
	EXPECT_EQ(0x00070406, self->regs.rdx);
}

TEST_F(decode, wbinvd)
{
	LOAD(REGS(.rax = 0), "\x0f\x09");
	RUN_TO_END();
}

TEST_F(decode, hypercall)
{
	LOAD(REGS(.rax = 0x7777), "\x0f\x01\xd9");
	RUN_TO_END();
	/* An unknown hypercall; -1000 is cut to size outside 64-bit mode. */
	EXPECT_EQ((uint32_t)-1000, (uint32_t)self->regs.rax);
}

TEST_F(decode, hlt)
{
	LOAD(REGS(.rax = 0), "\xf4");
	RUN(HLT);
	RUN_TO_END();
}

TEST_F(decode, port)
{
	LOAD(REGS(.rax = 0x5a), "\xe6\x80");
	RUN(IO);
	EXPECT_EQ(KVM_EXIT_IO_OUT, self->vm.run->io.direction);
	EXPECT_EQ(0x80, self->vm.run->io.port);
	EXPECT_EQ(0x5a, *((uint8_t *)self->vm.run + self->vm.run->io.data_offset));
	RUN_TO_END();
	LOAD(REGS(.rdx = 0x3f8), "\xec");
	RUN(IO);
	EXPECT_EQ(KVM_EXIT_IO_IN, self->vm.run->io.direction);
	*((uint8_t *)self->vm.run + self->vm.run->io.data_offset) = 0xa5;
	RUN_TO_END();
	EXPECT_EQ(0xa5, self->regs.rax & 0xff);
}

TEST_F(decode, mov_cr4)
{
	/* Bit 2 (TSD) more than there is. */
	uint64_t cr4 = variant->bits == 64 ? 0x24 : 0x04;

	LOAD(REGS(.rdi = cr4), "\x0f\x22\xe7\x0f\x20\xe6");
	RUN_TO_END();
	EXPECT_EQ(cr4, self->regs.rsi);
}

/* CR8 too; in 64-bit mode with registers that only a REX prefix can name. */
TEST_F(decode, mov_cr_prefix)
{
	if (variant->bits == 16) {
		LOAD(REGS(.rax = 7), "\xf0\x0f\x22\xc0\xf0\x0f\x20\xc3");
		RUN_TO_END();
		EXPECT_EQ(7, self->regs.rbx);
		return;
	}
	LOAD(REGS(.r9 = 7), "\x45\x0f\x22\xc1\x44\x0f\x20\xc3");
	RUN_TO_END();
	EXPECT_EQ(7, self->regs.rbx);
	LOAD(REGS(.r13 = 0x24), "\x41\x0f\x22\xe5\x41\x0f\x20\xe6");
	RUN_TO_END();
	EXPECT_EQ(0x24, self->regs.r14);
}

/* KVM lets CR0 go but for changes of more than TS and MP. */
TEST_F(decode, mov_cr0_selective)
{
	/* WP (bit 16) more than there is. */
	uint64_t cr0 = variant->bits == 64 ? 0x80010011 : 0x10010;

	LOAD(REGS(.rbx = cr0), "\x0f\x22\xc3\x0f\x20\xc1");
	RUN_TO_END();
	EXPECT_EQ(cr0, self->regs.rcx);
}

/* LMSW names no register that KVM could take the value from: it must emulate. */
TEST_F(decode, lmsw)
{
	LOAD(REGS(.rax = 0xdead, .rbx = variant->bits == 64 ? 5 : 4), "\x0f\x01\xf3");
	RUN(HLT);
	AT_END(1);
	LOAD(REGS(.rax = 0), "\x0f\x20\xc2");
	RUN_TO_END();
	EXPECT_EQ(variant->bits == 64 ? 0x80000011 : 0x10, self->regs.rdx);
}

TEST_F(decode, mov_dr)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
	};
	struct kvm_debugregs dr;
	/* A debugger keeps the registers for itself, and KVM has two sets. */
	debug.arch.debugreg[7] = 0x400;
	ASSERT_EQ(0, ioctl(self->vm.vcpu, KVM_SET_GUEST_DEBUG, &debug));
	LOAD(REGS(.rdi = 0x123450), "\x0f\x23\xcf\x0f\x21\xcd");
	RUN_TO_END();
	EXPECT_EQ(0x123450, self->regs.rbp);
	ASSERT_EQ(0, ioctl(self->vm.vcpu, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(0x123450, dr.db[1]);
}

/* Where the handler of an interrupt would return to. */
static uint64_t return_rip(const struct svm_vm *vm, int bits)
{
	if (bits == 64)
		return *((uint64_t *)(vm->mem + SVM_VM_STACK) - 5);
	return *((uint16_t *)(vm->mem + SVM_VM_STACK16) - 3);
}

#define IN_HANDLER(offset) do {						\
	RUN(HLT);							\
	ASSERT_EQ(0, ioctl(self->vm.vcpu, KVM_GET_REGS, &self->regs));	\
	EXPECT_EQ(SVM_VM_HANDLERS + 3 + 1, self->regs.rip);		\
	EXPECT_EQ(start + (offset), return_rip(&self->vm, variant->bits));	\
} while (0)

/* INT3 is a breakpoint to the debugger, INTn with the same vector is not. */
TEST_F(decode, breakpoint)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP,
	};
	uint64_t start = variant->bits == 64 ? variant->addr : 0;

	ASSERT_EQ(0, ioctl(self->vm.vcpu, KVM_SET_GUEST_DEBUG, &debug));
	LOAD(REGS(.rax = 0), "\xcc");
	RUN(DEBUG);
	EXPECT_EQ(3, self->vm.run->debug.arch.exception);
	EXPECT_EQ(variant->addr, self->vm.run->debug.arch.pc);

	/* Given back to the guest, it returns to the next instruction. */
	debug.control |= KVM_GUESTDBG_INJECT_BP;
	ASSERT_EQ(0, ioctl(self->vm.vcpu, KVM_SET_GUEST_DEBUG, &debug));
	IN_HANDLER(1);

	LOAD(REGS(.rax = 0), "\xcd\x03");
	IN_HANDLER(2);
}

/* KVM emulates accesses to devices; it must find the right instruction. */
TEST_F(decode, mmio)
{
	int size = variant->bits == 64 ? 4 : 2;

	if (variant->bits == 64)
		/* mov %r10d,0x10(%rbx); movzwl 0x20(%rbx),%edi */
		LOAD(REGS(.rbx = SVM_VM_MMIO, .r10 = 0x12345678),
		     "\x44\x89\x53\x10\x0f\xb7\x7b\x20");
	else
		/* mov %cx,0x10(%bx); mov 0x20(%bx),%di */
		LOAD(REGS(.rcx = 0x5678), "\x89\x4f\x10\x8b\x7f\x20");
	RUN(MMIO);
	EXPECT_EQ(SVM_VM_MMIO + 0x10, self->vm.run->mmio.phys_addr);
	EXPECT_EQ(size, self->vm.run->mmio.len);
	EXPECT_EQ(1, self->vm.run->mmio.is_write);
	EXPECT_EQ(0, memcmp(self->vm.run->mmio.data, "\x78\x56\x34\x12", size));
	RUN(MMIO);
	EXPECT_EQ(SVM_VM_MMIO + 0x20, self->vm.run->mmio.phys_addr);
	EXPECT_EQ(2, self->vm.run->mmio.len);
	EXPECT_EQ(0, self->vm.run->mmio.is_write);
	memcpy(self->vm.run->mmio.data, "\xcd\xab", 2);
	RUN(HLT);
	AT_END(2);
	EXPECT_EQ(0xabcd, self->regs.rdi);
}

/* A guest whose CPUID lacks RDTSCP gets #UD of it, and still has RDTSC. */
TEST(rdtscp_hidden)
{
	const char *why = svm_vm_unavailable();
	struct kvm_regs regs = { .rax = 0 };
	struct svm_vm vm;

	if (why)
		SKIP(return, "%s", why);
	for (int rdtscp = 0; rdtscp < 2; rdtscp++) {
		ASSERT_EQ(0, svm_vm_create(&vm, rdtscp));
		ASSERT_EQ(0, svm_vm_load(&vm, 64, SVM_VM_CODE,
					 "\x0f\x31\x0f\x01\xf9", 5, &regs));
		ASSERT_EQ(KVM_EXIT_HLT, svm_vm_run(&vm));
		ASSERT_EQ(0, ioctl(vm.vcpu, KVM_GET_REGS, &regs));
		EXPECT_EQ(rdtscp ? SVM_VM_CODE + 6 : SVM_VM_HANDLERS + 6 + 1, regs.rip);
		svm_vm_destroy(&vm);
	}
}

TEST_HARNESS_MAIN
