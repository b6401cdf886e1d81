"""Whoever makes a cell is killed with -9 at each write of the journal, and goes on each time: the cell is the same in the
end. Two at once never both act."""
import contextlib
import glob
import json
import os
import re
import signal
import subprocess
import time

import pytest
from bare import BIN, ROOT, Pair, end, text, until

KILLER = os.environ.get("KILLER", os.path.join(ROOT, "build/release/cell_killer"))
FACTS = {
    "roles": "SELECT string_agg(format('%s %s %s %s %s', rolname, rolcanlogin, rolreplication, rolsuper, rolbypassrls), ','"
             " ORDER BY rolname) FROM pg_roles WHERE oid >= 16384",
    "members": "SELECT string_agg(format('%s in %s', m.rolname, r.rolname), ',' ORDER BY m.rolname, r.rolname) FROM"
               " pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member"
               " WHERE m.oid >= 16384",
    "databases": "SELECT string_agg(format('%s %s %s', datname, pg_get_userbyid(datdba), datacl), ',' ORDER BY datname)"
                 " FROM pg_database",
    "schema": "SELECT string_agg(version || name || sha256, ',' ORDER BY version) FROM domicile.schema_version",
    "stamp": "SELECT format('%s %s %s', region, name, epoch) FROM domicile.cell",
    "objects": "SELECT string_agg(format('%s %s %s', relname, relkind, relacl), ',' ORDER BY relname) FROM pg_class"
               " WHERE relnamespace = 'domicile'::regnamespace",
    "functions": "SELECT string_agg(format('%s %s', oid::regprocedure, proacl), ',' ORDER BY oid::regprocedure::text) FROM"
                 " pg_proc WHERE pronamespace = 'domicile'::regnamespace",
    "slots": "SELECT string_agg(format('%s %s %s', slot_name, slot_type, active), ',') FROM pg_replication_slots",
    "standbys": "SELECT string_agg(format('%s %s %s', application_name, state, sync_state), ',') FROM pg_stat_replication",
    "overrides": "SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'",
}


def plain(pair, words):
    """Without what is of this pair alone: its directory, its ports, its certificates."""
    words = words.replace(pair.dir, "DIR")
    for number, host in enumerate((pair.eu1, pair.eu2)):
        words = words.replace(str(host.port), f"PORT{number}")
    return re.sub(r"[0-9a-f]{64}", "DIGEST", words)


def facts_of(pair):
    found = {name: pair.eu1.sql(query) for name, query in FACTS.items()}
    for host in (pair.eu1, pair.eu2):
        for name in ("domicile.conf", "pg_hba.conf", "pg_ident.conf", "postgresql.auto.conf"):
            found[f"{host.name} {name}"] = plain(pair, text(f"{host.data}/{name}"))
        found[f"{host.name} postgresql.conf"] = text(f"{host.data}/postgresql.conf").count("include = 'domicile.conf'")
        found[f"{host.name} files"] = [plain(pair, path) for path in sorted(
            glob.glob(f"{host.home}/*") + glob.glob(f"{host.home}/tls/*") + glob.glob(f"{host.home}/pg/*")
            + glob.glob(f"{host.home}/pg/data/*.signal") + glob.glob(f"{host.home}/domicile/socket/.s*"))]
        found[f"{host.name} runs"] = host.pid() is not None
    found["here"] = sorted(plain(pair, path) for path in glob.glob(f"{pair.config}/pg/*"))
    return found


@pytest.fixture(scope="module")
def facts(made):
    """Of a cell that was made in one go."""
    return facts_of(made)


@pytest.fixture
def other():
    pair = Pair()
    yield pair
    pair.done()


