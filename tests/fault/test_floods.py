"""Floods that anybody, or a customer, can send: meanwhile another client is served as if nothing was, and afterwards the
gateway holds what it held before."""
import contextlib
import socket
import subprocess
import threading
import time

import pytest
from extra import extra_gateway
from test_idle_connections import raise_open_files
from until import until
from wire import Broken, context_of

PER_S, P99_S, SLOWEST_S = 10, 0.5, 2
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
POST, GET, END_STREAM, END_HEADERS = 0x83, 0x82, 1, 4
HALF_HEAD = bytes([0, 0, 1, 1, 0, 0, 0, 0, 3, GET])


def number(value, prefix):
    """RFC 7541 5.1; the bits before the prefix are 0."""
    if value < prefix:
        return bytes([value])
    value, text = value - prefix, bytes([prefix])
    while value >= 128:
        value, text = value // 128, text + bytes([value % 128 + 128])
    return text + bytes([value])


def literal(index, text):
    """A header whose name is in HPACK's static table, not indexed."""
    text = text.encode()
    return number(index, 15) + number(len(text), 127) + text


def head(stream, method, path, more=b"", flags=END_HEADERS):
    block = bytes([method, 0x87]) + literal(4, path) + literal(1, "h") + more
    return len(block).to_bytes(3, "big") + bytes([1, flags]) + stream.to_bytes(4, "big") + block


class Genuine:
    """A client that asks ten times a second on a connection of its own, and reconnects when that is closed between two
    requests, as clients do."""

    def __init__(self, gateway, customer):
        self.gateway, self.headers = gateway, customer.app.headers(gateway)
        self.path = customer.record("health", "genuine")
        self.took, self.faults = [], []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work)

    def __enter__(self):
        self.thread.start()
        until(lambda: self.took, what="the first answer")
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def _work(self):
        wire = None
        while not self.stop.wait(1 / PER_S):
            began = time.monotonic()
            try:
                wire = wire or self.gateway.wire()
                try:
                    answer = wire.ask("GET", self.path, self.headers)
                except (Broken, OSError):
                    wire.close()
                    wire = self.gateway.wire()
                    answer = wire.ask("GET", self.path, self.headers)
                if answer.status != 200:
                    self.faults.append(answer)
            except (Broken, OSError) as error:
                self.faults.append(error)
                wire = None
            self.took.append(time.monotonic() - began)
        if wire:
            wire.close()

    def check(self):
        took = sorted(self.took)
        assert not self.faults, self.faults[:5]
        assert len(took) >= 20
        assert took[int(len(took) * 0.99) - 1] < P99_S and took[-1] < SLOWEST_S, took[-5:]


@contextlib.contextmanager
def attackers(gateway, count):
    """So many HTTP/2 connections; fewer stay where there is no room."""
    raise_open_files(count + 200)
    context, opened = context_of(gateway.ca, ["h2"]), []
    try:
        for _ in range(count):
            plain = socket.create_connection((gateway.address, gateway.port), timeout=30)
            try:
                opened.append(context.wrap_socket(plain, server_hostname=gateway.address))
                opened[-1].sendall(HELLO)
            except OSError:
                plain.close()  # it was closed to make room
        yield opened
    finally:
        for connection in opened:
            connection.close()


def send_all(opened, data):
    """To those that are still open; how many these are."""
    sent = 0
    for connection in opened:
        try:
            connection.sendall(data)
            sent += 1
        except OSError:
            pass
    return sent


@pytest.fixture
def gateway(sandbox, customer):
    def change(extra):
        extra.set("max_connections", 1000)
        extra.set("head_within_ms", 2000)
        extra.set("body_within_ms", 5000)

    with extra_gateway(sandbox, change=change) as extra:
        gateway = extra.gateway()
        assert customer.put("health", "genuine", b"x" * 1000).status in (200, 201)
        yield gateway


def connections(gateway):
    return metric(gateway, "domicile_http_connections")


