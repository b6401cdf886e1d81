"""Gateways beside the sandbox's two: with a configuration of their own that a test may spoil, on another loopback
address of the same region, in front of the same cell and directory. Or with the sandbox's own, sharing its port."""
import contextlib
import os
import re
import shutil
import signal
import subprocess

import api
from authority import SERVER, Authority
from gateway import Gateway as Part
from processes import Failure, give, spawn, stop
from until import until


POOL = {"connections", "queue_max", "connect_within_ms", "statement_within_ms"}


class Extra:
    """One more domiciled of a region. `config` may be edited before start() and before reload()."""

    def __init__(self, sandbox, region, address):
        self.sandbox, self.region, self.address = sandbox, region, address
        self.home = os.path.join(sandbox.home, "extra", address)
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(os.path.join(self.home, "log"))
        os.makedirs(os.path.join(self.home, "run"))
        os.symlink(os.path.join(sandbox.home, "bin"), os.path.join(self.home, "bin"))
        self.config = os.path.join(self.home, "config")
        self.part = Part(self.home, "extra", region, address)
        self._copy_configuration()

    def _copy_configuration(self):
        shutil.copytree(self.sandbox.config, self.config, copy_function=copy_with_owner,
                        ignore=shutil.ignore_patterns("directory.sqlite*"))
        give(self.config, 0o755)
        of_region = next(part for part in self.sandbox.gateways.values() if part.region == self.region)
        self.edit(f"regions/{self.region}.cfg", f'address = "{of_region.address}"', f'address = "{self.address}"')
        self.use_directory(os.path.join(self.sandbox.config, "directory.sqlite"))
        self.issue_certificate()

    @property
    def authority(self):
        return Authority(os.path.join(self.sandbox.home, "ca", self.region), self.region)

    def issue_certificate(self, name=None):
        """A new server certificate for our address."""
        tls = os.path.join(self.config, "tls", self.region)
        self.authority.issue(name or f"gateway.{self.region}", SERVER, f"{tls}/gateway.crt", f"{tls}/gateway.key",
                             alternative=f"IP:{self.address}")

    # --- configuration ---

    def path(self, name):
        return os.path.join(self.config, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def edit(self, name, old, new):
        text = self.read(name)
        assert old in text, f'{name} does not say "{old}"'
        self.write(name, text.replace(old, new))

    def substitute(self, name, pattern, new):
        text, count = re.subn(pattern, new, self.read(name), count=1)
        assert count == 1, f"{name} has no {pattern}"
        self.write(name, text)

    def set(self, name, value):
        """Sets a limit, or one of the pool, of our region."""
        group = "pool" if name in POOL else "limits"
        path = f"regions/{self.region}.cfg"
        text = re.sub(rf"\b{name}\s*=\s*\d+;", "", self.read(path))
        changed, count = re.subn(rf"(?m)^(\s*{group}\s*[=:]\s*\{{)", rf"\1 {name} = {value};", text, count=1)
        assert count == 1, f"{path} has no group {group}"
        self.write(path, changed)

    def use_directory(self, path):
        name = "domicile.cfg"
        text = self.read(name) if os.path.exists(self.path(name)) else ""
        text = re.sub(r"(?m)^\s*directory\s*[=:].*$", "", text)
        self.write(name, f'{text}\ndirectory = "{path}";\n')

    def use_copy_of_directory(self, directory):
        """A directory file of its own, with what is in that one; its path."""
        path = self.path("directory.sqlite")
        with directory.open() as connection:
            connection.execute("VACUUM INTO ?", (path,))
        give(path, 0o640)
        self.use_directory(path)
        return path

    # --- its life ---

    def start(self):
        self.part.start()

    def wait_ready(self):
        self.part.wait_ready()
        return self

    @property
    def process(self):
        return self.part.process

    @property
    def log(self):
        return self.part.log

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def gateway(self):
        """It, as its clients see it."""
        return api.Gateway(self.region, self.address, self.part.listens[1], self.part.authority,
                           lambda: self.process.pid, self.log, self.config)

    def reload(self):
        """SIGHUP; the log since then, when it has said how it went."""
        before = os.path.getsize(self.log)
        os.kill(self.process.pid, signal.SIGHUP)

        def told():
            with open(self.log, encoding="utf-8", errors="replace") as file:
                file.seek(before)
                text = file.read()
            return text if re.search(r"is in use|in use is unchanged", text) and text.endswith("\n") else None

        return until(told, what="the gateway says how the reload went")

    def refuses_to_start_again(self, within_s=20):
        """Stops it and starts it on the configuration as it is now, which should be refused; what it said then, and its
        exit status."""
        self.close()
        before = os.path.getsize(self.log)
        self.start()
        status = self.process.wait(within_s)
        return self.log_text()[before:], status

    def start_again(self):
        self.close()
        self.start()
        return self.wait_ready()

    def kill(self):
        """kill -9, and gone when it returns."""
        self.process.kill()
        self.process.wait()

    def close(self):
        with contextlib.suppress(Failure):
            self.part.stop()
        if self.process:
            self.process.wait(10)


def copy_with_owner(source, target):
    shutil.copy2(source, target)
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)


@contextlib.contextmanager
def extra_gateway(sandbox, region="eu-fr", address="127.10.0.77", change=None):
    """A gateway of its own, running and ready; `change(extra)` spoils its configuration before it starts."""
    extra = Extra(sandbox, region, address)
    try:
        if change:
            change(extra)
        extra.start()
        extra.wait_ready()
        yield extra
    finally:
        extra.close()


def refuses_to_start(sandbox, change, within_s=20, address="127.10.0.77"):
    """Starts a gateway that should not start; what it said, and its exit status."""
    extra = Extra(sandbox, "eu-fr", address)
    try:
        change(extra)
        extra.start()
        status = extra.process.wait(within_s)
        return extra.log_text(), status
    finally:
        extra.close()


@contextlib.contextmanager
def sharing_the_port(sandbox, part):
    """A second process on the same configuration, address and port as one of the sandbox's gateways."""
    log = f"{part.log}.second"
    process = spawn([f"{part.programs}/domiciled", "--config", part.config, "--region", part.region], log)
    try:
        yield process, log
    finally:
        stop(process.pid, [(signal.SIGTERM, 15), (signal.SIGKILL, 5)])
        process.wait(5)


def listens(address, port, pid):
    """Whether that process has a listening socket there."""
    out = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return any(f"{address}:{port} " in line and f"pid={pid}," in line for line in out.splitlines())
