/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of private_vm.c: position-independent 64-bit code that is copied to PVM_CODE. It does
 * one command after the other from the page at RBP; an I/O exit ends each.
 */
#include "private_vm_guest.h"

	.section .rodata
	.globl pvm_guest_start, pvm_guest_end, pvm_guest_entry
	.balign PVM_VECTOR_SIZE

/* One entry for each exception. Some push an error code: the frame's first words tell. */
pvm_guest_start:
	.set	vector, 0
	.rept	PVM_VECTORS
	.balign	PVM_VECTOR_SIZE
	push	$vector
	jmp	fault
	.set	vector, vector + 1
	.endr

fault:
	pop	PVM_VECTOR(%rbp)
	pop	PVM_FRAME(%rbp)
	pop	PVM_FRAME + 8(%rbp)
	mov	%cr2, %rax
	mov	%rax, PVM_CR2(%rbp)
	out	%al, $PVM_PORT_FAULT
	jmp	pvm_guest_entry

result:
	mov	%rax, PVM_RESULT(%rbp)
done:
	out	%al, $PVM_PORT_DONE
pvm_guest_entry:
	lea	PVM_CPU_SIZE(%rbp), %rsp
	mov	PVM_ADDR(%rbp), %rdi
	mov	PVM_LEN(%rbp), %rcx
	mov	PVM_VALUE(%rbp), %rsi
	mov	PVM_MUL(%rbp), %rdx
	mov	PVM_STEP(%rbp), %r8
	lea	table(%rip), %rbx
	mov	PVM_OP(%rbp), %eax
	movslq	(%rbx,%rax,4), %rax
	add	%rbx, %rax
	jmp	*%rax

	.balign	4
table:
	.long	op_read - table, op_write - table, op_fill - table, op_check - table
	.long	op_copy - table, op_xadd - table, op_call - table, op_vmmcall - table
	.long	op_rdmsr - table, op_wrmsr - table, op_gather - table, op_watch - table

op_read:
	mov	(%rdi), %rax
	jmp	result

op_write:
	mov	%rsi, (%rdi)
	jmp	done

op_fill:
	add	%rdi, %rcx
1:	mov	%rdi, %rax
	imul	%rdx, %rax
	add	%rsi, %rax
	mov	%rax, (%rdi)
	add	%r8, %rdi
	cmp	%rcx, %rdi
	jb	1b
	jmp	done

op_check:
	add	%rdi, %rcx
	xor	%r9d, %r9d
1:	mov	%rdi, %rax
	imul	%rdx, %rax
	add	%rsi, %rax
	mov	(%rdi), %rbx
	cmp	%rax, %rbx
	je	3f
	test	%r9, %r9
	jnz	2f
	mov	%rdi, PVM_AT(%rbp)
	mov	%rbx, PVM_SEEN(%rbp)
2:	inc	%r9
3:	add	%r8, %rdi
	cmp	%rcx, %rdi
	jb	1b
	mov	%r9, %rax
	jmp	result

op_copy:
	xchg	%rsi, %rdi
	cld
	rep movsb
	jmp	done

op_xadd:
	lock xadd %rsi, (%rdi)
	mov	%rsi, %rax
	jmp	result

op_call:
	call	*%rdi
	jmp	result

op_vmmcall:
	mov	%rsi, %rax
	mov	%rdi, %rbx
	mov	%r8, %rsi
	vmmcall
	jmp	result

op_rdmsr:
	mov	%edi, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	jmp	result

op_wrmsr:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	jmp	done

op_gather:
	add	%rdi, %rcx
1:	mov	(%rdi), %rax
	mov	%rax, (%rsi)
	add	$8, %rsi
	add	%r8, %rdi
	cmp	%rcx, %rdi
	jb	1b
	jmp	done

op_watch:
	incq	PVM_SEEN(%rbp)
	mov	PVM_MUL(%rbp), %rbx
	mov	(%rdi), %rax
	test	%rbx, %rbx
	jz	op_watch
	jmp	result

pvm_guest_end:
	.section .note.GNU-stack, "", @progbits
