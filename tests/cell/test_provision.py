"""A cell is made of bare hosts, and made again: nothing changes."""
import collections
import glob
import hashlib
import json
import os
import stat
import subprocess

from bare import BIN, text, until


def connect(host, **parameters):
    words = {"host": host.address, "port": host.port, "dbname": "domicile", "connect_timeout": 5, **parameters}
    return subprocess.run([f"{BIN}/psql", "-XAtqw", "-c", "SELECT current_user", "-d",
                           " ".join(f"{key}={value}" for key, value in words.items())], capture_output=True, text=True,
                          check=False, env={**os.environ, "HOME": "/nonexistent"})


def certificate(pair, name):
    return {"sslmode": "verify-full", "sslrootcert": f"{pair.config}/pg/nodes.crt",
            "sslcert": f"{pair.config}/pg/{name}.crt", "sslkey": f"{pair.config}/pg/{name}.key"}


def everything(pair):
    """All files below the hosts' directories and the configuration, with what says that they changed."""
    found = {}
    for top in (pair.eu1.home, pair.eu2.home, pair.config):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if "/pg/data/" not in path or name.endswith(".conf"):
                    found[path] = os.stat(path).st_mtime_ns
    return {path: at for path, at in found.items() if "/directory.sqlite" not in path and "/commands/look-" not in path
            and not path.endswith((".log", "postgres.json", "guard", "guard.lock"))}


def test_a_plan_changes_nothing(bare):
    before = everything(bare)
    planned = bare.planned()
    assert planned["reach"][0] == "yes" and "curve25519" in planned["reach"][1]
    assert planned["initdb"][0] == "no" and planned["base-backup"][0] == "no"
    assert planned["roles"][0] == "unknown"
    assert everything(bare) == before
    assert os.listdir(f"{bare.config}/state") == ["commands"]  # what was asked is recorded, and that is all
    assert len(os.listdir(f"{bare.config}/state/commands")) == 1


def test_bare_hosts_become_a_pair(bare):
    for host in (bare.eu1, bare.eu2):  # what an act left that was killed
        host.run("mkdir", "-p", f"{host.data}.domicile-new/base")
    done = bare.provision()
    assert "[21/21] done" in done.stdout and done.stdout.rstrip().endswith("done")
    assert bare.eu1.sql("SELECT sync_state FROM pg_stat_replication") == "quorum"
    assert bare.eu1.sql("SHOW synchronous_standby_names") == 'ANY 1 ("eu2")'
    assert bare.eu2.sql("SELECT pg_is_in_recovery(), (SELECT name FROM domicile.cell)") == "t|eu-fr-1"
    assert bare.eu1.sql("SHOW data_checksums") == "on"
    assert not glob.glob(f"{bare.dir}/eu?/pg/data.domicile-new")


def test_again_changes_nothing_and_says_so(made):
    before = everything(made)
    done = made.provision()
    assert "already done, nothing was changed" in done.stdout
    document = json.loads(made.provision("--json").stdout)
    assert document["already"] is True and {step["answer"] for step in document["steps"]} == {"yes"}
    assert everything(made) == before


def test_private_keys_stay_where_they_were_made(made):
    keys = [path for path in glob.glob(f"{made.dir}/eu?/tls/*.key") + glob.glob(f"{made.config}/pg/*.key")]
    assert len(keys) == 4 + 5
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in keys} == {0o600}
    bodies = {path: text(path).split("\n")[1] for path in keys}
    assert len(set(bodies.values())) == len(keys)
    for path, body in bodies.items():
        here = made.config if path.startswith(made.dir + "/eu") else made.eu1.home
        found = subprocess.run(["grep", "-rlF", body, here], capture_output=True, text=True, check=False).stdout
        assert found == "", f"{path} is also in {found}"


