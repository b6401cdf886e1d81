/* Heads and bodies of HTTP/1.1, as bytes: what is refused, what is understood. */
#include "memory.h"

struct head_case {
    const char *text;
    size_t length; /* 0: strlen */
    enum error_code code;
};
#define RAW(literal) literal, sizeof(literal) - 1

static const struct head_case heads[] = {
    { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_OK },
    { "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_OK },
    { "GET / HTTP/1.1\r\nHost: a.example:8443\r\n\r\n", 0, E_OK },
    { "GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", 0, E_OK },
    { "GET https://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_OK },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 0, E_OK },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0, E_OK },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n", 0, E_OK },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", 0, E_OK },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: a-pony\r\n\r\n", 0, E_EXPECT },
    /* two lengths */
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n", 0, E_HEAD },
    /* other codings */
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
      E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
      "chunked\r\n\r\n",
      0, E_HEAD },
    { "PUT / HTTP/1.1\r\nHost: a\r\nTransfer\xc3\xa9: chunked\r\n\r\n", 0, E_HEAD },
    /* lines */
    { "GET / HTTP/1.1\nHost: a\n\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\rContent-Length: 5\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\nX(): b\r\n\r\n", 0, E_HEAD },
    { RAW("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"), E_HEAD },
    { RAW("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\nX: b\x7f\r\n\r\n", 0, E_HEAD },
    { "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    /* hosts */
    { "GET / HTTP/1.1\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 0, E_HEAD },
    { "GET https://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    /* targets */
    { "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_TARGET },
    { "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_TARGET },
    { "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_TARGET },
    { "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_TARGET },
    { "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_TARGET },
    { "GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_TARGET },
    { "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_TARGET },
    { "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 0, E_HEAD },
    /* versions and methods */
    { "GET /\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "GET / http/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, E_HEAD },
    { "get / HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "G ET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, E_HEAD },
    { "\x16\x03\x01\x02\r\n\r\n", 0, E_HEAD },
};

static result read_head(struct http_request *request, struct str text, size_t step, struct h1_framing *ret)
{
    struct h1_scan scan = { 0 };
    enum h1_found found_head = H1_INCOMPLETE;
    size_t length = 0;
    for (size_t have = step; found_head == H1_INCOMPLETE; have += step) {
        struct str so_far = { text.ptr, have < text.len ? have : text.len };
        found_head = h1_find_head(&scan, so_far, &length);
        if (found_head == H1_INCOMPLETE && so_far.len == text.len)
            return FAIL(E_FORMAT, NULL, "the head does not end");
    }
    if (found_head == H1_MALFORMED)
        return FAIL(E_HEAD, NULL, "a line is malformed");
    char *copy = arena_cstr(&request->arena, (struct str){ text.ptr, length });
    return h1_parse_head(request, copy, length, 100, ret);
}

static void a_hostile_head_is_refused_however_it_is_split(void **state)
{
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct str text = { heads[i].text, heads[i].length == 0 ? strlen(heads[i].text) : heads[i].length };
        for (size_t step = 1; step <= text.len; step++) {
            struct http_request request = { 0 };
            struct h1_framing framing;
            arena_init(&request.arena);
            result r = read_head(&request, text, step, &framing);
            if (r.error.code != heads[i].code)
                fail_msg("head %zu \"%s\" in steps of %zu gave %s (%s)", i, heads[i].text, step,
                         error_name(r.error.code), r.error.what);
            arena_done(&request.arena);
        }
    }
}

/* What llhttp would refuse as well, in this version, is refused before it. */
static void the_scan_alone_refuses_malformed_lines(void **state)
{
    static const char *texts[] = {
        "GET / HTTP/1.1\nHost: a\n\n",           "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nX: b\rY: c\r\n\r\n",  "GET / HTTP/1.1\r\nX: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nX: b\r\n\tc\r\n\r\n", "GET / HTTP/1.1\r\nX: \x01\r\n\r\n",
        "GET / HTTP/1.1\r\nX: \x7f\r\n\r\n",     "\n"
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct h1_scan scan = { 0 };
        size_t length;
        if (h1_find_head(&scan, str_from(texts[i]), &length) != H1_MALFORMED)
            fail_msg("\"%s\" passes", texts[i]);
    }
}

static void a_value_has_no_control_character_at_any_place(void **state)
{
    for (unsigned c = 0; c < 256; c++) {
        for (size_t length = 1; length < 20; length++) {
            for (size_t at = 0; at < length; at++) {
                char text[20];
                memset(text, 'a', sizeof text);
                text[at] = (char)c;
                bool fine = c == '\t' || (c >= 0x20 && c != 0x7f);
                assert_int_equal(head_is_value((struct str){ text, length }), fine);
            }
        }
    }
}

#define ALPHANUMERIC "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* As the RFCs list them, for each byte that there is. */
static void every_place_has_its_own_letters(void **state)
{
    static const char token[] = ALPHANUMERIC "!#$%&'*+-.^_`|~", host[] = ALPHANUMERIC "-._~!$&'()*+,;=%",
                      target[] = ALPHANUMERIC "-._~!$&'()*+,;=%:@/?";
    for (int c = 1; c < 256; c++) {
        char name[] = { 'x', (char)c, 'y' }, path[] = { '/', (char)c, 'y' }, v6[] = { '[', (char)c, ']' };
        struct http_request request = { 0 };
        struct str authority;
        if (head_is_token((struct str){ name, 3 }) != (strchr(token, c) != NULL))
            fail_msg("%02x in a name", c);
        if (failed(head_set_target(&request, (struct str){ path, 3 }, &authority)) ==
            (strchr(target, c) != NULL))
            fail_msg("%02x in a target", c);
        if (failed(head_set_authority(&request, (struct str){ name, 3 })) == (strchr(host, c) != NULL))
            fail_msg("%02x in a host", c);
        if (failed(head_set_authority(&request, (struct str){ v6, 3 })) ==
            (strchr(ALPHANUMERIC ":.", c) != NULL))
            fail_msg("%02x in an address", c);
    }
}

static void an_authority_is_a_host_and_perhaps_a_port(void **state)
{
    static const char *const good[] = { "a", "a:", "a:0", "a:65535", "[::1]", "[::1]:", "[::1]:8443" },
                             *const bad[] = { "",     ":",  ":80", "a:65536", "a:08",   "a:8 ",
                                              "a:8x", "[]", "[:",  "[::1]x",  "[::1]:x" };
    struct http_request request = { 0 };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        check_ok(head_set_authority(&request, str_from(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_fails(E_HEAD, head_set_authority(&request, str_from(bad[i])));
    char longest[301];
    memset(longest, 'a', sizeof longest);
    check_ok(head_set_authority(&request, (struct str){ longest, 300 }));
    check_fails(E_HEAD, head_set_authority(&request, (struct str){ longest, 301 }));
}

static void numbers_are_written_as_printf_does(void **state)
{
    const uint64_t numbers[] = { 0, 1, 9, 10, 11, 99, 100, 1048576, UINT64_MAX - 1, UINT64_MAX };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[HEAD_NUMBER_SIZE], wanted[32];
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)numbers[i]);
        assert_true(str_is(head_number(text, numbers[i]), wanted));
    }
}

static void a_head_is_understood(void **state)
{
    static const char text[] =
        "PUT /v1/a%2Fb?x=1&y HTTP/1.1\r\nHost: eu.example:8443\r\nCONTENT-type:  text/plain \t\r\n"
        "Content-Length: 12\r\nconnection: keep-alive, Close\r\nX-Empty:\r\n\r\n";
    struct http_request request = { 0 };
    struct h1_framing framing;
    arena_init(&request.arena);
    check_ok(read_head(&request, (struct str){ text, sizeof text - 1 }, 1000, &framing));
    assert_int_equal(request.method, METHOD_PUT);
    assert_true(str_is(request.target, "/v1/a%2Fb?x=1&y"));
    assert_true(str_is(request.path, "/v1/a%2Fb"));
    assert_true(str_is(request.query, "x=1&y"));
    assert_true(str_is(request.authority, "eu.example:8443"));
    assert_true(str_is(http_header(&request, "content-type"), "text/plain"));
    assert_non_null(http_header(&request, "x-empty").ptr);
    assert_null(http_header(&request, "x-absent").ptr);
    assert_int_equal(request.body_length, 12);
    assert_int_equal(framing.length, 12);
    assert_true(framing.close);
    struct str value;
    check_ok(http_query(&request, "x", &value));
    assert_true(str_is(value, "1"));
    check_ok(http_query(&request, "y", &value));
    assert_true(value.ptr != NULL && value.len == 0);
    check_ok(http_query(&request, "z", &value));
    assert_null(value.ptr);
    arena_done(&request.arena);
}

static void a_query_parameter_is_text_and_given_once(void **state)
{
    static const struct {
        const char *query;
        enum error_code code;
        const char *value;
    } cases[] = {
        { "k=a%20b", E_OK, "a b" },  { "k=a+b", E_OK, "a+b" },        { "k=a=b", E_OK, "a=b" },
        { "kk=a", E_OK, NULL },      { "k=a&k=b", E_ARGUMENT, NULL }, { "k=%zz", E_ARGUMENT, NULL },
        { "k=%", E_ARGUMENT, NULL }, { "k=%00", E_ARGUMENT, NULL },   { "k=%ff", E_ARGUMENT, NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_request request = { .query = str_from(cases[i].query) };
        arena_init(&request.arena);
        struct str value = { 0 };
        result r = http_query(&request, "k", &value);
        if (r.error.code != cases[i].code || !str_eq(value, str_from(cases[i].value)))
            fail_msg("query \"%s\" gave %s \"%.*s\"", cases[i].query, error_name(r.error.code),
                     STR_ARG(value));
        arena_done(&request.arena);
    }
}

static void more_headers_than_allowed_are_refused(void **state)
{
    char text[2048] = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 100; i++)
        memcpy(text + strlen(text), "a:b\r\n", 6);
    memcpy(text + strlen(text), "\r\n", 3);
    struct http_request request = { 0 };
    struct h1_framing framing;
    arena_init(&request.arena);
    check_fails(E_HEAD_SIZE, read_head(&request, str_from(text), sizeof text, &framing));
    arena_done(&request.arena);
}

/* ---- bodies ---- */

struct body_case {
    const char *wire;
    const char *body; /* NULL: malformed */
    size_t behind;    /* bytes behind the body that are left alone */
};

static const struct body_case bodies[] = {
    { "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
    { "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", "hello world", 3 },
    { "0\r\n\r\n", "", 0 },
    { "0005\r\nhello\r\n0\r\n\r\n", "hello", 0 },
    { "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0 },
    { "5;name=\"value\"\r\nhello\r\n0;x\r\n\r\n", "hello", 0 },
    { "5\r\nhello\r\n0\r\nTrailer: dropped\r\nAnother: one\r\n\r\n", "hello", 0 },
    { "5\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "5\r\nhello\n0\r\n\r\n", NULL, 0 },
    { "5\r\nhelloXX0\r\n\r\n", NULL, 0 },
    { "5\r\nhelloX\n0\r\n\r\n", NULL, 0 },
    { "5\rXhello\r\n0\r\n\r\n", NULL, 0 },
    { "5 \r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { " 5\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "0x5\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "-5\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "g\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { ";x\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "fffffffffffffffff\r\nhello", NULL, 0 },
    { "0000000000000005\r\nhello", NULL, 0 },
    { "5;a\nb\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "5;a\rb\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "6\r\nhello\r\n0\r\n\r\n", NULL, 0 },
    { "5\r\nhello\r\n0\r\n folded\r\n\r\n", NULL, 0 },
    { "5\r\nhello\r\n0\r\nA: b\nC: d\r\n\r\n", NULL, 0 },
    { "5\r\nhello\r\n0\r\nA: b\x01\r\n\r\n", NULL, 0 },
    { "5\r\nhello\r\n0\r\n\rX", NULL, 0 },
};

/* Feeds `step` bytes at a time into a buffer of `room` bytes. */
static bool decode(struct str wire, size_t step, size_t room, char *out, size_t *ret_made, size_t *ret_left,
                   bool *ended)
{
    const struct h1_framing framing = { .length = HTTP_LENGTH_UNKNOWN };
    struct h1_body body;
    size_t at = 0, made = 0;
    h1_body_begin(&body, &framing);
    while (at < wire.len && body.state != BODY_ENDED) {
        struct str in = { wire.ptr + at, wire.len - at < step ? wire.len - at : step };
        size_t used, got;
        if (!h1_body_decode(&body, in, out + made, room, &used, &got))
            return false;
        at += used;
        made += got;
    }
    *ended = body.state == BODY_ENDED;
    *ret_made = made;
    *ret_left = wire.len - at;
    return true;
}

static void chunks_are_decoded_or_refused_however_they_are_split(void **state)
{
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct str wire = str_from(bodies[i].wire);
        for (size_t step = 1; step <= wire.len; step++) {
            for (size_t room = 1; room <= 8; room += 7) {
                char out[64];
                size_t made = 0, left = 0;
                bool ended = false, fine = decode(wire, step, room, out, &made, &left, &ended);
                bool as_wanted = bodies[i].body == NULL
                                     ? !fine || !ended
                                     : fine && ended && left == bodies[i].behind &&
                                           str_eq((struct str){ out, made }, str_from(bodies[i].body));
                if (!as_wanted)
                    fail_msg("body %zu \"%s\" in steps of %zu", i, bodies[i].wire, step);
                if (bodies[i].body == NULL && fine)
                    fail_msg("body %zu \"%s\" is not refused", i, bodies[i].wire);
            }
        }
    }
}

static void endless_extensions_and_trailers_are_refused(void **state)
{
    static const char *starts[] = { "5;", "0\r\na:" };
    for (size_t i = 0; i < 2; i++) {
        const struct h1_framing framing = { .length = HTTP_LENGTH_UNKNOWN };
        struct h1_body body;
        size_t used, made, sent = 0;
        char out[8];
        h1_body_begin(&body, &framing);
        assert_true(h1_body_decode(&body, str_from(starts[i]), out, sizeof out, &used, &made));
        while (h1_body_decode(&body, STR("x"), out, sizeof out, &used, &made) && sent < 100000)
            sent++;
        assert_in_range(sent, 8000, 8200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hostile_head_is_refused_however_it_is_split),
        cmocka_unit_test(the_scan_alone_refuses_malformed_lines),
        cmocka_unit_test(a_value_has_no_control_character_at_any_place),
        cmocka_unit_test(every_place_has_its_own_letters),
        cmocka_unit_test(an_authority_is_a_host_and_perhaps_a_port),
        cmocka_unit_test(numbers_are_written_as_printf_does),
        cmocka_unit_test(a_head_is_understood),
        cmocka_unit_test(a_query_parameter_is_text_and_given_once),
        cmocka_unit_test(more_headers_than_allowed_are_refused),
        cmocka_unit_test(chunks_are_decoded_or_refused_however_they_are_split),
        cmocka_unit_test(endless_extensions_and_trailers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
