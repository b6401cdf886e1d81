/* Access to the host and to its files: sshd, sockets, files, PostgreSQL's settings. */
#include "posture/posture_judge.h"

/* ---- sshd ---- */
struct wish {
    const char *name, *wanted; /* wanted NULL: a list of algorithms */
    const char *preset;        /* of OpenSSH */
    enum posture_id id;
    enum posture_algorithms algorithms;
};
static const struct wish wishes[] = {
    { "passwordauthentication", "no", "yes", POSTURE_SSHD_LOGIN, 0 },
    { "kbdinteractiveauthentication", "no", "yes", POSTURE_SSHD_LOGIN, 0 },
    { "permitemptypasswords", "no", "no", POSTURE_SSHD_LOGIN, 0 },
    { "permitrootlogin", "no", "prohibit-password", POSTURE_SSHD_ROOT, 0 },
    { "kexalgorithms", NULL, NULL, POSTURE_SSHD_KEX, POSTURE_KEX },
    { "ciphers", NULL, NULL, POSTURE_SSHD_CIPHERS, POSTURE_CIPHERS },
    { "macs", NULL, NULL, POSTURE_SSHD_MACS, POSTURE_MACS },
};

struct opinion {
    const char *bad, *unclear, *good;
};

static void look_at_value(const struct posture_subject *subject, const struct wish *wish, const char *value,
                          const char *where, struct opinion *opinion)
{
    if (wish->wanted != NULL) {
        const char *item = arena_printf(subject->arena, "%s %s%s", wish->name,
                                        posture_clean(str_from(value), subject->arena), where);
        if (strcasecmp(value, wish->wanted) == 0)
            opinion->good = posture_join(subject, opinion->good, item);
        else
            opinion->bad = posture_join(subject, opinion->bad, item);
        return;
    }
    /* +, ^ and - change the default list, which only sshd itself knows. */
    bool relative = value[0] != '\0' && strchr("+^-", value[0]) != NULL;
    const char *weak = value[0] == '-' ? "" : posture_weak(wish->algorithms, value, subject->arena);
    if (weak[0] != '\0')
        opinion->bad = posture_join(subject, opinion->bad, arena_printf(subject->arena, "%s%s", weak, where));
    else if (relative || value[0] == '\0')
        opinion->unclear =
            posture_join(subject, opinion->unclear,
                         arena_printf(subject->arena, "%s changes sshd's default list", wish->name));
    else
        opinion->good =
            posture_join(subject, opinion->good, arena_printf(subject->arena, "%s: none weak", wish->name));
}

static void look_at_wish(const struct posture_subject *subject, const struct posture_sshd *sshd,
                         const struct posture_settings *settings, const struct wish *wish,
                         struct opinion *opinion)
{
    const char *value = posture_setting(settings, wish->name);
    if (value == NULL && !sshd->effective && strcmp(wish->name, "kbdinteractiveauthentication") == 0)
        value = posture_setting(settings, "challengeresponseauthentication"); /* its old name */
    if (settings->includes && !sshd->effective)
        opinion->unclear =
            posture_join(subject, opinion->unclear,
                         arena_printf(subject->arena, "%s: unknown, other files are included", wish->name));
    else if (value != NULL)
        look_at_value(subject, wish, value, "", opinion);
    else if (wish->preset != NULL && !sshd->effective)
        look_at_value(subject, wish, wish->preset, " (not set: OpenSSH's default)", opinion);
    else
        opinion->unclear = posture_join(subject, opinion->unclear,
                                        arena_printf(subject->arena, "%s is not shown", wish->name));
    for (size_t i = 0; i < settings->matched_count; i++)
        if (strcmp(settings->matched[i].name, wish->name) == 0)
            look_at_value(subject, wish, settings->matched[i].value,
                          " (for some users or addresses, by Match)", opinion);
}

