/** @file

  Test of page encryption reports, cases: which pages a report names. It is
  clipped to what changes, and it is one for all that is in one piece; a large
  page is split where a part of it changes.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include "PageEncReportTest.h"

STATIC
VOID
NoEncryption (
  VOID
  )
{
  mPlatform.EncMask = 0;
  CHECK (Change (0, SIZE_2MB, SIZE_4KB, FALSE) == RETURN_ACCESS_DENIED);
  CHECK ((mCalls == 0) && (mCpuids == 0));
}

STATIC
VOID
EmptyRange (
  VOID
  )
{
  CHECK (Change (0, SIZE_2MB, 0, FALSE) == RETURN_INVALID_PARAMETER);
  CHECK (mCalls == 0);
}

STATIC
VOID
OnePage (
  VOID
  )
{
  Share (5 * SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, 5 * SIZE_4KB, SIZE_4KB, FALSE);
  Encrypt (5 * SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, 5 * SIZE_4KB, SIZE_4KB, TRUE);
}

STATIC
VOID
PageZero (
  VOID
  )
{
  Share (0, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, 0, SIZE_4KB, FALSE);
}

STATIC
VOID
LastPage (
  VOID
  )
{
  Share (GUEST_SIZE - SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, GUEST_SIZE - SIZE_4KB, SIZE_4KB, FALSE);
}

STATIC
VOID
WhatIsSoAlready (
  VOID
  )
{
  Encrypt (0, SIZE_2MB);
  CHECK (mCalls == 0);
  Share (SIZE_4KB, 3 * SIZE_4KB);
  CHECK (mCalls == 1);
  Share (SIZE_4KB, 3 * SIZE_4KB);
  CHECK (mCalls == 0);
}

STATIC
VOID
ClippedToWhatChanges (
  VOID
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

STATIC
VOID
UnalignedAddress (
  VOID
  )
{
  Share (SIZE_2MB + SIZE_4KB + 0x123, 2 * SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, SIZE_2MB + SIZE_4KB, 2 * SIZE_4KB, FALSE);
}

STATIC
VOID
LargePages (
  VOID
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

STATIC
VOID
OneRunOfAllSizes (
  VOID
  )
{
  UINT64  Start;
  UINT64  Length;

  Start  = SIZE_1GB - SIZE_2MB - SIZE_4KB;
  Length = SIZE_4KB + SIZE_2MB + SIZE_1GB + SIZE_2MB + SIZE_4KB;
  Share (Start, Length);
  CHECK (mCalls == 1);
  CheckCall (0, Start, Length, FALSE);
}

STATIC
VOID
PartOfASharedLargePage (
  VOID
  )
{
  Share (SIZE_2MB, SIZE_2MB);
  Encrypt (SIZE_2MB + 7 * SIZE_4KB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, SIZE_2MB + 7 * SIZE_4KB, SIZE_4KB, TRUE);
  CHECK (!IsEncrypted (SIZE_2MB) && !IsEncrypted (2 * SIZE_2MB - SIZE_4KB));
}

STATIC
VOID
PartOfASharedHugePage (
  VOID
  )
{
  Share (SIZE_1GB, SIZE_1GB);
  Encrypt (SIZE_1GB + SIZE_2MB, SIZE_4KB);
  CHECK (mCalls == 1);
  CheckCall (0, SIZE_1GB + SIZE_2MB, SIZE_4KB, TRUE);
  CHECK (!IsEncrypted (SIZE_1GB) && !IsEncrypted (2ULL * SIZE_1GB - SIZE_4KB));
}

STATIC CONST TEST_CASE  mCases[] = {
  { "no encryption: refused, no report, no CPUID",         NoEncryption,           0 },
  { "an empty range: refused, no report",                  EmptyRange,             0 },
  { "one page, shared and encrypted again",                OnePage,                0 },
  { "the first page",                                      PageZero,               0 },
  { "the last page",                                       LastPage,               0 },
  { "what is so already is not reported",                  WhatIsSoAlready,        0 },
  { "a report is clipped to what changes",                 ClippedToWhatChanges,   0 },
  { "an address within a page",                            UnalignedAddress,       0 },
  { "large pages are one report and stay whole",           LargePages,             0 },
  { "one run of pages of all sizes is one report",         OneRunOfAllSizes,       0 },
  { "a part of a shared 2 MB page: the rest stays shared", PartOfASharedLargePage, 0 },
  { "a part of a shared 1 GB page: the rest stays shared", PartOfASharedHugePage,  0 },
};

VOID
RunRangeCases (
  VOID
  )
{
  RunCases (mCases, ARRAY_SIZE (mCases));
}
