/* The command line as a whole, without a gateway or a cell: what it prints and how it ends. */
#include "cli/cli_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name_of(const struct cli_command *command)
{
    static char name[64];
    snprintf(name, sizeof name, "%s%s%s", command->group, command->verb[0] ? " " : "", command->verb);
    return name;
}

static char *read_whole(const char *path)
{
    enum { FILE_MAX = 256 * 1024 };
    static char text[FILE_MAX];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("there is no %s", path);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

/* ---- the tables ---- */

static void every_row_is_complete_and_unlike_the_others(void **state)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        assert_non_null(command->run);
        assert_true(strlen(command->help) > 10 && command->help[strlen(command->help) - 1] != '.');
        for (size_t j = i + 1; j < cli_command_count; j++)
            assert_false(cli_command_is(command, cli_commands[j].group, cli_commands[j].verb));
        bool optional = false; /* what may be left out comes last */
        for (const char *at = command->arguments; *at; at++) {
            optional |= *at == '[';
            assert_false(optional && *at == ' ' && at[1] != '[');
        }
    }
    for (size_t i = 0; i < OPT_COUNT; i++)
        for (size_t j = i + 1; j < OPT_COUNT; j++)
            assert_string_not_equal(cli_options[i].name, cli_options[j].name);
}

static void a_group_is_in_one_place(void **state)
{
    for (size_t i = 1; i < cli_command_count; i++)
        for (size_t j = 0; j + 1 < i; j++)
            assert_false(strcmp(cli_commands[i].group, cli_commands[j].group) == 0 &&
                         strcmp(cli_commands[i].group, cli_commands[i - 1].group) != 0);
}

static void p2_no_option_takes_a_secret(void **state)
{
    for (size_t i = 0; i < OPT_COUNT; i++) {
        const struct cli_option_row *row = &cli_options[i];
        bool secret = strstr(row->name, "secret") || strstr(row->name, "password") ||
                      strstr(row->name, "credential") || strstr(row->name, "token");
        assert_false(secret && (row->value == NULL || strcmp(row->value, "FILE") != 0));
    }
}

/* ---- help ---- */

static void help_of_everything(void **state)
{
    assert_int_equal(domicile("--help"), 0);
    assert_string_equal(err, "");
    for (size_t i = 0; i < cli_command_count; i++)
        has(out, name_of(&cli_commands[i]));
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        char line[128], usage[160];
        if (command->verb[0]) {
            snprintf(line, sizeof line, "%s --help", command->group);
            assert_int_equal(domicile(line), 0);
            has(out, command->verb);
        }
        snprintf(line, sizeof line, "%s -h", name_of(command));
        assert_int_equal(domicile(line), 0);
        assert_string_equal(err, "");
        snprintf(usage, sizeof usage, "Usage: domicile %s%s%s [OPTION...]\n", name_of(command),
                 command->arguments[0] ? " " : "", command->arguments);
        has(out, usage);
        for (size_t j = 0; j < OPT_COUNT; j++) {
            char option[64];
            snprintf(option, sizeof option, "\n  --%s ", cli_options[j].name);
            bool takes = j <= OPT_HELP || (command->options >> j & 1);
            assert_int_equal(strstr(out, option) != NULL, takes);
        }
        for (const char *at = out, *end; (end = strchr(at, '\n')) != NULL; at = end + 1)
            assert_true(end - at <= 100);
    }
}

/* ---- the parser ---- */

static void wrong_usage_is_said(void **state)
{
    static const struct {
        const char *line, *what;
    } wrong[] = {
        { "", "no command is given" },
        { "nonsense", "there is no command \"nonsense\"" },
        { "record", "a command is missing after" },
        { "record nonsense", "there is no command \"record nonsense\"" },
        { "record nonsense --help", "there is no command \"record nonsense\"" },
        { "nonsense --help", "there is no command \"nonsense\"" },
        { "record get", "usage: domicile record get CUSTOMER CLASS KEY (0 given)" },
        { "record get a b c d", "(4 given)" },
        { "a b c d e f g h i j k l", "too many arguments" },
        { "--nonsense", "there is no option \"--nonsense\"" },
        { "record get a b c --role x", "\"domicile record get\" takes no --role" },
        { "config check --config", "--config needs a value (DIR)" },
        { "config check --config a --config b", "--config is given twice" },
        { "config check --json=yes", "--json takes no value" },
        { "policy explain --role customer-app", "--home REGION is missing" },
        { "completion tcsh", "there is no completion for \"tcsh\"" },
        { "key init", "usage: domicile key init REGION" },
        { "record get -- --json b", "(2 given)" },
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(domicile(wrong[i].line), 2);
        assert_true(strncmp(err, "domicile: ", 10) == 0);
        has(err, wrong[i].what);
        has(err, "\nhint: ");
        assert_string_equal(out, "");
    }
}

static json_t *error_json(void)
{
    json_t *document = NULL;
    check_ok(json_parse(str_from(err), JSON_DEPTH_MAX, &document));
    json_t *error = json_incref(json_object_get(document, "error"));
    assert_non_null(json_string_value(json_object_get(error, "what")));
    assert_true(json_object_get(error, "hint") != NULL);
    json_decref(document);
    return error;
}

