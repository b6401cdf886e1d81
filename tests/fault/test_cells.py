"""A cell on its hosts: made once, watched over, and asked who takes records out of it. Channels are opened for real, and the
region's daemon finds each by itself; tests/pg opens all of them."""
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time

import psycopg2
import pytest
from cluster import healthy_after, kill, stopped
from postgres import BIN, PORT, conninfo
from processes import account, identity
from until import until

SEEN_WITHIN_S = 25  # the watch's interval, and two busy rounds


@pytest.fixture
def eu2(sandbox):
    return sandbox.nodes["eu2"]


@pytest.fixture
def state(domicile):
    """state(): what `cell status` calls the cell of eu-fr."""
    def ask():
        done = domicile("cell", "status", "eu-fr/eu-fr-1", "--json", operator=True, status=None)
        return json.loads(done.stdout)["cells"][0]["state"]

    return ask


@pytest.fixture
def findings(sql, eu):
    """findings(channel): those of the daemon that are open, by its own table in the cell."""
    def ask(channel):
        return [row[0] for row in sql(eu, "SELECT subject FROM domicile.finding WHERE channel = %s AND ended_at IS NULL",
                                      channel)]

    return ask


@pytest.fixture
def quiet(sql, eu):
    """quiet(): nothing is open that was not when the test began: others have spoilt records of theirs."""
    def found():
        return set(sql(eu, "SELECT channel, subject FROM domicile.finding WHERE ended_at IS NULL AND channel <> 'blind'"))

    before = found()
    return lambda: found() <= before


def test_status_goes_on_until_it_is_told(sandbox):
    command = [f"{sandbox.home}/bin/domicile", "--config", sandbox.config, "cell", "status", "eu-fr/eu-fr-1", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/", text=True, **identity()) as process:
        try:
            looks = [process.stdout.readline() for _ in range(2)]
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert all("eu-fr/eu-fr-1" in look and "healthy" in look for look in looks), looks


# --- making it ---

def test_provision_again_changes_nothing(domicile, eu1):
    before = files_of(eu1)
    done = domicile("cell", "provision", "eu-fr/eu-fr-1", operator=True)
    assert b"nothing was changed" in done.stdout + done.stderr
    assert files_of(eu1) == before


def files_of(node):
    """What provision lays on a host: name and time of its last change."""
    paths = [f"{node.data}/domicile.conf", f"{node.data}/pg_hba.conf", f"{node.data}/postgresql.conf",
             *(f"{node.tls}/{name}" for name in sorted(os.listdir(node.tls)))]
    return {path: os.stat(path).st_mtime_ns for path in paths}


def test_what_was_spoilt_is_made_good(domicile, eu1, quiet):
    """A line that lets everybody in: the watch finds it, provision takes it out, and the watch sees that too."""
    with open(f"{eu1.data}/pg_hba.conf", "a", encoding="utf-8") as file:
        file.write("hostssl all all 0.0.0.0/0 trust\n")
    planned = json.loads(domicile("cell", "provision", "eu-fr/eu-fr-1", "--plan", "--json", operator=True, status=None).stdout)
    assert "no" in {step["answer"] for step in planned["steps"]}
    domicile("cell", "provision", "eu-fr/eu-fr-1", operator=True)
    with open(f"{eu1.data}/pg_hba.conf", encoding="utf-8") as file:
        assert "0.0.0.0/0" not in file.read()
    until(quiet, within_s=SEEN_WITHIN_S, what="the watch has nothing to say")


def test_a_changed_host_key_is_refused(domicile, sandbox, tmp_path):
    """The pin of another host in eu1's place: nothing is told to it, and both fingerprints are shown."""
    config = tmp_path / "config"
    subprocess.run(["cp", "-a", sandbox.config, config], check=True)
    os.chmod(tmp_path, 0o755)
    path = config / "regions/eu-fr.cfg"
    text = path.read_text()
    pins = re.findall(r'host_key = "([^"]+)"', text)
    path.write_text(text.replace(pins[0], pins[1].rsplit(" ", 1)[0]))
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    done = domicile("--config", str(config), "cell", "provision", "eu-fr/eu-fr-1", "--plan", operator=True, status=None)
    said = (done.stdout + done.stderr).decode()
    assert len(set(re.findall(r"SHA256:[A-Za-z0-9+/]{43}", said))) == 2, said
    assert domicile("--config", str(config), "node", "check", "eu1", operator=True, status=None).returncode == 7


# --- watching over it ---

def write_in_the_background(customer, key):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(customer.put("health", key, b"x").status))
    thread.start()
    return thread, answers


@pytest.mark.slow
def test_p4_a_write_waits_for_its_standby(new_customer, eu, eu2, state, sql):
    """on_standby_loss = block: what is acknowledged is on two hosts, or is not acknowledged."""
    customer = new_customer(eu)
    until(lambda: state() == "healthy", within_s=30, what="the cell is healthy")
    with healthy_after(eu2):
        with stopped(eu2):
            thread, answers = write_in_the_background(customer, "waits")
            until(lambda: state() == "blocked", within_s=30, what="the state says that writes wait")
            thread.join(20)
            assert answers == [503]
            kill(eu2)
        eu2.start()
        until(lambda: state() == "healthy", within_s=60, what="it is synchronous again by itself")
    until(lambda: customer.put("health", "goes-on", b"x").status == 201, within_s=20, what="writes go on")
    audited = sql(eu, "SELECT count(*) FROM domicile.audit WHERE action = 'cell-state' AND at > now() - interval '5 minutes'")
    assert audited[0][0] >= 2


