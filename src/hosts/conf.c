#include "hosts/conf.h"

#include "base/buf.h"
#include "base/encode.h"

#include <openssl/sha.h>
#include <stdio.h>

enum { TEXT_MAX = 64 * 1024 };

/* One address, TLS only, and no part of a statement in the log: it may contain a customer's key or a value. A standby must not
 * have fewer connections and walsenders than its primary, so these numbers are the same for every cell. */
static const char settings[] =
    "max_connections = 100\n"
    "password_encryption = 'scram-sha-256'\n"
    "ssl = on\n"
    "ssl_min_protocol_version = 'TLSv1.2'\n"
    "ssl_ciphers = 'ECDHE+AESGCM:ECDHE+CHACHA20'\n"
    "fsync = on\n"
    "synchronous_commit = on\n"
    "full_page_writes = on\n"
    "wal_level = replica\n"
    "wal_log_hints = on\n"
    "hot_standby = on\n"
    "max_wal_senders = 40\n"
    "max_replication_slots = 40\n"
    "max_wal_size = '1GB'\n"
    "wal_sender_timeout = '10s'\n" /* after this time the primary ends a silent standby's connection */
    "wal_receiver_timeout = '10s'\n"
    "wal_retrieve_retry_interval = '500ms'\n"
    "jit = off\n"
    "timezone = 'UTC'\n"
    "log_timezone = 'UTC'\n"
    "log_destination = 'jsonlog'\n" /* a client's text makes no line of its own there: the log is evidence */
    "logging_collector = on\n"
    "log_rotation_age = 0\n"
    "log_rotation_size = 0\n"
    "log_file_mode = 0600\n"
    "log_hostname = off\n"
    "lc_messages = 'C'\n"
    "log_connections = on\n"
    "log_disconnections = on\n"
    "log_replication_commands = on\n"
    "log_statement = none\n"
    "log_min_error_statement = panic\n"
    "log_parameter_max_length = 0\n"
    "log_parameter_max_length_on_error = 0\n"
    "log_error_verbosity = terse\n";

/* ---- quoting ---- */

/* As a value of a configuration file. */
static const char *quoted(struct arena *arena, const char *text)
{
    char *copy = arena_alloc(arena, 2 * strlen(text) + 3), *to = copy;
    *to++ = '\'';
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '\'' || *from == '\\')
            *to++ = *from;
        *to++ = *from;
    }
    *to++ = '\'';
    *to = '\0';
    return copy;
}

/* As a value of a conninfo; the same characters need a backslash there. */
static const char *conninfo_value(struct arena *arena, const char *text)
{
    char *copy = arena_alloc(arena, 2 * strlen(text) + 3), *to = copy;
    *to++ = '\'';
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '\'' || *from == '\\')
            *to++ = '\\';
        *to++ = *from;
    }
    *to++ = '\'';
    *to = '\0';
    return copy;
}

/* An SQL identifier; also for the names of standbys. */
static const char *identifier(struct arena *arena, const char *text)
{
    char *copy = arena_alloc(arena, 2 * strlen(text) + 3), *to = copy;
    *to++ = '"';
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '"')
            *to++ = '"';
        *to++ = *from;
    }
    *to++ = '"';
    *to = '\0';
    return copy;
}

/* ---- names ---- */

const char *conf_slot(struct arena *arena, const struct node *node)
{
    char *slot = arena_cstr(arena, node->name);
    for (char *at = slot; *at != '\0'; at++)
        if (*at == '-')
            *at = '_';
    return slot;
}

const char *conf_upstream(struct arena *arena, const struct node *node, const struct node *upstream)
{
    const char *tls = node->paths.tls;
    return arena_printf(
        arena,
        "host=%s port=%u user=" CONF_REPLICATION
        " application_name=%s sslmode=verify-full sslrootcert=%s/ca.crt sslcert=%s/replication.crt "
        "sslkey=%s/replication.key ssl_min_protocol_version=TLSv1.2 gssencmode=disable "
        "connect_timeout=10 keepalives_idle=10 keepalives_interval=5 keepalives_count=3",
        conninfo_value(arena, upstream->address), upstream->port, conninfo_value(arena, node->name.ptr), tls,
        tls, tls);
}

