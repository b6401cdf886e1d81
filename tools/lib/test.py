"""All the tests, in stages that run side by side. The last line is the sum."""
import argparse
import contextlib
import fcntl
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import fhir
import gates
from processes import Failure
from sandbox import DEFAULT, Sandbox

ROOT = gates.ROOT
LOGS = os.path.join(ROOT, "build", "test-logs")
ALONE = os.path.join(ROOT, "tools", "lib", "alone")
PLACES = 2 * os.cpu_count()  # tests mostly wait
TELL_EVERY_S = 30
BUILDS, IDLE = 10, 19  # niceness: tests wait for moments that must not come late
FAR_CHARACTERS = 150


class Job:
    """One process of a stage: a stage has one, or several that run side by side."""

    def __init__(self, stage, *words, part="", preset=None, places=1, alone=False, nice=0):
        self.stage, self.words, self.part = stage, words, part
        self.preset = preset    # the build that it needs, or makes
        self.places = places    # how much of the machine it is worth
        self.alone = alone      # it has the sandbox's addresses
        self.nice = nice        # it takes what the tests leave: it has no place, and one of a kind runs at a time
        self.process = self.result = self.began = self.took_s = self.cpu_s = None

    @property
    def name(self):
        return f"{self.stage} {self.part}".rstrip()

    @property
    def log(self):
        return self.name.replace(" ", "-")


def build(preset):
    return Job("build", "build", preset, part=preset, preset=preset, nice=BUILDS)


def unit(preset, *options):
    return Job(f"unit-{preset}", "unit", preset, *options, preset=preset, places=1 if options else 2)


def integration(preset, *options):
    return [Job(f"integration-{preset}", "integration", preset, part, *options, f"tests/{part}", part=part, preset=preset,
                alone=True) for part in ("fault", "integration")]


def plan():
    """All jobs, those first that are to begin first: builds as they are needed, then the longest."""
    return [
        *map(build, ("release", "asan", "clang", "fuzz", "tsan")),
        unit("release"),
        Job("unit-alone", "unit", "release", "-L", "unit", preset="release"),
        *integration("release"),
        unit("asan"),
        *integration("asan", "-m", "not slow"),
        Job("demo", "demo", preset="release", alone=True),
        Job("smoke", "integration", "release", "smoke", "tests/integration/test_records.py", preset="release", alone=True),
        unit("tsan", "-L", "threads"),
        Job("check", "check", preset="clang", nice=IDLE),
        Job("check-quick", "check", "tidy", preset="release", nice=IDLE),
        Job("fuzz", "fuzz", preset="fuzz", nice=IDLE),
    ]


STAGES = {
    "build": "gcc release, gcc ASan+UBSan, libFuzzer, clang with its warnings, gcc TSan",
    "unit-release": "the modules, each alone; PostgreSQL, OpenSSH and cells of their own; as shipped",
    "unit-alone": "of these, the modules alone",
    "unit-asan": "all of unit-release under ASan and UBSan",
    "unit-tsan": "what threads and fibers touch, under ThreadSanitizer",
    "demo": "the demo tells its whole story",
    "smoke": "a sandbox, and records written and read there",
    "check": "format, layers, banned calls, clang-tidy, shellcheck, ...",
    "check-quick": "the same without clang-tidy",
    "fuzz": "each fuzz target, a few seconds from its seeds",
    "integration-release": "real PostgreSQL, real TLS, real faults",
    "integration-asan": "the same against ASan programs, without the tests marked slow",
}
QUICK = ("unit-alone", "check-quick", "smoke")
ALL = [stage for stage in STAGES if stage not in ("unit-alone", "smoke", "check-quick")]  # which the others hold


def chosen(stages):
    """The jobs of these stages, with the builds that they need."""
    jobs = [job for job in plan() if job.stage in stages]
    presets = {job.preset for job in jobs}
    return [job for job in plan() if job.stage == "build" and job.preset in presets and "build" not in stages] + jobs


# --- a checkout far away ---

