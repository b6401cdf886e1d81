/* Asks a host over SSH and PostgreSQL over TLS, and gives the answers to the judges. Nothing here changes a host. */
#include "posture/posture.h"

#include "base/clock.h"
#include "hosts/conf.h"
#include "loop/fiber.h"
#include "pg/exec.h"
#include "posture/posture_judge.h"
#include "ssh/node.h"

#include <stdlib.h>

enum {
    COMMAND_WITHIN_MS = 15000,
    PACKAGES_WITHIN_MS = 60000,
    STATEMENT_WITHIN_MS = 10000,
    SWAPS_MAX = 8,
    CLOCK_ROUNDS = 3,
    WORDS_MAX = 24,
    INCLUDES_MAX = 16,
};

struct scanning {
    const struct posture_asker *asker;
    struct posture_subject subject;
    struct ssh *ssh;
    struct posture_line *lines;
};

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- commands ---- */
static const char *command_text(struct arena *arena, const char *const *argv)
{
    const char *text = "";
    for (size_t i = 0; argv[i] != NULL && i < WORDS_MAX; i++)
        text = arena_printf(arena, "%s%s%s", text, i > 0 ? " " : "", argv[i]);
    return text;
}

/* "env LC_ALL=C apt-get ...": the program is the third word. */
static const char *program_of(const char *const *argv)
{
    return strcmp(argv[0], "env") == 0 ? argv[2] : argv[0];
}

static const char *why_not(struct arena *arena, const char *const *argv, const struct ssh_output *output)
{
    struct str said = output->err, first;
    if (output->signal != NULL)
        return arena_printf(arena, "%s was killed by a signal: %s", program_of(argv),
                            posture_clean(str_from(output->signal), arena));
    if (output->exit_status == 127 || output->exit_status == 126)
        return arena_printf(arena, "the host has no \"%s\" that this user may run", program_of(argv));
    if (output->exit_status != 0)
        return arena_printf(arena, "%s ended with %d%s%s", program_of(argv), output->exit_status,
                            said.len > 0 ? ": " : "",
                            str_cut(&said, '\n', &first) ? posture_clean(first, arena) : "");
    return output->out_cut
               ? arena_printf(arena, "%s printed more than %d bytes", program_of(argv), POSTURE_TEXT_MAX)
               : NULL;
}

static struct posture_said run_within(struct scanning *scanning, uint64_t within_ms, const char *const *argv)
{
    struct arena *arena = scanning->subject.arena;
    struct posture_said said = { .command = command_text(arena, argv), .exit_status = -1 };
    const struct ssh_command command = {
        .argv = argv, .within_ms = within_ms, .out_max = POSTURE_TEXT_MAX, .err_max = 4096, .step = "scan"
    };
    struct ssh_output output;
    result r = ssh_exec(scanning->ssh, arena, &command, &output);
    if (failed(r)) {
        said.why = posture_clean(str_from(r.error.what), arena);
        return said;
    }
    said.out = output.out;
    said.exit_status = output.exit_status;
    said.why = why_not(arena, argv, &output);
    return said;
}

static struct posture_said run(struct scanning *scanning, const char *const *argv)
{
    return run_within(scanning, COMMAND_WITHIN_MS, argv);
}

/* ---- disks ---- */
static struct posture_said run_lsblk(struct scanning *scanning, const char *device)
{
    return run(scanning, WORDS("lsblk", "-J", "-s", "-o", "NAME,TYPE", device));
}

static struct posture_place place_of_path(struct scanning *scanning, const char *path)
{
    struct posture_place place = { .path = path };
    struct posture_mount mount;
    place.mount = run(scanning, WORDS("findmnt", "-J", "-o", "SOURCE,TARGET,FSTYPE", "-T", path));
    if (place.mount.why == NULL &&
        !failed(posture_parse_mount(place.mount.out, scanning->subject.arena, &mount)) &&
        str_starts(str_from(mount.source), STR("/dev/")))
        place.blocks = run_lsblk(scanning, mount.source);
    return place;
}

static struct posture_line ask_disk(struct scanning *scanning)
{
    const char *data = scanning->asker->node->paths.data;
    const struct posture_place places[] = {
        place_of_path(scanning, data),
        place_of_path(scanning, arena_printf(scanning->subject.arena, "%s/pg_wal", data)),
    };
    return posture_judge_disk(&scanning->subject, places, 2);
}

