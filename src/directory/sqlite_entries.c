#include "directory/sqlite_file.h"

enum { POLL_MS = 100 };

static struct sqlite_directory *of(struct directory *directory)
{
    return (struct sqlite_directory *)directory;
}

/* Column numbers follow COLUMNS in sqlite.c. */
static result row_change(struct sqlite_job *job, sqlite3_stmt *row, struct arena *arena,
                         struct directory_change *ret)
{
    struct directory_entry entry = { .id = sqlite_column_str(row, 0), .version = sqlite_column_u64(row, 1) };
    bool removed = sqlite_column_u64(row, 7) != 0;
    if (!str_is_id(entry.id) || entry.version == 0)
        return sqlite_bad_row(job->directory, "a row");
    if (!removed) {
        uint64_t epoch = sqlite_column_u64(row, 4), services = sqlite_column_u64(row, 5);
        entry.region = arena_str(arena, sqlite_column_str(row, 2));
        entry.cell = arena_str(arena, sqlite_column_str(row, 3));
        entry.epoch = (uint32_t)epoch;
        entry.services_version = (uint32_t)services;
        entry.state = customer_state_from(sqlite_column_str(row, 6));
        if (!str_is_id(entry.region) || !str_is_id(entry.cell) || epoch > UINT32_MAX || services > UINT32_MAX)
            return sqlite_bad_row(job->directory, "a row");
    }
    entry.id = arena_str(arena, entry.id);
    *ret = (struct directory_change){ .entry = entry, .removed = removed };
    return OK;
}

static result revision(struct sqlite_job *job, uint64_t *ret)
{
    sqlite3_stmt *statement = sqlite_statement(job, SQL_REVISION);
    bool row;
    TRY(sqlite_step(job, statement, &row));
    must(row);
    *ret = sqlite_column_u64(statement, 0);
    return OK;
}

/* ---- get ---- */

struct get_job {
    struct sqlite_job job;
    struct arena *arena;
    struct str id;
    struct directory_entry entry;
};

static result get_work(struct sqlite_job *job)
{
    struct get_job *get = (struct get_job *)job;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_GET);
    sqlite_bind_str(statement, 1, get->id);
    bool row;
    struct directory_change found = { .removed = true };
    TRY(sqlite_step(job, statement, &row));
    if (row)
        TRY(row_change(job, statement, get->arena, &found));
    if (found.removed)
        return FAIL(E_CUSTOMER_UNKNOWN, "Check the spelling of the customer's id.",
                    "there is no customer \"%.*s\"", STR_ARG(get->id));
    get->entry = found.entry;
    return OK;
}

result sqlite_get(struct directory *directory, struct arena *arena, struct str id,
                  struct directory_entry *ret)
{
    struct get_job get = { .job.work = get_work, .arena = arena, .id = id };
    TRY(sqlite_read(of(directory), &get.job));
    *ret = get.entry;
    return OK;
}

/* ---- list ---- */

struct list_job {
    struct sqlite_job job;
    struct arena *arena;
    struct str after;
    size_t limit;
    struct directory_page page;
};

static result list_work(struct sqlite_job *job)
{
    struct list_job *list = (struct list_job *)job;
    struct directory_page *page = &list->page;
    TRY(revision(job, &page->revision));
    sqlite3_stmt *statement = sqlite_statement(job, SQL_LIST);
    sqlite_bind_str(statement, 1, list->after);
    sqlite_bind_u64(statement, 2, list->limit + 1);
    page->entries = arena_array(list->arena, struct directory_entry, list->limit);
    for (;;) {
        bool row;
        struct directory_change found;
        TRY(sqlite_step(job, statement, &row));
        page->more = row && page->count == list->limit;
        if (!row || page->more)
            return OK;
        TRY(row_change(job, statement, list->arena, &found));
        page->entries[page->count++] = found.entry;
    }
}

result sqlite_list(struct directory *directory, struct arena *arena, struct str after, size_t limit,
                   struct directory_page *ret)
{
    struct list_job list = { .job.work = list_work, .arena = arena, .after = after, .limit = limit };
    TRY(sqlite_read(of(directory), &list.job));
    *ret = list.page;
    return OK;
}

/* ---- swap and remove ---- */

struct swap_job {
    struct sqlite_job job;
    struct directory_entry entry;
    bool remove;
    uint64_t expected;
};

