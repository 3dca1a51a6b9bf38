/** @file

  Which pages a walk over the page tables has changed, as runs of pages to
  report. See PageEncReport.h.

  A run is held back for as long as the next change continues it: a range that
  takes many entries costs one hypercall.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <Library/BaseLib.h>
#include <Library/CpuLib.h>
#include <Library/MemEncryptSevLib.h>

#include "PageEncReport.h"
#include "VirtualMemory.h"

/**
  Report the run, if there is one, and begin an empty one.

  @param[in, out]  Report   The walk.

**/
STATIC
VOID
ReportRun (
  IN OUT PAGE_ENC_REPORT  *Report
  )
{
  if (Report->Start == Report->End) {
    return;
  }

  //
  // The hypervisor may take the old page away as soon as it knows. From here on
  // this processor must not reach it by the old bit, not even by speculation.
  // The other processors halt, and the INIT that wakes one empties its TLB.
  //
  // The walk flushes too, but that is too late for all runs but the last one,
  // and does not happen after an error.
  //
  CpuFlushTlb ();
  PageEncReportPages (
    Report->Start,
    RShiftU64 (Report->End - Report->Start, EFI_PAGE_SHIFT),
    Report->Encrypted
    );
  Report->Start = Report->End;
}

VOID
PageEncReportBegin (
  OUT PAGE_ENC_REPORT   *Report,
  IN  PHYSICAL_ADDRESS  Cr3BaseAddress,
  IN  BOOLEAN           Encrypted,
  IN  BOOLEAN           Mmio
  )
{
  UINT64   Ignored;
  BOOLEAN  InUse;

  //
  // CR3 may hold flags and the encryption bit beside the address.
  //
  Ignored = InternalGetMemEncryptionAddressMask () | EFI_PAGE_MASK;
  InUse   = (Cr3BaseAddress == 0) ||
            (((Cr3BaseAddress ^ AsmReadCr3 ()) & ~Ignored) == 0);

  Report->Active    = !Mmio && InUse && PageEncReportIsOffered ();
  Report->Encrypted = Encrypted;
  Report->Start     = 0;
  Report->End       = 0;
}

VOID
PageEncReportChange (
  IN OUT PAGE_ENC_REPORT   *Report,
  IN     UINT64            Entry,
  IN     PHYSICAL_ADDRESS  Address,
  IN     UINT64            Size
  )
{
  UINT64   Start;
  BOOLEAN  WasEncrypted;

  WasEncrypted = (Entry & InternalGetMemEncryptionAddressMask ()) != 0;
  if (!Report->Active || (WasEncrypted == Report->Encrypted)) {
    return;
  }

  //
  // The entry changes as a whole, also where the walk began inside of it.
  //
  Start = Address & ~(Size - 1);
  if (Start != Report->End) {
    ReportRun (Report);
    Report->Start = Start;
  }

  Report->End = Start + Size;
}

VOID
PageEncReportEnd (
  IN OUT PAGE_ENC_REPORT  *Report
  )
{
  ReportRun (Report);
}
