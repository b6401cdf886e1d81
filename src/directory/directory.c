/* The checks that every engine relies on, and the way to it. */
#include "directory/directory_engine.h"

#include <openssl/evp.h>
#include <stdio.h>

static const char *const state_names[] = {
    [CUSTOMER_STATE_UNKNOWN] = "unknown", [CUSTOMER_ONBOARDING] = "onboarding", [CUSTOMER_ACTIVE] = "active",
    [CUSTOMER_MOVING] = "moving",         [CUSTOMER_ERASING] = "erasing",
};
enum { STATE_COUNT = COUNT(state_names) };

const char *customer_state_name(enum customer_state state)
{
    must((size_t)state < STATE_COUNT);
    return state_names[state];
}

enum customer_state customer_state_from(struct str name)
{
    for (size_t i = CUSTOMER_STATE_UNKNOWN + 1; i < STATE_COUNT; i++)
        if (str_is(name, state_names[i]))
            return (enum customer_state)i;
    return CUSTOMER_STATE_UNKNOWN;
}

static result check_name(struct str name, const char *what)
{
    if (!str_is_id(name))
        return FAIL(E_ARGUMENT,
                    "Use 2 to 63 of the characters a-z, 0-9 and \"-\", and a letter or digit first.",
                    "\"%.*s\" is not the name of a %s", STR_ARG(name), what);
    return OK;
}

static result check_ttl(uint64_t ttl_ms)
{
    if (ttl_ms == 0 || ttl_ms > DIRECTORY_LEASE_MS_MAX)
        return FAIL(E_ARGUMENT, "Choose a time between 1 ms and one hour.", "a lease of %llu ms",
                    (unsigned long long)ttl_ms);
    return OK;
}

void directory_free(struct directory *directory)
{
    if (directory != NULL)
        directory->ops->close(directory);
}

result directory_get(struct directory *directory, struct arena *arena, struct str id,
                     struct directory_entry *ret)
{
    TRY(check_name(id, "customer"));
    return directory->ops->get(directory, arena, id, ret);
}

result directory_list(struct directory *directory, struct arena *arena, struct str after, size_t limit,
                      struct directory_page *ret)
{
    must(limit >= 1 && limit <= DIRECTORY_PAGE_MAX);
    return directory->ops->list(directory, arena, after, limit, ret);
}

result directory_swap(struct directory *directory, const struct directory_entry *entry, uint64_t expected,
                      uint64_t *ret_version)
{
    TRY(check_name(entry->id, "customer"));
    TRY(check_name(entry->region, "region"));
    TRY(check_name(entry->cell, "cell"));
    if (entry->state <= CUSTOMER_STATE_UNKNOWN || (size_t)entry->state >= STATE_COUNT)
        return FAIL(E_ARGUMENT, NULL, "customer \"%.*s\" cannot be put into a state without a name",
                    STR_ARG(entry->id));
    return directory->ops->swap(directory, entry, expected, ret_version);
}

result directory_remove(struct directory *directory, struct str id, uint64_t expected, uint64_t *ret_version)
{
    TRY(check_name(id, "customer"));
    return directory->ops->remove(directory, id, expected, ret_version);
}

result directory_watch(struct directory *directory, struct arena *arena, uint64_t after_revision,
                       struct directory_changes *ret)
{
    return directory->ops->watch(directory, arena, after_revision, ret);
}

static void digest_of(struct str document, char ret[DIRECTORY_DIGEST_SIZE])
{
    unsigned char sum[32];
    must(EVP_Digest(document.ptr, document.len, sum, NULL, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

result directory_services_keep(struct directory *directory, uint32_t version, struct str document,
                               bool *ret_new)
{
    must(version > 0);
    if (document.len > DIRECTORY_SERVICES_BYTES_MAX)
        return FAIL(E_LIMIT, "Shorten the titles and reasons of the services.",
                    "the list of services takes %zu bytes, more than %d", document.len,
                    DIRECTORY_SERVICES_BYTES_MAX);
    struct directory_services services = { .version = version, .document = document };
    digest_of(document, services.digest);
    return directory->ops->services_keep(directory, &services, ret_new);
}

result directory_services_get(struct directory *directory, struct arena *arena, uint32_t version,
                              struct directory_services *ret)
{
    struct directory_services found;
    char digest[DIRECTORY_DIGEST_SIZE];
    TRY(directory->ops->services_get(directory, arena, version, &found));
    digest_of(found.document, digest);
    if (strcmp(digest, found.digest) != 0)
        return FAIL(
            E_DIRECTORY, "Stop the gateways, keep a copy of the directory, and restore it from a backup.",
            "version %u of the services has changed in the directory: its digest does not match", version);
    *ret = found;
    return OK;
}

static bool is_mark_name(struct str name)
{
    bool fits = name.len >= 1 && name.len <= DIRECTORY_MARK_NAME_MAX;
    for (size_t i = 0; i < name.len && fits; i++)
        fits = strchr("abcdefghijklmnopqrstuvwxyz0123456789-/", name.ptr[i]) != NULL && name.ptr[i] != '\0';
    return fits;
}

result directory_mark(struct directory *directory, struct str name, uint64_t version, uint64_t *ret_version)
{
    if (!is_mark_name(name) || version > INT64_MAX)
        return FAIL(E_ARGUMENT, "Report this as a bug.", "\"%.*s\" at version %llu is not a mark",
                    STR_ARG(name), (unsigned long long)version);
    return directory->ops->mark(directory, name, version, ret_version);
}

result directory_lease_acquire(struct directory *directory, struct str name, struct str holder,
                               uint64_t ttl_ms, struct directory_lease *ret)
{
    return directory_lease_acquire_above(directory, name, holder, ttl_ms, 0, ret);
}

result directory_lease_acquire_above(struct directory *directory, struct str name, struct str holder,
                                     uint64_t ttl_ms, uint64_t above, struct directory_lease *ret)
{
    TRY(check_name(name, "lease"));
    TRY(check_name(holder, "holder"));
    TRY(check_ttl(ttl_ms));
    if (above >= DIRECTORY_FENCE_MAX)
        return FAIL(E_ARGUMENT, "Find out who gave such a fence; a superuser of that cell can lower it.",
                    "a lease of \"%.*s\" above the fence %llu", STR_ARG(name), (unsigned long long)above);
    return directory->ops->lease_acquire(directory, name, holder, ttl_ms, above, ret);
}

result directory_lease_renew(struct directory *directory, struct directory_lease *lease, uint64_t ttl_ms)
{
    TRY(check_ttl(ttl_ms));
    return directory->ops->lease_renew(directory, lease, ttl_ms);
}

result directory_lease_release(struct directory *directory, const struct directory_lease *lease)
{
    return directory->ops->lease_release(directory, lease);
}
