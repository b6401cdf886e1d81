"""Rotation of class keys: writes switch at once, old records follow, nothing that a customer sees changes."""
import pytest
from problems import refused
from until import until


def rotation_path(customer, record_class):
    return f"/v1/customers/{customer.id}/classes/{record_class}/key-rotations"


def rotate(security, customer, record_class="health"):
    answer = security.ask(customer.gateway, "POST", rotation_path(customer, record_class))
    assert answer.status == 202, answer
    return answer.json()


def finished(security, customer, record_class="health"):
    def done():
        status = security.ask(customer.gateway, "GET", rotation_path(customer, record_class)).json()
        return status if status["state"] == "done" and status["remaining"] == 0 else None

    return until(done, within_s=30, what="all records are sealed with the new key")


def versions(sql, customer, record_class="health"):
    """key -> key version, as the cell has it."""
    return dict(sql(customer.gateway, "SELECT key, key_version FROM domicile.record WHERE customer = %s AND class = %s",
                    customer.id, record_class))


def fill(customer, count):
    lines = customer.bulk("health", [{"key": f"{number:05}", "value": number} for number in range(count)]).lines()
    assert all(line["status"] == 201 for line in lines)
    return {line["key"]: line["etag"] for line in lines}


def test_writes_switch_at_once(new_customer, eu, security, sql):
    customer = new_customer(eu)
    customer.put("health", "before", b"1")
    first = versions(sql, customer)["before"]
    status = rotate(security, customer)
    assert (status["class"], status["key_version"]) == ("health", first + 1)
    customer.put("health", "after", b"2")
    assert versions(sql, customer)["after"] == first + 1


def test_old_records_follow_and_nothing_else_changes(new_customer, eu, security, sql):
    customer = new_customer(eu)
    etags = fill(customer, 500)
    rotate(security, customer)
    finished(security, customer)
    assert set(versions(sql, customer).values()) == {2}
    listed = {row["key"]: row["etag"] for row in customer.list("health", "?limit=1000").json()["records"]}
    assert listed == etags
    exported = {line["key"]: line["value"] for line in customer.export("health").lines()}
    assert exported == {key: int(key) for key in etags}
    assert customer.put("health", "00007", b"new", {"If-Match": etags["00007"]}).status == 200


def test_old_keys_are_destroyed_when_nothing_needs_them(new_customer, eu, security, sql):
    customer = new_customer(eu)
    fill(customer, 10)
    rotate(security, customer)
    finished(security, customer)
    until(lambda: sql(eu, "SELECT version FROM domicile.class_key WHERE customer = %s AND class = 'health'",
                      customer.id) == [(2,)], what="the old key version is gone")


def test_other_classes_and_customers_keep_theirs(new_customer, eu, security, sql):
    customer, other = new_customer(eu), new_customer(eu)
    for record_class in ("health", "identity"):
        customer.put(record_class, "x", b"x")
        other.put(record_class, "x", b"x")
    rotate(security, customer)
    finished(security, customer)
    assert versions(sql, customer, "identity") == {"x": 1}
    assert versions(sql, other) == {"x": 1}


def test_writes_during_a_rotation_are_not_lost(new_customer, eu, security, sql):
    customer = new_customer(eu)
    etags = fill(customer, 1000)
    rotate(security, customer)
    with eu.wire() as wire:
        for number in range(0, 1000, 10):
            key = f"{number:05}"
            answer = wire.ask("PUT", customer.record("health", key), customer.headers({"Content-Type": "text/plain"}),
                              b"changed")
            assert answer.status == 200
            etags[key] = answer.etag
    finished(security, customer)
    listed = {row["key"]: row["etag"] for row in customer.list("health", "?limit=1000").json()["records"]}
    assert listed == etags
    assert customer.get("health", "00010").body == b"changed"
    assert customer.get("health", "00011").body == b"11"


def test_rotation_twice_in_a_row(new_customer, eu, security, sql):
    customer = new_customer(eu)
    fill(customer, 200)
    rotate(security, customer)
    answer = security.ask(eu, "POST", rotation_path(customer, "health"))
    assert answer.status in (202, 409), answer
    latest = finished(security, customer)["key_version"]
    assert set(versions(sql, customer).values()) == {latest}


def test_an_unsealed_class_has_no_key(new_customer, eu, security):
    customer = new_customer(eu)
    customer.put("operational", "x", b"x")
    answer = security.ask(eu, "POST", rotation_path(customer, "operational"))
    assert 400 <= answer.status < 500 and answer.slug, answer


def test_an_unknown_class_has_no_key(customer, eu, security):
    refused(security.ask(eu, "POST", rotation_path(customer, "no-such-class")), "class-unknown")


@pytest.mark.parametrize("role", ["customer-app", "sysadmin", "onboarding"])
def test_only_those_who_may_rotate(customer, ops, onboard, eu, role):
    principal = {"customer-app": customer.app, "sysadmin": ops, "onboarding": onboard}[role]
    customer.put("health", "x", b"x")
    answer = principal.ask(eu, "POST", rotation_path(customer, "health"))
    assert answer.slug in ("policy", "forbidden"), answer


def test_wrapped_keys_are_not_the_keys(new_customer, eu, sql):
    """What the cell holds differs for each customer and class and is longer than a key: wrapped, with commitment."""
    wrapped = set()
    for _ in range(3):
        customer = new_customer(eu)
        for record_class in ("health", "identity"):
            customer.put(record_class, "x", b"x")
        rows = sql(eu, "SELECT wrapped FROM domicile.class_key WHERE customer = %s", customer.id)
        assert len(rows) == 2
        wrapped |= {bytes(row[0]) for row in rows}
    assert len(wrapped) == 6 and all(len(value) >= 32 + 12 + 16 for value in wrapped)