static struct posture_line ask_swap(struct scanning *scanning)
{
    struct posture_place *places = arena_array(scanning->subject.arena, struct posture_place, SWAPS_MAX);
    struct posture_said said = run(scanning, WORDS("cat", "/proc/swaps"));
    struct posture_swaps swaps = { 0 };
    size_t count = 0;
    if (said.why == NULL && failed(posture_parse_swaps(said.out, scanning->subject.arena, &swaps)))
        swaps.count = 0; /* the judge reports it */
    for (; count < swaps.count && count < SWAPS_MAX; count++) {
        const struct posture_swap *swap = &swaps.items[count];
        places[count] =
            strcmp(swap->type, "file") == 0
                ? place_of_path(scanning, swap->name)
                : (struct posture_place){ .path = swap->name, .blocks = run_lsblk(scanning, swap->name) };
    }
    return posture_judge_swap(&scanning->subject, &said, places, count);
}

static struct posture_line ask_cores(struct scanning *scanning)
{
    struct arena *arena = scanning->subject.arena;
    const struct posture_said pattern = run(scanning, WORDS("cat", "/proc/sys/kernel/core_pattern"));
    const char *pid_file = arena_printf(arena, "%s/postmaster.pid", scanning->asker->node->paths.data);
    struct posture_said limits = run(scanning, WORDS("head", "-n", "1", pid_file));
    struct str rest = limits.out, line;
    uint64_t pid = 0;
    if (limits.why == NULL && str_cut(&rest, '\n', &line) && str_to_u64(line, INT32_MAX, &pid))
        limits =
            run(scanning, WORDS("cat", arena_printf(arena, "/proc/%llu/limits", (unsigned long long)pid)));
    else if (limits.why == NULL)
        limits.why = "postmaster.pid has no process id";
    return posture_judge_cores(&scanning->subject, &pattern, &limits);
}

/* ---- sshd ---- */
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the directory's files, sorted. False: it cannot be listed, or has too many files. */
static bool list_included(struct scanning *scanning, const char *directory, const char *names[INCLUDES_MAX],
                          size_t *ret_count)
{
    struct posture_said listed = run(
        scanning, WORDS("find", "-H", directory, "-maxdepth", "1", "-name", "*.conf", "-printf", "%f\\n"));
    struct str line;
    size_t count = 0;
    if (listed.why != NULL)
        return false;
    while (listed.out.len > 0 && str_cut(&listed.out, '\n', &line)) {
        if (line.len == 0)
            continue;
        if (count == INCLUDES_MAX || memchr(line.ptr, '/', line.len) != NULL)
            return false;
        names[count++] = arena_cstr(scanning->subject.arena, line);
    }
    qsort(names, count, sizeof names[0], compare_names);
    *ret_count = count;
    return true;
}

/* Replaces each Include by its files. If one cannot be read, the Include stays, and the judge reports it. */
static void put_includes(struct scanning *scanning, struct posture_said *said)
{
    struct arena *arena = scanning->subject.arena;
    struct posture_include include;
    const char *names[INCLUDES_MAX];
    size_t count = 0;
    if (said->why != NULL || !posture_sshd_include(said->out, arena, &include) ||
        !list_included(scanning, include.directory, names, &count))
        return;
    const char *text = arena_cstr(arena, include.before);
    for (size_t i = 0; i < count; i++) {
        const char *path = arena_printf(arena, "%s/%s", include.directory, names[i]);
        const struct posture_said one = run(scanning, WORDS("cat", path));
        if (one.why != NULL)
            return;
        text = arena_printf(arena, "%s%.*s\nMatch all\n", text, STR_ARG(one.out));
    }
    said->out = str_from(arena_printf(arena, "%s%.*s", text, STR_ARG(include.after)));
    said->command = arena_printf(arena, "%s %s/*.conf", said->command, include.directory);
}

static void ask_sshd(struct scanning *scanning)
{
    const char *path = scanning->asker->node->ssh.config;
    struct posture_sshd sshd = { .effective = true };
    sshd.said = run(scanning, WORDS("/usr/sbin/sshd", "-T", "-f", path));
    if (sshd.said.why != NULL) {
        sshd.unasked = sshd.said.why;
        sshd.said = run(scanning, WORDS("cat", path));
        put_includes(scanning, &sshd.said);
        sshd.effective = false;
    }
    for (enum posture_id id = POSTURE_SSHD_LOGIN; id <= POSTURE_SSHD_MACS; id++)
        scanning->lines[id] = posture_judge_sshd(&scanning->subject, id, &sshd);
}

