/* What commands on a host print: the first byte chooses the parser. What is accepted is within the bounds, and fit for a
 * terminal. */
#include "posture/posture_judge.h"

static struct arena arena;

static void check_plain(const char *text)
{
    must(str_is_utf8(str_from(text)));
    for (; *text != '\0'; text++)
        must((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static struct posture_said said(struct str text)
{
    return (struct posture_said){ .command = "command", .out = text };
}

static void check_line(struct posture_line line)
{
    check_plain(line.answer);
    check_plain(line.told_by);
    must((line.grade == POSTURE_NOBODY) == (line.verdict == POSTURE_UNKNOWN));
}

static void check_sshd(const struct posture_subject *subject, struct str text)
{
    struct posture_include include;
    if (posture_sshd_include(text, &arena, &include)) {
        must(include.before.len + include.after.len < text.len);
        check_plain(include.directory);
    }
    for (int effective = 0; effective < 2; effective++) {
        const struct posture_sshd sshd = { said(text), effective != 0, effective ? NULL : "why" };
        for (enum posture_id id = POSTURE_SSHD_LOGIN; id <= POSTURE_SSHD_MACS; id++)
            check_line(posture_judge_sshd(subject, id, &sshd));
    }
}

static void check_disks(const struct posture_subject *subject, struct str text)
{
    const struct posture_place mount = { .path = "/data", .mount = said(text) };
    const struct posture_place blocks = { .path = "/dev/x", .blocks = said(text) };
    check_line(posture_judge_disk(subject, &mount, 1));
    check_line(posture_judge_disk(subject, &blocks, 1));
    const struct posture_said swaps = said(text);
    check_line(posture_judge_swap(subject, &swaps, &blocks, 1));
}

static void check_files(const struct posture_subject *subject, struct str text)
{
    const struct posture_said list = said(text);
    for (enum posture_id id = POSTURE_FILES_DATA; id <= POSTURE_FILES_STATE; id++)
        check_line(posture_judge_files(subject, id, &list));
}

static void check_sockets(const struct posture_subject *subject, struct str text)
{
    struct posture_sockets sockets;
    for (int udp = 0; udp < 2; udp++) {
        const struct posture_said ss = said(text);
        check_line(posture_judge_sockets(subject, udp != 0, &ss));
        if (failed(posture_parse_sockets(text, udp != 0, &arena, &sockets)))
            continue;
        for (size_t i = 0; i < sockets.count; i++) { /* as it is shown it could be declared */
            struct config_socket again;
            const char *shown = posture_socket_text(&sockets.items[i], &arena);
            must(config_socket_parse(str_from(shown), &again) && again.port == sockets.items[i].port);
        }
    }
}

static void check_others(const struct posture_subject *subject, struct str text)
{
    struct str rest = text, first;
    str_cut(&rest, '\0', &first); /* two texts apart by a NUL */
    const struct posture_said one = said(first), other = said(rest), none = { 0 };
    int64_t ms;
    check_line(posture_judge_updates(subject, &one, &other));
    check_line(posture_judge_os(subject, &one, &other));
    check_line(posture_judge_cores(subject, &one, &other));
    check_line(posture_judge_clock_sync(subject, &one, &none));
    if (!failed(posture_parse_time(text, &ms)))
        must(ms >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const checks[])(const struct posture_subject *, struct str) = { check_sshd, check_disks,
                                                                                  check_files, check_sockets,
                                                                                  check_others };
    static const struct region region = { 0 };
    static const struct cell cell = { .region = &region };
    static const struct node node = { .address = "192.0.2.1",
                                      .port = 5432,
                                      .ssh = { .port = 22, .user = "u", .address = "192.0.2.1" } };
    const struct posture_subject subject = { &cell, &node, INT64_C(1800000000000), &arena };
    if (size == 0)
        return 0;
    arena_init(&arena);
    checks[bytes[0] % (COUNT(checks))](&subject, (struct str){ (const char *)bytes + 1, size - 1 });
    arena_done(&arena);
    return 0;
}
