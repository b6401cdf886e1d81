/* Without the root key nobody makes a row that counts, and no row counts as another. */
#include "check.h"

#include "auth/client_proof.h"
#include "base/count.h"

static struct root_key root_of(uint8_t fill)
{
    struct root_key root = { 0 };
    check_ok(secret_new(&root.secret, ROOTKEY_BYTES));
    memset(root.secret.ptr, fill, ROOTKEY_BYTES);
    return root;
}

static struct client_keys keys_of(uint8_t fill, struct str region)
{
    struct client_keys keys;
    struct root_key root = root_of(fill);
    check_ok(client_keys_derive(&root, region, &keys));
    rootkey_free(&root);
    return keys;
}

static struct client_keys keys;

static int derive(void **state)
{
    keys = keys_of(1, STR("eu-fr"));
    return 0;
}

static int forget(void **state)
{
    client_keys_free(&keys);
    return 0;
}

static struct client some_client(void)
{
    struct client client = { .role = ROLE_CUSTOMER_APP, .id = "c-one", .customer = "clinique", .version = 3 };
    client_verifier_set(&keys, &client, STR("secret"));
    client_prove(&keys, &client);
    return client;
}

static void a_verifier_is_of_one_client_and_one_secret(void **state)
{
    struct client client = some_client(), other = client;
    assert_int_equal(client_secret_kind(&client), CLIENT_SECRET_VERIFIER);
    assert_true(client_verifier_matches(&keys, &client, STR("secret")));
    assert_false(client_verifier_matches(&keys, &client, STR("secret ")));
    assert_false(client_verifier_matches(&keys, &client, STR("")));
    other.id[2] = 'p';
    assert_false(client_verifier_matches(&keys, &other, STR("secret")));
    other = client;
    other.customer[0] = 'd';
    assert_false(client_verifier_matches(&keys, &other, STR("secret")));
    other = client;
    other.role = ROLE_CUSTOMER_ADMIN;
    assert_false(client_verifier_matches(&keys, &other, STR("secret")));
    other = client;
    other.secret_hash[strlen(other.secret_hash) - 1] ^= 1;
    assert_false(client_verifier_matches(&keys, &other, STR("secret")));
    other.secret_hash[0] = '\0';
    assert_false(client_verifier_matches(&keys, &other, STR("secret")));
}

static void p1_a_row_is_proven_as_it_is_and_not_otherwise(void **state)
{
    const struct client client = some_client();
    struct client others[8];
    assert_true(client_is_proven(&keys, &client));
    for (size_t i = 0; i < COUNT(others); i++)
        others[i] = client;
    others[0].id[2] = 'p';
    others[1].customer[0] = 'd';
    others[2].role = ROLE_CUSTOMER_ADMIN;
    others[3].secret_hash[20] ^= 1;
    others[4].version++;
    others[5].disabled = true;
    others[6].proof[31] ^= 1;
    others[7].has_proof = false;
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(client_is_proven(&keys, &others[i]));
}

static void p1_another_root_key_or_region_proves_nothing(void **state)
{
    const struct client client = some_client();
    struct client_keys root = keys_of(2, STR("eu-fr")), region = keys_of(1, STR("us"));
    assert_false(client_is_proven(&root, &client) || client_is_proven(&region, &client));
    assert_false(client_verifier_matches(&root, &client, STR("secret")));
    assert_false(client_verifier_matches(&region, &client, STR("secret")));
    client_keys_free(&root);
    client_keys_free(&region);
}

/* ---- sets ---- */

enum { ROOM = 8 };

static void fill(struct client_set *set, struct client clients[ROOM])
{
    static const char *const ids[] = { "c-b", "c-a", "c-c" };
    *set = (struct client_set){ .customer = "clinique", .state = "active", .version = 3, .clients = clients };
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct client client = some_client(), *added;
        snprintf(client.id, sizeof client.id, "%s", ids[i]);
        client.version = (int64_t)i + 1;
        client_verifier_set(&keys, &client, STR("secret"));
        client_prove(&keys, &client);
        check_ok(client_set_add(set, &client, &added));
        assert_string_equal(added->id, ids[i]);
    }
    client_set_prove(&keys, set, set->proof);
    set->has_proof = true;
}

