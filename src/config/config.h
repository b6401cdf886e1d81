#pragma once
/* The configuration: DIR/regions/NAME.cfg (one region each), DIR/policies/NAME.cfg (data register, rules, blocs,
 * services) and, if it is there, DIR/domicile.cfg, read whole, checked whole, and kept as one snapshot that nobody
 * changes. domicile.cfg(5) describes every key; src/config/schema.c declares them.
 *
 * Loading blocks on the disk for some milliseconds: at start, or by fiber_offload. Everything else here is pure. A
 * snapshot may be read by any thread; all pointers and strings in it live until config_free. Every struct str in it has
 * a NUL behind. Paths are absolute, or relative to the process's directory if DIR is. */
#include "base/arena.h"
#include "config/vocabulary.h"

enum {
    CONFIG_REGIONS_MAX = 32,
    CONFIG_CLASSES_MAX = 64,
    CONFIG_RULES_MAX = 256,
    CONFIG_BLOCS_MAX = 32,
    CONFIG_COUNTRIES_MAX = 256,
    CONFIG_SERVICES_MAX = 64,
    CONFIG_VANTAGES_MAX = 64,
    CONFIG_FILES_MAX = 128,
    CONFIG_FILE_BYTES_MAX = 1 << 20,
    CONFIG_ERRORS_MAX = 64,
    CONFIG_BODY_BYTES_MAX = 64 << 20, /* of a record: what a cell's schema takes */
};

/* Where something was declared: a file by its path below DIR ("regions/us.cfg"), and a line. */
struct config_source {
    const char *file;
    int line;
};

/* A word of a list, as it was written. */
struct config_word {
    struct str text;
    int line;
};
struct config_words {
    const struct config_word *items;
    size_t count;
};

/* ---- regions ---- */
struct listen_address {
    struct config_source source;
    const char *address; /* numeric */
    uint32_t port;
    bool tls; /* false: cleartext, on a loopback address only */
};

struct site {
    struct config_source source;
    struct str name; /* "par1"; unique in all regions */
    const char *title;
    const char *country;          /* the region's */
    struct config_words networks; /* "192.0.2.0/24": what connects from there is at this site */
};

/* How domicile reaches a host. host_key is well-formed (host_key.h). */
struct node_ssh {
    const char *address; /* a name or a numeric address; the node's if it was left out */
    uint32_t port;
    const char *user; /* NULL: the node has no ssh at all */
    const char *private_key, *host_key, *state;
    const char *config; /* the configuration of its sshd, there */
};

struct node {
    struct config_source source;
    struct str name; /* "eu1"; unique in all regions */
    struct str site_name;
    const char *address; /* a name or a numeric address; its certificate carries it */
    uint32_t port;
    struct node_ssh ssh;
    struct {
        const char *data, *tls, *log, *bin; /* there; absolute. NULL without ssh */
    } paths;
    struct {
        struct config_words start, stop, reload, status, sockets; /* whole commands */
        /* how such a command begins */
        struct config_words initdb, base_backup, control, psql, postgres, openssl, df, date, locale, stat, dd;
    } commands;                  /* empty: PostgreSQL's own, and the system's */
    const char *disk_encryption; /* how the disk is encrypted where the host does not show it; may be NULL */
    struct config_words listens; /* "ADDRESS:PORT", "*:PORT/udp": further sockets that may listen there */
    bool shared_host;            /* others have servers there too */
    const struct site *site;
};

struct tls_files {
    const char *certificate, *private_key;
};

/* A step of the operator's own in a runbook of the cell; src/runbook makes a step of it. */
struct cell_step {
    struct config_source source;
    struct str name;           /* its id in the runbook */
    struct str runbook, after; /* and the step that it comes after: src/runbook says if there are such */
    struct str on_name;
    const char *title;              /* NULL: made of the command */
    struct config_words run, check; /* argv, the program by its absolute path */
    struct config_words undo;       /* empty: what it did stays */
    uint32_t within_ms, tries;
    const struct node *on;
};

/* What is declared in a cell's cluster in addition to domicile's own set-up: the watch reports everything else as a
 * finding. */
struct cell_declared {
    uint32_t interval_ms;
    bool sever; /* ends a replication connection from another region */
    struct config_words roles, slots, publications, subscriptions, extensions, servers, databases, tables,
        functions, event_triggers, tablespaces, libraries, settings;
    struct config_words clients;   /* networks */
    struct config_words hba;       /* lines of pg_hba.conf, fields apart by one space */
    const char *archive, *restore; /* NULL: none */
};