static void errors_are_json_when_asked_for(void **state)
{
    static const char *const lines[] = { "--json record", "record --json nonsense", "--nonsense --json",
                                         "--json completion \xff\xfe\"", "--json" };
    for (size_t i = 0; i < COUNT(lines); i++) {
        assert_int_equal(domicile(lines[i]), 2);
        json_t *error = error_json();
        assert_string_equal(json_string_value(json_object_get(error, "code")), "argument");
        json_decref(error);
    }
}

static void options_stand_anywhere(void **state)
{
    assert_int_equal(domicile("--config @ region --json list"), 0);
    has(out, "\"eu-fr/eu-fr-1\"");
    assert_int_equal(domicile("region list --config=@"), 0);
    has(out, "eu-fr/eu-fr-1");
    assert_null(strchr(out, '\033'));
}

static void output_that_cannot_be_written_is_an_error(void **state)
{
    struct cli cli;
    char *words[] = { "domicile", "error", "list" };
    FILE *full = fopen("/dev/full", "w"), *to_err = fopen("/dev/null", "w");
    cli_init(&cli, full, to_err);
    assert_int_equal(cli_run(&cli, 3, words), error_exit_status(E_IO));
    cli_done(&cli);
    fclose(to_err);
    fclose(full);
}

/* ---- what is made of the tables ---- */

static void completions(void **state)
{
    static const char *const shells[] = { "bash", "zsh", "fish" };
    for (size_t i = 0; i < 3; i++) {
        char line[64];
        snprintf(line, sizeof line, "completion %s", shells[i]);
        assert_int_equal(domicile(line), 0);
        for (size_t j = 0; j < cli_command_count; j++)
            has(out, cli_commands[j].group);
        has(out, "secret-file");
    }
    assert_int_equal(domicile("completion bash"), 0);
    char path[] = "/tmp/domicile-completion-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, out, strlen(out)) == (ssize_t)strlen(out));
    close(fd);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("bash", "bash", "--norc", "-n", path, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    unlink(path);
    assert_int_equal(status, 0);
}

/* Texts stand in the page as they stand in the table, but for roff's hyphens. */
static void copy_plain(const char *from, char *to)
{
    for (; *from; from++)
        if (*from != '\\' || (from[1] != '-' && from[1] != '&'))
            *to++ = *from;
        else if (from[1] == '&')
            from++;
    *to = '\0';
}

static void the_manual_names_each_command_and_option(void **state)
{
    char *page = read_whole(SOURCE_DIR "/docs/man/domicile.1");
    copy_plain(page, page);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        char wanted[512];
        snprintf(wanted, sizeof wanted, ".B domicile %s%s%s%s\n", name_of(command),
                 command->arguments[0] ? " \\fI" : "", command->arguments,
                 command->arguments[0] ? "\\fR" : "");
        has(page, wanted);
        has(strstr(page, wanted), command->help + 1);
    }
    for (size_t i = 0; i < OPT_COUNT; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "\n.B --%s", cli_options[i].name);
        has(page, wanted);
        has(strstr(page, wanted), cli_options[i].help + 1);
    }
}

static void the_table_of_errors_is_up_to_date(void **state)
{
    assert_int_equal(domicile("error list --markdown"), 0);
    assert_string_equal(out, read_whole(SOURCE_DIR "/docs/errors.md"));
}

static void the_page_of_channels_is_up_to_date(void **state)
{
    assert_int_equal(domicile("cell watch --channels --markdown"), 0);
    assert_string_equal(out, read_whole(SOURCE_DIR "/docs/watch.md"));
    assert_int_equal(domicile("cell watch --channels"), 0);
    has(out, "replication-abroad");
    assert_int_equal(domicile("cell watch --channels --json"), 0);
    has(out, "\"what_to_do\"");
}

static void the_table_of_checks_is_up_to_date(void **state)
{
    assert_int_equal(domicile("node scan --checks --markdown"), 0);
    assert_string_equal(out, read_whole(SOURCE_DIR "/docs/posture.md"));
    assert_int_equal(domicile("node scan --checks"), 0);
    has(out, "disk-encryption");
    assert_int_equal(domicile("node scan --checks --json"), 0);
    has(out, "\"what_to_do\"");
}

/* ---- configuration and policy ---- */

static void the_shipped_configuration(void **state)
{
    assert_int_equal(domicile("--config @ config check"), 0);
    has(out, "2 regions");
    assert_int_equal(domicile("--config @ policy test"), 0);
    has(out, "0 failed");
    assert_int_equal(domicile("--config @ policy show"), 0);
    has(out, "health");
    assert_int_equal(domicile("--config @ policy explain --role customer-app --home eu-fr --class health "
                              "--action store --place us"),
                     0);
    has(out, "health-stays-in-eea");
    assert_int_equal(domicile("--json --config @ policy explain --role customer-app --home eu-fr --class "
                              "health --action store --place home"),
                     0);
    has(out, "\"decision\": \"allow\"");
}

