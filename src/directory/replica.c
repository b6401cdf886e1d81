#include "directory/replica.h"

#include "base/clock.h"

#include <stdlib.h>

enum { RETRY_MS = 200, SILENT_MS = 5000 };

struct services {
    struct services *next;
    uint32_t version;
    struct str document;
};

struct directory_replica {
    struct directory *directory;
    struct directory_index *index;
    struct services *services; /* those that were asked for */
    uint64_t revision;         /* all up to here is in the index */
    size_t asking;
    bool ok;
    int64_t since_ms;
    uint64_t answered_ns; /* when the directory last answered */
    struct error error;
};

static void set_health(struct directory_replica *replica, result r)
{
    bool ok = !failed(r);
    if (ok != replica->ok) {
        replica->ok = ok;
        replica->since_ms = clock_wall_ms();
    }
    if (ok)
        replica->answered_ns = clock_monotonic_ns();
    else
        replica->error = r.error;
}

/* ---- feeding the index ---- */

static result load(struct directory_replica *replica)
{
    struct arena arena;
    arena_init(&arena);
    struct str after = STR("");
    char last[DIRECTORY_NAME_MAX];
    bool first = true;
    struct directory_page page = { .more = true };
    result r = OK;
    while (page.more) {
        TRY_OR(r, end, directory_list(replica->directory, &arena, after, DIRECTORY_PAGE_MAX, &page));
        if (first)
            replica->revision = page.revision;
        first = false;
        for (size_t i = 0; i < page.count; i++)
            TRY_OR(r, end, directory_index_put(replica->index, &page.entries[i]));
        if (page.count > 0) {
            const struct str id = page.entries[page.count - 1].id;
            memcpy(last, id.ptr, id.len);
            after = (struct str){ last, id.len };
        }
        arena_reset(&arena);
    }
end:
    arena_done(&arena);
    return r;
}

static result apply(struct directory_replica *replica, const struct directory_changes *seen)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct directory_change *change = &seen->changes[i];
        if (change->removed)
            directory_index_remove(replica->index, change->entry.id, change->entry.version);
        else
            TRY(directory_index_put(replica->index, &change->entry));
    }
    replica->revision = seen->revision;
    return OK;
}

static void follow(void *arg)
{
    struct directory_replica *replica = arg;
    struct arena arena;
    arena_init(&arena);
    while (!failed(fiber_check())) {
        struct directory_changes seen;
        arena_reset(&arena);
        result r = directory_watch(replica->directory, &arena, replica->revision, &seen);
        if (!failed(r))
            r = apply(replica, &seen);
        if (r.error.code == E_CANCELLED)
            break;
        set_health(replica, r);
        if (failed(r) && failed(fiber_sleep(RETRY_MS)))
            break;
    }
    arena_done(&arena);
}

result directory_replica_start(struct directory_replica **ret, struct directory *directory,
                               struct scope *scope)
{
    struct directory_replica *replica = calloc(1, sizeof *replica);
    must(replica != NULL);
    replica->directory = directory;
    replica->index = directory_index_new();
    result r = load(replica);
    set_health(replica, r);
    if (!failed(r))
        r = fiber_spawn(scope, "directory", follow, replica);
    if (failed(r)) {
        directory_replica_free(replica);
        return r;
    }
    *ret = replica;
    return OK;
}

void directory_replica_free(struct directory_replica *replica)
{
    if (replica == NULL)
        return;
    must(replica->asking == 0);
    directory_index_free(replica->index);
    while (replica->services != NULL) {
        struct services *services = replica->services;
        replica->services = services->next;
        free((char *)services->document.ptr);
        free(services);
    }
    free(replica);
}

/* ---- asking ---- */

struct directory_health directory_replica_health(const struct directory_replica *replica)
{
    struct directory_health health = { .ok = replica->ok,
                                       .since_ms = replica->since_ms,
                                       .error = replica->error,
                                       .customers = directory_index_stats(replica->index).entries,
                                       .revision = replica->revision };
    uint64_t silent_ms = (clock_monotonic_ns() - replica->answered_ns) / 1000000;
    if (health.ok && silent_ms >= SILENT_MS) { /* it hangs: no answer, no error */
        result r = FAIL(E_DIRECTORY, "Check the disk that holds the directory, and the kernel's log.",
                        "the directory has not answered for %llu s", (unsigned long long)silent_ms / 1000);
        health.ok = false;
        health.since_ms = clock_wall_ms() - (int64_t)silent_ms;
        health.error = r.error;
    }
    return health;
}

/* What is not newer than the watch has come to, and is not here, has been removed since it was read. */
static result learn(struct directory_replica *replica, const struct directory_entry *entry, bool *ret_removed)
{
    struct directory_entry known;
    *ret_removed =
        entry->version <= replica->revision && !directory_index_find(replica->index, entry->id, &known);
    return *ret_removed ? OK : directory_index_put(replica->index, entry);
}

result directory_replica_learn(struct directory_replica *replica, const struct directory_entry *entry)
{
    bool removed;
    return learn(replica, entry, &removed);
}

