/* Sends one file: by SFTP to a temporary name, then by rename into place. */
#include "base/clock.h"
#include "base/encode.h"
#include "base/secret.h"
#include "ssh/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh2_sftp.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 256 * 1024, /* smaller writes do not fill the way there */
    MODE_MAX = 07777,
    START_WITHIN_MS = 5000, /* of the SFTP server */
    DIGEST_BYTES = 32,
};

struct upload {
    struct ssh *ssh;
    const struct ssh_file *file;
    const char *temporary, *folder;
    LIBSSH2_SFTP *sftp;
    LIBSSH2_SFTP_HANDLE *handle;
    EVP_MD_CTX *digest;
    int fd; /* of the local file; -1: bytes */
    char *piece;
    ssize_t piece_len;
    int read_error;
};

/* ---- SFTP ---- */

static const char *sftp_words(unsigned long code)
{
    switch (code) {
    case LIBSSH2_FX_NO_SUCH_FILE:
        return "the directory does not exist";
    case LIBSSH2_FX_PERMISSION_DENIED:
        return "permission denied";
    case LIBSSH2_FX_OP_UNSUPPORTED:
        return "its SFTP server cannot do that";
    default:
        return "its SFTP server does not say why (is the disk full?)";
    }
}

/* libssh2 would wait for ever for the answers of an SFTP server that has ended. */
static result check_server(const struct upload *upload)
{
    if (upload->sftp == NULL || libssh2_channel_eof(libssh2_sftp_get_channel(upload->sftp)) != 1)
        return OK;
    return FAIL(E_UNAVAILABLE, "Read the log of sshd on that host at that time.",
                "the SFTP server of \"%s\" ended while it received \"%s\"", upload->ssh->host,
                upload->file->path);
}

static result wait_there(struct upload *upload)
{
    TRY(check_server(upload));
    return session_wait(upload->ssh);
}

/* If the host refuses a file, that is its answer; every other failure ends the session. */
static result refused(const struct upload *upload, const char *doing)
{
    TRY(check_server(upload));
    if (libssh2_session_last_errno(upload->ssh->session) != LIBSSH2_ERROR_SFTP_PROTOCOL)
        return session_failure(upload->ssh, doing);
    return FAIL(E_IO, "Check that directory on the host: its owner, its mode and the free space of its disk.",
                "\"%s\": %s \"%s\": %s", upload->ssh->host, doing, upload->temporary,
                sftp_words(libssh2_sftp_last_error(upload->sftp)));
}

#define AGAIN_THERE(upload, rc, call)                                                                        \
    while (((rc) = (call)) == LIBSSH2_ERROR_EAGAIN)                                                          \
    TRY(wait_there(upload))

static bool is_again(const struct upload *upload)
{
    return libssh2_session_last_errno(upload->ssh->session) == LIBSSH2_ERROR_EAGAIN;
}

/* There is no channel to check yet: a server that sends nothing counts as lost. */
static result start_server(struct upload *upload)
{
    struct ssh *ssh = upload->ssh;
    struct deadline deadline;
    result r = OK;
    deadline_begin(&deadline, START_WITHIN_MS);
    while (!failed(r) && (upload->sftp = libssh2_sftp_init(ssh->session)) == NULL && is_again(upload))
        r = session_wait(ssh);
    deadline_end(&deadline);
    if (failed(r) && (r.error.code != E_DEADLINE || failed(fiber_check())))
        return r;
    if (upload->sftp == NULL)
        return FAIL(E_SSH, "Add to sshd_config of that host: Subsystem sftp internal-sftp.",
                    "\"%s\" does not accept SFTP", ssh->host);
    return OK;
}

static result open_there(struct upload *upload)
{
    TRY(start_server(upload));
    while ((upload->handle =
                libssh2_sftp_open_ex(upload->sftp, upload->temporary, (unsigned)strlen(upload->temporary),
                                     LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT | LIBSSH2_FXF_EXCL, 0600,
                                     LIBSSH2_SFTP_OPENFILE)) == NULL &&
           is_again(upload))
        TRY(wait_there(upload));
    return upload->handle != NULL ? OK : refused(upload, "cannot create");
}

static result write_there(struct upload *upload, struct str bytes)
{
    must(EVP_DigestUpdate(upload->digest, bytes.ptr, bytes.len) == 1);
    while (bytes.len > 0) {
        ssize_t sent;
        AGAIN_THERE(upload, sent, libssh2_sftp_write(upload->handle, bytes.ptr, bytes.len));
        if (sent < 0)
            return refused(upload, "cannot write");
        bytes = (struct str){ bytes.ptr + sent, bytes.len - (size_t)sent };
    }
    return OK;
}

