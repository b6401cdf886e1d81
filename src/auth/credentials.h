#pragma once
/* What a request says of who asks: the Authorization header (RFC 7617, RFC 6750) and the form of a token request
 * (RFC 6749). Parsers of foreign bytes: no clock, no I/O. */
#include "base/secret.h"
#include "base/str.h"

enum { BASIC_TEXT_MAX = 1024, TOKEN_FORM_MAX = 2048, TOKEN_FORM_FIELDS_MAX = 16 };

/* Basic, with both parts form-encoded (RFC 6749 2.3.1). */
struct basic_credentials {
    size_t id_len, secret_len;
    char id[64];
    char secret[128];
};
/* E_CLIENT: absent (an empty value), of another scheme, malformed, or too long. */
result basic_parse(struct str authorization, struct basic_credentials *ret) MUST_USE;
void basic_wipe(struct basic_credentials *credentials);

/* Bearer: the token, as a part of `authorization`. E_UNAUTHENTICATED: absent, of another scheme or malformed. */
result bearer_parse(struct str authorization, struct str *ret_token) MUST_USE;

/* The fields of a token request; ptr is NULL for one that is absent or empty. */
struct token_form {
    struct str grant_type, scope, client_id;
    char text[TOKEN_FORM_MAX]; /* what the fields point into */
};
/* application/x-www-form-urlencoded. Unknown fields are ignored. E_BODY_SIZE: more than TOKEN_FORM_MAX bytes; E_BODY:
 * malformed, a field twice, no grant_type, or a client_secret, which belongs in the Authorization header; then *ret
 * is of no use. */
result token_form_parse(struct str body, struct token_form *ret) MUST_USE;
