#pragma once
/* OAuth 2 clients in the cells of the region; for the files of api alone. */
#include "api/call.h"

/* Where client_authenticate looks: in all cells, since a client's id does not tell its customer. */
struct client_store clients_store(struct gateway *gateway);
