"""SIGHUP: a new configuration whole or not at all, and new certificates without a connection lost."""
import base64
import json
import os
import signal
import ssl
import time

import api
import pytest
from authority import SERVER
from certificates import expire
from cryptography import x509
from extra import extra_gateway
from load import Load
from problems import refused
from processes import give
from until import until
from wire import Wire

DENY = '''
rules = (
  {
    name = "nobody-stores-telemetry";
    deny = [ "store" ];
    classes = [ "telemetry" ];
    reason = "For a test: no telemetry is stored today.";
  }
);
'''


@pytest.fixture
def extra(sandbox):
    with extra_gateway(sandbox, address="127.10.0.79") as extra:
        yield extra


def store(extra, customer, record_class="telemetry"):
    gateway = extra.gateway()
    return customer.app.ask(gateway, "PUT", customer.record(record_class, "reloaded"), {"Content-Type": "text/plain"},
                            b"x")


def test_a_new_policy_is_in_force_at_once(extra, customer):
    assert store(extra, customer).status in (200, 201)
    extra.write("policies/zz-test.cfg", DENY)
    said = extra.reload()
    assert "nobody-stores-telemetry" in said, "it says what changed"
    problem = refused(store(extra, customer), "policy")
    assert "nobody-stores-telemetry" in problem["policy_rule"]
    os.unlink(extra.path("policies/zz-test.cfg"))
    extra.reload()
    assert store(extra, customer).status == 200


@pytest.mark.parametrize("name, text, line", [
    ("policies/zz-typo.cfg", DENY + "ruels = ();\n", 10), ("policies/zz-typo.cfg", DENY + "rules = (\n", 10),
    ("policies/zz-typo.cfg", DENY.replace('"telemetry"', '"telemetri"'), 6),
    ("policies/zz-typo.cfg", DENY.replace("deny", "denny"), 5),
    ("policies/zz-typo.cfg", DENY + '@include "/"\n', 10)])
def test_p8_a_typo_changes_nothing(extra, customer, name, text, line):
    """Not even what is right in the same reload."""
    extra.write("policies/zz-test.cfg", DENY)
    extra.write(name, text.replace("nobody-stores-telemetry", "nobody-stores-telemetry-either"))
    said = extra.reload()
    assert "configuration in use is unchanged" in said
    assert f"{name}:{line}" in said, said
    assert store(extra, customer).status in (200, 201)
    os.unlink(extra.path(name))
    assert "is in use" in extra.reload()
    refused(store(extra, customer), "policy")


def test_p8_a_configuration_that_vanished_changes_nothing(extra, customer):
    os.rename(extra.path("policies"), extra.path("away"))
    assert "configuration in use is unchanged" in extra.reload()
    assert store(extra, customer).status in (200, 201)


