/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Firmware in flat 32-bit mode: the way there from the reset vector, the table that this needs, and
 * what a guest says to the machine. Included by vmm-*.S. An image is 64 KiB, begins with _start and
 * is linked for BASE, where it is seen below 1 MiB, or for 4 GiB - 64 KiB, where it is seen too.
 */
	.equ	BASE, 0xf0000
	.equ	CODE, 8
	.equ	DATA, 16
	.equ	COM1, 0x3f8
	.equ	KVM_HC_MAP_GPA_RANGE, 12
	.equ	MSR_APIC_BASE, 0x1b
	.equ	MSR_X2APIC_ICR, 0x830
	.equ	ICR_INIT_OTHERS, 0xc4500
	.equ	ICR_START_OTHERS, 0xc4600 | (BASE >> 12)

	.macro	send letter
	movb	$\letter, %al
	movw	$COM1, %dx
	outb	%al, %dx
	.endm

	.macro	random			/* in the upper bits of %esi */
	imull	$1664525, %esi, %esi
	addl	$1013904223, %esi
	.endm

	.macro	start_others		/* they begin at _start, in real mode */
	movl	$MSR_APIC_BASE, %ecx
	rdmsr
	orl	$0xc00, %eax
	wrmsr
	movl	$MSR_X2APIC_ICR, %ecx
	xorl	%edx, %edx
	movl	$ICR_INIT_OTHERS, %eax
	wrmsr
	movl	$100000, %edi
1:	pause
	decl	%edi
	jnz	1b
	movl	$ICR_START_OTHERS, %eax
	wrmsr
	.endm

	.macro	enter_flat		/* what is behind it is 32-bit code */
	cli
	lgdtl	%cs:(gdtr - _start)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$CODE, $flat
	.code32
flat:
	movw	$DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	.endm

	.macro	begin_both		/* two processors begin here; %ebp is 1 in that which start_others sends */
	.section .text, "ax"
	.code16
	.globl	_start
_start:
	movl	$1, %ebp
	jmp	enter
boot:
	xorl	%ebp, %ebp
enter:
	enter_flat
	.endm

	.macro	flat_table
	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* code and data: all of 4 GiB */
	.quad	0x00cf93000000ffff
gdtr:
	.word	. - gdt - 1
	.long	gdt
	.endm

	.macro	reset_vector where
	.org	0xfff0, 0
	.code16
	ljmpw	$(BASE >> 4), $(\where - _start)
	.org	0x10000, 0
	.endm
