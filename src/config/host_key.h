#pragma once
/* The public key of an SSH host as it is pinned: "ssh-ed25519 AAAA...", as in /etc/ssh/ssh_host_ed25519_key.pub. */
#include "base/str.h"

enum { HOST_KEY_BLOB_BYTES = 51 }; /* string "ssh-ed25519", string of 32 bytes (RFC 8709) */

/* Two words, and a comment of printable letters behind them if there is one; nothing else is taken. */
bool host_key_parse(struct str line, uint8_t blob[HOST_KEY_BLOB_BYTES]) MUST_USE;
