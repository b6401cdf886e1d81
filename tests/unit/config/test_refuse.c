/* One word of the shipped configuration is changed, and exactly that is complained about, with file and line. */
#include "config/shipped.h"

#include <stdio.h>

#define EU "regions/eu-fr.cfg"
#define US "regions/us.cfg"
#define RULES "policies/residency.cfg"
#define REGISTER "policies/register.cfg"
#define SERVICES "policies/services.cfg"

#define STEP_US "{ name = \"dns\"; runbook = \"failover\"; after = \"route\"; on = \"us1\";"
#define STEP_RUN " run = [ \"/bin/a\", \"b\" ]; check = [ \"/bin/c\" ];"

#define NODE_US "\"127.20.1.1\"; port = 15432;"
#define PIN "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define NODE_US9(state, data)                                                                                \
    "nodes = ( { name = \"us9\"; site = \"cbf1\"; port = 15433; address = \"127.20.1.1\"; ssh = { port = "   \
    "10022; user = "                                                                                         \
    "\"pg\"; private_key = \"k\"; host_key = \"" PIN "\"; state = \"" state "\"; }; data = \"" data          \
    "\"; tls = \"/srv/tls\"; log = \"/srv/log\"; },"

struct mistake {
    const char *file, *from, *to; /* the first `from` in the file becomes `to` */
    const char *complaint;        /* a part of what is said */
    int line;                     /* 0: the changed line; else so many lines after it; ANY_LINE */
};
enum { ANY_LINE = 1000 };

