"""The API as its users see it: gateways, principals with tokens, customers with records."""
import base64
import hashlib
import json
import os
import secrets
import time
from urllib.parse import quote, quote_plus

from wire import Wire

TYPED = {"Content-Type": "application/octet-stream"}
NDJSON = "application/x-ndjson"


STATUS_PORT = 8444


class Status:
    """Where a gateway tells operators how it is: in clear, on a loopback address."""

    def __init__(self, address):
        self.address, self.port = address, STATUS_PORT

    def wire(self, **options):
        return Wire(self.address, self.port, None, **options)

    def ask(self, method, target, headers=(), body=None):
        with self.wire() as wire:
            return wire.ask(method, target, headers, body)


class Gateway:
    """A gateway of a region, by its address. `pid` is asked anew each time, for it may be started again."""

    def __init__(self, region, address, port, ca, pid, log, config):
        self.region, self.address, self.port, self.ca = region, address, port, ca
        self._pid = pid
        self.log = log
        self.config = config
        self.status = Status(address)

    @property
    def pid(self):
        return self._pid()

    @property
    def url(self):
        return f"https://{self.address}:{self.port}"

    def wire(self, **options):
        return Wire(self.address, self.port, self.ca, **options)

    def ask(self, method, target, headers=(), body=None):
        """One request on a connection of its own."""
        with self.wire() as wire:
            return wire.ask(method, target, headers, body)

    def ready(self):
        try:
            return self.status.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def resident_kib(self):
        return memory_kib(self.pid, "VmRSS")

    def log_size(self):
        return os.path.getsize(self.log)

    def log_since(self, size):
        with open(self.log, "rb") as file:
            file.seek(size)
            return file.read().decode(errors="replace")


def memory_kib(pid, field):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise AssertionError(f"no {field} of {pid}")


class Principal:
    """An OAuth 2 client. Tokens are kept per region until shortly before they expire."""

    def __init__(self, client_id, secret, role):
        self.client_id, self.secret, self.role = client_id, secret, role
        self._tokens = {}

    def basic(self):
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def ask_token(self, gateway, form=b"grant_type=client_credentials"):
        headers = {"Authorization": self.basic(), "Content-Type": "application/x-www-form-urlencoded"}
        return gateway.ask("POST", "/oauth/token", headers, form)

    def token(self, gateway):
        token, expires = self._tokens.get(gateway.region, (None, 0))
        if time.monotonic() > expires - 60:
            answer = self.ask_token(gateway)
            assert answer.status == 200, answer
            token = answer.json()["access_token"]
            self._tokens[gateway.region] = token, time.monotonic() + answer.json()["expires_in"]
        return token

    def headers(self, gateway, more=()):
        return {"Authorization": f"Bearer {self.token(gateway)}", **dict(more)}

    def ask(self, gateway, method, target, headers=(), body=None):
        return gateway.ask(method, target, self.headers(gateway, headers), body)


def random_id(prefix="t"):
    return f"{prefix}-{secrets.token_hex(8)}"


def customer_path(customer_id):
    return f"/v1/customers/{quote(customer_id, safe='')}"


def record_path(customer_id, record_class, key=None, query=""):
    path = f"{customer_path(customer_id)}/records/{quote(record_class, safe='')}"
    if key is not None:
        path += "/" + quote(key, safe="")
    return path + query


class Customer:
    """A customer of this test's own, with a client of each customer role; its home gateway answers for it."""

    def __init__(self, customer_id, gateway, admin, app):
        self.id, self.gateway, self.admin, self.app = customer_id, gateway, admin, app

    def record(self, record_class, key=None, query=""):
        return record_path(self.id, record_class, key, query)

    def ask(self, method, target, headers=(), body=None):
        return self.app.ask(self.gateway, method, target, headers, body)

    def put(self, record_class, key, body, headers=()):
        return self.ask("PUT", self.record(record_class, key), {**TYPED, **dict(headers)}, body)

    def get(self, record_class, key, headers=()):
        return self.ask("GET", self.record(record_class, key), headers)

    def delete(self, record_class, key, headers=()):
        return self.ask("DELETE", self.record(record_class, key), headers)

    def list(self, record_class, query=""):
        return self.ask("GET", self.record(record_class, query=query))

    def headers(self, more=()):
        return self.app.headers(self.gateway, more)

    def bulk(self, record_class, documents):
        body = "".join(json.dumps(document) + "\n" for document in documents).encode()
        return self.ask("POST", self.record(record_class), {"Content-Type": NDJSON}, body)

    def export(self, record_class):
        return self.ask("GET", self.record(record_class), {"Accept": NDJSON})


def services_to_acknowledge(onboard, gateway):
    """The names that an onboarding in this gateway's region must acknowledge: asked by acknowledging none."""
    body = json.dumps({"id": random_id("ask"), "region": gateway.region, "acknowledged_services": []}).encode()
    answer = onboard.ask(gateway, "POST", "/v1/customers", {"Content-Type": "application/json"}, body)
    assert answer.status == 409 and answer.slug == "acknowledgement", answer
    return [service["name"] for service in answer.json()["services"]]


def post_json(principal, gateway, target, document, headers=()):
    headers = {"Content-Type": "application/json", **dict(headers)}
    return principal.ask(gateway, "POST", target, headers, json.dumps(document).encode())


def add_client(admin, gateway, customer_id, role):
    answer = post_json(admin, gateway, f"{customer_path(customer_id)}/clients", {"role": role})
    assert answer.status == 201, answer
    made = answer.json()
    return Principal(made["client_id"], made["client_secret"], role)


def new_claim():
    """A claim, which is the customer's, and its digest, which is the vendor's."""
    claim = secrets.token_urlsafe(32)
    return claim, hashlib.sha256(claim.encode()).hexdigest()


def claim_client(gateway, client_id, claim):
    return gateway.ask("POST", "/oauth/claim", {"Authorization": Principal(client_id, claim, None).basic()})


def onboard_customer(onboard, gateway, services, customer_id=None):
    customer_id = customer_id or random_id()
    claim, digest = new_claim()
    document = {"id": customer_id, "region": gateway.region, "acknowledged_services": services, "claim": digest}
    answer = post_json(onboard, gateway, "/v1/customers", document)
    assert answer.status == 201, answer
    claimed = claim_client(gateway, answer.json()["claim"]["client_id"], claim)
    assert claimed.status == 200, claimed
    admin = Principal(claimed.json()["client_id"], claimed.json()["client_secret"], "customer-admin")
    app = add_client(admin, gateway, customer_id, "customer-app")
    return Customer(customer_id, gateway, admin, app)