def test_roles_may_what_they_need(made):
    assert made.eu1.sql("SELECT string_agg(rolname || ' ' || rolcanlogin || ' ' || rolreplication || ' ' || rolsuper, ','"
                        " ORDER BY rolname) FROM pg_roles WHERE oid >= 16384") == (
        "domicile_admin true false false,domicile_gateway true false false,domicile_monitor true false false,"
        "domicile_owner false true false,domicile_replication true true false")
    for role, name in (("domicile_gateway", "gateway"), ("domicile_admin", "admin"), ("domicile_monitor", "monitor"),
                       ("postgres", "superuser")):
        done = connect(made.eu1, user=role, **certificate(made, name))
        assert done.stdout.strip() == role, done.stderr


def test_everybody_else_is_refused(made):
    refused = {
        "no pg_hba.conf entry": {"user": "domicile_gateway", "sslmode": "disable"},
        "valid client certificate": {"user": "domicile_gateway", "sslmode": "require"},
        "certificate authentication failed": {"user": "domicile_admin", **certificate(made, "gateway")},
    }
    for host in (made.eu1, made.eu2):
        for words, parameters in refused.items():
            done = connect(host, **parameters)
            assert done.returncode == 2 and words in done.stderr, done.stderr
    replication = connect(made.eu1, replication="true", user="domicile_monitor", **certificate(made, "monitor"))
    assert "no pg_hba.conf entry" in replication.stderr


def test_every_command_is_recorded(made):
    logs = glob.glob(f"{made.config}/state/commands/provision-*.jsonl")
    assert len(logs) == 1 and stat.S_IMODE(os.stat(logs[0]).st_mode) == 0o600
    lines = [json.loads(line) for line in text(logs[0]).splitlines()]
    acts = [line for line in lines if "--data-checksums" in line["argv"]]
    assert [(line["step"], line["host"], line["exit_status"]) for line in acts] == [("initdb", "eu1", 0)]
    assert all(line["step"] for line in lines if line["argv"][0] == "over") and "over" in {line["argv"][0] for line in lines}
    assert all(len(line["digest"]) == 64 for line in lines if line["error"] is None)
    assert {line["run"] for line in lines} == {os.path.basename(logs[0])[:-len(".jsonl")]}


def looks(made):
    return [json.loads(line) for path in sorted(glob.glob(f"{made.config}/state/commands/look-????-??-??.jsonl"))
            for line in text(path).splitlines()]


def test_a_plan_is_recorded(made):
    of_runs = {path: text(path) for path in glob.glob(f"{made.config}/state/commands/provision-*.jsonl")}
    before = len(looks(made))
    planned = made.planned()
    lines = looks(made)[before:]
    assert {line["run"] for line in lines} == {"plan"} and {line["host"] for line in lines} == {"eu1", "eu2"}
    assert {"programs", "space", "verify"} <= {line["step"] for line in lines} <= set(planned)
    assert {path: text(path) for path in of_runs} == of_runs


def test_who_may_not_record_may_look(made):
    commands = f"{made.config}/state/commands"
    os.rename(commands, f"{commands}.away")
    try:
        with open(commands, "w", encoding="utf-8"):
            pass
        done = made.provision("--plan")
        assert "domicile: warning: the log of commands" in done.stderr and done.stderr.count("warning") == 1
        assert "nothing to do" in done.stdout
        made.eu2.stop()
        refused = made.provision(check=False)
        assert refused.returncode == 9 and "the log of commands" in refused.stderr
        assert made.eu2.pid() is None
    finally:
        os.unlink(commands)
        os.rename(f"{commands}.away", commands)
        made.provision()
    assert made.eu2.pid() is not None


def test_what_somebody_changed_is_seen_and_put_right(made):
    with open(f"{made.eu1.data}/pg_hba.conf", "a", encoding="utf-8") as file:
        file.write("host all all 0.0.0.0/0 trust\n")
    for statement in ("ALTER ROLE domicile_gateway CREATEROLE", "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1'",
                      "SELECT pg_reload_conf()", "ALTER EVENT TRIGGER domicile_guard_ddl DISABLE",
                      "GRANT domicile_owner TO domicile_admin"):  # as the version before did
        made.eu1.sql(statement)
    planned = made.planned()
    assert planned["configure-primary"] == ("no", "eu1: pg_hba.conf differs")
    assert "ssl_min_protocol_version" in planned["start-primary"][1] and planned["start-primary"][0] == "no"
    assert planned["roles"] == ("no", "eu1: domicile_admin is a member of domicile_owner, role domicile_gateway has wrong "
                                      "attributes")
    assert planned["schema"] == ("no", "the guards of the schema are not kept")
    assert planned["verify"][0] == "no"
    made.provision()
    assert not made.undone()
    assert made.eu1.sql("SHOW ssl_min_protocol_version") == "TLSv1.2"
    refused = connect(made.eu1, user="domicile_admin", options="-crole=domicile_owner", **certificate(made, "admin"))
    assert "permission denied to set role" in refused.stderr


