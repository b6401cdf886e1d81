"""The story of domicile, step by step, on real servers with real data."""
import argparse
import base64
import contextlib
import hashlib
import http.client
import json
import os
import secrets
import shlex
import ssl
import string
import subprocess
import sys
import textwrap
import time
from urllib.parse import quote

import fhir
from processes import Failure
from sandbox import DEFAULT, ROOT, Sandbox, show_end

DIRECTORY = os.environ.get("DOMICILE_SANDBOX", DEFAULT)
CLINIC, LAKESIDE = "clinique-lumiere", "lakeside-health"
COLOR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
WIDTH = 100


# --- how it looks ---

def painted(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOR else text


class Story:
    """Numbered steps, short sentences, what is typed and what is answered."""

    def __init__(self):
        self.number, self.began = 0, time.monotonic()

    def step(self, title):
        self.number += 1
        print(f"\n{painted('1;36', f'{self.number}  {title}')}", flush=True)

    @staticmethod
    def say(text):
        print(textwrap.fill(text, WIDTH, initial_indent="   ", subsequent_indent="   "), flush=True)

    @staticmethod
    def typed(command):
        print(painted("33", textwrap.indent(f"$ {command}", "   ")), flush=True)

    @staticmethod
    def answered(text, most=12):
        lines = [line[:160] for line in text.strip().splitlines()]
        shown = lines[:most] + ([f"... {len(lines) - most} more lines"] if len(lines) > most else [])
        print(textwrap.indent("\n".join(shown), "   | "), flush=True)

    @staticmethod
    def good(text):
        print(f"   {painted('32', 'ok')} {text}", flush=True)


def box(lines):
    inner = max(len(line) for line in lines)
    print("\n+" + "-" * (inner + 2) + "+")
    for line in lines:
        print(f"| {line.ljust(inner)} |")
    print("+" + "-" * (inner + 2) + "+")


def expect(true, sentence, log=None):
    """A promise of the story: when it does not hold, the demo has failed."""
    if not true:
        raise Failure(sentence, log)


# --- speaking to it ---

class Shell:
    """Runs what the story types. Words hold $NAMES of build/sandbox/env: shown as they stand, filled in to run."""

    def __init__(self, story, values):
        self.story, self.values = story, dict(values)

    def __call__(self, *words, shown=True):
        if shown:
            self.story.typed(" ".join(word if "$" in word and " " not in word else shlex.quote(word)
                                      if "$" not in word else f'"{word}"' for word in words))
        filled = [string.Template(word).substitute(self.values) for word in words]
        done = subprocess.run(filled, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
                              cwd=ROOT)
        return done.returncode, done.stdout, done.stderr


class Gateway:
    """A keep-alive connection to a gateway, as a customer's application holds one."""

    def __init__(self, url, ca):
        self.connection = http.client.HTTPSConnection(url.removeprefix("https://"), timeout=20,
                                                      context=ssl.create_default_context(cafile=ca))
        self.headers = {}

    def log_in(self, client, secret):
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        status, _, body = self.ask("POST", "/oauth/token", b"grant_type=client_credentials",
                                   {"Authorization": f"Basic {basic}",
                                    "Content-Type": "application/x-www-form-urlencoded"})
        expect(status == 200, f'"{client}" gets no token: {status} {body.decode()}')
        self.headers = {"Authorization": f"Bearer {json.loads(body)['access_token']}"}
        return self

    def claim(self, client, claim):
        basic = base64.b64encode(f"{client}:{claim}".encode()).decode()
        status, _, body = self.ask("POST", "/oauth/claim", headers={"Authorization": f"Basic {basic}"})
        return status, json.loads(body)

    def ask(self, method, path, body=None, headers=()):
        self.connection.request(method, path, body, {**self.headers, **dict(headers)})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def post_json(self, path, document):
        status, _, body = self.ask("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"})
        return status, json.loads(body)


def record_path(customer, resource):
    return f"/v1/customers/{customer}/records/{resource.record_class}/{quote(resource.key, safe='')}"


