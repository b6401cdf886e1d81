#include "location/location_sample.h"

#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_MS (24LL * 3600 * 1000)

/* ---- one line ---- */
static const char *const members[] = { "vantage", "country", "latitude",  "longitude", "cell",
                                       "node",    "host",    "at_ms",     "method",    "count",
                                       "rows",    "min_us",  "median_us", "verified",  NULL };

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= 0x20 || (unsigned char)s.ptr[i] >= 0x7f)
            return false;
    return s.len > 0 && s.len <= LOCATION_WORD_MAX;
}

static result take_word(const json_t *json, const char *name, struct arena *arena, const char **ret)
{
    struct str text = json_member_str(json, name);
    if (text.ptr == NULL || !is_word(text))
        return FAIL(E_FORMAT, "Use lines that domicile node locate wrote.",
                    "\"%s\" of a sample is not a word", name);
    *ret = arena_cstr(arena, text);
    return OK;
}

static result take_number(const json_t *json, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
    const json_t *value = json_object_get(json, name);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < min || (uint64_t)number > max)
        return FAIL(E_FORMAT, "Use lines that domicile node locate wrote.",
                    "\"%s\" of a sample is not a number from %llu to %llu", name, (unsigned long long)min,
                    (unsigned long long)max);
    *ret = (uint64_t)number;
    return OK;
}

static result take_degrees(const json_t *json, const char *name, double most, double *ret)
{
    const json_t *value = json_object_get(json, name);
    double degrees = json_number_value(value);
    if (!json_is_number(value) || !(fabs(degrees) <= most))
        return FAIL(E_FORMAT, "Use lines that domicile node locate wrote.",
                    "\"%s\" of a sample is not a number of degrees", name);
    *ret = degrees;
    return OK;
}

static result take_sample(const json_t *json, struct arena *arena, struct location_sample *ret)
{
    struct location_sample sample = { 0 };
    uint64_t at_ms, count, rows;
    TRY(json_only_members(json, members));
    TRY(take_word(json, "vantage", arena, &sample.vantage));
    TRY(take_word(json, "country", arena, &sample.country));
    TRY(take_degrees(json, "latitude", 90, &sample.at.latitude));
    TRY(take_degrees(json, "longitude", 180, &sample.at.longitude));
    TRY(take_word(json, "cell", arena, &sample.cell));
    TRY(take_word(json, "node", arena, &sample.node));
    TRY(take_word(json, "host", arena, &sample.host));
    TRY(take_word(json, "method", arena, &sample.method));
    TRY(take_number(json, "at_ms", 0, (uint64_t)(400 * 366 * DAY_MS), &at_ms));
    TRY(take_number(json, "count", 1, LOCATION_COUNT_MAX, &count));
    TRY(take_number(json, "rows", 1, 1000000, &rows));
    TRY(take_number(json, "min_us", 1, 3600000000, &sample.min_us));
    TRY(take_number(json, "median_us", sample.min_us, 3600000000, &sample.median_us));
    if (!json_is_null(json_object_get(json, "verified")))
        TRY(take_word(json, "verified", arena, &sample.verified));
    sample.at_ms = (int64_t)at_ms;
    sample.count = (uint32_t)count;
    sample.rows = (uint32_t)rows;
    *ret = sample;
    return OK;
}

result location_sample_read(struct str line, struct arena *arena, struct location_sample *ret)
{
    enum { DEPTH = 1 };
    json_t *json = NULL;
    if (line.len > LOCATION_LINE_MAX)
        return FAIL(E_LIMIT, "Use lines that domicile node locate wrote.", "a sample has more than %d bytes",
                    LOCATION_LINE_MAX);
    TRY(json_parse(line, DEPTH, &json));
    result r = json_is_object(json)
                   ? take_sample(json, arena, ret)
                   : FAIL(E_FORMAT, "Use lines that domicile node locate wrote.", "a line is not a sample");
    json_decref(json);
    return r;
}

result location_sample_write(const struct location_sample *sample, struct buf *ret)
{
    json_t *json = json_pack("{s:s,s:s,s:f,s:f,s:s,s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:I,s:s?}", "vantage",
                             sample->vantage, "country", sample->country, "latitude", sample->at.latitude,
                             "longitude", sample->at.longitude, "cell", sample->cell, "node", sample->node,
                             "host", sample->host, "at_ms", (json_int_t)sample->at_ms, "method",
                             sample->method, "count", (json_int_t)sample->count, "rows",
                             (json_int_t)sample->rows, "min_us", (json_int_t)sample->min_us, "median_us",
                             (json_int_t)sample->median_us, "verified", sample->verified);
    must(json != NULL);
    char line[LOCATION_LINE_MAX + 1];
    size_t len = json_dumpb(json, line, sizeof line - 1, JSON_COMPACT);
    json_decref(json);
    if (len == 0 || len > sizeof line - 1)
        return FAIL(E_LIMIT, "Choose shorter names for the node and its cell.",
                    "a sample of the node \"%s\" is too long", sample->node);
    line[len] = '\n';
    if (!buf_append(ret, (struct str){ line, len + 1 }))
        return FAIL(E_LIMIT, "Import fewer samples at once.", "there are too many samples");
    return OK;
}

