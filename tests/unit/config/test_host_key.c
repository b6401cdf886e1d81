/* The pin: one form of it, and nothing that looks like it. */
#include "check.h"

#include "config/host_key.h"

#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

static void the_line_of_the_hosts_file_is_taken(void **state)
{
    static const char *const lines[] = { "ssh-ed25519 " KEY, "ssh-ed25519 " KEY " root@par1",
                                         "ssh-ed25519 " KEY " ",
                                         "ssh-ed25519 " KEY " of the host in Paris (é)" };
    uint8_t blob[HOST_KEY_BLOB_BYTES];
    for (size_t i = 0; i < COUNT(lines); i++) {
        memset(blob, 0xee, sizeof blob);
        assert_true(host_key_parse(str_from(lines[i]), blob));
        assert_memory_equal(blob, "\0\0\0\013ssh-ed25519\0\0\0 ", 19);
        for (int j = 0; j < 32; j++)
            assert_int_equal(blob[19 + j], j);
    }
}

static void everything_else_is_refused_and_writes_nothing(void **state)
{
    static const char *const lines[] = {
        "",
        " ",
        "ssh-ed25519",
        "ssh-ed25519 ",
        KEY,
        " ssh-ed25519 " KEY,
        "ssh-ed25519  " KEY,
        "ssh-ed25519\t" KEY,
        "SSH-ED25519 " KEY,
        "ssh-rsa " KEY,
        "ecdsa-sha2-nistp256 " KEY,
        "ssh-ed25519 " KEY "\n",
        "ssh-ed25519 " KEY " a\nb",
        "ssh-ed25519 " KEY "=",
        "ssh-ed25519 " KEY "AAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4",
        "ssh-ed25519 AAAAB3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f", /* other heads */
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    };
    uint8_t blob[HOST_KEY_BLOB_BYTES], before[HOST_KEY_BLOB_BYTES];
    memset(before, 0xee, sizeof before);
    for (size_t i = 0; i < COUNT(lines); i++) {
        memcpy(blob, before, sizeof blob);
        if (host_key_parse(str_from(lines[i]), blob))
            fail_msg("\"%s\" is taken", lines[i]);
        assert_memory_equal(blob, before, sizeof blob);
    }
    assert_false(host_key_parse((struct str){ 0 }, blob));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_of_the_hosts_file_is_taken),
        cmocka_unit_test(everything_else_is_refused_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
