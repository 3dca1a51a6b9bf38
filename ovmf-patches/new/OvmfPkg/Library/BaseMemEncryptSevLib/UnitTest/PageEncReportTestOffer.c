/** @file

  Test of page encryption reports, cases: to whom anything is reported. CPUID
  tells whether there is a KVM that wants to know.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <string.h>

#include "PageEncReportTest.h"

#define KVM_MAP_GPA_RANGE      BIT16
#define KVM_MIGRATION_CONTROL  BIT17

/**
  Whether a change is reported on the platform as it was set up.
**/
STATIC
BOOLEAN
IsReported (
  VOID
  )
{
  CHECK (Change (0, SIZE_2MB, SIZE_4KB, FALSE) == RETURN_SUCCESS);
  CHECK (!IsEncrypted (SIZE_2MB));
  return mCalls != 0;
}

STATIC
VOID
NoHypervisor (
  VOID
  )
{
  mPlatform.Paravirtualized = FALSE;
  CHECK (!IsReported ());
}

STATIC
VOID
NotKvm (
  VOID
  )
{
  mPlatform.KvmBase   = 0;
  mPlatform.OtherBase = 0x40000000;
  CHECK (!IsReported ());
}

STATIC
VOID
NearlyKvm (
  VOID
  )
{
  strcpy (mPlatform.KvmName, "KVMKVMKVMKVM");
  CHECK (!IsReported ());
}

STATIC
VOID
KvmWithoutTheFeature (
  VOID
  )
{
  mPlatform.KvmFeatures = ~(UINT32)KVM_MAP_GPA_RANGE;
  CHECK (!IsReported ());
}

STATIC
VOID
KvmWithMigrationControlOnly (
  VOID
  )
{
  mPlatform.KvmFeatures = KVM_MIGRATION_CONTROL;
  CHECK (!IsReported ());
}

STATIC
VOID
KvmWithTheFeature (
  VOID
  )
{
  mPlatform.KvmFeatures = KVM_MAP_GPA_RANGE;
  CHECK (IsReported ());
}

STATIC
VOID
KvmBehindAnotherHypervisor (
  VOID
  )
{
  mPlatform.OtherBase = 0x40000000;
  mPlatform.KvmBase   = 0x40000100;
  mPlatform.KvmLast   = 0x40000101;
  CHECK (IsReported ());
}

STATIC
VOID
KvmInTheLastBlock (
  VOID
  )
{
  mPlatform.KvmBase = 0x4000ff00;
  mPlatform.KvmLast = 0x4000ff01;
  CHECK (IsReported ());
}

STATIC
VOID
KvmBehindTheLastBlock (
  VOID
  )
{
  mPlatform.KvmBase = 0x40010000;
  mPlatform.KvmLast = 0x40010001;
  CHECK (!IsReported ());
}

STATIC
VOID
OldKvm (
  VOID
  )
{
  mPlatform.KvmLast = 0;
  CHECK (IsReported ());
}

STATIC
VOID
KvmWithoutFeatureLeaf (
  VOID
  )
{
  mPlatform.KvmLast = mPlatform.KvmBase;
  CHECK (!IsReported ());
}

STATIC
VOID
SevEs (
  VOID
  )
{
  mPlatform.SevEs = TRUE;
  CHECK (!IsReported ());
}

STATIC
VOID
AskedOnce (
  VOID
  )
{
  UINTN  Before;

  CHECK (IsReported ());
  Before = mCpuids;
  Share (0, SIZE_4KB);
  Encrypt (0, SIZE_4KB);
  CHECK (mCpuids == Before);
}

STATIC CONST TEST_CASE  mCases[] = {
  { "no hypervisor: no report",                       NoHypervisor,                0 },
  { "another hypervisor: no report",                  NotKvm,                      0 },
  { "a hypervisor with a name like KVM's: no report", NearlyKvm,                   0 },
  { "KVM without the feature: no report",             KvmWithoutTheFeature,        0 },
  { "KVM with migration control only: no report",     KvmWithMigrationControlOnly, 0 },
  { "KVM with the feature: a report",                 KvmWithTheFeature,           0 },
  { "KVM behind another hypervisor is found",         KvmBehindAnotherHypervisor,  0 },
  { "KVM in the last block is found",                 KvmInTheLastBlock,           0 },
  { "KVM behind the last block is not looked for",    KvmBehindTheLastBlock,       0 },
  { "KVM that does not say how many leaves it has",   OldKvm,                      0 },
  { "KVM without a feature leaf: no report",          KvmWithoutFeatureLeaf,       0 },
  { "SEV-ES: no report",                              SevEs,                       0 },
  { "CPUID is asked once",                            AskedOnce,                   0 },
};

VOID
RunOfferCases (
  VOID
  )
{
  RunCases (mCases, ARRAY_SIZE (mCases));
}