struct cell {
    struct config_source source;
    struct str name; /* "eu-fr-1"; unique in all regions */
    const char *database;
    struct str primary_name;
    const char *ca;                  /* verifies the nodes */
    struct tls_files gateway, admin; /* client certificates of domicile_gateway and domicile_admin */
    struct cell_declared watch;
    struct {
        struct tls_files files; /* NULL: the cell is not provisioned by domicile */
        uint32_t days, renew_days;
    } issuing_ca;
    struct tls_files superuser;                    /* client certificate of postgres; NULL: there is none */
    struct config_words clients, standby_networks; /* networks */
    bool synchronous;
    struct {
        uint32_t free_mib, clock_offset_ms;
    } fit;
    struct {
        struct tls_files files; /* client certificate of domicile_monitor; NULL: the cell is not monitored */
        uint32_t interval_ms, rounds, lost_after_ms, degrade_after_ms, lag_max_bytes, slot_max_mib;
    } monitor;
    const char *on_standby_loss; /* block, degrade */
    struct {
        uint32_t connections, queue_max, connect_within_ms, statement_within_ms;
    } pool;
    struct node *nodes;
    size_t node_count;
    struct cell_step *steps;
    size_t step_count;
    const struct node *primary; /* at start; a failover may have made it another */
    const struct region *region;
};

struct region_limits {
    uint32_t max_head_bytes, max_headers, max_body_bytes, max_connections, max_streams,
        max_requests_per_connection;
    uint32_t max_requests, max_requests_per_address;
    uint32_t max_bytes, max_bytes_per_address, max_bytes_per_connection;
    uint32_t handshake_within_ms, head_within_ms, body_within_ms, stream_within_ms, idle_ms, stall_ms,
        drain_ms;
};

struct region {
    struct config_source source;
    struct str name; /* "eu-fr" */
    const char *title;
    struct {
        const char *country; /* ISO 3166-1 alpha-2, "FR" */
        struct str bloc;     /* "EEA" */
    } jurisdiction;
    const char *endpoint; /* https, without a slash at the end: what clients of its customers are told */
    struct listen_address *listen;
    size_t listen_count;
    struct listen_address *status; /* where it tells operators how it is, and customers nothing */
    size_t status_count;
    struct {
        const char *certificate, *private_key; /* NULL when nothing listens with TLS */
        const char *ca;                        /* what clients verify the gateway with; may be NULL */
    } tls;
    struct {
        const char *public_key, *private_key; /* private: for this region's gateway alone */
        struct config_words accepted;         /* paths of further public keys, while keys are being changed */
    } token;
    struct {
        const char *file;            /* either this */
        struct config_words command; /* or this: argv; the key is read from its standard output */
        uint32_t command_within_ms;
    } root_key;
    struct region_limits limits;
    struct site *sites;
    size_t site_count;
    struct cell *cells;
    size_t cell_count;
    unsigned index; /* in config.regions; a bit in a rule's masks */
    const struct country *country;
};

/* ---- the data register ---- */
struct data_class {
    struct config_source source;
    struct str name; /* "health" */
    const char *description;
    bool sealed;
    bool audit_reads;
    uint32_t max_body_bytes; /* 0: the region's limit */
    unsigned index;          /* in config.classes */
};

/* ---- jurisdictions ---- */
struct bloc {
    struct config_source source;
    struct str name; /* "EEA" */
    struct config_words country_codes;
    unsigned index;
};

struct country {
    char code[3];
    uint32_t blocs; /* the blocs that it is in, by index */
    unsigned index; /* in config.countries */
};

/* ---- rules ---- as written, and compiled for policy/ */
struct policy_rule {
    struct config_source source;
    struct str name;
    struct config_words deny, allow; /* the actions; one of the two lists is empty */
    struct config_words roles, classes, homes, places, outside;
    const char *reason; /* a sentence, for the person who is refused */

    bool denies;
    uint32_t role_mask, action_mask, home_mask; /* bit: enum role, enum action, region.index */
    uint64_t class_mask; /* bit: data_class.index; all ones when `classes` is left out */
    bool any_class;      /* `classes` was left out: actions without a class match as well */
    /* For each home region: the places that match. */
    struct policy_reach {
        uint32_t regions;                              /* by region.index */
        uint64_t countries[CONFIG_COUNTRIES_MAX / 64]; /* by country.index; not of a declared region */
    } * reach;
};

/* ---- the vendor's services ---- */
struct service {
    struct config_source source;
    struct str name;
    const char *title;
    bool regional;
    /* Of a service that is not regional: where it is kept in the region all the same. */
    struct config_words region_names;
    const char *reason, *where; /* why it cannot be kept in the region, and where it goes; NULL if regional */
    uint32_t region_mask;
};

