"""Every command that a host is given over SSH leaves a line, whoever gave it."""
import glob
import json
import os
import stat

from until import until


def looks(sandbox):
    """What only looked, by the gateways and the CLI together."""
    lines = []
    for path in sorted(glob.glob(f"{sandbox.config}/state/commands/look-????-??-??.jsonl")):
        with open(path, encoding="ascii") as file:
            lines += [json.loads(line) for line in file if line != "\n"]
    return lines


def test_what_a_gateway_asks_its_hosts_is_recorded(sandbox, eu, us):
    """Both read the servers' logs and the hosts' disks, every few seconds."""
    begin = len(looks(sandbox))

    def asked():
        return [line for line in looks(sandbox)[begin:] if line["run"] == "gateway"]

    every = {(name, step) for name in sandbox.nodes for step in ("log", "disk")}
    until(lambda: {(line["host"], line["step"]) for line in asked()} == every, within_s=30, every_s=0.5,
          what="each node is asked twice")
    for line in asked():
        assert line["exit_status"] == 0 and len(line["digest"]) == 64 and line["argv"][2] in ("df", "stat", "dd")


def test_the_operators_looks_are_in_the_same_file(sandbox, domicile):
    begin = len(looks(sandbox))
    done = domicile("node", "check", "eu1", operator=True)
    assert b"warning" not in done.stderr
    lines = [line for line in looks(sandbox)[begin:] if line["run"] == "node-check"]
    assert [line["step"] for line in lines] == ["round-trip"] * 3 + ["guard"] and {line["host"] for line in lines} == {"eu1"}


def test_reading_the_logs_of_the_past_is_recorded(sandbox, domicile):
    begin = len(looks(sandbox))
    domicile("cell", "watch", "eu-fr/eu-fr-1", "--since", "1h", operator=True, status=None)
    lines = [line for line in looks(sandbox)[begin:] if line["run"] == "cell-watch"]
    assert {(line["host"], line["step"]) for line in lines} == {(name, step) for name in ("eu1", "eu2")
                                                               for step in ("log", "disk")}


def test_the_record_is_its_owners_alone(sandbox):
    commands = f"{sandbox.config}/state/commands"
    assert stat.S_IMODE(os.stat(commands).st_mode) == 0o700
    for name in os.listdir(commands):
        assert stat.S_IMODE(os.stat(f"{commands}/{name}").st_mode) == 0o600
        assert os.stat(f"{commands}/{name}").st_uid == os.stat(sandbox.config).st_uid
