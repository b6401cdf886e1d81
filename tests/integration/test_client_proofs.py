"""Whoever can write to a cell, but has no root key, makes nobody a client: a row without a proof opens nothing, and it shows."""
import base64
import hashlib
import json
import secrets

import api
import psycopg2
import pytest
from problems import refused
from until import until


@pytest.fixture(scope="module")
def services(onboard, eu):
    return api.services_to_acknowledge(onboard, eu)


@pytest.fixture
def staff(ops, onboard, security, compliance):
    return {principal.role: principal for principal in (ops, onboard, security, compliance)}


def alarms(sql, gateway, customer):
    return dict(sql(gateway, "SELECT subject, evidence FROM domicile.client_alarm WHERE scope = %s", customer.id))


def audited(sql, gateway, customer, subject):
    return [row[0] for row in sql(gateway, "SELECT outcome FROM domicile.audit WHERE action = 'client-alarm'"
                                           " AND customer = %s AND key = %s ORDER BY id", customer.id, subject)]


def refused_token(principal, gateway):
    answer = principal.ask_token(gateway)
    assert answer.status == 401 and answer.json()["error"] == "invalid_client", answer


def is_alarm(sql, gateway, customer, subject, look=True):
    """look: whoever lists the clients has them checked at once; else the gateway does it by itself."""
    if look:
        customer.admin.ask(gateway, "GET", f"{api.customer_path(customer.id)}/clients")
    until(lambda: subject in alarms(sql, gateway, customer), within_s=60, what=f'an alarm about "{subject}"')
    assert audited(sql, gateway, customer, subject)[-1] == "began"


def ends(sql, gateway, customer, subject):
    customer.admin.ask(gateway, "GET", f"{api.customer_path(customer.id)}/clients")
    until(lambda: subject not in alarms(sql, gateway, customer), within_s=60, what=f'the end of "{subject}"')
    assert audited(sql, gateway, customer, subject)[-1] == "ended"


@pytest.mark.parametrize("secret_hash", ["{theirs}", "$scrypt$ln=14,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                                         "fGKgDRqmWoqFXVSTJDvyv9QJZPzpoaXPyzGc9DQY3rI", "$hmac-sha256$v=1$" + 64 * "0",
                                         "$claim$v=1$99999999999$" + hashlib.sha256(b"mine").hexdigest()],
                         ids=["a verifier that was copied", "a hash of my own", "a verifier", "a claim"])
def test_p1_a_row_that_somebody_inserted_opens_nothing(new_customer, sql, eu, secret_hash):
    victim = new_customer(eu)
    victim.put("health", "k", b"secret")
    theirs, = sql(eu, "SELECT secret_hash, proof, version FROM domicile.client WHERE id = %s", victim.app.client_id)
    forged = api.Principal(f"c-forged-{secrets.token_hex(4)}", victim.app.secret if "{" in secret_hash else "mine", None)
    sql(eu, "INSERT INTO domicile.client (id, customer, role, secret_hash, proof, version) VALUES (%s, %s, 'customer-app', %s,"
            " %s, %s)", forged.client_id, victim.id, secret_hash.format(theirs=theirs[0]), theirs[1], theirs[2])
    refused_token(forged, eu)
    claim = api.claim_client(eu, forged.client_id, "mine")
    assert claim.status == 401, claim
    is_alarm(sql, eu, victim, f"client {forged.client_id}")
    sql(eu, "DELETE FROM domicile.client WHERE id = %s", forged.client_id)
    ends(sql, eu, victim, f"client {forged.client_id}")
    assert victim.get("health", "k").body == b"secret"


@pytest.mark.parametrize("change", ["role = 'customer-admin'", "secret_hash = overlay(secret_hash placing 'ff' from 30)",
                                    "proof = NULL", "version = version + 1", "disabled_at = now()"])
def test_p1_a_row_that_somebody_changed_opens_nothing(new_customer, sql, eu, change):
    customer = new_customer(eu)
    sql(eu, f"UPDATE domicile.client SET {change} WHERE id = %s", customer.app.client_id)
    refused_token(customer.app, eu)
    is_alarm(sql, eu, customer, f"client {customer.app.client_id}")
    assert customer.admin.ask_token(eu).status == 200


def test_p1_a_client_of_one_customer_is_not_another_ones(new_customer, sql, eu):
    thief, victim = new_customer(eu), new_customer(eu)
    sql(eu, "UPDATE domicile.client SET customer = %s WHERE id = %s", victim.id, thief.app.client_id)
    refused_token(thief.app, eu)
    is_alarm(sql, eu, victim, f"client {thief.app.client_id}")
    is_alarm(sql, eu, thief, "clients")


