/* cell watch: one round over the nodes, as domicile_monitor, and with --since the past. It looks and changes nothing. */
#include "base/clock.h"
#include "cli/cell.h"
#include "cli/host_log.h"
#include "watch/host_reader.h"

#include <stdlib.h>
#include <string.h>

enum { CELLS_MAX = 256, LOG_BYTES = 64 * 1024 * 1024, LOG_ROUNDS = 2 * LOG_BYTES / HOST_READER_ROUND_BYTES };

/* ---- the table of channels ---- */

static void print_queries(struct cli *cli)
{
    const char *last = "";
    fputs("\n## The questions\n\n"
          "`$1` is what the region's file and the set-up declare, `$2` the shipped schema, both as JSON.\n",
          cli->out);
    for (size_t i = 0; i < watch_channel_count; i++) {
        const char *query = watch_channels[i].query;
        if (query == NULL || strcmp(query, last) == 0)
            continue;
        fprintf(cli->out, "\n### %s\n\n```sql\n%s```\n", query, watch_query_sql(query));
        last = query;
    }
}

static void print_channels_markdown(struct cli *cli)
{
    fputs("# The watch: is data leaving?\n\n"
          "Made by `domicile cell watch --channels --markdown` from `src/watch/watch.def` and "
          "`src/watch/`.\n\n"
          "Each channel is a way for records to leave a cell. What neither the set-up nor `watch` in the "
          "region's "
          "file\n"
          "declares is a finding, which begins when it is first seen and ends when a node that was asked "
          "does not "
          "show it\n"
          "any more. A question is SQL, below under its name; \"none\" is what the program finds out by "
          "itself.\n\n"
          "| channel | severity | question | what it is | what to do | what could blind it |\n"
          "| --- | --- | --- | --- | --- | --- |\n",
          cli->out);
    for (size_t i = 0; i < watch_channel_count; i++) {
        const struct watch_channel *channel = &watch_channels[i];
        const char *query = channel->query == NULL
                                ? "none"
                                : arena_printf(&cli->arena, "[%s](#%s)", channel->query, channel->query);
        fprintf(cli->out, "| `%s` | %s | %s | %s | %s | %s |\n", channel->id,
                watch_severity_word(channel->severity), query, channel->title, channel->advice,
                channel->blinds);
    }
    print_queries(cli);
}

static json_t *channel_json(const struct watch_channel *channel)
{
    return json_pack("{s:s,s:s,s:s?,s:s,s:s,s:s}", "channel", channel->id, "severity",
                     watch_severity_word(channel->severity), "query",
                     channel->query == NULL ? NULL : watch_query_sql(channel->query), "title", channel->title,
                     "what_to_do", channel->advice, "blinds", channel->blinds);
}

static result print_channels(struct cli *cli)
{
    enum { COLUMNS = 3 };
    if (cli_has(cli, OPT_MARKDOWN)) {
        print_channels_markdown(cli);
        return OK;
    }
    json_t *list = json_array();
    const char **cells = arena_array(&cli->arena, const char *, (watch_channel_count + 1) * COLUMNS);
    const char *const head[COLUMNS] = { "CHANNEL", "SEVERITY", "MEANING" };
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < watch_channel_count; i++) {
        const char **row = &cells[(i + 1) * COLUMNS];
        row[0] = watch_channels[i].id;
        row[1] = watch_severity_word(watch_channels[i].severity);
        row[2] = watch_channels[i].title;
        json_array_append_new(list, channel_json(&watch_channels[i]));
    }
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, json_pack("{s:o}", "channels", list));
        return OK;
    }
    json_decref(list);
    cli_print_table(cli, cells, watch_channel_count + 1, COLUMNS);
    return OK;
}

/* ---- one round ---- */

struct looking {
    const struct cell *cells[CELLS_MAX];
    struct cell_watch *watches[CELLS_MAX];
    size_t count;
    int64_t since_ms; /* 0: now alone */
    struct host_log *log;
    struct cli *cli;
};