@pytest.mark.slow
def test_the_primary_comes_back_after_kill_9(new_customer, eu, eu1, state):
    customer = new_customer(eu)
    with healthy_after(eu1, eu):
        kill(eu1)
        until(lambda: state() == "primary-lost", within_s=40, what="both say that the primary is lost")
    until(lambda: state() == "healthy", within_s=60, what="the cell is healthy again")
    until(lambda: customer.put("health", "after", b"x").status == 201, within_s=20, what="writes go on")


# --- who takes records out ---

def as_replication(sandbox, host, **more):
    """A conninfo with the key of a standby's replication, as somebody who got hold of it."""
    tls = sandbox.nodes["eu2"].tls
    return conninfo(host=host, port=PORT, user="domicile_replication", sslmode="verify-full", sslrootcert=f"{tls}/ca.crt",
                    sslcert=f"{tls}/replication.crt", sslkey=f"{tls}/replication.key", **more)


@contextlib.contextmanager
def receivewal(sandbox, eu1, folder):
    os.chmod(folder, 0o777)
    owner = {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen([f"{BIN}/pg_receivewal", "-D", str(folder), "-d",
                                as_replication(sandbox, eu1.address, application_name="borrowed")],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **owner)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def statement(eu1, opens, closes, dbname="domicile"):
    connection = psycopg2.connect(eu1.superuser(dbname))
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(opens)
        try:
            yield
        finally:
            for part in closes.split(";"):
                cursor.execute(part)


OPENED = {
    "publication-all-tables": ("CREATE PUBLICATION everything FOR ALL TABLES", "DROP PUBLICATION everything"),
    "publication-keys": ("CREATE PUBLICATION keys FOR TABLE domicile.class_key", "DROP PUBLICATION keys"),
    "slot-physical": ("SELECT pg_create_physical_replication_slot('spare')", "SELECT pg_drop_replication_slot('spare')"),
    "role": ("CREATE ROLE guest LOGIN", "DROP ROLE guest"),
    "role-attribute": ("CREATE ROLE chief SUPERUSER", "DROP ROLE chief"),
    "table": ("CREATE TABLE public.notes (t text)", "DROP TABLE public.notes"),
    "copy": ("CREATE TABLE public.kept AS SELECT key, payload FROM domicile.record LIMIT 1", "DROP TABLE public.kept"),
    "large-object": ("SELECT lo_create(4711)", "SELECT lo_unlink(4711)"),
    "dblink": ("CREATE EXTENSION dblink", "DROP EXTENSION dblink"),
    "settings-auto": ("ALTER SYSTEM SET archive_command = 'cp %p /tmp/%f'", "ALTER SYSTEM RESET archive_command"),
    "guard-trigger": ("ALTER TABLE domicile.audit DISABLE TRIGGER audit_stays",
                      "ALTER TABLE domicile.audit ENABLE TRIGGER audit_stays"),
}


@pytest.mark.slow
def test_the_daemon_finds_what_is_opened(eu, eu1, sql, sandbox, domicile, quiet, tmp_path):
    """All at once, and each begins and ends; the time to see each is printed."""
    began, seen = time.monotonic(), {}
    with contextlib.ExitStack() as opened:
        for opens, closes in OPENED.values():
            opened.enter_context(statement(eu1, opens, closes))
        opened.enter_context(receivewal(sandbox, eu1, tmp_path))
        wanted = {*OPENED, "pg-receivewal"}

        def all_seen():
            open_now = {row[0] for row in sql(eu, "SELECT DISTINCT channel FROM domicile.finding WHERE ended_at IS NULL")}
            for channel in wanted & open_now - set(seen):
                seen[channel] = time.monotonic() - began
            return wanted <= open_now or {"walsender"} <= open_now and wanted - {"pg-receivewal"} <= open_now

        until(all_seen, within_s=SEEN_WITHIN_S, what="all are found")
        done = domicile("cell", "watch", "eu-fr/eu-fr-1", "--json", operator=True, status=9)
        assert {finding["channel"] for finding in json.loads(done.stdout)["cells"][0]["findings"]} >= set(OPENED)
    until(quiet, within_s=2 * SEEN_WITHIN_S, what="all have ended")
    for channel, seconds in sorted(seen.items()):
        print(f"{channel:20} {seconds:5.1f} s")


@pytest.mark.slow
def test_a_session_between_two_rounds_is_in_the_log(eu1, sandbox, findings, quiet):
    """Somebody comes as a standby, asks one thing and goes: the server's log has him, and the daemon reads it over SSH."""
    visit = ["psql", "-X", "-c", "IDENTIFY_SYSTEM", "-d",
             as_replication(sandbox, eu1.address, application_name="visitor", replication="true")]
    owner = {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(visit, check=True, stdout=subprocess.DEVNULL, cwd="/", **owner)
    until(lambda: any("visitor" in subject for subject in findings("log-connection")), within_s=SEEN_WITHIN_S,
          what="the visit is found in the log")
    until(quiet, within_s=2 * SEEN_WITHIN_S, what="it is over")


def test_reading_the_hosts_disks(eu):
    metrics = eu.ask("GET", "/metrics").body.decode()
    free = dict(re.findall(r'domicile_disk_free_bytes\{[^}]*node="(eu\d)"\} (\S+)', metrics))
    assert set(free) == {"eu1", "eu2"} and all(float(value) > 0 for value in free.values())
