#include "auth/client_watch.h"

#include "base/clock.h"
#include "base/secret.h"
#include "base/siphash.h"

#include <stdlib.h>

/* A client has one place; of two that share it, one is asked for more often. */
struct known {
    struct principal as; /* what was true of it */
    uint64_t asked_ns;   /* when it was, at the latest: before the question; 0: nothing is known */
    uint64_t asking_ns;  /* somebody asks since; 0: nobody */
};

struct client_watch {
    struct siphash_key key;
    size_t mask;
    struct known *known;
};

result client_watch_new(struct client_watch **ret, size_t clients)
{
    size_t places = 1;
    while (places < clients)
        places *= 2;
    struct client_watch *watch = calloc(1, sizeof *watch);
    struct known *known = calloc(places, sizeof *known);
    if (watch == NULL || known == NULL) {
        free(watch);
        free(known);
        return FAIL(E_MEMORY, NULL, "not enough memory for %zu clients", clients);
    }
    watch->mask = places - 1;
    watch->known = known;
    random_bytes(&watch->key, sizeof watch->key);
    *ret = watch;
    return OK;
}

void client_watch_free(struct client_watch *watch)
{
    if (watch == NULL)
        return;
    free(watch->known);
    free(watch);
}

/* Tokens of other times say the same of their client. */
static bool is_of(const struct known *known, const struct principal *principal)
{
    return known->asked_ns != 0 && strcmp(known->as.client, principal->client) == 0 &&
           strcmp(known->as.customer, principal->customer) == 0 && known->as.role == principal->role;
}

static bool is_younger(uint64_t since_ns, uint64_t now_ns, uint64_t ms)
{
    return now_ns - since_ns < ms * 1000000;
}

static bool is_silence(enum error_code code)
{
    return code == E_UNAVAILABLE || code == E_DEADLINE || code == E_BUSY || code == E_DRAINING;
}

static result refuse(const struct principal *principal)
{
    return FAIL(E_UNAUTHENTICATED, "Use a client that is not disabled.",
                "the client \"%s\" of the token is disabled", principal->client);
}

static result ask_now(const struct principal *principal, client_ask *ask, void *context)
{
    struct client client = { 0 };
    bool found = false;
    struct deadline deadline;
    deadline_begin(&deadline, CLIENT_WATCH_ASK_MS);
    result r = ask(context, principal, &client, &found);
    deadline_end(&deadline);
    secret_wipe(client.secret_hash, sizeof client.secret_hash);
    TRY(r);
    bool holds = found && !client.disabled && client.role == principal->role &&
                 strcmp(client.customer, principal->customer) == 0;
    return holds ? OK : refuse(principal);
}

/* While it was asked for, another client may have taken the place, or the same have been found out. */
static void note(struct known *known, const struct principal *principal, uint64_t asked_ns, result r)
{
    if (known->asking_ns == asked_ns)
        known->asking_ns = 0;
    if (!failed(r) && known->asked_ns < asked_ns) {
        known->as = *principal;
        known->asked_ns = asked_ns;
    } else if (r.error.code == E_UNAUTHENTICATED && is_of(known, principal)) {
        known->asked_ns = 0;
    }
}

result client_watch_confirm(struct client_watch *watch, const struct principal *principal, client_ask *ask,
                            void *context)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t hash =
        siphash(&watch->key, (struct str){ principal->client, strlen(principal->client) }).words[0];
    struct known *known = &watch->known[hash & watch->mask];
    bool asked = known->asking_ns != 0 && is_younger(known->asking_ns, now_ns, CLIENT_WATCH_LATE_MS);
    if (is_of(known, principal) &&
        is_younger(known->asked_ns, now_ns, asked ? CLIENT_WATCH_LATE_MS : CLIENT_WATCH_FRESH_MS))
        return OK;
    known->asking_ns = now_ns;
    result r = ask_now(principal, ask, context);
    TRY(fiber_check());
    note(known, principal, now_ns, r);
    if (is_silence(r.error.code) && is_of(known, principal) &&
        is_younger(known->asked_ns, clock_monotonic_ns(), CLIENT_WATCH_STALE_MS))
        return OK;
    return r;
}