static result choose(struct cli *cli, struct looking *ret)
{
    TRY(cli_load_config(cli));
    if (cli->argument_count == 1) {
        ret->count = 1;
        return cell_parse(cli, cli->arguments[0], &ret->cells[0]);
    }
    for (size_t r = 0; r < cli->config->region_count; r++)
        for (size_t c = 0; c < cli->config->regions[r].cell_count && ret->count < CELLS_MAX; c++)
            ret->cells[ret->count++] = &cli->config->regions[r].cells[c];
    return OK;
}

/* "30m" ago, or a time. */
static result parse_since(struct cli *cli, int64_t *ret_ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = { { 's', SEC(1) }, { 'm', SEC(60) }, { 'h', SEC(3600) }, { 'd', SEC(86400) } };
    enum { AGO_MAX = 100000 };
    struct str text = str_from(cli->values[OPT_SINCE]),
               digits = { text.ptr, text.len > 0 ? text.len - 1 : 0 };
    uint64_t count;
    if (clock_parse(text, ret_ms) && *ret_ms > 0)
        return OK;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text.len == 0 || text.ptr[text.len - 1] != units[i].letter ||
            !str_to_u64(digits, AGO_MAX, &count))
            continue;
        *ret_ms = clock_wall_ms() - (int64_t)count * units[i].ms;
        return OK;
    }
    return FAIL(E_ARGUMENT, "Say how long ago, as 30m, 24h or 7d, or a time, as 2026-01-31T12:00:00Z.",
                "\"%.*s\" is no time", STR_ARG(text));
}

static result read_logs(const struct looking *looking, size_t i)
{
    struct cell_watch *watch = looking->watches[i];
    struct host_reader *reader;
    TRY(host_reader_new(looking->cells[i], looking->log, &reader));
    host_reader_reach(reader, LOG_BYTES);
    for (int round = 0; round == 0 || (round < LOG_ROUNDS && host_reader_behind(reader)); round++)
        host_reader_round(reader, watch);
    if (host_reader_behind(reader))
        watch_log_unfinished(watch);
    host_reader_free(reader);
    return OK;
}

static const char *cell_name(struct cli *cli, const struct cell *cell)
{
    return arena_printf(&cli->arena, "%s/%s", cell->region->name.ptr, cell->name.ptr);
}

static result look_at(struct looking *looking, size_t i)
{
    const char *name = cell_name(looking->cli, looking->cells[i]);
    cli_progress(looking->cli, "%s: asking each node", name);
    if (looking->since_ms == 0)
        return watch_round(looking->watches[i], WATCH_LOOK);
    cell_watch_since(looking->watches[i], looking->since_ms);
    TRY(watch_round(looking->watches[i], WATCH_LOOK));
    cli_progress(looking->cli, "%s: reading the servers' logs", name);
    return read_logs(looking, i);
}

static result look(void *arg)
{
    struct looking *looking = arg;
    result r = OK;
    looking->log = cli_host_log(looking->cli, "cell-watch");
    for (size_t i = 0; i < looking->count && !failed(r); i++)
        r = look_at(looking, i);
    host_log_free(looking->log);
    return r;
}

static const char *time_text(struct cli *cli, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(at_ms, text);
    return arena_printf(&cli->arena, "%s", text);
}

/* The gravest first. */
static int compare_findings(const void *a, const void *b)
{
    const struct watch_finding *x = *(const struct watch_finding *const *)a;
    const struct watch_finding *y = *(const struct watch_finding *const *)b;
    if (x->channel->severity != y->channel->severity)
        return x->channel->severity > y->channel->severity ? -1 : 1;
    return x->channel != y->channel ? (x->channel > y->channel) - (x->channel < y->channel)
                                    : strcmp(x->subject, y->subject);
}

static const struct watch_finding **sorted(struct cli *cli, const struct cell_watch *watch, size_t *ret_count)
{
    *ret_count = watch_finding_count(watch);
    const struct watch_finding **list =
        arena_array(&cli->arena, const struct watch_finding *, *ret_count + 1);
    for (size_t i = 0; i < *ret_count; i++)
        list[i] = watch_finding_at(watch, i);
    qsort(list, *ret_count, sizeof list[0], compare_findings);
    return list;
}

