/** @file

  Test of the reports of page encryption, run on the build machine.

  The code under test is the real one: the walk that changes page tables
  (PeiDxeVirtualMemory.c) and what collects and sends the reports. It works on
  page tables in this program's memory that describe a guest of 4 GB. Below it
  is a hypervisor of a few lines: its CPUID, and a map of what it was told.

  After each call the map must be what the tables say, page by page. Each
  report must be well formed, change every page that it names, and come when the
  tables are as they were at the last TLB flush.

  Each case is a process of its own, because the code remembers the answer of
  CPUID. Prints TAP.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../X64/PeiDxeVirtualMemory.c"

#define ENC_MASK      BIT47
#define GUEST_SIZE    SIZE_4GB
#define GUEST_PAGES   (GUEST_SIZE / SIZE_4KB)
#define PRESENT       (IA32_PG_P | IA32_PG_RW)
#define CODE_STOPPED  42

//
// Where the tables are: above the guest, and below 1 TB, because the walk takes
// an address out of an entry as a bit field of 40 bits. All of it is in one GB.
//
#define ARENA       BIT39
#define ARENA_SIZE  SIZE_64MB

#define KVM_BIT_MAP_GPA_RANGE      BIT16
#define KVM_BIT_MIGRATION_CONTROL  BIT17

//
// What the case sets up.
//
static struct {
  BOOLEAN    Paravirtualized;
  UINT32     KvmBase;          // zero: no KVM
  CHAR8      KvmName[13];
  UINT32     KvmLast;          // what the block's first leaf says
  UINT32     KvmFeatures;
  UINT32     OtherBase;        // another hypervisor's block, zero: none
  BOOLEAN    SevEs;
  UINT64     EncMask;
  BOOLEAN    WriteProtected;   // CR0.WP
  UINT64     Cr3Flags;
  INT64      Answer;           // to the hypercall
} mCase;

//
// What happened.
//
static UINT8    mSeen[GUEST_PAGES];    // what the hypervisor was told: 1 for encrypted
static unsigned mCalls, mCpuids;
static UINT64   mFlushedState;
static BOOLEAN  mFlushed, mInterruptsOff;
static struct {
  UINT64    Address;
  UINT64    Pages;
  UINT64    Attributes;
} mLast[4];                            // the first few reports since mCalls was zero

static UINT8   *mArena;
static size_t  mArenaUsed;
static UINT64  *mPml4;

__attribute__ ((format (printf, 1, 2), noreturn))
static void
Fail (
  const char  *Format,
  ...
  )
{
  va_list  Args;

  printf ("# ");
  va_start (Args, Format);
  vprintf (Format, Args);
  va_end (Args);
  printf ("\n");
  fflush (stdout);
  _exit (1);
}

#define CHECK(Condition)                                          \
  do {                                                            \
    if (!(Condition)) {                                           \
      Fail ("line %d does not hold: %s", __LINE__, #Condition);   \
    }                                                             \
  } while (0)

//
// The tables.
//

static void *
NewPages (
  size_t  Pages,
  size_t  Alignment
  )
{
  void  *Result;

  mArenaUsed  = (mArenaUsed + Alignment - 1) & ~(Alignment - 1);
  Result      = mArena + mArenaUsed;
  mArenaUsed += Pages * SIZE_4KB;
  CHECK (mArenaUsed <= ARENA_SIZE);
  return Result;
}

static UINT64
MaskedAddress (
  UINT64  Entry
  )
{
  return Entry & ~ENC_MASK & PAGING_4K_ADDRESS_MASK_64;
}

//
// Call Leaf for every entry that maps memory below 4 GB.
//
static void
WalkGuest (
  void (*Leaf)(UINT64 *Entry, UINT64 Address, UINT64 Size)
  )
{
  UINT64  *Pdpt, *Pd, *Pt;

  Pdpt = (UINT64 *)MaskedAddress (mPml4[0]);
  for (UINT64 I = 0; I < GUEST_SIZE / SIZE_1GB; I++) {
    if ((Pdpt[I] & IA32_PG_P) == 0) {
      continue;
    }

    if ((Pdpt[I] & IA32_PG_PS) != 0) {
      Leaf (&Pdpt[I], I * SIZE_1GB, SIZE_1GB);
      continue;
    }

    CHECK ((Pdpt[I] & ENC_MASK) != 0);
    Pd = (UINT64 *)MaskedAddress (Pdpt[I]);
    for (UINT64 J = 0; J < 512; J++) {
      if ((Pd[J] & IA32_PG_P) == 0) {
        continue;
      }

      if ((Pd[J] & IA32_PG_PS) != 0) {
        Leaf (&Pd[J], I * SIZE_1GB + J * SIZE_2MB, SIZE_2MB);
        continue;
      }

      CHECK ((Pd[J] & ENC_MASK) != 0);
      Pt = (UINT64 *)MaskedAddress (Pd[J]);
      for (UINT64 K = 0; K < 512; K++) {
        if ((Pt[K] & IA32_PG_P) != 0) {
          Leaf (&Pt[K], I * SIZE_1GB + J * SIZE_2MB + K * SIZE_4KB, SIZE_4KB);
        }
      }
    }
  }
}

static UINT64  mState;

static void
AddToState (
  UINT64  *Entry,
  UINT64  Address,
  UINT64  Size
  )
{
  mState = (mState ^ *Entry ^ Size) * 0x100000001b3;
}

//
// The tables as one number.
//
static UINT64
State (
  void
  )
{
  mState = 0xcbf29ce484222325;
  WalkGuest (AddToState);
  return mState;
}

static void
CheckLeaf (
  UINT64  *Entry,
  UINT64  Address,
  UINT64  Size
  )
{
  UINT8  Encrypted = (*Entry & ENC_MASK) != 0;

  if ((*Entry & ~ENC_MASK & PAGING_4K_ADDRESS_MASK_64 & ~(Size - 1)) != Address) {
    Fail ("the entry of %llx maps %llx", Address, *Entry);
  }

  for (UINT64 Page = Address / SIZE_4KB; Page < (Address + Size) / SIZE_4KB; Page++) {
    if (mSeen[Page] != Encrypted) {
      Fail ("page %llx: the tables say %d, the hypervisor was told %d", Page * SIZE_4KB, Encrypted, mSeen[Page]);
    }
  }
}

//
// The hypervisor and the tables agree about all memory.
//
static void
CheckAgreement (
  void
  )
{
  WalkGuest (CheckLeaf);
}

//
// The entry that maps Address, and in Size what it maps.
//
static UINT64
EntryOf (
  UINT64  Address,
  UINT64  *Size
  )
{
  UINT64  Entry;

  Entry = ((UINT64 *)MaskedAddress (mPml4[0]))[Address / SIZE_1GB];
  *Size = SIZE_1GB;
  if ((Entry & IA32_PG_PS) == 0) {
    Entry = ((UINT64 *)MaskedAddress (Entry))[Address / SIZE_2MB % 512];
    *Size = SIZE_2MB;
    if ((Entry & IA32_PG_PS) == 0) {
      Entry = ((UINT64 *)MaskedAddress (Entry))[Address / SIZE_4KB % 512];
      *Size = SIZE_4KB;
    }
  }

  return Entry;
}

static BOOLEAN
IsEncrypted (
  UINT64  Address
  )
{
  UINT64  Size;

  return (EntryOf (Address, &Size) & ENC_MASK) != 0;
}

//
// A guest of 4 GB, all of it encrypted, and the tables' own memory, which the
// protection of page tables looks up.
//
static UINT64 *
NewTables (
  void
  )
{
  UINT64  *Pml4, *Pdpt, *Pd, Base;

  Pml4    = NewPages (1, SIZE_4KB);
  Pdpt    = NewPages (1, SIZE_4KB);
  Pml4[0] = (UINT64)Pdpt | PRESENT | ENC_MASK;
  for (UINT64 I = 0; I < GUEST_SIZE / SIZE_1GB; I++) {
    Pdpt[I] = I * SIZE_1GB | PRESENT | IA32_PG_PS | ENC_MASK;
  }

  Base = (UINT64)mArena;
  Pdpt             = NewPages (1, SIZE_4KB);
  Pd               = NewPages (1, SIZE_4KB);
  Pml4[Base >> 39] = (UINT64)Pdpt | PRESENT | ENC_MASK;
  Pdpt[(Base >> 30) % 512] = (UINT64)Pd | PRESENT | ENC_MASK;
  for (UINT64 I = 0; I < 512; I++) {
    Pd[I] = (Base & ~(SIZE_1GB - 1)) | I * SIZE_2MB | PRESENT | IA32_PG_PS | ENC_MASK;
  }

  return Pml4;
}

static void
SetUp (
  void
  )
{
  mArena = mmap (
             (void *)ARENA,
             ARENA_SIZE,
             PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
             -1,
             0
             );
  CHECK (mArena == (UINT8 *)ARENA);
  memset (mSeen, 1, sizeof mSeen);

  mCase.Paravirtualized = TRUE;
  mCase.KvmBase         = 0x40000000;
  mCase.KvmLast         = 0x40000001;
  strcpy (mCase.KvmName, "KVMKVMKVM");
  mCase.KvmFeatures     = KVM_BIT_MAP_GPA_RANGE;
  mCase.EncMask         = ENC_MASK;
  mPml4                 = NewTables ();
}

//
// What the code under test needs of its platform.
//

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

  mCpuids++;
  if (Index == 1) {
    Registers[2] = mCase.Paravirtualized ? BIT31 : 0;
  } else if ((mCase.KvmBase != 0) && (Index == mCase.KvmBase)) {
    Registers[0] = mCase.KvmLast;
    memcpy (&Registers[1], mCase.KvmName, 12);
  } else if ((mCase.KvmBase != 0) && (Index == mCase.KvmBase + 1)) {
    Registers[0] = mCase.KvmFeatures;
  } else if ((mCase.OtherBase != 0) && (Index == mCase.OtherBase)) {
    Registers[0] = mCase.OtherBase + 5;
    memcpy (&Registers[1], "Microsoft Hv", 12);
  } else {
    //
    // Another hypervisor's bits, or those of a leaf that there is none of.
    //
    Registers[0] = MAX_UINT32;
  }

  if (Eax != NULL) {
    *Eax = Registers[0];
  }

  if (Ebx != NULL) {
    *Ebx = Registers[1];
  }

  if (Ecx != NULL) {
    *Ecx = Registers[2];
  }

  if (Edx != NULL) {
    *Edx = Registers[3];
  }

  return Index;
}

INT64
EFIAPI
AsmKvmMapGpaRange (
  IN UINT64  Address,
  IN UINT64  Pages,
  IN UINT64  Attributes
  )
{
  UINT8  Encrypted = (Attributes & BIT4) != 0;

  if ((Address % SIZE_4KB != 0) || (Pages == 0) || (Address >= GUEST_SIZE) ||
      (Pages > (GUEST_SIZE - Address) / SIZE_4KB) || ((Attributes & ~(UINT64)BIT4) != 0))
  {
    Fail ("malformed report: %llx, %llx pages, attributes %llx", Address, Pages, Attributes);
  }

  if (!mFlushed || (State () != mFlushedState)) {
    Fail ("report of %llx before the TLB was flushed", Address);
  }

  if (mCase.Answer != 0) {
    return mCase.Answer;
  }

  for (UINT64 Page = Address / SIZE_4KB; Page < Address / SIZE_4KB + Pages; Page++) {
    if (mSeen[Page] == Encrypted) {
      Fail ("the report of %llx, %llx pages, changes nothing at %llx", Address, Pages, Page * SIZE_4KB);
    }

    mSeen[Page] = Encrypted;
  }

  if (mCalls < ARRAY_SIZE (mLast)) {
    mLast[mCalls].Address    = Address;
    mLast[mCalls].Pages      = Pages;
    mLast[mCalls].Attributes = Attributes;
  }

  mCalls++;
  return 0;
}

VOID
EFIAPI
CpuFlushTlb (
  VOID
  )
{
  mFlushed      = TRUE;
  mFlushedState = State ();
}

UINTN
EFIAPI
AsmReadCr3 (
  VOID
  )
{
  return (UINTN)mPml4 | mCase.Cr3Flags;
}

UINTN
EFIAPI
AsmReadCr0 (
  VOID
  )
{
  return mCase.WriteProtected ? BIT31 | BIT16 | BIT0 : BIT31 | BIT0;
}

UINTN
EFIAPI
AsmWriteCr0 (
  UINTN  Cr0
  )
{
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
  _exit (CODE_STOPPED);
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
  return mCase.SevEs;
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
  return mCase.EncMask;
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

//
// The calls of the drivers, and what must follow.
//

static RETURN_STATUS
Change (
  UINT64   Cr3,
  UINT64   Address,
  UINT64   Length,
  BOOLEAN  Encrypted
  )
{
  mCalls   = 0;
  mFlushed = FALSE;
  return Encrypted ? InternalMemEncryptSevSetMemoryEncrypted (Cr3, Address, Length)
                   : InternalMemEncryptSevSetMemoryDecrypted (Cr3, Address, Length);
}

static void
Share (
  UINT64  Address,
  UINT64  Length
  )
{
  CHECK (Change (0, Address, Length, FALSE) == RETURN_SUCCESS);
  CheckAgreement ();
}

static void
Encrypt (
  UINT64  Address,
  UINT64  Length
  )
{
  CHECK (Change (0, Address, Length, TRUE) == RETURN_SUCCESS);
  CheckAgreement ();
}

static void
CheckCall (
  unsigned  Number,
  UINT64    Address,
  UINT64    Length,
  BOOLEAN   Encrypted
  )
{
  CHECK (Number < mCalls);
  CHECK (mLast[Number].Address == Address);
  CHECK (mLast[Number].Pages == Length / SIZE_4KB);
  CHECK (mLast[Number].Attributes == (Encrypted ? BIT4 : 0));
}

//
// A change with CPUID as it was set up: is it reported?
//
static BOOLEAN
IsReported (
  void
  )
{
  CHECK (Change (0, SIZE_2MB, SIZE_4KB, FALSE) == RETURN_SUCCESS);
  CHECK (!IsEncrypted (SIZE_2MB));
  return mCalls != 0;
}

//
// The cases.
//

static void
NoHypervisor (
  void
  )
{
  mCase.Paravirtualized = FALSE;
  CHECK (!IsReported ());
}

static void
NotKvm (
  void
  )
{
  mCase.KvmBase   = 0;
  mCase.OtherBase = 0x40000000;
  CHECK (!IsReported ());
}

static void
NearlyKvm (
  void
  )
{
  strcpy (mCase.KvmName, "KVMKVMKVMKVM");
  CHECK (!IsReported ());
}

static void
KvmWithoutTheFeature (
  void
  )
{
  mCase.KvmFeatures = ~(UINT32)KVM_BIT_MAP_GPA_RANGE;
  CHECK (!IsReported ());
}

static void
KvmWithMigrationControlOnly (
  void
  )
{
  mCase.KvmFeatures = KVM_BIT_MIGRATION_CONTROL;
  CHECK (!IsReported ());
}

static void
KvmWithTheFeature (
  void
  )
{
  CHECK (IsReported ());
}

static void
KvmBehindAnotherHypervisor (
  void
  )
{
  mCase.OtherBase = 0x40000000;
  mCase.KvmBase   = 0x40000100;
  mCase.KvmLast   = 0x40000101;
  CHECK (IsReported ());
}

static void
KvmInTheLastBlock (
  void
  )
{
  mCase.KvmBase = 0x4000ff00;
  mCase.KvmLast = 0x4000ff01;
  CHECK (IsReported ());
}

static void
KvmBehindTheLastBlock (
  void
  )
{
  mCase.KvmBase = 0x40010000;
  mCase.KvmLast = 0x40010001;
  CHECK (!IsReported ());
}

static void
OldKvm (
  void
  )
{
  mCase.KvmLast = 0;
  CHECK (IsReported ());
}

static void
KvmWithoutFeatureLeaf (
  void
  )
{
  mCase.KvmLast = mCase.KvmBase;
  CHECK (!IsReported ());
}

static void
SevEs (
  void
  )
{
  mCase.SevEs = TRUE;
  CHECK (!IsReported ());
}

static void
AskedOnce (
  void
  )
{
  unsigned  Before;

  CHECK (IsReported ());
  Before = mCpuids;
  Share (0, SIZE_4KB);
  Encrypt (0, SIZE_4KB);
  CHECK (mCpuids == Before);
}

static void
NoEncryption (
  void
  )
{
  mCase.EncMask = 0;
  CHECK (Change (0, SIZE_2MB, SIZE_4KB, FALSE) == RETURN_ACCESS_DENIED);
  CHECK (mCalls == 0 && mCpuids == 0);
}

static void
EmptyRange (
  void
  )
{
  CHECK (Change (0, SIZE_2MB, 0, FALSE) == RETURN_INVALID_PARAMETER);
  CHECK (mCalls == 0);
}

static void
OnePage (
  void
  )
{
  Share (5 * SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, 5 * SIZE_4KB, SIZE_4KB, FALSE);
  Encrypt (5 * SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, 5 * SIZE_4KB, SIZE_4KB, TRUE);
}

static void
PageZero (
  void
  )
{
  Share (0, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, 0, SIZE_4KB, FALSE);
}

static void
LastPage (
  void
  )
{
  Share (GUEST_SIZE - SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, GUEST_SIZE - SIZE_4KB, SIZE_4KB, FALSE);
}

static void
WhatIsSoAlready (
  void
  )
{
  Encrypt (0, SIZE_2MB);
  CHECK (mCalls == 0);
  Share (SIZE_4KB, 3 * SIZE_4KB);
  CHECK (mCalls == 1);
  Share (SIZE_4KB, 3 * SIZE_4KB);
  CHECK (mCalls == 0);
}

static void
ClippedToWhatChanges (
  void
  )
{
  Share (4 * SIZE_4KB, SIZE_4KB);
  Share (6 * SIZE_4KB, 2 * SIZE_4KB);
  Share (3 * SIZE_4KB, 6 * SIZE_4KB);
  CHECK (mCalls == 3);
  CheckCall (0, 3 * SIZE_4KB, SIZE_4KB, FALSE);
  CheckCall (1, 5 * SIZE_4KB, SIZE_4KB, FALSE);
  CheckCall (2, 8 * SIZE_4KB, SIZE_4KB, FALSE);
}

static void
UnalignedAddress (
  void
  )
{
  Share (SIZE_2MB + SIZE_4KB + 0x123, 2 * SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, SIZE_2MB + SIZE_4KB, 2 * SIZE_4KB, FALSE);
}

static void
LargePages (
  void
  )
{
  UINT64  Size;

  Share (SIZE_1GB, SIZE_1GB);
  CHECK (mCalls == 1);
  CheckCall (0, SIZE_1GB, SIZE_1GB, FALSE);
  EntryOf (SIZE_1GB, &Size);
  CHECK (Size == SIZE_1GB);
  Share (2 * SIZE_2MB, 2 * SIZE_2MB);
  CHECK (mCalls == 1);
  CheckCall (0, 2 * SIZE_2MB, 2 * SIZE_2MB, FALSE);
  EntryOf (2 * SIZE_2MB, &Size);
  CHECK (Size == SIZE_2MB);
}

static void
OneRunOfAllSizes (
  void
  )
{
  Share (SIZE_1GB - SIZE_2MB - SIZE_4KB, SIZE_4KB + SIZE_2MB + SIZE_1GB + SIZE_2MB + SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (
    0,
    SIZE_1GB - SIZE_2MB - SIZE_4KB,
    SIZE_4KB + SIZE_2MB + SIZE_1GB + SIZE_2MB + SIZE_4KB,
    FALSE
    );
}

static void
PartOfASharedLargePage (
  void
  )
{
  Share (SIZE_2MB, SIZE_2MB);
  Encrypt (SIZE_2MB + 7 * SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, SIZE_2MB + 7 * SIZE_4KB, SIZE_4KB, TRUE);
  CHECK (!IsEncrypted (SIZE_2MB) && !IsEncrypted (2 * SIZE_2MB - SIZE_4KB));
}

static void
PartOfASharedHugePage (
  void
  )
{
  Share (SIZE_1GB, SIZE_1GB);
  Encrypt (SIZE_1GB + SIZE_2MB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, SIZE_1GB + SIZE_2MB, SIZE_4KB, TRUE);
  CHECK (!IsEncrypted (SIZE_1GB) && !IsEncrypted (2ULL * SIZE_1GB - SIZE_4KB));
}

static void
Mmio (
  void
  )
{
  CHECK (InternalMemEncryptSevClearMmioPageEncMask (0, SIZE_1GB, SIZE_2MB + SIZE_4KB) == RETURN_SUCCESS);
  CHECK (mCalls == 0);
  CHECK (!IsEncrypted (SIZE_1GB) && !IsEncrypted (SIZE_1GB + SIZE_2MB) && IsEncrypted (SIZE_1GB + SIZE_2MB + SIZE_4KB));
}

static void
OtherTables (
  void
  )
{
  UINT64  *Other;

  Other = NewTables ();
  CHECK (Change ((UINT64)Other, SIZE_2MB, SIZE_4KB, FALSE) == RETURN_SUCCESS);
  CHECK (mCalls == 0);
  CheckAgreement ();
  mPml4 = Other;
  CHECK (!IsEncrypted (SIZE_2MB));
}

static void
TablesInUseByName (
  void
  )
{
  mCase.Cr3Flags = ENC_MASK | BIT3;
  CHECK (Change ((UINT64)mPml4, SIZE_2MB, SIZE_4KB, FALSE) == RETURN_SUCCESS);
  CHECK (mCalls == 1);
  CHECK (Change ((UINT64)mPml4 | ENC_MASK, SIZE_2MB, SIZE_4KB, TRUE) == RETURN_SUCCESS);
  CHECK (mCalls == 1);
  CheckAgreement ();
}

static void
ErrorHalfWay (
  void
  )
{
  UINT64  *Pdpt;

  Pdpt    = (UINT64 *)MaskedAddress (mPml4[0]);
  Pdpt[2] = 0;
  CHECK (Change (0, 2ULL * SIZE_1GB - 2 * SIZE_4KB, 4 * SIZE_4KB, FALSE) == RETURN_NO_MAPPING);
  CHECK (mCalls == 1);
  CheckCall (0, 2ULL * SIZE_1GB - 2 * SIZE_4KB, 2 * SIZE_4KB, FALSE);
  CheckAgreement ();
}

static void
WriteProtectedTables (
  void
  )
{
  UINT64  *Pd;

  mCase.WriteProtected = TRUE;
  Share (SIZE_2MB + SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  Pd = (UINT64 *)MaskedAddress (mPml4[(UINT64)mArena >> 39]);
  Pd = (UINT64 *)MaskedAddress (Pd[((UINT64)mArena >> 30) % 512]);
  for (UINT64 I = 0; I < 512; I++) {
    CHECK ((Pd[I] & ENC_MASK) != 0);
  }

  //
  // The first pool of tables, which the split took one from.
  //
  CHECK ((Pd[1] & IA32_PG_RW) == 0);
}

static void
Refused (
  void
  )
{
  mCase.Answer = -1000;
  Change (0, SIZE_2MB, SIZE_4KB, FALSE);
  Fail ("it went on");
}

//
// A few large pages in two huge ones, in all ways that there are.
//
static void
Random (
  void
  )
{
  UINT64    First, Address, Length;
  unsigned  Reports = 0;

  srand (1);
  for (int Round = 0; Round < 4000; Round++) {
    First   = (rand () % 2) * (UINT64)SIZE_1GB + (rand () % 4) * (UINT64)SIZE_2MB;
    Address = First + (rand () % 512) * (UINT64)SIZE_4KB;
    Length  = (1 + rand () % 600) * (UINT64)SIZE_4KB;
    switch (rand () % 8) {
      case 0:
        Address = First;
        Length  = SIZE_2MB;
        break;
      case 1:
        Address = (rand () % 3) * (UINT64)SIZE_1GB;
        Length  = (rand () % 20 == 0) ? SIZE_1GB : SIZE_4KB;
        break;
      case 2:
        Address |= rand () % SIZE_4KB;
        break;
      default:
        break;
    }

    CHECK (Change (0, Address, Length, rand () % 2 == 0) == RETURN_SUCCESS);
    CheckAgreement ();
    Reports += mCalls;
  }

  printf ("# %u reports\n", Reports);
  CHECK (Reports > 2000);
}

static const struct {
  const char    *Name;
  void          (*Run)(void);
  int           Status;
} mTests[] = {
  { "no hypervisor: no report",                                    NoHypervisor                },
  { "another hypervisor: no report",                               NotKvm                      },
  { "a hypervisor with a name like KVM's: no report",              NearlyKvm                   },
  { "KVM without the feature: no report",                          KvmWithoutTheFeature        },
  { "KVM with migration control only: no report",                  KvmWithMigrationControlOnly },
  { "KVM with the feature: a report",                              KvmWithTheFeature           },
  { "KVM behind another hypervisor is found",                      KvmBehindAnotherHypervisor  },
  { "KVM in the last block is found",                              KvmInTheLastBlock           },
  { "KVM behind the last block is not looked for",                 KvmBehindTheLastBlock       },
  { "KVM that does not say how many leaves it has",                OldKvm                      },
  { "KVM without a feature leaf: no report",                       KvmWithoutFeatureLeaf       },
  { "SEV-ES: no report",                                           SevEs                       },
  { "CPUID is asked once",                                         AskedOnce                   },
  { "no encryption: refused, no report, no CPUID",                 NoEncryption                },
  { "an empty range: refused, no report",                          EmptyRange                  },
  { "one page, shared and encrypted again",                        OnePage                     },
  { "the first page",                                              PageZero                    },
  { "the last page",                                               LastPage                    },
  { "what is so already is not reported",                          WhatIsSoAlready             },
  { "a report is clipped to what changes",                         ClippedToWhatChanges        },
  { "an address within a page",                                    UnalignedAddress            },
  { "large pages are one report and stay whole",                   LargePages                  },
  { "one run of pages of all sizes is one report",                 OneRunOfAllSizes            },
  { "a part of a shared 2 MB page: the rest stays shared",         PartOfASharedLargePage      },
  { "a part of a shared 1 GB page: the rest stays shared",         PartOfASharedHugePage       },
  { "memory mapped I/O is not reported",                           Mmio                        },
  { "tables that are not in use are not reported",                 OtherTables                 },
  { "the tables in use, named by address",                         TablesInUseByName           },
  { "an error half way: what was changed is reported",             ErrorHalfWay                },
  { "write protected tables stay encrypted",                       WriteProtectedTables        },
  { "a report that the hypervisor refuses stops the guest",        Refused,                    CODE_STOPPED },
  { "4000 random changes: tables and hypervisor agree throughout", Random                      },
};

int
main (
  void
  )
{
  int  Failed = 0;

  for (size_t I = 0; I < ARRAY_SIZE (mTests); I++) {
    int    Status = -1;
    pid_t  Child;

    fflush (stdout);
    Child = fork ();
    if (Child == 0) {
      SetUp ();
      mTests[I].Run ();
      fflush (stdout);
      _exit (0);
    }

    if ((Child < 0) || (waitpid (Child, &Status, 0) != Child) || !WIFEXITED (Status) ||
        (WEXITSTATUS (Status) != mTests[I].Status))
    {
      printf ("# status %x\nnot ok %zu - %s\n", Status, I + 1, mTests[I].Name);
      Failed = 1;
    } else {
      printf ("ok %zu - %s\n", I + 1, mTests[I].Name);
    }
  }

  printf ("1..%zu\n", ARRAY_SIZE (mTests));
  return Failed;
}
