#include "directory/sqlite_file.h"

struct mark_job {
    struct sqlite_job job;
    struct str name;
    uint64_t version; /* to raise it to; then what it is */
};

static result look(struct sqlite_job *job)
{
    struct mark_job *mark = (struct mark_job *)job;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_MARK_GET);
    sqlite_bind_str(statement, 1, mark->name);
    bool found;
    TRY(sqlite_step(job, statement, &found));
    mark->version = found ? sqlite_column_u64(statement, 0) : 0;
    return OK;
}

static result raise_and_look(struct sqlite_job *job)
{
    struct mark_job *mark = (struct mark_job *)job;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_MARK_PUT);
    sqlite_bind_str(statement, 1, mark->name);
    sqlite_bind_u64(statement, 2, mark->version);
    TRY(sqlite_run(job, statement));
    return look(job);
}

result sqlite_mark(struct directory *directory, struct str name, uint64_t version, uint64_t *ret_version)
{
    struct sqlite_directory *d = (struct sqlite_directory *)directory;
    struct mark_job mark = { .job.work = look, .name = name };
    TRY(sqlite_read(d, &mark.job)); /* a look costs no write where nothing grows */
    if (version > mark.version) {
        mark = (struct mark_job){ .job.work = raise_and_look, .name = name, .version = version };
        TRY(sqlite_write(d, &mark.job));
    }
    *ret_version = mark.version;
    return OK;
}
