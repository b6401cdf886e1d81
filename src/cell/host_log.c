#include "cell/host_log.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct host_log {
    char *folder;
    int fd;    /* -1: not open */
    char *run; /* whose file it is */
    result failure;
};

struct host_log *host_log_new(const char *state_path)
{
    struct host_log *log = calloc(1, sizeof *log);
    must(log != NULL && asprintf(&log->folder, "%s/commands", state_path) > 0);
    log->fd = -1;
    return log;
}

void host_log_free(struct host_log *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        close(log->fd);
    free(log->run);
    free(log->folder);
    free(log);
}

result host_log_failure(const struct host_log *log)
{
    return log == NULL ? OK : log->failure;
}

static result disk_failure(const char *path)
{
    return FAIL(E_IO,
                "Look at the disk and at the rights of the state directory; then give the command again.",
                "the log of commands \"%s\" cannot be written: %s", path, strerror(errno));
}

static result open_log(struct host_log *log, const char *run)
{
    char *path = NULL;
    if (log->run != NULL && strcmp(log->run, run) == 0)
        return OK;
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
    free(log->run);
    log->run = NULL;
    if (mkdir(log->folder, 0700) != 0 && errno != EEXIST)
        return disk_failure(log->folder);
    must(asprintf(&path, "%s/%s.jsonl", log->folder, run) > 0);
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    result r = log->fd < 0 ? disk_failure(path) : OK;
    if (!failed(r)) {
        log->run = strdup(run);
        must(log->run != NULL);
    }
    free(path);
    return r;
}

/* Words of a host may be cut, or no UTF-8. */
static void copy_ascii(const char *from, char *to, size_t size)
{
    size_t len = strnlen(from, size - 1);
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)from[i] < 0x20 || (unsigned char)from[i] > 0x7e ? '?' : from[i];
    to[len] = '\0';
}

static json_t *trace_json(const struct ssh_trace *trace)
{
    char at[CLOCK_TEXT_SIZE], error[sizeof trace->error->what] = "";
    json_t *argv = json_array();
    for (size_t i = 0; trace->argv[i] != NULL; i++)
        json_array_append_new(argv, json_string(trace->argv[i]));
    clock_format(clock_wall_ms(), at);
    if (trace->error != NULL)
        copy_ascii(trace->error->what, error, sizeof error);
    return json_pack("{s:s,s:s?,s:s,s:o,s:i,s:s?,s:I,s:s,s:s?}", "at", at, "step", trace->step, "host",
                     trace->host, "argv", argv, "exit_status", trace->exit_status, "signal", trace->signal,
                     "duration_ms", (json_int_t)trace->duration_ms, "digest", trace->digest, "error",
                     trace->error == NULL ? NULL : error);
}

static result write_line(struct host_log *log, const struct ssh_trace *trace)
{
    TRY(open_log(log, trace->run != NULL ? trace->run : "none"));
    json_t *object = trace_json(trace);
    must(object != NULL);
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII), *line = NULL;
    json_decref(object);
    must(text != NULL);
    int length = asprintf(&line, "%s\n", text);
    must(length > 0);
    result r = write(log->fd, line, (size_t)length) == length ? OK : disk_failure(log->folder);
    free(text);
    free(line);
    return r;
}

void host_log_add(struct host_log *log, const struct ssh_trace *trace)
{
    result r = write_line(log, trace);
    if (failed(r))
        log->failure = r;
}
