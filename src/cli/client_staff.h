#pragma once
/* Clients of the vendor's staff: rows of the region's cell, bound to its root key, so that whoever makes one may read the key
 * and is domicile_admin. */
#include "auth/client.h"
#include "base/json.h"
#include "config/config.h"

struct staff_client {
    const struct region *region;
    struct client client; /* id and role */
    const char *secret;   /* of a new client; NULL: the client is disabled */
    json_t *list;         /* what staff_client_list appends to */
};

/* Both wait, for cli_on_loop: the argument is a struct staff_client. E_CONFLICT: the id is taken; E_NOT_FOUND; E_STALE:
 * somebody else changed the staff's clients at the same time; E_KEY_PROVIDER, and the errors of the cell. */
result staff_client_write(void *staff_client);
result staff_client_list(void *staff_client);
