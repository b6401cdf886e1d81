import pytest


@pytest.fixture(scope="session")
def eu1(sandbox):
    return sandbox.nodes["eu1"]


@pytest.fixture(autouse=True)
def leaves_the_sandbox_well(sandbox, eu, us):
    """A test that breaks something repairs it: the next one finds everything running."""
    pids = eu.pid, us.pid
    yield
    assert sandbox.nodes["eu1"].pid() and sandbox.nodes["us1"].pid()
    assert (eu.pid, us.pid) == pids, "a gateway of the sandbox ended"
    assert eu.ready() and us.ready()
