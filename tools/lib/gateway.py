"""One gateway of the sandbox: a domiciled of one region."""
import http.client
import os
import shutil
import signal
import time

from authority import SERVER
from processes import Failure, follow, give, read_pid, run, spawn, stop, write_pid

PORT = 8443
STATUS_PORT = 8444
READY_WITHIN_S = 30
DRAIN_WITHIN_S = 15


class Gateway:
    def __init__(self, sandbox, name, region, address):
        self.name, self.region, self.address = name, region, address
        self.programs = os.path.join(sandbox, "bin")
        self.config = os.path.join(sandbox, "config")
        self.log = os.path.join(sandbox, "log", f"gateway-{region}.log")
        self.pid_file = os.path.join(sandbox, "run", f"gateway-{region}.pid")
        self.authority = os.path.join(self.config, "tls", region, "ca.crt")
        self.process = None

    @property
    def listens(self):
        return self.address, PORT

    @property
    def url(self):
        return f"https://{self.address}:{PORT}"

    @property
    def status_url(self):
        return f"http://{self.address}:{STATUS_PORT}"

    def domicile(self, *arguments, as_account=False):
        """Runs the command line on the sandbox's configuration."""
        return run([f"{self.programs}/domicile", "--config", self.config, *arguments], as_account=as_account)

    def provision(self, line, within_s):
        """Makes the region's cell on its hosts; `line` is told what is done."""
        follow([f"{self.programs}/domicile", "--config", self.config, "cell", "provision", f"{self.region}/{self.region}-1"],
               line, as_account=True, within_s=within_s)

    def lay_files(self, authority):
        """Certificates and keys, where regions/*.cfg expects them. Those of the cell domicile makes itself."""
        tls, keys, pg = (self._directory(part) for part in ("tls", "keys", "pg"))
        authority.copy(f"{tls}/ca.crt")
        authority.copy(f"{pg}/ca.crt")
        shutil.copyfile(authority.key, f"{pg}/ca.key")
        give(f"{pg}/ca.key", 0o600)
        give(pg, 0o755)
        authority.issue(f"gateway.{self.region}", SERVER, f"{tls}/gateway.crt", f"{tls}/gateway.key",
                        alternative=f"IP:{self.address},DNS:gateway.{self.region}.sandbox.internal")
        give(keys, 0o755)
        self.domicile("key", "init", self.region, as_account=True)
        self.domicile("key", "token-init", self.region, as_account=True)

    def _directory(self, part):
        path = os.path.join(self.config, part, self.region)
        os.makedirs(path, mode=0o755, exist_ok=True)
        return path

    def start(self):
        """Starts it and returns at once; wait_ready() is the other half, so that two may start side by side."""
        if not self.pid():
            command = [f"{self.programs}/domiciled", "--config", self.config, "--region", self.region]
            self.process = spawn(command, self.log)
            write_pid(self.pid_file, self.process.pid)

    def wait_ready(self):
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            if self.process and self.process.poll() is not None:
                raise Failure(f'the gateway of "{self.region}" ended while it started', self.log)
            status = self.readiness()
            if status == 200:
                return
            if time.monotonic() > deadline:
                raise Failure(f'the gateway of "{self.region}" is not ready after {READY_WITHIN_S} s '
                              f'(/readyz: {status})', self.log)
            time.sleep(0.05)

    def readiness(self):
        """The status of /readyz, or what stands in the way, in words."""
        try:
            connection = http.client.HTTPConnection(self.address, STATUS_PORT, timeout=5)
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            return str(error)

    def pid(self):
        return read_pid(self.pid_file)

    def stop(self):
        pid = self.pid()
        if pid and not stop(pid, [(signal.SIGTERM, DRAIN_WITHIN_S), (signal.SIGKILL, 5)]):
            raise Failure(f'the gateway of "{self.region}" (pid {pid}) does not stop', self.log)
        if os.path.exists(self.pid_file):
            os.unlink(self.pid_file)

    def state(self):
        if not self.pid():
            return "stopped"
        status = self.readiness()
        return "ready" if status == 200 else f"running, not ready: {status}"


def install_programs(built, target):
    """Copies the programs beside the sandbox: its account may not be able to reach the build directory, and a rebuild
    does not disturb what runs."""
    for program in ("domiciled", "domicile"):
        source = os.path.join(built, program)
        if not os.access(source, os.X_OK):
            raise Failure(f'there is no program "{source}"; run: tools/build {os.path.basename(built)}')
        shutil.copy2(source, os.path.join(target, program))
        os.chmod(os.path.join(target, program), 0o755)
