#include "watch/host_reader.h"

#include "base/clock.h"
#include "hosts/conf.h"
#include "hosts/hosts.h"
#include "watch/watch_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { NODE_WITHIN_MS = 10000 };

struct host_reader {
    const struct cell *cell;
    uint64_t first_bytes;
    bool behind;
    struct cell_hosts *hosts;
    struct health_host *facts; /* of cell->nodes */
};

result host_reader_new(const struct cell *cell, struct host_log *log, struct host_reader **ret)
{
    struct host_reader *reader = calloc(1, sizeof *reader);
    must(reader != NULL);
    reader->cell = cell;
    reader->first_bytes = HOST_READER_FIRST_BYTES;
    reader->facts = calloc(cell->node_count, sizeof *reader->facts);
    must(reader->facts != NULL);
    result r = cell_hosts_new(cell, log, &reader->hosts);
    if (failed(r)) {
        host_reader_free(reader);
        return r;
    }
    *ret = reader;
    return OK;
}

void host_reader_free(struct host_reader *reader)
{
    if (reader == NULL)
        return;
    cell_hosts_free(reader->hosts);
    free(reader->facts);
    free(reader);
}

/* ---- a command that reads ---- */

struct looking {
    struct host_reader *reader;
    const struct node *node;
    const char *log;  /* the path of the structured log; NULL: the region's file names none */
    const char *step; /* for the record */
    struct arena arena;
};

static result look(struct looking *looking, const char *const *argv, struct str *ret)
{
    const struct runbook_call call = runbook_call_to_look(looking->step, &looking->arena);
    struct ssh_output output;
    TRY(host_look(looking->reader->hosts, looking->node, &call, argv, (struct str){ 0 }, &output));
    if (output.signal != NULL || output.exit_status != 0 || output.out_cut)
        return FAIL(E_HOST, "Check that the path in the region's file exists on that host and is readable.",
                    "\"%s\" on \"%s\" failed: %.*s", host_program_of(argv), looking->node->name.ptr,
                    STR_ARG(last_line(output.err)));
    *ret = output.out;
    return OK;
}

static result malformed(const struct looking *looking, const char *command)
{
    return FAIL(E_FORMAT, "Check which program has that name on that host.",
                "\"%s\" on \"%s\" gave an unexpected answer", command, looking->node->name.ptr);
}

/* ---- the log ---- */

struct log_file {
    struct str token; /* "DEVICE:INODE" */
    uint64_t bytes;
};

static result find_log(struct looking *looking, struct log_file *ret)
{
    const struct node *node = looking->node;
    struct str said, token;
    TRY(look(looking,
             host_tool(&looking->arena, &node->commands.stat, "stat", "-L", "-c", "%d:%i %s", "--",
                       looking->log, (char *)NULL),
             &said));
    said = str_trim((struct str){ said.ptr, said.len - (said.len > 0 && said.ptr[said.len - 1] == '\n') });
    if (!str_cut(&said, ' ', &token) || token.len == 0 || token.len > 63 ||
        !str_to_u64(said, INT64_MAX, &ret->bytes))
        return malformed(looking, "stat");
    ret->token = token;
    return OK;
}

static result read_piece(struct looking *looking, const struct log_file *file, uint64_t offset,
                         struct str *ret)
{
    struct arena *arena = &looking->arena;
    uint64_t left = file->bytes - offset;
    return look(
        looking,
        host_tool(arena, &looking->node->commands.dd, "dd", arena_printf(arena, "if=%s", looking->log),
                  arena_printf(arena, "skip=%llu", (unsigned long long)offset),
                  arena_printf(
                      arena, "count=%llu",
                      (unsigned long long)(left < HOST_READER_PIECE_BYTES ? left : HOST_READER_PIECE_BYTES)),
                  "iflag=skip_bytes,count_bytes", "bs=65536", "status=none", (char *)NULL),
        ret);
}

static uint64_t begin_at(const struct looking *looking, struct cell_watch *watch, const struct log_file *file)
{
    uint64_t first_bytes = looking->reader->first_bytes, offset = 0;
    struct str known = { 0 };
    watch_log_position(watch, looking->node, &known, &offset);
    if (known.len == 0)
        return file->bytes > first_bytes ? file->bytes - first_bytes : 0;
    if (str_eq(known, file->token) && offset <= file->bytes)
        return offset;
    watch_log_cut(watch, looking->node);
    return 0;
}

/* Up to `end`; *ret_at is how far it came, failed or not. */
static result read_pieces(struct looking *looking, struct cell_watch *watch, const struct log_file *file,
                          uint64_t end, uint64_t *ret_at)
{
    struct watch_log_piece piece = { .file = file->token, .offset = *ret_at };
    while (piece.offset < end) {
        TRY(read_piece(looking, file, piece.offset, &piece.text));
        if (piece.text.len == 0) { /* it has become shorter just now; the next round tries again */
            watch_log_cut(watch, looking->node);
            return OK;
        }
        watch_log_feed(watch, looking->node, &piece);
        piece.offset += piece.text.len;
        *ret_at = piece.offset;
    }
    return OK;
}