/* end NULL: it has none yet. */
static json_t *finding_json(struct cli *cli, const struct watch_finding *finding, const char *end)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s?,s:s,s:s}", "channel", finding->channel->id, "severity",
                     watch_severity_word(finding->channel->severity), "node", finding->node, "subject",
                     finding->subject, "evidence", finding->evidence, "begin",
                     time_text(cli, finding->began_ms), "end", end, "title", finding->channel->title,
                     "what_to_do", finding->channel->advice);
}

static json_t *open_json(struct cli *cli, const struct cell_watch *watch)
{
    json_t *json = json_array();
    size_t count;
    const struct watch_finding **list = sorted(cli, watch, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(json, finding_json(cli, list[i], NULL));
    return json;
}

/* null: it is not known. */
static json_t *ended_json(struct cli *cli, const struct cell_watch *watch)
{
    json_t *json = watch_past_known(watch) ? json_array() : json_null();
    for (size_t i = 0; i < watch_past_count(watch); i++) {
        const struct watch_past *past = watch_past_at(watch, i);
        json_array_append_new(json, finding_json(cli, &past->finding, time_text(cli, past->ended_ms)));
    }
    return json;
}

/* Since when each server's log was read; null: not at all. */
static json_t *logs_json(struct cli *cli, const struct cell_watch *watch, const struct cell *cell)
{
    json_t *json = json_object();
    for (size_t i = 0; i < cell->node_count; i++) {
        int64_t from_ms = watch_log_from(watch, &cell->nodes[i]);
        json_object_set_new(json, cell->nodes[i].name.ptr,
                            from_ms == 0 ? json_null() : json_string(time_text(cli, from_ms)));
    }
    return json;
}

static void print_json(struct cli *cli, const struct looking *looking)
{
    json_t *cells = json_array();
    for (size_t i = 0; i < looking->count; i++) {
        const struct cell_watch *watch = looking->watches[i];
        json_t *cell = json_pack("{s:s,s:o}", "cell", cell_name(cli, looking->cells[i]), "findings",
                                 open_json(cli, watch));
        if (looking->since_ms != 0) {
            json_object_set_new(cell, "since", json_string(time_text(cli, looking->since_ms)));
            json_object_set_new(cell, "ended", ended_json(cli, watch));
            json_object_set_new(cell, "logs_from", logs_json(cli, watch, looking->cells[i]));
        }
        json_array_append_new(cells, cell);
    }
    cli_print_json(cli, json_pack("{s:o}", "cells", cells));
}

static void print_findings(struct cli *cli, const struct watch_finding *const *list, size_t count)
{
    enum { COLUMNS = 5 };
    static const char *const head[COLUMNS] = { "SEVERITY", "CHANNEL", "NODE", "SINCE", "SUBJECT" };
    const char **cells = arena_array(&cli->arena, const char *, (count + 1) * COLUMNS);
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < count; i++) {
        const struct watch_finding *finding = list[i];
        const char *const row[COLUMNS] = {
            watch_severity_word(finding->channel->severity), finding->channel->id, finding->node,
            time_text(cli, finding->began_ms),
            arena_printf(&cli->arena, "%s (%s)", finding->subject, finding->evidence)
        };
        memcpy(&cells[(i + 1) * COLUMNS], row, sizeof row);
    }
    cli_print_table(cli, cells, count + 1, COLUMNS);
    fprintf(cli->out, "%sWHAT TO DO%s\n", cli_style(cli, STYLE_FAINT), cli_plain(cli));
    for (size_t i = 0; i < count; i++)
        if (i == 0 || list[i]->channel != list[i - 1]->channel)
            fprintf(cli->out, "%s: %s\n", list[i]->channel->id, list[i]->channel->advice);
}

