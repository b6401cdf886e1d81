#pragma once
/* The throw-away servers of tests/ssh/run, for the tests beside it. */
#include "check.h"

#include "base/clock.h"
#include "ssh/ssh.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOST_TEXT_MAX = 4096 };

static inline const char *host_path(const char *name)
{
    static char paths[16][256];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", getenv("SSHT_DIR"), name);
    return path;
}

/* What commands leave. */
static inline const char *scratch(const char *name)
{
    static char names[16][128];
    static unsigned next;
    char *in = names[next++ % 16];
    snprintf(in, sizeof names[0], "scratch/%s", name);
    return host_path(in);
}

static inline const char *host_text(const char *path) /* "" if there is none */
{
    static char texts[4][HOST_TEXT_MAX];
    static unsigned next;
    char *text = texts[next++ % 4];
    FILE *file = fopen(path, "re");
    size_t got = file == NULL ? 0 : fread(text, 1, HOST_TEXT_MAX - 1, file);
    if (file != NULL)
        fclose(file);
    text[got] = '\0';
    while (got > 0 && text[got - 1] == '\n')
        text[--got] = '\0';
    return text;
}

static inline bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static inline uint16_t host_port(const char *server)
{
    char name[64];
    snprintf(name, sizeof name, "%s.port", server);
    return (uint16_t)atoi(host_text(host_path(name)));
}

/* Everything is as it should be. */
static inline struct ssh_options host_options(const char *server)
{
    return (struct ssh_options){ .host = "par1",
                                 .address = "127.0.0.1",
                                 .port = host_port(server),
                                 .user = getenv("SSHT_USER"),
                                 .private_key = host_path("user"),
                                 .host_key = host_text(host_path("host.pub")) };
}

static inline struct ssh *host_open(const struct ssh_options *options)
{
    struct ssh *ssh;
    check_ok(ssh_connect(options, &ssh));
    return ssh;
}

static inline struct ssh *host_connect(void)
{
    const struct ssh_options options = host_options("good");
    return host_open(&options);
}

static inline uint64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

/* ---- a test whose body is a fiber, with an arena ---- */
static void (*host_test_body)(void);
static struct arena test_arena;

static inline void host_test_fiber(void *arg)
{
    (void)arg;
    host_test_body();
}

static inline void host_test_run(void (*body)(void))
{
    host_test_body = body;
    arena_init(&test_arena);
    check_ok(loop_run(host_test_fiber, NULL));
    arena_done(&test_arena);
}

#define ON_LOOP(name)                                                                                        \
    static void name##_on_loop(void);                                                                        \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        (void)state;                                                                                         \
        host_test_run(name##_on_loop);                                                                       \
    }                                                                                                        \
    static void name##_on_loop(void)

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- commands ---- */
static inline struct ssh_command shell(const char *script)
{
    static const char *words[8][4];
    static unsigned next;
    const char **argv = words[next++ % 8];
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = script;
    argv[3] = NULL;
    return (struct ssh_command){ .argv = argv, .within_ms = SEC(10) };
}

static inline struct ssh_output run_command(struct ssh *ssh, const struct ssh_command *command)
{
    struct ssh_output output;
    check_ok(ssh_exec(ssh, &test_arena, command, &output));
    return output;
}

static inline struct ssh_output run_shell(struct ssh *ssh, const char *script)
{
    const struct ssh_command command = shell(script);
    return run_command(ssh, &command);
}

/* Waits until `holds` or ten seconds have passed. */
#define UNTIL(holds)                                                                                         \
    do {                                                                                                     \
        uint64_t until_begin_ms_ = now_ms();                                                                 \
        while (!(holds)) {                                                                                   \
            if (now_ms() - until_begin_ms_ > 10000)                                                          \
                fail_msg("%s does not come true", #holds);                                                   \
            check_ok(fiber_sleep(10));                                                                       \
        }                                                                                                    \
    } while (0)

static inline pid_t pid_in(const char *path)
{
    return (pid_t)atoi(host_text(path));
}

static inline bool is_running(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    const char *state = strrchr(text, ')');
    return state != NULL && state[2] != 'Z';
}
