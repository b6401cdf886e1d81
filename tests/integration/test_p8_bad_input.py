"""P8: bad input gets a clear error, and the gateway stands as it stood before."""
import json
import time

import api
import pytest
from problems import refused
from wire import Broken, Wire

JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def unharmed(customer, eu):
    """After each test: the same process, serving."""
    before = eu.pid
    yield
    assert eu.pid == before
    assert customer.put("operational", "alive", b"x").status in (200, 201)


def raw(gateway, data, closes=False):
    """Sends these bytes and returns the answer."""
    with Wire(gateway.address, gateway.port, gateway.ca) as wire:
        wire.send(data)
        answer = wire.answer()
        if closes:
            assert wire.closed(), "the connection stays open after bytes that cannot be trusted"
    return answer


def lines(customer, first, *more, body=b"", token=True):
    """A request of these header lines, with Host and a token."""
    authorization = f"Authorization: Bearer {customer.app.token(customer.gateway)}\r\n" if token else ""
    text = f"{first}\r\nHost: {customer.gateway.address}:8443\r\n{authorization}"
    data = text.encode("latin-1")
    for line in more:
        data += (line if isinstance(line, bytes) else line.encode("latin-1")) + b"\r\n"
    return data + b"\r\n" + body


# --- bodies ---


def test_p8_a_body_over_the_limit(customer, eu):
    target = customer.record("health", "large")
    answer = raw(eu, lines(customer, f"PUT {target} HTTP/1.1", "Content-Type: text/plain", "Content-Length: 1048577"))
    refused(answer, "body-size")
    answer = raw(eu, lines(customer, f"PUT {target} HTTP/1.1", "Content-Type: text/plain",
                           "Content-Length: 9223372036854775807"))
    refused(answer, "body-size")
    refused(customer.get("health", "large"), "record-unknown")


def test_p8_a_chunked_body_over_the_limit(customer, eu):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with eu.wire() as wire:
        wire.send(lines(customer, f"PUT {customer.record('health', 'large')} HTTP/1.1", "Content-Type: text/plain",
                        "Transfer-Encoding: chunked"))
        try:
            for _ in range(20):
                wire.send(chunk)
        except OSError:
            pass  # it may close while we send: the answer is there all the same
        refused(wire.answer(), "body-size")
    refused(customer.get("health", "large"), "record-unknown")


def test_p8_a_body_that_breaks_off(customer, eu):
    with eu.wire() as wire:
        wire.send(lines(customer, f"PUT {customer.record('health', 'short')} HTTP/1.1", "Content-Type: text/plain",
                        "Content-Length: 100", body=b"only this"))
    refused(customer.get("health", "short"), "record-unknown")


def test_p8_bytes_behind_the_body_are_another_request(customer, eu):
    """Content-Length too small: what follows is no head."""
    with eu.wire() as wire:
        wire.send(lines(customer, f"PUT {customer.record('health', 'longer')} HTTP/1.1", "Content-Type: text/plain",
                        "Content-Length: 3", body=b"abcdef\r\n\r\n"))
        assert wire.answer().status in (200, 201)
        assert wire.answer().status == 400
        assert wire.closed()
    assert customer.get("health", "longer").body == b"abc"


def test_p8_a_put_without_a_length(customer, eu):
    answer = raw(eu, lines(customer, f"PUT {customer.record('health', 'no-length')} HTTP/1.1",
                           "Content-Type: text/plain"))
    assert answer.status in (400, 411), answer
    refused(customer.get("health", "no-length"), "record-unknown")


# --- what another party could read differently ---

SMUGGLING = {
    "both lengths": ["Content-Length: 5", "Transfer-Encoding: chunked"],
    "both lengths, the other way": ["Transfer-Encoding: chunked", "Content-Length: 5"],
    "two lengths": ["Content-Length: 5", "Content-Length: 6"],
    "twice the same length": ["Content-Length: 5", "Content-Length: 5"],
    "a list of lengths": ["Content-Length: 5, 5"],
    "a signed length": ["Content-Length: +5"],
    "a negative length": ["Content-Length: -5"],
    "a hexadecimal length": ["Content-Length: 0x5"],
    "a length with a space": ["Content-Length: 5 5"],
    "a length beyond 64 bits": ["Content-Length: 18446744073709551621"],
    "no digits": ["Content-Length: "],
    "a space before the colon": ["Content-Length : 5"],
    "a folded header": ["X-Folded: a", " b", "Content-Length: 5"],
    "a fold at the start": [" X: y", "Content-Length: 5"],
    "gzip, chunked": ["Transfer-Encoding: gzip, chunked"],
    "chunked twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "identity": ["Transfer-Encoding: identity", "Content-Length: 5"],
    "xchunked": ["Transfer-Encoding: xchunked"],
    "chunked with a vertical tab": ["Transfer-Encoding: \x0bchunked"],
    "a bare CR": ["X-Bare: a\rTransfer-Encoding: chunked", "Content-Length: 5"],
    "a bare LF": [b"X-Bare: a\nTransfer-Encoding: chunked", "Content-Length: 5"],
    "a NUL in a value": ["X-Nul: a\0b", "Content-Length: 5"],
    "a NUL in a name": ["X-\0Nul: b", "Content-Length: 5"],
    "no name": [": value", "Content-Length: 5"],
    "no colon": ["X-No-Colon", "Content-Length: 5"],
    "two hosts": ["Host: elsewhere.example", "Content-Length: 5"],
    "a control character": ["X-Bell: \x07", "Content-Length: 5"],
}


