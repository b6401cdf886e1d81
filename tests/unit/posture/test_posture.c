/* What hosts print, and what is made of it: real texts, and odd ones. */
#include "check.h"

#include "posture/posture_judge.h"

#include <string.h>

static struct arena arena;
static struct region region;
static struct cell cell;
static struct node node;
static struct posture_subject subject;

static int set_up(void **state)
{
    arena_init(&arena);
    static struct listen_address listen[] = { { .address = "192.0.2.7", .port = 8443 } };
    region = (struct region){ .name = { "eu-fr", 5 }, .listen = listen, .listen_count = 1 };
    cell = (struct cell){ .name = { "eu-fr-1", 7 }, .region = &region, .fit.clock_offset_ms = 1000 };
    node = (struct node){ .name = { "eu1", 3 },
                          .address = "192.0.2.5",
                          .port = 5432,
                          .ssh = { .address = "192.0.2.5", .port = 22, .user = "postgres" } };
    subject = (struct posture_subject){ &cell, &node, INT64_C(1795642101000), &arena };
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    return 0;
}

static struct posture_said said(const char *text)
{
    return (struct posture_said){ .command = "command", .out = str_from(text) };
}

static struct posture_said untold(const char *why)
{
    return (struct posture_said){ .command = "command", .why = why, .exit_status = 127 };
}

static void is(struct posture_line line, enum posture_verdict verdict, const char *answer)
{
    assert_non_null(line.answer);
    assert_non_null(line.told_by);
    if (line.verdict != verdict || strstr(line.answer, answer) == NULL)
        fail_msg("%s: %s (wanted %s: %s)", posture_verdict_word(line.verdict), line.answer,
                 posture_verdict_word(verdict), answer);
    assert_int_equal(line.grade == POSTURE_NOBODY, verdict == POSTURE_UNKNOWN);
}

/* ---- disks ---- */
#define MOUNT(source, target, type)                                                                          \
    "{\n   \"filesystems\": [\n      {\n         \"source\": \"" source                                      \
    "\",\n         \"target\": \"" target "\",\n         \"fstype\": \"" type "\"\n      }\n   ]\n}\n"
#define BLOCKS(device) "{\n   \"blockdevices\": [\n" device "   ]\n}\n"

static const char plain_disk[] = BLOCKS("{ \"name\": \"vda\", \"type\": \"disk\" }");
static const char lvm_on_crypt[] =
    BLOCKS("{ \"name\": \"vg-data\", \"type\": \"lvm\", \"children\": [ { \"name\": \"sda3_crypt\", "
           "\"type\": \"crypt\","
           " \"children\": [ { \"name\": \"sda3\", \"type\": \"part\", \"children\": [ { \"name\": \"sda\","
           " \"type\": \"disk\" } ] } ] } ] }");
static const char half_crypt[] =
    BLOCKS("{ \"name\": \"md0\", \"type\": \"raid1\", \"children\": [ { \"name\": \"a\", \"type\": "
           "\"crypt\", \"children\":"
           " [ { \"name\": \"sda\", \"type\": \"disk\" } ] }, { \"name\": \"sdb\", \"type\": \"disk\" } ] }");
static const char both_crypt[] = BLOCKS(
    "{ \"name\": \"md0\", \"type\": \"raid1\", \"children\": [ { \"name\": \"a\", \"type\": \"crypt\" },"
    " { \"name\": \"b\", \"type\": \"crypt\" } ] }");

static void mounts_are_read(void **state)
{
    struct posture_mount mount;
    check_ok(posture_parse_mount(str_from(MOUNT("/dev/vda", "/", "ext4")), &arena, &mount));
    assert_string_equal(mount.source, "/dev/vda");
    assert_string_equal(mount.type, "ext4");
    check_ok(posture_parse_mount(str_from(MOUNT("/dev/mapper/x[/@data]", "/data", "btrfs")), &arena, &mount));
    assert_string_equal(mount.source, "/dev/mapper/x");
    check_ok(posture_parse_mount(str_from(MOUNT("tmpfs[/a]", "/data", "tmpfs")), &arena, &mount));
    assert_string_equal(mount.source, "tmpfs[/a]");
    static const char *const wrong[] = {
        "",
        "/dev/vda / ext4",
        "{}",
        "[]",
        "{\"filesystems\": []}",
        "{\"filesystems\": {}}",
        "{\"filesystems\": [7]}",
        "{\"filesystems\": [{\"source\": \"/dev/vda\", \"target\": \"/\"}]}",
        "{\"filesystems\": [{\"source\": 7, \"target\": \"/\", \"fstype\": \"x\"}]}"
    };
    for (size_t i = 0; i < COUNT(wrong); i++)
        check_fails(E_FORMAT, posture_parse_mount(str_from(wrong[i]), &arena, &mount));
}

