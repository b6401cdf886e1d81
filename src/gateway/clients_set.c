/* The clients of a customer as a whole: what is read of them, and their first proof. */
#include "base/json.h"
#include "base/log.h"
#include "gateway/clients_internal.h"
#include "records/call.h"

#include <stdio.h>
#include <stdlib.h>

struct record_shelf clients_shelf(struct gateway *gateway, struct record_cell *cell, int64_t epoch,
                                  struct str customer, struct str request)
{
    return (struct record_shelf){ .store = &gateway->store,
                                  .cell = cell,
                                  .epoch = epoch,
                                  .customer = customer,
                                  .actor = { .client = STR("domicile"),
                                             .role = str_from(role_word(ROLE_SYSTEM)),
                                             .rule = STR("client-proofs"),
                                             .request = request } };
}

result clients_load(const struct record_shelf *shelf, struct arena *arena, struct client_scope *ret)
{
    const struct pg_value params[] = { pg_text(shelf->store->region), pg_int8(shelf->epoch),
                                       pg_text(shelf->customer) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, STATEMENT_CLIENT_SET, (struct str){ 0 }, params, COUNT(params), &reply);
    if (!failed(r))
        r = client_scope_from_reply(&reply, shelf->customer, arena, ret);
    pg_reply_done(&reply);
    return r;
}

struct str clients_mark_name(const struct record_shelf *shelf, char name[DIRECTORY_MARK_NAME_MAX + 1])
{
    int len = shelf->customer.len == 0
                  ? snprintf(name, DIRECTORY_MARK_NAME_MAX + 1, "staff/%.*s/%s",
                             STR_ARG(shelf->store->region), shelf->cell->name)
                  : snprintf(name, DIRECTORY_MARK_NAME_MAX + 1, "clients/%.*s", STR_ARG(shelf->customer));
    return (struct str){ name, (size_t)len };
}

result clients_mark(struct gateway *gateway, struct str name, uint64_t version, uint64_t *ret_version)
{
    struct deadline deadline;
    deadline_begin(&deadline, DIRECTORY_ASK_MS);
    result r = directory_mark(gateway->directory, name, version, ret_version);
    deadline_end(&deadline);
    return r;
}

result clients_ask_outcome(const struct record_shelf *shelf, enum statement statement,
                           const struct pg_value *params, size_t count, bool *ret_stale)
{
    struct pg_reply reply = PG_REPLY_INIT;
    result r = record_call(shelf, statement, (struct str){ 0 }, params, count, &reply);
    struct str outcome = failed(r) ? (struct str){ 0 } : pg_reply_str(&reply, 0, 0);
    if (!failed(r)) {
        *ret_stale = str_is(outcome, "stale");
        if (!*ret_stale && !str_is(outcome, "done"))
            r = record_outcome_error(shelf, outcome);
    }
    pg_reply_done(&reply);
    return r;
}

/* ---- the first proof ---- */

static char *hex_of(struct arena *arena, const uint8_t *bytes, size_t len)
{
    char *hex = arena_array(arena, char, 2 * len + 1);
    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return hex;
}

static result store_first(const struct record_shelf *shelf, const struct client_set *set, struct arena *arena,
                          bool *ret_stale)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < set->count; i++)
        json_array_append_new(rows, json_pack("{s:s,s:s}", "id", set->clients[i].id, "proof",
                                              hex_of(arena, set->clients[i].proof, CLIENT_PROOF_BYTES)));
    char *text = json_dumps(rows, JSON_COMPACT);
    json_decref(rows);
    must(text != NULL);
    struct pg_value params[10] = { pg_text(shelf->store->region),
                                   pg_int8(shelf->epoch),
                                   pg_text(shelf->customer.len == 0 ? STR("") : shelf->customer),
                                   pg_text(str_from(text)),
                                   pg_int8(set->version),
                                   pg_bytes((struct str){ (const char *)set->proof, sizeof set->proof }) };
    record_actor_params(shelf, params + 6);
    result r = clients_ask_outcome(shelf, STATEMENT_CLIENT_ADOPT, params, COUNT(params), ret_stale);
    free(text);
    return r;
}

result clients_adopt(struct gateway *gateway, const struct record_shelf *shelf,
                     const struct client_scope *scope)
{
    struct arena arena;
    struct client_set set = scope->set;
    char name[DIRECTORY_MARK_NAME_MAX + 1];
    uint64_t known;
    bool stale = false;
    arena_init(&arena);
    set.version = 1;
    for (size_t i = 0; i < set.count; i++) {
        set.clients[i].version = set.version;
        client_prove(&gateway->client_keys, &set.clients[i]);
    }
    client_set_prove(&gateway->client_keys, &set, set.proof);
    result r = store_first(shelf, &set, &arena, &stale);
    arena_done(&arena);
    TRY(r);
    if (!stale && set.count > 0)
        log_event(LOG_INFO, "cell \"%s\": %zu clients of \"%.*s\" are bound to the root key",
                  shelf->cell->name, set.count, STR_ARG(shelf->customer));
    return stale ? OK : clients_mark(gateway, clients_mark_name(shelf, name), 1, &known);
}

result clients_get(struct record_cell *cell, struct str id, struct client *ret, bool *ret_found,
                   bool *ret_adopted)
{
    const struct pg_value params[] = { pg_text(id) };
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_pool_call(cell->pool, STATEMENT_CLIENT_GET, 0, params, 1, &reply);
    *ret_found = !failed(r) && pg_reply_rows(&reply) == 1;
    if (*ret_found)
        r = client_from_reply(&reply, id, ret, ret_adopted);
    pg_reply_done(&reply);
    return r;
}
