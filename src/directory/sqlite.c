#include "directory/sqlite.h"

#include "directory/sqlite_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUSY_MS = 2000, APPLICATION_ID = 0x646f6d69 /* "domi" */, SCHEMA_VERSION = 1 };

/* A removed customer leaves its id and a version behind, so that the versions alone are the log of changes: whoever
 * has seen all up to one finds what came after by the index over them. */
static const char schema_sql[] =
    "CREATE TABLE customer (id TEXT PRIMARY KEY, version INTEGER NOT NULL UNIQUE, region TEXT NOT NULL,"
    " cell TEXT NOT NULL, epoch INTEGER NOT NULL, services_version INTEGER NOT NULL, state TEXT NOT NULL,"
    " removed INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL,"
    " until_ns INTEGER NOT NULL, boot TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE services (version INTEGER PRIMARY KEY, digest TEXT NOT NULL, document TEXT NOT NULL) "
    "STRICT;"
    "CREATE TRIGGER services_stay BEFORE UPDATE ON services BEGIN"
    " SELECT RAISE(ABORT, 'a list of services stays as it is'); END;"
    "CREATE TRIGGER services_stay_there BEFORE DELETE ON services BEGIN"
    " SELECT RAISE(ABORT, 'a list of services stays'); END;";

/* Later than the rest, and the programs from before it do without: the schema's version is theirs as well. */
static const char marks_sql[] =
    "CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER IF NOT EXISTS mark_grows BEFORE UPDATE ON mark WHEN new.version < old.version BEGIN"
    " SELECT RAISE(ABORT, 'a mark only grows'); END;"
    "CREATE TRIGGER IF NOT EXISTS mark_stays BEFORE DELETE ON mark BEGIN"
    " SELECT RAISE(ABORT, 'a mark stays'); END;";

#define COLUMNS "id, version, region, cell, epoch, services_version, state, removed"
static const char *const sql_text[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_REVISION] = "SELECT coalesce(max(version), 0) FROM customer",
    [SQL_GET] = "SELECT " COLUMNS " FROM customer WHERE id = ?1",
    [SQL_LIST] = "SELECT " COLUMNS " FROM customer WHERE id > ?1 AND removed = 0 ORDER BY id LIMIT ?2",
    [SQL_CHANGES] = "SELECT " COLUMNS " FROM customer WHERE version > ?1 ORDER BY version LIMIT ?2",
    [SQL_PUT] = "INSERT OR REPLACE INTO customer (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_SERVICES_NEWEST] = "SELECT coalesce(max(version), 0) FROM services",
    [SQL_SERVICES_GET] = "SELECT digest, document FROM services WHERE version = ?1",
    [SQL_SERVICES_PUT] = "INSERT INTO services (version, digest, document) VALUES (?1, ?2, ?3)",
    [SQL_MARK_GET] = "SELECT version FROM mark WHERE name = ?1",
    [SQL_MARK_PUT] = ("INSERT INTO mark (name, version) VALUES (?1, ?2)"
                      " ON CONFLICT (name) DO UPDATE SET version = max(version, excluded.version)"),
    [SQL_LEASE_GET] = "SELECT holder, fence, until_ns, boot FROM lease WHERE name = ?1",
    [SQL_LEASE_PUT] =
        "INSERT OR REPLACE INTO lease (name, holder, fence, until_ns, boot) VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_LEASE_KEEP] = ("UPDATE lease SET until_ns = ?4 WHERE name = ?1 AND holder = ?2 AND fence = ?3"
                        " AND boot = ?5 AND until_ns > ?6"),
};

/* ---- opening ---- */

static result query_number(struct sqlite_directory *d, sqlite3 *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    result r = code == SQLITE_ROW ? OK : sqlite_failure(d->path, db, code);
    sqlite3_finalize(statement);
    return r;
}

static result execute(struct sqlite_directory *d, sqlite3 *db, const char *sql)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : sqlite_failure(d->path, db, code);
}

/* Nothing is written to a file before it is known to be ours or empty. */
static result check_schema(struct sqlite_directory *d, sqlite3 *db, bool *ret_empty)
{
    int64_t application = 0, version = 0, tables = 0;
    TRY(query_number(d, db, "PRAGMA application_id", &application));
    TRY(query_number(d, db, "PRAGMA user_version", &version));
    TRY(query_number(d, db, "SELECT count(*) FROM sqlite_master", &tables));
    *ret_empty = application == 0 && version == 0 && tables == 0;
    if (*ret_empty)
        return OK;
    if (application != APPLICATION_ID)
        return FAIL(E_DIRECTORY,
                    "Put the directory's own file at this path, or choose another path for the directory.",
                    "directory file \"%s\" belongs to another program", d->path);
    if (version != SCHEMA_VERSION)
        return FAIL(E_DIRECTORY, "Run the newest version of domicile that has used this directory.",
                    "directory file \"%s\" has schema %lld; this program knows %d", d->path,
                    (long long)version, SCHEMA_VERSION);
    return OK;
}

/* Of one moment: another process may be making it. */
static result check_schema_alone(struct sqlite_directory *d, sqlite3 *db, bool *ret_empty)
{
    TRY(execute(d, db, "BEGIN"));
    result r = check_schema(d, db, ret_empty);
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* nothing was written */
    return r;
}

