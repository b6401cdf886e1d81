"""P2, of what goes on after its head: an export or a bulk request ends when who began it may not go on. Not one record that
was written afterwards is read or stored for it, however slow the client is."""
import time

import api
import jose
import pytest
from api import NDJSON
from extra import extra_gateway
from streams import Bulk, Export, Export2, count
from until import until

WITHIN_S = 1.0
SLACK_S = 0.7  # of a busy machine, and of asking for metrics
RECORDS, BYTES = 300, 60_000
NO_EXPORTS = """    {
        name = "apps-export-nothing";
        deny = [ "export", "store" ];
        roles = [ "customer-app" ];
        reason = "Exports are for administrators.";
    },
"""


@pytest.fixture(scope="module")
def stocked(new_customer, eu):
    """A customer whose export is larger than what can be on its way to a client that reads nothing."""
    made = new_customer(eu)
    for first in range(0, RECORDS, 100):
        lines = made.bulk("health", [{"key": f"k{i:04}", "value": "x" * BYTES} for i in range(first, first + 100)]).lines()
        assert {line["status"] for line in lines} == {201}
    return made


def new_app(customer):
    """One more client of the customer's, to be spoilt."""
    return api.add_client(customer.admin, customer.gateway, customer.id, "customer-app")


def disable(customer, client, gateway=None):
    target = f"{api.customer_path(customer.id)}/clients/{client.client_id}"
    assert customer.admin.ask(gateway or customer.gateway, "DELETE", target).status == 204


def write_later(customer):
    """A record behind all others."""
    key = api.random_id("z-later")
    assert customer.put("health", key, b"written afterwards").status == 201
    return key.encode()


def broken_off(gateway, before, since, within_s=WITHIN_S):
    until(lambda: count(gateway) > before, within_s=within_s + SLACK_S - (time.monotonic() - since),
          what="the stream is broken off")


def check_ends(export, gateway, customer, revoke, why, within_s=WITHIN_S):
    before, size = count(gateway), gateway.log_size()
    revoke()
    since = time.monotonic()
    later = write_later(customer)
    broken_off(gateway, before, since, within_s)
    read, whole = export.rest()
    assert not whole and later not in read
    assert read.count(b'"key"') < RECORDS
    log = gateway.log_since(size)
    assert "a stream was broken off" in log and why in log, log


# --- exports ---


@pytest.mark.parametrize("kind", [Export, Export2])
def test_p2_an_export_ends_with_its_client(stocked, eu, kind):
    app = new_app(stocked)
    with kind(eu, stocked, app.headers(eu)) as export:
        check_ends(export, eu, stocked, lambda: disable(stocked, app), "is disabled")
        again = app.ask(eu, "GET", stocked.record("health"), {"Accept": NDJSON})
        assert again.status == 401, again


def test_p2_an_export_of_a_client_that_stays_is_whole(stocked, eu):
    """The control of the tests here: slow as well, and for longer than they take."""
    with Export(eu, stocked, stocked.headers()) as export:
        later = write_later(stocked)
        time.sleep(2 * WITHIN_S)
        read, whole = export.rest()
        assert whole and later in read and read.count(b"\n") >= RECORDS


def test_p2_an_export_ends_with_its_token(stocked, eu):
    header, claims, _ = jose.parts(stocked.app.token(eu))
    key = jose.private_key(f"{eu.config}/keys/eu-fr/token.key")
    left_s = 2
    aged = jose.aged(claims, claims["exp"] + 30 - jose.now() - left_s)  # 30 s: clocks may differ
    with Export(eu, stocked, {"Authorization": f"Bearer {jose.sign(header, aged, key)}"}) as export:
        check_ends(export, eu, stocked, lambda: None, "has expired", within_s=left_s + WITHIN_S)


def test_p2_an_export_ends_when_the_customer_is_moved(stocked, eu, directory):
    with Export(eu, stocked, stocked.headers()) as export:
        before = count(eu)
        directory.set(stocked.id, state="moving")
        try:
            broken_off(eu, before, time.monotonic())
        finally:
            directory.set(stocked.id, state="active")
        until(lambda: stocked.get("health", "k0000").status == 200, what="it is active again")
        later = write_later(stocked)
        read, whole = export.rest()
        assert not whole and later not in read


def test_p2_an_export_ends_when_the_home_is_elsewhere(stocked, eu, directory):
    with Export(eu, stocked, stocked.headers()) as export:
        before = count(eu)
        directory.set(stocked.id, region="us", cell="us-1")
        try:
            broken_off(eu, before, time.monotonic())
        finally:
            directory.set(stocked.id, region="eu-fr", cell="eu-fr-1")
        until(lambda: stocked.get("health", "k0000").status == 200, what="it is here again")
        assert not export.rest()[1]


