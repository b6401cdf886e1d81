"""P2: cleartext and keys stay at home. A request in the wrong region is answered from its head alone."""
import base64
import os
import secrets
import shutil
import subprocess
import time

import api
import pytest
from capture import CONTROL, Capture
from extra import extra_gateway
from h2wire import H2Wire
from problems import refused
from search import files_with, places_of
from wire import head

SOON_S = 2  # a refusal waits for nobody


@pytest.fixture(scope="module", params=["eu to us", "us to eu"])
def astray(request, new_customer, eu, us):
    """A customer and the gateway that is not its home."""
    home, other = (eu, us) if request.param == "eu to us" else (us, eu)
    return new_customer(home), other


def misdirected(answer, customer, other):
    home = customer.gateway
    problem = refused(answer, "wrong-region", region=other.region, home_region=home.region)
    assert problem["home_endpoint"].rstrip("/") == home.url
    return problem


def put_head(customer, other, token, length, more=()):
    return head("PUT", customer.record("health", "astray"),
                [("Host", f"{other.address}:{other.port}"), ("Authorization", f"Bearer {token}"),
                 ("Content-Type", "text/plain"), ("Content-Length", length), *more])


def test_p2_refused_before_the_body(astray):
    """The body never comes; the answer does, and the connection ends."""
    customer, other = astray
    with other.wire() as wire:
        began = time.monotonic()
        wire.send(put_head(customer, other, customer.app.token(customer.gateway), 1_000_000))
        answer = wire.answer()
        assert time.monotonic() - began < SOON_S
        misdirected(answer, customer, other)
        assert answer.header("connection") == "close"
        assert answer.interim == []
        assert wire.closed()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_p2_curl_takes_the_refusal_of_an_upload(astray, sandbox, tmp_path, version):
    """A reset or an end that comes too soon behind the answer makes a client forget it; now and then, so many times."""
    customer, other = astray
    (tmp_path / "body").write_bytes(b"x" * 300_000)
    token = customer.app.token(customer.gateway)
    for _ in range(20):
        done = subprocess.run(["curl", "-sS", version, "--cacert", f"{sandbox.config}/ca-bundle.crt", "-T", tmp_path / "body",
                               "-H", f"Authorization: Bearer {token}", "-H", "Expect:", "-o", os.devnull, "-w", "%{http_code}",
                               other.url + customer.record("health", "astray")], capture_output=True, timeout=30, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"421", b"")


def test_p2_no_continue_in_the_wrong_region(astray):
    customer, other = astray
    with other.wire() as wire:
        wire.send(put_head(customer, other, customer.app.token(customer.gateway), 1000, [("Expect", "100-continue")]))
        answer = wire.answer()
        misdirected(answer, customer, other)
        assert answer.interim == []
        assert wire.closed()


def test_p2_at_home_there_is_a_continue(astray):
    """The control of the test above."""
    customer, _ = astray
    home = customer.gateway
    with home.wire() as wire:
        wire.send(put_head(customer, home, customer.app.token(home), 4, [("Expect", "100-continue")]))
        assert wire.interim() == 100
        wire.send(b"home")
        assert wire.answer().status in (200, 201)


def test_p2_a_chunked_body_is_not_waited_for(astray):
    customer, other = astray
    with other.wire() as wire:
        wire.send(head("POST", customer.record("health"),
                       [("Host", wire.host), ("Authorization", f"Bearer {customer.app.token(customer.gateway)}"),
                        ("Content-Type", api.NDJSON), ("Transfer-Encoding", "chunked")]))
        misdirected(wire.answer(), customer, other)
        assert wire.closed()


def test_p2_http2_refused_before_the_body(astray):
    customer, other = astray
    headers = {"authorization": f"Bearer {customer.app.token(customer.gateway)}", "content-type": "text/plain",
               "content-length": "1000000"}
    with H2Wire(other) as wire:
        stream = wire.open("PUT", customer.record("health", "astray"), headers, end=False)
        misdirected(wire.answer(stream), customer, other)
        assert wire.closed() and wire.goaway is not None
        assert stream not in wire.open_at_goaway, "some clients do not read an answer that comes behind GOAWAY"


