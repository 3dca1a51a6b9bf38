// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a SEV guest can do under KVM, with the tiny guest: memory, ports, MMIO,
 * instructions that KVM emulates, and interrupts. Each test runs in a plain VM
 * and in a SEV VM, so that a failure tells whose it is; and in VMs of the SEV
 * type, with pinned and with private memory, where nothing may be different.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "sev_test.h"

#define HC_MAP_GPA_RANGE	12
#define DATA_PAGES	8ul
#define PAGE_WORDS	(SEV_PAGE_SIZE / sizeof(uint64_t))

FIXTURE(guest) {
	struct sev_vm vm;
	bool have_vm;
};

FIXTURE_VARIANT(guest) {
	bool sev;
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(guest, plain) {
	.sev = false,
};

FIXTURE_VARIANT_ADD(guest, sev) {
	.sev = true,
};

FIXTURE_VARIANT_ADD(guest, sev_type) {
	.sev = true,
	.memory = SEV_MEMORY_PINNED,
};

FIXTURE_VARIANT_ADD(guest, sev_private) {
	.sev = true,
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_SETUP(guest)
{
	SKIP_IF(variant->memory ? sev_type_unavailable() :
		variant->sev ? sev_unavailable() : kvm_unavailable());
}

FIXTURE_TEARDOWN(guest)
{
	if (self->have_vm)
		sev_vm_destroy(&self->vm);
}

#define OK(call)	OK_VM(&self->vm, call)
#define RUN(event)	RUN_VCPU(&self->vm.vcpus[0], event)

#define BOOT(...) do {							\
	struct sev_vm_config cfg_ = {					\
		.sev = variant->sev, .memory = variant->memory, __VA_ARGS__	\
	};								\
									\
	self->have_vm = true;						\
	OK(sev_vm_boot(&self->vm, &cfg_));				\
} while (0)

static void fill(void *mem, uint64_t pages, uint64_t seed)
{
	uint64_t *words = mem;

	for (uint64_t i = 0; i < pages * PAGE_WORDS; i++)
		words[i] = sev_guest_pattern(seed, i);
}

/* The number of words that are as @seed says. */
static uint64_t matching(const void *mem, uint64_t pages, uint64_t seed)
{
	const uint64_t *words = mem;
	uint64_t n = 0;

	for (uint64_t i = 0; i < pages * PAGE_WORDS; i++)
		n += words[i] == sev_guest_pattern(seed, i);
	return n;
}

TEST_F_TIMEOUT(guest, starts, SEV_TEST_SECONDS)
{
	struct sev_vcpu *vcpu = &self->vm.vcpus[0];

	BOOT(.program = SEV_GUEST_SMOKE, .args = { 0xfeedfacecafebeefull });
	RUN(DONE);
	ASSERT_EQ(5, vcpu->nr_values);
	EXPECT_EQ(0xfeedfacecafebeefull, vcpu->values[0]);
	EXPECT_EQ(0x80010033, vcpu->values[1]);
	EXPECT_EQ(SEV_GUEST_PML4 | self->vm.c_mask, vcpu->values[2]);
	EXPECT_EQ(0x620, vcpu->values[3] & 0xfff);
	EXPECT_EQ(0, vcpu->values[4]);
}

TEST_F_TIMEOUT(guest, large_memory, SEV_TEST_SECONDS)
{
	/* 64 MiB, checked at its far end. */
	BOOT(.program = SEV_GUEST_COUNT, .pages = 16384, .args = { 16384 * 4096ul - 8 });
	RUN(DONE);
	EXPECT_EQ(1, self->vm.vcpus[0].values[0]);
}

TEST_F_TIMEOUT(guest, private_memory, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = {
		.sev = variant->sev, .memory = variant->memory,
		.program = SEV_GUEST_PRIVATE,
		.args = { SEV_GUEST_DATA, DATA_PAGES, 1, 2 },
	};
	static uint8_t copy[DATA_PAGES * SEV_PAGE_SIZE] __aligned(4096);

	self->have_vm = true;
	OK(sev_vm_create(&self->vm, &cfg));
	sev_vm_load_guest(&self->vm);
	/* What the host put there before the launch is what the guest finds. */
	fill(self->vm.mem + SEV_GUEST_DATA, DATA_PAGES, 1);
	if (variant->sev)
		OK(sev_vm_launch(&self->vm));
	OK(sev_vm_add_vcpus(&self->vm));
	RUN(SYNC);
	/* What the guest wrote is there, once the firmware has decrypted it. */
	OK(sev_vm_peek(&self->vm, SEV_GUEST_DATA, copy, sizeof(copy)));
	EXPECT_EQ(DATA_PAGES * PAGE_WORDS, matching(copy, DATA_PAGES, 2));
	OK(sev_vm_peek(&self->vm, SEV_GUEST_DATA + 5, copy, 21));
	EXPECT_EQ(0, memcmp(copy, (uint8_t[]) {
		sev_guest_pattern(2, 0) >> 40, sev_guest_pattern(2, 0) >> 48,
		sev_guest_pattern(2, 0) >> 56, sev_guest_pattern(2, 1) & 0xff }, 4));
	RUN(DONE);
}

TEST_F_TIMEOUT(guest, debug_write, SEV_TEST_SECONDS)
{
	static uint64_t word[2] __aligned(16) = { 41, 0 };

	BOOT(.program = SEV_GUEST_COUNT, .args = { SEV_GUEST_DATA });
	if (variant->sev)
		OK(sev_dbg_encrypt(&self->vm, word, self->vm.mem + SEV_GUEST_DATA, sizeof(word)));
	else
		memcpy(self->vm.mem + SEV_GUEST_DATA, word, sizeof(word));
	RUN(DONE);
	EXPECT_EQ(42, self->vm.vcpus[0].values[0]);
	OK(sev_vm_peek(&self->vm, SEV_GUEST_DATA, word, sizeof(word)));
	EXPECT_EQ(42, word[0]);
}

TEST_F_TIMEOUT(guest, shared_memory, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_SHARED_MEM, .args = { DATA_PAGES, 10, 20 });
	fill(self->vm.shared, DATA_PAGES, 10);
	RUN(SYNC);
	EXPECT_EQ(DATA_PAGES * PAGE_WORDS, matching(self->vm.shared, DATA_PAGES, 20));
	fill(self->vm.shared, DATA_PAGES, 11);
	RUN(DONE);
}

