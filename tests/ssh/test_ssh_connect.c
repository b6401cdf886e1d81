/* Who is let in, and by whom: servers with other keys, other algorithms, other protocols. */
#include "host.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static result try(const struct ssh_options *options)
{
    struct ssh *ssh = NULL;
    result r = ssh_connect(options, &ssh);
    if (failed(r))
        assert_null(ssh);
    else
        ssh_close(ssh);
    return r;
}

static void check_says(result r, enum error_code code, const char *const *words)
{
    check_fails(code, r);
    for (; *words != NULL; words++)
        if (strstr(r.error.what, *words) == NULL)
            fail_msg("\"%s\" does not say: %s", r.error.what, *words);
    assert_non_null(r.error.hint);
}

ON_LOOP(a_good_host_is_entered_with_strong_algorithms_alone)
{
    struct ssh_negotiated negotiated;
    struct ssh *ssh = host_connect();
    ssh_negotiated(ssh, &negotiated);
    assert_string_equal(negotiated.kex, "curve25519-sha256");
    assert_string_equal(negotiated.host_key, "ssh-ed25519");
    assert_string_equal(negotiated.cipher_out, "aes256-ctr");
    assert_string_equal(negotiated.cipher_in, "aes256-ctr");
    assert_string_equal(negotiated.mac_out, "hmac-sha2-512");
    assert_string_equal(negotiated.mac_in, "hmac-sha2-512");
    assert_int_equal(strncmp(negotiated.server_version, "SSH-2.0-OpenSSH_", 16), 0);
    assert_int_equal(strncmp(negotiated.client_version, "SSH-2.0-libssh2_", 16), 0);
    assert_int_equal(strlen(negotiated.fingerprint), SSH_FINGERPRINT_SIZE - 1);
    assert_true(negotiated.strict_kex_offered);
    assert_true(ssh_serves(ssh));
    ssh_close(ssh);
}

ON_LOOP(a_name_is_resolved_off_the_loop)
{
    struct ssh_options options = host_options("good");
    options.address = NULL;
    options.host = "localhost";
    check_ok(try(&options));
    options.address = "no-such-host.invalid";
    check_fails(E_UNAVAILABLE, try(&options));
}

ON_LOOP(nobody_there_is_unavailable)
{
    struct ssh_options options = host_options("good");
    options.port = 1;
    check_says(try(&options), E_UNAVAILABLE, WORDS("par1", "127.0.0.1", "port 1", "refused"));
}

/* ---- the host's key ---- */

