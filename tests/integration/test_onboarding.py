"""Customers: chosen region, acknowledged services, and what their page promises."""
import json

import api
import pytest
from problems import refused
from until import until


def onboard_with(onboard, gateway, services, customer_id=None, **members):
    document = {"id": customer_id or api.random_id(), "region": gateway.region, "acknowledged_services": services}
    return api.post_json(onboard, gateway, "/v1/customers", {**document, **members})


@pytest.fixture(scope="module")
def services(onboard, eu):
    return api.services_to_acknowledge(onboard, eu)


def test_what_must_be_acknowledged_is_listed_with_its_reason(onboard, eu):
    answer = onboard_with(onboard, eu, [])
    problem = refused(answer, "acknowledgement")
    assert problem["services"] and problem["services_version"] >= 1
    for service in problem["services"]:
        assert service["name"] and service["title"] and service["reason"], service


def test_exactly_that_set(onboard, eu, services, directory):
    assert services
    for wrong in ([], services[1:], [*services, "records"], [*services, "no-such-service"], services[:1] * 2):
        customer_id = api.random_id()
        answer = onboard_with(onboard, eu, wrong, customer_id)
        if sorted(wrong) != sorted(services):
            assert answer.slug in ("acknowledgement", "argument"), (wrong, answer)
            assert answer.status in (400, 409)
            assert directory.row(customer_id) is None
    assert onboard_with(onboard, eu, list(reversed(services))).status == 201


def test_the_page_of_a_customer(onboard, eu, services, customer):
    for principal in (onboard, customer.admin):
        answer = principal.ask(eu, "GET", api.customer_path(customer.id))
        assert answer.status == 200, answer
        page = answer.json()
        assert (page["id"], page["region"], page["state"]) == (customer.id, "eu-fr", "active")
        assert page["cell"] and page["services_version"] == page["current_services_version"] >= 1
        assert page["acknowledged_services"] == sorted(services)
        assert page["endpoint"].rstrip("/") == eu.url
        leaving = page["services_leaving_region"]
        assert sorted(service["name"] for service in leaving) == sorted(services)
        assert all(service["reason"] and service["where"] for service in leaving)


def test_the_audit_row_says_which_list_was_acknowledged(customer, eu, sql):
    version = customer.admin.ask(eu, "GET", api.customer_path(customer.id)).json()["services_version"]
    assert sql(eu, "SELECT action, outcome, revision FROM domicile.audit WHERE customer = %s AND action = 'onboard'",
               customer.id) == [("onboard", "created", version)]


def test_location_leads_to_the_customer(onboard, eu, services):
    customer_id = api.random_id()
    answer = onboard_with(onboard, eu, services, customer_id)
    assert (answer.status, answer.header("location")) == (201, api.customer_path(customer_id))
    assert onboard.ask(eu, "GET", answer.header("location")).json()["id"] == customer_id


def test_again_is_the_same(onboard, eu, services, sql):
    customer_id = api.random_id()
    first = onboard_with(onboard, eu, services, customer_id)
    again = onboard_with(onboard, eu, services, customer_id)
    assert (first.status, again.status) == (201, 200)
    assert first.json() == again.json()
    assert sql(eu, "SELECT count(*) FROM domicile.customer WHERE id = %s", customer_id) == [(1,)]


@pytest.mark.parametrize("in_the_cell", [True, False])
def test_an_onboarding_that_was_broken_off_goes_on_under_later_services(onboard, eu, services, sql, directory,
                                                                        in_the_cell):
    """A gateway is killed between directory and cell, or between cell and directory; then the services are changed."""
    customer_id = api.random_id()
    assert onboard_with(onboard, eu, services, customer_id).status == 201
    current = directory.row(customer_id)["services_version"]
    directory.set(customer_id, state="onboarding", services_version=current - 1)
    sql(eu, "UPDATE domicile.customer SET services_version = %s WHERE id = %s" if in_the_cell else
        "DELETE FROM domicile.customer WHERE services_version = %s AND id = %s", current - in_the_cell, customer_id)
    again = onboard_with(onboard, eu, services, customer_id)
    assert (again.status, again.json()["state"], again.json()["services_version"]) == (201, "active", current)
    assert directory.row(customer_id)["services_version"] == current
    assert sql(eu, "SELECT services_version FROM domicile.customer WHERE id = %s", customer_id) == [(current,)]
    assert onboard_with(onboard, eu, services, customer_id).status == 200
    rows = sql(eu, "SELECT outcome FROM domicile.audit WHERE customer = %s AND action = 'onboard' ORDER BY id",
               customer_id)
    assert rows == [("created",), ("exists" if in_the_cell else "created",)]


def test_the_services_of_an_active_customer_stay(onboard, eu, services, directory):
    """What it acknowledged is not changed by onboarding it once more."""
    customer_id = api.random_id()
    assert onboard_with(onboard, eu, services, customer_id).status == 201
    current = directory.row(customer_id)["services_version"]
    directory.set(customer_id, services_version=current - 1)
    refused(onboard_with(onboard, eu, services, customer_id), "conflict")
    assert directory.row(customer_id)["services_version"] == current - 1


