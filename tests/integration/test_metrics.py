"""What /metrics says: Prometheus' format, names and units, and nothing about any customer."""
import os
import re
import socket
import time
from pathlib import Path

import api
import exposition
import pytest
from exposition import scrape, series, total
from h2wire import H2Wire
from until import until

ROOT = Path(__file__).resolve().parents[2]
LABELS = {"protocol", "status", "cell", "version", "region", "node", "state", "code", "le", "reason", "channel",
          "severity", "slot", "of"}
NOT_BASE_UNITS = re.compile(r"_(ns|us|ms|nanoseconds|microseconds|milliseconds|minutes|hours|days|bits|kb|kib|mb|mib|gb"
                            r"|gib|kilobytes|kibibytes|megabytes|mebibytes|percent)(_|$)")
PROCESS = {"process_cpu_seconds_total": "counter", "process_resident_memory_bytes": "gauge",
           "process_open_fds": "gauge", "process_start_time_seconds": "gauge"}
DURATION = "domicile_http_request_duration_seconds"


@pytest.fixture(scope="module", autouse=True)
def all_is_measured(eu):
    """The hosts' disks are asked for the first time some seconds after the start."""
    until(lambda: "domicile_disk_size_bytes{" in scrape(eu), what="the disks are in the metrics")


@pytest.fixture
def families(eu):
    return exposition.parse(scrape(eu))


# --- names ---


def test_the_format_is_strict(families):
    """parse() has looked at it: HELP and TYPE once for each family, before its samples; no series twice."""
    assert len(families) > 25


@pytest.mark.parametrize("text, fault", [
    ("# HELP a x\n# TYPE a gauge\na 1", "no end"),
    ("# TYPE a gauge\na 1\n", "another family"),
    ("# HELP a x\na 1\n", "outside"),
    ("# HELP a x\n# TYPE a gauge\na 1\n# HELP a x\n", "second HELP"),
    ("# HELP a x\n# TYPE a gauge\n# TYPE a gauge\na 1\n", "second TYPE"),
    ("# HELP a x\n# TYPE a gauge\na 1\na 2\n", "twice"),
    ("# HELP a x\n# TYPE a gauge\nb 1\n", "outside"),
    ('# HELP a x\n# TYPE a gauge\na{b="1",b="2"} 1\n', "stands twice"),
    ("# HELP a x\n# TYPE a gauge\n# HELP b x\n# TYPE b gauge\nb 1\n", "no sample"),
    ("# HELP a x\n# TYPE a gauge\na{b=1} 1\n", "none"), ("# HELP a\n# TYPE a gauge\na 1\n", "without its text")])
def test_the_parser_finds_faults(text, fault):
    with pytest.raises(AssertionError, match=fault):
        exposition.parse(text)


def test_counters_are_called_total_and_nothing_else_is(families):
    for family in families.values():
        assert family.name.endswith("_total") == (family.type == "counter"), family.name


def test_units_are_seconds_and_bytes(families):
    for family in families.values():
        assert not NOT_BASE_UNITS.search(family.name), family.name
        assert not re.search(r"(second|byte|total)s?_.*(second|byte)s?", family.name), family.name
        for word, unit in (("Bytes", "_bytes"), ("time.", "_seconds"), ("since", "_seconds")):
            if word in family.help.split():
                assert unit in family.name, f"{family.name}: {family.help}"


def test_names_have_their_prefix(families):
    for name in families:
        assert name.startswith("domicile_") or name in PROCESS, name


def test_the_process_has_its_usual_names(families):
    assert {name: families[name].type for name in PROCESS} == PROCESS


def test_the_build_says_what_runs(families, domicile):
    family = families["domicile_build_info"]
    (_, labels), value = next(iter(family.samples.items()))
    version = domicile("version").stdout.decode().split()[1]
    assert (dict(labels), value) == ({"version": version, "region": "eu-fr"}, 1)
    assert family.type == "gauge" and len(family.samples) == 1


# --- labels ---


def test_labels_are_of_a_short_list_with_few_values(families, eu):
    values = {}
    for name, pairs in series(families):
        for label, value in pairs:
            values.setdefault(label, set()).add(value)
    assert set(values) <= LABELS
    assert values["protocol"] == {"1.1", "2"} and values["status"] == {f"{number}xx" for number in range(1, 6)}
    assert values["cell"] == {"eu-fr-1"} and values["region"] == {eu.region}
    assert all(len(found) <= 20 for found in values.values())


def test_no_customer_key_or_client_is_named(new_customer, american, eu, ops):
    customer, key, unknown = new_customer(eu), api.random_id("key"), api.random_id("unknown")
    assert customer.put("health", key, b"x").status == 201
    assert customer.get("health", key).status == 200
    assert customer.get("health", f"{key}-none").status == 404
    assert ops.ask(eu, "GET", customer.record("health", key)).status == 403
    assert ops.ask(eu, "GET", api.customer_path(unknown)).status == 404
    assert ops.ask(eu, "GET", api.customer_path(american.id)).status == 421
    text = scrape(eu)
    for secret in (customer.id, key, unknown, american.id, customer.app.client_id, ops.client_id, '"health"'):
        assert secret not in text, secret


