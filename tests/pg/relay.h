#pragma once
/* tests/pg/relay, run: a port of ours that leads to a port of the server's, from an address of one's choice. */
#include "server.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

struct relay {
    pid_t pid;
    char port[8];
};

static inline struct relay relay_start(const char *to_port, const char *from)
{
    struct relay relay = { 0 };
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, server_path("programs.log"), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
    const char *argv[] = { SOURCE_DIR "/tests/pg/relay", "127.0.0.1", to_port, from, NULL };
    assert_int_equal(posix_spawn(&relay.pid, argv[0], &actions, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    FILE *said = fdopen(out[0], "r");
    assert_non_null(said);
    assert_non_null(fgets(relay.port, sizeof relay.port, said));
    fclose(said);
    relay.port[strcspn(relay.port, "\n")] = '\0';
    return relay;
}

static inline void relay_stop(const struct relay *relay)
{
    kill(relay->pid, SIGKILL);
    assert_int_equal(waitpid(relay->pid, NULL, 0), relay->pid);
}
