"""P3: nothing without a trace. What is refused, tokens that are given and records that do not open leave a line of the log
and an audit row with the id that the caller got; a flood leaves few rows, and sums of the rest."""
import json
import re
import time

import api
import pytest
from extra import extra_gateway
from h2wire import H2Wire
from problems import refused
from sabotage import refusing_audit
from test_lost_cell import LOST
from until import until

KEPT = 64
COLUMNS = ("action", "outcome", "customer", "class", "key", "principal", "role", "rule", "home", "rows", "request_to")
ID = re.compile(r"[0-9a-f]{24}")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = b"grant_type=client_credentials"


@pytest.fixture
def fresh(sandbox):
    """A gateway whose minute begins with the test."""
    with extra_gateway(sandbox, address="127.10.0.79") as extra:
        extra.start_again()
        yield extra


@pytest.fixture
def row(sql):
    """row(gateway, answer, action): the one row of that action with the id that the caller got."""
    def wait(gateway, answer, action="refusal"):
        def find():
            return sql(gateway, f"SELECT {', '.join(COLUMNS)} FROM domicile.audit WHERE request = %s AND action = %s"
                                " AND request_to IS NULL", answer.header("x-request-id"), action)

        until(find, within_s=5, what="the row is there")
        found = find()
        assert len(found) == 1, found
        return dict(zip(COLUMNS, found[0]))

    return wait


# --- ids ---


def test_every_answer_has_an_id_that_the_gateway_made(eu, customer):
    ids = []
    with eu.wire() as wire:
        for method, target, headers in (("GET", "/healthz", {}), ("GET", "/nowhere", {}), ("HEAD", "/readyz", {}),
                                        ("PATCH", "/v1/regions", {}), ("GET", "/v1/regions", {}),
                                        ("GET", "/metrics", {"X-Request-Id": "mine"})):
            ids.append(wire.ask(method, target, headers).all("x-request-id"))
    ids.append(customer.put("health", "with-an-id", b"x").all("x-request-id"))
    ids.append(customer.export("health").all("x-request-id"))
    with eu.wire() as wire:  # what the HTTP layer itself answers
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n")
        ids.append(wire.answer().all("x-request-id"))
    assert all(len(each) == 1 and ID.fullmatch(each[0]) for each in ids), ids
    assert len({each[0] for each in ids}) == len(ids)


def test_an_answer_of_http_2_has_its_id(eu):
    with H2Wire(eu) as wire:
        first, second = wire.ask("GET", "/healthz"), wire.ask("GET", "/nowhere")
    assert ID.fullmatch(first.header("x-request-id")) and ID.fullmatch(second.header("x-request-id"))
    assert second.json()["instance"] == f"urn:domicile:request:{second.header('x-request-id')}"
    assert first.header("x-request-id") != second.header("x-request-id")


def test_gateways_and_restarts_do_not_share_ids(fresh, eu):
    gateway = fresh.gateway()
    prefixes = [eu.ask("GET", "/healthz").header("x-request-id")[:16], gateway.ask("GET", "/healthz").header("x-request-id")[:16]]
    fresh.start_again()
    prefixes.append(gateway.ask("GET", "/healthz").header("x-request-id")[:16])
    assert len(set(prefixes)) == 3


# --- each kind ---


