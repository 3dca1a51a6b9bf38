/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A firmware that is hostile to its VMM: two processors ask, as fast as they can, for conversions
 * of whatever a random number says, and touch memory meanwhile. It runs from its read-only image,
 * in registers alone, so that all of memory can be converted under it. vmm-hostile.sh reads what
 * it sends to the serial port: B and A when the boot processor and the other one are done, X for
 * an answer that is neither 0 nor -EINVAL. ROUNDS, the requests of each, comes from build.sh.
 *
 * With DENSE, the machine has 16 MiB, and each processor keeps to its own half of them, of which
 * it touches many pages a round. What another one converts while it is touched could be in two
 * places without being wrong; here each page that is, is one too many.
 */
#include "vmm-flat.S"

#ifdef DENSE
	.equ	TOUCHES, 16
	.equ	HALF_MASK, 0x7ff000
#else
	.equ	TOUCHES, 1
	.equ	RAM_MASK, 0x1ffff000	/* the machine has 512 MiB */
#endif
	.macro	own_half		/* turn %ebx into an address of it */
	movl	%ebp, %edx
	shll	$23, %edx
	orl	%edx, %ebx
	.endm

	begin_both
	testl	%ebp, %ebp
	jnz	begin
	start_others

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
#ifdef DENSE
	andl	$(HALF_MASK >> 1), %ebx	/* no more than 4 MiB, so that all of them are of this half */
	own_half
	andl	$0x3ff, %eax
#else
	random
	movl	%esi, %ecx
	shrl	$28, %ecx		/* of 16: 0 as it is, misaligned; 1 to 3 page aligned; */
	jz	ask
	andl	$0xfffff000, %ebx
	cmpl	$4, %ecx
	jb	ask
	andl	$RAM_MASK, %ebx		/* the others within RAM, and no more than 4 MiB */
	andl	$0x3ff, %eax
#endif
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
	movl	$TOUCHES, %ecx
1:	random
	movl	%esi, %ebx
#ifdef DENSE
	andl	$HALF_MASK, %ebx
	own_half
#else
	andl	$RAM_MASK, %ebx
#endif
	orl	$0x100000, %ebx		/* above the VGA window and the image */
	movl	%esi, (%ebx)
	decl	%ecx
	jnz	1b
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