static void a_set_is_in_the_order_of_ids(void **state)
{
    struct client clients[ROOM];
    struct client_set set;
    fill(&set, clients);
    assert_int_equal(set.count, 3);
    assert_string_equal(clients[0].id, "c-a");
    assert_string_equal(clients[1].id, "c-b");
    assert_string_equal(clients[2].id, "c-c");
    assert_ptr_equal(client_set_find(&set, STR("c-b")), &clients[1]);
    assert_null(client_set_find(&set, STR("c-bb")));
    assert_null(client_set_find(&set, STR("c-d")));
    set.count = CLIENT_SET_MAX;
    struct client *added;
    check_fails(E_LIMIT, client_set_add(&set, &clients[0], &added));
}

static void p1_a_row_that_is_missing_or_was_put_back_shows(void **state)
{
    struct client clients[ROOM];
    struct client_set set;
    fill(&set, clients);
    assert_true(client_set_is_proven(&keys, &set));
    set.count = 2; /* the last one is gone */
    assert_false(client_set_is_proven(&keys, &set));
    fill(&set, clients);
    clients[2].version = 1; /* as it once was, proven and all */
    client_prove(&keys, &clients[2]);
    assert_false(client_set_is_proven(&keys, &set));
    fill(&set, clients);
    set.version--;
    assert_false(client_set_is_proven(&keys, &set));
    fill(&set, clients);
    snprintf(set.state, sizeof set.state, "erased");
    assert_false(client_set_is_proven(&keys, &set));
    fill(&set, clients);
    snprintf(set.customer, sizeof set.customer, "other");
    assert_false(client_set_is_proven(&keys, &set));
    fill(&set, clients);
    set.has_proof = false;
    assert_false(client_set_is_proven(&keys, &set));
}

static void a_forged_row_is_no_part_of_a_set(void **state)
{
    struct client clients[ROOM];
    struct client_set set;
    fill(&set, clients);
    struct client forged = { .role = ROLE_CUSTOMER_APP,
                             .id = "c-x",
                             .customer = "clinique",
                             .has_proof = true },
                  *added;
    check_ok(client_set_add(&set, &forged, &added));
    assert_true(client_set_is_proven(&keys, &set)); /* it shows by itself */
    assert_false(client_is_proven(&keys, added));
}

static void p8_a_version_that_no_gateway_gave_does_not_count(void **state)
{
    struct client clients[ROOM];
    struct client_set set;
    fill(&set, clients);
    set.version = 7;
    client_set_prove(&keys, &set, set.proof);
    assert_int_equal(client_set_version(&keys, &set), 7);
    set.version = INT64_MAX; /* by who has no root key, so that there is no next one */
    assert_int_equal(client_set_version(&keys, &set), 3);
    clients[2].version = INT64_MAX;
    assert_int_equal(client_set_version(&keys, &set), 2);
    set.count = 0;
    assert_int_equal(client_set_version(&keys, &set), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verifier_is_of_one_client_and_one_secret),
        cmocka_unit_test(p1_a_row_is_proven_as_it_is_and_not_otherwise),
        cmocka_unit_test(p1_another_root_key_or_region_proves_nothing),
        cmocka_unit_test(a_set_is_in_the_order_of_ids),
        cmocka_unit_test(p1_a_row_that_is_missing_or_was_put_back_shows),
        cmocka_unit_test(a_forged_row_is_no_part_of_a_set),
        cmocka_unit_test(p8_a_version_that_no_gateway_gave_does_not_count),
    };
    return cmocka_run_group_tests(tests, derive, forget);
}