def test_p3_refused_requests_leave_their_row(fresh, new_customer, american, ops, onboard, us, row):
    gateway = fresh.gateway()
    mine, other = new_customer(gateway), new_customer(gateway)
    unknown = api.random_id("unknown")
    cases = [
        (gateway.ask("GET", mine.record("health", "k")), "unauthenticated", "none", None),
        (gateway.ask("GET", mine.record("health", "k"), {"Authorization": "Bearer forged"}), "unauthenticated", "none", None),
        (gateway.ask("GET", mine.record("health", "k"), american.app.headers(us)), "wrong-region", "home-region", american.app),
        (mine.app.ask(gateway, "GET", other.record("health", "k")), "forbidden", "own-customer", mine.app),
        (ops.ask(gateway, "GET", mine.record("health", "k")), "policy", "staff-touches-no-records", ops),
        (ops.ask(gateway, "GET", api.customer_path(unknown)), "customer-unknown", "customer-unknown", ops),
        (ops.ask(gateway, "GET", api.customer_path(american.id)), "wrong-region", "home-region", ops),
        (mine.app.ask(gateway, "GET", mine.record("no-such-class", "k")), "class-unknown", "class-unknown", mine.app),
    ]
    log = fresh.log_text()
    for answer, slug, rule, principal in cases:
        refused(answer, slug)
        found = row(gateway, answer)
        assert found["outcome"] == slug and rule in found["rule"], found
        assert found["home"] == ("us" if slug == "wrong-region" else "eu-fr"), found
        if principal:
            assert (found["principal"], found["role"]) == (principal.client_id, principal.role)
        else:
            assert (found["principal"], found["role"]) == ("unknown", "unknown")
            assert (found["customer"], found["class"], found["key"]) == (None, None, None), "a stranger writes nothing"
        line = next(line for line in log.splitlines() if f"request={answer.header('x-request-id')}" in line)
        assert f"outcome={slug}" in line and "role=" in line and "home=" in line and "rule=" in line, line
    read = row(gateway, cases[4][0])
    assert (read["customer"], read["class"], read["key"]) == (mine.id, "health", "k")
    assert row(gateway, cases[5][0])["customer"] == unknown


def test_p3_wrong_secrets_and_tokens_leave_their_row(fresh, customer, ops, onboard, row):
    gateway = fresh.gateway()
    gone = api.add_client(customer.admin, gateway, customer.id, "customer-app")
    assert customer.admin.ask(gateway, "DELETE", f"{api.customer_path(customer.id)}/clients/{gone.client_id}").status == 204
    nobody = api.Principal("c-nobody-of-that-name", "x" * 43, "customer-app")
    wrong = api.Principal(customer.app.client_id, "x" * 43, "customer-app")
    for principal, rule, known in ((wrong, "client-secret", customer.id), (gone, "client-disabled", customer.id),
                                   (nobody, "client-unknown", None)):
        answer = principal.ask_token(gateway)
        assert answer.status == 401
        found = row(gateway, answer)
        assert (found["outcome"], found["rule"], found["principal"]) == ("client", rule, "unknown"), found
        assert (found["key"], found["customer"]) == (principal.client_id, known)
    malformed = gateway.ask("POST", "/oauth/token", {**FORM, "Authorization": "Basic !"}, GRANT)
    assert malformed.status == 401 and row(gateway, malformed)["key"] is None
    given = customer.app.ask_token(gateway)
    found = row(gateway, given, "token")
    assert (found["outcome"], found["principal"], found["role"]) == ("given", customer.app.client_id, "customer-app")
    assert found["customer"] == customer.id
    assert row(gateway, ops.ask_token(gateway), "token")["customer"] is None
    log = fresh.log_text()
    assert f"request={given.header('x-request-id')}" in log and given.json()["access_token"] not in log
    assert wrong.secret not in log


def test_p3_a_tampered_record_is_not_just_found(fresh, new_customer, sql, row):
    """The cell says "found", for it cannot open the record; a second row of the same request says what it was."""
    gateway = fresh.gateway()
    customer = new_customer(gateway)
    customer.put("health", "k", b"x")
    assert sql(gateway, "UPDATE domicile.record SET payload = payload || '\\x00' WHERE customer = %s", customer.id) == 1
    read = customer.ask("GET", customer.record("health", "k"))
    refused(read, "seal")
    found = row(gateway, read, "alarm")
    assert (found["outcome"], found["customer"], found["class"], found["key"]) == ("tampered", customer.id, "health", "k")
    assert found["principal"] == customer.app.client_id and found["rule"]
    assert row(gateway, read, "read")["outcome"] == "found"
    exported = customer.export("health")
    assert exported.status == 500
    assert row(gateway, exported, "alarm")["key"] == "k"
    alarms = [line for line in fresh.log_text().splitlines() if "level=alarm" in line]
    assert any(f"request={read.header('x-request-id')}" in line for line in alarms), alarms


