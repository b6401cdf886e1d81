#pragma once
/* The watch: a cell's cluster is asked, by SQL, who takes records out of it. Whatever neither domicile's own set-up nor
 * the region's file (cell.watch) knows is a finding, with a channel, a severity, a begin and an end. watch.def declares
 * the channels; docs/watch.md is made of it.
 *
 * One round: watch_run for each node that answers, watch_miss for each that does not, then watch_round_end. A question
 * that could not be asked ends no finding, and is one itself (channel blind).
 *
 * Who asks is domicile_monitor, or a superuser. What it needs beside LOGIN and its certificate is in watch_grants, a
 * script for a superuser in the cell's database: members of pg_monitor and pg_signal_backend, EXECUTE on what shows
 * pg_hba.conf and the setting files, and on four functions of the schema. pg_signal_backend does not end a superuser's
 * session: sever says so.
 *
 * What the set-up has without being declared: the roles domicile_owner, _gateway, _admin, _monitor and _replication, the
 * last with REPLICATION; clients from the addresses of the region's nodes and gateways, and from the cell's clients and
 * standby_networks; domicile_replication from the addresses of the cell's nodes and from standby_networks alone; standbys
 * that call themselves (application_name) and their slot by the node's name, in the slot's name with "_" for "-" and, if
 * one likes, "domicile_" before it; lines of pg_hba.conf that are hostssl, cert, of these roles and these addresses. */
#include "config/config.h"
#include "pg/exec.h"

enum watch_severity { WATCH_INFO, WATCH_WARNING, WATCH_HIGH, WATCH_CRITICAL };
const char *watch_severity_word(enum watch_severity severity); /* "high" */

struct watch_channel {
    const char *id; /* "slot-logical" */
    enum watch_severity severity;
    const char *query; /* its name, "slots"; NULL: the program finds out by itself */
    const char *title, *advice, *blinds;
};
extern const struct watch_channel watch_channels[];
extern const size_t watch_channel_count;
const struct watch_channel *watch_channel_named(struct str id); /* NULL: there is none */
const char *watch_query_sql(const char *name);                  /* NULL: there is none */

const char *watch_grants(void); /* SQL script: what domicile_monitor needs */
const char *
watch_describe(void); /* SQL statement that watch/shipped.json is made with, under search_path pg_catalog */
const char *
watch_shipped(void); /* JSON: the tables, triggers, constraints and functions of the shipped schema */

enum {
    WATCH_FINDINGS_MAX = 1024,    /* open at once; what finds no place is told by one of the channel blind */
    WATCH_FINDINGS_RESERVED = 64, /* of these: for critical ones and blind alone */
    WATCH_EVENTS_MAX = 4096,      /* not recorded yet */
    WATCH_TEXT_MAX = 700,         /* bytes of a subject or evidence; more is shortened */
    WATCH_PAGES_A_ROUND = 20000,  /* of records that are looked at for cleartext */
};

struct watch_finding {
    const struct watch_channel *channel;
    const char *node; /* of a question that is asked once: the cell's name */
    const char *subject, *evidence;
    int64_t began_ms; /* wall clock */
};

/* ---- the memory of one cell's watch ---- on one fiber at a time */
struct cell_watch;
struct watch_event;

/* Both live longer than the watch. */
struct cell_watch *cell_watch_new(const struct config *config, const struct cell *cell);
void cell_watch_free(struct cell_watch *watch); /* takes NULL */
/* told is called with each event as it happens; it may not wait. For the log. */
void cell_watch_tell(struct cell_watch *watch, void (*told)(void *context, const struct watch_event *event),
                     void *context);

/* Of the monitor (monitor.h). The cell refuses one with a smaller fence than it has seen. */
struct watch_lease {
    int64_t fence;
    const char *writer;
};
/* get is asked directly before anything is ended or recorded, and may not wait: a round can outlive a lease. False: it is
 * lost. Without a guard the fence is 0, which a cell takes as long as no monitor has written its heartbeat. */
void cell_watch_guard(struct cell_watch *watch, bool (*get)(void *context, struct watch_lease *ret),
                      void *context);

/* Asks `node` over conn, whose search_path it sets to pg_catalog and synchronous_commit to local. Waits.
 * E_UNAVAILABLE, E_DEADLINE, E_CANCELLED: the connection is of no more use; tell watch_miss. A refused statement is a
 * finding, not an error. */
