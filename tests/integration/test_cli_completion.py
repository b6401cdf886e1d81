"""The completion scripts in their shells: each parses, and completes what a person has begun to type."""
import contextlib
import os
import pty
import re
import shlex
import subprocess

import pytest
from until import until

SHELLS = {"bash": ["bash", "--norc", "-n"], "zsh": ["zsh", "-f", "-n"], "fish": ["fish", "--no-config", "--no-execute"]}
# What is typed, and what it becomes.
TYPED = {
    "domicile rec": "domicile record",
    "domicile record l": "domicile record list",
    "domicile --config /x ke": "domicile --config /x key",
    "domicile --config /x key sta": "domicile --config /x key status",
    "domicile --js": "domicile --json",
    "domicile record put --if-n": "domicile record put --if-none-match",
    "domicile record put acme health key --j": "domicile record put acme health key --json",
    "domicile client add --role customer-app --cu": "domicile client add --role customer-app --customer",
    "domicile completion fi": "domicile completion fish",
}
FILE = "some-file-of-the-test"


@pytest.fixture(scope="module")
def scripts(domicile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in SHELLS:
        (folder / shell).write_bytes(domicile("completion", shell).stdout)
    return {shell: str(folder / shell) for shell in SHELLS}


def with_bash(script, line, folder):
    """The function is called as readline calls it."""
    words = line.split(" ")
    given = " ".join(map(shlex.quote, words))
    ask = (f"source {script}; COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; COMP_LINE={shlex.quote(line)}\n"
           f"COMP_POINT=${{#COMP_LINE}}; _domicile domicile {shlex.quote(words[-1])} {shlex.quote(words[-2])}\n"
           'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", ask], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20, check=False)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.decode().split("\n")[:-1]


def with_fish(script, line, folder):
    done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C {shlex.quote(line)}"],
                          cwd=folder, env={**os.environ, "HOME": str(folder)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20, check=False)
    assert done.returncode == 0 and not done.stderr, done
    return [row.split("\t")[0] for row in done.stdout.decode().splitlines()]


ZSHRC = """PS1='> '
autoload -Uz compinit && compinit -D -u
source {script}
keep() {{ print -r -- "$BUFFER" >{folder}/kept.new; mv {folder}/kept.new {folder}/kept }}
zle -N keep
bindkey '^X' keep
print -r >{folder}/ready
"""


def with_zsh(script, line, folder):
    """In an interactive shell, on a terminal of its own: what the line is after a tab."""
    (folder / ".zshrc").write_text(ZSHRC.format(script=script, folder=folder))
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder), "ZDOTDIR": str(folder)}
    with subprocess.Popen(["zsh", "-d", "-i"], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
                          start_new_session=True) as shell:
        os.close(theirs)
        try:
            until((folder / "ready").exists, what="zsh has read its .zshrc")
            os.write(ours, line.encode() + b"\t\x18")
            until((folder / "kept").exists, what="zsh has completed the line")
        finally:
            shell.kill()
            with contextlib.suppress(OSError):
                while os.read(ours, 4096):
                    pass
            os.close(ours)
    words = (folder / "kept").read_text().rstrip("\n").rstrip(" ").split(" ")
    assert words[:-1] == line.split(" ")[:-1]
    return words[-1:]


COMPLETE = {"bash": with_bash, "zsh": with_zsh, "fish": with_fish}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_parses(scripts, shell):
    done = subprocess.run([*SHELLS[shell], scripts[shell]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("shell", SHELLS)
def test_what_was_begun_is_completed(scripts, tmp_path, shell, typed):
    assert COMPLETE[shell](scripts[shell], typed, tmp_path) == TYPED[typed].split(" ")[-1:]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_file_is_completed(scripts, tmp_path, shell):
    (tmp_path / FILE).write_bytes(b"")
    assert COMPLETE[shell](scripts[shell], f"domicile record put acme health key {FILE[:6]}", tmp_path) == [FILE]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_name_that_looks_like_a_command_is_none(scripts, tmp_path, shell):
    """The record "key": the verbs of the group "key" are not offered."""
    offered = COMPLETE[shell](scripts[shell], "domicile record put acme key key ", tmp_path)
    assert not {"rotate", "status", "init"} & set(offered)


def test_fish_describes_what_it_offers(scripts):
    with open(scripts["fish"], encoding="utf-8") as file:
        described = re.findall(r"-a ([a-z-]+) -d '", file.read())
    assert {"check", "rotate", "import"} <= set(described)
