/** @file

  What the files of the test of page encryption reports share:

    PageEncReportTest.c           runs the cases
    PageEncReportTestOffer.c      cases: to whom anything is reported
    PageEncReportTestRange.c      cases: which pages a report names
    PageEncReportTestWalk.c       cases: which walks are reported, and how they end
    PageEncReportTestGuest.c      the page tables that the cases change
    PageEncReportTestPlatform.c   what is below the code under test, mostly a
                                  hypervisor of a few lines

  SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause-Patent

**/

#ifndef PAGE_ENC_REPORT_TEST_H_
#define PAGE_ENC_REPORT_TEST_H_

#include <Uefi.h>
#include <Library/MemEncryptSevLib.h>

#include "../X64/PageEncReport.h"
#include "../X64/VirtualMemory.h"

#define ENC_MASK        BIT47
#define GUEST_SIZE      SIZE_4GB
#define GUEST_PAGES     (GUEST_SIZE / SIZE_4KB)
#define STATUS_STOPPED  42              // of a process whose guest has stopped

//
// One case. Without a fault it ends with Status: zero, or STATUS_STOPPED.
//
typedef struct {
  CONST CHAR8    *Name;
  VOID           (*Run)(
    VOID
    );
  INT32          Status;
} TEST_CASE;

//
// The platform as the case has set it up.
//
typedef struct {
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
} TEST_PLATFORM;

//
// A report as it arrived.
//
typedef struct {
  UINT64    Address;
  UINT64    Pages;
  UINT64    Attributes;
} TEST_REPORT;

//
// Called for an entry that maps the Size bytes at Address.
//
typedef VOID (*TEST_LEAF)(
  UINT64  *Entry,
  UINT64  Address,
  UINT64  Size
  );

extern TEST_PLATFORM  mPlatform;
extern UINTN          mCalls;           // reports since ForgetCalls ()
extern TEST_REPORT    mReports[4];      // the first few of them
extern UINTN          mCpuids;          // in all
extern UINT64         *mPml4;           // the tables in use

#define CHECK(Condition)                                                     \
  do {                                                                       \
    if (!(Condition)) {                                                      \
      Fail ("%s:%d: does not hold: %s", __FUNCTION__, __LINE__, #Condition); \
    }                                                                        \
  } while (FALSE)

//
// PageEncReportTest.c
//

/**
  End the case as failed, for a reason as of printf ().
**/
VOID
Fail (
  IN CONST CHAR8  *Format,
  ...
  )
__attribute__ ((format (printf, 1, 2), noreturn));

/**
  Run cases, each in a process of its own, and print a line for each.
**/
VOID
RunCases (
  IN CONST TEST_CASE  *Cases,
  IN UINTN            Count
  );

//
// The files of cases.
//

VOID
RunOfferCases (
  VOID
  );

VOID
RunRangeCases (
  VOID
  );

VOID
RunWalkCases (
  VOID
  );

//
// PageEncReportTestGuest.c
//

/**
  Make the memory for page tables, and tables that are in use.
**/
VOID
SetUpGuest (
  VOID
  );

/**
  Take zeroed pages of the memory for page tables.
**/
VOID *
NewPages (
  IN UINTN  Pages,
  IN UINTN  Alignment
  );

/**
  Make page tables of a guest of 4 GB, all of it encrypted, in pages of 1 GB.
**/
UINT64 *
NewTables (
  VOID
  );

/**
  The table that an entry refers to.
**/
UINT64 *
TableOf (
  IN UINT64  Entry
  );

/**
  The entry that maps an address, and in Size what it maps.
**/
UINT64
EntryOf (
  IN  UINT64  Address,
  OUT UINT64  *Size
  );

/**
  What the entry of an address says.
**/
BOOLEAN
IsEncrypted (
  IN UINT64  Address
  );

/**
  Call a function for each entry that maps memory of the guest.
**/
VOID
WalkGuest (
  IN TEST_LEAF  Leaf
  );

/**
  Change pages as a driver does, with the record of calls begun anew. A Cr3 of
  zero means the tables in use.
**/
RETURN_STATUS
Change (
  IN UINT64   Cr3,
  IN UINT64   Address,
  IN UINT64   Length,
  IN BOOLEAN  Encrypted
  );

/**
  Share pages of the tables in use. It must work, and the hypervisor must agree
  with the tables afterwards.
**/
VOID
Share (
  IN UINT64  Address,
  IN UINT64  Length
  );

/**
  Encrypt pages, with the same checks.
**/
VOID
Encrypt (
  IN UINT64  Address,
  IN UINT64  Length
  );

//
// PageEncReportTestPlatform.c
//

/**
  Make a platform with a KVM that wants reports, and knows that all of the guest
  is encrypted.
**/
VOID
SetUpPlatform (
  VOID
  );

/**
  Begin the record of calls anew. The TLB counts as not flushed.
**/
VOID
ForgetCalls (
  VOID
  );

/**
  Check that what the hypervisor was told is what the tables in use say, page by
  page.
**/
VOID
CheckAgreement (
  VOID
  );

/**
  Check what one of the first few reports says; they count from zero.
**/
VOID
CheckCall (
  IN UINTN    Number,
  IN UINT64   Address,
  IN UINT64   Length,
  IN BOOLEAN  Encrypted
  );

#endif
