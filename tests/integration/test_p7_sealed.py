"""P7: a record of a sealed class is in clear in no file of any node, and opens only where it stands."""
import secrets
import time

import pytest
from api import random_id
from extra import extra_gateway
from problems import refused, unlike
from sabotage import refusing_audit
from search import files_with, places_of
from until import until
from wire import Broken

SEALED = ["health", "identity", "telemetry"]


@pytest.fixture(scope="module")
def everywhere(sandbox, eu):
    """All that both regions keep on disk, and the directory."""
    return [*places_of(sandbox, "eu-fr"), *places_of(sandbox, "us"), f"{eu.config}/directory.sqlite",
            f"{eu.config}/directory.sqlite-wal"]


def marker():
    return f"patient-{secrets.token_hex(20)}"


def write_by_all_ways(customer, record_class, text):
    """Put, replaced, put and deleted, in bulk, refused by a condition, refused half-way."""
    body = f"before {text} after".encode()
    assert customer.put(record_class, "kept", body).status == 201
    assert customer.put(record_class, "kept", body + b"!").status == 200
    assert customer.put(record_class, "deleted", body).status == 201
    assert customer.delete(record_class, "deleted").status == 204
    assert customer.bulk(record_class, [{"key": "bulk", "value": {"text": text}}]).lines()[0]["status"] == 201
    refused(customer.put(record_class, "kept", body, {"If-None-Match": "*"}), "precondition")
    assert text in customer.export(record_class).body.decode()


@pytest.mark.parametrize("record_class", SEALED)
def test_p7_a_sealed_record_is_in_no_file(new_customer, eu, sql, everywhere, record_class):
    customer, text = new_customer(eu), marker()
    write_by_all_ways(customer, record_class, text)
    sql(eu, "CHECKPOINT")
    for needle in (text.encode(), text.encode().hex().encode(), text[8:40].encode()):
        assert files_with(needle, *everywhere) == []


def test_p7_the_search_would_find_it(new_customer, eu, sql, sandbox, everywhere):
    """The control: an unsealed record, written the same ways, is found, and in its own region only."""
    customer, text = new_customer(eu), marker()
    write_by_all_ways(customer, "operational", text)
    sql(eu, "CHECKPOINT")
    found = files_with(text.encode(), *everywhere)
    homes = tuple(node.data for node in sandbox.nodes.values() if node.region == "eu-fr")
    assert len(homes) == 2
    assert all(any(path.startswith(f"{data}/pg_wal/") for path in found) for data in homes), "primary and standby"
    assert any(path.startswith(f"{homes[0]}/base/") for path in found)
    assert all(path.startswith(homes) for path in found), "not in a log, not in the other region"


def test_p7_an_error_does_not_write_a_record_into_a_log(new_customer, eu, database, everywhere):
    """A statement that PostgreSQL refuses is where a log would quote its values."""
    customer, text = new_customer(eu), marker()
    with refusing_audit(database(eu), customer):
        for record_class in ("health", "operational"):
            assert customer.put(record_class, "refused", text.encode()).status >= 500
    logs = [path for path in everywhere if path.endswith((".log", ".json"))]
    assert len(logs) == 10
    assert files_with(text.encode(), *logs) == []
    assert files_with(text.encode().hex().encode(), *logs) == []


def test_p7_compressible_records_do_not_show_in_their_size(new_customer, eu, sql):
    customer = new_customer(eu)
    customer.put("health", "zeros", b"\0" * 10_000)
    customer.put("health", "noise", secrets.token_bytes(10_000))
    sizes = sql(eu, "SELECT octet_length(payload), pg_column_size(payload) FROM domicile.record WHERE customer = %s",
                customer.id)
    assert sizes[0] == sizes[1] and sizes[0][0] > 10_000


def test_p7_what_is_kept_of_an_idempotency_key_confirms_no_guess(new_customer, eu, sql):
    """Were it a plain hash, it would be the same for the same request of anybody, and could be computed by a reader."""
    digests = set()
    customers = [new_customer(eu), new_customer(eu)]
    for customer in customers:
        for once in ("guess-1", "guess-2"):
            assert customer.put("health", "result", b"positive", {"Idempotency-Key": once}).status in (200, 201)
        kept = sql(eu, "SELECT digest FROM domicile.idempotency WHERE customer = %s", customer.id)
        assert len(kept) == 2
        digests |= {bytes(row[0]) for row in kept}
    assert len(digests) == 4, "the same request does not show, be it of another customer or under another key"


# --- rows that were moved ---


