#pragma once
/* The throw-away server of tests/pg/run, for the tests beside it. */
#include "loop/on_loop.h"

#include "base/clock.h"
#include "pg/exec.h"
#include "pg/pool.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static inline const char *server_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", getenv("PGT_DIR"), name);
    return path;
}

static inline uint16_t server_port(void)
{
    return (uint16_t)atoi(getenv("PGT_PORT"));
}

/* The superuser, over the Unix socket. */
static inline struct pg_connect_options server_superuser(void)
{
    return (struct pg_connect_options){
        .host = server_path("socket"), .port = server_port(), .database = "domicile", .user = "postgres"
    };
}

/* role is "gateway" or "admin", over TLS. */
static inline struct pg_connect_options server_role(const char *role)
{
    static char user[32], certificate[32], key[32];
    snprintf(user, sizeof user, "domicile_%s", role);
    snprintf(certificate, sizeof certificate, "%s.crt", role);
    snprintf(key, sizeof key, "%s.key", role);
    return (struct pg_connect_options){ .host = "cell.test",
                                        .address = "127.0.0.1",
                                        .port = server_port(),
                                        .database = "domicile",
                                        .user = user,
                                        .certificate = server_path(certificate),
                                        .private_key = server_path(key),
                                        .ca = server_path("ca.crt") };
}

static inline struct pg_conn *server_open(struct pg_connect_options options)
{
    struct pg_conn *conn;
    check_ok(pg_connect(&options, &conn));
    return conn;
}

static inline void server_do(struct pg_conn *conn, const char *script)
{
    check_ok(pg_run_script(conn, script));
}

/* As the superuser, on a connection of its own. */
static inline void server_run(const char *script)
{
    struct pg_conn *conn = server_open(server_superuser());
    server_do(conn, script);
    pg_close(conn);
}

static inline int64_t server_number_on(struct pg_conn *conn, const char *sql)
{
    struct pg_reply reply = PG_REPLY_INIT;
    check_ok(pg_exec(conn, sql, NULL, 0, &reply));
    int64_t number = pg_reply_number(&reply, 0, 0);
    pg_reply_done(&reply);
    return number;
}

static inline int64_t server_number(const char *sql)
{
    struct pg_conn *conn = server_open(server_superuser());
    int64_t number = server_number_on(conn, sql);
    pg_close(conn);
    return number;
}

static inline pid_t server_pid_in(const char *variable)
{
    char line[32] = "";
    FILE *file = fopen(getenv(variable), "r");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof line, file) == NULL)
        line[0] = '\0';
    fclose(file);
    return (pid_t)atoi(line);
}

static inline pid_t server_pid(void)
{
    return server_pid_in("PGT_PIDFILE");
}

/* All processes of a server: postmaster and children. */
static inline void server_signal(pid_t postmaster, int number)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", postmaster, postmaster);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    kill(postmaster, number);
    for (int child; fscanf(file, "%d", &child) == 1;)
        kill(child, number);
    fclose(file);
}

struct server_script {
    const char *path;
    int status;
};

static inline void server_script_work(void *arg)
{
    struct server_script *script = arg;
    char *argv[] = { (char *)script->path, NULL };
    pid_t pid;
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0)
        waitpid(pid, &script->status, 0);
}

/* Blocks the loop: nobody else goes on meanwhile. */
static inline void server_restart(void)
{
    struct server_script script = { server_path("restart"), -1 };
    server_script_work(&script);
    assert_int_equal(script.status, 0);
}

/* Waits; the other fibers go on. */
static inline void server_run_script(const char *name)
{
    struct server_script script = { server_path(name), -1 };
    check_ok(fiber_offload(server_script_work, &script));
    assert_int_equal(script.status, 0);
}

static inline uint64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

static inline struct pg_pool *server_pool(struct pg_pool_options options)
{
    struct pg_pool *pool;
    check_ok(pg_pool_new(&options, &pool));
    struct deadline deadline;
    deadline_begin(&deadline, SEC(10));
    while (pg_pool_stats(pool).connections_up < pg_pool_stats(pool).connections)
        check_ok(fiber_sleep(5));
    deadline_end(&deadline);
    return pool;
}
