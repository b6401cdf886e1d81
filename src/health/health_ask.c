#include "health/health_ask.h"

#include "base/clock.h"
#include "base/text.h"
#include "health/health_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* The file is read again every few rounds, so that a renewed certificate shows. */
enum { CERTIFICATE_ROUNDS = 60 };

struct link {
    struct health_asker *asker;
    const struct node *node;
    struct pg_conn *conn;
    struct health_number peer_expires_ms;
    /* of a round */
    struct health_visit visit;
    result outcome;
};

struct health_asker {
    struct health_ask_options options;
    struct link links[HEALTH_NODES_MAX];
    struct health_walsender walsenders[HEALTH_NODES_MAX][HEALTH_NODES_MAX]; /* as each node sees the others */
    struct health_number own_expires_ms;
    uint64_t round;
    bool primary_elsewhere; /* in the last round another node than the configured one was the primary */
};

result health_asker_new(const struct health_ask_options *options, struct health_asker **ret)
{
    if (options->cell->node_count > HEALTH_NODES_MAX)
        return FAIL(E_CONFIG, "Split the cell into smaller cells.", "the cell \"%s\" has more than %d nodes",
                    options->cell->name.ptr, HEALTH_NODES_MAX);
    struct health_asker *asker = calloc(1, sizeof *asker);
    if (asker == NULL)
        return FAIL(E_MEMORY, NULL, "not enough memory to ask the nodes of cell \"%s\"",
                    options->cell->name.ptr);
    asker->options = *options;
    for (size_t i = 0; i < options->cell->node_count; i++)
        asker->links[i] = (struct link){ .asker = asker, .node = &options->cell->nodes[i] };
    *ret = asker;
    return OK;
}

void health_asker_free(struct health_asker *asker)
{
    if (asker == NULL)
        return;
    for (size_t i = 0; i < asker->options.cell->node_count; i++)
        pg_close(asker->links[i].conn);
    free(asker);
}

static struct link *link_of(struct health_asker *asker, const struct node *node)
{
    return &asker->links[node - asker->options.cell->nodes];
}

struct pg_conn *health_asker_connection(struct health_asker *asker, const struct node *node)
{
    return link_of(asker, node)->conn;
}

static void drop(struct link *link)
{
    pg_close(link->conn);
    link->conn = NULL;
}

void health_asker_drop(struct health_asker *asker, const struct node *node)
{
    drop(link_of(asker, node));
}

/* ---- one node ---- */

/* Commits do not wait for a standby: the questions must be answered while writes wait. The server ends an idle session: a
 * monitor that was stopped between the check of its fence and its act comes back without a connection. */
static const char habits[] = "SET synchronous_commit = local; SET idle_session_timeout = 10000; "
                             "SET lock_timeout = 1000";

static result connect_to(struct link *link)
{
    const struct health_ask_options *options = &link->asker->options;
    struct pg_connect_options connect =
        pg_role_options(options->role, options->cell, link->node, "domicile monitor");
    connect.connect_within_ms = options->within_ms;
    TRY(pg_connect(&connect, &link->conn));
    link->peer_expires_ms = health_peer_certificate(link->conn);
    return pg_run_script(link->conn, habits);
}

static enum health_answer answer_of(const struct error *error)
{
    static const char *const no_way[] = { "No route", "unreachable", "not resolve" };
    if (error->code == E_DEADLINE || strstr(error->what, "does not answer within") != NULL)
        return HEALTH_SLOW;
    for (size_t i = 0; i < COUNT(no_way); i++)
        if (strstr(error->what, no_way[i]) != NULL)
            return HEALTH_UNREACHABLE;
    return HEALTH_REFUSED;
}

static result visit(struct link *link)
{
    if (link->conn == NULL)
        TRY(connect_to(link));
    link->visit.conn = link->conn;
    return health_visit(&link->visit);
}

