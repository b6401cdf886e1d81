#pragma once
/* A configuration in use, with the keys of tokens that it names. A reload replaces the gateway's; a request keeps the
 * one that it began with. */
#include "auth/token.h"
#include "config/config.h"

struct snapshot {
    struct config *config;
    const struct region *region; /* this gateway's */
    struct token_keys *token_keys;
    struct token_signer *signer;
    size_t users;
};

/* Reads the configuration, checks all files that the gateway of the region needs, and reads the token keys. What is
 * wrong is in the log, all of it; the result is the first. Waits. */
result snapshot_load(const char *dir, const char *region_name, struct snapshot **ret) MUST_USE;

struct snapshot *snapshot_hold(struct snapshot *snapshot);
void snapshot_drop(struct snapshot *snapshot); /* frees it with its last user; takes NULL */

void snapshot_use_log_level(const struct snapshot *snapshot);
