"""Bulk: many records in and out as newline-delimited JSON, in constant memory, whoever is slow."""
import base64
import json
import threading
import time

import pytest
from api import NDJSON, memory_kib
from extra import extra_gateway
from problems import refused
from until import until
from wire import head

MANY = 50_000
GROWTH_KIB = 24 * 1024


def test_in_and_out(new_customer, eu):
    customer = new_customer(eu)
    values = {"text": "é", "nested": {"a": [1, 2.5, None, True]}, "number": 7, "null": None, "list": [], "empty": ""}
    answer = customer.bulk("health", [{"key": key, "value": value} for key, value in values.items()])
    assert (answer.status, answer.header("content-type")) == (200, NDJSON)
    lines = answer.lines()
    assert [line["key"] for line in lines] == list(values)
    assert all(line["status"] == 201 for line in lines)
    out = customer.export("health")
    assert (out.status, out.header("content-type")) == (200, NDJSON)
    assert {line["key"]: line["value"] for line in out.lines()} == values
    assert [line["key"] for line in out.lines()] == sorted(values)
    assert {line["key"]: line["etag"] for line in out.lines()} == {line["key"]: line["etag"] for line in lines}
    for key, value in values.items():
        record = customer.get("health", key)
        assert record.json() == value and record.header("content-type") == "application/json"


def test_bytes_in_and_out(new_customer, eu):
    customer = new_customer(eu)
    body = bytes(range(256))
    text = base64.b64encode(body).decode()
    lines = customer.bulk("identity", [{"key": "bytes", "content_type": "image/png", "value_base64": text}]).lines()
    assert lines[0]["status"] == 201, lines
    record = customer.get("identity", "bytes")
    assert (record.body, record.header("content-type")) == (body, "image/png")
    out = customer.export("identity").lines()
    assert (out[0]["content_type"], out[0]["value_base64"]) == ("image/png", text)


@pytest.mark.parametrize("record_class", ["health", "operational"])
def test_what_was_put_is_exported_byte_for_byte(new_customer, eu, record_class):
    customer = new_customer(eu)
    bodies = {"json": (b'{ "b": 1,\n "a": 2 }', "application/json"), "not-json": (b"{", "application/json"),
              "text": (b"plain \xff", "text/plain"), "empty": (b"", "application/json")}
    for key, (body, content_type) in bodies.items():
        customer.put(record_class, key, body, {"Content-Type": content_type})
    for line in customer.export(record_class).lines():
        body, content_type = bodies[line["key"]]
        assert line["content_type"] == content_type
        if "value" in line:
            assert line["value"] == json.loads(body)
        else:
            assert base64.b64decode(line["value_base64"]) == body


