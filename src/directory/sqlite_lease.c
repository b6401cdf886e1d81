/* Times of a lease are the host's monotonic clock, which all its processes share and which nobody can set; after a
 * reboot every lease is over, since its holder is. */
#include "base/clock.h"
#include "directory/sqlite_file.h"

struct lease_job {
    struct sqlite_job job;
    struct directory_lease lease;
    uint64_t now_ns, above;
};

static struct sqlite_directory *of(struct directory *directory)
{
    return (struct sqlite_directory *)directory;
}

static result check_free(struct sqlite_job *job, struct lease_job *acquire)
{
    struct directory_lease *lease = &acquire->lease;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_LEASE_GET);
    sqlite_bind_str(statement, 1, str_from(lease->name));
    bool row;
    TRY(sqlite_step(job, statement, &row));
    uint64_t fence = row ? sqlite_column_u64(statement, 1) : 0,
             until_ns = row ? sqlite_column_u64(statement, 2) : 0;
    if (row && fence == 0)
        return sqlite_bad_row(job->directory, "a lease");
    if (row && str_is(sqlite_column_str(statement, 3), job->directory->boot) && until_ns > acquire->now_ns)
        return FAIL(E_BUSY, "Wait until the lease is released or expires.",
                    "lease \"%s\" is held by \"%.*s\" for %llu ms", lease->name,
                    STR_ARG(sqlite_column_str(statement, 0)),
                    (unsigned long long)((until_ns - acquire->now_ns + 999999) / 1000000));
    lease->fence = (fence > acquire->above ? fence : acquire->above) + 1;
    return OK;
}

static result acquire_work(struct sqlite_job *job)
{
    struct lease_job *acquire = (struct lease_job *)job;
    struct directory_lease *lease = &acquire->lease;
    TRY(check_free(job, acquire));
    sqlite3_stmt *statement = sqlite_statement(job, SQL_LEASE_PUT);
    sqlite_bind_str(statement, 1, str_from(lease->name));
    sqlite_bind_str(statement, 2, str_from(lease->holder));
    sqlite_bind_u64(statement, 3, lease->fence);
    sqlite_bind_u64(statement, 4, lease->until_ns);
    sqlite_bind_str(statement, 5, str_from(job->directory->boot));
    return sqlite_run(job, statement);
}

static result keep_work(struct sqlite_job *job)
{
    struct lease_job *keep = (struct lease_job *)job;
    const struct directory_lease *lease = &keep->lease;
    sqlite3_stmt *statement = sqlite_statement(job, SQL_LEASE_KEEP);
    sqlite_bind_str(statement, 1, str_from(lease->name));
    sqlite_bind_str(statement, 2, str_from(lease->holder));
    sqlite_bind_u64(statement, 3, lease->fence);
    sqlite_bind_u64(statement, 4, lease->until_ns);
    sqlite_bind_str(statement, 5, str_from(job->directory->boot));
    sqlite_bind_u64(statement, 6, keep->now_ns);
    TRY(sqlite_run(job, statement));
    if (sqlite3_changes(job->connection->db) == 0)
        return FAIL(E_STALE, "Stop what was done under the lease, then acquire it again.",
                    "lease \"%s\" is no longer held by \"%s\"", lease->name, lease->holder);
    return OK;
}

result sqlite_lease_acquire(struct directory *directory, struct str name, struct str holder, uint64_t ttl_ms,
                            uint64_t above, struct directory_lease *ret)
{
    struct lease_job acquire = { .job.work = acquire_work, .now_ns = clock_monotonic_ns(), .above = above };
    memcpy(acquire.lease.name, name.ptr,
           name.len); /* both are at most DIRECTORY_NAME_MAX long: see directory.c */
    memcpy(acquire.lease.holder, holder.ptr, holder.len);
    acquire.lease.until_ns = acquire.now_ns + ttl_ms * 1000000;
    TRY(sqlite_write(of(directory), &acquire.job));
    *ret = acquire.lease;
    return OK;
}

result sqlite_lease_renew(struct directory *directory, struct directory_lease *lease, uint64_t ttl_ms)
{
    struct lease_job keep = { .job.work = keep_work, .lease = *lease, .now_ns = clock_monotonic_ns() };
    keep.lease.until_ns = keep.now_ns + ttl_ms * 1000000;
    TRY(sqlite_write(of(directory), &keep.job));
    *lease = keep.lease;
    return OK;
}

result sqlite_lease_release(struct directory *directory, const struct directory_lease *lease)
{
    struct lease_job keep = { .job.work = keep_work, .lease = *lease, .now_ns = clock_monotonic_ns() };
    keep.lease.until_ns = 0;
    return sqlite_write(of(directory), &keep.job);
}
