"""SIGHUP: a new configuration whole or not at all, and new certificates without a connection lost."""
import os
import ssl

import pytest
from authority import SERVER
from certificates import expire
from cryptography import x509
from extra import extra_gateway
from load import Load
from problems import refused
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
    assert "stays as it is" in said
    assert f"{name}:{line}" in said, said
    assert store(extra, customer).status in (200, 201)
    os.unlink(extra.path(name))
    assert "is in use" in extra.reload()
    refused(store(extra, customer), "policy")


def test_p8_a_configuration_that_vanished_changes_nothing(extra, customer):
    os.rename(extra.path("policies"), extra.path("away"))
    assert "stays as it is" in extra.reload()
    assert store(extra, customer).status in (200, 201)


def test_services_do_not_change_under_a_version(extra):
    """What customers acknowledged has a number; another list under the same one is refused."""
    file = next(f"policies/{name}" for name in os.listdir(extra.path("policies"))
                if name.endswith(".cfg") and "services_version" in extra.read(f"policies/{name}"))
    extra.substitute(file, r'where = "[^"]*"', 'where = "somewhere else"')
    said = extra.reload()
    assert "stays as it is" in said and "services_version" in said


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


# --- certificates ---


def serial(extra):
    """The serial number of the certificate that a new connection gets."""
    gateway = extra.gateway()
    with gateway.wire() as wire:
        der = wire.socket.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number


def test_a_new_certificate_is_used_at_once(extra):
    gateway = extra.gateway()
    before = serial(extra)
    with gateway.wire() as open_before:
        extra.issue_certificate()
        assert "is in use" in extra.reload()
        assert serial(extra) != before
        assert open_before.ask("GET", "/healthz").status == 200, "an open connection stays"


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
    assert "stays as it is" in said and "gateway.crt" in said, said
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
