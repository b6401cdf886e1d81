"""Rows that were written into a cell in SQL: whatever stands there, the gateway says so and lives on."""
import json

import pytest
from problems import refused

PRETTY = json.dumps({"device": "pump-7", "settings": {f"setting-{number}": number for number in range(20)}}, indent=2)


def replace_payload(sql, customer, key, payload):
    assert sql(customer.gateway, "UPDATE domicile.record SET payload = %s WHERE customer = %s AND class = 'operational'"
                                 " AND key = %s", payload, customer.id, key) == 1


@pytest.mark.parametrize("name, payload", {
    "pretty-json": PRETTY.encode(),  # "{" is 123: the next 123 bytes, newlines and all, would be the content type
    "control": b"\x0atext/\x01lainx",
    "no-slash": b"\x04textbody",
    "no-type": b"\x00body",
    "not-ascii": b"\x06te/\xc3\xa9xbody",
    "longer-than-it": b"\x10text/plain",
    "empty": b"",
}.items())
def test_p8_a_row_that_is_no_record_is_said_and_survived(customer, sql, eu, name, payload):
    assert customer.put("operational", name, b"{}").status == 201
    replace_payload(sql, customer, name, payload)
    pid = eu.pid
    refused(customer.get("operational", name), "seal")
    assert eu.ready() and eu.pid == pid, "the gateway is still the same process"
    assert customer.put("operational", name, b"again").status == 200
    assert customer.get("operational", name).body == b"again"


def test_a_row_that_is_mended_well_is_read(customer, sql):
    customer.put("operational", "mended", b"{}")
    replace_payload(sql, customer, "mended", b"\x10application/json" + PRETTY.encode())
    answer = customer.get("operational", "mended")
    assert (answer.status, answer.body) == (200, PRETTY.encode())
    assert answer.header("content-type") == "application/json"
