#include "loop/on_loop.h"

#include "auth/client.h"

#include <stdio.h>

/* A cheap hash: what it costs is tested elsewhere. */
static struct client old;

static int make_client(void **state)
{
    old = (struct client){ .role = ROLE_CUSTOMER_APP, .id = "c-one", .customer = "clinique-lumiere" };
    return failed(scrypt_hash(STR("secret"), (struct scrypt_cost){ 14, 8, 1 }, old.secret_hash)) ? -1 : 0;
}

ON_LOOP(an_old_secret_is_checked)
{
    struct client_gate gate;
    bool matches = false;
    client_gate_init(&gate, 2, 4);
    check_ok(client_verify_scrypt(&gate, &old, STR("secret"), &matches));
    assert_true(matches);
    check_ok(client_verify_scrypt(&gate, &old, STR("Secret"), &matches));
    assert_false(matches);
    struct client malformed = old;
    memcpy(malformed.secret_hash, "$scrypt$", 9);
    check_fails(E_INTERNAL, client_verify_scrypt(&gate, &malformed, STR("secret"), &matches));
    assert_int_equal(gate.running.permits, 2);
}

static void kinds_of_secrets_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        enum client_secret_kind kind;
    } rows[] = { { "", CLIENT_SECRET_MALFORMED },
                 { "secret", CLIENT_SECRET_MALFORMED },
                 { "$hmac-sha256$v=2$00", CLIENT_SECRET_MALFORMED },
                 { "$hmac-sha256$v=1$00", CLIENT_SECRET_VERIFIER },
                 { "$claim$v=1$1$00", CLIENT_SECRET_CLAIM },
                 { "$scrypt$ln=15", CLIENT_SECRET_SCRYPT } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client client = { .id = "c-one" };
        snprintf(client.secret_hash, sizeof client.secret_hash, "%s", rows[i].text);
        assert_int_equal(client_secret_kind(&client), rows[i].kind);
    }
}

/* ---- claims ---- */

static void a_claim_is_good_until_its_time(void **state)
{
    char digest[CLIENT_CLAIM_HEX_SIZE], same[CLIENT_CLAIM_HEX_SIZE];
    struct client client = { .id = "c-one" };
    client_claim_digest(STR("claim"), digest);
    client_claim_digest(STR("claim"), same);
    assert_string_equal(digest, same);
    assert_true(client_claim_is_digest(str_from(digest)));
    client_claim_set(&client, digest, 1000);
    assert_int_equal(client_secret_kind(&client), CLIENT_SECRET_CLAIM);
    assert_int_equal(client_claim_until_s(&client), 1000);
    assert_true(client_claim_matches(&client, STR("claim"), 999999));
    assert_false(client_claim_matches(&client, STR("claim"), 1000000));
    assert_false(client_claim_matches(&client, STR("claim "), 0));
    assert_false(client_claim_matches(&client, STR(""), 0));
}

static void what_is_no_claim_matches_nothing(void **state)
{
    static const char *const texts[] = {
        "",
        "$claim$v=1$",
        "$claim$v=1$1000",
        "$claim$v=1$1000$",
        "$claim$v=1$-1$",
        "$claim$v=1$1000$50",
        "$claim$v=2$1000$",
    };
    char digest[CLIENT_CLAIM_HEX_SIZE];
    client_claim_digest(STR("claim"), digest);
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct client client = { .id = "c-one" };
        snprintf(client.secret_hash, sizeof client.secret_hash, "%s", texts[i]);
        assert_false(client_claim_matches(&client, STR("claim"), 0));
        assert_int_equal(client_claim_until_s(&client), 0);
    }
    struct client client = { .id = "c-one" }; /* the digest itself is no claim, and neither is a longer one */
    client_claim_set(&client, digest, 1000);
    assert_false(client_claim_matches(&client, str_from(digest), 0));
    strcat(client.secret_hash, "0");
    assert_false(client_claim_matches(&client, STR("claim"), 0));
    assert_false(client_claim_is_digest(STR("")));
    digest[3] = 'A';
    assert_false(client_claim_is_digest(str_from(digest)));
    digest[3] = 'g';
    assert_false(client_claim_is_digest(str_from(digest)));
}

/* ---- the gate ---- */

struct asking {
    struct client_gate gate;
    int ok, busy, cancelled;
};

static void ask(void *arg)
{
    struct asking *asking = arg;
    bool matches = false;
    result r = client_verify_scrypt(&asking->gate, &old, STR("secret"), &matches);
    asking->ok += r.error.code == E_OK && matches;
    asking->busy += r.error.code == E_BUSY;
    asking->cancelled += r.error.code == E_CANCELLED;
}

ON_LOOP(p8_a_flood_of_logins_is_bounded)
{
    struct asking asking = { 0 };
    struct scope scope = SCOPE_INIT;
    client_gate_init(&asking.gate, 1, 3);
    for (int i = 0; i < 20; i++)
        check_ok(fiber_spawn(&scope, "ask", ask, &asking));
    check_ok(scope_join(&scope));
    assert_int_equal(asking.ok, 4); /* one at once, three that wait */
    assert_int_equal(asking.busy, 16);
    assert_int_equal(asking.gate.waiting, 0);
    assert_int_equal(asking.gate.running.permits, 1);
}

ON_LOOP(p8_a_cancelled_login_gives_its_place_back)
{
    struct asking asking = { 0 };
    struct scope scope = SCOPE_INIT;
    client_gate_init(&asking.gate, 1, 3);
    for (int i = 0; i < 4; i++)
        check_ok(fiber_spawn(&scope, "ask", ask, &asking));
    check_ok(fiber_yield());
    assert_int_equal(asking.gate.waiting, 3);
    scope_end(&scope);
    assert_true(asking.cancelled >= 3);
    assert_int_equal(asking.gate.waiting, 0);
    assert_int_equal(asking.gate.running.permits, 1);
}

static void ids_and_secrets_are_new_each_time(void **state)
{
    char id[CLIENT_ID_SIZE], other_id[CLIENT_ID_SIZE], secret[CLIENT_SECRET_SIZE], other[CLIENT_SECRET_SIZE];
    for (int i = 0; i < 100; i++) {
        client_id_new(id);
        client_id_new(other_id);
        assert_string_not_equal(id, other_id);
        assert_int_equal(strlen(id), CLIENT_ID_SIZE - 1);
        assert_true(str_is_id(str_from(id)) && str_starts(str_from(id), STR("c-")));
        client_secret_new(secret);
        client_secret_new(other);
        assert_string_not_equal(secret, other);
        assert_int_equal(strspn(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                         43);
        assert_int_equal(strlen(secret), 43);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_secret_is_checked),
        cmocka_unit_test(kinds_of_secrets_are_told_apart),
        cmocka_unit_test(a_claim_is_good_until_its_time),
        cmocka_unit_test(what_is_no_claim_matches_nothing),
        cmocka_unit_test(p8_a_flood_of_logins_is_bounded),
        cmocka_unit_test(p8_a_cancelled_login_gives_its_place_back),
        cmocka_unit_test(ids_and_secrets_are_new_each_time),
    };
    return cmocka_run_group_tests(tests, make_client, NULL);
}