@pytest.mark.slow
def test_killed_at_each_write_of_the_journal(facts, other):
    marks = f"{other.dir}/marks"
    for _ in range(400):
        done = subprocess.run([KILLER, other.config, "eu-fr", "eu-fr-1", marks], capture_output=True, text=True,
                              timeout=120, check=False)
        if done.returncode != -signal.SIGKILL:
            break
    assert done.returncode == 0 or "has ended: it is done" in done.stderr, done.stderr  # killed behind its last line
    kills = text(marks).splitlines()
    journal = [json.loads(line) for line in text(f"{other.config}/state/runs/provision-killed.journal").splitlines()]
    written = {f"after {line['event']} {line.get('step', '-')}" for line in journal}
    assert written <= set(kills) and journal[-1]["event"] == "end"
    assert len([kill for kill in kills if kill.startswith("before done")]) >= 19
    print(f"{len(kills)} kills, {len(journal)} lines")
    assert facts_of(other) == facts
    assert not other.undone()


def lines_of(pair):
    return sum(text(path).count("\n") for path in glob.glob(f"{pair.config}/state/runs/*.journal"))


def test_the_program_itself_is_killed(facts, other):
    for lines in (8, 25):
        with subprocess.Popen(other.command("cell", "provision", "eu-fr/eu-fr-1"), stdout=subprocess.DEVNULL) as driver:
            until(lambda at=lines: lines_of(other) >= at, 60, f"line {lines}")
            end(driver)
    assert "resuming the run" in other.provision().stdout
    assert len(glob.glob(f"{other.config}/state/runs/*.journal")) == 1
    assert facts_of(other) == facts


@contextlib.contextmanager
def held(pair):
    """The start of eu2 takes until it is let go: who makes the cell has the lease until then. Yields what lets go."""
    script, arrived, go = f"{pair.dir}/start", f"{pair.eu2.home}/arrived", f"{pair.dir}/go"
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\ntouch {arrived}\nuntil [ -e {go} ]; do sleep 0.05; done\n"
                   f"exec {BIN}/pg_ctl start -w -s -D {pair.eu2.data} -l {pair.eu2.log}\n")
    os.chmod(script, 0o755)
    pair.eu2.commands = f'start = [ "{script}" ];'
    pair.declare()

    def let_go():
        with open(go, "w", encoding="utf-8"):
            pass

    with subprocess.Popen(pair.command("cell", "provision", "eu-fr/eu-fr-1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as first:
        try:
            until(lambda: os.path.exists(arrived), 60, "the start of eu2")
            yield let_go
        finally:
            let_go()
            out, err = first.communicate(timeout=120)
    assert first.returncode == 0, out + err
    os.unlink(arrived)


def test_two_at_once_never_both_act(facts, other):
    with held(other):  # the second waits for as long as a lease lives whose holder is gone
        second = other.provision(check=False)
        assert second.returncode == 5 and 'another process changes "eu-fr/eu-fr-1"' in second.stderr, second
    assert len(glob.glob(f"{other.config}/state/commands/provision-*.jsonl")) == 1
    assert facts_of(other) == facts


def test_one_that_waited_for_another_finds_it_done(facts, other):
    with held(other) as let_go, subprocess.Popen(other.command("cell", "provision", "eu-fr/eu-fr-1"),
                                                 stdout=subprocess.PIPE, text=True) as second:
        let_go()
        assert "already done, nothing was changed" in second.communicate(timeout=120)[0]
    assert second.returncode == 0
    assert len(glob.glob(f"{other.config}/state/commands/provision-*.jsonl")) == 1
    assert facts_of(other) == facts


def test_one_that_was_stopped_for_long_does_nothing_more(facts, other):
    command = other.command("cell", "provision", "eu-fr/eu-fr-1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        until(lambda: lines_of(other) >= 18, 60, "the first one's work")
        first.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        before = lines_of(other)
        second = other.provision(check=False)
        assert second.returncode == 5 and "is driven by another process" in second.stderr, second.stderr
        first.send_signal(signal.SIGCONT)
        out, err = first.communicate(timeout=120)
        assert first.returncode == 6 and 'the lease of "eu-fr/eu-fr-1" was lost' in err, out + err
        assert lines_of(other) <= before + 2
    other.provision()
    assert facts_of(other) == facts
