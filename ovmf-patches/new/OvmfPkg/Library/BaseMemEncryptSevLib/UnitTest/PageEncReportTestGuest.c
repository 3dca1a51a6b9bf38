/** @file

  The guest of the test of page encryption reports: its page tables, and the
  calls that its drivers make to change them.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <sys/mman.h>

#include "PageEncReportTest.h"

#define PRESENT  (IA32_PG_P | IA32_PG_RW)
#define ENTRIES  (SIZE_4KB / sizeof (UINT64))

//
// Where the tables are: above the guest, and below 1 TB, because the walk takes
// an address out of an entry as a bit field of 40 bits. All of it is in one GB.
//
#define ARENA       BIT39
#define ARENA_SIZE  SIZE_64MB

UINT64  *mPml4;

STATIC UINT8  *mArena;
STATIC UINTN  mArenaUsed;

VOID
SetUpGuest (
  VOID
  )
{
  mArena = mmap (
             (VOID *)ARENA,
             ARENA_SIZE,
             PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
             -1,
             0
             );
  CHECK (mArena == (UINT8 *)ARENA);
  mPml4 = NewTables ();
}

VOID *
NewPages (
  IN UINTN  Pages,
  IN UINTN  Alignment
  )
{
  VOID  *Result;

  mArenaUsed  = (mArenaUsed + Alignment - 1) & ~(Alignment - 1);
  Result      = mArena + mArenaUsed;
  mArenaUsed += Pages * SIZE_4KB;
  CHECK (mArenaUsed <= ARENA_SIZE);
  return Result;
}

UINT64 *
NewTables (
  VOID
  )
{
  UINT64  *Pml4;
  UINT64  *Pdpt;
  UINT64  *Pd;
  UINTN   Index;

  Pml4    = NewPages (1, SIZE_4KB);
  Pdpt    = NewPages (1, SIZE_4KB);
  Pml4[0] = (UINT64)Pdpt | PRESENT | ENC_MASK;
  for (Index = 0; Index < GUEST_SIZE / SIZE_1GB; Index++) {
    Pdpt[Index] = Index * SIZE_1GB | PRESENT | IA32_PG_PS | ENC_MASK;
  }

  //
  // The tables' own memory, which the protection of page tables looks up.
  //
  Pdpt                          = NewPages (1, SIZE_4KB);
  Pd                            = NewPages (1, SIZE_4KB);
  Pml4[ARENA >> 39]             = (UINT64)Pdpt | PRESENT | ENC_MASK;
  Pdpt[(ARENA >> 30) % ENTRIES] = (UINT64)Pd | PRESENT | ENC_MASK;
  for (Index = 0; Index < ENTRIES; Index++) {
    Pd[Index] = (ARENA & ~(SIZE_1GB - 1)) | Index * SIZE_2MB | PRESENT | IA32_PG_PS | ENC_MASK;
  }

  return Pml4;
}

UINT64 *
TableOf (
  IN UINT64  Entry
  )
{
  return (UINT64 *)(Entry & ~ENC_MASK & PAGING_4K_ADDRESS_MASK_64);
}

UINT64
EntryOf (
  IN  UINT64  Address,
  OUT UINT64  *Size
  )
{
  UINT64  Entry;

  Entry = TableOf (mPml4[0])[Address / SIZE_1GB];
  *Size = SIZE_1GB;
  if ((Entry & IA32_PG_PS) == 0) {
    Entry = TableOf (Entry)[Address / SIZE_2MB % ENTRIES];
    *Size = SIZE_2MB;
    if ((Entry & IA32_PG_PS) == 0) {
      Entry = TableOf (Entry)[Address / SIZE_4KB % ENTRIES];
      *Size = SIZE_4KB;
    }
  }

  return Entry;
}

/**
  Call a function for each entry that maps memory, in the Entries first entries of
  a table that map Size each from Address on, and in the tables below it.
**/
STATIC
VOID
WalkTable (
  IN TEST_LEAF  Leaf,
  IN UINT64     *Table,
  IN UINTN      Entries,
  IN UINT64     Address,
  IN UINT64     Size
  )
{
  UINTN  Index;

  for (Index = 0; Index < Entries; Index++, Address += Size) {
    if ((Table[Index] & IA32_PG_P) == 0) {
      continue;
    }

    if ((Size == SIZE_4KB) || ((Table[Index] & IA32_PG_PS) != 0)) {
      Leaf (&Table[Index], Address, Size);
      continue;
    }

    //
    // A table is always encrypted.
    //
    CHECK ((Table[Index] & ENC_MASK) != 0);
    WalkTable (Leaf, TableOf (Table[Index]), ENTRIES, Address, Size / ENTRIES);
  }
}

VOID
WalkGuest (
  IN TEST_LEAF  Leaf
  )
{
  WalkTable (Leaf, TableOf (mPml4[0]), GUEST_SIZE / SIZE_1GB, 0, SIZE_1GB);
}

BOOLEAN
IsEncrypted (
  IN UINT64  Address
  )
{
  UINT64  Size;

  return (EntryOf (Address, &Size) & ENC_MASK) != 0;
}

RETURN_STATUS
Change (
  IN UINT64   Cr3,
  IN UINT64   Address,
  IN UINT64   Length,
  IN BOOLEAN  Encrypted
  )
{
  ForgetCalls ();
  return Encrypted ? InternalMemEncryptSevSetMemoryEncrypted (Cr3, Address, Length)
                   : InternalMemEncryptSevSetMemoryDecrypted (Cr3, Address, Length);
}

VOID
Share (
  IN UINT64  Address,
  IN UINT64  Length
  )
{
  CHECK (Change (0, Address, Length, FALSE) == RETURN_SUCCESS);
  CheckAgreement ();
}

VOID
Encrypt (
  IN UINT64  Address,
  IN UINT64  Length
  )
{
  CHECK (Change (0, Address, Length, TRUE) == RETURN_SUCCESS);
  CheckAgreement ();
}