const char *conf_names(struct arena *arena, const struct node *const *standbys, size_t count)
{
    const char *names = "";
    for (size_t i = 0; i < count; i++)
        names =
            arena_printf(arena, "%s%s%s", names, i > 0 ? ", " : "", identifier(arena, standbys[i]->name.ptr));
    return count == 0 ? "" : arena_printf(arena, "ANY 1 (%s)", names);
}

const char *conf_digest(struct arena *arena, struct str text)
{
    unsigned char bytes[SHA256_DIGEST_LENGTH];
    must(SHA256((const unsigned char *)(text.ptr != NULL ? text.ptr : ""), text.len, bytes) != NULL);
    return encode_hex(arena, (struct str){ (const char *)bytes, sizeof bytes });
}

/* ---- domicile.conf ---- */

static void say(struct buf *buf, const char *format, ...) PRINTF(2, 3);
static void say(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool said = buf_vprintf(buf, format, args);
    va_end(args);
    must(said);
}

static struct str take(struct buf *buf, struct arena *arena)
{
    struct str text = arena_str(arena, buf_str(buf));
    buf_done(buf);
    return text;
}

static void say_place(struct buf *buf, struct arena *arena, const struct conf_node *at)
{
    const struct node *node = at->node;
    const char *tls = node->paths.tls;
    say(buf, "cluster_name = %s\n", quoted(arena, node->name.ptr));
    say(buf, "listen_addresses = %s\nport = %u\n", quoted(arena, node->address), node->port);
    say(buf, "unix_socket_directories = %s\nunix_socket_permissions = 0700\n", quoted(arena, at->socket));
    say(buf, "ssl_ca_file = %s\n", quoted(arena, arena_printf(arena, "%s/ca.crt", tls)));
    say(buf, "ssl_cert_file = %s\n", quoted(arena, arena_printf(arena, "%s/server.crt", tls)));
    say(buf, "ssl_key_file = %s\n", quoted(arena, arena_printf(arena, "%s/server.key", tls)));
}

const char *conf_log_json(struct arena *arena, const struct node *node)
{
    struct str path = str_from(node->paths.log);
    if (path.len == 0)
        return NULL;
    bool named = path.len > 4 && memcmp(path.ptr + path.len - 4, ".log", 4) == 0;
    path.len -= named ? 4 : 0;
    return arena_printf(arena, "%.*s.json", STR_ARG(path));
}

/* PostgreSQL takes the name for a pattern of strftime. */
static void say_log(struct buf *buf, struct arena *arena, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    struct str folder = { path, (size_t)(name - path) - (name - path > 1) };
    char *pattern = arena_alloc(arena, 2 * strlen(name) + 1), *to = pattern;
    for (; *name != '\0'; name++) {
        if (*name == '%')
            *to++ = '%';
        *to++ = *name;
    }
    *to = '\0';
    say(buf, "log_directory = %s\nlog_filename = %s\n", quoted(arena, arena_cstr(arena, folder)),
        quoted(arena, pattern));
}

static void say_replication(struct buf *buf, struct arena *arena, const struct cell *cell,
                            const struct conf_node *at)
{
    uint64_t slot_mib = (uint64_t)cell->monitor.slot_max_mib * 3 /
                        2; /* larger than the limit at which the monitor drops it */
    say(buf, "max_slot_wal_keep_size = '%lluMB'\n", (unsigned long long)slot_mib);
    if (at->upstream != NULL)
        say(buf, "primary_conninfo = %s\nprimary_slot_name = %s\n",
            quoted(arena, conf_upstream(arena, at->node, at->upstream)),
            quoted(arena, conf_slot(arena, at->node)));
    if (at->standby_count > 0)
        say(buf, "synchronous_standby_names = %s\n",
            quoted(arena, conf_names(arena, at->standbys, at->standby_count)));
}

struct str conf_text(struct arena *arena, const struct cell *cell, const struct conf_node *at)
{
    struct buf buf;
    buf_init(&buf, TEXT_MAX);
    say(&buf,
        "# Written by domicile for the node \"%s\" of the cell \"%s/%s\". Do not edit it: change the "
        "region's "
        "file.\n",
        at->node->name.ptr, cell->region->name.ptr, cell->name.ptr);
    say_place(&buf, arena, at);
    must(buf_append(&buf, str_from(settings)));
    say_log(&buf, arena, at->node->paths.log);
    say_replication(&buf, arena, cell, at);
    say(&buf, "domicile.certificate = '%s'\n", conf_digest(arena, at->certificate));
    say(&buf, "domicile.hba = '%s'\n", conf_digest(arena, at->hba));
    say(&buf, "domicile.configuration = '%s'\n", conf_digest(arena, buf_str(&buf)));
    return take(&buf, arena);
}

