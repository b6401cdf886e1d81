#pragma once
/* The watch: it asks a cell's cluster, by SQL, who takes records out of it. All that neither domicile's own setup nor the
 * region's file (cell.watch) declares is a finding, with a channel, a severity, a begin and an end. watch.def declares the
 * channels; docs/watch.md is generated from it.
 *
 * One round: watch_run for each node that answers, watch_miss for each that does not, then watch_round_end. A question
 * that could not be asked ends no finding; it is a finding itself (channel blind).
 *
 * It asks as domicile_monitor, or as a superuser. Beside LOGIN and a certificate the role needs what watch_grants has, a
 * script that a superuser runs in the cell's database: membership of pg_monitor and pg_signal_backend, EXECUTE on the
 * functions that show pg_hba.conf and the setting files, and on four functions of the schema. pg_signal_backend cannot end
 * a superuser's session; sever reports that.
 *
 * Known without a declaration:
 * - the roles domicile_owner, _gateway, _admin, _monitor and _replication (the last one has REPLICATION)
 * - clients from the addresses of the region's nodes and gateways, and from the cell's clients and standby_networks;
 *   domicile_replication from the addresses of the cell's nodes and standby_networks only
 * - standbys whose application_name is a node's name, and slots with a node's name ("_" for "-", and "domicile_" may
 *   precede it)
 * - lines of pg_hba.conf that are hostssl and cert, for these roles and these addresses */
#include "config/config.h"
#include "pg/exec.h"

enum watch_severity { WATCH_INFO, WATCH_WARNING, WATCH_HIGH, WATCH_CRITICAL };
const char *watch_severity_word(enum watch_severity severity); /* "high" */

struct watch_channel {
    const char *id; /* "slot-logical" */
    enum watch_severity severity;
    const char *query; /* its name, "slots"; NULL: the program checks without a question */
    const char *title, *advice, *blinds;
};
extern const struct watch_channel watch_channels[];
extern const size_t watch_channel_count;
const struct watch_channel *watch_channel_named(struct str id); /* NULL: there is none */
const char *watch_query_sql(const char *name);                  /* NULL: there is none */

const char *watch_grants(void); /* SQL script: what domicile_monitor needs */
const char *
watch_describe(void); /* SQL statement that generates watch/shipped.json, under search_path pg_catalog */
const char *
watch_shipped(void); /* JSON: the tables, triggers, constraints and functions of the shipped schema */

enum {
    WATCH_FINDINGS_MAX = 1024,    /* open at the same time; more give a finding of the channel blind */
    WATCH_FINDINGS_RESERVED = 64, /* of these: only for critical ones and blind */
    WATCH_EVENTS_MAX = 4096,      /* not recorded yet */
    WATCH_RECORDS_A_ROUND = 512,  /* of these; the others wait */
    WATCH_TEXT_MAX = 700,         /* bytes of a subject or evidence; more is shortened */
    WATCH_PAGES_A_ROUND = 20000,  /* of the table of records, checked for cleartext */
};

struct watch_finding {
    const struct watch_channel *channel;
    const char *node; /* for a question that is asked once: the cell's name */
    const char *subject, *evidence;
    int64_t began_ms; /* wall clock */
};

/* ---- the watch of one cell ---- used by one fiber at a time */
struct cell_watch;
struct watch_event;

/* Both must outlive the watch. */
struct cell_watch *cell_watch_new(const struct config *config, const struct cell *cell);
void cell_watch_free(struct cell_watch *watch); /* takes NULL */
/* `told` is called with each event when it happens; it must not wait. For the log. */
void cell_watch_tell(struct cell_watch *watch, void (*told)(void *context, const struct watch_event *event),
                     void *context);

/* The monitor's lease (monitor.h). The cell refuses a fence smaller than one that it has seen. */
struct watch_lease {
    int64_t fence;
    const char *writer;
};
/* `get` is called directly before each act and each record, since a lease can expire during a round; it must not wait.
 * False: the lease is lost. Without a guard the fence is 0; a cell accepts that until a monitor has written a heartbeat. */
void cell_watch_guard(struct cell_watch *watch, bool (*get)(void *context, struct watch_lease *ret),
                      void *context);

/* Asks `node` over conn, where it sets search_path to pg_catalog and synchronous_commit to local. Waits.
 * E_UNAVAILABLE, E_DEADLINE, E_CANCELLED: the connection cannot be used any more; call watch_miss. A statement that the
 * server refuses is a finding, not an error. */
result watch_run(struct cell_watch *watch, const struct node *node, struct pg_conn *conn) MUST_USE;
void watch_miss(struct cell_watch *watch, const struct node *node, const struct error *why);
/* The findings that need all nodes. */
void watch_round_end(struct cell_watch *watch);

