#pragma once
/* Asks each node of a cell how it is: over one kept connection a node, all nodes at once, each under a deadline of its
 * own. The connections are of domicile_monitor, or, for `domicile cell status` in a cell that has no such certificate, of
 * domicile_admin; what that role may not see is left unknown. */
#include "health/health.h"
#include "loop/fiber.h"
#include "pg/exec.h"
#include "pg/role.h"

struct health_asker;

struct health_ask_options {
    const struct cell *cell; /* outlives the asker */
    enum pg_role role;
    uint64_t within_ms; /* for each node, in each round; connecting included */
    /* Optional: what the host says. On the node's fiber, under its deadline; may wait. */
    void (*host_facts)(void *context, const struct node *node, struct health_host *ret);
    void *context;
};

/* Does not wait. */
result health_asker_new(const struct health_ask_options *options, struct health_asker **ret) MUST_USE;
void health_asker_free(struct health_asker *asker); /* closes the connections; takes NULL */

/* Who writes the heartbeat. fence 0: nobody does; the primary is probed with a write that means nothing. */
struct health_writer {
    int64_t fence;
    const char *name;
};
enum health_beat_outcome { HEALTH_BEAT_NONE, HEALTH_BEAT_WRITTEN, HEALTH_BEAT_FENCED, HEALTH_BEAT_FOREIGN };

/* One round. Waits for at most within_ms, and fails only if the fiber is cancelled or late itself: what is the matter with
 * a node is a fact. *ret_beat: whether the heartbeat was written; FENCED: a later lease has written; FOREIGN: the database
 * is another region's. */
result health_ask(struct health_asker *asker, const struct health_writer *writer, struct cell_health *ret,
                  enum health_beat_outcome *ret_beat) MUST_USE;

/* The kept connection to a node, between rounds; NULL: there is none. After a failed wait it is to be dropped. */
struct pg_conn *health_asker_connection(struct health_asker *asker, const struct node *node);
void health_asker_drop(struct health_asker *asker, const struct node *node);

/* What is asked, for reports: every fact names its question. */
struct health_question {
    const char *name, *sql;
};
extern const struct health_question health_questions[];
extern const size_t health_question_count;

/* ---- health_tls.c ---- */
struct health_number
health_peer_certificate(struct pg_conn *conn); /* until when the server's is valid; ms since 1970 */
struct health_number health_file_certificate(const char *path); /* blocks on the disk */
