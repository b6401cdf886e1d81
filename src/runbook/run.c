/* Opening and closing runs. */
#include "runbook/engine.h"

#include "base/encode.h"
#include "base/secret.h"
#include "loop/fiber.h"

#include <stdio.h>

result run_write(struct run *run, const struct journal_event *event)
{
    struct journal_standing after = run->standing;
    result possible = journal_take(&after, event);
    must(!failed(possible));
    TRY(journal_line(&run->chain, event, &run->line));
    TRY(run->journal->append(run->journal, buf_str(&run->line)));
    journal_chain_take(&run->chain, buf_str(&run->line));
    run->standing = after;
    return OK;
}

void run_say(struct run *run, enum run_notice_kind kind, size_t step, uint32_t attempt, const char *text)
{
    const struct runbook_step *row = step == NO_STEP ? NULL : run->runbook->steps[step];
    bool asks = kind == NOTICE_STEP || kind == NOTICE_ASKING || kind == NOTICE_WAITING;
    uint64_t now_ns = clock_monotonic_ns();
    if (run->observer == NULL)
        return;
    const struct run_notice notice = {
        .kind = kind,
        .run = run->id,
        .step = row,
        .number = row == NULL ? 0 : (uint32_t)step + 1,
        .count = (uint32_t)run->runbook->step_count,
        .attempt = attempt,
        .tries = row == NULL ? 0 : row->tries,
        .at_ns = now_ns,
        .within_ms = row == NULL ? 0
                     : asks      ? runbook_ask_within_ms(row)
                                 : row->within_ms,
        .elapsed_ms = (now_ns - run->began_ns) / 1000000,
        .state = run->standing.state,
        .text = text,
    };
    run->observer->notice(run->observer, &notice);
}

/* ---- opening ---- */
static const char *make_id(const struct runbook *runbook, struct arena *arena)
{
    char at[CLOCK_TEXT_SIZE], digits[16];
    unsigned char random[3];
    size_t count = 0;
    clock_format(clock_wall_ms(), at);
    random_bytes(random, sizeof random);
    for (const char *c = at; *c != '.' && count < sizeof digits - 1; c++)
        if (*c >= '0' && *c <= '9')
            digits[count++] = *c;
    digits[count] = '\0';
    return arena_printf(arena, "%s-%.8s-%s-%s", runbook->name, digits, digits + 8,
                        encode_hex(arena, (struct str){ (const char *)random, sizeof random }));
}

static struct run *run_new(const struct runbook *runbook, void *context, const struct run_options *options)
{
    struct run *run = calloc(1, sizeof *run);
    must(run != NULL);
    run->runbook = runbook;
    run->context = context;
    run->observer = options->observer;
    run->journal = options->journal;
    run->began_ns = clock_monotonic_ns();
    arena_init(&run->arena);
    buf_init(&run->line, JOURNAL_LINE_MAX);
    return run;
}

void run_free(struct run *run)
{
    if (run == NULL)
        return;
    if (run->journal != NULL)
        run->journal->close(run->journal);
    buf_done(&run->line);
    arena_done(&run->arena);
    free(run);
}

static result check_subject(const char *subject)
{
    char copy[RUNBOOK_SUBJECT_MAX + 1];
    size_t len = strlen(subject);
    if (len > 0 && len < sizeof copy) {
        memcpy(copy, subject, len + 1);
        clean_text(copy);
    }
    if (len == 0 || len >= sizeof copy || strcmp(copy, subject) != 0)
        return FAIL(E_ARGUMENT, NULL, "the subject of a run must have 1 to %d bytes", RUNBOOK_SUBJECT_MAX);
    return OK;
}

static result write_begin(struct run *run, const struct run_options *options)
{
    size_t count = run->runbook->step_count;
    const char **ids = arena_array(&run->arena, const char *, count);
    for (size_t i = 0; i < count; i++)
        ids[i] = run->runbook->steps[i]->id;
    char shape[JOURNAL_SUM_HEX + 1];
    runbook_shape(run->runbook, shape);
    const struct journal_event event = { .kind = JOURNAL_BEGIN,
                                         .run = run->id,
                                         .runbook = run->runbook->name,
                                         .subject = options->subject,
                                         .shape = shape,
                                         .steps = ids,
                                         .step_count = count,
                                         .fence = options->fence };
    TRY(journal_line(&run->chain, &event, &run->line));
    TRY(run->journal->append(run->journal, buf_str(&run->line)));
    journal_chain_take(&run->chain, buf_str(&run->line));
    run->standing = (struct journal_standing){
        .steps = ids, .step_count = count, .fence = options->fence, .state = RUN_OPEN
    };
    return OK;
}

