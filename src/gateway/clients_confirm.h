#pragma once
/* Is the client of a token that was verified still one, of the same customer and role (auth/client_watch.h)? */
#include "gateway/gateway.h"

/* Waits, if it has to ask. E_UNAUTHENTICATED: no. Errors of the cells. */
result clients_confirm(struct gateway *gateway, const struct principal *principal) MUST_USE;
