/* Every key of the configuration, once: its type, its limits, what it is when it is left out, and what it is for. */
#include "config/internal.h"

#include <stdlib.h>

#define SCHEMA(name, what, bytes, keys) const struct schema name = { what, bytes, keys, COUNT(keys) }
#define AT(type, member) .offset = offsetof(type, member)
#define LIST(type, items, number, of)                                                                        \
    .kind = KEY_GROUPS, .offset = offsetof(type, items), .count_offset = offsetof(type, number),             \
    .schema = &(of)

/* ---- regions/NAME.cfg ---- */
static const struct schema_key jurisdiction_keys[] = {
    { "country", KEY_COUNTRY, true,
      AT(struct region, jurisdiction.country) - offsetof(struct region, jurisdiction),
      .help = "The country, as two letters of ISO 3166-1." },
    { "bloc", KEY_BLOC, true, AT(struct region, jurisdiction.bloc) - offsetof(struct region, jurisdiction),
      .help =
          "The bloc whose law applies to the region. policies/ must declare it, with this country in it." },
};
static SCHEMA(jurisdiction_schema, "jurisdiction", 0, jurisdiction_keys);

static const struct schema_key listen_keys[] = {
    { "address", KEY_ADDRESS, true, AT(struct listen_address, address),
      .help = "A numeric address of this host." },
    { "port", KEY_INT, true, AT(struct listen_address, port), .min = 1, .max = 65535,
      .help = "The TCP port." },
    { "tls", KEY_BOOL, .preset = "true", AT(struct listen_address, tls),
      .help = "false is allowed on a loopback address only." },
};
static SCHEMA(listen_schema, "listen address", sizeof(struct listen_address), listen_keys);
static SCHEMA(status_schema, "status address", sizeof(struct listen_address), listen_keys);

static const struct schema_key tls_keys[] = {
    { "certificate", KEY_PATH, AT(struct region, tls.certificate) - offsetof(struct region, tls),
      .help = "PEM: the gateway's certificate and its intermediates. Read again on SIGHUP." },
    { "private_key", KEY_PATH, AT(struct region, tls.private_key) - offsetof(struct region, tls),
      .help = "PEM: its private key, mode 0600 or 0640." },
    { "ca", KEY_PATH, AT(struct region, tls.ca) - offsetof(struct region, tls),
      .help =
          "PEM: the CA with which the command line verifies this gateway; the system's CAs if left out." },
};
static SCHEMA(tls_schema, "tls", 0, tls_keys);

static const struct schema_key token_keys[] = {
    { "public_key", KEY_PATH, true, AT(struct region, token.public_key) - offsetof(struct region, token),
      .help = "PEM: the Ed25519 key that verifies this region's access tokens. Every gateway needs it." },
    { "private_key", KEY_PATH, true, AT(struct region, token.private_key) - offsetof(struct region, token),
      .help = "PEM: the key that signs them, mode 0600. Only this region's gateway has the file." },
    { "accepted", KEY_PATHS, .max = 8, AT(struct region, token.accepted) - offsetof(struct region, token),
      .help = "PEM: further public keys whose tokens are still accepted, while the key is being replaced." },
};
static SCHEMA(token_schema, "token", 0, token_keys);

static const struct schema_key root_key_keys[] = {
    { "file", KEY_PATH, AT(struct region, root_key.file) - offsetof(struct region, root_key),
      .help = "The file that holds the region's root key, mode 0600. Only this region's gateway has it." },
    { "command", KEY_WORDS, .max = 16,
      AT(struct region, root_key.command) - offsetof(struct region, root_key),
      .help =
          "Instead of file: a program with its arguments, run without a shell, that prints the root key." },
    { "command_within_ms", KEY_INT, .preset = "10000", .min = 100, .max = 300000,
      AT(struct region, root_key.command_within_ms) - offsetof(struct region, root_key),
      .help = "How long the command may take." },
};
static SCHEMA(root_key_schema, "root key", 0, root_key_keys);

#define LIMIT_KEY(key, when, smallest, largest, normal, words)                                               \
    {                                                                                                        \
#key, KEY_INT, .restart = (when), .preset = normal, .min = (smallest), .max = (largest),             \
                       AT(struct region_limits, key), .help = words                                          \
    }
