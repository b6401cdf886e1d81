#include "client/gateway_session.h"

#include "base/encode.h"
#include "base/secret.h"
#include "seal/key_file.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONNECT_WITHIN_S = 10,
    SILENT_WITHIN_S = 60,             /* no byte in either direction */
    CONTINUE_WITHIN_MS = 3600 * 1000, /* a gateway that stays silent ends it, and no body goes unasked */
    CREDENTIAL_MAX = 128,
    TOKEN_ANSWER_MAX = 16 * 1024
};

struct gateway_session {
    struct arena *arena;
    struct gateway_refusal *refusal;
    const char *base; /* URL without a slash at the end */
    const char *ca;
    CURL *curl;
    char *token;
    char client_id[CREDENTIAL_MAX + 1], client_secret[CREDENTIAL_MAX + 1];
};

/* ---- credentials ---- */

static result set_credential(char *to, struct str from, const char *what)
{
    if (from.len == 0 || from.len > CREDENTIAL_MAX)
        return FAIL(E_ARGUMENT, "Use the id and secret that domicile client add printed.",
                    "the client's %s is empty or too long", what);
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return OK;
}

static result credentials_from_file(struct gateway_session *session, const char *path)
{
    char text[2 * CREDENTIAL_MAX + 4];
    int fd = -1;
    TRY(key_file_open(path, E_ARGUMENT, &fd));
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    struct str rest = { text, len > 0 ? (size_t)len : 0 }, id = { 0 }, secret = { 0 };
    str_cut(&rest, '\n', &id);
    str_cut(&rest, '\n', &secret);
    result r = set_credential(session->client_id, id, "id");
    if (!failed(r))
        r = set_credential(session->client_secret, secret, "secret");
    secret_wipe(text, sizeof text);
    return r;
}

static result read_credentials(struct gateway_session *session, const struct gateway_session_options *options)
{
    if (options->credentials != NULL)
        return credentials_from_file(session, options->credentials);
    if (options->client_id == NULL || options->client_secret == NULL)
        return FAIL(E_UNAUTHENTICATED,
                    "Set $DOMICILE_CLIENT_ID and $DOMICILE_CLIENT_SECRET, or give --credentials FILE.",
                    "no client credentials are given");
    TRY(set_credential(session->client_id, str_from(options->client_id), "id"));
    return set_credential(session->client_secret, str_from(options->client_secret), "secret");
}

/* ---- a session ---- */

static result set_base(struct gateway_session *session, const char *url)
{
    if (strncmp(url, "https://", 8) != 0)
        return FAIL(E_ARGUMENT, "Give a URL that begins with https://.", "\"%s\" is not a gateway's URL",
                    url);
    size_t len = strlen(url);
    session->base = arena_cstr(session->arena, (struct str){ url, url[len - 1] == '/' ? len - 1 : len });
    return OK;
}

result gateway_session_new(const struct gateway_session_options *options, struct gateway_session **ret)
{
    struct gateway_session *session = calloc(1, sizeof *session);
    must(session != NULL);
    session->arena = options->arena;
    session->refusal = options->refusal;
    session->ca = options->ca;
    result r = set_base(session, options->url);
    if (!failed(r))
        r = read_credentials(session, options);
    if (!failed(r)) {
        must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
        session->curl = curl_easy_init();
        must(session->curl != NULL);
    }
    if (failed(r))
        gateway_session_free(session);
    else
        *ret = session;
    return r;
}

void gateway_session_free(struct gateway_session *session)
{
    if (session == NULL)
        return;
    if (session->curl != NULL) {
        curl_easy_cleanup(session->curl);
        curl_global_cleanup();
    }
    if (session->token != NULL)
        secret_wipe(session->token, strlen(session->token));
    free(session->token);
    secret_wipe(session->client_secret, sizeof session->client_secret);
    free(session);
}

void gateway_answer_done(struct gateway_answer *answer)
{
    buf_done(&answer->body);
}

/* ---- one exchange ---- */

struct exchange {
    CURL *curl;
    const struct gateway_ask *ask;
    struct gateway_answer *answer;
    bool stopped, too_large;
};

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    struct str got = { bytes, size * count };
    long status = 0;
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
    if (exchange->ask->take != NULL && status < 300) {
        exchange->stopped = !exchange->ask->take(exchange->ask->context, got);
        return exchange->stopped ? 0 : got.len;
    }
    exchange->too_large = !buf_append(&exchange->answer->body, got);
    return exchange->too_large ? 0 : got.len;
}

