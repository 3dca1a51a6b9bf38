// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU writes into a VMCB at the exits that instructions cause: next RIP
 * and EXITINFO, and what it takes from there when an event is injected.
 *
 * The test's guest is a hypervisor of two instructions, VMRUN and HLT; its VMCB
 * is made and read here. KVM runs the nested guest and hands the CPU's answers
 * on as they are, but for the instruction bytes.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "svm_vm.h"

/* In the guest's memory. */
enum {
	VMCB	= SVM_VM_FREE,
	HSAVE	= VMCB + 0x1000,
	MSRPM	= HSAVE + 0x1000,
	IOPM	= MSRPM + 0x2000,
	BOUNDS	= IOPM + 0x4000,
	STACK	= SVM_VM_STACK - 0x800,
	NESTED	= SVM_VM_CODE + 0x10000,
};

/* Offsets in the VMCB. */
enum {
	CR_READ = 0x00, CR_WRITE = 0x02, DR_READ = 0x04, DR_WRITE = 0x06,
	EXCEPTIONS = 0x08, INTERCEPT = 0x0c, INTERCEPT2 = 0x10,
	IOPM_PA = 0x40, MSRPM_PA = 0x48, ASID = 0x58,
	EXIT_CODE = 0x70, EXIT_INFO1 = 0x78, EXIT_INFO2 = 0x80, EXIT_INTINFO = 0x88,
	EVENT_INJ = 0xa8, NEXT_RIP = 0xc8,
	SEG_ES = 0x400, SEG_CS = 0x410, SEG_SS = 0x420, SEG_DS = 0x430,
	GDTR = 0x460, IDTR = 0x480,
	EFER = 0x4d0, CR4 = 0x548, CR3 = 0x550, CR0 = 0x558, DR7 = 0x560,
	DR6 = 0x568, RFLAGS = 0x570, RIP = 0x578, RSP = 0x5d8, RAX = 0x5f8,
	PAT = 0x668,
};

/* Exit codes. */
enum {
	READ_CR = 0x00, WRITE_CR = 0x10, READ_DR = 0x20, WRITE_DR = 0x30,
	EXCP = 0x40, IDTR_READ = 0x66, GDTR_READ, LDTR_READ, TR_READ,
	IDTR_WRITE, GDTR_WRITE, LDTR_WRITE, TR_WRITE, RDTSC, RDPMC, PUSHF,
	POPF, CPUID, RSM, IRET, SWINT, INVD, PAUSE, HLT, INVLPG, INVLPGA, IOIO,
	MSR, VMRUN = 0x80, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, RDTSCP,
	WBINVD = 0x89, XSETBV = 0x8d,
};

#define MOV_CR		(1ull << 63)
#define ANY		(~0ull)
#define RFLAGS_OF	0x802
#define MSR_HSAVE_PA	0xc0010117u
#define MSR_TSC		0x10

#define BASE_ES		0x00a00000u
#define BASE_SS		0x00b00000u
#define BASE_GS		0x0000123456789000ull

/* The nested guest's registers; RAX and RSP come from the VMCB. */
static const struct kvm_regs registers = {
	.rax = VMCB, .rbx = BOUNDS, .rcx = MSR_TSC, .rdx = 0x3f8, .rsi = 0x1fff0,
	.rdi = 0xffff800000052000ull, .rbp = 0x63000, .r8 = 0x800, .r9 = 0x900,
	.r10 = 0xa00, .r11 = 0xb00, .r12 = 0xc0000, .r13 = 0xd0000, .r14 = 0xe00,
	.r15 = 0xf00,
};

struct insn {
	const char *text;
	const char *code;
	size_t len;
	int bits;
	uint32_t exit_code;
	uint64_t info1;
};

#define INSN(bits_, text_, code_, exit_, info_)				\
	{ .text = text_, .code = code_, .len = sizeof(code_) - 1,	\
	  .bits = bits_, .exit_code = exit_, .info1 = info_ }

