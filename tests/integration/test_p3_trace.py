"""P3: nothing without a trace. A write and its audit row are one transaction; the log has no off switch."""
import json

import psycopg2
import psycopg2.errors
import pytest
from policyfiles import rule_names
from problems import refused
from sabotage import refusing_audit
from wire import Broken

COLUMNS = ("action", "outcome", "region", "customer", "class", "key", "revision", "rows", "principal", "role", "rule",
           "request", "epoch")


@pytest.fixture
def trail(sql):
    """trail(customer): the customer's audit rows of classes, oldest first."""
    def read(customer):
        rows = sql(customer.gateway, f"SELECT {', '.join(COLUMNS)} FROM domicile.audit WHERE customer = %s"
                                     " AND (key IS NOT NULL OR rows IS NOT NULL)"
                                     " AND action NOT LIKE 'client-%%' AND action <> 'token' ORDER BY id", customer.id)
        return [dict(zip(COLUMNS, row)) for row in rows]

    return read


def check_row(row, customer, record_class, key, action):
    names = rule_names(customer.gateway.config)
    assert (row["customer"], row["class"], row["key"]) == (customer.id, record_class, key)
    assert row["action"] == action
    assert (row["principal"], row["role"]) == (customer.app.client_id, "customer-app")
    assert row["region"] == customer.gateway.region and row["epoch"] >= 1
    assert any(name in row["rule"] for name in names), row
    assert row["request"]


@pytest.mark.parametrize("record_class", ["health", "identity", "telemetry", "operational"])
def test_p3_each_write_has_exactly_one_row(new_customer, eu, trail, record_class):
    customer = new_customer(eu)
    answers = [customer.put(record_class, "traced", b"1"), customer.put(record_class, "traced", b"2")]
    assert customer.delete(record_class, "traced").status == 204
    rows = [row for row in trail(customer) if row["action"] != "read"]
    assert [row["action"] for row in rows] == ["store", "store", "delete"]
    for row in rows:
        check_row(row, customer, record_class, "traced", row["action"])
    assert [f'"{row["revision"]:016x}"' for row in rows[:2]] == [answer.etag for answer in answers]
    assert len({row["request"] for row in rows}) == 3


def test_p3_a_refused_write_changes_nothing(new_customer, eu, trail):
    customer = new_customer(eu)
    customer.put("health", "kept", b"1")
    refused(customer.put("health", "kept", b"2", {"If-None-Match": "*"}), "precondition")
    stores = [row for row in trail(customer) if row["action"] == "store" and row["outcome"] in ("created", "replaced")]
    assert len(stores) == 1


def test_p3_a_replayed_write_is_one_write(new_customer, eu, trail):
    customer = new_customer(eu)
    for _ in range(3):
        assert customer.put("health", "once", b"1", {"Idempotency-Key": "p3"}).status in (200, 201)
    stores = [row for row in trail(customer) if row["outcome"] in ("created", "replaced")]
    assert len(stores) == 1


def test_p3_bulk_writes_have_a_row_each(new_customer, eu, trail):
    customer = new_customer(eu)
    answer = customer.bulk("telemetry", [{"key": f"bulk/{number}", "value": number} for number in range(50)])
    assert [line["status"] for line in answer.lines()] == [201] * 50
    assert sorted(row["key"] for row in trail(customer)) == sorted(f"bulk/{number}" for number in range(50))


def audited_classes(customer):
    """The classes of the data register whose reads are audited, as the policy declares them."""
    import re
    from pathlib import Path
    text = "\n".join(path.read_text() for path in Path(customer.gateway.config, "policies").glob("*.cfg"))
    blocks = re.findall(r'name\s*=\s*"([a-z-]+)"[^{}]*?audit_reads\s*=\s*true', text)
    assert "health" in blocks
    return blocks


def test_p3_reads_of_audited_classes_leave_a_row(new_customer, eu, trail):
    customer = new_customer(eu)
    for record_class in audited_classes(customer):
        customer.put(record_class, "read/me", b"1")
        before = len(trail(customer))
        with eu.wire() as wire:
            for _ in range(3):
                assert wire.ask("GET", customer.record(record_class, "read/me"), customer.headers()).status == 200
        rows = trail(customer)[before:]
        assert len(rows) == 3
        for row in rows:
            check_row(row, customer, record_class, "read/me", "read")


def test_p3_a_not_modified_read_is_a_read(new_customer, eu, trail):
    customer = new_customer(eu)
    etag = customer.put("health", "cached", b"1").etag
    assert customer.get("health", "cached", {"If-None-Match": etag}).status == 304
    assert customer.ask("HEAD", customer.record("health", "cached")).status == 200
    assert [row["action"] for row in trail(customer)] == ["store", "read", "read"]


