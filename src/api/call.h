#pragma once
/* One request to the API, from its head to its answer; for the files of api alone. The function of a resource either
 * answers and returns OK, or fails; a failure is answered as a problem document with the members of `extra`. */
#include "api/api.h"
#include "base/json.h"
#include "http/problem.h"
#include "policy/policy.h"
#include "records/records.h"

struct api_call {
    struct http_request *request;
    struct gateway *gateway;
    const struct control *control;
    struct snapshot *snapshot; /* held until the call ends */
    struct http_match match;
    struct http_problem_extra extra;
    struct principal principal;      /* after api_authenticate */
    struct policy_decision decision; /* after api_decide */
    const struct data_class *class;  /* after api_decide; NULL for actions that are not about one */
    struct directory_entry customer; /* after api_admit */
    struct record_cell *cell;        /* after api_admit */
    json_t *members;                 /* freed with the call */
    json_t *secret;                  /* wiped and freed with the call */
};

/* Every resource's function, by the names of routes.def. */
#define X(method, pattern, function) result function(struct api_call *call) MUST_USE;
#include "api/routes.def"
#include "api/status_routes.def"
#undef X

/* ---- who asks, and may they (admit.c) ----
 * The order is part of P1 and P2: token, the token's region, its customer, policy, and only then whether and where the
 * customer exists. So no answer tells a principal about a customer for which it has no rights. */

/* E_UNAUTHENTICATED (also: its client is disabled), E_TOKEN_EXPIRED; E_WRONG_REGION: a token of another region. May wait,
 * for the cell that has the client. */
result api_authenticate(struct api_call *call) MUST_USE;

/* Asks the policy about `action` in this region. class: empty for actions that are not about one. E_POLICY,
 * E_CLASS_UNKNOWN. */
result api_decide(struct api_call *call, enum action action, struct str class) MUST_USE;

/* All these checks, for the customer of the path. E_FORBIDDEN: another customer's client. E_CUSTOMER_UNKNOWN,
 * E_WRONG_REGION, E_CUSTOMER_MOVING; E_REGION_UNKNOWN: the directory names a region or cell that is not configured. */
result api_admit(struct api_call *call, enum action action, struct str class) MUST_USE;

/* The same for the class of the path, and where its records are. */
result api_admit_shelf(struct api_call *call, enum action action, struct record_shelf *ret) MUST_USE;

/* The shelf of a customer as such, for statements that are not about a class. */
struct record_shelf api_shelf(const struct api_call *call);

/* Fails with E_WRONG_REGION, and names the home in `extra`. */
result api_send_home(struct api_call *call, struct str region) MUST_USE;

/* ---- what is traced (trace.c) ---- nothing here waits */

/* If it is a refusal (who asks, where the customer is, what the policy says), not just a failure. */
void api_trace_refusal(struct api_call *call, enum error_code code);
/* Wrong credentials of a client. found NULL: no cell knows the id that was sent. */
void api_trace_client_refused(struct api_call *call, struct str id, const struct client *found);
void api_trace_token(struct api_call *call, const struct client *client);

/* ---- bodies, parameters, answers (call.c) ---- */

/* A JSON object of at most 64 KiB with no members but these. E_MEDIA_TYPE, E_JSON. The caller owns *ret. */
result api_read_json(struct api_call *call, const char *const *members, json_t **ret) MUST_USE;

struct str api_media_type(struct str content_type); /* without parameters */
bool api_media_type_is(struct str content_type, const char *media_type);
/* What may be stored as a record's content type: record_type_is_sound. E_MEDIA_TYPE. */
result api_check_content_type(struct str content_type) MUST_USE;

size_t api_body_max(const struct api_call *call); /* bytes of a record of the call's class */

/* A query parameter that is (the beginning of) a key; empty when absent. E_ARGUMENT. */
result api_query_key(struct api_call *call, const char *name, struct str *ret) MUST_USE;
/* The query parameter "limit" of a list: 1 to RECORDS_PAGE_MAX, 100 when absent. E_ARGUMENT. */
result api_query_limit(struct api_call *call, size_t *ret) MUST_USE;

/* A string for an answer that is wiped when the call ends; one a call. The caller owns the returned reference. */
json_t *api_secret_json(struct api_call *call, struct str secret);
void api_answer_json(struct api_call *call, int status, json_t *value); /* takes over value */
void api_answer_created(struct api_call *call, json_t *value,
                        const char *location); /* 201; takes over value */

/* ---- records (bulk.c) ---- */
result api_bulk_out(struct api_call *call) MUST_USE; /* a list, with content */
