"""The sandbox: two regions on one machine, as real as one machine can make them. See DESCRIPTION."""
import argparse
import contextlib
import fcntl
import hashlib
import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from authority import Authority
from gateway import Gateway, install_programs
from host import Host
from postgres import Node
from processes import Failure, account, give, identity, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEFAULT = os.path.join(ROOT, "build", "sandbox")
REGIONS = ("eu-fr", "us")
CLIENTS = {"OPS": "sysadmin", "COMPLIANCE": "compliance", "SECURITY": "security", "ONBOARD": "onboarding"}
SHIPPED_HOME = "/var/lib/domicile"  # where the shipped region files say that hosts keep what domicile lays there
PROVISION_WITHIN_S = 120
SOCKET = "eu1/state/socket/.s.PGSQL.15432"  # the longest of the sockets that PostgreSQL makes below DIR
SOCKET_PATH_BYTES = 107

DESCRIPTION = f"""\
The sandbox makes two regions of one machine. Each has two hosts with an OpenSSH server, on which domicile provisions a
primary and a standby over SSH, and a gateway.

  eu-fr   gateway https://127.10.0.1:8443   hosts eu1 127.10.1.1, eu2 127.10.2.1
  us      gateway https://127.20.0.1:8443   hosts us1 127.20.1.1, us2 127.20.2.1

SSH is on port 10022, PostgreSQL on 15432.

DIR/env is a shell file with all that a client, a test or a curious person needs. The default DIR is
{os.path.relpath(DEFAULT, ROOT)}.
"""


