/* domicile: the command line. */
#include "cli/cli.h"

#include <sys/resource.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    const struct rlimit no_core = { 0, 0 }; /* secrets and records are in memory */
    must(setrlimit(RLIMIT_CORE, &no_core) == 0);
    umask(0077);
    return cli_main(argc, argv);
}