/* ---- pg_hba.conf and pg_ident.conf ---- */

/* pg_hba.conf needs a prefix length with a numeric address. */
static const char *network_of(struct arena *arena, const char *address)
{
    struct config_network network;
    return strchr(address, '/') == NULL && config_network_parse(str_from(address), &network)
               ? arena_printf(arena, "%s/%u", address, network.length * 8)
               : address;
}

static void say_rule(struct buf *buf, struct arena *arena, const char *database, const char *role,
                     const char *from)
{
    say(buf, "hostssl  %s  %s  %s  cert\n", database, role, network_of(arena, from));
}

static void say_clients(struct buf *buf, struct arena *arena, const struct cell *cell, const char *database,
                        const char *role)
{
    for (size_t i = 0; i < cell->clients.count; i++)
        say_rule(buf, arena, database, role, cell->clients.items[i].text.ptr);
}

struct str conf_hba(struct arena *arena, const struct cell *cell, const struct node *leaving)
{
    struct buf buf;
    const char *database = identifier(arena, cell->database);
    buf_init(&buf, TEXT_MAX);
    say(&buf, "# Written by domicile. Do not edit it: change the region's file. A client needs TLS and a "
              "certificate "
              "of this\n"
              "# region's CA with the role's name; all else is refused. Only the owner can use the socket's "
              "directory.\n");
    say(&buf, CONF_HBA_LOCAL "\n");
    say_clients(&buf, arena, cell, database, "domicile_gateway");
    say_clients(&buf, arena, cell, database, "domicile_admin");
    if (cell->monitor.files.certificate != NULL)
        say_clients(&buf, arena, cell, database, "domicile_monitor");
    if (cell->superuser.certificate != NULL)
        say_clients(&buf, arena, cell, "all", CONF_SUPERUSER);
    for (size_t i = 0; i < cell->node_count; i++)
        if (&cell->nodes[i] != leaving)
            say_rule(&buf, arena, "replication", CONF_REPLICATION, cell->nodes[i].address);
    for (size_t i = 0; i < cell->standby_networks.count; i++)
        say_rule(&buf, arena, "replication", CONF_REPLICATION, cell->standby_networks.items[i].text.ptr);
    return take(&buf, arena);
}

size_t conf_hba_rules(const struct cell *cell, const struct node *leaving)
{
    size_t roles = 2 + (cell->monitor.files.certificate != NULL) + (cell->superuser.certificate != NULL);
    return 1 + roles * cell->clients.count + cell->node_count - (leaving != NULL) +
           cell->standby_networks.count;
}

struct str conf_ident(struct arena *arena, const struct node *node)
{
    return str_from(arena_printf(
        arena, "# Written by domicile. Do not edit it.\n" CONF_IDENT_MAP "  %s  " CONF_SUPERUSER "\n",
        identifier(arena, node->ssh.user)));
}

/* ---- postgresql.conf ---- */

struct str conf_with_include(struct arena *arena, struct str postgresql_conf)
{
    struct str rest = postgresql_conf, line, last = { 0 };
    while (str_cut(&rest, '\n', &line)) {
        struct str trimmed = str_trim(line);
        if (trimmed.len > 0 && trimmed.ptr[0] != '#')
            last = trimmed;
    }
    if (str_is(last, CONF_INCLUDE))
        return (struct str){ 0 };
    bool ended = postgresql_conf.len == 0 || postgresql_conf.ptr[postgresql_conf.len - 1] == '\n';
    return str_from(
        arena_printf(arena, "%.*s%s" CONF_INCLUDE "\n", STR_ARG(postgresql_conf), ended ? "" : "\n"));
}

const char *conf_running(struct arena *arena, struct str conf)
{
    static const char head[] = CONF_RUNNING " = '";
    struct str rest = conf, line, running = { 0 };
    while (str_cut(&rest, '\n', &line))
        if (str_starts(line, STR(CONF_RUNNING " = '")) && line.len > sizeof head)
            running = (struct str){ line.ptr + sizeof head - 1, line.len - sizeof head };
    return arena_cstr(arena, running);
}