GOOD = {"key": "good", "value": 1}
BAD_LINES = {
    "not JSON": "nonsense", "a list": "[]", "no key": '{"value":1}', "no value": '{"key":"a"}',
    "key too long": json.dumps({"key": "k" * 513, "value": 1}), "an empty key": '{"key":"","value":1}',
    "a NUL in the key": '{"key":"a\\u0000","value":1}', "dots": '{"key":"a/../b","value":1}',
    "a number as key": '{"key":1,"value":1}', "unknown member": '{"key":"a","value":1,"x":1}',
    "both values": '{"key":"a","value":1,"value_base64":"eA=="}', "bad base64": '{"key":"a","value_base64":"?"}',
    "an escaped second value": '{"key":"a","val\\u0075e":1,"value_base64":"eA=="}',
    "an escaped name": '{"key":"a","val\\u0075e":1}', "a number as base64": '{"key":"a","value_base64":1}',
    "a base64 that is no string beside a value": '{"key":"a","value":1,"value_base64":1}',
    "a content type that is no string": '{"key":"a","value":1,"content_type":1}',
    "duplicate": '{"key":"a","key":"b","value":1}', "deep": '{"key":"a","value":' + "[" * 5000 + "]" * 5000 + "}",
    "invalid UTF-8": b'{"key":"a\xff","value":1}',
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_p8_a_bad_line_fails_alone(new_customer, eu, name):
    customer = new_customer(eu)
    bad = BAD_LINES[name]
    good = json.dumps(GOOD).encode()
    body = b"\n".join([good, bad if isinstance(bad, bytes) else bad.encode(), good.replace(b"good", b"after"), b""])
    answer = customer.ask("POST", customer.record("health"), {"Content-Type": NDJSON}, body)
    assert answer.status == 200, answer
    lines = answer.lines()
    assert [line["status"] for line in lines][::2] == [201, 201], lines
    assert 400 <= lines[1]["status"] < 500, lines
    assert lines[1]["error"]["type"].startswith("urn:domicile:error:"), lines
    assert [row["key"] for row in customer.list("health").json()["records"]] == ["after", "good"]


def test_p8_a_line_over_the_limit(new_customer, eu):
    customer = new_customer(eu)
    body = b'{"key":"large","value":"' + b"x" * (2 * 1024 * 1024) + b'"}\n' + json.dumps(GOOD).encode() + b"\n"
    answer = customer.ask("POST", customer.record("health"), {"Content-Type": NDJSON}, body)
    assert answer.status in (200, 413), answer
    if answer.status == 200:
        assert answer.lines()[0]["status"] == 413
    refused(customer.get("health", "large"), "record-unknown")


def test_the_later_of_two_lines_wins(new_customer, eu):
    customer = new_customer(eu)
    lines = customer.bulk("health", [{"key": "same", "value": number} for number in range(20)]).lines()
    assert {line["status"] for line in lines} <= {200, 201}
    assert customer.get("health", "same").json() == 19
    assert customer.get("health", "same").etag == lines[-1]["etag"]


def test_blank_and_missing_ends(new_customer, eu):
    customer = new_customer(eu)
    for body, count in ((b"", 0), (b'{"key":"x1","value":1}', 1), (b'{"key":"x2","value":1}\r\n', 1)):
        answer = customer.ask("POST", customer.record("health"), {"Content-Type": NDJSON}, body)
        assert answer.status == 200 and [line["status"] for line in answer.lines()] == [201] * count, answer


def test_another_media_type_is_refused(customer):
    answer = customer.ask("POST", customer.record("health"), {"Content-Type": "application/json"}, b"{}")
    refused(answer, "media-type")
    answer = customer.ask("GET", customer.record("health"), {"Accept": "text/csv"})
    refused(answer, "not-acceptable")


# --- many ---


def send_chunked(wire, pieces):
    for piece in pieces:
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    wire.send(b"0\r\n\r\n")


def cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
        return int(file.read().split()[0])


def cpu_is_idle(pid):
    before = cpu_ns(pid)
    time.sleep(0.2)
    return cpu_ns(pid) - before < 10_000_000


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="utf-8") as file:
        file.write("5")


def pieces_of(count, per_piece=200):
    for start in range(0, count, per_piece):
        yield "".join(f'{{"key":"many/{n:06}","value":{{"n":{n},"text":"{"x" * 100}"}}}}\n'
                      for n in range(start, start + per_piece)).encode()


@pytest.fixture(scope="module")
def many(new_customer, eu):
    """A customer with 50,000 records, brought in by one request; and how much the gateway's peak grew by it."""
    customer = new_customer(eu)
    warm_up(customer)
    forget_peak(eu.pid)
    before = memory_kib(eu.pid, "VmHWM")
    with eu.wire(within_s=60) as wire:
        wire.send(head("POST", customer.record("telemetry"), [
            ("Host", wire.host), *customer.headers({"Content-Type": NDJSON}).items(), ("Transfer-Encoding", "chunked")]))
        sender = threading.Thread(target=send_chunked, args=(wire, pieces_of(MANY)))
        sender.start()
        status, headers, _ = wire.head()
        lines = sum(piece.count(b'"status":201') for piece in wire.body(dict(headers)))
        sender.join()
    assert (status, lines) == (200, MANY)
    return customer, memory_kib(eu.pid, "VmHWM") - before


def warm_up(customer):
    """Lets the gateway make what it makes once, so that growth is what the bulk itself costs."""
    for _ in range(3):
        customer.bulk("operational", [{"key": f"warm/{n}", "value": "x" * 1000} for n in range(500)])
        customer.export("operational")


@pytest.mark.slow
def test_many_come_in_constant_memory(many):
    _, growth_kib = many
    assert growth_kib < GROWTH_KIB


