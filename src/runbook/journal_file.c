/* A journal as a file: state_path/runs/ID.journal, 0600, locked by the process that drives the run. The loop never waits for
 * the disk. */
#include "base/folder.h"
#include "loop/fiber.h"
#include "runbook/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".journal"
static const char disk_hint[] =
    "Check permissions and free space of the state directory, then resume the run.";

struct journal_file {
    struct journal journal;
    char *name; /* its path, for messages */
    int fd;
    bool over; /* a write failed: the bytes on disk after the last complete line are not known */
    size_t bytes;
};

/* One call to the disk, on a thread. */
struct disk_call {
    result (*work)(struct disk_call *call);
    struct journal_file *file;
    const char *state_path, *id;
    struct arena *arena;
    struct str text;
    size_t bytes;
    bool driven;
    struct journal_names names;
    result outcome;
};

static void run_call(void *arg)
{
    struct disk_call *call = arg;
    call->outcome = call->work(call);
}

static result on_thread(struct disk_call *call)
{
    TRY(fiber_offload(run_call, call));
    return call->outcome;
}

static result disk_failure(const char *what, const char *name)
{
    return FAIL(E_JOURNAL, disk_hint, "cannot %s \"%s\": %s", what, name, strerror(errno));
}

/* ---- the lock ---- of the open file, not of the process: so two runs of one process exclude each other too */
static result lock_file(const struct journal_file *file, const char *id)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0)
        return OK;
    if (errno != EAGAIN && errno != EACCES)
        return disk_failure("lock", file->name);
    return FAIL(E_BUSY, "Wait until the run ends: domicile runbook runs shows it.",
                "the run \"%s\" is driven by another process", id);
}

