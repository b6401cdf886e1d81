#pragma once
/* A world of switches for the engine to act on, a journal in memory that can die, and what must hold whatever happens:
 *   - an act is never done without its goal having been asked since the last one, and having said NO;
 *   - each act and each undo is in the journal before it happens, under a serial that grows;
 *   - nothing is undone once a step of no return has begun or was found true, and only what acted is undone, backwards;
 *   - nothing at all happens once the journal is dead.
 * The first rule that is broken is noted in `violation`: the engine goes on, and the journal shows how it came to it. */
#include "loop/on_loop.h"

#include "base/clock.h"
#include "base/text.h"
#include "loop/fiber.h"
#include "runbook/journal.h"

#include <stdio.h>
#include <stdlib.h>

/* What happens at the one step that a case is about; all others are done at once. From UNDO_ONCE on it is cancelled
 * at the step behind it, so that it is undone. */
enum outcome {
#define X(name) name,
#include "runbook/outcomes.def"
#undef X
    OUTCOME_COUNT
};
static const char *const outcome_words[] = {
#define X(name) #name,
#include "runbook/outcomes.def"
#undef X
};

/* ---- the journal that can die ---- */
enum death { LOST, HALF, WHOLE, AT_BYTE }; /* what of the line reached the disk */
struct disk {
    struct journal journal;
    char bytes[64 * 1024];
    size_t len;
    int writes, die_at; /* die_at 0: never */
    enum death death;
    size_t die_byte, died_in; /* the length of the line in which it died */
    bool dead;
};

/* ---- the world ---- */
enum { SWITCHES_MAX = 8 };
struct lamp {
    bool on, asked, acted;
    enum answer last;
    int asks, asks_after, acts, undos;
    uint32_t acts_now, undos_now; /* of this process */
};
struct world {
    const struct runbook *runbook;
    size_t target;
    enum outcome outcome;
    struct lamp lamps[SWITCHES_MAX];
    struct disk disk;
    struct run *run;
    struct run_observer observer;
    uint64_t fence, serial;
    bool cancel_wanted, cancel_used, passed;
    uint64_t act_ms;    /* how long an act takes when nothing goes wrong */
    size_t undone_from; /* the last step that was undone */
    char violation[256];
};

#define breaks(world, ...)                                                                                   \
    do {                                                                                                     \
        if ((world)->violation[0] == '\0')                                                                   \
            text_fit((world)->violation, sizeof(world)->violation, __VA_ARGS__);                             \
    } while (0)

static inline result disk_load(struct journal *journal, struct arena *arena, struct str *ret)
{
    const struct disk *disk = (struct disk *)journal;
    *ret = arena_str(arena, (struct str){ disk->bytes, disk->len });
    return OK;
}

static inline result disk_cut(struct journal *journal, size_t bytes)
{
    ((struct disk *)journal)->len = bytes;
    return OK;
}

static inline size_t disk_reached(const struct disk *disk, struct str line)
{
    switch (disk->death) {
    case LOST:
        return 0;
    case HALF:
        return line.len / 2;
    case WHOLE:
        return line.len;
    default:
        return disk->die_byte < line.len ? disk->die_byte : line.len;
    }
}

/* Takes a moment, in which a cancel may come; like a thread's work it cannot be interrupted. */
static inline result disk_append(struct journal *journal, struct str line)
{
    struct disk *disk = (struct disk *)journal;
    struct shield shield;
    TRY(fiber_check());
    if (disk->dead)
        return FAIL(E_JOURNAL, NULL, "the disk is dead");
    fiber_shield(&shield);
    result r = fiber_sleep(1);
    fiber_unshield(&shield);
    must(!failed(r) && disk->len + line.len <= sizeof disk->bytes);
    disk->dead = ++disk->writes == disk->die_at;
    if (disk->dead)
        disk->died_in = line.len;
    size_t reached = disk->dead ? disk_reached(disk, line) : line.len;
    memcpy(disk->bytes + disk->len, line.ptr, reached);
    disk->len += reached;
    return disk->dead ? FAIL(E_JOURNAL, NULL, "the disk died") : OK;
}