static const struct insn plain[] = {
	INSN(64, "cpuid", "\x0f\xa2", CPUID, 0),
	INSN(64, "rdmsr", "\x0f\x32", MSR, 0),
	INSN(64, "wrmsr", "\x0f\x30", MSR, 1),
	INSN(64, "rdtsc", "\x0f\x31", RDTSC, 0),
	INSN(64, "rdtscp", "\x0f\x01\xf9", RDTSCP, 0),
	INSN(64, "rdpmc", "\x0f\x33", RDPMC, 0),
	INSN(64, "pause", "\xf3\x90", PAUSE, 0),
	INSN(64, "invd", "\x0f\x08", INVD, 0),
	INSN(64, "wbinvd", "\x0f\x09", WBINVD, 0),
	INSN(64, "hlt", "\xf4", HLT, 0),
	INSN(64, "rsm", "\x0f\xaa", RSM, 0),
	INSN(64, "xsetbv", "\x0f\x01\xd1", XSETBV, 0),
	INSN(64, "vmrun", "\x0f\x01\xd8", VMRUN, 0),
	INSN(64, "vmmcall", "\x0f\x01\xd9", VMMCALL, 0),
	INSN(64, "rep vmmcall", "\xf3\x0f\x01\xd9", VMMCALL, 0),
	INSN(64, "vmload", "\x0f\x01\xda", VMLOAD, 0),
	INSN(64, "vmsave", "\x0f\x01\xdb", VMSAVE, 0),
	INSN(64, "stgi", "\x0f\x01\xdc", STGI, 0),
	INSN(64, "clgi", "\x0f\x01\xdd", CLGI, 0),
	INSN(64, "skinit", "\x0f\x01\xde", SKINIT, 0),
	INSN(64, "pushf", "\x9c", PUSHF, 0),
	INSN(64, "popf", "\x9d", POPF, 0),
	INSN(64, "iretq", "\x48\xcf", IRET, 0),
	INSN(64, "sgdt (%rbx)", "\x0f\x01\x03", GDTR_READ, 0),
	INSN(64, "sidt 8(%r13)", "\x41\x0f\x01\x4d\x08", IDTR_READ, 0),
	INSN(64, "lgdt 0x20(%rsp)", "\x0f\x01\x54\x24\x20", GDTR_WRITE, 0),
	INSN(64, "lidt 0x1000(%rip)", "\x0f\x01\x1d\x00\x10\x00\x00", IDTR_WRITE, 0),
	INSN(64, "sldt %ax", "\x66\x0f\x00\xc0", LDTR_READ, 0),
	INSN(64, "lldt (%rbx)", "\x0f\x00\x13", LDTR_WRITE, 0),
	INSN(64, "str %r8", "\x49\x0f\x00\xc8", TR_READ, 0),
	INSN(64, "ltr %bx", "\x0f\x00\xdb", TR_WRITE, 0),
	INSN(32, "cpuid", "\x0f\xa2", CPUID, 0),
	INSN(32, "lgdt 0x1234(%eax,%ecx,8)", "\x0f\x01\x94\xc8\x34\x12\x00\x00",
	     GDTR_WRITE, 0),
	INSN(16, "cpuid", "\x0f\xa2", CPUID, 0),
	INSN(16, "lgdtl %cs:0x7c40", "\x2e\x66\x0f\x01\x16\x40\x7c", GDTR_WRITE, 0),
	INSN(16, "sidtl (%eax)", "\x67\x66\x0f\x01\x08", IDTR_READ, 0),
	INSN(16, "rdmsr", "\x0f\x32", MSR, 0),
};

static const struct insn ports[] = {
	INSN(64, "in $0x21,%al", "\xe4\x21", IOIO, ANY),
	INSN(64, "out %eax,(%dx)", "\xef", IOIO, ANY),
	INSN(64, "rep outsb", "\xf3\x6e", IOIO, ANY),
	INSN(16, "out %eax,$0x80", "\x66\xe7\x80", IOIO, ANY),
};

