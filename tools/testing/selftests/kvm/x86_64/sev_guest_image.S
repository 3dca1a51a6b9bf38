/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tiny SEV guest's flat image as data of the test program.
 */
	.section .rodata
	.balign	16
	.globl sev_guest_image
	.globl sev_guest_image_end
sev_guest_image:
	.incbin	"sev_guest_payload.bin"
sev_guest_image_end:

	.section .note.GNU-stack, "", @progbits
