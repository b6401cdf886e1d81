"""Two gateways share an address and port: both serve, and each sees at once what the other has done."""
import os
import signal

import api
import pytest
from extra import listens, sharing_the_port
from until import until


@pytest.fixture
def second(sandbox, eu):
    with sharing_the_port(sandbox, sandbox.gateways["eu"]) as (process, log):
        until(lambda: process.poll() is not None or listens(eu.address, eu.port, process.pid), within_s=20,
              what="the second one listens")
        assert process.poll() is None, open(log, encoding="utf-8").read()
        until(lambda: len(served_by(eu, 40)) == 2, within_s=20, what="the kernel gives both some connections")
        yield process


def served_by(gateway, times):
    """The gateways that answer on this port, told apart by when they began."""
    found = set()
    for _ in range(times):
        metrics = gateway.status.ask("GET", "/metrics").body.decode()
        found |= {line for line in metrics.splitlines() if "process_start_time_seconds " in line and line[0] != "#"}
    return found


def test_both_serve_and_see_each_others_customers(second, new_customer, eu):
    """Each connection goes to one of the two by chance: with twenty a customer, both are asked."""
    for _ in range(5):
        customer = new_customer(eu)
        etag = customer.put("health", "k", b"1").etag
        answers = [customer.get("health", "k") for _ in range(20)]
        assert {(answer.status, answer.etag, answer.body) for answer in answers} == {(200, etag, b"1")}


def test_revisions_of_both_grow(second, new_customer, eu):
    customer = new_customer(eu)
    tags = [customer.put("health", "same", b"%d" % number).etag for number in range(60)]
    assert tags == sorted(tags) and len(set(tags)) == 60


def test_conditions_hold_across_both(second, new_customer, eu):
    customer = new_customer(eu)
    for number in range(20):
        wires = [eu.wire() for _ in range(6)]
        for wire in wires:
            wire.request("PUT", customer.record("health", f"race/{number}"),
                         customer.headers({**api.TYPED, "If-None-Match": "*"}), b"x")
        assert sorted(wire.answer().status for wire in wires) == [201] + [412] * 5
        for wire in wires:
            wire.close()


def test_a_rotation_reaches_both(second, new_customer, security, sql, eu):
    customer = new_customer(eu)
    for number in range(20):
        customer.put("health", f"old/{number}", b"x")
    rotation = f"/v1/customers/{customer.id}/classes/health/key-rotations"
    assert security.ask(eu, "POST", rotation).status == 202
    for number in range(40):
        assert customer.put("health", f"new/{number}", b"x").status == 201
    versions = sql(eu, "SELECT DISTINCT key_version FROM domicile.record WHERE customer = %s AND key LIKE 'new/%%'",
                   customer.id)
    assert versions == [(2,)]
    assert all(customer.get("health", f"old/{number}").status == 200 for number in range(20))


def test_one_leaves_and_nobody_notices(second, new_customer, eu):
    customer = new_customer(eu)
    customer.put("health", "k", b"1")
    os.kill(second.pid, signal.SIGTERM)
    second.wait(15)
    assert second.returncode == 0
    assert all(customer.get("health", "k").status == 200 for _ in range(20))
