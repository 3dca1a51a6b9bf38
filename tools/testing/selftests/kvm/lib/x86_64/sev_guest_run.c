// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV VMs for selftests: vCPUs, and the loop that runs one until its guest
 * wants something or a deadline passes.
 *
 * The deadline is a timer that signals the running thread. The handler also
 * sets immediate_exit, so a signal that arrives just before KVM_RUN is not lost.
 *
 * Locking: the vCPU of a thread is thread-local; that is all the handler needs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sev_guest.h"

/* glibc has no name for this member. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static __thread struct kvm_run *running;

static void deadline_passed(int sig)
{
	(void)sig;
	if (running)
		running->immediate_exit = 1;
}

static int arm_deadline(timer_t *timer, unsigned int ms)
{
	struct sigaction action = { .sa_handler = deadline_passed };
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1,
	};
	struct itimerspec when = {
		.it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 },
	};

	event.sigev_notify_thread_id = syscall(SYS_gettid);
	if (sigaction(SIGUSR1, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, timer))
		return -errno;
	if (timer_settime(*timer, 0, &when, NULL)) {
		timer_delete(*timer);
		return -errno;
	}
	return 0;
}

static int add_vcpu(struct sev_vm *vm, unsigned int index)
{
	struct sev_vcpu *vcpu = &vm->vcpus[index];

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index);
	if (vcpu->fd < 0)
		return sev_vm_error(vm, -errno, "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return sev_vm_error(vm, -errno, "mmap of a vCPU");
	}
	return sev_vcpu_set_state(vcpu);
}

int sev_vm_add_vcpus(struct sev_vm *vm)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->cfg.vcpus && !ret; i++)
		ret = add_vcpu(vm, i);
	return ret;
}

static void print_char(struct sev_vcpu *vcpu, char c)
{
	if (c != '\n' && vcpu->line_len < sizeof(vcpu->line) - 1) {
		vcpu->line[vcpu->line_len++] = c;
		return;
	}
	vcpu->line[vcpu->line_len] = '\0';
	fprintf(stderr, "# guest: %s\n", vcpu->line);
	vcpu->line_len = 0;
}

static void add_value(struct sev_vcpu *vcpu, uint32_t high)
{
	/* A guest that reports too much loses the oldest: the last two matter. */
	if (vcpu->nr_values == SEV_MAX_VALUES)
		memmove(vcpu->values, vcpu->values + 1,
			--vcpu->nr_values * sizeof(vcpu->values[0]));
	vcpu->values[vcpu->nr_values++] = (uint64_t)high << 32 | vcpu->value_lo;
}

static enum sev_event guest_assert(struct sev_vcpu *vcpu, uint32_t where)
{
	static const char *const files[SEV_GUEST_NR_FILES] = {
		[SEV_GUEST_FILE_MAIN] = "sev_guest_payload.c",
		[SEV_GUEST_FILE_IO] = "sev_guest_payload_io.c",
		[SEV_GUEST_FILE_CPU] = "sev_guest_payload_cpu.c",
		[SEV_GUEST_FILE_IRQ] = "sev_guest_payload_irq.c",
		[SEV_GUEST_FILE_SHARE] = "sev_guest_payload_share.c",
		[SEV_GUEST_FILE_ENC] = "sev_guest_payload_enc.c",
		[SEV_GUEST_FILE_CHECK] = "sev_guest_payload_check.c",
	};
	unsigned int file = where >> 16, n = vcpu->nr_values;
	const char *name = file < SEV_GUEST_NR_FILES && files[file] ? files[file] : "?";

	snprintf(vcpu->vm->error, sizeof(vcpu->vm->error),
		 "guest: %s:%u: want %#llx, got %#llx", name, where & 0xffff,
		 n > 1 ? (unsigned long long)vcpu->values[n - 2] : 0,
		 n > 0 ? (unsigned long long)vcpu->values[n - 1] : 0);
	return SEV_EVENT_ASSERT;
}