/* A slow link is no failure as long as some bytes arrive: the next round continues. */
static result read_log(struct looking *looking, struct cell_watch *watch)
{
    struct log_file file;
    looking->step = "log";
    TRY(find_log(looking, &file));
    uint64_t begin = begin_at(looking, watch, &file), at = begin;
    watch_log_feed(
        watch, looking->node,
        &(struct watch_log_piece){ file.token, begin, { 0 } }); /* an empty file counts as begun too */
    bool more = file.bytes - begin > HOST_READER_ROUND_BYTES;
    result r = read_pieces(looking, watch, &file, more ? begin + HOST_READER_ROUND_BYTES : file.bytes, &at);
    bool slow = failed(r) && r.error.code == E_DEADLINE && at > begin;
    looking->reader->behind |= slow || (!failed(r) && more);
    return slow ? OK : r;
}

/* ---- the disk ---- */

static result read_disk(struct looking *looking, struct health_host *ret)
{
    struct str said, head, line, total;
    uint64_t total_bytes, free_bytes;
    looking->step = "disk";
    TRY(look(looking,
             host_tool(&looking->arena, &looking->node->commands.df, "df", "--output=size,avail", "-B1", "--",
                       looking->node->paths.data, (char *)NULL),
             &said));
    if (!str_cut(&said, '\n', &head) || !str_cut(&said, '\n', &line))
        return malformed(looking, "df");
    line = str_trim(line);
    if (!str_cut(&line, ' ', &total) || !str_to_u64(total, INT64_MAX, &total_bytes) ||
        !str_to_u64(str_trim(line), INT64_MAX, &free_bytes))
        return malformed(looking, "df");
    *ret = (struct health_host){ .disk_total_bytes = { true, (int64_t)total_bytes },
                                 .disk_free_bytes = { true, (int64_t)free_bytes },
                                 .asked_at_ms = clock_wall_ms() };
    return OK;
}

/* ---- a round ---- */

static void note_unread(const struct looking *looking, struct cell_watch *watch, const char *path,
                        const struct error *why)
{
    if (why->code == E_OK || failed(fiber_check()))
        return;
    watch_note(watch, watch_channel_named(STR("log-unread")), looking->node->name.ptr, str_from(path),
               str_from(why->what), clock_wall_ms());
}

static bool has_answered(const struct error *why)
{
    return why->code == E_OK || why->code == E_HOST || why->code == E_FORMAT;
}

/* Each path has its own finding; a host that does not answer has one only. */
static void read_node(struct looking *looking, struct cell_watch *watch)
{
    const struct node *node = looking->node;
    struct health_host *facts = &looking->reader->facts[node - looking->reader->cell->nodes];
    struct deadline deadline;
    looking->log = conf_log_json(&looking->arena, node);
    deadline_begin(&deadline, NODE_WITHIN_MS);
    result disk = node->paths.data == NULL ? OK : read_disk(looking, facts);
    result log = looking->log == NULL ? OK : read_log(looking, watch);
    deadline_end(&deadline);
    if (failed(disk))
        *facts = (struct health_host){ 0 };
    note_unread(looking, watch, looking->log, &log.error);
    if (has_answered(&log.error))
        note_unread(looking, watch, node->paths.data, &disk.error);
}

void host_reader_reach(struct host_reader *reader, uint64_t bytes)
{
    reader->first_bytes = bytes;
}

bool host_reader_behind(const struct host_reader *reader)
{
    return reader->behind;
}

void host_reader_round(struct host_reader *reader, struct cell_watch *watch)
{
    reader->behind = false;
    for (size_t i = 0; i < reader->cell->node_count && !failed(fiber_check()); i++) {
        struct looking looking = { .reader = reader, .node = &reader->cell->nodes[i] };
        if (looking.node->ssh.user == NULL)
            continue;
        arena_init(&looking.arena);
        read_node(&looking, watch);
        arena_done(&looking.arena);
    }
}

void host_reader_disks(struct host_reader *reader)
{
    for (size_t i = 0; i < reader->cell->node_count && !failed(fiber_check()); i++) {
        struct looking looking = { .reader = reader, .node = &reader->cell->nodes[i] };
        struct deadline deadline;
        arena_init(&looking.arena);
        deadline_begin(&deadline, NODE_WITHIN_MS);
        if (looking.node->ssh.user == NULL || looking.node->paths.data == NULL ||
            failed(read_disk(&looking, &reader->facts[i])))
            reader->facts[i] = (struct health_host){ 0 }; /* not asked */
        deadline_end(&deadline);
        arena_done(&looking.arena);
    }
}

void host_reader_facts(const struct host_reader *reader, const struct node *node, struct health_host *ret)
{
    *ret = reader->facts[node - reader->cell->nodes];
}
