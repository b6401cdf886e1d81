import json

import pytest


@pytest.fixture(scope="session")
def eu1(sandbox):
    return sandbox.nodes["eu1"]


@pytest.fixture
def state(domicile):
    """state(): what `cell status` calls the cell of eu-fr."""
    def ask():
        done = domicile("cell", "status", "eu-fr/eu-fr-1", "--json", operator=True, status=None)
        return json.loads(done.stdout)["cells"][0]["state"]

    return ask


@pytest.fixture(autouse=True)
def leaves_the_sandbox_well(sandbox, eu, us):
    """A test that breaks something repairs it: the next one finds everything running."""
    pids = eu.pid, us.pid
    yield
    assert sandbox.nodes["eu1"].pid() and sandbox.nodes["us1"].pid()
    assert (eu.pid, us.pid) == pids, "a gateway of the sandbox ended"
    assert eu.ready() and us.ready()
