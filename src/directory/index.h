#pragma once
/* The directory's entries in memory: a hash table for tens of millions of customers on one thread. At ten
 * million it takes at most 64 bytes each beside their ids, also while it grows; it grows in small steps, so
 * that no call stalls. The hash is keyed by a random number: nobody can choose ids that collide. */
#include "directory/directory.h"

struct directory_index;

struct directory_index *directory_index_new(void);
void directory_index_free(struct directory_index *index); /* takes NULL */

/* False: not there. *ret's strings belong to the index: region and cell as long as it lives, id until the
 * entry is removed. */
bool directory_index_find(const struct directory_index *index, struct str id, struct directory_entry *ret);

/* Adds or replaces; an entry that is older than the one here is ignored. E_LIMIT: more than 65535 names of
 * regions and cells, or the memory of ids is full (32 GiB); E_ID. */
result directory_index_put(struct directory_index *index, const struct directory_entry *entry) MUST_USE;

/* Takes the entry out if it is not newer than `version`. */
void directory_index_remove(struct directory_index *index, struct str id, uint64_t version);

struct directory_index_stats {
    size_t entries;
    size_t bytes;    /* mapped for table and entries, ids included */
    size_t id_bytes; /* of which the ids themselves */
};
struct directory_index_stats directory_index_stats(const struct directory_index *index);
