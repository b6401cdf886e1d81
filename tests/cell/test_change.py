"""Standbys come and go, and a pair that was made otherwise is taken over."""
import os
import subprocess

import pytest
from bare import BIN, Pair, end, text, until


@pytest.fixture
def pair(made):
    """A pair, and afterwards it is again as it was made, whatever the test did to it."""
    yield made
    made.extra = made.eu2.commands = ""
    made.declare()
    made.provision()


def standbys(pair):
    return pair.eu1.sql("SELECT string_agg(application_name, ',' ORDER BY application_name) FROM pg_stat_replication")


def test_a_further_standby_comes_and_goes(pair):
    third = pair.third()
    unknown = pair.run("cell", "add-standby", "eu-fr/eu-fr-1", "eu3", check=False)
    assert unknown.returncode == 4 and 'has no node "eu3"' in unknown.stderr
    pair.declare(pair.eu1, pair.eu2, third)
    done = pair.run("cell", "add-standby", "eu-fr/eu-fr-1", "eu3")
    assert "[16/16] done" in done.stdout
    assert pair.eu1.sql("SHOW synchronous_standby_names") == 'ANY 1 ("eu2", "eu3")'
    assert standbys(pair) == "eu2,eu3"
    again = pair.run("cell", "add-standby", "eu-fr/eu-fr-1", "eu3")
    assert "already done, nothing was changed" in again.stdout
    pair.provision()  # the rules of the other standby
    assert not pair.undone()

    done = pair.run("cell", "remove-standby", "eu-fr/eu-fr-1", "eu3")
    assert done.stdout.rstrip().endswith("done")
    assert third.pid() is None and os.path.exists(third.data)
    assert pair.eu1.sql("SELECT string_agg(slot_name, ',') FROM pg_replication_slots") == "eu2"
    assert pair.eu1.sql("SHOW synchronous_standby_names") == 'ANY 1 ("eu2")'
    assert third.address not in text(f"{pair.eu1.data}/pg_hba.conf")


def test_the_last_standby_leaves_only_when_told_twice(pair):
    done = pair.run("cell", "remove-standby", "eu-fr/eu-fr-1", "eu2", check=False)
    assert done.returncode == 6 and "is the only standby of the synchronous cell" in done.stderr
    assert pair.eu2.pid()
    primary = pair.run("cell", "remove-standby", "eu-fr/eu-fr-1", "eu1", "--yes", check=False)
    assert primary.returncode == 2 and "is the primary" in primary.stderr
    pair.run("cell", "remove-standby", "eu-fr/eu-fr-1", "eu2", "--yes")
    assert pair.eu2.pid() is None and pair.eu1.sql("SHOW synchronous_standby_names") == ""
    pair.eu1.sql("SELECT pg_logical_emit_message(true, 'test', 'a write')")
    pair.provision()  # the region's file still has it
    assert pair.eu1.sql("SELECT sync_state FROM pg_stat_replication") == "quorum"


def test_an_asynchronous_cell_waits_for_nobody(made):
    made.declare(synchronous="false")
    made.provision()
    assert made.eu1.sql("SHOW synchronous_standby_names") == ""
    assert made.planned()["synchronous"] == ("yes", "eu1 waits for no standby; eu2 streaming/async")
    assert not made.undone()
    made.declare()
    made.provision()
    assert made.eu1.sql("SELECT sync_state FROM pg_stat_replication") == "quorum"


def copies(path):
    return subprocess.run(["pgrep", "-f", f"^[^ ]*pg_basebackup .*{path}"], stdout=subprocess.DEVNULL,
                          check=False).returncode == 0


def test_a_copy_that_is_killed_is_made_again(pair):
    pair.run("cell", "remove-standby", "eu-fr/eu-fr-1", "eu2", "--yes")
    pair.eu2.run("rm", "-rf", pair.eu2.data)
    pair.eu2.commands = f'base_backup = [ "{BIN}/pg_basebackup", "--max-rate=1024k" ];'
    pair.declare()
    half = f"{pair.eu2.data}.domicile-new"
    with subprocess.Popen(pair.command("cell", "provision", "eu-fr/eu-fr-1"), stdout=subprocess.DEVNULL) as driver:
        until(lambda: os.path.exists(f"{half}/backup_label"), 60, "a part of the copy")
        assert copies(half)
        end(driver)
    assert os.path.exists(half) and not os.path.exists(pair.eu2.data)
    until(lambda: not copies(half), 8, "the end of the copy, which would take half a minute,")
    pair.eu2.commands = ""
    pair.declare()
    done = pair.provision()
    assert "resuming the run" in done.stdout
    assert not os.path.exists(half) and pair.eu1.sql("SELECT sync_state FROM pg_stat_replication") == "quorum"


@pytest.mark.slow
def test_tools_of_the_host(pair):
    """All that a plan asks of a host beside files is asked by the host's own commands."""
    own = {"postgres": f'{BIN}/postgres "$@"', "status": f"{BIN}/pg_ctl status -D {pair.eu2.data}",
           "sockets": "grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6",
           **{name: f'{name} "$@"' for name in ("locale", "df", "date", "stat")}}
    for name, command in own.items():
        pair.eu2.script(f"own-{name}", f"echo {name} >>{pair.eu2.home}/tools; exec {command}")
    pair.eu2.commands = "".join(f'{name} = [ "own-{name}" ];' for name in own)
    pair.declare()
    assert not pair.undone()
    assert set(text(f"{pair.eu2.home}/tools").split()) == set(own)
    pair.eu2.script("own-status", "exit 3")
    pair.eu2.script("own-sockets", "echo '  0: 0100007F:0016 00000000:0000 0A'")
    pair.eu2.script("own-date", "echo 0")
    planned = pair.planned()
    assert planned["ports"] == ("yes", f"eu1: port {pair.eu1.port} is used by its own PostgreSQL; eu2: port {pair.eu2.port} is free")
    assert planned["clocks"][0] == "no" and planned["start-standbys"][0] == "no"


