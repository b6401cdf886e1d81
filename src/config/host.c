/* What is declared of a node's host: how it is reached, where things are there, and its own commands. */
#include "config/internal.h"

#include <ctype.h>

/* Below a directory, and nothing in it that a configuration file, a shell or a person could read in another way. */
static bool is_host_path(const char *path)
{
    if (path[0] != '/' || path[1] == '\0' || strstr(path, "//") != NULL || strstr(path, "/.") != NULL)
        return false;
    size_t len = strlen(path);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)path[i]) && strchr("/._-+", path[i]) == NULL)
            return false;
    return path[len - 1] != '/';
}

static void check_path(struct loader *loader, const struct node *node, const char *key, const char *path)
{
    if (path != NULL && !is_host_path(path))
        COMPLAIN_AT(
            loader, node,
            "Give an absolute path of letters, digits and \"._-+\", without \"..\" or a slash at the end.",
            "\"%s\" of the node \"%s\" is \"%s\"", key, node->name.ptr, path);
}

static void check_command(struct loader *loader, const struct node *node, const char *key,
                          const struct config_words *words)
{
    if (words->count == 0)
        return;
    struct str program = words->items[0].text;
    bool fits = program.ptr[0] == '/' ? is_host_path(program.ptr)
                                      : program.ptr[0] != '-' && strchr(program.ptr, '/') == NULL &&
                                            strpbrk(program.ptr, " =") == NULL;
    if (!fits)
        config_complain(loader, node->source.file, words->items[0].line,
                        "Begin it with the absolute path of a program, or with a program name that is found "
                        "in PATH on that host.",
                        "\"%s\" of the node \"%s\" begins with \"%s\"", key, node->name.ptr, program.ptr);
}

static void check_listens(struct loader *loader, const struct node *node)
{
    struct config_socket parsed;
    for (size_t i = 0; i < node->listens.count; i++)
        if (!config_socket_parse(node->listens.items[i].text, &parsed))
            config_complain(loader, node->source.file, node->listens.items[i].line,
                            "Write it as 192.0.2.1:9100, [2001:db8::1]:9100 or *:68/udp.",
                            "\"%s\" of the node \"%s\" is not a socket", node->listens.items[i].text.ptr,
                            node->name.ptr);
}

void config_check_host(struct loader *loader, const struct node *node)
{
    check_path(loader, node, "ssh.state", node->ssh.user != NULL ? node->ssh.state : NULL);
    check_path(loader, node, "ssh.config", node->ssh.config);
    check_path(loader, node, "data", node->paths.data);
    check_path(loader, node, "tls", node->paths.tls);
    check_path(loader, node, "log", node->paths.log);
    check_path(loader, node, "bin", node->paths.bin);
    check_command(loader, node, "commands.start", &node->commands.start);
    check_command(loader, node, "commands.stop", &node->commands.stop);
    check_command(loader, node, "commands.reload", &node->commands.reload);
    check_command(loader, node, "commands.status", &node->commands.status);
    check_command(loader, node, "commands.sockets", &node->commands.sockets);
    check_command(loader, node, "commands.initdb", &node->commands.initdb);
    check_command(loader, node, "commands.base_backup", &node->commands.base_backup);
    check_command(loader, node, "commands.control", &node->commands.control);
    check_command(loader, node, "commands.psql", &node->commands.psql);
    check_command(loader, node, "commands.postgres", &node->commands.postgres);
    check_command(loader, node, "commands.openssl", &node->commands.openssl);
    check_command(loader, node, "commands.df", &node->commands.df);
    check_command(loader, node, "commands.date", &node->commands.date);
    check_command(loader, node, "commands.locale", &node->commands.locale);
    check_command(loader, node, "commands.stat", &node->commands.stat);
    check_command(loader, node, "commands.dd", &node->commands.dd);
    check_listens(loader, node);
}
