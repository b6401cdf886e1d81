"""Bare hosts for tests: for each an sshd of an unprivileged user on an address of its own, in a directory of its own, and
a configuration that declares them. What runs there is stopped by pid."""
import contextlib
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = "/usr/lib/postgresql/15/bin"
PROGRAM = os.environ.get("DOMICILE", os.path.join(ROOT, "build/release/domicile"))
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
PIN = re.compile(r'host_key = "[^"]*"')


def as_user(home):
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "env", f"HOME={home}"]


def free_port(address):
    """One that nobody has, and that no outgoing connection is given meanwhile."""
    while True:
        port = random.randrange(20000, 30000)
        with contextlib.suppress(OSError), socket.create_server((address, port)):
            return port


def until(question, within_s=20, what="it"):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} does not come true within {within_s} s")


class Host:
    def __init__(self, pair, name, site, address):
        self.pair, self.name, self.site, self.address = pair, name, site, address
        self.home = os.path.join(pair.dir, name)
        self.data, self.tls = f"{self.home}/pg/data", f"{self.home}/tls"
        self.log, self.state = f"{self.home}/log/postgres.log", f"{self.home}/domicile"
        self.bin, self.commands = BIN, ""
        os.makedirs(self.home)
        give(self.home)
        self.new_key()
        self.port = free_port(address)
        self.start_sshd()

    def new_key(self):
        key = f"{self.home}/host_key"
        for path in (key, f"{key}.pub"):
            if os.path.exists(path):
                os.unlink(path)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "host", "-f", key], check=True)
        give(key)
        with open(f"{key}.pub", encoding="ascii") as file:
            self.pin = " ".join(file.read().split()[:2])

    def start_sshd(self):
        self.ssh_port = free_port(self.address)
        config = f"{self.home}/sshd_config"
        with open(config, "w", encoding="ascii") as file:
            file.write(f"ListenAddress {self.address}:{self.ssh_port}\nHostKey {self.home}/host_key\n"
                       f"AuthorizedKeysFile {self.pair.dir}/user.pub\nPidFile none\nUsePAM no\nStrictModes no\n"
                       "AuthenticationMethods publickey\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
                       f"SetEnv PATH={self.home}/bin:/usr/bin:/bin\n")
        give(config)
        self.sshd = subprocess.Popen([*as_user(self.home), "/usr/sbin/sshd", "-D", "-f", config, "-E",
                                      f"{self.home}/sshd.log"], stdin=subprocess.DEVNULL)
        until(lambda: "Server listening" in text(f"{self.home}/sshd.log"), what="sshd")

    def stop_sshd(self):
        self.sshd.terminate()
        self.sshd.wait()
        os.unlink(f"{self.home}/sshd.log")

    def declared(self):
        return (f'{{ name = "{self.name}"; site = "{self.site}"; address = "{self.address}"; port = {self.port}; '
                f'ssh = {{ port = {self.ssh_port}; user = "{USER}"; private_key = "{self.pair.dir}/user"; '
                f'host_key = "{self.pin}"; state = "{self.state}"; }}; data = "{self.data}"; tls = "{self.tls}"; '
                f'log = "{self.log}"; bin = "{self.bin}"; commands = {{ {self.commands} }}; }}')

    def script(self, name, body, folder="bin"):
        """A program of the host's own, before all others in its PATH."""
        path = f"{self.home}/{folder}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{body}\n")
        os.chmod(path, 0o755)
        give(os.path.dirname(path))
        return path

    def run(self, *argv, check=True, **how):
        return subprocess.run([*as_user(self.home), *argv], check=check, capture_output=True, text=True, **how)

    def sql(self, text_, database="domicile", folder=None):
        done = self.run(f"{BIN}/psql", "-XAtq", "-h", folder or f"{self.state}/socket", "-p", str(self.port), "-U",
                        "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-c", text_, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pid(self, data=None):
        try:
            pid = int(text(f"{data or self.data}/postmaster.pid").split("\n")[0])
            os.kill(pid, 0)
            return pid
        except (ValueError, ProcessLookupError):
            return None

    def stop(self):
        for data in (self.data, f"{self.home}/other"):
            if self.pid(data):
                self.run(f"{BIN}/pg_ctl", "stop", "-D", data, "-m", "immediate", "-w", "-t", "20", check=False)


def text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def give(path):
    if os.geteuid() == 0:
        shutil.chown(path, USER, USER)


class Pair:
    """Two bare hosts of the cell eu-fr/eu-fr-1, and a third one that is not declared at first."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="domicile-cell.")
        os.chmod(self.dir, 0o711)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.dir}/user"], check=True)
        os.chmod(f"{self.dir}/user.pub", 0o644)
        self.eu1, self.eu2 = Host(self, "eu1", "par1", "127.0.0.2"), Host(self, "eu2", "par2", "127.0.0.3")
        self.hosts = [self.eu1, self.eu2]
        self.config = f"{self.dir}/config"
        self.extra = ""
        os.makedirs(f"{self.config}/regions")
        shutil.copytree(f"{ROOT}/policies", f"{self.config}/policies")
        shutil.copy(f"{ROOT}/regions/us.cfg", f"{self.config}/regions/us.cfg")
        self.declare()

    def third(self):
        self.eu3 = Host(self, "eu3", "par2", "127.0.0.4")
        return self.eu3

    def declare(self, *hosts, **settings):
        hosts = hosts or self.hosts
        files = "".join(f'{name} = {{ certificate = "pg/{name}.crt"; private_key = "pg/{name}.key"; }};\n'
                        for name in ("gateway", "admin", "superuser", "monitor"))
        keys = {"synchronous": "true", "fit": "{ free_mib = 10; }", "issuing_ca":
                '{ certificate = "pg/ca.crt"; private_key = "pg/ca.key"; }', "primary": '"eu1"',
                "clients": '[ "127.0.0.0/8" ]', "standby_networks": '[ "127.0.0.0/8" ]', **settings}
        cell = ('cells = ( { name = "eu-fr-1"; ca = "pg/nodes.crt";\n' + files +
                "".join(f"{key} = {value};\n" for key, value in keys.items()) +
                f"nodes = ( {', '.join(host.declared() for host in hosts)} );\n{self.extra}}} );\n")
        shipped = text(f"{ROOT}/regions/eu-fr.cfg")
        with open(f"{self.config}/regions/eu-fr.cfg", "w", encoding="utf-8") as file:
            file.write(shipped[:shipped.index("cells = (")] + cell)

    def command(self, *words):
        return [PROGRAM, *words, "--config", self.config]

    def run(self, *words, check=True, within_s=120):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=within_s, check=False,
                              stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def provision(self, *words, **how):
        return self.run("cell", "provision", "eu-fr/eu-fr-1", *words, **how)

    def planned(self, *words):
        """Of each step, its answer and evidence."""
        done = self.run(*(words or ("cell", "provision", "eu-fr/eu-fr-1")), "--plan", "--json")
        return {step["id"]: (step["answer"], step["evidence"]) for step in json.loads(done.stdout)["steps"]}

    def undone(self):
        """Of each step that is not as it should be, its answer and evidence. A plan asks once; on a machine with much to
        do an answer may come too late, and it says to ask again."""
        for _ in range(3):
            left = {step: said for step, said in self.planned().items() if said[0] != "yes"}
            if "unknown" not in {answer for answer, _ in left.values()}:
                break
        return left

    def done(self):
        for host in [*self.hosts, *([self.eu3] if hasattr(self, "eu3") else [])]:
            host.stop()
            host.stop_sshd()
        if not os.environ.get("CELLT_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


def end(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