/* Ends replication connections from other regions at `node`, if the cell has sever = true, and adds an event for each. For
 * one that cannot be ended it adds one event while the finding is open. Call it after watch_run. Waits. Errors as of
 * watch_run. */
result watch_sever(struct cell_watch *watch, const struct node *node, struct pg_conn *conn) MUST_USE;

/* A whole round: connects to every node as domicile_monitor (as domicile_admin if the region's file has no certificate for
 * the monitor; what that role may not see is a finding), recalls before the first round, asks, and with WATCH_ACT severs and
 * records. A node that does not answer, and events that cannot be recorded, are findings. The logs can be fed even if no
 * node answers. Waits. E_CANCELLED, E_DEADLINE: the caller's own. */
enum watch_mode { WATCH_LOOK, WATCH_ACT };
result watch_round(struct cell_watch *watch, enum watch_mode mode) MUST_USE;

/* ---- findings ---- in the order of their begin; valid until the next call with the watch */
size_t watch_finding_count(const struct cell_watch *watch);
const struct watch_finding *watch_finding_at(const struct cell_watch *watch, size_t i);

/* ---- findings that have ended ---- */
struct watch_past {
    struct watch_finding finding;
    int64_t ended_ms;
};
enum { WATCH_PAST_MAX = 1024 };
/* Call it before the first round, which then also asks the primary which findings ended after since_ms. Older lines of the
 * logs are skipped. If no primary answers, that is a finding (blind). */
void cell_watch_since(struct cell_watch *watch, int64_t since_ms);
bool watch_past_known(const struct cell_watch *watch); /* the cell has answered */
/* The latest end first, WATCH_PAST_MAX at most; valid as long as the watch. */
size_t watch_past_count(const struct cell_watch *watch);
const struct watch_past *watch_past_at(const struct cell_watch *watch, size_t i);

/* ---- events ---- the oldest first, until they are recorded */
enum watch_event_kind { WATCH_BEGIN, WATCH_END, WATCH_SEVERED, WATCH_NOT_SEVERED };
struct watch_event {
    enum watch_event_kind kind;
    struct watch_finding finding;
    int64_t at_ms;
};
const char *watch_event_word(enum watch_event_kind kind); /* "begin", "end", "severed", "not-severed" */
size_t watch_event_count(const struct cell_watch *watch);
const struct watch_event *watch_event_at(const struct cell_watch *watch, size_t i);
void watch_events_forget(struct cell_watch *watch, size_t count); /* the oldest */

/* Writes up to WATCH_RECORDS_A_ROUND events into the cell, each with its audit row, and forgets those. conn: the primary.
 * Waits. E_REGION_STAMP: the cell belongs to another region. E_STALE: another daemon has the lease. E_SQL: perhaps the
 * schema lacks 006-watch or 007-heartbeat. */
result watch_record(struct cell_watch *watch, struct pg_conn *conn) MUST_USE;
/* Loads the findings that are open in the cell, so that they keep their begin when another daemon takes over. Call it before
 * the first round. Waits. */
result watch_recall(struct cell_watch *watch, struct pg_conn *conn) MUST_USE;

/* ---- the server's log ---- for what begins and ends between two rounds; watch_log.h has the parser. Only what the server
 * wrote about sessions that have logged in is evidence. A source (who, from where, and what it did) is one finding with the
 * number of its lines; beyond some of a source and some of a node a day there is only their sum. */
/* A piece of the log of `node`: `offset` bytes from the beginning of the file that `file` names (inode and device, or
 * another name that changes with each new file; at most 63 bytes). Bytes that were fed before are skipped; a gap is a
 * finding. An incomplete line waits for the next piece. After a rotation, feed the rest of the old file first, or call
 * watch_log_cut. A finding of a piece is open for two rounds. Call watch_round before, or watch_run for any node. */
struct watch_log_piece {
    struct str file;
    uint64_t offset;
    struct str text;
};
void watch_log_feed(struct cell_watch *watch, const struct node *node, const struct watch_log_piece *piece);
/* The file of the last piece was truncated, or is gone, with bytes that perhaps nobody read: a finding (blind) of that
 * round. The next piece begins at 0, of the same file too. Call it after a watch_round, as watch_log_feed. */
void watch_log_cut(struct cell_watch *watch, const struct node *node);
/* The time of the first line that was read, in ms since 1970; 0: none had a time in UTC. */
int64_t watch_log_from(const struct cell_watch *watch, const struct node *node);
/* The reading stops, although a log has more: a finding (blind) of each node whose log was read. */
void watch_log_unfinished(struct cell_watch *watch);
/* Where to continue; file is empty before the first piece. */
void watch_log_position(const struct cell_watch *watch, const struct node *node, struct str *ret_file,
                        uint64_t *ret_offset);
