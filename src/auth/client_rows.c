#include "auth/client_rows.h"

enum { KIND, NAME, ROLE, SECRET, VERSION, DISABLED, PROOF }; /* columns of client_set_get */

static bool copy(char *to, size_t size, struct str from)
{
    size_t len = from.ptr != NULL ? from.len : 0;
    if (len >= size || (len > 0 && memchr(from.ptr, '\0', len) != NULL))
        return false;
    if (len > 0)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
    return true;
}

static bool copy_proof(uint8_t proof[CLIENT_PROOF_BYTES], bool *ret_has, struct str from)
{
    *ret_has = from.len == CLIENT_PROOF_BYTES;
    if (*ret_has)
        memcpy(proof, from.ptr, from.len);
    return *ret_has || from.len == 0;
}

static result malformed(struct str id)
{
    return FAIL(E_SCHEMA, "Find out who wrote the row: domicile did not.",
                "the cell holds a malformed client \"%.*s\"", id.len < 64 ? (int)id.len : 64,
                id.ptr != NULL ? id.ptr : "");
}

result client_from_reply(const struct pg_reply *reply, struct str id, struct client *ret, bool *ret_adopted)
{
    struct client client = { .role = role_from(pg_reply_str(reply, 0, 1)),
                             .disabled = pg_reply_number(reply, 0, 3) != 0,
                             .version = pg_reply_number(reply, 0, 4) };
    if (!copy(client.id, sizeof client.id, id) ||
        !copy(client.customer, sizeof client.customer, pg_reply_str(reply, 0, 0)) ||
        !copy(client.secret_hash, sizeof client.secret_hash, pg_reply_str(reply, 0, 2)) ||
        !copy_proof(client.proof, &client.has_proof, pg_reply_str(reply, 0, 5)) ||
        !role_is_grantable(client.role))
        return malformed(id);
    *ret_adopted = pg_reply_number(reply, 0, 6) != 0;
    *ret = client;
    return OK;
}

/* A row that no gateway can have written is one that is not proven: it stays in the set, and is found. */
static void take_client(const struct pg_reply *reply, size_t row, struct client_set *set)
{
    struct client *client = &set->clients[set->count++];
    *client = (struct client){ .role = role_from(pg_reply_str(reply, row, ROLE)),
                               .disabled = pg_reply_number(reply, row, DISABLED) != 0,
                               .version = pg_reply_number(reply, row, VERSION) };
    memcpy(client->customer, set->customer, sizeof client->customer);
    bool sound = copy(client->secret_hash, sizeof client->secret_hash, pg_reply_str(reply, row, SECRET)) &&
                 copy_proof(client->proof, &client->has_proof, pg_reply_str(reply, row, PROOF)) &&
                 role_is_grantable(client->role);
    if (!copy(client->id, sizeof client->id, pg_reply_str(reply, row, NAME)) || !sound)
        client->has_proof = false;
}

static bool take_set(const struct pg_reply *reply, size_t row, struct client_scope *scope)
{
    struct client_set *set = &scope->set;
    scope->is_here = !pg_reply_is_null(reply, row, ROLE);
    int64_t version = pg_reply_number(reply, row, VERSION);
    set->version = version > 0 ? version : 0;
    return copy(set->state, sizeof set->state, pg_reply_str(reply, row, ROLE)) &&
           copy_proof(set->proof, &set->has_proof, pg_reply_str(reply, row, PROOF));
}

static uint64_t key_version(const struct pg_reply *reply, size_t row)
{
    int64_t version = pg_reply_number(reply, row, VERSION);
    return version > 0 ? (uint64_t)version : 0;
}

result client_scope_from_reply(const struct pg_reply *reply, struct str customer, struct arena *arena,
                               struct client_scope *ret)
{
    size_t rows = pg_reply_rows(reply);
    struct client_scope scope = { .set.clients = arena_array(arena, struct client, rows + 1),
                                  .keys = arena_array(arena, struct client_scope_key, rows + 1),
                                  .alarms = arena_array(arena, struct client_scope_alarm, rows + 1) };
    if (!copy(scope.set.customer, sizeof scope.set.customer, customer))
        return malformed(customer);
    for (size_t i = 0; i < rows; i++) {
        struct str kind = pg_reply_str(reply, i, KIND), name = pg_reply_str(reply, i, NAME);
        if (str_is(kind, "client"))
            take_client(reply, i, &scope.set);
        else if (str_is(kind, "key"))
            scope.keys[scope.key_count++] =
                (struct client_scope_key){ arena_cstr(arena, name), key_version(reply, i) };
        else if (str_is(kind, "alarm"))
            scope.alarms[scope.alarm_count++] =
                (struct client_scope_alarm){ arena_cstr(arena, name),
                                             arena_cstr(arena, pg_reply_str(reply, i, SECRET)) };
        else if (!str_is(kind, "set") || !take_set(reply, i, &scope))
            return malformed(customer);
    }
    if (scope.set.count > CLIENT_SET_MAX)
        return FAIL(E_LIMIT, "Find out who wrote the rows: domicile did not.",
                    "the cell holds more than %d clients of \"%.*s\"", CLIENT_SET_MAX, STR_ARG(customer));
    *ret = scope;
    return OK;
}
