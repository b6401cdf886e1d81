/* Whether clients and keys are as the gateways left them: who can write a cell's tables has no root key, and shows. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/clients_internal.h"
#include "records/call.h"
#include "records/keys.h"

#include <stdio.h>

enum {
    ALARMS_MAX = 100, /* of a customer */
    PAGE = 100,
    SHARE = 50, /* of the time of one processor, at most a fiftieth */
    PAUSE_MS = 20 * 1000,
    PAUSE_MIN_MS = 10,
};

/* ---- what does not hold ---- */

struct findings {
    struct client_scope_alarm items[ALARMS_MAX];
    size_t count;
    struct arena *arena;
};

static void find(struct findings *findings, const char *subject, const char *evidence)
{
    if (findings->count < ALARMS_MAX)
        findings->items[findings->count++] = (struct client_scope_alarm){ subject, evidence };
}

static void look_at_rows(struct gateway *gateway, const struct client_set *set, struct findings *findings)
{
    for (size_t i = 0; i < set->count; i++)
        if (!client_is_proven(&gateway->client_keys, &set->clients[i]))
            find(findings, arena_printf(findings->arena, "client %.63s", set->clients[i].id),
                 "its row was written or changed by somebody who does not have the root key; it gets no "
                 "token");
}

static void find_older(struct findings *findings, const char *subject, uint64_t version, uint64_t known)
{
    find(
        findings, subject,
        arena_printf(
            findings->arena,
            "version %llu is here, and there has been a version %llu: rows were put back, as after a restore",
            (unsigned long long)version, (unsigned long long)known));
}

/* The directory learns of a newer version only from what a gateway has written: a mark never goes back. */
static result look_at_set(struct gateway *gateway, const struct record_shelf *shelf,
                          const struct client_set *set, struct findings *findings)
{
    char name[DIRECTORY_MARK_NAME_MAX + 1];
    uint64_t known = 0, version = (uint64_t)set->version;
    bool proven = client_set_is_proven(&gateway->client_keys, set);
    TRY(clients_mark(gateway, clients_mark_name(shelf, name), proven ? version : 0, &known));
    if (!proven)
        find(findings, "clients",
             "the list of clients is not as a gateway left it: rows are missing, or were put back");
    if (known > version)
        find_older(findings, "list of clients", version, known);
    return OK;
}

/* What is newer than the directory knows counts once it opens under the root key. */
static result look_at_key(struct gateway *gateway, struct record_shelf shelf,
                          const struct client_scope_key *key, struct findings *findings)
{
    char name[DIRECTORY_MARK_NAME_MAX + 1];
    uint64_t known = 0;
    uint32_t opened = 0;
    int len = snprintf(name, sizeof name, "key/%.*s/%.63s", STR_ARG(shelf.customer), key->class);
    const struct str mark = { name, (size_t)len };
    TRY(clients_mark(gateway, mark, 0, &known));
    if (key->version > known) {
        shelf.class = str_from(key->class);
        result r = record_key_ask_current(&shelf, &opened);
        if (r.error.code == E_SEAL || r.error.code == E_SCHEMA)
            find(findings, arena_printf(findings->arena, "key of class %.63s", key->class),
                 "its current version does not open under the region's root key");
        else
            TRY(r);
        TRY(clients_mark(gateway, mark, failed(r) ? 0 : opened, &known));
    }
    if (known > key->version)
        find_older(findings, arena_printf(findings->arena, "key of class %.63s", key->class), key->version,
                   known);
    return OK;
}

static result look(struct gateway *gateway, const struct record_shelf *shelf,
                   const struct client_scope *scope, struct findings *findings)
{
    findings->count = 0;
    look_at_rows(gateway, &scope->set, findings);
    TRY(look_at_set(gateway, shelf, &scope->set, findings));
    for (size_t i = 0; i < scope->key_count; i++)
        TRY(look_at_key(gateway, *shelf, &scope->keys[i], findings));
    return OK;
}

static bool is_on_record(const struct client_scope *scope, const struct findings *findings)
{
    if (scope->alarm_count != findings->count)
        return false;
    for (size_t i = 0; i < findings->count; i++) {
        bool found = false;
        for (size_t j = 0; j < scope->alarm_count && !found; j++)
            found = strcmp(scope->alarms[j].subject, findings->items[i].subject) == 0;
        if (!found)
            return false;
    }
    return true;
}

static result record(struct gateway *gateway, const struct record_shelf *shelf,
                     const struct findings *findings)
{
    json_t *rows = json_array();
    bool stale;
    for (size_t i = 0; i < findings->count; i++) {
        const struct client_scope_alarm *item = &findings->items[i];
        json_array_append_new(rows,
                              json_pack("{s:s,s:s}", "subject", item->subject, "evidence", item->evidence));
        gateway->counters.alarms++;
        log_event(LOG_ALARM, "cell \"%s\", customer \"%.*s\", %s: %s", shelf->cell->name,
                  STR_ARG(shelf->customer), item->subject, item->evidence);
    }
    char *text = json_dumps(rows, JSON_COMPACT);
    json_decref(rows);
    must(text != NULL);
    const struct pg_value params[] = { pg_text(shelf->store->region), pg_int8(shelf->epoch),
                                       pg_text(shelf->customer.len == 0 ? STR("") : shelf->customer),
                                       pg_text(str_from(text)) };
    result r = clients_ask_outcome(shelf, STATEMENT_CLIENT_ALARMS, params, COUNT(params), &stale);
    free(text);
    return r;
}

