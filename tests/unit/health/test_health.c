/* What follows from facts: generated over everything that a primary and a standby may answer, and over time on a clock
 * that only these tests move. */
#include "check.h"

#include "health/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a cell of a primary and up to two standbys ---- */

static struct node nodes[3] = { { .name = { "p1", 2 } }, { .name = { "s1", 2 } }, { .name = { "s2", 2 } } };
static struct cell cell = { .name = { "c-1", 3 }, .nodes = nodes, .node_count = 2, .primary = &nodes[0] };
static struct cell_health facts;

static const struct health_limits limits = { .rounds = 3,
                                             .lost_after_ms = 5000,
                                             .degrade_after_ms = 10000,
                                             .lag_max_bytes = 1000,
                                             .slot_max_bytes = 1 << 20,
                                             .may_degrade = true };

static struct health_number known(int64_t value)
{
    return (struct health_number){ true, value };
}

/* Healthy: the primary writes, each standby has everything and confirms. */
static void set_healthy(size_t standbys)
{
    memset(&facts, 0, sizeof facts);
    cell.node_count = facts.node_count = 1 + standbys;
    facts.cell = &cell;
    for (size_t i = 0; i < facts.node_count; i++)
        facts.nodes[i] =
            (struct health_node){ .node = &nodes[i], .answer = HEALTH_ANSWERS, .role = HEALTH_STANDBY };
    struct health_node *primary = &facts.nodes[0];
    primary->role = HEALTH_PRIMARY;
    primary->writable = HEALTH_YES;
    primary->replication_visible = true;
    primary->sync_required = standbys > 0;
    for (size_t i = 1; i < facts.node_count; i++) {
        facts.nodes[i].view = HEALTH_VIEW_RECEIVES;
        facts.nodes[i].replay_lag_bytes = known(0);
        facts.nodes[i].walsender = (struct health_walsender){
            .attached = true, .streaming = true, .synchronous = true, .current = true
        };
    }
}

/* ---- the table ---- */

static void the_table_has_no_dead_end_and_reaches_every_state(void **state)
{
    check_ok(health_check_table());
    for (enum cell_state at = 0; at < CELL_STATE_COUNT; at++) {
        assert_null(health_transition(at, at));
        assert_true(strlen(cell_state_words(at)) > 10);
        assert_true((cell_state_exit(at) == 0) == (at == CELL_HEALTHY));
        for (enum cell_state other = 0; other < at; other++)
            assert_int_not_equal(cell_state_exit(at), cell_state_exit(other));
    }
}

static void the_table_draws_itself(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct str text = health_draw(&arena);
    assert_non_null(strstr(text.ptr, "blocked -> degraded: writes are acknowledged without a standby"));
    assert_non_null(strstr(text.ptr, "unknown -> healthy: the cell is monitored"));
    arena_done(&arena);
}

