/* What a server says first, whole and in pieces, right and wrong. */
#include "check.h"

#include "ssh/algorithms.h"
#include "ssh/hello.h"

static const char *const strong[KEXINIT_LISTS] = {
    "sntrup761x25519-sha512@openssh.com,curve25519-sha256,kex-strict-s-v00@openssh.com",
    "rsa-sha2-512,ssh-ed25519",
    "chacha20-poly1305@openssh.com,aes256-ctr",
    "aes256-ctr",
    "hmac-sha2-512-etm@openssh.com,hmac-sha2-256",
    "hmac-sha2-512",
    "none,zlib@openssh.com",
    "none",
    "",
    "",
};

static void put_u32(struct buf *buf, uint32_t number)
{
    const char bytes[] = { (char)(number >> 24), (char)(number >> 16), (char)(number >> 8), (char)number };
    assert_true(buf_append(buf, (struct str){ bytes, sizeof bytes }));
}

static void put_payload(struct buf *buf, const char *const *lists)
{
    static const char head[1 + 16] = { 20 };
    static const char tail[1 + 4];
    assert_true(buf_append(buf, (struct str){ head, sizeof head }));
    for (size_t i = 0; i < KEXINIT_LISTS; i++) {
        put_u32(buf, (uint32_t)strlen(lists[i]));
        assert_true(buf_append(buf, str_from(lists[i])));
    }
    assert_true(buf_append(buf, (struct str){ tail, sizeof tail }));
}

static void put_packet(struct buf *buf, const char *const *lists)
{
    struct buf payload;
    buf_init(&payload, 1 << 20);
    put_payload(&payload, lists);
    put_u32(buf, (uint32_t)(1 + payload.len + 7));
    assert_true(buf_append(buf, STR("\7")));
    assert_true(buf_append(buf, buf_str(&payload)));
    assert_true(buf_append(buf, STR("paddin!")));
    buf_done(&payload);
}

static result feed_in_pieces(struct hello *hello, struct str bytes, size_t piece)
{
    while (bytes.len > 0) {
        size_t len = bytes.len < piece ? bytes.len : piece;
        TRY(hello_feed(hello, (struct str){ bytes.ptr, len }));
        bytes = (struct str){ bytes.ptr + len, bytes.len - len };
    }
    return OK;
}

static void an_offer_is_read_whatever_the_pieces(void **state)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    assert_true(buf_append(&buf, STR("a banner\r\nof two lines\nSSH-2.0-OpenSSH_9.2p1 Debian\r\n")));
    put_packet(&buf, strong);
    assert_true(buf_append(&buf, STR("what follows is not looked at")));
    for (size_t piece = 1; piece < buf.len + 2; piece += piece < 40 ? 1 : 37) {
        struct hello hello;
        hello_init(&hello);
        check_ok(feed_in_pieces(&hello, buf_str(&buf), piece));
        assert_int_equal(hello.state, HELLO_KNOWN);
        assert_string_equal(hello.line, "SSH-2.0-OpenSSH_9.2p1 Debian");
        assert_string_equal(hello.first, "a banner");
        assert_int_equal(hello.lines, 2);
        for (size_t i = 0; i < KEXINIT_LISTS; i++)
            assert_true(str_is(hello.offer.lists[i], strong[i]));
        assert_true(hello_offers(&hello, KEXINIT_KEX, STR("kex-strict-s-v00@openssh.com")));
        assert_false(hello_offers(&hello, KEXINIT_KEX, STR("kex-strict")));
        check_ok(algorithms_check_offer(&hello.offer));
        hello_done(&hello);
    }
    buf_done(&buf);
}

static void check_refused(const char *said, const char *words)
{
    struct hello hello;
    hello_init(&hello);
    result r = hello_feed(&hello, str_from(said));
    check_fails(E_SSH, r);
    if (strstr(r.error.what, words) == NULL)
        fail_msg("\"%s\" does not say: %s", r.error.what, words);
    hello_done(&hello);
}

static void versions_other_than_2_0_are_refused(void **state)
{
    check_refused("SSH-1.99-OpenSSH_3.9\r\n", "\"SSH-1.99-OpenSSH_3.9\"");
    check_refused("SSH-1.5-x\n", "SSH-1.5-x");
    check_refused("SSH-2.1-x\n", "SSH-2.1-x");
    check_refused("SSH-\n", "\"SSH-\"");
    check_refused("SSH-2.00-x\n", "SSH-2.00-x");
    check_refused("hello\nSSH-1.5-\x1b[2J\n",
                  "SSH-1.5-?[2J"); /* nothing of a peer reaches a terminal as it is */
}

