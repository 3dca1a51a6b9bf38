/** @file

  How KVM is told about the encryption of guest pages: whether it wants to know
  (CPUID) and the hypercall.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <Library/BaseLib.h>
#include <Library/DebugLib.h>
#include <Library/MemEncryptSevLib.h>
#include <Register/Cpuid.h>

#include "PageEncReport.h"

//
// Hypervisors have their CPUID leaves in blocks. KVM's is the second one where
// it also poses as another hypervisor.
//
#define HYPERVISOR_LEAVES_FIRST  0x40000000
#define HYPERVISOR_LEAVES_END    0x40010000
#define HYPERVISOR_LEAVES_STEP   0x100

#define KVM_LEAF_FEATURES             1
#define KVM_FEATURE_HC_MAP_GPA_RANGE  BIT16
#define KVM_MAP_GPA_RANGE_ENCRYPTED   BIT4

typedef enum {
  OfferUnknown,
  OfferNone,
  OfferMade
} OFFER;

//
// CPUID is an exit to the hypervisor, and a boot has thousands of changes.
//
STATIC OFFER  mOffer = OfferUnknown;

/**
  Read KVM's feature bits.

  @return  The bits, or zero if there is no KVM.

**/
STATIC
UINT32
KvmFeatures (
  VOID
  )
{
  CPUID_VERSION_INFO_ECX  Version;
  UINT32                  Base;
  UINT32                  Last;
  UINT32                  Signature[3];
  UINT32                  Features;

  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Version.Uint32, NULL);
  if (Version.Bits.ParaVirtualized == 0) {
    return 0;
  }

  for (Base = HYPERVISOR_LEAVES_FIRST; Base < HYPERVISOR_LEAVES_END; Base += HYPERVISOR_LEAVES_STEP) {
    AsmCpuid (Base, &Last, &Signature[0], &Signature[1], &Signature[2]);
    if ((Signature[0] != SIGNATURE_32 ('K', 'V', 'M', 'K')) ||
        (Signature[1] != SIGNATURE_32 ('V', 'M', 'K', 'V')) ||
        (Signature[2] != SIGNATURE_32 ('M', 0, 0, 0)))
    {
      continue;
    }

    //
    // Zero is what an old KVM says for a block that ends with the features.
    //
    if ((Last != 0) && (Last < Base + KVM_LEAF_FEATURES)) {
      return 0;
    }

    AsmCpuid (Base + KVM_LEAF_FEATURES, &Features, NULL, NULL, NULL);
    return Features;
  }

  return 0;
}

BOOLEAN
PageEncReportIsOffered (
  VOID
  )
{
  if (mOffer == OfferUnknown) {
    //
    // Under SEV-ES the hypercall is an exception to be handled, and its
    // arguments have to go through the GHCB: that is not there yet.
    //
    if (!MemEncryptSevEsIsEnabled () &&
        ((KvmFeatures () & KVM_FEATURE_HC_MAP_GPA_RANGE) != 0))
    {
      mOffer = OfferMade;
    } else {
      mOffer = OfferNone;
    }
  }

  return mOffer == OfferMade;
}

VOID
PageEncReportPages (
  IN PHYSICAL_ADDRESS  Address,
  IN UINT64            Pages,
  IN BOOLEAN           Encrypted
  )
{
  INT64  Result;

  Result = AsmKvmMapGpaRange (
             Address,
             Pages,
             Encrypted ? KVM_MAP_GPA_RANGE_ENCRYPTED : 0
             );
  if (Result != 0) {
    DEBUG ((
      DEBUG_ERROR,
      "%a:%a: Physical=0x%Lx Pages=0x%Lx Encrypted=%u: %Ld from the hypervisor\n",
      gEfiCallerBaseName,
      __FUNCTION__,
      Address,
      Pages,
      (UINT32)Encrypted,
      Result
      ));
    //
    // No timer event may go on in the place of this code.
    //
    DisableInterrupts ();
    CpuDeadLoop ();
  }
}