static bool is_locked(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ---- on the thread ---- */
static result create_work(struct disk_call *call)
{
    struct journal_file *file = call->file;
    int state = -1, runs = -1;
    char *folder = NULL;
    must(asprintf(&folder, "%s/runs", call->state_path) > 0);
    result r = folder_open_private(call->state_path, E_JOURNAL, &state);
    if (!failed(r))
        r = folder_open_private(folder, E_JOURNAL, &runs);
    if (!failed(r)) {
        file->fd = open(file->name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        r = file->fd >= 0 && folder_give(runs, file->fd) ? lock_file(file, call->id)
                                                         : disk_failure("make", file->name);
    }
    if (!failed(r) && fsync(runs) != 0)
        r = disk_failure("sync", folder);
    if (state >= 0)
        close(state);
    if (runs >= 0)
        close(runs);
    free(folder);
    return r;
}

static result no_such_run(const char *id)
{
    return FAIL(E_NOT_FOUND, "Run domicile runbook runs: it lists the runs.", "there is no run \"%s\"", id);
}

static result open_work(struct disk_call *call)
{
    struct journal_file *file = call->file;
    file->fd = open(file->name, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (file->fd < 0)
        return errno == ENOENT ? no_such_run(call->id) : disk_failure("open", file->name);
    return lock_file(file, call->id);
}

static result read_whole(int fd, const char *name, struct arena *arena, struct str *ret)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return disk_failure("check", name);
    if (!S_ISREG(status.st_mode) || status.st_size > JOURNAL_BYTES_MAX)
        return FAIL(E_JOURNAL, NULL, "\"%s\" is not a file of at most %d bytes", name, JOURNAL_BYTES_MAX);
    size_t size = (size_t)status.st_size, len = 0;
    char *text = arena_alloc(arena, size + 1);
    while (len < size) {
        ssize_t got = pread(fd, text + len, size - len, (off_t)len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return disk_failure("read", name);
        if (got == 0)
            break;
        len += (size_t)got;
    }
    text[len] = '\0';
    *ret = (struct str){ text, len };
    return OK;
}

static result load_work(struct disk_call *call)
{
    TRY(read_whole(call->file->fd, call->file->name, call->arena, &call->text));
    call->file->bytes = call->text.len;
    return OK;
}

static result cut_work(struct disk_call *call)
{
    if (ftruncate(call->file->fd, (off_t)call->bytes) != 0 || fdatasync(call->file->fd) != 0)
        return disk_failure("remove the incomplete line of", call->file->name);
    call->file->bytes = call->bytes;
    return OK;
}

static result append_work(struct disk_call *call)
{
    struct str rest = call->text;
    while (rest.len > 0) {
        ssize_t put = write(call->file->fd, rest.ptr, rest.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return disk_failure("write", call->file->name);
        rest.ptr += put;
        rest.len -= (size_t)put;
    }
    return fdatasync(call->file->fd) == 0 ? OK : disk_failure("sync", call->file->name);
}

/* ---- the journal ---- */
static result file_load(struct journal *journal, struct arena *arena, struct str *ret)
{
    struct disk_call call = { .work = load_work, .file = (struct journal_file *)journal, .arena = arena };
    TRY(on_thread(&call));
    *ret = call.text;
    return OK;
}

static result file_cut(struct journal *journal, size_t bytes)
{
    struct disk_call call = { .work = cut_work, .file = (struct journal_file *)journal, .bytes = bytes };
    return on_thread(&call);
}

static result file_append(struct journal *journal, struct str line)
{
    struct journal_file *file = (struct journal_file *)journal;
    struct disk_call call = { .work = append_work, .file = file, .text = line, .outcome = OK };
    if (file->over)
        return FAIL(E_JOURNAL, disk_hint, "an earlier write to \"%s\" has failed", file->name);
    if (file->bytes + line.len > JOURNAL_BYTES_MAX)
        return FAIL(E_JOURNAL, "Close the run with domicile runbook abandon RUN, and begin another one.",
                    "\"%s\" would have more than %d bytes", file->name, JOURNAL_BYTES_MAX);
    TRY(fiber_offload(run_call, &call)); /* that it was cancelled before it began leaves the file as it was */
    file->over = failed(call.outcome);
    if (!file->over)
        file->bytes += line.len;
    return call.outcome;
}

static void file_close(struct journal *journal)
{
    struct journal_file *file = (struct journal_file *)journal;
    if (file->fd >= 0)
        close(file->fd);
    free(file->name);
    free(file);
}

static struct journal_file *file_new(const char *state_path, const char *id)
{
    struct journal_file *file = calloc(1, sizeof *file);
    must(file != NULL);
    file->journal = (struct journal){ file_load, file_cut, file_append, file_close };
    file->fd = -1;
    must(asprintf(&file->name, "%s/runs/%s" SUFFIX, state_path, id) > 0);
    return file;
}

static result open_with(result (*work)(struct disk_call *call), const char *state_path, const char *id,
                        struct journal **ret)
{
    if (!str_is_id(str_from(id)))
        return FAIL(E_ID, "Run domicile runbook runs: it lists the runs.", "\"%s\" is not the id of a run",
                    id);
    struct journal_file *file = file_new(state_path, id);
    struct disk_call call = { .work = work, .file = file, .state_path = state_path, .id = id };
    result r = on_thread(&call);
    if (failed(r))
        file_close(&file->journal);
    else
        *ret = &file->journal;
    return r;
}

result journal_create(const char *state_path, const char *id, struct journal **ret)
{
    return open_with(create_work, state_path, id, ret);
}

result journal_open(const char *state_path, const char *id, struct journal **ret)
{
    return open_with(open_work, state_path, id, ret);
}

/* ---- looking ---- */
static result peek_work(struct disk_call *call)
{
    const char *name = call->file->name;
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? no_such_run(call->id) : disk_failure("open", name);
    call->driven = is_locked(fd);
    result r = read_whole(fd, name, call->arena, &call->text);
    close(fd);
    return r;
}

result journal_peek(const char *state_path, const char *id, struct arena *arena, struct str *ret,
                    bool *ret_driven)
{
    if (!str_is_id(str_from(id)))
        return FAIL(E_ID, "Run domicile runbook runs: it lists the runs.", "\"%s\" is not the id of a run",
                    id);
    struct journal_file *file = file_new(state_path, id);
    struct disk_call call = { .work = peek_work, .file = file, .id = id, .arena = arena };
    result r = on_thread(&call);
    file_close(&file->journal);
    TRY(r);
    *ret = call.text;
    *ret_driven = call.driven;
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_journal(struct str name, struct str *ret_id)
{
    if (name.len <= sizeof SUFFIX - 1)
        return false;
    *ret_id = (struct str){ name.ptr, name.len - (sizeof SUFFIX - 1) };
    return strcmp(ret_id->ptr + ret_id->len, SUFFIX) == 0 && str_is_id(*ret_id);
}

static void add_name(struct disk_call *call, size_t *capacity, struct str id)
{
    struct journal_names *names = &call->names;
    if (names->count == *capacity) {
        *capacity = *capacity == 0 ? 64 : *capacity * 2;
        const char **items = arena_array(call->arena, const char *, *capacity);
        if (names->count > 0)
            memcpy(items, names->items, names->count * sizeof *items);
        names->items = items;
    }
    names->items[names->count++] = arena_cstr(call->arena, id);
}

static result names_work(struct disk_call *call)
{
    const char *path = arena_printf(call->arena, "%s/runs", call->state_path);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT ? OK : disk_failure("read", path);
    size_t capacity = 0;
    struct str id;
    errno = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        if (is_journal(str_from(entry->d_name), &id))
            add_name(call, &capacity, id);
    result r = errno == 0 ? OK : disk_failure("read", path);
    closedir(folder);
    if (call->names.count > 0)
        qsort(call->names.items, call->names.count, sizeof *call->names.items, by_name);
    return r;
}

result journal_names(const char *state_path, struct arena *arena, struct journal_names *ret)
{
    struct disk_call call = { .work = names_work, .state_path = state_path, .arena = arena };
    TRY(on_thread(&call));
    *ret = call.names;
    return OK;
}
