/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of svm_nested_tcg_test.c: position-independent 64-bit code that the test copies to CODE
 * and starts at one of the run_ labels, with IF clear unless it says otherwise.
 */
#include "svm_nested_tcg_guest.h"

	.section .rodata
	.globl guest_start, guest_end, guest_irq, guest_soft, guest_fault
	.globl run_init, run_cr8, run_once, run_hlt, run_nops, run_sti, run_skip
	.globl run_xsetbv, run_int, run_int_end, run_int3, run_int3_end, run_mmio
guest_start:

/* External interrupt: count it, note where it hit and whether it hit a handler. */
guest_irq:
	push	%rax
	push	%rbx
	mov	$SHARED, %ebx
	incl	DEPTH(%rbx)
	cmpl	$1, DEPTH(%rbx)
	je	1f
	incl	NESTED(%rbx)
1:	incl	COUNT(%rbx)
	mov	16(%rsp), %rax
	mov	%rax, RIP(%rbx)
	decl	DEPTH(%rbx)
	mov	$APIC, %ebx
	movl	$0, 0xb0(%rbx)			/* EOI */
	pop	%rbx
	pop	%rax
	iretq

/* Software interrupt: the same without the local APIC. */
guest_soft:
	push	%rax
	push	%rbx
	mov	$SHARED, %ebx
	incl	COUNT(%rbx)
	mov	16(%rsp), %rax
	mov	%rax, RIP(%rbx)
	pop	%rbx
	pop	%rax
	iretq

guest_fault:
	out	%al, $PORT_FAULT
	hlt

run_init:
	mov	$APIC, %ebx
	movl	$0x1ff, 0xf0(%rbx)		/* enable the local APIC */
	out	%al, $PORT_DONE

/* CR8 up to 3: the vector's class is 4, so the interrupt stays deliverable. */
run_cr8:
	out	%al, $PORT_SYNC
	mov	$3, %ecx
1:	mov	%rcx, %cr8
	mov	%cr8, %rax
	cmp	%rax, %rcx
	jne	guest_fault
	dec	%ecx
	jns	1b
	sti
	nop
	cli
	out	%al, $PORT_DONE

run_once:
	sti
1:	out	%al, $PORT_SYNC
	nop
	jmp	1b

/* Sleep until an interrupt was counted; %ecx of them end the run. */
run_hlt:
	mov	$SHARED, %ebx
1:	cli
	mov	COUNT(%rbx), %eax
	cmp	%eax, SEEN(%rbx)
	jne	2f
	sti
	hlt
	jmp	1b
2:	mov	%eax, SEEN(%rbx)
	cmp	%ecx, %eax
	jne	1b
	out	%al, $PORT_DONE

run_sti:
	sti
run_nops:
	nop
	nop
	nop
	out	%al, $PORT_DONE

.macro SKIP name, insn:req
	.pushsection .rodata.str, "a"
98:	.string	"\name"
	.popsection
	.pushsection .data.rel.ro.local, "aw"
	.quad	98b, 99f
	.popsection
99:	mov	$64, %r8d
1:	\insn
	dec	%r8d
	jnz	1b
	out	%al, $PORT_DONE
.endm

	.pushsection .data.rel.ro.local, "aw"
	.balign	8
run_skip:
	.popsection
	SKIP cpuid, "xor %eax, %eax; cpuid"
	SKIP rdmsr, "mov $0xc0000080, %ecx; rdmsr"
	SKIP wrmsr, "mov $0x1b, %ecx; rdmsr; wrmsr"
	SKIP vmmcall, "mov $0xff, %eax; vmmcall"
	SKIP wbinvd, "wbinvd"
	SKIP mov_from_cr4, "mov %cr4, %r9"
	SKIP mov_to_cr4, "mov %r8d, %eax; and $1, %eax; lea 0x20(,%rax,4), %r9d; mov %r9, %cr4"
	SKIP mov_to_cr0, "mov %cr0, %rsi; xor $0x20, %rsi; mov %rsi, %cr0"
	SKIP mov_dr7, "mov %dr7, %r10; mov %r10, %dr7"
	SKIP prefixed, ".byte 0x66, 0x2e; cpuid"

run_xsetbv:
	mov	%cr4, %rax
	or	$0x40000, %eax			/* OSXSAVE */
	mov	%rax, %cr4
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$3, %eax
	xsetbv
	out	%al, $PORT_DONE

run_int:
	int	$SOFT_VECTOR
run_int_end:
	out	%al, $PORT_DONE

run_int3:
	int3
run_int3_end:
	out	%al, $PORT_DONE

/* The test knows this sequence of accesses; %r12 is 2. */
run_mmio:
	mov	$MMIO, %ebx
	movabs	$0x1122334455667788, %rax
	mov	%rax, (%rbx)
	mov	%ax, 0x10(%rbx)
	movl	$0xcafe, 0x1234(%rbx)
	mov	%r12d, %ecx
	movzbl	0x20(%rbx,%rcx,8), %r13d
	orl	%eax, (%rbx)
	out	%al, $PORT_DONE

guest_end:
	.section .note.GNU-stack, "", @progbits
