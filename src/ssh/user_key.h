#pragma once
/* The user's private key. */
#include "base/secret.h"
#include "base/str.h"

enum { USER_KEY_BYTES_MAX = 2048 };

/* Blocks on the disk: by fiber_offload. The file's text, when it is an OpenSSH Ed25519 key without a passphrase. E_CONFIG:
 * it is not, or its mode is other than 0600 or 0400, or it belongs to another user. The caller frees. */
result user_key_load(const char *path, struct secret *ret, size_t *ret_len) MUST_USE;

/* E_CONFIG says what it is instead. `from` names it. */
result user_key_check(struct str text, const char *from) MUST_USE;
