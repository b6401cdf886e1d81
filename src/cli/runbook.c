/* runbook ...: what runbooks there are, and what their runs did. Nothing here runs one: see drive.h. */
#include "runbook/journal.h"

#include "cell/runbooks.h"
#include "cli/cell.h"
#include "cli/drive.h"

#include <string.h>

static result find_base(const char *name, const struct runbook **ret)
{
    const struct runbook *runbook = runbook_find(cell_runbooks, str_from(name));
    if (runbook == NULL)
        return FAIL(E_NOT_FOUND, "Run domicile runbook list: it shows the runbooks.",
                    "there is no runbook \"%s\"", name);
    *ret = runbook;
    return OK;
}

/* NAME, with the steps of the cell if one is given. */
static result find_runbook(struct cli *cli, struct runbook *ret)
{
    const struct runbook *base = NULL;
    const struct cell *cell = NULL;
    TRY(find_base(cli->arguments[0], &base));
    *ret = *base;
    if (cli->argument_count < 2)
        return OK;
    TRY(cell_parse(cli, cli->arguments[1], &cell));
    return runbook_extend(base, cell->steps, cell->step_count, &runbook_own_shown, &cli->arena, ret);
}

/* ---- tables ---- */
result cli_runbook_list(struct cli *cli)
{
    if (cli_has(cli, OPT_JSON)) {
        json_t *list = json_array();
        for (const struct runbook *const *at = cell_runbooks; *at != NULL; at++)
            json_array_append_new(list, json_pack("{s:s,s:s,s:i,s:I}", "name", (*at)->name, "title",
                                                  (*at)->title, "steps", (int)(*at)->step_count, "limit_ms",
                                                  (json_int_t)runbook_limit_ms(*at)));
        cli_print_json(cli, json_pack("{s:o}", "runbooks", list));
        return OK;
    }
    for (const struct runbook *const *at = cell_runbooks; *at != NULL; at++)
        fprintf(cli->out, "%-16s %s (%zu steps)\n", (*at)->name, (*at)->title, (*at)->step_count);
    return OK;
}

result cli_runbook_show(struct cli *cli)
{
    struct runbook runbook;
    TRY(find_runbook(cli, &runbook));
    cli_show_runbook(cli, &runbook);
    return OK;
}

void cli_show_runbook(struct cli *cli, const struct runbook *runbook)
{
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, runbook_json(runbook));
        return;
    }
    const struct runbook_table table = runbook_show(runbook, &cli->arena);
    fprintf(cli->out, "%s: %s\n\n", runbook->name, runbook->title);
    cli_print_table(cli, table.cells, table.rows, RUNBOOK_SHOW_COLUMNS);
    fprintf(cli->out, "\nAt most %s, including all tries.\n",
            duration_text(runbook_limit_ms(runbook), &cli->arena));
}

result cli_runbook_draw(struct cli *cli)
{
    struct runbook runbook;
    TRY(find_runbook(cli, &runbook));
    const char *text = cli_has(cli, OPT_DOT) ? runbook_draw_dot(&runbook, &cli->arena)
                                             : runbook_draw_text(&runbook, &cli->arena);
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:s}", "drawing", text));
    else
        fputs(text, cli->out);
    return OK;
}

/* ---- check ---- */
static bool check_table(struct cli *cli, const struct runbook *runbook, json_t *list)
{
    struct runbook_faults faults;
    json_t *said = json_array();
    runbook_look_over(runbook, &cli->arena, &faults);
    for (size_t i = 0; i < faults.count && i < COUNT(faults.items); i++) {
        json_array_append_new(said, json_string(faults.items[i]));
        if (!cli_has(cli, OPT_JSON))
            fprintf(cli->out, "%s: %s\n", runbook->name, faults.items[i]);
    }
    if (faults.count == 0 && !cli_has(cli, OPT_JSON))
        fprintf(cli->out, "%s: %svalid%s, %zu steps, at most %s\n", runbook->name, cli_style(cli, STYLE_GOOD),
                cli_plain(cli), runbook->step_count, duration_text(runbook_limit_ms(runbook), &cli->arena));
    json_array_append_new(list, json_pack("{s:s,s:o}", "runbook", runbook->name, "faults", said));
    return faults.count == 0;
}

static result check_cells(struct cli *cli)
{
    TRY(cli_load_config(cli));
    for (size_t i = 0; i < cli->config->region_count; i++) {
        const struct region *region = &cli->config->regions[i];
        for (size_t c = 0; c < region->cell_count; c++)
            TRY(runbook_check_rows(cell_runbooks, region->cells[c].steps, region->cells[c].step_count));
    }
    return OK;
}

result cli_runbook_check(struct cli *cli)
{
    const struct runbook *only = NULL;
    bool sound = true;
    if (cli->argument_count > 0)
        TRY(find_base(cli->arguments[0], &only));
    json_t *list = json_array();
    for (const struct runbook *const *at = cell_runbooks; *at != NULL; at++)
        if (only == NULL || only == *at)
            sound &= check_table(cli, *at, list);
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:b,s:O}", "sound", sound, "runbooks", list));
    json_decref(list);
    if (!sound)
        return FAIL(E_RUNBOOK, "Correct the rows that are named above.", "a runbook is not valid");
    return only != NULL ? OK : check_cells(cli);
}