static inline void disk_close(struct journal *journal)
{
    (void)journal;
}

static inline void disk_revive(struct disk *disk)
{
    disk->journal = (struct journal){ disk_load, disk_cut, disk_append, disk_close };
    disk->writes = disk->die_at = 0;
    disk->dead = false;
}

/* ---- what the steps do ---- */
static inline bool is_target(const struct world *world, size_t step, enum outcome outcome)
{
    return world->target == step && world->outcome == outcome;
}

static inline void cancel_once(struct world *world)
{
    if (world->cancel_used)
        return;
    world->cancel_used = world->cancel_wanted = true;
    run_cancel(world->run);
}

static inline void check_alive(struct world *world, const char *what, const char *step)
{
    if (world->disk.dead)
        breaks(world, "%s of \"%s\" after the journal died", what, step);
}

static inline result take_long(const struct world *world)
{
    return fiber_sleep(world->runbook->steps[world->target]->within_ms * 2);
}

static inline enum answer scripted_answer(struct world *world, size_t step)
{
    struct lamp *lamp = &world->lamps[step];
    bool before = lamp->acts == 0;
    if (step == world->target + 1 && world->outcome >= UNDO_ONCE)
        cancel_once(world);
    if (is_target(world, step, CANCEL_BEFORE) || (is_target(world, step, CANCEL_AFTER) && !before))
        cancel_once(world);
    if ((is_target(world, step, UNKNOWN) && before) || (is_target(world, step, UNKNOWN_AFTER) && !before) ||
        (is_target(world, step, UNKNOWN_THEN) && lamp->asks <= 2) ||
        (is_target(world, step, UNKNOWN_AFTER_THEN) && !before && ++lamp->asks_after <= 2) ||
        (is_target(world, step, UNDO_UNKNOWN) && lamp->undos > 0) ||
        (is_target(world, step, UNDO_UNKNOWN_THEN) && lamp->undos > 0 && ++lamp->asks_after <= 2))
        return ANSWER_UNKNOWN;
    if (is_target(world, step, TRUE_LATER) && lamp->asks > 1)
        lamp->on = true;
    return lamp->on ? ANSWER_YES : ANSWER_NO;
}

static inline result ask_lamp(void *context, struct runbook_call *call, enum answer *ret)
{
    struct world *world = context;
    size_t step = call->number - 1;
    struct lamp *lamp = &world->lamps[step];
    check_alive(world, "asking", call->step);
    lamp->asks++;
    lamp->asked = true;
    lamp->last = ANSWER_UNKNOWN;
    if (is_target(world, step, ASK_FAILS))
        return FAIL(E_UNAVAILABLE, NULL, "lamp %zu does not answer", step);
    if (is_target(world, step, ASK_HANGS))
        TRY(take_long(world));
    enum answer answer = scripted_answer(world, step);
    runbook_evidence(call, "lamp %zu is %s", step, answer_word(answer));
    lamp->last = answer;
    if (answer == ANSWER_YES && world->runbook->steps[step]->no_return)
        world->passed = true;
    *ret = answer;
    return OK;
}

/* The last line that is on the disk. */
static inline bool journal_says(const struct world *world, const char *event, const struct runbook_call *call)
{
    char wanted[160];
    const struct disk *disk = &world->disk;
    size_t start = disk->len - 1;
    while (start > 0 && disk->bytes[start - 1] != '\n')
        start--;
    snprintf(wanted, sizeof wanted, "\"event\":\"%s\",\"step\":\"%s\",\"attempt\":%u,\"serial\":%llu", event,
             call->step, call->attempt, (unsigned long long)call->serial);
    return memmem(disk->bytes + start, disk->len - start, wanted, strlen(wanted)) != NULL;
}

