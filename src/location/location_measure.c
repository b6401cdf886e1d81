#include "location/location_measure.h"

#include "base/clock.h"
#include "location/location.h"
#include "pg/exec.h"

#include <openssl/rand.h>
#include <stdlib.h>

enum {
    NONCE_BYTES = 32,
    ANSWER_BYTES = 32,
    WARM_UP = 3,        /* questions that do not count: they fill plans and caches */
    CHECKED = 8,        /* answers that are compared with the other node's, the fastest first */
    TRIES = 3,          /* a question is asked again when its row was replaced meanwhile */
    CATCH_UP_MS = 5000, /* how long a standby may lack the rows of the answers */
    CATCH_UP_EVERY_MS = 100,
    STATEMENT_WITHIN_MS = 10000,
};

struct question {
    unsigned char nonce[NONCE_BYTES], answer[ANSWER_BYTES];
    uint64_t took_us;
};

struct measuring {
    const struct location_asker *asker;
    const struct node *node, *witness;
    struct pg_conn *conn, *witness_conn; /* witness_conn NULL: there is none */
    int64_t upto;
    uint32_t rows;
    struct question *questions;
    uint32_t count;
};

/* ---- connecting ---- */
static result open_node(const struct location_asker *asker, const struct node *node, struct pg_conn **ret)
{
    struct pg_connect_options options = pg_role_options(asker->role, asker->cell, node, "domicile location");
    options.statement_within_ms = STATEMENT_WITHIN_MS;
    return pg_connect(&options, ret);
}

/* Without another node the answers stay unverified, and the sample says so. */
static void open_witness(struct measuring *measuring)
{
    const struct cell *cell = measuring->asker->cell;
    for (size_t i = 0; i < cell->node_count && measuring->witness_conn == NULL; i++) {
        if (&cell->nodes[i] == measuring->node)
            continue;
        measuring->witness = &cell->nodes[i];
        result opened = open_node(measuring->asker, measuring->witness, &measuring->witness_conn);
        if (failed(opened))
            measuring->witness_conn = NULL;
    }
}

/* ---- asking ---- */
static result refused(const struct node *node, const result *r, const struct pg_reply *reply)
{
    bool unknown = strcmp(reply->sqlstate, "42883") == 0 || strcmp(reply->sqlstate, "42501") == 0 ||
                   strcmp(reply->sqlstate, "3F000") == 0;
    return r->error.code != E_SQL || !unknown
               ? *r
               : FAIL(E_SCHEMA,
                      "Migrate the cell; if domicile_monitor was created later, call "
                      "domicile.location_grant().",
                      "the node \"%s\" does not allow the question: %s", node->name.ptr, r->error.what);
}

static result ask_horizon(struct measuring *measuring)
{
    struct pg_reply reply = PG_REPLY_INIT;
    result r = pg_exec(measuring->conn, "SELECT upto FROM domicile.location_horizon()", NULL, 0, &reply);
    if (failed(r))
        r = refused(measuring->node, &r, &reply);
    else if (pg_reply_rows(&reply) != 1 || pg_reply_is_null(&reply, 0, 0))
        r = FAIL(E_NOT_FOUND, "Write or read a record in the cell, and measure again ten seconds later.",
                 "the cell \"%s\" has no audit row yet from which a node could answer",
                 measuring->asker->cell->name.ptr);
    else
        measuring->upto = pg_reply_number(&reply, 0, 0);
    pg_reply_done(&reply);
    return r;
}

struct answer {
    bool there; /* false: the node does not have the rows yet */
    unsigned char bytes[ANSWER_BYTES];
    uint32_t rows;
};

static result read_answer(const struct node *node, const struct pg_reply *reply, struct answer *ret)
{
    *ret = (struct answer){ .there = pg_reply_rows(reply) == 1 && !pg_reply_is_null(reply, 0, 0) };
    if (!ret->there)
        return OK;
    struct str bytes = pg_reply_str(reply, 0, 0);
    if (bytes.len != ANSWER_BYTES || pg_reply_number(reply, 0, 1) < 1)
        return FAIL(E_FORMAT, "Find out which host answers at the node's address.",
                    "the node \"%s\" gave an answer of %zu bytes", node->name.ptr, bytes.len);
    memcpy(ret->bytes, bytes.ptr, ANSWER_BYTES);
    ret->rows = (uint32_t)pg_reply_number(reply, 0, 1);
    return OK;
}

static result ask(struct pg_conn *conn, const struct node *node, const unsigned char nonce[NONCE_BYTES],
                  int64_t upto, struct answer *ret, uint64_t *ret_took_us)
{
    struct pg_reply reply = PG_REPLY_INIT;
    const struct pg_value params[] = { pg_bytes((struct str){ (const char *)nonce, NONCE_BYTES }),
                                       pg_int8(upto) };
    uint64_t began_ns = clock_monotonic_ns();
    result r = pg_exec(conn, "SELECT answer, count FROM domicile.location_answer($1, $2)", params, 2, &reply);
    uint64_t took_ns = clock_monotonic_ns() - began_ns;
    r = failed(r) ? refused(node, &r, &reply) : read_answer(node, &reply, ret);
    pg_reply_done(&reply);
    TRY(r);
    *ret_took_us = took_ns / 1000 + 1; /* rounded up: a bound is never too small */
    return OK;
}

