"""Do the unit tests see what they run? Changes one token of a source file at a time, builds, runs the tests, undoes it.

It works in a copy of the checkout, build/mutate/tree, which a run brings up to date first. The tests of the changed folder
run first, then those of the folders that may include it, then, for what is left, the folder's own tests under
AddressSanitizer and UndefinedBehaviorSanitizer, as tools/test runs them too. A test that fails, crashes or hangs has
noticed. A change that the compiler refuses is replaced by another draw. tests/mutants.txt lists the changes that change
nothing, each with its reason; they are drawn, counted and not run.

Exit status 1: fewer than 9 in 10 of the others were noticed, more than 1 in 10 are called equivalent, or an entry of the
list is of a line that is gone."""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import time

import gates
import mutants
from processes import Failure

ROOT = gates.ROOT
WORK = os.path.join(ROOT, "build", "mutate")
TREE = os.path.join(WORK, "tree")
LAST = os.path.join(WORK, "survivors.json")
EQUIVALENTS = "tests/mutants.txt"
FOLDERS = ["seal", "policy", "auth", "config", "directory", "http", "base", "runbook"]
SHARE = 0.9
BUILDS = {"plain": "", "asan": "address,undefined"}
BUILD_S = 300
LEAST_S, TIMES_LONGER = 20, 10  # a test hangs when it takes this long, and this many times as long as without a change
ASAN_TIMES = 5  # as long as without the sanitizers
SANITIZER = re.compile(r"ERROR: (\w+: [\w-]+)|(runtime error): ")


def bring_up_to_date():
    """The copy has what the checkout has; only what differs is written, so that only that is built again."""
    wanted = set(gates.files())
    for folder, folders, names in os.walk(TREE):
        folders[:] = [name for name in folders if name not in BUILDS]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), TREE)
            if path not in wanted:
                os.unlink(os.path.join(TREE, path))
    for path in wanted:
        source, copy = os.path.join(ROOT, path), os.path.join(TREE, path)
        with open(source, "rb") as file:
            content = file.read()
        try:
            with open(copy, "rb") as file:
                same = file.read() == content
        except FileNotFoundError:
            same = False
        if not same:
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            with open(copy, "wb") as file:
                file.write(content)
            shutil.copymode(source, copy)


def walls():
    """A changed kill() must reach only the test's own processes, and a changed unlink() only its own /tmp."""
    tmp = "" if os.path.realpath(ROOT).startswith("/tmp/") else "mount -t tmpfs tmpfs /tmp && "
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    for script in (tmp + '"$@"; exit $?', '"$@"; exit $?'):
        found = ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"]
        if subprocess.run([*found, "true"], capture_output=True, check=False).returncode == 0:
            return found
    raise Failure("the kernel lets no namespace be made here (unshare --pid), and a changed kill() could reach anything")


