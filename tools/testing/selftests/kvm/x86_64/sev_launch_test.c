// SPDX-License-Identifier: GPL-2.0-only
/*
 * The launch of a SEV guest as KVM offers it: the order of its commands, the
 * measurement, secrets and policies. The same for every type of VM and memory.
 */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "sev_crypto.h"
#include "sev_test.h"

#define STATE(name)	SEV_GUEST_STATE_##name
/* A platform of this API version is not made yet. */
#define POLICY_FUTURE_API	(0xffu << 16)

FIXTURE(launch) {
	struct sev_vm vm;
	struct sev_keys keys;
	struct sev_user_data_status before;
};

FIXTURE_VARIANT(launch) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(launch, sev) {
	.memory = SEV_MEMORY_DEFAULT,
};

FIXTURE_VARIANT_ADD(launch, sev_type) {
	.memory = SEV_MEMORY_PINNED,
};

FIXTURE_VARIANT_ADD(launch, sev_private) {
	.memory = SEV_MEMORY_PRIVATE,
};

static struct sev_vm_config sev_config(enum sev_memory memory)
{
	return (struct sev_vm_config) {
		.sev = true, .memory = memory, .program = SEV_GUEST_COUNT, .args = { SEV_GUEST_DATA },
	};
}

FIXTURE_SETUP(launch)
{
	struct sev_vm_config cfg = sev_config(variant->memory);

	SKIP_IF(variant->memory ? sev_type_unavailable() : sev_unavailable());
	ASSERT_TRUE(sev_crypto_init(&self->keys));
	ASSERT_EQ(0, sev_platform_status(&self->before));
	ASSERT_EQ(0, sev_vm_create(&self->vm, &cfg)) TH_LOG("%s", self->vm.error);
	sev_vm_load_guest(&self->vm);
}

FIXTURE_TEARDOWN(launch)
{
	if (self->vm.mem)
		sev_vm_destroy(&self->vm);
}

#define OK(call)		OK_VM(&self->vm, call)
#define REFUSED(status, call)	REFUSED_VM(&self->vm, status, call)
#define RUN(event)		RUN_VCPU(&self->vm.vcpus[0], event)

#define STATUS_IS(state_) do {						\
	struct kvm_sev_guest_status status_;				\
									\
	OK(sev_guest_status(&self->vm, &status_));			\
	EXPECT_EQ(state_, status_.state);				\
	EXPECT_EQ(self->vm.handle, status_.handle);			\
} while (0)

static int update(struct sev_vm *vm, uint64_t gpa, uint32_t len)
{
	return sev_launch_update(vm, vm->mem + gpa, len);
}

static int measure(struct sev_vm *vm, uint8_t blob[SEV_MEASURE_LEN])
{
	uint32_t len = SEV_MEASURE_LEN;

	return sev_launch_measure(vm, blob, &len);
}

/* Everything that the guest needs, encrypted; the guest is in LUPDATE. */
static int start_and_update(struct sev_vm *vm, uint32_t policy)
{
	int ret = sev_vm_register_memory(vm);

	if (!ret)
		ret = sev_launch_start(vm, policy, 0);
	return ret ? ret : update(vm, 0, vm->cfg.pages * SEV_PAGE_SIZE);
}

static uint32_t guests(void)
{
	struct sev_user_data_status status;

	return sev_platform_status(&status) ? UINT32_MAX : status.guest_count;
}

TEST_F_TIMEOUT(launch, states, SEV_TEST_SECONDS)
{
	uint8_t blob[SEV_MEASURE_LEN];

	OK(sev_launch_start(&self->vm, 0, 0));
	EXPECT_NE(0, self->vm.handle);
	STATUS_IS(STATE(LUPDATE));
	OK(update(&self->vm, 0, SEV_PAGE_SIZE));
	STATUS_IS(STATE(LUPDATE));
	OK(measure(&self->vm, blob));
	STATUS_IS(STATE(LSECRET));
	OK(sev_launch_finish(&self->vm));
	STATUS_IS(STATE(RUNNING));
}

static int init_again(struct sev_vm *vm)
{
	const struct kvm_sev_init init = { 0 };

	return vm->cfg.memory == SEV_MEMORY_DEFAULT ? sev_init(vm) : sev_init2(vm, &init);
}

