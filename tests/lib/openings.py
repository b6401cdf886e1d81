"""Ways for records to leave the sandbox's cell of eu-fr: each is really opened, and closed again."""
import contextlib
import copy
import json
import os
import shutil
import subprocess
import time
from typing import Callable, NamedTuple

import psycopg2
from postgres import BIN, PORT, conninfo
from processes import give, identity, run
from until import until

PG = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pg")
LOCAL = "127.0.0.1"  # where the kernel lets connections to any loopback address come from
ABROAD = "127.20.1.1"  # the address of us1
FOR_LONG = "SELECT pg_sleep(300)"
OLD_TLS = """\
openssl_conf = a
[a]
ssl_conf = b
[b]
system_default = c
[c]
CipherString = DEFAULT@SECLEVEL=0
MinProtocol = TLSv1
"""


class Opening(NamedTuple):
    channel: str
    subject: str  # a part of the finding's
    open: Callable[[], contextlib.AbstractContextManager]


def rewrite(path, text):
    """In place: owner and mode stay."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def relay(address, origin):
    """Carries connections to PostgreSQL at `address`, from the address `origin`; the conninfo that leads through it."""
    with subprocess.Popen([f"{PG}/relay", address, str(PORT), origin], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield conninfo(hostaddr=LOCAL, port=process.stdout.readline().strip())
        finally:
            process.kill()


class Intruder:
    """Somebody who has got hold of all keys of the cell. What he takes goes to a folder of his own, which is removed."""

    def __init__(self, sandbox, log):
        self.eu1, self.eu2 = sandbox.nodes["eu1"], sandbox.nodes["eu2"]
        self.loot = os.path.join(sandbox.home, "loot")
        self.log = log
        self.connection = None

    def __enter__(self):
        shutil.rmtree(self.loot, ignore_errors=True)
        self.folder()
        self._connect()
        return self

    def __exit__(self, *_):
        self.connection.close()
        shutil.rmtree(self.loot)

    def folder(self, name=""):
        path = os.path.join(self.loot, name)
        os.mkdir(path)
        give(path, 0o700)
        return path

    # --- SQL ---

    def _connect(self):
        self.connection = psycopg2.connect(self.eu1.superuser())
        self.connection.autocommit = True

    def do(self, *statements):
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextlib.contextmanager
    def done(self, opens, closes):
        self.do(*opens)
        try:
            yield
        finally:
            self.do(*closes, "DELETE FROM domicile_guard.ddl")  # else it is told for a day

    def reload(self):
        """The files of the primary are in force: new sessions have them."""
        began = time.time()
        self.do("SELECT pg_reload_conf()")

        def loaded():
            with contextlib.closing(psycopg2.connect(self.eu1.superuser())) as fresh, fresh.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM pg_conf_load_time())")
                return cursor.fetchone()[0] > began

        until(loaded, what="PostgreSQL has read its files again")

    def by_sql(self, number):
        """Those of tests/pg/watch_openings.json that are open at once in this round, which is the first where none is said;
        `why` not in the first, and why one must be `alone`, is told there."""
        with open(f"{PG}/watch_openings.json", encoding="utf-8") as file:
            return [Opening(one["channel"], one["subject"], lambda one=one: self.done(one["open"], one["close"]))
                    for one in json.load(file) if "alone" not in one and one.get("round", 1) == number]

    def restarted_with(self, settings):
        """The primary runs with settings that need a restart, and without them afterwards."""
        return self.lines_in("postgresql.conf", settings, self._restart)

    def _restart(self):
        self.connection.close()
        self.eu1.stop()
        self.eu1.start()
        self._connect()

    # --- who connects ---

    def superuser(self, **more):
        return f"{self.eu1.superuser()} {conninfo(**more)}"

    def replication(self, **more):
        """As a standby does."""
        tls = self.eu2.tls
        return conninfo(host=self.eu1.address, port=PORT, user="domicile_replication", sslmode="verify-full",
                        sslrootcert=f"{tls}/ca.crt", sslcert=f"{tls}/replication.crt", sslkey=f"{tls}/replication.key", **more)

    @contextlib.contextmanager
    def program(self, name, *arguments, **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with open(self.log, "ab") as said, subprocess.Popen(
                [f"{BIN}/{name}", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, cwd="/",
                env={**clean, "HOME": self.loot, **environment}, **identity()) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def session(self, name, who, sql=FOR_LONG, **environment):
        """It runs until it is ended: the server would not see that its client is gone."""
        with self.program("psql", "-X", "-c", sql, "-d", who, PGAPPNAME=name, **environment):
            try:
                yield
            finally:
                self.do(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{name}'")

    @contextlib.contextmanager
    def visit(self, who, command):
        """Over before the watch looks again, as a rule."""
        with self.program("psql", "-X", "-c", command, "-d", who) as process:
            assert process.wait(20) == 0
        yield

    @contextlib.contextmanager
    def through(self, origin, copier):
        """What `copier` opens, given a conninfo that leads there from the address `origin`."""
        with relay(self.eu1.address, origin) as way, copier(way) as process:
            yield process

    def receivewal(self, folder, who, *options):
        return self.program("pg_receivewal", "-D", self.folder(folder), "-d", who, *options)

    def receivewal_abroad(self, *options):
        return self.through(ABROAD, lambda way: self.receivewal("abroad", f"{self.replication()} {way}", *options))

    def basebackup(self):
        return self.program("pg_basebackup", "-D", self.folder("base"), "-d", self.superuser(), "-r", "100k", "-c", "fast",
                            "-X", "none")

    @contextlib.contextmanager
    def recvlogical(self):
        try:
            with self.program("pg_recvlogical", "-d", self.superuser(), "-S", "stolen", "--create-slot", "--start", "-f", "-"):
                yield
        finally:
            self.do("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = 'stolen'",
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'stolen'")

    @contextlib.contextmanager
    def old_tls(self):
        """A session with TLS 1.1: server and client must be told to."""
        path = os.path.join(self.loot, "openssl.cnf")
        rewrite(path, OLD_TLS)
        names = {"ssl_min_protocol_version": "TLSv1", "ssl_ciphers": "DEFAULT@SECLEVEL=0"}
        with self.done([f"ALTER SYSTEM SET {name} = '{value}'" for name, value in names.items()],
                       [f"ALTER SYSTEM RESET {name}" for name in names] + ["SELECT pg_reload_conf()"]):
            self.reload()
            with self.session("client-tls-old", self.superuser(), OPENSSL_CONF=path, PGSSLMINPROTOCOLVERSION="TLSv1",
                              PGSSLMAXPROTOCOLVERSION="TLSv1.1"):
                yield

    def by_sessions(self):
        """Those of programs and sessions. The lines of by_files() let some of them in."""
        here, superuser = f"from {LOCAL}", self.superuser
        visitor = conninfo(host=self.eu1.address, port=PORT, dbname="domicile", user="visitor", sslmode="require")
        return [
            Opening("walsender", f"domicile_replication {here} as borrowed",
                    lambda: self.receivewal("walsender", self.replication(application_name="borrowed"))),
            Opening("pg-receivewal", f"domicile_replication {here} as pg_receivewal",
                    lambda: self.receivewal("receivewal", self.replication())),
            Opening("pg-basebackup", f"postgres {here} as pg_basebackup", self.basebackup),
            Opening("pg-recvlogical", f"postgres {here} as pg_recvlogical", self.recvlogical),
            Opening("replication-abroad", f"domicile_replication from {ABROAD}", self.receivewal_abroad),
            Opening("client-abroad", f"postgres from {ABROAD}",
                    lambda: self.through(ABROAD, lambda way: self.session("client-abroad", f"{superuser()} {way}"))),
            Opening("client", f"visitor {here}", lambda: self.session("client", visitor)),
            Opening("client-plain", f"postgres {here}",
                    lambda: self.session("client-plain", superuser(sslmode="disable"))),
            Opening("client-tls-old", f"postgres {here}", self.old_tls),
            Opening("copy-program", f"postgres {here}", lambda: self.session(
                "copy-program", superuser(), f"COPY ({FOR_LONG}) TO PROGRAM 'cat >/dev/null'")),
            Opening("copy-file", f"postgres {here}", lambda: self.session(
                "copy-file", superuser(), f"COPY ({FOR_LONG}) TO '/dev/null'")),
            Opening("log-connection", f"replication by domicile_replication {here}", lambda: self.visit(
                self.replication(application_name="visitor", replication="true"), "IDENTIFY_SYSTEM")),
            Opening("log-replication", f"CREATE_REPLICATION_SLOT by postgres {here}", lambda: self.visit(
                superuser(replication="database"), "CREATE_REPLICATION_SLOT visit TEMPORARY LOGICAL pgoutput")),
        ]

    # --- who is on a host ---

    @contextlib.contextmanager
    def lines_in(self, name, lines, take):
        """Lines at the end of a file of the primary; take() makes it read the file."""
        path = os.path.join(self.eu1.data, name)
        with open(path, encoding="utf-8") as file:
            before = file.read()
        rewrite(path, f"{before}{lines}\n")
        try:
            take()
            yield
        finally:
            rewrite(path, before)
            take()

    def admitted(self, line):
        return self.lines_in("pg_hba.conf", line, self.reload)

    @contextlib.contextmanager
    def visitor_admitted(self):
        with self.done(["CREATE ROLE visitor LOGIN", "GRANT CONNECT ON DATABASE domicile TO visitor"],
                       ["DROP OWNED BY visitor", "DROP ROLE visitor"]), \
                self.admitted("hostssl domicile visitor 127.0.0.0/8 trust"):
            yield

    @contextlib.contextmanager
    def detour(self):
        """The standby follows the primary through what is no node of the cell."""
        with relay(self.eu1.address, LOCAL) as way, \
                contextlib.closing(psycopg2.connect(self.eu2.superuser())) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SHOW primary_conninfo")
            cursor.execute("ALTER SYSTEM SET primary_conninfo = %s", (f"{cursor.fetchone()[0]} {way}",))
            cursor.execute("SELECT pg_reload_conf()")
            try:
                yield
            finally:
                cursor.execute("ALTER SYSTEM RESET primary_conninfo")
                cursor.execute("SELECT pg_reload_conf()")

    @contextlib.contextmanager
    def log_away(self):
        """PostgreSQL writes on, to a file of another name."""
        os.rename(self.eu2.json_log, f"{self.eu2.json_log}.away")
        try:
            yield
        finally:
            os.rename(f"{self.eu2.json_log}.away", self.eu2.json_log)

    @contextlib.contextmanager
    def second_writer(self):
        """A copy of the standby, in its place, that follows nobody and takes writes."""
        twin = copy.copy(self.eu2)
        twin.data, twin.log = f"{self.eu2.home}/twin", f"{self.eu2.home}/twin.log"
        twin.pid_file = f"{twin.data}/postmaster.pid"
        self.eu2.stop()
        try:
            run(["cp", "-a", self.eu2.data, twin.data])
            os.unlink(f"{twin.data}/standby.signal")
            twin.start()
            yield
        finally:
            twin.stop()
            shutil.rmtree(twin.data, ignore_errors=True)
            self.eu2.start()

    def by_files(self):
        """Those of who may write the files of a host."""
        return [
            Opening("hba-plain", "hostnossl all postgres",
                    lambda: self.admitted("hostnossl all postgres 127.0.0.0/8 trust")),
            Opening("hba-plain", "hostssl domicile visitor", self.visitor_admitted),
            Opening("hba-changed", "hostssl replication postgres",
                    lambda: self.admitted("hostssl replication postgres 127.0.0.0/8 cert")),
            Opening("hba-open", "hostssl all all 0.0.0.0/0 cert", lambda: self.admitted("hostssl all all 0.0.0.0/0 cert")),
            Opening("upstream", LOCAL, self.detour),
            Opening("log-unread", self.eu2.json_log, self.log_away),
        ]

    def rounds(self):
        """All of it: what hides another's signs has a round of its own, the last."""
        return [[*self.by_sql(1), *self.by_files(), *self.by_sessions()],
                [*self.by_sql(2), Opening("two-writers", "eu1 and eu2", self.second_writer)]]