static void every_way_down_must_be_encrypted(void **state)
{
    struct posture_blocks blocks;
    check_ok(posture_parse_blocks(str_from(plain_disk), &arena, &blocks));
    assert_false(blocks.encrypted);
    assert_string_equal(blocks.chain, "vda (disk)");
    check_ok(posture_parse_blocks(str_from(lvm_on_crypt), &arena, &blocks));
    assert_true(blocks.encrypted);
    assert_string_equal(blocks.chain, "vg-data (lvm) on sda3_crypt (crypt) on sda3 (part) on sda (disk)");
    check_ok(posture_parse_blocks(str_from(half_crypt), &arena, &blocks));
    assert_false(blocks.encrypted);
    check_ok(posture_parse_blocks(str_from(both_crypt), &arena, &blocks));
    assert_true(blocks.encrypted);
    static const char *const wrong[] = {
        "",
        "{}",
        BLOCKS(""),
        BLOCKS("{\"name\": \"a\"}"),
        BLOCKS("7"),
        BLOCKS("{\"name\": \"a\", \"type\": \"lvm\", \"children\": 7}"),
        BLOCKS("{\"name\": \"a\", \"type\": \"lvm\", \"children\": [ {} ]}"),
        BLOCKS("{\"name\": \"a\", \"type\": \"crypt\"}, {\"name\": \"b\", \"type\": \"disk\"}")
    };
    for (size_t i = 0; i < COUNT(wrong); i++)
        check_fails(E_FORMAT, posture_parse_blocks(str_from(wrong[i]), &arena, &blocks));
}

static struct posture_place place(const char *mount, const char *blocks)
{
    struct posture_place place = { .path = "/data", .mount = said(mount) };
    if (blocks != NULL)
        place.blocks = said(blocks);
    return place;
}

static void a_disk_is_encrypted_or_declared_so(void **state)
{
    const char *mount = MOUNT("/dev/vda", "/", "ext4");
    struct posture_place fine[2] = { place(mount, lvm_on_crypt), place(mount, both_crypt) };
    struct posture_place half[2] = { place(mount, lvm_on_crypt), place(mount, plain_disk) };
    struct posture_place none[1] = { place(MOUNT("overlay", "/", "overlay"), NULL) };
    struct posture_place untold_place[1] = { place(mount, NULL) };
    untold_place[0].mount = untold("there is no \"findmnt\" on the host");
    is(posture_judge_disk(&subject, fine, 2), POSTURE_OK, "sda3_crypt (crypt)");
    is(posture_judge_disk(&subject, half, 2), POSTURE_FINDING, "not encrypted: vda (disk)");
    struct posture_place other_half[2] = { half[1], half[0] };
    is(posture_judge_disk(&subject, other_half, 2), POSTURE_FINDING, "not encrypted: vda (disk)");
    struct posture_place unclear[2] = { none[0], half[0] };
    is(posture_judge_disk(&subject, unclear, 2), POSTURE_UNKNOWN, "not a block device");
    is(posture_judge_disk(&subject, none, 1), POSTURE_UNKNOWN, "not a block device");
    is(posture_judge_disk(&subject, untold_place, 1), POSTURE_UNKNOWN, "there is no \"findmnt\"");
    node.disk_encryption = "by the hypervisor, LUKS";
    struct posture_line line = posture_judge_disk(&subject, half, 2);
    is(line, POSTURE_OK, "declared: by the hypervisor, LUKS (observed: ");
    assert_int_equal(line.grade, POSTURE_DECLARED);
    assert_non_null(strstr(line.told_by, "disk_encryption"));
    assert_int_equal(posture_judge_disk(&subject, fine, 2).grade, POSTURE_OBSERVED);
}

