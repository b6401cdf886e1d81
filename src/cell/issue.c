/* The certificates of the cell. A host's private keys are created there and never leave it: the host sends a certificate
 * request, and gets a certificate. */
#include "cell/internal.h"
#include "pki/certificate_file.h"

#include <openssl/evp.h>

enum { ISSUE_WITHIN_MS = 30000, CERTIFICATE_MODE = 0644 };

/* ---- the CA ---- */

static result open_ca(const struct provisioning *p, struct ca *ret)
{
    return ca_open(&p->cell->issuing_ca.files, ret);
}

/* *ret_pem: the certificates that verify the nodes, if the CA's is among them. */
static result bundle_fits(const struct provisioning *p, const struct runbook_call *call, bool *ret,
                          struct str *ret_pem)
{
    struct str bundle;
    TRY(certificate_file_read(p->cell->issuing_ca.files.certificate, call->arena, ret_pem));
    TRY(certificate_file_read(p->cell->ca, call->arena, &bundle));
    *ret = bundle.ptr != NULL && ret_pem->len > 0 &&
           memmem(bundle.ptr, bundle.len, ret_pem->ptr, ret_pem->len) != NULL;
    return OK;
}

static result ca_is_there(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    struct ca ca;
    struct str pem;
    bool verifies;
    result r = open_ca(p, &ca);
    if (failed(r) && r.error.code != E_NOT_FOUND && r.error.code != E_CERTIFICATE)
        return r;
    if (failed(r)) {
        runbook_answer(call, ret, false, "%s", r.error.what);
        return OK;
    }
    ca_done(&ca);
    TRY(bundle_fits(p, call, &verifies, &pem));
    runbook_answer(call, ret, verifies, verifies ? "\"%s\" is a CA" : "\"%s\" does not contain the CA",
                   verifies ? p->cell->issuing_ca.files.certificate : p->cell->ca);
    return OK;
}

static result make_ca(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    struct ca ca;
    struct str pem;
    bool verifies;
    TRY(ca_create(&p->cell->issuing_ca.files,
                  arena_printf(call->arena, "domicile %.50s", p->cell->region->name.ptr)));
    TRY(open_ca(p, &ca));
    ca_done(&ca);
    TRY(bundle_fits(p, call, &verifies, &pem));
    return verifies ? OK : certificate_file_write(p->cell->ca, pem);
}

const struct runbook_step step_ca = {
    .id = "authority",
    .title = "Create the CA",
    .question = "does the CA exist, and is it in the cell's ca file?",
    .ask = ca_is_there,
    .act = make_ca,
    .within_ms = SEC(30),
    .ask_within_ms = SEC(60),
    .tries = 2,
};

/* ---- on hosts ---- */

struct host_files {
    const char *name; /* "server": server.key and server.crt in the node's tls directory */
    struct certificate_purpose purpose;
};

static struct host_files server_files(const struct node *node)
{
    return (struct host_files){ "server", { node->name.ptr, node->address } };
}

static struct host_files replication_files(const struct node *node)
{
    return (struct host_files){ "replication", { CONF_REPLICATION, NULL } };
}

static const char *tls_path(const struct runbook_call *call, const struct node *node, const char *name,
                            const char *kind)
{
    return arena_printf(call->arena, "%s/%s.%s", node->paths.tls, name, kind);
}

/* What is there of one purpose. */
struct host_certificate {
    struct str ca, pem;
    EVP_PKEY *key; /* its public half; NULL: there is none. The caller frees it */
    bool closed;   /* to others */
};

static result read_certificate(const struct provisioning *p, const struct runbook_call *call,
                               const struct node *node, const struct host_files *files,
                               struct host_certificate *ret)
{
    struct arena *arena = call->arena;
    const char *key = tls_path(call, node, files->name, "key");
    struct host_fact facts[] = {
        { .path = tls_path(call, node, "ca", "crt") },
        { .path = tls_path(call, node, files->name, "crt") },
        { .argv = host_tool(arena, &node->commands.stat, "stat", "-c", "%a", "--", key, (char *)NULL) },
        { .argv = HOST_ARGV("test", "-e", key) },
        { .argv = host_tool(arena, &node->commands.openssl, "openssl", "pkey", "-in", key, "-pubout",
                            (char *)NULL) },
    };
    TRY(host_ask(p->hosts, node, call, facts, sizeof facts / sizeof facts[0]));
    *ret = (struct host_certificate){ .ca = facts[0].out,
                                      .pem = facts[1].out,
                                      .closed = facts[2].exit_status == 0 &&
                                                str_is(last_line(facts[2].out), "600") };
    if (facts[3].exit_status == 1)
        return OK;
    if (facts[4].exit_status != 0)
        return FAIL(E_HOST, "Check the file, and move it away if it is not a key.",
                    "\"%s\": \"%s\" is not a private key", node->name.ptr, key);
    return pem_public_key(facts[4].out, key, &ret->key);
}