static const char *log_of(const char *server)
{
    FILE *file = fopen(host_path(arena_printf(&test_arena, "%s.log", server)), "re");
    char *text = arena_zalloc(&test_arena, 1 << 20);
    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static const char *fingerprint_of(struct ssh *ssh)
{
    struct ssh_negotiated negotiated;
    ssh_negotiated(ssh, &negotiated);
    return arena_printf(&test_arena, "%s", negotiated.fingerprint);
}

ON_LOOP(another_host_key_is_refused_before_the_user_is_named)
{
    struct ssh *right = host_connect();
    struct ssh_options options = host_options("changed"), other = host_options("changed");
    other.host_key = host_text(host_path("other-host.pub"));
    result r = try(&options);
    assert_null(strstr(log_of("changed"), getenv("SSHT_USER")));
    assert_null(strstr(log_of("changed"), "Accepted key"));
    struct ssh *changed = host_open(&other);
    check_says(r, E_HOST_KEY,
               WORDS("par1", fingerprint_of(right), fingerprint_of(changed), "but the pin is"));
    ssh_close(right);
    ssh_close(changed);
}

ON_LOOP(a_pin_that_is_none_is_a_matter_of_configuration)
{
    static const char *const pins[] = { "", "ssh-ed25519", "ssh-rsa AAAA", "AAAAC3NzaC1lZDI1NTE5AAAA",
                                        "ssh-ed25519 AAAA" };
    struct ssh_options options = host_options("good");
    for (size_t i = 0; i < COUNT(pins); i++) {
        options.host_key = pins[i];
        check_fails(E_CONFIG, try(&options));
    }
    options.host_key = host_text(host_path("rsa-host.pub"));
    check_fails(E_CONFIG, try(&options));
}

/* ---- algorithms ---- */

ON_LOOP(servers_with_other_algorithms_are_refused_in_words)
{
    struct ssh_options rsa = host_options("rsa"), etm = host_options("etm"), kex = host_options("weak-kex"),
                       cipher = host_options("weak-cipher");
    check_says(try(&rsa), E_SSH, WORDS("par1", "no host key of \"ssh-ed25519\"", "rsa-sha2-512"));
    check_says(try(&etm), E_SSH, WORDS("par1", "no MAC of", "hmac-sha2-256-etm@openssh.com"));
    check_says(try(&kex), E_SSH, WORDS("par1", "no key exchange of", "diffie-hellman-group14-sha1"));
    check_says(try(&cipher), E_SSH, WORDS("par1", "no cipher of \"aes256-ctr\"", "aes128-cbc"));
}

/* ---- the user's key ---- */

ON_LOOP(a_key_that_the_host_does_not_know_is_refused_by_it)
{
    struct ssh_options options = host_options("good");
    options.private_key = host_path("stranger");
    check_says(try(&options), E_SSH, WORDS("par1", getenv("SSHT_USER"), "stranger"));
    options = host_options("good");
    options.user = "no-such-user";
    check_says(try(&options), E_SSH, WORDS("no-such-user"));
}

ON_LOOP(a_private_key_that_is_not_usable_is_a_matter_of_configuration)
{
    struct ssh_options options = host_options("good");
    options.private_key = host_path("locked");
    check_says(try(&options), E_CONFIG, WORDS("passphrase"));
    options.private_key = host_path("ecdsa");
    check_says(try(&options), E_CONFIG, WORDS("Ed25519"));
    options.private_key = host_path("user.pub");
    assert_int_equal(chmod(options.private_key, 0600), 0);
    check_says(try(&options), E_CONFIG, WORDS("OpenSSH"));
    options.private_key = host_path("missing");
    check_fails(E_CONFIG, try(&options));
    options.private_key = host_path("user");
    assert_int_equal(chmod(options.private_key, 0644), 0);
    check_says(try(&options), E_CONFIG, WORDS("0644"));
    assert_int_equal(chmod(options.private_key, 0600), 0);
    check_ok(try(&options));
}

/* ---- peers that are something else ---- */

struct peer {
    int fd;
    uint16_t port;
    struct str bytes; /* what it says, */
    bool repeats;     /* again and again */
    bool stays;       /* and then says no more; or closes */
};

static void serve(void *arg)
{
    struct peer *peer = arg;
    int seen, fd;
    if (failed(fiber_await_fd(peer->fd, WATCH_READABLE, &seen)) ||
        (fd = accept4(peer->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
        return;
    struct str rest = peer->bytes;
    while (rest.len > 0) {
        ssize_t sent = send(fd, rest.ptr, rest.len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            break;
        if (sent < 0 && failed(fiber_await_fd(fd, WATCH_WRITABLE, &seen)))
            break;
        rest = sent < 0 ? rest : (struct str){ rest.ptr + sent, rest.len - (size_t)sent };
        if (rest.len == 0 && peer->repeats)
            rest = peer->bytes;
    }
    if (peer->stays)
        while (!failed(fiber_sleep(1000)))
            ;
    close(fd);
}

static result meet(struct peer *peer, uint64_t *ret_ms)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    struct scope scope = SCOPE_INIT;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(peer->fd, 1), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&address, &size), 0);
    check_ok(fiber_spawn(&scope, "peer", serve, peer));
    struct ssh_options options = host_options("good");
    options.port = ntohs(address.sin_port);
    options.connect_within_ms = 400;
    uint64_t begin = now_ms();
    result r = try(&options);
    *ret_ms = now_ms() - begin;
    scope_end(&scope);
    close(peer->fd);
    return r;
}

static void check_peer(struct peer peer, enum error_code code, const char *const *words)
{
    uint64_t ms;
    check_says(meet(&peer, &ms), code, words);
    assert_in_range(ms, 0, 1000);
}

ON_LOOP(other_versions_are_refused_by_name)
{
    static const char *const versions[] = { "SSH-1.99-OpenSSH_3.9p1\r\n", "SSH-1.5-1.2.27\n", "SSH-3.0-x\r\n",
                                            "SSH-2\r\n" };
    for (size_t i = 0; i < COUNT(versions); i++) {
        const char *name = arena_printf(&test_arena, "%.*s", (int)strcspn(versions[i], "\r\n"), versions[i]);
        check_peer((struct peer){ .bytes = str_from(versions[i]), .stays = true }, E_SSH,
                   WORDS("par1", name, "only version 2.0"));
    }
}

ON_LOOP(what_is_no_ssh_server_is_told_so)
{
    check_peer((struct peer){ .stays = true }, E_UNAVAILABLE, WORDS("par1", "within 400 ms"));
    check_peer((struct peer){ .stays = false }, E_UNAVAILABLE, WORDS("par1", "closed the connection"));
    check_peer((struct peer){ .bytes = STR("HTTP/1.1 400 Bad Request\r\n\r\n") }, E_SSH,
               WORDS("par1", "does not speak SSH", "HTTP/1.1 400"));
    check_peer((struct peer){ .bytes = STR("220 mail ESMTP\r\n"), .stays = true }, E_UNAVAILABLE,
               WORDS("within 400 ms"));
    check_peer((struct peer){ .bytes = STR("Exceeded MaxStartups\r\n") }, E_UNAVAILABLE,
               WORDS("Exceeded MaxStartups"));
    check_peer((struct peer){ .bytes = STR("\x16\x03\x01\x00\x05 tls"), .stays = true }, E_SSH,
               WORDS("does not speak SSH"));
}

/* So much at once that the peer does not keep the loop for itself. */
static struct peer flood(const char *text)
{
    size_t len = strlen(text), count = (1 << 20) / len;
    char *bytes = arena_alloc(&test_arena, count * len);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + i * len, text, len);
    return (struct peer){ .bytes = { bytes, count * len }, .repeats = true };
}

ON_LOOP(floods_are_bounded)
{
    check_peer(flood("x"), E_SSH, WORDS("does not speak SSH", "xxxx"));
    check_peer(flood("hello\n"), E_SSH, WORDS("more than 32 lines", "hello"));
    check_peer(flood("\n"), E_SSH, WORDS("does not speak SSH"));
    check_peer(flood("SSH-2.0-x\r\n"), E_SSH, WORDS("par1", "exchanging keys"));
}

/* A packet in clear, as before the key exchange: length, padding, type. */
static struct str packet(uint8_t type, size_t payload)
{
    size_t padding = 8 - (5 + payload) % 8 + 4, length = 1 + payload + padding;
    char *bytes = arena_zalloc(&test_arena, 4 + length);
    bytes[2] = (char)(length >> 8);
    bytes[3] = (char)length;
    bytes[4] = (char)padding;
    bytes[5] = (char)type;
    return (struct str){ bytes, 4 + length };
}

ON_LOOP(packets_before_the_key_exchange_do_not_hold_up_the_loop_nor_fill_the_memory)
{
    static const uint8_t types[] = { 2 /* IGNORE */, 4 /* DEBUG */, 20 /* KEXINIT */, 94 /* CHANNEL_DATA */,
                                     255 };
    for (size_t i = 0; i < COUNT(types); i++) {
        struct str one = packet(types[i], 1024), version = STR("SSH-2.0-flood\r\n");
        char *bytes = arena_alloc(&test_arena, version.len + 512 * one.len);
        memcpy(bytes, version.ptr, version.len);
        for (size_t j = 0; j < 512; j++)
            memcpy(bytes + version.len + j * one.len, one.ptr, one.len);
        struct peer peer = { .bytes = { bytes, version.len + 512 * one.len }, .stays = true };
        uint64_t ms;
        result r = meet(&peer, &ms);
        assert_true(r.error.code == E_SSH || r.error.code == E_UNAVAILABLE);
        assert_in_range(ms, 0, 1000);
    }
}

ON_LOOP(random_bytes_behind_the_version_end_in_an_error)
{
    uint32_t state = 1;
    for (int round = 0; round < 40; round++) {
        char *bytes = arena_alloc(&test_arena, 4096);
        memcpy(bytes, "SSH-2.0-x\r\n", 11);
        for (size_t i = 11; i < 4096; i++) {
            state = state * 1664525 + 1013904223;
            bytes[i] = (char)(state >> 24);
        }
        if (round % 2 == 0)
            memcpy(bytes + 11, "\0\0\x02\0\4\x14", 6); /* the head of an offer */
        struct peer peer = { .bytes = { bytes, 4096 } };
        uint64_t ms;
        result r = meet(&peer, &ms);
        assert_true(r.error.code == E_SSH || r.error.code == E_UNAVAILABLE);
        assert_in_range(ms, 0, 1000);
    }
}

/* ---- ends before their time ---- */

ON_LOOP(an_outer_deadline_counts_and_is_told_as_one)
{
    struct peer peer = { .stays = true };
    struct deadline deadline;
    uint64_t ms;
    deadline_begin(&deadline, 100);
    check_fails(E_DEADLINE, meet(&peer, &ms));
    deadline_end(&deadline);
    assert_in_range(ms, 90, 350);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_host_is_entered_with_strong_algorithms_alone),
        cmocka_unit_test(a_name_is_resolved_off_the_loop),
        cmocka_unit_test(nobody_there_is_unavailable),
        cmocka_unit_test(another_host_key_is_refused_before_the_user_is_named),
        cmocka_unit_test(a_pin_that_is_none_is_a_matter_of_configuration),
        cmocka_unit_test(servers_with_other_algorithms_are_refused_in_words),
        cmocka_unit_test(a_key_that_the_host_does_not_know_is_refused_by_it),
        cmocka_unit_test(a_private_key_that_is_not_usable_is_a_matter_of_configuration),
        cmocka_unit_test(other_versions_are_refused_by_name),
        cmocka_unit_test(what_is_no_ssh_server_is_told_so),
        cmocka_unit_test(floods_are_bounded),
        cmocka_unit_test(packets_before_the_key_exchange_do_not_hold_up_the_loop_nor_fill_the_memory),
        cmocka_unit_test(random_bytes_behind_the_version_end_in_an_error),
        cmocka_unit_test(an_outer_deadline_counts_and_is_told_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
