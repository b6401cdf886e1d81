#pragma once
/* The health of a cell: facts measured on its nodes, and the state that follows from them. health_ask.h collects the facts.
 * Nothing here waits or writes: facts and time go in, a state and a wish (what to do about it) come out.
 *
 * Every question has three answers: yes, no, unknown. Unknown never counts as no: a control plane that has lost its own
 * network sees nothing, says so, and wishes nothing. */
#include "config/config.h"

enum {
    HEALTH_NODES_MAX = 16,
    HEALTH_SLOTS_MAX = 32,
    HEALTH_NAME_MAX = 63,
    HEALTH_HOST_MAX = 253,
    HEALTH_SYNC_NAMES_MAX = 1536,
    HEALTH_WHY_MAX = ERROR_WHAT_SIZE
};

/* A number that is perhaps not known: not asked for, or not answered. */
struct health_number {
    bool known;
    int64_t value;
};

/* ---- what was measured ---- */
enum health_answer {
    HEALTH_NOT_ASKED,
    HEALTH_ANSWERS,
    HEALTH_SLOW, /* no answer in time: the server is stopped or overloaded, or packets are dropped */
    HEALTH_REFUSED, /* the host answers, PostgreSQL does not: it is down, starting, out of connections, or refuses us */
    HEALTH_UNREACHABLE, /* no route to the host */
};
enum health_role { HEALTH_ROLE_UNKNOWN, HEALTH_PRIMARY, HEALTH_STANDBY };
enum health_yes { HEALTH_UNKNOWN, HEALTH_YES, HEALTH_NO };

/* What a standby sees of its primary. */
enum health_view {
    HEALTH_VIEW_UNKNOWN,
    HEALTH_VIEW_RECEIVES, /* its WAL receiver streams, and has received a message lately */
    HEALTH_VIEW_LOST, /* it is not connected, or has received nothing for longer than an idle primary stays silent */
};

struct health_beat {
    int64_t sequence; /* 0: none was ever written */
    int64_t at_ms;    /* of the primary's clock, since 1970 */
    int64_t monotonic_ms;
    int64_t age_ms; /* by the clock of the server that was asked */
    int64_t fence;
    char writer[HEALTH_NAME_MAX + 1];
};

/* A standby as the primary's walsender sees it. */
struct health_walsender {
    bool attached;  /* there is one */
    bool streaming; /* it has caught up */
    bool synchronous;
    bool current; /* it has flushed all WAL that the primary had when it was asked */
    char state[16], sync_state[16];
    char address[64];
    struct health_number flush_lag_bytes, replay_lag_bytes;
};

struct health_slot {
    char name[HEALTH_NAME_MAX + 1];
    bool active;
    char wal_status[16];
    struct health_number retained_bytes, safe_bytes;
};

/* What the host tells over SSH, where somebody can ask; otherwise shown as not asked. */
struct health_host {
    struct health_number disk_total_bytes, disk_free_bytes;
    int64_t asked_at_ms;
};

struct health_node {
    const struct node *node;
    enum health_answer answer;
    char why[HEALTH_WHY_MAX]; /* when it gives no answer, or only a part */
    int64_t asked_at_ms;      /* the wall clock here */
    int64_t round_trip_us;
    enum health_role role;
    struct health_number clock_offset_us, clock_uncertainty_us; /* its clock minus ours, give or take */
    struct health_number certificate_expires_ms, own_certificate_expires_ms;
    struct health_beat beat; /* as it sees it */
    bool beat_known;
    struct health_number position; /* its last write-ahead log: written, or replayed */
    struct health_host host;
    /* of a primary */
    enum health_yes writable; /* a heartbeat was written; without the lease, a probe */
    bool probed;
    bool replication_visible; /* our role may see its walsenders */
    char sync_names[HEALTH_SYNC_NAMES_MAX];
    unsigned sync_required; /* standbys that must confirm; 0: none must */
    struct health_number writes_waiting, confirm_us;
    struct health_number degraded_since_ms, epoch;
    struct health_slot slots[HEALTH_SLOTS_MAX];
    size_t slot_count;
    size_t slots_left_out; /* there are more than HEALTH_SLOTS_MAX */
    /* of a standby */
    enum health_view view;
    char receiver_status[16], sender_host[HEALTH_HOST_MAX + 1], slot_name[HEALTH_NAME_MAX + 1];
    struct health_number last_message_age_ms;
    struct health_number received, receive_lag_bytes, replay_lag_bytes, lag_ms;
    struct health_walsender walsender; /* the primary's side of it */
};