static inline void check_call(struct world *world, const char *event, const struct runbook_call *call)
{
    check_alive(world, event, call->step);
    if (!journal_says(world, event, call))
        breaks(world, "%s of \"%s\" is not in the journal before", event, call->step);
    if (call->serial <= world->serial)
        breaks(world, "the serial of %s of \"%s\" does not grow", event, call->step);
    if (call->fence != world->fence)
        breaks(world, "the fence of %s of \"%s\" is not the driver's", event, call->step);
    world->serial = call->serial;
}

static inline result scripted_act(struct world *world, size_t step)
{
    struct lamp *lamp = &world->lamps[step];
    if (world->target != step) {
        TRY(fiber_sleep(world->act_ms));
        lamp->on = true;
        return OK;
    }
    switch (world->outcome) {
    case FAILS_BUT_DONE:
        lamp->on = true; /* fall through */
    case BY_OTHERS:      /* who have gone past the point of no return meanwhile */
    case FAILS:
        return FAIL(E_IO, NULL, "lamp %zu does not switch", step);
    case CANCEL_BETWEEN: /* the observer cancels before the second try */
    case FAILS_ONCE:
        lamp->on = lamp->acts > 1 && (world->outcome == FAILS_ONCE || world->cancel_used);
        return lamp->on ? OK : FAIL(E_IO, NULL, "lamp %zu does not switch yet", step);
    case LIES:
        return OK;
    case LATE_BUT_DONE:
        lamp->on = true; /* fall through */
    case LATE_AND_NOT:
        return take_long(world);
    case CANCEL_DURING_DONE:
        lamp->on = true; /* fall through */
    case CANCEL_DURING_NOT:
        cancel_once(world);
        TRY(fiber_sleep(10));
        lamp->on = true;
        return OK;
    case TRUE_LATER:
        return OK;
    default:
        TRY(fiber_sleep(world->act_ms));
        lamp->on = true;
        return OK;
    }
}

static inline result act_lamp(void *context, struct runbook_call *call)
{
    struct world *world = context;
    struct lamp *lamp = &world->lamps[call->number - 1];
    check_call(world, "act", call);
    if (!lamp->asked || lamp->last != ANSWER_NO)
        breaks(world, "\"%s\" acts and its goal was not asked, or not NO", call->step);
    if (++lamp->acts_now > world->runbook->steps[call->number - 1]->tries)
        breaks(world, "\"%s\" acts more often than it has tries", call->step);
    lamp->asked = false;
    lamp->acted = true;
    lamp->acts++;
    world->passed |= world->runbook->steps[call->number - 1]->no_return;
    return scripted_act(world, call->number - 1);
}

static inline result scripted_undo(struct world *world, size_t step)
{
    struct lamp *lamp = &world->lamps[step];
    enum outcome outcome = world->target == step ? world->outcome : ONCE;
    switch (outcome) {
    case UNDO_FAILS_BUT_DONE:
        lamp->on = false; /* fall through */
    case UNDO_FAILS:
        return FAIL(E_IO, NULL, "lamp %zu does not switch back", step);
    case UNDO_FAILS_ONCE:
        lamp->on = lamp->undos < 2;
        return lamp->on ? FAIL(E_IO, NULL, "lamp %zu does not switch back yet", step) : OK;
    case UNDO_LIES:
        return OK;
    case UNDO_LATE_BUT_DONE:
        lamp->on = false; /* fall through */
    case UNDO_LATE_AND_NOT:
        return take_long(world);
    case UNDO_CANCEL:
        run_cancel(world->run); /* fall through */
    default:
        TRY(fiber_sleep(world->act_ms));
        lamp->on = false;
        return OK;
    }
}

