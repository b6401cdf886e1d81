/* node scan: what an auditor would ask of the hosts. */
#include "cli/host_log.h"
#include "cli/node_choice.h"
#include "loop/fiber.h"
#include "posture/posture.h"

#include <string.h>

struct scanned {
    struct posture_line lines[POSTURE_COUNT];
};

struct scan {
    struct cli *cli;
    struct chosen_nodes nodes;
    struct scanned *scanned;
    struct host_log *log;
    result first_failure; /* to reach a host or its PostgreSQL; the others are scanned all the same */
    size_t findings, unknowns;
};

/* ---- the table ---- */
static void print_markdown(struct cli *cli)
{
    fputs(
        "# The posture of a host\n\n"
        "Made by `domicile node scan --checks --markdown` from `src/posture/posture.def`.\n\n"
        "`domicile node scan [NODE]` asks each host over SSH, and its PostgreSQL over TLS as "
        "`domicile_monitor` or with\n"
        "the superuser's certificate, whichever is declared and there. It changes nothing. Each line has a "
        "verdict, a\n"
        "grade, and what told:\n\n"
        "- **ok** or **finding**, `observed`: the command or the query that is named said so.\n"
        "- **ok**, `declared`: only the region's file says so; the key is named, and what was observed "
        "beside it.\n"
        "- **unknown**: nobody told, and why: the host was not reached, the program is not there or may not "
        "be run, or\n"
        "  what it printed is not what it is known to print. It is never a pass.\n\n"
        "The exit status is 9 when there are findings; else that of the error when a host or its PostgreSQL\n"
        "could not be reached; else 0, however much is unknown: look at the lines, or at `unknown` of "
        "`--json`.\n\n"
        "A host tells what it likes: whoever has taken it over can let these commands lie. A scan finds "
        "neglect, not\n"
        "an intruder. `sshd -T` shows what sshd would do with that file, not what the one that runs has "
        "read; a disk\n"
        "that a hypervisor encrypts looks unencrypted from inside; a package list is as good as its date.\n\n"
        "| check | question | asked | what to do about a finding |\n| --- | --- | --- | --- |\n",
        cli->out);
    for (size_t i = 0; i < POSTURE_COUNT; i++)
        fprintf(cli->out, "| `%s` | %s | %s | %s |\n", posture_checks[i].name, posture_checks[i].question,
                posture_checks[i].asked, posture_checks[i].advice);
}

static void print_checks(struct cli *cli)
{
    enum { COLUMNS = 2 };
    const char *cells[(POSTURE_COUNT + 1) * COLUMNS] = { "CHECK", "QUESTION" };
    json_t *list = json_array();
    for (size_t i = 0; i < POSTURE_COUNT; i++) {
        const struct posture_check *check = &posture_checks[i];
        cells[(i + 1) * COLUMNS] = check->name;
        cells[(i + 1) * COLUMNS + 1] = check->question;
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:s}", "check", check->name, "question",
                                        check->question, "asked", check->asked, "what_to_do", check->advice));
    }
    if (cli_has(cli, OPT_JSON)) {
        cli_print_json(cli, json_pack("{s:o}", "checks", list));
        return;
    }
    json_decref(list);
    cli_print_table(cli, cells, POSTURE_COUNT + 1, COLUMNS);
}

/* ---- the scan ---- */
static result scan_all(void *arg)
{
    struct scan *scan = arg;
    for (size_t i = 0; i < scan->nodes.count; i++) {
        struct posture_asker asker = { .cell = scan->nodes.items[i].cell,
                                       .node = scan->nodes.items[i].node,
                                       .sql_role = node_sql_role(scan->nodes.items[i].cell),
                                       .log = scan->log };
        cli_progress(scan->cli, "scanning %s", asker.node->name.ptr);
        result r = posture_scan(&asker, &scan->cli->arena, scan->scanned[i].lines);
        cli_progress_end(scan->cli);
        TRY(fiber_check());
        if (failed(r) && (!failed(scan->first_failure) || r.error.code == E_HOST_KEY))
            scan->first_failure = r;
    }
    return OK;
}

static void count(struct scan *scan)
{
    for (size_t i = 0; i < scan->nodes.count; i++)
        for (size_t j = 0; j < POSTURE_COUNT; j++) {
            scan->findings += scan->scanned[i].lines[j].verdict == POSTURE_FINDING;
            scan->unknowns += scan->scanned[i].lines[j].verdict == POSTURE_UNKNOWN;
        }
}

