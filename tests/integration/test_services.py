"""The vendor's services: a promise by version, which no edit, restart or second gateway changes."""
import contextlib
import hashlib
import json
import os

import api
import pytest
from directory import Directory
from extra import Extra, extra_gateway, refuses_to_start
from problems import refused

FILE = "policies/services.cfg"
ANOTHER = "127.10.0.81"
CONFIG_STATUS = 7  # E_CONFIG, in src/base/error.def


@pytest.fixture
def alone(sandbox, directory, customer):
    """A gateway with a directory of its own, which may learn new versions; `customer` acknowledged version 1."""
    with extra_gateway(sandbox, address="127.10.0.80",
                       change=lambda extra: extra.use_copy_of_directory(directory)) as extra:
        yield extra


def edit(extra):
    """Another list, under the same version."""
    extra.substitute(FILE, r'where = "[^"]*"', 'where = "somewhere else"')


def set_version(extra, version):
    extra.substitute(FILE, r"services_version = \d+;", f"services_version = {version};")


def move_on(extra, version):
    """A new list: e-mail is kept in the region, analytics is not any more."""
    text = extra.read(FILE)
    text = text.replace('{ name = "analytics"; title = "Analytics on health data and telemetry"; regional = true; }',
                        '{ name = "analytics"; title = "Analytics"; regional = false; reason = "r"; where = "w"; }')
    start = text.index('    {\n        name = "e-mail"')
    end = text.index("},", start) + 2
    extra.write(FILE, text[:start] + '    { name = "e-mail"; title = "E-mail"; regional = true; },' + text[end:])
    set_version(extra, version)


def page(who, extra, customer_id):
    answer = who.ask(extra.gateway(), "GET", api.customer_path(customer_id))
    assert answer.status == 200, answer
    return answer.json()


def directory_of(extra):
    return Directory(extra.path("directory.sqlite"))


def test_each_version_is_kept_with_its_digest(alone):
    move_on(alone, 2)
    said = alone.reload()
    assert "version 2 of the services is kept in the directory" in said and "services_version was 1, is 2" in said
    kept = directory_of(alone).services()
    assert sorted(kept) == [1, 2]
    for version, (digest, document) in kept.items():
        assert hashlib.sha256(document.encode()).hexdigest() == digest
        assert json.loads(document)["services_version"] == version
    regional = [{service["name"]: service["regional"] for service in json.loads(kept[version][1])["services"]}
                for version in (1, 2)]
    assert [(each["e-mail"], each["analytics"]) for each in regional] == [(False, True), (True, False)]
    assert "version 2 of the services is kept" not in alone.reload(), "once"


def test_another_list_under_the_same_version_is_refused(alone, onboard, customer):
    edit(alone)
    said = alone.reload()
    assert "configuration in use is unchanged" in said and "services_version is still 1" in said and "somewhere else" in said, said
    assert page(onboard, alone, customer.id)["services_version"] == 1
    said, status = alone.refuses_to_start_again()
    assert status == CONFIG_STATUS, said
    assert "services_version is still 1" in said and "somewhere else" in said, said
    set_version(alone, 2)
    assert page(onboard, alone.start_again(), customer.id)["current_services_version"] == 2


def test_a_smaller_version_is_refused(alone, onboard, customer):
    first = alone.read(FILE)
    move_on(alone, 5)
    assert "is in use" in alone.reload()
    second = alone.read(FILE)
    for smaller in (first, second.replace("services_version = 5", "services_version = 4")):
        alone.write(FILE, smaller)
        said = alone.reload()
        assert "configuration in use is unchanged" in said and "knows version 5 of the services" in said, said
    said, status = alone.refuses_to_start_again()
    assert status == CONFIG_STATUS, said
    assert "services_version is 4" in said and "knows version 5 of the services" in said, said
    alone.write(FILE, first.replace("services_version = 1", "services_version = 6"))  # back to the first list
    assert page(onboard, alone.start_again(), customer.id)["current_services_version"] == 6
    assert sorted(directory_of(alone).services()) == [1, 5, 6]