def test_p1_a_disabled_client_that_is_put_back_shows(new_customer, sql, eu):
    """Its old row is proven; that it is old shows."""
    customer = new_customer(eu)
    before = sql(eu, "SELECT version, proof, disabled_at FROM domicile.client WHERE id = %s", customer.app.client_id)[0]
    path = f"{api.customer_path(customer.id)}/clients/{customer.app.client_id}"
    assert customer.admin.ask(eu, "DELETE", path).status == 204
    refused_token(customer.app, eu)
    sql(eu, "UPDATE domicile.client SET version = %s, proof = %s, disabled_at = %s WHERE id = %s", *before,
        customer.app.client_id)
    is_alarm(sql, eu, customer, "clients")


def test_p1_a_whole_set_that_is_put_back_shows(new_customer, sql, eu):
    """As after a restore: all of it is proven, and older than what the directory knows."""
    customer = new_customer(eu)
    rows = sql(eu, "SELECT version, proof, disabled_at, id FROM domicile.client WHERE customer = %s", customer.id)
    kept = sql(eu, "SELECT version, proof, scope FROM domicile.client_set WHERE scope = %s", customer.id)[0]
    path = f"{api.customer_path(customer.id)}/clients/{customer.app.client_id}"
    assert customer.admin.ask(eu, "DELETE", path).status == 204
    for row in rows:
        sql(eu, "UPDATE domicile.client SET version = %s, proof = %s, disabled_at = %s WHERE id = %s", *row)
    sql(eu, "UPDATE domicile.client_set SET version = %s, proof = %s WHERE scope = %s", *kept)
    is_alarm(sql, eu, customer, "list of clients")
    assert "clients" not in alarms(sql, eu, customer)
    assert customer.admin.ask(eu, "DELETE", path).status == 204  # the next change is newer than all that there has been
    ends(sql, eu, customer, "list of clients")
    refused_token(customer.app, eu)


def test_p1_a_row_that_is_missing_shows(new_customer, sql, eu):
    customer = new_customer(eu)
    sql(eu, "DELETE FROM domicile.client WHERE id = %s", customer.app.client_id)
    is_alarm(sql, eu, customer, "clients", look=False)


def test_p1_who_takes_the_proofs_away_is_not_believed_again(new_customer, sql, eu):
    """Rows from before there were proofs get one, once. That it was once is in the directory."""
    customer = new_customer(eu)
    customer.put("health", "k", b"secret")
    forged = api.Principal(f"c-forged-{secrets.token_hex(4)}", "mine", None)
    sql(eu, "DELETE FROM domicile.client_set WHERE scope = %s", customer.id)
    sql(eu, "INSERT INTO domicile.client (id, customer, role, secret_hash) SELECT %s, customer, role, secret_hash"
            " FROM domicile.client WHERE id = %s", forged.client_id, customer.app.client_id)
    refused_token(forged, eu)
    is_alarm(sql, eu, customer, "clients")
    is_alarm(sql, eu, customer, f"client {forged.client_id}")
    assert customer.app.ask_token(eu).status == 200


def test_p7_an_old_class_key_that_is_put_back_shows(new_customer, security, sql, eu, directory):
    customer = new_customer(eu)
    customer.put("health", "k", b"secret")
    old = sql(eu, "SELECT version, wrapped FROM domicile.class_key WHERE customer = %s", customer.id)[0]
    rotated = security.ask(eu, "POST", f"{api.customer_path(customer.id)}/classes/health/key-rotations")
    assert rotated.status == 202, rotated
    customer.admin.ask(eu, "GET", f"{api.customer_path(customer.id)}/clients")
    until(lambda: directory.mark(f"key/{customer.id}/health") == 2, within_s=60, what="the version in the directory")
    until(lambda: sql(eu, "SELECT count(*) FROM domicile.class_key WHERE customer = %s", customer.id) == [(1,)], within_s=30,
          what="the end of the rotation")
    sql(eu, "UPDATE domicile.class_key SET version = %s, wrapped = %s WHERE customer = %s", *old, customer.id)
    is_alarm(sql, eu, customer, "key of class health")


@pytest.mark.parametrize("version", [2 ** 62, 2 ** 63 - 1])
def test_p8_a_version_that_somebody_wrote_locks_nobody_out(new_customer, sql, eu, directory, version):
    """A mark of the directory never goes back, so it takes no version from who has no root key."""
    customer = new_customer(eu)
    sql(eu, "UPDATE domicile.client_set SET version = %s WHERE scope = %s", version, customer.id)
    sql(eu, "INSERT INTO domicile.class_key (customer, class, version, wrapped) VALUES (%s, 'health', 2147483647, %s)",
        customer.id, b"x" * 93)
    is_alarm(sql, eu, customer, "clients")
    is_alarm(sql, eu, customer, "key of class health")
    assert directory.mark(f"clients/{customer.id}") < 10 and directory.mark(f"key/{customer.id}/health") == 0
    sql(eu, "DELETE FROM domicile.class_key WHERE customer = %s", customer.id)
    api.add_client(customer.admin, eu, customer.id, "customer-app")
    ends(sql, eu, customer, "clients")
    assert alarms(sql, eu, customer) == {}
    assert directory.mark(f"clients/{customer.id}") < 10
    assert customer.put("health", "k", b"x").status == 201