@contextlib.contextmanager
def far_away():
    """A copy of this checkout as its owner alone may read it, in a path of 150 characters with a space and an umlaut."""
    home = os.path.realpath(tempfile.mkdtemp(prefix="domicile-test."))
    words = "a checkout whose path is long, with spaces and an ümlaut in it"
    root = os.path.join(home, words, "x" * max(1, FAR_CHARACTERS - len(home) - len(words) - 2))
    umask = os.umask(0o077)
    try:
        for path in gates.files():
            source, target = os.path.join(ROOT, path), os.path.join(root, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
            os.chmod(target, 0o700 if os.access(source, os.X_OK) else 0o600)
        os.umask(umask)
        yield root
    finally:
        os.umask(umask)
        for directory in glob.glob(os.path.join(glob.escape(root), "build", "test-sandbox-*")):
            if os.path.isdir(directory):
                Sandbox(directory).wipe()
        shutil.rmtree(home)


# --- the run ---

class Run:
    def __init__(self, jobs, far, apart, say=lambda line: print(line, flush=True)):
        self.jobs, self.far, self.apart, self.say = jobs, far, apart, say
        self.began = time.monotonic()
        self.told = self.began

    def is_far(self, job):
        return self.far and job.preset == "asan"

    def line(self, text):
        self.say(f"{time.monotonic() - self.began:5.0f} s  {text}")

    def drive(self):
        while any(job.result is None for job in self.jobs):
            for job in self.jobs:
                if job.process and job.result is None:
                    self.look(job)
            for job in self.jobs:
                if not job.process and job.result is None and self.may_start(job):
                    self.start(job)
            self.tell_progress()
            time.sleep(0.1)

    # --- one job ---

    def may_start(self, job):
        running = [other for other in self.jobs if other.process and other.result is None]
        if job.stage != "build" and (maker := self.maker_of(job)):
            if maker.result is None:
                return False
            if maker.result["failures"]:
                job.result = {"passed": 0, "failures": [f"{job.name} did not run: {maker.name} failed"]}
                self.ended(job)
                return False
        if job.nice:
            return all(other.nice != job.nice for other in running)
        if job.alone and not self.apart and any(other.alone for other in running):
            return False
        return sum(other.places for other in running if not other.nice) + job.places <= PLACES

    def maker_of(self, job):
        return next((other for other in self.jobs if other.stage == "build" and other.preset == job.preset), None)

    def start(self, job):
        root = self.far if self.is_far(job) else ROOT
        job.began = time.monotonic()
        job.path = os.path.join(LOGS, f"{job.log}.json")
        command = ["/usr/bin/python3", os.path.join(root, "tools", "lib", "stages.py"), job.path, *job.words]
        if job.alone:
            command = [ALONE, *command]
        if job.nice:
            command = ["nice", "-n", str(job.nice), *command]
        # A process group, and no session: Linux shares the processors by session first, and niceness would say nothing.
        with open(os.path.join(LOGS, f"{job.log}.out"), "wb") as out:
            job.process = subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                           env={**os.environ, "DOMICILE_TEST_LOGS": LOGS}, process_group=0,
                                           umask=0o077 if self.is_far(job) else -1)
        self.line(f"{job.name}: begins{' far away' if self.is_far(job) else ''}")

    def look(self, job):
        pid, status, used = os.wait4(job.process.pid, os.WNOHANG)
        if pid == 0:
            return
        job.process.returncode = os.waitstatus_to_exitcode(status)
        job.took_s, job.cpu_s = time.monotonic() - job.began, used.ru_utime + used.ru_stime
        try:
            with open(job.path, encoding="utf-8") as file:
                job.result = json.load(file)
        except (OSError, ValueError):
            with open(os.path.join(LOGS, f"{job.log}.out"), encoding="utf-8", errors="replace") as file:
                broke = f"{job.name} broke ({job.process.returncode}): {file.read()[-2000:]}"
            job.result = {"passed": 0, "failures": [broke]}
        self.ended(job)

    def ended(self, job):
        for failure in job.result["failures"]:
            self.say(f"    FAILED {failure}".replace("\n", "\n        "))
        took = f" in {job.took_s:.0f} s" if job.took_s is not None else ""
        self.line(f"{job.name}: {job.result['passed']} passed, {len(job.result['failures'])} failed{took}")
        self.told = time.monotonic()

    # --- all of them ---

    def tell_progress(self):
        if time.monotonic() - self.told < TELL_EVERY_S:
            return
        self.told = time.monotonic()
        running = [job for job in self.jobs if job.process and job.result is None]
        self.line("... " + ", ".join(f"{job.name}{self.progress(job)}" for job in running))

    def progress(self, job):
        """How far ctest or pytest is, by its log."""
        for path in glob.glob(os.path.join(glob.escape(LOGS), "*.log")):
            if os.path.basename(path)[:-4] in [f"{word}-{job.preset}" for word in job.words]:
                with open(path, encoding="utf-8", errors="replace") as file:
                    found = re.findall(r"(?m)^ *(\d+/\d+) Test|\[ *(\d+%)\]", file.read())
                return f" ({''.join(found[-1])})" if found else ""
        return ""

    def stop(self):
        """Tells every process of ours to end, and ends those that do not."""
        running = [job for job in self.jobs if job.process and job.result is None]
        self.line(f"stops {', '.join(job.name for job in running)}")
        for number, within_s in ((signal.SIGINT, 20), (signal.SIGKILL, 5)):
            for job in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(job.process.pid, number)
                    os.killpg(job.process.pid, signal.SIGCONT)  # what was stopped would sleep through it
            deadline = time.monotonic() + within_s
            while time.monotonic() < deadline and any(lives(job) for job in running):
                time.sleep(0.1)

    def table(self):
        """Of each stage what it counted, from when to when it ran, and the processors' time."""
        self.say(f"\n{'stage':20} {'passed':>6} {'failed':>6} {'from':>6} {'took':>6} {'CPU':>6}")
        for stage in dict.fromkeys(job.stage for job in self.jobs):
            jobs = [job for job in self.jobs if job.stage == stage]
            ran = [job for job in jobs if job.took_s is not None]
            begin = min((job.began for job in ran), default=self.began)
            took = max((job.began + job.took_s for job in ran), default=begin) - begin
            self.say(f"{stage:20} {sum(job.result['passed'] for job in jobs):6} "
                     f"{sum(len(job.result['failures']) for job in jobs):6} {begin - self.began:4.0f} s {took:4.0f} s "
                     f"{sum(job.cpu_s for job in ran):4.0f} s")


