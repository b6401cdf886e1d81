#pragma once
/* Clients as the functions of the schema return them (src/schema/012-clients.sql). */
#include "auth/client_proof.h"
#include "base/arena.h"
#include "pg/reply.h"

/* Row 0 of domicile.client_get(id). *ret_adopted: its customer's clients have a set with a proof. E_SCHEMA: malformed. */
result client_from_reply(const struct pg_reply *reply, struct str id, struct client *ret, bool *ret_adopted)
    MUST_USE;

/* The rows of domicile.client_set_get(customer), in the arena. The directory knows the versions of keys; alarms are what an
 * earlier look has left on record. */
struct client_scope {
    struct client_set set;
    bool is_here; /* the customer is in the cell; the staff always is */
    struct client_scope_key {
        const char *class;
        uint64_t version;
    } * keys;
    struct client_scope_alarm {
        const char *subject, *evidence;
    } * alarms;
    size_t key_count, alarm_count;
};
result client_scope_from_reply(const struct pg_reply *reply, struct str customer, struct arena *arena,
                               struct client_scope *ret) MUST_USE;