/* The server takes most limits only at its start; a reload changes these. */
#define LIMIT(key, ...) LIMIT_KEY(key, true, __VA_ARGS__)
#define LIMIT_AT_ONCE(key, ...) LIMIT_KEY(key, false, __VA_ARGS__)
static const struct schema_key limits_keys[] = {
    LIMIT(max_head_bytes, 1024, 1 << 20, "16384", "Bytes of a request's head; more is answered 431."),
    LIMIT(max_headers, 8, 1000, "100", "Header lines of a request; more is answered 431."),
    LIMIT_AT_ONCE(max_body_bytes, 1024, CONFIG_BODY_BYTES_MAX, "1048576",
                  "Bytes of a record or body; more is answered 413."),
    LIMIT(max_connections, 1, 1000000, "20000",
          "Connections at once; for one more the connection that has been without a request for longest is "
          "closed."),
    LIMIT(max_streams, 1, 1000, "100", "HTTP/2 streams at once on one connection."),
    LIMIT(max_requests_per_connection, 1, 100000000, "10000",
          "Requests on one connection; then the connection is closed after the last answer."),
    LIMIT(max_requests, 1, 1000000, "8000",
          "Requests at once. For one more the request that has waited longest for its client is answered "
          "503; if none "
          "waits for its client, the new one is."),
    LIMIT(max_requests_per_address, 1, 1000000, "2000",
          "The same for the requests from one address (IPv6: from one /64 network). A proxy in front of the "
          "gateway has "
          "one address for all its clients: then give it the value of max_requests."),
    LIMIT(max_bytes, CONFIG_BODY_BYTES_MAX, INT32_MAX, "536870912",
          "Bytes of bodies that are being received, and of answers that clients have not yet taken. Beyond "
          "it requests are "
          "answered 503, and beyond half of it stall_ms is a tenth."),
    LIMIT(max_bytes_per_address, CONFIG_BODY_BYTES_MAX, INT32_MAX, "134217728",
          "The same for the clients of one address. Behind a proxy, give it the value of max_bytes."),
    LIMIT(
        max_bytes_per_connection, 65536, INT32_MAX, "4194304",
        "The same for one connection: beyond it its next requests wait until the client takes its answers."),
    LIMIT(handshake_within_ms, 100, 600000, "10000", "From accept to the end of the TLS handshake."),
    LIMIT(head_within_ms, 100, 600000, "10000",
          "From the first byte of a head to its last, also if the head arrives slowly."),
    LIMIT_AT_ONCE(body_within_ms, 100, 3600000, "30000", "The same for a body."),
    LIMIT_AT_ONCE(
        stream_within_ms, 1000, 3600000, "900000",
        "The same for a bulk request or an export, from its head to its last byte. It ends with its "
        "access token as well."),
    LIMIT(idle_ms, 100, 3600000, "60000", "How long a connection may stay open without a request."),
    LIMIT(stall_ms, 100, 600000, "20000", "How long a peer may receive almost nothing of an answer."),
    LIMIT_AT_ONCE(drain_ms, 0, 600000, "10000", "How long requests in flight may take after SIGTERM."),
};
static SCHEMA(limits_schema, "limits", 0, limits_keys);

static const struct schema_key site_keys[] = {
    { "name", KEY_NAME, true, AT(struct site, name), .help = "Unique in all regions." },
    { "title", KEY_TEXT, AT(struct site, title), .max = 100, .help = "For people." },
    { "country", KEY_COUNTRY, true, AT(struct site, country),
      .help = "The country of the data centre: the region's country." },
    { "networks", KEY_WORDS, AT(struct site, networks), .max = 32,
      .help = "Networks of the hosts of the site, as in 192.0.2.0/24. The watch of the cells of every other "
              "region reports a connection from them as foreign." },
};
static SCHEMA(site_schema, "site", sizeof(struct site), site_keys);

#define SSH(key) AT(struct node, ssh.key) - offsetof(struct node, ssh)
static const struct schema_key ssh_keys[] = {
    { "address", KEY_HOST, SSH(address),
      .help = "A host name or numeric address; the node's address if left out." },
    { "port", KEY_INT, .preset = "22", .min = 1, .max = 65535, SSH(port), .help = "sshd's port." },
    { "user", KEY_TEXT, true, .max = 32, SSH(user), .help = "The user who logs in there." },
    { "private_key", KEY_PATH, true, SSH(private_key),
      .help = "The OpenSSH Ed25519 key that logs in, without a passphrase, mode 0600." },
    { "host_key", KEY_TEXT, true, .max = 200, SSH(host_key),
      .help = "The pinned key: the content of /etc/ssh/ssh_host_ed25519_key.pub of that host. A host with "
              "another key is refused." },
    { "state", KEY_TEXT, .preset = "/var/lib/domicile", .max = 200, SSH(state),
      .help =
          "The directory on that host where the guard of remote commands keeps its state: the user's own, "
          "and nobody else may write to it or exchange it." },
    { "config", KEY_TEXT, .preset = "/etc/ssh/sshd_config", .max = 400, SSH(config),
      .help = "The absolute path of the sshd configuration on that host, which node scan checks." },
};
static SCHEMA(ssh_schema, "ssh", 0, ssh_keys);

#define COMMAND(member)                                                                                      \
    AT(struct node, commands.member) - offsetof(struct node, commands), .min = 1, .max = 16
