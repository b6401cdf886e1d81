/* What a table must be, and what its limits add up to. */
#include "runbook/internal.h"

#include <ctype.h>
#include <stdio.h>

const struct runbook *runbook_find(const struct runbook *const *list, struct str name)
{
    for (; *list != NULL; list++)
        if (str_is(name, (*list)->name))
            return *list;
    return NULL;
}

/* ---- limits ---- */
uint64_t runbook_ask_within_ms(const struct runbook_step *step)
{
    return step->ask_within_ms != 0 ? step->ask_within_ms : step->within_ms;
}

uint64_t runbook_pause_ms(const struct runbook_step *step)
{
    return step->pause_ms != 0 ? step->pause_ms : RUNBOOK_PAUSE_MS;
}

/* Each try asks before and after; a check asks once. */
uint64_t runbook_step_limit_ms(const struct runbook_step *step)
{
    uint64_t ask = runbook_ask_within_ms(step), pauses = (step->tries - 1) * runbook_pause_ms(step);
    return pauses + step->tries * (step->act == NULL ? ask : 2 * ask + step->within_ms);
}

uint64_t runbook_limit_ms(const struct runbook *runbook)
{
    uint64_t total = 0;
    for (size_t i = 0; i < runbook->step_count; i++)
        total += runbook_step_limit_ms(runbook->steps[i]);
    return total;
}

/* ---- self-check ---- */
struct looking {
    struct runbook_faults faults;
    struct arena *arena;
};

#define FAULT(looking, ...) add_fault((looking), arena_printf((looking)->arena, __VA_ARGS__))
static void add_fault(struct looking *looking, const char *text)
{
    struct runbook_faults *faults = &looking->faults;
    if (faults->count < COUNT(faults->items))
        faults->items[faults->count] = text;
    faults->count++;
}

static bool is_kebab(const char *id, size_t max)
{
    struct str s = str_from(id);
    return str_is_id(s) && s.len <= max && isalpha((unsigned char)s.ptr[0]) && s.ptr[s.len - 1] != '-' &&
           strstr(id, "--") == NULL;
}

static bool is_title(const char *title)
{
    size_t len = title == NULL ? 0 : strlen(title);
    return len >= 3 && len <= 100 && !islower((unsigned char)title[0]) && title[len - 1] != '.';
}

static void look_at_question(struct looking *looking, const struct runbook_step *step)
{
    size_t len = step->question == NULL ? 0 : strlen(step->question);
    if (len < 4 || step->question[len - 1] != '?')
        FAULT(looking, "the goal of step \"%s\" is no question", step->id);
    if (step->ask == NULL)
        FAULT(looking, "the goal of step \"%s\" cannot be asked", step->id);
}

static void look_at_numbers(struct looking *looking, const struct runbook_step *step)
{
    if (step->within_ms == 0)
        FAULT(looking, "step \"%s\" has no limit", step->id);
    if (step->within_ms > RUNBOOK_WITHIN_MS_MAX || step->ask_within_ms > RUNBOOK_WITHIN_MS_MAX ||
        step->pause_ms > RUNBOOK_WITHIN_MS_MAX)
        FAULT(looking, "step \"%s\" has a limit or a pause beyond a day", step->id);
    if (step->tries < 1 || step->tries > RUNBOOK_TRIES_MAX)
        FAULT(looking, "step \"%s\" has %u tries; there may be from 1 to %d", step->id, step->tries,
              RUNBOOK_TRIES_MAX);
}

static void look_at_step(struct looking *looking, const struct runbook *runbook, size_t i, bool passed)
{
    const struct runbook_step *step = runbook->steps[i];
    if (!is_kebab(step->id, RUNBOOK_RUN_ID_MAX)) {
        FAULT(looking, "step %zu has no id in kebab-case", i + 1);
        return;
    }
    for (size_t before = 0; before < i; before++)
        if (runbook->steps[before]->id != NULL && strcmp(runbook->steps[before]->id, step->id) == 0)
            FAULT(looking, "two steps have the id \"%s\"", step->id);
    if (!is_title(step->title))
        FAULT(looking, "the title of step \"%s\" is no order without a period", step->id);
    look_at_question(looking, step);
    look_at_numbers(looking, step);
    if (step->act == NULL && (step->undo != NULL || step->no_return))
        FAULT(looking, "step \"%s\" is a check, and has an undo or is of no return", step->id);
    if (step->undo != NULL && (passed || step->no_return))
        FAULT(looking, "step \"%s\" has an undo at or behind the point of no return", step->id);
}

void runbook_look_over(const struct runbook *runbook, struct arena *arena, struct runbook_faults *ret)
{
    struct looking looking = { .arena = arena };
    bool passed = false;
    if (!is_kebab(runbook->name, RUNBOOK_NAME_MAX))
        FAULT(&looking, "the runbook has no name in kebab-case");
    if (!is_title(runbook->title))
        FAULT(&looking, "the runbook's title is no order without a period");
    if (runbook->step_count == 0 || runbook->step_count > RUNBOOK_STEPS_MAX)
        FAULT(&looking, "the runbook has %zu steps; there may be from 1 to %d", runbook->step_count,
              RUNBOOK_STEPS_MAX);
    for (size_t i = 0; i < runbook->step_count && i < RUNBOOK_STEPS_MAX; i++) {
        look_at_step(&looking, runbook, i, passed);
        passed |= runbook->steps[i]->no_return;
    }
    *ret = looking.faults;
}

result runbook_check(const struct runbook *runbook)
{
    struct arena arena;
    struct runbook_faults faults;
    result r = OK;
    arena_init(&arena);
    runbook_look_over(runbook, &arena, &faults);
    if (faults.count > 0) {
        char others[48] = "";
        if (faults.count > 1)
            snprintf(others, sizeof others, " (and %zu more)", faults.count - 1);
        r = FAIL(E_RUNBOOK, "Correct the table; domicile runbook check shows all faults.",
                 "the runbook \"%s\" is not valid: %s%s", runbook->name ? runbook->name : "", faults.items[0],
                 others);
    }
    arena_done(&arena);
    return r;
}

/* What makes a run's standing mean something: which steps there are, in which order, and which of them are walked back. */
void runbook_shape(const struct runbook *runbook, char ret[JOURNAL_SUM_HEX + 1])
{
    char sum[JOURNAL_SUM_HEX + 1] = "";
    journal_sum(sum, str_from(runbook->name), sum);
    for (size_t i = 0; i < runbook->step_count; i++) {
        const struct runbook_step *step = runbook->steps[i];
        const char flags[] = { step->no_return ? 'n' : '-', step->undo ? 'u' : '-', step->act ? 'a' : '-' };
        journal_sum(sum, str_from(step->id), sum);
        journal_sum(sum, (struct str){ flags, sizeof flags }, sum);
    }
    memcpy(ret, sum, sizeof sum);
}
