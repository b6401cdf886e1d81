#include "ssh/node.h"

result ssh_node_options(const struct node *node, struct ssh_options *ret)
{
    const struct node_ssh *ssh = &node->ssh;
    if (ssh->user == NULL)
        return FAIL(
            E_CONFIG,
            "Add to the node in its region's file: ssh = { user = \"...\"; private_key = \"...\"; host_key = "
            "\"ssh-ed25519 ...\"; }; see domicile.cfg(5).",
            "the node \"%s\" (%s:%d) has no ssh", node->name.ptr, node->source.file, node->source.line);
    *ret = (struct ssh_options){ .host = node->name.ptr,
                                 .address = ssh->address,
                                 .port = (uint16_t)ssh->port,
                                 .user = ssh->user,
                                 .private_key = ssh->private_key,
                                 .host_key = ssh->host_key };
    return OK;
}