#define SWAPS "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static void unencrypted_swap_is_a_finding(void **state)
{
    struct posture_said none = said(SWAPS), one = said(SWAPS "/dev/dm-1    partition\t999420\t\t0\t\t-2\n"),
                        zram = said(SWAPS "/dev/zram0    partition\t999420\t\t0\t\t100\n"),
                        odd = said("nothing"), shorter = said(SWAPS "/dev/dm-1\n"), gone = untold("why");
    struct posture_place plain = { .path = "/dev/dm-1", .blocks = said(plain_disk) };
    struct posture_place sealed = { .path = "/dev/dm-1", .blocks = said(lvm_on_crypt) };
    struct posture_place unclear = { .path = "/dev/dm-1", .blocks = untold("no lsblk") };
    is(posture_judge_swap(&subject, &none, NULL, 0), POSTURE_OK, "no swap");
    is(posture_judge_swap(&subject, &one, &plain, 1), POSTURE_FINDING, "/dev/dm-1 on vda (disk)");
    is(posture_judge_swap(&subject, &one, &sealed, 1), POSTURE_OK, "1 swap areas");
    is(posture_judge_swap(&subject, &one, &unclear, 1), POSTURE_UNKNOWN, "no lsblk");
    is(posture_judge_swap(&subject, &one, NULL, 0), POSTURE_UNKNOWN, "/dev/dm-1");
    is(posture_judge_swap(&subject, &zram, &plain, 1), POSTURE_OK, "in memory");
    is(posture_judge_swap(&subject, &odd, NULL, 0), POSTURE_UNKNOWN, "no head");
    is(posture_judge_swap(&subject, &shorter, NULL, 0), POSTURE_UNKNOWN, "too short");
    is(posture_judge_swap(&subject, &gone, NULL, 0), POSTURE_UNKNOWN, "why");
}

/* ---- core dumps ---- */
#define LIMITS(soft)                                                                                         \
    "Limit                     Soft Limit           Hard Limit           Units     \n"                       \
    "Max stack size            8388608              unlimited            bytes     \n"                       \
    "Max core file size        " soft "                    unlimited            bytes     \n"

static void core_dumps_are_off_or_a_finding(void **state)
{
    struct posture_said core = said("core\n"), zero = said(LIMITS("0")), some = said(LIMITS("1048576")),
                        all = said(LIMITS("unlimited")), odd = said(LIMITS("many")), nothing = said(""),
                        piped = said("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h\n"),
                        thrown = said("|/bin/false\n"), gone = untold("postmaster.pid is not there");
    is(posture_judge_cores(&subject, &core, &zero), POSTURE_OK, "limit is 0");
    is(posture_judge_cores(&subject, &core, &some), POSTURE_FINDING, "up to 1048576 bytes");
    is(posture_judge_cores(&subject, &core, &all), POSTURE_FINDING, "of any size to \"core\"");
    is(posture_judge_cores(&subject, &core, &odd), POSTURE_UNKNOWN, "no size of core files");
    is(posture_judge_cores(&subject, &core, &nothing), POSTURE_UNKNOWN, "no size of core files");
    is(posture_judge_cores(&subject, &core, &gone), POSTURE_UNKNOWN, "postmaster.pid");
    is(posture_judge_cores(&subject, &piped, &zero), POSTURE_FINDING, "systemd-coredump");
    is(posture_judge_cores(&subject, &thrown, &all), POSTURE_OK, "discarded");
    is(posture_judge_cores(&subject, &gone, &zero), POSTURE_UNKNOWN, "postmaster.pid");
}

/* ---- sshd ---- */
static struct posture_line sshd(enum posture_id id, const char *text, bool effective)
{
    const struct posture_sshd sshd = { said(text), effective, effective ? NULL : "sshd ended with 1" };
    return posture_judge_sshd(&subject, id, &sshd);
}

static const char effective[] =
    "port 22\naddressfamily any\nlistenaddress 0.0.0.0:22\nusepam yes\npermitrootlogin no\n"
    "passwordauthentication no\nkbdinteractiveauthentication no\npermitemptypasswords no\n"
    "ciphers aes256-ctr,aes256-gcm@openssh.com\nmacs hmac-sha2-512,umac-64@openssh.com\n"
    "kexalgorithms curve25519-sha256,diffie-hellman-group14-sha1\n"
    "acceptenv LANG\nacceptenv LC_*\nsubsystem sftp /usr/lib/openssh/sftp-server\n";

static void sshd_tells_what_it_would_do(void **state)
{
    is(sshd(POSTURE_SSHD_LOGIN, effective, true), POSTURE_OK, "passwordauthentication no");
    is(sshd(POSTURE_SSHD_ROOT, effective, true), POSTURE_OK, "permitrootlogin no");
    is(sshd(POSTURE_SSHD_CIPHERS, effective, true), POSTURE_OK, "none weak");
    is(sshd(POSTURE_SSHD_MACS, effective, true), POSTURE_FINDING, "umac-64@openssh.com");
    is(sshd(POSTURE_SSHD_KEX, effective, true), POSTURE_FINDING, "diffie-hellman-group14-sha1");
    is(sshd(POSTURE_SSHD_ROOT, "permitrootlogin without-password\n", true), POSTURE_FINDING,
       "without-password");
    is(sshd(POSTURE_SSHD_LOGIN, "passwordauthentication no\n", true), POSTURE_UNKNOWN, "is not shown");
    is(sshd(POSTURE_SSHD_LOGIN, "passwordauthentication yes\n", true), POSTURE_FINDING,
       "passwordauthentication yes");
    is(sshd(POSTURE_SSHD_KEX, "", true), POSTURE_UNKNOWN, "is not shown");
}