static result put_question(struct measuring *measuring, struct question *question)
{
    struct answer answer = { 0 };
    must(RAND_bytes(question->nonce, NONCE_BYTES) == 1);
    TRY(ask(measuring->conn, measuring->node, question->nonce, measuring->upto, &answer, &question->took_us));
    if (!answer.there)
        return FAIL(E_FINDING, "Find out which host answers at the node's address.",
                    "the node \"%s\" lacks the audit row %lld, which it has named itself",
                    measuring->node->name.ptr, (long long)measuring->upto);
    memcpy(question->answer, answer.bytes, ANSWER_BYTES);
    measuring->rows = answer.rows;
    return OK;
}

static int sooner(const void *a, const void *b)
{
    const struct question *one = a, *other = b;
    return (one->took_us > other->took_us) - (one->took_us < other->took_us);
}

static result put_all(struct measuring *measuring)
{
    struct question unheeded;
    TRY(ask_horizon(measuring));
    for (int i = 0; i < WARM_UP; i++)
        TRY(put_question(measuring, &unheeded));
    for (uint32_t i = 0; i < measuring->count; i++)
        TRY(put_question(measuring, &measuring->questions[i]));
    qsort(measuring->questions, measuring->count, sizeof measuring->questions[0], sooner);
    return OK;
}

/* ---- the other node's answers ---- */
static result ask_witness(const struct measuring *measuring, const struct question *question,
                          struct answer *ret)
{
    uint64_t unheeded, began_ns = clock_monotonic_ns();
    for (;;) {
        TRY(ask(measuring->witness_conn, measuring->witness, question->nonce, measuring->upto, ret,
                &unheeded));
        if (ret->there || clock_monotonic_ns() - began_ns > CATCH_UP_MS * UINT64_C(1000000))
            return OK;
        TRY(fiber_sleep(CATCH_UP_EVERY_MS));
    }
}

/* *ret_agree: whether all compared answers were the same. E_UNAVAILABLE: the other node lacks the rows. */
static result compare(const struct measuring *measuring, bool *ret_agree)
{
    *ret_agree = true;
    for (uint32_t i = 0; i < measuring->count && i < CHECKED && *ret_agree; i++) {
        struct answer answer = { 0 };
        TRY(ask_witness(measuring, &measuring->questions[i], &answer));
        if (!answer.there)
            return FAIL(E_UNAVAILABLE, "Measure again when the standby has caught up.",
                        "the node \"%s\" does not have the rows of the answers yet",
                        measuring->witness->name.ptr);
        *ret_agree = memcmp(answer.bytes, measuring->questions[i].answer, ANSWER_BYTES) == 0;
    }
    return OK;
}

/* A witness that fails, or is too far behind, verifies nothing; different answers are a finding. */
static result put_and_compare(struct measuring *measuring, bool *ret_verified)
{
    for (int attempt = 1;; attempt++) {
        bool agree = false;
        TRY(put_all(measuring));
        if (measuring->witness_conn == NULL)
            break;
        result compared = compare(measuring, &agree);
        TRY(fiber_check());
        *ret_verified = !failed(compared) && agree;
        if (failed(compared) || agree)
            return OK;
        if (attempt == TRIES)
            return FAIL(E_FINDING,
                        "One of the two does not have this cell's records: find out which host answers at "
                        "each address.",
                        "the nodes \"%s\" and \"%s\" give different answers to the same question",
                        measuring->node->name.ptr, measuring->witness->name.ptr);
    }
    *ret_verified = false;
    return OK;
}

static void fill(const struct measuring *measuring, bool verified, struct arena *arena,
                 struct location_sample *ret)
{
    const struct cell *cell = measuring->asker->cell;
    const struct vantage *vantage = measuring->asker->vantage;
    *ret = (struct location_sample){
        .vantage = vantage->name.ptr,
        .country = vantage->country,
        .at = { vantage->latitude, vantage->longitude },
        .cell = arena_printf(arena, "%s/%s", cell->region->name.ptr, cell->name.ptr),
        .node = measuring->node->name.ptr,
        .host = location_host(measuring->node, arena),
        .at_ms = clock_wall_ms(),
        .method = "domicile.location_answer",
        .count = measuring->count,
        .rows = measuring->rows,
        .min_us = measuring->questions[0].took_us,
        .median_us = measuring->questions[measuring->count / 2].took_us,
        .verified = verified ? measuring->witness->name.ptr : NULL,
    };
}

result location_measure(const struct location_asker *asker, const struct node *node, uint32_t count,
                        struct arena *arena, struct location_sample *ret)
{
    must(count >= 1 && count <= LOCATION_COUNT_MAX);
    struct measuring measuring = { .asker = asker, .node = node, .count = count };
    bool verified = false;
    measuring.questions = arena_array(arena, struct question, count);
    TRY(open_node(asker, node, &measuring.conn));
    open_witness(&measuring);
    result r = put_and_compare(&measuring, &verified);
    if (!failed(r))
        fill(&measuring, verified, arena, ret);
    pg_close(measuring.conn);
    pg_close(measuring.witness_conn);
    return r;
}