TEST_F_TIMEOUT(guest, private_page_used_as_shared, SEV_TEST_SECONDS)
{
	static uint8_t copy[SEV_PAGE_SIZE] __aligned(4096);
	uint8_t *page;

	BOOT(.program = SEV_GUEST_ALIASED, .args = { SEV_GUEST_DATA, 30 });
	page = self->vm.mem + SEV_GUEST_DATA;
	RUN(SYNC);
	if (sev_vm_is_private(&self->vm)) {
		/*
		 * Nobody told the VMM: the page is still the file's, and of it the VMM sees
		 * nothing.
		 */
		EXPECT_EQ(0, matching(page, 1, 30));
		fill(page, 1, 31);
		RUN(ASSERT);
		return;
	}
	EXPECT_EQ(PAGE_WORDS, matching(page, 1, 30));
	fill(page, 1, 31);
	RUN(DONE);
	OK(sev_vm_peek(&self->vm, SEV_GUEST_DATA, copy, sizeof(copy)));
	EXPECT_EQ(PAGE_WORDS, matching(copy, 1, 32));
}

/* The test's port device: what it was written, in order. */
struct port_log {
	unsigned int n;
	uint16_t port[16];
	uint8_t size[16];
	uint32_t value[16];
};

static void serve_port(struct kvm_run *run, struct port_log *log)
{
	static const uint32_t input[] = { [1] = 0xa5, [2] = 0xb6c7, [4] = 0xd8e9fa0b };
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (unsigned int i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_IN) {
			memcpy(data, &input[run->io.size], run->io.size);
			continue;
		}
		if (log->n == 16)
			return;
		log->port[log->n] = run->io.port;
		log->size[log->n] = run->io.size;
		memcpy(&log->value[log->n++], data, run->io.size);
	}
}