@pytest.mark.parametrize("shape", SMUGGLING)
def test_p8_smuggling_shapes_are_refused(customer, eu, shape):
    """And nothing behind them is taken for a request."""
    target = customer.record("operational", "smuggled")
    behind = lines(customer, f"PUT {target} HTTP/1.1", "Content-Type: text/plain", "Content-Length: 1", body=b"x")
    answer = raw(eu, lines(customer, f"PUT {customer.record('health', 'outer')} HTTP/1.1", "Content-Type: text/plain",
                           *SMUGGLING[shape], body=b"0\r\n\r\n" + behind), closes=True)
    assert answer.status in (400, 501), answer
    assert answer.slug, answer
    refused(customer.get("operational", "smuggled"), "record-unknown")
    refused(customer.get("health", "outer"), "record-unknown")


CHUNKS = {
    "no digits": b"\r\nx\r\n0\r\n\r\n",
    "not hexadecimal": b"g\r\nx\r\n0\r\n\r\n",
    "signed": b"+1\r\nx\r\n0\r\n\r\n",
    "0x": b"0x1\r\nx\r\n0\r\n\r\n",
    "beyond 64 bits": b"10000000000000001\r\nx\r\n0\r\n\r\n",
    "a space": b"1 \r\nx\r\n0\r\n\r\n",
    "bare LF": b"1\nx\n0\n\n",
    "more than said": b"1\r\nxy\r\n0\r\n\r\n",
    "endless extension": b"1;" + b"e" * 100_000 + b"\r\nx\r\n0\r\n\r\n",
    "endless zeros": b"0" * 100_000 + b"1\r\nx\r\n0\r\n\r\n",
    "a trailer that is a length": b"1\r\nx\r\n0\r\nContent-Length: 5\0\r\n\r\n",
}


@pytest.mark.parametrize("shape", CHUNKS)
def test_p8_odd_chunks_are_refused(customer, eu, shape):
    data = lines(customer, f"PUT {customer.record('health', 'chunked')} HTTP/1.1", "Content-Type: text/plain",
                 "Transfer-Encoding: chunked", body=CHUNKS[shape])
    answer = raw(eu, data, closes=True)
    assert 400 <= answer.status < 500 and answer.slug, answer
    refused(customer.get("health", "chunked"), "record-unknown")


def test_p8_chunks_are_a_body(customer, eu):
    """The control of the test above."""
    data = lines(customer, f"PUT {customer.record('telemetry', 'chunked')} HTTP/1.1", "Content-Type: text/plain",
                 "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\n\r\n")
    assert raw(eu, data).status in (200, 201)
    assert customer.get("telemetry", "chunked").body == b"abcdef"


# --- heads ---

HEADS = {
    "no version": "GET /healthz\r\nHost: h\r\n\r\n",
    "HTTP/0.9": "GET /healthz\r\n\r\n",
    "HTTP/3.0": "GET /healthz HTTP/3.0\r\nHost: h\r\n\r\n",
    "no host": "GET /healthz HTTP/1.1\r\n\r\n",
    "an empty host": "GET /healthz HTTP/1.1\r\nHost: \r\n\r\n",
    "a host with a path": "GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": "GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "two spaces": "GET  /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "a tab": "GET\t/healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "no slash": "GET healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "a fragment": "GET /healthz#x HTTP/1.1\r\nHost: h\r\n\r\n",
    "a raw high byte": "GET /healthz\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    "a lower-case version": "GET /healthz http/1.1\r\nHost: h\r\n\r\n",
    "another site in the target": "GET https://elsewhere.example/healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "binary": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": "BREW /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "a bad method": "G@T /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
}


@pytest.mark.parametrize("shape", HEADS)
def test_p8_malformed_heads(eu, shape):
    answer = raw(eu, HEADS[shape].encode("latin-1"), closes=True)
    assert answer.status in (400, 404, 501, 505), answer


@pytest.mark.parametrize("data", [
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 20_000,
])
def test_p8_heads_over_the_limit(eu, data):
    refused(raw(eu, data, closes=True), "head-size")


