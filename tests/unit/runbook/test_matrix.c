/* The generated matrix: every step of three tables × every outcome, undisturbed, and with the process killed at every
 * write of the journal (nothing, half, all, and every single byte of the line on the disk), killed twice, told to stop
 * and cancelled at every millisecond. What must hold is in world.h and in judge(). */
#include "runbook/world.h"

static struct world world;
static char case_name[160];
static struct tally {
    size_t cases, kills, bytes, twice, cancels, stops;
} tally;

#define fails_case(...) breaks(&world, __VA_ARGS__)

struct ending {
    enum run_state state;
    bool walking, on[SWITCHES_MAX];
    int writes; /* of the first life */
};

/* ---- lives ---- */
static bool read_history(struct arena *arena, struct journal_history *ret)
{
    result r = journal_read((struct str){ world.disk.bytes, world.disk.len }, arena, ret);
    if (failed(r))
        fails_case("the journal cannot be read: %s", r.error.what);
    return !failed(r);
}

/* Begins, or goes on with what the disk has. False: the run is over. */
static bool open_run(struct arena *arena)
{
    struct journal_history history = { 0 };
    struct run_options options = { .subject = "lamps",
                                   .fence = ++world.fence,
                                   .observer = &world.observer,
                                   .journal = &world.disk.journal };
    result r = OK;
    world.run = NULL;
    if (!read_history(arena, &history))
        return false;
    if (history.count == 0) {
        world.disk.len = 0;
        r = run_begin(world.runbook, &world, &options, &world.run);
    } else if (history.standing.state != RUN_OPEN && history.standing.state != RUN_NEEDS_PERSON) {
        return false;
    } else {
        r = run_resume(world.runbook, &world, history.events[0].run, &options, &world.run);
    }
    if (failed(r) && !world.disk.dead)
        fails_case("the run cannot be opened: %s", r.error.what);
    return !failed(r);
}

static void check_code(const result *r, enum run_state state)
{
    static const enum error_code codes[] = {
        [RUN_DONE] = E_OK, [RUN_UNDONE] = E_STEP, [RUN_NEEDS_PERSON] = E_NEEDS_PERSON, [RUN_OPEN] = E_JOURNAL
    };
    bool undone = state == RUN_UNDONE && r->error.code == E_CANCELLED;
    bool stopped = state == RUN_OPEN && r->error.code == E_CANCELLED;
    if (r->error.code != codes[state] && !undone && !stopped)
        fails_case("the run is %s, and driving it gave %s", run_state_word(state), error_name(r->error.code));
    if (state == RUN_OPEN && !stopped && !world.disk.dead)
        fails_case("the run stays open: %s", r->error.what);
}

/* One process: until the run ends, or the journal dies. */
static void live_once(void)
{
    struct arena arena;
    arena_init(&arena);
    if (open_run(&arena)) {
        if (world.cancel_wanted)
            run_cancel(world.run);
        result r = run_drive(world.run);
        check_code(&r, run_state(world.run));
    }
    run_free(world.run);
    world.run = NULL;
    arena_done(&arena);
}

/* What the disk says at last. */
static void judge(struct ending *ret)
{
    struct journal_history history = { 0 };
    struct arena arena;
    arena_init(&arena);
    if (read_history(&arena, &history)) {
        ret->state = history.standing.state;
        ret->walking = history.standing.walking;
        if (ret->state == RUN_NEEDS_PERSON && history.why[0] == '\0')
            fails_case("the run needs a person, and the journal does not say why");
    }
    for (size_t i = 0; i < world.runbook->step_count; i++) {
        const struct runbook_step *row = world.runbook->steps[i];
        ret->on[i] = world.lamps[i].on;
        if (ret->state == RUN_DONE && !ret->on[i])
            fails_case("the run is done, and \"%s\" is not true", row->id);
        if (ret->state == RUN_UNDONE && row->undo != NULL && world.lamps[i].acted && ret->on[i])
            fails_case("the run is undone, and \"%s\" is still true", row->id);
    }
    if (ret->state == RUN_UNDONE && world.passed)
        fails_case("the run is undone behind the point of no return");
    if (ret->state == RUN_OPEN || ret->state == RUN_ABANDONED)
        fails_case("the run ends as %s", run_state_word(ret->state));
    arena_done(&arena);
}

