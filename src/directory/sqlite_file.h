#pragma once
/* The open file of the embedded directory, and how a statement gets from a fiber to a thread and back; for
 * src/directory alone. */
#include "directory/directory_engine.h"
#include "loop/fiber.h"

#include <sqlite3.h>
#include <sys/types.h>

enum sqlite_sql {
    SQL_BEGIN,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_REVISION,
    SQL_GET,
    SQL_LIST,
    SQL_CHANGES,
    SQL_PUT,
    SQL_SERVICES_NEWEST,
    SQL_SERVICES_GET,
    SQL_SERVICES_PUT,
    SQL_MARK_GET,
    SQL_MARK_PUT,
    SQL_LEASE_GET,
    SQL_LEASE_PUT,
    SQL_LEASE_KEEP,
    SQL_COUNT
};

struct sqlite_connection {
    sqlite3 *db;
    struct semaphore turn; /* one job at a time */
    sqlite3_stmt *statements[SQL_COUNT];
};

struct file_identity {
    dev_t device;
    ino_t inode;
};

/* ---- the file ---- these block. E_DIRECTORY */
result sqlite_file_create(const char *path) MUST_USE; /* if it is not there; its folder remembers it */
result sqlite_file_identify(const char *path, struct file_identity *ret) MUST_USE; /* and checks its mode */
result sqlite_file_still_there(const char *path, struct file_identity known) MUST_USE;

/* ---- open ---- */
struct sqlite_directory {
    struct directory directory;
    char *path, *wal_path;
    struct file_identity file, wal;
    char boot[40]; /* of this run of the kernel: monotonic times of another mean nothing */
    struct sqlite_connection reader, writer; /* two, as a reader never waits for another process's write */
};

/* Work for a thread: the first member of each job's own struct, which lives on the waiting fiber's stack. work() runs
 * inside a transaction, which is committed if it returns OK and rolled back if not. */
struct sqlite_job {
    result (*work)(struct sqlite_job *job);
    struct sqlite_directory *directory;
    struct sqlite_connection *connection;
    result outcome;
};
result sqlite_read(struct sqlite_directory *directory, struct sqlite_job *job) MUST_USE;  /* waits */
result sqlite_write(struct sqlite_directory *directory, struct sqlite_job *job) MUST_USE; /* waits */

/* ---- inside work() ---- */
/* The prepared statement, ready for binding. */
sqlite3_stmt *sqlite_statement(struct sqlite_job *job, enum sqlite_sql sql);
void sqlite_bind_str(sqlite3_stmt *statement, int parameter, struct str value); /* not copied */
void sqlite_bind_u64(sqlite3_stmt *statement, int parameter, uint64_t value);
/* Runs it to the next row, or to its end. */
result sqlite_step(struct sqlite_job *job, sqlite3_stmt *statement, bool *ret_row) MUST_USE;
result sqlite_run(struct sqlite_job *job, sqlite3_stmt *statement) MUST_USE; /* to the end; no rows wanted */
struct str sqlite_column_str(sqlite3_stmt *statement, int column);           /* valid until the next step */
uint64_t sqlite_column_u64(sqlite3_stmt *statement, int column);

/* E_DIRECTORY for what SQLite answered. */
result sqlite_failure(const char *path, sqlite3 *db, int code) MUST_USE;
/* E_DIRECTORY: the row was not written by domicile. */
result sqlite_bad_row(const struct sqlite_directory *directory, const char *what) MUST_USE;

/* ---- the operations ---- */
result sqlite_get(struct directory *directory, struct arena *arena, struct str id,
                  struct directory_entry *ret);
result sqlite_list(struct directory *directory, struct arena *arena, struct str after, size_t limit,
                   struct directory_page *ret);
result sqlite_swap(struct directory *directory, const struct directory_entry *entry, uint64_t expected,
                   uint64_t *ret_version);
result sqlite_remove(struct directory *directory, struct str id, uint64_t expected, uint64_t *ret_version);
result sqlite_watch(struct directory *directory, struct arena *arena, uint64_t after_revision,
                    struct directory_changes *ret);
result sqlite_services_keep(struct directory *directory, const struct directory_services *services,
                            bool *ret_new);
result sqlite_services_get(struct directory *directory, struct arena *arena, uint32_t version,
                           struct directory_services *ret);
result sqlite_mark(struct directory *directory, struct str name, uint64_t version, uint64_t *ret_version);
result sqlite_lease_acquire(struct directory *directory, struct str name, struct str holder, uint64_t ttl_ms,
                            uint64_t above, struct directory_lease *ret);
result sqlite_lease_renew(struct directory *directory, struct directory_lease *lease, uint64_t ttl_ms);
result sqlite_lease_release(struct directory *directory, const struct directory_lease *lease);