static const struct schema_key commands_keys[] = {
    { "start", KEY_WORDS, COMMAND(start),
      .help = "Starts PostgreSQL, and returns when it has started, as in [ \"systemctl\", \"start\", ... ]; "
              "pg_ctl if left out." },
    { "stop", KEY_WORDS, COMMAND(stop), .help = "Stops PostgreSQL, and returns when it has stopped." },
    { "reload", KEY_WORDS, COMMAND(reload), .help = "Makes PostgreSQL read its configuration again." },
    { "status", KEY_WORDS, COMMAND(status),
      .help = "Tells by its exit status whether PostgreSQL runs: 0 yes, 3 no, 4 no such server, as pg_ctl "
              "status and systemctl is-active do." },
    { "sockets", KEY_WORDS, COMMAND(sockets),
      .help = "Prints the lines of /proc/net/tcp and /proc/net/tcp6, at least those of sockets that listen, "
              "and ends with 0. They show which process has PostgreSQL's port." },
    { "initdb", KEY_WORDS, COMMAND(initdb),
      .help = "Instead of initdb of bin; the arguments are appended to these words, here and below." },
    { "base_backup", KEY_WORDS, COMMAND(base_backup), .help = "Instead of pg_basebackup of bin." },
    { "control", KEY_WORDS, COMMAND(control), .help = "Instead of pg_controldata of bin." },
    { "psql", KEY_WORDS, COMMAND(psql), .help = "Instead of psql of bin." },
    { "postgres", KEY_WORDS, COMMAND(postgres),
      .help =
          "Instead of postgres of bin, which is only asked for --version: a word of the line that it prints "
          "is the number, as in postgres (PostgreSQL) 15.4." },
    { "openssl", KEY_WORDS, COMMAND(openssl), .help = "Instead of openssl." },
    { "df", KEY_WORDS, COMMAND(df),
      .help = "Instead of df. With -P -k -- PATH it prints the table of POSIX, with the free KiB as the "
              "fourth word of the last line, and fails if PATH does not exist; with --output=size,avail -B1 "
              "-- PATH it prints a header and a line with the total and the free bytes of the file system." },
    { "date", KEY_WORDS, COMMAND(date),
      .help = "Instead of date. With -u +%s%3N it prints the time of the host's clock: milliseconds since "
              "1970." },
    { "locale", KEY_WORDS, COMMAND(locale),
      .help = "Instead of locale. With -a it prints the names of the locales, one in each line; C.UTF-8 or "
              "C.utf8 must be one of them." },
    { "stat", KEY_WORDS, COMMAND(stat),
      .help = "Instead of stat. With -c %a -- FILE it prints the mode of a private key, 600; with -L -c "
              "'%d:%i %s' -- "
              "FILE the device, the inode and the bytes of the log." },
    { "dd", KEY_WORDS, COMMAND(dd),
      .help = "Instead of dd, which prints a piece of the log: with if=FILE skip=BYTES count=BYTES "
              "iflag=skip_bytes,count_bytes bs=65536 status=none." },
};
static SCHEMA(commands_schema, "commands", 0, commands_keys);

static const struct schema_key node_keys[] = {
    { "name", KEY_NAME, true, AT(struct node, name), .help = "Unique in all regions." },
    { "site", KEY_NAME, true, AT(struct node, site_name),
      .help = "The site of this region where the node is." },
    { "address", KEY_HOST, true, AT(struct node, address),
      .help = "A host name or numeric address; the server's certificate must have it." },
    { "port", KEY_INT, .preset = "5432", .min = 1, .max = 65535, AT(struct node, port),
      .help = "PostgreSQL's port." },
    { "ssh", KEY_GROUP, AT(struct node, ssh), .schema = &ssh_schema,
      .help = "How domicile connects to the host itself. Without it, domicile only asks PostgreSQL." },
    { "data", KEY_TEXT, AT(struct node, paths.data), .max = 400,
      .help =
          "The absolute data directory on the host. It is needed to provision the cell, like tls and log. It "
          "is created under another name and then renamed, so it cannot be a mount point itself." },
    { "tls", KEY_TEXT, AT(struct node, paths.tls), .max = 400,
      .help = "The absolute directory of the host's certificates and private keys on the host." },
    { "log", KEY_TEXT, AT(struct node, paths.log), .max = 400,
      .help =
          "The absolute path of PostgreSQL's log on the host: the server's first lines. The log itself is "
          "structured, in a file beside it, whose name ends in .json instead of .log; the watch reads "
          "that." },
    { "bin", KEY_TEXT, .preset = "/usr/lib/postgresql/15/bin", AT(struct node, paths.bin), .max = 400,
      .help = "The absolute directory of PostgreSQL's programs on the host." },
    { "commands", KEY_GROUP, AT(struct node, commands), .schema = &commands_schema,
      .help = "The host's own commands, run without a shell, instead of the programs of PostgreSQL and of "
              "the system. Commands that only handle files (cat, test, ls, mkdir, mv, rm, chmod, sync), "
              "commands that the guard of remote commands uses (sh, env, flock, timeout, sync, stat) and the "
              "commands of node scan, which are evidence, are always those of the system." },
    { "disk_encryption", KEY_TEXT, AT(struct node, disk_encryption), .max = 200,
      .help = "How the disk of data is encrypted, in words, if it is not dm-crypt on the host itself. A scan "
              "reports it as declared." },
    { "listens", KEY_WORDS, AT(struct node, listens), .max = 64,
      .help = "Sockets that may listen on the host in addition to PostgreSQL, sshd and the gateway: "
              "ADDRESS:PORT, followed by /udp for UDP, and * for all addresses." },
    { "shared_host", KEY_BOOL, .preset = "false", AT(struct node, shared_host),
      .help = "Whether other servers also run on the host. Then a scan checks only the sockets of the node's "
              "own addresses, and says so." },
};
static SCHEMA(node_schema, "node", sizeof(struct node), node_keys);