static const struct mistake mistakes[] = {
    /* what libconfig would do worse than refuse */
    { US, "title", "@include \"/etc\"\ntitle", "@include", 0 },
    { US, "title", "  @include \"us.cfg\"\ntitle", "@include", 0 },
    { US, "1048576", "99999999999", "too large", 0 },
    { US, "1048576", "99999999999L", "too large", 0 },
    { US, "1048576", "2147483648", "too large", 0 },
    { US, "1048576", "0xFFFFFFFF", "too large", 0 },
    { US, "1048576", "-99999999999", "too large", 0 },
    { US, "listen = (", "listen = (((((((((((((", "nested", 0 },
    { US, "title", "\xff\ntitle", "UTF-8", ANY_LINE },
    { US, "title = \"United", "title \"United", "syntax error", 0 },
    { US, "title", "name = \"us\";\ntitle", "duplicate", ANY_LINE },
    /* networks */
    { US, "country = \"US\"; },", "country = \"US\"; networks = [ \"127.20.0.1/16\" ]; },",
      "is not a network", 0 },
    { US, "country = \"US\"; },", "country = \"US\"; networks = [ \"us.example\" ]; },", "is not a network",
      0 },
    { US, "pool = {", "watch = { clients = [ \"127.20.0.0/33\" ]; };\npool = {", "is not a network", 0 },
    { US, "pool = {", "watch = { client = [ ]; };\npool = {", "has no key \"client\"", 0 },
    { US, "private_key = \"pg/us/monitor.key\";", "", "lacks \"private_key\"", ANY_LINE },
    /* the schema */
    { US, "title", "titel", "has no key \"titel\"", 0 },
    { US, "max_head_bytes", "max_head_byte", "has no key \"max_head_byte\"", 0 },
    { US, "title = \"United States\";", "", "lacks \"title\"", ANY_LINE },
    { US, "primary = \"us1\";", "", "lacks \"primary\"", ANY_LINE },
    { US, "\"United States\"", "7", "is not a string", 0 },
    { US, "\"United States\"", "\"\"", "\"title\"", 0 },
    { US, "\"United States\"", "\"a\\nb\"", "control characters", 0 },
    { US, "port = 8443", "port = \"8443\"", "not a whole number", 0 },
    { US, "port = 8443", "port = 8443.0", "not a whole number", 0 },
    { US, "port = 8443", "port = 0", "must be from 1 to 65535", 0 },
    { US, "port = 8443", "port = 65536", "must be from 1 to 65535", 0 },
    { US, "port = 8443", "port = -1", "must be from 1 to 65535", 0 },
    { US, "port = 8443", "port = 8443; tls = 1", "true or false", 0 },
    { US, "max_body_bytes = 1048576", "max_body_bytes = 67108865", "must be from", 0 },
    { US, "connections = 2", "connections = 65", "must be from 1 to 64", 0 },
    { US, "listen = (", "listen = 7; tls2 = (", "list of groups", 0 },
    { US, "listen = ( { address = \"127.20.0.1\"; port = 8443; } )", "listen = ( )", "0 entries", 0 },
    { US, "jurisdiction = {", "jurisdiction = 1; x = {", "not a group", 0 },
    { REGISTER, "sealed = true", "sealed = \"yes\"", "true or false", 0 },
    { RULES, "classes = [ \"health\" ]", "classes = \"health\"", "list of strings", 0 },
    { RULES, "classes = [ \"health\" ]", "classes = [ 1 ]", "list of strings", 0 },
    { RULES, "classes = [ \"health\" ]", "classes = [ ]", "0 entries", 0 },
    /* hosts */
    { US, "state = \"/var", "state = \"var", "\"ssh.state\" of the node", ANY_LINE },
    { US, "data = \"/var/lib/domicile/us1/data\"", "data = \"/srv/../etc\"", "\"data\" of the node",
      ANY_LINE },
    { US, "data = \"/var/lib/domicile/us1/data\"", "data = \"/\"", "\"data\" of the node", ANY_LINE },
    { US, "data = \"/var/lib/domicile/us1/data\"", "data = \"/srv/a b\"", "\"data\" of the node", ANY_LINE },
    { US, "us1/data\"", "us1/data/\"", "\"data\" of the node", ANY_LINE },
    { US, NODE_US, NODE_US " commands = { start = [ \"bin/start\" ]; };", "\"commands.start\" of the node",
      0 },
    { US, NODE_US, NODE_US " commands = { stop = [ \"-x\" ]; };", "\"commands.stop\" of the node", 0 },
    { US, NODE_US, NODE_US " commands = { stop = [ ]; };", "0 entries", 0 },
    { US, "clients = [ \"127.0.0.0/8\" ]", "clients = [ \"192.0.2.1/24\" ]", "is not a network", 0 },
    { US, "private_key = \"pg/us/ca.key\";", "private_key = \"pg/us/ca.key\"; days = 30;",
      "renews certificates only after", ANY_LINE },
    { US, "private_key = \"pg/us/ca.key\";", "private_key = \"keys/us/root.key\";",
      "issuing CA's private key", ANY_LINE },
    { US, "standby_networks = [ \"127.0.0.0/8\" ]", "standby_networks = [ \"us.example\" ]",
      "is not a network", 0 },
    { US, "pg/us/ca.key", "pg/eu-fr/ca.key", "issuing CA's private key", ANY_LINE },
    { US, "nodes = (", NODE_US9("/srv/state", "/var/lib/domicile/us1/data"),
      "are on the same host and share a directory", ANY_LINE },
    /* names and forms */
    { US, "name = \"us\"", "name = \"US\"", "not a name", 0 },
    { US, "name = \"us\"", "name = \"u\"", "not a name", 0 },
    { US, "name = \"us\"", "name = \"usa\"", "the file declares region \"usa\"", ANY_LINE },
    { US, "name = \"us\"", "name = \"eu-fr\"", "declared twice", ANY_LINE },
    { US, "country = \"US\"", "country = \"us\"", "two capital letters", 0 },
    { US, "bloc = \"US\"", "bloc = \"us\"", "name of a bloc", 0 },
    { US, "https://127.20.0.1:8443", "http://127.20.0.1:8443", "not https://", 0 },
    { US, "https://127.20.0.1:8443", "https://127.20.0.1:8443/", "not https://", 0 },
    { US, "https://127.20.0.1:8443", "https://127.20.0.1:0", "not https://", 0 },
    { US, "https://127.20.0.1:8443", "https://127.20.0.1:99999", "not https://", 0 },
    { US, "https://127.20.0.1:8443", "https://", "not https://", 0 },
    { US, "https://127.20.0.1:8443", "https://a@b", "not https://", 0 },
    { US, "https://127.20.0.1:8443", "https://[127.20.0.1]", "not https://", 0 },
    { US, "https://127.20.0.1:8443", "https://127.10.0.1:8443", "the endpoint", ANY_LINE },
    { US, "{ address = \"127.20.0.1\"", "{ address = \"gateway.us\"", "not a numeric address", 0 },
    { US, "address = \"127.20.1.1\"", "address = \"us1 .internal\"", "not a host name", 0 },
    /* jurisdictions */
    { US, "country = \"US\"; bloc = \"US\"", "country = \"US\"; bloc = \"USA\"", "is not declared",
      ANY_LINE },
    { US, "country = \"US\"; bloc = \"US\"", "country = \"US\"; bloc = \"EEA\"",
      "jurisdiction of region \"us\" is not valid", ANY_LINE },
    { US, "\"Ashburn 1\"; country = \"US\"", "\"Ashburn 1\"; country = \"BR\"", "in no jurisdiction", 0 },
    { US, "\"Ashburn 1\"; country = \"US\"", "\"Ashburn 1\"; country = \"FR\"",
      "its region \"us\" is in \"US\"", 0 },
    { RULES, "\"AT\", \"BE\"", "\"AT\", \"AT\"", "twice", 0 },
    { RULES, "\"AT\"", "\"Austria\"", "is not a country", 0 },
    { RULES, "\"AT\"", "\"at\"", "is not a country", 0 },
    { RULES, "\"AT\"", "\"A\"", "is not a country", 0 },
    { RULES, "\"AT\"", "\"AUT\"", "is not a country", 0 },
    { RULES, "\"AT\"", "\"A[\"", "is not a country", 0 },
    { RULES, "\"AT\"", "\"@T\"", "is not a country", 0 },
    { RULES, "{ name = \"US\"; countries = [ \"US\" ]; }", "{ name = \"EEA\"; countries = [ \"US\" ]; }",
      "the bloc \"EEA\" is declared twice", 0 },
    /* listening */
    { US, "{ address = \"127.20.0.1\"; port = 8443; }",
      "{ address = \"203.0.113.1\"; port = 8443; tls = false; }",
      "listens without TLS and is not a loopback address", 0 },
    { US, "{ address = \"127.20.0.1\"; port = 8443; }",
      "{ address = \"0.0.0.0\"; port = 8080; tls = false; }",
      "listens without TLS and is not a loopback address", 0 },
    { US, "{ address = \"127.20.0.1\"; port = 8443; }", "{ address = \"::\"; port = 8080; tls = false; }",
      "listens without TLS and is not a loopback address", 0 },
    { US, "port = 8444", "port = 8443", "also the listen address", 0 },
    { US, "{ address = \"127.20.0.1\"; port = 8444;", "{ address = \"127.10.0.1\"; port = 8444;",
      "also the status address", 0 },
    { US, "{ address = \"127.20.0.1\"; port = 8444;", "{ address = \"0.0.0.0\"; port = 8446;",
      "listens without TLS and is not a loopback address", 0 },
    { US, "certificate = \"tls/us/gateway.crt\";", "", "has no certificate or no private key", ANY_LINE },
    { US, "{ address = \"127.20.0.1\"; port", "{ address = \"127.10.0.1\"; port", "also the listen address",
      0 },
    { US, "{ address = \"127.20.0.1\"; port", "{ address = \"0.0.0.0\"; port", "also the listen address", 0 },
    { US, "{ address = \"127.20.0.1\"; port", "{ address = \"::ffff:127.10.0.1\"; port",
      "also the listen address", 0 },
    { US, "{ address = \"127.20.0.1\"; port = 8443", "{ address = \"127.10.1.1\"; port = 15432",
      "is also the", ANY_LINE },
    /* cells */
    { US, "127.20.1.1\"; port", "127.10.1.1\"; port", "also the node of region \"eu-fr\"", 0 },
    { US, "primary = \"us1\"", "primary = \"us3\"", "which is not one of its nodes", ANY_LINE },
    { US, "site = \"iad1\"", "site = \"par1\"", "which is not a site of region \"us\"", 0 },
    { US, "site = \"iad1\"", "site = \"nowhere\"", "which is not a site of region \"us\"", 0 },
    { US, "name = \"us-1\"", "name = \"eu-fr-1\"", "the cell \"eu-fr-1\" is declared twice", ANY_LINE },
    { US, "name = \"cbf1\"", "name = \"iad1\"", "the site \"iad1\" is declared twice", 0 },
    { US, "name = \"iad1\"", "name = \"par1\"", "the site \"par1\" is declared twice", ANY_LINE },
    { US, "nodes = (", "nodes = ( { name = \"us1\"; site = \"iad1\"; address = \"127.20.3.1\"; },",
      "the node \"us1\" is declared twice", ANY_LINE },
    /* the operator's own steps */
    { US, "nodes = (", "steps = ( " STEP_US " run = [ \"/bin/a\" ]; } ); nodes = (", "a step lacks \"check\"",
      0 },
    { US, "nodes = (", "steps = ( " STEP_US " check = [ \"/bin/a\" ]; } ); nodes = (", "a step lacks \"run\"",
      0 },
    { US, "nodes = (", "steps = ( " STEP_US STEP_RUN " tries = 0; } ); nodes = (", "\"tries\"", 0 },
    { US, "nodes = (", "steps = ( " STEP_US STEP_RUN " within_ms = 86400001; } ); nodes = (", "\"within_ms\"",
      0 },
    { US, "nodes = (", "steps = ( " STEP_US STEP_RUN " undo = [ \"a\" ]; } ); nodes = (",
      "\"undo\" of the step \"dns\" begins with \"a\", which is not an absolute path", 0 },
    { US, "nodes = (", "steps = ( " STEP_US " run = [ \"sh\" ]; check = [ \"/bin/a\" ]; } ); nodes = (",
      "\"run\" of the step \"dns\" begins with \"sh\"", 0 },
    { US, "nodes = (", "steps = ( " STEP_US " run = [ \"a/sh\" ]; check = [ \"/bin/a\" ]; } ); nodes = (",
      "\"run\" of the step \"dns\" begins with \"a/sh\"", 0 },
    { US, "nodes = (", "steps = ( " STEP_US " run = [ \"/sh\" ]; check = [ \"a\" ]; } ); nodes = (",
      "\"check\" of the step \"dns\" begins with \"a\"", 0 },
    { US, "nodes = (", "steps = ( " STEP_US STEP_RUN " }, " STEP_US STEP_RUN " } ); nodes = (",
      "the step \"dns\" of the runbook \"failover\" is declared twice", 0 },
    { US, "nodes = (",
      "steps = ( { name = \"dns\"; runbook = \"failover\"; after = \"route\"; on = \"eu1\"; " STEP_RUN
      " } ); nodes = (",
      "is on \"eu1\", which is not a node of the cell \"us-1\"", 0 },
    /* keys */
    { US, "root_key = { file = \"keys/us/root.key\"; }", "root_key = { }", "a command, or neither",
      ANY_LINE },
    { US, "root_key = { file", "root_key = { command = [ \"/bin/cat\" ]; file", "both a file and a command",
      ANY_LINE },
    { US, "root_key = { file = \"keys/us/root.key\"; }", "root_key = { command = [ \"cat\" ]; }",
      "not an absolute path", 0 },
    { US, "keys/us/root.key", "keys/eu-fr/root.key", "is also the root key of region \"eu-fr\"", ANY_LINE },
    { US, "keys/us/token.key", "keys/eu-fr/token.key", "is also the private token key", ANY_LINE },
    { US, "tls/us/gateway.key", "tls/eu-fr/gateway.key", "is also the private TLS key", ANY_LINE },
    /* the register */
    { REGISTER, "name = \"identity\"", "name = \"gossip\"", "no rule mentions the class \"gossip\"",
      ANY_LINE },
    { REGISTER, "name = \"identity\"", "name = \"health\"", "the class \"health\" is declared twice",
      ANY_LINE },
    { REGISTER, "classes = (", "classes = (); classes2 = (", "has no key", 0 },
    /* rules */
    { RULES, "classes = [ \"health\" ]", "classes = [ \"heath\" ]", "unknown class \"heath\"", 0 },
    { RULES, "\"onboarding\", \"sysadmin\"", "\"onboarding\", \"sysadmn\"", "unknown role \"sysadmn\"", 0 },
    { RULES, "deny = [ \"store\"", "deny = [ \"stor\"", "unknown action \"stor\"", 0 },
    { RULES, "outside = [ \"bloc:EEA\" ]", "outside = [ \"bloc:EU\" ]", "unknown place \"bloc:EU\"", 0 },
    { RULES, "outside = [ \"bloc:EEA\" ]", "outside = [ \"EEA\" ]", "unknown place \"EEA\"", 0 },
    { RULES, "places = [ \"home\" ]", "places = [ \"hom\" ]", "unknown place \"hom\"", 0 },
    { RULES, "places = [ \"home\" ]", "places = [ \"country:BR\" ]", "unknown place \"country:BR\"", 0 },
    { RULES, "homes = [ \"bloc:EEA\" ]", "homes = [ \"mars\" ]", "unknown home \"mars\"", 0 },
    { RULES, "homes = [ \"bloc:EEA\" ]", "homes = [ \"home\" ]", "unknown home \"home\"", 0 },
    { RULES, "name = \"health-stays-in-us\"", "name = \"health-stays-in-eea\"", "declared twice", ANY_LINE },
    { RULES, "name = \"health-stays-in-us\"", "name = \"default-deny\"", "cannot be called", ANY_LINE },
    { RULES, "name = \"health-stays-in-us\"", "name = \"class-unknown\"", "cannot be called", ANY_LINE },
    { RULES, "deny = [ \"any\" ];", "", "both deny and allow, or neither", ANY_LINE },
    { RULES, "deny = [ \"any\" ];", "deny = [ \"any\" ]; allow = [ \"read\" ];",
      "both deny and allow, or neither", ANY_LINE },
    { RULES, "deny = [ \"any\" ];", "deny = [ \"onboard\" ];", "\"onboard\" is not about a class", 0 },
    /* ssh */
    { US, "user = \"domicile\";", "", "a ssh lacks \"user\"", ANY_LINE },
    { US, "host_key = \"ssh", "# \"ssh", "a ssh lacks \"host_key\"", ANY_LINE },
    { US, "\"ssh-ed25519 AAAA", "\"ssh-rsa AAAA", "host_key of the node \"us1\" is not an Ed25519 public key",
      ANY_LINE },
    { US, "state = \"/var/lib/domicile/us1/state\"", "state = \"domicile\"",
      "state of the node \"us1\" is not an absolute path", ANY_LINE },
    { US, "port = 10022", "port = 0", "must be from 1 to 65535", 0 },
    { US, "user = \"domicile\";", "user = \"u\"; password = \"x\";", "has no key \"password\"", 0 },
    /* services */
    { SERVICES, "services_version = 1;", "", "\"services_version\" is not set", ANY_LINE },
    { SERVICES, "services_version = 1;", "services_version = 0;", "must be from 1", 0 },
    { REGISTER, "classes = (", "services_version = 1;\nclasses = (", "set in another file", ANY_LINE },
    { SERVICES, "name = \"billing\"", "name = \"e-mail\"", "the service \"e-mail\" is declared twice",
      ANY_LINE },
    { SERVICES, "regions = [ \"us\" ]", "regions = [ \"usa\" ]", "names the region \"usa\"", 0 },
    { SERVICES, "where = \"the vendor's accounting in France\";", "", "lacks \"reason\" or \"where\"",
      ANY_LINE },
    { SERVICES, "regional = true;", "regional = true; reason = \"none\";", "is regional, but has", ANY_LINE },
};