static bool same(const char *a, const char *b)
{
    return str_eq(str_from(a), str_from(b)) && (a == NULL) == (b == NULL);
}

bool location_sample_equal(const struct location_sample *a, const struct location_sample *b)
{
    return same(a->vantage, b->vantage) && same(a->node, b->node) && same(a->host, b->host) &&
           same(a->cell, b->cell) && a->at_ms == b->at_ms && a->min_us == b->min_us &&
           a->median_us == b->median_us && a->count == b->count && same(a->verified, b->verified);
}

/* ---- many ---- */
result location_samples_read(struct str text, bool strict, struct arena *arena, struct location_samples *ret)
{
    struct location_samples samples = { 0 };
    size_t lines = 0, number = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    samples.items = arena_array(arena, struct location_sample, lines + 1);
    for (struct str line; text.len > 0 && str_cut(&text, '\n', &line);) {
        number++;
        if (line.len == 0)
            continue;
        result r = location_sample_read(line, arena, &samples.items[samples.count]);
        if (!failed(r))
            samples.count++;
        else if (strict)
            return FAIL(r.error.code, r.error.hint, "line %zu: %s", number, r.error.what);
        else
            samples.unread++;
    }
    *ret = samples;
    return OK;
}

/* ---- the store ---- */
const char *location_store_path(const char *state_path, struct arena *arena)
{
    return arena_printf(arena, "%s/location.jsonl", state_path);
}

#define FAIL_IO(what, path)                                                                                  \
    FAIL(E_IO, "Check permissions and free space of state_path in domicile.cfg.", "\"%s\" cannot be %s: %s", \
         path, what, strerror(errno))

static result read_bytes(int fd, const char *path, struct arena *arena, struct str *ret)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return FAIL_IO("read", path);
    if (status.st_size > LOCATION_STORE_MAX)
        return FAIL(E_LIMIT, "Move the file away, and put its newest lines back.",
                    "\"%s\" has more than %d bytes", path, LOCATION_STORE_MAX);
    char *bytes = arena_alloc(arena, (size_t)status.st_size + 1);
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len < (size_t)status.st_size; len += (size_t)got) {
        got = pread(fd, bytes + len, (size_t)status.st_size - len, (off_t)len);
        if (got < 0)
            return FAIL_IO("read", path);
    }
    *ret = (struct str){ bytes, len };
    return OK;
}

result location_store_read(const char *state_path, struct arena *arena, struct location_samples *ret)
{
    const char *path = location_store_path(state_path, arena);
    struct str text;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret = (struct location_samples){ 0 };
        return OK;
    }
    if (fd < 0)
        return FAIL_IO("read", path);
    result r = read_bytes(fd, path, arena, &text);
    close(fd);
    return failed(r) ? r : location_samples_read(text, false, arena, ret);
}

/* After a line that a crash left incomplete, a new line begins. Lines that cannot be written as a whole are removed again. */
static result append_to(int fd, const char *path, struct str lines)
{
    struct stat status;
    char last = '\n';
    if (flock(fd, LOCK_EX) != 0 || fstat(fd, &status) != 0 ||
        (status.st_size > 0 && pread(fd, &last, 1, status.st_size - 1) != 1))
        return FAIL_IO("locked and read", path);
    if ((size_t)status.st_size + lines.len + 1 > LOCATION_STORE_MAX)
        return FAIL(E_LIMIT, "Move the file away, and put its newest lines back.",
                    "\"%s\" would have more than %d bytes", path, LOCATION_STORE_MAX);
    size_t skip = last == '\n' ? 1 : 0; /* `lines` begins with a newline */
    size_t wanted = lines.len - skip;
    ssize_t wrote = pwrite(fd, lines.ptr + skip, wanted, status.st_size);
    if (wrote == (ssize_t)wanted && fsync(fd) == 0)
        return OK;
    if (wrote >= 0 && wrote < (ssize_t)wanted)
        errno = ENOSPC;
    result r = FAIL_IO("written", path);
    if (ftruncate(fd, status.st_size) != 0)
        return FAIL(E_IO, "Remove the file's incomplete last line.",
                    "%s; and its last line is incomplete now", r.error.what);
    return r;
}

static result append_lines(const char *state_path, struct str lines)
{
    struct arena arena;
    int folder, fd;
    TRY(folder_open_private(state_path, E_IO, &folder));
    arena_init(&arena);
    const char *path = location_store_path(state_path, &arena);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    result r = fd >= 0 && folder_give(folder, fd) ? append_to(fd, path, lines) : FAIL_IO("opened", path);
    if (!failed(r) && fsync(folder) != 0)
        r = FAIL_IO("synced", state_path);
    if (fd >= 0)
        close(fd);
    close(folder);
    arena_done(&arena);
    return r;
}

result location_store_append(const char *state_path, const struct location_sample *samples, size_t count)
{
    struct buf lines;
    buf_init(&lines, LOCATION_STORE_MAX);
    result r = buf_append(&lines, STR("\n")) ? OK : FAIL(E_MEMORY, NULL, "not enough memory");
    for (size_t i = 0; i < count && !failed(r); i++)
        r = location_sample_write(&samples[i], &lines);
    if (!failed(r) && count > 0)
        r = append_lines(state_path, buf_str(&lines));
    buf_done(&lines);
    return r;
}
