/*
 * SVM: events and the interrupt state at the world switch.
 *
 * VMRUN loads, besides registers, state that decides when interrupts are
 * taken: the virtual interrupt and the interrupt shadow.
 *
 * Locking: CPUState::interrupt_request is also written by device threads, so
 * every write here is done with the big QEMU lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_SVM_EVENT_H
#define I386_SVM_EVENT_H

/* Make CPU_INTERRUPT_VIRQ agree with V_IRQ, its priority and V_TPR. */
void svm_update_virq(CPUX86State *env);

/* VMRUN: the guest's interrupt shadow replaces the host's. */
void svm_load_int_state(CPUX86State *env);

/* VMRUN: deliver an external interrupt that the VMCB injects. */
void svm_inject_intr(CPUX86State *env, int vector);

/* Event type (SVM_EVTINJ_TYPE_*) of an event whose delivery faulted. */
uint32_t svm_event_type(int intno, int is_int, int is_hw);

#endif
