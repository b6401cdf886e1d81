"""Every verb of the `domicile` command, run to success: as it is, and with --json, which prints one JSON document."""
import base64
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import api
import pytest
from problems import STATUS

ROOT = Path(__file__).resolve().parents[2]
VERBS = [f"{group} {verb}".strip() for group, verb in re.findall(
    r'^X\("([a-z]+)", "([a-z-]*)"', (ROOT / "src/cli/commands.def").read_text(), re.MULTILINE)]
CASES = {}


def of(verb):
    def keep(case):
        assert verb not in CASES
        CASES[verb] = case
        return case

    return keep


class Shell:
    """Runs commands with --json for a case, and holds each to its promise."""

    def __init__(self, domicile, sandbox, gateway, customer, staff, folder):
        self.domicile, self.sandbox, self.gateway, self.customer = domicile, sandbox, gateway, customer
        self.staff, self.folder = staff, folder
        self.ran = []

    def __call__(self, *arguments, **options):
        """The document that the command prints; `options` are those of the fixture domicile."""
        done = self.domicile(*arguments, "--json", **options)
        assert done.stderr == b"", done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict) and done.stdout.endswith(b"}\n")
        self.ran.append(" ".join(arguments))
        return document

    def file(self, content):
        path = self.folder / api.random_id("file")
        path.write_bytes(content)
        return str(path)

    def configuration_without_keys(self):
        """A configuration directory of which only this test knows, with places for keys and none in them."""
        for part in ("regions", "policies"):
            shutil.copytree(f"{self.sandbox.config}/{part}", self.folder / part)
        (self.folder / "keys/eu-fr").mkdir(parents=True)
        return str(self.folder)


@pytest.fixture
def shell(domicile, sandbox, eu, customer, ops, onboard, security, tmp_path):
    return Shell(domicile, sandbox, eu, customer, {"ops": ops, "onboard": onboard, "security": security}, tmp_path)


def test_there_are_verbs():
    """The table was read, and has what the program lists."""
    assert len(VERBS) >= 26 and {"config check", "token", "record put"} <= set(VERBS)


def test_help_lists_these_verbs(domicile):
    listed = domicile("--help").stdout.decode().split("Commands:\n")[1].split("Options:\n")[0]
    assert re.findall(r"^  (\S+(?: \S+)?)  +\S", listed, re.MULTILINE) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_with_json_prints_one_json_document(shell, verb):
    assert verb in CASES, f'write a case for "{verb}" in this file'
    CASES[verb](shell)
    assert any(ran == verb or ran.startswith(f"{verb} ") for ran in shell.ran), shell.ran


def test_each_case_is_of_a_verb():
    assert set(CASES) == set(VERBS)


# --- the cases ---


@of("config check")
def _(shell):
    assert shell("config", "check")["valid"] is True
    assert shell("config", "check", "--region", "eu-fr", operator=True)["regions"] == 2


@of("policy explain")
def _(shell):
    asked = ["policy", "explain", "--role", "customer-app", "--home", "eu-fr", "--class", "health", "--action", "store"]
    assert shell(*asked, "--place", "home")["decision"] == "allow"
    assert shell(*asked, "--place", "region:us")["rule"] == "health-stays-in-eea"


@of("policy test")
def _(shell):
    report = shell("policy", "test")
    assert report["passed"] > 50 and report["failed"] == 0 and report["files"]
    assert shell("policy", "test", f"{shell.sandbox.config}/policies/residency.test")["passed"] == report["passed"]


@of("policy show")
def _(shell):
    assert "health-stays-in-eea" in json.dumps(shell("policy", "show"))


@of("region list")
def _(shell):
    regions = {region["name"]: region for region in shell("region", "list")["regions"]}
    assert regions["eu-fr"]["cells"] == ["eu-fr/eu-fr-1"] and regions["us"]["endpoint"] == "https://127.20.0.1:8443"


@of("cell migrate")
def _(shell):
    assert shell("cell", "migrate", "eu-fr/eu-fr-1") == {"cell": "eu-fr/eu-fr-1", "applied": []}
    assert shell("cell", "migrate", "eu-fr/eu-fr-1", "--plan") == {"cell": "eu-fr/eu-fr-1", "to_apply": []}


