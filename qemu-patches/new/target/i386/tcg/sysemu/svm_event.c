/*
 * SVM: events and the interrupt state at the world switch.
 *
 * Locking: see svm_event.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "svm_event.h"

void svm_update_virq(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    bool locked = qemu_mutex_iothread_locked();

    if (!locked) {
        qemu_mutex_lock_iothread();
    }
    /*
     * No kick is needed: both users (VMRUN and MOV to CR8) end the translation
     * block and go back to the main loop, which looks at the request.
     */
    if (ctl_has_irq(env)) {
        cs->interrupt_request |= CPU_INTERRUPT_VIRQ;
    } else {
        cs->interrupt_request &= ~CPU_INTERRUPT_VIRQ;
    }
    if (!locked) {
        qemu_mutex_unlock_iothread();
    }
}

void svm_load_int_state(CPUX86State *env)
{
    uint32_t int_state =
        x86_ldl_phys(env_cpu(env), env->vm_vmcb +
                     offsetof(struct vmcb, control.int_state));

    /*
     * A host that executes STI;VMRUN has a shadow of its own here. Were it
     * carried into the guest, a guest that resumes at the STI of STI;HLT would
     * lose the shadow of that STI, because one inside a shadow makes none.
     */
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    if (int_state & SVM_INTERRUPT_SHADOW_MASK) {
        env->hflags |= HF_INHIBIT_IRQ_MASK;
    }
}

void svm_inject_intr(CPUX86State *env, int vector)
{
    CPUState *cs = env_cpu(env);

    do_interrupt_x86_hardirq(env, vector, 1);
    /*
     * The interrupt is delivered.  A vector left here would be taken as a
     * pending exception, and delivered once more, when the main loop next
     * leaves for an exit request, unless another request has reset it before.
     */
    cs->exception_index = -1;
}

uint32_t svm_event_type(int intno, int is_int, int is_hw)
{
    if (is_int) {
        return SVM_EVTINJ_TYPE_SOFT;
    }
    if (is_hw) {
        return intno == EXCP02_NMI ? SVM_EVTINJ_TYPE_NMI
                                   : SVM_EVTINJ_TYPE_INTR;
    }
    return SVM_EVTINJ_TYPE_EXEPT;
}
