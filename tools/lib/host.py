"""One bare host of the sandbox: an OpenSSH server on an address of its own, and a home for what domicile lays there."""
import os
import signal

from processes import Failure, account, give, read_pid, run, spawn, stop, wait_until, write_pid

PORT = 10022
START_WITHIN_S = 10

# The server runs as the sandbox's account and lets that account in, with one key. StrictModes would refuse a sandbox
# below /tmp.
CONFIGURATION = """\
ListenAddress {address}:{port}
HostKey "{home}/ssh/host_key"
AuthorizedKeysFile "{home}/ssh/authorized_keys"
PidFile none
UsePAM no
StrictModes no
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512,hmac-sha2-256
AllowUsers {user}
MaxStartups 100
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""


class Host:
    def __init__(self, sandbox, name, address):
        self.name, self.address = name, address
        self.home = os.path.join(sandbox, name)
        self.log = os.path.join(self.home, "sshd.log")
        self.pid_file = os.path.join(sandbox, "run", f"sshd-{name}.pid")

    @property
    def listens(self):
        return self.address, PORT

    def create(self, operators_key):
        """A home with a host key, and the operator's public key as the one that may log in."""
        for directory in (self.home, f"{self.home}/ssh"):
            os.makedirs(directory, exist_ok=True)
            give(directory, 0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", f"{self.home}/ssh/host_key"])
        give(f"{self.home}/ssh/host_key", 0o600)
        self._write("authorized_keys", f"restrict {operators_key}\n")
        self._write("sshd_config", CONFIGURATION.format(address=self.address, port=PORT, home=self.home,
                                                        user=account().pw_name))

    def _write(self, name, text):
        path = f"{self.home}/ssh/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        give(path, 0o600)

    @property
    def pin(self):
        """The host's public key, as a region file pins it."""
        with open(f"{self.home}/ssh/host_key.pub", encoding="utf-8") as file:
            return file.read().strip()

    def start(self):
        if self.pid():
            return
        process = spawn(["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.home}/ssh/sshd_config"], self.log)
        write_pid(self.pid_file, process.pid)
        if not wait_until(lambda: process.poll() is not None or self._listening(), START_WITHIN_S) or process.poll() is not None:
            raise Failure(f'the OpenSSH server of "{self.name}" does not start', self.log)

    def _listening(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "Server listening on" in file.read()

    def pid(self):
        return read_pid(self.pid_file)

    def stop(self):
        pid = self.pid()
        if pid and not stop(pid, [(signal.SIGTERM, 5), (signal.SIGKILL, 5)]):
            raise Failure(f'the OpenSSH server of "{self.name}" (pid {pid}) does not stop', self.log)
        if os.path.exists(self.pid_file):
            os.unlink(self.pid_file)

    def state(self):
        return "running" if self.pid() else "stopped"
