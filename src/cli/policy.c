/* config ..., policy ..., region ...: from the configuration only, without any server. */
#include "policy/policy.h"

#include "cell/runbooks.h"
#include "cli/cli.h"

#include <string.h>

/* ---- config check ---- */

static json_t *errors_json(const struct config_errors *errors)
{
    json_t *list = json_array();
    for (size_t i = 0; i < errors->count; i++) {
        const struct config_error *error = &errors->items[i];
        json_t *json = json_object();
        json_object_set_new(json, "file", json_string(error->file));
        json_object_set_new(json, "line", json_integer(error->line));
        json_object_set_new(json, "what", json_string(error->what));
        json_object_set_new(json, "hint", error->hint == NULL ? json_null() : json_string(error->hint));
        json_array_append_new(list, json);
    }
    return list;
}

static void print_errors(struct cli *cli, const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct config_error *error = &errors->items[i];
        const char *where = error->line > 0  ? arena_printf(&cli->arena, "%s:%d: ", error->file, error->line)
                            : error->file[0] ? arena_printf(&cli->arena, "%s: ", error->file)
                                             : "";
        fprintf(cli->err, "%s%s%s%s\n", cli_style(cli, STYLE_BAD), where, cli_plain(cli),
                cli_safe(cli, error->what));
        if (error->hint != NULL)
            fprintf(cli->err, "    hint: %s\n", cli_safe(cli, error->hint));
    }
    if (errors->dropped > 0)
        fprintf(cli->err, "... and %zu more\n", errors->dropped);
}

static void print_summary(struct cli *cli)
{
    const struct config *config = cli->config;
    size_t cells = 0;
    for (size_t i = 0; i < config->region_count; i++)
        cells += config->regions[i].cell_count;
    if (cli_has(cli, OPT_JSON)) {
        json_t *json = json_object();
        json_object_set_new(json, "valid", json_true());
        json_object_set_new(json, "digest", json_string(config->digest));
        json_object_set_new(json, "regions", json_integer((json_int_t)config->region_count));
        json_object_set_new(json, "cells", json_integer((json_int_t)cells));
        json_object_set_new(json, "classes", json_integer((json_int_t)config->class_count));
        json_object_set_new(json, "rules", json_integer((json_int_t)config->rule_count));
        json_object_set_new(json, "services", json_integer((json_int_t)config->service_count));
        json_object_set_new(json, "services_version", json_integer(config->services_version));
        cli_print_json(cli, json);
        return;
    }
    fprintf(
        cli->out,
        "%s: %zu regions, %zu cells, %zu classes, %zu rules, %zu services (version %u); %svalid%s, %.12s\n",
        cli_config_dir(cli), config->region_count, cells, config->class_count, config->rule_count,
        config->service_count, config->services_version, cli_style(cli, STYLE_GOOD), cli_plain(cli),
        config->digest);
}

/* The configuration's own code cannot check steps: it must not know the runbooks. */
static result check_steps(struct cli *cli, struct config_errors *errors)
{
    for (size_t i = 0; i < cli->config->region_count; i++) {
        const struct region *region = &cli->config->regions[i];
        for (size_t c = 0; c < region->cell_count; c++) {
            result r = runbook_check_rows(cell_runbooks, region->cells[c].steps, region->cells[c].step_count);
            if (!failed(r))
                continue;
            errors->items[errors->count++] =
                (struct config_error){ "", 0, arena_cstr(&errors->arena, str_from(r.error.what)),
                                       r.error.hint };
            return r;
        }
    }
    return OK;
}

static result check(struct cli *cli, struct config_errors *errors)
{
    TRY(config_load(cli_config_dir(cli), &cli->config, errors));
    TRY(check_steps(cli, errors));
    for (size_t i = 0; i < cli->region_count; i++) {
        const struct region *region = NULL;
        TRY(cli_region_named(cli, cli->regions[i], &region));
        TRY(config_check_files(cli->config, region, errors));
    }
    return OK;
}

