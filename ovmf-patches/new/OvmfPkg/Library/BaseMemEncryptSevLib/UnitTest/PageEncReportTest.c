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
#include <sys/wait.h>
#include <unistd.h>

#include "PageEncReportTest.h"

STATIC UINTN  mNumber;
STATIC UINTN  mFailed;

VOID
Fail (
  IN CONST CHAR8  *Format,
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

/**
  Run one case in a process of its own, and tell how that ended as waitpid () does,
  or -1 if it cannot be told.
**/
STATIC
int
RunCase (
  IN CONST TEST_CASE  *Case
  )
{
  pid_t  Child;
  int    Status;

  fflush (stdout);
  Child = fork ();
  if (Child == 0) {
    SetUpPlatform ();
    SetUpGuest ();
    Case->Run ();
    fflush (stdout);
    _exit (0);
  }

  if ((Child < 0) || (waitpid (Child, &Status, 0) != Child)) {
    return -1;
  }

  return Status;
}

VOID
RunCases (
  IN CONST TEST_CASE  *Cases,
  IN UINTN            Count
  )
{
  UINTN  Index;
  int    Status;

  for (Index = 0; Index < Count; Index++) {
    mNumber++;
    Status = RunCase (&Cases[Index]);
    if (WIFEXITED (Status) && (WEXITSTATUS (Status) == Cases[Index].Status)) {
      printf ("ok %llu - %s\n", mNumber, Cases[Index].Name);
    } else {
      printf ("# status %x\nnot ok %llu - %s\n", Status, mNumber, Cases[Index].Name);
      mFailed++;
    }
  }
}

int
main (
  void
  )
{
  RunOfferCases ();
  RunRangeCases ();
  RunWalkCases ();
  printf ("1..%llu\n", mNumber);
  return mFailed != 0;
}
