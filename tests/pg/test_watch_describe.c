/* watch/shipped.json is what the schema's files make. "--print" prints it anew: run it through tests/pg/run. */
#include "watch_test.h"

static char *described;

static void describe_on_loop(void)
{
    watching_begin("");
    struct pg_reply reply = PG_REPLY_INIT;
    check_ok(pg_run(w.superuser, "SET search_path = pg_catalog"));
    check_ok(pg_exec(w.superuser, watch_describe(), NULL, 0, &reply));
    struct str text = pg_reply_str(&reply, 0, 0);
    described = strndup(text.ptr, text.len);
    pg_reply_done(&reply);
    watching_end();
}

static void the_shipped_schema_is_what_its_files_make(void **state)
{
    on_loop_do(describe_on_loop);
    size_t len = strlen(described);
    if (strncmp(watch_shipped(), described, len) != 0 || strcmp(watch_shipped() + len, "\n") != 0)
        fail_msg("src/watch/shipped.json is not what src/schema makes: print it anew with "
                 "tests/pg/run PROGRAM --print");
    free(described);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        on_loop_do(describe_on_loop);
        puts(described);
        free(described);
        return 0;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_shipped_schema_is_what_its_files_make) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
