#pragma once
/* The authority and the control plane's own client certificates, as files here. Each function does its work on another
 * thread and waits for it. A private key is a new file (0600, never overwritten); a certificate (0644) replaces the one
 * that is there at once. */
#include "config/config.h"
#include "pki/certificate.h"

/* Both files. E_NOT_FOUND: neither is there; E_CERTIFICATE: one is missing, or they do not fit each other, or it is no
 * authority. */
result authority_open(const struct tls_files *files, struct authority *ret) MUST_USE;
/* Makes what is missing of the two. A certificate without its key is refused: it cannot sign. */
result authority_make(const struct tls_files *files, const char *name) MUST_USE;

/* *ret_why NULL: the files fit each other, the authority and the purpose. Else why not. */
result client_look(const struct authority *authority, const struct tls_files *files,
                   const struct certificate_purpose *purpose, uint32_t renew_days, struct arena *arena,
                   const char **ret_why, const char **ret_ends) MUST_USE;
/* A key if there is none, and a new certificate of it. */
result client_make(const struct authority *authority, const struct tls_files *files,
                   const struct certificate_purpose *purpose, uint32_t days, struct arena *arena) MUST_USE;

/* ptr NULL: there is none. */
result certificate_file_read(const char *path, struct arena *arena, struct str *ret) MUST_USE;
result certificate_file_write(const char *path, struct str pem) MUST_USE;
