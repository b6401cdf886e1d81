"""The directory is lost: known customers are served, /readyz says so, and an unknown one is not guessed away."""
import contextlib
import json
import os
import sqlite3
import time

import api
import pytest
from directory import Directory
from extra import extra_gateway, refuses_to_start
from processes import give
from until import until


@pytest.fixture
def alone(sandbox, directory, new_customer, eu):
    """A gateway with a directory file of its own that knows one customer: (extra, customer, path)."""
    customer = new_customer(eu)
    customer.put("health", "there", b"1")

    with extra_gateway(sandbox, change=lambda extra: extra.use_copy_of_directory(directory)) as extra:
        yield extra, customer, extra.path("directory.sqlite")


@contextlib.contextmanager
def moved_away(path):
    names = [name for name in (path, f"{path}-wal", f"{path}-shm") if os.path.exists(name)]
    for name in names:
        os.rename(name, f"{name}.away")
    try:
        yield
    finally:
        for name in names:
            os.rename(f"{name}.away", name)


@contextlib.contextmanager
def locked(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def serves(gateway, customer):
    headers = customer.app.headers(gateway, api.TYPED)
    with gateway.wire() as wire:
        assert wire.ask("GET", customer.record("health", "there"), headers).body == b"1"
        assert wire.ask("PUT", customer.record("health", "new"), headers, b"2").status in (200, 201)
        assert wire.ask("GET", customer.record("health", "new"), headers).body == b"2"
        assert wire.ask("DELETE", customer.record("health", "new"), headers).status == 204


def readiness(gateway):
    answer = gateway.status.ask("GET", "/readyz")
    return answer.status, {check["name"]: check["ok"] for check in answer.json()["checks"]}


def test_p1_lost_directory(alone, onboard):
    extra, customer, path = alone
    gateway = extra.gateway()
    customer.app.token(gateway)
    onboard.token(gateway)
    with moved_away(path):
        until(lambda: readiness(gateway)[1].get("directory") is False, what="/readyz says that the directory is lost")
        serves(gateway, customer)
        unknown = onboard.ask(gateway, "GET", api.customer_path(api.random_id("unknown")))
        assert (unknown.status, unknown.slug) == (503, "directory"), unknown
        document = {"id": api.random_id("never"), "region": "eu-fr",
                    "acknowledged_services": api.services_to_acknowledge(onboard, gateway)}
        refused = api.post_json(onboard, gateway, "/v1/customers", document)
        assert refused.status == 503, refused
    until(lambda: readiness(gateway) == (200, readiness(gateway)[1]) and readiness(gateway)[1]["directory"],
          what="it is ready again")
    assert onboard.ask(gateway, "GET", api.customer_path(api.random_id("unknown"))).slug == "customer-unknown"
    assert Directory(path).row(document["id"]) is None


def test_a_locked_directory_delays_nobody(alone, onboard):
    """Another process holds a write transaction: reads go on; a change is refused in bounded time."""
    extra, customer, path = alone
    gateway = extra.gateway()
    services = api.services_to_acknowledge(onboard, gateway)
    with locked(path):
        document = {"id": api.random_id("locked"), "region": "eu-fr", "acknowledged_services": services}
        with gateway.wire() as wire:
            wire.request("POST", "/v1/customers", onboard.headers(gateway, {"Content-Type": "application/json"}),
                         json.dumps(document).encode())
            began = time.monotonic()
            serves(gateway, customer)
            assert time.monotonic() - began < 1
            answer = wire.answer()
            assert answer.status == 503 and answer.slug == "directory", answer
            assert time.monotonic() - began < 6
    until(lambda: api.post_json(onboard, gateway, "/v1/customers", document).status in (200, 201), within_s=10,
          what="onboarding works again")


def test_another_file_in_its_place_is_not_believed(alone, onboard):
    """A restored, empty or foreign file does not make customers unknown."""
    extra, customer, path = alone
    gateway = extra.gateway()
    with moved_away(path):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE foreign_table (x)")
            connection.commit()
        give(path, 0o640)
        until(lambda: readiness(gateway)[1].get("directory") is False, what="/readyz says that the directory is lost")
        serves(gateway, customer)
        unknown = onboard.ask(gateway, "GET", api.customer_path(api.random_id("unknown")))
        assert (unknown.status, unknown.slug) == (503, "directory"), unknown
        for name in (path, f"{path}-wal", f"{path}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    until(lambda: readiness(gateway)[1]["directory"], what="it is believed again")


def test_it_does_not_start_on_a_file_that_is_no_directory(sandbox):
    def foreign(extra):
        path = extra.path("foreign.sqlite")
        with open(path, "wb") as file:
            file.write(b"this is no database, and certainly no directory" * 100)
        give(path, 0o640)
        extra.use_directory(path)

    said, status = refuses_to_start(sandbox, foreign)
    assert status not in (0, -6, -11) and "foreign.sqlite" in said