static result begin(struct run *run, const struct run_options *options)
{
    TRY(runbook_check(run->runbook));
    TRY(check_subject(options->subject));
    run->id = make_id(run->runbook, &run->arena);
    if (run->journal == NULL)
        TRY(journal_create(options->state_path, run->id, &run->journal));
    return write_begin(run, options);
}

result run_begin(const struct runbook *runbook, void *context, const struct run_options *options,
                 struct run **ret)
{
    struct run *run = run_new(runbook, context, options);
    result r = begin(run, options);
    if (failed(r))
        run_free(run);
    else
        *ret = run;
    return r;
}

/* ---- resuming ---- */
static result not_over(const char *id, const struct journal_history *history)
{
    enum run_state state = history->standing.state;
    if (state != RUN_OPEN && state != RUN_NEEDS_PERSON)
        return FAIL(E_CONFLICT, "Begin another run.", "the run \"%s\" has ended: it is %s", id,
                    run_state_word(state));
    return OK;
}

static result same_runbook(const struct run *run, const struct journal_event *begin)
{
    char shape[JOURNAL_SUM_HEX + 1];
    runbook_shape(run->runbook, shape);
    if (strcmp(begin->runbook, run->runbook->name) != 0)
        return FAIL(E_CONFLICT, "Run domicile runbook runs: it shows the runbook of each run.",
                    "the run \"%s\" belongs to the runbook \"%s\", not to \"%s\"", run->id, begin->runbook,
                    run->runbook->name);
    if (strcmp(begin->shape, shape) != 0)
        return FAIL(E_CONFLICT,
                    "Finish the run with the program and configuration that began it, or use domicile "
                    "runbook abandon RUN.",
                    "the steps of the runbook \"%s\" have changed since the run \"%s\" began", begin->runbook,
                    run->id);
    return OK;
}

/* Drops the incomplete last line, since the next line must not follow it. */
static result load(struct journal *journal, struct arena *arena, struct journal_history *ret)
{
    struct str text;
    struct journal_history history;
    TRY(journal->load(journal, arena, &text));
    TRY(journal_read(text, arena, &history));
    if (history.torn)
        TRY(journal->cut(journal, history.whole_bytes));
    *ret = history;
    return OK;
}

static result resume(struct run *run, const struct run_options *options)
{
    struct journal_history history;
    const struct journal_event event = { .kind = JOURNAL_RESUME, .fence = options->fence };
    TRY(runbook_check(run->runbook));
    if (run->journal == NULL)
        TRY(journal_open(options->state_path, run->id, &run->journal));
    TRY(load(run->journal, &run->arena, &history));
    TRY(not_over(run->id, &history));
    TRY(same_runbook(run, &history.events[0]));
    if (options->fence <= history.standing.fence)
        return FAIL(E_STALE, "Acquire the lease again, and resume.",
                    "the run \"%s\" was driven with fence %llu; %llu is not greater", run->id,
                    (unsigned long long)history.standing.fence, (unsigned long long)options->fence);
    run->chain = history.chain;
    run->standing = history.standing;
    snprintf(run->why, sizeof run->why, "%s", history.why);
    return run_write(run, &event);
}

result run_resume(const struct runbook *runbook, void *context, const char *id,
                  const struct run_options *options, struct run **ret)
{
    struct run *run = run_new(runbook, context, options);
    run->id = arena_cstr(&run->arena, str_from(id));
    result r = resume(run, options);
    if (failed(r))
        run_free(run);
    else
        *ret = run;
    return r;
}

/* ---- abandoning ---- */
static result abandon(struct journal *journal, const char *id, const char *why, struct arena *arena)
{
    struct journal_history history;
    struct buf line;
    const struct journal_event event = { .kind = JOURNAL_END, .state = RUN_ABANDONED, .why = why };
    TRY(load(journal, arena, &history));
    TRY(not_over(id, &history));
    buf_init(&line, JOURNAL_LINE_MAX);
    result r = journal_line(&history.chain, &event, &line);
    if (!failed(r))
        r = journal->append(journal, buf_str(&line));
    buf_done(&line);
    return r;
}

result run_abandon(const char *state_path, const char *id, const char *why)
{
    struct journal *journal = NULL;
    struct arena arena;
    TRY(journal_open(state_path, id, &journal));
    arena_init(&arena);
    result r = abandon(journal, id, why, &arena);
    arena_done(&arena);
    journal->close(journal);
    return r;
}

/* ---- about it ---- */
void run_cancel(struct run *run)
{
    run->cancelled = true;
    if (run->doing != NULL)
        scope_cancel(run->doing);
}

const char *run_id(const struct run *run)
{
    return run->id;
}

uint64_t run_fence(const struct run *run)
{
    return run->standing.fence;
}

enum run_state run_state(const struct run *run)
{
    return run->standing.state;
}

const char *run_why(const struct run *run)
{
    return run->why;
}
