#include "base/secret.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* Secrets are few sizes and long or short lived in any order: blocks of a power of two, with a free list
 * each, cut from locked chunks that are never given back. */
enum { SMALLEST = 32, CLASSES = 8, CHUNK = 64 * 1024 };

struct free_block {
    struct free_block *next;
};

static struct free_block *free_blocks[CLASSES];
static uint8_t *chunk_next, *chunk_end;
static pthread_mutex_t pool_mutex = PTHREAD_MUTEX_INITIALIZER; /* password hashing runs on threads */

static size_t class_of(size_t len)
{
    size_t class = 0;
    while (((size_t)SMALLEST << class) < len)
        class ++;
    return class;
}

static result chunk_add(void)
{
    void *memory = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return FAIL(E_RESOURCE, "Give the process more memory.", "no memory for secrets");
    if (mlock(memory, CHUNK) != 0 || madvise(memory, CHUNK, MADV_DONTDUMP) != 0 ||
        madvise(memory, CHUNK, MADV_WIPEONFORK) != 0) {
        munmap(memory, CHUNK);
        return FAIL(E_RESOURCE, "Raise the limit on locked memory (ulimit -l, or LimitMEMLOCK=).",
                    "cannot lock memory for secrets");
    }
    chunk_next = memory;
    chunk_end = chunk_next + CHUNK;
    return OK;
}

static result block_take(size_t class, uint8_t **ret)
{
    if (free_blocks[class] != NULL) {
        struct free_block *block = free_blocks[class];
        free_blocks[class] = block->next;
        block->next = NULL;
        *ret = (uint8_t *)block;
        return OK;
    }
    size_t bytes = (size_t)SMALLEST << class;
    if ((size_t)(chunk_end - chunk_next) < bytes)
        TRY(chunk_add());
    *ret = chunk_next;
    chunk_next += bytes;
    return OK;
}

result secret_new(struct secret *ret, size_t len)
{
    must(len > 0 && len <= SECRET_MAX);
    uint8_t *block = NULL;
    pthread_mutex_lock(&pool_mutex);
    result r = block_take(class_of(len), &block);
    pthread_mutex_unlock(&pool_mutex);
    TRY(r);
    *ret = (struct secret){ block, len };
    return OK;
}

void secret_free(struct secret *secret)
{
    if (secret->ptr == NULL)
        return;
    size_t class = class_of(secret->len);
    OPENSSL_cleanse(secret->ptr, (size_t)SMALLEST << class);
    struct free_block *block = (struct free_block *)(void *)secret->ptr;
    pthread_mutex_lock(&pool_mutex);
    block->next = free_blocks[class];
    free_blocks[class] = block;
    pthread_mutex_unlock(&pool_mutex);
    *secret = (struct secret){ 0 };
}

void secret_wipe(void *memory, size_t len)
{
    OPENSSL_cleanse(memory, len);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void random_bytes(void *buf, size_t len)
{
    uint8_t *next = buf;
    while (len > 0) {
        ssize_t got = getrandom(next, len, 0);
        must(got > 0);
        next += got;
        len -= (size_t)got;
    }
}
