"""A gateway is killed with -9 at random under load, a hundred times. Directory and keys are whole each time, every
customer that was onboarded is there, and every acknowledged record opens."""
import json
import random
import threading
import time

import api
import pytest
from extra import extra_gateway
from load import Load, all_readable, stored
from until import until
from wire import Broken

TIMES = 100
START_WITHIN_S = 3
BODY = b"x" * 200


class Onboarding:
    """Onboards customers one after the other, each with a first sealed record, until the end."""

    def __init__(self, onboard, gateway, services):
        self.headers = onboard.headers(gateway, {"Content-Type": "application/json"})
        self.gateway, self.services = gateway, services
        self.acknowledged = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def _work(self):
        while not self._stop.is_set():
            customer_id = api.random_id("killed")
            document = {"id": customer_id, "region": "eu-fr", "acknowledged_services": self.services}
            try:
                answer = self.gateway.ask("POST", "/v1/customers", self.headers, json.dumps(document).encode())
            except (Broken, OSError):
                time.sleep(0.01)
                continue
            if answer.status == 201:
                self.acknowledged.append(customer_id)


@pytest.fixture
def services(onboard, eu):
    return api.services_to_acknowledge(onboard, eu)


@pytest.mark.slow
def test_p8_killed_a_hundred_times(sandbox, new_customer, onboard, services, directory, eu, sql):
    customer = new_customer(eu)
    generator = random.Random(100)
    checked = set()
    starts = []
    with extra_gateway(sandbox) as extra:
        gateway = extra.gateway()
        with Onboarding(onboard, gateway, services) as onboarding, Load(customer, gateway, workers=4) as load:
            for round_ in range(TIMES):
                before = len(load.acknowledged)
                until(lambda: len(load.acknowledged) > before + 5, within_s=20, what="the restarted gateway writes")
                time.sleep(generator.uniform(0, 0.05))
                extra.kill()
                assert directory.is_whole(), f"after kill {round_}"
                assert set(onboarding.acknowledged) <= directory.ids()
                new = {key: etag for key, etag in list(load.acknowledged.items()) if key not in checked}
                all_readable(customer, new, BODY, gateway=eu)
                checked |= set(new)
                starts.append(start_again(extra))
        assert not load.odd, load.odd[:3]
        all_readable(customer, load.acknowledged, BODY, gateway=gateway)
        unknown = [customer_id for customer_id in onboarding.acknowledged
                   if onboard.ask(gateway, "GET", api.customer_path(customer_id)).status != 200]
        assert unknown == []
    assert len(load.acknowledged) > TIMES and len(onboarding.acknowledged) > 10
    found = stored(customer)
    assert {key: found.get(key) for key in load.acknowledged} == load.acknowledged
    assert sorted(starts)[TIMES // 2] < 0.5, "a restart is quick"
    assert sql(eu, "SELECT count(*), count(DISTINCT version) FROM domicile.class_key WHERE customer = %s",
               customer.id) == [(1, 1)]


def start_again(extra):
    began = time.monotonic()
    extra.start()
    until(lambda: extra.process.poll() is not None or extra.part.readiness() == 200, within_s=START_WITHIN_S,
          every_s=0.005, what="it is ready after a kill -9")
    assert extra.process.poll() is None, extra.log_text()[-2000:]
    return time.monotonic() - began


def test_half_onboarded_customers_can_be_onboarded_again(sandbox, onboard, services, directory, eu):
    """Killed between the cell and the directory, at whatever point: asking again finishes it."""
    attempted = []
    claim, digest = api.new_claim()
    with extra_gateway(sandbox) as extra:
        gateway = extra.gateway()
        headers = onboard.headers(gateway, {"Content-Type": "application/json"})
        generator = random.Random(7)
        for _ in range(15):
            wires = [gateway.wire() for _ in range(5)]
            for wire in wires:
                customer_id = api.random_id("half")
                attempted.append(customer_id)
                document = {"id": customer_id, "region": "eu-fr", "acknowledged_services": services, "claim": digest}
                wire.request("POST", "/v1/customers", headers, json.dumps(document).encode())
            time.sleep(generator.uniform(0, 0.02))
            extra.kill()
            for wire in wires:
                wire.close()
            start_again(extra)
    for customer_id in attempted:
        document = {"id": customer_id, "region": "eu-fr", "acknowledged_services": services, "claim": digest}
        answer = api.post_json(onboard, eu, "/v1/customers", document)
        assert answer.status in (200, 201), answer
        assert directory.row(customer_id)["state"] == "active"
        claimed = api.claim_client(eu, answer.json()["claim"]["client_id"], claim)
        assert claimed.status == 200, claimed
    customer = api.Principal(claimed.json()["client_id"], claimed.json()["client_secret"], "customer-admin")
    made = customer.ask(eu, "PUT", api.record_path(attempted[-1], "health", "k"), api.TYPED, b"x")
    assert made.status == 201, made


@pytest.mark.slow
def test_p7_a_rotation_goes_on_after_kill_9(sandbox, new_customer, security, sql, eu):
    """Re-sealing is resumed by whoever starts next; nothing is lost, no tag changes."""
    customer = new_customer(eu)
    count = 3000
    lines = customer.bulk("health", [{"key": f"{number:05}", "value": number} for number in range(count)]).lines()
    etags = {line["key"]: line["etag"] for line in lines}
    rotation = f"/v1/customers/{customer.id}/classes/health/key-rotations"

    def versions():
        return dict(sql(eu, "SELECT key_version, count(*) FROM domicile.record WHERE customer = %s GROUP BY 1",
                        customer.id))

    with extra_gateway(sandbox) as extra:
        gateway = extra.gateway()
        assert security.ask(gateway, "POST", rotation).status == 202
        until(lambda: versions().get(2, 0) > 0, within_s=20, every_s=0.001, what="re-sealing has begun")
        extra.kill()
        left = versions().get(1, 0)
        start_again(extra)
        until(lambda: versions() == {2: count}, within_s=30, what="the next gateway finishes it")
    assert left > 0, "it was done before the kill: nothing was tested"
    assert stored(customer) == etags
    exported = {line["key"]: line["value"] for line in customer.export("health").lines()}
    assert exported == {key: int(key) for key in etags}
