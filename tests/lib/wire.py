"""HTTP/1.1 over TLS, byte by byte: what goes out is exactly what a test wrote, and nothing of the answer is hidden."""
import json
import socket
import ssl
import time

WITHIN_S = 15


class Broken(Exception):
    """The peer closed the connection, or what it sent is no HTTP/1.1."""


class Answer:
    def __init__(self, status, headers, body, interim):
        self.status = status
        self.headers = headers  # (name in lower case, value), as they came
        self.body = body
        self.interim = interim  # statuses of the 1xx answers before this one

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:400]!r}>"

    def all(self, name):
        return [value for header, value in self.headers if header == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def etag(self):
        return self.header("etag")

    def json(self):
        return json.loads(self.body)

    def lines(self):
        """The documents of a newline-delimited JSON body."""
        return [json.loads(line) for line in self.body.decode().split("\n") if line]

    @property
    def slug(self):
        """The last part of a problem's type; None when this is no problem."""
        if self.header("content-type") != "application/problem+json":
            return None
        return self.json()["type"].removeprefix("urn:domicile:error:")


def context_of(ca, alpn=("http/1.1",)):
    context = ssl.create_default_context(cafile=ca)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def head(method, target, headers):
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Wire:
    """One connection, with TLS unless `ca` is None. Use it as a context manager."""

    def __init__(self, address, port, ca, alpn=("http/1.1",), source=None, within_s=WITHIN_S, receive_bytes=None):
        self.host = f"{address}:{port}"
        self.within_s = within_s
        # Wrapped before it is connected: wrap_socket forgets to close what was reset meanwhile.
        plain = socket.socket()
        self.socket = context_of(ca, alpn).wrap_socket(plain, server_hostname=address) if ca else plain
        try:
            if receive_bytes:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            self.socket.settimeout(within_s)
            if source:
                self.socket.bind((source, 0))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.connect((address, port))
        except BaseException:
            self.socket.close()
            raise
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, target, headers=(), body=None):
        """Sends a well-formed request: Host, and Content-Length where there is a body."""
        named = dict(headers) if isinstance(headers, dict) else headers
        lines = list(named.items()) if isinstance(named, dict) else list(named)
        if not any(name.lower() == "host" for name, _ in lines):
            lines.insert(0, ("Host", self.host))
        if body is not None:
            lines.append(("Content-Length", len(body)))
        self.send(head(method, target, lines) + (body or b""))

    def ask(self, method, target, headers=(), body=None):
        self.request(method, target, headers, body)
        return self.answer(method)

    def fill(self, at_least=1):
        """Reads until the buffer holds that many bytes. False: the peer closed before."""
        while len(self.buffer) < at_least:
            try:
                some = self.socket.recv(65536)
            except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
                some = b""
            if not some:
                return False
            self.buffer += some
        return True

    def _take_line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill(len(self.buffer) + 1):
                raise Broken(f"closed in the middle of a line: {self.buffer!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def take(self, length):
        if not self.fill(length):
            raise Broken(f"closed with {len(self.buffer)} of {length} bytes")
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def _take_head(self):
        words = self._take_line().split(" ", 2)
        if words[0] != "HTTP/1.1" or len(words) < 2 or not words[1].isdigit():
            raise Broken(f"no status line: {words}")
        headers = []
        while line := self._take_line():
            name, colon, value = line.partition(":")
            if not colon:
                raise Broken(f"no header: {line!r}")
            headers.append((name.lower(), value.strip()))
        return int(words[1]), headers

    def head(self):
        """The next head that is not a 1xx: status, headers, and the 1xx statuses before it."""
        interim = []
        while True:
            status, headers = self._take_head()
            if status >= 200:
                return status, headers, interim
            interim.append(status)

    def interim(self):
        """The status of the next head, which is a 1xx."""
        status, _ = self._take_head()
        assert status < 200, status
        return status

    def answer(self, method="GET"):
        status, headers, interim = self.head()
        body = b"" if method == "HEAD" or status in (204, 304) else b"".join(self.body(dict(headers)))
        return Answer(status, headers, body, interim)

    def body(self, headers):
        """The pieces of the body that belongs to these headers, as they come."""
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self._take_line(), 16):
                yield self.take(size)
                if self.take(2) != b"\r\n":
                    raise Broken("a chunk without its end")
            while self._take_line():
                pass
        elif "content-length" in headers:
            yield self.take(int(headers["content-length"]))
        else:
            while self.fill():
                yield self.take(len(self.buffer))

    def closed(self, within_s=5):
        """Whether the peer closes within that time; what it still sends is thrown away."""
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except (ssl.SSLError, OSError):
                return True
            finally:
                self.socket.settimeout(self.within_s)
        return False
