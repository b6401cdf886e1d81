#pragma once
/* The root key of a region: 32 random bytes that wrap every class key. It is in a file or comes from a command; it is
 * in locked memory while the gateway runs, and domicile keeps it nowhere else. If it is lost, the records are lost.
 *
 * What a provider gives is the 32 bytes as they are, or as text: 64 hexadecimal digits or 44 characters of base64, with
 * or without a line end. */
#include "base/secret.h"
#include "base/str.h"

enum {
    ROOTKEY_BYTES = 32,
    ROOTKEY_FINGERPRINT_SIZE = 33, /* 32 hexadecimal digits and a NUL */
};

struct root_key {
    struct secret secret;
};

/* E_KEY_PROVIDER says what is wrong. The file is regular, owned by this user or root, and nobody else may read or write
 * it (mode 0600 or 0400). */
result rootkey_load_file(const char *path, struct root_key *ret) MUST_USE;

/* Runs argv (argv[0] is an absolute path; NULL at the end; no shell) and reads the key from its standard output; its
 * standard input is empty, its standard error is ours. It must end with status 0 within within_ms, or it is killed with
 * its process group. Blocks the thread: at start, or by fiber_offload. E_KEY_PROVIDER. */
result rootkey_load_command(char *const argv[], uint64_t within_ms, struct root_key *ret) MUST_USE;

/* A new random key as hexadecimal text in a new file of mode 0600, on disk when this returns. E_CONFLICT: there is a
 * file already, and it is left alone; E_IO. */
result rootkey_generate_file(const char *path) MUST_USE;

void rootkey_free(struct root_key *key); /* wipes; takes an empty one */

/* What may be shown and stored: HKDF-SHA256 of the key, so it names the key and does not help to find it. */
void rootkey_fingerprint(const struct root_key *key, char text[ROOTKEY_FINGERPRINT_SIZE]);
