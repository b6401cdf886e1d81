#pragma once
/* The root key of a region, from where its file declares it. */
#include "config/config.h"
#include "seal/rootkey.h"

/* Blocks the thread, like rootkey_load_command. E_KEY_PROVIDER. */
result rootkey_load_declared(const struct region *region, struct root_key *ret) MUST_USE;