/* A cancel may come, or the process die, between the line and the act: it counts as begun. */
static inline bool journal_has_act(const struct world *world, const char *step)
{
    char wanted[96];
    snprintf(wanted, sizeof wanted, "\"event\":\"act\",\"step\":\"%s\"", step);
    return memmem(world->disk.bytes, world->disk.len, wanted, strlen(wanted)) != NULL;
}

static inline result undo_lamp(void *context, struct runbook_call *call)
{
    struct world *world = context;
    size_t step = call->number - 1;
    check_call(world, "undo", call);
    for (size_t i = 0; i < world->runbook->step_count; i++)
        world->passed |= world->runbook->steps[i]->no_return && world->lamps[i].on;
    if (world->passed)
        breaks(world, "\"%s\" is undone behind the point of no return", call->step);
    if (!journal_has_act(world, call->step))
        breaks(world, "\"%s\" is undone and never acted", call->step);
    if (step > world->undone_from)
        breaks(world, "\"%s\" is undone after a step before it", call->step);
    if (++world->lamps[step].undos_now > world->runbook->steps[step]->tries)
        breaks(world, "\"%s\" is undone more often than it has tries", call->step);
    world->undone_from = step;
    world->lamps[step].undos++;
    return scripted_undo(world, step);
}

static inline void watch_run(struct run_observer *observer, const struct run_notice *notice)
{
    struct world *world = (struct world *)((char *)observer - offsetof(struct world, observer));
    if (notice->kind == NOTICE_AGAIN && world->outcome == CANCEL_BETWEEN)
        cancel_once(world);
}

/* ---- the tables ---- */
#define LAMP(name, times, ...)                                                                               \
    &(const struct runbook_step)                                                                             \
    {                                                                                                        \
        name, "Switch " name, "is the lamp on?", ask_lamp, act_lamp,                                         \
            .within_ms = SEC(10), .ask_within_ms = SEC(5), .tries = (times), __VA_ARGS__                     \
    }
static const struct runbook_step look_step = { "look",   "Look at the lamps", "is the lamp on?",
                                               ask_lamp, .within_ms = SEC(5), .tries = 2 };
static const struct runbook_step *const whole_steps[] = {
    &look_step,
    LAMP("close", 2, .undo = undo_lamp),
    LAMP("note", 2, .pause_ms = 500),
    LAMP("drain", 2, .undo = undo_lamp),
    LAMP("promote", 2, .no_return = true),
    LAMP("route", 1, .pause_ms = 100),
};
static const struct runbook_step *const free_steps[] = {
    LAMP("one", 2, .undo = undo_lamp),
    LAMP("two", 2, .undo = undo_lamp),
    LAMP("three", 2, .undo = undo_lamp),
};
static const struct runbook_step *const last_steps[] = {
    LAMP("close", 2, .undo = undo_lamp),
    LAMP("promote", 2, .no_return = true),
};
static const struct runbook whole_runbook = { "whole", "Switch all lamps", whole_steps, 6 };
static const struct runbook free_runbook = { "free", "Switch lamps that all go back", free_steps, 3 };
static const struct runbook last_runbook = { "last", "Switch the last lamp for good", last_steps, 2 };

static inline void world_init(struct world *world, const struct runbook *runbook, size_t target,
                              enum outcome outcome)
{
    memset(world, 0, sizeof *world);
    world->runbook = runbook;
    world->target = target;
    world->outcome = outcome;
    world->undone_from = SIZE_MAX;
    world->act_ms = 5;
    world->observer.notice = watch_run;
    disk_revive(&world->disk);
    for (size_t i = 0; i < runbook->step_count; i++) { /* checks find what they look for */
        bool check = runbook->steps[i]->act == NULL;
        world->lamps[i].on = (check && !(i == target && (outcome == FAILS || outcome == TRUE_LATER))) ||
                             (runbook->steps[i]->no_return && outcome == BY_OTHERS);
    }
    if (outcome == ALREADY)
        world->lamps[target].on = true;
}