TEST_F_TIMEOUT(launch, wrong_order, SEV_TEST_SECONDS)
{
	struct kvm_sev_launch_secret secret = { 0 };
	struct sev_secret_header hdr = { 0 };
	uint8_t blob[SEV_MEASURE_LEN], data[16] = { 0 };

	secret.hdr_uaddr = (uintptr_t)&hdr;
	secret.hdr_len = sizeof(hdr);
	secret.guest_uaddr = (uintptr_t)self->vm.mem + SEV_GUEST_DATA;
	secret.guest_len = 16;
	secret.trans_uaddr = (uintptr_t)data;
	secret.trans_len = 16;

	EXPECT_EQ(variant->memory ? -EINVAL : -EBUSY, init_again(&self->vm));
	OK(sev_launch_start(&self->vm, 0, 0));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, sev_launch_finish(&self->vm));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, sev_launch_secret(&self->vm, &secret));
	/* The second guest would need this VM's ASID. */
	REFUSED(SEV_RET_ASID_OWNED, sev_launch_start(&self->vm, 0, 0));
	EXPECT_EQ(self->before.guest_count + 1, guests());
	STATUS_IS(STATE(LUPDATE));

	OK(measure(&self->vm, blob));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, update(&self->vm, 0, SEV_PAGE_SIZE));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, measure(&self->vm, blob));
	STATUS_IS(STATE(LSECRET));

	OK(sev_launch_finish(&self->vm));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, update(&self->vm, 0, SEV_PAGE_SIZE));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, measure(&self->vm, blob));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, sev_launch_secret(&self->vm, &secret));
	REFUSED(SEV_RET_INVALID_GUEST_STATE, sev_launch_finish(&self->vm));
	STATUS_IS(STATE(RUNNING));
	OK(sev_vm_add_vcpus(&self->vm));
	EXPECT_EQ(-EINVAL, init_again(&self->vm));
}

TEST_F_TIMEOUT(launch, measurement, SEV_TEST_SECONDS)
{
	uint8_t digest[SEV_DIGEST_LEN], want[SEV_DIGEST_LEN], blob[SEV_MEASURE_LEN];
	uint32_t size = self->vm.cfg.pages * SEV_PAGE_SIZE, half;
	static uint8_t plain[SEV_DEFAULT_PAGES * SEV_PAGE_SIZE];
	struct sev_user_data_status platform;
	struct sev_piece pieces[3];

	half = size / 2;
	memcpy(plain, self->vm.mem, size);
	/* The digest is over the data in the order of the commands. */
	pieces[0] = (struct sev_piece) { plain + half, size - half };
	pieces[1] = (struct sev_piece) { plain + 0x1010, 16 };
	pieces[2] = (struct sev_piece) { plain, half };
	OK(sev_launch_start(&self->vm, SEV_POLICY_NOKS, 0));
	OK(update(&self->vm, half, size - half));
	OK(update(&self->vm, 0x1010, 16));
	memcpy(self->vm.mem + 0x1010, plain + 0x1010, 16);
	OK(update(&self->vm, 0, half));
	OK(measure(&self->vm, blob));

	ASSERT_EQ(0, sev_platform_status(&platform));
	sev_digest(pieces, 3, digest);
	ASSERT_TRUE(sev_measurement(&self->keys, &platform, SEV_POLICY_NOKS, digest,
				    blob + SEV_DIGEST_LEN, want));
	EXPECT_EQ(0, memcmp(want, blob, sizeof(want)));

	/* One bit of the contents, and one of the policy. */
	plain[half - 1] ^= 1;
	sev_digest(pieces, 3, digest);
	ASSERT_TRUE(sev_measurement(&self->keys, &platform, SEV_POLICY_NOKS, digest,
				    blob + SEV_DIGEST_LEN, want));
	EXPECT_NE(0, memcmp(want, blob, sizeof(want)));
	plain[half - 1] ^= 1;
	sev_digest(pieces, 3, digest);
	ASSERT_TRUE(sev_measurement(&self->keys, &platform, 0, digest,
				    blob + SEV_DIGEST_LEN, want));
	EXPECT_NE(0, memcmp(want, blob, sizeof(want)));
}

