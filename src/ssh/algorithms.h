#pragma once
/* The algorithms that a session may use: all strong ones of libssh2 1.10, and no others. docs/security.md says why. The
 * server's offer is checked before the key exchange, the negotiated algorithms after it. */
#include "ssh/hello.h"

#include <libssh2.h>

/* E_INTERNAL: libssh2 does not know one of them, and would use its own, weaker list. */
result algorithms_prefer(LIBSSH2_SESSION *session) MUST_USE;

/* E_SSH: the error names the algorithms that the server offers. */
result algorithms_check_offer(const struct kexinit *offer) MUST_USE;
result algorithms_check_agreed(LIBSSH2_SESSION *session) MUST_USE;
