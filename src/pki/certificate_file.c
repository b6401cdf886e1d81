#include "pki/certificate_file.h"

#include "base/secret.h"
#include "loop/fiber.h"
#include "seal/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One piece of work on the thread. */
struct file_work {
    result (*run)(struct file_work *work);
    const struct tls_files *files;
    const struct ca *ca;
    const struct certificate_purpose *purpose;
    const char *path, *name;
    struct str pem;
    uint32_t days;
    struct arena *arena;
    struct ca opened;
    const char *why, *ends;
    result outcome;
};

static void run_work(void *arg)
{
    struct file_work *work = arg;
    work->outcome = work->run(work);
    ERR_clear_error();
}

static result on_thread(struct file_work *work)
{
    TRY(fiber_offload(run_work, work));
    return work->outcome;
}

/* ---- certificates ---- */

static result cannot(const char *what, const char *path)
{
    return FAIL(E_IO, "Check permissions and free space of the directory.", "cannot %s \"%s\": %s", what,
                path, strerror(errno));
}

static result read_pem(const char *path, struct arena *arena, struct str *ret)
{
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == ENOENT) {
        *ret = (struct str){ 0 };
        return OK;
    }
    if (file == NULL)
        return cannot("read", path);
    char *text = arena_alloc(arena, CERTIFICATE_PEM_MAX + 1);
    size_t got = fread(text, 1, CERTIFICATE_PEM_MAX + 1, file);
    result r = ferror(file) ? cannot("read", path) : OK;
    fclose(file);
    TRY(r);
    if (got > CERTIFICATE_PEM_MAX)
        return FAIL(E_CERTIFICATE, "Put a certificate in PEM format there.", "\"%s\" is too large", path);
    *ret = (struct str){ text, got };
    return OK;
}

static result make_folders(const char *path)
{
    char *folder = strdup(path);
    must(folder != NULL);
    result r = OK;
    for (char *at = strchr(folder + 1, '/'); at != NULL && !failed(r); at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(folder, 0755) != 0 && errno != EEXIST)
            r = cannot("make", folder);
        *at = '/';
    }
    free(folder);
    return r;
}

/* Writes a new file beside it, syncs it, then renames it into place. */
static result replace_file(const char *path, const char *beside, struct str pem)
{
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return cannot("write", beside);
    result r = OK;
    if (write(fd, pem.ptr, pem.len) != (ssize_t)pem.len || fchmod(fd, 0644) != 0 || fsync(fd) != 0)
        r = cannot("write", beside);
    close(fd);
    if (!failed(r) && rename(beside, path) != 0)
        r = cannot("write", path);
    if (failed(r))
        unlink(beside);
    return r;
}

static result write_pem(const char *path, struct str pem)
{
    char *beside = NULL;
    TRY(make_folders(path));
    must(asprintf(&beside, "%s.new", path) > 0);
    result r = replace_file(path, beside, pem);
    free(beside);
    return r;
}

/* ---- keys ---- */

/* *ret NULL: there is none. */
static result read_key(const char *path, EVP_PKEY **ret)
{
    int fd = -1;
    *ret = NULL;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return OK;
    TRY(key_file_open(path, E_CERTIFICATE, &fd));
    FILE *file = fdopen(fd, "re");
    must(file != NULL);
    *ret = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (*ret == NULL)
        return FAIL(E_CERTIFICATE, "Put a private key in PEM format there, without a passphrase.",
                    "the private key \"%s\" cannot be read", path);
    return OK;
}

