#pragma once
/* Memory for secrets: in locked pages (mlock), left out of core files and of children (MADV_DONTDUMP,
 * MADV_WIPEONFORK), wiped when freed, and never printed: there is no function that turns one into text.
 * All secrets of the process share one small pool of locked pages. */
#include "base/result.h"

#include <stdint.h>

struct secret {
    uint8_t *ptr; /* NULL when empty */
    size_t len;
};

/* At most SECRET_MAX bytes. E_RESOURCE when the pool or the process's locked-memory limit is exhausted. */
enum { SECRET_MAX = 4096 };
result secret_new(struct secret *ret, size_t len) MUST_USE; /* zeroed */
void secret_free(struct secret *secret);                    /* wipes; takes an empty one */

/* Wipes memory that is not a secret's own (a stack buffer); the compiler may not drop it. */
void secret_wipe(void *memory, size_t len);

/* In time that depends on len alone. */
bool secret_equal(const void *a, const void *b, size_t len);

/* Bytes from the kernel's random source (getrandom(2)); aborts if there is none. */
void random_bytes(void *buf, size_t len);