def test_a_request_keeps_what_it_began_with(extra, customer):
    """In flight while everything is replaced under it."""
    gateway = extra.gateway()
    with gateway.wire() as wire:
        lines = "".join(f"{name}: {value}\r\n" for name, value in customer.app.headers(gateway).items())
        wire.send(f"PUT {customer.record('telemetry', 'in-flight')} HTTP/1.1\r\nHost: h\r\n{lines}"
                  "Content-Type: text/plain\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode())
        assert wire.interim() == 100
        extra.write("policies/zz-test.cfg", DENY)
        for _ in range(3):
            assert "is in use" in extra.reload()
        wire.send(b"done")
        assert wire.answer().status in (200, 201)
        refused(wire.ask("PUT", customer.record("telemetry", "in-flight"),
                         customer.app.headers(gateway, {"Content-Type": "text/plain"}), b"x"), "policy")


def test_p8_reloads_under_load_harm_nothing(extra, customer, sql):
    """And connections to the cell that are lost afterwards are replaced with what the first configuration said."""
    gateway = extra.gateway()
    with Load(customer, gateway, workers=4, persistent=True, name="reloads") as load:
        for _ in range(10):
            extra.reload()
        sql(gateway, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'domicile_gateway'")
        before = len(load.acknowledged)
        until(lambda: len(load.acknowledged) > before + 100, what="writes go on")
    assert load.broken == 0 and not load.odd
    until(gateway.ready, what="ready")


# --- keys of the configuration that need no restart ---

LATER = "when the gateway is started again"


def test_a_new_limit_of_records_is_in_force_at_once(extra, customer):
    def put(size):
        return customer.app.ask(extra.gateway(), "PUT", customer.record("telemetry", "limited"), api.TYPED, b"x" * size)

    assert put(5000).status in (200, 201)
    extra.set("max_body_bytes", 4096)
    said = extra.reload()
    assert "limits.max_body_bytes was 1048576, is 4096" in said and LATER not in said, said
    refused(put(5000), "body-size")
    assert put(4096).status == 200
    extra.set("max_body_bytes", 6000)
    extra.reload()
    assert put(5000).status == 200


def test_a_new_limit_of_heads_waits_for_the_restart_as_it_says(extra, customer):
    def head_of(size):
        return customer.app.ask(extra.gateway(), "GET", "/v1/regions", {"X-Long": "x" * size}).status

    extra.set("max_head_bytes", 4096)
    said = extra.reload()
    assert f"limits.max_head_bytes was 16384, is 4096 ({LATER})" in said, said
    assert head_of(5000) == 200
    extra.start_again()
    assert head_of(5000) == 431


@pytest.mark.parametrize("of", ["a record", "a document"])
def test_a_new_time_limit_of_bodies_is_in_force_at_once(extra, customer, onboard, of):
    gateway = extra.gateway()
    headers = {"Content-Length": "100", "Content-Type": "application/json"}
    who = customer.app if of == "a record" else onboard
    extra.set("body_within_ms", 300)
    said = extra.reload()
    assert "limits.body_within_ms was 30000, is 300" in said and LATER not in said, said
    method, target = ("PUT", customer.record("telemetry", "slow")) if of == "a record" else ("POST", "/v1/customers")
    with gateway.wire() as wire:
        began = time.monotonic()
        wire.request(method, target, who.headers(gateway, headers))
        refused(wire.answer(method), "slow")
        assert time.monotonic() - began < 5


def test_a_new_time_to_drain_is_in_force_at_once(extra, customer):
    gateway = extra.gateway()
    extra.set("drain_ms", 300)
    said = extra.reload()
    assert "limits.drain_ms was 10000, is 300" in said and LATER not in said, said
    with gateway.wire() as wire:
        wire.request("PUT", customer.record("telemetry", "late"),
                     customer.app.headers(gateway, {**api.TYPED, "Content-Length": "4", "Expect": "100-continue"}))
        assert wire.interim() == 100
        began = time.monotonic()
        os.kill(extra.process.pid, signal.SIGTERM)
        extra.process.wait(15)
        assert time.monotonic() - began < 5


def test_a_new_endpoint_is_told_at_once(extra, onboard, american):
    def home():
        answer = onboard.ask(extra.gateway(), "GET", api.customer_path(american.id))
        return refused(answer, "wrong-region", home_region="us")["home_endpoint"]

    before = home()
    extra.substitute("regions/us.cfg", r'endpoint = "[^"]*"', 'endpoint = "https://us.example.com:8443"')
    said = extra.reload()
    assert f"region 'us': endpoint was '{before}', is 'https://us.example.com:8443'" in said and LATER not in said, said
    assert home() == "https://us.example.com:8443"


# --- token keys ---


def kid(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def replace_token_key(extra):
    """A new pair under the configured names; the old public key stays as old.pub."""
    keys = extra.path("keys/eu-fr")
    os.rename(f"{keys}/token.pub", f"{keys}/old.pub")
    os.unlink(f"{keys}/token.key")
    extra.part.domicile("key", "token-init", "eu-fr")
    give(f"{keys}/token.key", 0o600)


def new_token(principal, gateway):
    return principal.ask_token(gateway).json()["access_token"]


def test_an_old_token_key_is_accepted_as_long_as_it_is_configured(extra, customer):
    gateway = extra.gateway()

    def ask(token):
        return gateway.ask("GET", "/v1/regions", {"Authorization": f"Bearer {token}"})

    old = new_token(customer.app, gateway)
    replace_token_key(extra)
    extra.edit("regions/eu-fr.cfg", 'public_key = "keys/eu-fr/token.pub";',
               'public_key = "keys/eu-fr/token.pub"; accepted = [ "keys/eu-fr/old.pub" ];')
    said = extra.reload()
    new = new_token(customer.app, gateway)
    assert kid(new) != kid(old)
    assert f"the key that signs tokens was '{kid(old)}', is '{kid(new)}'" in said and LATER not in said, said
    assert f"region 'eu-fr': token key '{kid(new)}' is new" in said, said
    assert (ask(old).status, ask(new).status) == (200, 200)

    extra.edit("regions/eu-fr.cfg", ' accepted = [ "keys/eu-fr/old.pub" ];', "")
    said = extra.reload()
    assert f"region 'eu-fr': token key '{kid(old)}' is gone" in said and LATER not in said, said
    refused(ask(old), "unauthenticated")
    assert ask(new).status == 200


def test_a_token_key_that_is_replaced_in_place_is_named(extra, customer):
    gateway = extra.gateway()
    old = new_token(customer.app, gateway)
    assert "the configuration has not changed" in extra.reload()
    replace_token_key(extra)
    said = extra.reload()
    new = new_token(customer.app, gateway)
    assert f"the key that signs tokens was '{kid(old)}', is '{kid(new)}'" in said, said
    assert f"token key '{kid(old)}' is gone" in said and f"token key '{kid(new)}' is new" in said, said
    assert "has not changed" not in said


# --- certificates ---


def certificate(extra):
    """The one that a new connection gets."""
    gateway = extra.gateway()
    with gateway.wire() as wire:
        return x509.load_der_x509_certificate(wire.socket.getpeercert(binary_form=True))


def serial(extra):
    return certificate(extra).serial_number


def in_words(certificate):
    """As the log names it."""
    number = f"{certificate.serial_number:X}"
    return (f"'{certificate.subject.rfc4514_string()}', serial {number.zfill(len(number) + len(number) % 2)}, "
            f"until {certificate.not_valid_after:%Y-%m-%dT%H:%M:%SZ}")


def test_a_new_certificate_is_used_at_once(extra):
    gateway = extra.gateway()
    before = certificate(extra)
    with gateway.wire() as open_before:
        extra.issue_certificate()
        said = extra.reload()
        after = certificate(extra)
        assert after.serial_number != before.serial_number
        assert f"the certificate was {in_words(before)}, is {in_words(after)}" in said, said
        assert "is in use" in said and "has not changed" not in said
        assert open_before.ask("GET", "/healthz").status == 200, "an open connection stays"


def test_a_certificate_of_another_path_is_used_at_once(extra):
    before = certificate(extra)
    tls = extra.path("tls/eu-fr")
    extra.authority.issue("gateway.eu-fr", SERVER, f"{tls}/renewed.crt", f"{tls}/renewed.key",
                          alternative=f"IP:{extra.address}")
    for part, key in (("crt", "certificate"), ("key", "private_key")):
        os.unlink(f"{tls}/gateway.{part}")
        extra.edit("regions/eu-fr.cfg", f'{key} = "tls/eu-fr/gateway.{part}"', f'{key} = "tls/eu-fr/renewed.{part}"')
    said = extra.reload()
    assert f"tls.certificate was '{tls}/gateway.crt', is '{tls}/renewed.crt'" in said and LATER not in said, said
    with open(f"{tls}/renewed.crt", "rb") as file:
        issued = x509.load_pem_x509_certificate(file.read())
    assert certificate(extra).serial_number == issued.serial_number != before.serial_number


@pytest.mark.parametrize("wrong", ["expired", "another key", "no certificate", "missing"])
def test_p8_a_wrong_certificate_is_not_taken(extra, wrong, customer):
    before = serial(extra)
    certificate, key = (extra.path(f"tls/eu-fr/gateway.{part}") for part in ("crt", "key"))
    extra.write("policies/zz-test.cfg", DENY)
    if wrong == "expired":
        expire(extra.authority, certificate, key, "gateway.eu-fr", SERVER, f"IP:{extra.address}")
    elif wrong == "another key":
        os.rename(certificate, f"{certificate}.kept")
        extra.issue_certificate()
        os.rename(f"{certificate}.kept", certificate)
    elif wrong == "no certificate":
        extra.write("tls/eu-fr/gateway.crt", "this is no certificate\n")
    else:
        os.unlink(certificate)
    said = extra.reload()
    assert "configuration in use is unchanged" in said and "gateway.crt" in said, said
    assert serial(extra) == before
    assert store(extra, customer).status in (200, 201), "the policy of the same reload is not taken either"


def test_a_certificate_for_another_name_is_refused_by_its_clients(extra, eu):
    """The gateway cannot know under which name it is reached; a client that verifies does."""
    extra.authority.issue("gateway.eu-fr", SERVER, extra.path("tls/eu-fr/gateway.crt"),
                          extra.path("tls/eu-fr/gateway.key"), alternative="IP:127.10.0.250")
    extra.reload()
    gateway = extra.gateway()
    with pytest.raises(ssl.SSLCertVerificationError):
        gateway.wire()


def test_a_gateway_of_one_region_is_not_trusted_by_the_authority_of_the_other(eu, us):
    with pytest.raises(ssl.SSLCertVerificationError):
        Wire(eu.address, eu.port, us.ca)
