#pragma once
/* Errors to clients: application/problem+json (RFC 9457). */
#include "http/request.h"

struct json_t;

/* What some problems say beside the error; members that are NULL or 0 are left out. */
struct http_problem_extra {
    const char *region;      /* this gateway's */
    const char *home_region; /* the customer's */
    const char *home_endpoint;
    const char *policy_rule;  /* who refused: name and place of the rule */
    const char *allow;        /* for 405: "GET, PUT" */
    const char *authenticate; /* WWW-Authenticate; for 401, default "Bearer" */
    unsigned retry_after_s;   /* for 429 and 503, default 1 */
    struct json_t *members;   /* an object whose members are added; borrowed */
};

/* The error as an object with type "urn:domicile:error:SLUG", title, status and detail (what and hint): for one that is
 * told inside of another answer. The detail of a status of 500 and above is only its title: clients are not told what
 * failed inside. The caller owns it. */
struct json_t *http_problem_json(struct arena *arena, const struct error *error);

/* Answers with the error: the members of http_problem_json, instance "urn:domicile:request:ID", and extra's. A status
 * of 500 is logged with its cause and the request's id. E_WRONG_REGION, E_BODY_SIZE, E_SLOW and E_BODY close the
 * connection. If the answer has begun already, nothing is sent. extra may be NULL. */
void http_problem(struct http_request *request, const struct error *error,
                  const struct http_problem_extra *extra);