result cli_config_check(struct cli *cli)
{
    struct config_errors errors;
    config_errors_init(&errors);
    result r = check(cli, &errors);
    if (!failed(r)) {
        print_summary(cli);
    } else if (cli_has(cli, OPT_JSON)) {
        json_t *json = json_object();
        json_object_set_new(json, "valid", json_false());
        json_object_set_new(json, "errors", errors_json(&errors));
        cli_print_json(cli, json);
    } else {
        print_errors(cli, &errors);
    }
    config_errors_done(&errors);
    return r;
}

/* ---- policy ---- */

result cli_policy_explain(struct cli *cli)
{
    struct policy_words words = { .class = STR("-") };
    TRY(cli_need(cli, OPT_ROLE, &words.role));
    TRY(cli_need(cli, OPT_HOME, &words.home));
    TRY(cli_need(cli, OPT_ACTION, &words.action));
    TRY(cli_need(cli, OPT_PLACE, &words.place));
    if (cli_has(cli, OPT_CLASS))
        words.class = str_from(cli->values[OPT_CLASS]);
    TRY(cli_load_config(cli));
    if (!cli_has(cli, OPT_JSON)) {
        struct str text = policy_explain(cli->config, &words, &cli->arena);
        fprintf(cli->out, "%.*s", STR_ARG(text));
        return OK;
    }
    const struct policy_question question = policy_question_from(cli->config, &words);
    const struct policy_decision decision = policy_decide(cli->config, &question);
    json_t *json = json_object();
    json_object_set_new(json, "decision", json_string(decision.allowed ? "allow" : "deny"));
    json_object_set_new(json, "rule", json_stringn(decision.rule.ptr, decision.rule.len));
    json_object_set_new(json, "file", decision.file == NULL ? json_null() : json_string(decision.file));
    json_object_set_new(json, "line", decision.file == NULL ? json_null() : json_integer(decision.line));
    json_object_set_new(json, "reason", json_string(decision.reason));
    cli_print_json(cli, json);
    return OK;
}

/* A list that a rule omits matches everything; it is omitted here too. */
static void set_words(json_t *rule, const char *name, const struct config_words *words)
{
    if (words->count == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < words->count; i++)
        json_array_append_new(list, json_string(words->items[i].text.ptr));
    json_object_set_new(rule, name, list);
}

static json_t *rule_json(const struct policy_rule *rule)
{
    json_t *json = json_pack("{s:s,s:s,s:i,s:s}", "name", rule->name.ptr, "file", rule->source.file, "line",
                             rule->source.line, "reason", rule->reason);
    set_words(json, "deny", &rule->deny);
    set_words(json, "allow", &rule->allow);
    set_words(json, "roles", &rule->roles);
    set_words(json, "classes", &rule->classes);
    set_words(json, "homes", &rule->homes);
    set_words(json, "places", &rule->places);
    set_words(json, "outside", &rule->outside);
    return json;
}

result cli_policy_show(struct cli *cli)
{
    TRY(cli_load_config(cli));
    if (!cli_has(cli, OPT_JSON)) {
        struct str text = policy_show(cli->config, &cli->arena);
        fprintf(cli->out, "%.*s", STR_ARG(text));
        return OK;
    }
    json_t *rules = json_array();
    for (size_t i = 0; i < cli->config->rule_count; i++)
        json_array_append_new(rules, rule_json(&cli->config->rules[i]));
    cli_print_json(cli, json_pack("{s:o,s:s}", "rules", rules, "otherwise", "deny"));
    return OK;
}

struct tested {
    size_t passed, failed;
    json_t *reports; /* NULL: print them */
};

static void report(struct cli *cli, const struct policy_test_report *got, struct tested *tested)
{
    size_t shown = got->failed < POLICY_FAILURES_MAX ? got->failed : POLICY_FAILURES_MAX;
    json_t *failures = json_array();
    for (size_t i = 0; i < shown; i++) {
        const struct policy_failure *failure = &got->failures[i];
        json_array_append_new(failures, json_pack("{s:i,s:s,s:s}", "line", failure->line, "expected",
                                                  failure->expected, "got", failure->got));
        if (tested->reports == NULL)
            fprintf(cli->out, "%s%s:%d:%s expected %s, got %s\n", cli_style(cli, STYLE_BAD), got->file,
                    failure->line, cli_plain(cli), failure->expected, failure->got);
    }
    tested->passed += got->passed;
    tested->failed += got->failed;
    if (tested->reports != NULL)
        json_array_append_new(tested->reports, json_pack("{s:s,s:I,s:I,s:o}", "file", got->file, "passed",
                                                         (json_int_t)got->passed, "failed",
                                                         (json_int_t)got->failed, "failures", failures));
    else {
        json_decref(failures);
        fprintf(cli->out, "%s: %zu passed, %zu failed\n", got->file, got->passed, got->failed);
    }
}

