#pragma once
/* Verdicts over what commands have said. Pure: who asks is posture.c. */
#include "posture/posture.h"
#include "posture/posture_parse.h"

struct posture_said {
    const char *command; /* in words */
    struct str out;
    const char *why; /* it told nothing, and why; NULL: it ran, and ended with 0 */
    int exit_status; /* of one that ran */
};

struct posture_subject {
    const struct cell *cell;
    const struct node *node;
    int64_t now_ms;
    struct arena *arena;
};

/* What a path or a device stands on. */
struct posture_place {
    const char *path;
    struct posture_said mount;  /* of a path; command NULL: it is a device */
    struct posture_said blocks; /* command NULL: it is on no block device */
};

struct posture_sshd {
    struct posture_said said; /* of the one that told */
    bool effective;           /* sshd itself told, not the file */
    const char *unasked;      /* why sshd itself did not; NULL: it did */
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
/* settings: what pg_settings says; told NULL: PostgreSQL was not asked, and why. */
struct posture_line posture_judge_pg(const struct posture_subject *subject, enum posture_id id,
                                     const struct posture_settings *settings, const char *why);