static void a_file_tells_less(void **state)
{
    static const char strict[] = "# comment\n\nPasswordAuthentication no\r\nKbdInteractiveAuthentication=no\n"
                                 "\tPermitRootLogin \"no\"\nPermitRootLogin yes\nCiphers aes256-ctr\n";
    is(sshd(POSTURE_SSHD_LOGIN, strict, false), POSTURE_OK, "from the file only");
    is(sshd(POSTURE_SSHD_ROOT, strict, false), POSTURE_OK, "permitrootlogin no"); /* the first counts */
    is(sshd(POSTURE_SSHD_CIPHERS, strict, false), POSTURE_OK, "none weak");
    is(sshd(POSTURE_SSHD_MACS, strict, false), POSTURE_UNKNOWN, "macs is not shown");
    is(sshd(POSTURE_SSHD_LOGIN, "Port 22\n", false), POSTURE_FINDING, "passwordauthentication yes (not set");
    is(sshd(POSTURE_SSHD_ROOT, "Port 22\n", false), POSTURE_FINDING, "prohibit-password (not set");
    is(sshd(POSTURE_SSHD_ROOT, "Include /etc/ssh/x\nPermitRootLogin no\n", false), POSTURE_UNKNOWN,
       "included");
    is(sshd(POSTURE_SSHD_MACS, "MACs +hmac-sha2-256\n", false), POSTURE_UNKNOWN, "default list");
    is(sshd(POSTURE_SSHD_MACS, "MACs +hmac-md5\n", false), POSTURE_FINDING, "hmac-md5");
    is(sshd(POSTURE_SSHD_MACS, "MACs -hmac-md5\n", false), POSTURE_UNKNOWN, "default list");
    is(sshd(POSTURE_SSHD_ROOT, "PermitRootLogin no\nMatch User x\n PermitRootLogin yes\n", false),
       POSTURE_FINDING, "by Match)");
    is(sshd(POSTURE_SSHD_ROOT, "Match User x\nX11Forwarding no\nMatch all\nPermitRootLogin no\n", false),
       POSTURE_OK, "permitrootlogin no");
    is(sshd(POSTURE_SSHD_ROOT, "PermitRootLogin: no\n", false), POSTURE_UNKNOWN, "has no name");
    is(sshd(POSTURE_SSHD_ROOT, "\x01\x02\n", false), POSTURE_UNKNOWN, "has no name");
    const struct posture_sshd gone = { untold("cat ended with 1"), false, "sshd ended with 1" };
    is(posture_judge_sshd(&subject, POSTURE_SSHD_ROOT, &gone), POSTURE_UNKNOWN,
       "sshd ended with 1; cat ended with 1");
}

static void an_include_is_found(void **state)
{
    struct posture_include include;
    assert_true(
        posture_sshd_include(STR("# x\nInclude /etc/ssh/sshd_config.d/*.conf\nPort 22\n"), &arena, &include));
    assert_string_equal(include.directory, "/etc/ssh/sshd_config.d");
    assert_true(str_is(include.before, "# x\n"));
    assert_true(str_is(include.after, "Port 22\n"));
    static const char *const others[] = { "",
                                          "Port 22",
                                          "Include x/*.conf",
                                          "Include /a/*.conf /b/*.conf",
                                          "Include /a/b",
                                          "Include /*/x/*.conf",
                                          "Include /*.conf",
                                          "Match User x\nInclude /etc/*.conf" };
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(posture_sshd_include(str_from(others[i]), &arena, &include));
}

/* ---- sockets ---- */
static const char listening[] = "LISTEN 0      128          0.0.0.0:22         0.0.0.0:*          \n"
                                "LISTEN 0      244        192.0.2.5:5432       0.0.0.0:*          \n"
                                "LISTEN 0      4096  127.0.0.53%lo:53         0.0.0.0:*          \n"
                                "LISTEN 0      128             [::]:22            [::]:*          \n"
                                "LISTEN 0      511        192.0.2.7:8443       0.0.0.0:*          \n";

static struct posture_line tcp(const char *text)
{
    const struct posture_said ss = said(text);
    return posture_judge_sockets(&subject, false, &ss);
}

