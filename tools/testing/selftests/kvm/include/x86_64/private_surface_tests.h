/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls on the address of a guest's page: a fixture whose variants are a program's calls, and the
 * tests that each of them is put to. Included by the program, which adds the variants. See
 * private_surface.h.
 *
 * No locking: one thread runs the tests. Lifetime: a surface is one test's.
 */
#ifndef SELFTEST_KVM_PRIVATE_SURFACE_TESTS_H
#define SELFTEST_KVM_PRIVATE_SURFACE_TESTS_H

#include "kselftest_harness.h"
#include "private_surface.h"

FIXTURE(surface) {
	struct surface s;
};

FIXTURE_VARIANT(surface) {
	struct surface_call call;
};

FIXTURE_SETUP(surface)
{
}

FIXTURE_TEARDOWN(surface)
{
	surface_close(&self->s);
}

/* A variant's call is call_NAME(), and without a mapping fails with an error. */
#define SURFACE_CALL(name_, error, ...) \
	.call = { .name = #name_, .call = call_##name_, .unmapped = error, __VA_ARGS__ }

TEST_F_TIMEOUT(surface, private, PVM_TEST_SECONDS)
{
	SURFACE_TEST("private", SURFACE_ANONYMOUS, surface_check_private);
}

TEST_F_TIMEOUT(surface, shared, PVM_TEST_SECONDS)
{
	SURFACE_TEST("shared", SURFACE_ANONYMOUS, surface_check_shared);
}

TEST_F_TIMEOUT(surface, unmapped, PVM_TEST_SECONDS)
{
	SURFACE_TEST("unmapped", SURFACE_ANONYMOUS, surface_check_unmapped);
}

TEST_F_TIMEOUT(surface, converted, PVM_TEST_SECONDS)
{
	SURFACE_TEST("converted", SURFACE_ANONYMOUS, surface_check_race);
}

TEST_F_TIMEOUT(surface, converted_huge, PVM_TEST_SECONDS)
{
	SURFACE_TEST("converted_huge", SURFACE_HUGE, surface_check_race);
}

TEST_F_TIMEOUT(surface, converted_shmem, PVM_TEST_SECONDS)
{
	SURFACE_TEST("converted_shmem", SURFACE_SHMEM, surface_check_race);
}

#endif /* SELFTEST_KVM_PRIVATE_SURFACE_TESTS_H */
