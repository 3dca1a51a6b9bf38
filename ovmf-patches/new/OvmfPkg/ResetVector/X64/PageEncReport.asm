;------------------------------------------------------------------------------
; @file
; Page encryption report block of the GUIDed table
;
; Tells the VMM, before anything runs or is encrypted, that this firmware
; reports which pages of RAM are encrypted. A VMM that keeps encrypted and
; shared memory in two places can refuse firmware without it. The data format is:
;
; version (32 bit word), 1; more may follow the features in later ones
; features (32 bit word)
;   bit 0: in a plain SEV guest whose hypervisor offers KVM_HC_MAP_GPA_RANGE,
;          every change of the encryption bit of RAM is reported by it
;
; GUID : 57f5dce4-d08d-47a0-9917-33c1231f2982
;
; SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent
;
;------------------------------------------------------------------------------

%define PAGE_ENC_REPORT_VERSION     1
%define PAGE_ENC_REPORT_EVERY_SEV   1

pageEncReportBlockStart:
    DD      PAGE_ENC_REPORT_VERSION
    DD      PAGE_ENC_REPORT_EVERY_SEV
    DW      pageEncReportBlockEnd - pageEncReportBlockStart
    DB      0xe4, 0xdc, 0xf5, 0x57, 0x8d, 0xd0, 0xa0, 0x47
    DB      0x99, 0x17, 0x33, 0xc1, 0x23, 0x1f, 0x29, 0x82
pageEncReportBlockEnd:
