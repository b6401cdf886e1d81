/* Rounds: every question to every node, and the findings that begin or end. */
#include "watch/watch_internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

struct cell_watch *cell_watch_new(const struct config *config, const struct cell *cell)
{
    struct cell_watch *watch = calloc(1, sizeof *watch);
    must(watch != NULL);
    watch->nodes = calloc(cell->node_count, sizeof watch->nodes[0]);
    must(watch->nodes != NULL);
    watch->node_count = cell->node_count;
    for (size_t i = 0; i < cell->node_count; i++) {
        watch->nodes[i].node = &cell->nodes[i];
        watch_log_init(&watch->nodes[i].log);
    }
    watch_known_init(&watch->known, config, cell);
    arena_init(&watch->arena);
    return watch;
}

void cell_watch_guard(struct cell_watch *watch, bool (*get)(void *context, struct watch_lease *ret),
                      void *context)
{
    watch->lease = get;
    watch->lease_context = context;
}

bool watch_may_act(const struct cell_watch *watch, struct watch_lease *ret)
{
    *ret = (struct watch_lease){ .writer = "" };
    return watch->lease == NULL || watch->lease(watch->lease_context, ret);
}

void cell_watch_tell(struct cell_watch *watch, void (*told)(void *context, const struct watch_event *event),
                     void *context)
{
    watch->findings.told = told;
    watch->findings.told_context = context;
}

void cell_watch_free(struct cell_watch *watch)
{
    if (watch == NULL)
        return;
    for (size_t i = 0; i < watch->node_count; i++)
        watch_log_done(&watch->nodes[i].log);
    watch_known_done(&watch->known);
    watch_findings_done(&watch->findings);
    watch_sealed_done(&watch->sealed);
    arena_done(&watch->arena);
    free(watch->nodes);
    free(watch);
}

struct watch_node *watch_node_of(struct cell_watch *watch, const struct node *node)
{
    for (size_t i = 0; i < watch->node_count; i++)
        if (watch->nodes[i].node == node)
            return &watch->nodes[i];
    must(!"a node of this cell");
    return NULL;
}

void watch_note(struct cell_watch *watch, const struct watch_channel *channel, const char *label,
                struct str subject, struct str evidence, int64_t at_ms)
{
    struct held_finding *held =
        watch_see(&watch->findings, channel, str_from(label), subject, evidence, at_ms);
    if (held != NULL)
        held->seen_at = watch->clock;
}

void watch_blind(struct cell_watch *watch, const char *label, const char *subject, const char *evidence)
{
    watch_note(watch, watch_channel_named(STR("blind")), label, str_from(subject), str_from(evidence),
               clock_wall_ms());
}

/* ---- one question ---- */

static result note_rows(struct cell_watch *watch, const struct watch_query *query, const char *label,
                        const struct pg_reply *reply)
{
    for (size_t row = 0; row < pg_reply_rows(reply); row++) {
        const struct watch_channel *channel = watch_channel_named(pg_reply_str(reply, row, 0));
        if (channel == NULL)
            return FAIL(E_INTERNAL, NULL, "the question \"%s\" names the channel \"%.*s\"", query->name,
                        STR_ARG(pg_reply_str(reply, row, 0)));
        watch_note(watch, channel, label, pg_reply_str(reply, row, 1), pg_reply_str(reply, row, 2),
                   clock_wall_ms());
    }
    return OK;
}

/* $1: what is declared; $2: the shipped schema. */
static result ask(struct cell_watch *watch, const char *sql, struct pg_conn *conn, struct pg_reply *reply)
{
    const struct pg_value params[] = { pg_text(str_from(watch->known.json)),
                                       pg_text(str_from(watch_text_shipped)) };
    const char *statement = strchr(sql, '\n') + 1;
    size_t count = strstr(sql, "$2::") != NULL ? 2 : strstr(sql, "$1::") != NULL ? 1 : 0;
    return pg_exec(conn, statement, params, count, reply);
}

static result ask_query(struct cell_watch *watch, struct watch_node *node, size_t i, struct pg_conn *conn)
{
    const struct watch_query *query = &watch_queries[i];
    struct pg_reply reply = PG_REPLY_INIT;
    result r = ask(watch, query->sql, conn, &reply);
    if (failed(r)) {
        if (r.error.code != E_SQL)
            return r;
        watch_blind(watch, node->node->name.ptr, query->name, r.error.what);
        return OK;
    }
    node->asked[i] = true;
    r = note_rows(watch, query,
                  query->where == WATCH_ONCE ? watch->known.cell->name.ptr : node->node->name.ptr, &reply);
    pg_reply_done(&reply);
    return r;
}

/* ---- one node ---- */

static result read_facts(struct watch_node *node, struct pg_conn *conn)
{
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_run_script(conn, watch_text_begin));
    TRY(pg_exec(conn, watch_text_facts, NULL, 0, &reply));
    node->writable = pg_reply_number(&reply, 0, 0) == 0;
    snprintf(node->system_identifier, sizeof node->system_identifier, "%.*s",
             STR_ARG(pg_reply_str(&reply, 0, 1)));
    pg_reply_done(&reply);
    return OK;
}

static void note_unresolved(struct cell_watch *watch, struct watch_node *node)
{
    static const char refused_before[] = "the server refused it in the round before";
    for (size_t i = 0; i < watch->known.unresolved_count; i++)
        watch_blind(watch, node->node->name.ptr, watch->known.unresolved[i],
                    "the name does not resolve: clients from that host count as undeclared");
    /* Until they are asked again, after the sweep. */
    if (node->sever_refused)
        watch_blind(watch, node->node->name.ptr, WATCH_SEVER_REFUSED, refused_before);
    if (node->recording_refused)
        watch_blind(watch, node->node->name.ptr, WATCH_RECORDING_REFUSED, refused_before);
    if (watch->findings.events_dropped > 0)
        watch_blind(watch, node->node->name.ptr, "events",
                    "too many are waiting to be recorded; some were dropped");
    watch_log_note(watch, node);
}

/* After the questions, which may have filled the store, and before the sweep, which makes room for the next round. */
static void note_overflow(struct cell_watch *watch, const struct watch_node *node)
{
    if (watch->findings.overflow)
        watch_blind(watch, node->node->name.ptr, WATCH_OVERFLOW,
                    "too many findings are open; some are not shown");
    watch->findings.overflow = false;
}

/* All who could see it were asked, and none has. */
static bool is_gone(const struct cell_watch *watch, const struct watch_node *node,
                    const struct held_finding *held)
{
    enum watch_query_id id = watch_channel_query(held->finding.channel);
    bool of_node = strcmp(held->finding.node, node->node->name.ptr) == 0;
    if (id == WATCH_QUERY_none)
        return of_node && watch_log_channel(held->finding.channel) && held->seen_at < node->previous_run;
    bool ours = watch_queries[id].where == WATCH_ONCE ? node->writable : of_node;
    return ours && node->asked[id] && held->seen_at < watch->clock;
}

static void sweep(struct cell_watch *watch, struct watch_node *node)
{
    for (size_t i = watch->findings.count; i-- > 0;)
        if (is_gone(watch, node, &watch->findings.items[i]))
            watch_gone(&watch->findings, &watch->findings.items[i], clock_wall_ms());
    node->previous_run = watch->clock;
}

static result ask_all(struct cell_watch *watch, struct watch_node *node, struct pg_conn *conn)
{
    for (size_t i = 0; i < WATCH_QUERY_none; i++)
        if (watch_queries[i].where == WATCH_EACH || node->writable)
            TRY(ask_query(watch, node, i, conn));
    return node->writable ? watch_sealed_look(watch, node, conn) : OK;
}

result watch_run(struct cell_watch *watch, const struct node *which, struct pg_conn *conn)
{
    struct watch_node *node = watch_node_of(watch, which);
    TRY(watch_known_refresh(&watch->known));
    watch->clock++;
    memset(node->asked, 0, sizeof node->asked);
    TRY(read_facts(node, conn));
    note_unresolved(watch, node);
    TRY(ask_all(watch, node, conn));
    node->answered = true;
    note_overflow(watch, node);
    sweep(watch, node);
    return OK;
}

void watch_miss(struct cell_watch *watch, const struct node *which, const struct error *why)
{
    struct watch_node *node = watch_node_of(watch, which);
    node->answered = false;
    watch_blind(watch, node->node->name.ptr, "the node", why->what);
    note_overflow(watch, node);
}

/* ---- all nodes together ---- */

static const struct watch_node *twin_of(const struct cell_watch *watch, size_t i)
{
    const struct watch_node *node = &watch->nodes[i];
    for (size_t j = i + 1; j < watch->node_count; j++)
        if (node->answered && node->writable && watch->nodes[j].answered && watch->nodes[j].writable &&
            strcmp(node->system_identifier, watch->nodes[j].system_identifier) == 0)
            return &watch->nodes[j];
    return NULL;
}

void watch_round_end(struct cell_watch *watch)
{
    const struct watch_channel *channel = watch_channel_named(STR("two-writers"));
    const char *label = watch->known.cell->name.ptr;
    bool complete = true;
    uint64_t round = ++watch->clock;
    for (size_t i = 0; i < watch->node_count; i++) {
        const struct watch_node *twin = twin_of(watch, i);
        char subject[WATCH_TEXT_MAX], evidence[WATCH_TEXT_MAX];
        complete &= watch->nodes[i].answered;
        if (twin == NULL)
            continue;
        snprintf(subject, sizeof subject, "%s and %s", watch->nodes[i].node->name.ptr, twin->node->name.ptr);
        snprintf(evidence, sizeof evidence, "system identifier %s", twin->system_identifier);
        watch_note(watch, channel, label, str_from(subject), str_from(evidence), clock_wall_ms());
    }
    for (size_t i = watch->findings.count; i-- > 0;)
        if (watch->findings.items[i].finding.channel == channel && complete &&
            watch->findings.items[i].seen_at < round)
            watch_gone(&watch->findings, &watch->findings.items[i], clock_wall_ms());
}
