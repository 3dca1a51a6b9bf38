// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest owner's side of a SEV launch; see sev_crypto.h.
 */
#include <gcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev_crypto.h"

#define MEASURE_CONTEXT	0x04
#define SECRET_CONTEXT	0x01

_Static_assert(sizeof(struct sev_secret_header) == SEV_SECRET_HDR_LEN,
	       "the packet header of the SEV API has 52 bytes");

static bool key_from_environment(const char *name, uint8_t key[16])
{
	const char *hex = getenv(name);

	memset(key, 0, 16);
	if (!hex)
		return true;
	if (strlen(hex) != 32)
		return false;
	for (int i = 0; i < 16; i++) {
		if (sscanf(hex + 2 * i, "%2hhx", &key[i]) != 1)
			return false;
	}
	return true;
}

bool sev_crypto_init(struct sev_keys *keys)
{
	if (!gcry_check_version("1.8.0"))
		return false;
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	return key_from_environment("SEV_TIK", keys->tik) &&
	       key_from_environment("SEV_TEK", keys->tek);
}

void sev_digest(const struct sev_piece *pieces, unsigned int n, uint8_t digest[SEV_DIGEST_LEN])
{
	gcry_buffer_t buffers[8] = { 0 };

	for (unsigned int i = 0; i < n && i < 8; i++) {
		buffers[i].data = (void *)pieces[i].data;
		buffers[i].size = pieces[i].len;
		buffers[i].len = pieces[i].len;
	}
	gcry_md_hash_buffers(GCRY_MD_SHA256, 0, digest, buffers, n);
}

static bool hmac(const uint8_t key[16], const struct sev_piece *pieces, unsigned int n,
		 uint8_t mac[SEV_DIGEST_LEN])
{
	size_t len = SEV_DIGEST_LEN;
	gcry_mac_hd_t hd;
	bool ok;

	if (gcry_mac_open(&hd, GCRY_MAC_HMAC_SHA256, 0, NULL))
		return false;
	ok = !gcry_mac_setkey(hd, key, 16);
	for (unsigned int i = 0; i < n && ok; i++)
		ok = !gcry_mac_write(hd, pieces[i].data, pieces[i].len);
	ok = ok && !gcry_mac_read(hd, mac, &len);
	gcry_mac_close(hd);
	return ok;
}

bool sev_measurement(const struct sev_keys *keys, const struct sev_user_data_status *platform,
		     uint32_t policy, const uint8_t digest[SEV_DIGEST_LEN],
		     const uint8_t nonce[SEV_NONCE_LEN], uint8_t measure[SEV_DIGEST_LEN])
{
	uint8_t head[8] = {
		MEASURE_CONTEXT, platform->api_major, platform->api_minor, platform->build,
		policy, policy >> 8, policy >> 16, policy >> 24,
	};
	struct sev_piece pieces[] = {
		{ head, sizeof(head) }, { digest, SEV_DIGEST_LEN }, { nonce, SEV_NONCE_LEN },
	};

	return hmac(keys->tik, pieces, 3, measure);
}

static bool encrypt_ctr(const struct sev_keys *keys, const uint8_t iv[16], void *data, size_t len)
{
	gcry_cipher_hd_t hd;
	bool ok;

	if (gcry_cipher_open(&hd, GCRY_CIPHER_AES128, GCRY_CIPHER_MODE_CTR, 0))
		return false;
	ok = !gcry_cipher_setkey(hd, keys->tek, 16) && !gcry_cipher_setctr(hd, iv, 16) &&
	     !gcry_cipher_encrypt(hd, data, len, NULL, 0);
	gcry_cipher_close(hd);
	return ok;
}

bool sev_seal_secret(const struct sev_keys *keys, struct sev_secret_header *hdr, void *data,
		     uint32_t len, const uint8_t measure[SEV_DIGEST_LEN])
{
	uint8_t context = SECRET_CONTEXT;
	uint32_t lengths[2] = { len, len };	/* in the guest, in transport */
	struct sev_piece pieces[] = {
		{ &context, 1 }, { &hdr->flags, 4 }, { hdr->iv, 16 },
		{ lengths, sizeof(lengths) }, { data, len }, { measure, SEV_DIGEST_LEN },
	};

	return encrypt_ctr(keys, hdr->iv, data, len) && hmac(keys->tik, pieces, 6, hdr->mac);
}
