/** @file

  Test of page encryption reports, cases: which walks over page tables are
  reported, what follows an error of the walk or of the hypervisor, and many
  walks one after the other.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <stdio.h>
#include <stdlib.h>

#include "PageEncReportTest.h"

#define ROUNDS  4000

STATIC
VOID
Mmio (
  VOID
  )
{
  CHECK (InternalMemEncryptSevClearMmioPageEncMask (0, SIZE_1GB, SIZE_2MB + SIZE_4KB) == RETURN_SUCCESS);
  CHECK (mCalls == 0);
  CHECK (!IsEncrypted (SIZE_1GB) && !IsEncrypted (SIZE_1GB + SIZE_2MB));
  CHECK (IsEncrypted (SIZE_1GB + SIZE_2MB + SIZE_4KB));
}

STATIC
VOID
OtherTables (
  VOID
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

STATIC
VOID
TablesInUseByName (
  VOID
  )
{
  mPlatform.Cr3Flags = ENC_MASK | BIT3;
  CHECK (Change ((UINT64)mPml4, SIZE_2MB, SIZE_4KB, FALSE) == RETURN_SUCCESS);
  CHECK (mCalls == 1);
  CHECK (Change ((UINT64)mPml4 | ENC_MASK, SIZE_2MB, SIZE_4KB, TRUE) == RETURN_SUCCESS);
  CHECK (mCalls == 1);
  CheckAgreement ();
}

STATIC
VOID
ErrorHalfWay (
  VOID
  )
{
  TableOf (mPml4[0])[2] = 0;
  CHECK (Change (0, 2ULL * SIZE_1GB - 2 * SIZE_4KB, 4 * SIZE_4KB, FALSE) == RETURN_NO_MAPPING);
  CHECK (mCalls == 1);
  CheckCall (0, 2ULL * SIZE_1GB - 2 * SIZE_4KB, 2 * SIZE_4KB, FALSE);
  CheckAgreement ();
}

STATIC
VOID
WriteProtectedTables (
  VOID
  )
{
  UINT64  Pool;
  UINT64  *Pd;
  UINTN   Index;

  mPlatform.WriteProtected = TRUE;
  Share (SIZE_2MB + SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CHECK (mPlatform.WriteProtected);

  //
  // The split took the tables of the new pages out of the first pool, which is
  // the 2 MB behind the tables of the set-up.
  //
  Pool = (UINT64)mPml4 + SIZE_2MB;
  Pd   = TableOf (TableOf (mPml4[Pool >> 39])[(Pool >> 30) % 512]);
  for (Index = 0; Index < 512; Index++) {
    CHECK ((Pd[Index] & ENC_MASK) != 0);
  }

  CHECK ((Pd[(Pool >> 21) % 512] & IA32_PG_RW) == 0);
}

STATIC
VOID
Refused (
  VOID
  )
{
  mPlatform.Answer = -1000;
  Change (0, SIZE_2MB, SIZE_4KB, FALSE);
  Fail ("it went on");
}

/**
  A few large pages in two huge ones, changed in all ways that there are.
**/
STATIC
VOID
Random (
  VOID
  )
{
  UINT64  First;
  UINT64  Address;
  UINT64  Length;
  UINTN   Reports;
  UINTN   Round;

  srand (1);
  Reports = 0;
  for (Round = 0; Round < ROUNDS; Round++) {
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

  printf ("# %llu reports\n", Reports);
  CHECK (Reports > ROUNDS / 2);
}

STATIC CONST TEST_CASE  mCases[] = {
  { "memory mapped I/O is not reported",                           Mmio,                 0              },
  { "tables that are not in use are not reported",                 OtherTables,          0              },
  { "the tables in use, named by address",                         TablesInUseByName,    0              },
  { "an error half way: what was changed is reported",             ErrorHalfWay,         0              },
  { "write protected tables stay encrypted",                       WriteProtectedTables, 0              },
  { "a report that the hypervisor refuses stops the guest",        Refused,              STATUS_STOPPED },
  { "4000 random changes: tables and hypervisor agree throughout", Random,               0              },
};

VOID
RunWalkCases (
  VOID
  )
{
  RunCases (mCases, ARRAY_SIZE (mCases));
}
