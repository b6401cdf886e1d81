/* Synchronous replication, and the final verification. */
#include "cell/internal.h"

#include "base/text.h"
#include "loop/fiber.h"

#include <libpq-fe.h>
#include <stdio.h>

enum { VERIFY_WITHIN_MS = 20000, ASK_AGAIN_MS = 200 };

/* ---- waiting for standbys ---- */

/* synchronous_standby_names | the standbys that stream, with their state */
static const char waits_sql[] =
    "SELECT current_setting('synchronous_standby_names'), coalesce(string_agg(format('%s %s/%s', "
    "application_name,\n"
    "  state, sync_state), ', ' ORDER BY application_name), 'no standby'),\n"
    "  count(*) FILTER (WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum'))\n"
    " FROM pg_stat_replication WHERE application_name = ANY (string_to_array(:'standbys', ','));\n";

struct waiting {
    bool written;     /* its file has the right synchronous standbys */
    struct str names; /* synchronous_standby_names */
    struct str who;   /* streams */
    bool confirmed;   /* by one of them */
};

static result ask_waiting(const struct provisioning *p, const struct runbook_call *call, struct waiting *ret)
{
    const struct node *primary = p->cell->primary, *standbys[CELL_NODES_MAX];
    size_t count = standbys_that_stay(p, standbys);
    const char *names = "";
    struct host_fact facts[WAITING_FACTS + 1];
    struct str row;
    for (size_t i = 0; i < count; i++)
        names = arena_printf(call->arena, "%s%s%s", names, i > 0 ? "," : "", standbys[i]->name.ptr);
    const struct host_sql sql = { .text = waits_sql,
                                  .variables = { arena_printf(call->arena, "standbys=%s", names) } };
    waiting_facts(call->arena, primary, facts);
    TRY(host_sql_fact(p, call, primary, &sql, &facts[WAITING_FACTS]));
    TRY(host_ask(p->hosts, primary, call, facts, WAITING_FACTS + 1));
    TRY(host_sql_row(primary, &facts[WAITING_FACTS], &row));
    *ret = (struct waiting){ .written = waiting_is_written(p, call, facts) };
    str_cut(&row, '|', &ret->names);
    str_cut(&row, '|', &ret->who);
    ret->confirmed = !str_is(row, "0");
    return OK;
}

static const char *names_awaited(const struct provisioning *p, const struct runbook_call *call)
{
    const struct node *standbys[CELL_NODES_MAX];
    return conf_names(call->arena, standbys, standbys_awaited(p, standbys));
}

static const char *names_or_none(const struct waiting *waiting, const struct runbook_call *call)
{
    return waiting->names.len > 0 ? arena_cstr(call->arena, waiting->names) : "no standby";
}

static result primary_waits(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    const char *wanted = names_awaited(p, call);
    bool none = wanted[0] == '\0';
    struct waiting is;
    TRY(ask_waiting(p, call, &is));
    if (is.written && is.names.len == 0 && !none)
        runbook_answer(call, ret, false, "degraded: ALTER SYSTEM has made the cell asynchronous; %.*s",
                       STR_ARG(is.who));
    else
        runbook_answer(call, ret, is.written && str_is(is.names, wanted) && (none || is.confirmed),
                       "%s waits for %s; %.*s", p->cell->primary->name.ptr, names_or_none(&is, call),
                       STR_ARG(is.who));
    return OK;
}

static result let_primary_wait(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    TRY(configuration_put(p, call, p->cell->primary, p->cell->primary->paths.data, WAITS_FOR_STANDBYS));
    return configuration_load(p, call, p->cell->primary);
}

const struct runbook_step step_synchronous = {
    .id = "synchronous",
    .title = "Make replication synchronous",
    .question = "does the primary wait for standbys as declared, and does one confirm?",
    .ask = primary_waits,
    .act = let_primary_wait,
    .within_ms = SEC(60),
    .tries = 10,
};

/* ---- a standby that is removed ---- from the primary's configuration and from its HBA rules */

static result standby_is_out(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    struct waiting is;
    TRY(ask_waiting(p, call, &is));
    runbook_answer(call, ret, is.written && (is.names.len == 0 || str_is(is.names, names_awaited(p, call))),
                   "%s waits for %s", p->cell->primary->name.ptr, names_or_none(&is, call));
    return OK;
}

const struct runbook_step step_leave = {
    .id = "leave",
    .title = "Remove the standby from the primary's configuration",
    .question = "does the primary run without the standby in its configuration?",
    .ask = standby_is_out,
    .act = let_primary_wait,
    .within_ms = SEC(60),
    .tries = 3,
};

/* ---- verification ---- */

static const char lsn_sql[] = "SELECT pg_current_wal_flush_lsn();\n";
static const char replayed_sql[] = "SELECT pg_last_wal_replay_lsn() >= :'lsn'::pg_lsn,\n"
                                   "  (SELECT name FROM domicile.cell);\n";
static const char rules_sql[] = "SELECT count(*), count(*) FILTER (WHERE error IS NOT NULL OR NOT (\n"
                                "  type = 'local' AND auth_method = 'peer' OR type = 'hostssl' AND "
                                "auth_method = 'cert')) FROM pg_hba_file_rules;\n";