def test_p8_unknown_expectation(customer, eu):
    answer = raw(eu, lines(customer, f"PUT {customer.record('health', 'expect')} HTTP/1.1", "Content-Length: 1",
                           "Content-Type: text/plain", "Expect: miracles", body=b"x"))
    refused(answer, "expect")


# --- paths, ids and keys ---


@pytest.mark.parametrize("path", [
    "/v1/customers/../../etc/passwd", "/v1/customers/%2e%2e/records/health/k", "/v1/customers/./records/health/k",
    "/v1//customers/a1", "/v1/customers/a1/records/health/..", "/v1/customers/a1/records/health/%2e%2e",
    "/v1/customers/a1/records/health/a%2F..%2Fb", "/v1/customers/a1/records/health/%2e", "/v1/customers/%",
    "/v1/customers/%zz", "/v1/customers/a1/records/health/%c0%af", "/v1/customers/a1/records/health/%00",
    "/v1/customers/a1/records/health/a%00b", "/v1/customers/a1/records/health/%ff%fe",
    "/v1/customers/a1/records/health/%ed%a0%80", "/v1/customers/a1/records/health/%f5%80%80%80",
    "/v1/customers/A1", "/v1/customers/a_1", "/v1/customers/-a", "/v1/customers/a", "/v1/customers/" + "a" * 64,
    "/v1/customers/a%2Fb", "/v1/customers/a%00", "/v1/customers/%C3%A9t%C3%A9", "/v1/customers/a1/records/Health/k",
    "/v1/customers/a1/records/health%2Fk/k", "/v1/customers/a1/records/health/" + "k" * 513,
    "/v1/customers/a1/records/health/" + "%C3%A9" * 257,
])
def test_p8_malformed_paths(customer, eu, path):
    path = path.replace("/a1/", f"/{customer.id}/")
    answer = customer.ask("GET", path)
    assert answer.slug in ("target", "id", "key"), answer
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/", "/readyz", "/metrics", "/v1", "/v1/", "/v1/customers/", "/v2/customers", "/V1/customers", "/healthz/",
                                  "/v1/customers%2fa1", "/favicon.ico", "*"])
def test_p8_unknown_paths(customer, path):
    answer = customer.ask("GET", path)
    assert answer.status in (400, 404), answer
    assert answer.slug in ("route", "target", "id"), answer


def test_p8_the_key_is_not_decoded_twice(customer):
    assert customer.put("health", "%2e%2e", b"literal").status == 201
    assert customer.get("health", "%2e%2e").body == b"literal"


@pytest.mark.parametrize("method, target", [("PATCH", "/healthz"), ("PUT", "/v1/customers"), ("DELETE", "/v1/regions"),
                                            ("POST", "/v1/regions"), ("TRACE", "/healthz"), ("OPTIONS", "/v1/regions"),
                                            ("GET", "/oauth/token")])
def test_p8_methods_that_are_not_there(customer, method, target):
    refused(customer.ask(method, target), "method")


def test_p8_connect_is_no_method_here(eu):
    answer = raw(eu, b"CONNECT 127.10.1.1:15432 HTTP/1.1\r\nHost: 127.10.1.1:15432\r\n\r\n")
    assert answer.status in (400, 404, 405, 501), answer


# --- JSON ---

DEEP = "[" * 100_000 + "]" * 100_000
DOCUMENTS = {
    "empty": "", "not JSON": "region=eu-fr", "a list": "[]", "a string": '"eu-fr"', "null": "null",
    "deep": DEEP, "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "deep inside": '{"id":"t-deep","region":"eu-fr","acknowledged_services":' + DEEP + "}",
    "huge": '{"id":"t-huge","region":"eu-fr","acknowledged_services":["' + "x" * 900_000 + '"]}',
    "a huge list": '{"id":"t-huge","region":"eu-fr","acknowledged_services":[' + ",".join(['"x"'] * 100_000) + "]}",
    "a huge number": '{"id":' + "9" * 10_000 + ',"region":"eu-fr"}',
    "duplicated": '{"id":"t-one","id":"t-two","region":"eu-fr","acknowledged_services":[]}',
    "duplicated region": '{"id":"t-one","region":"us","region":"eu-fr","acknowledged_services":[]}',
    "an unknown member": '{"id":"t-one","region":"eu-fr","acknowledged_services":[],"admin":true}',
    "trailing bytes": '{"id":"t-one","region":"eu-fr","acknowledged_services":[]} x',
    "two documents": '{"id":"t-one","region":"eu-fr"}{"id":"t-two","region":"eu-fr"}',
    "a comment": '{"id":"t-one",/* */"region":"eu-fr","acknowledged_services":[]}',
    "NaN": '{"id":"t-one","region":NaN,"acknowledged_services":[]}',
    "a NUL": '{"id":"t-one\\u0000x","region":"eu-fr","acknowledged_services":[]}',
    "a lone surrogate": '{"id":"\\ud800","region":"eu-fr","acknowledged_services":[]}',
    "invalid UTF-8": b'{"id":"t-\xff\xfe","region":"eu-fr","acknowledged_services":[]}',
    "UTF-16": '{"id":"t-one","region":"eu-fr"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"id":"t-one","region":"eu-fr","acknowledged_services":[]}',
    "an id of another type": '{"id":7,"region":"eu-fr","acknowledged_services":[]}',
    "services of another type": '{"id":"t-one","region":"eu-fr","acknowledged_services":"all"}',
    "services of numbers": '{"id":"t-one","region":"eu-fr","acknowledged_services":[1]}',
    "an id with dots": '{"id":"../etc","region":"eu-fr","acknowledged_services":[]}',
    "SQL": json.dumps({"id": "x'; DROP TABLE domicile.record; --", "region": "eu-fr", "acknowledged_services": []}),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_p8_malformed_documents(onboard, eu, directory, name):
    document = DOCUMENTS[name]
    body = document if isinstance(document, bytes) else document.encode()
    before = directory.ids()
    began = time.monotonic()
    answer = onboard.ask(eu, "POST", "/v1/customers", JSON, body)
    assert time.monotonic() - began < 2
    assert 400 <= answer.status < 500 and answer.slug, answer
    assert directory.ids() == before


