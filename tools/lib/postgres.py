"""One PostgreSQL node of the sandbox, which domicile has made on its host: started, stopped, looked into."""
import os
import signal

from processes import Failure, command_line, run, stop

BIN = "/usr/lib/postgresql/15/bin"
PORT = 15432
SUPERUSER = "postgres"

def conninfo(**parameters):
    """keyword=value pairs, quoted where libpq needs it."""
    def quoted(value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return value if escaped == value and value and " " not in value else f"'{escaped}'"

    return " ".join(f"{name}={quoted(str(value))}" for name, value in parameters.items())


class Node:
    def __init__(self, sandbox, name, region, site, address):
        self.name, self.region, self.site, self.address = name, region, site, address
        self.home = os.path.join(sandbox, name)
        self.data = os.path.join(self.home, "data")
        self.tls = os.path.join(self.home, "tls")
        self.log = os.path.join(self.home, "postgres.log")  # the first lines of a start
        self.json_log = os.path.join(self.home, "postgres.json")
        self.pid_file = os.path.join(self.data, "postmaster.pid")
        self.inspector = os.path.join(sandbox, "config", "pg", region)

    @property
    def listens(self):
        return self.address, PORT

    def superuser(self, dbname="domicile"):
        return conninfo(host=self.address, port=PORT, dbname=dbname, user=SUPERUSER, sslmode="verify-full",
                        sslrootcert=f"{self.inspector}/ca.crt", sslcert=f"{self.inspector}/postgres.crt",
                        sslkey=f"{self.inspector}/postgres.key", connect_timeout=5)

    def start(self):
        if self.pid():
            return
        try:
            run([f"{BIN}/pg_ctl", "start", "-w", "-t", "30", "-s", "-D", self.data, "-l", self.log], as_account=True)
        except Failure as failure:
            raise Failure(f'PostgreSQL node "{self.name}" does not start: {failure}', self.log) from None

    def pid(self):
        """The postmaster's pid: the one in postmaster.pid, if that process was started on our data directory."""
        try:
            with open(self.pid_file, encoding="utf-8") as file:
                pid = int(file.readline())
            return pid if self.data in command_line(pid) else None
        except (OSError, ValueError):
            return None

    def stop(self):
        pid = self.pid()
        if pid and not stop(pid, [(signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)]):
            raise Failure(f'PostgreSQL node "{self.name}" (pid {pid}) does not stop', self.log)

    def state(self):
        return "running" if self.pid() else "stopped"
