"""P1: what is unknown, half-way or without an answer is refused, with a code of its own, and nothing is stored."""
import contextlib
import json

import api
import pytest
from extra import extra_gateway
from problems import refused
from until import until

MARK = b"must not be stored"


@pytest.fixture(scope="module")
def count_rows(sql):
    def count(gateway, customer_id):
        return sql(gateway, "SELECT count(*) FROM domicile.record WHERE customer = %s", customer_id)[0][0]

    return count


@pytest.fixture
def victim(new_customer, eu, directory, count_rows):
    """A customer whose place in the directory a test may spoil; nothing may have been stored for it at the end."""
    customer = new_customer(eu)
    yield customer
    assert count_rows(eu, customer.id) == 0


@contextlib.contextmanager
def spoilt(directory, customer, **columns):
    """The customer's row of the directory with these columns changed, known to its gateway."""
    before = directory.row(customer.id)
    directory.set(customer.id, **columns)
    until(lambda: customer.get("health", "none").slug != "record-unknown", what="the gateway follows the directory")
    try:
        yield
    finally:
        directory.set(customer.id, **{name: before[name] for name in columns})
        until(lambda: customer.get("health", "none").slug == "record-unknown", what="the gateway follows it back")


def every_way_in(customer):
    """An answer of each operation on records."""
    yield customer.put("health", "none", MARK)
    yield customer.get("health", "none")
    yield customer.delete("health", "none")
    yield customer.list("health")
    yield customer.bulk("health", [{"key": "none", "value": MARK.decode()}])
    yield customer.export("health")


def test_p1_unknown_customer(onboard, security, eu, us, sql):
    unknown = api.random_id("nobody")
    for gateway in (eu, us):
        refused(onboard.ask(gateway, "GET", api.customer_path(unknown)), "customer-unknown")
        rotation = f"{api.customer_path(unknown)}/classes/health/key-rotations"
        refused(security.ask(gateway, "POST", rotation), "customer-unknown")
        refused(security.ask(gateway, "GET", f"{api.customer_path(unknown)}/clients"), "customer-unknown")
        for table, column in (("customer", "id"), ("client", "customer"), ("class_key", "customer")):
            assert sql(gateway, f"SELECT count(*) FROM domicile.{table} WHERE {column} = %s", unknown) == [(0,)]


def test_p1_removed_customer(victim, directory):
    with spoilt(directory, victim, removed=1):
        for answer in every_way_in(victim):
            refused(answer, "customer-unknown")


@pytest.mark.parametrize("name", ["healt", "health-2", "x" * 63, "default", "operational2"])
def test_p1_unknown_class(victim, name):
    answers = [victim.put(name, "none", MARK), victim.get(name, "none"), victim.delete(name, "none"),
               victim.list(name), victim.bulk(name, [{"key": "none", "value": MARK.decode()}]), victim.export(name)]
    for answer in answers:
        refused(answer, "class-unknown")


@pytest.mark.parametrize("region", ["eu", "eu-de", "atlantis", "us-2"])
def test_p1_unknown_region_at_onboarding(onboard, eu, directory, sql, region):
    customer_id = api.random_id()
    document = {"id": customer_id, "region": region, "acknowledged_services": []}
    refused(api.post_json(onboard, eu, "/v1/customers", document), "region-unknown")
    assert directory.row(customer_id) is None
    assert sql(eu, "SELECT count(*) FROM domicile.customer WHERE id = %s", customer_id) == [(0,)]


@pytest.mark.parametrize("document", [{}, {"region": None}, {"region": ""}, {"region": ["eu-fr"]}])
def test_p1_no_region_is_no_default_region(onboard, eu, directory, document):
    customer_id = api.random_id()
    answer = api.post_json(onboard, eu, "/v1/customers", {"id": customer_id, "acknowledged_services": [], **document})
    assert 400 <= answer.status < 500, answer
    assert directory.row(customer_id) is None


def test_p1_customer_in_the_middle_of_a_move(victim, directory):
    with spoilt(directory, victim, state="moving"):
        for answer in every_way_in(victim):
            refused(answer, "customer-moving")


def is_refused(answer):
    """As a whole, or, in bulk, line by line: some of it is known only when the answer has begun."""
    if answer.slug:
        return answer.status >= 400
    return answer.header("content-type") == api.NDJSON and answer.lines() and all(
        line["status"] >= 400 and line["error"]["type"] for line in answer.lines())


@pytest.mark.parametrize("state", ["hovering", "onboarding", "erasing", ""])
def test_p1_a_state_that_does_not_serve(victim, directory, state):
    with spoilt(directory, victim, state=state):
        for answer in every_way_in(victim):
            assert is_refused(answer), answer