static void sockets_that_nobody_declared_are_findings(void **state)
{
    struct config_word declared[] = { { STR("192.0.2.5:9100"), 1 },
                                      { STR("*:80"), 1 },
                                      { STR("*:68/udp"), 1 } };
    is(tcp(listening), POSTURE_OK, "4 declared; 1 on the loopback address only");
    is(tcp("LISTEN 0 244 0.0.0.0:5432 0.0.0.0:*\n"), POSTURE_FINDING, "*:5432");
    is(tcp("LISTEN 0 244 *:5432 *:*\n"), POSTURE_FINDING, "*:5432");
    is(tcp("LISTEN 0 244 192.0.2.5:9100 0.0.0.0:*\nLISTEN 0 1 *:80 *:*\n"), POSTURE_FINDING,
       "2 not declared: 192.0.2.5:9100, *:80");
    is(tcp("LISTEN 0 5 [2001:db8::1%eth0]:25 [::]:*\n"), POSTURE_FINDING, "[2001:db8::1]:25");
    is(tcp(""), POSTURE_OK, "0 declared");
    node.listens = (struct config_words){ declared, 3 };
    is(tcp("LISTEN 0 244 192.0.2.5:9100 0.0.0.0:*\nLISTEN 0 1 *:80 *:*\n"), POSTURE_OK, "2 declared");
    is(tcp("LISTEN 0 244 0.0.0.0:9100 0.0.0.0:*\n"), POSTURE_FINDING, "*:9100"); /* wider than declared */
    const struct posture_said udp =
        said("UNCONN 0 0 0.0.0.0:68 0.0.0.0:*\nUNCONN 0 0 0.0.0.0:80 0.0.0.0:*\n");
    is(posture_judge_sockets(&subject, true, &udp), POSTURE_FINDING, "1 not declared: *:80/udp");
    node.shared_host = true;
    is(tcp("LISTEN 0 5 0.0.0.0:2024 0.0.0.0:*\nLISTEN 0 5 192.0.2.5:5432 0.0.0.0:*\n"), POSTURE_OK,
       "1 declared; 1 on other addresses of this shared host not checked");
    is(tcp("LISTEN 0 5 192.0.2.5:2024 0.0.0.0:*\n"), POSTURE_FINDING, "192.0.2.5:2024");
    node.shared_host = false;
    static const char *const odd[] = { "LISTEN 0 128\n",           "ESTAB 0 0 1.2.3.4:5 6.7.8.9:10\n",
                                       "LISTEN 0 1 nonsense x\n",  "LISTEN 0 1 1.2.3.4:99999 x\n",
                                       "LISTEN 0 1 1.2.3.4:0 x\n", "Cannot open netlink\n",
                                       "LISTEN 0 1 [::1:22 x\n",   "UNCONN 0 0 0.0.0.0:68 0.0.0.0:*\n" };
    for (size_t i = 0; i < COUNT(odd); i++)
        is(tcp(odd[i]), POSTURE_UNKNOWN, "has no socket");
    const struct posture_said gone = untold("there is no \"ss\" on the host");
    is(posture_judge_sockets(&subject, false, &gone), POSTURE_UNKNOWN, "no \"ss\"");
}

/* ---- files ---- */
static struct posture_line files(enum posture_id id, const char *text)
{
    const struct posture_said list = said(text);
    return posture_judge_files(&subject, id, &list);
}

static void files_open_to_others_are_findings(void **state)
{
    is(files(POSTURE_FILES_DATA, "700 postgres d /data\n"), POSTURE_OK, "/data 0700 postgres");
    is(files(POSTURE_FILES_DATA, "750 postgres d /data\n"), POSTURE_OK, "0750");
    is(files(POSTURE_FILES_DATA, "755 postgres d /data\n"), POSTURE_FINDING, "/data 0755");
    is(files(POSTURE_FILES_DATA, "700 mallory d /data\n"), POSTURE_FINDING, "mallory");
    is(files(POSTURE_FILES_STATE, "750 postgres d /state\n"), POSTURE_FINDING, "0750");
    is(files(POSTURE_FILES_LOG, "640 postgres f /log\n"), POSTURE_OK, "0640");
    is(files(POSTURE_FILES_LOG, "644 postgres f /log\n"), POSTURE_FINDING, "0644");
    is(files(POSTURE_FILES_TLS,
             "755 root d /tls\n600 postgres f /tls/server.key\n644 root f /tls/server.crt\n"
             "777 root l /tls/ca.crt\n"),
       POSTURE_OK, "4 files, none accessible");
    is(files(POSTURE_FILES_TLS, "640 postgres f /tls/server.key\n"), POSTURE_FINDING, "server.key 0640");
    is(files(POSTURE_FILES_TLS, "640 root f /tls/server.key\n"), POSTURE_OK, "server.key 0640 root");
    is(files(POSTURE_FILES_TLS, "644 root f /tls/server.key\n"), POSTURE_FINDING,
       "1 accessible to other users");
    is(files(POSTURE_FILES_TLS, "664 root f /tls/server.crt\n"), POSTURE_FINDING, "server.crt 0664");
    is(files(POSTURE_FILES_DATA, "2700 postgres d /with a space\n"), POSTURE_OK, "/with a space 2700");
    static const char *const odd[] = { "",
                                       "700 postgres\n",
                                       "700 postgres d\n",
                                       "788 postgres d /x\n",
                                       "70000 postgres d /x\n",
                                       "700 postgres dir /x\n" };
    for (size_t i = 0; i < COUNT(odd); i++)
        is(files(POSTURE_FILES_DATA, odd[i]), POSTURE_UNKNOWN, "");
}