def test_who_acknowledged_a_list_is_shown_that_list(alone, onboard, customer, sql):
    before = page(onboard, alone, customer.id)
    assert before["acknowledged_services"] == ["e-mail", "push-notifications", "support-tickets"]
    move_on(alone, 2)
    alone.reload()
    newer = api.random_id()
    services = api.services_to_acknowledge(onboard, alone.gateway())
    document = {"id": newer, "region": "eu-fr", "acknowledged_services": services}
    refused(api.post_json(onboard, alone.gateway(), "/v1/customers",
                          {**document, "acknowledged_services": before["acknowledged_services"]}), "acknowledgement")
    assert api.post_json(onboard, alone.gateway(), "/v1/customers", document).status == 201
    for _ in range(2):
        old, new = page(onboard, alone, customer.id), page(onboard, alone, newer)
        assert (old["services_version"], new["services_version"]) == (1, 2)
        assert old["current_services_version"] == new["current_services_version"] == 2
        assert old["acknowledged_services"] == before["acknowledged_services"]
        assert new["acknowledged_services"] == ["analytics", "push-notifications", "support-tickets"]
        assert [service["name"] for service in old["services_leaving_region"]] == services
        alone.start_again()
    assert sql(alone.gateway(), "SELECT customer, revision FROM domicile.audit WHERE action = 'onboard'"
                                " AND customer = ANY(%s) ORDER BY revision", [customer.id, newer]) == [
        (customer.id, 1), (newer, 2)]


@pytest.fixture
def pair(sandbox, alone):
    """A second gateway beside it, with files of its own and the same directory."""
    with extra_gateway(sandbox, address=ANOTHER, change=lambda extra: share(extra, alone)) as other:
        yield alone, other


def share(extra, alone):
    extra.use_directory(alone.path("directory.sqlite"))


def test_two_gateways_of_one_directory_promise_the_same(pair, onboard, customer, sandbox):
    one, other = pair
    move_on(one, 2)
    assert "is in use" in one.reload()
    assert page(onboard, other, customer.id)["current_services_version"] == 1, "it has not been told yet"
    assert "knows version 2 of the services" in other.reload(), "it is behind"

    edit(other)
    set_version(other, 2)
    said = other.reload()
    assert "configuration in use is unchanged" in said and "services_version is still 2" in said, said
    said, status = other.refuses_to_start_again()
    assert status == CONFIG_STATUS and "services_version is still 2" in said, said

    other.write(FILE, one.read(FILE))
    shown = page(onboard, other.start_again(), customer.id)
    assert (shown["services_version"], shown["current_services_version"]) == (1, 2)
    assert shown == page(onboard, one, customer.id)

    move_on_together(one, other)
    assert {page(onboard, extra, customer.id)["current_services_version"] for extra in pair} == {3}


def move_on_together(one, other):
    """Both are given version 3 in the same moment, with two lists: the first one's is the one that counts."""
    set_version(one, 3)
    edit(other)
    set_version(other, 3)
    said = [extra.reload() for extra in (one, other)]
    assert "is in use" in said[0] and "services_version is still 3" in said[1], said
    other.write(FILE, one.read(FILE))
    assert "is in use" in other.reload()


def test_a_customer_of_a_list_that_another_gateway_brought(pair, onboard):
    """It is behind, and still says what was acknowledged elsewhere."""
    one, other = pair
    move_on(one, 2)
    one.reload()
    newer = api.onboard_customer(onboard, one.gateway(), api.services_to_acknowledge(onboard, one.gateway()))
    shown = page(onboard, other, newer.id)
    assert (shown["services_version"], shown["current_services_version"]) == (2, 1)
    assert shown["acknowledged_services"] == ["analytics", "push-notifications", "support-tickets"]


def test_a_lost_directory_stops_new_promises_alone(alone, onboard, customer):
    """Certificates and policies may be renewed while it is away; another list may not come into force."""
    gateway = alone.gateway()
    path = alone.path("directory.sqlite")
    onboard.token(gateway)
    with away(path):
        said = alone.reload()
        assert "is in use" in said and "they have not changed, ignoring" in said, said
        move_on(alone, 2)
        said = alone.reload()
        assert "configuration in use is unchanged" in said and "error=directory" in said, said
        assert page(onboard, alone, customer.id)["acknowledged_services"], "of a list that it knows"
    assert "is in use" in alone.reload()
    assert sorted(directory_of(alone).services()) == [1, 2]


@contextlib.contextmanager
def away(path):
    names = [name for name in (path, f"{path}-wal", f"{path}-shm") if os.path.exists(name)]
    for name in names:
        os.rename(name, f"{name}.away")
    try:
        yield
    finally:
        for name in names:
            os.rename(f"{name}.away", name)


def test_p8_a_first_start_with_an_edited_list_is_refused_too(sandbox, directory):
    """A gateway that never ran before is held to what others promised."""
    def change(extra: Extra):
        extra.use_copy_of_directory(directory)
        edit(extra)

    said, status = refuses_to_start(sandbox, change, address="127.10.0.82")
    assert status == CONFIG_STATUS and "services_version is still 1" in said, said