# --- old rows ---

OLD = "$scrypt$ln=14,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$"


def scrypt(secret):
    digest = hashlib.scrypt(secret.encode(), salt=bytes(16), n=2 ** 14, r=8, p=1, maxmem=64 << 20, dklen=32)
    return OLD + base64.b64encode(digest).decode().rstrip("=")


def test_a_client_from_before_changes_over_at_its_next_token(onboard, services, sql, eu):
    """A customer whose clients have no proofs and whose set the directory has never known, as an upgrade finds it."""
    customer_id, secret = api.random_id("before"), secrets.token_urlsafe(32)
    old = api.Principal(f"c-old-{secrets.token_hex(4)}", secret, "customer-app")
    sql(eu, "INSERT INTO domicile.customer (id, region, services_version) VALUES (%s, 'eu-fr', 1)", customer_id)
    sql(eu, "INSERT INTO domicile.client (id, customer, role, secret_hash) VALUES (%s, %s, 'customer-app', %s)",
        old.client_id, customer_id, scrypt(secret))
    refused_token(api.Principal(old.client_id, "wrong", None), eu)
    assert old.ask_token(eu).status == 200
    kept, version = sql(eu, "SELECT secret_hash, version FROM domicile.client WHERE id = %s", old.client_id)[0]
    assert kept.startswith("$hmac-sha256$") and version == 2
    assert old.ask_token(eu).status == 200
    refused_token(api.Principal(old.client_id, "wrong", None), eu)
    assert sql(eu, "SELECT action FROM domicile.audit WHERE customer = %s AND action LIKE 'client-%%' ORDER BY id",
               customer_id) == [("client-adopt",), ("client-rekey",)]


# --- the gateway's own role ---

def test_p1_the_gateways_role_makes_no_staff(sql, eu):
    """With its certificate and without the root key."""
    mine = "'c-mine', 'security', '$hmac-sha256$v=1$0', false, '', 0, 1, '', 'client-add', 'me', 'security', 'rule', 'request'"
    sql(eu, "SET ROLE domicile_gateway")
    try:
        assert sql(eu, f"SELECT outcome FROM domicile.client_put('eu-fr', 1, NULL, {mine})") == [("customer",)]
        for denied in (f"SELECT outcome FROM domicile.staff_client_put('eu-fr', 1, {mine})",
                       f"SELECT outcome FROM domicile.client_write('eu-fr', 1, NULL, {mine})"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                sql(eu, denied)
    finally:
        sql(eu, "RESET ROLE")


# --- claims ---

def test_p2_a_claim_is_good_once_and_for_its_customer(onboard, services, eu):
    claim, digest = api.new_claim()
    document = {"id": api.random_id(), "region": "eu-fr", "acknowledged_services": services, "claim": digest}
    made = api.post_json(onboard, eu, "/v1/customers", document)
    assert made.status == 201, made
    client = made.json()["claim"]["client_id"]
    again = api.post_json(onboard, eu, "/v1/customers", document)
    assert again.status == 200 and again.json()["claim"] == made.json()["claim"], again
    refused_token(api.Principal(client, claim, None), eu)
    refused_token(api.Principal(client, digest, None), eu)
    for wrong in (digest, "", claim + "x", secrets.token_urlsafe(32)):
        assert api.claim_client(eu, client, wrong).status == 401
    wires = [eu.wire() for _ in range(6)]  # all at once is once
    for wire in wires:
        wire.request("POST", "/oauth/claim", {"Authorization": api.Principal(client, claim, None).basic()})
    answers = [wire.answer("POST") for wire in wires]
    for wire in wires:
        wire.close()
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401, 401], answers
    given, = (answer.json() for answer in answers if answer.status == 200)
    assert given["role"] == "customer-admin" and given["customer"] == document["id"]
    admin = api.Principal(given["client_id"], given["client_secret"], given["role"])
    assert admin.ask_token(eu).status == 200
    assert api.claim_client(eu, client, claim).status == 401
    refused(api.post_json(onboard, eu, "/v1/customers", {**document, "claim": api.new_claim()[1]}), "conflict")


