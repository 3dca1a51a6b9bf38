/*
 * SVM: next RIP and decode assists.
 *
 * A hypervisor that cannot read its guest's memory, as with SEV, depends on
 * the CPU to tell how long an intercepted instruction is, which register it
 * names and which bytes it consists of. KVM turns a missing answer into #UD, or
 * enters the guest at the same instruction for ever.
 *
 * Locking: none; everything runs on the CPU thread whose state it reads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_SVM_DECODE_H
#define I386_SVM_DECODE_H

/*
 * #VMEXIT, with the guest's state still in place and RIP at the instruction:
 * fill the VMCB's fields, and return EXITINFO1 for it.
 */
uint64_t svm_decode_exit(CPUX86State *env, uint32_t exit_code,
                         uint64_t exit_info_1);

/*
 * VMRUN injects a software interrupt, or exception @vector: events that were
 * raised by an instruction return to the one after it.
 */
void svm_inject_soft(CPUX86State *env, int vector, bool is_exception);

/*
 * The instruction at RIP raised interrupt @vector: is it INT3 or INTO, that is
 * an exception, or else INTn?
 */
bool svm_is_soft_exception(CPUX86State *env, int vector);

/* INTn, INT3 or INTO with @vector: exit if the guest's hypervisor wants it. */
#ifdef CONFIG_USER_ONLY
static inline void svm_check_soft_intercept(CPUX86State *env, int vector,
                                            uintptr_t retaddr)
{ /* no-op */ }
#else
void svm_check_soft_intercept(CPUX86State *env, int vector, uintptr_t retaddr);
#endif

#endif