@pytest.mark.slow
def test_many_go_out_in_constant_memory(many, eu):
    customer, _ = many
    forget_peak(eu.pid)
    before = memory_kib(eu.pid, "VmHWM")
    with eu.wire(within_s=60) as wire:
        wire.request("GET", customer.record("telemetry"), customer.headers({"Accept": NDJSON}))
        status, headers, _ = wire.head()
        count = sum(piece.count(b"\n") for piece in wire.body(dict(headers)))
    assert (status, count) == (200, MANY)
    assert memory_kib(eu.pid, "VmHWM") - before < GROWTH_KIB


@pytest.mark.slow
def test_p8_a_slow_reader_costs_little_and_delays_nobody(many, eu):
    customer, _ = many
    readers = [eu.wire(receive_bytes=4096) for _ in range(10)]
    before = memory_kib(eu.pid, "VmRSS")
    for wire in readers:
        wire.request("GET", customer.record("telemetry"), customer.headers({"Accept": NDJSON}))
        assert wire.fill(100)
    slowest = 0
    deadline = time.monotonic() + 2
    with eu.wire() as wire:
        while time.monotonic() < deadline:
            began = time.monotonic()
            answer = wire.ask("GET", customer.record("telemetry", "many/000000"), customer.headers())
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status == 200
    assert slowest < 0.5
    assert memory_kib(eu.pid, "VmRSS") - before < GROWTH_KIB
    for wire in readers[1:]:
        wire.close()
    wire = readers[0]
    _, headers, _ = wire.head()
    assert sum(piece.count(b"\n") for piece in wire.body(dict(headers))) == MANY, "the slow one gets it all"
    wire.close()


def test_p8_an_upload_that_breaks_off_keeps_what_was_acknowledged(new_customer, eu):
    customer = new_customer(eu)
    with eu.wire() as wire:
        wire.send(head("POST", customer.record("health"), [
            ("Host", wire.host), *customer.headers({"Content-Type": NDJSON}).items(), ("Transfer-Encoding", "chunked")]))
        piece = b"".join(b'{"key":"%04d","value":1}\n' % n for n in range(100)) + b'{"key":"half'
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    keys = [row["key"] for row in customer.list("health", "?limit=1000").json()["records"]]
    assert "half" not in keys and len(keys) <= 100


def dribble(gateway, customer, line_bytes, parts=300):
    """An unfinished line of that length, then a byte at a time; nanoseconds of CPU of the gateway for each byte."""
    with gateway.wire() as wire:
        headers = customer.app.headers(gateway, {"Content-Type": NDJSON})
        wire.send(head("POST", customer.record("health"), [("Host", wire.host), *headers.items(),
                                                           ("Transfer-Encoding", "chunked")]))
        piece = b'{"key":"dribbled","value":"' + b"x" * line_bytes
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        until(lambda: cpu_is_idle(gateway.pid), what="the gateway has taken the long part")
        before = cpu_ns(gateway.pid)
        for _ in range(parts):
            wire.send(b"1\r\nx\r\n")
            time.sleep(0.0005)
        return (cpu_ns(gateway.pid) - before) / parts


def test_p8_a_long_line_that_dribbles_costs_no_more_than_a_short_one(sandbox, new_customer, eu):
    """Each part is searched for the line's end, and not the whole line again: that would cost half a millisecond of the
    one loop for each byte of this line."""
    customer = new_customer(eu)
    with extra_gateway(sandbox, change=lambda extra: extra.set("max_body_bytes", 64 << 20)) as extra:
        short = dribble(extra.gateway(), customer, 100)
        long = dribble(extra.gateway(), customer, 32 << 20)
    assert long < short + 150_000, (long, short)


def test_paging_through_many(many):
    customer, _ = many
    with customer.gateway.wire() as wire:
        seen, after = 0, ""
        while True:
            query = f"?limit=1000&after={after}" if after else "?limit=1000"
            page = wire.ask("GET", customer.record("telemetry", query=query), customer.headers()).json()
            seen += len(page["records"])
            if page["next"] is None:
                break
            after = page["next"].replace("/", "%2F")
    assert seen == MANY