static void check_mistake(const struct mistake *mistake)
{
    struct shipped shipped;
    static struct config_errors errors;
    config_errors_init(&errors);
    shipped_init(&shipped);
    int line = shipped_change(&shipped, mistake->file, mistake->from, mistake->to);
    struct config *config = NULL;
    result r = shipped_load(&shipped, &config, &errors);
    if (!failed(r))
        fail_msg("%s with '%s' is taken", mistake->file, mistake->to);
    assert_int_equal(r.error.code, E_CONFIG);
    assert_null(config);
    const struct config_error *found = NULL;
    for (size_t i = 0; i < errors.count; i++)
        if (strstr(errors.items[i].what, mistake->complaint) != NULL)
            found = &errors.items[i];
    if (found == NULL)
        fail_msg("'%s' in %s gave '%s'", mistake->to, mistake->file, errors.items[0].what);
    if (mistake->line != ANY_LINE &&
        (strcmp(found->file, mistake->file) != 0 || found->line != line + mistake->line))
        fail_msg("'%s' stands at %s:%d and was found at %s:%d", mistake->to, mistake->file, line, found->file,
                 found->line);
    config_errors_done(&errors);
    shipped_done(&shipped);
}

static void mistakes_are_refused_with_file_and_line(void **state)
{
    for (size_t i = 0; i < COUNT(mistakes); i++)
        check_mistake(&mistakes[i]);
}