static result unknown(struct str id)
{
    return FAIL(E_CUSTOMER_UNKNOWN, "Check the spelling of the customer's id.",
                "there is no customer \"%.*s\"", STR_ARG(id));
}

static result ask_once(struct directory_replica *replica, struct str id)
{
    struct arena arena;
    struct directory_entry entry;
    struct deadline deadline;
    bool removed = false;
    arena_init(&arena);
    deadline_begin(&deadline, DIRECTORY_ASK_MS);
    result r = directory_get(replica->directory, &arena, id, &entry);
    deadline_end(&deadline);
    if (!failed(r))
        r = learn(replica, &entry, &removed);
    arena_done(&arena);
    if (r.error.code == E_DEADLINE && !failed(fiber_check()))
        r = FAIL(E_DIRECTORY, "Try again; if the problem continues, check the disk that holds the directory.",
                 "customer \"%.*s\" is not known to this gateway, and the directory did not answer in time",
                 STR_ARG(id));
    return removed ? unknown(id) : r;
}

static result check_may_ask(const struct directory_replica *replica)
{
    if (replica->asking == DIRECTORY_ASKING_MAX)
        return FAIL(E_BUSY, "Try again in a moment.",
                    "too many customers are being looked up at the same time");
    return OK;
}

static result ask(struct directory_replica *replica, struct str id)
{
    struct directory_health health = directory_replica_health(replica);
    if (!health.ok)
        return FAIL(E_DIRECTORY, health.error.hint, "customer \"%.*s\" is not known to this gateway, and %s",
                    STR_ARG(id), health.error.what);
    TRY(check_may_ask(replica));
    replica->asking++;
    result r = ask_once(replica, id);
    replica->asking--;
    return r;
}

result directory_lookup(struct directory_replica *replica, struct str id, struct directory_entry *ret)
{
    struct directory_entry entry;
    if (!str_is_id(id))
        return FAIL(E_ID, "Use 2 to 63 of the characters a-z, 0-9 and \"-\", and a letter or digit first.",
                    "the customer's id is malformed");
    if (!directory_index_find(replica->index, id, &entry) || entry.state == CUSTOMER_ONBOARDING) {
        TRY(ask(replica, id));
        if (!directory_index_find(replica->index, id, &entry))
            return unknown(id);
    }
    if (entry.state == CUSTOMER_STATE_UNKNOWN)
        return FAIL(E_DIRECTORY, "Run the newest version of domicile that has used this directory.",
                    "customer \"%.*s\" is in a state that this program does not know", STR_ARG(id));
    entry.id = id;
    *ret = entry;
    return OK;
}

bool directory_replica_knows(const struct directory_replica *replica, struct str id,
                             struct directory_entry *ret)
{
    struct directory_entry entry;
    if (!str_is_id(id) || !directory_index_find(replica->index, id, &entry))
        return false;
    entry.id = id;
    *ret = entry;
    return true;
}

/* ---- services ---- */

static struct services *find_services(const struct directory_replica *replica, uint32_t version)
{
    struct services *services = replica->services;
    while (services != NULL && services->version != version)
        services = services->next;
    return services;
}

void directory_replica_learn_services(struct directory_replica *replica, uint32_t version,
                                      struct str document)
{
    if (find_services(replica, version) != NULL)
        return;
    struct services *services = malloc(sizeof *services);
    char *copy = malloc(document.len + 1);
    must(services != NULL && copy != NULL);
    memcpy(copy, document.ptr, document.len);
    *services = (struct services){ replica->services, version, { copy, document.len } };
    replica->services = services;
}

static result ask_services_once(struct directory_replica *replica, uint32_t version)
{
    struct arena arena;
    struct directory_services found;
    struct deadline deadline;
    arena_init(&arena);
    deadline_begin(&deadline, DIRECTORY_ASK_MS);
    result r = directory_services_get(replica->directory, &arena, version, &found);
    deadline_end(&deadline);
    if (!failed(r))
        directory_replica_learn_services(replica, version, found.document);
    arena_done(&arena);
    if (r.error.code == E_NOT_FOUND)
        return FAIL(E_DIRECTORY, "Restore the directory from a backup that has it.",
                    "the directory does not hold version %u of the services", version);
    if (r.error.code == E_DEADLINE && !failed(fiber_check()))
        return FAIL(E_DIRECTORY,
                    "Try again; if the problem continues, check the disk that holds the directory.",
                    "version %u of the services is not known to this gateway, and the directory did not "
                    "answer in time",
                    version);
    return r;
}

static result ask_services(struct directory_replica *replica, uint32_t version)
{
    struct directory_health health = directory_replica_health(replica);
    if (!health.ok)
        return FAIL(E_DIRECTORY, health.error.hint,
                    "version %u of the services is not known to this gateway, and %s", version,
                    health.error.what);
    TRY(check_may_ask(replica));
    replica->asking++;
    result r = ask_services_once(replica, version);
    replica->asking--;
    return r;
}

result directory_replica_services(struct directory_replica *replica, uint32_t version, struct str *ret)
{
    const struct services *known = find_services(replica, version);
    if (known == NULL) {
        TRY(ask_services(replica, version));
        known = find_services(replica, version);
        must(known != NULL);
    }
    *ret = known->document;
    return OK;
}