def test_p2_the_answer_survives_a_body_on_its_way(astray):
    """A client that sends its whole body without listening sees the refusal and no reset."""
    customer, other = astray
    with other.wire() as wire:
        wire.send(put_head(customer, other, customer.app.token(customer.gateway), 65536) + b"x" * 65536)
        misdirected(wire.answer(), customer, other)


def test_p2_staff_is_sent_home_as_well(astray, onboard, security):
    """Of what they may ask at all: the policy speaks before the directory does."""
    customer, other = astray
    page = api.customer_path(customer.id)
    for principal, method, path in ((onboard, "GET", ""), (security, "GET", "/clients"), (security, "DELETE", "/clients/c-1"),
                                    (security, "POST", "/classes/health/key-rotations")):
        answer = principal.ask(other, method, page + path)
        misdirected(answer, customer, other)


def test_p2_onboarding_for_another_region_is_sent_there(onboard, eu, us, directory):
    for here, there in ((eu, us), (us, eu)):
        customer_id = api.random_id()
        document = {"id": customer_id, "region": there.region, "acknowledged_services": []}
        problem = refused(api.post_json(onboard, here, "/v1/customers", document), "wrong-region")
        assert problem["home_endpoint"].rstrip("/") == there.url
        assert directory.row(customer_id) is None


def test_p2_a_token_of_another_region_is_sent_there(astray, onboard):
    """Whatever is asked for: even of a customer that nobody knows."""
    customer, other = astray
    token = {"Authorization": f"Bearer {onboard.token(customer.gateway)}"}
    for target in (api.customer_path("nobody-at-all"), api.customer_path(customer.id)):
        misdirected(other.ask("GET", target, token), customer, other)


def test_p2_nothing_of_it_is_stored_or_logged(astray, sandbox, sql):
    customer, other = astray
    marker = f"astray-{secrets.token_hex(16)}"
    token = customer.app.token(customer.gateway)
    answer = other.ask("PUT", customer.record("operational", "astray"), {"Authorization": f"Bearer {token}",
                       "Content-Type": "text/plain"}, marker.encode())
    misdirected(answer, customer, other)
    sql(other, "CHECKPOINT")
    assert sql(other, "SELECT count(*) FROM domicile.record WHERE customer = %s", customer.id) == [(0,)]
    for needle in (marker, token):
        assert files_with(needle.encode(), *places_of(sandbox, "eu-fr"), *places_of(sandbox, "us")) == []


# --- traffic ---


def test_p2_nothing_crosses_the_border(new_customer, onboard, eu, us):
    """Both gateways at work, rightly and wrongly: not one packet passes between the regions' networks."""
    between = "net 127.10.0.0/16 and net 127.20.0.0/16"
    with Capture(between, control=("127.10.0.99", "127.20.0.99")) as capture:
        for home, other in ((eu, us), (us, eu)):
            customer = new_customer(home)
            assert customer.put("health", "here", b"x" * 1000).status == 201
            assert customer.get("health", "here").status == 200
            astray = customer.app.headers(home, api.TYPED)
            assert other.ask("PUT", customer.record("health", "here"), astray, b"y" * 1000).status == 421
            assert onboard.ask(other, "GET", api.customer_path(customer.id)).status == 421
    packets = len(packet_lengths(capture.bytes))
    assert packets >= 1
    assert packets == capture.bytes.count(CONTROL), "a packet crossed the border"


def packet_lengths(pcap):
    """Of a little-endian pcap file."""
    lengths, at = [], 24
    while at + 16 <= len(pcap):
        lengths.append(int.from_bytes(pcap[at + 8:at + 12], "little"))
        at += 16 + lengths[-1]
    return lengths


