"""What a gateway costs: load through it, and the same statements by pgbench straight to the same cell, in one run.

Figures are medians of interleaved rounds. The machine's speed drifts, so what counts is a ratio within a run, and CPU
time, not a rate alone."""
import argparse
import base64
import hashlib
import json
import os
import secrets
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from postgres import PORT
from sandbox import DEFAULT, ROOT, Sandbox

KEYS = 10000
BODY_BYTES = 1024
SOAK_GROWTH_MIB = 2
HERTZ = os.sysconf("SC_CLK_TCK")

WRK = """
local token, path, mode, keys = os.getenv("BENCH_TOKEN"), os.getenv("BENCH_PATH"), os.getenv("BENCH_MODE"), %d
local headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/octet-stream" }
local body = mode == "PUT" and string.rep("x", %d) or nil
local prepared, at = {}, 0
function init(args)
   math.randomseed(os.time() + tonumber(string.sub(tostring({}), 8)) %% 65536)
   for i = 1, 4096 do
      prepared[i] = wrk.format(mode, path .. "/k" .. math.random(1, keys), headers, body)
   end
end
function request()
   at = at %% #prepared + 1
   return prepared[at]
end
function done(summary, latency, requests)
   local e = summary.errors
   io.stderr:write(string.format('{"requests":%%d,"us":%%d,"p50_us":%%d,"p99_us":%%d,"errors":%%d}\\n', summary.requests,
      summary.duration, latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.status + e.timeout))
end
""" % (KEYS, BODY_BYTES)

FLOOD = """
wrk.method = "GET"
wrk.path = os.getenv("FLOOD_PATH")
if os.getenv("FLOOD_PACED") then
   function delay() return 10 end
end
function done(summary, latency, requests)
   io.stderr:write(string.format('{"requests":%d,"us":%d}\\n', summary.requests, summary.duration))
end
"""
FLOOD_CONNECTIONS = 64
# Both are refused before anything else is looked at, with a problem document; only the second one is traced.
FLOODS = (("alone", None), ("404, not traced", "/no-such-resource"), ("401, traced", "/v1/regions"))

PGBENCH_PUT = f"""
\\set k random(1, {KEYS})
SELECT outcome FROM domicile.record_put(:region, :epoch, :customer, :class, 'k' || :k,
    (extract(epoch FROM clock_timestamp()) * 65536000)::bigint, :version, :payload, 0, false,
    'bench', 'customer-app', 'bench', 'bench', NULL, NULL);
"""
PGBENCH_GET = f"""
\\set k random(1, {KEYS})
SELECT outcome, revision, key_version, payload
  FROM domicile.record_get(:region, :epoch, :customer, :class, 'k' || :k);
"""
PGBENCH_GET_AUDITED = f"""
\\set k random(1, {KEYS})
SELECT outcome, revision, key_version, payload
  FROM domicile.record_get_audited(:region, :epoch, :customer, :class, 'k' || :k, 'bench', 'customer-app', 'bench', 'bench');
"""