static enum sev_event run_with_ports(struct sev_vcpu *vcpu, struct port_log *log)
{
	enum sev_event event;

	while ((event = sev_vcpu_run(vcpu, SEV_RUN_DEADLINE_MS)) == SEV_EVENT_PIO)
		serve_port(vcpu->run, log);
	return event;
}

TEST_F_TIMEOUT(guest, port_io, SEV_TEST_SECONDS)
{
	static const uint32_t values[] = { 0x5a, 0x6b7c, 0x8d9eafb0, 0x3c, 0x7788 };
	static const uint8_t sizes[] = { 1, 2, 4, 1, 2 };
	struct port_log log = { 0 };
	enum sev_event event;

	BOOT(.program = SEV_GUEST_PIO);
	event = run_with_ports(&self->vm.vcpus[0], &log);
	ASSERT_EQ(SEV_EVENT_DONE, event) TH_LOG("%s", self->vm.error);
	ASSERT_EQ(5, log.n);
	for (unsigned int i = 0; i < log.n; i++) {
		EXPECT_EQ(i == 3 ? SEV_PORT_IMM : SEV_PORT_DEVICE, log.port[i]);
		EXPECT_EQ(sizes[i], log.size[i]);
		EXPECT_EQ(values[i], log.value[i]);
	}
}

TEST_F_TIMEOUT(guest, port_string_io, SEV_TEST_SECONDS)
{
	struct port_log log = { 0 };
	enum sev_event event;

	BOOT(.program = SEV_GUEST_PIO_STRING, .args = { variant->sev });
	event = run_with_ports(&self->vm.vcpus[0], &log);
	ASSERT_EQ(SEV_EVENT_DONE, event) TH_LOG("%s", self->vm.error);
	/* A SEV guest must unroll its loops: nothing arrives. */
	ASSERT_EQ(variant->sev ? 0 : 4, log.n);
	for (unsigned int i = 0; i < log.n; i++)
		EXPECT_EQ(0x40 + i, log.value[i]);
}

TEST_F_TIMEOUT(guest, mmio, SEV_TEST_SECONDS)
{
	struct kvm_run *run;
	unsigned int writes = 0, reads = 0;
	uint8_t device[0x40];
	enum sev_event event;

	for (unsigned int i = 0; i < sizeof(device); i++)
		device[i] = 0x81 + i;
	BOOT(.program = SEV_GUEST_MMIO_ACCESS);
	run = self->vm.vcpus[0].run;
	while ((event = sev_vcpu_run(&self->vm.vcpus[0], SEV_RUN_DEADLINE_MS)) == SEV_EVENT_MMIO) {
		uint64_t offset = run->mmio.phys_addr - SEV_GUEST_MMIO;

		ASSERT_LE(offset + run->mmio.len, sizeof(device));
		if (run->mmio.is_write)
			memcpy(device + offset, run->mmio.data, run->mmio.len);
		else
			memcpy(run->mmio.data, device + offset, run->mmio.len);
		writes += run->mmio.is_write;
		reads += !run->mmio.is_write;
	}
	ASSERT_EQ(SEV_EVENT_DONE, event) TH_LOG("%s", self->vm.error);
	EXPECT_EQ(6, writes);
	EXPECT_EQ(9, reads);
	EXPECT_EQ(0, memcmp(device + 0x22, "\x22\x23\x24\x25\x26\x27", 6));
	EXPECT_EQ(0, memcmp(device + 0x28, "\x28\x29\x2a\x2b\x2c\x2d\x2e\x2f", 8));
	EXPECT_EQ(0, memcmp(device + 0x30, "\x30\x31\x32\x3f", 4));
	/* The neighbour of a byte that was written. */
	EXPECT_EQ(0x21, device[0x20]);
	EXPECT_EQ(0xa2, device[0x21]);
}

