#pragma once
/* Parsers of the output of commands on a host. They are strict: unexpected output is E_FORMAT, never a part of an answer; too
 * much output is E_LIMIT. Pure; strings are in the arena, and safe for a terminal. */
#include "base/arena.h"
#include "config/config.h"

enum {
    POSTURE_TEXT_MAX = 256 * 1024, /* bytes that a command may print */
    POSTURE_WORD_MAX = 200,        /* shown of one word; the rest is cut */
    POSTURE_LINES_MAX = 4096,
    POSTURE_DEPTH_MAX = 16, /* block devices stacked on each other */
};

/* Control characters and invalid UTF-8 become "?"; after POSTURE_WORD_MAX bytes comes "...". */
const char *posture_clean(struct str text, struct arena *arena);

/* ---- disks ---- "findmnt -J -o SOURCE,TARGET,FSTYPE -T PATH": the innermost mount of the path. A subvolume, as in
 * /dev/sda1[/@home], is removed from the source. */
struct posture_mount {
    const char *source, *target, *type;
};
result posture_parse_mount(struct str text, struct arena *arena, struct posture_mount *ret) MUST_USE;

/* "lsblk -J -s -o NAME,TYPE DEVICE": whether every path from the device to the hardware goes through dm-crypt. */
struct posture_blocks {
    bool encrypted;
    const char *chain; /* "vg-data (lvm) on data (crypt) on sda2 (part) on sda (disk)" */
};
result posture_parse_blocks(struct str text, struct arena *arena, struct posture_blocks *ret) MUST_USE;

struct posture_swap {
    const char *name, *type; /* "/dev/dm-1", "partition" or "file" */
};
struct posture_swaps {
    struct posture_swap *items;
    size_t count;
};
result posture_parse_swaps(struct str text, struct arena *arena, struct posture_swaps *ret)
    MUST_USE; /* /proc/swaps */

/* ---- sshd ---- "sshd -T", or its configuration file. Names are in lower case; the first setting of a name counts, as for
 * sshd. */
struct posture_setting {
    const char *name, *value;
};
struct posture_settings {
    struct posture_setting *items;
    size_t count;
    struct posture_setting *matched; /* settings in Match blocks */
    size_t matched_count;
    bool includes; /* of other files, which are not in the text and may override settings */
};
result posture_parse_sshd(struct str text, struct arena *arena, struct posture_settings *ret) MUST_USE;
/* False: no Include, or not the one of Debian, which is the files DIRECTORY/NAME.conf in the order of their names. Their
 * text belongs between `before` and `after`, with "Match all" after each. */
struct posture_include {
    const char *directory;
    struct str before, after;
};
bool posture_sshd_include(struct str text, struct arena *arena, struct posture_include *ret);
const char *posture_setting(const struct posture_settings *settings,
                            const char *name); /* NULL: it is not set */

/* The weak ones of a list with commas, as a list; "" if there are none. */
enum posture_algorithms { POSTURE_KEX, POSTURE_CIPHERS, POSTURE_MACS };
const char *posture_weak(enum posture_algorithms kind, const char *list, struct arena *arena);

/* ---- sockets ---- "ss -Hltn", "ss -Hlun" */
struct posture_sockets {
    struct config_socket *items;
    size_t count;
};
result posture_parse_sockets(struct str text, bool udp, struct arena *arena, struct posture_sockets *ret)
    MUST_USE;
const char *posture_socket_text(const struct config_socket *socket, struct arena *arena);

/* ---- files ---- lines of "MODE OWNER TYPE PATH", as in "700 postgres d /var/lib/postgresql" */
struct posture_file {
    unsigned mode;
    const char *owner, *path;
    char type; /* as find -printf %y has it: f, d, l, ... */
};
struct posture_files {
    struct posture_file *items;
    size_t count;
};
result posture_parse_files(struct str text, struct arena *arena, struct posture_files *ret) MUST_USE;

/* ---- packages ---- "apt-get -s dist-upgrade" */
struct posture_upgrades {
    size_t count, security;
    const char *names; /* of the first few packages with security updates */
};
result posture_parse_upgrades(struct str text, struct arena *arena, struct posture_upgrades *ret) MUST_USE;

/* "TYPE TIME NAME" of /var/lib/apt/lists: when its directories were last changed, and which lists it has. */
struct posture_lists {
    int64_t newest_ms; /* 0: no directory */
    size_t count, security;
};
result posture_parse_lists(struct str text, struct posture_lists *ret) MUST_USE;

/* ---- others ---- */
/* NAME=VALUE lines, as in /etc/os-release and timedatectl show. The value without quotes; NULL: there is none. */
result posture_parse_variable(struct str text, const char *name, struct arena *arena, const char **ret)
    MUST_USE;
/* "Leap status     : Normal" of chronyc tracking. */
result posture_parse_chrony(struct str text, struct arena *arena, const char **ret_leap) MUST_USE;
/* "Max core file size" of /proc/PID/limits, the soft one. UINT64_MAX: unlimited. */
result posture_parse_core_limit(struct str text, uint64_t *ret) MUST_USE;
/* "1700000000.123456789": ms since 1970. */
result posture_parse_time(struct str text, int64_t *ret_ms) MUST_USE;
