"""PostgreSQL is stopped with SIGSTOP: it holds its connections and says nothing. Every answer comes in bounded time,
nothing piles up, and all is well after SIGCONT."""
import time

from cluster import stopped
from extra import extra_gateway
from load import Load, stored
from until import until

WITHIN_S = 2.0
QUEUE = 32


def narrow(extra):
    extra.set("statement_within_ms", int(WITHIN_S * 1000))
    extra.set("queue_max", QUEUE)


def test_answers_are_bounded_and_nothing_piles_up(sandbox, new_customer, eu, eu1):
    customer = new_customer(eu)
    customer.put("health", "before", b"1")
    with extra_gateway(sandbox, change=narrow) as extra:
        gateway = extra.gateway()
        headers = customer.app.headers(gateway, {"Content-Type": "text/plain"})
        wires = [gateway.wire() for _ in range(200)]
        assert wires[0].ask("GET", customer.record("health", "before"), headers).status == 200
        resident = gateway.resident_kib()
        with stopped(eu1):
            began = time.monotonic()
            for number, wire in enumerate(wires):
                if number % 2:
                    wire.request("PUT", customer.record("health", f"during/{number}"), headers, b"x" * 1000)
                else:
                    wire.request("GET", customer.record("health", "before"), headers)
            answers, times = [], []
            for wire in wires:
                answers.append(wire.answer())
                times.append(time.monotonic() - began)
            assert all(answer.status == 503 and int(answer.header("retry-after")) >= 1 for answer in answers)
            assert times[-1] < WITHIN_S + 3
            busy = sum(answer.slug == "busy" for answer in answers)
            assert busy >= len(wires) - 2 * QUEUE, "the queue has an end"
            assert gateway.ask("GET", "/healthz").status == 200
            for _ in range(3):  # and again, with what is left of the connections
                began = time.monotonic()
                assert wires[0].ask("GET", customer.record("health", "before"), headers).status == 503
                assert time.monotonic() - began < WITHIN_S + 3
            assert gateway.resident_kib() - resident < 32 * 1024
        until(lambda: gateway.ask("GET", customer.record("health", "before"), headers).status == 200, within_s=20,
              what="it serves again")
        for wire in wires:
            wire.close()
        until(gateway.ready, what="it is ready again")
    until(eu.ready, within_s=20, what="the sandbox's gateway is ready again")


def test_acknowledged_writes_are_there_afterwards(new_customer, eu, eu1):
    customer = new_customer(eu)
    with Load(customer, eu, persistent=True) as load:
        for _ in range(2):
            before = len(load.acknowledged)
            until(lambda: len(load.acknowledged) > before + 100, within_s=30, what="writes go on")
            with stopped(eu1):
                until(lambda: load.refused[503] > 0, within_s=30, what="writers are told")
        before = len(load.acknowledged)
        until(lambda: len(load.acknowledged) > before + 100, within_s=30, what="writes go on")
    assert not load.odd, load.odd[:3]
    found = stored(customer)
    assert {key: found.get(key) for key in load.acknowledged} == load.acknowledged
