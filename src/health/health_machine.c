/* The states of a cell over time: the table of transitions, and the only function that changes the state. */
#include "health/health.h"

#define STATE(state) (1U << (state))
enum {
    ANY = (1U << CELL_STATE_COUNT) - 1,
    SEEN = ANY & ~STATE(CELL_UNKNOWN),
    WRITES = STATE(CELL_HEALTHY) | STATE(CELL_WEAKENED) | STATE(CELL_RECOVERING) | STATE(CELL_DEGRADED),
    DARK = STATE(CELL_UNSURE) | STATE(CELL_PRIMARY_LOST) | STATE(CELL_BLIND),
};

/* The first row that fits counts. The sentence is what the operator reads in the log. */
static const struct transition {
    unsigned from;
    enum cell_state to;
    const char *sentence;
} transitions[] = {
    { STATE(CELL_UNKNOWN), CELL_HEALTHY,
      "the cell is monitored: the primary accepts writes, and the standbys have them" },
    { STATE(CELL_BLOCKED), CELL_HEALTHY, "a standby confirms writes again: waiting writes are done" },
    { STATE(CELL_RECOVERING) | STATE(CELL_DEGRADED), CELL_HEALTHY,
      "the standby has caught up and confirms writes again" },
    { STATE(CELL_WEAKENED), CELL_HEALTHY, "all standbys have all writes again" },
    { DARK, CELL_HEALTHY, "the primary answers again, and the standbys have all writes" },
    { ANY, CELL_HEALTHY, "the primary accepts writes, and the standbys have them" },
    { STATE(CELL_HEALTHY), CELL_WEAKENED,
      "a standby is lost or behind; another standby still confirms writes" },
    { ANY, CELL_WEAKENED, "a standby confirms writes; another standby is lost or behind" },
    { ANY & ~STATE(CELL_HEALTHY), CELL_RECOVERING,
      "a standby is back and is catching up; no standby confirms writes yet" },
    { STATE(CELL_HEALTHY), CELL_RECOVERING,
      "the cell was made asynchronous; a standby is connected and is catching up" },
    { STATE(CELL_BLOCKED), CELL_DEGRADED,
      "writes are acknowledged without a standby: they are on one node only" },
    { STATE(CELL_RECOVERING), CELL_DEGRADED, "the standby was lost again before it caught up" },
    { ANY, CELL_DEGRADED, "no standby confirms writes: they are on one node only" },
    { WRITES, CELL_BLOCKED, "no standby confirms writes any more: writes wait" },
    { ANY, CELL_BLOCKED, "writes wait: no standby confirms them" },
    { ANY, CELL_READ_ONLY, "the primary answers, but refuses writes" },
    { ANY, CELL_UNSURE, "the primary does not answer the monitor, but its standby has not lost it" },
    { ANY, CELL_PRIMARY_LOST, "the primary does not answer, and its standby has lost it too" },
    { ANY, CELL_SPLIT, "more than one node accepts writes: stop all but one of them" },
    { ANY, CELL_BLIND, "no node answers: the state is not known, and nothing is changed" },
    { SEEN, CELL_UNKNOWN,
      "the state is not known any more: a question was not answered, or this monitor may not ask" },
};
enum { TRANSITIONS = COUNT(transitions) };

static const struct transition *find(enum cell_state from, enum cell_state to)
{
    for (size_t i = 0; i < TRANSITIONS; i++)
        if (transitions[i].to == to && (transitions[i].from & STATE(from)) != 0 && from != to)
            return &transitions[i];
    return NULL;
}

const char *health_transition(enum cell_state from, enum cell_state to)
{
    const struct transition *row = find(from, to);
    return row == NULL ? NULL : row->sentence;
}

/* ---- the table checks and prints itself ---- */

/* Those that can be reached from `start`, forwards or backwards. */
static unsigned closure(enum cell_state start, bool backwards)
{
    unsigned reached = STATE(start), before = 0;
    while (reached != before) {
        before = reached;
        for (enum cell_state a = 0; a < CELL_STATE_COUNT; a++)
            for (enum cell_state b = 0; b < CELL_STATE_COUNT; b++)
                if ((before & STATE(a)) != 0 && find(backwards ? b : a, backwards ? a : b) != NULL)
                    reached |= STATE(b);
    }
    return reached;
}

static bool is_of_use(const struct transition *row)
{
    for (enum cell_state from = 0; from < CELL_STATE_COUNT; from++)
        if (find(from, row->to) == row)
            return true;
    return false;
}

result health_check_table(void)
{
    if (closure(CELL_UNKNOWN, false) != ANY)
        return FAIL(E_INTERNAL, NULL, "a state of a cell cannot be reached");
    if (closure(CELL_HEALTHY, true) != ANY)
        return FAIL(E_INTERNAL, NULL, "a state of a cell is a dead end");
    for (size_t i = 0; i < TRANSITIONS; i++)
        if (!is_of_use(&transitions[i]))
            return FAIL(E_INTERNAL, NULL, "the transition \"%s\" is never used", transitions[i].sentence);
    return OK;
}