def mentions(directory, needle):
    """How many times the bytes occur in the files under a directory, and how many files and bytes were searched."""
    found = files = size = 0
    for folder, _, names in os.walk(directory):
        for path in (os.path.join(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if not os.path.isfile(path):
                    continue  # the server's socket
                with open(path, "rb") as file:
                    content = file.read()  # not mapped: the server may cut the file meanwhile
                found, files, size = found + content.count(needle), files + 1, size + len(content)
    return found, files, size


# --- the story ---

class Demo:
    def __init__(self):
        self.story = Story()
        self.sandbox = Sandbox(DIRECTORY)
        self.patients = self.shell = self.env = None
        self.homes = {}    # customer -> (its gateway's region, EU or US, the patient it treats)
        self.claims = {}   # customer -> (client id, claim)
        self.clients = {}  # customer -> (client id, secret)

    def tell(self):
        self.prepare()
        self.fetch_records()
        self.choose_regions()
        self.create_clients()
        self.write()
        self.read_back()
        self.refuse_wrong_region()
        self.search_files()
        self.watch_cells()
        self.explain()
        self.close()

    def prepare(self):
        story = self.story
        story.step("Install, build, start")
        for command in (["tools/deps"], ["tools/build", "release"]):
            story.typed(" ".join(command))
            if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
                raise Failure(f"{command[0]} failed")
        story.typed("tools/sandbox up")
        if self.sandbox.running():
            story.say("A sandbox runs already; the story starts with a new one.")
            self.sandbox.down(say=lambda _: None)
        self.sandbox.up(os.path.join(ROOT, "build", "release"), say=lambda line: story.answered(line))
        self.env = self.sandbox.env()
        self.shell = Shell(story, {**self.env, "CLINIC": CLINIC, "LAKESIDE": LAKESIDE})
        story.say("Two regions now run on this machine, each with its own gateway, hosts, PostgreSQL, certificates and "
                  "keys: France (eu-fr) on 127.10.0.1, the United States (us) on 127.20.0.1. Their cells were bare hosts "
                  "with an SSH server a moment ago; domicile did the rest.")

    def fetch_records(self):
        story = self.story
        story.step("Real records of two synthetic patients")
        story.typed(f"npm pack {fhir.PACKAGE}")
        self.patients = fhir.fetch(os.path.join(ROOT, "build", "demo"))
        self.homes = {CLINIC: ("eu-fr", "EU", self.patients["McCullough561"]),
                      LAKESIDE: ("us", "US", self.patients["Hermiston71"])}
        for customer, (region, _, patient) in self.homes.items():
            sizes = [len(resource.body) for resource in patient.resources]
            story.say(f"{customer} ({region}) treats {patient.name}: {len(sizes)} FHIR R4 resources, "
                      f"{min(sizes)} to {max(sizes)} bytes, {sum(sizes) // 1024} KiB.")

    def choose_regions(self):
        story = self.story
        story.step("Each customer chooses a region, and is told what cannot stay in it")
        for customer, (region, side, _) in self.homes.items():
            gateway = self.gateway(side).log_in(self.env["ONBOARD_CLIENT"], self.env["ONBOARD_SECRET"])
            document = {"id": customer, "region": region, "acknowledged_services": []}
            story.typed(f"POST ${side}_URL/v1/customers {json.dumps(document)}")
            status, refusal = gateway.post_json("/v1/customers", document)
            expect(status == 409, f"onboarding without acknowledgement was answered {status}: {refusal}")
            services = refusal["services"]
            story.answered(f"409 {refusal['detail']}\n" + "\n".join(
                f"{service['name']:20} {service.get('reason', '')}" for service in services))
            document["acknowledged_services"] = [service["name"] for service in services]
            claim = secrets.token_urlsafe(32)
            document["claim"] = hashlib.sha256(claim.encode()).hexdigest()
            story.typed(f"POST ${side}_URL/v1/customers {json.dumps(document)}")
            status, answer = gateway.post_json("/v1/customers", document)
            expect(status == 201, f"onboarding was answered {status}: {answer}")
            story.answered(f"201 {json.dumps(answer)}")
            self.claims[customer] = answer["claim"]["client_id"], claim

    def create_clients(self):
        story = self.story
        story.step("Each customer claims its first client, and creates one for its application")
        for customer, (_, side, _) in self.homes.items():
            gateway = self.gateway(side)
            story.typed(f"POST ${side}_URL/oauth/claim, with the claim whose digest the vendor has")
            status, claimed = gateway.claim(*self.claims[customer])
            expect(status == 200, f"the claim was answered {status}: {claimed}")
            story.answered(f"200 {claimed['role']} {claimed['client_id']}, and its secret, which the vendor has never seen")
            gateway.log_in(claimed["client_id"], claimed["client_secret"])
            story.typed(f"POST ${side}_URL/v1/customers/{customer}/clients {{\"role\": \"customer-app\"}}")
            status, made = gateway.post_json(f"/v1/customers/{customer}/clients", {"role": "customer-app"})
            expect(status == 201, f"making a client was answered {status}: {made}")
            story.answered(f"201 client {made['client_id']}, and its secret, shown this once")
            self.clients[customer] = made["client_id"], made["client_secret"]

    def write(self):
        story = self.story
        story.step("Every resource is written to its customer's region")
        story.say("Patient and Practitioner are class \"identity\", Organization is \"operational\", all others are "
                  "\"health\". Identity and health are sealed before they reach the database; operational is not.")
        for customer, (_, side, patient) in self.homes.items():
            gateway = self.gateway(side).log_in(*self.clients[customer])
            first = patient.resources[0]
            story.typed(f"PUT ${side}_URL{record_path(customer, first)} < {first.type}.json    (and so on)")
            began = time.monotonic()
            for resource in patient.resources:
                status, headers, body = gateway.ask("PUT", record_path(customer, resource), resource.body,
                                                    {"Content-Type": "application/fhir+json"})
                expect(status == 201, f"writing {resource.key} was answered {status}: {body.decode()}")
                expect(headers["ETag"], f"writing {resource.key} was answered without an ETag")
            story.good(f"{len(patient.resources)} records of {customer} in {time.monotonic() - began:.2f} s, "
                       "one after the other, each durable with its audit row before the answer")

    def read_back(self):
        self.story.step("Read back, and compared byte for byte")
        for customer, (_, side, patient) in self.homes.items():
            gateway = self.gateway(side).log_in(*self.clients[customer])
            began = time.monotonic()
            for resource in patient.resources:
                status, headers, body = gateway.ask("GET", record_path(customer, resource))
                expect(status == 200, f"reading {resource.key} was answered {status}: {body.decode()}")
                expect(body == resource.body, f"{resource.key} came back different")
                expect(headers["Content-Type"] == "application/fhir+json", f"{resource.key} lost its content type")
            self.story.good(f"{len(patient.resources)} records of {customer} are the same, "
                            f"in {time.monotonic() - began:.2f} s")

    def refuse_wrong_region(self):
        story = self.story
        story.step("A write to the wrong region is refused before its body")
        _, _, patient = self.homes[CLINIC]
        resource = patient.resources[0]
        path = os.path.join(ROOT, "build", "demo", "patient.json")
        with open(path, "wb") as file:
            file.write(resource.body)
        token = self.gateway("EU").log_in(*self.clients[CLINIC]).headers["Authorization"].removeprefix("Bearer ")
        self.shell.values.update(TOKEN=token, PATIENT=path)
        story.say("The clinic's application is pointed at the American gateway by mistake. curl offers the body and "
                  "waits for \"100 Continue\" before it sends any of it.")
        _, answer, trouble = self.shell(
            "curl", "-sS", "--http1.1", "--cacert", "$CA", "-H", "Authorization: Bearer $TOKEN", "-H",
            "Content-Type: application/fhir+json", "-H", "Expect: 100-continue", "--expect100-timeout", "30", "-T",
            "$PATIENT", "-w", "\\n%{http_code} %{size_upload}", f"$US_URL{record_path(CLINIC, resource)}")
        expect(answer, f"curl got no answer: {trouble}")
        body, _, numbers = answer.rpartition("\n")
        status, sent = numbers.split()
        expect(status == "421", f"the wrong region answered {status}: {body}")
        problem = json.loads(body)
        story.answered(json.dumps(problem, indent=1))
        expect(sent == "0", f"{sent} bytes of the body were sent before the refusal")
        expect(problem["home_region"] == "eu-fr", "the refusal does not name the home region")
        story.good(f"{status}, {sent} of {len(resource.body)} body bytes left the client; the answer names the home "
                   f"endpoint {problem['home_endpoint']}")

    def checkpoint(self, node):
        code, _, trouble = self.shell("psql", "-X", "-q", f"${node}_PG", "-c", "CHECKPOINT")
        expect(code == 0, trouble)

    def ask(self, node, sql):
        return subprocess.run(["psql", "-X", "-At", self.env[f"{node}_PG"], "-c", sql], capture_output=True, text=True,
                              check=True).stdout.strip()

    def await_replay(self, primary, standby):
        """A name in a standby's WAL alone may be cut by a page's header: its pages are to be in its files as well."""
        flushed = self.ask(primary, "SELECT pg_current_wal_flush_lsn()")
        deadline = time.monotonic() + 60
        while self.ask(standby, f"SELECT pg_last_wal_replay_lsn() >= '{flushed}'") != "t":
            expect(time.monotonic() < deadline, f"{standby.lower()} does not replay up to {flushed}")
            time.sleep(0.1)

    def search_files(self):
        story = self.story
        story.step("The database files of all nodes are searched for the patients")
        for primary, standby in (("EU1", "EU2"), ("US1", "US2")):
            self.checkpoint(primary)
            self.await_replay(primary, standby)
            self.checkpoint(standby)
        story.say("Heap, indexes, WAL, server log, every file. A name that stands in a sealed record must not be found; "
                  "the hospital's name, in an unsealed record, must be: so the search can find things.")
        for region, _, patient in self.homes.values():
            for what, needle, sealed in (("patient", patient.name, True), ("hospital", patient.hospital, False)):
                for node, label in (("EU1", "eu-fr"), ("EU2", "eu-fr"), ("US1", "us"), ("US2", "us")):
                    home = os.path.dirname(self.env[f"{node}_DATA"])
                    found, files, size = mentions(home, needle.encode())
                    wanted = not sealed and label == region
                    expect(bool(found) == wanted, f'"{needle}" occurs {found} times in the files of {node.lower()}')
                    story.good(f"{what:8} {needle:24} in {node.lower()}: {found or 'nowhere':7}"
                               f"  ({files} files, {size >> 20} MiB)")

    def watch_cells(self):
        story = self.story
        story.step("The cells are asked who takes records out of them")
        story.say("The operator asks every node, and the hosts over SSH how full they are. What the region's file does not declare would be a finding: a "
                  "subscriber, a base backup, an archive command, a foreign server, a COPY.")
        for verb in ("status", "watch"):
            code, said, trouble = self.shell("tools/sandbox", "operate", "cell", verb)
            expect(code == 0, f"cell {verb} ended with {code}: {said}{trouble}")
            story.answered(said, most=20)

    def explain(self):
        story = self.story
        story.step("The policy explains a refusal")
        _, said, trouble = self.shell("$DOMICILE", "--config", "$CONFIG", "policy", "explain", "--role", "customer-app",
                                      "--home", "eu-fr", "--class", "health", "--action", "store", "--place", "us")
        expect("deny" in said.lower(), f"the policy does not refuse: {said}{trouble}")
        story.answered(said, most=20)

    def close(self):
        client, secret = self.clients[CLINIC]
        path = os.path.join(self.sandbox.home, "demo.env")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            for name, value in (("DOMICILE_CONFIG", self.env["CONFIG"]), ("DOMICILE_REGION", "eu-fr"), ("DOMICILE_CLIENT_ID", client),
                                ("DOMICILE_CLIENT_SECRET", secret)):
                file.write(f"export {name}={shlex.quote(value)}\n")
        seconds = time.monotonic() - self.story.began
        place = os.path.relpath(self.sandbox.asked, os.getcwd())
        box([f"The whole story took {seconds:.0f} s. The sandbox stays up.",
             "",
             "Talk to it as the clinic's application:",
             f"  . {place}/env; . {place}/demo.env; PATH={place}/bin:$PATH",
             f"  domicile record list {CLINIC} health",
             f"  domicile record get {CLINIC} identity {self.homes[CLINIC][2].resources[0].key}",
             "  curl $EU_STATUS_URL/readyz",
             "Look into the cell of eu-fr:",
             "  psql \"$EU1_PG\" -c 'SELECT * FROM domicile.audit ORDER BY id DESC LIMIT 5'",
             "Be the operator, who has the key of the hosts:",
             "  tools/sandbox operate cell status --watch",
             "See what runs, and stop it:",
             "  tools/sandbox status",
             "  tools/demo --down"])

    def gateway(self, side):
        return Gateway(self.env[f"{side}_URL"], self.env["CA"])


def main(arguments):
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    parser.add_argument("--down", action="store_true", help="stop the sandbox of an earlier demo")
    options = parser.parse_args(arguments)
    try:
        if options.down:
            Sandbox(DIRECTORY).down()
        else:
            Demo().tell()
        return 0
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        if failure.log:
            show_end(failure.log)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
