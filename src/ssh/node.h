#pragma once
/* A node of the configuration as a host for SSH. */
#include "config/config.h"
#include "ssh/ssh.h"

/* E_CONFIG: the node has no ssh, and the hint says what to add. The strings are the configuration's. */
result ssh_node_options(const struct node *node, struct ssh_options *ret) MUST_USE;
