/* node locate: how far away a node can be, measured from here and imported from other vantages. */
#include "base/clock.h"
#include "cli/node_choice.h"
#include "location/location.h"
#include "location/location_measure.h"

#include <string.h>

enum { COUNT_PRESET = 50 };

struct locating {
    struct cli *cli;
    struct chosen_nodes nodes;
    struct location_sample *taken; /* by this run */
    size_t taken_count;
    uint32_t count;
    result first_failure; /* of a node; the other nodes are measured all the same */
    struct location_samples samples;
    struct location_judgement *judgements;
    bool contradicted;
};

/* ---- measuring ---- */
static result measure_node(struct locating *locating, const struct chosen_node *chosen)
{
    struct cli *cli = locating->cli;
    struct location_asker asker = { .cell = chosen->cell, .vantage = cli->config->vantage };
    asker.role = node_sql_role(chosen->cell);
    if (asker.role == PG_NOBODY)
        return FAIL(
            E_CONFIG,
            "Add monitor or superuser to the cell in the region's file, and run this on a host with its key.",
            "the cell \"%s\" has no certificate here for asking its nodes", chosen->cell->name.ptr);
    return location_measure(&asker, chosen->node, locating->count, &cli->arena,
                            &locating->taken[locating->taken_count]);
}

static result measure_all(void *arg)
{
    struct locating *locating = arg;
    struct cli *cli = locating->cli;
    for (size_t i = 0; i < locating->nodes.count; i++) {
        const struct chosen_node *chosen = &locating->nodes.items[i];
        cli_progress(cli, "measuring %s", chosen->node->name.ptr);
        result r = measure_node(locating, chosen);
        cli_progress_end(cli);
        TRY(fiber_check());
        if (!failed(r)) {
            locating->taken_count++;
            continue;
        }
        if (!cli_has(cli, OPT_JSON))
            fprintf(cli->err, "%s: %s\n", chosen->node->name.ptr, cli_safe(cli, r.error.what));
        if (!failed(locating->first_failure) || r.error.code == E_FINDING)
            locating->first_failure = r;
    }
    return OK;
}

static result measure(struct locating *locating)
{
    const struct config *config = locating->cli->config;
    if (config->vantage == NULL)
        return FAIL(E_CONFIG,
                    "Declare vantages in domicile.cfg, and set vantage to the name of this host's one.",
                    "this host is not a vantage");
    TRY(cli_on_loop(measure_all, locating));
    return location_store_append(config->state_path, locating->taken, locating->taken_count);
}

/* ---- imported from other vantages ---- */
static bool has(const struct location_samples *samples, const struct location_sample *sample)
{
    for (size_t i = 0; i < samples->count; i++)
        if (location_sample_equal(&samples->items[i], sample))
            return true;
    return false;
}

static result import(struct locating *locating)
{
    struct cli *cli = locating->cli;
    struct location_samples carried, stored;
    struct str text;
    TRY(cli_read_file(cli, cli->values[OPT_IMPORT], LOCATION_STORE_MAX, &text));
    TRY(location_samples_read(text, true, &cli->arena, &carried));
    TRY(location_store_read(cli->config->state_path, &cli->arena, &stored));
    locating->taken = arena_array(&cli->arena, struct location_sample, carried.count + 1);
    for (size_t i = 0; i < carried.count; i++) {
        if (config_find_vantage(cli->config, str_from(carried.items[i].vantage)) == NULL)
            return FAIL(E_CONFIG,
                        "Declare the vantage in domicile.cfg, with the same values as on its own host.",
                        "the file has measurements of the vantage \"%s\", which is not declared",
                        carried.items[i].vantage);
        if (!has(&stored, &carried.items[i]))
            locating->taken[locating->taken_count++] = carried.items[i];
    }
    return location_store_append(cli->config->state_path, locating->taken, locating->taken_count);
}

/* ---- saying ---- */
static const char *time_text(struct cli *cli, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(at_ms, text);
    return arena_printf(&cli->arena, "%s", text);
}

