/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A firmware that is hostile to its VMM: two processors ask, as fast as they can, for conversions
 * of whatever a random number says, and touch memory meanwhile. It runs from its read-only image,
 * in registers alone, so that all of memory can be converted under it. vmm-hostile.sh reads what
 * it sends to the serial port: B and A when the boot processor and the other one are done, X for
 * an answer that is neither 0 nor -EINVAL. ROUNDS, the requests of each, comes from build.sh.
 */
#include "vmm-flat.S"

	.equ	RAM_MASK, 0x1ffff000	/* the machine has 512 MiB */
	.equ	MSR_APIC_BASE, 0x1b
	.equ	MSR_X2APIC_ICR, 0x830
	.equ	ICR_INIT_OTHERS, 0xc4500
	.equ	ICR_START_OTHERS, 0xc4600 | (BASE >> 12)

	.macro	random			/* in the upper bits of %esi */
	imull	$1664525, %esi, %esi
	addl	$1013904223, %esi
	.endm

	.section .text, "ax"
	.code16
	.globl	_start
_start:					/* the other processor, sent here by its start-up message */
	movl	$1, %ebp
	jmp	enter

boot:
	xorl	%ebp, %ebp
enter:
	enter_flat

	testl	%ebp, %ebp
	jnz	begin
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

begin:
	imull	$0x9e3779b9, %ebp, %esi
	addl	$0x2545f491, %esi
	movl	$ROUNDS, %edi

round:
	random
	movl	%esi, %ebx		/* the address */
	random
	movl	%esi, %eax		/* the number of pages: any, small ones as likely as large ones */
	random
	movl	%esi, %ecx
	shrl	$27, %ecx
	shrl	%cl, %eax
	random
	movl	%esi, %ecx
	shrl	$28, %ecx		/* of 16: 0 as it is, misaligned; 1 to 3 page aligned; */
	jz	ask
	andl	$0xfffff000, %ebx
	cmpl	$4, %ecx
	jb	ask
	andl	$RAM_MASK, %ebx		/* the others within RAM, and no more than 4 MiB */
	andl	$0x3ff, %eax
ask:
	movl	%eax, %ecx
	random
	movl	%esi, %edx		/* attributes: private or shared, and bits that mean nothing */
	shrl	$16, %edx
	movl	$KVM_HC_MAP_GPA_RANGE, %eax
	vmmcall
	testl	%eax, %eax
	jz	touch
	cmpl	$-22, %eax
	je	touch
	send	'X'
touch:
	random
	movl	%esi, %ebx
	andl	$RAM_MASK, %ebx
	orl	$0x100000, %ebx		/* above the VGA window and the image */
	movl	%esi, (%ebx)
	decl	%edi
	jnz	round

	testl	%ebp, %ebp
	jnz	2f
	send	'B'
	jmp	3f
2:	send	'A'
3:	hlt
	jmp	3b

	flat_table
	reset_vector boot
