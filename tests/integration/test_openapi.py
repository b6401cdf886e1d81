"""The server held to docs/openapi.yaml, both ways: every operation is driven, well and badly, and no answer leaves the
contract; every path, and no other, is there."""
import copy
import json
import re
import subprocess
from urllib.parse import quote

import api
import pytest
from openapi import Contract

CONTRACT = Contract()
BYTES = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def seen():
    """operation -> statuses that were seen; filled by `ask`."""
    return {}


@pytest.fixture(scope="module")
def place(customer, american, onboard, security, ops, eu):
    """Who and what the requests are about."""
    customer.put("health", "there", b"x", BYTES)
    return {"customer": customer, "american": american, "onboard": onboard, "security": security, "ops": ops, "eu": eu,
            "client": api.add_client(customer.admin, eu, customer.id, "customer-app").client_id}


def fill(path, **values):
    return re.sub(r"\{(\w+)\}", lambda match: quote(str(values[match.group(1)]), safe=""), path)


def target(operation, place, key="there", query="", record_class="health", customer_id=None):
    values = {"id": customer_id or place["customer"].id, "customer": customer_id or place["customer"].id,
              "class": record_class, "key": key, "client_id": place["client"]}
    return fill(operation.path, **values) + query


def who(operation, place):
    """A principal that may do this."""
    if "key-rotation" in operation.path:
        return place["security"]
    if operation.path == "/v1/customers":
        return place["onboard"]
    if "/clients" in operation.path:
        return place["customer"].admin
    return place["customer"].app if "/records" in operation.path else place["customer"].admin


class Driver:
    def __init__(self, place, seen):
        self.place, self.seen = place, seen

    def ask(self, operation, path, headers=(), body=None, principal=None, expect=None, anonymous=False):
        gateway = self.place["eu"]
        principal = principal or who(operation, self.place)
        headers = dict(headers) if anonymous else principal.headers(gateway, headers)
        asked = gateway.status if operation.of_status else gateway
        answer = asked.ask(operation.method, path, headers, body)
        faults = operation.faults(answer)
        assert not faults, "\n".join([*faults, str(answer)])
        self.seen.setdefault(operation.id, set()).add(answer.status)
        if expect:
            expected = expect if isinstance(expect, tuple) else (expect,)
            assert answer.status in expected, f"{operation.id} {path}: {answer}"
        return answer


@pytest.fixture
def driver(place, seen):
    return Driver(place, seen)


def operation(method, path_ending):
    found = [item for item in CONTRACT.operations.values()
             if item.method == method and re.sub(r"\{\w+\}", "{}", item.path).endswith(path_ending)]
    assert len(found) == 1, f"{method} {path_ending}: {[item.id for item in found]}"
    return found[0]


# --- each operation, as it is meant ---


def test_token(driver, place):
    issue = operation("POST", "/oauth/token")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    basic = {"Authorization": place["customer"].app.basic(), **form}
    grant = b"grant_type=client_credentials"
    driver.ask(issue, issue.path, basic, grant, anonymous=True, expect=200)
    driver.ask(issue, issue.path, form, grant, anonymous=True, expect=401)
    driver.ask(issue, issue.path, {**form, "Authorization": "Basic eDp5"}, grant, anonymous=True, expect=401)
    driver.ask(issue, issue.path, basic, b"grant_type=password", anonymous=True, expect=400)
    driver.ask(issue, issue.path, {**basic, "Content-Type": "text/plain"}, grant, anonymous=True, expect=(400, 415))


def test_customers(driver, place):
    create, show = operation("POST", "/v1/customers"), operation("GET", "/v1/customers/{}")
    services = api.services_to_acknowledge(place["onboard"], place["eu"])
    document = {"id": api.random_id(), "region": "eu-fr", "acknowledged_services": services}
    body = json.dumps(document).encode()
    driver.ask(create, create.path, JSON, body, expect=201)
    driver.ask(create, create.path, JSON, body, expect=200)
    driver.ask(create, create.path, JSON, json.dumps({**document, "acknowledged_services": []}).encode(), expect=409)
    driver.ask(create, create.path, JSON, json.dumps({**document, "id": api.random_id(), "region": "us"}).encode(),
               expect=421)
    driver.ask(create, create.path, JSON, json.dumps({**document, "id": api.random_id(), "region": "mars"}).encode(),
               expect=422)
    driver.ask(show, target(show, place, customer_id=document["id"]), principal=place["onboard"], expect=200)
    driver.ask(show, target(show, place, customer_id="nobody"), principal=place["onboard"], expect=404)
    driver.ask(show, target(show, place, customer_id=place["american"].id), principal=place["onboard"], expect=421)


def test_claims(driver, place):
    create, take = operation("POST", "/customers"), operation("POST", "/oauth/claim")
    claim, digest = api.new_claim()
    services = api.services_to_acknowledge(place["onboard"], place["eu"])
    document = {"id": api.random_id(), "region": "eu-fr", "acknowledged_services": services, "claim": digest}
    made = driver.ask(create, create.path, JSON, json.dumps(document).encode(), expect=201).json()["claim"]["client_id"]
    basic = {"Authorization": api.Principal(made, claim, None).basic()}
    driver.ask(take, take.path, basic, expect=200, anonymous=True)
    driver.ask(take, take.path, basic, expect=401, anonymous=True)


