#include "host.h"

ON_LOOP(a_command_runs_and_ends)
{
    struct ssh *ssh = host_connect();
    struct ssh_output output = run_shell(ssh, "echo out; echo err >&2; exit 3");
    assert_string_equal(output.out.ptr, "out\n");
    assert_string_equal(output.err.ptr, "err\n");
    assert_int_equal(output.exit_status, 3);
    assert_null(output.signal);
    struct ssh_negotiated n;
    ssh_negotiated(ssh, &n);
    print_message("%s %s %s %s %s %s %s %s %s %d\n", n.kex, n.host_key, n.cipher_out, n.cipher_in, n.mac_out,
                  n.mac_in, n.server_version, n.client_version, n.fingerprint, n.strict_kex_offered);
    ssh_close(ssh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_runs_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
