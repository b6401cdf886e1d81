"""A region with a second cell that does not answer: the first one's clients and customers do not notice."""
import pytest
from api import Principal
from extra import Extra
from problems import refused
from until import until

LOST = '''cells = (
    {
        name = "eu-fr-0"; database = "domicile"; primary = "eu0";
        nodes = ( { name = "eu0"; site = "par1"; address = "127.10.1.1"; port = 1; } );
        ca = "pg/eu-fr/ca.crt";
        gateway = { certificate = "pg/eu-fr/gateway.crt"; private_key = "pg/eu-fr/gateway.key"; };
        admin = { certificate = "pg/eu-fr/admin.crt"; private_key = "pg/eu-fr/admin.key"; };
    },'''


@pytest.fixture(scope="module")
def gateway(sandbox):
    extra = Extra(sandbox, "eu-fr", "127.10.0.78")
    try:
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
        yield gateway
    finally:
        extra.close()


def test_clients_of_a_later_cell_get_tokens(gateway, customer):
    assert customer.app.ask_token(gateway).status == 200
    answer = gateway.ask("GET", customer.record("health", "nothing"), customer.app.headers(gateway))
    refused(answer, "record-unknown")


def test_who_is_found_nowhere_may_be_in_the_lost_cell(gateway):
    """No 401: a client whose cell is lost must not take its secret for a wrong one."""
    answer = Principal("c-not-known-anywhere", "secret", "customer-app").ask_token(gateway)
    refused(answer, "unavailable")