/* About 100 KB: never on a fiber's stack. */
struct cell_health {
    const struct cell *cell;
    struct health_node nodes[HEALTH_NODES_MAX];
    size_t node_count;
    int64_t asked_at_ms;
};

/* The node that is not in recovery. If there are several: the configured primary. NULL: none answers. */
const struct health_node *health_primary(const struct cell_health *health);
size_t health_primaries(const struct cell_health *health);

/* "FIRST 2 (a, b)", "ANY 1 (a)", "a, b", "": how many standbys must confirm a write. */
unsigned health_sync_required(struct str names);

/* Computes the facts that need two nodes: each standby's lag, in bytes and, from the heartbeat, in time. The time is the
 * difference of two stamps of one clock: the writer's monotonic clock, or, when the writer changed in between, the
 * primary's wall clock. A standby that has the heartbeat before the last one, and was asked within HEALTH_GRACE_MS of the
 * last one, is not behind: both happened at the same moment. */
enum { HEALTH_GRACE_MS = 250 };
void health_relate(struct cell_health *health);

/* ---- what follows ---- */
enum cell_state {
#define X(state, name, exit, words) state,
#include "health/health_states.def"
#undef X
    CELL_STATE_COUNT
};
const char *cell_state_name(enum cell_state state);  /* "primary-lost" */
const char *cell_state_words(enum cell_state state); /* a sentence for the operator */
int cell_state_exit(
    enum cell_state state); /* of `domicile cell status`; 0 is healthy; a worse state has a larger one */

/* The state that these facts alone give. */
enum cell_state health_observe(const struct cell_health *health);

/* The table of transitions: from, to, and the sentence that the operator reads. NULL: no such transition. */
const char *health_transition(enum cell_state from, enum cell_state to);
/* Checks that every state can be reached from CELL_UNKNOWN and can reach CELL_HEALTHY, and that every row is used.
 * E_INTERNAL tells what is wrong. */
result health_check_table(void) MUST_USE;
/* The table for documents: a line a row, "from -> to: sentence". */
struct str health_draw(struct arena *arena);

struct health_limits {
    unsigned rounds;
    uint64_t lost_after_ms, degrade_after_ms;
    int64_t lag_max_bytes, slot_max_bytes;
    bool may_degrade; /* on_standby_loss */
};
struct health_limits health_limits_of(const struct cell *cell);

/* The state of a cell over time. It changes only after `rounds` looks in a row that show another state. The first look
 * counts at once, except for a lost primary, which must be lost for lost_after_ms. */
struct health_machine {
    enum cell_state state;
    uint64_t since_ms;
    enum cell_state seen; /* by the last look */
    unsigned rounds;      /* in a row */
    uint64_t seen_since_ms;
    void (*changed)(void *context, enum cell_state from, enum cell_state to, const char *why); /* optional */
    void *context;
};

/* One look, at now_ms of a monotonic clock. */
void health_look(struct health_machine *machine, const struct health_limits *limits,
                 const struct cell_health *health, uint64_t now_ms);
/* The only function that changes the state; it calls `changed` with old, new and why. The same state: does nothing. */
void health_move(struct health_machine *machine, enum cell_state to, uint64_t now_ms);

/* What should be done now. Only the holder of the lease may do it. */
enum health_wish { HEALTH_WISH_NOTHING, HEALTH_WISH_DEGRADE, HEALTH_WISH_RESTORE, HEALTH_WISH_UNMARK };
enum health_wish health_wish(const struct health_machine *machine, const struct health_limits *limits,
                             const struct cell_health *health, uint64_t now_ms);
/* A replication slot of the primary that retains more WAL than the limit; NULL: none. */
const struct health_slot *health_slot_to_drop(const struct health_limits *limits,
                                              const struct cell_health *health);
