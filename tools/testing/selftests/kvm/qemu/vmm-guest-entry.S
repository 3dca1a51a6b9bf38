/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The beginning of the guest that does as it is told (vmm-guest.c): from the reset vector to C code
 * in flat 32-bit mode, its interrupt table, and what comes before and after a handler. All of this
 * is in the read-only image; only the stack is in guest memory, and what the VMM puts there.
 */
#include "vmm-flat.S"

	.equ	FLAT, 0xffff0000	/* where vmm-guest.lds has put us */
	.equ	STACK, 0x8000
	.equ	HASHES, 0x10000
	.equ	HASHES_SIZE, 0x400

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
	.word	\handler - _start, CODE, 0x8e00, FLAT >> 16
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

/* Each entry ends with its length and its name; the last one has the length of all of them. */
	.section .table, "a"
table:
	.long	HASHES, HASHES_SIZE
	.word	26
	.long	0x7255371f		/* 7255371f-3a3b-4b04-927b-1da6efa8d454: hashes of a kernel */
	.word	0x3a3b, 0x4b04
	.byte	0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54
	.word	26 + 18
	.long	0x96b582de		/* 96b582de-1fb2-45f7-baea-a366c55a082d: such a table */
	.word	0x1fb2, 0x45f7
	.byte	0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d

/*
 * To the image's begin, around the end of the segment: below 1 MiB there can be RAM in its place,
 * after a reset too.
 */
	.section .reset, "ax"
	.code16
	.byte	0xe9
	.word	0x10 - 3
