#pragma once
/* Verdicts about the output of commands. Pure; posture.c asks. */
#include "posture/posture.h"
#include "posture/posture_parse.h"

struct posture_said {
    const char *command; /* in words */
    struct str out;
    const char *why; /* why it gave no answer; NULL: it ran, and exited with 0 */
    int exit_status; /* of a command that ran */
};

struct posture_subject {
    const struct cell *cell;
    const struct node *node;
    int64_t now_ms;
    struct arena *arena;
};

/* The devices below a path or a device. */
struct posture_place {
    const char *path;
    struct posture_said mount;  /* for a path; command NULL: it is a device */
    struct posture_said blocks; /* command NULL: there is no block device */
};

struct posture_sshd {
    struct posture_said said; /* of the source that answered */
    bool effective;           /* sshd itself answered, not the file */
    const char *unasked;      /* why sshd itself did not answer; NULL: it did */
};

struct posture_clock {
    bool known;
    int64_t offset_ms, uncertainty_ms;
    struct posture_said said;
};

/* ---- lines ---- */
struct posture_line posture_observed(bool fine, const char *answer, const char *told_by);
struct posture_line posture_untold(const char *why, const char *tried);
const char *posture_join(const struct posture_subject *subject, const char *list, const char *item);

/* ---- one for each check ---- */
struct posture_line posture_judge_os(const struct posture_subject *subject,
                                     const struct posture_said *release, const struct posture_said *kernel);
struct posture_line posture_judge_restart(const struct posture_said *said);
struct posture_line posture_judge_updates(const struct posture_subject *subject,
                                          const struct posture_said *lists,
                                          const struct posture_said *upgrades);
struct posture_line posture_judge_disk(const struct posture_subject *subject,
                                       const struct posture_place *places, size_t count);
struct posture_line posture_judge_swap(const struct posture_subject *subject,
                                       const struct posture_said *swaps, const struct posture_place *places,
                                       size_t count);
struct posture_line posture_judge_cores(const struct posture_subject *subject,
                                        const struct posture_said *pattern,
                                        const struct posture_said *limits);
struct posture_line posture_judge_sshd(const struct posture_subject *subject, enum posture_id id,
                                       const struct posture_sshd *sshd);
struct posture_line posture_judge_sockets(const struct posture_subject *subject, bool udp,
                                          const struct posture_said *said);
struct posture_line posture_judge_files(const struct posture_subject *subject, enum posture_id id,
                                        const struct posture_said *said);
struct posture_line posture_judge_clock_sync(const struct posture_subject *subject,
                                             const struct posture_said *timedatectl,
                                             const struct posture_said *chrony);
struct posture_line posture_judge_clock_offset(const struct posture_subject *subject,
                                               const struct posture_clock *clock);
/* settings: of pg_settings; told NULL: PostgreSQL was not asked, and why. */
struct posture_line posture_judge_pg(const struct posture_subject *subject, enum posture_id id,
                                     const struct posture_settings *settings, const char *why);