static const struct schema_key gateway_files_keys[] = {
    { "certificate", KEY_PATH, true, AT(struct tls_files, certificate),
      .help = "PEM: the client certificate of the role domicile_gateway." },
    { "private_key", KEY_PATH, true, AT(struct tls_files, private_key),
      .help = "PEM: its private key, mode 0600 or 0640." },
};
static SCHEMA(gateway_files_schema, "gateway", 0, gateway_files_keys);

static const struct schema_key admin_files_keys[] = {
    { "certificate", KEY_PATH, true, AT(struct tls_files, certificate),
      .help = "PEM: the client certificate of the role domicile_admin." },
    { "private_key", KEY_PATH, true, AT(struct tls_files, private_key),
      .help = "PEM: its private key. Only the administrator needs it, not the gateway." },
};
static SCHEMA(admin_files_schema, "admin", 0, admin_files_keys);

static const struct schema_key superuser_files_keys[] = {
    { "certificate", KEY_PATH, true, AT(struct tls_files, certificate),
      .help = "PEM: a client certificate of the role postgres." },
    { "private_key", KEY_PATH, true, AT(struct tls_files, private_key),
      .help = "PEM: its private key, mode 0600." },
};
static SCHEMA(superuser_files_schema, "superuser", 0, superuser_files_keys);

#define ISSUING_CA(member) AT(struct cell, issuing_ca.member) - offsetof(struct cell, issuing_ca)
static const struct schema_key issuing_ca_keys[] = {
    { "certificate", KEY_PATH, true, ISSUING_CA(files.certificate),
      .help = "PEM: the certificate of the issuing CA. Created with its key if neither file exists." },
    { "private_key", KEY_PATH, true, ISSUING_CA(files.private_key),
      .help = "PEM: its private key, mode 0600. It stays in the region, on the control plane's host." },
    { "days", KEY_INT, .preset = "397", .min = 1, .max = 3650, ISSUING_CA(days),
      .help = "How many days a certificate that it signs is valid." },
    { "renew_days", KEY_INT, .preset = "30", .min = 0, .max = 3649, ISSUING_CA(renew_days),
      .help = "A certificate that expires within so many days is issued again." },
};
static SCHEMA(issuing_ca_schema, "issuing_ca", 0, issuing_ca_keys);

#define FIT(key) AT(struct cell, fit.key) - offsetof(struct cell, fit)
static const struct schema_key fit_keys[] = {
    { "free_mib", KEY_INT, .preset = "1024", .min = 1, .max = 2147483647, FIT(free_mib),
      .help = "MiB that must be free where the data directory is created." },
    { "clock_offset_ms", KEY_INT, .preset = "1000", .min = 1, .max = 3600000, FIT(clock_offset_ms),
      .help = "How much the clock of a host may differ from the clock of this host, as measured by a round "
              "trip." },
};
static SCHEMA(fit_schema, "fit", 0, fit_keys);
enum { DECLARED_MAX = 64 };
#define DECLARED(key, words)                                                                                 \
    {                                                                                                        \
#key, KEY_WORDS, AT(struct cell_declared, key), .max = DECLARED_MAX, .help = words                   \
    }