static void print_ended(struct cli *cli, const struct cell_watch *watch)
{
    enum { COLUMNS = 6 };
    static const char *const head[COLUMNS] = { "SEVERITY", "CHANNEL", "NODE", "BEGAN", "ENDED", "SUBJECT" };
    size_t count = watch_past_count(watch);
    const char **cells = arena_array(&cli->arena, const char *, (count + 1) * COLUMNS);
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < count; i++) {
        const struct watch_past *past = watch_past_at(watch, i);
        const struct watch_finding *finding = &past->finding;
        const char *const row[COLUMNS] = { watch_severity_word(finding->channel->severity),
                                           finding->channel->id,
                                           finding->node,
                                           time_text(cli, finding->began_ms),
                                           time_text(cli, past->ended_ms),
                                           arena_printf(&cli->arena, "%s (%s)", finding->subject,
                                                        finding->evidence) };
        memcpy(&cells[(i + 1) * COLUMNS], row, sizeof row);
    }
    cli_print_table(cli, cells, count + 1, COLUMNS);
}

static void print_past(struct cli *cli, const struct looking *looking, size_t i)
{
    const struct cell_watch *watch = looking->watches[i];
    const struct cell *cell = looking->cells[i];
    const char *since = time_text(cli, looking->since_ms);
    size_t count = watch_past_count(watch);
    if (!watch_past_known(watch))
        fprintf(cli->out, "what has ended since %s is not known\n", since);
    else if (count == 0)
        fprintf(cli->out, "nothing has ended since %s\n", since);
    else
        fprintf(cli->out, "%zu%s ended since %s\n", count,
                count == WATCH_PAST_MAX ? " findings, the latest of those that" : " findings", since);
    if (count > 0)
        print_ended(cli, watch);
    for (size_t n = 0; n < cell->node_count; n++) {
        int64_t from_ms = watch_log_from(watch, &cell->nodes[n]);
        fprintf(cli->out, "%s%s: its log was %s%s%s\n", cli_style(cli, STYLE_FAINT), cell->nodes[n].name.ptr,
                from_ms == 0 ? "not read" : "read from ", from_ms == 0 ? "" : time_text(cli, from_ms),
                cli_plain(cli));
    }
}

static void print_tables(struct cli *cli, const struct looking *looking)
{
    for (size_t i = 0; i < looking->count; i++) {
        size_t count;
        const struct watch_finding **list = sorted(cli, looking->watches[i], &count);
        fprintf(cli->out, "%s%s: %s\n", i == 0 ? "" : "\n", cell_name(cli, looking->cells[i]),
                count == 0 ? "nothing that is not declared"
                           : arena_printf(&cli->arena, "%zu findings", count));
        if (count > 0)
            print_findings(cli, list, count);
        if (looking->since_ms != 0)
            print_past(cli, looking, i);
    }
}

static result verdict(const struct looking *looking)
{
    static const char hint[] = "Each finding says what to do; docs/watch.md says what its channel is.";
    size_t open = 0, ended = 0;
    for (size_t i = 0; i < looking->count; i++) {
        open += watch_finding_count(looking->watches[i]);
        ended += watch_past_count(looking->watches[i]);
    }
    if (open + ended == 0)
        return OK;
    return ended == 0 ? FAIL(E_FINDING, hint, "%zu findings are open", open)
                      : FAIL(E_FINDING, hint, "%zu findings are open, and %zu have ended", open, ended);
}

result cli_cell_watch(struct cli *cli)
{
    if (cli_has(cli, OPT_CHANNELS))
        return print_channels(cli);
    struct looking *looking = arena_new(&cli->arena, struct looking);
    looking->cli = cli;
    TRY(choose(cli, looking));
    if (cli_has(cli, OPT_SINCE))
        TRY(parse_since(cli, &looking->since_ms));
    for (size_t i = 0; i < looking->count; i++)
        looking->watches[i] = cell_watch_new(cli->config, looking->cells[i]);
    result r = cli_on_loop(look, looking);
    cli_progress_end(cli);
    if (!failed(r))
        (cli_has(cli, OPT_JSON) ? print_json : print_tables)(cli, looking);
    if (!failed(r))
        r = verdict(looking);
    for (size_t i = 0; i < looking->count; i++)
        cell_watch_free(looking->watches[i]);
    return r;
}
