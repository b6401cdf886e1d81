"""One PostgreSQL node of the sandbox: made, started, stopped, looked into."""
import os
import signal

from authority import CLIENT, SERVER
from processes import Failure, command_line, give, run, stop

BIN = "/usr/lib/postgresql/15/bin"
PORT = 15432
SUPERUSER = "postgres"

CONFIGURATION = """\
# Written by the sandbox. One address, TLS only, client certificates only, and nothing of a statement in the log.
listen_addresses = '{address}'
port = {port}
unix_socket_directories = ''
max_connections = 100
ssl = on
ssl_ca_file = '{tls}/ca.crt'
ssl_cert_file = '{tls}/server.crt'
ssl_key_file = '{tls}/server.key'
ssl_min_protocol_version = 'TLSv1.2'
ssl_ciphers = 'ECDHE+AESGCM:ECDHE+CHACHA20'
password_encryption = 'scram-sha-256'

shared_buffers = '128MB'
wal_level = replica
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = '1GB'
jit = off
timezone = 'UTC'

# A log line may name a customer's key or carry a value: statements, parameters and details stay out.
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d from %h '
log_connections = on
log_replication_commands = on
log_statement = none
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_error_verbosity = terse
"""

ADMISSION = """\
# TYPE   DATABASE  USER              ADDRESS      METHOD
# A client certificate of this region's authority whose CN is the role's name, over TLS; all else is refused.
hostssl  domicile  domicile_gateway  127.0.0.0/8  cert
hostssl  domicile  domicile_admin    127.0.0.0/8  cert
hostssl  all       postgres          127.0.0.0/8  cert
"""

ROLES = """\
CREATE ROLE domicile_owner NOLOGIN;
CREATE ROLE domicile_gateway LOGIN;
CREATE ROLE domicile_admin LOGIN;
GRANT domicile_owner TO domicile_admin;
CREATE DATABASE domicile OWNER domicile_owner;
REVOKE ALL ON DATABASE domicile, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE domicile TO domicile_gateway, domicile_admin;
\\connect domicile
REVOKE ALL ON SCHEMA public FROM PUBLIC;
"""


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
        self.log = os.path.join(self.home, "postgres.log")
        self.pid_file = os.path.join(self.data, "postmaster.pid")
        self.inspector = os.path.join(sandbox, "inspect", region)

    @property
    def listens(self):
        return self.address, PORT

    def superuser(self, dbname="domicile"):
        return conninfo(host=self.address, port=PORT, dbname=dbname, user=SUPERUSER, sslmode="verify-full",
                        sslrootcert=f"{self.inspector}/ca.crt", sslcert=f"{self.inspector}/postgres.crt",
                        sslkey=f"{self.inspector}/postgres.key", connect_timeout=5)

    def create(self, authority):
        for directory in (self.home, self.tls):
            os.makedirs(directory, exist_ok=True)
            give(directory, 0o700)
        os.makedirs(self.inspector, mode=0o755, exist_ok=True)
        copy(authority.certificate, f"{self.tls}/ca.crt")
        copy(authority.certificate, f"{self.inspector}/ca.crt")
        authority.issue(self.name, SERVER, f"{self.tls}/server.crt", f"{self.tls}/server.key",
                        alternative=f"IP:{self.address},DNS:{self.name}.{self.region}.sandbox.internal")
        authority.issue(SUPERUSER, CLIENT, f"{self.inspector}/postgres.crt", f"{self.inspector}/postgres.key",
                        for_account=False)
        run([f"{BIN}/initdb", "-D", self.data, "-U", SUPERUSER, "--data-checksums", "--encoding=UTF8",
             "--locale=C.UTF-8", "--auth=reject", "--no-instructions"], as_account=True)
        self._write("postgresql.conf", CONFIGURATION.format(address=self.address, port=PORT, tls=self.tls))
        self._write("pg_hba.conf", ADMISSION)

    def _write(self, name, text):
        path = os.path.join(self.data, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        give(path, 0o600)

    def create_roles(self):
        run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.superuser("postgres"), "-f", "-"], input=ROLES)

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


def copy(source, target):
    with open(source, "rb") as file, open(target, "wb") as out:
        out.write(file.read())
    os.chmod(target, 0o644)
