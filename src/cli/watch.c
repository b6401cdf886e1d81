/* cell watch: one round over the nodes, as domicile_monitor. It looks and changes nothing. */
#include "cell/watch.h"

#include "base/clock.h"
#include "cli/cell.h"

#include <stdlib.h>
#include <string.h>

enum { CELLS_MAX = 256 };

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
          "Made by `domicile cell watch --channels --markdown` from `src/cell/watch.def` and "
          "`src/cell/watch/`.\n\n"
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

static result look(void *arg)
{
    struct looking *looking = arg;
    for (size_t i = 0; i < looking->count; i++)
        TRY(watch_round(looking->watches[i], WATCH_LOOK));
    return OK;
}

static const char *cell_name(struct cli *cli, const struct cell *cell)
{
    return arena_printf(&cli->arena, "%s/%s", cell->region->name.ptr, cell->name.ptr);
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

static json_t *findings_json(struct cli *cli, const struct cell_watch *watch)
{
    json_t *json = json_array();
    size_t count;
    const struct watch_finding **list = sorted(cli, watch, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            json, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "channel", list[i]->channel->id, "severity",
                            watch_severity_word(list[i]->channel->severity), "node", list[i]->node, "subject",
                            list[i]->subject, "evidence", list[i]->evidence, "begin",
                            time_text(cli, list[i]->began_ms), "title", list[i]->channel->title, "what_to_do",
                            list[i]->channel->advice));
    return json;
}

static size_t print_json(struct cli *cli, const struct looking *looking)
{
    json_t *cells = json_array();
    size_t total = 0;
    for (size_t i = 0; i < looking->count; i++) {
        json_t *findings = findings_json(cli, looking->watches[i]);
        total += json_array_size(findings);
        json_array_append_new(
            cells, json_pack("{s:s,s:o}", "cell", cell_name(cli, looking->cells[i]), "findings", findings));
    }
    cli_print_json(cli, json_pack("{s:o}", "cells", cells));
    return total;
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

static size_t print_tables(struct cli *cli, const struct looking *looking)
{
    size_t total = 0;
    for (size_t i = 0; i < looking->count; i++) {
        size_t count;
        const struct watch_finding **list = sorted(cli, looking->watches[i], &count);
        fprintf(cli->out, "%s%s: %s\n", i == 0 ? "" : "\n", cell_name(cli, looking->cells[i]),
                count == 0 ? "nothing that is not declared"
                           : arena_printf(&cli->arena, "%zu findings", count));
        if (count > 0)
            print_findings(cli, list, count);
        total += count;
    }
    return total;
}

result cli_cell_watch(struct cli *cli)
{
    if (cli_has(cli, OPT_CHANNELS))
        return print_channels(cli);
    struct looking *looking = arena_new(&cli->arena, struct looking);
    TRY(choose(cli, looking));
    for (size_t i = 0; i < looking->count; i++)
        looking->watches[i] = cell_watch_new(cli->config, looking->cells[i]);
    result r = cli_on_loop(look, looking);
    size_t total = 0;
    if (!failed(r))
        total = cli_has(cli, OPT_JSON) ? print_json(cli, looking) : print_tables(cli, looking);
    for (size_t i = 0; i < looking->count; i++)
        cell_watch_free(looking->watches[i]);
    TRY(r);
    return total == 0
               ? OK
               : FAIL(E_FINDING, "Each finding says what to do; docs/watch.md says what its channel is.",
                      "%zu findings are open", total);
}