# --- floods ---


def counted(sql, gateway, prefix, action="refusal"):
    """How many rows of their own a gateway's requests have, and what its sums add up to."""
    return sql(gateway, "SELECT count(*) FILTER (WHERE rows IS NULL), coalesce(sum(rows), 0) FROM domicile.audit"
                        " WHERE starts_with(request, %s) AND action = %s", prefix, action)[0]


def test_p3_a_thousand_refusals_leave_64_rows_and_sums(fresh, ops, sql, domicile):
    gateway, ids = fresh.gateway(), []
    headers = {"Authorization": f"Bearer {ops.token(gateway)}"}
    fresh.start_again()  # without the token in its minute
    began = time.monotonic()
    with gateway.wire() as wire:
        for number in range(1000):
            answer = wire.ask("GET", "/v1/customers/acme-none/records/health/k" if number % 2 else "/v1/regions",
                              headers if number % 2 else {})
            assert answer.status in (401, 403), answer
            ids.append(answer.header("x-request-id"))
    assert time.monotonic() - began < 50, "it was no minute"
    until(lambda: counted(sql, gateway, ids[0][:16])[0] == KEPT, within_s=10, what="the rows are there")
    lines = [line for line in fresh.log_text().splitlines() if "msg=\"refused: " in line and ids[0][:16] in line]
    assert len(lines) == KEPT
    fresh.close()  # its minute ends with it
    assert counted(sql, gateway, ids[0][:16]) == (KEPT, 1000 - KEPT)
    sums = sql(gateway, "SELECT outcome, role, rows FROM domicile.audit WHERE starts_with(request, %s) AND rows IS NOT NULL"
                        " ORDER BY 1", ids[0][:16])
    assert sums == [("policy", "sysadmin", 500 - KEPT // 2), ("unauthenticated", "unknown", 500 - KEPT // 2)]
    assert "468 more in a minute: kind=refusal outcome=policy" in fresh.log_text()
    shown = json.loads(domicile("audit", "show", ids[0], "--region", "eu-fr", "--json").stdout)
    assert [found["outcome"] for found in shown["rows"]] == ["unauthenticated"] and shown["sums"] == []
    shown = json.loads(domicile("audit", "show", ids[500], "--region", "eu-fr", "--json").stdout)
    assert shown["rows"] == [] and {found["rows"] for found in shown["sums"]} == {500 - KEPT // 2}
    text = domicile("audit", "show", ids[500], "--region", "eu-fr").stdout.decode()
    assert "no row of its own" in text and "were summed" in text and "policy" in text, text


def test_p3_a_flood_of_refusals_hides_no_alarm(fresh, new_customer, sql, row):
    gateway = fresh.gateway()
    customer = new_customer(gateway)
    customer.put("health", "k", b"x")
    assert sql(gateway, "UPDATE domicile.record SET payload = payload || '\\x00' WHERE customer = %s", customer.id) == 1
    with gateway.wire() as wire:
        for _ in range(KEPT + 10):
            assert wire.ask("GET", "/v1/regions").status == 401
    assert row(gateway, customer.ask("GET", customer.record("health", "k")), "alarm")["outcome"] == "tampered"


def metric(gateway, name):
    return next(float(line.split()[1]) for line in gateway.status.ask("GET", "/metrics").body.decode().splitlines()
                if line.startswith(name + " "))


def test_p8_with_the_first_cell_away_nothing_blocks(sandbox, customer, sql):
    """What belongs to a cell that answers is written there; what belongs to none waits, and holds up nobody."""
    with extra_gateway(sandbox, address="127.10.0.80") as extra:
        extra.close()
        extra.edit("regions/eu-fr.cfg", "cells = (", LOST)
        extra.start()
        gateway = extra.gateway()

        def connected():
            try:
                checks = gateway.status.ask("GET", "/readyz").json()["checks"]
            except OSError:
                return False
            return {check["name"]: check["ok"] for check in checks}.get("cell eu-fr-1")

        until(connected, within_s=15, what="the cell that answers is connected")
        took = []
        with gateway.wire() as wire:
            for _ in range(200):
                began = time.monotonic()
                assert wire.ask("GET", "/v1/regions").status == 401
                took.append(time.monotonic() - began)
        assert sorted(took)[190] < 0.1 and max(took) < 1, "a refusal waited for the cell"
        assert customer.app.ask(gateway, "GET", customer.record("health", "none")).status == 404
        given = customer.app.ask_token(gateway)
        until(lambda: sql(gateway, "SELECT 1 FROM domicile.audit WHERE request = %s", given.header("x-request-id")),
              within_s=5, what="the cell that answers has its row")
        assert metric(gateway, "domicile_trace_rows_queued") == KEPT
        assert metric(gateway, "domicile_trace_rows_total") == KEPT + 1
        assert metric(gateway, "domicile_trace_summed_total") == 200 - KEPT
        began = time.monotonic()
        extra.close()
        assert time.monotonic() - began < 5
        assert f"{200} refusals, tokens and alarms have no audit row" in extra.log_text()


def test_p3_a_row_that_the_cell_refuses_is_counted_as_lost(fresh, new_customer, ops, database):
    gateway = fresh.gateway()
    customer = new_customer(gateway)
    before = metric(gateway, "domicile_trace_dropped_total")
    with refusing_audit(database(gateway), customer):
        refused(ops.ask(gateway, "GET", customer.record("health", "k")), "policy")
        until(lambda: metric(gateway, "domicile_trace_dropped_total") == before + 1, what="it is counted")


# --- audit show ---


def test_audit_show_finds_what_the_caller_was_told(fresh, eu, ops, customer, domicile, row):
    answer = ops.ask(fresh.gateway(), "GET", customer.record("health", "shown"))
    row(eu, answer)
    for told in (answer.header("x-request-id"), answer.json()["instance"]):
        document = json.loads(domicile("audit", "show", told, "eu-fr/eu-fr-1", "--json").stdout)
        found, = document["rows"]
        assert (found["cell"], found["outcome"], found["customer"], found["key"]) == (
            "eu-fr/eu-fr-1", "policy", customer.id, "shown")
    text = domicile("audit", "show", answer.header("x-request-id"), "--region", "eu-fr", "--since", "10m").stdout.decode()
    assert "policy" in text and customer.id in text
    stored = customer.put("health", "shown", b"x")
    document = json.loads(domicile("audit", "show", stored.header("x-request-id"), "--region", "eu-fr", "--json").stdout)
    assert [found["action"] for found in document["rows"]][-1] == "store" and document["rows"][-1]["revision"]


def test_audit_show_says_what_it_cannot_find(domicile):
    nothing = domicile("audit", "show", "f" * 24, "--region", "eu-fr", status=4)
    assert b"no audit row" in nothing.stderr
    for wrong in ("x", "A" * 24, "a" * 64, "\x1b[2Jabc", "a'b", ""):
        said = domicile("audit", "show", wrong, "--region", "eu-fr", status=2)
        assert b"\x1b" not in said.stderr
    domicile("audit", "show", "f" * 24, "--region", "eu-fr", "--since", "yesterday", status=2)
    domicile("audit", "show", "f" * 24, "eu-fr/none", status=4)


def test_audit_show_steers_no_terminal(customer, domicile):
    key = "k\x1b[31m\u202e"
    stored = customer.put("health", key, b"x")
    told = stored.header("x-request-id")
    text = domicile("audit", "show", told, "--region", "eu-fr").stdout.decode()
    assert "\x1b" not in text and "\u202e" not in text
    document = json.loads(domicile("audit", "show", told, "--region", "eu-fr", "--json").stdout)
    assert key in [found["key"] for found in document["rows"]]