static void every_complaint_says_what_to_do(void **state)
{
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        struct shipped shipped;
        static struct config_errors errors;
        config_errors_init(&errors);
        shipped_init(&shipped);
        shipped_change(&shipped, mistakes[i].file, mistakes[i].from, mistakes[i].to);
        struct config *config = NULL;
        check_fails(E_CONFIG, shipped_load(&shipped, &config, &errors));
        for (size_t j = 0; j < errors.count; j++)
            if (errors.items[j].hint == NULL || errors.items[j].file == NULL)
                fail_msg("no hint: %s", errors.items[j].what);
        config_errors_done(&errors);
        shipped_done(&shipped);
    }
}

static void changes_that_are_no_mistakes_pass(void **state)
{
    static const struct mistake fine[] = {
        { .file = US,
          .from = "# A jurisdiction",
          .to = "// @include \"x\" 99999999999 ((((((((((((((((((\n#" },
        { .file = US,
          .from = "# A jurisdiction",
          .to = "/* @include \"x\"\n@include 99999999999 [[[[ */\n#" },
        { .file = US, .from = "United States", .to = "The \\\"@include\\\" 99999999999 ((((((((((((((((((" },
        { .file = US,
          .from = "8443; } )",
          .to = "8443; }, { address = \"::1\"; port = 8080; tls = false; } )" },
        { .file = US, .from = "1048576", .to = "1048576L" },
        { .file = US, .from = "1048576", .to = "0x100000" },
        { .file = US, .from = "https://127.20.0.1:8443", .to = "https://us.example.com" },
        { .file = US, .from = "https://127.20.0.1:8443", .to = "https://[2001:db8::1]:8443" },
        { .file = US, .from = "address = \"127.20.1.1\"", .to = "address = \"us1.example.internal\"" },
        { .file = US,
          .from = "nodes = (",
          .to = "nodes = ( { name = \"us3\"; site = \"cbf1\"; address = \"127.20.3.1\"; port = 15432; }," },
        { .file = US, .from = "nodes = (", .to = "steps = ( " STEP_US STEP_RUN " } ); nodes = (" },
        { .file = US,
          .from = "root_key = { file = \"keys/us/root.key\"; }",
          .to = "root_key = { command = [ \"/usr/bin/token\", \"--slot\", \"1\" ]; }" },
    };
    for (size_t i = 0; i < COUNT(fine); i++) {
        struct shipped shipped;
        shipped_init(&shipped);
        shipped_change(&shipped, fine[i].file, fine[i].from, fine[i].to);
        struct config *config = NULL;
        result r = shipped_load(&shipped, &config, NULL);
        if (failed(r))
            fail_msg("'%s': %s", fine[i].to, r.error.what);
        config_free(config);
        shipped_done(&shipped);
    }
}