static void revive(void)
{
    disk_revive(&world.disk);
    for (size_t i = 0; i < SWITCHES_MAX; i++) { /* a new process has asked and done nothing yet */
        world.lamps[i].asked = false;
        world.lamps[i].acts_now = world.lamps[i].undos_now = 0;
    }
}

/* Somebody has seen to the cause: the run goes on to its end, or all the way back. */
static void repair(const struct ending *ending)
{
    struct ending last = { 0 };
    world.outcome = ONCE;
    world.cancel_wanted = false;
    for (size_t i = 0; i < world.runbook->step_count; i++)
        if (world.runbook->steps[i]->act == NULL)
            world.lamps[i].on = true;
    revive();
    live_once();
    judge(&last);
    if (last.state != (ending->walking ? RUN_UNDONE : RUN_DONE))
        fails_case("once somebody has seen to it, the run is %s", run_state_word(last.state));
}

/* ---- what is expected ---- */
static size_t no_return_of(const struct runbook *runbook)
{
    size_t at = 0;
    while (at < runbook->step_count && !runbook->steps[at]->no_return)
        at++;
    return at;
}

static bool applies(const struct runbook *runbook, size_t step, enum outcome outcome)
{
    const struct runbook_step *row = runbook->steps[step];
    if (outcome >= UNDO_ONCE)
        return row->undo != NULL && step + 1 < runbook->step_count;
    if (outcome == BY_OTHERS)
        return row->act != NULL && step < no_return_of(runbook) &&
               no_return_of(runbook) < runbook->step_count;
    if (row->tries == 1 && (outcome == FAILS_ONCE || outcome == CANCEL_BETWEEN))
        return false;
    return row->act != NULL || outcome == ONCE || outcome == FAILS || outcome == UNKNOWN ||
           outcome == UNKNOWN_THEN || outcome == ASK_FAILS || outcome == ASK_HANGS || outcome == TRUE_LATER ||
           outcome == CANCEL_BEFORE;
}

static enum run_state expected(const struct runbook *runbook, size_t step, enum outcome outcome)
{
    size_t no_return = no_return_of(runbook);
    bool passed = step >= no_return && no_return < runbook->step_count,
         last = step + 1 == runbook->step_count;
    switch (outcome) {
    case FAILS:
    case LIES:
    case LATE_AND_NOT:
    case CANCEL_BETWEEN:
        return passed ? RUN_NEEDS_PERSON : RUN_UNDONE;
    case BY_OTHERS:
    case UNKNOWN:
    case UNKNOWN_AFTER:
    case ASK_FAILS:
    case ASK_HANGS:
    case UNDO_FAILS:
    case UNDO_LIES:
    case UNDO_LATE_AND_NOT:
    case UNDO_UNKNOWN:
        return RUN_NEEDS_PERSON;
    case UNKNOWN_THEN:
        return step == no_return ? RUN_NEEDS_PERSON : RUN_DONE;
    case CANCEL_BEFORE:
        return passed && step != no_return ? RUN_NEEDS_PERSON : RUN_UNDONE;
    case CANCEL_DURING_NOT:
    case CANCEL_DURING_DONE:
        return !passed ? RUN_UNDONE : last ? RUN_DONE : RUN_NEEDS_PERSON;
    case CANCEL_AFTER:
        return last ? RUN_DONE : passed ? RUN_NEEDS_PERSON : RUN_UNDONE;
    case UNDO_ONCE:
    case UNDO_FAILS_ONCE:
    case UNDO_FAILS_BUT_DONE:
    case UNDO_LATE_BUT_DONE:
    case UNDO_UNKNOWN_THEN:
    case UNDO_CANCEL:
        return RUN_UNDONE;
    default:
        return RUN_DONE;
    }
}

