// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs of the stress test: memory, memslots, and the threads that run vCPUs.
 *
 * Locking: see private_stress.h. A vCPU thread takes no page lock; its guest does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private_stress.h"
#include "private_stress_guest.h"

const char *stress_unavailable(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), types;

	if (kvm < 0)
		return "no /dev/kvm";
	types = pvm_check_cap(kvm, KVM_CAP_VM_TYPES);
	close(kvm);
	if (types < 0 || !(types & 1 << KVM_X86_SW_PROTECTED_VM))
		return "KVM has no SW_PROTECTED VMs";
	return NULL;
}

/* The shared half of all data, and the page of control that guest and host share. */
static int map_memory(struct stress *s)
{
	void *shmem;

	s->ctl = mmap(NULL, STRESS_CTL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	s->shared = pvm_map(STRESS_PAGES * PVM_PAGE);
	s->shmem = memfd_create("stress", MFD_CLOEXEC);
	if (s->ctl == MAP_FAILED || !s->shared || s->shmem < 0 ||
	    ftruncate(s->shmem, STRESS_SLOT_PAGES * PVM_PAGE))
		return -ENOMEM;
	shmem = mmap(s->shared + STRESS_SLOT_PAGES * PVM_PAGE, STRESS_SLOT_PAGES * PVM_PAGE,
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->shmem, 0);
	if (shmem == MAP_FAILED)
		return -errno;
	s->cycle_memory = pvm_map(STRESS_CYCLE_PAGES * PVM_PAGE);
	if (!s->cycle_memory)
		return -ENOMEM;
	s->ctl->pages = STRESS_PAGES;
	memcpy((uint8_t *)s->ctl + (STRESS_CODE_GPA - STRESS_CTL_GPA), __start_stress_guest,
	       __stop_stress_guest - __start_stress_guest);
	return 0;
}

/* Make a slot, or change its flags. */
int stress_set_slot(struct stress *s, struct pvm *vm, enum stress_slot slot, bool dirty_log)
{
	struct kvm_userspace_memory_region2 region = { .slot = slot };
	unsigned int first = 0, pages = STRESS_SLOT_PAGES;

	if (slot == STRESS_CTL_SLOT)
		return pvm_add_slot(vm, slot, STRESS_CTL_GPA, STRESS_CTL_SIZE, s->ctl, -1, 0);
	if (slot == STRESS_SHMEM_SLOT)
		first = STRESS_SLOT_PAGES;
	if (slot == STRESS_PLAIN_SLOT) {
		first = STRESS_PRIVATE_PAGES;
		pages = STRESS_PLAIN_PAGES;
		region.flags = dirty_log ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	} else {
		region.flags = KVM_MEM_GUEST_MEMFD;
		region.guest_memfd = s->file;
		region.guest_memfd_offset = stress_file_offset(first);
	}
	region.guest_phys_addr = STRESS_DATA_GPA + first * PVM_PAGE;
	region.memory_size = pages * PVM_PAGE;
	region.userspace_addr = (uintptr_t)s->shared + first * PVM_PAGE;
	return pvm_set_region(vm, &region);
}

static int set_up_vm(struct stress *s, struct pvm *vm, unsigned int vcpus)
{
	int ret = pvm_create(vm, KVM_X86_SW_PROTECTED_VM);

	if (ret)
		return ret;
	s->nr_vms++;
	ret = pvm_add_vcpus(vm, vcpus);
	for (unsigned int slot = STRESS_CTL_SLOT; !ret && slot <= STRESS_PLAIN_SLOT; slot++)
		ret = stress_set_slot(s, vm, slot, false);
	return ret;
}

static void init_locks(struct stress *s)
{
	pthread_rwlockattr_t fair;

	pthread_mutex_init(&s->slots_lock, NULL);
	pthread_rwlock_init(&s->file_lock, NULL);
	/* Some converter always punches: who wants the lock alone would never get it. */
	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&s->give_lock, &fair);
	pthread_rwlock_init(&s->run_lock, &fair);
	pthread_rwlockattr_destroy(&fair);
}

