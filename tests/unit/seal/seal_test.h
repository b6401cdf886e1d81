#pragma once
/* Keys and places that the tests of seal share. */
#include "check.h"

#include "seal/record.h"

static inline struct root_key root_of(uint8_t byte)
{
    struct root_key root = { 0 };
    check_ok(secret_new(&root.secret, ROOTKEY_BYTES));
    memset(root.secret.ptr, byte, ROOTKEY_BYTES);
    return root;
}

static inline struct class_key key_of(uint8_t byte, uint32_t version)
{
    struct class_key key = { .version = version };
    check_ok(secret_new(&key.secret, CLASSKEY_BYTES));
    memset(key.secret.ptr, byte, CLASSKEY_BYTES);
    return key;
}

static inline struct record_place some_place(void)
{
    return (struct record_place){ STR("eu-fr"), STR("clinique-lumiere"), STR("health"), STR("patient/1"),
                                  77 };
}

/* The same error, whatever was wrong: nothing tells a stranger how near he came. */
static inline void check_same_error(result expected, result r)
{
    assert_int_equal(r.error.code, expected.error.code);
    assert_string_equal(r.error.what, expected.error.what);
    assert_ptr_equal(r.error.hint, expected.error.hint);
    assert_int_equal(r.error.line, expected.error.line);
}