static const struct schema_key watch_keys[] = {
    { "interval_ms", KEY_INT, .preset = "5000", .min = 100, .max = 3600000,
      AT(struct cell_declared, interval_ms),
      .help = "How often each node is asked for ways that records leave it." },
    { "sever", KEY_BOOL, .preset = "false", AT(struct cell_declared, sever),
      .help = "Whether a replication connection from another region is ended as soon as it is seen." },
    DECLARED(roles, "Roles in addition to domicile's own, with any rights."),
    DECLARED(clients, "Networks that clients connect from, in addition to the addresses of this region's "
                      "nodes and gateways."),
    DECLARED(hba, "Lines of pg_hba.conf in addition to domicile's own, as in \"local all postgres peer\". "
                  "Each must exist."),
    DECLARED(slots, "Replication slots in addition to those of the cell's standbys."),
    DECLARED(publications,
             "Publications that may exist. Wide publications are findings even if they are declared."),
    DECLARED(subscriptions, "Subscriptions that may exist."),
    DECLARED(extensions, "Extensions in addition to plpgsql."),
    DECLARED(servers, "Foreign servers that may exist."),
    DECLARED(databases, "Databases in addition to the cell's own and those that initdb creates."),
    DECLARED(tables, "Tables and views in addition to the shipped schema, as SCHEMA.NAME."),
    DECLARED(functions, "Functions in addition to the shipped schema, as SCHEMA.NAME(TYPE,...)."),
    DECLARED(event_triggers, "Event triggers that must exist and be enabled."),
    DECLARED(tablespaces, "Tablespaces in addition to pg_default and pg_global."),
    DECLARED(libraries, "Libraries that the server may load at its start or for each session."),
    DECLARED(settings, "Settings that ALTER SYSTEM may have made, in addition to those of replication."),
    { "archive", KEY_TEXT, AT(struct cell_declared, archive), .max = 400,
      .help = "The archive_command or archive_library that the nodes may have." },
    { "restore", KEY_TEXT, AT(struct cell_declared, restore), .max = 400,
      .help = "The restore_command that the nodes may have." },
};
static SCHEMA(watch_schema, "watch", 0, watch_keys);

#define POOL(key) AT(struct cell, pool.key) - offsetof(struct cell, pool)
static const struct schema_key pool_keys[] = {
    { "connections", KEY_INT, .preset = "4", .min = 1, .max = 64, POOL(connections),
      .help = "Connections of each gateway process to the primary." },
    { "queue_max", KEY_INT, .preset = "4096", .min = 1, .max = 1000000, POOL(queue_max),
      .help = "Statements waiting or in flight; one more is answered 503." },
    { "connect_within_ms", KEY_INT, .preset = "5000", .min = 100, .max = 60000, POOL(connect_within_ms),
      .help = "The time for connecting and logging in." },
    { "statement_within_ms", KEY_INT, .preset = "5000", .min = 100, .max = 600000, POOL(statement_within_ms),
      .help = "The time for one statement, from the call to its answer." },
};
static SCHEMA(pool_schema, "pool", 0, pool_keys);

#define STEP(member) AT(struct cell_step, member)
static const struct schema_key step_keys[] = {
    { "name", KEY_NAME, true, STEP(name),
      .help = "Its id in the runbook, different from all other steps there." },
    { "runbook", KEY_NAME, true, STEP(runbook), .help = "The runbook that it is a step of." },
    { "after", KEY_NAME, true, STEP(after), .help = "The step of that runbook that it comes after." },
    { "on", KEY_NAME, true, STEP(on_name), .help = "The node of this cell on which its commands run." },
    { "title", KEY_TEXT, STEP(title), .max = 100,
      .help = "A title for people, as a command without a period; made from run if left out." },
    { "run", KEY_WORDS, true, STEP(run), .min = 1, .max = 32,
      .help = "A program by its absolute path, and its arguments. It may run again after a crash." },
    { "check", KEY_WORDS, true, STEP(check), .min = 1, .max = 32,
      .help = "A program and its arguments that only check: exit status 0 means that the step is done, any "
              "other that it is not." },
    { "undo", KEY_WORDS, STEP(undo), .min = 1, .max = 32,
      .help = "A program and its arguments that undo the step; not allowed after a point of no return." },
    { "within_ms", KEY_INT, .preset = "60000", .min = 100, .max = 24 * 3600 * 1000, STEP(within_ms),
      .help = "How long each of its commands may take." },
    { "tries", KEY_INT, .preset = "1", .min = 1, .max = 100, STEP(tries),
      .help = "How often run is tried while check says that the step is not done." },
};
static SCHEMA(step_schema, "step", sizeof(struct cell_step), step_keys);

