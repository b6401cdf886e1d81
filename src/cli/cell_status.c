/* cell status: a screen that a person reads in five seconds. It asks the nodes itself, once, and changes nothing. */
#include "base/clock.h"
#include "cli/cell.h"
#include "cli/host_log.h"
#include "health/health_json.h"
#include "watch/host_reader.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_CELLS_MAX = 64, ASK_WITHIN_MS = 3000, HOSTS_WITHIN_MS = 2000, WATCH_MS = 1000 };

struct status {
    struct cli *cli;
    const struct cell *cells[STATUS_CELLS_MAX];
    struct health_asker *askers[STATUS_CELLS_MAX];
    struct host_reader *readers[STATUS_CELLS_MAX];
    struct cell_health *looks[STATUS_CELLS_MAX];
    struct host_log *log;
    size_t count;
};

/* ---- which ---- */

static result choose(struct cli *cli, struct status *status)
{
    TRY(cli_load_config(cli));
    if (cli->argument_count == 1) {
        status->count = 1;
        return cell_parse(cli, cli->arguments[0], &status->cells[0]);
    }
    for (size_t i = 0; i < cli->config->region_count; i++)
        for (size_t j = 0; j < cli->config->regions[i].cell_count; j++) {
            if (status->count == STATUS_CELLS_MAX)
                return FAIL(E_LIMIT, "Give the name of one cell.", "there are more than %d cells",
                            STATUS_CELLS_MAX);
            status->cells[status->count++] = &cli->config->regions[i].cells[j];
        }
    return OK;
}

static void host_facts(void *context, const struct node *node, struct health_host *ret)
{
    host_reader_facts(context, node, ret);
}

/* The monitor's role may see everything; an administrator's role sees a part. */
static result open_cell(struct status *status, size_t index)
{
    const struct cell *cell = status->cells[index];
    bool monitored =
        cell->monitor.files.certificate != NULL && access(cell->monitor.files.private_key, R_OK) == 0;
    TRY(host_reader_new(cell, status->log, &status->readers[index]));
    const struct health_ask_options options = { .cell = cell,
                                                .host_facts = host_facts,
                                                .context = status->readers[index],
                                                .role = monitored ? PG_MONITOR : PG_ADMIN,
                                                .within_ms = ASK_WITHIN_MS };
    status->looks[index] = arena_new(&status->cli->arena, struct cell_health);
    return health_asker_new(&options, &status->askers[index]);
}

/* ---- in words ---- */

static const char *number_text(struct arena *arena, const struct health_number *number, const char *unit)
{
    return number->known ? arena_printf(arena, "%lld%s", (long long)number->value, unit) : "-";
}

static const char *size_text(struct arena *arena, const struct health_number *bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    int64_t value = bytes->value;
    if (!bytes->known)
        return "-";
    while (value >= 10240 && unit + 1 < COUNT(units)) {
        value /= 1024;
        unit++;
    }
    return arena_printf(arena, "%lld %s", (long long)value, units[unit]);
}

static const char *role_text(const struct health_node *node)
{
    switch (node->answer) {
    case HEALTH_NOT_ASKED:
        return "not asked";
    case HEALTH_SLOW:
        return "no answer";
    case HEALTH_REFUSED:
        return "refused";
    case HEALTH_UNREACHABLE:
        return "unreachable";
    case HEALTH_ANSWERS:
        break;
    }
    return node->role == HEALTH_PRIMARY ? "primary" : node->role == HEALTH_STANDBY ? "standby" : "unknown";
}

static const char *writable_text(const struct health_node *node)
{
    if (node->answer != HEALTH_ANSWERS || node->role != HEALTH_PRIMARY)
        return "-";
    return node->writable == HEALTH_YES ? "yes" : node->writable == HEALTH_NO ? "NO" : "unknown";
}

static const char *lag_text(struct arena *arena, const struct health_node *node)
{
    if (!node->receive_lag_bytes.known && !node->replay_lag_bytes.known && !node->lag_ms.known)
        return "-";
    const char *seconds = !node->lag_ms.known
                              ? "-"
                              : arena_printf(arena, "%lld.%lld s", (long long)node->lag_ms.value / 1000,
                                             (long long)node->lag_ms.value / 100 % 10);
    return arena_printf(arena, "%s / %s / %s", size_text(arena, &node->receive_lag_bytes),
                        size_text(arena, &node->replay_lag_bytes), seconds);
}