static result check_expected(struct sqlite_job *job, const struct swap_job *swap)
{
    sqlite3_stmt *statement = sqlite_statement(job, SQL_GET);
    sqlite_bind_str(statement, 1, swap->entry.id);
    bool row;
    TRY(sqlite_step(job, statement, &row));
    bool there = row && sqlite_column_u64(statement, 7) == 0;
    uint64_t stored = there ? sqlite_column_u64(statement, 1) : 0;
    if (stored != swap->expected)
        return FAIL(E_STALE, "Read the entry again before you decide.",
                    "customer \"%.*s\" has version %llu in the directory, not %llu", STR_ARG(swap->entry.id),
                    (unsigned long long)stored, (unsigned long long)swap->expected);
    return OK;
}

static result swap_work(struct sqlite_job *job)
{
    struct swap_job *swap = (struct swap_job *)job;
    struct directory_entry *entry = &swap->entry;
    uint64_t last;
    TRY(check_expected(job, swap));
    TRY(revision(job, &last));
    entry->version = last + 1;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_PUT);
    sqlite_bind_str(statement, 1, entry->id);
    sqlite_bind_u64(statement, 2, entry->version);
    sqlite_bind_str(statement, 3, entry->region);
    sqlite_bind_str(statement, 4, entry->cell);
    sqlite_bind_u64(statement, 5, entry->epoch);
    sqlite_bind_u64(statement, 6, entry->services_version);
    sqlite_bind_str(statement, 7, swap->remove ? STR("") : str_from(customer_state_name(entry->state)));
    sqlite_bind_u64(statement, 8, swap->remove);
    return sqlite_run(job, statement);
}

static result swap_run(struct directory *directory, struct swap_job *swap, uint64_t *ret_version)
{
    TRY(sqlite_write(of(directory), &swap->job));
    *ret_version = swap->entry.version;
    return OK;
}

result sqlite_swap(struct directory *directory, const struct directory_entry *entry, uint64_t expected,
                   uint64_t *ret_version)
{
    struct swap_job swap = { .job.work = swap_work, .entry = *entry, .expected = expected };
    return swap_run(directory, &swap, ret_version);
}

result sqlite_remove(struct directory *directory, struct str id, uint64_t expected, uint64_t *ret_version)
{
    if (expected == 0)
        return FAIL(E_STALE, "Read the entry again before you decide.",
                    "removing customer \"%.*s\" needs its version", STR_ARG(id));
    struct swap_job swap = { .job.work = swap_work, .entry.id = id, .remove = true, .expected = expected };
    return swap_run(directory, &swap, ret_version);
}

/* ---- watch ---- */

struct watch_job {
    struct sqlite_job job;
    struct arena *arena;
    struct directory_changes found;
};

static result watch_work(struct sqlite_job *job)
{
    struct watch_job *watch = (struct watch_job *)job;
    struct directory_changes *found = &watch->found;
    uint64_t last;
    TRY(revision(job, &last));
    if (last < found->revision)
        return FAIL(E_DIRECTORY, "Restart the gateways so that they read the restored file.",
                    "directory file \"%s\" went back from revision %llu to %llu", job->directory->path,
                    (unsigned long long)found->revision, (unsigned long long)last);
    if (last == found->revision)
        return OK;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_CHANGES);
    sqlite_bind_u64(statement, 1, found->revision);
    sqlite_bind_u64(statement, 2, DIRECTORY_PAGE_MAX);
    found->changes = arena_array(watch->arena, struct directory_change, DIRECTORY_PAGE_MAX);
    for (;;) {
        bool row;
        TRY(sqlite_step(job, statement, &row));
        if (!row)
            return OK;
        TRY(row_change(job, statement, watch->arena, &found->changes[found->count]));
        found->revision = found->changes[found->count++].entry.version;
    }
}

result sqlite_watch(struct directory *directory, struct arena *arena, uint64_t after_revision,
                    struct directory_changes *ret)
{
    struct watch_job watch = { .job.work = watch_work, .arena = arena, .found.revision = after_revision };
    for (int waited_ms = 0;; waited_ms += POLL_MS) {
        TRY(sqlite_read(of(directory), &watch.job));
        if (watch.found.count > 0 || waited_ms >= DIRECTORY_WATCH_MS)
            break;
        TRY(fiber_sleep(POLL_MS));
    }
    *ret = watch.found;
    return OK;
}
