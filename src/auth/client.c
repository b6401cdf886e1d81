#include "auth/client.h"

/* Some hash at the default cost, for ids that are not there: the answer then takes as long. */
static const char nobodys_hash[] =
    "$scrypt$ln=15,r=8,p=1$b3ZlciB0aGUgaGlsbHMgIA$dGhlcmUgaXMgbm8gc2VjcmV0IHRoYXQgZml0cyB0aGk";

void client_id_new(char id[CLIENT_ID_SIZE])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[CLIENT_ID_SIZE - 3];
    random_bytes(random, sizeof random);
    id[0] = 'c';
    id[1] = '-';
    for (size_t i = 0; i < sizeof random; i++)
        id[2 + i] = letters[random[i] & 31];
    id[CLIENT_ID_SIZE - 1] = '\0';
}

void client_secret_new(char secret[CLIENT_SECRET_SIZE])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[CLIENT_SECRET_SIZE - 1];
    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        secret[i] = letters[random[i] & 63];
    secret[CLIENT_SECRET_SIZE - 1] = '\0';
    secret_wipe(random, sizeof random);
}

void client_gate_init(struct client_gate *gate, size_t at_once, size_t waiting_max)
{
    semaphore_init(&gate->running, at_once);
    gate->waiting = 0;
    gate->waiting_max = waiting_max;
}

static result gate_enter(struct client_gate *gate)
{
    if (semaphore_try_acquire(&gate->running))
        return OK;
    if (gate->waiting >= gate->waiting_max)
        return FAIL(E_BUSY, "Try again in a second.", "too many clients request tokens at the same time");
    gate->waiting++;
    result r = semaphore_acquire(&gate->running);
    gate->waiting--;
    return r;
}

struct verification {
    struct str hash, secret;
    bool matches;
    result result;
};

static void verify(void *arg)
{
    struct verification *work = arg;
    work->result = scrypt_verify(work->hash, work->secret, &work->matches);
}

static result verify_off_the_loop(struct client_gate *gate, const char *hash, struct str secret,
                                  bool *ret_matches)
{
    struct verification work = { .hash = str_from(hash), .secret = secret, .result = OK };
    TRY(gate_enter(gate));
    result r = fiber_offload(verify, &work);
    semaphore_release(&gate->running);
    TRY(r);
    TRY(work.result);
    *ret_matches = work.matches;
    return OK;
}

static result not_a_client(void)
{
    return FAIL(E_CLIENT, "Check the client's id and secret; if the secret is lost, create a new client.",
                "the client is not known, or its secret is wrong");
}

result client_authenticate(struct client_gate *gate, const struct client_store *store, struct str id,
                           struct str secret, struct client *ret)
{
    struct client client = { 0 };
    bool found = false, matches = false;
    if (!str_is_id(id) || secret.len == 0 || secret.len > CLIENT_SECRET_MAX)
        return not_a_client();
    TRY(store->find(store->context, id, &client, &found));
    result r = verify_off_the_loop(gate, found ? client.secret_hash : nobodys_hash, secret, &matches);
    if (r.error.code == E_FORMAT)
        return FAIL(E_INTERNAL, "Create a new client and use it instead.",
                    "the stored hash of client \"%.*s\" is malformed", STR_ARG(id));
    TRY(r);
    if (!found || !matches || client.disabled)
        return not_a_client();
    *ret = client;
    return OK;
}

struct hashing {
    struct str secret;
    char *text;
    result result;
};

static void hash(void *arg)
{
    struct hashing *work = arg;
    work->result = scrypt_hash(work->secret, SCRYPT_COST_DEFAULT, work->text);
}

result client_hash_secret(struct client_gate *gate, struct str secret, char text[SCRYPT_TEXT_SIZE])
{
    struct hashing work = { .secret = secret, .text = text, .result = OK };
    TRY(gate_enter(gate));
    result r = fiber_offload(hash, &work);
    semaphore_release(&gate->running);
    TRY(r);
    return work.result;
}