static void print_json(const struct scan *scan)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < scan->nodes.count; i++) {
        const struct chosen_node *chosen = &scan->nodes.items[i];
        json_t *lines = json_array();
        for (size_t j = 0; j < POSTURE_COUNT; j++) {
            const struct posture_line *line = &scan->scanned[i].lines[j];
            json_array_append_new(
                lines, json_pack("{s:s,s:s,s:s,s:s,s:s?,s:s,s:s?}", "check", posture_checks[j].name,
                                 "question", posture_checks[j].question, "answer", line->answer, "verdict",
                                 posture_verdict_word(line->verdict), "grade",
                                 line->grade == POSTURE_NOBODY ? NULL : posture_grade_word(line->grade),
                                 "told_by", line->told_by, "what_to_do",
                                 line->verdict == POSTURE_FINDING ? posture_checks[j].advice : NULL));
        }
        json_array_append_new(
            nodes, json_pack("{s:s,s:o,s:o}", "node", chosen->node->name.ptr, "cell",
                             json_sprintf("%s/%s", chosen->cell->region->name.ptr, chosen->cell->name.ptr),
                             "lines", lines));
    }
    cli_print_json(scan->cli, json_pack("{s:o,s:I,s:I}", "nodes", nodes, "findings",
                                        (json_int_t)scan->findings, "unknown", (json_int_t)scan->unknowns));
}

static void print_node(struct cli *cli, const struct chosen_node *chosen, const struct posture_line *lines)
{
    enum { COLUMNS = 5 };
    const char *cells[(POSTURE_COUNT + 1) * COLUMNS] = { "CHECK", "VERDICT", "GRADE", "ANSWER", "TOLD BY" };
    for (size_t i = 0; i < POSTURE_COUNT; i++) {
        const char *const row[COLUMNS] = { posture_checks[i].name, posture_verdict_word(lines[i].verdict),
                                           posture_grade_word(lines[i].grade), lines[i].answer,
                                           lines[i].told_by };
        memcpy(&cells[(i + 1) * COLUMNS], row, sizeof row);
    }
    fprintf(cli->out, "%s (%s/%s)\n", chosen->node->name.ptr, chosen->cell->region->name.ptr,
            chosen->cell->name.ptr);
    cli_print_table(cli, cells, POSTURE_COUNT + 1, COLUMNS);
    for (size_t i = 0; i < POSTURE_COUNT; i++)
        if (lines[i].verdict == POSTURE_FINDING)
            fprintf(cli->out, "%s%s:%s %s\n", cli_style(cli, STYLE_BAD), posture_checks[i].name,
                    cli_plain(cli), posture_checks[i].advice);
}

static void print(struct scan *scan)
{
    struct cli *cli = scan->cli;
    if (cli_has(cli, OPT_JSON)) {
        print_json(scan);
        return;
    }
    for (size_t i = 0; i < scan->nodes.count; i++) {
        print_node(cli, &scan->nodes.items[i], scan->scanned[i].lines);
        fputc('\n', cli->out);
    }
    fprintf(cli->out, "%zu findings, %zu unknown\n", scan->findings, scan->unknowns);
}

result cli_node_scan(struct cli *cli)
{
    if (cli_has(cli, OPT_MARKDOWN)) {
        print_markdown(cli);
        return OK;
    }
    if (cli_has(cli, OPT_CHECKS)) {
        print_checks(cli);
        return OK;
    }
    struct scan *scan = arena_new(&cli->arena, struct scan);
    scan->cli = cli;
    scan->first_failure = OK;
    TRY(node_choose(cli, &scan->nodes));
    scan->scanned = arena_array(&cli->arena, struct scanned, scan->nodes.count + 1);
    scan->log = cli_host_log(cli, "node-scan");
    result r = cli_on_loop(scan_all, scan);
    host_log_free(scan->log);
    TRY(r);
    count(scan);
    print(scan);
    if (scan->first_failure.error.code == E_HOST_KEY || scan->findings == 0)
        return scan->first_failure;
    return FAIL(E_FINDING, "Each finding says what to do; docs/posture.md says what was asked.",
                "%zu findings on the hosts, and %zu questions without an answer", scan->findings,
                scan->unknowns);
}
