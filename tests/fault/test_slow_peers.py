"""Peers that dribble, however steadily, are closed in bounded time and delay nobody."""
import select
import socket
import threading
import time

import pytest
from extra import extra_gateway
from wire import Broken

HANDSHAKE_MS, HEAD_MS, BODY_MS, IDLE_MS = 1000, 1000, 1500, 1200
SLACK_S = 2.0


@pytest.fixture(scope="module")
def strict(sandbox):
    def change(extra):
        extra.set("handshake_within_ms", HANDSHAKE_MS)
        extra.set("head_within_ms", HEAD_MS)
        extra.set("body_within_ms", BODY_MS)
        extra.set("idle_ms", IDLE_MS)

    with extra_gateway(sandbox, change=change) as extra:
        yield extra.gateway()


def dribble(wire, data, every_s=0.05, at_most_s=10):
    """Sends a byte at a time until the peer answers or closes; how long that took."""
    began = time.monotonic()
    for byte in data:
        if time.monotonic() - began > at_most_s:
            break
        try:
            wire.send(bytes([byte]))
        except OSError:
            break
        if select.select([wire.socket], [], [], every_s)[0]:
            break
    return time.monotonic() - began


def test_p8_a_head_that_dribbles(strict):
    with strict.wire() as wire:
        took = dribble(wire, b"GET /healthz HTTP/1.1\r\nHost: h\r\n" + b"X-Slow: " + b"a" * 1000)
        assert HEAD_MS / 1000 - 0.2 < took < HEAD_MS / 1000 + SLACK_S
        try:
            assert wire.answer().status == 408
        except Broken:
            pass  # closing without a word is as good
        assert wire.closed(within_s=5)


def test_p8_a_body_that_dribbles(strict, customer):
    with strict.wire() as wire:
        lines = "".join(f"{name}: {value}\r\n" for name, value in customer.app.headers(strict).items())
        wire.send(f"PUT {customer.record('health', 'slow')} HTTP/1.1\r\nHost: h\r\n{lines}Content-Type: text/plain\r\n"
                  "Content-Length: 1000\r\n\r\n".encode())
        took = dribble(wire, b"x" * 999)
        assert BODY_MS / 1000 - 0.2 < took < BODY_MS / 1000 + SLACK_S
        assert wire.answer().slug == "slow"
        assert wire.closed(within_s=5)
    assert customer.get("health", "slow").status == 404


def test_p8_a_handshake_that_dribbles(strict):
    for data in (b"", b"\x16\x03\x01\x02\x00\x01"):
        with socket.create_connection((strict.address, strict.port), timeout=10) as plain:
            plain.sendall(data)
            began = time.monotonic()
            try:
                while plain.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            assert time.monotonic() - began < HANDSHAKE_MS / 1000 + SLACK_S


def test_p8_an_idle_connection_is_closed(strict):
    with strict.wire() as wire:
        assert wire.ask("GET", "/healthz").status == 200
        began = time.monotonic()
        assert wire.closed(within_s=IDLE_MS / 1000 + SLACK_S)
        assert time.monotonic() - began > IDLE_MS / 1000 - 0.3


def times_of_answers(strict, customer, for_s):
    """How long each of a row of requests on one connection takes, in order of length."""
    headers, times, deadline = customer.app.headers(strict), [], time.monotonic() + for_s
    with strict.wire() as wire:
        while time.monotonic() < deadline:
            began = time.monotonic()
            assert wire.ask("GET", customer.record("health", "served"), headers).status == 200
            times.append(time.monotonic() - began)
    return sorted(times)


def test_p8_hundreds_of_dribblers_delay_nobody(strict, customer):
    """Compared with the same requests without dribblers, just before: this machine may be busy with other things."""
    customer.put("health", "served", b"x")
    quiet = times_of_answers(strict, customer, for_s=1)
    wires = [strict.wire() for _ in range(300)]
    stop = threading.Event()

    def drip():
        while not stop.is_set():
            for wire in wires:
                try:
                    wire.send(b"G")
                except OSError:
                    continue

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        beside = times_of_answers(strict, customer, for_s=2)
    finally:
        stop.set()
        thread.join()
    assert beside[len(beside) // 2] < 20 * quiet[len(quiet) // 2]
    assert all(wire.closed(within_s=5) for wire in wires)
    for wire in wires:
        wire.close()
