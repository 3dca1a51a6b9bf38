// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's memory against the cipher, computed here: AES-128-XTS as IEEE 1619 defines it, over
 * libgcrypt's AES, with the machine's debug-key. The tweak is the number of the host's physical
 * page, which /proc/self/pagemap tells.
 *
 * SEV_DEBUG_KEY: the same 64 hexadecimal digits as the machine's debug-key.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"
#include "sev_test.h"

#define PAGE		SEV_PAGE_SIZE
#define WORDS		(PAGE / sizeof(uint64_t))
#define DATA		SEV_GUEST_DATA
#define PAGES		8ul
#define SEED		11

FIXTURE(known) {
	struct sev_vm vm;
	gcry_cipher_hd_t data, tweak;
};

static bool parse_key(const char *hex, uint8_t key[32])
{
	if (!hex || strlen(hex) != 64)
		return false;
	for (int i = 0; i < 32; i++) {
		if (sscanf(hex + 2 * i, "%2hhx", &key[i]) != 1)
			return false;
	}
	return true;
}

static gcry_cipher_hd_t aes(const uint8_t *key)
{
	gcry_cipher_hd_t hd;

	if (gcry_cipher_open(&hd, GCRY_CIPHER_AES128, GCRY_CIPHER_MODE_ECB, 0) ||
	    gcry_cipher_setkey(hd, key, 16))
		return NULL;
	return hd;
}

FIXTURE_SETUP(known)
{
	uint8_t key[32];

	SKIP_IF(sev_unavailable());
	ASSERT_TRUE(parse_key(getenv("SEV_DEBUG_KEY"), key));
	ASSERT_NE(NULL, gcry_check_version("1.8.0"));
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	self->data = aes(key);
	self->tweak = aes(key + 16);
	ASSERT_NE(NULL, self->data);
	ASSERT_NE(NULL, self->tweak);
}

FIXTURE_TEARDOWN(known)
{
	if (self->vm.cfg.sev)
		sev_vm_destroy(&self->vm);
	gcry_cipher_close(self->data);
	gcry_cipher_close(self->tweak);
}

/* Multiplied by x in GF(2^128), bytes in little-endian order. */
static void next_tweak(uint8_t t[16])
{
	uint8_t carry = 0, out;

	for (int i = 0; i < 16; i++) {
		out = t[i] >> 7;
		t[i] = (uint8_t)(t[i] << 1) | carry;
		carry = out;
	}
	if (carry)
		t[0] ^= 0x87;
}

static void encrypt_page(FIXTURE_DATA(known) *self, uint64_t pfn, uint8_t *page)
{
	uint8_t t[16] = { 0 };

	memcpy(t, &pfn, sizeof(pfn));
	gcry_cipher_encrypt(self->tweak, t, 16, NULL, 0);
	for (unsigned int at = 0; at < PAGE; at += 16, next_tweak(t)) {
		for (int i = 0; i < 16; i++)
			page[at + i] ^= t[i];
		gcry_cipher_encrypt(self->data, page + at, 16, NULL, 0);
		for (int i = 0; i < 16; i++)
			page[at + i] ^= t[i];
	}
}

/* Both what the firmware encrypted and what the guest wrote. */
TEST_F_TIMEOUT(known, memory_is_what_the_cipher_says, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = {
		.sev = true, .program = SEV_GUEST_COMPARE, .args = { DATA, PAGES, SEED, 1 },
	};
	static uint8_t want[PAGE] __aligned(4096);

	OK_VM(&self->vm, sev_vm_boot(&self->vm, &cfg));
	for (uint64_t at = 0; at < 2 * PAGE; at += PAGE) {
		uint8_t *mem = self->vm.mem + SEV_GUEST_IMAGE + at;

		memcpy(want, sev_guest_image + at, PAGE);
		encrypt_page(self, rmem_mapping_pfn(mem), want);
		EXPECT_NE(0, rmem_mapping_pfn(mem));
		EXPECT_EQ(0, memcmp(want, mem, PAGE)) TH_LOG("image, page %lu", at / PAGE);
	}
	RUN_VCPU(&self->vm.vcpus[0], SYNC);
	for (uint64_t i = 0; i < PAGES; i++) {
		uint8_t *mem = self->vm.mem + DATA + i * PAGE;

		for (uint64_t j = 0; j < WORDS; j++)
			((uint64_t *)want)[j] = sev_guest_pattern(SEED, i * WORDS + j);
		encrypt_page(self, rmem_mapping_pfn(mem), want);
		EXPECT_NE(0, rmem_mapping_pfn(mem));
		EXPECT_EQ(0, memcmp(want, mem, PAGE)) TH_LOG("data, page %lu", i);
	}
}

TEST_HARNESS_MAIN
