"""What passes over the wire, by tcpdump on the loopback interface."""
import os
import socket
import subprocess
import tempfile

from until import until

CONTROL = b"this datagram is the control of the capture"


class Capture:
    """Records the packets that match a filter while it is open; `bytes` holds them afterwards. `control` is a pair of
    addresses that match it: a datagram between them shows that the capture sees, and that it has seen all up to then."""

    def __init__(self, expression, control):
        self.expression, self.control = expression, control
        self.bytes = b""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "packets")
        self.messages = os.path.join(self.folder.name, "messages")
        with open(self.messages, "wb") as messages:
            self.process = subprocess.Popen(
                ["tcpdump", "-i", "lo", "-U", "-s", "0", "-B", "16384", "-Z", "root", "-w", self.path,
                 self.expression], stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)
        until(lambda: b"listening on" in self._read(self.messages) or self.process.poll() is not None,
              what="tcpdump listens")
        assert self.process.poll() is None, self._read(self.messages)
        return self

    def __exit__(self, *_):
        try:
            until(self._sees_control, within_s=15, what="the capture sees its control datagram")
        finally:
            self.process.terminate()
            self.process.wait(10)
            self.bytes = self._read(self.path)
            self.folder.cleanup()

    def _sees_control(self):
        source, target = self.control
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            sender.sendto(CONTROL, (target, 9))
        return CONTROL in self._read(self.path)

    @staticmethod
    def _read(path):
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""