int stress_set_up(struct stress *s)
{
	int ret;

	init_locks(s);
	ret = map_memory(s);
	if (ret)
		return ret;
	s->file = pvm_create_file(NULL, PVM_RESTRICTED, STRESS_PRIVATE_PAGES * PVM_PAGE);
	if (s->file < 0)
		return s->file;
	s->cycle_file = pvm_create_file(NULL, PVM_RESTRICTED, STRESS_CYCLE_PAGES * PVM_PAGE);
	if (s->cycle_file < 0)
		return s->cycle_file;
	ret = set_up_vm(s, &s->vm[0], s->vcpus);
	if (!ret && s->actors & STRESS_TWIN)
		ret = set_up_vm(s, &s->vm[1], 1);
	return ret;
}

/* The file and the mappings stay. */
void stress_tear_down(struct stress *s)
{
	for (unsigned int i = 0; i < s->nr_vms; i++)
		pvm_destroy(&s->vm[i]);
	s->nr_vms = 0;
}

static const char *fault_name(enum stress_fault fault)
{
	switch (fault) {
	case STRESS_FAULT_LOST: return "not what the vCPU wrote";
	case STRESS_FAULT_STALE: return "of the other half or of an earlier conversion";
	case STRESS_FAULT_FOREIGN: return "of another page";
	case STRESS_FAULT_FRESH: return "in a place that nobody writes";
	default: return "an unknown fault";
	}
}

static void report_guest(struct stress *s, unsigned int number)
{
	struct stress_vcpu_ctl *v = &s->ctl->vcpu[number];
	struct stress_page *page = &s->ctl->page[v->page];

	stress_fail(s, "vCPU %u: page %u (%s, conversion %u, %u drops) has 0x%016llx at 0x%llx",
		    number, v->page, v->private ? "private" : "shared", v->gen, page->drops, v->got,
		    v->offset);
	stress_fail(s, "  this is %s; expected 0x%016llx", fault_name(v->fault), v->want);
}

/* A page that has no memslot just now, or is too much: the guest tries again. */
static bool may_retry(struct stress *s, int error, const struct kvm_run *run)
{
	bool told = run->exit_reason == KVM_EXIT_MEMORY_FAULT;

	if (told && (run->memory_fault.gpa < STRESS_DATA_GPA ||
		     run->memory_fault.gpa >= STRESS_DATA_GPA + STRESS_PRIVATE_PAGES * PVM_PAGE ||
		     run->memory_fault.size != PVM_PAGE))
		return false;
	switch (error) {
	case -EINTR:
	case -EAGAIN:
		return true;
	case -EFAULT:
		return told && s->actors & (STRESS_SLOTS | STRESS_REOPEN);
	case -ENOMEM:
		return s->actors & STRESS_SQUEEZE;
	case -EDQUOT:
		return told && stress_over_limit(s, error);
	case -EHWPOISON:
		return told && stress_poison_handled(s, run->memory_fault.gpa);
	default:
		return false;
	}
}

static void pre_fault(struct stress_thread *t, int fd)
{
	uint64_t r = stress_random(&t->rng);
	struct kvm_pre_fault_memory range = {
		.gpa = STRESS_DATA_GPA + r % STRESS_PAGES * PVM_PAGE,
		.size = (1 + (r >> 32) % 32) * PVM_PAGE,
	};
	int ret;

	pthread_rwlock_rdlock(&t->s->run_lock);
	ret = ioctl(fd, KVM_PRE_FAULT_MEMORY, &range) ? -errno : 0;
	pthread_rwlock_unlock(&t->s->run_lock);
	errno = -ret;
	__atomic_fetch_add(&t->s->prefaults, 1, __ATOMIC_RELAXED);
	if (!ret || errno == EINTR || errno == EAGAIN)
		return;
	/* The end of the last slot, or one that is away. */
	if (errno == ENOENT && (range.gpa >= STRESS_DATA_GPA + STRESS_PAGES * PVM_PAGE ||
				t->s->actors & (STRESS_SLOTS | STRESS_REOPEN)))
		return;
	if (errno == EFAULT && t->s->actors & (STRESS_SLOTS | STRESS_REOPEN))
		return;
	if (stress_over_limit(t->s, -errno))
		return;
	if (errno == ENOMEM && t->s->actors & STRESS_SQUEEZE)
		return;
	stress_fail(t->s, "pre-faulting of 0x%llx: %s", range.gpa, strerror(errno));
}