# --- values ---


def test_the_process_is_the_gateway(eu):
    spent = total(eu, "process_cpu_seconds_total")
    assert spent > 0
    assert abs(total(eu, "process_resident_memory_bytes") / 1024 - eu.resident_kib()) < 2048
    assert abs(total(eu, "process_open_fds") - len(os.listdir(f"/proc/{eu.pid}/fd"))) <= 3
    with open(f"/proc/{eu.pid}/stat", encoding="utf-8") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/uptime", encoding="utf-8") as file:
        started = time.time() - float(file.read().split()[0]) + ticks / os.sysconf("SC_CLK_TCK")
    assert abs(total(eu, "process_start_time_seconds") - started) < 5
    until(lambda: total(eu, "process_cpu_seconds_total") > spent, what="requests cost CPU time")


def test_counters_only_grow_and_no_series_goes_away(customer, eu):
    first = exposition.parse(scrape(eu))
    for number in range(5):
        customer.put("health", f"grow/{number}", b"x")
    second = exposition.parse(scrape(eu))
    assert set(series(first)) == set(series(second))
    for family in first.values():
        if family.type != "gauge":
            assert all(second[family.name].samples[sample] >= value for sample, value in family.samples.items())


def check_histogram(family):
    """The buckets of a histogram without other labels: in order, cumulative, and all of them counted."""
    buckets = [(dict(labels)["le"], value) for (name, labels), value in family.samples.items()
               if name.endswith("_bucket")]
    bounds = [float(le) for le, _ in buckets]
    counts = [value for _, value in buckets]
    assert buckets[-1][0] == "+Inf" and len(buckets) > 5
    assert bounds == sorted(set(bounds)) and bounds[0] > 0
    assert counts == sorted(counts)
    assert counts[-1] == family.samples[f"{family.name}_count", ()]
    return dict(zip(bounds, counts)), family.samples[f"{family.name}_sum", ()], counts[-1]


def test_the_histogram_of_durations(customer, eu):
    family = exposition.parse(scrape(eu))[DURATION]
    assert family.type == "histogram"
    _, spent, count = check_histogram(family)
    began = time.monotonic()
    for number in range(10):
        assert customer.put("health", f"timed/{number}", b"x").status == 201
    took = time.monotonic() - began
    after, spent_after, count_after = check_histogram(exposition.parse(scrape(eu))[DURATION])
    assert count_after - count == 10, "the writes; a scrape is no request of a customer"
    assert 0 < spent_after - spent < took + 0.1, "seconds"
    assert any(0 < bound <= 0.01 for bound in after) and any(1 <= bound < 60 for bound in after)


def wrong_secret(eu, principal):
    other = api.Principal(principal.client_id, "x" * 43, principal.role)
    assert other.ask_token(eu).status == 401


def half_a_head(eu):
    with eu.wire() as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert wire.answer().status == 400


def flood(eu):
    ping = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + bytes(8)
    with H2Wire(eu) as wire:
        wire.send_raw(ping * 3000)
        assert wire.closed()


