/* Clients of the vendor's staff, in the cell. */
#include "cli/client_staff.h"

#include "auth/client_rows.h"
#include "base/clock.h"
#include "cli/cell.h"
#include "seal/rootkey_declared.h"

#include <stdio.h>

enum { ACTOR_PARAMS = 4 };
static void set_actor(struct pg_value *params)
{
    params[0] = pg_text(STR("domicile-admin"));
    params[1] = pg_text(str_from(role_word(ROLE_SYSTEM)));
    params[2] = pg_text(STR("cell-administrator")); /* in place of a rule: no policy is asked */
    params[3] = pg_text(STR("command-line"));
}

static result connect_region(const struct region *region, struct cell_facts *ret_facts, struct pg_conn **ret)
{
    const struct cell *cell = &region->cells[0]; /* a gateway looks for its clients in all cells */
    TRY(cell_ask(cell, ret_facts));
    if (ret_facts->stamp[0] == '\0')
        return FAIL(E_SCHEMA, "Run domicile cell migrate first.", "the cell \"%s/%s\" has no schema",
                    region->name.ptr, cell->name.ptr);
    return cell_connect(cell, ret);
}

static result load_staff(struct pg_conn *conn, const struct region *region, int64_t epoch,
                         struct arena *arena, struct client_set *ret)
{
    const struct pg_value params[] = { pg_text(region->name), pg_int8(epoch), pg_text(STR("")) };
    struct pg_reply reply = PG_REPLY_INIT;
    struct client_scope scope = { 0 };
    result r = pg_exec(conn,
                       "SELECT kind, name, role, secret_hash, version, disabled, proof "
                       "FROM domicile.client_set_get($1,$2,$3)",
                       params, COUNT(params), &reply);
    if (!failed(r))
        r = client_scope_from_reply(&reply, (struct str){ 0 }, arena, &scope);
    pg_reply_done(&reply);
    *ret = scope.set;
    return r;
}

static result unknown(const struct staff_client *staff)
{
    return FAIL(E_NOT_FOUND, "Run domicile client list: it shows the clients.",
                "there is no client \"%s\" of the staff in \"%s\", or it is disabled", staff->client.id,
                staff->region->name.ptr);
}

static result taken(const struct staff_client *staff)
{
    return FAIL(E_CONFLICT, "Choose another id.", "the client \"%s\" already exists in \"%s\"",
                staff->client.id, staff->region->name.ptr);
}

static result outcome_error(const struct staff_client *staff, struct str outcome)
{
    if (str_is(outcome, "done"))
        return OK;
    if (str_is(outcome, "exists"))
        return taken(staff);
    if (str_is(outcome, "absent"))
        return unknown(staff);
    if (str_is(outcome, "stale"))
        return FAIL(E_STALE, "Run the command again.",
                    "the staff's clients of \"%s\" are being changed by somebody else",
                    staff->region->name.ptr);
    if (str_is(outcome, "region"))
        return FAIL(E_REGION_STAMP, "Correct the cell's address in the region's file.",
                    "the cell of \"%s\" is stamped with another region", staff->region->name.ptr);
    return FAIL(E_SCHEMA, "Run domicile cell migrate, or install a newer domicile.",
                "the cell of \"%s\" answered \"%.*s\"", staff->region->name.ptr, STR_ARG(outcome));
}

static result put(struct pg_conn *conn, const struct staff_client *staff, int64_t epoch, int64_t expected,
                  const struct client_set *set, const struct client *client)
{
    struct pg_value params[15] = {
        pg_text(staff->region->name),
        pg_int8(epoch),
        pg_text(str_from(client->id)),
        pg_text(str_from(role_word(client->role))),
        pg_text(str_from(client->secret_hash)),
        pg_bool(client->disabled),
        pg_bytes((struct str){ (const char *)client->proof, sizeof client->proof }),
        pg_int8(expected),
        pg_int8(set->version),
        pg_bytes((struct str){ (const char *)set->proof, sizeof set->proof }),
        pg_text(staff->secret != NULL ? STR("client-add") : STR("client-disable"))
    };
    set_actor(params + 11);
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(
        conn,
        "SELECT outcome FROM domicile.staff_client_put($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)",
        params, COUNT(params), &reply);
    if (!failed(r))
        r = outcome_error(staff, pg_reply_str(&reply, 0, 0));
    pg_reply_done(&reply);
    return r;
}