TEST_F_TIMEOUT(guest, cpuid, SEV_TEST_SECONDS)
{
	struct sev_cpu_info info = { 0 };

	BOOT(.program = SEV_GUEST_CPUID, .args = { SEV_GUEST_CPUID_LEAF });
	RUN(DONE);
	ASSERT_EQ(2, self->vm.vcpus[0].nr_values);
	if (variant->sev)
		ASSERT_TRUE(sev_cpu_info(&info));
	EXPECT_EQ(variant->sev ? 2 : 0, self->vm.vcpus[0].values[0]);
	EXPECT_EQ(info.cbit | info.phys_reduction << 6, self->vm.vcpus[0].values[1]);
}

TEST_F_TIMEOUT(guest, msrs, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_MSR, .args = { variant->sev });
	RUN(DONE);
	ASSERT_EQ(1, self->vm.vcpus[0].nr_values);
	EXPECT_LT(0, self->vm.vcpus[0].values[0]);
}

TEST_F_TIMEOUT(guest, exceptions, SEV_TEST_SECONDS)
{
	static const uint64_t counts[] = { 1, 3, 1, 1 };

	BOOT(.program = SEV_GUEST_EXCEPTIONS);
	RUN(DONE);
	ASSERT_EQ(4, self->vm.vcpus[0].nr_values);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(counts[i], self->vm.vcpus[0].values[i]);
}

TEST_F_TIMEOUT(guest, control_registers, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_CR);
	RUN(DONE);
}

TEST_F_TIMEOUT(guest, debug_registers, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_DR);
	RUN(DONE);
}

TEST_F_TIMEOUT(guest, xsetbv, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_XCR);
	RUN(DONE);
}

TEST_F_TIMEOUT(guest, cache_and_tlb_instructions, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_CACHE);
	RUN(DONE);
}

TEST_F_TIMEOUT(guest, hypercalls, SEV_TEST_SECONDS)
{
	struct kvm_run *run;

	BOOT(.program = SEV_GUEST_HYPERCALL, .args = { SEV_GUEST_DATA, 16, 1 << 4 });
	OK(sev_vm_enable_cap(&self->vm, KVM_CAP_EXIT_HYPERCALL, 1 << HC_MAP_GPA_RANGE));
	run = self->vm.vcpus[0].run;
	RUN(HYPERCALL);
	EXPECT_EQ(HC_MAP_GPA_RANGE, run->hypercall.nr);
	EXPECT_EQ(SEV_GUEST_DATA, run->hypercall.args[0]);
	EXPECT_EQ(16, run->hypercall.args[1]);
	EXPECT_EQ(1 << 4, run->hypercall.args[2]);
	EXPECT_EQ(1, run->hypercall.longmode);
	run->hypercall.ret = 0x1234567887654321ull;
	RUN(DONE);
	ASSERT_EQ(1, self->vm.vcpus[0].nr_values);
	EXPECT_EQ(0x1234567887654321ull, self->vm.vcpus[0].values[0]);
}

TEST_F_TIMEOUT(guest, hypercall_not_enabled, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_HYPERCALL, .args = { SEV_GUEST_DATA, 16, 1 << 4 });
	/* The guest's own check of the third call fails: KVM knows none. */
	RUN(ASSERT);
	ASSERT_LE(1, self->vm.vcpus[0].nr_values);
	EXPECT_EQ(-1000ll, (int64_t)self->vm.vcpus[0].values[0]);
}

TEST_F_TIMEOUT(guest, self_ipi, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_SELF_IPI);
	RUN(DONE);
	EXPECT_EQ(50, self->vm.vcpus[0].values[0]);
}

TEST_F_TIMEOUT(guest, task_priority, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_TPR);
	RUN(DONE);
	EXPECT_EQ(20, self->vm.vcpus[0].values[0]);
}

TEST_F_TIMEOUT(guest, timer, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_TIMER, .args = { 50 });
	RUN(DONE);
	ASSERT_EQ(2, self->vm.vcpus[0].nr_values);
	EXPECT_EQ(50, self->vm.vcpus[0].values[0]);
	EXPECT_LT(0, self->vm.vcpus[0].values[1]);
}