static result judge_host(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                         const struct host_files *files, const struct ca *ca, enum answer *ret)
{
    struct host_certificate there;
    struct str ca_file;
    bool fits;
    const char *ends = "";
    TRY(bundle_fits(p, call, &fits, &ca_file));
    TRY(read_certificate(p, call, node, files, &there));
    const char *why = there.pem.ptr == NULL || there.key == NULL ? "it does not exist"
                      : !there.closed                            ? "its key is accessible to other users"
                      : !str_eq(there.ca, ca_file)
                          ? "the host does not have the CA's certificate"
                          : certificate_misfit(ca, there.pem, &files->purpose, there.key,
                                               p->cell->issuing_ca.renew_days, call->arena, &ends);
    EVP_PKEY_free(there.key);
    if (why == NULL)
        runbook_answer(call, ret, true, "%s: %s.crt, valid until %s", node->name.ptr, files->name, ends);
    else
        runbook_answer(call, ret, false, "%s: %s.crt: %s", node->name.ptr, files->name, why);
    return OK;
}

static result look_at_host(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                           const struct host_files *files, enum answer *ret)
{
    struct ca ca;
    result r = open_ca(p, &ca);
    if (failed(r) && (r.error.code == E_NOT_FOUND || r.error.code == E_CERTIFICATE)) {
        runbook_answer(call, ret, false, "%s", r.error.what);
        return OK;
    }
    TRY(r);
    r = judge_host(p, call, node, files, &ca, ret);
    ca_done(&ca);
    return r;
}

static result make_directory(const struct provisioning *p, const struct runbook_call *call,
                             const struct node *node)
{
    const struct host_command command = { .argv =
                                              HOST_ARGV("mkdir", "-p", "-m", "0700", "--", node->paths.tls),
                                          .within_ms = ISSUE_WITHIN_MS };
    return host_run(p->hosts, node, call, &command, NULL);
}

/* A new key under a temporary name, with its mode set and on disk before the rename. */
static result make_key(const struct provisioning *p, const struct runbook_call *call, const struct node *node,
                       const struct host_files *files)
{
    const char *key = tls_path(call, node, files->name, "key"),
               *beside = tls_path(call, node, files->name, "key.new");
    const char *const *const commands[] = {
        HOST_ARGV("rm", "-f", "--", beside),
        host_tool(call->arena, &node->commands.openssl, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-out", beside, (char *)NULL),
        HOST_ARGV("chmod", "0600", "--", beside),
        HOST_ARGV("sync", beside),
        HOST_ARGV("mv", "-n", "-T", "--", beside, key),
    };
    for (size_t i = 0; i < COUNT(commands); i++) {
        const struct host_command command = { .argv = commands[i], .within_ms = ISSUE_WITHIN_MS };
        TRY(host_run(p->hosts, node, call, &command, NULL));
    }
    return OK;
}

static result request_and_sign(const struct provisioning *p, const struct runbook_call *call,
                               const struct node *node, const struct host_files *files, struct str *ret)
{
    struct ssh_output output;
    struct ca ca;
    const struct host_command request = {
        .argv = host_tool(call->arena, &node->commands.openssl, "openssl", "req", "-new", "-sha256", "-key",
                          tls_path(call, node, files->name, "key"), "-subj",
                          arena_printf(call->arena, "/CN=%s", files->purpose.common_name), (char *)NULL),
        .within_ms = ISSUE_WITHIN_MS,
    };
    TRY(host_run(p->hosts, node, call, &request, &output));
    TRY(open_ca(p, &ca));
    result r = ca_sign(&ca, output.out, &files->purpose, p->cell->issuing_ca.days, call->arena, ret);
    ca_done(&ca);
    return r;
}

static result certify_host(const struct provisioning *p, const struct runbook_call *call,
                           const struct node *node, const struct host_files *files)
{
    struct host_certificate there;
    struct str pem, ca;
    bool fits;
    TRY(read_certificate(p, call, node, files, &there));
    bool has_key = there.key != NULL;
    EVP_PKEY_free(there.key);
    const struct host_command close = { .argv = HOST_ARGV("chmod", "0600", "--",
                                                          tls_path(call, node, files->name, "key")),
                                        .within_ms = ISSUE_WITHIN_MS };
    TRY(make_directory(p, call, node));
    if (!has_key)
        TRY(make_key(p, call, node, files));
    else if (!there.closed)
        TRY(host_run(p->hosts, node, call, &close, NULL));
    TRY(bundle_fits(p, call, &fits, &ca));
    if (there.ca.ptr == NULL || !str_eq(there.ca, ca))
        TRY(host_put(p->hosts, node, call, tls_path(call, node, "ca", "crt"), ca, CERTIFICATE_MODE));
    TRY(request_and_sign(p, call, node, files, &pem));
    return host_put(p->hosts, node, call, tls_path(call, node, files->name, "crt"), pem, CERTIFICATE_MODE);
}

static result server_fits(const struct provisioning *p, struct runbook_call *call, const struct node *node,
                          enum answer *ret)
{
    const struct host_files files = server_files(node);
    return look_at_host(p, call, node, &files, ret);
}

static result certify_server(const struct provisioning *p, struct runbook_call *call, const struct node *node)
{
    const struct host_files files = server_files(node);
    return certify_host(p, call, node, &files);
}

static result replication_fits(const struct provisioning *p, struct runbook_call *call,
                               const struct node *node, enum answer *ret)
{
    const struct host_files files = replication_files(node);
    return look_at_host(p, call, node, &files, ret);
}

static result certify_replica(const struct provisioning *p, struct runbook_call *call,
                              const struct node *node)
{
    const struct host_files files = replication_files(node);
    return certify_host(p, call, node, &files);
}

static result servers_are_certified(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, server_fits, ret);
}

