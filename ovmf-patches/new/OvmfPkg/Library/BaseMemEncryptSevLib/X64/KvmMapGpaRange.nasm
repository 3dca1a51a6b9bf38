;------------------------------------------------------------------------------
; @file
; The hypercall by which a guest of KVM tells which pages are encrypted.
;
; SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent
;
;------------------------------------------------------------------------------

    DEFAULT REL
    SECTION .text

%define KVM_HC_MAP_GPA_RANGE  12

;------------------------------------------------------------------------------
; INT64
; EFIAPI
; AsmKvmMapGpaRange (
;   IN UINT64  Address,       rcx
;   IN UINT64  Pages,         rdx
;   IN UINT64  Attributes     r8
;   );
;
; KVM takes the number of the call in rax, the arguments in rbx, rcx and rdx,
; and changes rax only.
;------------------------------------------------------------------------------
global ASM_PFX(AsmKvmMapGpaRange)
ASM_PFX(AsmKvmMapGpaRange):
    push    rbx                 ; the caller's
    mov     rbx, rcx
    mov     rcx, rdx
    mov     rdx, r8
    mov     eax, KVM_HC_MAP_GPA_RANGE
    vmmcall
    pop     rbx
    ret
