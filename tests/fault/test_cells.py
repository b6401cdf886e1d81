"""A cell on its hosts: made once, and watched over."""
import json
import os
import re
import signal
import subprocess
import threading

import pytest
from cluster import healthy_after, kill, stopped
from processes import identity
from until import until

SEEN_WITHIN_S = 25  # the watch's interval, and two busy rounds


@pytest.fixture
def eu2(sandbox):
    return sandbox.nodes["eu2"]


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
    rows = "SELECT count(*) FROM domicile.audit WHERE action = 'cell-state' AND at > now() - interval '5 minutes'"
    until(lambda: sql(eu, rows)[0][0] >= 2, within_s=20, what="the monitor has audited both changes of state")


@pytest.mark.slow
def test_the_primary_comes_back_after_kill_9(new_customer, eu, eu1, state):
    customer = new_customer(eu)
    with healthy_after(eu1, eu):
        kill(eu1)
        until(lambda: state() == "primary-lost", within_s=40, what="both say that the primary is lost")
    until(lambda: state() == "healthy", within_s=60, what="the cell is healthy again")
    until(lambda: customer.put("health", "after", b"x").status == 201, within_s=20, what="writes go on")


def test_reading_the_hosts_disks(eu):
    """A gateway asks the hosts with each round of the watch."""
    def free():
        metrics = eu.status.ask("GET", "/metrics").body.decode()
        found = dict(re.findall(r'domicile_disk_free_bytes\{[^}]*node="(eu\d)"\} (\S+)', metrics))
        return set(found) == {"eu1", "eu2"} and all(float(value) > 0 for value in found.values())

    until(free, within_s=25, every_s=0.2, what="the disks of both hosts are in the metrics")