@pytest.fixture(scope="module")
def pair(new_customer, eu):
    """Two customers of one region, each with a key of each class that the tests use."""
    made = new_customer(eu), new_customer(eu)
    for customer in made:
        for record_class in SEALED:
            assert customer.put(record_class, "first", b"first").status == 201
    return made


@pytest.fixture
def moved(pair, sql):
    """moved(change, *values): a fresh health record of the first customer, after that UPDATE of its row."""
    customer, _ = pair

    def move(change, *values):
        key = random_id("moved")
        assert customer.put("health", key, b"cleartext of " + key.encode()).status == 201
        changed = sql(customer.gateway, f"UPDATE domicile.record SET {change} WHERE customer = %s AND class = 'health'"
                                        " AND key = %s", *values, customer.id, key)
        assert changed == 1
        return key

    return move


def alarmed(gateway, size, customer_id, record_class):
    """A line of the gateway's log that says which record does not open."""
    def found():
        return any(customer_id in line and record_class in line and "alarm" in line.lower()
                   for line in gateway.log_since(size).splitlines())

    until(found, within_s=5, what="the gateway's log has the alarm")


def does_not_open(customer, record_class, key):
    size = customer.gateway.log_size()
    answer = customer.get(record_class, key)
    problem = refused(answer, "seal")
    assert b"cleartext" not in answer.body
    alarmed(customer.gateway, size, customer.id, record_class)
    return unlike(problem)


def test_p7_a_moved_row_does_not_open(pair, moved, sql):
    """To another key, class, customer, revision, key version; altered; cut. One answer for all: no oracle."""
    customer, other = pair
    gateway = customer.gateway
    answers = {}
    key = moved("revision = revision")
    assert customer.get("health", key).body == b"cleartext of " + key.encode(), "the control"
    elsewhere = random_id("other-key")
    moved("key = %s", elsewhere)
    answers["key"] = does_not_open(customer, "health", elsewhere)
    answers["class"] = does_not_open(customer, "identity", moved("class = 'identity'"))
    answers["customer"] = does_not_open(other, "health", moved("customer = %s", other.id))
    for name, change in {
        "revision": "revision = revision + 1",
        "flipped bit": "payload = set_bit(payload, octet_length(payload) * 8 - 100, "
                       "1 - get_bit(payload, octet_length(payload) * 8 - 100))",
        "flipped first bit": "payload = set_bit(payload, 0, 1 - get_bit(payload, 0))",
        "cut": "payload = substring(payload FROM 1 FOR octet_length(payload) - 1)",
        "longer": "payload = payload || '\\x00'::bytea",
        "empty": "payload = ''",
        "not sealed": "payload = '\\x0a746578742f706c61696e636c656172'::bytea, key_version = 0",
    }.items():
        answers[name] = does_not_open(customer, "health", moved(change))
    swap = moved("revision = revision")
    sql(gateway, "UPDATE domicile.record r SET payload = s.payload, revision = s.revision, key_version = s.key_version"
                 " FROM domicile.record s WHERE r.customer = %s AND r.class = 'health' AND r.key = %s AND"
                 " s.customer = %s AND s.class = 'health' AND s.key = 'first'", customer.id, swap, customer.id)
    answers["swapped"] = does_not_open(customer, "health", swap)
    assert len({str(answer) for answer in answers.values()}) == 1, answers


def test_p7_another_key_version_does_not_open(new_customer, eu, security, sql):
    customer = new_customer(eu)
    assert customer.put("health", "older", b"cleartext").status == 201
    rotation = f"/v1/customers/{customer.id}/classes/health/key-rotations"
    assert security.ask(eu, "POST", rotation).status == 202
    until(lambda: security.ask(eu, "GET", rotation).json()["state"] == "done", what="the rotation is done")
    assert security.ask(eu, "POST", rotation).status == 202
    until(lambda: security.ask(eu, "GET", rotation).json()["state"] == "done", what="the rotation is done")
    customer.put("health", "newer", b"cleartext")
    versions = sql(eu, "SELECT version FROM domicile.class_key WHERE customer = %s AND class = 'health'", customer.id)
    current = max(versions)[0]
    assert current == 3
    sql(eu, "INSERT INTO domicile.class_key (customer, class, version, wrapped) SELECT customer, class, 2, wrapped"
            " FROM domicile.class_key WHERE customer = %s AND class = 'health' AND version = 3 ON CONFLICT DO NOTHING",
        customer.id)
    sql(eu, "UPDATE domicile.record SET key_version = 2 WHERE customer = %s AND class = 'health' AND key = 'newer'",
        customer.id)
    answer = customer.get("health", "newer")
    assert answer.slug in ("seal", "key-version-unknown") and answer.status == 500, answer