#define MONITOR(member) AT(struct cell, monitor.member) - offsetof(struct cell, monitor)
static const struct schema_key monitor_keys[] = {
    { "certificate", KEY_PATH, true, MONITOR(files.certificate),
      .help = "PEM: the client certificate of the role domicile_monitor." },
    { "private_key", KEY_PATH, true, MONITOR(files.private_key),
      .help = "PEM: its private key, mode 0600 or 0640." },
    { "interval_ms", KEY_INT, .preset = "1000", .min = 100, .max = 60000, MONITOR(interval_ms),
      .help = "How often each node is asked, and how long an answer may take." },
    { "rounds", KEY_INT, .preset = "3", .min = 1, .max = 100, MONITOR(rounds),
      .help = "How many times in a row a new state of the cell must be seen before the state changes." },
    { "lost_after_ms", KEY_INT, .preset = "5000", .min = 500, .max = 600000, MONITOR(lost_after_ms),
      .help = "How long the primary must be unreachable, from the monitor and from its standbys, before it "
              "counts as lost." },
    { "degrade_after_ms", KEY_INT, .preset = "10000", .min = 500, .max = 3600000, MONITOR(degrade_after_ms),
      .help = "With on_standby_loss = \"degrade\": how long writes wait for a lost standby." },
    { "lag_max_bytes", KEY_INT, .preset = "16777216", .min = 65536, .max = 2147483647, MONITOR(lag_max_bytes),
      .help = "A standby that lags by more bytes is not made synchronous again." },
    { "slot_max_mib", KEY_INT, .preset = "16384", .min = 16, .max = 1073741824, MONITOR(slot_max_mib),
      .help = "A replication slot that retains more MiB of WAL is dropped, before the disk is full." },
};
static SCHEMA(monitor_schema, "monitor", 0, monitor_keys);
static const char *const standby_loss_words[] = { "block", "degrade", NULL };

static const struct schema_key cell_keys[] = {
    { "name", KEY_NAME, true, AT(struct cell, name),
      .help = "Unique in all regions; stamped into the cluster." },
    { "database", KEY_TEXT, .preset = "domicile", .max = 63, AT(struct cell, database),
      .help = "The PostgreSQL database." },
    { "primary", KEY_NAME, true, AT(struct cell, primary_name), .help = "The node that takes writes." },
    { "ca", KEY_PATH, true, AT(struct cell, ca),
      .help = "PEM: the CA certificates with which the nodes' certificates are verified." },
    { "gateway", KEY_GROUP, true, AT(struct cell, gateway), .schema = &gateway_files_schema,
      .help = "The client certificate of the gateway for PostgreSQL." },
    { "admin", KEY_GROUP, true, AT(struct cell, admin), .schema = &admin_files_schema,
      .help =
          "The client certificate of an administrator for PostgreSQL: it may keep the staff's clients and "
          "look at the cell's state. It owns nothing." },
    { "issuing_ca", KEY_GROUP, AT(struct cell, issuing_ca), .schema = &issuing_ca_schema,
      .help = "The CA that signs the certificates of the cell. Needed to provision the cell." },
    { "superuser", KEY_GROUP, AT(struct cell, superuser), .schema = &superuser_files_schema,
      .help =
          "A client certificate of postgres, to change the schema and to inspect the nodes over TLS. Without "
          "it nobody can." },
    { "clients", KEY_WORDS, AT(struct cell, clients), .max = 64,
      .help = "Networks that gateways, monitors and administrators connect from, as in 192.0.2.0/24." },
    { "standby_networks", KEY_WORDS, AT(struct cell, standby_networks), .max = 64,
      .help = "Networks that standbys connect from, in addition to the addresses of the cell's nodes." },
    { "synchronous", KEY_BOOL, .preset = "true", AT(struct cell, synchronous),
      .help = "Whether a write waits until a standby has it, if the cell has a standby." },
    { "fit", KEY_GROUP, AT(struct cell, fit), .schema = &fit_schema,
      .help = "What a host must meet before anything is created on it." },
    { "monitor", KEY_GROUP, AT(struct cell, monitor), .schema = &monitor_schema,
      .help = "How the cell is monitored. Without it the cell is not monitored." },
    { "on_standby_loss", KEY_WORD, .preset = "block", .choices = standby_loss_words,
      AT(struct cell, on_standby_loss),
      .help = "If no standby confirms writes: block makes writes wait until a standby confirms; degrade lets "
              "them continue without a standby after monitor.degrade_after_ms, and reports it." },
    { "watch", KEY_GROUP, AT(struct cell, watch), .schema = &watch_schema,
      .help = "What may exist in the cluster in addition to domicile's own set-up. Everything else is a "
              "finding." },
    { "pool", KEY_GROUP, AT(struct cell, pool), .schema = &pool_schema,
      .help = "The gateway's connections." },
    { "nodes", LIST(struct cell, nodes, node_count, node_schema), .required = true, .min = 1, .max = 16,
      .help = "The PostgreSQL servers of the cell: a primary and its standbys." },
    { "steps", LIST(struct cell, steps, step_count, step_schema), .max = 64,
      .help = "The operator's own steps in runbooks of this cell. They follow the rules of all steps." },
};
static SCHEMA(cell_schema, "cell", sizeof(struct cell), cell_keys);