/* What is complained about, of which `part` is a part; NULL: nothing of that. Good until the next call. */
static const struct config_error *complaint(const struct shipped *shipped, const char *part)
{
    static struct config_errors errors;
    config_errors_done(&errors);
    config_errors_init(&errors);
    struct config *config = NULL;
    check_fails(E_CONFIG, shipped_load(shipped, &config, &errors));
    for (size_t i = 0; i < errors.count; i++)
        if (strstr(errors.items[i].what, part) != NULL)
            return &errors.items[i];
    return NULL;
}

static void p8_twelve_brackets_are_read_and_not_more(void **state)
{
    static const struct {
        const char *text;
        bool deep;
    } texts[] = { { "x = ((((((((((((1))))))))))));", false },
                  { "x = ((((((((((((([1]))))))))))));", true },
                  { "x = { y = [ [ [ [ [ [ [ [ [ [ [ (", true },
                  { "x = { y = [ [ [ [ [ [ [ [ [ [ [", false },
                  { "a = ((1)); b = [1]; c = {}; d = ((1)); e = [1]; f = {}; g = ((1)); h = ((1));",
                    false } };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct shipped shipped = { .count = 1, .texts = { { "regions/us.cfg", str_from(texts[i].text) } } };
        if ((complaint(&shipped, "nested") != NULL) != texts[i].deep)
            fail_msg("%s", texts[i].text);
    }
}