/* "test_cell_health --print" prints it anew. */
static void the_document_has_the_table(void **state)
{
    static char text[64 * 1024];
    struct arena arena;
    arena_init(&arena);
    FILE *file = fopen(SOURCE_DIR "/docs/health.md", "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    if (strstr(text, arena_printf(&arena, "```text\n%s```\n", health_draw(&arena).ptr)) == NULL)
        fail_msg("docs/health.md does not have the table; print it with: test_cell_health --print");
    arena_done(&arena);
}

/* ---- small parts ---- */

static void how_many_must_confirm(void **state)
{
    static const struct {
        const char *names;
        unsigned required;
    } cases[] = { { "", 0 },           { "  ", 0 },
                  { "s1", 1 },         { "s1, s2", 1 },
                  { "*", 1 },          { "FIRST 2 (a, b)", 2 },
                  { "first 1(a)", 1 }, { "ANY 3 (a,b,c)", 3 },
                  { "2 (a, b)", 2 },   { "\"first\"", 1 },
                  { "any", 1 },        { "FIRST 99999 (a)", 1 } };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(health_sync_required(str_from(cases[i].names)), cases[i].required);
}

static struct health_beat beat(int64_t sequence, int64_t monotonic_ms, int64_t at_ms, const char *writer)
{
    struct health_beat made = {
        .sequence = sequence, .monotonic_ms = monotonic_ms, .at_ms = at_ms, .age_ms = 900
    };
    snprintf(made.writer, sizeof made.writer, "%s", writer);
    return made;
}

static int64_t lag_of(struct health_beat newest, struct health_beat seen)
{
    set_healthy(1);
    facts.nodes[0].beat_known = facts.nodes[1].beat_known = true;
    facts.nodes[0].beat = newest;
    facts.nodes[1].beat = seen;
    health_relate(&facts);
    assert_true(facts.nodes[1].lag_ms.known);
    return facts.nodes[1].lag_ms.value;
}

static void lag_is_told_by_the_writers_own_clock(void **state)
{
    assert_int_equal(lag_of(beat(10, 50000, 7, "a"), beat(10, 50000, 7, "a")), 0);
    /* the wall clock was set back by an hour between the two: no matter */
    assert_int_equal(lag_of(beat(10, 50000, 1000, "a"), beat(7, 47000, 3600000, "a")), 3000);
    /* another writer has another monotonic clock: the primary's wall clock stamped both */
    assert_int_equal(lag_of(beat(10, 90, 9000, "b"), beat(7, 47000, 4000, "a")), 5000);
    assert_int_equal(lag_of(beat(10, 90, 1000, "b"), beat(7, 47000, 4000, "a")), 0); /* never below nothing */
    assert_int_equal(lag_of(beat(10, 50000, 7, "a"), beat(9, 49000, 7, "a")), 1000); /* it had its time */
    struct health_beat fresh = beat(10, 50000, 7, "a");
    fresh.age_ms = 3;
    assert_int_equal(lag_of(fresh, beat(9, 49000, 6, "a")), 0); /* asked at the moment of the write */
    assert_int_equal(lag_of(fresh, beat(8, 48000, 6, "a")), 2000);
    set_healthy(1);
    health_relate(&facts);
    assert_false(facts.nodes[1].lag_ms.known);
}

/* ---- one look, generated ---- */

enum kind { K_GOOD, K_STALE, K_SLOW, K_REFUSED, K_UNREACHABLE, KINDS };

static void make_absent(struct health_node *node, enum kind kind)
{
    static const enum health_answer answers[KINDS] = {
        [K_SLOW] = HEALTH_SLOW, [K_REFUSED] = HEALTH_REFUSED, [K_UNREACHABLE] = HEALTH_UNREACHABLE
    };
    *node = (struct health_node){ .node = node->node, .answer = answers[kind], .walsender = node->walsender };
}

/* Every case of: how the primary answers, whether it writes, what the standby answers, what it sees, what the primary sees
 * of it, and what is asked of it. */
struct look_case {
    enum kind primary, standby;
    enum health_yes writable;
    enum health_view view;
    bool streaming, current, synchronous, must_confirm, marked;
};

static void make_case(const struct look_case *c)
{
    set_healthy(1);
    struct health_node *primary = &facts.nodes[0], *standby = &facts.nodes[1];
    standby->view = c->view;
    standby->walsender = (struct health_walsender){ .attached = c->streaming,
                                                    .streaming = c->streaming,
                                                    .current = c->current && c->standby != K_STALE,
                                                    .synchronous = c->synchronous };
    primary->writable = c->writable;
    primary->sync_required = c->must_confirm;
    primary->degraded_since_ms = c->marked ? known(1) : (struct health_number){ 0 };
    if (c->primary >= K_SLOW)
        make_absent(primary, c->primary);
    if (c->standby >= K_SLOW)
        make_absent(standby, c->standby);
}

static enum cell_state expected(const struct look_case *c)
{
    bool primary = c->primary < K_SLOW, standby = c->standby < K_SLOW;
    bool confirms = c->streaming && c->current && c->synchronous && c->standby != K_STALE;
    if (!primary && !standby)
        return CELL_BLIND;
    if (!primary)
        return c->view == HEALTH_VIEW_LOST ? CELL_PRIMARY_LOST : CELL_UNSURE;
    if (c->writable != HEALTH_YES)
        return c->writable == HEALTH_NO ? CELL_READ_ONLY : CELL_UNKNOWN;
    if (!c->must_confirm)
        return c->marked && c->streaming ? CELL_RECOVERING : CELL_DEGRADED;
    return confirms ? CELL_HEALTHY : CELL_BLOCKED;
}

/* Calls for every case; returns how many there were. */
static unsigned each_case(void (*check)(const struct look_case *))
{
    unsigned count = 0;
    for (unsigned i = 0; i < KINDS * KINDS * 9 * 32; i++) {
        unsigned rest = i;
        struct look_case c = { 0 };
        c.primary = rest % KINDS, rest /= KINDS;
        c.standby = rest % KINDS, rest /= KINDS;
        c.writable = rest % 3, rest /= 3;
        c.view = rest % 3, rest /= 3;
        c.streaming = rest & 1, c.current = rest >> 1 & 1, c.synchronous = rest >> 2 & 1;
        c.must_confirm = rest >> 3 & 1, c.marked = rest >> 4 & 1;
        check(&c);
        count++;
    }
    return count;
}

static void check_look(const struct look_case *c)
{
    make_case(c);
    enum cell_state seen = health_observe(&facts);
    if (seen != expected(c))
        fail_msg("primary %d standby %d writable %d view %d streaming %d current %d sync %d must %d marked "
                 "%d: %s, not %s",
                 c->primary, c->standby, c->writable, c->view, c->streaming, c->current, c->synchronous,
                 c->must_confirm, c->marked, cell_state_name(seen), cell_state_name(expected(c)));
    /* no node's silence is taken for a no */
    if (seen == CELL_PRIMARY_LOST)
        assert_true(facts.nodes[1].answer == HEALTH_ANSWERS && facts.nodes[1].view == HEALTH_VIEW_LOST);
}

static void every_look_has_its_state(void **state)
{
    assert_int_equal(each_case(check_look), 7200);
}

static void two_standbys_and_two_primaries(void **state)
{
    set_healthy(0);
    assert_int_equal(health_observe(&facts), CELL_HEALTHY);
    facts.nodes[0].replication_visible = false; /* there is none to see */
    assert_int_equal(health_observe(&facts), CELL_HEALTHY);
    facts.nodes[0].writable = HEALTH_UNKNOWN;
    assert_int_equal(health_observe(&facts), CELL_UNKNOWN);
    set_healthy(2);
    assert_int_equal(health_observe(&facts), CELL_HEALTHY);
    facts.nodes[2].walsender.streaming = false;
    assert_int_equal(health_observe(&facts), CELL_WEAKENED);
    facts.nodes[0].sync_required = 2;
    assert_int_equal(health_observe(&facts), CELL_BLOCKED);
    facts.nodes[0].replication_visible = false;
    assert_int_equal(health_observe(&facts), CELL_UNKNOWN);
    set_healthy(2);
    facts.nodes[1].role = HEALTH_PRIMARY;
    assert_int_equal(health_observe(&facts), CELL_SPLIT);
    assert_ptr_equal(health_primary(&facts), &facts.nodes[0]);
    assert_null(health_slot_to_drop(&limits, &facts));
    /* both standbys must agree that the primary is lost */
    set_healthy(2);
    make_absent(&facts.nodes[0], K_REFUSED);
    facts.nodes[1].view = HEALTH_VIEW_LOST;
    assert_int_equal(health_observe(&facts), CELL_UNSURE);
    facts.nodes[2].view = HEALTH_VIEW_LOST;
    assert_int_equal(health_observe(&facts), CELL_PRIMARY_LOST);
    make_absent(&facts.nodes[2], K_SLOW);
    assert_int_equal(health_observe(&facts), CELL_PRIMARY_LOST);
    for (size_t i = 0; i < 3; i++)
        facts.nodes[i].answer = HEALTH_NOT_ASKED;
    assert_int_equal(health_observe(&facts), CELL_UNKNOWN);
}

/* ---- over time ---- */

static unsigned changes;
static void count_change(void *context, enum cell_state from, enum cell_state to, const char *why)
{
    assert_non_null(why);
    assert_string_equal(why, health_transition(from, to));
    changes++;
}

/* Any state, then any case for as long as it takes: the state is the case's in the end, with a sentence for the change;
 * and nothing is wished for but what may be. */
static void check_settling(const struct look_case *c)
{
    for (enum cell_state from = 0; from < CELL_STATE_COUNT; from++) {
        struct health_machine machine = { .state = from, .seen = from, .rounds = 5, .changed = count_change };
        for (unsigned policy = 0; policy < 2; policy++) {
            struct health_limits some = limits;
            some.may_degrade = policy == 1;
            make_case(c);
            for (uint64_t now = 0; now <= 20000; now += 1000) {
                health_look(&machine, &some, &facts, now);
                enum health_wish wish = health_wish(&machine, &some, &facts, now);
                enum cell_state seen = health_observe(&facts);
                if (seen == CELL_BLIND || seen == CELL_UNSURE || seen == CELL_PRIMARY_LOST)
                    assert_true(wish == HEALTH_WISH_NOTHING && health_slot_to_drop(&some, &facts) == NULL);
                if (wish == HEALTH_WISH_DEGRADE)
                    assert_true(some.may_degrade && seen == CELL_BLOCKED && now >= some.degrade_after_ms &&
                                facts.nodes[0].writable == HEALTH_YES);
                if (wish == HEALTH_WISH_RESTORE)
                    assert_true(seen == CELL_RECOVERING && facts.nodes[1].walsender.current);
            }
            assert_int_equal(machine.state, expected(c));
        }
    }
}

static void every_state_settles_from_every_other(void **state)
{
    each_case(check_settling);
}

static void nothing_flaps(void **state)
{
    struct health_machine machine = { .changed = count_change };
    set_healthy(1);
    health_look(&machine, &limits, &facts, 0);
    assert_int_equal(machine.state, CELL_HEALTHY); /* the first look counts at once */
    changes = 0;
    srand(1);
    for (uint64_t now = 1000; now < 5000000; now += 1000) {
        /* two bad looks in a row of any kind, then a good one */
        set_healthy(1);
        if (now / 1000 % 3 != 0)
            make_absent(&facts.nodes[rand() % 2], K_SLOW + rand() % 3);
        health_look(&machine, &limits, &facts, now);
        assert_int_equal(health_wish(&machine, &limits, &facts, now), HEALTH_WISH_NOTHING);
    }
    assert_int_equal(changes, 0);
}

static void a_lost_primary_takes_its_time_even_at_the_first_look(void **state)
{
    struct health_machine machine = { 0 };
    set_healthy(1);
    make_absent(&facts.nodes[0], K_REFUSED);
    facts.nodes[1].view = HEALTH_VIEW_LOST;
    for (uint64_t now = 0; now < 5000; now += 1000) {
        health_look(&machine, &limits, &facts, now);
        assert_int_equal(machine.state, CELL_UNKNOWN);
    }
    health_look(&machine, &limits, &facts, 5000);
    assert_int_equal(machine.state, CELL_PRIMARY_LOST);
    assert_int_equal(machine.since_ms, 5000);
}

static uint64_t run(struct health_machine *machine, const struct health_limits *with, uint64_t from,
                    unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++, from += 1000)
        health_look(machine, with, &facts, from);
    return from;
}

