#include "directory/sqlite_file.h"

static struct sqlite_directory *of(struct directory *directory)
{
    return (struct sqlite_directory *)directory;
}

/* ---- get ---- */

struct services_job {
    struct sqlite_job job;
    struct arena *arena; /* NULL: the document is not wanted */
    struct directory_services services;
    bool found;
};

static result read_row(struct sqlite_job *job, struct services_job *get)
{
    struct directory_services *services = &get->services;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_SERVICES_GET);
    sqlite_bind_u64(statement, 1, services->version);
    TRY(sqlite_step(job, statement, &get->found));
    if (!get->found)
        return OK;
    struct str digest = sqlite_column_str(statement, 0), document = sqlite_column_str(statement, 1);
    if (digest.len != sizeof services->digest - 1 || document.len > DIRECTORY_SERVICES_BYTES_MAX)
        return sqlite_bad_row(job->directory, "a list of services");
    memcpy(services->digest, digest.ptr, digest.len);
    services->digest[digest.len] = '\0';
    if (get->arena != NULL)
        services->document = arena_str(get->arena, document);
    return OK;
}

static result get_work(struct sqlite_job *job)
{
    return read_row(job, (struct services_job *)job);
}

result sqlite_services_get(struct directory *directory, struct arena *arena, uint32_t version,
                           struct directory_services *ret)
{
    struct services_job get = { .job.work = get_work, .arena = arena, .services.version = version };
    TRY(sqlite_read(of(directory), &get.job));
    if (!get.found)
        return FAIL(E_NOT_FOUND, "Check the version.", "no version %u of the services has been kept",
                    version);
    *ret = get.services;
    return OK;
}

/* ---- keep ---- */

struct keep_job {
    struct sqlite_job job;
    const struct directory_services *services;
    bool new;
};

static result check_newest(struct sqlite_job *job, uint32_t version)
{
    sqlite3_stmt *statement = sqlite_statement(job, SQL_SERVICES_NEWEST);
    bool row;
    TRY(sqlite_step(job, statement, &row));
    must(row);
    uint64_t newest = sqlite_column_u64(statement, 0);
    if (newest > version)
        return FAIL(E_STALE, "Give the list a greater version than any version it has had.",
                    "the directory knows version %llu of the services, which is greater than %u",
                    (unsigned long long)newest, version);
    return OK;
}

static result keep_work(struct sqlite_job *job)
{
    struct keep_job *keep = (struct keep_job *)job;
    const struct directory_services *services = keep->services;
    struct services_job known = { .services.version = services->version };
    TRY(check_newest(job, services->version));
    TRY(read_row(job, &known));
    if (known.found && strcmp(known.services.digest, services->digest) != 0)
        return FAIL(E_CONFLICT, "Give the list the next version.",
                    "the directory already has another list as version %u of the services",
                    services->version);
    keep->new = !known.found;
    if (known.found)
        return OK;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_SERVICES_PUT);
    sqlite_bind_u64(statement, 1, services->version);
    sqlite_bind_str(statement, 2, str_from(services->digest));
    sqlite_bind_str(statement, 3, services->document);
    return sqlite_run(job, statement);
}

result sqlite_services_keep(struct directory *directory, const struct directory_services *services,
                            bool *ret_new)
{
    struct keep_job keep = { .job.work = keep_work, .services = services };
    TRY(sqlite_write(of(directory), &keep.job));
    *ret_new = keep.new;
    return OK;
}
