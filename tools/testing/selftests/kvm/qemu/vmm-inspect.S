/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A firmware to look at with a debugger: it shares one page, and later switches paging on with page
 * tables that are private. vmm-inspect.sh reads what it sends to the serial port, S when the page is
 * shared and P when paging is on, and says when to go on by the port's scratch register.
 */
	.equ	BASE, 0xf0000		/* where the image, of 64 KiB, is seen below 1 MiB */
	.equ	DIRECTORY, 0x100000
	.equ	SHARED_PAGE, 0x200000
	.equ	COM1, 0x3f8
	.equ	COM1_SCRATCH, 0x3ff
	.equ	GO_ON, 0x5a
	.equ	KVM_HC_MAP_GPA_RANGE, 12

	.macro	send letter
	movb	$\letter, %al
	movw	$COM1, %dx
	outb	%al, %dx
	.endm

	.section .text, "ax"
	.code16
	.globl	_start
_start:
	cli
	lgdtl	%cs:(gdtr - _start)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$8, $flat

	.code32
flat:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss

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

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* code and data: all of 4 GiB */
	.quad	0x00cf93000000ffff
gdtr:
	.word	. - gdt - 1
	.long	gdt

	.org	0xfff0, 0
	.code16
	ljmpw	$(BASE >> 4), $(_start - _start)
	.org	0x10000, 0