static const char *sync_text(const struct health_node *node)
{
    const struct health_walsender *walsender = &node->walsender;
    if (node->role == HEALTH_PRIMARY && node->answer == HEALTH_ANSWERS)
        return node->sync_required == 0 ? "async" : "waits";
    if (!walsender->attached)
        return "-";
    return !walsender->streaming    ? walsender->state
           : !walsender->current    ? "behind"
           : walsender->synchronous ? "confirms"
                                    : "async";
}

/* For a primary: the slot that retains the most. */
static const char *slot_text(struct arena *arena, const struct health_node *node)
{
    if (node->slot_count == 0)
        return node->slot_name[0] == '\0' ? "-" : node->slot_name;
    return arena_printf(arena, "%s %s", node->slots[0].name,
                        size_text(arena, &node->slots[0].retained_bytes));
}

static const char *disk_text(struct arena *arena, const struct health_node *node)
{
    return node->host.disk_free_bytes.known
               ? arena_printf(arena, "%s free", size_text(arena, &node->host.disk_free_bytes))
               : "not asked";
}

static const char *certificate_text(struct arena *arena, const struct health_node *node)
{
    const struct health_number *until = &node->certificate_expires_ms;
    if (!until->known)
        return "-";
    return arena_printf(arena, "%lld d", (long long)((until->value - clock_wall_ms()) / (24 * 3600 * 1000L)));
}

static const char *clock_text(struct arena *arena, const struct health_node *node)
{
    if (!node->clock_offset_us.known)
        return "-";
    return arena_printf(arena, "%+lld ms ±%lld", (long long)node->clock_offset_us.value / 1000,
                        (long long)node->clock_uncertainty_us.value / 1000);
}

enum { COLUMNS = 9 };

static void print_nodes(struct cli *cli, const struct cell_health *health, struct arena *arena)
{
    static const char *const head[COLUMNS] = { "NODE", "ROLE", "WRITABLE", "LAG received / replayed / time",
                                               "SYNC", "SLOT", "DISK",     "CERTIFICATE",
                                               "CLOCK" };
    const char **cells = arena_array(arena, const char *, (health->node_count + 1) * COLUMNS);
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < health->node_count; i++) {
        const struct health_node *node = &health->nodes[i];
        const char *const row[COLUMNS] = { node->node->name.ptr,   role_text(node),
                                           writable_text(node),    lag_text(arena, node),
                                           sync_text(node),        slot_text(arena, node),
                                           disk_text(arena, node), certificate_text(arena, node),
                                           clock_text(arena, node) };
        memcpy(&cells[(i + 1) * COLUMNS], row, sizeof row);
    }
    cli_print_table(cli, cells, health->node_count + 1, COLUMNS);
}

/* What the table does not show. */
static void print_remarks(struct cli *cli, const struct cell_health *health, struct arena *arena)
{
    const struct health_node *primary = health_primary(health);
    for (size_t i = 0; i < health->node_count; i++)
        if (health->nodes[i].why[0] != '\0')
            fprintf(cli->out, "  %s: %s\n", health->nodes[i].node->name.ptr,
                    cli_safe_in(arena, health->nodes[i].why));
    if (primary == NULL)
        return;
    if (primary->degraded_since_ms.known) {
        char since[CLOCK_TEXT_SIZE];
        clock_format(primary->degraded_since_ms.value, since);
        fprintf(cli->out, "  degraded since %s: a standby may lack acknowledged writes; do not promote it\n",
                since);
    }
    if (primary->writes_waiting.known && primary->writes_waiting.value > 0)
        fprintf(cli->out, "  writes that wait for a standby: %lld\n",
                (long long)primary->writes_waiting.value);
    if (!primary->replication_visible && health->node_count > 1)
        fprintf(cli->out, "  this role may not see replication: add a monitor certificate to the cell\n");
    if (primary->beat_known && primary->beat.sequence == 0)
        fprintf(cli->out, "  no monitor has written a heartbeat yet\n");
    else if (primary->beat_known)
        fprintf(cli->out, "  heartbeat %lld of %s, %s old\n", (long long)primary->beat.sequence,
                cli_safe_in(arena, primary->beat.writer),
                number_text(arena, &(struct health_number){ true, primary->beat.age_ms }, " ms"));
}

static void print_cell(struct cli *cli, const struct cell_health *health)
{
    struct arena arena;
    arena_init(&arena);
    enum cell_state state = health_observe(health);
    fprintf(cli->out, "%s/%s  %s%s%s  %s\n", health->cell->region->name.ptr, health->cell->name.ptr,
            cli_style(cli, state == CELL_HEALTHY ? STYLE_GOOD : STYLE_BAD), cell_state_name(state),
            cli_plain(cli), cell_state_words(state));
    print_nodes(cli, health, &arena);
    print_remarks(cli, health, &arena);
    arena_done(&arena);
}

