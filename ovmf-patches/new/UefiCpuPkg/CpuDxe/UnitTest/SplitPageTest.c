/** @file

  Test of the one function of CpuDxe that splits pages, run on the build machine:
  the parts have the encryption bit of the whole, and its other attributes; the
  table is encrypted if anything is. Prints TAP.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <stdio.h>
#include <stdlib.h>

#include <PiDxe.h>
#include <Library/PcdLib.h>

//
// The settings of a build, which has a header of them.
//
#undef PcdGet8
#undef PcdGet16
#undef PcdGet64
#undef PcdGetBool
#undef FeaturePcdGet
#define PcdGet8(Name)        0
#define PcdGet16(Name)       0
#define PcdGet64(Name)       mTest##Name
#define PcdGetBool(Name)     FALSE
#define FeaturePcdGet(Name)  FALSE

static UINT64  mTestPcdPteMemoryEncryptionAddressOrMask;
static UINT64  mTestPcdTdxSharedBitMask;

#include "../CpuPageTable.c"

#define ENC_MASK  BIT47

static UINT64  mTable[512] __attribute__ ((aligned (SIZE_4KB)));

static VOID *
EFIAPI
OnePage (
  IN UINTN  Pages
  )
{
  return (Pages == 1) ? mTable : NULL;
}

//
// The entry of a page of Size at Address, split to parts of PartSize.
//
static BOOLEAN
Splits (
  UINT64          Mask,
  UINT64          Attributes,
  PAGE_ATTRIBUTE  Whole,
  PAGE_ATTRIBUTE  Part
  )
{
  UINT64  Address  = 0x140000000;
  UINT64  Entry    = Address | Attributes | IA32_PG_P | IA32_PG_PS;
  UINT64  PartSize = (Part == Page2M) ? SIZE_2MB : SIZE_4KB;
  UINT64  Want     = Attributes | IA32_PG_P | ((Part == Page2M) ? IA32_PG_PS : 0);

  mTestPcdPteMemoryEncryptionAddressOrMask = Mask;
  if (SplitPage (&Entry, Whole, Part, OnePage) != RETURN_SUCCESS) {
    printf ("# refused\n");
    return FALSE;
  }

  for (UINT64 I = 0; I < 512; I++) {
    if (mTable[I] != ((Address + I * PartSize) | Want)) {
      printf ("# part %llu: %llx\n", I, mTable[I]);
      return FALSE;
    }
  }

  if ((Entry & ~0xfffULL) != ((UINT64)mTable | Mask)) {
    printf ("# the whole: %llx, the table is at %p\n", Entry, mTable);
    return FALSE;
  }

  return TRUE;
}

int
main (
  void
  )
{
  static const struct {
    const char    *Name;
    UINT64        Mask;
    UINT64        Attributes;
  } Tests[] = {
    { "an encrypted page",               ENC_MASK, ENC_MASK | IA32_PG_RW              },
    { "a shared page",                   ENC_MASK, IA32_PG_RW                         },
    { "a shared page, read only, no code", ENC_MASK, IA32_PG_NX                         },
    { "a page without SEV",              0,        IA32_PG_RW                         },
  };
  int  Failed = 0, Number = 0;

  for (size_t I = 0; I < ARRAY_SIZE (Tests); I++) {
    for (int Huge = 0; Huge < 2; Huge++) {
      BOOLEAN  Good;

      Good = Splits (Tests[I].Mask, Tests[I].Attributes, Huge ? Page1G : Page2M, Huge ? Page2M : Page4K);
      printf ("%s %d - %s of %s\n", Good ? "ok" : "not ok", ++Number, Tests[I].Name, Huge ? "1 GB" : "2 MB");
      Failed |= !Good;
    }
  }

  printf ("1..%d\n", Number);
  return Failed;
}
