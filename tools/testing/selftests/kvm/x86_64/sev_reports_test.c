// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run after other tests, on a machine with coherency=strict: since it started, no flush of a cache was
 * missing. A single test, which is about everything before it.
 */
#include "kselftest_harness.h"
#include "sev_machine.h"
#include "sev_test.h"

TEST(nothing_reported)
{
	struct sev_machine machine;

	ASSERT_EQ(0, sev_machine_open(&machine));
	ASSERT_EQ(1, sev_machine_counter(&machine, SEV_COUNTER_STRICT));
	/* There was something to look at. */
	EXPECT_LT(0, sev_machine_counter(&machine, SEV_COUNTER_WRITE_BACKS));
	EXPECT_EQ(0, sev_machine_counter(&machine, SEV_COUNTER_VIOLATIONS)) {
		struct sev_violation v = sev_machine_last_violation(&machine);

		TH_LOG("the last one: page 0x%llx, use %d, host's lines %d, guest %u",
		       (unsigned long long)v.address, v.use, v.host_lines, v.handle);
	}
	sev_machine_close(&machine);
}

TEST_HARNESS_MAIN
