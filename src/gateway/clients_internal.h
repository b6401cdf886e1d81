#pragma once
/* What the files of clients share; nobody else includes it. */
#include "gateway/clients.h"

/* A shelf of a customer (empty: the staff) for what the gateway does by itself. */
struct record_shelf clients_shelf(struct gateway *gateway, struct record_cell *cell, int64_t epoch,
                                  struct str customer, struct str request);

/* The row of an id in one cell, as it stands there. *ret_adopted: its customer's clients have a proof. */
result clients_get(struct record_cell *cell, struct str id, struct client *ret, bool *ret_found,
                   bool *ret_adopted) MUST_USE;

result clients_load(const struct record_shelf *shelf, struct arena *arena, struct client_scope *ret) MUST_USE;

/* The mark of the shelf's clients in the directory, and directory_mark within its time. */
struct str clients_mark_name(const struct record_shelf *shelf, char name[DIRECTORY_MARK_NAME_MAX + 1]);
result clients_mark(struct gateway *gateway, struct str name, uint64_t version, uint64_t *ret_version)
    MUST_USE;

/* Of a set that has no proof, and whose mark is 0: its rows and the set are proven. OK also where another gateway was
 * faster: load it again. */
result clients_adopt(struct gateway *gateway, const struct record_shelf *shelf,
                     const struct client_scope *scope) MUST_USE;

/* Calls a statement whose answer is one outcome. *ret_stale: it is "stale". An error: it is neither that nor "done". */
result clients_ask_outcome(const struct record_shelf *shelf, enum statement statement,
                           const struct pg_value *params, size_t count, bool *ret_stale) MUST_USE;
