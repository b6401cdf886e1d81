"""PostgreSQL is killed with -9 in mid-write. What was acknowledged is there; what was not was answered 503, or is done
exactly once by asking again under its Idempotency-Key."""
import time

from cluster import healthy_after, kill
from load import Load, all_readable, stored
from until import until

BODY = b"x" * 200


def more_than(load, count):
    until(lambda: len(load.acknowledged) > count, within_s=30, what=f"more than {count} writes acknowledged")
    return len(load.acknowledged)


def test_p3_acknowledged_writes_survive_kill_9(new_customer, eu, eu1, sql):
    customer = new_customer(eu)
    with healthy_after(eu1, eu), Load(customer, eu) as load:
        for _ in range(3):
            more_than(load, len(load.acknowledged) + 200)
            kill(eu1)
            broken_off = time.monotonic()
            eu1.start()
            more_than(load, len(load.acknowledged))
            assert time.monotonic() - broken_off < 20, "the gateway comes back to the cell by itself"
    assert not load.odd and load.broken == 0, (load.odd[:3], load.broken)
    assert load.refused[503] > 0, "the test never hit a write"
    found = stored(customer)
    assert {key: found.get(key) for key in load.acknowledged} == load.acknowledged
    assert set(found) - set(load.acknowledged) <= set(load.given_up)
    assert load.slowest < 10
    all_readable(customer, load.acknowledged, BODY)
    rows = sql(eu, "SELECT key, count(*) FROM domicile.audit WHERE customer = %s AND action = 'store' GROUP BY key",
               customer.id)
    assert dict(rows) == {key: 1 for key in found}, "a record has one audit row, and an audit row its record"


def test_retried_writes_happen_exactly_once(new_customer, eu, eu1, sql):
    customer = new_customer(eu)
    with healthy_after(eu1, eu), Load(customer, eu, persistent=True) as load:
        for _ in range(3):
            more_than(load, len(load.acknowledged) + 200)
            kill(eu1)
            eu1.start()
            more_than(load, len(load.acknowledged) + 50)
    assert not load.odd, load.odd[:3]
    found = stored(customer)
    assert {key: found.get(key) for key in load.acknowledged} == load.acknowledged
    rows = dict(sql(eu, "SELECT key, count(*) FROM domicile.audit WHERE customer = %s AND action = 'store'"
                        " AND outcome IN ('created', 'replaced') GROUP BY key", customer.id))
    assert rows == {key: 1 for key in found}, "written once, however often it was sent"


def test_lost_connections_are_replaced(new_customer, eu, eu1, sql):
    """Each of the gateway's connections is cut again and again under load; the cluster itself stays up."""
    customer = new_customer(eu)
    with Load(customer, eu, persistent=True) as load:
        for _ in range(10):
            more_than(load, len(load.acknowledged) + 30)
            sql(eu, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'domicile_gateway'")
        more_than(load, len(load.acknowledged) + 100)
    assert not load.odd, load.odd[:3]
    found = stored(customer)
    assert {key: found.get(key) for key in load.acknowledged} == load.acknowledged
    until(eu.ready, what="the gateway is ready")


def test_while_it_is_down_answers_are_quick(new_customer, eu, eu1):
    customer = new_customer(eu)
    customer.put("health", "before", b"1")
    with healthy_after(eu1, eu):
        kill(eu1)
        for _ in range(3):
            began = time.monotonic()
            answers = [customer.put("health", "during", b"2"), customer.get("health", "before"),
                       customer.list("health"), customer.delete("health", "before")]
            assert time.monotonic() - began < 8
            for answer in answers:
                assert answer.status == 503 and int(answer.header("retry-after")) >= 1 and answer.slug, answer
        assert eu.ask("GET", "/healthz").status == 200
        until(lambda: eu.status.ask("GET", "/readyz").status == 503, what="/readyz says so")
    assert customer.get("health", "before").body == b"1"
    assert customer.get("health", "during").status == 404