static void what_is_no_line_is_refused(void **state)
{
    char line[HELLO_LINE_BYTES_MAX];
    struct hello hello;
    memset(line, 'x', sizeof line);
    hello_init(&hello);
    check_ok(hello_feed(&hello, (struct str){ line, sizeof line }));
    check_fails(E_SSH, hello_feed(&hello, STR("x")));
    hello_done(&hello);
    hello_init(&hello);
    check_ok(hello_feed(&hello, (struct str){ line, sizeof line }));
    check_ok(hello_feed(&hello, STR("\n")));
    check_fails(E_SSH, hello_feed(&hello, (struct str){ "a\0b", 3 }));
    hello_done(&hello);
    hello_init(&hello);
    for (int i = 0; i < HELLO_LINES_MAX; i++)
        check_ok(hello_feed(&hello, STR("\n")));
    check_fails(E_SSH, hello_feed(&hello, STR("\n")));
    hello_done(&hello);
}

static void a_first_packet_that_is_no_offer_is_left_to_libssh2(void **state)
{
    static const struct str packets[] = {
        { "\0\0\0\x0c\4\2aaaaaaaaaa", 16 },   /* another type */
        { "\xff\xff\xff\xff\4\x14", 6 },      /* too long */
        { "\0\0\0\4\xff\x14", 6 },            /* more padding than packet */
        { "\0\0\0\x0c\4\x14xxxxxxxxxx", 16 }, /* lists that are not there */
    };
    for (size_t i = 0; i < COUNT(packets); i++) {
        struct hello hello;
        hello_init(&hello);
        check_ok(hello_feed(&hello, STR("SSH-2.0-x\n")));
        check_ok(hello_feed(&hello, packets[i]));
        assert_int_equal(hello.state, HELLO_OTHER);
        check_ok(hello_feed(&hello, packets[i]));
        assert_false(hello_offers(&hello, KEXINIT_KEX, STR("x")));
        hello_done(&hello);
    }
}

/* Every prefix, and every length that lies. */
static void a_payload_that_is_cut_off_or_lies_is_refused(void **state)
{
    struct buf payload;
    struct kexinit offer;
    buf_init(&payload, 1 << 20);
    put_payload(&payload, strong);
    size_t whole = payload.len - 5;
    for (size_t len = 0; len < whole; len++)
        assert_false(kexinit_parse((struct str){ payload.ptr, len }, &offer));
    assert_true(kexinit_parse((struct str){ payload.ptr, whole }, &offer));
    payload.ptr[17] = (char)0xff;
    assert_false(kexinit_parse(buf_str(&payload), &offer));
    payload.ptr[17] = 0;
    payload.ptr[21] = '\n'; /* in a name */
    assert_false(kexinit_parse(buf_str(&payload), &offer));
    buf_done(&payload);
}

static void each_algorithm_that_is_missing_is_named(void **state)
{
    static const struct {
        enum kexinit_list list;
        const char *weak, *words;
    } cases[] = {
        { KEXINIT_KEX, "diffie-hellman-group14-sha256", "no key exchange of" },
        { KEXINIT_HOST_KEY, "rsa-sha2-512,ecdsa-sha2-nistp256", "no host key of" },
        { KEXINIT_CIPHER_CS, "aes256-gcm@openssh.com", "no cipher of" },
        { KEXINIT_CIPHER_SC, "aes256-cbc", "no cipher of" },
        { KEXINIT_MAC_CS, "hmac-sha1", "no MAC of" },
        { KEXINIT_MAC_SC, "hmac-sha2-256-etm@openssh.com", "no MAC of" },
        { KEXINIT_COMPRESSION_CS, "zlib", "no compression of" },
        { KEXINIT_COMPRESSION_SC, "", "no compression of" },
        { KEXINIT_KEX, "curve25519-sha256x,xcurve25519-sha256", "no key exchange of" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kexinit offer;
        for (size_t j = 0; j < KEXINIT_LISTS; j++)
            offer.lists[j] = str_from(j == cases[i].list ? cases[i].weak : strong[j]);
        result r = algorithms_check_offer(&offer);
        check_fails(E_SSH, r);
        assert_non_null(strstr(r.error.what, cases[i].words));
        assert_non_null(strstr(r.error.what, cases[i].weak));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_is_read_whatever_the_pieces),
        cmocka_unit_test(versions_other_than_2_0_are_refused),
        cmocka_unit_test(what_is_no_line_is_refused),
        cmocka_unit_test(a_first_packet_that_is_no_offer_is_left_to_libssh2),
        cmocka_unit_test(a_payload_that_is_cut_off_or_lies_is_refused),
        cmocka_unit_test(each_algorithm_that_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
