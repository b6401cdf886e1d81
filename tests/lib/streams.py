"""What goes on after its head, by a client that is slow: exports and bulk requests."""
import json
import re

from api import NDJSON
from exposition import scrape
from h2wire import H2Wire
from wire import Broken


class OnWire:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.__exit__()


class Export(OnWire):
    """An export that its client began to read, and then does not."""

    def __init__(self, gateway, customer, headers):
        self.wire = gateway.wire(receive_bytes=32768)
        self.wire.request("GET", customer.record("health"), {**headers, "Accept": NDJSON})
        status, self.headers, _ = self.wire.head()
        assert status == 200, (status, self.headers)
        self.pieces = self.wire.body(dict(self.headers))
        self.read = next(self.pieces)

    def rest(self):
        """All that still comes, and whether it was the end."""
        try:
            for piece in self.pieces:
                self.read += piece
        except (Broken, OSError):
            return self.read, False
        return self.read, True


class Export2(OnWire):
    """The same over HTTP/2."""

    def __init__(self, gateway, customer, headers):
        self.wire = H2Wire(gateway)
        self.number = self.wire.open("GET", customer.record("health"), {**headers, "Accept": NDJSON})
        while not self.wire.streams[self.number].body:
            self.wire.receive()

    def rest(self):
        stream = self.wire.streams[self.number]
        while not self.wire.over(self.number):
            assert not self.wire.peer_closed, "the connection serves other streams"
            self.wire.receive()
        assert stream.ended or stream.reset is not None
        return stream.body, stream.ended


class Bulk(OnWire):
    def __init__(self, gateway, customer, headers):
        self.wire = gateway.wire()
        self.wire.request("POST", customer.record("health"),
                          {**headers, "Content-Type": NDJSON, "Transfer-Encoding": "chunked"})
        status, self.headers, _ = self.wire.head()
        assert status == 200, (status, self.headers)
        self.pieces = self.wire.body(dict(self.headers))

    def send(self, keys):
        data = b"".join(json.dumps({"key": key, "value": 1}).encode() + b"\n" for key in keys)
        self.wire.send(b"%x\r\n%b\r\n" % (len(data), data))

    def answers(self, count=None):
        """Some of its lines; without a number, all that come, and whether it was the end."""
        data, whole = b"", True
        try:
            while count is None or data.count(b"\n") < count:
                data += next(self.pieces)
        except StopIteration:
            pass
        except (Broken, OSError):
            whole = False
        return [json.loads(line) for line in data.split(b"\n") if line], whole


def count(gateway):
    """How many that gateway has broken off."""
    return int(re.search(r"(?m)^domicile_streams_broken_off_total (\d+)$", scrape(gateway)).group(1))
