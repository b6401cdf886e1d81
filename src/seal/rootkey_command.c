#include "base/clock.h"
#include "seal/rootkey_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct command {
    const char *name;
    pid_t pid;
    int pid_fd, output; /* -1: not open */
    uint64_t end_ns;
};

static int spawn_with(pid_t *ret_pid, char *const argv[], int output, posix_spawn_file_actions_t *actions,
                      posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    int wrong = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (wrong == 0)
        wrong = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    return wrong != 0 ? wrong : posix_spawn(ret_pid, argv[0], actions, attributes, argv, environ);
}

static result command_start(struct command *command, char *const argv[])
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return FAIL(E_RESOURCE, NULL, "cannot create a pipe for the key command: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    must(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attributes) == 0);
    pid_t pid = -1;
    int wrong = spawn_with(&pid, argv, ends[1], &actions, &attributes);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    command->output = ends[0];
    if (wrong != 0) {
        errno = wrong;
        return FAIL(E_KEY_PROVIDER, "Check the path of the key command and its mode.",
                    "cannot run the key command \"%s\": %s", argv[0], strerror(errno));
    }
    command->pid = pid;
    command->pid_fd = pidfd_open(pid, 0);
    if (command->pid_fd < 0)
        return FAIL(E_RESOURCE, NULL, "cannot watch the key command \"%s\": %s", argv[0], strerror(errno));
    return OK;
}

static result await_readable(const struct command *command, int fd)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t left_ms = now_ns < command->end_ns ? (command->end_ns - now_ns + 999999) / 1000000 : 0;
        int ready = poll(&waiting, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (ready > 0)
            return OK;
        if (ready == 0 || errno != EINTR)
            return FAIL(E_KEY_PROVIDER,
                        "Find out what the key command waits for, or increase command_within_ms.",
                        "the key command \"%s\" did not end in time", command->name);
    }
}

/* The deadline is for all of it, so it also limits a command that prints slowly. */
static result command_read(const struct command *command, struct secret *given, size_t *ret_len)
{
    size_t len = 0;
    for (;;) {
        TRY(await_readable(command, command->output));
        ssize_t got = read(command->output, given->ptr + len, given->len - len);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return FAIL(E_KEY_PROVIDER, NULL, "cannot read from the key command \"%s\": %s", command->name,
                        strerror(errno));
        len += got > 0 ? (size_t)got : 0;
        if (len == given->len)
            return FAIL(E_KEY_PROVIDER, "Change the command to print only the key.",
                        "the key command \"%s\" prints too much", command->name);
    }
    *ret_len = len;
    return OK;
}

/* Reaps the command. */
static result command_end(struct command *command)
{
    TRY(await_readable(command, command->pid_fd));
    int status = 0;
    must(waitpid(command->pid, &status, 0) == command->pid);
    command->pid = -1;
    if (WIFSIGNALED(status))
        return FAIL(E_KEY_PROVIDER, NULL, "the key command \"%s\" was ended by signal %d", command->name,
                    WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return FAIL(E_KEY_PROVIDER, "Read its standard error in the gateway's log.",
                    "the key command \"%s\" ended with status %d", command->name, WEXITSTATUS(status));
    return OK;
}

static void command_done(struct command *command)
{
    if (command->pid > 0) {
        kill(-command->pid, SIGKILL);
        must(waitpid(command->pid, NULL, 0) == command->pid);
    }
    if (command->pid_fd >= 0)
        close(command->pid_fd);
    if (command->output >= 0)
        close(command->output);
}

result rootkey_load_command(char *const argv[], uint64_t within_ms, struct root_key *ret)
{
    if (argv[0] == NULL || argv[0][0] != '/')
        return FAIL(E_KEY_PROVIDER, "Name the key command by its absolute path.",
                    "the path of the key command is not absolute");
    struct command command = { .name = argv[0],
                               .pid = -1,
                               .pid_fd = -1,
                               .output = -1,
                               .end_ns = clock_monotonic_ns() + within_ms * 1000000 };
    struct secret given = { 0 };
    size_t len = 0;
    TRY(secret_new(&given, ROOTKEY_INPUT_MAX));
    result r = command_start(&command, argv);
    if (!failed(r))
        r = command_read(&command, &given, &len);
    if (!failed(r))
        r = command_end(&command);
    command_done(&command);
    if (!failed(r))
        r = rootkey_decode((struct str){ (const char *)given.ptr, len }, argv[0], ret);
    secret_free(&given);
    return r;
}
