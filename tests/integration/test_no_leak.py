"""No principal learns from an answer whether a customer that it has no right to exists."""
import time

import api
import pytest
from problems import refused, unlike

OPERATIONS = [("GET", "", None), ("GET", "/records/health/k", None), ("HEAD", "/records/health/k", None),
              ("PUT", "/records/health/k", b"x"), ("DELETE", "/records/health/k", None), ("GET", "/records/health", None),
              ("POST", "/records/health", b'{"key":"k","value":1}\n'), ("POST", "/clients", b'{"role":"customer-app"}'),
              ("GET", "/clients", None), ("GET", "/records/no-such-class/k", None),
              ("POST", "/classes/health/key-rotations", None), ("GET", "/classes/health/key-rotations", None),
              ("DELETE", "/clients/c-1", None)]
TYPES = {"/clients": "application/json", "/records/health": api.NDJSON}

# What the policy gives to none of these of the vendor's staff, by the beginning of the path.
WITHOUT_RIGHT = {"/records": ("sysadmin", "onboarding", "security", "compliance"), "/clients": ("sysadmin", "compliance", "onboarding"),
                 "/classes/health/key-rotations": ("sysadmin", "onboarding", "compliance")}


@pytest.fixture(scope="module")
def others(new_customer, eu, us):
    """Customers that are none of the asker's business: one here, one elsewhere, one nowhere."""
    here = new_customer(eu)
    here.put("health", "k", b"theirs")
    return {"here": here.id, "elsewhere": new_customer(us).id, "nowhere": api.random_id()}


@pytest.fixture(scope="module")
def staff(ops, onboard, security, compliance):
    return {principal.role: principal for principal in (ops, onboard, security, compliance)}


def comparable(answer, customer_id):
    """Status, headers and body without what is the request's own: its time, its number and the id that it named."""
    headers = sorted((name, value) for name, value in answer.headers if name not in ("date", "x-request-id",
                                                                                      "request-id"))
    return answer.status, headers, (str(unlike(answer.json())) if answer.body else "").replace(customer_id, "ID")


def all_the_same(principal, gateway, others, method, path, body):
    """The status that the principal gets, whichever of these customers it asks about."""
    answers = {}
    for customer_id in others.values():
        headers = {"Content-Type": TYPES.get(path, "text/plain")} if body else {}
        answer = principal.ask(gateway, method, f"{api.customer_path(customer_id)}{path}", headers, body)
        answers[str(comparable(answer, customer_id))] = answer.status
    assert len(answers) == 1, answers
    return next(iter(answers.values()))


@pytest.mark.parametrize("role", ["customer-app", "customer-admin"])
@pytest.mark.parametrize("method, path, body", OPERATIONS)
def test_a_customer_cannot_tell_who_else_is_a_customer(customer, others, role, method, path, body):
    principal = customer.app if role == "customer-app" else customer.admin
    assert all_the_same(principal, customer.gateway, others, method, path, body) == 403


@pytest.mark.parametrize("role, method, path, body", [
    (role, *operation) for operation in OPERATIONS for place, roles in WITHOUT_RIGHT.items()
    if operation[1].startswith(place) for role in roles])
def test_staff_without_the_right_cannot_tell_who_is_a_customer(staff, eu, others, role, method, path, body):
    expected = 404 if "no-such-class" in path else 403
    assert all_the_same(staff[role], eu, others, method, path, body) == expected


def test_staff_with_the_right_can_tell(staff, eu, others):
    """So that the test above compares what could differ."""
    for role, method, path in (("sysadmin", "GET", ""), ("onboarding", "GET", ""),
                               ("security", "GET", "/clients"), ("security", "GET", "/classes/health/key-rotations")):
        found = {name: staff[role].ask(eu, method, f"{api.customer_path(customer_id)}{path}").status
                 for name, customer_id in others.items()}
        assert found == {"here": 200, "elsewhere": 421, "nowhere": 404}


def test_without_a_token_all_look_the_same(eu, others):
    answers = set()
    for customer_id in others.values():
        answer = eu.ask("GET", api.customer_path(customer_id))
        refused(answer, "unauthenticated")
        answers.add(str(comparable(answer, customer_id)))
    assert len(answers) == 1, answers


@pytest.mark.slow
def test_the_time_it_takes_does_not_tell(customer, others):
    """The quickest of interleaved requests on one connection, since a busy machine only adds to a time. What a lookup in the
    cell adds is measured beside them, with a record of the customer's own: it would stand out."""
    paths = {name: api.customer_path(customer_id) for name, customer_id in others.items()}
    paths["looked up"] = api.customer_path(customer.id)
    times = {name: [] for name in paths}
    with customer.gateway.wire() as wire:
        headers = customer.headers()
        for _ in range(100):
            for name, path in paths.items():
                began = time.perf_counter()
                answer = wire.ask("GET", f"{path}/records/health/k", headers)
                times[name].append(time.perf_counter() - began)
                assert answer.status == (404 if name == "looked up" else 403)
    quickest = {name: min(values) for name, values in times.items()}
    looked_up = quickest.pop("looked up")
    assert max(quickest.values()) - min(quickest.values()) < (looked_up - min(quickest.values())) / 2, quickest


def test_a_wrong_region_is_no_answer_to_a_stranger(american, customer):
    """A customer's token at home, asking for somebody homed elsewhere, is not told where."""
    answer = customer.ask("GET", api.customer_path(american.id))
    problem = refused(answer, "forbidden")
    assert "home_region" not in problem and "home_endpoint" not in problem
