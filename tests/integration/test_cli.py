"""The `domicile` command as a person and as a script meets it."""
import base64
import json
import os
import subprocess

import pytest

GROUPS = ("config", "policy", "region", "cell", "key", "client", "customer", "record")


def error_of(done):
    """The error that --json prints."""
    text = done.stderr.decode().strip() or done.stdout.decode()
    error = json.loads(text)["error"]
    assert error["code"] and error["what"], error
    return error


def verbs(domicile):
    """[group, verb] or [verb] of all that `--help` of the program and its groups list."""
    names = []
    for line in domicile("--help").stdout.decode().splitlines():
        words = line.split()
        if line.startswith("  ") and words and words[0].isalpha():
            names.append(words[0])
    return names


def test_help_everywhere(domicile):
    overview = domicile("--help").stdout.decode()
    for group in GROUPS:
        assert group in overview
        help_text = domicile(group, "--help").stdout.decode()
        assert f"domicile {group}" in help_text


@pytest.mark.parametrize("arguments", [
    ["config", "check"], ["policy", "explain"], ["policy", "test"], ["policy", "show"], ["region", "list"],
    ["cell", "migrate"], ["cell", "show"], ["key", "init"], ["key", "token-init"], ["key", "rotate"], ["key", "status"],
    ["client", "add"], ["client", "prepare"], ["client", "claim"], ["client", "list"], ["client", "remove"], ["customer", "add"], ["customer", "show"],
    ["record", "put"], ["record", "get"], ["record", "list"], ["record", "delete"], ["record", "import"],
    ["record", "export"], ["token"], ["version"], ["completion"], ["error", "list"]])
def test_each_verb_has_help(domicile, arguments):
    done = domicile(*arguments, "--help")
    assert "domicile " + " ".join(arguments) in done.stdout.decode()
    assert not done.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["record"], ["record", "nonsense"], ["record", "get"],
                                       ["record", "get", "a1", "health", "k", "too", "many"], ["--nonsense"],
                                       ["policy", "explain", "--role"], ["completion", "tcsh"]])
def test_wrong_usage_is_said_and_is_2(domicile, arguments):
    done = domicile(*arguments, status=2)
    assert done.stderr.startswith(b"domicile: ") or b"usage" in done.stderr.lower()