/* The client in the set: a new one, or the stored one, disabled. */
static result change_set(const struct client_keys *keys, const struct staff_client *staff,
                         struct client_set *set, struct client **ret)
{
    struct client *stored = client_set_find(set, str_from(staff->client.id)), new = staff->client;
    int64_t version = client_set_version(keys, set);
    if (staff->secret != NULL) {
        if (stored != NULL)
            return taken(staff);
        client_verifier_set(keys, &new, str_from(staff->secret));
        TRY(client_set_add(set, &new, ret));
    } else {
        if (stored == NULL || stored->disabled)
            return unknown(staff);
        stored->disabled = true;
        *ret = stored;
    }
    (*ret)->version = set->version = version + 1;
    client_prove(keys, *ret);
    client_set_prove(keys, set, set->proof);
    return OK;
}

static bool all_are_proven(const struct client_keys *keys, const struct client_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (!client_is_proven(keys, &set->clients[i]))
            return false;
    return true;
}

static result write_bound(struct pg_conn *conn, const struct staff_client *staff, int64_t epoch,
                          const struct client_keys *keys)
{
    struct arena arena;
    struct client_set set;
    struct client *changed = NULL;
    arena_init(&arena);
    result r = load_staff(conn, staff->region, epoch, &arena, &set);
    int64_t expected = set.version;
    if (!failed(r) && expected == 0 && !all_are_proven(keys, &set))
        r = FAIL(E_UNAVAILABLE, "Start the region's gateway, which binds them, and run the command again.",
                 "the staff's clients of \"%s\" are not bound to the root key yet", staff->region->name.ptr);
    if (!failed(r))
        r = change_set(keys, staff, &set, &changed);
    if (!failed(r))
        r = put(conn, staff, epoch, expected, &set, changed);
    arena_done(&arena);
    return r;
}

result staff_client_write(void *arg)
{
    const struct staff_client *staff = arg;
    struct root_key root = { 0 };
    struct client_keys keys = { 0 };
    struct cell_facts facts = { 0 };
    struct pg_conn *conn = NULL;
    TRY(rootkey_load_declared(staff->region, &root));
    result r = client_keys_derive(&root, staff->region->name, &keys);
    rootkey_free(&root);
    TRY(r);
    r = connect_region(staff->region, &facts, &conn);
    if (!failed(r))
        r = write_bound(conn, staff, facts.epoch, &keys);
    pg_close(conn);
    client_keys_free(&keys);
    return r;
}

static json_t *time_json(const struct pg_reply *reply, size_t row, int column)
{
    if (pg_reply_is_null(reply, row, column))
        return json_null();
    char text[CLOCK_TEXT_SIZE];
    clock_format(pg_reply_unix_ms(reply, row, column), text);
    return json_string(text);
}

static json_t *text_json(const struct pg_reply *reply, size_t row, int column)
{
    struct str text = pg_reply_str(reply, row, column);
    return pg_reply_is_null(reply, row, column) ? json_null() : json_stringn(text.ptr, text.len);
}

static result list_pages(struct pg_conn *conn, json_t *list)
{
    enum { PAGE = 1000 };
    char after[64] = "";
    for (size_t rows = PAGE; rows == PAGE;) {
        const struct pg_value params[] = { pg_null(), pg_text(str_from(after)), pg_int4(PAGE) };
        struct pg_reply reply = PG_REPLY_INIT;
        TRY(pg_exec(conn,
                    "SELECT id, role, created_at, disabled_at, created_by, created_by_role FROM "
                    "domicile.client_page($1,$2,$3)",
                    params, 3, &reply));
        rows = pg_reply_rows(&reply);
        for (size_t i = 0; i < rows; i++) {
            struct str id = pg_reply_str(&reply, i, 0), role = pg_reply_str(&reply, i, 1);
            json_array_append_new(
                list, json_pack("{s:s%,s:s%,s:o,s:o,s:o,s:o}", "client_id", id.ptr, id.len, "role", role.ptr,
                                role.len, "created_at", time_json(&reply, i, 2), "disabled_at",
                                time_json(&reply, i, 3), "created_by", text_json(&reply, i, 4),
                                "created_by_role", text_json(&reply, i, 5)));
            snprintf(after, sizeof after, "%.*s", STR_ARG(id));
        }
        pg_reply_done(&reply);
    }
    return OK;
}

result staff_client_list(void *arg)
{
    const struct staff_client *client = arg;
    struct cell_facts facts = { 0 };
    struct pg_conn *conn = NULL;
    TRY(connect_region(client->region, &facts, &conn));
    result r = list_pages(conn, client->list);
    pg_close(conn);
    return r;
}
