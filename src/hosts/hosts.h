#pragma once
/* The hosts of a cell: one SSH session a node, opened when needed, and again when it was lost. Every command is recorded. The
 * call tells which run and step asks or acts, for the guard on the host and for the record. All functions except new and free
 * wait. */
#include "config/config.h"
#include "hosts/host_log.h"
#include "runbook/runbook.h"

struct cell_hosts;
/* The cell and the log must outlive it. */
result cell_hosts_new(const struct cell *cell, struct host_log *log, struct cell_hosts **ret) MUST_USE;
void cell_hosts_free(struct cell_hosts *hosts); /* takes NULL; closes the sessions */

/* The node's session. E_CONFIG: the node has no ssh. E_IO: an earlier command of the run is not recorded. Else as
 * ssh_connect. */
result host_session(struct cell_hosts *hosts, const struct node *node, struct ssh **ret) MUST_USE;

/* A read-only command, without the guard. OK also if the command fails: check its status. argv ends with NULL. */
result host_look(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                 const char *const *argv, struct str input, struct ssh_output *ret) MUST_USE;

/* The same with the limits of `command`; its within_ms, run and step are set here. */
result host_exec_look(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                      struct ssh_command command, struct ssh_output *ret) MUST_USE;

/* ---- facts.c ---- Several facts, in order, with one remote command. If one fails, the next ones are still asked. */
struct host_fact {
    const char *path;        /* content of a file; or, if NULL, */
    const char *const *argv; /* output of a read-only command */
    struct str input;        /* of the command; at most one fact has some */
    /* the answer, in the arena, with a NUL after it */
    struct str out; /* ptr NULL: there is no such file */
    struct str err;
    int exit_status; /* of the command; 128 plus the signal's number, if it was killed */
};
/* E_HOST: a file is there and cannot be read. E_LIMIT: a fact is larger than SSH_OUTPUT_BYTES. */
result host_ask(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                struct host_fact *facts, size_t count) MUST_USE;

/* One file. */
result host_read(struct cell_hosts *hosts, const struct node *node, const struct runbook_call *call,
                 const char *path, struct str *ret) MUST_USE;

/* A command that changes the host: guarded, and commands of older acts are ended before. E_HOST: it did not exit with 0; the
 * error has the last line of its output. `ret` may be NULL. */
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

/* ---- argv ---- in the arena: one of PostgreSQL's programs of that node, or a program of PATH there, or the command that the
 * region's file has instead; then the words, which end with NULL. */
const char *const *host_program(struct arena *arena, const struct node *node,
                                const struct config_words *instead, const char *program, ...)
    __attribute__((sentinel));
const char *const *host_tool(struct arena *arena, const struct config_words *instead, const char *program,
                             ...) __attribute__((sentinel));
/* Such an argv with `words` added; they end with NULL. */
const char *const *host_argv_more(struct arena *arena, const char *const *argv, const char *const *words);
/* A whole command of the region's file; NULL: there is none. */
const char *const *host_words(struct arena *arena, const struct config_words *words);
/* The program that such an argv starts. */
const char *host_program_of(const char *const *argv);
#define HOST_ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The last line that is not empty and belongs to the command. */
struct str last_line(struct str text);