@of("cell show")
def _(shell):
    cells = {cell["cell"]: cell for cell in shell("cell", "show")["cells"]}
    assert set(cells) == {"eu-fr/eu-fr-1", "us/us-1"}
    assert all(cell["stamp"] == name and cell["state"] == "ready" and cell["epoch"] >= 1
               for name, cell in cells.items())
    assert shell("cell", "show", "us/us-1")["cells"] == [cells["us/us-1"]]


@of("key init")
def _(shell):
    folder = shell.configuration_without_keys()
    made = shell("key", "init", "eu-fr", "--config", folder)
    assert made["file"] == f"{folder}/keys/eu-fr/root.key" and made["fingerprint"]
    assert os.stat(made["file"]).st_mode & 0o777 == 0o600


@of("key token-init")
def _(shell):
    folder = shell.configuration_without_keys()
    made = shell("key", "token-init", "eu-fr", "--config", folder)
    assert made["file"] == f"{folder}/keys/eu-fr/token.key" and made["kid"]
    assert os.path.exists(f"{folder}/keys/eu-fr/token.pub")


@of("key rotate")
def _(shell):
    shell.customer.put("identity", "rotated", b"x")
    asked = ["key", "rotate", shell.customer.id, "identity"]
    first = shell(*asked, principal=shell.staff["security"])
    assert first["class"] == "identity" and first["state"] == "done" and first["remaining"] == 0
    second = shell(*asked, "--no-wait", principal=shell.staff["security"])
    assert second["key_version"] == first["key_version"] + 1


@of("key status")
def _(shell):
    shell.customer.put("health", "sealed", b"x")
    status = shell("key", "status", shell.customer.id, "health", principal=shell.staff["security"])
    assert status["class"] == "health" and status["key_version"] >= 1 and status["state"] == "done"


@of("client prepare")
def _(shell):
    path = str(shell.folder / "claim")
    made = shell("client", "prepare", "--claim-file", path)
    assert made["claim_file"] == path and os.stat(path).st_mode & 0o777 == 0o600
    assert hashlib.sha256(Path(path).read_text().strip().encode()).hexdigest() == made["digest"]


@of("client claim")
def _(shell):
    path = str(shell.folder / "claim-of-mine")
    digest = shell("client", "prepare", "--claim-file", path)["digest"]
    services = api.services_to_acknowledge(shell.staff["onboard"], shell.gateway)
    made = shell("customer", "add", api.random_id(), "--acknowledge", ",".join(services), "--claim", digest,
                 principal=shell.staff["onboard"])
    claimed = shell("client", "claim", made["claim"]["client_id"], "--claim-file", path, "--region", "eu-fr")
    admin = api.Principal(claimed["client_id"], claimed["client_secret"], claimed["role"])
    assert claimed["role"] == "customer-admin" and admin.ask_token(shell.gateway).status == 200


@of("client add")
def _(shell):
    of_staff = shell("client", "add", "--role", "sysadmin", "--region", "eu-fr", operator=True)
    made = api.Principal(of_staff["client_id"], of_staff["client_secret"], "sysadmin")
    assert made.ask_token(shell.gateway).status == 200
    secret = str(shell.folder / "secret")
    of_customer = shell("client", "add", "--customer", shell.customer.id, "--role", "customer-app", "--secret-file",
                        secret, principal=shell.customer.admin)
    assert of_customer["secret_file"] == secret and "client_secret" not in of_customer
    assert os.stat(secret).st_mode & 0o777 == 0o600
    made = api.Principal(of_customer["client_id"], Path(secret).read_text().strip(), "customer-app")
    assert made.ask(shell.gateway, "GET", api.customer_path(shell.customer.id)).status == 200


@of("client list")
def _(shell):
    staff = {client["client_id"]: client for client in shell("client", "list", "--region", "eu-fr")["clients"]}
    assert staff["sandbox-sysadmin"]["role"] == "sysadmin" and staff["sandbox-sysadmin"]["disabled_at"] is None
    assert shell.customer.app.client_id not in staff
    of_customer = shell("client", "list", "--customer", shell.customer.id, principal=shell.staff["security"])
    listed = {client["client_id"]: client["role"] for client in of_customer["clients"]}
    assert listed[shell.customer.app.client_id] == "customer-app" and "sandbox-sysadmin" not in listed


