#pragma once
/* The algorithms that a session may use: all that libssh2 1.10 has which is strong, and no other. docs/security.md says
 * why. What the server offers is compared before the key exchange, what was agreed on after it. */
#include "ssh/hello.h"

#include <libssh2.h>

/* E_INTERNAL: libssh2 does not know one of them, and would have gone on with its own, weaker list. */
result algorithms_prefer(LIBSSH2_SESSION *session) MUST_USE;

/* E_SSH names what the server offers instead. */
result algorithms_check_offer(const struct kexinit *offer) MUST_USE;
result algorithms_check_agreed(LIBSSH2_SESSION *session) MUST_USE;