static void keep_value(struct str value, char *text, size_t size)
{
    if (value.len >= size)
        return;
    if (value.len > 0)
        memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    struct str rest = { bytes, size * count }, name;
    struct gateway_answer *answer = exchange->answer;
    str_cut(&rest, ':', &name);
    if (rest.len > 2)
        rest.len -= 2; /* CR LF */
    if (str_eq_nocase(name, STR("etag")))
        keep_value(str_trim(rest), answer->etag, sizeof answer->etag);
    else if (str_eq_nocase(name, STR("content-type")))
        keep_value(str_trim(rest), answer->type, sizeof answer->type);
    return size * count;
}

static size_t on_upload(char *to, size_t size, size_t count, void *context)
{
    FILE *file = context;
    size_t got = fread(to, 1, size * count, file);
    return got == 0 && ferror(file) ? CURL_READFUNC_ABORT : got;
}

static void add_header(struct arena *arena, struct curl_slist **list, const char *name, const char *value)
{
    if (value == NULL)
        return;
    struct curl_slist *longer = curl_slist_append(*list, arena_printf(arena, "%s: %s", name, value));
    must(longer != NULL);
    *list = longer;
}

/* `must` holds for options: they are ours, and libcurl refuses one only without memory or for a feature it lacks. */
#define set(option, value) must(curl_easy_setopt(exchange->curl, option, value) == CURLE_OK)

static void set_common(struct gateway_session *session, struct exchange *exchange, const char *url,
                       char *error)
{
    curl_easy_reset(exchange->curl); /* keeps the connection */
    set(CURLOPT_URL, url);
    set(CURLOPT_PROTOCOLS_STR, "https");
    set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROXY, "");
    set(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_WITHIN_S);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, (long)SILENT_WITHIN_S);
    set(CURLOPT_EXPECT_100_TIMEOUT_MS, (long)CONTINUE_WITHIN_MS);
    set(CURLOPT_ERRORBUFFER, error);
    set(CURLOPT_USERAGENT, "domicile/" DOMICILE_VERSION);
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_WRITEDATA, exchange);
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_HEADERDATA, exchange);
    if (session->ca != NULL)
        set(CURLOPT_CAINFO, session->ca);
}

static void set_body(struct arena *arena, struct exchange *exchange, struct curl_slist **headers)
{
    const struct gateway_ask *ask = exchange->ask;
    set(CURLOPT_CUSTOMREQUEST, ask->method);
    if (ask->upload == NULL && ask->body.ptr == NULL)
        return;
    set(CURLOPT_POST, 1L);
    add_header(arena, headers, "Expect", ask->upload != NULL || ask->body.len > 0 ? "100-continue" : "");
    if (ask->upload != NULL) {
        set(CURLOPT_READFUNCTION, on_upload);
        set(CURLOPT_READDATA, ask->upload);
        add_header(arena, headers, "Transfer-Encoding", "chunked");
    } else {
        set(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.len);
        set(CURLOPT_POSTFIELDS, ask->body.ptr);
    }
}

static result transport_error(struct gateway_session *session, CURLcode code, const char *error)
{
    const char *said = error[0] != '\0' ? error : curl_easy_strerror(code);
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return FAIL(E_TLS, "Check the gateway's certificate, and tls.ca in the region's file.", "%s: %s",
                    session->base, said);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return FAIL(E_ARGUMENT, "Give a URL like https://gateway.example:8443.", "%s: %s", session->base,
                    said);
    case CURLE_ABORTED_BY_CALLBACK:
        return FAIL(E_IO, "Check the file that is sent, and its disk.", "cannot read the input to send");
    default:
        return FAIL(E_UNAVAILABLE, "Check that the gateway is running and can be reached from this host.",
                    "%s: %s", session->base, said);
    }
}

static result perform(struct gateway_session *session, struct exchange *exchange, struct curl_slist *headers)
{
    char error[CURL_ERROR_SIZE] = "";
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_ERRORBUFFER, error);
    CURLcode code = curl_easy_perform(exchange->curl);
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &exchange->answer->status);
    set(CURLOPT_ERRORBUFFER, NULL);
    if (exchange->stopped)
        return FAIL(E_IO, "Check where the output goes: the disk may be full, or the reader may have ended.",
                    "cannot write the output");
    if (exchange->too_large)
        return FAIL(E_LIMIT, "Request less data.", "the answer of %s is larger than %zu bytes", session->base,
                    exchange->answer->body.max);
    return code == CURLE_OK ? OK : transport_error(session, code, error);
}
#undef set