/* A standby is lost, the cell degrades, the standby comes back, the cell is synchronous again. */
static void degrading_and_back(void **state)
{
    struct health_machine machine = { 0 };
    set_healthy(1);
    uint64_t now = run(&machine, &limits, 0, 5);
    facts.nodes[1].walsender = (struct health_walsender){ 0 };
    now = run(&machine, &limits, now, 10);
    assert_int_equal(machine.state, CELL_BLOCKED);
    assert_int_equal(health_wish(&machine, &limits, &facts, now - 1000),
                     HEALTH_WISH_NOTHING); /* not long enough */
    now = run(&machine, &limits, now, 1);
    assert_int_equal(health_wish(&machine, &limits, &facts, now - 1000), HEALTH_WISH_DEGRADE);
    struct health_limits block = limits;
    block.may_degrade = false;
    now = run(&machine, &block, now, 100000);
    assert_int_equal(health_wish(&machine, &block, &facts, now), HEALTH_WISH_NOTHING);

    facts.nodes[0].sync_required = 0;
    facts.nodes[0].degraded_since_ms = known(1);
    now = run(&machine, &limits, now, 3);
    assert_int_equal(machine.state, CELL_DEGRADED);
    facts.nodes[1].walsender = (struct health_walsender){ .attached = true, .streaming = true };
    facts.nodes[1].replay_lag_bytes = known(0);
    now = run(&machine, &limits, now, 3);
    assert_int_equal(machine.state, CELL_RECOVERING);
    assert_int_equal(health_wish(&machine, &limits, &facts, now),
                     HEALTH_WISH_NOTHING); /* stopped: it flushes nothing */
    facts.nodes[1].walsender.current = true;
    facts.nodes[1].replay_lag_bytes = known(1001);
    assert_int_equal(health_wish(&machine, &limits, &facts, now), HEALTH_WISH_NOTHING); /* behind */
    facts.nodes[1].replay_lag_bytes = known(1000);
    assert_int_equal(health_wish(&machine, &limits, &facts, now), HEALTH_WISH_RESTORE);

    facts.nodes[0].sync_required = 1;
    facts.nodes[1].walsender.synchronous = true;
    now = run(&machine, &limits, now, 3);
    assert_int_equal(machine.state, CELL_HEALTHY);
    assert_int_equal(health_wish(&machine, &limits, &facts, now), HEALTH_WISH_UNMARK);
    facts.nodes[0].degraded_since_ms.known = false;
    assert_int_equal(health_wish(&machine, &limits, &facts, now), HEALTH_WISH_NOTHING);
}