@pytest.mark.parametrize("columns", [{"region": "atlantis"}, {"cell": "eu-fr-99"}, {"epoch": 99}])
def test_p1_a_place_that_is_not_there(victim, directory, columns):
    with spoilt(directory, victim, **columns):
        for answer in every_way_in(victim):
            assert is_refused(answer), answer


def test_p1_a_customer_that_only_the_directory_puts_here(new_customer, us, eu, onboard, security, directory, sql):
    """The cell itself refuses a customer that it does not hold, whatever the directory says."""
    american = new_customer(us)
    before = directory.row(american.id)
    european = directory.row(new_customer(eu).id)
    directory.set(american.id, region=european["region"], cell=european["cell"], epoch=european["epoch"])
    try:
        until(lambda: american.get("health", "none").status == 421, what="the gateway follows the directory")
        rotation = f"{api.customer_path(american.id)}/classes/health/key-rotations"
        until(lambda: security.ask(eu, "POST", rotation).slug != "wrong-region", what="the other one does as well")
        for answer in (security.ask(eu, "POST", rotation),
                       security.ask(eu, "DELETE", f"{api.customer_path(american.id)}/clients/{american.app.client_id}")):
            assert answer.status >= 400 and answer.slug, answer
        for table, column in (("customer", "id"), ("client", "customer"), ("class_key", "customer")):
            assert sql(eu, f"SELECT count(*) FROM domicile.{table} WHERE {column} = %s", american.id) == [(0,)]
    finally:
        directory.set(american.id, region=before["region"], cell=before["cell"], epoch=before["epoch"])
    until(lambda: american.get("health", "none").slug == "record-unknown", what="the gateway follows it back")


def test_p1_unknown_key_version(sandbox, new_customer, eu, sql):
    """The cell has lost a version of a key, and a gateway that never had it is asked."""
    customer = new_customer(eu)
    customer.put("health", "versioned", b"x")
    sql(eu, "DELETE FROM domicile.class_key WHERE customer = %s", customer.id)
    with extra_gateway(sandbox, address="127.10.0.71") as extra:
        answer = customer.app.ask(extra.gateway(), "GET", customer.record("health", "versioned"))
        refused(answer, "key-version-unknown", region="eu-fr")


def test_p1_a_policy_without_an_answer_refuses(customer, ops, compliance, eu, sql):
    """No rule speaks of these at all: the refusal names what refused all the same."""
    rotation = f"{api.customer_path(customer.id)}/classes/health/key-rotations"
    onboarding = {"id": api.random_id(), "region": "eu-fr", "acknowledged_services": []}
    refusals = [customer.app.ask(eu, "POST", rotation), ops.ask(eu, "POST", rotation),
                api.post_json(compliance, eu, "/v1/customers", onboarding),
                api.post_json(customer.app, eu, f"{api.customer_path(customer.id)}/clients", {"role": "customer-app"})]
    for answer in refusals:
        assert refused(answer, "policy")["policy_rule"] == "default-deny"
    assert sql(eu, "SELECT count(*) FROM domicile.class_key WHERE customer = %s", customer.id) == [(0,)]


def test_p1_a_rule_that_refuses_is_named(customer, ops, onboard, security, compliance, eu):
    for principal in (ops, onboard, security, compliance):
        answer = principal.ask(eu, "PUT", customer.record("health", "named"), api.TYPED, MARK)
        assert "staff-touches-no-records" in refused(answer, "policy")["policy_rule"]
    refused(customer.get("health", "named"), "record-unknown")


def test_p1_a_refusal_names_its_region_and_rule(customer, ops, eu):
    problem = refused(ops.ask(eu, "GET", customer.record("health", "named")), "policy", region="eu-fr")
    assert problem["policy_rule"]


def test_p1_no_broadcast(new_customer, eu, us, sql):
    """A record is in the cell of its home, and in no other."""
    for home, other in ((eu, us), (us, eu)):
        customer = new_customer(home)
        assert customer.put("operational", "once", json.dumps("here only").encode()).status == 201
        for table in ("record", "audit", "class_key"):
            assert sql(other, f"SELECT count(*) FROM domicile.{table} WHERE customer = %s", customer.id) == [(0,)]
        assert sql(other, "SELECT count(*) FROM domicile.customer WHERE id = %s", customer.id) == [(0,)]
        assert sql(home, "SELECT count(*) FROM domicile.record WHERE customer = %s", customer.id) == [(1,)]