static result exchange_run(struct gateway_session *session, const struct gateway_ask *ask,
                           const char *authorization, size_t answer_max, struct gateway_answer *ret)
{
    struct arena *arena = session->arena;
    const char *url = arena_printf(arena, "%s%s%s%s", session->base, ask->path, ask->query ? "?" : "",
                                   ask->query ? ask->query : "");
    struct gateway_answer answer = { 0 };
    struct exchange exchange = { .curl = session->curl, .ask = ask, .answer = &answer };
    struct curl_slist *headers = NULL;
    char unused[CURL_ERROR_SIZE];
    buf_init(&answer.body, answer_max);
    set_common(session, &exchange, url, unused);
    set_body(arena, &exchange, &headers);
    add_header(arena, &headers, "Authorization", authorization);
    add_header(arena, &headers, "Content-Type", ask->type);
    add_header(arena, &headers, "Accept", ask->accept != NULL ? ask->accept : "application/json");
    add_header(arena, &headers, "If-Match", ask->if_match);
    add_header(arena, &headers, "If-None-Match", ask->if_none_match);
    result r = perform(session, &exchange, headers);
    curl_slist_free_all(headers);
    if (!failed(r) && answer.status >= 400)
        r = gateway_refused(session->refusal, arena, answer.status, buf_str(&answer.body));
    if (!failed(r) && (answer.status < 200 || answer.status >= 300))
        r = FAIL(E_UNAVAILABLE, "Check what answers at the endpoint: it may not be a gateway.",
                 "%s answered %ld, which a gateway never does", session->base, answer.status);
    if (failed(r))
        gateway_answer_done(&answer);
    else
        *ret = answer;
    return r;
}

/* ---- tokens ---- */

/* RFC 6749 2.3.1: both parts form-encoded, then as in RFC 7617. */
static const char *basic(struct gateway_session *session)
{
    struct arena *arena = session->arena;
    const char *pair = arena_printf(arena, "%s:%s", gateway_escape(arena, session->client_id),
                                    gateway_escape(arena, session->client_secret));
    return arena_printf(arena, "Basic %s", encode_base64(arena, str_from(pair)).ptr);
}

result gateway_token(struct gateway_session *session, const char **ret)
{
    if (session->token == NULL) {
        const struct gateway_ask ask = { .method = "POST",
                                         .path = "/oauth/token",
                                         .type = "application/x-www-form-urlencoded",
                                         .body = STR("grant_type=client_credentials") };
        struct gateway_answer answer;
        TRY(exchange_run(session, &ask, basic(session), TOKEN_ANSWER_MAX, &answer));
        json_t *json = NULL;
        result r = json_parse(buf_str(&answer.body), JSON_DEPTH_MAX, &json);
        const char *token = json_string_value(json_object_get(json, "access_token"));
        if (token != NULL)
            session->token = strdup(token);
        json_decref(json);
        gateway_answer_done(&answer);
        if (failed(r) || session->token == NULL)
            return FAIL(E_UNAVAILABLE, "Check what answers at the endpoint: it may not be a gateway.",
                        "%s gave no access token", session->base);
    }
    *ret = session->token;
    return OK;
}

result gateway_ask(struct gateway_session *session, const struct gateway_ask *ask, struct gateway_answer *ret)
{
    const char *token = NULL;
    if (ask->basic)
        return exchange_run(session, ask, basic(session), GATEWAY_ANSWER_MAX, ret);
    TRY(gateway_token(session, &token));
    return exchange_run(session, ask, arena_printf(session->arena, "Bearer %s", token), GATEWAY_ANSWER_MAX,
                        ret);
}

result gateway_ask_json(struct gateway_session *session, const struct gateway_ask *ask, json_t **ret)
{
    struct gateway_answer answer;
    TRY(gateway_ask(session, ask, &answer));
    *ret = NULL;
    result r = answer.body.len == 0 ? OK : json_parse(buf_str(&answer.body), JSON_DEPTH_MAX, ret);
    gateway_answer_done(&answer);
    return r;
}

/* ---- paths ---- */

const char *gateway_escape(struct arena *arena, const char *text)
{
    size_t size = 3 * strlen(text) + 1;
    char *escaped = arena_alloc(arena, size);
    must(str_percent_encode(str_from(text), escaped, size));
    return escaped;
}

const char *gateway_path(struct arena *arena, const char *first, ...)
{
    const char *path = arena_printf(arena, "/v1/customers/%s", gateway_escape(arena, first));
    va_list parts;
    va_start(parts, first);
    for (const char *part; (part = va_arg(parts, const char *)) != NULL;)
        path = arena_printf(arena, "%s/%s", path, gateway_escape(arena, part));
    va_end(parts);
    return path;
}
