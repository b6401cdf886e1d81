"""The same API over HTTP/2, by the h2 library and by curl."""
import json
import subprocess

import api
from h2wire import H2Wire
from problems import refused


def test_all_methods_of_a_record(customer, eu):
    headers = customer.headers({"Content-Type": "text/plain"})
    target = customer.record("health", "h2")
    with H2Wire(eu) as wire:
        made = wire.ask("PUT", target, headers, b"over two")
        assert made.status == 201
        read = wire.ask("GET", target, headers)
        assert (read.status, read.body, read.etag) == (200, b"over two", made.etag)
        head = wire.ask("HEAD", target, headers)
        assert (head.status, head.body, head.header("content-length")) == (200, b"", "8")
        assert wire.ask("DELETE", target, headers).status == 204
        refused(wire.ask("GET", target, headers), "record-unknown")


def test_streams_side_by_side(customer, eu):
    headers = customer.headers({"Content-Type": "text/plain"})
    with H2Wire(eu) as wire:
        puts = [wire.request("PUT", customer.record("health", f"stream/{n}"), headers, b"%d" % n) for n in range(90)]
        assert [wire.answer(number).status for number in puts] == [201] * 90
        gets = [wire.request("GET", customer.record("health", f"stream/{n}"), headers) for n in range(90)]
        assert [wire.answer(number).body for number in gets] == [b"%d" % n for n in range(90)]


def test_a_full_body_both_ways(customer, eu):
    headers = customer.headers({"Content-Type": "text/plain"})
    body = b"x" * (1024 * 1024)
    with H2Wire(eu) as wire:
        assert wire.ask("PUT", customer.record("health", "h2-full"), headers, body).status in (200, 201)
        assert wire.ask("GET", customer.record("health", "h2-full"), headers).body == body
        refused(wire.ask("PUT", customer.record("health", "h2-over"), headers, body + b"x"), "body-size")


def test_p8_a_length_that_is_not_the_bodys(customer, eu):
    headers = customer.headers({"content-type": "text/plain", "content-length": "5"})
    with H2Wire(eu) as wire:
        stream = wire.open("PUT", customer.record("health", "h2-lies"), headers, end=False)
        wire.send_raw(b"\x00\x00\x02\x00\x01" + stream.to_bytes(4, "big") + b"xx")
        while wire.streams[stream].reset is None and not wire.streams[stream].ended and not wire.peer_closed:
            wire.receive()
        answered = wire.streams[stream].headers
        assert answered is None or dict(answered)[":status"] >= "400"
    refused(customer.get("health", "h2-lies"), "record-unknown")


def test_p8_connection_headers_are_refused(customer, eu):
    for name, value in (("connection", "keep-alive"), ("transfer-encoding", "chunked"), ("upgrade", "h2c")):
        with H2Wire(eu, checks=False) as wire:
            stream = wire.open("GET", "/healthz", {name: value})
            while wire.streams[stream].reset is None and not wire.streams[stream].ended and not wire.peer_closed:
                wire.receive()
            answered = wire.streams[stream].headers
            assert answered is None or dict(answered)[":status"] == "400", name


def test_p8_a_flood_of_resets_is_cut(customer, eu):
    with H2Wire(eu) as wire:
        sent = 0
        try:
            while sent < 20_000 and wire.goaway is None and not wire.peer_closed:
                for _ in range(50):
                    stream = wire.open("GET", "/healthz")
                    wire.h2.reset_stream(stream)
                    sent += 1
                wire.flush()
                wire.socket.settimeout(0.001)
                try:
                    wire.receive()
                except TimeoutError:
                    pass
        except OSError:
            wire.peer_closed = True
        assert wire.peer_closed or wire.goaway is not None, f"{sent} resets were taken"
    assert eu.ask("GET", "/healthz").status == 200


def test_p8_a_flood_of_pings_and_settings_is_cut(eu):
    frames = {"ping": b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"pingpong",
              "settings": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"}
    for name, frame in frames.items():
        with H2Wire(eu) as wire:
            cut = False
            try:
                for _ in range(100):
                    wire.send_raw(frame * 1000)
            except OSError:
                cut = True
            assert cut or wire.closed(within_s=10), name
    assert eu.ask("GET", "/healthz").status == 200


def test_curl_speaks_it(customer, eu):
    token = customer.app.token(eu)
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--http2", "--cacert", eu.ca, "-H", f"Authorization: Bearer {token}",
         "-X", "PUT", "--data-binary", "by curl", "-H", "Content-Type: text/plain", "-w", "%{http_version} %{http_code}",
         eu.url + customer.record("health", "curl")], stdout=subprocess.PIPE, timeout=30, check=True)
    assert done.stdout == b"2 201"
    assert customer.get("health", "curl").body == b"by curl"


def test_bulk_over_http2(customer, eu):
    lines = "".join(json.dumps({"key": f"h2/{n}", "value": n}) + "\n" for n in range(2000)).encode()
    with H2Wire(eu) as wire:
        answer = wire.ask("POST", customer.record("telemetry"), customer.headers({"Content-Type": api.NDJSON}), lines)
        assert [line["status"] for line in answer.lines()] == [201] * 2000
        out = wire.ask("GET", customer.record("telemetry"), customer.headers({"Accept": api.NDJSON}))
        assert {line["key"]: line["value"] for line in out.lines()} == {f"h2/{n}": n for n in range(2000)}
