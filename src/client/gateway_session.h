#pragma once
/* Talking to a region's gateway over HTTPS (libcurl), as the client whose credentials were given. HTTP/1.1, and a body
 * waits for "100 Continue": it does not leave this host if the region will not accept it. Redirects and 421 are not
 * followed: an error names the home, and the person decides. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

#include <stdio.h>

/* What a gateway said when it refused. Zeroed to begin with; a later refusal replaces an earlier one. */
struct gateway_refusal {
    const char *said; /* in full; in the session's arena; NULL: nothing */
    json_t *problem;  /* RFC 9457, or RFC 6749 5.2; NULL: it sent no JSON */
};
void gateway_refusal_done(struct gateway_refusal *refusal);

/* All of it outlives the session. */
struct gateway_session_options {
    struct arena *arena;             /* for paths, URLs and errors */
    struct gateway_refusal *refusal; /* where refusals go */
    const char *url;                 /* of the gateway; https:// */
    const char *ca;                  /* who signed its certificate; NULL: the system's */
    const char *credentials;         /* a file of mode 0600: id and secret, a line each; or NULL, and */
    const char *client_id, *client_secret;
};

struct gateway_session;
/* No connection yet. E_ARGUMENT: not a gateway's URL; E_UNAUTHENTICATED: no credentials; E_KEY...: as key_file_open. */
result gateway_session_new(const struct gateway_session_options *options, struct gateway_session **ret)
    MUST_USE;
void gateway_session_free(struct gateway_session *session); /* takes NULL */

/* An access token, asked for once a session. E_CLIENT, E_UNAVAILABLE, E_TLS... */
result gateway_token(struct gateway_session *session, const char **ret) MUST_USE;

struct gateway_ask {
    const char *method, *path; /* path: made by gateway_path */
    const char *query;         /* NULL: none; encoded */
    const char *type, *accept, *if_match, *if_none_match;
    bool basic;      /* with the id and the secret themselves, instead of a token */
    struct str body; /* ptr NULL: none */
    FILE *upload;    /* instead of body: streamed until its end */
    /* The answer's body as it comes, when the status is 2xx; false stops. NULL: it is kept. */
    bool (*take)(void *context, struct str bytes);
    void *context;
};

enum { GATEWAY_ANSWER_MAX = 80 << 20 };
struct gateway_answer {
    long status;
    struct buf body;          /* with take: empty, but for errors */
    char etag[64], type[256]; /* empty: it did not say */
};
void gateway_answer_done(struct gateway_answer *answer);

/* An answer of 400 or more is an error: the answer is in options.refusal, and the code is that of the problem's type.
 * *ret is set only on success. */
result gateway_ask(struct gateway_session *session, const struct gateway_ask *ask, struct gateway_answer *ret)
    MUST_USE;
/* The same for a JSON object as the answer (or nothing: NULL). The caller owns *ret. */
result gateway_ask_json(struct gateway_session *session, const struct gateway_ask *ask, json_t **ret)
    MUST_USE;

/* "/v1/customers/" and then the parts, percent-encoded: NULL ends them. */
const char *gateway_path(struct arena *arena, const char *first, ...) __attribute__((sentinel));
const char *gateway_escape(struct arena *arena, const char *text);

/* What a problem document says, as an error with its code; keeps it in *refusal. Pure. */
result gateway_refused(struct gateway_refusal *refusal, struct arena *arena, long status, struct str body)
    MUST_USE;
