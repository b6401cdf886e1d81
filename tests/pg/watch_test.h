#pragma once
/* A watch over the throw-away server: eu-fr's cell of the shipped configuration, with eu1 there and eu2 beside it.
 *
 * A channel is really opened and closed again, and the watch, as domicile_monitor, must see the finding begin and end. */
#include "config/shipped.h"
#include "server.h"

#include "schema/migrate.h"
#include "watch/watch.h"

#include <fcntl.h>

#define BIN "/usr/lib/postgresql/15/bin/"

struct opening {
    const char *channel;
    const char *open, *close;   /* statements, a line each, as the superuser */
    const char *subject;        /* a part of it; NULL: any */
    const char *const *program; /* instead: started to open, killed to close; NULL behind the last word */
    void (*open_by)(void);      /* instead */
    void (*close_by)(void);
    int64_t found_ms, gone_ms; /* measured; -1: never */
};

struct watching {
    struct shipped shipped;
    struct config *config;
    const struct cell *cell;
    struct cell_watch *watch;
    struct pg_conn *monitor, *superuser;
};
static struct watching w;

/* The client programs connect by these. */
static inline void set_environment(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static inline void load_watched_config(const char *more)
{
    unsigned port = server_port();
    shipped_init(&w.shipped);
    const char *cells = arena_printf(
        &w.shipped.arena,
        "cells = ( { name = \"eu-fr-1\"; primary = \"eu1\"; ca = \"%s\";\n"
        "nodes = ( { name = \"eu1\"; site = \"par1\"; address = \"127.0.0.1\"; port = %u; }"
        ",{ name = \"eu2\"; site = \"par2\"; address = \"127.0.0.1\"; port = %u; } );\n"
        "gateway = { certificate = \"gateway.crt\"; private_key = \"gateway.key\"; };\n"
        "admin = { certificate = \"admin.crt\"; private_key = \"admin.key\"; };\n"
        "monitor = { certificate = \"%s\"; private_key = \"%s\"; };\n"
        "watch = { roles = [ \"postgres\" ]; clients = [ \"127.30.0.0/16\" ]; "
        "hba = [ \"local all all trust\", \"local replication all trust\", "
        "\"hostssl all postgres 127.20.0.0/16 trust\", \"hostssl replication "
        "postgres,domicile_replication 127.20.0.0/16 trust\", "
        "\"host all postgres 127.30.0.0/16 trust\", "
        "\"hostssl replication domicile_replication 127.30.0.0/16 trust\" ]; %s }; } );\n",
        server_path("ca.crt"), port, port + 1, server_path("monitor.crt"), server_path("monitor.key"), more);
    shipped_end_with(&w.shipped, "regions/eu-fr.cfg", "cells = (", cells);
    check_ok(shipped_load(&w.shipped, &w.config, NULL));
    w.cell = config_find_cell(config_find_region(w.config, STR("eu-fr")), STR("eu-fr-1"));
}

/* On a fiber. The server has the schema, and the monitor its rights. */
static inline void watching_begin(const char *more)
{
    const struct cell_stamp stamp = { "eu-fr", "eu-fr-1", 1 };
    struct pg_conn *admin = server_open(server_superuser());
    check_ok(cell_migrate(admin, &stamp, NULL, NULL));
    pg_close(admin);
    server_run(watch_grants());
    load_watched_config(more);
    w.superuser = server_open(server_superuser());
    w.monitor = server_open(server_role("monitor"));
    w.watch = cell_watch_new(w.config, w.cell);
    set_environment("PGHOST", server_path("socket"));
    set_environment("PGPORT", getenv("PGT_PORT"));
    set_environment("PGUSER", "postgres");
    set_environment("PGDATABASE", "domicile");
}

static inline void watching_end(void)
{
    cell_watch_free(w.watch);
    pg_close(w.monitor);
    pg_close(w.superuser);
    config_free(w.config);
    shipped_done(&w.shipped);
}

static inline const struct watch_finding *found(const char *channel, const char *subject)
{
    for (size_t i = 0; i < watch_finding_count(w.watch); i++) {
        const struct watch_finding *finding = watch_finding_at(w.watch, i);
        if (strcmp(finding->channel->id, channel) == 0 &&
            (subject == NULL || strstr(finding->subject, subject) != NULL))
            return finding;
    }
    return NULL;
}

static inline void say_findings(void)
{
    for (size_t i = 0; i < watch_finding_count(w.watch); i++) {
        const struct watch_finding *finding = watch_finding_at(w.watch, i);
        print_message("    open: %s, %s: %s (%s)\n", finding->channel->id, finding->node, finding->subject,
                      finding->evidence);
    }
}

static inline void ask_once(void)
{
    check_ok(watch_run(w.watch, &w.cell->nodes[0], w.monitor));
}

/* Rounds until the finding is there, or no more there. Milliseconds, or -1. */
static inline int64_t rounds_until(const char *channel, const char *subject, bool there)
{
    enum { WITHIN_MS = 15000 };
    uint64_t began = now_ms();
    do {
        ask_once();
        if ((found(channel, subject) != NULL) == there)
            return (int64_t)(now_ms() - began);
        check_ok(fiber_sleep(20));
    } while (now_ms() - began < WITHIN_MS);
    return -1;
}

static inline void do_lines(const char *lines)
{
    struct str rest = str_from(lines), line;
    while (rest.ptr != NULL && str_cut(&rest, '\n', &line)) {
        char sql[1024];
        snprintf(sql, sizeof sql, "%.*s", STR_ARG(line));
        check_ok(pg_run_script(w.superuser, sql));
    }
}

static inline pid_t start_program(const char *const *argv)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, server_path("programs.log"), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
    assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static inline void stop_program(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static inline void open_and_close(struct opening *opening)
{
    pid_t pid = 0;
    if (opening->program != NULL)
        pid = start_program(opening->program);
    else if (opening->open_by != NULL)
        opening->open_by();
    else
        do_lines(opening->open);
    opening->found_ms = rounds_until(opening->channel, opening->subject, true);
    if (opening->found_ms < 0)
        say_findings();
    if (pid != 0)
        stop_program(pid);
    else if (opening->close_by != NULL)
        opening->close_by();
    if (opening->close != NULL)
        do_lines(opening->close);
    do_lines("DELETE FROM domicile_guard.ddl"); /* else it is told for a day */
    opening->gone_ms = opening->found_ms < 0 ? -1 : rounds_until(opening->channel, opening->subject, false);
}

/* No finding, before and after. */
static inline void expect_clean(const char *when)
{
    uint64_t began = now_ms();
    do {
        ask_once();
        if (watch_finding_count(w.watch) == 0)
            return;
        check_ok(fiber_sleep(50));
    } while (now_ms() - began < 5000);
    say_findings();
    fail_msg("a clean server has findings %s", when);
}

static inline void open_all(struct opening *openings, size_t count)
{
    size_t seen = 0, ended = 0;
    expect_clean("before a channel was opened");
    for (size_t i = 0; i < count; i++)
        open_and_close(&openings[i]);
    print_message("%-22s %-40s %8s %8s\n", "CHANNEL", "SUBJECT", "FOUND ms", "GONE ms");
    for (size_t i = 0; i < count; i++) {
        const struct opening *opening = &openings[i];
        seen += opening->found_ms >= 0;
        ended += opening->gone_ms >= 0;
        print_message("%-22s %-40.40s %8lld %8lld\n", opening->channel,
                      opening->subject != NULL ? opening->subject : "", (long long)opening->found_ms,
                      (long long)opening->gone_ms);
    }
    print_message("%zu opened, %zu detected, %zu seen to end\n", count, seen, ended);
    assert_int_equal(seen, count);
    assert_int_equal(ended, count);
    expect_clean("after all channels were closed");
}
