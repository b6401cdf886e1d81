#pragma once
/* Shared by the files of the watch. */
#include "base/buf.h"
#include "watch/watch.h"

enum watch_where { WATCH_EACH, WATCH_ONCE };

enum watch_query_id {
#define QUERY(name, where) WATCH_QUERY_##name,
#define CHANNEL(id, severity, query, title, advice, blinds)
#include "watch/watch.def"
#undef QUERY
#undef CHANNEL
    WATCH_QUERY_COUNT
};

struct watch_query {
    const char *name, *sql;
    enum watch_where where;
};
extern const struct watch_query watch_queries[WATCH_QUERY_COUNT];
enum watch_query_id watch_channel_query(const struct watch_channel *channel);

/* The files of watch/ as strings. */
extern const char watch_text_begin[], watch_text_facts[], watch_text_sever[], watch_text_shipped[],
    watch_text_grants[], watch_text_describe[];
#define QUERY(name, where) extern const char watch_text_##name[];
#define CHANNEL(id, severity, query, title, advice, blinds)
#include "watch/watch.def"
#undef QUERY
#undef CHANNEL

/* ---- watch_declared.c: what is known ---- */
enum { WATCH_NETWORKS_MAX = 1024 };
struct watch_known {
    const struct config *config;
    const struct cell *cell;
    struct arena arena;
    char *json; /* $1 of the questions */
    struct config_network *home;
    size_t home_count;
    struct config_network *replication_home; /* of the cell's standbys */
    size_t replication_home_count;
    struct config_network *abroad; /* of other regions: these are never home */
    size_t abroad_count;
    const char **unresolved; /* hosts whose names have no address */
    size_t unresolved_count;
    uint64_t resolved_ns; /* 0: not yet */
};
void watch_known_init(struct watch_known *known, const struct config *config, const struct cell *cell);
void watch_known_done(struct watch_known *known);
result watch_known_refresh(struct watch_known *known) MUST_USE; /* waits: names are resolved, once a minute */
bool watch_known_role(const struct watch_known *known, struct str role, bool local);
bool watch_known_replication(const struct watch_known *known, struct str role);
bool watch_known_standby(const struct watch_known *known, struct str name);
bool watch_known_home(const struct watch_known *known, struct str address);
/* Whether the role may replicate from there; domicile's own role only from the standbys' addresses. */
bool watch_known_replication_home(const struct watch_known *known, struct str role, struct str address);

/* ---- watch_findings.c: the store ---- */
/* Subjects of blind. */
#define WATCH_SEVER_REFUSED "sever"
#define WATCH_RECORDING_REFUSED "recording"
#define WATCH_LOG_PART "the server's log"
#define WATCH_LOG_TEXT "the form of the server's log"
#define WATCH_ENDED_UNKNOWN "what has ended"
#define WATCH_OVERFLOW "findings"              /* there was no space for one */
#define WATCH_SEALED_OVERFLOW "more cleartext" /* nor for one of these */
struct held_finding {
    struct watch_finding finding; /* its strings are the holder's own */
    uint64_t seen_at;             /* of the watch's clock; 0: only before this daemon started */
    uint64_t lines;               /* of a finding of the log */
    bool not_severed;             /* and told so */
};
struct watch_findings {
    struct held_finding *items;
    size_t count;
    struct watch_event *events;
    size_t event_count, events_dropped;
    bool overflow;                                                /* since a node's round last said so */
    void (*told)(void *context, const struct watch_event *event); /* may be NULL */
    void *told_context;
};
void watch_findings_done(struct watch_findings *findings);
/* It was seen: it begins, or continues. */
struct held_finding *watch_see(struct watch_findings *findings, const struct watch_channel *channel,
                               struct str node, struct str subject, struct str evidence, int64_t at_ms);
/* NULL: it is not open. */
struct held_finding *watch_held(const struct watch_findings *findings, const struct watch_channel *channel,
                                struct str node, struct str subject);