def test_clients(driver, place):
    add, show, remove = (operation(*what) for what in (
        ("POST", "/clients"), ("GET", "/clients"), ("DELETE", "/clients/{}")))
    made = driver.ask(add, target(add, place), JSON, b'{"role":"customer-app"}', expect=201).json()
    driver.ask(show, target(show, place), expect=200)
    path = fill(remove.path.replace("{" + remove.path.rsplit("{", 1)[1], "") + "{last}", id=place["customer"].id,
                customer=place["customer"].id, last=made["client_id"])
    driver.ask(remove, path, expect=204)
    driver.ask(remove, path + "x", expect=404)


def test_records(driver, place):
    put, get, delete = (operation(method, "/records/{}/{}") for method in ("PUT", "GET", "DELETE"))
    path = target(put, place, key=api.random_id("key"))
    etag = driver.ask(put, path, BYTES, b"x", expect=201).etag
    driver.ask(put, path, BYTES, b"y", expect=200)
    driver.ask(put, path, {**BYTES, "If-Match": etag}, b"z", expect=412)
    driver.ask(put, path, {**BYTES, "If-None-Match": "*"}, b"z", expect=412)
    driver.ask(put, path, BYTES, b"x" * (1024 * 1024 + 1), expect=413)
    fresh = driver.ask(get, path, expect=200).etag
    driver.ask(get, path, {"If-None-Match": fresh}, expect=304)
    once = {**BYTES, "Idempotency-Key": api.random_id("once")}
    driver.ask(put, path, once, b"once", expect=200)
    driver.ask(put, path, once, b"other", expect=422)
    driver.ask(get, path, principal=place["ops"], expect=403)
    driver.ask(delete, path, {"If-Match": etag}, expect=412)
    driver.ask(delete, path, expect=204)
    for item in (get, delete):
        driver.ask(item, path, expect=404)
    for item in (put, get, delete):
        driver.ask(item, target(item, place, record_class="no-such"), BYTES, b"x" if item is put else None, expect=404)


def test_head_is_get_without_a_body(driver, place):
    for item in [item for item in CONTRACT.operations.values() if item.method == "HEAD"]:
        driver.ask(item, target(item, place), expect=200)
        if "{key}" in item.path:
            driver.ask(item, target(item, place, key="no-such"), expect=404)


def test_lists_and_bulk(driver, place):
    listing, bulk = operation("GET", "/records/{}"), operation("POST", "/records/{}")
    path = target(listing, place)
    driver.ask(listing, path + "?limit=1&prefix=t&after=a", expect=200)
    driver.ask(listing, path, {"Accept": api.NDJSON}, expect=200)
    driver.ask(listing, path, {"Accept": "text/csv"}, expect=406)
    lines = b'{"key":"bulk","value":{"a":1}}\nnonsense\n'
    answer = driver.ask(bulk, path, {"Content-Type": api.NDJSON}, lines, expect=200)
    assert len(answer.lines()) == 2
    driver.ask(bulk, path, BYTES, lines, expect=415)


def test_clients_in_pages(driver, place):
    listing = operation("GET", "/clients")
    path = target(listing, place)
    assert driver.ask(listing, path + "?limit=1", expect=200).json()["next"]
    assert driver.ask(listing, path + "?limit=1000&after=c-0", expect=200).json()["next"] is None
    driver.ask(listing, path + "?after=%00", expect=400)


def test_rotation(driver, place):
    start, status = operation("POST", "/key-rotations"), operation("GET", "/key-rotations")
    driver.ask(start, target(start, place), expect=202)
    driver.ask(status, target(status, place), expect=200)
    driver.ask(start, target(start, place), principal=place["customer"].app, expect=403)


def test_the_rest(driver):
    for path in ("/v1/regions", "/healthz", "/readyz", "/metrics"):
        item = operation("GET", path)
        driver.ask(item, path, expect=200, anonymous=not item.needs_token)


# --- each operation, badly, by rules that the file itself states ---

WITH_TOKEN = [item.id for item in CONTRACT.operations.values() if item.needs_token]


def body_for(item, place):
    """A body that fits the operation."""
    if item.body_schema() is not None:
        media = CONTRACT.resolve(item.spec["requestBody"])["content"]["application/json"]
        return JSON, json.dumps(media.get("example") or next(iter(media["examples"].values()))["value"]).encode()
    if "requestBody" in item.spec:
        content = CONTRACT.resolve(item.spec["requestBody"])["content"]
        return {"Content-Type": next((name for name in content if "*" not in name), "text/plain")}, b'{"key":"k","value":1}'
    return {}, None


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_without_a_token(driver, place, name):
    item = CONTRACT.operations[name]
    headers, body = body_for(item, place)
    driver.ask(item, target(item, place), headers, body, anonymous=True, expect=401)
    driver.ask(item, target(item, place), {**headers, "Authorization": "Bearer nonsense"}, body, anonymous=True,
               expect=401)