def lives(job):
    """Whether anything of the job's process group still runs."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(job.process.pid, os.WNOHANG)
    try:
        os.killpg(job.process.pid, 0)
        return True
    except ProcessLookupError:
        return False


# --- what it needs of the machine ---

@contextlib.contextmanager
def addresses_free():
    """Where all share the machine's addresses: a sandbox that runs in build/sandbox is stopped meanwhile, with its data
    kept."""
    print("test: the kernel allows no network of its own to a test: those that need the sandbox's addresses run one after "
          "another")
    sandbox = Sandbox(DEFAULT)
    was_up = bool(sandbox.running())
    if was_up:
        print("test: the sandbox in build/sandbox is stopped meanwhile")
        sandbox.down(say=lambda _: None)
    try:
        sandbox.refuse_taken_addresses()
        yield
    finally:
        if was_up:
            done = subprocess.run(["tools/sandbox", "up", "--keep"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            print("test: the sandbox in build/sandbox is up again" if done.returncode == 0 else f"test: {done.stdout}")


@contextlib.contextmanager
def one_at_a_time():
    os.makedirs(os.path.dirname(LOGS), exist_ok=True)
    with open(f"{LOGS}.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("another tools/test runs in this checkout") from None
        yield


def run_jobs(jobs, far):
    apart = subprocess.run([ALONE, "--allowed"], check=False).returncode == 0
    with contextlib.ExitStack() as held:
        if any(job.alone for job in jobs) and not apart:
            held.enter_context(addresses_free())
        if any(job.stage == "demo" for job in jobs):
            fhir.fetch(os.path.join(ROOT, "build", "demo"))  # it cannot, without a network
        root = held.enter_context(far_away()) if far and any(job.preset == "asan" for job in jobs) else None
        if root:
            print(f"test: what needs the preset asan is built and tested far away, in {root} ({len(root)} characters)")
        run = Run(jobs, root, apart)
        try:
            run.drive()
        except BaseException:
            run.stop()
            raise
        run.table()
    return sum(job.result["passed"] for job in jobs), sum(len(job.result["failures"]) for job in jobs)


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="tools/test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="stages:\n" + "".join(f"  {name:20} {words}\n" for name, words in STAGES.items())
        + f"  {'quick':20} {', '.join(QUICK)}\n\n"
        "Without a STAGE all run but unit-alone, smoke and check-quick, which others hold. The logs are in build/test-logs.")
    parser.add_argument("stage", nargs="*", metavar="STAGE", help="only these stages, and the builds that they need")
    parser.add_argument("--far", action="store_true",
                        help="the preset asan is built and tested in a copy of the checkout that only its owner can read, "
                        f"in a path of {FAR_CHARACTERS} characters; a run of all stages does so by itself")
    options = parser.parse_args(arguments)
    names = [name for stage in options.stage for name in (QUICK if stage == "quick" else [stage])]
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        parser.error(f'there is no stage "{unknown[0]}"; there are {", ".join((*STAGES, "quick"))}')
    return names or ALL, options.far or not names


def main(arguments):
    names, far = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell that started us in the background ignores it
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    try:
        with one_at_a_time():
            shutil.rmtree(LOGS, ignore_errors=True)
            os.makedirs(LOGS)
            passed, failed = run_jobs(chosen(names), far)
    except Failure as failure:
        print(f"test: {failure}")
        passed, failed = 0, 1
    except KeyboardInterrupt:
        print("test: interrupted; what it started is stopped")
        return 130
    print(f"logs: build/test-logs; {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