def test_a_door_that_is_open_though_the_file_is_right(made):
    """Rules that a server still has from a file that somebody put back."""
    rules = text(f"{made.eu2.data}/pg_hba.conf")
    for content in ("host all all 0.0.0.0/0 trust\n" + rules, rules):
        with open(f"{made.eu2.data}/pg_hba.conf", "w", encoding="utf-8") as file:
            file.write(content)
        if content != rules:
            made.eu2.sql("SELECT pg_reload_conf()")
            until(lambda: connect(made.eu2, user="domicile_gateway", sslmode="disable").returncode == 0, what="the door")
    planned = made.planned()
    assert planned["configure-standbys"][0] == "yes" and planned["start-standbys"][0] == "yes"
    assert planned["verify"] == ("no", "eu2: a client without TLS is not refused: ")
    assert made.provision(check=False).returncode == 8
    made.eu2.sql("SELECT pg_reload_conf()")
    until(lambda: made.planned()["verify"][0] == "yes", what="the verification")


def test_certificates_that_end_soon_are_made_anew(made):
    before = {path: text(path) for path in glob.glob(f"{made.dir}/eu?/tls/*")}
    clients = text(f"{made.config}/pg/gateway.crt")
    made.declare(issuing_ca='{ certificate = "pg/ca.crt"; private_key = "pg/ca.key"; days = 800; renew_days = 500; }')
    assert made.planned()["server-certificates"][0] == "no"
    made.provision()
    for path, old in before.items():
        assert (text(path) == old) == path.endswith((".key", "ca.crt")), path
    assert text(f"{made.config}/pg/gateway.crt") != clients
    for host in (made.eu1, made.eu2):
        running = hashlib.sha256(text(f"{host.tls}/server.crt").encode()).hexdigest()
        assert host.sql("SHOW domicile.certificate") == running
    made.declare()
    assert not made.undone()
    assert connect(made.eu1, user="domicile_gateway", **certificate(made, "gateway")).returncode == 0


def test_a_node_that_was_stopped_is_started(made):
    made.eu2.stop()
    assert made.planned()["start-standbys"] == ("no", "eu2: PostgreSQL does not run")
    made.provision()
    assert made.eu1.sql("SELECT count(*) FROM pg_stat_replication") == "1"


def commands(path):
    """How many each step gave the hosts."""
    return collections.Counter(json.loads(line)["step"] for line in text(path).splitlines() if line)


def test_a_pass_asks_once(made):
    """A question is one remote command a node; what is put right costs that, the files, and the question again."""
    made.provision()
    looks = glob.glob(f"{made.config}/state/commands/look-*.jsonl")
    before = sum((commands(path) for path in looks), collections.Counter())
    made.provision()
    looks = glob.glob(f"{made.config}/state/commands/look-*.jsonl")
    asked = sum((commands(path) for path in looks), collections.Counter()) - before
    assert asked.total() <= 30, asked
    assert max(count for step, count in asked.items() if step != "verify") <= 2, asked
    runs = set(glob.glob(f"{made.config}/state/commands/provision-*.jsonl"))
    made.declare(clients='[ "127.0.0.0/8", "192.0.2.0/24" ]')
    made.provision()
    [run] = set(glob.glob(f"{made.config}/state/commands/provision-*.jsonl")) - runs
    given = commands(run)
    assert given["configure-primary"] <= 8 and given["start-primary"] <= 8 and given.total() <= 60, given
    made.declare()
    made.provision()