static result write_key(const char *path, EVP_PKEY *key)
{
    char *bytes;
    TRY(make_folders(path));
    BIO *bio = BIO_new(BIO_s_secmem());
    must(bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    long length = BIO_get_mem_data(bio, &bytes);
    result r = key_file_create(path, 0600, (struct str){ bytes, (size_t)length });
    secret_wipe(bytes, (size_t)length);
    BIO_free(bio);
    return r;
}

static result key_there(const char *path, EVP_PKEY **ret)
{
    EVP_PKEY *key = NULL;
    TRY(read_key(path, &key));
    if (key == NULL) {
        TRY(ca_key_create(&key));
        result r = write_key(path, key);
        if (failed(r)) {
            EVP_PKEY_free(key);
            return r;
        }
    }
    *ret = key;
    return OK;
}

/* ---- the CA ---- */

static result check_ca(const struct tls_files *files, const struct ca *ca)
{
    static const char hint[] = "Put the certificate and the private key of one CA there. Or move both files "
                               "away: a new CA is then created.";
    if (ca->key == NULL || ca->certificate == NULL)
        return FAIL(E_CERTIFICATE, hint, "the certificate or the private key of the CA \"%s\" is missing",
                    files->certificate);
    if (X509_check_private_key(ca->certificate, ca->key) != 1)
        return FAIL(E_CERTIFICATE, hint, "the private key does not belong to the CA \"%s\"",
                    files->certificate);
    if (X509_check_ca(ca->certificate) != 1)
        return FAIL(E_CERTIFICATE, hint, "\"%s\" is not the certificate of a CA", files->certificate);
    if (X509_cmp_current_time(X509_get0_notAfter(ca->certificate)) < 0)
        return FAIL(E_CERTIFICATE, "Create a new CA, and let the hosts trust both during the change.",
                    "the CA \"%s\" has expired", files->certificate);
    return OK;
}

static result open_ca(struct file_work *work)
{
    struct str pem = { 0 };
    struct arena arena;
    arena_init(&arena);
    result r = read_pem(work->files->certificate, &arena, &pem);
    if (!failed(r) && pem.ptr != NULL)
        r = pem_certificate(pem, work->files->certificate, &work->opened.certificate);
    arena_done(&arena);
    if (!failed(r))
        r = read_key(work->files->private_key, &work->opened.key);
    if (!failed(r) && work->opened.key == NULL && work->opened.certificate == NULL)
        r = FAIL(E_NOT_FOUND, NULL, "there is no CA \"%s\" yet", work->files->certificate);
    if (!failed(r))
        r = check_ca(work->files, &work->opened);
    if (failed(r))
        ca_done(&work->opened);
    return r;
}

result ca_open(const struct tls_files *files, struct ca *ret)
{
    struct file_work work = { .run = open_ca, .files = files };
    TRY(on_thread(&work));
    *ret = work.opened;
    return OK;
}

/* The key first: after an interruption the same key is used. */
static result create_ca(struct file_work *work)
{
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    struct arena arena;
    if (access(work->files->certificate, F_OK) == 0)
        return OK; /* ca_open tells whether its key is there */
    TRY(key_there(work->files->private_key, &key));
    arena_init(&arena);
    result r = ca_certificate_create(key, work->name, &certificate);
    if (!failed(r))
        r = write_pem(work->files->certificate, certificate_pem(certificate, &arena));
    X509_free(certificate);
    EVP_PKEY_free(key);
    arena_done(&arena);
    return r;
}

result ca_create(const struct tls_files *files, const char *name)
{
    struct file_work work = { .run = create_ca, .files = files, .name = name };
    return on_thread(&work);
}

/* ---- clients ---- */

static result look_at_client(struct file_work *work)
{
    struct str pem;
    EVP_PKEY *key = NULL;
    TRY(read_pem(work->files->certificate, work->arena, &pem));
    TRY(read_key(work->files->private_key, &key));
    work->ends = "";
    work->why = pem.ptr == NULL || key == NULL ? "it does not exist"
                                               : certificate_misfit(work->ca, pem, work->purpose, key,
                                                                    work->days, work->arena, &work->ends);
    EVP_PKEY_free(key);
    return OK;
}

result client_look(const struct ca *ca, const struct tls_files *files,
                   const struct certificate_purpose *purpose, uint32_t renew_days, struct arena *arena,
                   const char **ret_why, const char **ret_ends)
{
    struct file_work work = { .run = look_at_client,
                              .files = files,
                              .ca = ca,
                              .purpose = purpose,
                              .days = renew_days,
                              .arena = arena };
    TRY(on_thread(&work));
    *ret_why = work.why;
    *ret_ends = work.ends;
    return OK;
}

static result make_client(struct file_work *work)
{
    EVP_PKEY *key = NULL;
    struct str pem = { 0 };
    TRY(key_there(work->files->private_key, &key));
    result r = ca_sign_key(work->ca, key, work->purpose, work->days, work->arena, &pem);
    if (!failed(r))
        r = write_pem(work->files->certificate, pem);
    EVP_PKEY_free(key);
    return r;
}

result client_make(const struct ca *ca, const struct tls_files *files,
                   const struct certificate_purpose *purpose, uint32_t days, struct arena *arena)
{
    struct file_work work = {
        .run = make_client, .files = files, .ca = ca, .purpose = purpose, .days = days, .arena = arena
    };
    return on_thread(&work);
}

/* ---- plain ---- */

static result read_file(struct file_work *work)
{
    return read_pem(work->path, work->arena, &work->pem);
}

result certificate_file_read(const char *path, struct arena *arena, struct str *ret)
{
    struct file_work work = { .run = read_file, .path = path, .arena = arena };
    TRY(on_thread(&work));
    *ret = work.pem;
    return OK;
}

static result write_file(struct file_work *work)
{
    return write_pem(work->path, work->pem);
}

result certificate_file_write(const char *path, struct str pem)
{
    struct file_work work = { .run = write_file, .path = path, .pem = pem };
    return on_thread(&work);
}
