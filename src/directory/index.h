#pragma once
/* The directory's entries in memory, for tens of millions of customers, on one thread: at most 64 bytes each at any
 * number above 100,000, ids included. It grows in parts, so that no call stalls.
 *
 * The ids themselves are not kept: a customer is found by 102 bits of a hash of the id, keyed by random numbers of this
 * process. That one of ten million customers is taken for another has a probability of 2^-56, once in the life of the
 * process; nobody can choose ids to make that happen. */
#include "directory/directory.h"

struct directory_index;

struct directory_index *directory_index_new(void);
void directory_index_free(struct directory_index *index); /* takes NULL */

/* False: not there. ret->id is `id`; region and cell live as long as the index. */
bool directory_index_find(const struct directory_index *index, struct str id, struct directory_entry *ret);

/* Adds or replaces; an entry that is older than the one here is ignored. E_LIMIT: more than 1024 pairs of region and
 * cell; E_ID; E_MEMORY. */
result directory_index_put(struct directory_index *index, const struct directory_entry *entry) MUST_USE;

/* Takes the entry out if it is not newer than `version`. The memory stays for those to come. */
void directory_index_remove(struct directory_index *index, struct str id, uint64_t version);

struct directory_index_stats {
    size_t entries;
    size_t bytes;
};
struct directory_index_stats directory_index_stats(const struct directory_index *index);