class Sandbox:
    def __init__(self, directory=DEFAULT):
        self.asked = os.path.abspath(directory)
        self.home = os.path.realpath(directory)
        self.env_file = os.path.join(self.home, "env")
        self.config = os.path.join(self.home, "config")
        self.nodes = {
            "eu1": Node(self.home, "eu1", "eu-fr", "par1", "127.10.1.1"),
            "eu2": Node(self.home, "eu2", "eu-fr", "par2", "127.10.2.1"),
            "us1": Node(self.home, "us1", "us", "iad1", "127.20.1.1"),
            "us2": Node(self.home, "us2", "us", "cbf1", "127.20.2.1"),
        }
        self.hosts = {f"ssh-{name}": Host(self.home, name, node.address) for name, node in self.nodes.items()}
        self.gateways = {
            "eu": Gateway(self.home, "eu", "eu-fr", "127.10.0.1"),
            "us": Gateway(self.home, "us", "us", "127.20.0.1"),
        }

    @property
    def parts(self):
        return {**self.hosts, **self.nodes, **self.gateways}

    def running(self):
        return [name for name, part in self.parts.items() if part.pid()]

    # --- up ---

    def up(self, built, keep=False, say=print):
        running = self.running()
        if len(running) == len(self.parts):
            say(f"sandbox: already up in {self.asked}")
            return
        if running:
            raise Failure(f'the sandbox in {self.asked} is partly up ({", ".join(running)} run); '
                          f'stop it first: tools/sandbox down {self.asked}')
        self.refuse_taken_addresses()
        began = time.monotonic()
        keep = keep and os.path.exists(self.env_file)
        umask = os.umask(0o022)  # the servers' account reads what we make; what is secret says so itself
        try:
            if not keep:
                self._prepare_directory(say)
            install_programs(built, os.path.join(self.home, "bin"))
            if keep:
                say("sandbox: starting the kept sandbox")
                self._start_all()
            else:
                self._make(say)
        except BaseException:
            for part in reversed(self.parts.values()):
                with contextlib.suppress(Failure):
                    part.stop()
            raise
        finally:
            os.umask(umask)
        say(f"sandbox: up in {time.monotonic() - began:.1f} s; source {os.path.join(self.asked, 'env')}")

    def _make(self, say):
        say("sandbox: CAs and configuration")
        authorities = {region: Authority(os.path.join(self.home, "ca", region), region) for region in REGIONS}
        for authority in authorities.values():
            authority.create()
        say(f"sandbox: hosts {', '.join(self.nodes)} and their configuration")
        self._lay_configuration(authorities)
        self._provision(say)
        say("sandbox: OAuth clients")
        secrets = self._add_clients()
        say("sandbox: gateways eu-fr and us")
        self._start_gateways()
        self._write_env(secrets)

    def _make_hosts(self):
        for region in REGIONS:
            folder = os.path.join(self.config, "ssh", region)
            os.makedirs(folder)
            key = os.path.join(folder, "operator")
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"operator of {region}", "-f", key])
            give(key, 0o600)
            with open(f"{key}.pub", encoding="utf-8") as file:
                public = file.read().strip()
            for name, node in self.nodes.items():
                if node.region == region:
                    self.hosts[f"ssh-{name}"].create(public)
        for host in self.hosts.values():
            host.start()

    def _pin_hosts(self, region):
        """The region's file with this sandbox's hosts in it: their keys, their account, and where things are there."""
        path = os.path.join(self.config, "regions", f"{region}.cfg")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text = text.replace(f'"{SHIPPED_HOME}/', f'"{self.home}/')
        text = re.sub(r'user = "[^"]*"', f'user = "{account().pw_name}"', text)
        text = re.sub(r'(log = "[^"]*";)', r'\1 shared_host = true;', text)  # all four hosts are one machine
        for name, node in self.nodes.items():
            if node.region == region:
                host = self.hosts[f"ssh-{name}"]
                text, pinned = re.subn(rf'host_key = "[^"]* {name}";',
                                       f'host_key = "{host.pin}"; config = "{host.home}/ssh/sshd_config";', text)
                if pinned != 1:
                    raise Failure(f'{path} pins the host key of "{name}" {pinned} times')
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def _provision(self, say):
        """Both cells side by side, each with its own progress."""
        def provision(gateway):
            gateway.provision(lambda text: say(f"  {gateway.region:6}{text[:110]}"), PROVISION_WITHIN_S)
        say(f"sandbox: domicile cell provision, {' and '.join(f'{region}/{region}-1' for region in REGIONS)}")
        with ThreadPoolExecutor() as pool:
            list(pool.map(provision, self.gateways.values()))

    def _lay_configuration(self, authorities):
        os.makedirs(self.config)
        give(self.config, 0o755)  # the gateways make directory.sqlite in it
        for part in ("regions", "policies"):
            os.makedirs(os.path.join(self.config, part))
            for name in os.listdir(os.path.join(ROOT, part)):  # their modes may be for the checkout's owner alone
                shutil.copyfile(os.path.join(ROOT, part, name), os.path.join(self.config, part, name))
        self._make_hosts()
        for gateway in self.gateways.values():
            self._pin_hosts(gateway.region)
            gateway.lay_files(authorities[gateway.region])
        bundle = os.path.join(self.config, "ca-bundle.crt")
        with open(bundle, "wb") as out:
            for authority in authorities.values():
                with open(authority.certificate, "rb") as file:
                    out.write(file.read())

    def _add_clients(self):
        directory = os.path.join(self.home, "clients")
        os.makedirs(directory)
        give(directory, 0o700)
        secrets = {}
        for name, role in CLIENTS.items():
            path = os.path.join(directory, f"{name.lower()}.secret")
            both = [argument for region in REGIONS for argument in ("--region", region)]
            self.gateways["eu"].domicile("client", "add", "--role", role, "--id", f"sandbox-{role}", *both,
                                         "--secret-file", path, as_account=True)
            with open(path, encoding="utf-8") as file:
                secrets[name] = (f"sandbox-{role}", file.read().strip())
        return secrets

    def _start_gateways(self):
        for gateway in self.gateways.values():
            gateway.start()
        for gateway in self.gateways.values():
            gateway.wait_ready()

    def _start_all(self):
        for part in (*self.hosts.values(), *self.nodes.values()):
            part.start()
        self._start_gateways()
        self._refresh_pids()

    def _prepare_directory(self, say):
        """An empty DIR. Where the servers cannot work in it, DIR is a link to a directory in which they can."""
        self.wipe()
        os.makedirs(os.path.dirname(self.asked), exist_ok=True)
        why = unfit(self.asked)
        if why:
            target = os.path.join(elsewhere(), hashlib.sha256(self.asked.encode()).hexdigest()[:12])
            say(f"sandbox: {self.asked} {why}; it is a link to {target}")
            if os.path.exists(target):
                shutil.rmtree(target)
            os.makedirs(target)
            os.symlink(target, self.asked)
        else:
            os.makedirs(self.asked)
        with open(os.path.join(self.asked, ".sandbox"), "w", encoding="utf-8") as mark:
            mark.write("Made by tools/sandbox, which empties this directory when it starts anew.\n")
        self.__init__(self.asked)
        for part in ("bin", "run", "log", "ca"):
            os.makedirs(os.path.join(self.home, part))
        os.chmod(os.path.join(self.home, "ca"), 0o700)

    def wipe(self):
        """Removes what an earlier sandbox left in DIR; a directory that no sandbox made is left alone."""
        if not os.path.lexists(self.asked):
            return
        if os.path.isdir(self.asked) and os.listdir(self.asked) and not os.path.exists(f"{self.asked}/.sandbox"):
            raise Failure(f"{self.asked} is not empty and was not made by tools/sandbox; name another directory")
        if os.path.islink(self.asked):
            shutil.rmtree(self.home, ignore_errors=True)
            os.unlink(self.asked)
        else:
            shutil.rmtree(self.asked)

    def refuse_taken_addresses(self):
        for name, part in self.parts.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(part.listens)
                except OSError as error:
                    raise Failure("cannot use {}:{} ({}): {}".format(
                        *part.listens, name, holder() or error.strerror)) from None

    # --- env ---

    def _write_env(self, secrets):
        values = {"EU_URL": self.gateways["eu"].url, "US_URL": self.gateways["us"].url,
                  "EU_STATUS_URL": self.gateways["eu"].status_url, "US_STATUS_URL": self.gateways["us"].status_url,
                  "CA": f"{self.config}/ca-bundle.crt", "CONFIG": self.config}
        for name, node in self.nodes.items():
            prefix = name.upper()
            values.update({f"{prefix}_PG": node.superuser(), f"{prefix}_DATA": node.data, f"{prefix}_LOG": node.json_log,
                           f"{prefix}_PIDFILE": node.pid_file})
        for name, (client, secret) in secrets.items():
            values.update({f"{name}_CLIENT": client, f"{name}_SECRET": secret})
        for name, gateway in self.gateways.items():
            values.update({f"{name.upper()}_PID": gateway.pid() or "", f"{name.upper()}_GATEWAY_LOG": gateway.log})
        values["DOMICILE"] = f"{self.home}/bin/domicile"
        self._replace_env("".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items()))

    def _replace_env(self, text):
        descriptor = os.open(f"{self.env_file}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{self.env_file}.new", self.env_file)

    def _refresh_pids(self):
        with open(self.env_file, encoding="utf-8") as file:
            text = file.read()
        for name, gateway in self.gateways.items():
            text = re.sub(rf"(?m)^{name.upper()}_PID=.*$", f"{name.upper()}_PID={gateway.pid() or ''}", text)
        self._replace_env(text)

    def env(self):
        """What DIR/env says, as a dict."""
        with open(self.env_file, encoding="utf-8") as file:
            pairs = (line.split("=", 1) for line in file.read().splitlines())
        return {name: "".join(shlex.split(value)) for name, value in pairs}

    # --- the rest of its life ---

    def start_part(self, name):
        part = self.parts[name]
        part.start()
        if name in self.gateways:
            part.wait_ready()
            self._refresh_pids()

    def stop_part(self, name):
        self.parts[name].stop()

    def down(self, say=print):
        running = self.running()
        for name in (*self.gateways, *self.nodes, *self.hosts):
            self.parts[name].stop()
        say(f"sandbox: stopped {', '.join(running)}" if running else f"sandbox: nothing runs in {self.asked}")

    def status(self, say=print):
        for name, part in self.parts.items():
            say("{:8} {:>16} pid {:8} {}".format(name, "{}:{}".format(*part.listens), part.pid() or "-", part.state()))
        return 0 if all(part.state() in ("running", "ready") for part in self.parts.values()) else 3

    def operate(self, words):
        """domicile as the account that has the hosts' key: its exit status."""
        if not os.path.exists(self.env_file):
            raise Failure(f"there is no sandbox in {self.asked}; tools/sandbox up makes it")
        env = self.env()
        return subprocess.run([env["DOMICILE"], *words], check=False, cwd="/", env={**os.environ, "HOME": account().pw_dir,
                                                                                  "DOMICILE_CONFIG": env["CONFIG"]},
                              **identity()).returncode


