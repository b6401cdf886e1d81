/* Work on the open file: from a fiber to a thread and back, inside a transaction. */
#include "directory/sqlite_file.h"

/* ---- errors ---- */

static const char *hint_for(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "Find the process that holds a write transaction on the file (fuser FILE) and let it finish.";
    case SQLITE_NOTADB:
        return "Put the directory's own file at this path, or choose another path for the directory.";
    case SQLITE_CORRUPT:
        return "Stop the gateways, keep a copy of the file, and restore it from a backup.";
    case SQLITE_FULL:
        return "Free space on the directory's disk.";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return "Allow the gateway's user to read and write the file and to create files in its folder.";
    default:
        return "Check the disk that holds the directory, and the kernel's log.";
    }
}

result sqlite_failure(const char *path, sqlite3 *db, int code)
{
    return FAIL(E_DIRECTORY, hint_for(code), "directory file \"%s\": %s", path,
                db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

result sqlite_bad_row(const struct sqlite_directory *directory, const char *what)
{
    return FAIL(E_DIRECTORY, "Stop the gateways, keep a copy of the file, and restore it from a backup.",
                "directory file \"%s\" holds %s that domicile did not write", directory->path, what);
}

/* ---- jobs ---- */

static void reset_statements(struct sqlite_connection *connection)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_reset(connection->statements[i]);
        sqlite3_clear_bindings(connection->statements[i]);
    }
}

static result run_in_transaction(struct sqlite_job *job, enum sqlite_sql begin)
{
    struct sqlite_directory *d = job->directory;
    TRY(sqlite_file_still_there(d->path, d->file));
    TRY(sqlite_file_still_there(d->wal_path, d->wal));
    result r = sqlite_run(job, sqlite_statement(job, begin));
    if (!failed(r))
        r = job->work(job);
    reset_statements(job->connection);
    if (!failed(r))
        r = sqlite_run(job, sqlite_statement(job, SQL_COMMIT));
    if (!sqlite3_get_autocommit(job->connection->db)) /* if this fails, so does the next BEGIN, and says so */
        (void)sqlite3_step(sqlite_statement(job, SQL_ROLLBACK));
    reset_statements(job->connection);
    return r;
}

static void read_on_thread(void *arg)
{
    struct sqlite_job *job = arg;
    job->outcome = run_in_transaction(job, SQL_BEGIN);
}

static void write_on_thread(void *arg)
{
    struct sqlite_job *job = arg;
    job->outcome = run_in_transaction(job, SQL_BEGIN_WRITE);
}

static result take_turn(struct sqlite_directory *d, struct sqlite_connection *connection,
                        struct sqlite_job *job, void (*on_thread)(void *job))
{
    job->directory = d;
    job->connection = connection;
    TRY(semaphore_acquire(&connection->turn));
    result r = fiber_offload(on_thread, job);
    semaphore_release(&connection->turn);
    return failed(r) ? r : job->outcome;
}

result sqlite_read(struct sqlite_directory *directory, struct sqlite_job *job)
{
    return take_turn(directory, &directory->reader, job, read_on_thread);
}

result sqlite_write(struct sqlite_directory *directory, struct sqlite_job *job)
{
    return take_turn(directory, &directory->writer, job, write_on_thread);
}

sqlite3_stmt *sqlite_statement(struct sqlite_job *job, enum sqlite_sql sql)
{
    sqlite3_stmt *statement = job->connection->statements[sql];
    sqlite3_reset(statement);
    return statement;
}

void sqlite_bind_str(sqlite3_stmt *statement, int parameter, struct str value)
{
    must(sqlite3_bind_text64(statement, parameter, value.ptr ? value.ptr : "", value.len, SQLITE_STATIC,
                             SQLITE_UTF8) == SQLITE_OK);
}

void sqlite_bind_u64(sqlite3_stmt *statement, int parameter, uint64_t value)
{
    must(value <= INT64_MAX && sqlite3_bind_int64(statement, parameter, (int64_t)value) == SQLITE_OK);
}

result sqlite_step(struct sqlite_job *job, sqlite3_stmt *statement, bool *ret_row)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sqlite_failure(job->directory->path, job->connection->db, code);
    *ret_row = code == SQLITE_ROW;
    return OK;
}

result sqlite_run(struct sqlite_job *job, sqlite3_stmt *statement)
{
    bool row;
    do
        TRY(sqlite_step(job, statement, &row));
    while (row);
    return OK;
}

struct str sqlite_column_str(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return (struct str){ (const char *)text, (size_t)sqlite3_column_bytes(statement, column) };
}

uint64_t sqlite_column_u64(sqlite3_stmt *statement, int column)
{
    int64_t value = sqlite3_column_int64(statement, column);
    return value < 0 ? 0 : (uint64_t)value;
}
