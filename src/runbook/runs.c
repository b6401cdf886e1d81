/* Looking at the runs that there are, and what is said of one that goes on. */
#include "loop/fiber.h"
#include "runbook/internal.h"

static struct run_summary nothing_known(const char *id)
{
    return (struct run_summary){
        .id = id, .runbook = "", .subject = "", .step = "", .why = "", .began = "", .changed = ""
    };
}

static struct run_summary damaged(const char *id, const result *why, struct arena *arena)
{
    struct run_summary summary = nothing_known(id);
    summary.damage = arena_cstr(arena, str_from(why->error.what));
    return summary;
}

static struct run_summary summarise(const char *id, struct str text, bool driven, struct arena *arena)
{
    struct journal_history history;
    result r = journal_read(text, arena, &history);
    if (failed(r))
        return damaged(id, &r, arena);
    struct run_summary summary = nothing_known(id);
    summary.driven = driven;
    summary.state = history.standing.state;
    summary.step = history.step;
    summary.why = summary.state == RUN_DONE || (summary.state == RUN_OPEN && driven) ? "" : history.why;
    if (history.count > 0) {
        summary.runbook = history.events[0].runbook;
        summary.subject = history.events[0].subject;
        summary.began = history.events[0].at;
        summary.changed = history.events[history.count - 1].at;
    }
    return summary;
}

static int by_time(const void *a, const void *b)
{
    const struct run_summary *one = a, *other = b;
    int order = strcmp(one->began, other->began);
    return order != 0 ? order : strcmp(one->id, other->id);
}

result run_list(const char *state_path, struct arena *arena, struct run_list *ret)
{
    struct journal_names names;
    TRY(journal_names(state_path, arena, &names));
    struct run_list list = { arena_array(arena, struct run_summary, names.count + 1), names.count };
    for (size_t i = 0; i < names.count; i++) {
        struct str text;
        bool driven;
        result r = journal_peek(state_path, names.items[i], arena, &text, &driven);
        list.items[i] =
            failed(r) ? damaged(names.items[i], &r, arena) : summarise(names.items[i], text, driven, arena);
    }
    TRY(fiber_check());
    qsort(list.items, list.count, sizeof *list.items, by_time);
    *ret = list;
    return OK;
}

static result find_open(const char *state_path, const char *runbook, const char *subject, struct arena *arena,
                        const char **ret)
{
    struct run_list list;
    TRY(run_list(state_path, arena, &list));
    for (size_t i = 0; i < list.count; i++) {
        const struct run_summary *at = &list.items[i];
        bool may_be = str_starts(str_from(at->id), str_from(runbook));
        if (at->damage != NULL && may_be)
            return FAIL(E_JOURNAL, "Check the hosts and the journal, then move the file away.",
                        "it is not known whether the run \"%s\" has ended: %s", at->id, at->damage);
        bool open = at->state == RUN_OPEN || at->state == RUN_NEEDS_PERSON;
        if (at->damage == NULL && open && strcmp(at->runbook, runbook) == 0 &&
            strcmp(at->subject, subject) == 0)
            *ret = at->id;
    }
    return OK;
}

result run_find_open(const char *state_path, const char *runbook, const char *subject,
                     char ret[RUNBOOK_RUN_ID_MAX + 1])
{
    struct arena arena;
    const char *found = "";
    arena_init(&arena);
    result r = find_open(state_path, runbook, subject, &arena, &found);
    if (!failed(r))
        memcpy(ret, found, strlen(found) + 1);
    arena_done(&arena);
    return r;
}

json_t *run_summary_json(const struct run_summary *summary)
{
    if (summary->damage != NULL)
        return json_pack("{s:s,s:s,s:s}", "run", summary->id, "state", "damaged", "why", summary->damage);
    return json_pack("{s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:s,s:s}", "run", summary->id, "runbook", summary->runbook,
                     "subject", summary->subject, "state", run_state_word(summary->state), "driven",
                     summary->driven, "step", summary->step, "why", summary->why, "began", summary->began,
                     "changed", summary->changed);
}

/* ---- notices ---- */
const char *run_notice_word(enum run_notice_kind kind)
{
    static const char *const words[NOTICE_KINDS] = {
        [NOTICE_STEP] = "step", [NOTICE_WAITING] = "waiting", [NOTICE_SKIPPED] = "skipped",
        [NOTICE_ACT] = "act",   [NOTICE_ASKING] = "asking",   [NOTICE_AGAIN] = "again",
        [NOTICE_TRUE] = "true", [NOTICE_FAILED] = "failed",   [NOTICE_BACK] = "back",
        [NOTICE_UNDO] = "undo", [NOTICE_UNDONE] = "undone",   [NOTICE_NOT_UNDONE] = "not-undone",
        [NOTICE_KEPT] = "kept", [NOTICE_END] = "end",
    };
    must(kind >= 0 && kind < NOTICE_KINDS);
    return words[kind];
}

json_t *run_notice_json(const struct run_notice *notice)
{
    json_t *object = json_pack("{s:s,s:s,s:I}", "event", run_notice_word(notice->kind), "run", notice->run,
                               "elapsed_ms", (json_int_t)notice->elapsed_ms);
    if (notice->step != NULL)
        json_object_update_new(object,
                               json_pack("{s:i,s:i,s:s,s:s,s:i,s:i,s:I}", "number", (int)notice->number,
                                         "count", (int)notice->count, "step", notice->step->id, "title",
                                         notice->step->title, "attempt", (int)notice->attempt, "tries",
                                         (int)notice->tries, "within_ms", (json_int_t)notice->within_ms));
    if (notice->kind == NOTICE_END)
        json_object_set_new(object, "state", json_string(run_state_word(notice->state)));
    if (notice->text[0] != '\0')
        json_object_set_new(object, "text", json_string(notice->text));
    return object;
}
