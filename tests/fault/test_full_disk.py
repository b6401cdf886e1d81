"""The disk under PostgreSQL is full. The cell runs on a small file system of its own, at the sandbox's address."""
import contextlib
import os
import re
import shutil
import subprocess

import pytest
from cluster import healthy_after
from load import Load, all_readable, stored
from postgres import Node
from processes import give
from until import until

ROOM_BYTES = 40 * 1024 * 1024


def without_standby(data):
    """A copy that no standby follows must not wait for one."""
    path = os.path.join(data, "domicile.conf")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed, count = re.subn(r"(?m)^synchronous_standby_names = .*$", "", text)
    assert count == 1
    with open(path, "w", encoding="utf-8") as file:
        file.write(changed)


@pytest.fixture
def small(sandbox, eu1, eu):
    """EU1, copied to a tmpfs with little room and running from there in its place, alone: its standby would follow the
    copy away from the original."""
    if os.geteuid() != 0:
        pytest.fail("mounting a small file system needs root")
    mount = os.path.join(sandbox.home, "small")
    clone = Node(sandbox.home, "small", eu1.region, eu1.site, eu1.address)
    eu2 = sandbox.nodes["eu2"]
    with healthy_after(eu2), healthy_after(eu1, eu), contextlib.ExitStack() as undo:
        eu2.stop()
        eu1.stop()
        size = int(subprocess.run(["du", "-sb", eu1.home], stdout=subprocess.PIPE, check=True).stdout.split()[0])
        os.makedirs(mount, exist_ok=True)
        undo.callback(os.rmdir, mount)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + ROOM_BYTES},mode=0700", "tmpfs", mount], check=True)
        undo.callback(subprocess.run, ["umount", mount], check=True)
        give(mount, 0o700)
        subprocess.run(["cp", "-a", f"{eu1.home}/.", mount], check=True)
        without_standby(clone.data)
        undo.callback(clone.stop)
        clone.start()
        until(eu.ready, within_s=20, what="the gateway serves from the copy")
        yield clone, mount


def fill(mount):
    """Takes all the room that is left; what gives it back."""
    path = os.path.join(mount, "ballast")
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65536)
    assert shutil.disk_usage(mount).free < 65536
    return lambda: os.unlink(path)


def test_p8_full_disk(small, new_customer, eu):
    clone, mount = small
    customer = new_customer(eu)
    body = b"x" * 20_000
    with Load(customer, eu, workers=4, body=body) as load:
        until(lambda: len(load.acknowledged) > 20, what="writes go on")
        empty = fill(mount)
        until(lambda: sum(load.refused.values()) > 20, within_s=60, what="writes are refused")
        acknowledged = len(load.acknowledged)
    assert load.broken == 0, "the gateway hung up on a writer"
    assert all(answer.status >= 500 and answer.slug for answer in load.odd), load.odd[:3]
    assert all(b"No space" not in answer.body and b"/" not in answer.json()["title"].encode() for answer in load.odd)
    assert load.slowest < 15
    assert eu.ask("GET", "/healthz").status == 200
    empty()
    if not clone.pid():
        clone.start()  # PostgreSQL itself stops when its log cannot grow
    until(lambda: customer.put("health", "after", b"1").status in (200, 201), within_s=30, what="writes go on again")
    found = stored(customer)
    assert acknowledged > 20
    assert {key: found.get(key) for key in load.acknowledged} == load.acknowledged
    all_readable(customer, load.acknowledged, body)
