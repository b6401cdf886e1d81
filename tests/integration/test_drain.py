"""SIGTERM: what is in flight ends well, nothing new begins, and the process leaves in bounded time."""
import os
import signal
import threading
import time

import pytest
from extra import extra_gateway
from h2wire import H2Wire
from until import until
from wire import Broken, head


@pytest.fixture
def draining(sandbox):
    with extra_gateway(sandbox) as extra:
        yield extra


def put_head(customer, gateway, wire, key, length):
    return head("PUT", customer.record("health", key), [
        ("Host", wire.host), *customer.app.headers(gateway, {"Content-Type": "text/plain"}).items(),
        ("Content-Length", length), ("Expect", "100-continue")])


def refuses_connections(gateway):
    try:
        gateway.wire(within_s=2).close()
        return False
    except OSError:
        return True


def test_a_request_in_flight_is_finished(draining, customer):
    gateway = draining.gateway()
    with gateway.wire() as busy, gateway.wire() as idle:
        busy.send(put_head(customer, gateway, busy, "drained", 10))
        assert busy.interim() == 100
        os.kill(draining.process.pid, signal.SIGTERM)
        until(lambda: refuses_connections(gateway), what="no new connections")
        assert idle.closed(within_s=5), "an idle connection is closed at once"
        busy.send(b"0123456789")
        answer = busy.answer()
        assert answer.status in (200, 201) and answer.header("connection") == "close"
        assert busy.closed()
    assert draining.process.wait(10) == 0
    assert customer.get("health", "drained").body == b"0123456789"


def test_nothing_in_flight_ends_at_once(draining):
    began = time.monotonic()
    os.kill(draining.process.pid, signal.SIGTERM)
    assert draining.process.wait(5) == 0
    assert time.monotonic() - began < 3


def test_http2_streams_are_finished(draining, customer):
    gateway = draining.gateway()
    headers = customer.app.headers(gateway, {"content-type": "text/plain", "content-length": "4"})
    with H2Wire(gateway) as wire:
        assert wire.ask("GET", "/healthz").status == 200
        stream = wire.open("PUT", customer.record("health", "drained-h2"), headers, end=False)
        wire.h2.send_data(stream, b"ab")
        wire.flush()
        os.kill(draining.process.pid, signal.SIGTERM)
        until(lambda: refuses_connections(gateway), what="no new connections")
        while wire.goaway is None:
            wire.receive()
        assert wire.goaway[0] == 0
        wire.h2.send_data(stream, b"cd", end_stream=True)
        wire.flush()
        assert wire.answer(stream).status in (200, 201)
        assert wire.closed()
    assert draining.process.wait(10) == 0
    assert customer.get("health", "drained-h2").body == b"abcd"


def test_a_client_that_never_ends_does_not_hold_it(draining, customer):
    gateway = draining.gateway()
    with gateway.wire() as wire:
        wire.send(put_head(customer, gateway, wire, "never", 10))
        assert wire.interim() == 100
        os.kill(draining.process.pid, signal.SIGTERM)
        draining.process.wait(40)
    assert customer.get("health", "never").status == 404


def test_all_acknowledged_writes_are_there_after_it(draining, customer):
    """Writers that go on until they are cut: what was answered 201 can be read."""
    gateway = draining.gateway()
    headers = customer.app.headers(gateway, {"Content-Type": "text/plain"})
    acknowledged, started = [], threading.Barrier(5)

    def write(worker):
        with gateway.wire() as wire:
            started.wait()
            for number in range(100_000):
                try:
                    if wire.ask("PUT", customer.record("health", f"w{worker}/{number}"), headers, b"x").status == 201:
                        acknowledged.append(f"w{worker}/{number}")
                except (Broken, OSError):
                    return

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    while len(acknowledged) < 100:
        time.sleep(0.005)
    os.kill(draining.process.pid, signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    assert draining.process.wait(10) == 0
    stored = {row["key"] for prefix in range(4) for row in pages(customer, f"w{prefix}/")}
    assert set(acknowledged) <= stored and len(acknowledged) >= 100


def pages(customer, prefix):
    after = ""
    while after is not None:
        more = f"&after={after.replace('/', '%2F')}" if after else ""
        page = customer.list("health", f"?limit=1000&prefix={prefix.replace('/', '%2F')}{more}").json()
        yield from page["records"]
        after = page["next"]
