#include "hosts/host_log.h"

#include "base/clock.h"
#include "base/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DATE_BYTES = 10, RUN_BYTES = 128, SIGNAL_BYTES = 32 };
static const char look_form[] = "look-dddd-dd-dd.jsonl"; /* d: a digit */
enum { LOOK_DATE = sizeof "look-" - 1 };

struct host_log {
    char *state_path, *folder, *looker;
    void (*unrecorded)(void *context, const struct error *why);
    void *context;
    int fd;     /* -1: not open */
    char *path; /* of the file that is open, or could not be */
    bool told;  /* that read-only commands are not recorded */
    result failure;
};

struct host_log *host_log_new(const struct host_log_options *options)
{
    struct host_log *log = calloc(1, sizeof *log);
    must(log != NULL && asprintf(&log->folder, "%s/commands", options->state_path) > 0);
    log->state_path = strdup(options->state_path);
    log->looker = strdup(options->looker);
    must(log->state_path != NULL && log->looker != NULL);
    log->unrecorded = options->unrecorded;
    log->context = options->context;
    log->fd = -1;
    return log;
}

static void close_file(struct host_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
    free(log->path);
    log->path = NULL;
}

void host_log_free(struct host_log *log)
{
    if (log == NULL)
        return;
    close_file(log);
    free(log->state_path);
    free(log->folder);
    free(log->looker);
    free(log);
}

result host_log_failure(const struct host_log *log)
{
    return log == NULL ? OK : log->failure;
}

static const char disk_hint[] =
    "Check permissions and free space of the state directory, then run the command again.";

static result disk_failure(const char *path)
{
    return FAIL(E_IO, disk_hint, "the log of commands \"%s\" cannot be written: %s", path, strerror(errno));
}

/* ---- the file ---- */

static bool is_look_file(const char *name)
{
    for (size_t i = 0; i < sizeof look_form; i++)
        if (look_form[i] == 'd' ? !isdigit((unsigned char)name[i]) : name[i] != look_form[i])
            return false;
    return true;
}

static void remove_old(int folder_fd, int64_t now_ms)
{
    char oldest[CLOCK_TEXT_SIZE];
    clock_format(now_ms - (int64_t)HOST_LOG_DAYS * 24 * 3600 * 1000, oldest);
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (is_look_file(entry->d_name) && strncmp(entry->d_name + LOOK_DATE, oldest, DATE_BYTES) < 0)
            unlinkat(folder_fd, entry->d_name, 0);
    closedir(folder);
}

/* *ret_made: the file is new. */
static int open_at(int folder, const char *name, bool *ret_made)
{
    enum { HOW = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW };
    int fd = openat(folder, name, HOW | O_CREAT | O_EXCL, 0600);
    *ret_made = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        return openat(folder, name, HOW);
    if (fd >= 0 && !folder_give(folder, fd)) {
        int why = errno;
        close(fd);
        unlinkat(folder, name, 0);
        errno = why;
        return -1;
    }
    return fd;
}

static result open_within(struct host_log *log, int folder, const char *name, int64_t now_ms)
{
    bool made = false;
    log->fd = open_at(folder, name, &made);
    if (log->fd < 0)
        return disk_failure(log->path);
    if (made && is_look_file(name))
        remove_old(folder, now_ms);
    return OK;
}