struct posture_line posture_judge_sshd(const struct posture_subject *subject, enum posture_id id,
                                       const struct posture_sshd *sshd)
{
    struct posture_settings settings;
    struct opinion opinion = { "", "", "" };
    if (sshd->said.why != NULL)
        return posture_untold(sshd->unasked == NULL
                                  ? sshd->said.why
                                  : arena_printf(subject->arena, "%s; %s", sshd->unasked, sshd->said.why),
                              sshd->said.command);
    result r = posture_parse_sshd(sshd->said.out, subject->arena, &settings);
    if (failed(r))
        return posture_untold(posture_clean(str_from(r.error.what), subject->arena), sshd->said.command);
    for (size_t i = 0; i < COUNT(wishes); i++)
        if (wishes[i].id == id)
            look_at_wish(subject, sshd, &settings, &wishes[i], &opinion);
    const char *of = sshd->effective ? "" : " (from the file only: sshd -T cannot be run)";
    if (opinion.bad[0] != '\0')
        return posture_observed(false, arena_printf(subject->arena, "%s%s", opinion.bad, of),
                                sshd->said.command);
    if (opinion.unclear[0] != '\0')
        return posture_untold(arena_printf(subject->arena, "%s%s", opinion.unclear, of), sshd->said.command);
    return posture_observed(true, arena_printf(subject->arena, "%s%s", opinion.good, of), sshd->said.command);
}

/* ---- sockets ---- */
enum { ALLOWED_MAX = 160 };
struct allowed {
    struct config_socket items[ALLOWED_MAX];
    size_t count;
};

static struct config_network address_of(const char *text)
{
    struct config_network network;
    return config_network_parse(str_from(text), &network)
               ? network
               : (struct config_network){ 0 }; /* for a name: any address */
}

static void allow(struct allowed *allowed, const char *address, uint32_t port, bool anywhere)
{
    struct config_socket socket = { .port = (uint16_t)port };
    if (!anywhere)
        socket.address = address_of(address);
    if (allowed->count < ALLOWED_MAX)
        allowed->items[allowed->count++] = socket;
}

/* PostgreSQL on its address; sshd on any address, which is its default; the gateways of the region, which may be on the same
 * host; and what the node declares in listens. */
static void gather_allowed(const struct posture_subject *subject, struct allowed *allowed)
{
    const struct node *node = subject->node;
    const struct region *region = subject->cell->region;
    struct config_socket declared;
    allow(allowed, node->address, node->port, false);
    if (node->ssh.user != NULL)
        allow(allowed, NULL, node->ssh.port, true);
    for (size_t i = 0; i < region->listen_count; i++)
        allow(allowed, region->listen[i].address, region->listen[i].port, false);
    for (size_t i = 0; i < region->status_count; i++)
        allow(allowed, region->status[i].address, region->status[i].port, false);
    for (size_t i = 0; i < node->listens.count && allowed->count < ALLOWED_MAX; i++)
        if (config_socket_parse(node->listens.items[i].text, &declared))
            allowed->items[allowed->count++] = declared;
}

