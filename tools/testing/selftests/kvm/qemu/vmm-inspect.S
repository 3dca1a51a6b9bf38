/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A firmware to look at with a debugger: it shares one page, and later switches paging on with page
 * tables that are private. vmm-inspect.sh reads what it sends to the serial port, S when the page is
 * shared and P when paging is on, and says when to go on by the port's scratch register.
 */
#include "vmm-flat.S"

	.equ	DIRECTORY, 0x100000
	.equ	SHARED_PAGE, 0x200000
	.equ	COM1_SCRATCH, 0x3ff
	.equ	GO_ON, 0x5a

	.section .text, "ax"
	.code16
	.globl	_start
_start:
	enter_flat

	movl	$KVM_HC_MAP_GPA_RANGE, %eax
	movl	$SHARED_PAGE, %ebx
	movl	$1, %ecx
	xorl	%edx, %edx
	vmmcall
	testl	%eax, %eax
	jnz	end
	send	'S'

	movw	$COM1_SCRATCH, %dx
1:	pause
	inb	%dx, %al
	cmpb	$GO_ON, %al
	jne	1b

	movl	$DIRECTORY, %edi	/* 1024 pages of 4 MiB, each at its own address */
	movl	$0x83, %eax
2:	movl	%eax, (%edi)
	addl	$4, %edi
	addl	$0x400000, %eax
	jnc	2b
	movl	%cr4, %eax
	orl	$0x10, %eax
	movl	%eax, %cr4
	movl	$DIRECTORY, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	send	'P'
end:	hlt
	jmp	end

	flat_table
	reset_vector _start