/* ---- one customer ---- */

static result check(struct gateway *gateway, const struct record_shelf *shelf, struct arena *arena,
                    size_t *ret_alarms)
{
    struct client_scope scope;
    char name[DIRECTORY_MARK_NAME_MAX + 1];
    uint64_t known;
    TRY(clients_load(shelf, arena, &scope));
    if (!scope.is_here)
        return OK; /* it is being onboarded, or leaves */
    if (scope.set.version == 0) {
        TRY(clients_mark(gateway, clients_mark_name(shelf, name), 0, &known));
        if (known == 0) {
            TRY(clients_adopt(gateway, shelf, &scope));
            TRY(clients_load(shelf, arena, &scope));
        }
    }
    struct findings *findings = arena_new(arena, struct findings);
    *findings = (struct findings){ .arena = arena };
    TRY(look(gateway, shelf, &scope, findings));
    if (!is_on_record(
            &scope,
            findings)) { /* or somebody changed it between the two looks, at the cell and at the mark */
        TRY(clients_load(shelf, arena, &scope));
        TRY(look(gateway, shelf, &scope, findings));
    }
    *ret_alarms = findings->count;
    return is_on_record(&scope, findings) ? OK : record(gateway, shelf, findings);
}

result clients_check(struct gateway *gateway, struct record_cell *cell, int64_t epoch, struct str customer,
                     size_t *ret_alarms)
{
    struct arena arena;
    const struct record_shelf shelf = clients_shelf(gateway, cell, epoch, customer, STR("sweep"));
    arena_init(&arena);
    *ret_alarms = 0;
    result r = check(gateway, &shelf, &arena, ret_alarms);
    arena_done(&arena);
    return r;
}

/* ---- all of them ---- */

struct sweep {
    struct gateway *gateway;
    uint64_t checked, failed;
    result first_failure;
};

static result check_and_rest(struct sweep *sweep, struct record_cell *cell, int64_t epoch,
                             struct str customer)
{
    uint64_t begun = clock_monotonic_ns();
    size_t alarms;
    result r = clients_check(sweep->gateway, cell, epoch, customer, &alarms);
    TRY(fiber_check());
    sweep->checked++;
    if (failed(r) && sweep->failed++ == 0)
        sweep->first_failure = r;
    uint64_t rest_ms = SHARE * (clock_monotonic_ns() - begun) / 1000000;
    return fiber_sleep(rest_ms > PAUSE_MIN_MS ? rest_ms : PAUSE_MIN_MS);
}

static result check_page(struct sweep *sweep, const struct directory_page *page)
{
    struct record_store *store = &sweep->gateway->store;
    for (size_t i = 0; i < page->count; i++) {
        const struct directory_entry *entry = &page->entries[i];
        struct record_cell *cell = record_store_cell(store, entry->cell);
        if (str_eq(entry->region, store->region) && entry->state == CUSTOMER_ACTIVE && cell != NULL)
            TRY(check_and_rest(sweep, cell, entry->epoch, entry->id));
    }
    return OK;
}

static result check_customers(struct sweep *sweep)
{
    char after[DIRECTORY_NAME_MAX + 1] = "";
    for (bool more = true; more;) {
        struct arena arena;
        struct directory_page page = { 0 };
        arena_init(&arena);
        result r = directory_list(sweep->gateway->directory, &arena, str_from(after), PAGE, &page);
        if (!failed(r))
            r = check_page(sweep, &page);
        more = page.more;
        if (page.count > 0)
            snprintf(after, sizeof after, "%.*s", STR_ARG(page.entries[page.count - 1].id));
        arena_done(&arena);
        TRY(r);
    }
    return OK;
}

static result check_all(struct sweep *sweep)
{
    struct record_store *store = &sweep->gateway->store;
    for (size_t i = 0; i < store->cell_count; i++)
        if (store->cells[i].epoch != 0) /* it has been connected */
            TRY(check_and_rest(sweep, &store->cells[i], store->cells[i].epoch, (struct str){ 0 }));
    return check_customers(sweep);
}

void gateway_check_clients(void *arg)
{
    for (;;) {
        struct sweep sweep = { .gateway = arg, .first_failure = OK };
        result r = check_all(&sweep);
        if (failed(fiber_check()))
            return;
        if (failed(r) || sweep.failed > 0)
            log_failure(LOG_WARNING, failed(r) ? &r.error : &sweep.first_failure.error,
                        "%llu of %llu checks of clients failed; retrying later",
                        (unsigned long long)sweep.failed, (unsigned long long)sweep.checked);
        if (failed(fiber_sleep(PAUSE_MS)))
            return;
    }
}
