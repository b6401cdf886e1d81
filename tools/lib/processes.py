"""Starts processes as the sandbox's user, recognises them again, and stops them: by pid, and only if still the same.

A pid is written together with the process's start time (field 22 of /proc/PID/stat), so that a pid which the kernel gave
to somebody else is never signalled.
"""
import contextlib
import fcntl
import os
import pwd
import resource
import signal
import subprocess
import threading
import time

USER = "domicile-sandbox"
OPEN_FILES = 65536


class Failure(Exception):
    """Something the person at the keyboard can act on: one sentence, and perhaps a log to show the end of."""

    def __init__(self, sentence, log=None):
        super().__init__(sentence)
        self.log = log


def account():
    """The unprivileged account that the servers run as, and that logs in to the hosts: our own, or domicile-sandbox (made
    when absent) for root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(USER)
    with open("/run/domicile-sandbox.lock", "w", encoding="utf-8") as lock:  # one of several that come up at once makes it
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(USER)
        run(["useradd", "--system", "--user-group", "--create-home", "--home-dir", f"/var/lib/{USER}", "--shell", "/bin/sh",
             USER])
        return pwd.getpwnam(USER)


def give(path, mode):
    """Hands a file or directory to the sandbox's account."""
    os.chmod(path, mode)
    if os.geteuid() == 0:
        owner = account()
        os.chown(path, owner.pw_uid, owner.pw_gid)


def identity():
    """What subprocess must be told so that a command runs as the sandbox's account."""
    if os.geteuid() != 0:
        return {}
    owner = account()
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _raise_open_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run(command, as_account=False, within_s=60, **kwargs):
    """Runs a command to its end and returns what it printed; a failure carries the end of what it said."""
    kwargs.setdefault("cwd", "/")
    if as_account:
        kwargs.update(identity())
    try:
        done = subprocess.run(command, stdin=kwargs.pop("stdin", subprocess.DEVNULL) if "input" not in kwargs else None,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=within_s, check=False,
                              **kwargs)
    except FileNotFoundError:
        raise Failure(f'there is no program "{command[0]}"; run tools/deps and tools/build') from None
    except subprocess.TimeoutExpired:
        raise Failure(f'"{" ".join(command)}" did not end within {within_s} s') from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise Failure(f'"{" ".join(command)}" ended with {done.returncode}:\n{said[-2000:]}')
    return done.stdout


def follow(command, line, as_account=False, within_s=60):
    """Runs a command to its end; `line` is told each line that it prints, as it comes."""
    said = []
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               cwd="/", **(identity() if as_account else {}))
    alarm = threading.Timer(within_s, process.kill)
    alarm.start()
    with process:
        for text in process.stdout:
            said.append(text)
            line(text.rstrip("\n"))
    alarm.cancel()
    if process.returncode != 0:
        raise Failure(f'"{" ".join(command)}" ended with {process.returncode}:\n{"".join(said)[-2000:]}')


_outliving = []  # a daemon outlives who started it; its Popen must not complain of that


def spawn(command, log):
    """Starts a daemon as the sandbox's account, in a session of its own, with its output appended to `log`."""
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
                                   start_new_session=True, preexec_fn=_raise_open_files, **identity())
    _outliving.append(process)
    return process


def start_time(pid):
    """When the process began, in clock ticks since boot; None when there is none (or only its zombie)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def command_line(pid):
    """The arguments of a running process; empty when there is none. Readable without any privilege."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().split("\0")
    except OSError:
        return []


def write_pid(path, pid):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{pid} {start_time(pid)}\n")


def read_pid(path):
    """The pid in a file of write_pid, if that very process still runs; else None."""
    try:
        with open(path, encoding="utf-8") as file:
            pid, began = file.read().split()
    except (OSError, ValueError):
        return None
    return int(pid) if str(start_time(int(pid))) == began else None


def stop(pid, steps):
    """Sends each (signal, seconds to wait) in turn until the process is gone. True when it is."""
    began = start_time(pid)
    for number, wait_s in steps:
        try:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # a stopped process would sleep through its own end
        except ProcessLookupError:
            return True
        if wait_until(lambda: start_time(pid) != began, wait_s):
            return True
    return False


def wait_until(question, within_s, every_s=0.05):
    deadline = time.monotonic() + within_s
    while not question():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_s)
    return True