def unfit(directory):
    """Why the servers cannot work in a directory of that name, in words; None where they can."""
    parent = os.path.dirname(directory)
    if subprocess.run(["test", "-x", parent], check=False, **identity()).returncode:
        return f'cannot be reached by the account "{account().pw_name}"'
    for above in itertools.accumulate(os.path.realpath(parent).split("/"), lambda path, part: f"{path}/{part}"):
        if os.stat(above or "/").st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            return f"is below {above}, where every account can write: the guard of the hosts would not work there"
    if len(os.fsencode(os.path.join(os.path.realpath(parent), os.path.basename(directory), SOCKET))) > SOCKET_PATH_BYTES:
        return "is too long for PostgreSQL's sockets"
    return None


def elsewhere():
    """Where the servers can always work: a directory that only we write to."""
    if os.geteuid() == 0:
        return "/var/lib/domicile-sandbox"
    place = f"/var/tmp/domicile-sandbox-{os.geteuid()}"
    os.makedirs(place, mode=0o700, exist_ok=True)
    if os.lstat(place).st_uid != os.geteuid() or os.path.islink(place):
        raise Failure(f"{place} is somebody else's")
    return place


def holder():
    """Who holds the sandbox's addresses: another sandbox, found by its processes' command lines."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                command = file.read().replace("\0", " ")
            found = re.search(r"postgres -D (\S+)/(?:eu|us)\d/data\b|domiciled --config (\S+)/config\b", command)
            if found:
                return f"the sandbox in {found.group(1) or found.group(2)} holds it (pid {pid})"
    return None


@contextlib.contextmanager
def one_at_a_time(sandbox):
    """Two commands on one DIR wait for each other; the second gives up after a while."""
    lock = f"{sandbox.asked}.lock"
    os.makedirs(os.path.dirname(lock), exist_ok=True)
    with open(lock, "w", encoding="utf-8") as file:
        deadline = time.monotonic() + 60
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failure(f"another tools/sandbox works on {sandbox.asked} (it holds {lock})") from None
                time.sleep(0.1)
        yield


def show_end(log, lines=15):
    with contextlib.suppress(OSError):
        with open(log, encoding="utf-8", errors="replace") as file:
            end = file.readlines()[-lines:]
        print(f"--- the end of {log}", file=sys.stderr)
        sys.stderr.writelines(end)
        print("---", file=sys.stderr)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/sandbox", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="create a new sandbox and start it, unless it is already up")
    up.add_argument("--keep", action="store_true", help="start the sandbox that `down` stopped, with its data")
    up.add_argument("--bin", default=os.environ.get("DOMICILE_BIN", os.path.join(ROOT, "build", "release")),
                    help="directory of domiciled and domicile (default: $DOMICILE_BIN or build/release)")
    down = verbs.add_parser("down", help="stop the sandbox's processes only; the data stay for --keep")
    status = verbs.add_parser("status", help="show which parts run; the exit status is 0 if all do, otherwise 3")
    start = verbs.add_parser("start", help="start one part again")
    stop = verbs.add_parser("stop", help="stop one part")
    for verb in (start, stop):
        verb.add_argument("part", choices=tuple(Sandbox(DEFAULT).parts), metavar="PART",
                          help="eu1, eu2, us1, us2: PostgreSQL; ssh-eu1 and so on: the host's SSH server; eu, us: gateway")
    for verb in (up, down, status, start, stop):
        verb.add_argument("directory", nargs="?", default=DEFAULT, metavar="DIR")
    operate = verbs.add_parser("operate", help="run domicile as the operator, with the SSH key of the hosts: operate cell status")
    operate.add_argument("words", nargs=argparse.REMAINDER, metavar="NOUN VERB ...", help="the command of domicile")
    operate.set_defaults(directory=os.environ.get("DOMICILE_SANDBOX", DEFAULT))
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sandbox = Sandbox(options.directory)
    try:
        if options.verb == "status":
            return sandbox.status()
        if options.verb == "operate":
            return sandbox.operate(options.words)
        with one_at_a_time(sandbox):
            if options.verb == "up":
                sandbox.up(os.path.abspath(options.bin), options.keep)
            elif options.verb == "down":
                sandbox.down()
            elif options.verb == "start":
                sandbox.start_part(options.part)
            else:
                sandbox.stop_part(options.part)
        return 0
    except Failure as failure:
        print(f"sandbox: {failure}", file=sys.stderr)
        if failure.log:
            show_end(failure.log)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