def test_a_claim_that_is_not_claimed_may_be_replaced(onboard, services, eu):
    (first, first_digest), (second, second_digest) = api.new_claim(), api.new_claim()
    document = {"id": api.random_id(), "region": "eu-fr", "acknowledged_services": services}
    made = api.post_json(onboard, eu, "/v1/customers", {**document, "claim": first_digest})
    replaced = api.post_json(onboard, eu, "/v1/customers", {**document, "claim": second_digest})
    client = made.json()["claim"]["client_id"]
    assert replaced.json()["claim"]["client_id"] == client
    assert api.claim_client(eu, client, first).status == 401
    assert api.claim_client(eu, client, second).status == 200


@pytest.mark.parametrize("claim", ["", "x", 64 * "A", 63 * "a", 65 * "a", 1, None])
def test_a_claim_is_a_digest(onboard, services, eu, claim):
    document = {"id": api.random_id(), "region": "eu-fr", "acknowledged_services": services, "claim": claim}
    refused(api.post_json(onboard, eu, "/v1/customers", document), "argument")


def test_who_made_a_client_is_shown(new_customer, security, eu):
    customer = new_customer(eu)
    path = f"{api.customer_path(customer.id)}/clients"
    for asking in (customer.admin, security):
        listed = {row["client_id"]: row for row in asking.ask(eu, "GET", path).json()["clients"]}
        assert listed[customer.app.client_id]["created_by"] == customer.admin.client_id
        assert listed[customer.app.client_id]["created_by_role"] == "customer-admin"
        assert listed[customer.admin.client_id]["created_by_role"] == "onboarding"
        assert all(row["claimed"] for row in listed.values())


# --- staff reads nothing ---

def calls(customer):
    """Every call that there is, as one who means harm would make it. Each takes what the calls before it have given."""
    path = api.customer_path(customer.id)
    claim, digest = api.new_claim()

    def onboarding(known):
        document = {"id": known["id"], "region": "eu-fr", "acknowledged_services": known["services"], "claim": digest}
        return "POST", "/v1/customers", document

    return claim, [
        onboarding,
        lambda known: ("POST", f"{path}/clients", {"role": "customer-admin"}),
        lambda known: ("GET", f"{path}/clients", None),
        lambda known: ("DELETE", f"{path}/clients/{customer.app.client_id}", None),
        lambda known: ("POST", f"{path}/classes/health/key-rotations", None),
        lambda known: ("GET", f"{path}/classes/health/key-rotations", None),
        lambda known: ("GET", path, None),
        lambda known: ("GET", f"{path}/records/health/k", None),
        lambda known: ("GET", f"{path}/records/health", None),
        lambda known: ("GET", f"{path}/records/health?prefix=k", "export"),
        lambda known: ("PUT", f"{path}/records/health/k", {"x": 1}),
        lambda known: ("DELETE", f"{path}/records/health/k", None),
        lambda known: ("POST", f"{path}/records/health", "bulk"),
        lambda known: ("GET", "/v1/regions", None),
    ]


@pytest.mark.parametrize("role", ["sysadmin", "onboarding", "security", "compliance"])
def test_p2_no_sequence_of_calls_gives_staff_a_record(role, staff, new_customer, services, eu):
    """Sequences of three: each call, then each call, with all clients and claims that came out, and then each reading."""
    customer = new_customer(eu)
    mark = secrets.token_hex(16)
    assert customer.put("health", "k", mark.encode()).status == 201
    principal = staff[role]
    claim, every = calls(customer)
    known = {"id": customer.id, "services": services}

    def ask(who, method, target, body):
        headers = {"Content-Type": "application/json"}
        if body == "export":
            headers, body = {"Accept": api.NDJSON}, None
        elif body == "bulk":
            headers, body = {"Content-Type": api.NDJSON}, b'{"key":"k","value":1}\n'
        elif body is not None:
            body = json.dumps(body).encode()
        return who.ask(eu, method, target, headers, body)

    given = []
    for first in every:
        for second in every:
            for call in (first, second):
                answer = ask(principal, *call(known))
                assert mark.encode() not in answer.body, (call(known), answer)
                if answer.status < 300 and answer.body and b"client_id" in answer.body:
                    document = answer.json()
                    made = document.get("claim") or document
                    if "client_secret" in made:
                        given.append(api.Principal(made["client_id"], made["client_secret"], None))
                    elif "client_id" in made:
                        claimed = api.claim_client(eu, made["client_id"], claim)
                        if claimed.status == 200:
                            given.append(api.Principal(made["client_id"], claimed.json()["client_secret"], None))
    assert not given, "a call of the staff gave a client of a customer that is not new"
    for third in every[7:10]:
        answer = ask(principal, *third(known))
        assert answer.status == 403 and mark.encode() not in answer.body, answer
    assert customer.admin.ask(eu, "GET", customer.record("health", "k")).body == mark.encode()