def metric(gateway, name):
    for line in gateway.status.ask("GET", "/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(name)


@pytest.mark.slow
def test_p8_half_heads_are_cut_and_keep_nobody_out(gateway, customer):
    with Genuine(gateway, customer) as genuine, attackers(gateway, 200) as opened:
        send_all(opened, head(1, GET, "/healthz", flags=END_HEADERS | END_STREAM) + HALF_HEAD)
        until(lambda: connections(gateway) < 10, within_s=15, what="half heads are cut")
        time.sleep(2)
    genuine.check()
    assert metric(gateway, "domicile_http_heads_refused_total") >= 200


@pytest.mark.slow
def test_p8_connections_are_opened_again_and_again(sandbox, customer):
    """As many as there may be, over and over: who was there and only idles stays."""
    with extra_gateway(sandbox, change=lambda extra: extra.set("max_connections", 50)) as extra:
        few = extra.gateway()
        assert customer.put("health", "genuine", b"x").status in (200, 201)
        with Genuine(few, customer) as genuine:
            for _ in range(4):
                with attackers(few, 100) as opened:
                    send_all(opened, head(1, GET, "/healthz", flags=END_HEADERS | END_STREAM) + HALF_HEAD)
                    time.sleep(0.5)
        genuine.check()
        assert metric(few, "domicile_http_connections_evicted_total") > 50


@pytest.mark.slow
def test_p8_half_requests_take_no_fibers(gateway, customer):
    before = gateway.resident_kib()
    form = literal(31, "application/x-www-form-urlencoded")
    flood = b"".join(head(2 * n + 1, POST, "/oauth/token", form) for n in range(100))
    with Genuine(gateway, customer) as genuine, attackers(gateway, 340) as opened:
        assert send_all(opened, flood) == 340
        time.sleep(1)
        assert metric(gateway, "domicile_fibers") < 200
        time.sleep(7)
    genuine.check()
    until(lambda: gateway.resident_kib() < before + 32 * 1024, within_s=20, what="memory comes back")


@pytest.mark.slow
def test_p8_closed_windows_hold_a_bounded_number_of_bytes(gateway, customer):
    before = gateway.resident_kib()
    assert customer.put("health", "large", b"l" * 1_000_000).status in (200, 201)
    token = literal(23, customer.app.headers(gateway)["Authorization"])
    path = customer.record("health", "large")
    most, done = [0], threading.Event()

    def look():
        while not done.wait(0.05):
            most[0] = max(most[0], gateway.resident_kib())

    looks = threading.Thread(target=look)
    looks.start()
    try:
        with Genuine(gateway, customer) as genuine, attackers(gateway, 3) as opened:
            for n in range(100):
                send_all(opened, head(2 * n + 1, GET, path, token, END_HEADERS | END_STREAM))
            time.sleep(6)
    finally:
        done.set()
        looks.join()
    genuine.check()
    print(f"{before} KiB before, {most[0]} at most")
    assert most[0] < before + 300 * 1024
    until(lambda: gateway.resident_kib() < before + 64 * 1024, within_s=30, what="memory comes back")
    assert metric(gateway, "domicile_http_held_bytes") < 1_000_000


def update_keys(gateway, count):
    """s_client takes a command from what it reads at once: one at a time. It ends when it is cut."""
    command = ["openssl", "s_client", "-connect", f"{gateway.address}:{gateway.port}", "-tls1_3", "-CAfile", gateway.ca]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as client:
        time.sleep(0.5)
        with contextlib.suppress(BrokenPipeError):
            for _ in range(count):
                client.stdin.write(b"k\n")
                client.stdin.flush()
                time.sleep(0.005)
        with contextlib.suppress(BrokenPipeError):
            client.stdin.close()
        assert client.wait(timeout=30) is not None


@pytest.mark.slow
def test_p8_key_updates_are_cut(gateway, customer):
    with Genuine(gateway, customer) as genuine:
        for _ in range(3):
            update_keys(gateway, 300)
        time.sleep(3)
    genuine.check()
    assert metric(gateway, "domicile_http_floods_cut_total") >= 1