static void print_json(const struct status *status)
{
    json_t *cells = json_array();
    for (size_t i = 0; i < status->count; i++)
        json_array_append_new(cells, health_json(status->looks[i]));
    cli_print_json(status->cli, json_pack("{s:o,s:o}", "cells", cells, "questions", health_questions_json()));
}

static void print_line(struct cli *cli, const struct cell_health *health)
{
    char at[CLOCK_TEXT_SIZE];
    enum cell_state state = health_observe(health);
    clock_format(health->asked_at_ms, at);
    fprintf(cli->out, "%s %s/%s %s: %s\n", at, health->cell->region->name.ptr, health->cell->name.ptr,
            cell_state_name(state), cell_state_words(state));
}

/* On a terminal, --watch overwrites the screen; otherwise it prints a line for each look. */
static void print(const struct status *status)
{
    struct cli *cli = status->cli;
    bool watched = cli_has(cli, OPT_WATCH), screen = cli->out == stdout && isatty(STDOUT_FILENO) == 1;
    if (cli_has(cli, OPT_JSON)) {
        print_json(status);
        fflush(cli->out);
        return;
    }
    if (watched && screen)
        fputs("\033[H\033[2J", cli->out);
    for (size_t i = 0; i < status->count; i++) {
        if (watched && !screen) {
            print_line(cli, status->looks[i]);
            continue;
        }
        fputs(i > 0 ? "\n" : "", cli->out);
        print_cell(cli, status->looks[i]);
    }
    fflush(cli->out);
}

/* ---- asking ---- */

struct asking {
    struct status *status;
    size_t index;
    result outcome;
};

static void ask(void *arg)
{
    struct asking *asking = arg;
    const struct health_writer nobody = { 0, "" };
    enum health_beat_outcome beat;
    struct deadline deadline;
    deadline_begin(&deadline, HOSTS_WITHIN_MS);
    host_reader_disks(asking->status->readers[asking->index]);
    deadline_end(&deadline);
    asking->outcome = health_ask(asking->status->askers[asking->index], &nobody,
                                 asking->status->looks[asking->index], &beat);
}

static result ask_all(struct status *status)
{
    struct asking asking[STATUS_CELLS_MAX];
    struct scope scope = SCOPE_INIT;
    result r = OK;
    for (size_t i = 0; i < status->count && !failed(r); i++) {
        asking[i] = (struct asking){ .status = status, .index = i };
        r = fiber_spawn(&scope, "status", ask, &asking[i]);
    }
    if (failed(r)) {
        scope_end(&scope);
        return r;
    }
    TRY(scope_join(&scope));
    for (size_t i = 0; i < status->count; i++)
        TRY(asking[i].outcome);
    return OK;
}

static int worst(const struct status *status)
{
    int worst = 0;
    for (size_t i = 0; i < status->count; i++) {
        int exit = cell_state_exit(health_observe(status->looks[i]));
        worst = exit > worst ? exit : worst;
    }
    return worst;
}

static result watch(struct status *status, struct signal_watch *signals)
{
    for (;;) {
        struct deadline deadline;
        int number;
        TRY(ask_all(status));
        print(status);
        deadline_begin(&deadline, WATCH_MS);
        result r = signal_watch_wait(signals, &number);
        deadline_end(&deadline);
        if (r.error.code != E_DEADLINE)
            return r;
    }
}

static result run(void *arg)
{
    static const int ends[] = { SIGINT, SIGTERM };
    struct status *status = arg;
    struct signal_watch *signals = NULL;
    if (!cli_has(status->cli, OPT_WATCH)) {
        TRY(ask_all(status));
        print(status);
        return OK;
    }
    TRY(signal_watch_new(ends, 2, &signals));
    result r = watch(status, signals);
    signal_watch_free(signals);
    return r;
}

static result run_and_close(void *arg)
{
    struct status *status = arg;
    result r = OK;
    status->log = cli_host_log(status->cli, "cell-status");
    for (size_t i = 0; i < status->count && !failed(r); i++)
        r = open_cell(status, i);
    if (!failed(r))
        r = run(status);
    for (size_t i = 0; i < status->count; i++) {
        health_asker_free(status->askers[i]);
        host_reader_free(status->readers[i]);
    }
    host_log_free(status->log);
    return r;
}

result cli_cell_status(struct cli *cli)
{
    struct status *status = arena_new(&cli->arena, struct status);
    status->cli = cli;
    TRY(choose(cli, status));
    TRY(cli_on_loop(run_and_close, status));
    cli->status = worst(status);
    return OK;
}