def test_p2_no_byte_of_a_record_is_in_clear_on_any_wire(customer, eu):
    """Between client and gateway and between gateway and cell alike."""
    marker = f"wire-{secrets.token_hex(16)}".encode()
    secret = customer.app.secret.encode()
    with Capture("port 8443 or port 15432 or udp port 9", control=("127.10.0.99", "127.10.0.98")) as capture:
        for record_class in ("health", "operational"):
            assert customer.put(record_class, "wire", marker).status in (200, 201)
            assert customer.get(record_class, "wire").body == marker
        customer.app.ask_token(eu)
    assert len(capture.bytes) > 10_000
    for needle in (marker, secret, customer.id.encode()):
        assert needle not in capture.bytes


# --- keys ---


def key_forms(path):
    """A key file's 32 bytes as they might be written: raw, hexadecimal, base64."""
    with open(path, "rb") as file:
        text = file.read()
    raw = text
    if len(text) != 32:
        word = text.split()[-1]
        raw = bytes.fromhex(word.decode()) if len(word) == 64 else base64.b64decode(word)
    assert len(raw) == 32
    return raw, [raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw).rstrip(b"="),
                 base64.urlsafe_b64encode(raw).rstrip(b"=")]


def test_p2_no_key_in_files_logs_or_metrics(customer, sandbox, eu, us, sql):
    customer.put("health", "keyed", b"x")
    sql(eu, "CHECKPOINT")
    for region in ("eu-fr", "us"):
        raw, forms = key_forms(f"{eu.config}/keys/{region}/root.key")
        places = [*places_of(sandbox, "eu-fr"), *places_of(sandbox, "us"), *directory_files(eu.config)]
        for form in forms:
            assert files_with(form, *places) == []
        for gateway in (eu, us):
            metrics = gateway.status.ask("GET", "/metrics").body
            assert metrics and raw not in metrics and not any(form in metrics for form in forms)
        for path in files_below(places):
            assert not holds(path, raw), path


def directory_files(config):
    return [os.path.join(config, name) for name in os.listdir(config) if name.startswith("directory.sqlite")]


def files_below(places):
    for place in places:
        if os.path.isfile(place):
            yield place
        for folder, _, names in os.walk(place):
            yield from (os.path.join(folder, name) for name in names)


def holds(path, needle):
    try:
        with open(path, "rb") as file:
            return needle in file.read()
    except FileNotFoundError:
        return False  # PostgreSQL removed it meanwhile


def test_p2_a_gateway_needs_no_secret_of_another_region(sandbox, new_customer, eu):
    """All files of the other region are gone but the public key of its tokens: it starts and serves as before."""
    def forget_america(extra):
        for part in ("tls", "pg"):
            shutil.rmtree(extra.path(f"{part}/us"))
        for name in os.listdir(extra.path("keys/us")):
            if name != "token.pub":
                os.unlink(extra.path(f"keys/us/{name}"))

    customer = new_customer(eu)
    customer.put("health", "home", b"x")
    with extra_gateway(sandbox, address="127.10.0.72", change=forget_america) as extra:
        assert customer.app.ask(extra.gateway(), "GET", customer.record("health", "home")).body == b"x"


def test_p2_metrics_name_no_customer(customer, eu):
    customer.put("health", "counted", b"x")
    metrics = eu.status.ask("GET", "/metrics").body
    assert b"# TYPE" in metrics
    assert customer.id.encode() not in metrics and customer.app.client_id.encode() not in metrics


def test_p2_a_gateway_leaves_no_core(eu, us):
    """Either the kernel may not dump the process (its /proc files are root's then), or the limit is zero."""
    for gateway in (eu, us):
        with open(f"/proc/{gateway.pid}/limits", encoding="utf-8") as file:
            limit = next(line.split()[4] for line in file if line.startswith("Max core file size"))
        undumpable = os.stat(f"/proc/{gateway.pid}/mem").st_uid == 0 and process_owner(gateway.pid) != 0
        assert limit == "0" or undumpable


def process_owner(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Uid:"))
