/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest owner's side of a SEV launch, computed with libgcrypt: the launch
 * digest, the measurement, and secret packets.
 *
 * A platform that is launched without a session uses keys that the test has to
 * know. They are all zero unless the environment says otherwise: SEV_TIK and
 * SEV_TEK, 32 hexadecimal digits each.
 */
#ifndef SELFTEST_KVM_SEV_CRYPTO_H
#define SELFTEST_KVM_SEV_CRYPTO_H

#include <linux/psp-sev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEV_DIGEST_LEN		32
#define SEV_NONCE_LEN		16
#define SEV_SECRET_HDR_LEN	52

struct sev_keys {
	uint8_t tik[16];	/* integrity: HMAC */
	uint8_t tek[16];	/* transport: AES-128-CTR */
};

/* A buffer that is part of what is digested. */
struct sev_piece {
	const void *data;
	size_t len;
};

/* flags, IV and MAC, as LAUNCH_UPDATE_SECRET wants them. */
struct sev_secret_header {
	uint32_t flags;
	uint8_t iv[16];
	uint8_t mac[SEV_DIGEST_LEN];
};

bool sev_crypto_init(struct sev_keys *keys);
void sev_digest(const struct sev_piece *pieces, unsigned int n, uint8_t digest[SEV_DIGEST_LEN]);
/* What LAUNCH_MEASURE has to return for @digest, given the nonce it chose. */
bool sev_measurement(const struct sev_keys *keys, const struct sev_user_data_status *platform,
		     uint32_t policy, const uint8_t digest[SEV_DIGEST_LEN],
		     const uint8_t nonce[SEV_NONCE_LEN], uint8_t measure[SEV_DIGEST_LEN]);
/* Encrypt @data in place and fill the header. */
bool sev_seal_secret(const struct sev_keys *keys, struct sev_secret_header *hdr, void *data,
		     uint32_t len, const uint8_t measure[SEV_DIGEST_LEN]);

#endif /* SELFTEST_KVM_SEV_CRYPTO_H */