/* ---- packages ---- */
#define NOTHING "Reading package lists...\n0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"
#define PENDING                                                                                              \
    "The following packages will be upgraded:\n  unzip zlib1g\n"                                             \
    "2 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"                                       \
    "Inst unzip [6.0-28] (6.0-28+deb12u1 Debian-Security:12/oldstable-security [amd64])\n"                   \
    "Inst tzdata [1] (2 Debian:12.15/oldstable [all])\n"                                                     \
    "Conf unzip (6.0-28+deb12u1 Debian-Security:12/oldstable-security [amd64])\n"
#define LISTS(time)                                                                                          \
    "d " time ".2437286190 lists\nd 1790051901.0000000000 auxfiles\n"                                        \
    "f 1795637785.0000000000 deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages.lz4\n"          \
    "f 1795637785.0000000000 "                                                                               \
    "deb.debian.org_debian-security_dists_bookworm-security_main_binary-amd64_Packages.lz4\n"

static struct posture_line updates(const char *lists, const char *upgrades)
{
    const struct posture_said a = said(lists), b = said(upgrades);
    return posture_judge_updates(&subject, &a, &b);
}

static void the_age_of_the_lists_is_part_of_the_answer(void **state)
{
    is(updates(LISTS("1795637786"), NOTHING), POSTURE_OK,
       "0 security updates pending, 0 updates in all; lists 0 days");
    is(updates(LISTS("1795637786"), PENDING), POSTURE_FINDING,
       "1 security updates pending: unzip, 2 updates in all");
    is(updates(LISTS("1794000000"), NOTHING), POSTURE_UNKNOWN, "too old");
    is(updates(LISTS("1794000000"), PENDING), POSTURE_FINDING, "lists 19 days old");
    is(updates("d 1795637786.2 lists\n", NOTHING), POSTURE_UNKNOWN, "a time is not");
    is(updates("d 1795637786.200 lists\n", NOTHING), POSTURE_UNKNOWN, "no package lists");
    is(updates("d 1795637786.200 lists\nf 1795637785.000 x_main_Packages\n", NOTHING), POSTURE_FINDING,
       "no package list of a security archive");
    is(updates(LISTS("1795637786"), "E: Could not open lock\n"), POSTURE_UNKNOWN, "no count of packages");
    is(updates(LISTS("1795637786"), NOTHING "Inst\n"), POSTURE_UNKNOWN, "has no package");
    is(updates("nonsense\n", NOTHING), POSTURE_UNKNOWN, "");
    const struct posture_said lists = said(LISTS("1795637786")),
                              gone = untold("there is no \"apt-get\" on the host");
    is(posture_judge_updates(&subject, &lists, &gone), POSTURE_UNKNOWN, "no \"apt-get\"");
}

/* ---- the system and its clock ---- */
static void the_system_is_supported_or_not(void **state)
{
    const struct posture_said kernel = said("Linux 6.1.0-18-amd64 x86_64\n"),
                              debian = said("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n"),
                              ended = said("PRETTY_NAME='X 1'\n# c\nSUPPORT_END=2024-01-01\n"),
                              going = said("PRETTY_NAME=X\nSUPPORT_END=2099-01-01\n"),
                              odd = said("nonsense\n"), none = said("ID=debian\n"), gone = untold("why");
    is(posture_judge_os(&subject, &debian, &kernel), POSTURE_OK,
       "Debian GNU/Linux 12 (bookworm), kernel Linux 6.1.0-18-amd64 x86_64");
    is(posture_judge_os(&subject, &ended, &kernel), POSTURE_FINDING, "supported until 2024-01-01");
    is(posture_judge_os(&subject, &going, &kernel), POSTURE_OK, "supported until 2099-01-01");
    is(posture_judge_os(&subject, &odd, &kernel), POSTURE_UNKNOWN, "sets no variable");
    is(posture_judge_os(&subject, &none, &kernel), POSTURE_UNKNOWN, "has no name of a system");
    is(posture_judge_os(&subject, &debian, &gone), POSTURE_UNKNOWN, "why");
    const struct posture_said there = said(""),
                              absent = { .command = "test", .why = "test ended with 1", .exit_status = 1 };
    is(posture_judge_restart(&there), POSTURE_FINDING, "needs a restart");
    is(posture_judge_restart(&absent), POSTURE_OK, "no update");
    is(posture_judge_restart(&gone), POSTURE_UNKNOWN, "why");
}

