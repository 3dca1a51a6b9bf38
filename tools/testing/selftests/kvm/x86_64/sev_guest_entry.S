/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tiny SEV guest: where it starts, and how exceptions and interrupts reach
 * C. The host has set up 64-bit mode, paging, the GDT and a stack; %rdi is the
 * number of this vCPU.
 */
	.section .text.entry, "ax"
	.globl guest_start
guest_start:
	xorl	%ebp, %ebp
	call	guest_main
1:	cli
	hlt
	jmp	1b

/*
 * One stub of 16 bytes per vector, so that the table of addresses can be
 * computed. A vector that brings no error code gets a 0 instead.
 */
	.text
	.balign	16
	.globl guest_vectors
guest_vectors:
	.set	vector, 0
	.rept	256
	.balign	16
	.if	vector != 8 && vector != 10 && vector != 11 && vector != 12 && \
		vector != 13 && vector != 14 && vector != 17 && vector != 21
	pushq	$0
	.endif
	pushq	$vector
	jmp	common
	.set	vector, vector + 1
	.endr

common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rdi
	/* The CPU aligned the stack to 16 bytes, 22 words ago. */
	cld
	call	guest_trap
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

/*
 * u32 guest_read_across(volatile void *mmio): the load starts on the last byte
 * of a page, so the CPU's record of the instruction's bytes spans two.
 */
	.balign	4096
	.skip	4095
	.globl guest_read_across
guest_read_across:
	movl	(%rdi), %eax
	ret

	.section .note.GNU-stack, "", @progbits