static const struct insn control_registers[] = {
	INSN(64, "mov %cr0,%rdi", "\x0f\x20\xc7", READ_CR + 0, MOV_CR | 7),
	INSN(64, "mov %cr2,%r15", "\x41\x0f\x20\xd7", READ_CR + 2, MOV_CR | 15),
	INSN(64, "mov %cr3,%rax", "\x0f\x20\xd8", READ_CR + 3, MOV_CR | 0),
	INSN(64, "mov %cr4,%rsp", "\x0f\x20\xe4", READ_CR + 4, MOV_CR | 4),
	INSN(64, "mov %cr8,%rbx", "\x44\x0f\x20\xc3", READ_CR + 8, MOV_CR | 3),
	INSN(64, "mov %r9,%cr0", "\x41\x0f\x22\xc1", WRITE_CR + 0, MOV_CR | 9),
	INSN(64, "mov %rsi,%cr3", "\x0f\x22\xde", WRITE_CR + 3, MOV_CR | 6),
	INSN(64, "mov %rdi,%cr4", "\x0f\x22\xe7", WRITE_CR + 4, MOV_CR | 7),
	INSN(64, "mov %r12,%cr8", "\x45\x0f\x22\xc4", WRITE_CR + 8, MOV_CR | 12),
	INSN(16, "mov %ecx,%cr0", "\x0f\x22\xc1", WRITE_CR + 0, MOV_CR | 1),
	INSN(64, "clts", "\x0f\x06", WRITE_CR + 0, 0),
	INSN(64, "lmsw %bx", "\x0f\x01\xf3", WRITE_CR + 0, 0),
	INSN(64, "lmsw 0x10(%rsp)", "\x0f\x01\x74\x24\x10", WRITE_CR + 0, 0),
	INSN(64, "smsw %r11", "\x49\x0f\x01\xe3", READ_CR + 0, 0),
	INSN(64, "mov %dr7,%r12", "\x41\x0f\x21\xfc", READ_DR + 7, 12),
	INSN(64, "mov %dr0,%rdx", "\x0f\x21\xc2", READ_DR + 0, 2),
	INSN(64, "mov %rbx,%dr3", "\x0f\x23\xdb", WRITE_DR + 3, 3),
	INSN(32, "mov %edi,%dr6", "\x0f\x23\xf7", WRITE_DR + 6, 7),
};

static const struct insn addresses[] = {
	INSN(64, "invlpg (%rdi)", "\x0f\x01\x3f", INVLPG, 0xffff800000052000ull),
	INSN(64, "invlpg (%edi)", "\x67\x0f\x01\x3f", INVLPG, 0x52000),
	INSN(64, "invlpg -1(%rbp,%r12,2)", "\x42\x0f\x01\x7c\x65\xff", INVLPG, 0x1e2fff),
	INSN(64, "invlpg 0x1000(%rip)", "\x0f\x01\x3d\x00\x10\x00\x00", INVLPG,
	     NESTED + 7 + 0x1000),
	INSN(64, "invlpg %gs:0x40(%rsp)", "\x65\x0f\x01\x7c\x24\x40", INVLPG,
	     BASE_GS + STACK + 0x40),
	INSN(64, "invlpg %es:(%r13)", "\x26\x41\x0f\x01\x7d\x00", INVLPG, 0xd0000),
	INSN(32, "invlpg 0x12345678(%ebp,%edi,4)", "\x0f\x01\xbc\xbd\x78\x56\x34\x12",
	     INVLPG, (uint32_t)(BASE_SS + 0x12345678 + 0x63000 + 4 * 0x52000)),
	INSN(32, "invlpg %es:(%eax)", "\x26\x0f\x01\x38", INVLPG, BASE_ES + VMCB),
	INSN(16, "invlpg 0x20(%bx,%si)", "\x0f\x01\x78\x20", INVLPG,
	     (uint16_t)(BOUNDS + 0x1fff0 + 0x20)),
	INSN(16, "invlpg -2(%bp)", "\x0f\x01\x7e\xfe", INVLPG, BASE_SS + 0x2ffe),
	INSN(64, "invlpga", "\x0f\x01\xdf", INVLPGA, VMCB),
};