/* A finding that began before this daemon started: no event. */
void watch_remember(struct watch_findings *findings, const struct watch_finding *finding);
void watch_gone(struct watch_findings *findings, struct held_finding *held, int64_t at_ms);
/* A failure is told once while the finding is open; each round tries again. */
void watch_note_severed(struct watch_findings *findings, const struct watch_finding *finding, bool done,
                        int64_t at_ms);

/* ---- watch_log.c ---- */
struct watch_node;
#define WATCH_LOG_MORE "more than are shown one by one" /* the subject of their sum */
enum { WATCH_LOG_SOURCES = 512, WATCH_LOG_BEGINS_OF_SOURCE = 32, WATCH_LOG_BEGINS_A_DAY = 512 };
struct watch_log {
    char file[64];
    uint64_t offset; /* of what comes next: `rest` is before it */
    struct buf rest; /* the line that is not complete */
    int64_t from_ms; /* the time of the first line that had one; 0: none had */
    bool skipping;   /* what is left of a line that is too long, or was not read from its begin */
    uint64_t readable, unreadable; /* lines since the last round of questions */
    uint64_t unreadable_before;    /* in the last round that had lines */
    uint64_t day_began_s;          /* by the monotonic clock; 0: none has begun */
    uint64_t begins, unshown;      /* findings of this day; lines that were only counted */
    uint16_t source_begins[WATCH_LOG_SOURCES];
    char last_unshown[WATCH_TEXT_MAX / 2];
};
/* Before the questions: what is still true of the log since the last pieces. */
void watch_log_note(struct cell_watch *watch, struct watch_node *node);
void watch_log_init(struct watch_log *log);
void watch_log_done(struct watch_log *log);
bool watch_log_channel(const struct watch_channel *channel);

/* ---- a node, as the watch remembers it ---- */
struct watch_node {
    const struct node *node;
    bool answered, writable;               /* in this round */
    bool sever_refused, recording_refused; /* by the server, when it was last asked */
    char system_identifier[24];
    uint64_t previous_run;         /* of the watch's clock */
    bool asked[WATCH_QUERY_COUNT]; /* and answered, in this round */
    struct watch_log log;
};

/* ---- watch_sealed.c ---- */
enum { WATCH_UNSEALED_MAX = 100 };
struct watch_unsealed {
    char *subject, *evidence;
    uint64_t pass;
};
struct watch_sealed {
    int64_t next_page;
    uint64_t pass; /* that is under way: 0 is the first */
    struct watch_unsealed found[WATCH_UNSEALED_MAX];
    size_t count;
    bool overflow, overflowed; /* one found no place: in this pass, in the one before */
};
void watch_sealed_done(struct watch_sealed *sealed);

struct cell_watch {
    struct watch_known known;
    struct watch_findings findings;
    struct watch_sealed sealed;
    struct watch_node *nodes;
    size_t node_count;
    bool recalled, recalled_ended;
    int64_t since_ms; /* what was before is not looked for */
    struct arena arena;
    struct watch_past *past; /* NULL: nobody has told */
    size_t past_count;
    bool (*lease)(void *context, struct watch_lease *ret); /* may be NULL */
    void *lease_context;
    uint64_t clock; /* one more with each run, to tell what was seen in it */
};
result watch_recall_ended(struct cell_watch *watch, struct pg_conn *conn) MUST_USE; /* since since_ms */
bool watch_may_act(const struct cell_watch *watch, struct watch_lease *ret);        /* ret: as it is now */
struct watch_node *watch_node_of(struct cell_watch *watch, const struct node *node);
/* Whether findings are recorded in this node, of all that accept writes. */
bool watch_records_at(const struct cell_watch *watch, const struct watch_node *node);
/* label: the node's name, or the cell's. */
void watch_note(struct cell_watch *watch, const struct watch_channel *channel, const char *label,
                struct str subject, struct str evidence, int64_t at_ms);
void watch_blind(struct cell_watch *watch, const char *label, const char *subject, const char *evidence);
result watch_sealed_look(struct cell_watch *watch, struct watch_node *node, struct pg_conn *conn) MUST_USE;