def no_handshake(eu):
    with socket.create_connection((eu.address, eu.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        while plain.recv(4096):
            pass


def changed_record(world):
    """Somebody has changed a byte of it in the cell."""
    world.customer.put("health", "changed", b"x")
    assert world.sql(world.eu, "UPDATE domicile.record SET payload = set_byte(payload, 40, get_byte(payload, 40) # 1)"
                               " WHERE customer = %s AND key = 'changed'", world.customer.id) == 1
    assert world.customer.get("health", "changed").status == 500


GROWS = {
    "domicile_http_requests_total": lambda world: world.customer.get("health", "none"),
    "domicile_http_connections_accepted_total": lambda world: world.eu.ask("GET", "/healthz"),
    "domicile_http_heads_refused_total": lambda world: half_a_head(world.eu),
    "domicile_http_floods_cut_total": lambda world: flood(world.eu),
    "domicile_tls_handshakes_failed_total": lambda world: no_handshake(world.eu),
    "domicile_http_received_bytes_total": lambda world: world.customer.put("health", "bytes", b"x" * 1000),
    "domicile_http_sent_bytes_total": lambda world: world.customer.get("health", "bytes"),
    "domicile_tokens_issued_total": lambda world: world.customer.app.ask_token(world.eu),
    "domicile_clients_refused_total": lambda world: wrong_secret(world.eu, world.customer.app),
    "domicile_tokens_refused_total": lambda world: world.eu.ask("GET", "/v1/regions", {"Authorization": "Bearer x.y.z"}),
    "domicile_policy_denials_total": lambda world: world.ops.ask(world.eu, "GET", world.customer.record("health", "k")),
    "domicile_wrong_region_total": lambda world: world.ops.ask(world.eu, "GET", api.customer_path(world.american.id)),
    "domicile_customers_unknown_total": lambda world: world.ops.ask(world.eu, "GET", "/v1/customers/nobody"),
    "domicile_alarms_total": changed_record,
    "domicile_cell_statements_total": lambda world: world.customer.put("health", "statement", b"x"),
    "domicile_cell_batches_total": lambda world: world.customer.put("health", "batch", b"x"),
    "domicile_cell_looks_total": lambda world: None,
    "domicile_watch_rounds_total": lambda world: None,
}


class World:
    def __init__(self, eu, customer, american, ops, sql):
        self.eu, self.customer, self.american, self.ops, self.sql = eu, customer, american, ops, sql


@pytest.mark.parametrize("name", GROWS)
def test_a_counter_grows_at_what_it_counts(eu, customer, american, ops, sql, name):
    world = World(eu, customer, american, ops, sql)
    ops.token(eu)
    before = total(eu, name)
    GROWS[name](world)
    until(lambda: total(eu, name) > before, within_s=10, what=f"{name} grows")


def test_requests_are_counted_by_class_of_status(customer, eu):
    def counted(status):
        return total(eu, "domicile_http_requests_total", protocol="1.1", status=status)

    good, bad = counted("2xx"), counted("4xx")
    for _ in range(3):
        assert customer.get("health", "no-such-key").status == 404
    assert counted("4xx") == bad + 3
    assert counted("2xx") == good, "a scrape is no request of a customer"
    assert eu.ask("GET", "/healthz").status == 200
    assert counted("2xx") == good + 1


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_p2_customers_are_not_told_how_busy_a_region_is(eu, path):
    told = eu.ask("GET", path)
    assert (told.status, told.slug) == (404, "route")
    with H2Wire(eu) as wire:
        assert wire.ask("GET", path).status == 404
    assert eu.status.ask("GET", path).status == 200


def test_a_status_address_serves_nothing_else(customer, eu):
    for path in ("/v1/regions", "/healthz", api.customer_path(customer.id), customer.record("health", "k")):
        refused = eu.status.ask("GET", path, customer.app.headers(eu))
        assert (refused.status, refused.slug) == (404, "route"), path


def test_every_counter_is_looked_at():
    """A new counter grows above, or is named here with the test that has looked at what it counts."""
    declared = set(re.findall(r'"((?:domicile|process)_[a-z_]+_total)"', (ROOT / "src/gateway/metrics.c").read_text()))
    declared |= {f"domicile_{name}" for name in re.findall(r'"([a-z_]+_total)"', (ROOT / "src/control/monitor_metrics.c").read_text())}
    elsewhere = {
        "domicile_http_connections_refused_total": "tests/unit/http/test_server.c: connections_refused",
        "domicile_http_connections_evicted_total": "tests/unit/http/test_server.c: connections_evicted",
        "domicile_http_requests_evicted_total": "tests/unit/http/test_admit.c: requests_evicted",
        "domicile_http_requests_refused_total": "tests/unit/http/test_admit.c: requests_refused",
        "domicile_http_answers_broken_off_total": "tests/unit/http/test_server.c: answers_broken_off",
        "domicile_cell_batches_undone_total": "tests/pg/test_pg_pool.c: batches_undone",
        "domicile_cell_connections_lost_total": "tests/pg/test_pg_faults.c: losses",
        "domicile_cell_calls_refused_total": "tests/pg/test_pg_pool.c: busy",
        "domicile_cell_calls_late_total": "tests/pg/test_pg_pool.c: late",
        "domicile_cell_answers_unfit_total": "tests/integration/test_p8_unfit_answers.py: domicile_cell_answers_unfit_total",
        "domicile_streams_broken_off_total": "tests/lib/streams.py: domicile_streams_broken_off_total",
        "domicile_cell_state_changes_total": "tests/pg/test_health_monitor.c: changes",
        "domicile_cell_degrades_total": "tests/pg/test_health_monitor.c: degrades",
        "domicile_cell_restores_total": "tests/pg/test_health_monitor.c: restores",
        "domicile_cell_slots_dropped_total": "tests/pg/test_health_monitor.c: slots_dropped",
        "domicile_trace_rows_total": "tests/integration/test_p3_refusals.py: domicile_trace_rows_total",
        "domicile_trace_summed_total": "tests/integration/test_p3_refusals.py: domicile_trace_summed_total",
        "domicile_trace_dropped_total": "tests/integration/test_p3_refusals.py: domicile_trace_dropped_total",
        "process_cpu_seconds_total": "tests/integration/test_metrics.py: process_cpu_seconds_total",
    }
    assert declared == set(GROWS) | set(elsewhere)
    for place in elsewhere.values():
        path, word = place.split(": ")
        assert word in (ROOT / path).read_text(), place