def test_p8_a_document_of_another_type(onboard, eu):
    body = json.dumps({"id": api.random_id(), "region": "eu-fr", "acknowledged_services": []}).encode()
    for content_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
        refused(onboard.ask(eu, "POST", "/v1/customers", {"Content-Type": content_type}, body), "media-type")


# --- content types and conditions come back in headers ---


@pytest.mark.parametrize("value", [b"text/plain\r\nX-Injected: yes", b"text/plain\nX-Injected: yes", b"a\0b",
                                   b"x/" + b"y" * 300, b""])
def test_p8_a_content_type_injects_nothing(customer, eu, value):
    data = lines(customer, f"PUT {customer.record('identity', 'typed')} HTTP/1.1", b"Content-Type: " + value,
                 "Content-Length: 1", body=b"x")
    raw(eu, data)
    read = customer.get("identity", "typed")
    assert read.header("x-injected") is None
    assert read.status in (200, 404)


# --- peers that misbehave on a connection ---


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000, b"\x16\x03\x01\xff\xff" + b"\1" * 70_000],
                         ids=["http", "zeroes", "a record that is too long"])
def test_p8_garbage_instead_of_tls(eu, data):
    """Closed at once, long before the handshake's time is up; it is told nothing but, at most, an alert of TLS."""
    import socket
    said = b""
    with socket.create_connection((eu.address, eu.port), timeout=5) as plain:
        try:
            plain.sendall(data)
            while some := plain.recv(65536):
                said += some
        except (ConnectionResetError, BrokenPipeError):  # closed before it had read all
            pass
    assert said == b"" or (said[0] == 21 and len(said) == 7), said


def test_p8_a_client_that_leaves_at_each_step(customer, eu):
    """After each prefix of a request, by close and by reset."""
    import socket
    import struct
    data = lines(customer, f"PUT {customer.record('operational', 'leaver')} HTTP/1.1", "Content-Type: text/plain",
                 "Content-Length: 10", body=b"0123456789")
    for length in [*range(0, len(data), 40), len(data)]:
        for abrupt in (False, True):
            with eu.wire() as wire:
                wire.send(data[:length])
                if abrupt:
                    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_p8_pipelined_requests_are_answered_in_order(customer, eu):
    count = 200
    with eu.wire() as wire:
        target = customer.record("operational", "pipeline")
        puts = [lines(customer, f"PUT {target} HTTP/1.1", "Content-Type: text/plain", "Content-Length: 3",
                      body=b"%03d" % n) + lines(customer, f"GET {target} HTTP/1.1") for n in range(count)]
        wire.send(b"".join(puts))
        for number in range(count):
            assert wire.answer("PUT").status in (200, 201)
            assert wire.answer().body == b"%03d" % number


def test_p8_old_tls_and_weak_ciphers_are_refused(eu):
    import socket
    import ssl
    for limit in ("version", "cipher", "alpn"):
        context = ssl.create_default_context(cafile=eu.ca)
        if limit == "version":
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        elif limit == "cipher":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
        else:
            context.set_alpn_protocols(["spdy/3"])
        with socket.create_connection((eu.address, eu.port), timeout=10) as plain:
            with pytest.raises((ssl.SSLError, ConnectionResetError, Broken)):
                context.wrap_socket(plain, server_hostname=eu.address).do_handshake()
