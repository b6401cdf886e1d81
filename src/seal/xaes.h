#pragma once
/* XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-GCM with a nonce of 192 bits, so that a random nonce is safe for 2^80
 * messages under one key. It does not commit to its key: see record.h for why a record needs no commitment of its own.
 *
 * Pure CPU. One set of cipher contexts for the process, so one thread only; they keep the last keys that were used,
 * until xaes_forget. */
#include "base/str.h"

enum { XAES_KEY_BYTES = 32, XAES_NONCE_BYTES = 24, XAES_TAG_BYTES = 16, XAES_TEXT_MAX = 1 << 30 };

/* out takes plaintext.len + XAES_TAG_BYTES: the ciphertext, then the tag. plaintext.len <= XAES_TEXT_MAX. Never twice
 * the same nonce under the same key. */
void xaes_seal(const uint8_t key[XAES_KEY_BYTES], const uint8_t nonce[XAES_NONCE_BYTES], struct str aad,
               struct str plaintext, uint8_t *out);

/* out takes sealed.len - XAES_TAG_BYTES. False: it is not authentic (or too short), and out holds zeros. */
bool xaes_open(const uint8_t key[XAES_KEY_BYTES], const uint8_t nonce[XAES_NONCE_BYTES], struct str aad,
               struct str sealed, uint8_t *out) MUST_USE;

/* Wipes what the contexts still hold. Call it when a key is meant to be gone. */
void xaes_forget(void);