static const struct insn software[] = {
	INSN(64, "int $0x80", "\xcd\x80", SWINT, 0x80),
	INSN(64, "int $3", "\xcd\x03", SWINT, 3),
	INSN(64, "int3", "\xcc", EXCP + 3, 0),
	INSN(16, "int $0x10", "\xcd\x10", SWINT, 0x10),
	INSN(16, "int3", "\xcc", EXCP + 3, 0),
	INSN(32, "into", "\xce", EXCP + 4, 0),
	INSN(32, "int $4", "\xcd\x04", SWINT, 4),
	INSN(32, "bound %eax,(%ebx)", "\x62\x03", EXCP + 5, 0),
};

FIXTURE(vmcb) {
	struct svm_vm vm;
	uint8_t *vmcb;
};

#define FIELD(type, at)	(*(type *)(self->vmcb + (at)))

FIXTURE_SETUP(vmcb)
{
	const char *why = svm_vm_unavailable();
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} hsave = { { .nmsrs = 1 }, { .index = MSR_HSAVE_PA, .data = HSAVE } };

	if (why)
		SKIP(_exit(255), "%s", why);
	ASSERT_EQ(0, svm_vm_create(&self->vm, true));
	ASSERT_EQ(0, svm_vm_load(&self->vm, 64, SVM_VM_CODE, "\x0f\x01\xd8", 3, &registers));
	ASSERT_EQ(1, ioctl(self->vm.vcpu, KVM_SET_MSRS, &hsave));
	self->vmcb = self->vm.mem + VMCB;
}

FIXTURE_TEARDOWN(vmcb)
{
	svm_vm_destroy(&self->vm);
}

static void set_segment(uint8_t *seg, uint16_t selector, uint16_t attrib, uint64_t base)
{
	*(uint16_t *)seg = selector;
	*(uint16_t *)(seg + 2) = attrib;
	*(uint32_t *)(seg + 4) = attrib & 0x800 ? ~0u : 0xffff;
	*(uint64_t *)(seg + 8) = base;
}

static void set_segments(uint8_t *vmcb, int bits)
{
	uint16_t code = bits == 64 ? 0xa9b : bits == 32 ? 0xc9b : 0x9b;
	uint16_t data = bits == 16 ? 0x93 : 0xc93;

	set_segment(vmcb + SEG_CS, bits == 16 ? NESTED >> 4 : 8, code,
		    bits == 16 ? NESTED : 0);
	set_segment(vmcb + SEG_ES, 16, data, bits == 64 ? 0 : BASE_ES);
	set_segment(vmcb + SEG_SS, 16, data, bits == 64 ? 0 : BASE_SS);
	set_segment(vmcb + SEG_DS, 16, data, 0);
	set_segment(vmcb + GDTR, 0, 0, SVM_VM_GDT);
	set_segment(vmcb + IDTR, 0, 0, SVM_VM_IDT);
}

/* A nested guest at its first instruction, with every intercept there is. */
static void make_vmcb(uint8_t *vmcb, int bits)
{
	memset(vmcb, 0, 0x1000);
	*(uint16_t *)(vmcb + CR_READ) = 0x11d;
	*(uint16_t *)(vmcb + CR_WRITE) = 0x119;
	*(uint16_t *)(vmcb + DR_READ) = 0xff;
	*(uint16_t *)(vmcb + DR_WRITE) = 0xff;
	/* #BP, #OF, #BR, #UD and #PF. */
	*(uint32_t *)(vmcb + EXCEPTIONS) = 0x4078;
	/* But for those of interrupts, and the CR0 write after the fact. */
	*(uint32_t *)(vmcb + INTERCEPT) = 0xffffffc0;
	*(uint32_t *)(vmcb + INTERCEPT2) = 0x3fff;
	*(uint64_t *)(vmcb + IOPM_PA) = IOPM;
	*(uint64_t *)(vmcb + MSRPM_PA) = MSRPM;
	*(uint32_t *)(vmcb + ASID) = 1;
	/* To be overwritten. */
	*(uint64_t *)(vmcb + NEXT_RIP) = 0xbad;

	set_segments(vmcb, bits);
	*(uint64_t *)(vmcb + EFER) = bits == 64 ? 0x1500 : 0x1000;
	*(uint64_t *)(vmcb + CR0) = bits == 64 ? 0x80000011 : bits == 32 ? 0x11 : 0x10;
	/* OSXSAVE, for XSETBV. */
	*(uint64_t *)(vmcb + CR4) = bits == 64 ? 0x40020 : 0;
	*(uint64_t *)(vmcb + CR3) = bits == 64 ? SVM_VM_PML4 : 0;
	*(uint64_t *)(vmcb + DR7) = 0x400;
	*(uint64_t *)(vmcb + DR6) = 0xffff0ff0;
	*(uint64_t *)(vmcb + RFLAGS) = RFLAGS_OF;
	*(uint64_t *)(vmcb + RIP) = bits == 16 ? 0 : NESTED;
	*(uint64_t *)(vmcb + RSP) = STACK;
	*(uint64_t *)(vmcb + RAX) = VMCB;
	*(uint64_t *)(vmcb + PAT) = 0x0007040600070406ull;
}

