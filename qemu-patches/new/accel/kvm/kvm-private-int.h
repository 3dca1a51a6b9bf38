/*
 * Private guest memory in KVM: between the files of accel/kvm.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_KVM_KVM_PRIVATE_INT_H
#define ACCEL_KVM_KVM_PRIVATE_INT_H

#include "sysemu/kvm-private.h"

void kvm_private_fault_init(const KVMPrivateTarget *target);

/* Ask all vCPUs but this thread's to stop. With the BQL. */
void kvm_private_stop_others(void);

#endif