static const struct schema_key region_keys[] = {
    { "name", KEY_NAME, true, true, AT(struct region, name),
      .help = "The name of the region and of its file." },
    { "title", KEY_TEXT, true, AT(struct region, title), .max = 100, .help = "For people." },
    { "jurisdiction", KEY_GROUP, true, AT(struct region, jurisdiction), .schema = &jurisdiction_schema,
      .help = "Whose law applies: a country in a bloc." },
    { "endpoint", KEY_URL, true, AT(struct region, endpoint),
      .help = "The URL of its gateway: https, host and port. Clients that asked another region's gateway are "
              "sent to it." },
    { "listen", LIST(struct region, listen, listen_count, listen_schema), .required = true, .restart = true,
      .min = 1, .max = 8, .help = "Where its gateway listens for customers." },
    { "status", LIST(struct region, status, status_count, status_schema), .restart = true, .max = 8,
      .help =
          "Where its gateway answers /readyz and /metrics, for load balancers and Prometheus, and nothing "
          "else. "
          "They need no token and tell how busy a region is: a loopback address, or one that only operators "
          "reach. Without it nobody is told." },
    { "tls", KEY_GROUP, AT(struct region, tls), .schema = &tls_schema,
      .help = "Needed if the gateway listens with TLS." },
    { "token", KEY_GROUP, true, AT(struct region, token), .schema = &token_schema,
      .help = "The keys of access tokens." },
    { "root_key", KEY_GROUP, true, .restart = true, AT(struct region, root_key), .schema = &root_key_schema,
      .help = "The key that wraps all other keys of the region: a file or a command." },
    { "limits", KEY_GROUP, AT(struct region, limits), .schema = &limits_schema,
      .help = "Limits for the requests of clients." },
    { "sites", LIST(struct region, sites, site_count, site_schema), .required = true, .min = 1, .max = 64,
      .help = "The data centres of the region." },
    { "cells", LIST(struct region, cells, cell_count, cell_schema), .required = true, .restart = true,
      .min = 1, .max = 64,
      .help = "The PostgreSQL clusters of the region. Two regions never share a cluster." },
};
SCHEMA(schema_region, "region", sizeof(struct region), region_keys);

/* ---- policies/NAME.cfg ---- */
static const struct schema_key class_keys[] = {
    { "name", KEY_NAME, true, AT(struct data_class, name),
      .help = "The name of the class, under which its records are stored." },
    { "description", KEY_TEXT, true, AT(struct data_class, description), .max = 400,
      .help = "What records belong in the class." },
    { "sealed", KEY_BOOL, true, AT(struct data_class, sealed),
      .help = "Whether its records are encrypted before they reach the cell." },
    { "audit_reads", KEY_BOOL, true, AT(struct data_class, audit_reads),
      .help = "Whether reads also write an audit row. Writes always do." },
    { "max_body_bytes", KEY_INT, AT(struct data_class, max_body_bytes), .min = 1,
      .max = CONFIG_BODY_BYTES_MAX,
      .help = "Bytes of a record of the class; the region's limits.max_body_bytes if left out." },
};
static SCHEMA(class_schema, "class", sizeof(struct data_class), class_keys);

static const struct schema_key bloc_keys[] = {
    { "name", KEY_BLOC, true, AT(struct bloc, name), .help = "Capital letters, digits and hyphens." },
    { "countries", KEY_WORDS, true, AT(struct bloc, country_codes), .min = 1, .max = CONFIG_COUNTRIES_MAX,
      .help = "Its countries, as two letters each. A country may be in several blocs. A country in no bloc "
              "is not a valid place." },
};
static SCHEMA(bloc_schema, "bloc", sizeof(struct bloc), bloc_keys);

#define RULE_WORDS(key, member, most, words)                                                                 \
    {                                                                                                        \
        key, KEY_WORDS, AT(struct policy_rule, member), .min = 1, .max = (most), .help = words               \
    }
static const struct schema_key rule_keys[] = {
    { "name", KEY_NAME, true, AT(struct policy_rule, name), .help = "Its name in refusals and audit rows." },
    RULE_WORDS("deny", deny, 32,
               "The actions that it refuses, or [\"any\"]. A rule has either deny or allow."),
    RULE_WORDS("allow", allow, 32, "The actions that it allows, or [\"any\"], unless another rule denies."),
    RULE_WORDS("roles", roles, 32, "The principals' roles."),
    RULE_WORDS("classes", classes, CONFIG_CLASSES_MAX, "The classes of records."),
    RULE_WORDS("homes", homes, 64, "The customers' home regions: a region, country:XX or bloc:X."),
    RULE_WORDS("places", places, 64,
               "The places of the action: home, home-country, home-bloc, a region, country:XX, bloc:X."),
    RULE_WORDS("outside", outside, 64,
               "The opposite of places: the rule applies if the action is in none of these."),
    { "reason", KEY_TEXT, true, AT(struct policy_rule, reason), .max = 400,
      .help = "A sentence for people who are refused and for auditors." },
};
static SCHEMA(rule_schema, "rule", sizeof(struct policy_rule), rule_keys);

