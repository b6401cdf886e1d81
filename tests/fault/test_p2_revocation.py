"""P2, where the one who would know does not answer: what goes on ends within seven seconds."""
import time

import api
from cluster import stopped
from extra import extra_gateway
from streams import Bulk, Export, count
from test_directory_lost import moved_away
from until import until

WITHIN_S = 7
SLACK_S = 1  # of a busy machine, and of asking for metrics


def test_p2_a_silent_cell(new_customer, eu, eu1):
    """Nobody can say any more whether the client is disabled."""
    customer = new_customer(eu)
    page = api.customer_path(customer.id)
    with Bulk(eu, customer, customer.headers()) as bulk, eu.wire() as wire:
        bulk.send(f"k{i}" for i in range(128))
        bulk.answers(128)
        headers = customer.headers()
        before = count(eu)
        with stopped(eu1):
            since = time.monotonic()
            assert wire.ask("GET", page, headers).status == 200, "what is known counts for a moment"
            until(lambda: wire.ask("GET", page, headers).status == 503, within_s=WITHIN_S + SLACK_S, every_s=0.1,
                  what="its requests are refused")
            until(lambda: count(eu) > before, within_s=WITHIN_S + SLACK_S - (time.monotonic() - since),
                  what="the bulk request is broken off")
        assert not bulk.answers()[1]
    until(lambda: customer.get("health", "k0").status == 200, within_s=30, what="it serves again")
    until(eu.ready, within_s=30, what="the gateway is ready again")


def test_p2_a_lost_directory(sandbox, directory, new_customer, eu):
    customer = new_customer(eu)
    customer.bulk("health", [{"key": f"k{i:03}", "value": "x" * 60_000} for i in range(250)])
    with extra_gateway(sandbox, change=lambda extra: extra.use_copy_of_directory(directory)) as extra:
        gateway = extra.gateway()
        with Export(gateway, customer, customer.headers()) as export:
            before = count(gateway)
            with moved_away(extra.path("directory.sqlite")):
                until(lambda: count(gateway) > before, within_s=WITHIN_S + SLACK_S, what="the export is broken off")
                assert customer.app.ask(gateway, "GET", customer.record("health", "k000")).status == 200
            assert not export.rest()[1]
        assert "it is not known any more where the customer lives" in extra.log_text()
