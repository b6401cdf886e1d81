/* The operator's own steps: rows of the configuration become steps of the table, with the same rules. */
#include "config/config.h"
#include "runbook/internal.h"

#include <stdio.h>

static const char argv_text_rest[] = " ...";

/* A command as text for people; this text is never run. */
static const char *command_text(const struct config_words *argv, struct arena *arena)
{
    enum { SHOWN = 60 };
    const char *text = "";
    for (size_t i = 0; i < argv->count && strlen(text) < SHOWN; i++)
        text = arena_printf(arena, "%s%s%s", text, i > 0 ? " " : "", argv->items[i].text.ptr);
    return strlen(text) < SHOWN ? text : arena_printf(arena, "%.*s%s", SHOWN, text, argv_text_rest);
}

static const struct runbook_step *make_step(const struct cell_step *row, const struct runbook_own *own,
                                            struct arena *arena)
{
    struct runbook_step *step = arena_new(arena, struct runbook_step);
    *step = (struct runbook_step){
        .id = row->name.ptr,
        .title = row->title != NULL ? row->title
                                    : arena_printf(arena, "Run \"%s\" on %s", command_text(&row->run, arena),
                                                   row->on_name.ptr),
        .question = arena_printf(arena, "does \"%s\" on %s exit with 0?", command_text(&row->check, arena),
                                 row->on_name.ptr),
        .ask = own->ask,
        .act = own->act,
        .undo = row->undo.count > 0 ? own->undo : NULL,
        .within_ms = row->within_ms,
        .tries = row->tries,
        .own = row,
    };
    return step;
}

static result find_place(const struct runbook *runbook, const struct cell_step *row, size_t *ret)
{
    size_t at = 0;
    while (at < runbook->step_count && !str_is(row->after, runbook->steps[at]->id))
        at++;
    if (at == runbook->step_count)
        return FAIL(E_CONFIG, "Run domicile runbook show NAME: it lists the steps of a runbook.",
                    "%s:%d: the runbook \"%s\" has no step \"%s\", after which \"%s\" should come",
                    AT_ROW(row), runbook->name, row->after.ptr, row->name.ptr);
    /* after the operator's earlier rows for the same step */
    for (at++; at < runbook->step_count; at++) {
        const struct cell_step *earlier = runbook->steps[at]->own;
        if (earlier == NULL || !str_eq(earlier->after, row->after))
            break;
    }
    *ret = at;
    return OK;
}

static result check_row(const struct runbook *runbook, const struct cell_step *row, size_t place)
{
    for (size_t i = 0; i < runbook->step_count; i++)
        if (str_is(row->name, runbook->steps[i]->id))
            return FAIL(E_CONFIG, "Choose another name for the step.",
                        "%s:%d: the runbook \"%s\" already has a step \"%s\"", AT_ROW(row), runbook->name,
                        row->name.ptr);
    for (size_t i = 0; i < place; i++)
        if (runbook->steps[i]->no_return && row->undo.count > 0)
            return FAIL(E_CONFIG, "Remove undo, or put the step before that one.",
                        "%s:%d: the step \"%s\" has an undo, but comes after \"%s\", the point of no return",
                        AT_ROW(row), row->name.ptr, runbook->steps[i]->id);
    if (runbook->step_count == RUNBOOK_STEPS_MAX)
        return FAIL(E_CONFIG, "Combine several commands in one.",
                    "%s:%d: the runbook \"%s\" would have more than %d steps", AT_ROW(row), runbook->name,
                    RUNBOOK_STEPS_MAX);
    return OK;
}

result runbook_extend(const struct runbook *base, const struct cell_step *rows, size_t row_count,
                      const struct runbook_own *own, struct arena *arena, struct runbook *ret)
{
    const struct runbook_step **steps = arena_array(arena, const struct runbook_step *, RUNBOOK_STEPS_MAX);
    struct runbook made = { base->name, base->title, steps, base->step_count };
    must(base->step_count <= RUNBOOK_STEPS_MAX);
    memcpy(steps, base->steps, base->step_count * sizeof *steps);
    for (size_t i = 0; i < row_count; i++) {
        size_t place = 0;
        if (!str_is(rows[i].runbook, base->name))
            continue;
        TRY(find_place(&made, &rows[i], &place));
        TRY(check_row(&made, &rows[i], place));
        memmove(&steps[place + 1], &steps[place], (made.step_count - place) * sizeof *steps);
        steps[place] = make_step(&rows[i], own, arena);
        made.step_count++;
    }
    result sound = runbook_check(&made);
    if (failed(sound) && !failed(runbook_check(base)))
        return FAIL(E_CONFIG, "Correct the steps of this cell.", "%s", sound.error.what);
    TRY(sound);
    *ret = made;
    return OK;
}

/* ---- rows by themselves ---- */
static result no_act(void *context, struct runbook_call *call)
{
    return FAIL(E_INTERNAL, NULL, "the step \"%s\" is for checks only", call->step);
}

static result no_ask(void *context, struct runbook_call *call, enum answer *ret)
{
    *ret = ANSWER_UNKNOWN;
    return FAIL(E_INTERNAL, NULL, "the goal of \"%s\" is for checks only", call->step);
}

const struct runbook_own runbook_own_shown = { no_ask, no_act, no_act };

result runbook_check_rows(const struct runbook *const *list, const struct cell_step *rows, size_t row_count)
{
    struct arena arena;
    struct runbook made;
    result r = OK;
    arena_init(&arena);
    for (size_t i = 0; i < row_count && !failed(r); i++)
        if (runbook_find(list, rows[i].runbook) == NULL)
            r = FAIL(E_CONFIG, "Run domicile runbook list: it shows the runbooks.",
                     "%s:%d: there is no runbook \"%s\" for the step \"%s\"", AT_ROW(&rows[i]),
                     rows[i].runbook.ptr, rows[i].name.ptr);
    for (; *list != NULL && !failed(r); list++)
        r = runbook_extend(*list, rows, row_count, &runbook_own_shown, &arena, &made);
    arena_done(&arena);
    return r;
}