TEST_F_TIMEOUT(launch, measurement_nonce_is_fresh, SEV_TEST_SECONDS)
{
	uint8_t first[SEV_MEASURE_LEN], second[SEV_MEASURE_LEN];
	struct sev_vm_config cfg = sev_config(variant->memory);
	struct sev_vm other;

	OK(sev_launch_start(&self->vm, 0, 0));
	OK(measure(&self->vm, first));
	OK_VM(&other, sev_vm_create(&other, &cfg));
	OK_VM(&other, sev_launch_start(&other, 0, 0));
	OK_VM(&other, measure(&other, second));
	sev_vm_destroy(&other);
	/* Both measured nothing at all; only the nonces differ. */
	EXPECT_NE(0, memcmp(first + SEV_DIGEST_LEN, second + SEV_DIGEST_LEN, SEV_NONCE_LEN));
	EXPECT_NE(0, memcmp(first, second, SEV_DIGEST_LEN));
}

TEST_F_TIMEOUT(launch, measurement_length, SEV_TEST_SECONDS)
{
	uint8_t blob[SEV_MEASURE_LEN + 16];
	uint32_t len = 0;

	OK(sev_launch_start(&self->vm, 0, 0));
	REFUSED(SEV_RET_INVALID_LEN, sev_launch_measure(&self->vm, NULL, &len));
	EXPECT_EQ(SEV_MEASURE_LEN, len);
	len = SEV_MEASURE_LEN - 1;
	REFUSED(SEV_RET_INVALID_LEN, sev_launch_measure(&self->vm, blob, &len));
	STATUS_IS(STATE(LUPDATE));
	len = sizeof(blob);
	OK(sev_launch_measure(&self->vm, blob, &len));
	EXPECT_EQ(SEV_MEASURE_LEN, len);
}

TEST_F_TIMEOUT(launch, update_ranges, SEV_TEST_SECONDS)
{
	OK(sev_launch_start(&self->vm, 0, 0));
	EXPECT_EQ(-EINVAL, update(&self->vm, 0, 0));
	REFUSED(SEV_RET_INVALID_LEN, update(&self->vm, 0, 8));
	REFUSED(SEV_RET_INVALID_ADDRESS, update(&self->vm, 8, 16));
	/* Nothing is mapped at the second page of the address space. */
	EXPECT_EQ(-ENOMEM, sev_launch_update(&self->vm, (void *)SEV_PAGE_SIZE, SEV_PAGE_SIZE));
	OK(update(&self->vm, SEV_PAGE_SIZE - 16, 32));
	STATUS_IS(STATE(LUPDATE));
}

/* In SEV_GUEST_DATA: the number that the guest will add one to. */
static void prepare_secret(struct sev_vm *vm, struct sev_secret_header *hdr, uint64_t data[2],
			   struct kvm_sev_launch_secret *secret)
{
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr->iv, "counter block \xff\xff", 16);
	data[0] = 0x5ec4e7;
	data[1] = 0;
	*secret = (struct kvm_sev_launch_secret) {
		.hdr_uaddr = (uintptr_t)hdr, .hdr_len = sizeof(*hdr),
		.guest_uaddr = (uintptr_t)vm->mem + SEV_GUEST_DATA, .guest_len = 16,
		.trans_uaddr = (uintptr_t)data, .trans_len = 16,
	};
}

TEST_F_TIMEOUT(launch, secret, SEV_TEST_SECONDS)
{
	struct kvm_sev_launch_secret secret;
	struct sev_secret_header hdr;
	uint8_t blob[SEV_MEASURE_LEN];
	uint64_t data[2];

	OK(start_and_update(&self->vm, 0));
	OK(measure(&self->vm, blob));
	prepare_secret(&self->vm, &hdr, data, &secret);
	ASSERT_TRUE(sev_seal_secret(&self->keys, &hdr, data, sizeof(data), blob));
	OK(sev_launch_secret(&self->vm, &secret));
	STATUS_IS(STATE(LSECRET));
	OK(sev_launch_finish(&self->vm));
	OK(sev_vm_add_vcpus(&self->vm));
	RUN(DONE);
	EXPECT_EQ(0x5ec4e7 + 1, self->vm.vcpus[0].values[0]);
}