/* ---- places that nodes are measured from ---- */
struct vantage {
    struct config_source source;
    struct str name; /* "par-noc" */
    const char *country;
    double latitude, longitude; /* degrees, north and east */
};

struct config {
    const char *directory_path; /* the SQLite file of the directory */
    const char *state_path;  /* what must survive a crash: journals of runs; the record of remote commands */
    const char *log_level;   /* debug, info, warning, error */
    struct str vantage_name; /* which of the vantages this host is; empty: none */
    struct vantage *vantages;
    size_t vantage_count;
    const struct vantage *vantage; /* NULL: none */
    struct region *regions;        /* by name */
    size_t region_count;
    struct data_class *classes; /* in the order of the files */
    size_t class_count;
    struct policy_rule *rules; /* those that deny, then those that allow; each in the order of the files */
    size_t rule_count;
    struct bloc *blocs;
    size_t bloc_count;
    struct country *countries;
    size_t country_count;
    struct service *services;
    size_t service_count;
    uint32_t services_version; /* grows with every change of the services: customers acknowledged a version */
    char digest[65]; /* SHA-256 of the files' names and contents; the first 12 digits name the snapshot */
    struct arena arena;
};

/* ---- errors ---- all that are found, not the first alone */
struct config_error {
    const char *file; /* "regions/us.cfg", or "" for the whole */
    int line;         /* 0: the file as such */
    const char *what;
    const char *hint;
};
struct config_errors {
    struct config_error items[CONFIG_ERRORS_MAX];
    size_t count, dropped; /* dropped: found, but there was no room */
    struct arena arena;
};
void config_errors_init(struct config_errors *errors);
void config_errors_done(struct config_errors *errors);

/* E_CONFIG says the first error and how many more there are; all are in *errors (which may be NULL). */
result config_load(const char *dir, struct config **ret, struct config_errors *errors) MUST_USE;

/* The same of texts that are in memory already: for tests and fuzzing. name: "regions/us.cfg". */
struct config_text {
    const char *name;
    struct str text;
};
result config_load_texts(const char *dir, const struct config_text *texts, size_t count, struct config **ret,
                         struct config_errors *errors) MUST_USE;

void config_free(struct config *config); /* takes NULL */

/* ---- looking up ---- NULL: there is none of that name */
const struct region *config_find_region(const struct config *config, struct str name);
const struct data_class *config_find_class(const struct config *config, struct str name);
const struct cell *config_find_cell(const struct region *region, struct str name);
const struct node *config_find_node(const struct config *config, struct str name);
const struct country *config_find_country(const struct config *config, struct str code);
const struct bloc *config_find_bloc(const struct config *config, struct str name);
const struct vantage *config_find_vantage(const struct config *config, struct str name);
const struct cell *config_cell_of(const struct config *config, const struct node *node); /* its own */

/* ---- networks ---- "192.0.2.0/24", "2001:db8::/32", or one numeric address */
struct config_network {
    unsigned char bytes[16];
    unsigned length, bits; /* of bytes: 4 or 16; of the prefix */
};
bool config_network_parse(struct str text, struct config_network *ret); /* no bit is set behind the prefix */
bool config_network_has(const struct config_network *network, const struct config_network *address);

/* ---- sockets ---- "192.0.2.1:9100", "[::1]:25", "*:68/udp" */
struct config_socket {
    struct config_network address; /* one address; length 0: all of them */
    uint16_t port;
    bool udp;
};
bool config_socket_parse(struct str text, struct config_socket *ret);

/* ---- what changed ---- for a reload */
struct config_change {
    const char *what; /* "region \"us\": limits.idle_ms was 60000, is 30000" */
    bool restart;     /* takes effect when the gateway is started again */
};
struct config_changes {
    const struct config_change *items;
    size_t count;
};
void config_compare(const struct config *from, const struct config *to, struct arena *arena,
                    struct config_changes *ret);

/* ---- files that the snapshot names ---- blocks on the disk.
 * What the gateway of `region` needs: there, readable, regular, and private keys closed to others (0600, or 0640; the
 * root key and the token key 0600). Of other regions only the public token keys. E_CONFIG as config_load. */
result config_check_files(const struct config *config, const struct region *region,
                          struct config_errors *errors) MUST_USE;

/* Names of the files that end in `suffix` in `subdirectory` below dir, sorted; and one file's text. E_CONFIG. */
result config_list_files(const char *dir, const char *subdirectory, const char *suffix, struct arena *arena,
                         struct config_words *ret) MUST_USE;
result config_file_text(const char *dir, const char *name, struct arena *arena, struct str *ret) MUST_USE;