static void print_measures(struct cli *cli, const struct locating *locating)
{
    enum { COLUMNS = 7 };
    static const char *const head[COLUMNS] = { "NODE",   "DECLARED", "VANTAGE",   "ROUND TRIP",
                                               "WITHIN", "MEASURED", "CHECKED BY" };
    size_t rows = 1;
    for (size_t i = 0; i < locating->nodes.count; i++)
        rows += locating->judgements[i].measure_count + 1;
    const char **cells = arena_array(&cli->arena, const char *, rows *COLUMNS);
    memcpy(cells, head, sizeof head);
    rows = 1;
    for (size_t i = 0; i < locating->nodes.count; i++) {
        const struct location_judgement *judgement = &locating->judgements[i];
        const char *name = judgement->node->name.ptr, *declared = judgement->node->site->country;
        for (size_t j = 0; j < judgement->measure_count; j++) {
            const struct location_measure *measure = &judgement->measures[j];
            const char *const row[COLUMNS] = {
                name,
                declared,
                measure->vantage->name.ptr,
                arena_printf(&cli->arena, "%.3f ms", (double)measure->sample->min_us / 1000),
                arena_printf(&cli->arena, "%.0f km", measure->bound_km),
                time_text(cli, measure->sample->at_ms),
                measure->sample->verified != NULL ? measure->sample->verified : "nobody",
            };
            memcpy(&cells[rows++ * COLUMNS], row, sizeof row);
        }
        if (judgement->measure_count == 0) {
            const char *const row[COLUMNS] = { name, declared, "-", "-", "-", "-", "-" };
            memcpy(&cells[rows++ * COLUMNS], row, sizeof row);
        }
    }
    cli_print_table(cli, cells, rows, COLUMNS);
}

static const char *countries(struct cli *cli, const struct location_judgement *judgement,
                             enum location_grade grade)
{
    const char *text = "";
    for (size_t i = 0; i < judgement->exclusion_count; i++)
        if (judgement->exclusions[i].grade == grade)
            text = arena_printf(&cli->arena, "%s%s%s", text, text[0] != '\0' ? ", " : "",
                                judgement->exclusions[i].country->code);
    return text;
}

static void print_judgement(struct cli *cli, const struct location_judgement *judgement)
{
    static const enum location_grade grades[] = { LOCATION_CORROBORATED, LOCATION_OBSERVED };
    const char *name = judgement->node->name.ptr;
    fprintf(cli->out, "\n%s: declared in %s; not outside %s: %s\n", name, judgement->node->site->country,
            judgement->cell->region->jurisdiction.bloc.ptr, location_grade_word(judgement->outside));
    for (size_t i = 0; i < COUNT(grades); i++) {
        const char *text = countries(cli, judgement, grades[i]);
        if (text[0] != '\0')
            fprintf(cli->out, "  %s: not in %s\n", location_grade_word(grades[i]), text);
    }
    if (judgement->contradicted)
        fprintf(cli->out, "  %sfinding:%s it answered too fast to be in %s, where it is declared\n",
                cli_style(cli, STYLE_BAD), cli_plain(cli), judgement->node->site->country);
    if (judgement->torn)
        fprintf(cli->out, "  %sfinding:%s no place is near enough to both %s and %s: two hosts answered\n",
                cli_style(cli, STYLE_BAD), cli_plain(cli),
                judgement->measures[judgement->torn_pair[0]].vantage->name.ptr,
                judgement->measures[judgement->torn_pair[1]].vantage->name.ptr);
    if (judgement->elsewhere + judgement->too_old > 0)
        fprintf(cli->out,
                "  samples that do not count: %zu older than %d days, %zu with another address or vantage\n",
                judgement->too_old, LOCATION_AGE_MAX_DAYS, judgement->elsewhere);
}

static json_t *measures_json(const struct location_judgement *judgement)
{
    json_t *list = json_array();
    for (size_t i = 0; i < judgement->measure_count; i++) {
        const struct location_measure *measure = &judgement->measures[i];
        const struct location_sample *sample = measure->sample;
        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:I,s:I,s:f,s:I,s:i,s:i,s:s,s:s,s:s?}", "vantage", measure->vantage->name.ptr,
                      "country", measure->vantage->country, "min_us", (json_int_t)sample->min_us, "median_us",
                      (json_int_t)sample->median_us, "within_km", measure->bound_km, "at_ms",
                      (json_int_t)sample->at_ms, "samples", (int)sample->count, "rows", (int)sample->rows,
                      "method", sample->method, "host", sample->host, "verified", sample->verified));
    }
    return list;
}

