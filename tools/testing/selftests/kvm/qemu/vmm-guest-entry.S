/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The beginning of the guest that does as it is told (vmm-guest.c): from the reset vector to C code
 * in flat 32-bit mode, its interrupt table, and what comes before and after a handler. All of this
 * is in the read-only image; only the stack is in guest memory.
 */
#include "vmm-flat.S"

	.equ	STACK, 0x8000

	.section .text.entry, "ax"
	.code16
_start:
	enter_flat
	lidtl	idtr
	movl	$STACK, %esp
	call	guest_begin
	.globl	again
again:					/* a handler that does not return comes here */
	movl	$STACK, %esp
	call	guest_main
1:	hlt
	jmp	1b

/* #GP, of RDMSR and WRMSR only: they are left out, and ECX tells. */
protection:
	addl	$4, %esp
	addl	$2, (%esp)
	xorl	%ecx, %ecx
	iret

machine_check:
	call	guest_machine_check
	jmp	again

unexpected:
	call	guest_unexpected
2:	hlt
	jmp	2b

	.macro	gate handler
	.word	\handler - _start, CODE, 0x8e00, BASE >> 16
	.endm

	.balign	8
idt:
	.rept	13
	gate	unexpected
	.endr
	gate	protection
	.rept	4
	gate	unexpected
	.endr
	gate	machine_check
idtr:
	.word	. - idt - 1
	.long	idt

	flat_table

	.section .text.reset, "ax"
	.code16
	.globl	reset
reset:
	ljmpw	$(BASE >> 4), $0