@of("client remove")
def _(shell):
    made = shell("client", "add", "--role", "compliance", "--region", "eu-fr", operator=True)
    removed = shell("client", "remove", made["client_id"], "--region", "eu-fr", operator=True)
    assert removed == {"client_id": made["client_id"], "disabled": True}
    staff = {client["client_id"]: client for client in shell("client", "list", "--region", "eu-fr")["clients"]}
    assert staff[made["client_id"]]["disabled_at"]
    app = api.add_client(shell.customer.admin, shell.gateway, shell.customer.id, "customer-app")
    shell("client", "remove", app.client_id, "--customer", shell.customer.id, principal=shell.staff["security"])
    assert app.ask_token(shell.gateway).status == 401


@of("customer add")
def _(shell):
    services = api.services_to_acknowledge(shell.staff["onboard"], shell.gateway)
    customer_id = api.random_id()
    made = shell("customer", "add", customer_id, "--acknowledge", ",".join(services), principal=shell.staff["onboard"])
    assert (made["id"], made["region"], made["state"]) == (customer_id, "eu-fr", "active")


@of("customer show")
def _(shell):
    shown = shell("customer", "show", shell.customer.id, principal=shell.staff["ops"])
    assert (shown["id"], shown["region"], shown["cell"]) == (shell.customer.id, "eu-fr", "eu-fr-1")


@of("record put")
def _(shell):
    asked = ["record", "put", shell.customer.id, "health", "put", shell.file(b"one")]
    made = shell(*asked, principal=shell.customer.app)
    assert made == {"etag": shell.customer.get("health", "put").etag, "created": True}
    again = shell(*asked, "--if-match", made["etag"], principal=shell.customer.app)
    assert again["created"] is False and again["etag"] != made["etag"]


@of("record get")
def _(shell):
    etag = shell.customer.put("health", "got", bytes(range(256))).etag
    got = shell("record", "get", shell.customer.id, "health", "got", principal=shell.customer.app)
    assert (got["key"], got["etag"]) == ("got", etag) and base64.b64decode(got["value_base64"]) == bytes(range(256))


@of("record list")
def _(shell):
    for key in ("list/a", "list/b", "other"):
        shell.customer.put("health", key, b"x")
    listed = shell("record", "list", shell.customer.id, "health", "--prefix", "list/", principal=shell.customer.app)
    assert [record["key"] for record in listed["records"]] == ["list/a", "list/b"]


@of("record delete")
def _(shell):
    shell.customer.put("health", "gone", b"x")
    done = shell("record", "delete", shell.customer.id, "health", "gone", principal=shell.customer.app)
    assert done == {"deleted": True}
    assert shell.customer.get("health", "gone").status == 404


@of("record import")
def _(shell):
    lines = "".join(json.dumps({"key": f"in/{number}", "value": number}) + "\n" for number in range(3)).encode()
    done = shell("record", "import", shell.customer.id, "telemetry", shell.file(lines), principal=shell.customer.app)
    assert done == {"stored": 3, "refused": 0, "failures": []}


@of("record export")
def _(shell):
    shell.customer.bulk("operational", [{"key": f"out/{number}", "value": number} for number in range(3)])
    done = shell("record", "export", shell.customer.id, "operational", "--prefix", "out/", principal=shell.customer.app)
    assert {record["key"]: record["value"] for record in done["records"]} == {"out/0": 0, "out/1": 1, "out/2": 2}


@of("completion")
def _(shell):
    for name in ("bash", "zsh", "fish"):
        made = shell("completion", name)
        assert made["shell"] == name and made["script"] == shell.domicile("completion", name).stdout.decode()


@of("token")
def _(shell):
    token = shell("token", principal=shell.customer.app)["access_token"]
    answer = shell.gateway.ask("GET", api.customer_path(shell.customer.id), {"Authorization": f"Bearer {token}"})
    assert answer.status == 200


@of("error list")
def _(shell):
    assert {error["code"]: error["http"] for error in shell("error", "list")["errors"]} == STATUS


