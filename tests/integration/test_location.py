"""Where the sandbox's nodes are, by physics. All of it is on one machine, so whoever is near a node of eu-fr is near a node of
us as well, and that one is not where it is declared."""
import json
import os
import subprocess

import pytest
from until import until

HERE = """vantage = "{name}";
vantages = ( {{ name = "paris"; country = "FR"; latitude = 48.86; longitude = 2.35; }},
             {{ name = "rouen"; country = "FR"; latitude = 49.44; longitude = 1.10; }} );
"""


@pytest.fixture
def locate(domicile, sandbox, tmp_path):
    """locate(vantage, node): what `node locate` says as that vantage, and its exit status; measurements are kept."""
    config = tmp_path / "config"
    subprocess.run(["cp", "-a", sandbox.config, config], check=True)
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            os.chmod(folder, 0o755)

    def ask(vantage, node, *options):
        (config / "domicile.cfg").write_text(HERE.format(name=vantage))
        done = domicile("--config", str(config), "node", "locate", node, "--json", *options, operator=True, status=None)
        return json.loads(done.stdout), done.returncode

    return ask


def country(said, node, code):
    nodes = {one["node"]: one for one in said["nodes"]}
    return {one["country"]: one for one in nodes[node]["countries"]}[code]


@pytest.mark.slow
def test_two_vantages_corroborate_what_one_observes(locate, new_customer, eu, us):
    """Records are asked for that are ten seconds old; so the first look may come too soon."""
    for gateway in (eu, us):
        customer = new_customer(gateway)
        for number in range(20):
            assert customer.put("health", f"k{number}", b"x" * 200).status == 201
    until(lambda: locate("paris", "eu1")[1] == 0, within_s=40, what="eu1 has records that are old enough")
    once, _ = locate("paris", "eu1", "--samples", "0")
    assert country(once, "eu1", "US")["grade"] == "observed"
    twice, status = locate("rouen", "eu1")
    assert status == 0
    assert country(twice, "eu1", "US")["grade"] == "corroborated"
    said, status = locate("paris", "us1")
    assert status == 9, said
