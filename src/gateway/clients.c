/* Clients are found, proven and changed. */
#include "gateway/clients.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/clients_internal.h"
#include "records/call.h"

#include <stdio.h>

static const char *const change_words[] = { [CLIENT_ADD] = "client-add",
                                            [CLIENT_CLAIMABLE] = "client-claimable",
                                            [CLIENT_CLAIM] = "client-claim",
                                            [CLIENT_REKEY] = "client-rekey",
                                            [CLIENT_DISABLE] = "client-disable" };

/* ---- changing ---- */

/* The change is made: a directory that does not answer only learns of it later, from the sweep. */
static void raise_mark(struct gateway *gateway, const struct record_shelf *shelf, int64_t version)
{
    char name[DIRECTORY_MARK_NAME_MAX + 1];
    uint64_t known;
    result r = clients_mark(gateway, clients_mark_name(shelf, name), (uint64_t)version, &known);
    if (failed(r))
        log_failure(LOG_WARNING, &r.error,
                    "the directory does not know of the change of clients yet; retrying later");
}

static result not_found(void)
{
    return FAIL(E_NOT_FOUND, NULL, "the customer has no such client, or the client is already disabled");
}

/* The changed client in the set: a new one, or the stored one with what changes. */
static result apply(struct gateway *gateway, struct client_set *set, enum client_change change,
                    const struct client *client, const char *before, struct client **ret)
{
    struct client *stored = client_set_find(set, str_from(client->id));
    if (change == CLIENT_ADD || change == CLIENT_CLAIMABLE) {
        if (stored != NULL)
            return FAIL(E_CONFLICT, "Try again.", "the client \"%s\" already exists", client->id);
        return client_set_add(set, client, ret);
    }
    if (stored == NULL || stored->disabled)
        return not_found();
    if (!client_is_proven(&gateway->client_keys, stored))
        return FAIL(E_STALE, "Find out who wrote the client: domicile did not.",
                    "the client \"%s\" is not proven", client->id);
    if (before != NULL && strcmp(stored->secret_hash, before) != 0)
        return FAIL(E_STALE, "Try again.", "the client \"%s\" was changed by another request", client->id);
    if (change == CLIENT_DISABLE)
        stored->disabled = true;
    else
        memcpy(stored->secret_hash, client->secret_hash, sizeof stored->secret_hash);
    *ret = stored;
    return OK;
}

static result put(const struct record_shelf *shelf, enum client_change change, const struct client *client,
                  int64_t expected, const struct client_set *set, bool *ret_stale)
{
    struct pg_value params[16] = { pg_text(shelf->store->region),
                                   pg_int8(shelf->epoch),
                                   shelf->customer.len == 0 ? pg_null() : pg_text(shelf->customer),
                                   pg_text(str_from(client->id)),
                                   pg_text(str_from(role_word(client->role))),
                                   pg_text(str_from(client->secret_hash)),
                                   pg_bool(client->disabled),
                                   pg_bytes(
                                       (struct str){ (const char *)client->proof, sizeof client->proof }),
                                   pg_int8(expected),
                                   pg_int8(set->version),
                                   pg_bytes((struct str){ (const char *)set->proof, sizeof set->proof }),
                                   pg_text(str_from(change_words[change])) };
    record_actor_params(shelf, params + 12);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_CLIENT_PUT, (struct str){ 0 }, params, COUNT(params), &reply);
    if (!failed(r)) {
        struct str outcome = pg_reply_str(&reply, 0, 0);
        *ret_stale = str_is(outcome, "stale");
        if (str_is(outcome, "exists"))
            r = FAIL(E_CONFLICT, "Try again.", "the client \"%s\" already exists", client->id);
        else if (str_is(outcome, "absent"))
            r = not_found();
        else if (!*ret_stale && !str_is(outcome, "done"))
            r = record_outcome_error(shelf, outcome);
    }
    pg_reply_done(&reply);
    return r;
}