@of("version")
def _(shell):
    declared = re.search(r"project\(domicile VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    assert shell("version") == {"version": declared}


# --- the same for a person ---


def columns(done):
    """A table that was printed, as a list of rows of words."""
    return [line.split() for line in done.stdout.decode().splitlines()]


def test_cells_are_shown_as_a_table(domicile):
    head, *rows = columns(domicile("cell", "show"))
    assert head == ["CELL", "PRIMARY", "STAMP", "EPOCH", "SCHEMA", "STATE"]
    assert [(row[0], row[2], row[-1]) for row in rows] == [(name, name, "ready")
                                                           for name in ("eu-fr/eu-fr-1", "us/us-1")]


def test_a_plan_says_that_nothing_is_to_do(domicile):
    assert domicile("cell", "migrate", "eu-fr/eu-fr-1", "--plan").stdout == b"eu-fr/eu-fr-1 is up to date\n"


def test_a_rotation_that_nobody_waits_for(domicile, customer, security):
    customer.put("identity", "no-wait", b"x")
    before = json.loads(domicile("key", "status", customer.id, "identity", "--json", principal=security).stdout)
    said = domicile("key", "rotate", customer.id, "identity", "--no-wait", principal=security).stdout.decode()
    assert f"key version {before['key_version'] + 1}" in said
    status = domicile("key", "status", customer.id, "identity", principal=security).stdout.decode()
    assert status.startswith(f"{customer.id} identity: key version {before['key_version'] + 1}")


def test_the_life_of_a_client_of_the_staff(domicile, eu):
    added = domicile("client", "add", "--role", "compliance", "--region", "eu-fr", operator=True)
    fields = dict(line.split(maxsplit=1) for line in added.stdout.decode().splitlines())
    principal = api.Principal(fields["client_id"], fields["client_secret"], "compliance")
    assert principal.ask_token(eu).status == 200
    head, *rows = columns(domicile("client", "list", "--region", "eu-fr"))
    assert head == ["CLIENT", "ROLE", "CREATED", "DISABLED", "BY"]
    assert [row[1:4:2] for row in rows if row[0] == fields["client_id"]] == [["compliance", "-"]]
    said = domicile("client", "remove", fields["client_id"], "--region", "eu-fr", operator=True).stdout.decode()
    assert said.startswith(f"{fields['client_id']} is disabled")
    assert principal.ask_token(eu).status == 401
    assert domicile("client", "remove", fields["client_id"], "--region", "eu-fr", operator=True, status=4).stderr
    disabled = [row[3] for row in columns(domicile("client", "list", "--region", "eu-fr")) if row[0] == fields["client_id"]]
    assert disabled != ["-"] and len(disabled) == 1


def test_the_life_of_a_client_of_a_customer(domicile, customer, eu):
    added = domicile("client", "add", "--customer", customer.id, "--role", "customer-app", principal=customer.admin)
    fields = dict(line.split(maxsplit=1) for line in added.stdout.decode().splitlines())
    assert b"shown only once" in added.stderr
    principal = api.Principal(fields["client_id"], fields["client_secret"], "customer-app")
    assert principal.ask_token(eu).status == 200
    listed = columns(domicile("client", "list", "--customer", customer.id, principal=customer.admin))
    assert [row[1:4:2] for row in listed if row[0] == fields["client_id"]] == [["customer-app", "-"]]
    domicile("client", "remove", fields["client_id"], "--customer", customer.id, principal=customer.admin)
    assert principal.ask_token(eu).status == 401
    domicile("client", "remove", fields["client_id"], "--customer", customer.id, principal=customer.admin, status=4)


# --- cells, hosts and runbooks: as the operator, who has the hosts' key ---


@of("cell status")
def _(shell):
    status = shell("cell", "status", "eu-fr/eu-fr-1", operator=True)
    assert [cell["state"] for cell in status["cells"]] == ["healthy"]
    nodes = {node["node"]: node for node in status["cells"][0]["nodes"]}
    assert {name: node["role"] for name, node in nodes.items()} == {"eu1": "primary", "eu2": "standby"}


@of("cell watch")
def _(shell):
    assert shell("cell", "watch", "us/us-1", operator=True)["cells"] == [{"cell": "us/us-1", "findings": []}]
    assert len(shell("cell", "watch", "--channels")["channels"]) > 50


@of("cell provision")
def _(shell):
    planned = shell("cell", "provision", "eu-fr/eu-fr-1", "--plan", operator=True)
    assert {step["answer"] for step in planned["steps"]} == {"yes"} and all(step["evidence"] for step in planned["steps"])
    assert shell("cell", "provision", "eu-fr/eu-fr-1", operator=True)["already"] is True


@of("cell adopt")
def _(shell):
    assert shell("cell", "adopt", "us/us-1", "--plan", operator=True)["runbook"] == "adopt"


@of("cell add-standby")
def _(shell):
    planned = shell("cell", "add-standby", "us/us-1", "us2", "--plan", operator=True)
    assert {step["answer"] for step in planned["steps"]} == {"yes"}


@of("cell remove-standby")
def _(shell):
    planned = shell("cell", "remove-standby", "us/us-1", "us2", "--plan", operator=True)
    assert "no" in {step["answer"] for step in planned["steps"]}


@of("node check")
def _(shell):
    nodes = shell("node", "check", operator=True)["nodes"]
    assert [node["node"] for node in nodes] == ["eu1", "eu2", "us1", "us2"]
    assert all(node["good"] and node["negotiated"]["key_exchange"].startswith("curve25519") for node in nodes)


@of("audit show")
def _(shell):
    told = shell.customer.put("health", "audited", b"x").header("x-request-id")
    document = shell("audit", "show", told, "--region", "eu-fr")
    assert document["request"] == told and "store" in [row["action"] for row in document["rows"]]
    assert shell("audit", "show", told, "eu-fr/eu-fr-1")["rows"] == document["rows"]


@of("runbook list")
def _(shell):
    listed = {runbook["name"] for runbook in shell("runbook", "list")["runbooks"]}
    assert {"provision", "adopt", "add-standby", "remove-standby"} <= listed


@of("runbook show")
def _(shell):
    steps = shell("runbook", "show", "provision", "eu-fr/eu-fr-1")["steps"]
    assert [step["number"] for step in steps] == list(range(1, len(steps) + 1)) and all(step["goal"] for step in steps)


@of("runbook draw")
def _(shell):
    assert "reach" in shell("runbook", "draw", "provision")["drawing"]


@of("runbook check")
def _(shell):
    assert shell("runbook", "check")["sound"] is True


def a_run(shell):
    runs = shell("runbook", "runs", operator=True)["runs"]
    return next(run for run in runs if run["state"] == "done" and run["runbook"] == "provision")


@of("runbook runs")
def _(shell):
    assert a_run(shell)["subject"] in ("eu-fr/eu-fr-1", "us/us-1")


@of("runbook journal")
def _(shell):
    assert a_run(shell)["run"] in json.dumps(shell("runbook", "journal", a_run(shell)["run"], operator=True))


@of("runbook abandon")
def _(shell):
    """A run whose process ended: the journal of one that is done, without its end."""
    run = a_run(shell)["run"]
    folder = shell.configuration_without_keys()
    (shell.folder / "state/runs").mkdir(parents=True, mode=0o700)
    lines = Path(shell.sandbox.config, f"state/runs/{run}.journal").read_bytes().splitlines(keepends=True)
    cut = shell.folder / f"state/runs/{run}.journal"
    cut.write_bytes(b"".join(lines[:-1]))
    cut.chmod(0o600)
    shell("runbook", "abandon", run, "--why", "a test", "--config", folder)
    assert [found["state"] for found in shell("runbook", "runs", "--config", folder)["runs"]] == ["abandoned"]


@of("node scan")
def _(shell):
    """As it is there; and on hosts that nobody can ask nothing is known, and nothing passes."""
    done = shell.domicile("node", "scan", "eu1", "--json", operator=True, status=9)
    scanned = json.loads(done.stdout)["nodes"]
    verdicts = {line["check"]: line["verdict"] for line in scanned[0]["lines"]}
    assert verdicts["pg-tls"] == verdicts["pg-checksums"] == verdicts["files-tls"] == "ok", verdicts
    assert len(shell("node", "scan", "--checks")["checks"]) == len(verdicts)
    done = shell.domicile("node", "scan", "eu1", "--json", "--config", shell.configuration_without_keys(), status=None)
    blind = json.loads(done.stdout)["nodes"]
    assert done.returncode != 0 and {line["verdict"] for line in blind[0]["lines"]} == {"unknown"}


@of("node locate")
def _(shell):
    shell.customer.put("health", "located", b"x")
    located = shell("node", "locate", "eu1", "--samples", "0", operator=True, status=None)
    assert located["nodes"][0]["node"] == "eu1"