PATH_CASES = [(item.id, parameter["name"]) for item in CONTRACT.operations.values()
              for parameter in item.parameters_in("path")]


@pytest.mark.parametrize("name, parameter", PATH_CASES)
def test_a_path_parameter_against_its_pattern(driver, place, name, parameter):
    item = CONTRACT.operations[name]
    headers, body = body_for(item, place)
    good = {"id": place["customer"].id, "customer": place["customer"].id, "class": "health", "key": "there",
            "client_id": place["client"]}
    bad_ones = ["x" * 513] if parameter == "key" else ["UPPER", "a_b", "-a", "x" * 64, "é"]
    schema = next(CONTRACT.resolve(each["schema"]) for each in item.parameters_in("path") if each["name"] == parameter)
    for bad in bad_ones:
        assert CONTRACT.errors(schema, bad), f"the contract allows {bad!r}"
        driver.ask(item, fill(item.path, **{**good, parameter: bad}), headers, body, expect=400)


@pytest.mark.parametrize("name", [item.id for item in CONTRACT.operations.values() if item.parameters_in("query")])
def test_query_parameters_against_their_schema(driver, place, name):
    item = CONTRACT.operations[name]
    for parameter in item.parameters_in("query"):
        schema = CONTRACT.resolve(parameter["schema"])
        bad_ones = ["0", "1001", "-1", "x", ""] if schema.get("type") == "integer" else ["x" * 513]
        for bad in bad_ones:
            driver.ask(item, target(item, place, query=f"?{parameter['name']}={bad}"), expect=400)
        driver.ask(item, target(item, place, query=f"?{parameter['name']}=1&{parameter['name']}=2"), expect=400)


def broken_documents(schema, document):
    """The document with one rule of its schema broken, and which."""
    for name in schema.get("required", []):
        without = copy.deepcopy(document)
        without.pop(name, None)
        yield f"without {name}", without
    if schema.get("additionalProperties") is False:
        yield "with another member", {**document, "surprise": 1}
    for name in schema["properties"]:
        yield f"{name} of another type", {**document, name: {"surprise": True}}


@pytest.mark.parametrize("name", [item.id for item in CONTRACT.operations.values() if item.body_schema()])
def test_documents_against_their_schema(driver, place, name):
    item = CONTRACT.operations[name]
    schema = item.body_schema()
    headers, body = body_for(item, place)
    assert not CONTRACT.errors(schema, json.loads(body)), "the example does not fit its own schema"
    for what, document in broken_documents(schema, json.loads(body)):
        assert CONTRACT.errors(schema, document), f"the contract allows a document {what}"
        answer = driver.ask(item, target(item, place), headers, json.dumps(document).encode())
        assert answer.status in (400, 422), (what, answer)
    driver.ask(item, target(item, place), {"Content-Type": "text/xml"}, body, expect=415)


# --- both ways ---


@pytest.mark.parametrize("path", CONTRACT.document["paths"])
def test_the_methods_of_a_path_are_those_of_the_file(place, path):
    gateway = place["eu"]
    concrete = fill(path, id=place["customer"].id, customer=place["customer"].id, key="k", client_id="c-x",
                    **{"class": "health"})
    asked = gateway.status if "servers" in CONTRACT.document["paths"][path] else gateway
    answer = asked.ask("PATCH", concrete, place["customer"].headers())
    assert answer.status == 405, answer
    served = {name.strip() for name in answer.header("allow").split(",")}
    declared = CONTRACT.methods(path)
    if "GET" in declared:
        declared.add("HEAD")
        served.add("HEAD")
    assert served == declared


def test_the_routes_of_the_server_are_in_the_file(sandbox):
    done = subprocess.run([f"{sandbox.home}/bin/domiciled", "--routes"], stdout=subprocess.PIPE, text=True, timeout=20,
                          check=True)
    served = set()
    for line in done.stdout.splitlines():
        method, pattern = line.split()[:2]
        served.add((method, re.sub(r"\{\w+\}", "{}", pattern)))
    declared = {(item.method, re.sub(r"\{\w+\}", "{}", item.path)) for item in CONTRACT.operations.values()}
    heads = {item for item in declared if item[0] == "HEAD"} - served
    assert served == declared - heads


def test_every_operation_was_driven_and_answered(seen):
    """Each operation of the file has answered with success, and with an error, in the tests above."""
    silent = set(CONTRACT.operations) - set(seen)
    assert not silent, f"no test drives {sorted(silent)}"
    never_well = {name for name, statuses in seen.items() if not any(status < 400 for status in statuses)}
    assert not never_well, f"never answered with success: {sorted(never_well)}"
    never_badly = {name for name in WITH_TOKEN if not any(status >= 400 for status in seen.get(name, ()))}
    assert not never_badly, f"never answered with an error: {sorted(never_badly)}"