static void a_wrong_configuration(void **state)
{
    assert_int_equal(domicile("--config /nonexistent config check"), 7);
    has(err, "/nonexistent");
    assert_int_equal(domicile("--config /nonexistent --json config check"), 7);
    has(out, "\"valid\": false");
    assert_int_equal(domicile("--config @ policy test @/docs/errors.md"), 7);
    has(err, "expectations of the policy failed");
    assert_int_equal(domicile("--config @ policy test /nonexistent"), 8);
    assert_int_equal(domicile("--config @ key init atlantis"), 4);
    has(err, "eu-fr, us");
    assert_int_equal(domicile("--config @ cell show eu-fr/nowhere"), 4);
}

/* ---- keys ---- */

static char folder[] = "/tmp/domicile-cli-XXXXXX";

static int make_folder(void **state)
{
    char path[64];
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/regions", folder);
    if (symlink(SOURCE_DIR "/regions", path) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/policies", folder);
    if (symlink(SOURCE_DIR "/policies", path) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/keys", folder);
    if (mkdir(path, 0700) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/keys/eu-fr", folder);
    return mkdir(path, 0700);
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "keys/eu-fr/root.key",
                                         "keys/eu-fr/token.key",
                                         "keys/eu-fr/token.pub",
                                         "keys/eu-fr",
                                         "keys",
                                         "regions",
                                         "policies",
                                         "secret",
                                         "credentials" };
    char path[128];
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder);
}

static int in_folder(const char *line)
{
    char whole[512];
    snprintf(whole, sizeof whole, "--config %s %s", folder, line);
    return domicile(whole);
}

static int mode_of(const char *name)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &st) == 0 ? (int)(st.st_mode & 07777U) : -1;
}

static void keys_are_made_once(void **state)
{
    assert_int_equal(in_folder("key init eu-fr"), 0);
    has(out, "fingerprint");
    assert_int_equal(mode_of("keys/eu-fr/root.key"), 0600);
    char path[128], before[256];
    snprintf(path, sizeof path, "%s/keys/eu-fr/root.key", folder);
    snprintf(before, sizeof before, "%s", read_whole(path));
    assert_null(strstr(out, before));
    assert_int_equal(in_folder("key init eu-fr"), 6);
    assert_string_equal(read_whole(path), before);
    assert_int_equal(in_folder("--json key token-init eu-fr"), 0);
    has(out, "\"kid\"");
    assert_int_equal(mode_of("keys/eu-fr/token.key"), 0600);
    assert_int_equal(in_folder("key token-init eu-fr"), 6);
}

/* ---- talking to a gateway that is not there ---- */

static void credentials_come_from_a_closed_file(void **state)
{
    char path[128], line[256];
    snprintf(path, sizeof path, "%s/credentials", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("c-somebody\nnot-a-secret\n", file);
    fclose(file);
    snprintf(line, sizeof line, "token --region eu-fr --url https://127.0.0.1:1 --credentials %s", path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(in_folder(line), 2);
    assert_int_equal(chmod(path, 0600), 0);
    int status = in_folder(line); /* it is read; then there is no gateway, or no CA to verify it with */
    assert_true(status == error_exit_status(E_UNAVAILABLE) || status == error_exit_status(E_TLS));
    assert_null(strstr(err, "not-a-secret"));
}

static void p1_no_region_and_no_client_is_guessed(void **state)
{
    unsetenv("DOMICILE_REGION");
    unsetenv("DOMICILE_CLIENT_ID");
    assert_int_equal(in_folder("token"), 2);
    has(err, "several regions: eu-fr, us");
    assert_int_equal(in_folder("token --region atlantis"), 4);
    assert_int_equal(in_folder("token --region eu-fr"), 3);
    assert_int_equal(in_folder("token --region eu-fr --region us"), 2);
    setenv("DOMICILE_REGION", "us", 1);
    assert_int_equal(in_folder("token"), 3);
    unsetenv("DOMICILE_REGION");
    assert_int_equal(in_folder("token --region eu-fr --url http://127.0.0.1:1"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete_and_unlike_the_others),
        cmocka_unit_test(a_group_is_in_one_place),
        cmocka_unit_test(p2_no_option_takes_a_secret),
        cmocka_unit_test(help_of_everything),
        cmocka_unit_test(wrong_usage_is_said),
        cmocka_unit_test(errors_are_json_when_asked_for),
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(output_that_cannot_be_written_is_an_error),
        cmocka_unit_test(completions),
        cmocka_unit_test(the_manual_names_each_command_and_option),
        cmocka_unit_test(the_table_of_errors_is_up_to_date),
        cmocka_unit_test(the_page_of_channels_is_up_to_date),
        cmocka_unit_test(the_table_of_checks_is_up_to_date),
        cmocka_unit_test(the_shipped_configuration),
        cmocka_unit_test(a_wrong_configuration),
        cmocka_unit_test_setup_teardown(keys_are_made_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(credentials_come_from_a_closed_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(p1_no_region_and_no_client_is_guessed, make_folder, remove_folder),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    domicile_done();
    return status;
}