static result create_schema(struct sqlite_directory *d, sqlite3 *db)
{
    TRY(execute(d, db, "BEGIN IMMEDIATE"));
    bool empty = false;
    result r = check_schema(d, db, &empty); /* another process may have been first */
    if (!failed(r) && empty) {
        char mark[96];
        snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID,
                 SCHEMA_VERSION);
        r = execute(d, db, schema_sql);
        if (!failed(r))
            r = execute(d, db, mark);
    }
    if (!failed(r))
        r = execute(d, db, "COMMIT");
    if (failed(r))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL,
                           NULL); /* fails if none is open: nothing to undo then */
    return r;
}

/* SQLite does not wait for other processes when it changes the journal mode: that is done here. */
static result use_wal(struct sqlite_directory *d, sqlite3 *db)
{
    for (int waited_ms = 0;; waited_ms += 10) {
        int code = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (code == SQLITE_OK)
            break;
        if (code != SQLITE_BUSY || waited_ms >= BUSY_MS)
            return sqlite_failure(d->path, db, code);
        usleep(10 * 1000);
    }
    int64_t is_wal = 0;
    TRY(query_number(d, db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_wal));
    if (!is_wal)
        return FAIL(E_DIRECTORY, "Keep the directory on a local file system.",
                    "directory file \"%s\" cannot be shared here (no WAL)", d->path);
    return OK;
}

static result connection_open(struct sqlite_directory *d, struct sqlite_connection *connection)
{
    semaphore_init(&connection->turn, 1);
    int code = sqlite3_open_v2(d->path, &connection->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return sqlite_failure(d->path, connection->db, code);
    sqlite3 *db = connection->db;
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    bool empty;
    TRY(check_schema_alone(d, db, &empty));
    TRY(use_wal(d, db));
    TRY(execute(d, db, "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON"));
    if (empty)
        TRY(create_schema(d, db));
    int64_t marks = 0;
    TRY(query_number(d, db,
                     "SELECT count(*) FROM sqlite_master WHERE name IN ('mark', 'mark_grows', 'mark_stays')",
                     &marks));
    if (marks < 3) /* two at once do no harm */
        TRY(execute(d, db, marks_sql));
    for (int i = 0; i < SQL_COUNT; i++) {
        code = sqlite3_prepare_v3(db, sql_text[i], -1, SQLITE_PREPARE_PERSISTENT, &connection->statements[i],
                                  NULL);
        if (code != SQLITE_OK)
            return sqlite_failure(d->path, db, code);
    }
    return OK;
}

static void connection_close(struct sqlite_connection *connection)
{
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(connection->statements[i]);
    must(sqlite3_close(connection->db) == SQLITE_OK);
}

static result read_boot(struct sqlite_directory *d)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    bool read = file != NULL && fgets(d->boot, sizeof d->boot, file) != NULL;
    if (file != NULL)
        fclose(file);
    if (!read)
        return FAIL(E_DIRECTORY, "Mount /proc.", "the kernel's boot id cannot be read");
    d->boot[strcspn(d->boot, "\n")] = '\0';
    return OK;
}

static result open_all(struct sqlite_directory *d)
{
    TRY(read_boot(d));
    TRY(sqlite_file_create(d->path));
    TRY(sqlite_file_identify(d->path, &d->file));
    TRY(connection_open(d, &d->writer));
    TRY(connection_open(d, &d->reader));
    TRY(sqlite_file_identify(d->wal_path, &d->wal));
    return sqlite_file_still_there(d->path, d->file);
}

struct opening {
    struct sqlite_directory *directory;
    result outcome;
};

static void open_on_thread(void *arg)
{
    struct opening *opening = arg;
    opening->outcome = open_all(opening->directory);
}

static void sqlite_close(struct directory *directory)
{
    struct sqlite_directory *d = (struct sqlite_directory *)directory;
    connection_close(&d->reader);
    connection_close(&d->writer);
    free(d->path);
    free(d->wal_path);
    free(d);
}

static const struct directory_ops sqlite_ops = {
    .close = sqlite_close,
    .get = sqlite_get,
    .list = sqlite_list,
    .swap = sqlite_swap,
    .remove = sqlite_remove,
    .watch = sqlite_watch,
    .services_keep = sqlite_services_keep,
    .services_get = sqlite_services_get,
    .mark = sqlite_mark,
    .lease_acquire = sqlite_lease_acquire,
    .lease_renew = sqlite_lease_renew,
    .lease_release = sqlite_lease_release,
};

result directory_open_sqlite(const char *path, struct directory **ret)
{
    struct sqlite_directory *d = calloc(1, sizeof *d);
    must(d != NULL);
    d->directory.ops = &sqlite_ops;
    d->path = strdup(path);
    must(d->path != NULL && asprintf(&d->wal_path, "%s-wal", path) > 0);
    struct opening opening = { .directory = d };
    result r = fiber_offload(open_on_thread, &opening);
    if (!failed(r))
        r = opening.outcome;
    if (failed(r)) {
        sqlite_close(&d->directory);
        return r;
    }
    *ret = &d->directory;
    return OK;
}
