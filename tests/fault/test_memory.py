"""A gateway that works all day holds what it held in the morning: memory, descriptors, fibers."""
import os
import re
import threading
import time

import pytest
from extra import extra_gateway
from until import until

WARM_UP_S, LOAD_S = 6, 20
WORKERS = 12
GROWTH_KIB = 4 * 1024
BODIES = [b"x" * size for size in (10, 300, 2_000, 40_000)]


def fibers(gateway):
    """How many there are, with the one that answers."""
    return int(re.search(r"(?m)^domicile_fibers (\d+)", gateway.status.ask("GET", "/metrics").body.decode()).group(1))


def descriptors(gateway):
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


class Mix:
    """What a worker asks on a connection of its own, over and over: writes, reads, lists, and what is refused."""

    def __init__(self, gateway, customer, number):
        self.gateway, self.customer, self.number = gateway, customer, number
        self.headers = customer.headers()
        self.answered, self.odd = 0, []

    def run(self, until_s):
        with self.gateway.wire() as wire:
            round_ = 0
            while time.monotonic() < until_s:
                for method, target, headers, body, expected in self.requests(round_):
                    answer = wire.ask(method, target, {**self.headers, **headers}, body)
                    self.answered += 1
                    if answer.status not in expected:
                        self.odd.append(answer)
                round_ += 1

    def requests(self, round_):
        key = f"{self.number}/{round_ % 20}"
        record, typed = self.customer.record("health", key), {"Content-Type": "text/plain"}
        yield "PUT", record, typed, BODIES[round_ % len(BODIES)], (200, 201)
        yield "GET", record, {}, None, (200,)
        yield "GET", record, {}, None, (200,)
        yield "PUT", self.customer.record("telemetry", key), {**typed, "Idempotency-Key": key}, b"once", (200, 201)
        yield "GET", self.customer.record("health", "nowhere"), {}, None, (404,)
        if round_ % 10 == 0:
            yield "GET", self.customer.record("health", query=f"?prefix={self.number}/"), {}, None, (200,)
            yield "DELETE", record, {}, None, (204,)
            yield "PUT", record, {**typed, "If-Match": '"0000000000000001"'}, b"late", (412,)


def work(gateway, customer, during_s):
    """Mixed load for a while; how many answers came."""
    mixes = [Mix(gateway, customer, number) for number in range(WORKERS)]
    until_s = time.monotonic() + during_s
    threads = [threading.Thread(target=mix.run, args=(until_s,)) for mix in mixes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    odd = [answer for mix in mixes for answer in mix.odd]
    assert not odd, odd[:5]
    return sum(mix.answered for mix in mixes)


@pytest.mark.slow
def test_p8_hours_of_work_leave_nothing_behind(sandbox, new_customer, eu):
    customer = new_customer(eu)
    with extra_gateway(sandbox) as extra:
        gateway = extra.gateway()
        work(gateway, customer, WARM_UP_S)
        before = until(lambda: settled(gateway), what="the gateway is at rest after the warm-up")
        resident = gateway.resident_kib()
        answered = work(gateway, customer, LOAD_S)
        until(lambda: settled(gateway) == before, what=f"descriptors and fibers are {before} again: {settled(gateway)}")
        grown = gateway.resident_kib() - resident
        print(f"{answered} answers, {grown} KiB more of {resident}")
        assert answered > 200 * LOAD_S
        assert grown < GROWTH_KIB, f"{grown} KiB more after {answered} answers"


def settled(gateway):
    """(descriptors, fibers), when two looks see the same; else None."""
    first = descriptors(gateway), fibers(gateway)
    time.sleep(0.2)
    return first if first == (descriptors(gateway), fibers(gateway)) else None
