#include "cli/drive.h"

#include "loop/fiber.h"

#include <signal.h>
#include <string.h>

enum { REDRAW_MS = 200 };

struct driving {
    struct run_observer observer;
    struct cli *cli;
    struct run *run;
    struct scope driver; /* the fiber that drives, so that a second signal can stop it */
    result outcome;
    /* of the step at hand */
    struct run_notice now; /* without its text */
    uint64_t step_began_ns;
    bool at_step;
};

/* ---- what people see ---- */
static void redraw(const struct driving *driving)
{
    const struct run_notice *now = &driving->now;
    struct arena arena;
    if (!driving->at_step)
        return;
    arena_init(&arena);
    uint64_t took_ms = (clock_monotonic_ns() - now->at_ns) / 1000000;
    bool acts = now->kind == NOTICE_ACT || now->kind == NOTICE_UNDO;
    const char *doing = now->kind == NOTICE_UNDO    ? "undoing"
                        : now->kind == NOTICE_ACT   ? "acting"
                        : now->kind == NOTICE_AGAIN ? "pausing"
                                                    : "asking";
    const char *tries = acts ? arena_printf(&arena, ", try %u of %u", now->attempt, now->tries) : "";
    cli_progress(driving->cli, "[%2u/%u] %s: %s%s, %llu s of %s", now->number, now->count, now->step->title,
                 doing, tries, (unsigned long long)(took_ms / 1000), duration_text(now->within_ms, &arena));
    arena_done(&arena);
}

static void print_step(const struct driving *driving, const struct run_notice *notice, const char *word,
                       enum cli_style style)
{
    struct cli *cli = driving->cli;
    struct arena arena;
    if (notice->step == NULL)
        return;
    arena_init(&arena);
    uint64_t took_ms = (clock_monotonic_ns() - driving->step_began_ns) / 1000000;
    cli_progress_end(cli);
    fprintf(cli->out, "[%2u/%u] %s%-10s%s %s (%s)", notice->number, notice->count, cli_style(cli, style),
            word, cli_plain(cli), notice->step->title, duration_text(took_ms, &arena));
    fprintf(cli->out, "%s%s\n", notice->text[0] ? ": " : "", notice->text);
    fflush(cli->out);
    arena_done(&arena);
}

static void print_line(const struct driving *driving, const char *word, const char *text)
{
    cli_progress_end(driving->cli);
    fprintf(driving->cli->out, "%s%s%s\n", word, text[0] ? ": " : "", text);
    fflush(driving->cli->out);
}

static void show(struct driving *driving, const struct run_notice *notice)
{
    switch (notice->kind) {
    case NOTICE_SKIPPED:
        print_step(driving, notice, "already", STYLE_FAINT);
        break;
    case NOTICE_TRUE:
        print_step(driving, notice, "done", STYLE_GOOD);
        break;
    case NOTICE_AGAIN:
        print_step(driving, notice, "not yet", STYLE_FAINT);
        break;
    case NOTICE_FAILED:
        print_step(driving, notice, "failed", STYLE_BAD);
        break;
    case NOTICE_UNDONE:
        print_step(driving, notice, "undone", STYLE_GOOD);
        break;
    case NOTICE_NOT_UNDONE:
        print_step(driving, notice, "not undone", STYLE_BAD);
        break;
    case NOTICE_KEPT:
        print_step(driving, notice, "stays", STYLE_FAINT);
        break;
    case NOTICE_BACK:
        print_line(driving, "walking back", notice->text);
        break;
    case NOTICE_END:
        print_line(driving, run_state_word(notice->state), notice->text);
        break;
    default:
        break;
    }
}

static void print_notice_json(struct cli *cli, const struct run_notice *notice)
{
    json_t *object = run_notice_json(notice);
    must(object != NULL);
    must(json_dumpf(object, cli->out, JSON_COMPACT | JSON_ENSURE_ASCII) == 0 || ferror(cli->out));
    fputc('\n', cli->out);
    fflush(cli->out);
    json_decref(object);
}

static void on_notice(struct run_observer *observer, const struct run_notice *notice)
{
    struct driving *driving = (struct driving *)observer;
    if (notice->kind == NOTICE_STEP || notice->kind == NOTICE_UNDO)
        driving->step_began_ns = notice->at_ns;
    driving->now = *notice;
    driving->now.text = "";
    driving->at_step = notice->step != NULL;
    if (cli_has(driving->cli, OPT_JSON))
        print_notice_json(driving->cli, notice);
    else
        show(driving, notice);
}

