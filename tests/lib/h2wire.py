"""HTTP/2 over TLS with the h2 library: streams that a test opens, fills and leaves as it likes."""
import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from wire import WITHIN_S, Answer, Broken, context_of


class Stream:
    def __init__(self):
        self.headers, self.interim, self.body = None, [], b""
        self.ended, self.reset = False, None


class H2Wire:
    """One HTTP/2 connection. Use it as a context manager. `checks=False` lets malformed requests out."""

    def __init__(self, gateway, checks=True, within_s=WITHIN_S):
        self.authority = f"{gateway.address}:{gateway.port}"
        plain = socket.create_connection((gateway.address, gateway.port), timeout=within_s)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context_of(gateway.ca, ["h2"]).wrap_socket(plain, server_hostname=gateway.address)
        except BaseException:
            plain.close()
            raise
        assert self.socket.selected_alpn_protocol() == "h2"
        configuration = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=checks,
            normalize_outbound_headers=checks)
        self.h2 = h2.connection.H2Connection(configuration)
        self.streams = {}
        self.goaway = None  # (error code, last stream)
        self.open_at_goaway = set()
        self.peer_closed = False
        self._partial = b""
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def send_raw(self, data):
        self.socket.sendall(data)

    def open(self, method, path, headers=(), end=True):
        """Sends a head; the stream's number."""
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        self.h2.send_headers(number, pseudo + [(k.lower(), str(v)) for k, v in dict(headers).items()], end_stream=end)
        self.flush()
        return number

    def request(self, method, path, headers=(), body=None):
        """Sends a whole request; the stream's number."""
        if body is None:
            return self.open(method, path, headers)
        number = self.open(method, path, {**dict(headers), "content-length": len(body)}, end=False)
        while body and not self.over(number):
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if room == 0:
                self.receive()
                continue
            piece, body = body[:room], body[room:]
            self.h2.send_data(number, piece, end_stream=not body)
            self.flush()
        return number

    def over(self, number):
        """Whether the stream has its answer, or was reset: then its body is of no use any more."""
        return self.streams[number].ended or self.streams[number].reset is not None

    def ask(self, method, path, headers=(), body=None):
        return self.answer(self.request(method, path, headers, body))

    def answer(self, number):
        """Waits for the stream's end."""
        stream = self.streams[number]
        while not self.over(number):
            if self.peer_closed:
                raise Broken(f"closed before stream {number} ended")
            self.receive()
        if stream.headers is None:
            raise Broken(f"stream {number} was reset with {stream.reset}")
        headers = [(name, value) for name, value in stream.headers if not name.startswith(":")]
        return Answer(int(dict(stream.headers)[":status"]), headers, stream.body, stream.interim)

    def receive(self):
        """Reads once from the socket and takes note of what happened."""
        try:
            data = self.socket.recv(65536)
        except (ssl.SSLEOFError, ConnectionResetError):
            data = b""
        if not data:
            self.peer_closed = True
            return
        for frame in self._frames(data):
            for event in self.h2.receive_data(frame):
                self._note(event)
        self.flush_quietly()

    def _frames(self, data):
        """Whole frames, one by one."""
        self._partial += data
        while len(self._partial) >= 9 and len(self._partial) >= (end := 9 + int.from_bytes(self._partial[:3], "big")):
            frame, self._partial = self._partial[:end], self._partial[end:]
            yield frame

    def flush_quietly(self):
        """Sends what h2 owes; a peer that has gone shows when we read."""
        try:
            self.flush()
        except OSError:
            pass

    def _note(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code), event.last_stream_id
            self.open_at_goaway = {number for number in self.streams if not self.over(number)}
            # RFC 9113 6.8: streams up to that one go on. The library thinks that all is over.
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        elif stream is None:
            return
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = event.headers
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code)

    def closed(self, within_s=5):
        """Whether the peer closes within that time."""
        deadline = time.monotonic() + within_s
        while not self.peer_closed:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.socket.settimeout(left)
            try:
                self.receive()
            except (TimeoutError, h2.exceptions.ProtocolError):
                pass
            except OSError:
                return True
        return True
