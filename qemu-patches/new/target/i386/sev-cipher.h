/*
 * Emulated SEV platform: the cipher of memory encryption.
 *
 * AES-128 in XTS mode, one data unit a 4 KiB page, numbered by its physical
 * page number: the tweak of each 16-byte block follows from its physical
 * address alone. The same bytes give other ciphertext at another address or
 * under another key; a changed bit of ciphertext garbles its block and no
 * other. Real parts use another tweak, which no software can tell.
 *
 * Locking: none; one cipher must not be used by two threads at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_CIPHER_H
#define TARGET_I386_SEV_CIPHER_H

#define SEV_CIPHER_KEY_LEN  32      /* of the data, then of the tweak */
#define SEV_CIPHER_BLOCK    16
#define SEV_CIPHER_PAGE     4096

typedef struct SevCipher SevCipher;

/* NULL: the library refuses the key. */
SevCipher *sev_cipher_new(const uint8_t key[SEV_CIPHER_KEY_LEN]);
void sev_cipher_free(SevCipher *c);

/*
 * Encrypt or decrypt what is or will be at [pa, pa + len), both multiples of
 * the block. @in and @out may be the same.
 */
void sev_cipher_crypt(SevCipher *c, uint64_t pa, const void *in, void *out,
                      size_t len, bool encrypt);

#endif