result watch_run(struct cell_watch *watch, const struct node *node, struct pg_conn *conn) MUST_USE;
void watch_miss(struct cell_watch *watch, const struct node *node, const struct error *why);
/* What only all nodes together show. */
void watch_round_end(struct cell_watch *watch);

/* Ends replication connections from other regions at `node`, if the cell says sever, and remembers it as an event; that
 * one cannot be ended, once while its finding is open. To be called after watch_run. Waits. Errors as of watch_run. */
result watch_sever(struct cell_watch *watch, const struct node *node, struct pg_conn *conn) MUST_USE;

/* All of it: connects to every node as domicile_monitor (as domicile_admin if the region's file names no certificate for
 * it; what that may not see is a finding), recalls before the first round, asks, and with WATCH_ACT severs and records.
 * A node that does not answer, and events that cannot be recorded, are findings; if none does, the logs can be fed all the
 * same. Waits. E_CANCELLED, E_DEADLINE: the caller's own. */
enum watch_mode { WATCH_LOOK, WATCH_ACT };
result watch_round(struct cell_watch *watch, enum watch_mode mode) MUST_USE;

/* ---- findings ---- in the order of their begin; valid until the next call that takes the watch */
size_t watch_finding_count(const struct cell_watch *watch);
const struct watch_finding *watch_finding_at(const struct cell_watch *watch, size_t i);

/* ---- what is over ---- */
struct watch_past {
    struct watch_finding finding;
    int64_t ended_ms;
};
enum { WATCH_PAST_MAX = 1024 };
/* To be called before the first round, which then asks the primary as well which findings have ended after since_ms; lines
 * of the logs that are older are not looked at. That nobody can be asked is a finding (blind). */
void cell_watch_since(struct cell_watch *watch, int64_t since_ms);
bool watch_past_known(const struct cell_watch *watch); /* the cell has answered */
/* The latest end first, WATCH_PAST_MAX at most; valid as long as the watch. */
size_t watch_past_count(const struct cell_watch *watch);
const struct watch_past *watch_past_at(const struct cell_watch *watch, size_t i);

/* ---- what changed ---- the oldest first, until it is recorded */
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

/* Writes the events into the cell, each with its audit row, and forgets those that were written. conn: the primary.
 * Waits. E_REGION_STAMP: the cell is another region's. E_STALE: the lease is another's by now. E_SQL: see whether the
 * schema has 006-watch and 007-heartbeat. */
result watch_record(struct cell_watch *watch, struct pg_conn *conn) MUST_USE;
/* Takes over the findings that the cell knows as open: for a monitor that starts, so that they keep their begin, and end
 * if they are gone. Call it before the first round. Waits. */
result watch_recall(struct cell_watch *watch, struct pg_conn *conn) MUST_USE;

/* ---- the server's log ---- what is over before the next round; watch_log.h has the parser */
/* A piece of the log of `node`: `offset` bytes from the beginning of the file that `file` names (inode and device, or
 * whatever changes when a file begins anew; at most 63 bytes). What was seen before is skipped; a gap is a finding. A line
 * that is not complete yet waits for the next piece. A file that was rotated away is read to its end before the next one
 * comes, or watch_log_cut called. What a piece has is open until the next round but one. Call watch_round before, or
 * watch_run for any node. */
struct watch_log_piece {
    struct str file;
    uint64_t offset;
    struct str text;
};
void watch_log_feed(struct cell_watch *watch, const struct node *node, const struct watch_log_piece *piece);
/* The file of the last piece was cut, or is gone, and nobody knows what it had beyond: a finding (blind) of that round. The
 * next piece begins at 0, of the same file too. As watch_log_feed, after a watch_round. */
void watch_log_cut(struct cell_watch *watch, const struct node *node);
/* The time of the first line that was read, in ms since 1970; 0: none had a time in UTC. */
int64_t watch_log_from(const struct cell_watch *watch, const struct node *node);
/* Nobody reads on, though a log has more: a finding (blind) of each node whose log was read. */
void watch_log_unfinished(struct cell_watch *watch);
/* Where to read on: file is empty before the first piece. */
void watch_log_position(const struct cell_watch *watch, const struct node *node, struct str *ret_file,
                        uint64_t *ret_offset);