/* ---- the rest of the host ---- */
#define LISTED "%m %u %y %p\\n"

static void ask_files(struct scanning *scanning)
{
    const struct node *node = scanning->asker->node;
    const struct {
        enum posture_id id;
        const char *path, *depth;
    } asked[] = {
        { POSTURE_FILES_DATA, node->paths.data, "0" },
        { POSTURE_FILES_TLS, node->paths.tls, "1" },
        { POSTURE_FILES_LOG, conf_log_json(scanning->subject.arena, node), "0" },
        { POSTURE_FILES_STATE, node->ssh.state, "0" },
    };
    for (size_t i = 0; i < COUNT(asked); i++) {
        const struct posture_said said =
            run(scanning, WORDS("find", "-H", asked[i].path, "-maxdepth", asked[i].depth, "-printf", LISTED));
        scanning->lines[asked[i].id] = posture_judge_files(&scanning->subject, asked[i].id, &said);
    }
}

/* With -s and these options apt-get writes nothing, not even its caches. */
static struct posture_line ask_updates(struct scanning *scanning)
{
    const struct posture_said lists =
        run(scanning, WORDS("find", "-H", "/var/lib/apt/lists", "-maxdepth", "1", "(", "-type", "d", "-o",
                            "-name", "*_Packages*", ")", "-printf", "%y %T@ %f\\n"));
    const struct posture_said upgrades =
        run_within(scanning, PACKAGES_WITHIN_MS,
                   WORDS("env", "LC_ALL=C", "apt-get", "-s", "-o", "Debug::NoLocking=1", "-o",
                         "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "dist-upgrade"));
    return posture_judge_updates(&scanning->subject, &lists, &upgrades);
}

static struct posture_line ask_clock_sync(struct scanning *scanning)
{
    const struct posture_said timedatectl =
        run(scanning, WORDS("env", "LC_ALL=C", "timedatectl", "show", "-p", "NTP", "-p", "NTPSynchronized"));
    struct posture_said chrony = { 0 };
    if (timedatectl.why != NULL)
        chrony = run(scanning, WORDS("env", "LC_ALL=C", "chronyc", "-n", "tracking"));
    return posture_judge_clock_sync(&scanning->subject, &timedatectl, &chrony);
}

/* The host read its clock at some time between the two readings here. */
static struct posture_line ask_clock_offset(struct scanning *scanning)
{
    struct posture_clock clock = { 0 };
    for (int i = 0; i < CLOCK_ROUNDS; i++) {
        int64_t before_ms = clock_wall_ms(), there_ms;
        struct posture_said said = run(scanning, WORDS("date", "+%s.%N"));
        int64_t after_ms = clock_wall_ms(), half_ms = (after_ms - before_ms + 1) / 2;
        if (!clock.known)
            clock.said = said;
        if (said.why != NULL || half_ms < 0)
            continue;
        result r = posture_parse_time(said.out, &there_ms);
        if (failed(r)) {
            clock.said.why = "date printed no time";
        } else if (!clock.known || half_ms < clock.uncertainty_ms) {
            clock = (struct posture_clock){ true, there_ms - before_ms - half_ms, half_ms, said };
        }
    }
    return posture_judge_clock_offset(&scanning->subject, &clock);
}

static void ask_host(struct scanning *scanning)
{
    const struct posture_subject *subject = &scanning->subject;
    struct posture_line *lines = scanning->lines;
    const struct posture_said release = run(scanning, WORDS("cat", "/etc/os-release"));
    const struct posture_said kernel = run(scanning, WORDS("uname", "-srm"));
    const struct posture_said restart = run(scanning, WORDS("test", "-e", "/run/reboot-required"));
    const struct posture_said tcp = run(scanning, WORDS("ss", "-Hltn"));
    const struct posture_said udp = run(scanning, WORDS("ss", "-Hlun"));
    lines[POSTURE_OS] = posture_judge_os(subject, &release, &kernel);
    lines[POSTURE_RESTART] = posture_judge_restart(&restart);
    lines[POSTURE_TCP] = posture_judge_sockets(subject, false, &tcp);
    lines[POSTURE_UDP] = posture_judge_sockets(subject, true, &udp);
    lines[POSTURE_DISK] = ask_disk(scanning);
    lines[POSTURE_SWAP] = ask_swap(scanning);
    lines[POSTURE_CORES] = ask_cores(scanning);
    ask_sshd(scanning);
    ask_files(scanning);
    lines[POSTURE_CLOCK_SYNC] = ask_clock_sync(scanning);
    lines[POSTURE_CLOCK_OFFSET] = ask_clock_offset(scanning);
    lines[POSTURE_UPDATES] = ask_updates(scanning);
}

/* A host without ssh is not asked; its declarations in the region's file are shown all the same. */
static void skip_host(struct scanning *scanning, const char *why)
{
    const struct posture_said nothing = { .command = "-", .why = why, .exit_status = -1 };
    const struct posture_place place = { .path = "data", .mount = nothing };
    for (enum posture_id id = 0; id < POSTURE_SQL_FIRST; id++)
        scanning->lines[id] = posture_untold(nothing.why, nothing.command);
    scanning->lines[POSTURE_DISK] = posture_judge_disk(&scanning->subject, &place, 1);
}

static result connect_host(struct scanning *scanning)
{
    struct ssh_options options;
    TRY(ssh_node_options(scanning->asker->node, &options));
    host_log_attach(scanning->asker->log, &options);
    return ssh_connect(&options, &scanning->ssh);
}

/* ---- PostgreSQL ---- */
static const char settings_sql[] =
    "SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'data_checksums', 'ssl',"
    " 'ssl_min_protocol_version', 'ssl_ca_file', 'log_connections', 'log_disconnections',"
    " 'log_replication_commands', 'log_statement', 'log_min_duration_statement', 'log_parameter_max_length',"
    " 'log_parameter_max_length_on_error', 'fsync', 'full_page_writes', 'synchronous_commit')";

static result read_settings(struct scanning *scanning, struct pg_conn *conn, struct posture_settings *ret)
{
    struct arena *arena = scanning->subject.arena;
    struct pg_reply reply = PG_REPLY_INIT;
    TRY(pg_exec(conn, settings_sql, NULL, 0, &reply));
    ret->items = arena_array(arena, struct posture_setting, pg_reply_rows(&reply) + 1);
    for (size_t row = 0; row < pg_reply_rows(&reply); row++)
        if (!pg_reply_is_null(&reply, row, 1))
            ret->items[ret->count++] =
                (struct posture_setting){ arena_cstr(arena, pg_reply_str(&reply, row, 0)),
                                          arena_cstr(arena, pg_reply_str(&reply, row, 1)) };
    pg_reply_done(&reply);
    return OK;
}

static result ask_settings(struct scanning *scanning, struct posture_settings *ret)
{
    const struct posture_asker *asker = scanning->asker;
    struct pg_connect_options options =
        pg_role_options(asker->sql_role, asker->cell, asker->node, "domicile scan");
    options.statement_within_ms = STATEMENT_WITHIN_MS;
    struct pg_conn *conn = NULL;
    TRY(pg_connect(&options, &conn));
    result r = read_settings(scanning, conn, ret);
    pg_close(conn);
    return r;
}

static result ask_postgres(struct scanning *scanning)
{
    struct posture_settings settings = { 0 };
    result r = OK;
    const char *why = "not asked: there is no certificate here for PostgreSQL of this cell";
    if (scanning->asker->sql_role != PG_NOBODY) {
        r = ask_settings(scanning, &settings);
        why = failed(r) ? posture_clean(str_from(r.error.what), scanning->subject.arena) : NULL;
    }
    for (enum posture_id id = POSTURE_SQL_FIRST; id < POSTURE_COUNT; id++)
        scanning->lines[id] = posture_judge_pg(&scanning->subject, id, &settings, why);
    return r;
}

/* ---- the scan ---- */
result posture_scan(const struct posture_asker *asker, struct arena *arena,
                    struct posture_line ret_lines[POSTURE_COUNT])
{
    struct scanning scanning = { .asker = asker, .lines = ret_lines };
    result connected = OK;
    scanning.subject = (struct posture_subject){ asker->cell, asker->node, clock_wall_ms(), arena };
    if (asker->node->ssh.user != NULL)
        connected = connect_host(&scanning);
    if (scanning.ssh != NULL)
        ask_host(&scanning);
    else
        skip_host(&scanning, failed(connected) ? posture_clean(str_from(connected.error.what), arena)
                                               : "not asked: the region's file has no ssh for this node");
    ssh_close(scanning.ssh);
    result asked = ask_postgres(&scanning);
    TRY(fiber_check());
    return failed(connected) ? connected : asked;
}