/* One attempt: *ret_stale says that the set has changed since it was read. */
static result write_once(struct gateway *gateway, const struct record_shelf *shelf, enum client_change change,
                         struct client *client, const char *before, struct arena *arena, bool *ret_stale)
{
    struct client_scope scope;
    struct client *changed = NULL;
    char name[DIRECTORY_MARK_NAME_MAX + 1];
    uint64_t known = 0;
    TRY(clients_load(shelf, arena, &scope));
    TRY(clients_mark(gateway, clients_mark_name(shelf, name), 0, &known));
    if (scope.set.version == 0 && known == 0) {
        TRY(clients_adopt(gateway, shelf, &scope));
        *ret_stale = true;
        return OK;
    }
    int64_t expected = scope.set.version, version = client_set_version(&gateway->client_keys, &scope.set);
    TRY(apply(gateway, &scope.set, change, client, before, &changed));
    scope.set.version = ((uint64_t)version > known ? version : (int64_t)known) + 1;
    changed->version = scope.set.version;
    client_prove(&gateway->client_keys, changed);
    client_set_prove(&gateway->client_keys, &scope.set, scope.set.proof);
    TRY(put(shelf, change, changed, expected, &scope.set, ret_stale));
    if (!*ret_stale) {
        raise_mark(gateway, shelf, scope.set.version);
        *client = *changed;
    }
    return OK;
}

result clients_write(struct gateway *gateway, const struct record_shelf *shelf, enum client_change change,
                     struct client *client, const char *before)
{
    enum { ATTEMPTS = 16 };
    memset(client->customer, 0, sizeof client->customer);
    must(shelf->customer.len < sizeof client->customer);
    if (shelf->customer.len > 0)
        memcpy(client->customer, shelf->customer.ptr, shelf->customer.len);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct arena arena;
        bool stale = false;
        arena_init(&arena);
        result r = write_once(gateway, shelf, change, client, before, &arena, &stale);
        arena_done(&arena);
        if (failed(r) || !stale)
            return r;
    }
    return FAIL(E_BUSY, "Try again in a second.",
                "the clients of \"%.*s\" are being changed by many requests", STR_ARG(shelf->customer));
}

/* ---- finding ---- */

/* In one cell. A row from before there were proofs gets one first, where there has never been any; one that is not proven
 * is an alarm, and is not found. */
static result find_in_cell(struct gateway *gateway, struct record_cell *cell, struct str id,
                           struct client *ret, bool *ret_found)
{
    bool adopted = false;
    size_t alarms;
    TRY(clients_get(cell, id, ret, ret_found, &adopted));
    if (*ret_found && !adopted) {
        TRY(clients_check(gateway, cell, cell->epoch, str_from(ret->customer), &alarms));
        TRY(clients_get(cell, id, ret, ret_found, &adopted));
    }
    if (!*ret_found || client_is_proven(&gateway->client_keys, ret))
        return OK;
    *ret_found = false;
    return clients_check(gateway, cell, cell->epoch, str_from(ret->customer), &alarms);
}

/* If a cell does not answer, only its own clients cannot be found; a client that is found in no cell may be in that
 * one. */
static result find(struct gateway *gateway, struct str id, struct client *ret, struct record_cell **ret_cell,
                   bool *ret_found)
{
    result outcome = OK;
    *ret_found = false;
    for (size_t i = 0; i < gateway->store.cell_count && !*ret_found; i++) {
        *ret_cell = &gateway->store.cells[i];
        result r = find_in_cell(gateway, *ret_cell, id, ret, ret_found);
        TRY(fiber_check());
        if (failed(r)) {
            *ret_found = false;
            if (!failed(outcome))
                outcome = r;
        }
    }
    if (!*ret_found)
        *ret = (struct client){ 0 };
    return *ret_found ? OK : outcome;
}

static result not_a_client(void)
{
    return FAIL(E_CLIENT, "Check the client's id and secret; if the secret is lost, create a new client.",
                "the client is not known, or its secret is wrong");
}

/* ---- secrets ---- */

/* A secret from before there were proofs is good: from now on it is checked in a microsecond. Where that fails, it is tried
 * again at the next token. */
static void rekey(struct gateway *gateway, struct record_cell *cell, const struct client *client,
                  struct str secret)
{
    struct client changed = *client;
    struct record_shelf shelf =
        clients_shelf(gateway, cell, cell->epoch, str_from(client->customer), STR("token"));
    client_verifier_set(&gateway->client_keys, &changed, secret);
    result r = clients_write(gateway, &shelf, CLIENT_REKEY, &changed, client->secret_hash);
    if (failed(r) && r.error.code != E_STALE && r.error.code != E_CANCELLED)
        log_failure(LOG_WARNING, &r.error,
                    "the client \"%s\" keeps its old verifier; retrying at its next token", client->id);
}

static result check_secret(struct gateway *gateway, struct record_cell *cell, const struct client *client,
                           struct str secret, bool *ret_matches)
{
    switch (client_secret_kind(client)) {
    case CLIENT_SECRET_VERIFIER:
        *ret_matches = client_verifier_matches(&gateway->client_keys, client, secret);
        return OK;
    case CLIENT_SECRET_SCRYPT:
        TRY(client_verify_scrypt(&gateway->gate, client, secret, ret_matches));
        if (*ret_matches && !client->disabled)
            rekey(gateway, cell, client, secret);
        return OK;
    default:
        return OK;
    }
}