static bool same_address(const struct config_network *a, const struct config_network *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* A declared "*" covers every address; a declared address covers only itself, not a socket on all addresses. */
static bool is_allowed(const struct allowed *allowed, const struct config_socket *socket)
{
    for (size_t i = 0; i < allowed->count; i++) {
        const struct config_socket *item = &allowed->items[i];
        if (item->udp == socket->udp && item->port == socket->port &&
            (item->address.length == 0 || same_address(&item->address, &socket->address)))
            return true;
    }
    return false;
}

static bool is_own(const struct node *node, const struct config_socket *socket)
{
    const struct config_network own = address_of(node->address);
    const struct config_network ssh = address_of(node->ssh.user != NULL ? node->ssh.address : node->address);
    return socket->address.length != 0 &&
           (same_address(&own, &socket->address) || same_address(&ssh, &socket->address));
}

static bool is_loopback(const struct config_socket *socket)
{
    static const unsigned char v6[16] = { [15] = 1 };
    return (socket->address.length == 4 && socket->address.bytes[0] == 127) ||
           (socket->address.length == 16 && memcmp(socket->address.bytes, v6, 16) == 0);
}

struct posture_line posture_judge_sockets(const struct posture_subject *subject, bool udp,
                                          const struct posture_said *said)
{
    enum { SHOWN_MAX = 40 };
    struct posture_sockets sockets;
    struct allowed *allowed = arena_new(subject->arena, struct allowed);
    const char *undeclared = "";
    size_t count = 0, local = 0, others = 0, fine = 0;
    if (said->why != NULL)
        return posture_untold(said->why, said->command);
    result r = posture_parse_sockets(said->out, udp, subject->arena, &sockets);
    if (failed(r))
        return posture_untold(posture_clean(str_from(r.error.what), subject->arena), said->command);
    gather_allowed(subject, allowed);
    for (size_t i = 0; i < sockets.count; i++) {
        const struct config_socket *socket = &sockets.items[i];
        bool own = is_own(subject->node, socket);
        if (is_allowed(allowed, socket) && (own || !subject->node->shared_host))
            fine++;
        else if (!own && subject->node->shared_host)
            others++;
        else if (!own && is_loopback(socket))
            local++;
        else if (count++ < SHOWN_MAX)
            undeclared = posture_join(subject, undeclared, posture_socket_text(socket, subject->arena));
    }
    const char *rest =
        subject->node->shared_host
            ? arena_printf(subject->arena, "%zu on other addresses of this shared host not checked", others)
            : arena_printf(subject->arena, "%zu on the loopback address only", local);
    return count > 0 ? posture_observed(false,
                                        arena_printf(subject->arena, "%zu not declared: %s; %zu declared; %s",
                                                     count, undeclared, fine, rest),
                                        said->command)
                     : posture_observed(true, arena_printf(subject->arena, "%zu declared; %s", fine, rest),
                                        said->command);
}

/* ---- files ---- */
static bool is_key(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, ".key") == 0;
}

static unsigned forbidden(enum posture_id id, const struct posture_file *file)
{
    if (id == POSTURE_FILES_DATA)
        return 027; /* PostgreSQL itself accepts 0700 or 0750 */
    if (id == POSTURE_FILES_STATE)
        return 077;
    if (id == POSTURE_FILES_LOG)
        return 027;
    if (!is_key(file->path))
        return 022;
    return strcmp(file->owner, "root") == 0 ? 037 : 077; /* root's key may be readable by its group */
}

struct posture_line posture_judge_files(const struct posture_subject *subject, enum posture_id id,
                                        const struct posture_said *said)
{
    enum { SHOWN_MAX = 6 };
    struct posture_files files;
    const char *open = "", *seen = "";
    size_t count = 0;
    if (said->why != NULL)
        return posture_untold(said->why, said->command);
    result r = posture_parse_files(said->out, subject->arena, &files);
    if (failed(r) || files.count == 0)
        return posture_untold(failed(r) ? posture_clean(str_from(r.error.what), subject->arena)
                                        : "nothing was listed",
                              said->command);
    for (size_t i = 0; i < files.count; i++) {
        const struct posture_file *file = &files.items[i];
        bool link = file->type == 'l'; /* a link's own mode means nothing */
        bool stranger = strcmp(file->owner, "root") != 0 && strcmp(file->owner, subject->node->ssh.user) != 0;
        bool wrong = stranger || (!link && (file->mode & forbidden(id, file)) != 0);
        const char *text = arena_printf(subject->arena, "%s %04o %s", file->path, file->mode, file->owner);
        if (wrong && count++ < SHOWN_MAX)
            open = posture_join(subject, open, text);
        if (i < 2)
            seen = posture_join(subject, seen, text);
    }
    if (count > 0)
        return posture_observed(
            false, arena_printf(subject->arena, "%zu accessible to other users: %s", count, open),
            said->command);
    return posture_observed(
        true,
        files.count <= 2
            ? seen
            : arena_printf(subject->arena, "%zu files, none accessible to other users", files.count),
        said->command);
}

