#include "runbook/driver.h"

#include "base/encode.h"
#include "base/secret.h"
#include "loop/fiber.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    LEASE_MS = 8000,
    RENEW_MS = 2000,
    LEASE_WITHIN_MS = LEASE_MS + 3000, /* the lease of a killed process lasts until it expires */
    LEASE_AGAIN_MS = 250,
    RELEASE_WITHIN_MS = 5000,
};

struct driver {
    struct driver_options options;
    struct arena *arena; /* the caller's */
    struct scope work;   /* the fiber that waits, asks or drives */
    result outcome, lost;
    struct directory_lease lease;
    struct run *run;
    bool opening; /* a run is being written to disk: a cancel waits for that */
    bool cancelled, stopped;
    const struct runbook_planned *already;
};

struct driver *driver_new(const struct driver_options *options)
{
    struct driver *driver = calloc(1, sizeof *driver);
    must(driver != NULL);
    driver->options = *options;
    return driver;
}

void driver_free(struct driver *driver)
{
    if (driver == NULL)
        return;
    run_free(driver->run);
    free(driver);
}

static void say(const struct driver *driver, enum driver_notice notice, const char *run)
{
    driver->options.observer->notice(driver->options.observer, notice, run);
}

/* ---- work that a cancel can end ---- */

static result in_scope(struct driver *driver, const char *name, void (*work)(void *arg))
{
    driver->work = SCOPE_INIT;
    driver->outcome = FAIL(E_INTERNAL, NULL, "the run was not driven");
    TRY(fiber_spawn(&driver->work, name, work, driver));
    if (driver->cancelled || driver->stopped)
        scope_cancel(&driver->work);
    TRY(scope_join(&driver->work));
    return driver->outcome;
}

void driver_cancel(struct driver *driver)
{
    driver->cancelled = true;
    if (driver->run != NULL)
        run_cancel(driver->run);
    else if (!driver->opening)
        scope_cancel(&driver->work);
}

void driver_stop(struct driver *driver)
{
    driver->stopped = true;
    scope_cancel(&driver->work);
}

/* ---- the lease ---- */

static result acquire_lease(struct driver *driver)
{
    const struct driver_options *options = &driver->options;
    uint8_t salt[4];
    bool told = false;
    random_bytes(salt, sizeof salt);
    struct str bytes = { (const char *)salt, sizeof salt };
    struct str holder = str_from(
        arena_printf(driver->arena, "domicile-%d-%s", (int)getpid(), encode_hex(driver->arena, bytes)));
    for (uint64_t began_ns = clock_monotonic_ns();;) {
        result r = directory_lease_acquire(options->directory, str_from(options->lease), holder, LEASE_MS,
                                           &driver->lease);
        if (!failed(r) || r.error.code != E_BUSY)
            return r;
        if ((clock_monotonic_ns() - began_ns) / 1000000 > LEASE_WITHIN_MS)
            return FAIL(E_BUSY, "Wait until its run ends: domicile runbook runs shows it.",
                        "another process changes \"%s\"", options->subject);
        if (!told)
            say(driver, DRIVER_WAITS, NULL);
        told = true;
        TRY(fiber_sleep(LEASE_AGAIN_MS));
    }
}

static void acquire(void *arg)
{
    struct driver *driver = arg;
    driver->outcome = acquire_lease(driver);
}

/* Without the lease nothing is changed: the run stops where it is. */
static void keep(void *arg)
{
    struct driver *driver = arg;
    while (!failed(fiber_sleep(RENEW_MS))) {
        result r = directory_lease_renew(driver->options.directory, &driver->lease, LEASE_MS);
        bool over = clock_monotonic_ns() + MS(RENEW_MS) * 1000000 >= driver->lease.until_ns;
        if (failed(r) && r.error.code != E_CANCELLED && (r.error.code == E_STALE || over)) {
            driver->lost = r;
            scope_cancel(&driver->work);
            return;
        }
    }
}

/* Also after a cancel, so that the next process need not wait. */
static result release(struct driver *driver)
{
    struct shield shield;
    struct deadline deadline;
    fiber_shield(&shield);
    deadline_begin(&deadline, RELEASE_WITHIN_MS);
    result r = directory_lease_release(driver->options.directory, &driver->lease);
    deadline_end(&deadline);
    fiber_unshield(&shield);
    return failed(r) && r.error.code == E_STALE ? OK : r;
}

/* ---- the run ---- */

static result ask_all(struct driver *driver)
{
    const struct driver_options *options = &driver->options;
    const struct runbook_planned *planned = NULL;
    say(driver, DRIVER_ASKS, NULL);
    TRY(runbook_plan(options->runbook, options->context, driver->arena, &planned));
    for (size_t i = 0; i < options->runbook->step_count; i++)
        if (planned[i].answer != ANSWER_YES)
            return OK;
    driver->already = planned;
    return OK;
}

static result open_run(struct driver *driver, const char *id)
{
    const struct driver_options *options = &driver->options;
    const struct run_options of_run = { .state_path = options->state_path,
                                        .subject = options->subject,
                                        .fence = driver->lease.fence,
                                        .observer = &options->observer->run };
    driver->opening = true;
    result r = id[0] == '\0' ? run_begin(options->runbook, options->context, &of_run, &driver->run)
                             : run_resume(options->runbook, options->context, id, &of_run, &driver->run);
    driver->opening = false;
    if (!failed(r) && id[0] != '\0')
        say(driver, DRIVER_RESUMES, id);
    if (!failed(r) && (options->walk_back || driver->cancelled))
        run_cancel(driver->run);
    return r;
}

static result ask_and_drive(struct driver *driver)
{
    const struct driver_options *options = &driver->options;
    char id[RUNBOOK_RUN_ID_MAX + 1];
    TRY(fiber_check());
    TRY(run_find_open(options->state_path, options->runbook->name, options->subject, id));
    if (id[0] == '\0' && options->walk_back)
        return FAIL(E_NOT_FOUND, "Run domicile runbook runs: it lists the runs.",
                    "there is no open run of \"%s\" on \"%s\" to cancel", options->runbook->name,
                    options->subject);
    if (id[0] == '\0')
        TRY(ask_all(driver));
    if (driver->already != NULL)
        return OK;
    TRY(open_run(driver, id));
    return run_drive(driver->run);
}

static void drive(void *arg)
{
    struct driver *driver = arg;
    driver->outcome = ask_and_drive(driver);
}

static result drive_under_lease(struct driver *driver)
{
    struct scope keeper = SCOPE_INIT;
    TRY(fiber_spawn(&keeper, "lease", keep, driver));
    result r = in_scope(driver, "run", drive);
    scope_end(&keeper);
    if (failed(driver->lost))
        return FAIL(E_STALE, "Run the command again: it resumes the run.", "the lease of \"%s\" was lost: %s",
                    driver->options.subject, driver->lost.error.what);
    return r;
}

result driver_run(struct driver *driver, struct arena *arena, const struct runbook_planned **ret_already)
{
    driver->arena = arena;
    driver->lost = OK;
    result r = in_scope(driver, "acquire", acquire);
    if (!failed(r)) {
        r = drive_under_lease(driver);
        result released = release(driver);
        if (!failed(r))
            r = released;
    }
    if (failed(r) && driver->cancelled && driver->run == NULL)
        return FAIL(E_CANCELLED, "Nothing was changed.", "cancelled before a run of \"%s\" began",
                    driver->options.runbook->name);
    TRY(r);
    *ret_already = driver->already;
    return OK;
}
