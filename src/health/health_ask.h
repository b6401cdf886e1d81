#pragma once
/* Collects the facts of a cell's health: asks all nodes at the same time, each over one connection that is kept, each under
 * its own deadline. The connections use the role domicile_monitor. `domicile cell status` uses domicile_admin where the
 * cell has no certificate for the monitor; what that role may not see stays unknown. */
#include "health/health.h"
#include "loop/fiber.h"
#include "pg/exec.h"
#include "pg/role.h"

struct health_asker;

struct health_ask_options {
    const struct cell *cell; /* outlives the asker */
    enum pg_role role;
    uint64_t within_ms; /* for each node, in each round; connecting included */
    /* Optional: facts of the host. Called on the node's fiber, under its deadline; may wait. */
    void (*host_facts)(void *context, const struct node *node, struct health_host *ret);
    void *context;
};

/* Does not wait. */
result health_asker_new(const struct health_ask_options *options, struct health_asker **ret) MUST_USE;
void health_asker_free(struct health_asker *asker); /* closes the connections; takes NULL */

/* Who writes the heartbeat. fence 0: nobody; then the primary is tested with a write that changes nothing. */
struct health_writer {
    int64_t fence;
    const char *name;
};
enum health_beat_outcome { HEALTH_BEAT_NONE, HEALTH_BEAT_WRITTEN, HEALTH_BEAT_FENCED, HEALTH_BEAT_FOREIGN };

/* One round. Waits for at most within_ms. Fails only if this fiber is cancelled or past its deadline: a failure of a node
 * is a fact, not an error. *ret_beat: whether the heartbeat was written; FENCED: a monitor with a greater fence has written;
 * FOREIGN: the database belongs to another region. */
result health_ask(struct health_asker *asker, const struct health_writer *writer, struct cell_health *ret,
                  enum health_beat_outcome *ret_beat) MUST_USE;

/* The connection to a node that is kept between rounds; NULL: none. After a failed wait the caller must drop it. */
struct pg_conn *health_asker_connection(struct health_asker *asker, const struct node *node);
void health_asker_drop(struct health_asker *asker, const struct node *node);

/* The SQL questions by name, for reports: every fact names its question. */
struct health_question {
    const char *name, *sql;
};
extern const struct health_question health_questions[];
extern const size_t health_question_count;

/* ---- health_tls.c ---- */
struct health_number
health_peer_certificate(struct pg_conn *conn); /* until when the server's is valid; ms since 1970 */
struct health_number health_file_certificate(const char *path); /* blocks on the disk */