static void the_hint_fits_what_shares_an_address(void **state)
{
    static const struct {
        const char *from, *to, *hint;
    } shared[] = { { "127.20.1.1\"; port = 15432", "127.10.1.1\"; port = 15432", "Use another cluster" },
                   { "127.20.2.1\"; port = 15432", "127.20.1.1\"; port = 15432", "Give each server" },
                   { "127.20.1.1\"; port = 15432", "127.10.0.1\"; port = 8443", "Give each server" },
                   { "127.20.0.1\"; port = 8443", "127.10.1.1\"; port = 15432", "Give each server" } };
    for (size_t i = 0; i < COUNT(shared); i++) {
        struct shipped shipped;
        shipped_init(&shipped);
        shipped_change(&shipped, US, shared[i].from, shared[i].to);
        const struct config_error *error = complaint(&shipped, "is also the");
        assert_non_null(error);
        if (strncmp(error->hint, shared[i].hint, strlen(shared[i].hint)) != 0)
            fail_msg("%s: %s", shared[i].to, error->hint);
        shipped_done(&shipped);
    }
}

static void what_is_missing_altogether_is_in_no_file(void **state)
{
    struct shipped shipped;
    shipped_init(&shipped);
    shipped_file(&shipped, SERVICES)->text = STR("");
    const struct config_error *error = complaint(&shipped, "\"services_version\" is not set");
    assert_non_null(error);
    assert_string_equal(error->file, "");
    assert_int_equal(error->line, 0);
    shipped_done(&shipped);
}

static void all_errors_are_collected_and_no_more_than_there_is_room_for(void **state)
{
    struct shipped shipped;
    static struct config_errors errors;
    config_errors_init(&errors);
    shipped_init(&shipped);
    char unknown[4096] = "";
    size_t used = 0;
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(unknown + used, sizeof unknown - used, "unknown%d = 1;\n", i);
    shipped_change(&shipped, US, "title", arena_printf(&shipped.arena, "%stitle", unknown));
    struct config *config = NULL;
    check_fails(E_CONFIG, shipped_load(&shipped, &config, &errors));
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    assert_int_equal(errors.dropped, 100 - CONFIG_ERRORS_MAX);
    config_errors_done(&errors);
    shipped_done(&shipped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_refused_with_file_and_line),
        cmocka_unit_test(every_complaint_says_what_to_do),
        cmocka_unit_test(changes_that_are_no_mistakes_pass),
        cmocka_unit_test(p8_twelve_brackets_are_read_and_not_more),
        cmocka_unit_test(the_hint_fits_what_shares_an_address),
        cmocka_unit_test(what_is_missing_altogether_is_in_no_file),
        cmocka_unit_test(all_errors_are_collected_and_no_more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
