#pragma once
/* Files of the CA and of the control plane's own client certificates. Each function works on another thread and waits for it.
 * A private key is always a new file (0600, never overwritten); a certificate (0644) replaces the old one atomically. */
#include "config/config.h"
#include "pki/certificate.h"

/* Both files. E_NOT_FOUND: neither exists; E_CERTIFICATE: one is missing, they do not belong together, or it is not a CA. */
result ca_open(const struct tls_files *files, struct ca *ret) MUST_USE;
/* Creates the missing file or files. A certificate without its key is refused: it cannot sign. */
result ca_create(const struct tls_files *files, const char *name) MUST_USE;

/* *ret_why NULL: the files belong together, and fit the CA and the purpose. Otherwise the reason. */
result client_look(const struct ca *ca, const struct tls_files *files,
                   const struct certificate_purpose *purpose, uint32_t renew_days, struct arena *arena,
                   const char **ret_why, const char **ret_ends) MUST_USE;
/* Creates a key if there is none, and a new certificate for it. */
result client_make(const struct ca *ca, const struct tls_files *files,
                   const struct certificate_purpose *purpose, uint32_t days, struct arena *arena) MUST_USE;

/* ptr NULL: there is none. */
result certificate_file_read(const char *path, struct arena *arena, struct str *ret) MUST_USE;
result certificate_file_write(const char *path, struct str pem) MUST_USE;
