#pragma once
/* Is the client of a token still a client? A token is good for minutes; who disables its client means now. So a gateway
 * asks for the client again: what was true CLIENT_WATCH_FRESH_MS ago is asked for anew, so that a disabled client is out
 * within a second where its cell answers. Where it does not, what was true CLIENT_WATCH_STALE_MS ago is good enough, and
 * nothing older: within seven seconds. One thread. */
#include "auth/client.h"
#include "auth/principal.h"

enum {
    CLIENT_WATCH_FRESH_MS = 300,
    CLIENT_WATCH_LATE_MS = 600, /* while another request asks for the same client */
    CLIENT_WATCH_STALE_MS = 5000,
    CLIENT_WATCH_ASK_MS = 1000, /* how long it waits for the answer */
};

struct client_watch;
/* Remembers at least some of `clients`; one that is forgotten is asked for. E_MEMORY. */
result client_watch_new(struct client_watch **ret, size_t clients) MUST_USE;
void client_watch_free(struct client_watch *watch); /* takes NULL */

/* How it asks: for the client of a principal. *ret_found is false for one that is not there; an error is one of the store
 * itself. */
typedef result client_ask(void *context, const struct principal *principal, struct client *ret,
                          bool *ret_found);

/* Waits, if it has to ask. E_UNAUTHENTICATED: there is no such client any more, it is disabled, or has another role or
 * customer than the token says. Errors of the store. */
result client_watch_confirm(struct client_watch *watch, const struct principal *principal, client_ask *ask,
                            void *context) MUST_USE;
