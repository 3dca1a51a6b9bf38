/** @file

  The platform of the test of page encryption reports: all that the code under
  test calls. The hypervisor is strict about each report, and keeps a map of
  what it was told.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <string.h>
#include <unistd.h>

#include <Library/CpuLib.h>

#include "../X64/SnpPageStateChange.h"
#include "PageEncReportTest.h"

#define ATTRIBUTE_ENCRYPTED  BIT4

TEST_PLATFORM  mPlatform;
UINTN          mCalls;
TEST_REPORT    mReports[4];
UINTN          mCpuids;

STATIC UINT8    mTold[GUEST_PAGES];   // of each page: 1 for encrypted
STATIC BOOLEAN  mFlushed;             // since ForgetCalls ()
STATIC UINT64   mFlushedState;        // the tables then
STATIC UINT64   mState;
STATIC BOOLEAN  mInterruptsOff;

VOID
SetUpPlatform (
  VOID
  )
{
  mPlatform.Paravirtualized = TRUE;
  mPlatform.KvmBase         = 0x40000000;
  mPlatform.KvmLast         = 0x40000001;
  strcpy (mPlatform.KvmName, "KVMKVMKVM");
  mPlatform.KvmFeatures = BIT16;
  mPlatform.EncMask     = ENC_MASK;
  memset (mTold, 1, sizeof (mTold));
}

VOID
ForgetCalls (
  VOID
  )
{
  mCalls   = 0;
  mFlushed = FALSE;
}

/**
  Add an entry to mState.
**/
STATIC
VOID
AddToState (
  IN UINT64  *Entry,
  IN UINT64  Address,
  IN UINT64  Size
  )
{
  mState = (mState ^ *Entry ^ Size) * 0x100000001b3;
}

/**
  The tables in use as one number.
**/
STATIC
UINT64
TablesState (
  VOID
  )
{
  mState = 0xcbf29ce484222325;
  WalkGuest (AddToState);
  return mState;
}

/**
  Check that an entry maps its own address, and says of it what the hypervisor
  was told.
**/
STATIC
VOID
CheckLeaf (
  IN UINT64  *Entry,
  IN UINT64  Address,
  IN UINT64  Size
  )
{
  UINT64  Page;
  UINT8   Encrypted;

  Encrypted = (*Entry & ENC_MASK) != 0;
  if ((*Entry & ~ENC_MASK & PAGING_4K_ADDRESS_MASK_64 & ~(Size - 1)) != Address) {
    Fail ("the entry of %llx maps %llx", Address, *Entry);
  }

  for (Page = Address / SIZE_4KB; Page < (Address + Size) / SIZE_4KB; Page++) {
    if (mTold[Page] != Encrypted) {
      Fail ("page %llx: the tables say %d, the hypervisor was told %d", Page * SIZE_4KB, Encrypted, mTold[Page]);
    }
  }
}

VOID
CheckAgreement (
  VOID
  )
{
  WalkGuest (CheckLeaf);
}

VOID
CheckCall (
  IN UINTN    Number,
  IN UINT64   Address,
  IN UINT64   Length,
  IN BOOLEAN  Encrypted
  )
{
  CHECK ((Number < mCalls) && (Number < ARRAY_SIZE (mReports)));
  CHECK (mReports[Number].Address == Address);
  CHECK (mReports[Number].Pages == Length / SIZE_4KB);
  CHECK (mReports[Number].Attributes == (Encrypted ? ATTRIBUTE_ENCRYPTED : 0));
}

INT64
EFIAPI
AsmKvmMapGpaRange (
  IN UINT64  Address,
  IN UINT64  Pages,
  IN UINT64  Attributes
  )
{
  UINT64  Page;
  UINT8   Encrypted;

  if ((Address % SIZE_4KB != 0) || (Pages == 0) || (Address >= GUEST_SIZE) ||
      (Pages > (GUEST_SIZE - Address) / SIZE_4KB) || ((Attributes & ~(UINT64)ATTRIBUTE_ENCRYPTED) != 0))
  {
    Fail ("malformed report: %llx, %llx pages, attributes %llx", Address, Pages, Attributes);
  }

  if (!mFlushed || (TablesState () != mFlushedState)) {
    Fail ("report of %llx before the TLB was flushed", Address);
  }

  if (mPlatform.Answer != 0) {
    return mPlatform.Answer;
  }

  Encrypted = (Attributes & ATTRIBUTE_ENCRYPTED) != 0;
  for (Page = Address / SIZE_4KB; Page < Address / SIZE_4KB + Pages; Page++) {
    if (mTold[Page] == Encrypted) {
      Fail ("the report of %llx, %llx pages, changes nothing at %llx", Address, Pages, Page * SIZE_4KB);
    }

    mTold[Page] = Encrypted;
  }

  if (mCalls < ARRAY_SIZE (mReports)) {
    mReports[mCalls].Address    = Address;
    mReports[mCalls].Pages      = Pages;
    mReports[mCalls].Attributes = Attributes;
  }

  mCalls++;
  return 0;
}

