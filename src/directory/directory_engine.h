#pragma once
/* What an engine of the directory implements; for src/directory alone. Arguments are checked before they get
 * here. */
#include "directory/directory.h"

struct directory_ops {
    void (*close)(struct directory *directory);
    result (*get)(struct directory *directory, struct arena *arena, struct str id,
                  struct directory_entry *ret);
    result (*list)(struct directory *directory, struct arena *arena, struct str after, size_t limit,
                   struct directory_page *ret);
    result (*swap)(struct directory *directory, const struct directory_entry *entry, uint64_t expected,
                   uint64_t *ret_version);
    result (*remove)(struct directory *directory, struct str id, uint64_t expected, uint64_t *ret_version);
    result (*watch)(struct directory *directory, struct arena *arena, uint64_t after_revision,
                    struct directory_changes *ret);
    result (*services_keep)(struct directory *directory, const struct directory_services *services,
                            bool *ret_new);
    result (*services_get)(struct directory *directory, struct arena *arena, uint32_t version,
                           struct directory_services *ret);
    result (*mark)(struct directory *directory, struct str name, uint64_t version, uint64_t *ret_version);
    result (*lease_acquire)(struct directory *directory, struct str name, struct str holder, uint64_t ttl_ms,
                            uint64_t above, struct directory_lease *ret);
    result (*lease_renew)(struct directory *directory, struct directory_lease *lease, uint64_t ttl_ms);
    result (*lease_release)(struct directory *directory, const struct directory_lease *lease);
};

/* The first member of each engine's own struct. */
struct directory {
    const struct directory_ops *ops;
};
