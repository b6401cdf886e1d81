"""Writers that go on whatever happens, and remember what was acknowledged."""
import collections
import threading
import time

from wire import Broken


class Load:
    """`workers` threads, each with a connection of its own, that write one new record after the other until the end of
    the `with`. What was answered 200 or 201 is in `acknowledged` (key -> tag). A write that was refused with 503, or
    whose answer never came, is sent again under its Idempotency-Key when `persistent`, else given up."""

    def __init__(self, customer, gateway, workers=8, persistent=False, record_class="health", name="load", body=b"x" * 200):
        self.customer, self.gateway, self.persistent = customer, gateway, persistent
        self.record_class, self.name, self.body = record_class, name, body
        self.acknowledged, self.refused, self.broken = {}, collections.Counter(), 0
        self.given_up, self.slowest, self.odd = [], 0, []
        self._stop = threading.Event()
        self._headers = customer.app.headers(gateway, {"Content-Type": "text/plain"})
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(workers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a writer hangs"

    def _work(self, worker):
        wire, number = None, 0
        while not self._stop.is_set():
            key = f"{self.name}/{worker}/{number:06}"
            number += 1
            while True:
                wire, done = self._attempt(wire, key)
                if done:
                    break
                if not self.persistent or self._stop.is_set():
                    self.given_up.append(key)
                    break
                time.sleep(0.02)
        if wire:
            wire.close()

    def _attempt(self, wire, key):
        began = time.monotonic()
        try:
            wire = wire or self.gateway.wire()
            headers = {**self._headers, "Idempotency-Key": key} if self.persistent else self._headers
            answer = wire.ask("PUT", self.customer.record(self.record_class, key), headers, self.body)
        except (Broken, OSError):
            self.broken += 1
            if wire:
                wire.close()
            time.sleep(0.005)
            return None, False
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status in (200, 201):
            self.acknowledged[key] = answer.etag
            return wire, True
        self.refused[answer.status] += 1
        if answer.status != 503:
            self.odd.append(answer)
        if answer.header("connection") == "close":
            wire.close()
            wire = None
        return wire, False


def stored(customer, record_class="health", prefix="", gateway=None):
    """key -> tag of all records of the class, by its list."""
    gateway = gateway or customer.gateway
    found, after = {}, None
    with gateway.wire(within_s=30) as wire:
        while True:
            query = f"?limit=1000&prefix={prefix}" + (f"&after={after.replace('/', '%2F')}" if after else "")
            answer = wire.ask("GET", customer.record(record_class, query=query), customer.app.headers(gateway))
            assert answer.status == 200, answer
            page = answer.json()
            found.update((row["key"], row["etag"]) for row in page["records"])
            after = page["next"]
            if after is None:
                return found


def all_readable(customer, acknowledged, body, record_class="health", gateway=None):
    """Every one of these opens, with its tag and body."""
    gateway = gateway or customer.gateway
    with gateway.wire(within_s=30) as wire:
        for key, etag in acknowledged.items():
            answer = wire.ask("GET", customer.record(record_class, key), customer.app.headers(gateway))
            assert (answer.status, answer.etag, answer.body) == (200, etag, body), (key, answer)