static void clocks_are_synchronised_or_not(void **state)
{
    const struct posture_said yes = said("NTP=yes\nNTPSynchronized=yes\n"),
                              no = said("NTP=yes\nNTPSynchronized=no\n"), odd = said("NTP=yes\n"),
                              gone = untold("no timedatectl"), none = { 0 },
                              chrony = said("Reference ID    : A29FC87B (time)\nLeap status     : Normal\n"),
                              lost = said("Leap status     : Not synchronised\n"),
                              silent = said("506 Cannot talk\n");
    is(posture_judge_clock_sync(&subject, &yes, &none), POSTURE_OK, "is synchronised");
    is(posture_judge_clock_sync(&subject, &no, &none), POSTURE_FINDING, "not synchronised");
    is(posture_judge_clock_sync(&subject, &odd, &none), POSTURE_UNKNOWN, "NTPSynchronized");
    is(posture_judge_clock_sync(&subject, &gone, &chrony), POSTURE_OK, "Normal");
    is(posture_judge_clock_sync(&subject, &gone, &lost), POSTURE_FINDING, "Not synchronised");
    is(posture_judge_clock_sync(&subject, &gone, &silent), POSTURE_UNKNOWN, "no leap status");
    is(posture_judge_clock_sync(&subject, &gone, &gone), POSTURE_UNKNOWN, "no timedatectl; no timedatectl");
}

static void an_offset_counts_beyond_what_the_round_trip_hides(void **state)
{
    struct posture_clock clock = { true, 200, 10, said("") };
    is(posture_judge_clock_offset(&subject, &clock), POSTURE_OK, "+200 ms");
    clock.offset_ms = -5000;
    is(posture_judge_clock_offset(&subject, &clock), POSTURE_FINDING, "-5000 ms");
    clock = (struct posture_clock){ true, 1200, 900, said("") };
    is(posture_judge_clock_offset(&subject, &clock), POSTURE_UNKNOWN, "plus or minus 900 ms");
    clock = (struct posture_clock){ .said = untold("no date") };
    is(posture_judge_clock_offset(&subject, &clock), POSTURE_UNKNOWN, "no date");
    int64_t ms;
    check_ok(posture_parse_time(STR("1795642101.669781244\n"), &ms));
    assert_int_equal(ms, INT64_C(1795642101669));
    static const char *const odd[] = { "",
                                       "1795642101",
                                       "1795642101.",
                                       "1795642101.66",
                                       "-1.000",
                                       "1.00x",
                                       "1.000 ",
                                       "99999999999999999999.000",
                                       "1795642101.%N" };
    for (size_t i = 0; i < COUNT(odd); i++)
        check_fails(E_FORMAT, posture_parse_time(str_from(odd[i]), &ms));
}

/* ---- PostgreSQL ---- */
static void settings_are_judged(void **state)
{
    struct posture_setting items[] = {
        { "server_version", "15.5 (Debian 15.5-0+deb12u1)" },
        { "data_checksums", "on" },
        { "ssl", "on" },
        { "ssl_min_protocol_version", "TLSv1.2" },
        { "ssl_ca_file", "/x" },
        { "log_connections", "on" },
        { "log_disconnections", "on" },
        { "log_statement", "none" },
        { "log_replication_commands", "off" },
        { "log_parameter_max_length", "-1" },
        { "log_parameter_max_length_on_error", "0" },
        { "log_min_duration_statement", "-1" },
        { "fsync", "on" },
        { "full_page_writes", "on" },
    };
    struct posture_settings settings = { .items = items, .count = COUNT(items) };
    is(posture_judge_pg(&subject, POSTURE_PG_VERSION, &settings, NULL), POSTURE_OK, "15.5");
    is(posture_judge_pg(&subject, POSTURE_PG_CHECKSUMS, &settings, NULL), POSTURE_OK, "data_checksums = on");
    is(posture_judge_pg(&subject, POSTURE_PG_TLS, &settings, NULL), POSTURE_OK, "TLSv1.2");
    is(posture_judge_pg(&subject, POSTURE_PG_LOG_CONNECTIONS, &settings, NULL), POSTURE_FINDING,
       "log_replication_commands = off");
    is(posture_judge_pg(&subject, POSTURE_PG_LOG_CONTENT, &settings, NULL), POSTURE_OK,
       "log_statement = none");
    is(posture_judge_pg(&subject, POSTURE_PG_DURABILITY, &settings, NULL), POSTURE_UNKNOWN,
       "synchronous_commit");
    items[0].value = "16.1";
    items[3].value = "TLSv1";
    items[11].value = "100";
    items[12].value = "off";
    is(posture_judge_pg(&subject, POSTURE_PG_VERSION, &settings, NULL), POSTURE_FINDING, "16.1");
    is(posture_judge_pg(&subject, POSTURE_PG_TLS, &settings, NULL), POSTURE_FINDING, "TLSv1");
    is(posture_judge_pg(&subject, POSTURE_PG_LOG_CONTENT, &settings, NULL), POSTURE_FINDING,
       "log_parameter_max_length");
    is(posture_judge_pg(&subject, POSTURE_PG_DURABILITY, &settings, NULL), POSTURE_FINDING, "fsync = off");
    items[3].value = "TLSv1.3";
    items[4].value = "";
    is(posture_judge_pg(&subject, POSTURE_PG_TLS, &settings, NULL), POSTURE_FINDING, "ssl_ca_file");
    is(posture_judge_pg(&subject, POSTURE_PG_TLS, &settings, "not asked"), POSTURE_UNKNOWN, "not asked");
}

