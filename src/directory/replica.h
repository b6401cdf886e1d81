#pragma once
/* A gateway's copy of the directory in memory: it answers each request, and follows the directory by watching.
 *
 * It holds the last known state. When the directory is lost, it continues to answer for the customers it knows, reports
 * the loss (directory_replica_health), and refuses to answer about customers it does not know (P1). */
#include "directory/directory.h"
#include "directory/index.h"
#include "loop/fiber.h"

struct directory_replica;

/* Loads the whole directory (waits), then follows it on a fiber of `scope`. The directory stays the caller's
 * and must outlive the replica. End it with scope_cancel/scope_end first, then directory_replica_free. */
result directory_replica_start(struct directory_replica **ret, struct directory *directory,
                               struct scope *scope) MUST_USE;
void directory_replica_free(struct directory_replica *replica); /* takes NULL; its fiber has ended */

/* From memory, without waiting, if the customer is known here; else, or while it is being onboarded, asks the directory
 * once (may wait, at most DIRECTORY_ASK_MS), since that may have ended a moment ago at another gateway. Strings of *ret
 * live as long as the replica, except ret->id, which is `id` itself.
 *   E_CUSTOMER_UNKNOWN  the directory answered that there is no such customer
 *   E_DIRECTORY         not known here, and the directory does not answer; or this program does not know the entry's state
 *   E_BUSY              DIRECTORY_ASKING_MAX callers are already asking
 *   E_ID                the id is malformed */
enum { DIRECTORY_ASK_MS = 3000, DIRECTORY_ASKING_MAX = 64 };
result directory_lookup(struct directory_replica *replica, struct str id, struct directory_entry *ret)
    MUST_USE;

/* From memory alone, in whatever state the entry is: false if it is not known here. Does not wait. */
bool directory_replica_knows(const struct directory_replica *replica, struct str id,
                             struct directory_entry *ret);

/* For the one who just wrote the entry: the replica need not wait to be told. entry->version is the new one. */
result directory_replica_learn(struct directory_replica *replica, const struct directory_entry *entry)
    MUST_USE;

/* The list of services of a version that an entry names: from memory, or asked for once, as above; a list never
 * changes. The document lives as long as the replica. E_DIRECTORY also: the directory holds no such list. */
result directory_replica_services(struct directory_replica *replica, uint32_t version, struct str *ret)
    MUST_USE;
/* For the one who just kept the list. */
void directory_replica_learn_services(struct directory_replica *replica, uint32_t version,
                                      struct str document);

struct directory_health {
    bool ok;
    int64_t since_ms;   /* wall: since when it is so */
    struct error error; /* the last one, when not ok */
    size_t customers;
    uint64_t revision; /* all up to here is known */
};
struct directory_health directory_replica_health(const struct directory_replica *replica);
