/* Keyed digests: fixed by vectors made with Python's hmac, and bound to every part, the key, the label and the region. */
#include "seal_test.h"

#include "seal/mac.h"

#include <stdio.h>

static struct mac_key derive(uint8_t root_byte, const char *label, const char *region)
{
    struct root_key root = root_of(root_byte);
    struct mac_key key;
    check_ok(mac_key_derive(&root, str_from(label), str_from(region), &key));
    rootkey_free(&root);
    return key;
}

static void hex_of(const struct mac_key *key, const struct str *parts, size_t count, char text[65])
{
    uint8_t mac[MAC_BYTES];
    mac_of(key, parts, count, mac);
    for (size_t i = 0; i < MAC_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", mac[i]);
}

static void a_mac_is_as_its_header_says(void **state)
{
    const struct str parts[] = { STR("clinique-lumiere"), { NULL, 0 }, STR("positive") };
    struct mac_key key = derive(7, "domicile test v1", "eu-fr");
    char text[65];
    hex_of(&key, parts, 3, text);
    assert_string_equal(text, "bfc6c74c4d343ae88ab64bcae1bbcc9e2630b406d48c2a9ad89d66769b6e8404");
    hex_of(&key, parts, 0, text);
    assert_string_equal(text, "061386c9775af8365a2a991056ada01c3e96326d10e35d7f840245ec4e0f9b64");
    mac_key_free(&key);
}

static void another_key_label_region_or_cut_gives_another_mac(void **state)
{
    const struct str parts[] = { STR("ab"), STR("c") }, cut[] = { STR("a"), STR("bc") };
    struct mac_key keys[] = { derive(7, "domicile test v1", "eu-fr"), derive(8, "domicile test v1", "eu-fr"),
                              derive(7, "domicile test v2", "eu-fr"), derive(7, "domicile test v1", "us") };
    char texts[6][65];
    for (size_t i = 0; i < 4; i++)
        hex_of(&keys[i], parts, 2, texts[i]);
    hex_of(&keys[0], cut, 2, texts[4]);
    hex_of(&keys[0], parts, 1, texts[5]);
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(texts[i], texts[j]);
    for (size_t i = 0; i < 4; i++)
        mac_key_free(&keys[i]);
}

static void a_region_that_is_no_identifier_is_refused(void **state)
{
    char name[65];
    memset(name, 'r', sizeof name);
    struct root_key root = root_of(7);
    struct mac_key key = { 0 };
    check_fails(E_LIMIT, mac_key_derive(&root, STR("label"), (struct str){ name, 64 }, &key));
    assert_null(key.secret.ptr);
    mac_key_free(&key);
    rootkey_free(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mac_is_as_its_header_says),
        cmocka_unit_test(another_key_label_region_or_cut_gives_another_mac),
        cmocka_unit_test(a_region_that_is_no_identifier_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
