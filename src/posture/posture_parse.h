#pragma once
/* What commands on a host print, read strictly: a text that is not what the command is known to print is E_FORMAT, never
 * half an answer; one that is more than a host can have is E_LIMIT. Pure; strings are in the arena, and fit for a
 * terminal. */
#include "base/arena.h"
#include "config/config.h"

enum {
    POSTURE_TEXT_MAX = 256 * 1024, /* bytes that a command may print */
    POSTURE_WORD_MAX = 200,        /* shown of one word; the rest is cut */
    POSTURE_LINES_MAX = 4096,
    POSTURE_DEPTH_MAX = 16, /* block devices on one another */
};

/* Control characters and what is no UTF-8 become "?"; more than POSTURE_WORD_MAX bytes end in "...". */
const char *posture_clean(struct str text, struct arena *arena);

/* ---- disks ---- "findmnt -J -o SOURCE,TARGET,FSTYPE -T PATH": the innermost of what is mounted there. A subvolume, as in
 * /dev/sda1[/@home], is taken off the source. */
struct posture_mount {
    const char *source, *target, *type;
};
result posture_parse_mount(struct str text, struct arena *arena, struct posture_mount *ret) MUST_USE;

/* "lsblk -J -s -o NAME,TYPE DEVICE": whether every way from the device down to hardware goes through dm-crypt. */
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

/* ---- sshd ---- "sshd -T", or a file of its configuration. Names are in small letters; of a name that stands there twice
 * the first counts, as for sshd. */
struct posture_setting {
    const char *name, *value;
};
struct posture_settings {
    struct posture_setting *items;
    size_t count;
    struct posture_setting *matched; /* what Match blocks set beside */
    size_t matched_count;
    bool includes; /* other files, which are not in the text: settings may be overridden there */
};
result posture_parse_sshd(struct str text, struct arena *arena, struct posture_settings *ret) MUST_USE;
/* False: it includes nothing, or not in the way of Debian, which is the files DIRECTORY/NAME.conf in the order of their
 * names. What they say goes between `before` and `after`, with "Match all" behind each. */
struct posture_include {
    const char *directory;
    struct str before, after;
};
bool posture_sshd_include(struct str text, struct arena *arena, struct posture_include *ret);
const char *posture_setting(const struct posture_settings *settings,
                            const char *name); /* NULL: it is not set */

/* Which of a list apart by commas are weak, as a list; "" if none is. */
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
    const char *names; /* of those with security updates; the first few */
};
result posture_parse_upgrades(struct str text, struct arena *arena, struct posture_upgrades *ret) MUST_USE;

/* "TYPE TIME NAME" of /var/lib/apt/lists: when its directories were last written to, and which lists are there. */
struct posture_lists {
    int64_t newest_ms; /* 0: there is no directory */
    size_t count, security;
};
result posture_parse_lists(struct str text, struct posture_lists *ret) MUST_USE;

/* ---- others ---- */
/* NAME=VALUE lines, as in /etc/os-release and of timedatectl show. The value without quotes; NULL: it is not there. */
result posture_parse_variable(struct str text, const char *name, struct arena *arena, const char **ret)
    MUST_USE;
/* "Leap status     : Normal" of chronyc tracking. */
result posture_parse_chrony(struct str text, struct arena *arena, const char **ret_leap) MUST_USE;
/* "Max core file size" of /proc/PID/limits, the soft one. UINT64_MAX: unlimited. */
result posture_parse_core_limit(struct str text, uint64_t *ret) MUST_USE;
/* "1700000000.123456789": ms since 1970. */
result posture_parse_time(struct str text, int64_t *ret_ms) MUST_USE;