/* ---- bounds ---- */
static void more_than_a_host_can_have_is_refused(void **state)
{
    char *text = arena_alloc(&arena, POSTURE_TEXT_MAX + 1);
    memset(text, '\n', POSTURE_TEXT_MAX + 1);
    const struct str lines = { text, POSTURE_LINES_MAX + 1 };
    struct posture_sockets sockets;
    struct posture_files listed;
    struct posture_settings settings;
    check_fails(E_LIMIT, posture_parse_sockets(lines, false, &arena, &sockets));
    check_fails(E_LIMIT, posture_parse_files(lines, &arena, &listed));
    check_fails(E_LIMIT, posture_parse_sshd((struct str){ text, POSTURE_TEXT_MAX + 1 }, &arena, &settings));
    const char *many = "";
    for (int i = 0; i < 600; i++)
        many = arena_printf(&arena, "%sa%d b\n", many, i);
    check_fails(E_LIMIT, posture_parse_sshd(str_from(many), &arena, &settings));
}

static void what_a_host_says_is_fit_for_a_terminal(void **state)
{
    assert_string_equal(posture_clean(STR("a\033[31mb\nc"), &arena), "a?[31mb?c");
    assert_string_equal(posture_clean(STR("\xff\xfe"), &arena), "??");
    assert_string_equal(posture_clean(STR("caf\xc3\xa9"), &arena), "caf\xc3\xa9");
    /* An error that quotes what was read is no way around it. */
    const struct posture_said swaps = said(SWAPS "/dev/dm-1 partition 1 0 -2\n");
    const struct posture_place odd = { .path = "/dev/dm-1", .blocks = said("{\"a\033[2J\": \"\a\"") };
    const char *answer = posture_judge_swap(&subject, &swaps, &odd, 1).answer;
    assert_null(strchr(answer, '\033'));
    assert_null(strchr(answer, '\a'));
    assert_non_null(strstr(answer, "is not JSON"));
    assert_int_equal(strlen(posture_clean((struct str){ arena_zalloc(&arena, 500), 500 }, &arena)),
                     POSTURE_WORD_MAX + 3);
}

static void every_check_has_its_words(void **state)
{
    for (size_t i = 0; i < POSTURE_COUNT; i++) {
        const struct posture_check *check = &posture_checks[i];
        assert_true(str_is_id(str_from(check->name)));
        assert_int_equal(check->question[strlen(check->question) - 1], '?');
        assert_int_equal(check->advice[strlen(check->advice) - 1], '.');
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(check->name, posture_checks[j].name);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(mounts_are_read),
        TEST(every_way_down_must_be_encrypted),
        TEST(a_disk_is_encrypted_or_declared_so),
        TEST(unencrypted_swap_is_a_finding),
        TEST(core_dumps_are_off_or_a_finding),
        TEST(sshd_tells_what_it_would_do),
        TEST(a_file_tells_less),
        TEST(an_include_is_found),
        TEST(sockets_that_nobody_declared_are_findings),
        TEST(files_open_to_others_are_findings),
        TEST(the_age_of_the_lists_is_part_of_the_answer),
        TEST(the_system_is_supported_or_not),
        TEST(clocks_are_synchronised_or_not),
        TEST(an_offset_counts_beyond_what_the_round_trip_hides),
        TEST(settings_are_judged),
        TEST(more_than_a_host_can_have_is_refused),
        TEST(what_a_host_says_is_fit_for_a_terminal),
        TEST(every_check_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
