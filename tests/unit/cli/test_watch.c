/* domicile cell watch, without a server: every cell is watched, however many are declared. */
#include "cli/cli_test.h"
#include "config/shipped.h"

#include "base/json.h"

#include <sys/stat.h>
#include <unistd.h>

enum { REGIONS = 5, CELLS_EACH = 64, CELLS = REGIONS * CELLS_EACH };

static char folder[] = "/tmp/domicile-watch-XXXXXX";

static const char *in_folder(struct arena *arena, const char *name)
{
    return arena_printf(arena, "%s/%s", folder, name);
}

/* A region like the shipped eu-fr, with a name, sites and an address of its own. */
static void write_region(struct arena *arena, char number, const char *shipped)
{
    FILE *file = fopen(in_folder(arena, arena_printf(arena, "regions/eu-fr%c.cfg", number)), "w");
    const char *cells = strstr(shipped, "cells = (");
    assert_non_null(file);
    assert_non_null(cells);
    for (const char *at = shipped; at < cells; at++) {
        fputc(*at, file);
        if (at >= shipped + 10 && (memcmp(at - 4, "eu-fr", 5) == 0 || memcmp(at - 3, "\"par", 4) == 0 ||
                                   memcmp(at - 9, "127.10.0.1", 10) == 0))
            fputc(number, file);
    }
    fprintf(file, "cells = (\n");
    for (int i = 0; i < CELLS_EACH; i++)
        fprintf(
            file,
            "%s{ name = \"c%c-%d\"; primary = \"n%c-%d\"; ca = \"ca\";\n"
            "nodes = ( { name = \"n%c-%d\"; site = \"par%c1\"; address = \"127.9.%c.%d\"; port = 1; } );\n"
            "gateway = { certificate = \"g\"; private_key = \"k\"; };\n"
            "admin = { certificate = \"a\"; private_key = \"k\"; }; }\n",
            i > 0 ? "," : "", number, i, number, i, number, i, number, number, i);
    fprintf(file, ");\n");
    assert_int_equal(fclose(file), 0);
}

static void every_cell_is_watched(void **state)
{
    struct shipped shipped;
    json_t *json;
    shipped_init(&shipped);
    struct arena *arena = &shipped.arena;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(symlink(SOURCE_DIR "/policies", in_folder(arena, "policies")), 0);
    assert_int_equal(mkdir(in_folder(arena, "regions"), 0700), 0);
    for (char number = '1'; number < '1' + REGIONS; number++)
        write_region(arena, number, shipped_file(&shipped, "regions/eu-fr.cfg")->text.ptr);
    static const char *const others[] = { "regions/eu-fr.cfg", "regions/us.cfg" };
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(
            symlink(arena_printf(arena, "%s/%s", SOURCE_DIR, others[i]), in_folder(arena, others[i])), 0);

    int status = domicile(arena_printf(arena, "--config %s cell watch --json", folder));
    if (status != error_exit_status(E_FINDING))
        fail_msg("it ended with %d: %s", status, err);
    check_ok(json_parse(str_from(out), JSON_DEPTH_MAX, &json));
    const json_t *cells = json_object_get(json, "cells");
    size_t ours = 0;
    for (size_t i = 0; i < json_array_size(cells); i++)
        ours += strstr(json_string_value(json_object_get(json_array_get(cells, i), "cell")), "/c") != NULL;
    assert_int_equal(ours, CELLS);
    json_decref(json);

    static const char *const names[] = { "regions/eu-fr.cfg",  "regions/eu-fr1.cfg",
                                         "regions/eu-fr2.cfg", "regions/eu-fr3.cfg",
                                         "regions/eu-fr4.cfg", "regions/eu-fr5.cfg",
                                         "regions/us.cfg",     "regions",
                                         "policies",           "" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(remove(in_folder(arena, names[i])), 0);
    shipped_done(&shipped);
    domicile_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