def test_p3_an_export_of_an_audited_class_is_counted(new_customer, eu, trail):
    customer = new_customer(eu)
    customer.bulk("health", [{"key": f"{number:04}", "value": number} for number in range(250)])
    before = len(trail(customer))
    assert len(customer.export("health").lines()) == 250
    rows = trail(customer)[before:]
    assert rows and sum(row["rows"] for row in rows) == 250
    assert all(row["principal"] == customer.app.client_id and row["rule"] and row["request"] for row in rows)


def test_p3_a_list_of_an_audited_class_leaves_a_row(new_customer, eu, trail):
    """One for each page, with how many keys it named; also where it named none."""
    customer = new_customer(eu)
    for record_class in audited_classes(customer):
        customer.bulk(record_class, [{"key": f"listed/{number}", "value": number} for number in range(5)])
        before = len(trail(customer))
        for query, count in (("", 5), ("?limit=2", 2), ("?prefix=listed/3", 1), ("?prefix=nothing", 0)):
            assert len(customer.list(record_class, query).json()["records"]) == count
        rows = trail(customer)[before:]
        assert [row["rows"] for row in rows] == [5, 2, 1, 0]
        for row, prefix in zip(rows, ("", "", "listed/3", "nothing")):
            check_row(row, customer, record_class, prefix, "list")
        assert len({row["request"] for row in rows}) == 4


def test_p3_a_list_of_another_class_leaves_none(new_customer, eu, trail):
    customer = new_customer(eu)
    assert "operational" not in audited_classes(customer)
    customer.put("operational", "k", b"1")
    assert customer.list("operational").status == 200 and len(customer.export("operational").lines()) == 1
    assert [row["action"] for row in trail(customer)] == ["store"]


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/x-ndjson"}], ids=["list", "export"])
def test_p3_no_page_without_its_row(new_customer, eu, database, headers):
    customer = new_customer(eu)
    customer.put("health", "secret-key", b"the record")
    with refusing_audit(database(eu), customer):
        answer = customer.ask("GET", customer.record("health"), headers)
        assert answer.status >= 500 and answer.slug, answer
        assert b"secret-key" not in answer.body and b"the record" not in answer.body
    assert customer.ask("GET", customer.record("health"), headers).status == 200


def test_p3_an_export_ends_at_the_page_without_its_row(new_customer, eu, trail, database):
    """It is broken off, for its head has gone out, and nothing of that page has."""
    customer = new_customer(eu)
    customer.bulk("health", [{"key": f"{number:04}", "value": number} for number in range(250)])
    customer.export("health")
    pages = [row["rows"] for row in trail(customer) if row["action"] == "export"]
    assert len(pages) > 1 and pages[-1] < pages[0]
    got = b""
    with refusing_audit(database(eu), customer, f"NEW.rows = {pages[-1]}"), eu.wire() as wire:
        wire.request("GET", customer.record("health"), customer.headers({"Accept": "application/x-ndjson"}))
        status, answered, _ = wire.head()
        assert status == 200
        with pytest.raises(Broken):
            for piece in wire.body(dict(answered)):
                got += piece
    assert [json.loads(line)["key"] for line in got.splitlines()] == [f"{number:04}" for number in range(sum(pages[:-1]))]


def test_p3_the_row_is_there_before_the_answer(new_customer, eu, trail, database):
    """The log cannot be written: then there is no answer with the record in it."""
    customer = new_customer(eu)
    customer.put("health", "secret", b"the record")
    with refusing_audit(database(eu), customer):
        answer = customer.get("health", "secret")
        assert answer.status >= 500 and answer.slug, answer
        assert b"the record" not in answer.body
        exported = customer.ask("GET", customer.record("health"), {"Accept": "application/x-ndjson"})
        assert exported.status >= 500 and b"secret" not in exported.body, exported
    assert customer.get("health", "secret").body == b"the record"


def test_p3_write_and_audit_row_commit_together(new_customer, eu, database, sql):
    customer = new_customer(eu)
    etag = customer.put("health", "before", b"1").etag
    with refusing_audit(database(eu), customer):
        attempts = [customer.put("health", "new", b"2"), customer.put("health", "before", b"2"),
                    customer.delete("health", "before"), customer.put("operational", "new", b"2")]
        for answer in attempts:
            assert answer.status >= 500 and answer.slug, answer
        results = customer.bulk("health", [{"key": "bulk", "value": 1}]).lines()
        assert [line["status"] >= 500 for line in results] == [True]
    assert sql(eu, "SELECT class, key, revision FROM domicile.record WHERE customer = %s", customer.id) == [
        ("health", "before", int(etag.strip('"'), 16))]
    assert customer.get("health", "before").body == b"1"


