/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls on the address of a guest's page: further tests, of calls that can hold the page while it
 * is converted, each kind of memory. Included by a program all of whose calls can. See
 * private_surface_tests.h, also for locking and lifetime.
 */
#ifndef SELFTEST_KVM_PRIVATE_SURFACE_HELD_TESTS_H
#define SELFTEST_KVM_PRIVATE_SURFACE_HELD_TESTS_H

#include "private_surface_tests.h"

/* The page is held from take_NAME() to finish_NAME(). */
#define SURFACE_HOLDING_CALL(name, ...) \
	SURFACE_CALL(name, EFAULT, .take = take_##name, .finish = finish_##name, __VA_ARGS__)

TEST_F_TIMEOUT(surface, held, PVM_TEST_SECONDS)
{
	SURFACE_TEST("held", SURFACE_ANONYMOUS, surface_check_held, false);
}

TEST_F_TIMEOUT(surface, held_huge, PVM_TEST_SECONDS)
{
	SURFACE_TEST("held_huge", SURFACE_HUGE, surface_check_held, false);
}

TEST_F_TIMEOUT(surface, held_shmem, PVM_TEST_SECONDS)
{
	SURFACE_TEST("held_shmem", SURFACE_SHMEM, surface_check_held, false);
}

TEST_F_TIMEOUT(surface, held_and_back, PVM_TEST_SECONDS)
{
	SURFACE_TEST("held_and_back", SURFACE_ANONYMOUS, surface_check_held, true);
}

TEST_F_TIMEOUT(surface, held_and_back_huge, PVM_TEST_SECONDS)
{
	SURFACE_TEST("held_and_back_huge", SURFACE_HUGE, surface_check_held, true);
}

TEST_F_TIMEOUT(surface, held_and_back_shmem, PVM_TEST_SECONDS)
{
	SURFACE_TEST("held_and_back_shmem", SURFACE_SHMEM, surface_check_held, true);
}

#endif /* SELFTEST_KVM_PRIVATE_SURFACE_HELD_TESTS_H */
