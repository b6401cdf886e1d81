"""Violence against a PostgreSQL node of the sandbox, and its repair."""
import contextlib
import os
import signal

from until import until


def children(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(name))
        except OSError:
            continue
    return found


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(node):
    """kill -9 to the postmaster and all of its processes, as a power cut would. None is left when it returns."""
    postmaster = node.pid()
    assert postmaster, f"{node.name} does not run"
    os.kill(postmaster, signal.SIGSTOP)  # so that it does not tell the others to leave in peace
    pids = [*children(postmaster), postmaster]
    signal_all(pids, signal.SIGKILL)
    # Gone for good: PostgreSQL does not start beside what may still be its zombie.
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), within_s=30, what="all of PostgreSQL is gone")


@contextlib.contextmanager
def stopped(node):
    """SIGSTOP: it holds its connections and says nothing."""
    postmaster = node.pid()
    os.kill(postmaster, signal.SIGSTOP)
    pids = [postmaster, *children(postmaster)]
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(reversed(pids), signal.SIGCONT)


@contextlib.contextmanager
def healthy_after(node, *gateways, within_s=30):
    """Whatever happens inside, the node runs afterwards and the gateways are ready."""
    try:
        yield
    finally:
        if not node.pid():
            node.start()
        for gateway in gateways:
            until(gateway.ready, within_s=within_s, what=f"the gateway of {gateway.region} is ready again")
