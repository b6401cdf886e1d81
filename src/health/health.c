#include "health/health.h"

#include <ctype.h>

/* ---- the states ---- */

static const struct {
    const char *name, *words;
    int exit;
} states[CELL_STATE_COUNT] = {
#define X(state, name, exit, words) [state] = { name, words, exit },
#include "health/health_states.def"
#undef X
};

const char *cell_state_name(enum cell_state state)
{
    must(state < CELL_STATE_COUNT);
    return states[state].name;
}

const char *cell_state_words(enum cell_state state)
{
    must(state < CELL_STATE_COUNT);
    return states[state].words;
}

int cell_state_exit(enum cell_state state)
{
    must(state < CELL_STATE_COUNT);
    return states[state].exit;
}

/* ---- the primary ---- */

static bool takes_itself_for_primary(const struct health_node *node)
{
    return node->answer == HEALTH_ANSWERS && node->role == HEALTH_PRIMARY;
}

size_t health_primaries(const struct cell_health *health)
{
    size_t count = 0;
    for (size_t i = 0; i < health->node_count; i++)
        count += takes_itself_for_primary(&health->nodes[i]);
    return count;
}

const struct health_node *health_primary(const struct cell_health *health)
{
    const struct health_node *found = NULL;
    for (size_t i = 0; i < health->node_count; i++) {
        const struct health_node *node = &health->nodes[i];
        if (takes_itself_for_primary(node) && (found == NULL || node->node == health->cell->primary))
            found = node;
    }
    return found;
}

static struct str first_word(struct str *rest)
{
    size_t len = 0;
    while (rest->len > 0 && isspace((unsigned char)*rest->ptr))
        *rest = (struct str){ rest->ptr + 1, rest->len - 1 };
    while (len < rest->len && isalnum((unsigned char)rest->ptr[len]))
        len++;
    struct str word = { rest->ptr, len };
    *rest = (struct str){ rest->ptr + len, rest->len - len };
    return word;
}

unsigned health_sync_required(struct str names)
{
    struct str rest = names, word = first_word(&rest);
    uint64_t number = 1;
    if (str_trim(names).len == 0)
        return 0;
    if (str_eq_nocase(word, STR("first")) || str_eq_nocase(word, STR("any")))
        word = first_word(&rest);
    rest = str_trim(rest);
    if (!str_starts(rest, STR("(")) || !str_to_u64(word, 1000, &number))
        return 1; /* a plain list: the first of them */
    return (unsigned)number;
}

/* ---- what takes two nodes to know ---- */

static struct health_number number(int64_t value)
{
    return (struct health_number){ true, value > 0 ? value : 0 };
}

static struct health_number behind(const struct health_number *ahead, const struct health_number *here)
{
    if (!ahead->known || !here->known)
        return (struct health_number){ 0 };
    return number(ahead->value - here->value);
}

static struct health_number beats_behind(const struct health_node *primary, const struct health_node *standby)
{
    if (!primary->beat_known || !standby->beat_known || primary->beat.sequence == 0)
        return (struct health_number){ 0 };
    const struct health_beat *newest = &primary->beat, *seen = &standby->beat;
    int64_t missing = newest->sequence - seen->sequence;
    if (missing <= 0 || (missing == 1 && newest->age_ms < HEALTH_GRACE_MS))
        return number(0);
    if (strcmp(newest->writer, seen->writer) == 0)
        return number(newest->monotonic_ms - seen->monotonic_ms);
    return number(newest->at_ms - seen->at_ms);
}

static void relate(const struct health_node *primary, struct health_node *standby)
{
    standby->lag_ms = beats_behind(primary, standby);
    standby->receive_lag_bytes = behind(&primary->position, &standby->received);
    standby->replay_lag_bytes = behind(&primary->position, &standby->position);
    if (!standby->receive_lag_bytes.known)
        standby->receive_lag_bytes = standby->walsender.flush_lag_bytes;
    if (!standby->replay_lag_bytes.known)
        standby->replay_lag_bytes = standby->walsender.replay_lag_bytes;
}

void health_relate(struct cell_health *health)
{
    const struct health_node *primary = health_primary(health);
    for (size_t i = 0; primary != NULL && i < health->node_count; i++)
        if (&health->nodes[i] != primary)
            relate(primary, &health->nodes[i]);
}

/* ---- one look ---- */

static size_t count_answers(const struct cell_health *health, enum health_answer answer)
{
    size_t count = 0;
    for (size_t i = 0; i < health->node_count; i++)
        count += health->nodes[i].answer == answer;
    return count;
}

/* Of those that are declared: whether all, some or none are attached, current, or confirm. */
struct standbys {
    size_t declared, streaming, current, confirming;
};

static struct standbys count_standbys(const struct cell_health *health, const struct health_node *primary)
{
    struct standbys count = { 0 };
    for (size_t i = 0; i < health->node_count; i++) {
        const struct health_walsender *walsender = &health->nodes[i].walsender;
        if (&health->nodes[i] == primary)
            continue;
        count.declared++;
        count.streaming += walsender->streaming;
        count.current += walsender->streaming && walsender->current;
        count.confirming += walsender->streaming && walsender->current && walsender->synchronous;
    }
    return count;
}

static enum cell_state observe_primary(const struct cell_health *health, const struct health_node *primary)
{
    const struct standbys standbys = count_standbys(health, primary);
    if (primary->writable == HEALTH_NO)
        return CELL_READ_ONLY;
    if (primary->writable == HEALTH_YES && primary->sync_required == 0 && standbys.declared == 0)
        return CELL_HEALTHY;
    if (primary->writable != HEALTH_YES || !primary->replication_visible)
        return CELL_UNKNOWN;
    if (primary->sync_required == 0)
        return primary->degraded_since_ms.known && standbys.streaming > 0 ? CELL_RECOVERING : CELL_DEGRADED;
    if (standbys.confirming < primary->sync_required)
        return CELL_BLOCKED;
    return standbys.current == standbys.declared ? CELL_HEALTHY : CELL_WEAKENED;
}

/* Some node answers; the standbys' word counts only if all that do agree. */
static enum cell_state observe_standbys(const struct cell_health *health)
{
    size_t lost = 0;
    for (size_t i = 0; i < health->node_count; i++)
        lost += health->nodes[i].answer == HEALTH_ANSWERS && health->nodes[i].role == HEALTH_STANDBY &&
                health->nodes[i].view == HEALTH_VIEW_LOST;
    return lost == count_answers(health, HEALTH_ANSWERS) ? CELL_PRIMARY_LOST : CELL_UNSURE;
}

enum cell_state health_observe(const struct cell_health *health)
{
    if (count_answers(health, HEALTH_NOT_ASKED) == health->node_count)
        return CELL_UNKNOWN;
    if (count_answers(health, HEALTH_ANSWERS) == 0)
        return CELL_BLIND;
    if (health_primaries(health) > 1)
        return CELL_SPLIT;
    const struct health_node *primary = health_primary(health);
    return primary != NULL ? observe_primary(health, primary) : observe_standbys(health);
}
