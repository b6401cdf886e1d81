#include "health/monitor_journal.h"

#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20, DEPTH = 4 };

#define DISK_HINT "Check free space and permissions of the directory's folder."

bool monitor_journal_add(struct monitor_journal *journal, int64_t number, const char *action,
                         const char *outcome, const char *what)
{
    if (journal->count == MONITOR_ROWS_MAX) {
        journal->lost++;
        return false;
    }
    struct monitor_row *row = &journal->rows[journal->count++];
    *row = (struct monitor_row){ .fence = journal->fence, .number = number };
    snprintf(row->action, sizeof row->action, "%s", action);
    snprintf(row->result, sizeof row->result, "%s", outcome);
    text_fit(row->what, sizeof row->what, "%s", what);
    return true;
}

void monitor_journal_drop_first(struct monitor_journal *journal, size_t count)
{
    must(count <= journal->count);
    journal->count -= count;
    memmove(journal->rows, &journal->rows[count], journal->count * sizeof journal->rows[0]);
}

/* ---- reading ---- */

static result not_a_journal(const char *path)
{
    return FAIL(E_FORMAT, "Read the file, then move it away: its rows are not in the audit log.",
                "\"%s\" is not a monitor's journal", path);
}

static bool read_row(const json_t *json, struct monitor_row *row)
{
    struct str action = json_member_str(json, "action"), outcome = json_member_str(json, "result"),
               what = json_member_str(json, "what");
    if (action.ptr == NULL || outcome.ptr == NULL || what.ptr == NULL)
        return false;
    *row = (struct monitor_row){ .fence = json_integer_value(json_object_get(json, "fence")),
                                 .number = json_integer_value(json_object_get(json, "number")) };
    snprintf(row->action, sizeof row->action, "%.*s", STR_ARG(action));
    snprintf(row->result, sizeof row->result, "%.*s", STR_ARG(outcome));
    text_fit(row->what, sizeof row->what, "%.*s", STR_ARG(what));
    return row->fence > 0 && row->number > 0;
}

static bool read_document(const json_t *json, struct monitor_journal *journal)
{
    const json_t *rows = json_object_get(json, "rows"), *degraded = json_object_get(json, "degraded");
    if (!json_is_array(rows) || json_array_size(rows) > MONITOR_ROWS_MAX)
        return false;
    journal->fence = json_integer_value(json_object_get(json, "fence"));
    journal->lost = (uint64_t)json_integer_value(json_object_get(json, "lost"));
    if (json_is_object(degraded))
        journal->mark = (struct monitor_mark){ true, json_integer_value(json_object_get(degraded, "epoch")),
                                               json_integer_value(json_object_get(degraded, "since_ms")) };
    for (; journal->count < json_array_size(rows); journal->count++)
        if (!read_row(json_array_get(rows, journal->count), &journal->rows[journal->count]))
            return false;
    return journal->fence > 0;
}

static result read_text(const char *path, char *text, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        *ret_len = 0;
        return OK;
    }
    size_t len = 0;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && len < FILE_BYTES_MAX) {
        got = read(fd, text + len, FILE_BYTES_MAX - len);
        len += got > 0 ? (size_t)got : 0;
    }
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return FAIL(E_IO, DISK_HINT, "the journal \"%s\" cannot be read: %s", path, strerror(reason));
    *ret_len = len;
    return OK;
}

static result parse(const char *path, struct str text, struct monitor_journal *ret)
{
    json_t *json = NULL;
    if (failed(json_parse(text, DEPTH, &json)))
        return not_a_journal(path);
    bool fits = read_document(json, ret);
    json_decref(json);
    return fits ? OK : not_a_journal(path);
}

result monitor_journal_load(const char *path, struct monitor_journal *ret)
{
    char *text = malloc(FILE_BYTES_MAX);
    struct monitor_journal *journal = calloc(1, sizeof *journal);
    must(text != NULL && journal != NULL);
    size_t len = 0;
    result r = read_text(path, text, &len);
    if (!failed(r) && len > 0)
        r = parse(path, (struct str){ text, len }, journal);
    if (!failed(r))
        memcpy(ret, journal, sizeof *ret);
    free(journal);
    free(text);
    return r;
}

/* ---- writing ---- */

static char *dump(const struct monitor_journal *journal)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < journal->count; i++) {
        const struct monitor_row *row = &journal->rows[i];
        json_array_append_new(rows, json_pack("{s:I,s:I,s:s,s:s,s:s}", "fence", (json_int_t)row->fence,
                                              "number", (json_int_t)row->number, "action", row->action,
                                              "result", row->result, "what", row->what));
    }
    json_t *degraded = !journal->mark.degraded
                           ? json_null()
                           : json_pack("{s:I,s:I}", "epoch", (json_int_t)journal->mark.epoch, "since_ms",
                                       (json_int_t)journal->mark.since_ms);
    json_t *document = json_pack("{s:I,s:o,s:I,s:o}", "fence", (json_int_t)journal->fence, "degraded",
                                 degraded, "lost", (json_int_t)journal->lost, "rows", rows);
    char *text = json_dumps(document, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    must(text != NULL);
    json_decref(document);
    return text;
}

static bool write_synced(const char *path, const char *text)
{
    size_t len = strlen(text), done = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    while (done < len) {
        ssize_t wrote = write(fd, text + done, len - done);
        if (wrote < 0 && errno != EINTR)
            break;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    bool good = done == len && fsync(fd) == 0;
    int reason = errno;
    bool closed = close(fd) == 0;
    if (!good)
        errno = reason;
    return good && closed;
}

static bool sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

static result replace(const char *path, const char *fresh, const struct monitor_journal *journal)
{
    struct monitor_journal *there = calloc(1, sizeof *there);
    must(there != NULL);
    result r = monitor_journal_load(path, there);
    int64_t fence = there->fence;
    free(there);
    TRY(r);
    if (fence > journal->fence)
        return FAIL(E_STALE, "Another daemon monitors this cell now: look at its log.",
                    "the journal \"%s\" has a greater fence, %lld", path, (long long)fence);
    char *text = dump(journal);
    bool done = write_synced(fresh, text) && rename(fresh, path) == 0 && sync_folder(path);
    int reason = errno;
    free(text);
    return done ? OK
                : FAIL(E_IO, DISK_HINT, "the journal \"%s\" cannot be written: %s", path, strerror(reason));
}

/* A monitor that was stopped for long, and believes that it still has the lease, must not overwrite its successor's journal. */
result monitor_journal_save(const char *path, const struct monitor_journal *journal)
{
    char lock[PATH_MAX], fresh[PATH_MAX];
    must(journal->fence > 0);
    if (snprintf(lock, sizeof lock, "%s.lock", path) >= (int)sizeof lock ||
        snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return FAIL(E_LIMIT, "Give the directory a shorter path.",
                    "the path of the journal \"%s\" is too long", path);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        int reason = errno;
        if (fd >= 0)
            close(fd);
        return FAIL(E_IO, DISK_HINT, "\"%s\" cannot be locked: %s", lock, strerror(reason));
    }
    result r = replace(path, fresh, journal);
    close(fd);
    return r;
}
