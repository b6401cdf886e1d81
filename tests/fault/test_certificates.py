"""Between gateway and cell: whoever shows the wrong certificate, or is the wrong cell, is refused, and it is said why."""
import contextlib
import os
import shutil
import socket
import threading

import pytest
from authority import CLIENT, SERVER, Authority
from certificates import expire
from extra import Extra, refuses_to_start
from until import until


def started_badly(sandbox, change, within_s=20):
    """The log of a gateway with that change, once it has ended or has said for a while that it is not ready."""
    extra = Extra(sandbox, "eu-fr", "127.10.0.78")
    try:
        change(extra)
        extra.start()
        complaint = until(lambda: complains(extra), within_s=within_s, what="the gateway says what is wrong")
        assert extra.part.readiness() != 200
        return complaint
    finally:
        extra.close()


def complains(extra):
    text = extra.log_text()
    ended = extra.process.poll() is not None
    assert not ended or extra.process.returncode not in (0, -6, -11), text[-2000:]
    return text if ended or "ertificate" in text or "stamp" in text or "SSL" in text else None


def client_certificate(extra, expired=False, name="domicile_gateway", authority=None):
    folder = f"{extra.config}/pg/eu-fr"
    authority = authority or extra.authority
    authority.issue(name, CLIENT, f"{folder}/gateway.crt", f"{folder}/gateway.key")
    if expired:
        expire(authority, f"{folder}/gateway.crt", f"{folder}/gateway.key", name, CLIENT)


def test_an_expired_client_certificate(sandbox):
    said = started_badly(sandbox, lambda extra: client_certificate(extra, expired=True))
    assert "certificate" in said.lower()


def test_a_client_certificate_of_another_name(sandbox):
    said = started_badly(sandbox, lambda extra: client_certificate(extra, name="somebody_else"))
    assert "certificate" in said.lower()


def test_a_client_certificate_of_another_authority(sandbox):
    other = Authority(os.path.join(sandbox.home, "ca", "us"), "us")
    said = started_badly(sandbox, lambda extra: client_certificate(extra, authority=other))
    assert "certificate" in said.lower() or "ssl" in said.lower()


@contextlib.contextmanager
def forwarder(address, port, target):
    """A TCP relay: the cell, under an address that its certificate does not name."""
    listener = socket.create_server((address, port))
    stop = threading.Event()

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def relay(near):
        with near, contextlib.suppress(OSError), socket.create_connection(target) as far:
            back = threading.Thread(target=pump, args=(far, near), daemon=True)
            back.start()
            pump(near, far)
            back.join()

    def serve():
        while not stop.is_set():
            with contextlib.suppress(OSError):
                near, _ = listener.accept()
                threading.Thread(target=relay, args=(near,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
        listener.close()
        thread.join(5)


def test_a_cell_whose_certificate_names_another_host(sandbox, eu1):
    with forwarder("127.10.1.77", 15432, eu1.listens):
        said = started_badly(sandbox, lambda extra: extra.edit("regions/eu-fr.cfg", '"127.10.1.1"', '"127.10.1.77"'))
    assert "127.10.1.77" in said


def test_p2_the_cell_of_another_region_is_refused(sandbox):
    """The gateway of eu-fr is pointed at the American cell, with certificates that open it: the stamp is the wall."""
    def point_at_us(extra):
        for name in ("ca.crt", "gateway.crt", "gateway.key"):
            target = f"{extra.config}/pg/eu-fr/{name}"
            shutil.copy2(f"{extra.config}/pg/us/{name}", target)
            status = os.stat(f"{sandbox.config}/pg/us/{name}")
            os.chown(target, status.st_uid, status.st_gid)
        extra.edit("regions/us.cfg", '"127.20.1.1"', '"127.20.1.88"')
        extra.edit("regions/eu-fr.cfg", '"127.10.1.1"', '"127.20.1.1"')

    said = started_badly(sandbox, point_at_us)
    assert "stamp" in said and "us" in said


def test_a_gateway_certificate_that_is_expired_or_anothers(sandbox):
    """The gateway's own: it does not start with one that its clients must refuse."""
    def expired(extra):
        tls = f"{extra.config}/tls/eu-fr"
        expire(extra.authority, f"{tls}/gateway.crt", f"{tls}/gateway.key", "gateway.eu-fr", SERVER,
               f"IP:{extra.address}")

    def foreign_key(extra):
        tls = f"{extra.config}/tls/eu-fr"
        keep = f"{tls}/kept.crt"
        os.rename(f"{tls}/gateway.crt", keep)
        extra.issue_certificate()
        os.rename(keep, f"{tls}/gateway.crt")

    for change in (expired, foreign_key):
        said, status = refuses_to_start(sandbox, change)
        assert status == 7 and "gateway.crt" in said, said


@pytest.fixture(autouse=True)
def clean(sandbox):
    yield
    shutil.rmtree(os.path.join(sandbox.home, "extra", "127.10.0.78"), ignore_errors=True)
