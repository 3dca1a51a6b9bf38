/** @file

  Tell the hypervisor which guest pages change between encrypted and shared.

  SEV has no fault for an access with the wrong encryption bit. A hypervisor
  that keeps encrypted (private) and shared memory in two places has to be told
  about every change before the page is used again, or each side goes on with a
  page that the other does not see.

  Usage, around a walk that changes page table entries:

    PageEncReportBegin ()   once
    PageEncReportChange ()  before each entry that maps memory is changed
    PageEncReportEnd ()     once, also after an error: what was changed is told

  Each walk has its PAGE_ENC_REPORT on the stack: a timer event may come in the
  middle of one and walk itself, for pages of its own.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#ifndef PAGE_ENC_REPORT_H_
#define PAGE_ENC_REPORT_H_

#include <Uefi.h>

//
// One run of pages that have changed in the tables and that the hypervisor was
// not told about yet: [Start, End), empty when the two are equal.
//
typedef struct {
  BOOLEAN    Active;       // anything is reported at all
  BOOLEAN    Encrypted;    // what the walk makes of the pages
  UINT64     Start;
  UINT64     End;
} PAGE_ENC_REPORT;

/**
  Begin to collect the changes of one walk.

  Nothing is reported of memory mapped I/O, which is no memory of the guest, and
  of page tables other than those in use: they change no access. If they come
  into use, their changes are for the one who switches to report.

  @param[out]  Report          Filled in.
  @param[in]   Cr3BaseAddress  The page tables that are changed. Zero: those in use.
  @param[in]   Encrypted       TRUE if the walk sets the encryption bit, FALSE if
                               it clears it.
  @param[in]   Mmio            TRUE if the range is no RAM.

**/
VOID
PageEncReportBegin (
  OUT PAGE_ENC_REPORT   *Report,
  IN  PHYSICAL_ADDRESS  Cr3BaseAddress,
  IN  BOOLEAN           Encrypted,
  IN  BOOLEAN           Mmio
  );

/**
  Take note of an entry that is about to get the walk's encryption bit.

  An entry that has it already changes nothing and is not reported. A run that
  Entry does not continue is reported at once.

  @param[in, out]  Report   The walk.
  @param[in]       Entry    The entry as it is before the change.
  @param[in]       Address  An address that the entry maps.
  @param[in]       Size     Bytes that it maps, a power of two.

**/
VOID
PageEncReportChange (
  IN OUT PAGE_ENC_REPORT   *Report,
  IN     UINT64            Entry,
  IN     PHYSICAL_ADDRESS  Address,
  IN     UINT64            Size
  );

/**
  Report what is left of a walk.

  @param[in, out]  Report   The walk.

**/
VOID
PageEncReportEnd (
  IN OUT PAGE_ENC_REPORT  *Report
  );

/**
  Find out whether the hypervisor wants to be told. Each module that has this
  library asks once. Only to be called in an SEV guest.

  @retval TRUE   This is a guest of KVM, which offers the hypercall, and it is
                 plain SEV: not SEV-ES, not SEV-SNP.
  @retval FALSE  There must be no hypercall.

**/
BOOLEAN
PageEncReportIsOffered (
  VOID
  );

/**
  Tell the hypervisor the state of some pages. Returns only if it has taken
  note: a guest that went on otherwise would corrupt its memory.

  @param[in]  Address    First byte of the first page.
  @param[in]  Pages      Number of pages of 4 KB, not zero.
  @param[in]  Encrypted  What they are from now on.

**/
VOID
PageEncReportPages (
  IN PHYSICAL_ADDRESS  Address,
  IN UINT64            Pages,
  IN BOOLEAN           Encrypted
  );

/**
  The hypercall KVM_HC_MAP_GPA_RANGE.

  @param[in]  Address     First byte of the first page.
  @param[in]  Pages       Number of pages of 4 KB.
  @param[in]  Attributes  Of the hypercall: bit 4 for encrypted pages.

  @return  Zero, or a negative number with the reason of the failure.

**/
INT64
EFIAPI
AsmKvmMapGpaRange (
  IN UINT64  Address,
  IN UINT64  Pages,
  IN UINT64  Attributes
  );

#endif