static const struct schema_key service_keys[] = {
    { "name", KEY_NAME, true, AT(struct service, name), .help = "The name that a customer acknowledges." },
    { "title", KEY_TEXT, true, AT(struct service, title), .max = 100, .help = "For people." },
    { "regional", KEY_BOOL, true, AT(struct service, regional),
      .help = "Whether the service is kept in every region." },
    { "regions", KEY_WORDS, AT(struct service, region_names), .min = 1, .max = CONFIG_REGIONS_MAX,
      .help = "For a service that is not regional: the regions in which it is kept anyway." },
    { "reason", KEY_TEXT, AT(struct service, reason), .max = 400,
      .help = "Why it cannot be kept in the region. Needed if it is not regional." },
    { "where", KEY_TEXT, AT(struct service, where), .max = 200,
      .help = "Where the service works instead. Needed if it is not regional." },
};
static SCHEMA(service_schema, "service", sizeof(struct service), service_keys);

static const struct schema_key policies_keys[] = {
    { "blocs", LIST(struct config, blocs, bloc_count, bloc_schema), .max = CONFIG_BLOCS_MAX,
      .help = "The blocs of countries that rules and regions name." },
    { "classes", LIST(struct config, classes, class_count, class_schema), .max = CONFIG_CLASSES_MAX,
      .help = "The data register." },
    { "rules", LIST(struct config, rules, rule_count, rule_schema), .max = CONFIG_RULES_MAX,
      .help = "What is allowed and what is denied. A rule that denies wins; an action that no rule allows is "
              "denied." },
    { "services_version", KEY_INT, AT(struct config, services_version), .min = 1, .max = 1000000000,
      .help = "Increase it with every change of services: customers acknowledged a version, and the "
              "directory keeps the list of each version." },
    { "services", LIST(struct config, services, service_count, service_schema), .max = CONFIG_SERVICES_MAX,
      .help = "The vendor's services, and whether they can be kept in a customer's region." },
};
SCHEMA(schema_policies, "policy", sizeof(struct config), policies_keys);

/* ---- domicile.cfg ---- */
static const struct schema_key vantage_keys[] = {
    { "name", KEY_NAME, true, AT(struct vantage, name),
      .help = "The name under which its measurements are stored." },
    { "country", KEY_COUNTRY, true, AT(struct vantage, country), .help = "Its country, as two letters." },
    { "latitude", KEY_DEGREES, true, AT(struct vantage, latitude), .max = 90,
      .help = "Degrees north; south is negative." },
    { "longitude", KEY_DEGREES, true, AT(struct vantage, longitude), .max = 180,
      .help = "Degrees east; west is negative." },
};
static SCHEMA(vantage_schema, "vantage", sizeof(struct vantage), vantage_keys);

static const char *const log_levels[] = { "debug", "info", "warning", "error", NULL };
static const struct schema_key top_keys[] = {
    { "directory", KEY_PATH, .restart = true, .preset = "directory.sqlite", AT(struct config, directory_path),
      .help = "The SQLite file of the directory, with the home of each customer and the leases. The gateways "
              "of one host share it." },
    { "state_path", KEY_PATH, .restart = true, .preset = "state", AT(struct config, state_path),
      .help = "The directory (mode 0700, created when needed) for data that must survive a crash: journals "
              "of runs, the record of remote commands, measurements of node locate." },
    { "log_level", KEY_WORD, .preset = "info", .choices = log_levels, AT(struct config, log_level),
      .help = "How much a gateway logs: debug, info, warning or error." },
    { "vantage", KEY_NAME, AT(struct config, vantage_name),
      .help = "Which of the vantages this host is: node locate measures from here." },
    { "vantages", LIST(struct config, vantages, vantage_count, vantage_schema), .max = CONFIG_VANTAGES_MAX,
      .help = "The places that nodes are measured from. All hosts declare the same ones." },
};
SCHEMA(schema_top, "domicile", sizeof(struct config), top_keys);

static const struct schema_key whole_keys[] = {
    { "regions", LIST(struct config, regions, region_count, schema_region), .max = CONFIG_REGIONS_MAX,
      .help = "One file each." },
};
SCHEMA(schema_whole, "configuration", sizeof(struct config), whole_keys);

const struct schema_key *schema_find(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->count; i++)
        if (strcmp(schema->keys[i].name, name) == 0)
            return &schema->keys[i];
    return NULL;
}

uint32_t schema_preset_int(const struct schema_key *key)
{
    return key->preset == NULL ? 0 : (uint32_t)strtoul(key->preset, NULL, 10);
}
