"""What the integration and fault tests share: the sandbox, its gateways and principals, and customers of their own.

The sandbox of DOMICILE_SANDBOX (default build/sandbox) is used as it stands; if it does not run it is brought up, and
then also stopped at the end."""
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

ROOT = Path(__file__).resolve().parents[1]
for folder in ("tests/lib", "tools/lib"):
    sys.path.insert(0, str(ROOT / folder))

import api  # noqa: E402
from directory import Directory  # noqa: E402
from processes import identity  # noqa: E402
from sandbox import DEFAULT, Sandbox  # noqa: E402

os.umask(0o022)  # the servers' account reads what the tests lay for it
BUILT = os.path.abspath(os.environ.get("DOMICILE_BIN", ROOT / "build" / "release"))


@pytest.fixture(scope="session")
def sandbox():
    sandbox = Sandbox(os.environ.get("DOMICILE_SANDBOX", DEFAULT))
    was_up = len(sandbox.running()) == len(sandbox.parts)
    sandbox.up(BUILT)
    yield sandbox
    if not was_up:
        sandbox.down()
        for gateway in sandbox.gateways.values():
            gateway.process.wait(10)


@pytest.fixture(scope="session")
def env(sandbox):
    return sandbox.env()


def _gateway(sandbox, name):
    part = sandbox.gateways[name]
    return api.Gateway(part.region, *part.listens, part.authority, part.pid, part.log, part.config)


@pytest.fixture(scope="session")
def eu(sandbox):
    return _gateway(sandbox, "eu")


@pytest.fixture(scope="session")
def us(sandbox):
    return _gateway(sandbox, "us")


def _principal(env, name, role):
    return api.Principal(env[f"{name}_CLIENT"], env[f"{name}_SECRET"], role)


@pytest.fixture(scope="session")
def ops(env):
    return _principal(env, "OPS", "sysadmin")


@pytest.fixture(scope="session")
def compliance(env):
    return _principal(env, "COMPLIANCE", "compliance")


@pytest.fixture(scope="session")
def security(env):
    return _principal(env, "SECURITY", "security")


@pytest.fixture(scope="session")
def onboard(env):
    return _principal(env, "ONBOARD", "onboarding")


@pytest.fixture(scope="session")
def new_customer(onboard):
    """new_customer(gateway): a fresh customer of that gateway's region."""
    services = {}

    def make(gateway, customer_id=None):
        if gateway.region not in services:
            services[gateway.region] = api.services_to_acknowledge(onboard, gateway)
        return api.onboard_customer(onboard, gateway, services[gateway.region], customer_id)

    return make


@pytest.fixture(scope="module")
def customer(new_customer, eu):
    """A customer of eu-fr, one for each file of tests."""
    return new_customer(eu)


@pytest.fixture(scope="module")
def american(new_customer, us):
    """A customer of us, one for each file of tests."""
    return new_customer(us)


@pytest.fixture(scope="session")
def database(sandbox):
    """database(gateway): a superuser's connection to the cell of that gateway, each statement its own transaction."""
    with contextlib.ExitStack() as opened:
        connections = {}

        def connect(gateway):
            if gateway.region not in connections or connections[gateway.region].closed:
                node = next(node for node in sandbox.nodes.values() if node.region == gateway.region)
                connection = psycopg2.connect(node.superuser())
                connection.autocommit = True
                opened.callback(connection.close)
                connections[gateway.region] = connection
            return connections[gateway.region]

        yield connect


@pytest.fixture(scope="session")
def sql(database):
    """sql(gateway, text, *values): runs a statement as superuser; the rows, or how many were changed."""
    def ask(connection, text, values):
        with connection.cursor() as cursor:
            cursor.execute(text, values or None)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def run(gateway, text, *values):
        connection = database(gateway)
        try:
            return ask(connection, text, values)
        except psycopg2.OperationalError:
            if not connection.closed:
                raise
            return ask(database(gateway), text, values)  # a test has ended PostgreSQL since, and it runs again

    return run


@pytest.fixture(scope="session")
def directory(eu):
    return Directory(os.path.join(eu.config, "directory.sqlite"))


@pytest.fixture(scope="session")
def domicile(sandbox, eu):
    """domicile(*arguments): the finished process. operator: run by the account that has the hosts' key."""
    def run(*arguments, principal=None, input=None, gateway=eu, status=0, operator=False):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOMICILE_")}
        environment["DOMICILE_CONFIG"] = sandbox.config
        if principal:
            environment.update(DOMICILE_CLIENT_ID=principal.client_id, DOMICILE_CLIENT_SECRET=principal.secret)
        more = [] if "--region" in arguments or not principal else ["--region", gateway.region]
        done = subprocess.run([f"{sandbox.home}/bin/domicile", *arguments, *more], stdout=subprocess.PIPE, cwd="/",
                              stderr=subprocess.PIPE, env=environment, timeout=60, input=input or b"", check=False,
                              **(identity() if operator else {}))
        assert status is None or done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done

    return run
