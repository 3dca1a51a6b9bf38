/** @file

  Test of the one function of CpuDxe that splits pages, run on the build machine:
  the parts have the encryption bit of the whole, and its other attributes; their
  table is encrypted wherever there is an encryption bit. Prints TAP.

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#include <stdio.h>

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

STATIC UINT64  mTestPcdPteMemoryEncryptionAddressOrMask;
STATIC UINT64  mTestPcdTdxSharedBitMask;

#include "../CpuPageTable.c"

#define ENC_MASK  BIT47
#define ENTRIES   (SIZE_4KB / sizeof (UINT64))

STATIC UINT64  mTable[ENTRIES] __attribute__ ((aligned (SIZE_4KB)));

STATIC
VOID *
EFIAPI
OnePage (
  IN UINTN  Pages
  )
{
  return (Pages == 1) ? mTable : NULL;
}

/**
  Split a page, and check each part and the entry that refers to them.

  @param[in]  Mask        The platform's encryption bit. Zero: there is none.
  @param[in]  Attributes  Of the page, and that of each part afterwards.
  @param[in]  Whole       The size of the page.
  @param[in]  Part        The size of a part.

  @return  Whether all is as it has to be.

**/
STATIC
BOOLEAN
Splits (
  IN UINT64          Mask,
  IN UINT64          Attributes,
  IN PAGE_ATTRIBUTE  Whole,
  IN PAGE_ATTRIBUTE  Part
  )
{
  UINT64  Address;
  UINT64  Entry;
  UINT64  PartSize;
  UINT64  Want;
  UINTN   Index;

  Address  = 0x140000000;
  Entry    = Address | Attributes | IA32_PG_P | IA32_PG_PS;
  PartSize = (Part == Page2M) ? SIZE_2MB : SIZE_4KB;
  Want     = Attributes | IA32_PG_P | ((Part == Page2M) ? IA32_PG_PS : 0);

  mTestPcdPteMemoryEncryptionAddressOrMask = Mask;
  if (SplitPage (&Entry, Whole, Part, OnePage) != RETURN_SUCCESS) {
    printf ("# refused\n");
    return FALSE;
  }

  for (Index = 0; Index < ENTRIES; Index++) {
    if (mTable[Index] != ((Address + Index * PartSize) | Want)) {
      printf ("# part %llu: %llx\n", Index, mTable[Index]);
      return FALSE;
    }
  }

  if ((Entry & ~(UINT64)EFI_PAGE_MASK) != ((UINT64)mTable | Mask)) {
    printf ("# the whole: %llx, the table is at %p\n", Entry, mTable);
    return FALSE;
  }

  return TRUE;
}

STATIC CONST struct {
  CONST CHAR8    *Name;
  UINT64         Mask;
  UINT64         Attributes;
} mTests[] = {
  { "an encrypted page",                 ENC_MASK, ENC_MASK | IA32_PG_RW },
  { "a shared page",                     ENC_MASK, IA32_PG_RW            },
  { "a shared page, read only, no code", ENC_MASK, IA32_PG_NX            },
  { "a page without SEV",                0,        IA32_PG_RW            },
};

int
main (
  void
  )
{
  UINTN    Index;
  UINTN    Number;
  UINTN    Failed;
  UINTN    Huge;
  BOOLEAN  Good;

  Number = 0;
  Failed = 0;
  for (Index = 0; Index < ARRAY_SIZE (mTests); Index++) {
    for (Huge = 0; Huge < 2; Huge++) {
      Good = Splits (
               mTests[Index].Mask,
               mTests[Index].Attributes,
               Huge ? Page1G : Page2M,
               Huge ? Page2M : Page4K
               );
      printf (
        "%s %llu - %s of %s\n",
        Good ? "ok" : "not ok",
        ++Number,
        mTests[Index].Name,
        Huge ? "1 GB" : "2 MB"
        );
      Failed += Good ? 0 : 1;
    }
  }

  printf ("1..%llu\n", Number);
  return Failed != 0;
}