/* VMRUN, until the exit from the nested guest; 0 if all went well. */
static int run_nested(struct svm_vm *vm)
{
	struct kvm_regs regs = registers;
	struct kvm_sregs sregs;

	regs.rip = SVM_VM_CODE;
	regs.rflags = 2;
	memset(vm->mem + MSRPM, 0xff, 0x2000);
	memset(vm->mem + IOPM, 0xff, 0x3001);
	if (ioctl(vm->vcpu, KVM_SET_REGS, &regs) ||
	    ioctl(vm->vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.gs.base = BASE_GS;
	if (ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) ||
	    svm_vm_run(vm) != KVM_EXIT_HLT ||
	    ioctl(vm->vcpu, KVM_GET_REGS, &regs))
		return -1;
	return regs.rip == SVM_VM_CODE + 4 ? 0 : -1;
}

#define RUN(one) do {							\
	const struct insn *i_ = (one);					\
									\
	make_vmcb(self->vmcb, i_->bits);				\
	memcpy(self->vm.mem + NESTED, i_->code, i_->len);		\
	ASSERT_EQ(0, run_nested(&self->vm)) TH_LOG("%d bits: %s", i_->bits, i_->text);	\
} while (0)

#define RUN_AND_CHECK(table) do {					\
	for (size_t n_ = 0; n_ < ARRAY_SIZE(table); n_++) {		\
		const struct insn *insn = &(table)[n_];			\
		uint64_t rip_ = insn->bits == 16 ? 0 : NESTED;		\
									\
		RUN(insn);						\
		EXPECT_EQ(insn->exit_code, FIELD(uint64_t, EXIT_CODE))	\
			TH_LOG("%d bits: %s", insn->bits, insn->text);	\
		EXPECT_EQ(rip_ + insn->len, FIELD(uint64_t, NEXT_RIP))	\
			TH_LOG("%d bits: %s", insn->bits, insn->text);	\
		EXPECT_EQ(rip_, FIELD(uint64_t, RIP))			\
			TH_LOG("%d bits: %s", insn->bits, insn->text);	\
		if (insn->info1 == ANY)					\
			continue;					\
		EXPECT_EQ(insn->info1, FIELD(uint64_t, EXIT_INFO1))	\
			TH_LOG("%d bits: %s", insn->bits, insn->text);	\
	}								\
} while (0)

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

TEST_F(vmcb, next_rip)
{
	RUN_AND_CHECK(plain);
}

TEST_F(vmcb, registers)
{
	RUN_AND_CHECK(control_registers);
}

TEST_F(vmcb, addresses)
{
	RUN_AND_CHECK(addresses);
}

TEST_F(vmcb, software_interrupts)
{
	RUN_AND_CHECK(software);
}

/* Two fields have the next RIP here. */
TEST_F(vmcb, ports)
{
	RUN_AND_CHECK(ports);
	EXPECT_EQ(FIELD(uint64_t, NEXT_RIP), FIELD(uint64_t, EXIT_INFO2));
}

