#pragma once
/* The hosts of a cell while something is done on them: one SSH session a node, opened when it is needed, and anew when it
 * was lost; every command recorded. The call says who asks or acts: for the guard on the host, and for the record.
 * Everything here but new and free waits. */
#include "config/config.h"
#include "hosts/host_log.h"
#include "runbook/runbook.h"

struct cell_hosts;
/* The cell and the log outlive it. */
result cell_hosts_new(const struct cell *cell, struct host_log *log, struct cell_hosts **ret) MUST_USE;
void cell_hosts_free(struct cell_hosts *hosts); /* takes NULL; closes the sessions */

/* The node's session. E_CONFIG: the node has no ssh. E_IO: an earlier command of the run is not recorded. Else as
 * ssh_connect. */
result host_session(struct cell_hosts *hosts, const struct node *node, struct ssh **ret) MUST_USE;

/* A command that only looks, without the guard. OK also if it fails: look at the status. argv ends with NULL. */
result host_look(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                 const char *const *argv, struct str input, struct ssh_output *ret) MUST_USE;

/* The same with the limits of `command`; its within_ms, run and step are set here. */
result host_exec_look(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                      struct ssh_command command, struct ssh_output *ret) MUST_USE;

/* ---- facts.c ---- Several looks, in their order, as one remote command. A look that fails does not end those after it. */
struct host_fact {
    const char *path;        /* what a file holds; or, if it is NULL, */
    const char *const *argv; /* what a command that only looks says */
    struct str input;        /* of the command; at most one of the facts has some */
    /* found, in the arena, a NUL behind it */
    struct str out; /* ptr NULL: there is no such file */
    struct str err;
    int exit_status; /* of the command; 128 and the signal's number, if one ended it */
};
/* E_HOST: a file is there and cannot be read. E_LIMIT: a fact is larger than SSH_OUTPUT_BYTES. */
result host_ask(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                struct host_fact *facts, size_t count) MUST_USE;

/* One file. */
result host_read(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                 const char *path, struct str *ret) MUST_USE;

/* A command that changes something: guarded, and whatever an older act still does there is ended before. E_HOST: it did
 * not end with 0; says its last words. `ret` may be NULL. */
struct host_command {
    const char *const *argv;
    struct str input;
    uint64_t within_ms;
};
result host_run(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                const struct host_command *command, struct ssh_output *ret) MUST_USE;
/* The same of a file. */
result host_put(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                const char *path, struct str bytes, uint32_t mode) MUST_USE;

/* ---- argv ---- in the arena. One of PostgreSQL's programs of that node, or one that PATH there has, or the command that
 * the region file has instead; then the words, NULL ends them. */
const char *const *host_program(struct arena *arena, const struct node *node,
                                const struct config_words *instead, const char *program, ...)
    __attribute__((sentinel));
const char *const *host_tool(struct arena *arena, const struct config_words *instead, const char *program,
                             ...) __attribute__((sentinel));
/* `words` behind such an argv; NULL ends them. */
const char *const *host_argv_more(struct arena *arena, const char *const *argv, const char *const *words);
/* A whole command of the region file; NULL: there is none. */
const char *const *host_words(struct arena *arena, const struct config_words *words);
/* The program that such an argv starts. */
const char *host_program_of(const char *const *argv);
#define HOST_ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The last line that is not empty, without the host's own noise. */
struct str last_line(struct str text);
