/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The code of the stress test's guest, as data of the test: [__start_stress_guest,
 * __stop_stress_guest) can be copied anywhere, and stress_guest_main is in it.
 */
#ifndef SELFTEST_KVM_PRIVATE_STRESS_GUEST_H
#define SELFTEST_KVM_PRIVATE_STRESS_GUEST_H

#include "private_stress_abi.h"

extern const char __start_stress_guest[];
extern const char __stop_stress_guest[];

void stress_guest_main(void *code, struct stress_ctl *ctl, __u32 vcpu);

#endif /* SELFTEST_KVM_PRIVATE_STRESS_GUEST_H */
