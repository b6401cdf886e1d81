"""Looking for bytes where they may not be: files of databases, logs, captures."""
import os
import subprocess


def files_with(needle, *places):
    """The files below these places that hold the bytes, as they stand."""
    places = [place for place in places if os.path.exists(place)]
    assert places, "nothing to search"
    assert b"\n" not in needle and len(needle) >= 12, "such a needle finds too much or nothing"
    done = subprocess.run(["grep", "-rlaF", "-e", os.fsdecode(needle), "--", *places], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, env={**os.environ, "LC_ALL": "C"})
    # 2: a file went away while grep read the tree, as PostgreSQL's do; what it found counts all the same.
    assert done.returncode in (0, 1, 2), done.stderr
    return os.fsdecode(done.stdout).splitlines()


def places_of(sandbox, region):
    """All that a region keeps on disk, but for the configuration and what the tests were given."""
    nodes = [node for node in sandbox.nodes.values() if node.region == region]
    gateways = [gateway for gateway in sandbox.gateways.values() if gateway.region == region]
    return [path for node in nodes for path in (node.data, node.log, node.json_log)] + [gateway.log for gateway in gateways]
