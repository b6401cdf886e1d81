/* Looks at the files that the snapshot names, as the user who runs this. */
#include "config/internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum privacy {
    OPEN,       /* a certificate or a public key: nobody else may write it */
    GROUP_READ, /* a private key: 0600, or 0640 */
    OWNER_ONLY, /* 0600 */
};

struct inspection {
    struct loader loader;
    const struct region *region; /* that names the file */
};

#define COMPLAIN(inspection, hint, ...)                                                                      \
    config_complain(&(inspection)->loader, (inspection)->region->source.file, 0, (hint), __VA_ARGS__)

static mode_t forbidden_bits(enum privacy privacy)
{
    switch (privacy) {
    case OPEN:
        return S_IWGRP | S_IWOTH;
    case GROUP_READ:
        return S_IWGRP | S_IXGRP | S_IRWXO;
    case OWNER_ONLY:
        break;
    }
    return S_IRWXG | S_IRWXO;
}

static const char *mode_hint(enum privacy privacy)
{
    return privacy == OPEN         ? "Run: chmod go-w FILE."
           : privacy == GROUP_READ ? "Run: chmod 600 FILE (or 640)."
                                   : "Run: chmod 600 FILE.";
}

static void look_at(struct inspection *inspection, const char *what, const char *path, enum privacy privacy)
{
    struct stat status;
    if (path == NULL)
        return;
    if (stat(path, &status) != 0)
        COMPLAIN(inspection, "Create the file, or correct its path.", "the %s \"%s\" cannot be found: %s",
                 what, path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        COMPLAIN(inspection, "Correct its path.", "the %s \"%s\" is not a file", what, path);
    else if (status.st_mode & forbidden_bits(privacy))
        COMPLAIN(inspection, mode_hint(privacy), "the %s \"%s\" is accessible to other users (mode %04o)",
                 what, path, (unsigned)status.st_mode & 0777);
    else if (status.st_uid != 0 && status.st_uid != geteuid())
        COMPLAIN(inspection,
                 "Run this as the gateway's account (runuser -u ACCOUNT), or change the owner (chown) to it "
                 "or to root.",
                 "the %s \"%s\" is owned by user %u, who could change it", what, path,
                 (unsigned)status.st_uid);
    else if (access(path, R_OK) != 0)
        COMPLAIN(inspection, "Change its owner (chown) to the user who runs this program.",
                 "the %s \"%s\" cannot be read: %s", what, path, strerror(errno));
}

static void look_at_command(struct inspection *inspection, const struct config_words *command)
{
    if (command->count > 0 && access(command->items[0].text.ptr, X_OK) != 0)
        COMPLAIN(inspection, "Install the program, or correct its path.",
                 "the root key's command \"%s\" cannot be run: %s", command->items[0].text.ptr,
                 strerror(errno));
}

static void look_at_public_keys(struct inspection *inspection, const struct region *region)
{
    inspection->region = region;
    look_at(inspection, "public token key", region->token.public_key, OPEN);
    for (size_t i = 0; i < region->token.accepted.count; i++)
        look_at(inspection, "accepted token key", region->token.accepted.items[i].text.ptr, OPEN);
}

static void look_at_own(struct inspection *inspection, const struct region *region)
{
    inspection->region = region;
    look_at(inspection, "certificate", region->tls.certificate, OPEN);
    look_at(inspection, "private key", region->tls.private_key, GROUP_READ);
    look_at(inspection, "private token key", region->token.private_key, OWNER_ONLY);
    look_at(inspection, "root key", region->root_key.file, OWNER_ONLY);
    look_at_command(inspection, &region->root_key.command);
    for (size_t i = 0; i < region->cell_count; i++) {
        const struct cell *cell = &region->cells[i];
        look_at(inspection, "cell's CA", cell->ca, OPEN);
        look_at(inspection, "cell's client certificate", cell->gateway.certificate, OPEN);
        look_at(inspection, "cell's client key", cell->gateway.private_key, GROUP_READ);
        look_at(inspection, "monitor's client certificate", cell->monitor.files.certificate, OPEN);
        look_at(inspection, "monitor's client key", cell->monitor.files.private_key, GROUP_READ);
    }
}

result config_check_files(const struct config *config, const struct region *region,
                          struct config_errors *errors)
{
    size_t before = errors->count + errors->dropped;
    struct inspection inspection = { .loader = { .errors = errors } };
    look_at_own(&inspection, region);
    for (size_t i = 0; i < config->region_count; i++)
        look_at_public_keys(&inspection, &config->regions[i]);
    size_t found = errors->count + errors->dropped - before;
    if (found == 0)
        return OK;
    const struct config_error *first =
        &errors->items[before < CONFIG_ERRORS_MAX ? before : CONFIG_ERRORS_MAX - 1];
    return FAIL(E_CONFIG, first->hint, "%s (%zu in all)", first->what, found);
}
