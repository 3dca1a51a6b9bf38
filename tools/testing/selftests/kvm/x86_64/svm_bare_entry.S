/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The start of svm_bare.c, loaded by multiboot: from 32-bit mode without paging to 64-bit mode with
 * the first 4 GiB mapped one to one; the entry points of events; VMRUN.
 */
#include "svm_bare.h"

#define MULTIBOOT_MAGIC	0x1badb002

	.text
	/* The boot loader looks for this in the first 8 KiB of the file. */
	.long	MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC

	.code32
	.globl	_start
_start:
	cli
	mov	$stack_top, %esp
	lgdt	gdt_pointer
	/* 2048 pages of 2 MiB: present, writable, large. */
	mov	$pd, %edi
	mov	$0x83, %eax
1:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	cmp	$pd + 4 * 4096, %edi
	jne	1b
	movl	$pdpt + 3, svm_bare_pml4
	mov	$pd + 3, %eax
	xor	%ecx, %ecx
2:	mov	%eax, pdpt(,%ecx,8)
	add	$4096, %eax
	inc	%ecx
	cmp	$4, %ecx
	jne	2b
	mov	$svm_bare_pml4, %eax
	mov	%eax, %cr3
	mov	$0x20, %eax			/* PAE */
	mov	%eax, %cr4
	mov	$EFER, %ecx
	mov	$EFER_LME_SVME, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0x80000011, %eax
	mov	%eax, %cr0
	ljmp	$CODE64, $3f
	.code64
3:	mov	$DATA64, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$stack_top, %rsp
	call	svm_bare_main
4:	hlt
	jmp	4b

	.balign	16
	.globl	svm_bare_stubs
svm_bare_stubs:
.set vector, 0
.rept 256
	.balign	16
	/* Those with an error code have it on the stack already: 8, 10 to 14, 17. */
.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
	pushq	$0
.endif
	pushq	$vector
	jmp	event
.set vector, vector + 1
.endr

event:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	call	svm_bare_event
	mov	%rbp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	.globl	svm_bare_vmrun
svm_bare_vmrun:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rdi, %rax
	mov	%rsi, %rbx
	clgi
	vmrun	%rax
	stgi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.globl	svm_bare_guest
svm_bare_guest:
	call	*%rbx
	vmmcall

	.globl	svm_bare_nops
svm_bare_nops:
	nop
	nop
	nop
	nop
	jmp	*%r10

	.section .rodata
	.balign	8
gdt:
	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt, 0

	.bss
	.balign	4096
	.globl	svm_bare_pml4, svm_bare_guest_stack_top
svm_bare_pml4:
	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4 * 4096
	.skip	STACK_SIZE
stack_top:
	.skip	STACK_SIZE
svm_bare_guest_stack_top:

	.section .note.GNU-stack, "", @progbits