/* ---- the content ---- */

static void read_piece(void *arg)
{
    struct upload *upload = arg;
    do
        upload->piece_len = read(upload->fd, upload->piece, PIECE_BYTES);
    while (upload->piece_len < 0 && errno == EINTR);
    upload->read_error = errno;
}

static result send_local(struct upload *upload)
{
    for (;;) {
        TRY(fiber_offload(read_piece, upload));
        if (upload->piece_len < 0)
            return FAIL(E_IO, "Check the file and its disk.", "\"%s\" cannot be read: %s",
                        upload->file->local, strerror(upload->read_error));
        if (upload->piece_len == 0)
            return OK;
        TRY(write_there(upload, (struct str){ upload->piece, (size_t)upload->piece_len }));
    }
}

static result send_bytes(struct upload *upload)
{
    struct str rest = upload->file->bytes;
    while (rest.len > 0) {
        struct str piece = { rest.ptr, rest.len < PIECE_BYTES ? rest.len : PIECE_BYTES };
        TRY(write_there(upload, piece));
        rest = (struct str){ rest.ptr + piece.len, rest.len - piece.len };
    }
    return OK;
}

static result settle(struct upload *upload)
{
    LIBSSH2_SFTP_ATTRIBUTES attributes = { .flags = LIBSSH2_SFTP_ATTR_PERMISSIONS,
                                           .permissions = upload->file->mode };
    int rc;
    AGAIN_THERE(upload, rc, libssh2_sftp_fstat_ex(upload->handle, &attributes, 1));
    if (rc != 0)
        return refused(upload, "cannot set the mode of");
    AGAIN_THERE(upload, rc, libssh2_sftp_fsync(upload->handle));
    if (rc != 0)
        return refused(upload, "cannot sync");
    AGAIN_THERE(upload, rc, libssh2_sftp_close_handle(upload->handle));
    upload->handle = NULL;
    return rc == 0 ? OK : refused(upload, "cannot close");
}

static result leave(struct upload *upload)
{
    int rc;
    if (upload->handle != NULL)
        AGAIN_THERE(upload, rc, libssh2_sftp_close_handle(upload->handle));
    upload->handle = NULL;
    if (upload->sftp != NULL)
        AGAIN_THERE(upload, rc, libssh2_sftp_shutdown(upload->sftp));
    upload->sftp = NULL;
    return OK;
}

static result fill(struct upload *upload)
{
    TRY(open_there(upload));
    TRY(upload->fd >= 0 ? send_local(upload) : send_bytes(upload));
    return settle(upload);
}

/* ---- into place ---- a rename of SFTP version 3 does not replace a file; rename(2) does, and mv -T calls it. */

static result command(struct upload *upload, struct arena *arena, const char *const *argv,
                      const struct ssh_guard *guard, struct ssh_output *output)
{
    uint64_t left_ms = deadline_left_ms();
    const struct ssh_command command = { .argv = argv,
                                         .within_ms = left_ms != 0 ? left_ms : 1,
                                         .guard = guard,
                                         .run = upload->file->run,
                                         .step = upload->file->step };
    return exec_command(upload->ssh, arena, &command, output);
}

static result check_moved(const struct upload *upload, const struct ssh_output *output)
{
    struct str rest = output->err, words = { 0 };
    if (output->exit_status == 0)
        return OK;
    if (rest.len > 0)
        str_cut(&rest, '\n', &words);
    return FAIL(E_IO, "Check that path on the host: what is there, and who owns the directory.",
                "\"%s\" cannot rename a temporary file to \"%s\": %.*s", upload->ssh->host,
                upload->file->path, STR_ARG(words));
}

static result place(struct upload *upload, struct arena *arena)
{
    static const char script[] = "mv -fT -- \"$1\" \"$2\" && sync -- \"$3\"";
    const char *const argv[] = { "sh",           "-c", script, "put", upload->temporary, upload->file->path,
                                 upload->folder, NULL };
    struct ssh_output output = { 0 };
    TRY(command(upload, arena, argv, upload->file->guard, &output));
    return check_moved(upload, &output);
}

static result remove_there(struct upload *upload, struct arena *arena)
{
    const char *const argv[] = { "rm", "-f", "--", upload->temporary, NULL };
    struct ssh_output output = { 0 };
    return command(upload, arena, argv, NULL, &output);
}

/* After an error of the host's file or of the local file the session still works; after other errors not. */
static bool is_in_order(const struct ssh *ssh, const result *r)
{
    return ssh_serves(ssh) && (!failed(*r) || r->error.code == E_IO || r->error.code == E_STALE);
}