/* True: the port is the protocol's and the guest goes on; else *event is set. */
static bool handle_port(struct sev_vcpu *vcpu, enum sev_event *event)
{
	const struct kvm_run *run = vcpu->run;
	uint32_t value = 0;

	*event = SEV_EVENT_PIO;
	if (run->io.direction != KVM_EXIT_IO_OUT || run->io.count != 1)
		return false;
	memcpy(&value, (const uint8_t *)run + run->io.data_offset, run->io.size);
	switch (run->io.port) {
	case SEV_PORT_PRINT:
		print_char(vcpu, value);
		return true;
	case SEV_PORT_VALUE_LO:
		vcpu->value_lo = value;
		return true;
	case SEV_PORT_VALUE_HI:
		add_value(vcpu, value);
		return true;
	case SEV_PORT_FAIL:
		*event = guest_assert(vcpu, value);
		return false;
	case SEV_PORT_DONE:
		*event = SEV_EVENT_DONE;
		return false;
	case SEV_PORT_SYNC:
		vcpu->value = value;
		*event = SEV_EVENT_SYNC;
		return false;
	default:
		return false;
	}
}

static void describe(struct sev_vcpu *vcpu, const char *what)
{
	const struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs;

	/* Without encrypted state KVM still knows where the guest is. */
	ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	memset(&sregs, 0, sizeof(sregs));
	ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	snprintf(vcpu->vm->error, sizeof(vcpu->vm->error),
		 "vCPU %u: %s: exit %u/%#x rip %#llx rsp %#llx rflags %#llx cr2 %#llx",
		 vcpu->index, what, run->exit_reason,
		 run->exit_reason == KVM_EXIT_INTERNAL_ERROR ? run->internal.suberror : 0,
		 regs.rip, regs.rsp, regs.rflags, sregs.cr2);
}

static bool handle_exit(struct sev_vcpu *vcpu, enum sev_event *event)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		return handle_port(vcpu, event);
	case KVM_EXIT_MMIO:
		*event = SEV_EVENT_MMIO;
		return false;
	case KVM_EXIT_HYPERCALL:
		*event = SEV_EVENT_HYPERCALL;
		return false;
	case KVM_EXIT_SHUTDOWN:
		describe(vcpu, "shutdown");
		*event = SEV_EVENT_SHUTDOWN;
		return false;
	default:
		describe(vcpu, "unexpected exit");
		*event = SEV_EVENT_ERROR;
		return false;
	}
}

static enum sev_event run_until_event(struct sev_vcpu *vcpu)
{
	enum sev_event event;

	for (;;) {
		vcpu->run_error = ioctl(vcpu->fd, KVM_RUN, 0) ? -errno : 0;
		if (!vcpu->run_error) {
			if (!handle_exit(vcpu, &event))
				return event;
			continue;
		}
		if (vcpu->run_error == -EINTR && vcpu->run->immediate_exit) {
			describe(vcpu, "deadline");
			return SEV_EVENT_DEADLINE;
		}
		if (vcpu->run_error != -EINTR && vcpu->run_error != -EAGAIN) {
			sev_vm_error(vcpu->vm, vcpu->run_error, "KVM_RUN");
			return vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT ?
			       SEV_EVENT_FAULT : SEV_EVENT_ERROR;
		}
	}
}

enum sev_event sev_vcpu_run(struct sev_vcpu *vcpu, unsigned int deadline_ms)
{
	enum sev_event event;
	timer_t timer;
	int ret;

	running = vcpu->run;
	running->immediate_exit = 0;
	ret = arm_deadline(&timer, deadline_ms);
	if (ret) {
		sev_vm_error(vcpu->vm, ret, "deadline timer");
		return SEV_EVENT_ERROR;
	}
	event = run_until_event(vcpu);
	timer_delete(timer);
	running = NULL;
	return event;
}

const char *sev_event_name(enum sev_event event)
{
	static const char *const names[] = {
		[SEV_EVENT_DONE] = "done", [SEV_EVENT_SYNC] = "sync",
		[SEV_EVENT_PIO] = "port access", [SEV_EVENT_MMIO] = "MMIO",
		[SEV_EVENT_HYPERCALL] = "hypercall", [SEV_EVENT_FAULT] = "memory fault",
		[SEV_EVENT_ASSERT] = "guest's check failed",
		[SEV_EVENT_DEADLINE] = "deadline passed", [SEV_EVENT_SHUTDOWN] = "shutdown",
		[SEV_EVENT_ERROR] = "KVM error",
	};

	return names[event];
}