static json_t *exclusions_json(const struct location_judgement *judgement)
{
    json_t *list = json_array();
    for (size_t i = 0; i < judgement->exclusion_count; i++) {
        const struct location_exclusion *exclusion = &judgement->exclusions[i];
        json_t *by = json_array();
        for (size_t j = 0; j < judgement->measure_count; j++)
            if (exclusion->by >> j & 1)
                json_array_append_new(by, json_string(judgement->measures[j].vantage->name.ptr));
        json_array_append_new(list, json_pack("{s:s,s:b,s:s,s:b,s:o}", "country", exclusion->country->code,
                                              "excluded", exclusion->grade != LOCATION_DECLARED, "grade",
                                              location_grade_word(exclusion->grade), "in_table",
                                              exclusion->known, "by", by));
    }
    return list;
}

static void print_json(struct cli *cli, const struct locating *locating)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < locating->nodes.count; i++) {
        const struct location_judgement *judgement = &locating->judgements[i];
        const struct region *region = judgement->cell->region;
        json_array_append_new(
            nodes,
            json_pack("{s:s,s:o,s:s,s:s,s:s,s:b,s:b,s:o,s:o,s:I,s:I}", "node", judgement->node->name.ptr,
                      "cell", json_sprintf("%s/%s", region->name.ptr, judgement->cell->name.ptr), "declared",
                      judgement->node->site->country, "bloc", region->jurisdiction.bloc.ptr, "outside_bloc",
                      location_grade_word(judgement->outside), "contradicted", judgement->contradicted,
                      "two_hosts", judgement->torn, "measures", measures_json(judgement), "countries",
                      exclusions_json(judgement), "too_old", (json_int_t)judgement->too_old, "elsewhere",
                      (json_int_t)judgement->elsewhere));
    }
    cli_print_json(cli, json_pack("{s:s?,s:I,s:I,s:o}", "vantage",
                                  cli->config->vantage == NULL ? NULL : cli->config->vantage->name.ptr,
                                  "stored", (json_int_t)locating->taken_count, "unread",
                                  (json_int_t)locating->samples.unread, "nodes", nodes));
}

static void print(struct cli *cli, const struct locating *locating)
{
    if (cli_has(cli, OPT_JSON)) {
        print_json(cli, locating);
        return;
    }
    print_measures(cli, locating);
    for (size_t i = 0; i < locating->nodes.count; i++)
        print_judgement(cli, &locating->judgements[i]);
    if (locating->samples.unread > 0)
        fprintf(cli->out, "\n%zu lines of %s are not samples, and do not count\n", locating->samples.unread,
                location_store_path(cli->config->state_path, &cli->arena));
}

/* ---- the verb ---- */
static result judge(struct locating *locating)
{
    struct cli *cli = locating->cli;
    TRY(location_store_read(cli->config->state_path, &cli->arena, &locating->samples));
    locating->judgements = arena_array(&cli->arena, struct location_judgement, locating->nodes.count);
    for (size_t i = 0; i < locating->nodes.count; i++) {
        const struct chosen_node *chosen = &locating->nodes.items[i];
        struct location_judgement *judgement = &locating->judgements[i];
        location_judge(cli->config, chosen->cell, chosen->node, &locating->samples, clock_wall_ms(),
                       &cli->arena, judgement);
        locating->contradicted |= judgement->contradicted || judgement->torn;
    }
    return OK;
}

static result read_count(struct cli *cli, uint32_t *ret)
{
    uint64_t count = COUNT_PRESET;
    if (cli_has(cli, OPT_SAMPLES) &&
        !str_to_u64(str_from(cli->values[OPT_SAMPLES]), LOCATION_COUNT_MAX, &count))
        return FAIL(
            E_ARGUMENT,
            "Give a number in this range; with 0 nothing is measured, and the stored measurements are shown.",
            "--samples is not a number from 0 to %d", LOCATION_COUNT_MAX);
    *ret = (uint32_t)count;
    return OK;
}

result cli_node_locate(struct cli *cli)
{
    struct locating *locating = arena_new(&cli->arena, struct locating);
    locating->cli = cli;
    locating->first_failure = OK;
    TRY(read_count(cli, &locating->count));
    TRY(node_choose(cli, &locating->nodes));
    locating->taken = arena_array(&cli->arena, struct location_sample, NODES_MAX);
    if (cli_has(cli, OPT_IMPORT))
        TRY(import(locating));
    else if (locating->count > 0)
        TRY(measure(locating));
    TRY(judge(locating));
    print(cli, locating);
    if (locating->contradicted)
        return FAIL(E_FINDING, "Find out where that host is, and which host answers; see docs/location.md.",
                    "a node is not where it is declared");
    return locating->first_failure;
}