class Build:
    """The copy, built one way, and its unit tests."""

    def __init__(self, name, jobs):
        self.folder, self.jobs, self.name = os.path.join(TREE, name), jobs, name
        self.walls, self.tests = walls(), {}

    def configure(self):
        # No optimisation and no debug information: quick to build. What only style forbids is not left to the compiler.
        said = subprocess.run(["cmake", "-S", TREE, "-B", self.folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=",
                               "-DCMAKE_C_COMPILER=gcc", f"-DDOMICILE_SANITIZE={BUILDS[self.name]}",
                               "-DCMAKE_C_FLAGS=-O0 -Wno-parentheses -Wno-empty-body"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if said.returncode:
            raise Failure(f"cmake does not configure {self.folder}:\n{said.stdout[-2000:]}")
        listed = subprocess.run(["ctest", "--test-dir", self.folder, "-L", "unit", "--show-only=json-v1"],
                                stdout=subprocess.PIPE, text=True, check=True)
        programs = {test["name"]: os.path.join(self.folder, test["name"].replace("unit.", "test_").replace(".", "_"))
                    for test in json.loads(listed.stdout)["tests"]}
        self.tests = {name: (program, LEAST_S) for name, program in programs.items()}

    def learn(self):
        """Builds all of the unit tests and learns what each takes; they must pass."""
        if said := self.build(self.tests):
            raise Failure(f"the build fails without a change:\n{said[-3000:]}")
        for name, (program, _) in sorted(self.tests.items()):
            began = time.monotonic()
            if noticed := self.run([name], within_s=BUILD_S):
                raise Failure(f"{noticed} fails without a change")
            self.tests[name] = (program, time.monotonic() - began)

    def build(self, names):
        """What the compiler said against it; None when it is built."""
        done = subprocess.run(["ninja", "-C", self.folder, f"-j{self.jobs}",
                               *sorted(os.path.basename(self.tests[name][0]) for name in names)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=BUILD_S, check=False)
        return done.stdout if done.returncode else None

    def run(self, names, within_s=None):
        """Runs the tests, the quick ones first, until one notices: which, and how it said so. None: all pass."""
        waiting = collections.deque(sorted(names, key=lambda name: self.tests[name][1]))
        running, noticed = {}, None
        while (waiting or running) and noticed is None:
            while waiting and len(running) < self.jobs:
                name = waiting.popleft()
                program, took_s = self.tests[name]
                output = open(os.path.join(WORK, f"{name}.{self.name}.log"), "w+", encoding="utf-8", errors="replace")
                process = subprocess.Popen([*self.walls, program], cwd=self.folder, stdin=subprocess.DEVNULL,
                                           stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
                running[name] = (process, output, time.monotonic() + (within_s or max(LEAST_S, TIMES_LONGER * took_s)))
            for name, (process, output, end) in list(running.items()):
                status = process.poll()
                if status is None and time.monotonic() < end:
                    continue
                del running[name]
                process.kill()
                process.wait()
                noticed = f"{name} (hangs)" if status is None else f"{name} ({words_of(output)})" if status else noticed
                output.close()
            time.sleep(0.002)
        for process, output, _ in running.values():
            process.kill()
            process.wait()
            output.close()
        return noticed


def words_of(output):
    """Which test of the program failed, or what the sanitizer saw."""
    output.seek(0)
    said = output.read()
    if seen := SANITIZER.search(said):
        return seen.group(1) or seen.group(2)
    failed = re.findall(r"\[  FAILED  \] (\w+)$", said, re.M)
    return failed[0] if failed else "ends early"


def folder_of(path):
    return path.split("/")[1]


class Mutation:
    """One run of the tool."""

    def __init__(self, jobs, only_own):
        self.plain, self.asan = Build("plain", jobs), Build("asan", jobs)
        self.layers, self.only_own = gates.lines_of("src/LAYERS"), only_own
        self.plain.configure()
        self.asan.configure()
        self.plain.learn()
        self.asan.tests = {name: (program, ASAN_TIMES * self.plain.tests[name][1])
                           for name, (program, _) in self.asan.tests.items()}

    def noticed_by(self, build, folders):
        """None when no test of these folders notices, "compiler" when it is not built, else the test."""
        names = [name for name in build.tests if name.split(".")[1] in folders]
        if not names:
            return None
        if build.build(names):
            return "compiler"
        return build.run(names)

    def outcome(self, change):
        """Applies a change, asks, and undoes it."""
        own = folder_of(change.path)
        path = os.path.join(TREE, change.path)
        with open(path, encoding="utf-8") as file:
            was = file.read()
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(change.applied_to(was))
            below = [] if self.only_own else self.layers[self.layers.index(own) + 1:]
            noticed = self.noticed_by(self.plain, [own]) or self.noticed_by(self.plain, below)
            if noticed is None and (noticed := self.noticed_by(self.asan, [own])):
                noticed = f"asan: {noticed}"
        finally:
            with open(path, "w", encoding="utf-8") as file:
                file.write(was)
        return noticed

    def go(self, drawn, wanted, excused):
        """Takes changes in their order until `wanted` of them have an outcome: {change: outcome}."""
        outcomes = {}
        for change in drawn:
            if len(outcomes) == wanted:
                break
            began = time.monotonic()
            why = excused.get(change.key())
            noticed = f"equivalent: {why}" if why else self.outcome(change)
            if noticed == "compiler":
                print(f"       {change.words()}: does not compile, another is drawn", flush=True)
                continue
            outcomes[change] = noticed
            print(f"{len(outcomes):4} {'SURVIVED' if noticed is None else ' '} {change.words()}: {noticed or 'nobody notices'} "
                  f"({time.monotonic() - began:.1f} s)", flush=True)
        return outcomes


def tell(outcomes):
    """The counts a folder; whether they are good enough."""
    counts = collections.defaultdict(lambda: [0, 0, 0])
    for change, noticed in outcomes.items():
        kind = 2 if noticed is None else 1 if noticed.startswith("equivalent: ") else 0
        counts[folder_of(change.path)][kind] += 1
    print(f"\n{'folder':10} {'changes':>8} {'noticed':>8} {'survived':>9} {'equivalent':>11}")
    for folder, (noticed, equivalent, survived) in sorted(counts.items()):
        print(f"{folder:10} {noticed + equivalent + survived:8} {noticed:8} {survived:9} {equivalent:11}")
    noticed, equivalent, survived = map(sum, zip(*counts.values()))
    total, share = noticed + equivalent + survived, noticed / max(1, noticed + survived)
    by_asan = sum((words or "").startswith("asan: ") for words in outcomes.values())
    hung = sum("(hangs)" in (words or "") for words in outcomes.values())
    print(f"{'all':10} {total:8} {noticed:8} {survived:9} {equivalent:11}\n")
    print(f"{noticed} of {noticed + survived} noticed, {100 * share:.1f} % ({by_asan} only by the sanitizers, {hung} as a "
          f"hang); {equivalent} of {total} are called equivalent")
    if survived:
        print("\nWhat survived, as tests/mutants.txt would list it; a test is better:\n")
        for change in (change for change, noticed in outcomes.items() if noticed is None):
            print(f"@ {change.path} {change.function}\n- {change.before}\n+ {change.after}\n= \n")
    return share >= SHARE and equivalent * 10 <= total


def stale(excused, paths):
    """Entries of the list whose line is no longer there."""
    possible = {change.key() for path in paths for group in mutants.changes_of(ROOT, path) for change in group}
    return [f"{EQUIVALENTS}: {key[0]} has no such line in {key[1]}: {key[2]}" for key in excused
            if key[0] in paths and key not in possible or not os.path.exists(os.path.join(ROOT, key[0]))]


def chosen(options, paths):
    """The changes to make, in their order, and how many of them."""
    if options.at:
        path, _, line = options.at.partition(":")
        every = [change for group in mutants.changes_of(ROOT, path) for change in group
                 if not line or change.line == int(line)]
        return every, len(every)
    drawn = mutants.draw(ROOT, paths, options.seed)
    if options.again:
        with open(LAST, encoding="utf-8") as file:
            left = {tuple(key) for key in json.load(file)}
        drawn = [change for change in drawn if change.key() in left]
        return drawn, len(drawn)
    return drawn, options.changes


def main(arguments):
    parser = argparse.ArgumentParser(prog="tools/mutate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="*", metavar="FOLDER", help=f"of src (default: {' '.join(FOLDERS)})")
    parser.add_argument("--changes", type=int, default=200, metavar="N", help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which ones (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="compilers and tests at once (default: 1)")
    parser.add_argument("--at", metavar="PATH[:LINE]", help="every change of this line or file, instead of a draw")
    parser.add_argument("--again", action="store_true", help="only those of this draw that survived the last run")
    parser.add_argument("--own", action="store_true", help="ask only the tests of the changed folder: quicker, and stricter")
    options = parser.parse_args(arguments)
    try:
        paths = gates.files(*(f"src/{folder}" for folder in options.folder or FOLDERS), endings=(".c",))
        excused = mutants.equivalents(os.path.join(ROOT, EQUIVALENTS))
        left = stale(excused, paths)
        drawn, wanted = chosen(options, paths)
        os.makedirs(TREE, exist_ok=True)
        bring_up_to_date()
        mutation = Mutation(options.jobs, options.own)
        outcomes = mutation.go(drawn, wanted, excused)
    except Failure as failure:
        print(f"mutate: {failure}", file=sys.stderr)
        return 2
    with open(LAST, "w", encoding="utf-8") as file:
        json.dump([change.key() for change, noticed in outcomes.items() if noticed is None], file)
    enough = tell(outcomes)
    print("\n".join(left), end="\n" if left else "")
    return 0 if enough and not left else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