@pytest.mark.parametrize("shell, check", [("bash", "source /dev/stdin && complete -p domicile")])
def test_completion_loads(domicile, shell, check):
    script = domicile("completion", shell).stdout
    done = subprocess.run([shell, "--norc", "-c", check], input=script, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert b"domicile" in done.stdout


def test_completion_completes(domicile):
    script = domicile("completion", "bash").stdout.decode()
    ask = script + ('\nCOMP_WORDS=(domicile rec); COMP_CWORD=1; COMP_LINE="domicile rec"; COMP_POINT=12\n'
                    'f=$(complete -p domicile | sed "s/.*-F \\([^ ]*\\).*/\\1/"); "$f" domicile rec domicile\n'
                    'printf "%s\\n" "${COMPREPLY[@]}"\n')
    out = subprocess.run(["bash", "--norc", "-c", ask], stdout=subprocess.PIPE, check=True).stdout.split()
    assert out == [b"record"]


def test_a_completion_script_as_json(domicile):
    document = json.loads(domicile("completion", "bash", "--json").stdout)
    assert document == {"shell": "bash", "script": domicile("completion", "bash").stdout.decode()}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_of_other_shells_names_the_groups(domicile, shell):
    script = domicile("completion", shell).stdout.decode()
    assert all(group in script for group in GROUPS)


# --- configuration and policy ---


def test_config_check(domicile):
    assert domicile("config", "check").returncode == 0
    json.loads(domicile("--json", "config", "check").stdout)


def test_a_typo_is_found_with_file_line_and_remedy(domicile, sandbox, tmp_path):
    import shutil
    for part in ("regions", "policies"):
        shutil.copytree(f"{sandbox.config}/{part}", tmp_path / part)
    path = tmp_path / "regions/eu-fr.cfg"
    text = path.read_text()
    path.write_text("surprise = 1;\n" + text)
    done = domicile("--config", str(tmp_path), "config", "check", status=7)
    said = done.stderr.decode()
    assert "eu-fr.cfg:1" in said and "surprise" in said and "hint" in said.lower()


def test_a_directory_that_is_none(domicile):
    assert domicile("--config", "/nonexistent", "config", "check", status=7).stderr


def test_policy_explain(domicile):
    arguments = ["policy", "explain", "--role", "customer-app", "--home", "eu-fr", "--class", "health", "--action",
                 "store", "--place"]
    allowed = domicile(*arguments, "region:eu-fr", status=None)
    refused = domicile(*arguments, "region:us", status=None)
    if allowed.returncode == 2:
        allowed, refused = domicile(*arguments, "eu-fr", status=None), domicile(*arguments, "us", status=None)
    assert b"allow" in allowed.stdout.lower() and b".cfg:" in allowed.stdout
    assert b"den" in refused.stdout.lower() and b".cfg:" in refused.stdout


def test_policy_test(domicile, tmp_path):
    assert domicile("policy", "test").returncode == 0
    wrong = tmp_path / "wrong.test"
    wrong.write_text("nonsense\n")
    assert domicile("policy", "test", str(wrong), status=None).returncode not in (0, 139)


def test_regions_and_errors_are_listed(domicile):
    from problems import STATUS
    assert b"eu-fr" in domicile("region", "list").stdout
    listed = domicile("error", "list").stdout.decode()
    assert all(slug in listed for slug in STATUS)
    json.loads(domicile("--json", "region", "list").stdout)


def test_colours_are_for_terminals(domicile):
    for arguments in (["--help"], ["region", "list"], ["config", "check"]):
        assert b"\x1b" not in domicile(*arguments).stdout


# --- keys and cells ---


def test_a_root_key_is_never_overwritten(domicile, sandbox):
    with open(f"{sandbox.config}/keys/eu-fr/root.key", "rb") as file:
        before = file.read()
    assert domicile("key", "init", "eu-fr", status=None).returncode not in (0, 139)
    assert domicile("key", "token-init", "eu-fr", status=None).returncode not in (0, 139)
    with open(f"{sandbox.config}/keys/eu-fr/root.key", "rb") as file:
        assert file.read() == before


def test_migrating_again_changes_nothing(domicile, eu, sql):
    before = sql(eu, "SELECT * FROM domicile.schema_version ORDER BY 1")
    cell = sql(eu, "SELECT name FROM domicile.cell")[0][0]
    domicile("cell", "migrate", f"eu-fr/{cell}")
    assert sql(eu, "SELECT * FROM domicile.schema_version ORDER BY 1") == before


# --- through the API ---


def test_records(domicile, customer, tmp_path):
    source = tmp_path / "body"
    source.write_bytes(bytes(range(256)))
    app = customer.app
    domicile("record", "put", customer.id, "health", "cli/key", str(source), "--type", "image/png", principal=app)
    assert domicile("record", "get", customer.id, "health", "cli/key", principal=app).stdout == bytes(range(256))
    assert customer.get("health", "cli/key").header("content-type") == "image/png"
    domicile("record", "put", customer.id, "health", "from-stdin", "-", principal=app, input=b"from a pipe")
    assert customer.get("health", "from-stdin").body == b"from a pipe"
    listed = domicile("--json", "record", "list", customer.id, "health", principal=app).stdout.decode()
    assert "cli/key" in listed and "from-stdin" in listed
    domicile("record", "delete", customer.id, "health", "cli/key", principal=app)
    assert customer.get("health", "cli/key").status == 404


STEERING = "a\x1b[2J\u009b1A\u202egpj"
SHOWN = r"a\x1b[2J\u009b1A\u202egpj"


def on_a_terminal(command, **options):
    """Runs a command whose standard output is a terminal; what came there, as a terminal's line ends are."""
    ours, its = os.openpty()
    try:
        subprocess.run(command, stdout=its, stderr=subprocess.PIPE, check=True, timeout=60, **options)
        os.set_blocking(ours, False)
        return os.read(ours, 65536)
    finally:
        os.close(its)
        os.close(ours)


def test_p8_what_a_customer_wrote_steers_no_terminal(domicile, customer, sandbox, tmp_path):
    app = customer.app
    assert customer.put("health", "steering/" + STEERING, STEERING.encode() + b"\n").status == 201
    listed = domicile("record", "list", customer.id, "health", "--prefix", "steering/", principal=app).stdout.decode()
    assert listed.endswith(f"steering/{SHOWN}\n") and STEERING not in listed
    exact = json.loads(domicile("--json", "record", "list", customer.id, "health", "--prefix", "steering/",
                                principal=app).stdout)
    assert [record["key"] for record in exact["records"]] == ["steering/" + STEERING]
    get = ["record", "get", customer.id, "health", "steering/" + STEERING]
    assert domicile(*get, principal=app).stdout == STEERING.encode() + b"\n"
    environment = {**os.environ, "DOMICILE_CONFIG": sandbox.config, "DOMICILE_CLIENT_ID": app.client_id,
                   "DOMICILE_CLIENT_SECRET": app.secret}
    said = on_a_terminal([f"{sandbox.home}/bin/domicile", *get, "--region", "eu-fr"], env=environment)
    assert said == SHOWN.encode() + b"\r\n"


def test_a_record_as_json_has_its_bytes(domicile, customer, tmp_path):
    body = bytes(range(256))
    (tmp_path / "body").write_bytes(body)
    domicile("record", "put", customer.id, "health", "as-json", str(tmp_path / "body"), "--type", "image/png",
             principal=customer.app)
    got = json.loads(domicile("record", "get", customer.id, "health", "as-json", "--json", principal=customer.app).stdout)
    assert (got["key"], got["content_type"]) == ("as-json", "image/png") and base64.b64decode(got["value_base64"]) == body
    assert got["etag"] == customer.get("health", "as-json").etag


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_an_export_as_json_is_one_document(domicile, new_customer, eu, count):
    customer = new_customer(eu)
    customer.bulk("health", [{"key": f"k{i:05}", "value": {"text": "a\nb,"}} for i in range(count)])
    records = json.loads(domicile("record", "export", customer.id, "health", "--json", principal=customer.app).stdout)["records"]
    assert [row["key"] for row in records] == [f"k{i:05}" for i in range(count)]
    assert all(row["value"] == {"text": "a\nb,"} for row in records)


def test_a_refused_export_prints_no_document(domicile, american):
    done = domicile("record", "export", american.id, "health", "--json", principal=american.app, status=None)
    assert done.returncode not in (0, 139) and done.stdout == b""
    json.loads(done.stderr)


def test_the_rules_as_json(domicile):
    rules = json.loads(domicile("policy", "show", "--json").stdout)["rules"]
    rule = next(rule for rule in rules if rule["name"] == "health-stays-in-eea")
    assert rule["deny"] == ["any"] and rule["outside"] == ["bloc:EEA"] and rule["file"].endswith(".cfg") and rule["line"] > 0


def test_import_and_export(domicile, customer, tmp_path):
    lines = tmp_path / "in.ndjson"
    lines.write_text("".join(json.dumps({"key": f"imported/{n}", "value": n}) + "\n" for n in range(300)))
    domicile("record", "import", customer.id, "telemetry", str(lines), principal=customer.app)
    out = domicile("record", "export", customer.id, "telemetry", principal=customer.app).stdout
    assert {json.loads(line)["key"] for line in out.splitlines()} == {f"imported/{n}" for n in range(300)}


def test_import_says_which_lines_failed(domicile, customer, tmp_path):
    lines = tmp_path / "in.ndjson"
    lines.write_text('{"key":"fine","value":1}\nnonsense\n')
    done = domicile("record", "import", customer.id, "telemetry", str(lines), principal=customer.app, status=None)
    assert done.returncode not in (0, 139)
    assert customer.get("telemetry", "fine").json() == 1


def test_exit_statuses(domicile, customer, american, ops, eu, us):
    import api
    stranger = api.Principal("c-nobody", "x" * 43, "customer-app")
    get = ["record", "get"]
    assert domicile(*get, customer.id, "health", "no-such", principal=customer.app, status=4).stderr
    assert domicile(*get, customer.id, "health", "k", principal=stranger, status=3).stderr
    assert domicile(*get, customer.id, "health", "k", principal=ops, status=3).stderr
    assert domicile(*get, american.id, "health", "k", principal=customer.app, status=3).stderr
    assert domicile(*get, customer.id, "health", "k", "--url", "https://127.10.0.250:8443", principal=customer.app,
                    status=5).stderr


def test_another_region_is_named_and_not_followed(domicile, customer, onboard, us):
    done = domicile("customer", "show", customer.id, principal=onboard, gateway=us, status=4)
    assert b"127.10.0.1" in done.stderr


def test_errors_as_json(domicile, customer):
    done = domicile("--json", "record", "get", customer.id, "health", "no-such", principal=customer.app, status=4)
    assert error_of(done)["code"] in ("record-unknown", "E_RECORD_UNKNOWN")


def test_onboarding(domicile, onboard, eu):
    import api
    customer_id = api.random_id()
    asked = domicile("customer", "add", customer_id, principal=onboard, status=6)
    assert b"--acknowledge" in asked.stderr + asked.stdout
    services = api.services_to_acknowledge(onboard, eu)
    domicile("customer", "add", customer_id, "--acknowledge", ",".join(services), principal=onboard)
    shown = json.loads(domicile("--json", "customer", "show", customer_id, principal=onboard).stdout)
    assert (shown["id"], shown["region"], shown["acknowledged_services"]) == (customer_id, "eu-fr", sorted(services))
    said = domicile("customer", "show", customer_id, principal=onboard).stdout.decode()
    assert f"acknowledged: {', '.join(sorted(services))}\n" in said


def test_rotation(domicile, customer, security):
    customer.put("identity", "x", b"x")
    done = domicile("--json", "key", "rotate", customer.id, "identity", principal=security)
    assert json.loads(done.stdout)["state"] == "done"


def test_a_token_is_printed_alone(domicile, customer, eu):
    token = domicile("token", principal=customer.app).stdout.decode().strip()
    answer = eu.ask("GET", customer.record("health", "none"), {"Authorization": f"Bearer {token}"})
    assert answer.slug == "record-unknown"


def test_a_secret_is_not_in_the_arguments(domicile, sandbox, customer):
    """There is no option that takes a secret's value: files and the environment only."""
    for arguments in (["client", "add"], ["record", "get"], ["token"]):
        text = domicile(*arguments, "--help").stdout.decode()
        assert "--secret " not in text and "--client-secret" not in text and "--password" not in text


def test_a_long_list_of_clients_is_whole(domicile, new_customer, eu, sql):
    customer = new_customer(eu)
    sql(eu, "INSERT INTO domicile.client (id, customer, role, secret_hash) SELECT 'c-' || %s || '-' || i, %s,"
            " 'customer-app', repeat('x', 40) FROM generate_series(1, 1100) i", customer.id[-6:], customer.id)
    done = domicile("--json", "client", "list", "--customer", customer.id, principal=customer.admin)
    listed = [client["client_id"] for client in json.loads(done.stdout)["clients"]]
    assert len(set(listed)) == len(listed) == 1102