UINT32
EFIAPI
AsmCpuid (
  IN      UINT32  Index,
  OUT     UINT32  *Eax   OPTIONAL,
  OUT     UINT32  *Ebx   OPTIONAL,
  OUT     UINT32  *Ecx   OPTIONAL,
  OUT     UINT32  *Edx   OPTIONAL
  )
{
  UINT32  Registers[4] = { 0 };
  UINT32  *Wanted[4]   = { Eax, Ebx, Ecx, Edx };
  UINTN   Register;

  mCpuids++;
  if (Index == 1) {
    Registers[2] = mPlatform.Paravirtualized ? BIT31 : 0;
  } else if ((mPlatform.KvmBase != 0) && (Index == mPlatform.KvmBase)) {
    Registers[0] = mPlatform.KvmLast;
    memcpy (&Registers[1], mPlatform.KvmName, 12);
  } else if ((mPlatform.KvmBase != 0) && (Index == mPlatform.KvmBase + 1)) {
    Registers[0] = mPlatform.KvmFeatures;
  } else if ((mPlatform.OtherBase != 0) && (Index == mPlatform.OtherBase)) {
    Registers[0] = mPlatform.OtherBase + 5;
    memcpy (&Registers[1], "Microsoft Hv", 12);
  } else {
    //
    // Another hypervisor's bits, or those of a leaf that there is none of.
    //
    Registers[0] = MAX_UINT32;
  }

  for (Register = 0; Register < ARRAY_SIZE (Registers); Register++) {
    if (Wanted[Register] != NULL) {
      *Wanted[Register] = Registers[Register];
    }
  }

  return Index;
}

VOID
EFIAPI
CpuFlushTlb (
  VOID
  )
{
  mFlushed      = TRUE;
  mFlushedState = TablesState ();
}

UINTN
EFIAPI
AsmReadCr3 (
  VOID
  )
{
  return (UINTN)mPml4 | mPlatform.Cr3Flags;
}

UINTN
EFIAPI
AsmReadCr0 (
  VOID
  )
{
  return mPlatform.WriteProtected ? BIT31 | BIT16 | BIT0 : BIT31 | BIT0;
}

UINTN
EFIAPI
AsmWriteCr0 (
  UINTN  Cr0
  )
{
  mPlatform.WriteProtected = (Cr0 & BIT16) != 0;
  return Cr0;
}

VOID
EFIAPI
DisableInterrupts (
  VOID
  )
{
  mInterruptsOff = TRUE;
}

VOID
EFIAPI
CpuDeadLoop (
  VOID
  )
{
  CHECK (mInterruptsOff);
  _exit (STATUS_STOPPED);
}

VOID *
EFIAPI
WriteBackInvalidateDataCacheRange (
  IN VOID   *Address,
  IN UINTN  Length
  )
{
  return Address;
}

VOID *
EFIAPI
AllocateAlignedPages (
  IN UINTN  Pages,
  IN UINTN  Alignment
  )
{
  return NewPages (Pages, Alignment);
}

UINT64
EFIAPI
RShiftU64 (
  IN UINT64  Operand,
  IN UINTN   Count
  )
{
  return Operand >> Count;
}

BOOLEAN
EFIAPI
MemEncryptSevEsIsEnabled (
  VOID
  )
{
  return mPlatform.SevEs;
}

BOOLEAN
EFIAPI
MemEncryptSevSnpIsEnabled (
  VOID
  )
{
  return FALSE;
}

UINT64
EFIAPI
MemEncryptSevGetEncryptionMask (
  VOID
  )
{
  return mPlatform.EncMask;
}

VOID
InternalSetPageState (
  IN EFI_PHYSICAL_ADDRESS  BaseAddress,
  IN UINTN                 NumPages,
  IN SEV_SNP_PAGE_STATE    State,
  IN BOOLEAN               UseLargeEntry
  )
{
  Fail ("a call for SEV-SNP");
}