/* ---- on a loop ---- */
static void run_case(void (*what)(void))
{
    on_virtual_loop(what);
    if (world.violation[0] != '\0')
        fail_msg("%s: %s\n%.*s", case_name, world.violation, (int)world.disk.len, world.disk.bytes);
    tally.cases++;
}

static struct ending ending, undisturbed;

static void undisturbed_case(void)
{
    live_once();
    ending.writes = world.disk.writes;
    judge(&ending);
    enum run_state wanted = expected(world.runbook, world.target, world.outcome);
    if (ending.state != wanted)
        fails_case("the run is %s, expected %s", run_state_word(ending.state), run_state_word(wanted));
    if (ending.state == RUN_NEEDS_PERSON)
        repair(&ending);
}

/* Where the cancel came can make a difference, unless it came to undo everything. */
static void compare(void)
{
    if (world.cancel_wanted && undisturbed.state != RUN_UNDONE)
        return;
    if (ending.state != undisturbed.state)
        fails_case("the run is %s, undisturbed it was %s", run_state_word(ending.state),
                   run_state_word(undisturbed.state));
    if (memcmp(ending.on, undisturbed.on, sizeof ending.on) != 0)
        fails_case("the world is not as it was undisturbed");
}

static int die_again_at;

static void killed_case(void)
{
    live_once();
    if (!world.disk.dead)
        fails_case("the process lived on");
    revive();
    world.disk.die_at = die_again_at;
    world.disk.death = die_again_at > 0 ? LOST : world.disk.death;
    live_once();
    if (world.disk.dead) {
        revive();
        live_once();
    }
    judge(&ending);
    compare();
    if (ending.state == RUN_NEEDS_PERSON)
        repair(&ending);
}

/* ---- the sweeps ---- */
static const struct runbook *const runbooks[] = { &whole_runbook, &free_runbook, &last_runbook };

static void name_case(const char *more, int at, int how)
{
    snprintf(case_name, sizeof case_name, "%s/%s/%s%s %d %d", world.runbook->name,
             world.runbook->steps[world.target]->id, outcome_words[world.outcome], more, at, how);
}

static void each(void (*sweep)(const struct runbook *runbook, size_t step, enum outcome outcome))
{
    for (size_t table = 0; table < COUNT(runbooks); table++)
        for (size_t step = 0; step < runbooks[table]->step_count; step++)
            for (enum outcome outcome = 0; outcome < OUTCOME_COUNT; outcome++)
                if (applies(runbooks[table], step, outcome))
                    sweep(runbooks[table], step, outcome);
}

static void run_undisturbed(const struct runbook *runbook, size_t step, enum outcome outcome)
{
    world_init(&world, runbook, step, outcome);
    name_case("", 0, 0);
    run_case(undisturbed_case);
    undisturbed = ending;
}

static void run_killed(const struct runbook *runbook, size_t step, enum outcome outcome)
{
    run_undisturbed(runbook, step, outcome);
    die_again_at = 0;
    for (int at = 1; at <= undisturbed.writes; at++)
        for (enum death death = LOST; death <= WHOLE; death++) {
            world_init(&world, runbook, step, outcome);
            world.disk.die_at = at;
            world.disk.death = death;
            name_case(" killed at", at, (int)death);
            run_case(killed_case);
            tally.kills++;
        }
}

