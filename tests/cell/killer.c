/* Drives `provision` as the program does, and is killed (SIGKILL) at a write of the journal: once before and once after
 * each kind of line that it would write about each step. MARKS remembers at which ones it was killed already.
 * usage: cell_killer CONFIG REGION CELL MARKS   (ends with 0: the run is done) */
#include "cell/runbooks.h"
#include "cell/steps.h"
#include "runbook/journal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MARK_MAX = 200, MARKS_MAX = 1000 };

struct killing {
    struct journal journal; /* first: it is what the engine sees */
    struct journal *file;
    const char *marks_path;
    char marks[MARKS_MAX][MARK_MAX];
    size_t count;
};

static void read_marks(struct killing *killing)
{
    FILE *file = fopen(killing->marks_path, "re");
    while (file != NULL && killing->count < MARKS_MAX &&
           fgets(killing->marks[killing->count], MARK_MAX, file) != NULL)
        killing->count++;
    if (file != NULL)
        fclose(file);
}

/* The first time here, the process ends here. */
static void maybe_die(struct killing *killing, const char *when, struct str line)
{
    char mark[MARK_MAX];
    json_t *event = json_loadb(line.ptr, line.len, 0, NULL);
    must(event != NULL);
    const char *step = json_string_value(json_object_get(event, "step"));
    snprintf(mark, sizeof mark, "%s %s %s\n", when, json_string_value(json_object_get(event, "event")),
             step != NULL ? step : "-");
    json_decref(event);
    for (size_t i = 0; i < killing->count; i++)
        if (strcmp(killing->marks[i], mark) == 0)
            return;
    FILE *file = fopen(killing->marks_path, "ae");
    must(file != NULL && fputs(mark, file) >= 0 && fclose(file) == 0);
    kill(getpid(), SIGKILL);
}

static result load(struct journal *journal, struct arena *arena, struct str *ret)
{
    struct killing *killing = (struct killing *)journal;
    return killing->file->load(killing->file, arena, ret);
}

static result cut(struct journal *journal, size_t bytes)
{
    struct killing *killing = (struct killing *)journal;
    return killing->file->cut(killing->file, bytes);
}

static result append(struct journal *journal, struct str line)
{
    struct killing *killing = (struct killing *)journal;
    maybe_die(killing, "before", line);
    TRY(killing->file->append(killing->file, line));
    maybe_die(killing, "after", line);
    return OK;
}

static void close_journal(struct journal *journal)
{
    struct killing *killing = (struct killing *)journal;
    killing->file->close(killing->file);
}

static struct killing killing = { .journal = { load, cut, append, close_journal } };

struct driving {
    struct config *config;
    const struct cell *cell;
    struct cell_hosts *hosts;
    result outcome;
};

static result open_run(struct driving *driving, struct provisioning *provisioning, struct run **ret)
{
    static const char id[] = "provision-killed";
    const struct run_options options = { .state_path = driving->config->state_path,
                                         .subject = "a cell",
                                         .fence = killing.count + 1,
                                         .journal = &killing.journal };
    struct arena arena;
    struct str text = { 0 };
    result r = journal_open(options.state_path, id, &killing.file);
    if (failed(r) && r.error.code == E_NOT_FOUND)
        r = journal_create(options.state_path, id, &killing.file);
    TRY(r);
    arena_init(&arena);
    r = killing.file->load(killing.file, &arena, &text);
    bool began = text.len > 0;
    arena_done(&arena);
    TRY(r);
    return began ? run_resume(&provision_runbook, provisioning, id, &options, ret)
                 : run_begin(&provision_runbook, provisioning, &options, ret);
}

static result drive(struct driving *driving)
{
    struct provisioning provisioning;
    struct run *run = NULL;
    TRY(provisioning_init(&provisioning, driving->cell, driving->hosts));
    TRY(open_run(driving, &provisioning, &run));
    result r = run_drive(run);
    run_free(run);
    return r;
}

static void unrecorded(void *context, const struct error *why)
{
    (void)context;
    (void)why;
}

static void on_loop(void *arg)
{
    struct driving *driving = arg;
    const struct host_log_options record = { driving->config->state_path, "killer", unrecorded, NULL };
    struct host_log *log = host_log_new(&record);
    driving->outcome = cell_hosts_new(driving->cell, log, &driving->hosts);
    if (!failed(driving->outcome))
        driving->outcome = drive(driving);
    cell_hosts_free(driving->hosts);
    host_log_free(log);
}

int main(int argc, char **argv)
{
    struct driving driving = { 0 };
    must(argc == 5);
    killing.marks_path = argv[4];
    read_marks(&killing);
    result r = config_load(argv[1], &driving.config, NULL);
    if (!failed(r)) {
        driving.cell =
            config_find_cell(config_find_region(driving.config, str_from(argv[2])), str_from(argv[3]));
        r = loop_run(on_loop, &driving);
    }
    if (!failed(r))
        r = driving.outcome;
    if (failed(r))
        fprintf(stderr, "%s: %s\n", error_name(r.error.code), r.error.what);
    config_free(driving.config);
    return failed(r) ? error_exit_status(r.error.code) : EXIT_SUCCESS;
}