static void a_slot_over_the_limit(void **state)
{
    set_healthy(1);
    struct health_node *primary = &facts.nodes[0];
    primary->slot_count = 2;
    primary->slots[0] = (struct health_slot){ .name = "a", .retained_bytes = known(1 << 20) };
    assert_null(health_slot_to_drop(&limits, &facts));
    primary->slots[1] = (struct health_slot){ .name = "b", .retained_bytes = known((1 << 20) + 1) };
    assert_ptr_equal(health_slot_to_drop(&limits, &facts), &primary->slots[1]);
    primary->writable = HEALTH_UNKNOWN;
    assert_null(health_slot_to_drop(&limits, &facts));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        struct arena arena;
        arena_init(&arena);
        fputs(health_draw(&arena).ptr, stdout);
        arena_done(&arena);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_has_the_table),
        cmocka_unit_test(the_table_has_no_dead_end_and_reaches_every_state),
        cmocka_unit_test(the_table_draws_itself),
        cmocka_unit_test(how_many_must_confirm),
        cmocka_unit_test(lag_is_told_by_the_writers_own_clock),
        cmocka_unit_test(every_look_has_its_state),
        cmocka_unit_test(two_standbys_and_two_primaries),
        cmocka_unit_test(every_state_settles_from_every_other),
        cmocka_unit_test(nothing_flaps),
        cmocka_unit_test(a_lost_primary_takes_its_time_even_at_the_first_look),
        cmocka_unit_test(degrading_and_back),
        cmocka_unit_test(a_slot_over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