/* Of the pairs of kills a sanitizer need not see each: they differ in what is on the disk, not in how memory is used. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TWICE_EVERY = 8 };
#else
enum { TWICE_EVERY = 1 };
#endif

static void run_killed_twice(const struct runbook *runbook, size_t step, enum outcome outcome)
{
    static const enum outcome chosen[] = { ONCE, FAILS, LATE_BUT_DONE, CANCEL_DURING_DONE, UNDO_FAILS_ONCE };
    bool is_chosen = false;
    for (size_t i = 0; i < COUNT(chosen); i++)
        is_chosen |= chosen[i] == outcome;
    if (!is_chosen)
        return;
    run_undisturbed(runbook, step, outcome);
    for (int at = 1; at <= undisturbed.writes; at++)
        for (die_again_at = 1 + at % TWICE_EVERY; die_again_at <= undisturbed.writes;
             die_again_at += TWICE_EVERY) {
            world_init(&world, runbook, step, outcome);
            world.disk.die_at = at;
            world.disk.death = (at + die_again_at) % 2 ? WHOLE : HALF;
            name_case(" killed at, and at", at, die_again_at);
            run_case(killed_case);
            tally.twice++;
        }
    die_again_at = 0;
}

static void run_torn(const struct runbook *runbook, size_t step, enum outcome outcome)
{
    if (!(runbook == &whole_runbook && step == 4 && outcome == ONCE) &&
        !(runbook == &free_runbook && step == 1 && outcome == UNDO_FAILS_ONCE))
        return;
    run_undisturbed(runbook, step, outcome);
    die_again_at = 0;
    for (int at = 1; at <= undisturbed.writes; at++) {
        size_t byte = 0;
        do {
            world_init(&world, runbook, step, outcome);
            world.disk.die_at = at;
            world.disk.death = AT_BYTE;
            world.disk.die_byte = byte;
            name_case(" torn at", at, (int)byte);
            run_case(killed_case);
            tally.bytes++;
        } while (byte++ < world.disk.died_in);
    }
}

/* ---- any moment ---- */
static uint64_t moment_ms;

static void cancel_then(void *arg)
{
    (void)arg;
    if (!failed(fiber_sleep(moment_ms)) && world.run != NULL) {
        world.cancel_wanted = true;
        run_cancel(world.run);
    }
}

static void cancelled_case(void)
{
    struct scope scope = SCOPE_INIT;
    must(!failed(fiber_spawn(&scope, "cancel", cancel_then, NULL)));
    live_once();
    scope_end(&scope);
    judge(&ending);
    if (ending.state == RUN_NEEDS_PERSON)
        repair(&ending);
}

static void live(void *arg)
{
    (void)arg;
    live_once();
}

/* Told to end at a moment, as a daemon is; then another goes on. */
static void stopped_case(void)
{
    struct scope scope = SCOPE_INIT;
    must(!failed(fiber_spawn(&scope, "run", live, NULL)));
    must(!failed(fiber_sleep(moment_ms)));
    scope_end(&scope);
    revive();
    live_once();
    judge(&ending);
    compare();
    if (ending.state == RUN_NEEDS_PERSON)
        repair(&ending);
}

static void run_at_any_moment(const struct runbook *runbook, size_t step, enum outcome outcome)
{
    enum { MOMENTS_MS = 120 };
    if (outcome != ONCE && outcome != UNDO_ONCE && outcome != ALREADY)
        return;
    run_undisturbed(runbook, step, outcome);
    for (moment_ms = 0; moment_ms <= MOMENTS_MS; moment_ms++) {
        world_init(&world, runbook, step, outcome);
        name_case(" cancelled at", (int)moment_ms, 0);
        run_case(cancelled_case);
        tally.cancels++;
        world_init(&world, runbook, step, outcome);
        name_case(" stopped at", (int)moment_ms, 0);
        run_case(stopped_case);
        tally.stops++;
    }
}

/* ---- tests ---- */
static void every_step_and_outcome(void **state)
{
    each(run_undisturbed);
}

static void killed_at_every_write(void **state)
{
    each(run_killed);
}

static void killed_twice(void **state)
{
    each(run_killed_twice);
}

static void torn_at_every_byte(void **state)
{
    each(run_torn);
}

static void cancelled_and_stopped_at_every_moment(void **state)
{
    each(run_at_any_moment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_and_outcome),
        cmocka_unit_test(killed_at_every_write),
        cmocka_unit_test(killed_twice),
        cmocka_unit_test(torn_at_every_byte),
        cmocka_unit_test(cancelled_and_stopped_at_every_moment),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    printf("the matrix: %zu cases; killed at a write %zu, at a byte %zu, twice %zu; cancelled at a moment "
           "%zu, stopped %zu\n",
           tally.cases, tally.kills, tally.bytes, tally.twice, tally.cancels, tally.stops);
    return failures;
}
