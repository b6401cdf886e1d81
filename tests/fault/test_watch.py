"""Who takes records out of a cell. Every channel that the watch knows is opened for real, and the region's daemon finds it
by itself."""
import contextlib
import json
import os
import signal
import sqlite3
import time

import pytest
from cluster import healthy_after
from extra import extra_gateway
from openings import ABROAD, Intruder
from until import until

SEEN_WITHIN_S = 25  # two intervals of the watch, for what is in a log, and busy rounds
NEVER_HERE = {}  # channel -> why it cannot be opened in the sandbox: tests/pg alone opens it

BEGUN = """
SELECT f.channel, f.subject, extract(epoch FROM a.at)::float8 FROM domicile.finding f JOIN domicile.audit a
    ON a.action = 'finding-begin' AND a.rule = 'watch:' || f.channel AND a.key = f.subject
 WHERE f.id > %s AND a.id > %s"""


@pytest.fixture
def intruder(sandbox, tmp_path):
    with Intruder(sandbox, tmp_path / "programs.log") as intruder:
        yield intruder


class Findings:
    """Those of the daemon that began since this was made, by its own tables in the cell."""

    def __init__(self, sql, eu):
        self.ask = lambda text, *values: sql(eu, text, *values)
        self.since = self.ask("SELECT (SELECT coalesce(max(id), 0) FROM domicile.finding), "
                              "(SELECT coalesce(max(id), 0) FROM domicile.audit)")[0]

    def begun(self):
        """[(channel, subject, when the daemon wrote it down)]"""
        return self.ask(BEGUN, *self.since)

    def open(self):
        return self.ask("SELECT channel, subject FROM domicile.finding WHERE id > %s AND ended_at IS NULL", self.since[0])

    def left(self):
        """Those that do not end."""
        with contextlib.suppress(AssertionError):
            until(lambda: not self.open(), within_s=SEEN_WITHIN_S, every_s=0.2)
        return self.open()

    def audited(self, channel):
        """[(action, subject)] in their order."""
        return self.ask("SELECT action, key FROM domicile.audit WHERE id > %s AND rule = %s ORDER BY id", self.since[1],
                        f"watch:{channel}")


@pytest.fixture
def findings(sql, eu):
    return Findings(sql, eu)


def seconds_to_find(opened, findings):
    """opened: [(opening, when)]. For each the seconds until the daemon had written it down, or None."""
    begun = findings.begun()
    return [min((at - when for channel, subject, at in begun
                 if channel == opening.channel and opening.subject in subject and at >= when), default=None)
            for opening, when in opened]


def shown_by_command(domicile):
    done = domicile("cell", "watch", "eu-fr/eu-fr-1", "--since", "3m", "--json", operator=True, status=9)
    return {finding["channel"] for finding in json.loads(done.stdout)["cells"][0]["findings"]}


def open_and_close(openings, findings, domicile):
    """All at once; all have ended when it returns. [(opening, seconds until the daemon found it or None, whether the
    command shows its channel)]"""
    opened = []
    with contextlib.ExitStack() as stack:
        for opening in openings:
            opened.append((opening, time.time()))
            stack.enter_context(opening.open())
        with contextlib.suppress(AssertionError):  # what was not found is told with all the rest
            until(lambda: None not in seconds_to_find(opened, findings), within_s=SEEN_WITHIN_S, every_s=0.5)
        seconds = seconds_to_find(opened, findings)
        shown = shown_by_command(domicile)
    assert findings.left() == []
    return [(opening, found_s, opening.channel in shown) for opening, found_s in zip(openings, seconds)]


def row(opening, found):
    return f"{opening[0]:22} {opening[1][:60]:60} {found:>8}"


def report(results, channels):
    rows = [row(opening, "never" if found_s is None else f"{found_s:.1f} s") for opening, found_s, _ in results]
    missed = [opening.channel for opening, found_s, _ in results if found_s is None]
    detected = {opening.channel for opening, _, _ in results} - set(missed)
    return "\n".join([row(("CHANNEL", "SUBJECT"), "FOUND"), *rows, f"{len(rows) - len(missed)} of {len(rows)} openings found",
                      f"{len(detected)} of {len(channels)} channels detected"])


@pytest.mark.slow
def test_every_channel_is_found(eu, eu1, domicile, state, intruder, findings, capsys):
    channels = {one["channel"] for one in json.loads(domicile("cell", "watch", "--channels", "--json").stdout)["channels"]}
    results = []
    with healthy_after(eu1, eu), intruder.restarted_with("wal_level = logical\narchive_mode = on"):
        until(eu.ready, within_s=30, what="the gateway is ready again")
        for openings in intruder.rounds():
            results += open_and_close(openings, findings, domicile)
    with capsys.disabled():
        print(f"\n{report(results, channels)}")
    until(lambda: state() == "healthy", within_s=30, what="the cell is healthy")
    assert findings.left() == []
    assert [opening[:2] for opening, found_s, _ in results if found_s is None] == []
    assert [opening.channel for opening, _, shown in results if not shown] == [], "domicile cell watch does not show it"
    assert {opening.channel for opening, _, _ in results} == channels - set(NEVER_HERE)


# --- sever ---

@contextlib.contextmanager
def frozen(gateway, directory):
    """Its monitor's lease runs out. It is not stopped within a write to the directory, which the next one waits for."""
    def stopped():
        os.kill(gateway.pid, signal.SIGSTOP)
        try:
            with directory.open() as connection:
                connection.execute("PRAGMA busy_timeout = 200")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            return True
        except sqlite3.OperationalError:
            os.kill(gateway.pid, signal.SIGCONT)
            return False

    until(stopped, what="the gateway is stopped")
    try:
        yield
    finally:
        os.kill(gateway.pid, signal.SIGCONT)


def monitors(gateway):
    return 'domicile_cell_monitor_active{region="eu-fr",cell="eu-fr-1"} 1\n' in gateway.status.ask("GET", "/metrics").body.decode()


def sever(extra):
    """In the configuration of another gateway, since a reload does not take it."""
    extra.edit("regions/eu-fr.cfg", "synchronous = true;", "synchronous = true; watch = { sever = true; interval_ms = 1000; };")


@pytest.mark.slow
def test_a_walsender_from_abroad_is_severed(sandbox, eu, directory, intruder, findings):
    with frozen(eu, directory), extra_gateway(sandbox, change=sever) as extra:
        until(lambda: monitors(extra.gateway()), within_s=20, what="the other gateway monitors the cell")
        with intruder.receivewal_abroad("--no-loop") as copier:
            assert copier.wait(SEEN_WITHIN_S) != 0, "it was ended"
        until(lambda: len(findings.audited("replication-abroad")) == 3, within_s=SEEN_WITHIN_S, what="the finding has ended")
    actions, subjects = zip(*findings.audited("replication-abroad"))
    assert actions == ("finding-begin", "finding-severed", "finding-end")
    assert set(subjects) == {f"domicile_replication from {ABROAD} as pg_receivewal"}
    until(lambda: monitors(eu), within_s=20, what="the sandbox's gateway monitors the cell again")