/* Faults are restarted: no next RIP. */
TEST_F(vmcb, faults)
{
	static const struct insn faults[] = {
		INSN(64, "ud2", "\x0f\x0b", EXCP + 6, 0),
		/* An address without page tables. */
		INSN(64, "mov %eax,0x50000000", "\x89\x04\x25\x00\x00\x00\x50",
		     EXCP + 14, 2),
	};

	for (size_t n = 0; n < ARRAY_SIZE(faults); n++) {
		RUN(&faults[n]);
		EXPECT_EQ(faults[n].exit_code, FIELD(uint64_t, EXIT_CODE));
		EXPECT_EQ(faults[n].info1, FIELD(uint64_t, EXIT_INFO1));
		EXPECT_EQ(NESTED, FIELD(uint64_t, RIP));
		EXPECT_EQ(0, FIELD(uint64_t, NEXT_RIP));
	}
}

/* What an instruction raised returns to the next one, anything else to RIP. */
TEST_F(vmcb, injection)
{
	static const struct {
		uint32_t event;
		uint8_t vector;
		bool next;
	} events[] = {
		{ 4u << 8, 0x40, true },	/* INTn */
		{ 4u << 8, 3, true },
		{ 3u << 8, 3, true },		/* #BP */
		{ 3u << 8, 4, true },		/* #OF */
		{ 3u << 8, 6, false },		/* #UD */
		{ 0u << 8, 0x40, false },	/* an interrupt */
	};
	uint64_t *stack = (uint64_t *)(self->vm.mem + STACK);

	for (size_t n = 0; n < ARRAY_SIZE(events); n++) {
		uint64_t rip = NESTED + 0x100 * n;
		uint8_t vector = events[n].vector;

		make_vmcb(self->vmcb, 64);
		FIELD(uint64_t, RIP) = rip;
		FIELD(uint64_t, NEXT_RIP) = rip + 7;
		FIELD(uint32_t, EVENT_INJ) = 1u << 31 | events[n].event | vector;
		ASSERT_EQ(0, run_nested(&self->vm));
		EXPECT_EQ(HLT, FIELD(uint64_t, EXIT_CODE));
		EXPECT_EQ(SVM_VM_HANDLERS + vector, FIELD(uint64_t, RIP));
		EXPECT_EQ(SVM_VM_HANDLERS + vector + 1, FIELD(uint64_t, NEXT_RIP));
		EXPECT_EQ(rip + (events[n].next ? 7 : 0), stack[-5])
			TH_LOG("event %#x, vector %u", events[n].event, vector);
	}
}

/* An exit in the middle of an interrupt says what kind it was. */
TEST_F(vmcb, interrupted_delivery)
{
	static const struct {
		struct insn insn;
		uint32_t event;
	} cases[] = {
		{ INSN(64, "int3", "\xcc", EXCP + 14, 0), 3u << 8 | 3 },
		{ INSN(64, "int $3", "\xcd\x03", EXCP + 14, 0), 4u << 8 | 3 },
		{ INSN(64, "int $0x80", "\xcd\x80", EXCP + 14, 0), 4u << 8 | 0x80 },
	};

	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		const struct insn *insn = &cases[n].insn;

		make_vmcb(self->vmcb, 64);
		memcpy(self->vm.mem + NESTED, insn->code, insn->len);
		FIELD(uint32_t, EXCEPTIONS) = 1u << 14;
		FIELD(uint32_t, INTERCEPT) &= ~(1u << (SWINT - 0x60));
		/* The interrupt table has no page. */
		set_segment(self->vmcb + IDTR, 0, 0, 0x50000000);
		ASSERT_EQ(0, run_nested(&self->vm));
		EXPECT_EQ(EXCP + 14, FIELD(uint64_t, EXIT_CODE));
		EXPECT_EQ(1u << 31 | cases[n].event, FIELD(uint32_t, EXIT_INTINFO))
			TH_LOG("%s", insn->text);
		EXPECT_EQ(NESTED, FIELD(uint64_t, RIP));
		EXPECT_EQ(0, FIELD(uint64_t, NEXT_RIP));
	}
}

TEST_HARNESS_MAIN