static void keep_drawing(void *arg)
{
    struct driving *driving = arg;
    do
        redraw(driving);
    while (!failed(fiber_sleep(REDRAW_MS)));
    cli_progress_end(driving->cli);
}

/* ---- signals ---- */
static void listen_to_signals(void *arg)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct driving *driving = arg;
    struct signal_watch *watch = NULL;
    int number = 0;
    if (failed(signal_watch_new(signals, sizeof signals / sizeof signals[0], &watch)))
        return; /* then they end the process, and the run can be resumed */
    if (!failed(signal_watch_wait(watch, &number))) {
        cli_progress_end(driving->cli);
        fputs("cancelling the run; once more stops it where it is\n", driving->cli->err);
        run_cancel(driving->run);
        if (!failed(signal_watch_wait(watch, &number)))
            scope_cancel(&driving->driver);
    }
    signal_watch_free(watch);
}

static void drive(void *arg)
{
    struct driving *driving = arg;
    driving->outcome = run_drive(driving->run);
}

static result drive_watched(struct driving *driving)
{
    struct scope helpers = SCOPE_INIT;
    driving->driver = SCOPE_INIT;
    driving->outcome = FAIL(E_INTERNAL, NULL, "the run was not driven");
    result r = fiber_spawn(&helpers, "signals", listen_to_signals, driving);
    if (!failed(r) && driving->cli->progress)
        r = fiber_spawn(&helpers, "progress", keep_drawing, driving);
    if (!failed(r))
        r = fiber_spawn(&driving->driver, "drive", drive, driving);
    if (!failed(r))
        r = scope_join(&driving->driver);
    scope_end(&helpers);
    return failed(r) ? r : driving->outcome;
}

/* ---- the command ---- */
static result open_run(struct driving *driving, const struct cli_drive *what)
{
    struct cli *cli = driving->cli;
    char id[RUNBOOK_RUN_ID_MAX + 1];
    const struct run_options options = { .state_path = cli->config->state_path,
                                         .subject = what->subject,
                                         .fence = what->fence,
                                         .observer = &driving->observer };
    TRY(run_find_open(options.state_path, what->runbook->name, what->subject, id));
    if (id[0] == '\0' && cli_has(cli, OPT_CANCEL))
        return FAIL(E_NOT_FOUND, "domicile runbook runs lists them.",
                    "there is no run of \"%s\" about \"%s\" to cancel", what->runbook->name, what->subject);
    if (id[0] == '\0')
        return run_begin(what->runbook, what->context, &options, &driving->run);
    TRY(run_resume(what->runbook, what->context, id, &options, &driving->run));
    if (cli_has(cli, OPT_CANCEL))
        run_cancel(driving->run);
    if (!cli_has(cli, OPT_JSON))
        fprintf(cli->out, "going on with the run %s\n", id);
    return OK;
}

result cli_drive(struct cli *cli, const struct cli_drive *what)
{
    struct driving driving = { .observer.notice = on_notice, .cli = cli };
    TRY(cli_load_config(cli));
    TRY(open_run(&driving, what));
    result r = drive_watched(&driving);
    run_free(driving.run);
    return r;
}

/* ---- a plan ---- */
static const char *plan_word(const struct runbook_planned *planned)
{
    if (planned->answer == ANSWER_YES)
        return "already";
    if (planned->answer == ANSWER_UNKNOWN)
        return "not known";
    return planned->step->act == NULL ? "fails" : "to do";
}

result cli_plan(struct cli *cli, const struct cli_drive *what)
{
    const struct runbook_planned *planned = NULL;
    size_t count = what->runbook->step_count, to_do = 0;
    TRY(runbook_plan(what->runbook, what->context, &cli->arena, &planned));
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, runbook_plan_json(what->runbook, planned));
        return OK;
    }
    for (size_t i = 0; i < count; i++) {
        to_do += planned[i].answer != ANSWER_YES;
        fprintf(cli->out, "[%2zu/%zu] %-10s %s%s%s\n", i + 1, count, plan_word(&planned[i]),
                planned[i].step->title, planned[i].evidence[0] ? ": " : "", planned[i].evidence);
    }
    if (to_do == 0)
        fputs("nothing is to be done\n", cli->out);
    else
        fprintf(cli->out, "%zu of %zu steps are to be done; nothing was changed\n", to_do, count);
    return OK;
}