def test_p3_one_failing_write_does_not_take_others_with_it(new_customer, eu, database):
    """Writes of many customers share a batch: the one whose row is refused fails alone."""
    broken, sound = new_customer(eu), new_customer(eu)
    with refusing_audit(database(eu), broken):
        wires = [(customer, eu.wire()) for _ in range(10) for customer in (broken, sound)]
        for number, (customer, wire) in enumerate(wires):
            wire.request("PUT", customer.record("health", f"mixed/{number}"),
                         customer.headers({"Content-Type": "text/plain"}), b"x")
        for customer, wire in wires:
            status = wire.answer("PUT").status
            assert status == 201 if customer is sound else status >= 500
            wire.close()
    assert len(sound.list("health").json()["records"]) == 10
    assert broken.list("health").json()["records"] == []


def test_p3_other_changes_leave_a_row(new_customer, eu, onboard, security, sql):
    customer = new_customer(eu)
    customer.put("health", "x", b"x")
    assert security.ask(eu, "POST", f"/v1/customers/{customer.id}/classes/health/key-rotations").status == 202
    rows = sql(eu, "SELECT action, principal, rule, request FROM domicile.audit WHERE customer = %s ORDER BY id",
               customer.id)
    by_onboarding = [row for row in rows if row[1] == onboard.client_id]
    assert [row[0] for row in by_onboarding] == ["onboard", "client-claimable"]
    by_admin = [row[0] for row in rows if row[1] == customer.admin.client_id]
    assert [action for action in by_admin if action != "token"] == ["client-claim", "client-add"]
    assert any(row[1] == security.client_id for row in rows), "the rotation"
    assert all(row[2] and row[3] for row in rows)


# --- rights ---


@pytest.fixture(scope="module")
def as_gateway(eu):
    """A connection to the cell with the gateway's own certificate."""
    folder = f"{eu.config}/pg/eu-fr"
    connection = psycopg2.connect(host="127.10.1.1", port=15432, dbname="domicile", user="domicile_gateway",
                                  sslmode="verify-full", sslrootcert=f"{folder}/ca.crt",
                                  sslcert=f"{folder}/gateway.crt", sslkey=f"{folder}/gateway.key")
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.mark.parametrize("statement", [
    "UPDATE domicile.audit SET principal = 'nobody'",
    "DELETE FROM domicile.audit",
    "TRUNCATE domicile.audit",
    "INSERT INTO domicile.audit (epoch, action, outcome, region, principal, role, rule, request)"
    " VALUES (1, 'store', 'created', 'eu-fr', 'x', 'x', 'x', 'x')",
    "SELECT * FROM domicile.audit",
    "SELECT payload FROM domicile.record",
    "UPDATE domicile.record SET payload = ''",
    "DELETE FROM domicile.record",
    "SELECT wrapped FROM domicile.class_key",
    "SELECT secret_hash FROM domicile.client",
    "ALTER TABLE domicile.audit DISABLE TRIGGER ALL",
    "DROP TABLE domicile.audit",
    "SET ROLE domicile_owner",
    "SET session_replication_role = replica",
    "CREATE TABLE domicile.mine (x int)",
    "CREATE TEMP TABLE mine (x int)",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COPY domicile.record TO PROGRAM 'cat'",
])
def test_p3_the_gateways_role_may_call_functions_and_nothing_else(as_gateway, statement):
    with as_gateway.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE domicile.audit SET principal = 'nobody'", "DELETE FROM domicile.audit",
                                       "TRUNCATE domicile.audit"])
def test_p3_even_the_owner_cannot_change_the_log(database, eu, statement):
    connection = database(eu)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE domicile_owner")
        try:
            with pytest.raises(psycopg2.Error):
                cursor.execute(statement)
        finally:
            cursor.execute("RESET ROLE")


def test_p3_logging_has_no_switch(eu):
    """No option of the configuration's schema turns the audit log off."""
    import subprocess
    from pathlib import Path
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs/man/domicile.cfg.5").read_text()
    assert "audit_reads" in page
    for forbidden in ("audit_off", "audit_writes", "no_audit", "audit_enabled"):
        assert forbidden not in page
    done = subprocess.run(["grep", "-rnE", r"audit\s*=\s*false|audit_writes", str(root / "src")],
                          stdout=subprocess.PIPE, check=False)
    assert done.returncode == 1, json.dumps(done.stdout.decode())