static result certify_servers(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_ALL, server_fits, certify_server);
}

const struct runbook_step step_server_certificates = {
    .id = "server-certificates",
    .title = "Issue the server certificates",
    .question = "does every host have a server certificate that does not expire soon?",
    .ask = servers_are_certified,
    .act = certify_servers,
    .within_ms = SEC(120),
    .ask_within_ms = SEC(60),
    .tries = 2,
};

static result replication_is_certified(void *context, struct runbook_call *call, enum answer *ret)
{
    return ask_nodes(context, call, MEANT_ALL, replication_fits, ret);
}

static result certify_replication(void *context, struct runbook_call *call)
{
    return act_on_nodes(context, call, MEANT_ALL, replication_fits, certify_replica);
}

const struct runbook_step step_replication_certificates = {
    .id = "replication-certificates",
    .title = "Issue the replication certificates",
    .question = "does every host have a replication certificate that does not expire soon?",
    .ask = replication_is_certified,
    .act = certify_replication,
    .within_ms = SEC(120),
    .ask_within_ms = SEC(60),
    .tries = 2,
};

/* ---- here ---- */

struct client {
    const char *role;
    const struct tls_files *files;
};
enum { CLIENTS_MAX = 4 };

static size_t clients_of(const struct cell *cell, struct client clients[CLIENTS_MAX])
{
    const struct client all[CLIENTS_MAX] = { { "domicile_gateway", &cell->gateway },
                                             { "domicile_admin", &cell->admin },
                                             { "domicile_monitor", &cell->monitor.files },
                                             { CONF_SUPERUSER, &cell->superuser } };
    size_t count = 0;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (all[i].files->certificate != NULL)
            clients[count++] = all[i];
    return count;
}

static result judge_clients(const struct provisioning *p, struct runbook_call *call, const struct ca *ca,
                            enum answer *ret)
{
    struct client clients[CLIENTS_MAX];
    size_t count = clients_of(p->cell, clients);
    const char *why = NULL, *ends = "", *text = "";
    for (size_t i = 0; i < count; i++) {
        const struct certificate_purpose purpose = { clients[i].role, NULL };
        TRY(client_look(ca, clients[i].files, &purpose, p->cell->issuing_ca.renew_days, call->arena, &why,
                        &ends));
        if (why != NULL) {
            runbook_answer(call, ret, false, "\"%s\" of %s: %s", clients[i].files->certificate,
                           clients[i].role, why);
            return OK;
        }
        text = arena_printf(call->arena, "%s%s%s valid until %s", text, i > 0 ? "; " : "", clients[i].role,
                            ends);
    }
    runbook_answer(call, ret, true, "%s", text);
    return OK;
}

static result clients_are_certified(void *context, struct runbook_call *call, enum answer *ret)
{
    const struct provisioning *p = context;
    struct ca ca;
    result r = open_ca(p, &ca);
    if (failed(r) && (r.error.code == E_NOT_FOUND || r.error.code == E_CERTIFICATE)) {
        runbook_answer(call, ret, false, "%s", r.error.what);
        return OK;
    }
    TRY(r);
    r = judge_clients(p, call, &ca, ret);
    ca_done(&ca);
    return r;
}

static result make_misfits(const struct provisioning *p, const struct runbook_call *call, const struct ca *ca)
{
    struct client clients[CLIENTS_MAX];
    size_t count = clients_of(p->cell, clients);
    const char *why = NULL, *ends = "";
    for (size_t i = 0; i < count; i++) {
        const struct certificate_purpose purpose = { clients[i].role, NULL };
        TRY(client_look(ca, clients[i].files, &purpose, p->cell->issuing_ca.renew_days, call->arena, &why,
                        &ends));
        if (why != NULL)
            TRY(client_make(ca, clients[i].files, &purpose, p->cell->issuing_ca.days, call->arena));
    }
    return OK;
}

static result certify_clients(void *context, struct runbook_call *call)
{
    const struct provisioning *p = context;
    struct ca ca;
    TRY(open_ca(p, &ca));
    result r = make_misfits(p, call, &ca);
    ca_done(&ca);
    return r;
}

const struct runbook_step step_client_certificates = {
    .id = "client-certificates",
    .title = "Issue the client certificates",
    .question = "does every client have a certificate that does not expire soon?",
    .ask = clients_are_certified,
    .act = certify_clients,
    .within_ms = SEC(60),
    .tries = 2,
};