/* ---- PostgreSQL ---- */
struct pg_wish {
    enum posture_id id;
    const char *name;
    const char *fine[3]; /* good values; none: see judge_value */
};
static const struct pg_wish pg_wishes[] = {
    { POSTURE_PG_VERSION, "server_version", { NULL } },
    { POSTURE_PG_CHECKSUMS, "data_checksums", { "on" } },
    { POSTURE_PG_TLS, "ssl", { "on" } },
    { POSTURE_PG_TLS, "ssl_min_protocol_version", { "TLSv1.2", "TLSv1.3" } },
    { POSTURE_PG_TLS, "ssl_ca_file", { NULL } },
    { POSTURE_PG_LOG_CONNECTIONS, "log_connections", { "on" } },
    { POSTURE_PG_LOG_CONNECTIONS, "log_disconnections", { "on" } },
    { POSTURE_PG_LOG_CONNECTIONS, "log_replication_commands", { "on" } },
    { POSTURE_PG_LOG_CONTENT, "log_statement", { "none", "ddl" } },
    { POSTURE_PG_LOG_CONTENT, "log_parameter_max_length_on_error", { "0" } },
    { POSTURE_PG_LOG_CONTENT, "log_parameter_max_length", { NULL } },
    { POSTURE_PG_DURABILITY, "fsync", { "on" } },
    { POSTURE_PG_DURABILITY, "full_page_writes", { "on" } },
    { POSTURE_PG_DURABILITY, "synchronous_commit", { "on", "remote_apply", "remote_write" } },
};

/* Parameters of statements are logged only if slow statements are. */
static bool is_fine(const struct pg_wish *wish, const char *value, const struct posture_settings *settings)
{
    const char *slow = posture_setting(settings, "log_min_duration_statement");
    if (wish->id == POSTURE_PG_VERSION)
        return strncmp(value, "15.", 3) == 0;
    if (strcmp(wish->name, "log_parameter_max_length") == 0)
        return strcmp(value, "0") == 0 || (slow != NULL && strcmp(slow, "-1") == 0);
    if (wish->fine[0] == NULL)
        return value[0] != '\0';
    for (size_t i = 0; i < COUNT(wish->fine); i++)
        if (wish->fine[i] != NULL && strcmp(wish->fine[i], value) == 0)
            return true;
    return false;
}

struct posture_line posture_judge_pg(const struct posture_subject *subject, enum posture_id id,
                                     const struct posture_settings *settings, const char *why)
{
    const char *names = "", *bad = "", *good = "", *absent = "";
    for (size_t i = 0; i < COUNT(pg_wishes); i++) {
        const struct pg_wish *wish = &pg_wishes[i];
        if (wish->id != id)
            continue;
        const char *value = why == NULL ? posture_setting(settings, wish->name) : NULL;
        names = posture_join(subject, names, wish->name);
        if (value == NULL) {
            absent = posture_join(subject, absent, wish->name);
            continue;
        }
        const char *item = arena_printf(subject->arena, "%s = %s", wish->name,
                                        posture_clean(str_from(value), subject->arena));
        if (is_fine(wish, value, settings))
            good = posture_join(subject, good, item);
        else
            bad = posture_join(subject, bad, item);
    }
    const char *told_by = arena_printf(subject->arena, "pg_settings: %s", names);
    if (why != NULL)
        return posture_untold(why, told_by);
    if (bad[0] != '\0')
        return posture_observed(false, bad, told_by);
    return absent[0] != '\0'
               ? posture_untold(arena_printf(subject->arena, "pg_settings does not show %s", absent), told_by)
               : posture_observed(true, good, told_by);
}