def test_p7_a_row_in_another_region_does_not_open(new_customer, eu, us, sql, database):
    """Record and wrapped key carried over by SQL, to a customer of the same name of things but another home."""
    european, american = new_customer(eu), new_customer(us)
    assert european.put("health", "carried", b"cleartext").status == 201
    assert american.put("health", "carried", b"american").status == 201
    row = sql(eu, "SELECT revision, key_version, payload FROM domicile.record WHERE customer = %s", european.id)[0]
    sql(us, "UPDATE domicile.record SET revision = %s, key_version = %s, payload = %s WHERE customer = %s", *row,
        american.id)
    does_not_open(american, "health", "carried")


def test_p7_a_carried_key_does_not_unwrap(new_customer, eu, sql):
    """A class key of one customer put in another's place, before any gateway has unwrapped that one's own."""
    donor, thief = new_customer(eu), new_customer(eu)
    donor.put("health", "x", b"cleartext")
    sql(eu, "INSERT INTO domicile.class_key (customer, class, version, wrapped) SELECT %s, class, version, wrapped"
            " FROM domicile.class_key WHERE customer = %s AND class = 'health'", thief.id, donor.id)
    sql(eu, "UPDATE domicile.record SET customer = %s WHERE customer = %s", thief.id, donor.id)
    does_not_open(thief, "health", "x")
    assert thief.put("health", "y", b"new").status >= 500, "nothing is sealed under a key that is not the customer's"


def test_p7_an_export_does_not_skip_what_does_not_open(new_customer, eu, sql):
    """The reader of an export must be able to tell that it is not whole."""
    customer = new_customer(eu)
    for key in ("a", "b", "c"):
        customer.put("health", key, b"1")
    sql(eu, "UPDATE domicile.record SET revision = revision + 1 WHERE customer = %s AND key = 'b'", customer.id)
    began = time.monotonic()
    try:
        answer = customer.export("health")
        whole = answer.status == 200 and all("error" not in line for line in answer.lines())
    except (Broken, ValueError):
        whole = False
    assert not whole and time.monotonic() - began < 10
    listed = customer.list("health").json()["records"]
    assert [row["key"] for row in listed] == ["a", "b", "c"]


def seal_the_class(extra):
    extra.substitute("policies/register.cfg", r'sealed = false;(?=[^}]*\}\s*\);)', "sealed = true;")


def test_p7_a_class_that_is_sealed_later_says_what_to_do(sandbox, new_customer, eu, sql):
    """Its records are in clear. That is no tampering: no alarm, and the operator's log has the way out."""
    before, fresh = new_customer(eu), new_customer(eu)
    assert before.put("operational", "old", b"in clear").status == 201
    with extra_gateway(sandbox, change=seal_the_class) as extra:
        gateway = extra.gateway()
        for method, key, body in (("GET", "old", None), ("PUT", "old", b"x"), ("PUT", "new", b"x")):
            headers = {"Content-Type": "text/plain"} if body else {}
            refused(before.app.ask(gateway, method, before.record("operational", key), headers, body), "config")
        said = extra.log_text()
        assert not [line for line in said.splitlines() if "level=alarm" in line and before.id in line]
        assert "has unsealed records of" in said and "Unseal the class in the policy" in said
        text = marker()
        made = fresh.app.ask(gateway, "PUT", fresh.record("operational", "k"), {"Content-Type": "text/plain"}, text.encode())
        assert made.status == 201, made
        assert fresh.app.ask(gateway, "GET", fresh.record("operational", "k")).body == text.encode()
    assert before.get("operational", "old").body == b"in clear", "policy can go back"
    assert sql(eu, "SELECT count(*) FROM domicile.class_key WHERE customer = %s", before.id) == [(0,)]


def test_p7_operational_records_read_the_same(new_customer, eu):
    customer = new_customer(eu)
    body = secrets.token_bytes(3000)
    answers = {}
    for record_class in ("health", "operational"):
        made = customer.put(record_class, "same/key", body, {"Content-Type": "application/fhir+json"})
        read = customer.get(record_class, "same/key")
        answers[record_class] = (made.status, read.status, read.body, read.header("content-type"),
                                 read.header("content-length"), sorted(name for name, _ in read.headers))
        assert made.etag == read.etag
    assert answers["health"] == answers["operational"]
