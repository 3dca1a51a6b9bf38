/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A firmware that changes the memory map while it uses memory: the boot processor shows and hides
 * RAM below 1 MiB, by the registers PAM0 and SMRAM of q35, and the other one writes to RAM all over
 * the machine and reads it back, and reads from where RAM comes and goes. RAM that is shown becomes
 * one with what is beside it, so that the VMM makes the memory slots of nearly all RAM anew, each
 * time. vmm-remap.sh reads what they send to the serial port: T for each 16 changes, B and A when they
 * are done, X for a word that was lost.
 * ROUNDS comes from build.sh.
 *
 * It is linked for the end of 4 GiB: below 1 MiB there is RAM now and then in its place.
 */
#include "vmm-flat.S"

	.equ	RAM_MASK, 0x03fff000	/* the machine has 64 MiB */
	.equ	LOW_MASK, 0x0007f000	/* below the VGA window */
	.equ	ROM, 0xf0000		/* of the firmware, or RAM */
	.equ	ROM_MASK, 0x0000fffc
	.equ	STAGE, 0x100000		/* what the other processor does: nothing, runs, is done */
	.equ	PCI_ADDRESS, 0xcf8
	.equ	PCI_DATA, 0xcfc
	.equ	PAM0, 0x90
	.equ	SMRAM, 0x9d

	.macro	bridge register, value	/* of the configuration of the host bridge */
	movl	$(0x80000000 | (\register & ~3)), %eax
	movw	$PCI_ADDRESS, %dx
	outl	%eax, %dx
	movb	$\value, %al
	movw	$(PCI_DATA + (\register & 3)), %dx
	outb	%al, %dx
	.endm

	.macro	use			/* the word at %ebx, with a random number */
	movl	%esi, (%ebx)
	pause
	cmpl	%esi, (%ebx)
	jne	lost
	.endm

	begin_both
	testl	%ebp, %ebp
	jnz	other

	movl	$0, STAGE
	start_others
1:	pause
	cmpl	$1, STAGE		/* it has left the image below 1 MiB */
	jne	1b

	xorl	%edi, %edi
change:
	bridge	PAM0, 0x30		/* RAM from 0xf0000 on */
	bridge	SMRAM, 0x42		/* RAM at 0xa0000, until it is closed again */
	bridge	PAM0, 0
	bridge	SMRAM, 0x02
	addl	$4, %edi
	testl	$15, %edi
	jnz	2f
	send	'T'
2:	cmpl	$2, STAGE
	jne	change
	send	'B'
	jmp	end

other:
	movl	$1, STAGE
	movl	$0x2545f491, %esi
	movl	$(ROUNDS / 2), %edi
round:
	random
	movl	%esi, %ebx
	andl	$RAM_MASK, %ebx
	orl	$0x200000, %ebx		/* above all that has another use */
	use
	random
	movl	%esi, %ebx
	andl	$LOW_MASK, %ebx
	use
	random
	movl	%esi, %ebx
	andl	$ROM_MASK, %ebx
	orl	$ROM, %ebx		/* what is there comes and goes, but something is */
	movl	(%ebx), %eax
	decl	%edi
	jnz	round
	movl	$2, STAGE
	send	'A'
	jmp	end

lost:
	send	'X'
end:	hlt
	jmp	end

	flat_table
	reset_vector boot