static void visit_fiber(void *arg)
{
    struct link *link = arg;
    const struct health_ask_options *options = &link->asker->options;
    struct health_node *node = &link->visit.health->nodes[link->visit.index];
    struct deadline deadline;
    node->asked_at_ms = clock_wall_ms();
    deadline_begin(&deadline, options->within_ms);
    bool kept = link->conn != NULL;
    link->outcome = visit(link);
    if (failed(link->outcome) && kept && link->outcome.error.code == E_UNAVAILABLE) {
        drop(link); /* the server may have ended the kept connection: try once more on a new one */
        link->outcome = visit(link);
    }
    if (options->host_facts != NULL && !failed(fiber_check()))
        options->host_facts(options->context, link->node, &node->host);
    deadline_end(&deadline);
    if (failed(link->outcome))
        drop(link);
}

static void conclude(struct link *link, struct health_node *node)
{
    const struct error *error = &link->outcome.error;
    node->certificate_expires_ms = link->peer_expires_ms;
    node->own_certificate_expires_ms = link->asker->own_expires_ms;
    if (!failed(link->outcome)) {
        node->answer = HEALTH_ANSWERS;
        return;
    }
    /* a part of an answer counts as none */
    const struct health_node none = { .node = node->node,
                                      .asked_at_ms = node->asked_at_ms,
                                      .answer = answer_of(error),
                                      .certificate_expires_ms = node->certificate_expires_ms,
                                      .own_certificate_expires_ms = node->own_certificate_expires_ms,
                                      .host = node->host };
    *node = none;
    text_fit(node->why, sizeof node->why, "%s",
             error->code == E_DEADLINE ? "it did not answer in time" : error->what);
}

/* ---- a round ---- */

static void read_own_certificate(void *arg)
{
    struct health_asker *asker = arg;
    const struct tls_files *own = pg_role_files(asker->options.cell, asker->options.role);
    asker->own_expires_ms = health_file_certificate(own->certificate);
}

static result ask_all(struct health_asker *asker, const struct health_writer *writer,
                      struct cell_health *health)
{
    const struct cell *cell = asker->options.cell;
    struct scope scope = SCOPE_INIT;
    result r = OK;
    for (size_t i = 0; i < cell->node_count && !failed(r); i++) {
        struct link *link = &asker->links[i];
        bool writes = writer->fence == 0 || link->node == cell->primary || asker->primary_elsewhere;
        link->visit = (struct health_visit){ .cell = cell,
                                             .writer = writes ? writer : NULL,
                                             .confirm_within_ms = asker->options.within_ms / 2,
                                             .health = health,
                                             .index = i,
                                             .walsenders = asker->walsenders[i] };
        memset(asker->walsenders[i], 0, sizeof asker->walsenders[i]);
        r = fiber_spawn(&scope, "health", visit_fiber, link);
    }
    if (failed(r)) {
        scope_end(&scope);
        return r;
    }
    return scope_join(&scope);
}

static void join_walsenders(struct health_asker *asker, struct cell_health *health)
{
    const struct health_node *primary = health_primary(health);
    for (size_t i = 0; primary != NULL && i < health->node_count; i++)
        health->nodes[i].walsender = asker->walsenders[primary - health->nodes][i];
}

static bool primary_is_elsewhere(const struct health_asker *asker, const struct cell_health *health)
{
    const struct health_node *primary = health_primary(health);
    return primary != NULL && primary->node != asker->options.cell->primary;
}

result health_ask(struct health_asker *asker, const struct health_writer *writer, struct cell_health *ret,
                  enum health_beat_outcome *ret_beat)
{
    const struct cell *cell = asker->options.cell;
    if (asker->round++ % CERTIFICATE_ROUNDS == 0)
        TRY(fiber_offload(read_own_certificate, asker));
    memset(ret, 0, sizeof *ret); /* no literal: it is too large for a fiber's stack */
    ret->cell = cell;
    ret->node_count = cell->node_count;
    ret->asked_at_ms = clock_wall_ms();
    for (size_t i = 0; i < cell->node_count; i++)
        ret->nodes[i].node = &cell->nodes[i];
    TRY(ask_all(asker, writer, ret));
    enum health_beat_outcome beat = HEALTH_BEAT_NONE;
    for (size_t i = 0; i < cell->node_count; i++) {
        conclude(&asker->links[i], &ret->nodes[i]);
        beat = asker->links[i].visit.beat > beat ? asker->links[i].visit.beat : beat;
    }
    join_walsenders(asker, ret);
    health_relate(ret);
    asker->primary_elsewhere = primary_is_elsewhere(asker, ret);
    *ret_beat = beat;
    return OK;
}
