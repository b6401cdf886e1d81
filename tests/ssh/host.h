#pragma once
/* The throw-away servers of tests/ssh/run, for the tests beside it. */
#include "loop/on_loop.h"

#include "base/clock.h"
#include "ssh/ssh.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static inline const char *host_path(const char *name)
{
    return arena_printf(&test_arena, "%s/%s", getenv("SSHT_DIR"), name);
}

/* What commands leave. */
static inline const char *scratch(const char *name)
{
    return arena_printf(&test_arena, "%s/scratch/%s", getenv("SSHT_DIR"), name);
}

static inline const char *host_text(const char *path) /* "" if there is none; without its last newline */
{
    char text[4096];
    FILE *file = fopen(path, "re");
    size_t got = file == NULL ? 0 : fread(text, 1, sizeof text, file);
    if (file != NULL)
        fclose(file);
    while (got > 0 && text[got - 1] == '\n')
        got--;
    return arena_cstr(&test_arena, (struct str){ text, got });
}

/* What is recorded of commands that look, in a state directory. There is none: nothing is. */
static inline json_t *looks_of(const char *state_path)
{
    char today[CLOCK_TEXT_SIZE];
    json_t *lines = json_array();
    clock_format(clock_wall_ms(), today);
    FILE *file = fopen(arena_printf(&test_arena, "%s/commands/look-%.10s.jsonl", state_path, today), "re");
    while (file != NULL && !feof(file)) {
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        if (line == NULL)
            break;
        json_array_append_new(lines, line);
    }
    if (file != NULL)
        fclose(file);
    return lines;
}

static inline const char *look_text(const json_t *lines, size_t line, const char *member)
{
    return json_string_value(json_object_get(json_array_get(lines, line), member));
}

static inline bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static inline uint16_t host_port(const char *server)
{
    return (uint16_t)atoi(host_text(host_path(arena_printf(&test_arena, "%s.port", server))));
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

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- commands ---- */
static inline struct ssh_command shell(const char *script)
{
    const char **argv = arena_array(&test_arena, const char *, 4);
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = script;
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