def test_all_at_once_is_once(onboard, eu, services, sql):
    customer_id = api.random_id()
    body = json.dumps({"id": customer_id, "region": "eu-fr", "acknowledged_services": services}).encode()
    headers = onboard.headers(eu, {"Content-Type": "application/json"})
    wires = [eu.wire() for _ in range(8)]
    for wire in wires:
        wire.request("POST", "/v1/customers", headers, body)
    statuses = sorted(wire.answer("POST").status for wire in wires)
    for wire in wires:
        wire.close()
    assert 201 in statuses and set(statuses) <= {200, 201}, statuses
    assert sql(eu, "SELECT count(*) FROM domicile.customer WHERE id = %s", customer_id) == [(1,)]
    assert sql(eu, "SELECT count(*) FROM domicile.audit WHERE customer = %s AND action = 'onboard'", customer_id) == [(1,)]


def test_one_region_a_customer(onboard, eu, us, customer, new_customer):
    """An id that is taken elsewhere is taken: it is sent to its home or refused, and never has two."""
    answer = onboard_with(onboard, us, api.services_to_acknowledge(onboard, us), customer.id)
    assert answer.slug in ("conflict", "wrong-region"), answer
    assert onboard.ask(eu, "GET", api.customer_path(customer.id)).json()["region"] == "eu-fr"


def test_the_version_that_was_read_is_the_one_acknowledged(onboard, eu, services):
    version = onboard_with(onboard, eu, []).json()["services_version"]
    assert onboard_with(onboard, eu, services, services_version=version).status == 201
    refused(onboard_with(onboard, eu, services, services_version=version + 1), "acknowledgement")


def test_a_customer_is_known_to_both_gateways_at_once(onboard, new_customer, eu, us):
    customer = new_customer(eu)
    until(lambda: onboard.ask(us, "GET", api.customer_path(customer.id)).slug == "wrong-region", within_s=2,
          what="the other gateway knows the customer")


def test_clients_come_and_go(onboard, customer, eu):
    path = f"{api.customer_path(customer.id)}/clients"
    made = api.post_json(customer.admin, eu, path, {"role": "customer-app"})
    assert made.status == 201, made
    client = made.json()
    listed = {row["client_id"]: row for row in customer.admin.ask(eu, "GET", path).json()["clients"]}
    assert listed[client["client_id"]]["role"] == "customer-app"
    assert "client_secret" not in str(listed)
    assert customer.admin.ask(eu, "DELETE", f"{path}/{client['client_id']}").status == 204
    refused(customer.admin.ask(eu, "DELETE", f"{path}/c-no-such-client"), "not-found")


def test_all_clients_are_listed_page_by_page(new_customer, eu, sql):
    """More than the largest page; the rows are made in SQL, since each secret is meant to take long to hash."""
    customer = new_customer(eu)
    path = f"{api.customer_path(customer.id)}/clients"
    sql(eu, "INSERT INTO domicile.client (id, customer, role, secret_hash) SELECT 'c-' || %s || '-' || i, %s,"
            " 'customer-app', repeat('x', 40) FROM generate_series(1, 1200) i", customer.id[-6:], customer.id)
    for limit, pages in ((1000, 2), (500, 3), (None, 13)):
        listed, after, count = [], None, 0
        while count == 0 or after:
            query = "&".join(f"{name}={value}" for name, value in (("limit", limit), ("after", after)) if value)
            page = customer.admin.ask(eu, "GET", f"{path}?{query}").json()
            assert len(page["clients"]) <= (limit or 100)
            listed += [row["client_id"] for row in page["clients"]]
            after, count = page["next"], count + 1
        assert count == pages and len(listed) == 1202 and listed == sorted(set(listed))
    for query in ("?limit=0", "?limit=1001", "?limit=x", "?after=A", "?after=", "?after=a&after=b"):
        refused(customer.admin.ask(eu, "GET", path + query), "argument")


def test_a_client_of_another_customer_is_out_of_reach(onboard, customer, new_customer, eu):
    other = new_customer(eu)
    answer = customer.admin.ask(eu, "DELETE", f"{api.customer_path(customer.id)}/clients/{other.app.client_id}")
    refused(answer, "not-found")
    assert other.app.ask_token(eu).status == 200


def test_regions_are_listed(customer, eu):
    answer = customer.ask("GET", "/v1/regions")
    assert answer.status == 200
    regions = {region["name"]: region for region in answer.json()["regions"]}
    assert set(regions) == {"eu-fr", "us"}
    assert (regions["eu-fr"]["country"], regions["eu-fr"]["bloc"]) == ("FR", "EEA")
    assert regions["eu-fr"]["endpoint"].rstrip("/") == eu.url