class Bench:
    def __init__(self, sandbox, seconds):
        self.gateway = sandbox.gateways["eu"]
        self.node = sandbox.nodes["eu1"]
        self.nodes = [node for node in sandbox.nodes.values() if node.region == self.gateway.region]
        self.env = sandbox.env()
        self.seconds = seconds
        self.work = tempfile.mkdtemp(prefix="bench-")
        self.context = ssl.create_default_context(cafile=self.env["CA"])

    # ---- the API ----
    def ask(self, method, path, token, body=None, content_type="application/json", basic=None):
        request = urllib.request.Request(self.gateway.url + path, data=body, method=method)
        request.add_header("Authorization", f"Bearer {token}" if token else basic)
        if body is not None:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    @staticmethod
    def basic(client, secret):
        return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()

    def token(self, client, secret):
        status, body = self.ask("POST", "/oauth/token", None, b"grant_type=client_credentials",
                                "application/x-www-form-urlencoded", self.basic(client, secret))
        if status != 200:
            sys.exit(f"no token: {status} {body.decode()}")
        return json.loads(body)["access_token"]

    def customer(self, prefix):
        """A customer with KEYS records in each class that is measured; its id, and an application's id and secret."""
        onboard = self.token(self.env["ONBOARD_CLIENT"], self.env["ONBOARD_SECRET"])
        name = f"{prefix}-{secrets.token_hex(4)}"
        claim = secrets.token_urlsafe(32)
        wanted = {"id": name, "region": self.gateway.region, "acknowledged_services": [],
                  "claim": hashlib.sha256(claim.encode()).hexdigest()}
        status, body = self.ask("POST", "/v1/customers", onboard, json.dumps(wanted).encode())
        if status == 409:
            wanted["acknowledged_services"] = [service["name"] for service in json.loads(body)["services"]]
            status, body = self.ask("POST", "/v1/customers", onboard, json.dumps(wanted).encode())
        if status != 201:
            sys.exit(f"no customer: {status} {body.decode()}")
        status, body = self.ask("POST", "/oauth/claim", None, basic=self.basic(json.loads(body)["claim"]["client_id"], claim))
        admin = self.token(json.loads(body)["client_id"], json.loads(body)["client_secret"])
        status, body = self.ask("POST", f"/v1/customers/{name}/clients", admin, b'{"role":"customer-app"}')
        client = json.loads(body)["client_id"], json.loads(body)["client_secret"]
        token = self.token(*client)
        lines = "".join(json.dumps({"key": f"k{i}", "value": "x" * (BODY_BYTES - 2)}) + "\n" for i in range(1, KEYS + 1))
        for record_class in ("health", "telemetry"):
            status, body = self.ask("POST", f"/v1/customers/{name}/records/{record_class}", token, lines.encode(),
                                    "application/x-ndjson")
            failures = [line for line in body.splitlines() if json.loads(line)["status"] != 201]
            if status != 200 or failures or body.count(b"\n") != KEYS:
                sys.exit(f"records were not stored: {status} {failures[:1]}")
        return name, client

    # ---- load ----
    def through_gateway(self, mode, record_class, customer, token, connections):
        script = os.path.join(self.work, "load.lua")
        with open(script, "w", encoding="utf-8") as file:
            file.write(WRK)
        environment = {**os.environ, "BENCH_TOKEN": token, "BENCH_MODE": mode,
                       "BENCH_PATH": f"/v1/customers/{customer}/records/{record_class}"}
        pid = self.gateway.pid()
        before = cpu_seconds(pid)
        finished = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{self.seconds}s", "--timeout", "10s", "-s", script,
                                   self.gateway.url], env=environment, capture_output=True, text=True, check=True)
        spent = cpu_seconds(pid) - before
        load = json.loads(finished.stderr.strip().splitlines()[-1])
        if load["errors"] or not load["requests"]:
            sys.exit(f"the load had errors: {load}\n{finished.stdout}")
        return {"rate": load["requests"] * 1e6 / load["us"], "p50_ms": load["p50_us"] / 1e3, "p99_ms": load["p99_us"] / 1e3,
                "seconds": load["us"] / 1e6, "cpu_us": spent * 1e6 / load["requests"], "resident_mib": resident_mib(pid)}

    def by_pgbench(self, script_text, record_class, customer, clients):
        script, log = os.path.join(self.work, "load.sql"), os.path.join(self.work, "log")
        with open(script, "w", encoding="utf-8") as file:
            file.write(script_text)
        variables = {"region": self.gateway.region, "epoch": "1", "customer": customer, "class": record_class, "version": "1",
                     "payload": "x" * (BODY_BYTES + 70)}
        command = [f"{shutil.which('pgbench') or '/usr/lib/postgresql/15/bin/pgbench'}", "-n", "-M", "prepared",
                   f"-c{clients}", "-j1", f"-T{self.seconds}", "-f", script, "-l", f"--log-prefix={log}"]
        for name, value in variables.items():
            command += ["-D", f"{name}={value}"]
        environment = {**os.environ, **self.pg_environment()}
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            sys.exit(f"pgbench failed: {finished.stderr}")
        rate = next(float(line.split()[2]) for line in finished.stdout.splitlines() if line.startswith("tps"))
        micros = []
        for name in os.listdir(self.work):
            if name.startswith("log."):
                with open(os.path.join(self.work, name), encoding="ascii") as file:
                    micros += [int(line.split()[2]) for line in file]
                os.remove(os.path.join(self.work, name))
        micros.sort()
        return {"rate": rate, "p50_ms": micros[len(micros) // 2] / 1e3, "p99_ms": micros[len(micros) * 99 // 100] / 1e3}

    def pg_environment(self):
        """As the gateway connects: its role, its certificate (a copy that libpq takes from root), verify-full."""
        source = os.path.join(self.gateway.config, "pg", self.gateway.region)
        for name in ("gateway.crt", "gateway.key", "ca.crt"):
            copied = os.path.join(self.work, name)
            shutil.copyfile(os.path.join(source, name), copied)
            os.chmod(copied, 0o600)
        return {"PGHOST": self.node.address, "PGPORT": str(PORT), "PGDATABASE": "domicile",
                "PGUSER": "domicile_gateway", "PGSSLMODE": "verify-full", "PGSSLCERT": f"{self.work}/gateway.crt",
                "PGSSLKEY": f"{self.work}/gateway.key", "PGSSLROOTCERT": f"{self.work}/ca.crt"}


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def resident_mib(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


KINDS = (("GET", "GET", "telemetry", PGBENCH_GET),
         ("GET, read audited", "GET", "health", PGBENCH_GET_AUDITED),
         ("PUT", "PUT", "health", PGBENCH_PUT))


def measure(bench, rounds, connection_counts):
    customer, client = bench.customer("bench")
    other, _ = bench.customer("bench-pg")
    samples = {}
    for turn in range(rounds):
        token = bench.token(*client)  # one lives for 15 minutes
        for kind, mode, record_class, script in KINDS:
            for count in connection_counts:
                print(f"\r\033[Kround {turn + 1} of {rounds}: {kind}, {count} connections", end="", file=sys.stderr, flush=True)
                samples.setdefault((kind, "gateway", count), []).append(
                    bench.through_gateway(mode, record_class, customer, token, count))
                samples.setdefault((kind, "pgbench", count), []).append(
                    bench.by_pgbench(script, record_class, other, count))
    print("\r\033[K", end="", file=sys.stderr)
    return {key: {name: statistics.median(sample[name] for sample in several) for name in several[0]}
            for key, several in samples.items()}


def print_table(medians, connection_counts):
    print(f"{'1 KiB':<18} {'by':<8} {'conns':>5} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU us/req':>10} {'RSS MiB':>8}")
    for kind, *_ in KINDS:
        for by in ("gateway", "pgbench"):
            for count in connection_counts:
                row = medians[kind, by, count]
                cpu = f"{row['cpu_us']:10.1f} {row['resident_mib']:8.1f}" if by == "gateway" else f"{'-':>10} {'-':>8}"
                print(f"{kind:<18} {by:<8} {count:>5} {row['rate']:>8.0f} {row['p50_ms']:>8.3f} {row['p99_ms']:>8.3f} {cpu}")
    print()
    for kind, *_ in KINDS:
        best = max(medians[kind, "pgbench", count]["rate"] for count in connection_counts)
        most = connection_counts[-1]
        first = connection_counts[0]
        added = medians[kind, "gateway", first]["p50_ms"] - medians[kind, "pgbench", first]["p50_ms"]
        print(f"{kind}: {medians[kind, 'gateway', most]['rate'] / best:.2f} times pgbench's best rate at {most} connections; "
              f"{added:+.3f} ms at the median of {first} connection; "
              f"{medians[kind, 'gateway', most]['cpu_us']:.1f} us of gateway CPU a request")


def record(arguments):
    bench = Bench(running_sandbox(), arguments.seconds)
    try:
        counts = [int(count) for count in arguments.connections.split(",")]
        medians = measure(bench, arguments.rounds, counts)
    finally:
        shutil.rmtree(bench.work)
    if arguments.json:
        print(json.dumps([{"kind": kind, "by": by, "connections": count, **row}
                          for (kind, by, count), row in medians.items()], indent=1))
    else:
        print_table(medians, counts)


def begin_flood(bench, path, **environment):
    script = os.path.join(bench.work, "flood.lua")
    with open(script, "w", encoding="utf-8") as file:
        file.write(FLOOD)
    return subprocess.Popen(["wrk", "-t1", f"-c{FLOOD_CONNECTIONS}", f"-d{bench.seconds}s", "-s", script, bench.gateway.url],
                            env={**os.environ, "FLOOD_PATH": path, **environment}, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def end_flood(flood):
    said = json.loads(flood.communicate()[1].splitlines()[-1])
    return said["requests"], said["requests"] * 1e6 / said["us"]


def region_cpu_seconds(bench):
    """Of the gateway and its cell's servers, with their backends."""
    postmasters = {node.pid() for node in bench.nodes}
    pids = {bench.gateway.pid(), *postmasters}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[1]) in postmasters:
                    pids.add(int(name))
        except OSError:
            continue
    return sum(map(cpu_seconds, pids))


def beside_flood(bench, path, customer, token, connections):
    """PUTs while refusals come at a steady rate: how many, and the CPU time of gateway and cell for each, the floods' share
    included; and what a refusal costs the gateway alone."""
    before = region_cpu_seconds(bench)
    flood = begin_flood(bench, path, FLOOD_PACED="1") if path else None
    row = bench.through_gateway("PUT", "health", customer, token, connections)
    count, row["flood"] = end_flood(flood) if flood else (0, 0)
    spent, row["refusal_us"] = region_cpu_seconds(bench) - before, 0
    if flood:
        pid = bench.gateway.pid()
        before = cpu_seconds(pid)
        alone, _ = end_flood(begin_flood(bench, path))
        row["refusal_us"] = (cpu_seconds(pid) - before) * 1e6 / alone
    row["spent"], row["refused"] = spent, count
    return row


def put_us(row, refusal_us):
    """CPU time of a PUT, without that of the refusals beside it."""
    return (row["spent"] * 1e6 - row["refused"] * refusal_us) / (row["rate"] * row["seconds"])


def refusals(arguments):
    """What a flood of refusals costs writes, beside a flood of the same rate that leaves no trace."""
    bench = Bench(running_sandbox(), arguments.seconds)
    samples = {}
    try:
        customer, client = bench.customer("bench")
        for turn in range(arguments.rounds):
            token = bench.token(*client)
            for kind, path in FLOODS[turn % 2:] + FLOODS[:turn % 2]:
                print(f"\r\033[Kround {turn + 1} of {arguments.rounds}: {kind}", end="", file=sys.stderr, flush=True)
                samples.setdefault(kind, []).append(beside_flood(bench, path, customer, token, arguments.connections))
    finally:
        shutil.rmtree(bench.work)
    print("\r\033[K", end="", file=sys.stderr)
    medians = {kind: {name: statistics.median(sample[name] for sample in several) for name in several[0]}
               for kind, several in samples.items()}
    print(f"{'PUT 1 KiB beside':<18} {'refusals/s':>10} {'PUT/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU us/refusal':>14}")
    for kind, row in medians.items():
        print(f"{kind:<18} {row['flood']:>10.0f} {row['rate']:>8.0f} {row['p50_ms']:>8.3f} {row['p99_ms']:>8.3f} "
              f"{row['refusal_us']:>14.1f}")
    # Of one round each, since the machine's speed drifts. A traced refusal is taken to cost no more than an untraced one: what
    # its trace costs is then a cost of the writes.
    untraced_us = medians[FLOODS[1][0]]["refusal_us"]
    pairs = list(zip(samples[FLOODS[2][0]], samples[FLOODS[1][0]]))
    for what, ratios in (("writes", [traced["rate"] / untraced["rate"] for traced, untraced in pairs]),
                         ("CPU time of a write", [put_us(traced, untraced_us) / put_us(untraced, untraced_us)
                                                  for traced, untraced in pairs])):
        print(f"{what}, traced against untraced: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def soak(arguments):
    """Load without a break: once it has grown to its working size, the gateway's resident memory stays flat."""
    bench = Bench(running_sandbox(), 20)
    customer, client = bench.customer("soak")
    start, served, resident = time.monotonic(), 0, []
    try:
        while (elapsed := time.monotonic() - start) < arguments.minutes * 60:
            token = bench.token(*client)
            for mode, record_class in (("PUT", "health"), ("GET", "health"), ("GET", "telemetry")):
                row = bench.through_gateway(mode, record_class, customer, token, 64)
                served += int(row["rate"] * bench.seconds)
            resident.append(row["resident_mib"])
            print(f"{elapsed / 60:6.1f} min  {served:>10} requests  {resident[-1]:8.1f} MiB resident", flush=True)
    finally:
        shutil.rmtree(bench.work)
    quarter = max(1, len(resident) // 4)
    grown = statistics.median(resident[-quarter:]) - statistics.median(resident[1:1 + quarter] or resident)
    print(f"{grown:+.1f} MiB from the first quarter to the last, of at most {SOAK_GROWTH_MIB}")
    if grown > SOAK_GROWTH_MIB:
        sys.exit("bench: the memory does not stay flat")


def directory(arguments):
    """The directory's index in memory: bytes a customer, and how long a random lookup takes."""
    program = os.path.join(ROOT, "build", "release", "bench_directory")
    if not os.access(program, os.X_OK):
        sys.exit("bench: there is no bench_directory; run: tools/build release")
    sys.exit(subprocess.run([program, str(arguments.customers)], check=False).returncode)


def running_sandbox():
    sandbox = Sandbox(os.environ.get("DOMICILE_SANDBOX", DEFAULT))
    if not sandbox.gateways["eu"].pid():
        sys.exit("bench: the sandbox does not run; bring it up with tools/sandbox up")
    return sandbox


def main():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("record", help="GET and PUT of 1 KiB, beside pgbench; one table")
    one.add_argument("--seconds", type=int, default=4, help="of each measurement")
    one.add_argument("--rounds", type=int, default=3, help="interleaved; medians are printed")
    one.add_argument("--connections", default="1,16,64")
    one.add_argument("--json", action="store_true")
    one.set_defaults(run=record)
    four = verbs.add_parser("refusals", help="what a flood of refusals costs writes, with and without its trace")
    four.add_argument("--seconds", type=int, default=4, help="of each measurement")
    four.add_argument("--rounds", type=int, default=7, help="interleaved; medians are printed")
    four.add_argument("--connections", type=int, default=64, help="of the writes")
    four.set_defaults(run=refusals)
    two = verbs.add_parser("soak", help="load for a long while; resident memory each minute")
    two.add_argument("--minutes", type=float, default=60)
    two.set_defaults(run=soak)
    three = verbs.add_parser("directory", help="the directory's index: memory and lookups")
    three.add_argument("--customers", type=int, default=10_000_000)
    three.set_defaults(run=directory)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