/* If somebody has moved the file or its folder away, the next lines go to a new file in the right place. */
static bool is_still_there(const struct host_log *log)
{
    struct stat ours, there;
    return fstat(log->fd, &ours) == 0 && lstat(log->path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

static result open_folder(const char *path, int *ret)
{
    result r = folder_open_private(path, E_IO, ret);
    return failed(r) ? FAIL(E_IO, disk_hint, "the log of commands cannot be written: %s", r.error.what) : OK;
}

static result open_file(struct host_log *log, const char *name, int64_t now_ms)
{
    char *path = NULL;
    int state, folder;
    must(asprintf(&path, "%s/%s", log->folder, name) > 0);
    if (log->fd >= 0 && strcmp(log->path, path) == 0 && is_still_there(log)) {
        free(path);
        return OK;
    }
    close_file(log);
    log->path = path;
    TRY(open_folder(log->state_path, &state));
    close(state);
    TRY(open_folder(log->folder, &folder));
    result r = open_within(log, folder, name, now_ms);
    close(folder);
    return r;
}

/* ---- a line ---- */

/* A host's text may be cut, or invalid UTF-8. */
static void copy_ascii(const char *from, char *to, size_t size)
{
    size_t len = strnlen(from, size - 1);
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)from[i] < 0x20 || (unsigned char)from[i] > 0x7e ? '?' : from[i];
    to[len] = '\0';
}

static json_t *word_json(const char *word, size_t len)
{
    char ascii[HOST_LOG_ARGV_BYTES + 1];
    json_t *json = json_stringn(word, len);
    if (json != NULL)
        return json;
    copy_ascii(word, ascii, len + 1);
    return json_string(ascii);
}

static json_t *argv_json(const char *const *argv, bool *ret_cut)
{
    json_t *words = json_array();
    size_t left = HOST_LOG_ARGV_BYTES;
    *ret_cut = false;
    for (size_t i = 0; argv[i] != NULL && !*ret_cut; i++) {
        size_t len = strlen(argv[i]), kept = len < left ? len : left;
        *ret_cut = kept < len;
        while (*ret_cut && kept > 0 &&
               ((unsigned char)argv[i][kept] & 0xc0) == 0x80) /* whole characters only */
            kept--;
        json_array_append_new(words, word_json(argv[i], kept));
        left -= kept;
    }
    return words;
}

static json_t *trace_json(const struct ssh_trace *trace, const char *run, int64_t now_ms)
{
    char at[CLOCK_TEXT_SIZE], error[sizeof trace->error->what] = "", signal[SIGNAL_BYTES] = "";
    bool cut;
    json_t *argv = argv_json(trace->argv, &cut);
    clock_format(now_ms, at);
    if (trace->error != NULL)
        copy_ascii(trace->error->what, error, sizeof error);
    if (trace->signal != NULL)
        copy_ascii(trace->signal, signal, sizeof signal);
    json_t *object =
        json_pack("{s:s,s:s,s:s?,s:s,s:o,s:i,s:s?,s:I,s:s,s:s?}", "at", at, "run", run, "step", trace->step,
                  "host", trace->host, "argv", argv, "exit_status", trace->exit_status, "signal",
                  trace->signal == NULL ? NULL : signal, "duration_ms", (json_int_t)trace->duration_ms,
                  "digest", trace->digest, "error", trace->error == NULL ? NULL : error);
    must(object != NULL);
    if (cut)
        json_object_set_new(object, "argv_cut", json_true());
    return object;
}

/* Or another process is just writing a line: then an empty line follows it. */
static bool ends_within_a_line(int fd)
{
    struct stat file;
    char last = '\n';
    return fstat(fd, &file) == 0 && file.st_size > 0 && pread(fd, &last, 1, file.st_size - 1) == 1 &&
           last != '\n';
}

static result write_line(struct host_log *log, const struct ssh_trace *trace, const char *run, int64_t now_ms)
{
    json_t *object = trace_json(trace, run, now_ms);
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII), *line = NULL;
    json_decref(object);
    must(text != NULL);
    int length = asprintf(&line, "%s%s\n", ends_within_a_line(log->fd) ? "\n" : "", text);
    must(length > 0);
    errno = ENOSPC; /* the usual reason of a short write */
    result r = write(log->fd, line, (size_t)length) == length ? OK : disk_failure(log->path);
    free(text);
    free(line);
    return r;
}

/* ---- adding ---- */

static result add_look(struct host_log *log, const struct ssh_trace *trace)
{
    char at[CLOCK_TEXT_SIZE], name[sizeof look_form];
    int64_t now_ms = clock_wall_ms();
    clock_format(now_ms, at);
    snprintf(name, sizeof name, "look-%.*s.jsonl", DATE_BYTES, at);
    TRY(open_file(log, name, now_ms));
    return write_line(log, trace, log->looker, now_ms);
}

static result add_of_run(struct host_log *log, const struct ssh_trace *trace)
{
    char name[RUN_BYTES];
    int64_t now_ms = clock_wall_ms();
    must(snprintf(name, sizeof name, "%s.jsonl", trace->run) < RUN_BYTES);
    TRY(open_file(log, name, now_ms));
    return write_line(log, trace, trace->run, now_ms);
}

static void record(void *context, const struct ssh_trace *trace)
{
    host_log_add(context, trace);
}

void host_log_attach(struct host_log *log, struct ssh_options *options)
{
    if (log == NULL)
        return;
    options->record = record;
    options->record_context = log;
}

void host_log_add(struct host_log *log, const struct ssh_trace *trace)
{
    if (trace->run != NULL && strcmp(trace->run, log->looker) != 0) {
        result r = add_of_run(log, trace);
        if (failed(r))
            log->failure = r;
        return;
    }
    result r = add_look(log, trace);
    r.error.hint =
        "Check permissions and free space of state_path in domicile.cfg; the answers of the hosts are not "
        "affected.";
    if (failed(r) && !log->told)
        log->unrecorded(log->context, &r.error);
    log->told = failed(r);
}
