"""Ten thousand idle TLS connections cost little and delay nobody."""
import resource
import socket
import time

import pytest
from extra import extra_gateway
from wire import context_of

COUNT = 10_000
KIB_EACH = 40


def roomy(extra):
    extra.set("idle_ms", 600_000)
    extra.set("max_connections", COUNT + 1000)


@pytest.mark.slow
def test_p8_ten_thousand_idle_connections(sandbox, new_customer, eu):
    raise_open_files(COUNT + 2000)
    customer = new_customer(eu)
    customer.put("health", "served", b"x" * 1000)
    with extra_gateway(sandbox, change=roomy) as extra:
        gateway = extra.gateway()
        headers = customer.app.headers(gateway)
        context = context_of(gateway.ca)
        before = gateway.resident_kib()
        idle = []
        try:
            for _ in range(COUNT):
                plain = socket.create_connection((gateway.address, gateway.port), timeout=30)
                idle.append(context.wrap_socket(plain, server_hostname=gateway.address))
            each = (gateway.resident_kib() - before) / COUNT
            assert each < KIB_EACH, f"{each:.1f} KiB for each"
            slowest = 0
            with gateway.wire() as wire:
                for _ in range(200):
                    began = time.monotonic()
                    assert wire.ask("GET", customer.record("health", "served"), headers).status == 200
                    slowest = max(slowest, time.monotonic() - began)
            assert slowest < 0.5
            for connection in (idle[0], idle[COUNT // 2], idle[-1]):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
        finally:
            for connection in idle:
                connection.close()
        assert gateway.ask("GET", "/healthz").status == 200


def raise_open_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
