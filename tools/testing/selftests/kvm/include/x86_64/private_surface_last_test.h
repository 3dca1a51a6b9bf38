/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls on the address of a guest's page: the last test of a program, which looks for what all
 * others were charged for. Included behind every other fixture: the harness runs them in order.
 *
 * No locking: one thread runs the tests. Lifetime: the cgroups that it looks at, and removes, are
 * those of the tests before it.
 */
#ifndef SELFTEST_KVM_PRIVATE_SURFACE_LAST_TEST_H
#define SELFTEST_KVM_PRIVATE_SURFACE_LAST_TEST_H

#include "kselftest_harness.h"
#include "private_surface.h"

FIXTURE(charges) {
	struct surface s;
};

FIXTURE_SETUP(charges)
{
}

FIXTURE_TEARDOWN(charges)
{
}

TEST_F_TIMEOUT(charges, none_left, PVM_TEST_SECONDS)
{
	EXPECT_EQ(NULL, surface_check_charges(&self->s)) TH_LOG("%s", self->s.why);
}

#endif /* SELFTEST_KVM_PRIVATE_SURFACE_LAST_TEST_H */