/* The standby has all that the primary had when it was asked; also checks the cell's stamp. */
static result has_what_primary_has(const struct provisioning *p, struct runbook_call *call,
                                   const struct node *node, enum answer *ret)
{
    struct str lsn, row, replayed = { 0 };
    const struct host_sql ask = { .text = lsn_sql };
    TRY(host_sql_look(p, call, p->cell->primary, &ask, &lsn));
    const struct host_sql sql = { .database = p->cell->database,
                                  .text = replayed_sql,
                                  .variables = { arena_printf(call->arena, "lsn=%.*s", STR_ARG(lsn)) } };
    struct deadline deadline;
    deadline_begin(&deadline, VERIFY_WITHIN_MS);
    result r;
    do {
        r = host_sql_look(p, call, node, &sql, &row);
        if (!failed(r) && str_cut(&row, '|', &replayed) && !str_is(replayed, "t"))
            r = fiber_sleep(ASK_AGAIN_MS);
    } while (!failed(r) && !str_is(replayed, "t"));
    deadline_end(&deadline);
    if (failed(r) && r.error.code == E_DEADLINE && !failed(fiber_check())) {
        runbook_answer(call, ret, false, "%s: it has not replayed %.*s", node->name.ptr, STR_ARG(lsn));
        return OK;
    }
    TRY(r);
    runbook_answer(call, ret, str_is(row, p->cell->name.ptr), "%s: replayed %.*s, stamp \"%.*s\"",
                   node->name.ptr, STR_ARG(lsn), STR_ARG(row));
    return OK;
}

/* A client without the right certificate, with libpq's blocking calls: on another thread. */
struct knock {
    const struct cell *cell;
    const struct node *node;
    const char *sslmode;
    char port[8];
    bool refused;
    char words[512];
};

static void knock(void *arg)
{
    struct knock *at = arg;
    static const char *const names[] = { "host",    "port",   "dbname",   "user",       "sslmode",
                                         "sslcert", "sslkey", "passfile", "gssencmode", "connect_timeout",
                                         NULL };
    const char *values[] = { at->node->address,
                             at->port,
                             at->cell->database,
                             "domicile_gateway",
                             at->sslmode,
                             "/dev/null/none",
                             "/dev/null/none",
                             "/dev/null/none",
                             "disable",
                             "5",
                             NULL };
    PGconn *conn = PQconnectdbParams(names, values, 0);
    const char *words = conn == NULL ? "not enough memory" : PQerrorMessage(conn);
    at->refused = conn != NULL && PQstatus(conn) == CONNECTION_BAD && strstr(words, "FATAL:") != NULL;
    text_fit(at->words, sizeof at->words, "%.*s", (int)strcspn(words, "\n"), words);
    PQfinish(conn);
}

static result refuses(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                      const char *sslmode, const char *who, enum answer *ret)
{
    struct knock at = { .cell = p->cell, .node = node, .sslmode = sslmode };
    snprintf(at.port, sizeof at.port, "%u", node->port);
    TRY(fiber_offload(knock, &at));
    if (!at.refused)
        runbook_answer(call, ret, false, "%s: a client without %s is not refused: %s", node->name.ptr, who,
                       at.words);
    return OK;
}

static result has_closed_door(const struct provisioning *p, struct runbook_call *call,
                              const struct node *node, enum answer *ret)
{
    const struct host_sql sql = { .text = rules_sql };
    struct str row, count = { 0 };
    TRY(host_sql_look(p, call, node, &sql, &row));
    str_cut(&row, '|', &count);
    const char *wanted = arena_printf(call->arena, "%zu", conf_hba_rules(p->cell, p->leaving));
    runbook_answer(call, ret, true, "%s: %.*s HBA rules, all with certificates over TLS", node->name.ptr,
                   STR_ARG(count));
    if (!str_is(count, wanted) || !str_is(row, "0"))
        runbook_answer(call, ret, false, "%s: %.*s HBA rules, %.*s of them wrong; %s are expected",
                       node->name.ptr, STR_ARG(count), STR_ARG(row), wanted);
    if (*ret == ANSWER_YES)
        TRY(refuses(p, call, node, "disable", "TLS", ret));
    if (*ret == ANSWER_YES)
        TRY(refuses(p, call, node, "require", "a certificate", ret));
    return OK;
}

static result cell_is_verified(void *context, struct runbook_call *call, enum answer *ret)
{
    TRY(ask_nodes(context, call, MEANT_ALL, has_closed_door, ret));
    if (*ret != ANSWER_YES)
        return OK;
    const char *rules = arena_cstr(call->arena, str_from(call->evidence));
    TRY(ask_nodes(context, call, MEANT_STANDBYS, has_what_primary_has, ret));
    const char *copies = arena_cstr(call->arena, str_from(call->evidence));
    runbook_answer(call, ret, *ret == ANSWER_YES, "%s; %s", copies, rules);
    return OK;
}

const struct runbook_step step_verify = {
    .id = "verify",
    .title = "Verify the copies and the HBA rules",
    .question = "do the standbys have all data, and are other clients refused?",
    .ask = cell_is_verified,
    .within_ms = SEC(60),
    .tries = 3,
};
