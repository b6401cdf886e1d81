#pragma once
/* The directory: which region and cell a customer lives in, and the lists of services that customers acknowledged.
 * Nothing personal is in it: of a customer it has an id, two names and four numbers.
 *
 * One interface over engines: SQLite for the gateways of one host (sqlite.h); etcd fits behind it: a version
 * is a mod_revision, compare-and-swap a txn that compares it, watch a watch stream, a lease a key with a TTL.
 *
 * Every call here may wait and is made on a fiber; the loop never blocks on the engine. A call that does not
 * return OK changed nothing, with one exception: E_DEADLINE or E_CANCELLED from a change means that it may
 * have been made.
 * E_DIRECTORY  the engine does not answer, or its file is not a directory: nothing can be concluded from it. */
#include "base/arena.h"

enum customer_state {
    CUSTOMER_STATE_UNKNOWN =
        0,               /* a name that this program does not know, written by a newer one: refuse to serve */
    CUSTOMER_ONBOARDING, /* chosen, not yet in its cell */
    CUSTOMER_ACTIVE,
    CUSTOMER_MOVING,  /* between two regions: not served */
    CUSTOMER_ERASING, /* keys destroyed, records going */
};
const char *customer_state_name(enum customer_state state); /* "active" */
enum customer_state customer_state_from(struct str name);

enum {
    DIRECTORY_NAME_MAX = 63,   /* bytes of an id or a name; all have the shape of str_is_id */
    DIRECTORY_PAGE_MAX = 1000, /* entries of a page, changes of a batch */
};

struct directory_entry {
    struct str id;
    struct str region, cell;
    uint32_t epoch;            /* of the cell, when the entry was written */
    uint32_t services_version; /* of the list of services that the customer acknowledged */
    enum customer_state state;
    /* The directory's revision at which this was written: greater than all before it, never 0. */
    uint64_t version;
};

struct directory;
/* Takes NULL. Nobody may be waiting in it. Blocks for a close(2). */
void directory_free(struct directory *directory);

/* Strings of *ret are in the arena. E_CUSTOMER_UNKNOWN: there is certainly none. */
result directory_get(struct directory *directory, struct arena *arena, struct str id,
                     struct directory_entry *ret) MUST_USE;

/* Up to `limit` (1 to DIRECTORY_PAGE_MAX) entries in the order of their ids, from the first that is greater
 * than `after` (empty: from the start). `revision` is one at which all of the page was so: a watch from the
 * first page's revision misses nothing. */
struct directory_page {
    struct directory_entry *entries;
    size_t count;
    bool more;
    uint64_t revision;
};
result directory_list(struct directory *directory, struct arena *arena, struct str after, size_t limit,
                      struct directory_page *ret) MUST_USE;

/* Writes the entry if the stored one has the version `expected` (0: if there is none). entry->version is
 * ignored.
 *   E_STALE     the stored entry has another version, or exists, or does not exist
 *   E_ARGUMENT  a malformed name, or a state that has no name */
result directory_swap(struct directory *directory, const struct directory_entry *entry, uint64_t expected,
                      uint64_t *ret_version) MUST_USE;

/* Takes the entry out, by the same rule. The id may be used again afterwards (expected 0). */
result directory_remove(struct directory *directory, struct str id, uint64_t expected, uint64_t *ret_version)
    MUST_USE;

/* ---- watch ---- */
struct directory_change {
    struct directory_entry entry; /* of a removed one only id and version count */
    bool removed;
};
struct directory_changes {
    struct directory_change *changes; /* in the order of their versions */
    size_t count;
    uint64_t revision; /* all up to here has been seen: where to watch from next */
};
/* Waits until something has changed after the revision, and returns the newest state of each entry that did: of two
 * quick changes of one entry only the second may show. When nothing changes it returns OK with a count of 0 after
 * about DIRECTORY_WATCH_MS: the directory is there. E_DIRECTORY also when the directory went back in time. */
enum { DIRECTORY_WATCH_MS = 1000 };
result directory_watch(struct directory *directory, struct arena *arena, uint64_t after_revision,
                       struct directory_changes *ret) MUST_USE;

/* ---- services ---- the vendor's lists of services, by version. A list is written once and stays: customers
 * acknowledged it by its version. On etcd: a key for each version, and one with the greatest; one txn that compares
 * both writes them. */
enum { DIRECTORY_SERVICES_BYTES_MAX = 512 * 1024, DIRECTORY_DIGEST_SIZE = 65 };
struct directory_services {
    uint32_t version;                   /* at least 1 */
    char digest[DIRECTORY_DIGEST_SIZE]; /* SHA-256 of the document, in hexadecimal */
    struct str document;
};
/* Keeps the document under its version, unless that is done already; *ret_new says which. Whatever is found is found in
 * the same instant as it is written: of two that keep another list under one version only the first succeeds.
 *   E_CONFLICT  another document is known by that version
 *   E_STALE     a greater version is known
 *   E_LIMIT     a document of more than DIRECTORY_SERVICES_BYTES_MAX */
result directory_services_keep(struct directory *directory, uint32_t version, struct str document,
                               bool *ret_new) MUST_USE;
/* The document is in the arena, and is what its digest says. E_NOT_FOUND: no list of that version has been kept. */
result directory_services_get(struct directory *directory, struct arena *arena, uint32_t version,
                              struct directory_services *ret) MUST_USE;

/* ---- marks ---- the highest version that anything with a name has had: it only ever grows. What is kept elsewhere and is
 * older than its mark was put back. On etcd: a key, and a txn that compares it. */
enum { DIRECTORY_MARK_NAME_MAX = 160 }; /* bytes of [a-z0-9/-] */
/* Raises the mark to `version` (0: only looks) if it is lower, and returns what it is then (0: there is none).
 * E_ARGUMENT: a malformed name, or a version above INT64_MAX. */
result directory_mark(struct directory *directory, struct str name, uint64_t version, uint64_t *ret_version)
    MUST_USE;

/* ---- leases ---- one holder of a name at a time, until it lets go or stops renewing.
 * The fence of a name only ever grows: what a holder does elsewhere carries it, and a smaller one is refused
 * there. */
struct directory_lease {
    char name[DIRECTORY_NAME_MAX + 1];
    char holder[DIRECTORY_NAME_MAX + 1];
    uint64_t fence;
    uint64_t until_ns; /* of clock_monotonic_ns: stop acting before */
};
/* E_BUSY: another holds it (also one of the same holder's name). ttl_ms: 1 to DIRECTORY_LEASE_MS_MAX. */
enum { DIRECTORY_LEASE_MS_MAX = 3600 * 1000 };
result directory_lease_acquire(struct directory *directory, struct str name, struct str holder,
                               uint64_t ttl_ms, struct directory_lease *ret) MUST_USE;
/* Likewise, with a fence greater than `above` as well: of a place where a greater one was seen, as after a directory was
 * made anew. At most DIRECTORY_FENCE_MAX: no place is followed to the end of the numbers. */
#define DIRECTORY_FENCE_MAX (UINT64_C(1) << 62)
result directory_lease_acquire_above(struct directory *directory, struct str name, struct str holder,
                                     uint64_t ttl_ms, uint64_t above, struct directory_lease *ret) MUST_USE;
/* E_STALE: it is no longer ours. Renewing moves until_ns. */
result directory_lease_renew(struct directory *directory, struct directory_lease *lease, uint64_t ttl_ms)
    MUST_USE;
result directory_lease_release(struct directory *directory, const struct directory_lease *lease) MUST_USE;