static const char *from_names(const struct transition *row, struct arena *arena)
{
    const char *names = "";
    for (enum cell_state from = 0; from < CELL_STATE_COUNT; from++)
        if (find(from, row->to) == row)
            names = arena_printf(arena, "%s%s%s", names, names[0] == '\0' ? "" : ", ", cell_state_name(from));
    return names;
}

struct str health_draw(struct arena *arena)
{
    const char *text = "";
    for (size_t i = 0; i < TRANSITIONS; i++)
        text = arena_printf(arena, "%s%s -> %s: %s\n", text, from_names(&transitions[i], arena),
                            cell_state_name(transitions[i].to), transitions[i].sentence);
    return str_from(text);
}

/* ---- over time ---- */

struct health_limits health_limits_of(const struct cell *cell)
{
    return (struct health_limits){ .rounds = cell->monitor.rounds,
                                   .lost_after_ms = cell->monitor.lost_after_ms,
                                   .degrade_after_ms = cell->monitor.degrade_after_ms,
                                   .lag_max_bytes = cell->monitor.lag_max_bytes,
                                   .slot_max_bytes = (int64_t)cell->monitor.slot_max_mib << 20,
                                   .may_degrade = strcmp(cell->on_standby_loss, "degrade") == 0 };
}

void health_move(struct health_machine *machine, enum cell_state to, uint64_t now_ms)
{
    enum cell_state from = machine->state;
    if (from == to)
        return;
    const char *why = health_transition(from, to);
    must(why != NULL);
    machine->state = to;
    machine->since_ms = now_ms;
    if (machine->changed != NULL)
        machine->changed(machine->context, from, to, why);
}

static bool is_settled(const struct health_machine *machine, const struct health_limits *limits,
                       uint64_t now_ms)
{
    bool first = machine->state == CELL_UNKNOWN;
    if (machine->seen == CELL_PRIMARY_LOST)
        return machine->rounds >= limits->rounds && now_ms - machine->seen_since_ms >= limits->lost_after_ms;
    return first || machine->rounds >= limits->rounds;
}

void health_look(struct health_machine *machine, const struct health_limits *limits,
                 const struct cell_health *health, uint64_t now_ms)
{
    enum cell_state seen = health_observe(health);
    if (seen != machine->seen || machine->rounds == 0) {
        machine->seen = seen;
        machine->seen_since_ms = now_ms;
        machine->rounds = 0;
    }
    machine->rounds++;
    if (is_settled(machine, limits, now_ms))
        health_move(machine, seen, now_ms);
}

/* ---- wishes ---- only for a state that is true now, and has been for long enough */

static bool has_caught_up(const struct cell_health *health, const struct health_limits *limits)
{
    for (size_t i = 0; i < health->node_count; i++) {
        const struct health_node *standby = &health->nodes[i];
        if (standby->walsender.streaming && standby->walsender.current && standby->replay_lag_bytes.known &&
            standby->replay_lag_bytes.value <= limits->lag_max_bytes)
            return true;
    }
    return false;
}

enum health_wish health_wish(const struct health_machine *machine, const struct health_limits *limits,
                             const struct cell_health *health, uint64_t now_ms)
{
    const struct health_node *primary = health_primary(health);
    if (machine->seen != machine->state || machine->rounds < limits->rounds || primary == NULL)
        return HEALTH_WISH_NOTHING;
    switch (machine->state) {
    case CELL_BLOCKED:
        return limits->may_degrade && now_ms - machine->seen_since_ms >= limits->degrade_after_ms
                   ? HEALTH_WISH_DEGRADE
                   : HEALTH_WISH_NOTHING;
    case CELL_RECOVERING:
        return has_caught_up(health, limits) ? HEALTH_WISH_RESTORE : HEALTH_WISH_NOTHING;
    case CELL_HEALTHY:
    case CELL_WEAKENED:
        return primary->degraded_since_ms.known && primary->sync_required > 0 ? HEALTH_WISH_UNMARK
                                                                              : HEALTH_WISH_NOTHING;
    default:
        return HEALTH_WISH_NOTHING;
    }
}

const struct health_slot *health_slot_to_drop(const struct health_limits *limits,
                                              const struct cell_health *health)
{
    const struct health_node *primary = health_primary(health);
    if (primary == NULL || health_primaries(health) > 1 || primary->writable != HEALTH_YES)
        return NULL;
    for (size_t i = 0; i < primary->slot_count; i++)
        if (primary->slots[i].retained_bytes.known &&
            primary->slots[i].retained_bytes.value > limits->slot_max_bytes)
            return &primary->slots[i];
    return NULL;
}