@pytest.fixture(scope="module")
def extra(sandbox):
    with extra_gateway(sandbox, address="127.10.0.78") as made:
        yield made


def test_p2_an_export_ends_when_the_policy_forbids_it(stocked, extra):
    gateway = extra.gateway()
    kept = extra.read("policies/residency.cfg")

    def forbid():
        extra.edit("policies/residency.cfg", '    {\n        name = "customers-use-their-records";',
                   NO_EXPORTS + '    {\n        name = "customers-use-their-records";')
        assert "is in use" in extra.reload()

    with Export(gateway, stocked, stocked.headers()) as export:
        try:
            check_ends(export, gateway, stocked, forbid, "apps-export-nothing")
        finally:
            extra.write("policies/residency.cfg", kept)
            extra.reload()
        assert stocked.app.ask(gateway, "GET", stocked.record("health", "k0000")).status == 200


def test_p2_an_export_goes_on_over_a_reload_that_allows_it(stocked, extra):
    gateway = extra.gateway()
    with Export(gateway, stocked, stocked.headers()) as export:
        for _ in range(3):
            extra.reload()
            time.sleep(0.5)
        read, whole = export.rest()
        assert whole and read.count(b"\n") >= RECORDS


def test_p8_a_stream_has_a_total_time(stocked, extra):
    gateway = extra.gateway()
    extra.set("stream_within_ms", 1500)
    said = extra.reload()
    assert "limits.stream_within_ms was 900000, is 1500" in said, said
    try:
        with Export(gateway, stocked, stocked.headers()) as export:
            check_ends(export, gateway, stocked, lambda: None, "has taken longer than 1500 ms", within_s=1.5 + WITHIN_S)
    finally:
        extra.set("stream_within_ms", 900000)
        extra.reload()


# --- bulk requests ---


WINDOW = 128  # lines that are stored together


def test_p2_a_bulk_request_ends_with_its_client(new_customer, eu):
    customer = new_customer(eu)
    app = new_app(customer)
    with Bulk(eu, customer, app.headers(eu)) as bulk:
        bulk.send(f"a{i}" for i in range(WINDOW))
        assert {line["status"] for line in bulk.answers(WINDOW)[0]} == {201}
        before = count(eu)
        disable(customer, app)
        since = time.monotonic()
        broken_off(eu, before, since)  # though it sends nothing
        lines, whole = bulk.answers()
        assert not whole and [line["status"] for line in lines] in ([], [401]), lines
        assert not [row for row in customer.list("health", "?prefix=b").json()["records"]]


def test_p2_nothing_is_stored_for_a_disabled_client(new_customer, eu):
    """It goes on sending: what comes more than a second later is not stored."""
    customer = new_customer(eu)
    app = new_app(customer)
    with Bulk(eu, customer, app.headers(eu)) as bulk:
        bulk.send(f"a{i}" for i in range(WINDOW))
        bulk.answers(WINDOW)
        disable(customer, app)
        since = time.monotonic()
        sent = 0
        while time.monotonic() - since < WITHIN_S + SLACK_S:
            try:
                bulk.send(f"{'early' if time.monotonic() - since < WITHIN_S else 'late'}{sent}-{i}" for i in range(WINDOW))
            except OSError:
                break
            sent += 1
            time.sleep(0.05)
        _, whole = bulk.answers()
        assert not whole
        assert customer.list("health", "?prefix=late").json()["records"] == []
        assert not eu.ask("GET", customer.record("health", "a0"), app.headers(eu)).status == 200


# --- requests ---


def test_p2_a_token_is_good_for_a_second_after_its_client(new_customer, eu):
    customer = new_customer(eu)
    app = new_app(customer)
    customer.put("health", "k", b"x")
    headers = app.headers(eu)
    with eu.wire() as wire:
        for _ in range(20):
            assert wire.ask("GET", customer.record("health", "k"), headers).status == 200
        disable(customer, app)
        since = time.monotonic()
        until(lambda: wire.ask("GET", customer.record("health", "k"), headers).status == 401, within_s=WITHIN_S + SLACK_S,
              every_s=0.005, what="the token is refused")
        assert time.monotonic() - since < WITHIN_S
        for _ in range(20):
            answer = wire.ask("GET", customer.record("health", "k"), headers)
            assert answer.status == 401 and answer.slug == "unauthenticated", answer
    assert customer.get("health", "k").status == 200


def test_p2_also_at_another_gateway(new_customer, eu, extra):
    """The one that disabled it is not the one that is asked."""
    customer = new_customer(eu)
    app = new_app(customer)
    headers = app.headers(eu)
    gateway = extra.gateway()
    target = f"/v1/customers/{customer.id}"
    assert gateway.ask("GET", target, headers).status == 200
    disable(customer, app)
    until(lambda: gateway.ask("GET", target, headers).status == 401, within_s=WITHIN_S + SLACK_S, what="it is refused")