static result test_files(struct cli *cli, struct policy_test_report *got, struct tested *tested)
{
    struct str text;
    if (cli->argument_count == 1) {
        TRY(cli_read_file(cli, cli->arguments[0], CONFIG_FILE_BYTES_MAX, &text));
        policy_test_run(cli->config, cli->arguments[0], text, &cli->arena, got);
        report(cli, got, tested);
        return OK;
    }
    struct config_words files;
    TRY(config_list_files(cli_config_dir(cli), "policies", ".test", &cli->arena, &files));
    for (size_t i = 0; i < files.count; i++) {
        const char *name = files.items[i].text.ptr;
        TRY(config_file_text(cli_config_dir(cli), name, &cli->arena, &text));
        policy_test_run(cli->config, name, text, &cli->arena, got);
        report(cli, got, tested);
    }
    if (files.count == 0)
        return FAIL(E_CONFIG,
                    "Write what the policy must allow and deny; domicile.cfg(5) explains the format.",
                    "there is no policies/*.test in \"%s\"", cli_config_dir(cli));
    return OK;
}

result cli_policy_test(struct cli *cli)
{
    TRY(cli_load_config(cli));
    struct policy_test_report *got = arena_new(&cli->arena, struct policy_test_report);
    struct tested tested = { .reports = cli_has(cli, OPT_JSON) ? json_array() : NULL };
    result r = test_files(cli, got, &tested);
    if (tested.reports != NULL)
        cli_print_json(cli, json_pack("{s:I,s:I,s:o}", "passed", (json_int_t)tested.passed, "failed",
                                      (json_int_t)tested.failed, "files", tested.reports));
    TRY(r);
    if (tested.failed > 0)
        return FAIL(E_CONFIG, "Correct the policy or the expectations.",
                    "%zu expectations of the policy failed", tested.failed);
    return OK;
}

/* ---- region list ---- */

static void print_regions_json(struct cli *cli)
{
    json_t *regions = json_array();
    for (size_t i = 0; i < cli->config->region_count; i++) {
        const struct region *region = &cli->config->regions[i];
        json_t *cells = json_array();
        for (size_t j = 0; j < region->cell_count; j++)
            json_array_append_new(cells, json_sprintf("%s/%s", region->name.ptr, region->cells[j].name.ptr));
        json_array_append_new(
            regions, json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "name", region->name.ptr, "title", region->title,
                               "country", region->jurisdiction.country, "bloc", region->jurisdiction.bloc.ptr,
                               "endpoint", region->endpoint, "cells", cells));
    }
    cli_print_json(cli, json_pack("{s:o}", "regions", regions));
}

result cli_region_list(struct cli *cli)
{
    enum { COLUMNS = 5 };
    TRY(cli_load_config(cli));
    if (cli_has(cli, OPT_JSON)) {
        print_regions_json(cli);
        return OK;
    }
    const char *cells[(CONFIG_REGIONS_MAX + 1) * COLUMNS] = { "REGION", "TITLE", "JURISDICTION", "ENDPOINT",
                                                              "CELLS" };
    for (size_t i = 0; i < cli->config->region_count; i++) {
        const struct region *region = &cli->config->regions[i];
        const char **row = &cells[(i + 1) * COLUMNS];
        row[0] = region->name.ptr;
        row[1] = region->title;
        row[2] =
            arena_printf(&cli->arena, "%s (%s)", region->jurisdiction.country, region->jurisdiction.bloc.ptr);
        row[3] = region->endpoint;
        row[4] = "";
        for (size_t j = 0; j < region->cell_count; j++)
            row[4] = arena_printf(&cli->arena, "%s%s%s/%s", row[4], j == 0 ? "" : " ", region->name.ptr,
                                  region->cells[j].name.ptr);
    }
    cli_print_table(cli, cells, cli->config->region_count + 1, COLUMNS);
    return OK;
}
