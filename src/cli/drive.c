#include "cli/drive.h"

#include "loop/fiber.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

enum { REDRAW_MS = 200 };

struct driving {
    struct driver_observer observer;
    struct cli *cli;
    const struct cli_drive *what;
    struct driver *driver;
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
    fprintf(cli->out, "%s%s\n", notice->text[0] ? ": " : "", cli_safe_in(&arena, notice->text));
    fflush(cli->out);
    arena_done(&arena);
}

static void print_line(const struct driving *driving, const char *word, const char *text)
{
    cli_progress_end(driving->cli);
    fprintf(driving->cli->out, "%s%s%s\n", word, text[0] ? ": " : "", cli_safe(driving->cli, text));
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

static void on_run_notice(struct run_observer *observer, const struct run_notice *notice)
{
    struct driving *driving = (struct driving *)((char *)observer - offsetof(struct driving, observer.run));
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

static void on_notice(struct driver_observer *observer, enum driver_notice notice, const char *run)
{
    struct driving *driving = (struct driving *)((char *)observer - offsetof(struct driving, observer));
    struct cli *cli = driving->cli;
    if (notice == DRIVER_WAITS)
        cli_progress(cli, "waiting: another process has, or just had, the lease of %s",
                     driving->what->subject);
    if (notice == DRIVER_ASKS)
        cli_progress(cli, "checking %s", driving->what->subject);
    if (notice == DRIVER_RESUMES && !cli_has(cli, OPT_JSON)) {
        cli_progress_end(cli);
        fprintf(cli->out, "resuming the run %s\n", cli_safe(cli, run));
    }
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
    if (failed(signal_watch_new(signals, COUNT(signals), &watch)))
        return; /* then they end the process, and the run can be resumed */
    if (!failed(signal_watch_wait(watch, &number))) {
        cli_progress_end(driving->cli);
        fputs("cancelling the run; a second signal stops it without undoing\n", driving->cli->err);
        driver_cancel(driving->driver);
        if (!failed(signal_watch_wait(watch, &number)))
            driver_stop(driving->driver);
    }
    signal_watch_free(watch);
}

static result drive_watched(struct driving *driving, const struct runbook_planned **ret_already)
{
    struct scope helpers = SCOPE_INIT;
    result r = fiber_spawn(&helpers, "signals", listen_to_signals, driving);
    if (!failed(r) && driving->cli->progress)
        r = fiber_spawn(&helpers, "progress", keep_drawing, driving);
    if (!failed(r))
        r = driver_run(driving->driver, &driving->cli->arena, ret_already);
    scope_end(&helpers);
    return r;
}

/* ---- the command ---- */
static void say_already(struct cli *cli, const struct cli_drive *what, const struct runbook_planned *planned)
{
    if (!cli_has(cli, OPT_JSON)) {
        fprintf(cli->out, "%s: all %zu steps were already done, nothing was changed\n", what->subject,
                what->runbook->step_count);
        return;
    }
    json_t *document = runbook_plan_json(what->runbook, planned);
    json_object_set_new(document, "subject", json_string(what->subject));
    json_object_set_new(document, "already", json_true());
    cli_print_json(cli, document);
}

result cli_drive(struct cli *cli, const struct cli_drive *what)
{
    struct driving driving = { .observer = { { on_run_notice }, on_notice }, .cli = cli, .what = what };
    const struct runbook_planned *already = NULL;
    TRY(cli_load_config(cli));
    const struct driver_options options = { .runbook = what->runbook,
                                            .context = what->context,
                                            .subject = what->subject,
                                            .state_path = cli->config->state_path,
                                            .directory = what->directory,
                                            .lease = what->lease,
                                            .walk_back = cli_has(cli, OPT_CANCEL),
                                            .observer = &driving.observer };
    driving.driver = driver_new(&options);
    result r = drive_watched(&driving, &already);
    cli_progress_end(cli);
    driver_free(driving.driver);
    if (!failed(r) && already != NULL)
        say_already(cli, what, already);
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
                planned[i].step->title, planned[i].evidence[0] ? ": " : "",
                cli_safe(cli, planned[i].evidence));
    }
    if (to_do == 0)
        fputs("nothing to do\n", cli->out);
    else
        fprintf(cli->out, "%zu of %zu steps are not done yet; nothing was changed\n", to_do, count);
    return OK;
}
