// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMM's side of conversions. See sev_convert.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "private_vm.h"
#include "sev_convert.h"

int sev_convert_init(struct sev_convert *convert, struct sev_vm *vm)
{
	*convert = (struct sev_convert) { .vm = vm, .lock = PTHREAD_MUTEX_INITIALIZER };
	convert->shared = calloc(vm->cfg.pages, 1);
	if (!convert->shared)
		return -ENOMEM;
	return sev_vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, 1u << KVM_HC_MAP_GPA_RANGE);
}

void sev_convert_free(struct sev_convert *convert)
{
	free(convert->shared);
	convert->shared = NULL;
}

/* The half that [first, end) has left. */
static int discard(struct sev_vm *vm, uint64_t first, uint64_t end, bool private)
{
	uint64_t offset = first * SEV_PAGE_SIZE, size = (end - first) * SEV_PAGE_SIZE;

	if (!private)
		return pvm_punch(vm->file, offset, size);
	return madvise(vm->mem + offset, size, MADV_DONTNEED) ? -errno : 0;
}

static int change(struct sev_convert *convert, uint64_t first, uint64_t end, bool private)
{
	struct sev_vm *vm = convert->vm;
	int ret;

	convert->calls++;
	convert->pages[private] += end - first;
	ret = sev_vm_set_private(vm, first * SEV_PAGE_SIZE, (end - first) * SEV_PAGE_SIZE, private);
	if (!ret)
		ret = discard(vm, first, end, private);
	for (uint64_t i = first; i < end; i++)
		convert->shared[i] = !private;
	return ret;
}

/* Run by run of pages that are not yet what they shall be. */
static int change_runs(struct sev_convert *convert, uint64_t first, uint64_t end, bool private)
{
	int ret = 0;

	for (uint64_t run; first < end && !ret; first = run) {
		for (run = first; run < end && convert->shared[run] == private; run++)
			;
		if (run > first)
			ret = change(convert, first, run, private);
		else
			run++;
	}
	return ret;
}

int64_t sev_convert(struct sev_convert *convert, uint64_t gpa, uint64_t pages, bool private)
{
	uint64_t first = gpa / SEV_PAGE_SIZE, all = convert->vm->cfg.pages, end;
	int ret = 0;

	if (gpa % SEV_PAGE_SIZE || !pages || first + pages < first)
		return -EINVAL;
	end = first + pages < all ? first + pages : all;
	pthread_mutex_lock(&convert->lock);
	convert->requests++;
	if (!convert->error && first < end)
		ret = change_runs(convert, first, end, private);
	if (ret)
		convert->error = ret;
	pthread_mutex_unlock(&convert->lock);
	/* What is no memory that can be private is as the guest wants it anyway. */
	return ret;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void answer(struct sev_convert *convert, struct kvm_run *run)
{
	uint64_t *args = (uint64_t *)run->hypercall.args;

	run->hypercall.ret = sev_convert(convert, args[0], args[1],
					 args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED);
}

enum sev_event sev_vcpu_run_converting(struct sev_vcpu *vcpu, struct sev_convert *convert,
				       unsigned int deadline_ms)
{
	long end = now_ms() + deadline_ms;
	enum sev_event event;

	for (;;) {
		long left = end - now_ms();

		event = sev_vcpu_run(vcpu, left > 1 ? left : 1);
		if (event != SEV_EVENT_HYPERCALL || vcpu->run->hypercall.nr != KVM_HC_MAP_GPA_RANGE)
			return event;
		answer(convert, vcpu->run);
		if (convert->error) {
			sev_vm_error(vcpu->vm, convert->error, "conversion");
			return SEV_EVENT_ERROR;
		}
	}
}