result clients_authenticate(struct gateway *gateway, struct str id, struct str secret, struct client *ret)
{
    struct record_cell *cell = NULL;
    bool found = false, matches = false;
    *ret = (struct client){ 0 };
    if (!str_is_id(id) || secret.len == 0 || secret.len > CLIENT_SECRET_MAX)
        return not_a_client();
    TRY(find(gateway, id, ret, &cell, &found));
    if (found)
        TRY(check_secret(gateway, cell, ret, secret, &matches));
    return matches && !ret->disabled ? OK : not_a_client();
}

/* ---- claims ---- */

result clients_claim(struct gateway *gateway, struct str id, struct str claim, struct str request,
                     char secret[CLIENT_SECRET_SIZE], struct client *ret)
{
    struct record_cell *cell = NULL;
    bool found = false;
    *ret = (struct client){ 0 };
    if (!str_is_id(id) || claim.len == 0 || claim.len > CLIENT_SECRET_MAX)
        return not_a_client();
    TRY(find(gateway, id, ret, &cell, &found));
    if (!found || ret->disabled || !client_claim_matches(ret, claim, clock_wall_ms()))
        return not_a_client();
    struct client claimed = *ret;
    struct record_shelf shelf = clients_shelf(gateway, cell, cell->epoch, str_from(ret->customer), request);
    shelf.actor.client = str_from(ret->id);
    shelf.actor.role = str_from(role_word(ret->role));
    shelf.actor.rule = STR("first-client-is-claimed");
    client_secret_new(secret);
    client_verifier_set(&gateway->client_keys, &claimed, (struct str){ secret, CLIENT_SECRET_SIZE - 1 });
    result r = clients_write(gateway, &shelf, CLIENT_CLAIM, &claimed, ret->secret_hash);
    if (failed(r))
        secret_wipe(secret, CLIENT_SECRET_SIZE);
    if (r.error.code == E_STALE || r.error.code == E_NOT_FOUND)
        return not_a_client();
    TRY(r);
    *ret = claimed;
    return OK;
}

/* The customer's client that waits for a claim, if it has no other. */
static result find_claimable(struct gateway *gateway, const struct record_shelf *shelf, struct client *ret,
                             bool *ret_found)
{
    struct arena arena;
    struct client_scope scope = { 0 };
    arena_init(&arena);
    result r = clients_load(shelf, &arena, &scope);
    for (size_t i = 0; i < scope.set.count && !failed(r); i++) {
        const struct client *client = &scope.set.clients[i];
        if (!client_is_proven(&gateway->client_keys, client))
            continue; /* also one from before there were proofs: it is adopted first */
        if (client_secret_kind(client) != CLIENT_SECRET_CLAIM) {
            r = FAIL(E_CONFLICT,
                     "Leave the claim out: a customer-admin of the customer makes further clients.",
                     "the customer \"%.*s\" has a client of its own", STR_ARG(shelf->customer));
        } else if (!client->disabled) {
            *ret = *client;
            *ret_found = true;
        }
    }
    arena_done(&arena);
    return r;
}

result clients_make_claimable(struct gateway *gateway, const struct record_shelf *shelf,
                              const char digest[CLIENT_CLAIM_HEX_SIZE], struct client *ret)
{
    struct client client = { .role = ROLE_CUSTOMER_ADMIN }, asked;
    char before[sizeof client.secret_hash];
    bool found = false;
    size_t alarms;
    TRY(clients_check(gateway, shelf->cell, shelf->epoch, shelf->customer, &alarms));
    TRY(find_claimable(gateway, shelf, &client, &found));
    int64_t until_s = clock_wall_ms() / 1000 + CLIENT_CLAIM_DAYS * INT64_C(86400);
    memcpy(before, client.secret_hash, sizeof before);
    asked = client;
    client_claim_set(&asked, digest, found ? client_claim_until_s(&client) : until_s);
    *ret = client;
    if (found && strcmp(asked.secret_hash, client.secret_hash) == 0 &&
        client_claim_until_s(&client) > clock_wall_ms() / 1000)
        return OK;
    client_claim_set(&client, digest, until_s);
    if (!found)
        client_id_new(client.id);
    TRY(clients_write(gateway, shelf, found ? CLIENT_REKEY : CLIENT_CLAIMABLE, &client,
                      found ? before : NULL));
    *ret = client;
    return OK;
}