@pytest.mark.slow
def test_commands_of_the_host(pair):
    """As on a host with systemd: start, stop and reload are the host's own."""
    words = {"start": f"{BIN}/pg_ctl start -w -s -D {pair.eu2.data} -l {pair.eu2.log}",
             "stop": f"{BIN}/pg_ctl stop -w -s -m fast -D {pair.eu2.data}",
             "reload": f"{BIN}/pg_ctl reload -s -D {pair.eu2.data}"}
    for verb, command in words.items():
        pair.eu2.script(f"unit-{verb}", f"echo {verb} >>{pair.eu2.home}/units; exec {command}")
    pair.eu2.commands = "".join(f'{verb} = [ "unit-{verb}" ];' for verb in words)
    pair.declare(issuing_ca='{ certificate = "pg/ca.crt"; private_key = "pg/ca.key"; days = 800; renew_days = 500; }')
    pair.provision()
    pair.eu2.stop()
    pair.provision()
    pair.run("cell", "remove-standby", "eu-fr/eu-fr-1", "eu2", "--yes")
    assert text(f"{pair.eu2.home}/units").split() == ["reload", "start", "stop"]


def test_steps_of_the_operator(pair):
    pair.extra = (f'steps = ( {{ name = "tell-dns"; runbook = "provision"; after = "synchronous"; on = "eu1"; '
                  f'run = [ "/usr/bin/touch", "{pair.eu1.home}/told" ]; check = [ "/usr/bin/test", "-e", '
                  f'"{pair.eu1.home}/told" ]; }} );')
    pair.declare()
    pair.provision()
    assert os.path.exists(f"{pair.eu1.home}/told")
    assert pair.planned()["tell-dns"] == ("yes", "eu1: status 0")


@pytest.fixture
def otherwise():
    """A pair that somebody made by hand: open rules, other settings, a standby by pg_basebackup -R."""
    pair = Pair()
    eu1, eu2 = pair.eu1, pair.eu2
    eu1.run(f"{BIN}/initdb", "-D", eu1.data, "-U", "postgres", "-A", "trust", "-k", "--locale=C.UTF-8", "-E", "UTF8")
    with open(f"{eu1.data}/postgresql.conf", "a", encoding="utf-8") as file:
        file.write(f"listen_addresses = '{eu1.address}'\nport = {eu1.port}\nunix_socket_directories = '{eu1.home}'\n"
                   "work_mem = '7MB'\nmax_wal_senders = 4\n")
    eu1.run("mkdir", "-p", os.path.dirname(eu1.log), os.path.dirname(eu2.log))
    eu2.run("mkdir", "-p", os.path.dirname(eu2.log))
    eu1.run(f"{BIN}/pg_ctl", "start", "-w", "-s", "-D", eu1.data, "-l", eu1.log)
    eu2.run(f"{BIN}/pg_basebackup", "-R", "-D", eu2.data, "-c", "fast", "-d",
            f"host={eu1.home} port={eu1.port} user=postgres application_name=eu2")
    with open(f"{eu2.data}/postgresql.conf", "a", encoding="utf-8") as file:
        file.write(f"listen_addresses = '{eu2.address}'\nport = {eu2.port}\nunix_socket_directories = '{eu2.home}'\n")
    eu2.run(f"{BIN}/pg_ctl", "start", "-w", "-s", "-D", eu2.data, "-l", eu2.log)
    yield pair
    pair.done()


def test_adopt_shows_the_differences_and_with_yes_takes_over(otherwise):
    done = otherwise.run("cell", "adopt", "eu-fr/eu-fr-1")
    assert "run the command again with --yes" in done.stdout and "nothing was changed" in done.stdout
    planned = otherwise.planned("cell", "adopt", "eu-fr/eu-fr-1")
    assert planned["running"][0] == "yes" and planned["declared"][0] == "yes"
    assert planned["configure-primary"] == ("no", "eu1: postgresql.conf does not end with: include = 'domicile.conf'")
    assert planned["roles"][0] == "no" and "role domicile_gateway is missing" in planned["roles"][1]
    assert planned["slots"][0] == "no" and 'no usable slot "eu2"' in planned["slots"][1]
    assert planned["configure-standbys"][0] == "no"
    assert not os.path.exists(f"{otherwise.eu1.data}/domicile.conf") and not os.path.exists(otherwise.eu1.tls)

    pid = otherwise.eu1.pid()
    system = otherwise.eu1.sql("SELECT system_identifier FROM pg_control_system()", "postgres", otherwise.eu1.home)
    otherwise.run("cell", "adopt", "eu-fr/eu-fr-1", "--yes")
    assert otherwise.eu1.pid() != pid
    assert otherwise.eu1.sql("SELECT system_identifier FROM pg_control_system()") == system
    assert otherwise.eu1.sql("SHOW work_mem") == "7MB" and otherwise.eu1.sql("SHOW max_wal_senders") == "40"
    assert otherwise.eu1.sql("SELECT sync_state FROM pg_stat_replication") == "quorum"
    assert "primary_conninfo" not in text(f"{otherwise.eu2.data}/postgresql.auto.conf")
    assert not otherwise.undone()
    assert "already done" in otherwise.run("cell", "adopt", "eu-fr/eu-fr-1", "--yes").stdout