TEST_F_TIMEOUT(launch, bad_secrets, SEV_TEST_SECONDS)
{
	struct kvm_sev_launch_secret secret, bad;
	uint64_t data[2], found[2] = { 1, 1 };
	struct sev_secret_header hdr;
	uint8_t blob[SEV_MEASURE_LEN];

	OK(start_and_update(&self->vm, 0));
	OK(measure(&self->vm, blob));
	prepare_secret(&self->vm, &hdr, data, &secret);
	ASSERT_TRUE(sev_seal_secret(&self->keys, &hdr, data, sizeof(data), blob));

	for (unsigned int bit = 0; bit < 8 * sizeof(hdr); bit += 37) {
		((uint8_t *)&hdr)[bit / 8] ^= 1 << bit % 8;
		EXPECT_NE(0, sev_launch_secret(&self->vm, &secret)) TH_LOG("bit %u", bit);
		((uint8_t *)&hdr)[bit / 8] ^= 1 << bit % 8;
	}
	hdr.iv[0] ^= 0x80;
	REFUSED(SEV_RET_BAD_MEASUREMENT, sev_launch_secret(&self->vm, &secret));
	hdr.iv[0] ^= 0x80;
	data[1] ^= 1;
	REFUSED(SEV_RET_BAD_MEASUREMENT, sev_launch_secret(&self->vm, &secret));
	data[1] ^= 1;
	bad = secret;
	bad.hdr_len = sizeof(hdr) - 1;
	REFUSED(SEV_RET_INVALID_LEN, sev_launch_secret(&self->vm, &bad));
	bad = secret;
	bad.guest_uaddr += 8;
	REFUSED(SEV_RET_INVALID_ADDRESS, sev_launch_secret(&self->vm, &bad));

	/* None of them arrived; the good one still does. */
	OK(sev_vm_peek(&self->vm, SEV_GUEST_DATA, found, sizeof(found)));
	EXPECT_EQ(0, found[0]);
	OK(sev_launch_secret(&self->vm, &secret));
	OK(sev_vm_peek(&self->vm, SEV_GUEST_DATA, found, sizeof(found)));
	EXPECT_EQ(0x5ec4e7, found[0]);
}

TEST_F_TIMEOUT(launch, no_debugging, SEV_TEST_SECONDS)
{
	static uint8_t page[SEV_PAGE_SIZE] __aligned(4096), zero[SEV_PAGE_SIZE];
	struct kvm_sev_guest_status status;

	self->vm.cfg.policy = SEV_POLICY_NODBG;
	OK(sev_vm_launch(&self->vm));
	OK(sev_guest_status(&self->vm, &status));
	EXPECT_EQ(SEV_POLICY_NODBG, status.policy);
	REFUSED(SEV_RET_POLICY_FAILURE,
		sev_dbg_decrypt(&self->vm, self->vm.mem + SEV_GUEST_IMAGE, page, sizeof(page)));
	EXPECT_EQ(0, memcmp(page, zero, sizeof(page)));
	REFUSED(SEV_RET_POLICY_FAILURE,
		sev_dbg_encrypt(&self->vm, page, self->vm.mem + SEV_GUEST_IMAGE, sizeof(page)));
	/* The image was not overwritten: it runs. */
	OK(sev_vm_add_vcpus(&self->vm));
	RUN(DONE);
}

TEST_F_TIMEOUT(launch, refused_policies, SEV_TEST_SECONDS)
{
	REFUSED(SEV_RET_POLICY_FAILURE, sev_launch_start(&self->vm, POLICY_FUTURE_API, 0));
	if (!(self->before.flags & SEV_STATUS_FLAGS_CONFIG_ES))
		REFUSED(SEV_RET_UNSUPPORTED, sev_launch_start(&self->vm, SEV_POLICY_ES, 0));
	EXPECT_EQ(self->before.guest_count, guests());
	OK(sev_launch_start(&self->vm, 0, 0));
}

TEST_F_TIMEOUT(launch, not_before_finish, SEV_TEST_SECONDS)
{
	uint8_t blob[SEV_MEASURE_LEN];

	OK(start_and_update(&self->vm, 0));
	OK(measure(&self->vm, blob));
	OK(sev_vm_add_vcpus(&self->vm));
	EXPECT_EQ(SEV_EVENT_ERROR, sev_vcpu_run(&self->vm.vcpus[0], SEV_RUN_DEADLINE_MS));
	EXPECT_EQ(KVM_EXIT_FAIL_ENTRY, self->vm.vcpus[0].run->exit_reason);
	OK(sev_launch_finish(&self->vm));
	RUN(DONE);
	EXPECT_EQ(1, self->vm.vcpus[0].values[0]);
}

TEST_HARNESS_MAIN