TEST_F_TIMEOUT(guest, external_interrupts, SEV_TEST_SECONDS)
{
	BOOT(.program = SEV_GUEST_EXTERNAL, .args = { 25 });
	for (int i = 0; i < 25; i++) {
		RUN(SYNC);
		ASSERT_EQ(SEV_VECTOR_IRQ, self->vm.vcpus[0].value);
		OK(sev_vm_irq_line(&self->vm, SEV_GUEST_IRQ_LINE, 1));
		OK(sev_vm_irq_line(&self->vm, SEV_GUEST_IRQ_LINE, 0));
		RUN(SYNC);
		ASSERT_EQ(SEV_VECTOR_MSI, self->vm.vcpus[0].value);
		ASSERT_EQ(1, sev_vm_signal_msi(&self->vm, SEV_VECTOR_MSI));
	}
	RUN(DONE);
	EXPECT_EQ(25, self->vm.vcpus[0].values[0]);
	EXPECT_EQ(25, self->vm.vcpus[0].values[1]);
}

struct waker {
	struct sev_vm *vm;
	unsigned int times;
	unsigned int acknowledged;
};

/* One MSI at a time, each only after the guest has seen the one before it. */
static void *wake(void *arg)
{
	struct waker *waker = arg;
	uint64_t *word = (void *)waker->vm->shared, seen = 0;

	for (unsigned int i = 1; i <= waker->times; i++) {
		usleep(i % 4 * 3000);
		if (sev_vm_signal_msi(waker->vm, SEV_VECTOR_MSI) != 1)
			return NULL;
		for (unsigned int ms = 0; seen < i && ms < SEV_RUN_DEADLINE_MS; ms++) {
			usleep(1000);
			seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
		}
		if (seen != i)
			return NULL;
		waker->acknowledged = i;
	}
	return NULL;
}

TEST_F_TIMEOUT(guest, hlt_wakeup, SEV_TEST_SECONDS)
{
	struct waker waker = { .vm = &self->vm, .times = 40 };
	enum sev_event event;
	pthread_t thread;

	BOOT(.program = SEV_GUEST_HLT, .args = { waker.times });
	RUN(SYNC);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wake, &waker));
	event = sev_vcpu_run(&self->vm.vcpus[0], SEV_RUN_DEADLINE_MS);
	pthread_join(thread, NULL);
	EXPECT_EQ(waker.times, waker.acknowledged);
	ASSERT_EQ(SEV_EVENT_DONE, event) TH_LOG("%s", self->vm.error);
	EXPECT_EQ(waker.times, self->vm.vcpus[0].values[0]);
}

static void *run_to_the_end(void *vcpu)
{
	return (void *)(uintptr_t)sev_vcpu_run(vcpu, SEV_RUN_DEADLINE_MS);
}

TEST_F_TIMEOUT(guest, two_vcpus_wake_each_other, SEV_TEST_SECONDS)
{
	enum sev_event event;
	pthread_t thread;
	void *other;

	BOOT(.program = SEV_GUEST_PING_PONG, .vcpus = 2, .args = { 200 });
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_to_the_end, &self->vm.vcpus[1]));
	event = sev_vcpu_run(&self->vm.vcpus[0], SEV_RUN_DEADLINE_MS);
	pthread_join(thread, &other);
	EXPECT_EQ(200, *(uint64_t *)(self->vm.shared + SEV_PING_COUNT));
	EXPECT_EQ(200, *(uint64_t *)(self->vm.shared + SEV_PONG_COUNT));
	ASSERT_EQ(SEV_EVENT_DONE, event) TH_LOG("%s", self->vm.error);
	ASSERT_EQ(SEV_EVENT_DONE, (uintptr_t)other) TH_LOG("%s", self->vm.error);
	EXPECT_EQ(200, self->vm.vcpus[1].values[0]);
}

TEST_F_TIMEOUT(guest, deadline_stops_a_busy_guest, SEV_TEST_SECONDS)
{
	enum sev_event event;

	BOOT(.program = SEV_GUEST_SPIN);
	RUN(SYNC);
	event = sev_vcpu_run(&self->vm.vcpus[0], 200);
	EXPECT_EQ(SEV_EVENT_DEADLINE, event) TH_LOG("%s", sev_event_name(event));
}

TEST_HARNESS_MAIN