static result put(struct upload *upload, struct arena *arena)
{
    result r = fill(upload);
    if (is_in_order(upload->ssh, &r)) {
        result left = leave(upload);
        if (failed(left))
            return session_lose(upload->ssh, failed(r) ? r : left);
        if (!failed(r))
            r = place(upload, arena);
    }
    if (!failed(r))
        return OK;
    if (!is_in_order(upload->ssh, &r))
        return session_lose(upload->ssh, r);
    result removed = remove_there(upload, arena);
    if (failed(removed))
        session_lose(upload->ssh, removed);
    return r;
}

/* ---- the whole ---- */

static void open_local(void *arg)
{
    struct upload *upload = arg;
    struct stat status;
    upload->fd = open(upload->file->local, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    upload->read_error = errno;
    if (upload->fd < 0 || (fstat(upload->fd, &status) == 0 && S_ISREG(status.st_mode)))
        return;
    close(upload->fd);
    upload->fd = -1;
    upload->read_error = EINVAL;
}

static result prepare(struct upload *upload, struct arena *arena)
{
    const struct ssh_file *file = upload->file;
    const char *slash = strrchr(file->path, '/');
    unsigned char random[8];
    if (strlen(file->path) >= PATH_MAX - sizeof ".domicile-" - 2 * sizeof random)
        return FAIL(E_LIMIT, "Choose a shorter path.", "the path \"%s\" has %zu bytes", file->path,
                    strlen(file->path));
    if (file->path[0] != '/' || slash[1] == '\0')
        return FAIL(E_ARGUMENT, "Give the absolute path of a file.",
                    "\"%s\" is not the absolute path of a file", file->path);
    random_bytes(random, sizeof random);
    upload->temporary = arena_printf(arena, "%s.domicile-%s", file->path,
                                     encode_hex(arena, (struct str){ (const char *)random, sizeof random }));
    upload->folder = slash == file->path
                         ? "/"
                         : arena_cstr(arena, (struct str){ file->path, (size_t)(slash - file->path) });
    if (file->local == NULL)
        return OK;
    TRY(fiber_offload(open_local, upload));
    if (upload->fd < 0)
        return FAIL(E_IO, "Check the file's name and permissions.", "\"%s\" cannot be read: %s", file->local,
                    strerror(upload->read_error));
    upload->piece = arena_alloc(arena, PIECE_BYTES);
    return OK;
}

static void record(struct upload *upload, struct arena *arena, uint64_t begin_ns, const result *outcome)
{
    unsigned char digest[DIGEST_BYTES];
    if (upload->ssh->record == NULL)
        return;
    must(EVP_DigestFinal_ex(upload->digest, digest, NULL) == 1);
    struct ssh_trace trace = { .run = upload->file->run,
                               .step = upload->file->step,
                               .host = upload->ssh->host,
                               .argv = (const char *const[]){ "put", upload->file->path, NULL },
                               .error = failed(*outcome) ? &outcome->error : NULL,
                               .exit_status = failed(*outcome) ? -1 : 0,
                               .duration_ms = (clock_monotonic_ns() - begin_ns) / 1000000 };
    memcpy(trace.digest, encode_hex(arena, (struct str){ (const char *)digest, sizeof digest }),
           SSH_DIGEST_SIZE);
    upload->ssh->record(upload->ssh->record_context, &trace);
}

result ssh_put(struct ssh *ssh, struct arena *arena, const struct ssh_file *file)
{
    must(file->path != NULL && file->mode <= MODE_MAX && file->within_ms != 0);
    struct upload upload = { .ssh = ssh, .file = file, .fd = -1 };
    struct deadline deadline;
    uint64_t begin_ns = clock_monotonic_ns();
    TRY(session_begin(ssh));
    upload.digest = EVP_MD_CTX_new();
    must(upload.digest != NULL && EVP_DigestInit_ex(upload.digest, EVP_sha256(), NULL) == 1);
    deadline_begin(&deadline, file->within_ms);
    result r = prepare(&upload, arena);
    if (!failed(r)) {
        r = put(&upload, arena);
        record(&upload, arena, begin_ns, &r);
    }
    deadline_end(&deadline);
    if (upload.fd >= 0)
        close(upload.fd);
    if (upload.handle !=
        NULL) { /* the session is lost: it frees what the handle holds, and waits for nothing */
        must(!ssh_serves(ssh));
        libssh2_sftp_close_handle(upload.handle);
    }
    EVP_MD_CTX_free(upload.digest);
    session_end(ssh);
    return r;
}