/* No memslot, so to the guest it is a device: it reads zero, and notes that this says nothing. */
static bool answer_mmio(struct stress *s, unsigned int number, struct kvm_run *run)
{
	if (!(s->actors & (STRESS_SLOTS | STRESS_REOPEN)))
		return false;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	__atomic_fetch_add(&s->ctl->vcpu[number].mmio, 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&s->mmio, 1, __ATOMIC_RELAXED);
	return true;
}

/* KVM_RUN failed; returns whether that may be. */
static bool handle_error(struct stress_thread *t, struct kvm_run *run, int ret)
{
	if (may_retry(t->s, ret, run)) {
		__atomic_fetch_add(&t->s->memory_faults, 1, __ATOMIC_RELAXED);
		sched_yield();
		return true;
	}
	stress_fail(t->s, "vCPU %u: KVM_RUN: %s, exit reason %u, gpa 0x%llx, flags 0x%llx",
		    t->number, strerror(-ret), run->exit_reason, run->memory_fault.gpa,
		    run->memory_fault.flags);
	return false;
}

/* Returns whether the vCPU goes on. */
static bool handle_exit(struct stress_thread *t, struct pvm_vcpu *v, int ret)
{
	struct stress *s = t->s;

	if (ret < 0)
		return handle_error(t, v->run, ret);
	if (ret == KVM_EXIT_MMIO && answer_mmio(s, t->number, v->run))
		return true;
	if (ret == KVM_EXIT_IO && v->run->io.port == STRESS_PORT_SYNC) {
		if (s->actors & STRESS_PREFAULT)
			pre_fault(t, v->fd);
		return true;
	}
	if (ret == KVM_EXIT_IO && v->run->io.port == PVM_PORT_DONE)
		return false;
	if (ret == KVM_EXIT_IO && v->run->io.port == STRESS_PORT_FAIL)
		report_guest(s, t->number);
	else if (ret == KVM_EXIT_IO && v->run->io.port == PVM_PORT_FAULT)
		stress_fail(s, "vCPU %u: exception %llu, CR2 0x%llx", t->number,
			    (unsigned long long)v->cmd->vector, (unsigned long long)v->cmd->cr2);
	else
		stress_fail(s, "vCPU %u: exit %d", t->number, ret);
	return false;
}

static int run(struct stress *s, struct pvm *vm, unsigned int index)
{
	int ret;

	pthread_rwlock_rdlock(&s->run_lock);
	ret = pvm_run(vm, index);
	pthread_rwlock_unlock(&s->run_lock);
	return ret;
}

/* Until the guest has verified its memory, or something failed. */
void *stress_vcpu_thread(void *thread)
{
	struct stress_thread *t = thread;
	struct stress *s = t->s;
	unsigned int index = t->number < s->vcpus ? t->number : t->number - s->vcpus;
	struct pvm *vm = &s->vm[t->number >= s->vcpus];
	struct pvm_vcpu *v = &vm->vcpu[index];

	s->ctl->vcpu[t->number].seed = stress_random(&t->rng);
	*v->cmd = (struct pvm_cmd) {
		.op = PVM_CALL,
		.addr = STRESS_CODE_GPA + ((const char *)stress_guest_main - __start_stress_guest),
		.value = STRESS_CTL_GPA,
		.mul = t->number,
	};
	while (handle_exit(t, v, run(s, vm, index)))
		if (__atomic_load_n(&s->failed, __ATOMIC_RELAXED))
			break;
	return NULL;
}