/* ---- runs ---- */
struct looking {
    struct cli *cli;
    struct run_list list;
    struct str text;
    bool driven;
};

static result list_runs(void *arg)
{
    struct looking *looking = arg;
    return run_list(looking->cli->config->state_path, &looking->cli->arena, &looking->list);
}

static const char *state_text(const struct run_summary *run)
{
    if (run->damage != NULL)
        return "damaged";
    if (run->state != RUN_OPEN)
        return run_state_word(run->state);
    return run->driven ? "running" : "interrupted";
}

static void print_runs(struct cli *cli, const struct run_list *list)
{
    enum { COLUMNS = 6 };
    static const char *const head[COLUMNS] = { "RUN", "ABOUT", "STATE", "STEP", "BEGAN", "WHY" };
    const char **cells = arena_array(&cli->arena, const char *, (list->count + 1) * COLUMNS);
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < list->count; i++) {
        const struct run_summary *run = &list->items[i];
        const char *const row[COLUMNS] = { run->id,         run->subject,
                                           state_text(run), run->step,
                                           run->began,      run->damage != NULL ? run->damage : run->why };
        memcpy(&cells[(i + 1) * COLUMNS], row, sizeof row);
    }
    cli_print_table(cli, cells, list->count + 1, COLUMNS);
}

result cli_runbook_runs(struct cli *cli)
{
    struct looking looking = { .cli = cli };
    TRY(cli_load_config(cli));
    TRY(cli_on_loop(list_runs, &looking));
    if (!cli_has(cli, OPT_JSON)) {
        print_runs(cli, &looking.list);
        return OK;
    }
    json_t *runs = json_array();
    for (size_t i = 0; i < looking.list.count; i++)
        json_array_append_new(runs, run_summary_json(&looking.list.items[i]));
    cli_print_json(cli, json_pack("{s:o}", "runs", runs));
    return OK;
}

static result read_journal(void *arg)
{
    struct looking *looking = arg;
    return journal_peek(looking->cli->config->state_path, looking->cli->arguments[0], &looking->cli->arena,
                        &looking->text, &looking->driven);
}

static const char *words_of(const struct journal_event *event, struct arena *arena)
{
    const char *texts[] = { event->error, event->evidence, event->why }, *text = "";
    if (event->kind == JOURNAL_BEGIN || event->kind == JOURNAL_RESUME)
        return arena_printf(arena, "fence %llu", (unsigned long long)event->fence);
    if (event->kind == JOURNAL_END)
        text = run_state_word(event->state);
    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i] != NULL)
            text = arena_printf(arena, "%s%s%s", text, text[0] ? "; " : "", texts[i]);
    return text;
}

static void print_journal(struct cli *cli, const struct journal_history *history)
{
    enum { COLUMNS = 5 };
    static const char *const head[COLUMNS] = { "AT", "EVENT", "STEP", "TRY", "WHAT" };
    const char **cells = arena_array(&cli->arena, const char *, (history->count + 1) * COLUMNS);
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < history->count; i++) {
        const struct journal_event *event = &history->events[i];
        const char *const row[COLUMNS] = { event->at, journal_word(event->kind),
                                           event->step ? event->step : "",
                                           event->attempt ? arena_printf(&cli->arena, "%u", event->attempt)
                                                          : "",
                                           words_of(event, &cli->arena) };
        memcpy(&cells[(i + 1) * COLUMNS], row, sizeof row);
    }
    cli_print_table(cli, cells, history->count + 1, COLUMNS);
    if (history->torn)
        fputs("The last line is incomplete: the process died while it wrote it.\n", cli->out);
}

static json_t *journal_json(const char *id, const struct journal_history *history, bool driven)
{
    json_t *events = json_array();
    for (size_t i = 0; i < history->count; i++)
        json_array_append_new(events, journal_event_json(&history->events[i]));
    return json_pack("{s:s,s:s,s:b,s:b,s:o}", "run", id, "state", run_state_word(history->standing.state),
                     "driven", driven, "torn", history->torn, "events", events);
}

result cli_runbook_journal(struct cli *cli)
{
    struct looking looking = { .cli = cli };
    struct journal_history history;
    TRY(cli_load_config(cli));
    TRY(cli_on_loop(read_journal, &looking));
    TRY(journal_read(looking.text, &cli->arena, &history));
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, journal_json(cli->arguments[0], &history, looking.driven));
    else
        print_journal(cli, &history);
    return OK;
}

/* ---- abandon ---- */
static result abandon(void *arg)
{
    struct cli *cli = arg;
    return run_abandon(cli->config->state_path, cli->arguments[0], cli->values[OPT_WHY]);
}

result cli_runbook_abandon(struct cli *cli)
{
    struct str why;
    TRY(cli_need(cli, OPT_WHY, &why));
    if (why.len == 0 || !str_is_utf8(why))
        return FAIL(E_ARGUMENT, "Give the reason in a sentence.", "--why is empty, or not UTF-8");
    TRY(cli_load_config(cli));
    TRY(cli_on_loop(abandon, cli));
    if (cli_has(cli, OPT_JSON))
        cli_print_json(
            cli, json_pack("{s:s,s:s}", "run", cli->arguments[0], "state", run_state_word(RUN_ABANDONED)));
    else
        fprintf(cli->out, "the run %s is abandoned; its changes stay\n", cli->arguments[0]);
    return OK;
}
