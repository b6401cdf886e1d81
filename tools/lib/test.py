"""All the tests, in stages. Every stage says what it counted; the last line is the sum."""
import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor

import gates
from processes import Failure
from sandbox import DEFAULT, Sandbox

ROOT = gates.ROOT
LOGS = os.path.join(ROOT, "build", "test-logs")
SANDBOX = os.path.join(ROOT, "build", "test-sandbox")
FUZZ_S = 4
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|SUMMARY: \w+Sanitizer|runtime error:")


class Count:
    """What a stage found: how many passed, and a sentence for each that did not."""

    def __init__(self, passed=0, failures=()):
        self.passed, self.failures = passed, list(failures)


def run(command, log, within_s, **environment):
    """Runs a command with its output in build/test-logs/LOG; returns (exit status, output)."""
    path = os.path.join(LOGS, log)
    with open(path, "wb") as out:
        try:
            status = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                    env={**os.environ, **environment}, timeout=within_s, check=False).returncode
        except subprocess.TimeoutExpired:
            out.write(f"\n{command[0]} did not end within {within_s} s\n".encode())
            status = 124
    with open(path, encoding="utf-8", errors="replace") as file:
        return status, file.read()


# --- build ---

def stage_build():
    """gcc release, gcc ASan+UBSan, clang with its warnings, libFuzzer"""
    count = Count()
    for preset in ("release", "asan", "clang", "fuzz"):
        status, said = run(["tools/build", preset], f"build-{preset}.log", 900)
        if status:
            count.failures.append(f"build of {preset}:\n{said[-3000:]}")
        else:
            count.passed += 1
    return count


# --- unit tests ---

def ctest(preset, *options):
    report = os.path.join(LOGS, f"unit-{preset}.xml")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    run(["ctest", "--test-dir", f"build/{preset}", "-j", str(os.cpu_count() + 1), "--output-on-failure", "--no-tests=error",
         "--output-junit", report, "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000",
         *options],
        f"unit-{preset}.log", 900)
    count = Count()
    for case in cases(report, count):
        said = case.findtext("system-out") or ""
        passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", said)))
        failed = re.findall(r"\[  FAILED  \] (\w+)$", said, re.M)
        skipped = re.findall(r"\[  SKIPPED \] (\w+)$", said, re.M)
        if case.get("status") == "run" and not failed and not skipped:
            count.passed += passed or 1
            continue
        count.passed += passed
        name = case.get("name")
        count.failures += [f"{name}: {test}" for test in dict.fromkeys(failed)]
        count.failures += [f"{name}: {test} was skipped" for test in dict.fromkeys(skipped)]
        if not failed and not skipped:
            count.failures.append(f"{name} ended before its sum:\n{said[-2000:]}")
    return count


def cases(report, count):
    """The test cases of a JUnit report; no report, or an empty one, is a failure."""
    try:
        found = list(xml.parse(report).getroot().iter("testcase"))
    except (OSError, xml.ParseError) as error:
        count.failures.append(f"no result: {error}")
        return []
    if not found:
        count.failures.append(f"{report}: no test ran")
    return found


def stage_unit_release():
    """the modules, each alone; PostgreSQL, OpenSSH and cells of their own; as shipped"""
    return ctest("release")


def stage_unit_asan():
    """the same under ASan and UBSan"""
    return ctest("asan")


def stage_unit_tsan():
    """what threads and fibers touch, built for it and run under ThreadSanitizer"""
    status, said = run(["tools/build", "tsan"], "build-tsan.log", 300)
    return Count(0, [f"build of tsan:\n{said[-3000:]}"]) if status else ctest("tsan", "-L", "threads")


# --- the README's other command ---

def stage_demo():
    """the demo tells its whole story, and stops what it left up"""
    count = Count()
    for command in (["tools/demo"], ["tools/demo", "--down"]):
        status, said = run(command, f"demo{'-down' if len(command) > 1 else ''}.log", 300, DOMICILE_SANDBOX=SANDBOX)
        if status:
            count.failures.append(f"{' '.join(command)} ended with {status}:\n{said[-3000:]}")
        else:
            count.passed += 1
    if running := Sandbox(SANDBOX).running():
        count.failures.append(f"the demo left {', '.join(running)} running")
    return count


# --- gates and fuzz ---

def stage_check():
    """format, layers, banned calls, clang-tidy, shellcheck, ..."""
    with open(os.path.join(LOGS, "check.log"), "w", encoding="utf-8") as log:
        results = gates.check(say=lambda line: print(line, file=log))
    failures = [f"gate {name}:\n" + "\n".join(lines[:20]) for name, lines in results.items() if lines]
    return Count(len(results) - len(failures), failures)


def stage_fuzz():
    """each fuzz target, a few seconds from its seeds"""
    build = os.path.join(ROOT, "build", "fuzz")
    targets = [os.path.basename(path)[:-2] for path in gates.files("tests/fuzz", endings=(".c",))]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        complaints = list(pool.map(lambda target: fuzz(build, target), targets))
    failures = [complaint for complaint in complaints if complaint]
    return Count(len(targets) - len(failures), failures or ([] if targets else ["there is no fuzz target"]))


def fuzz(build, target):
    seeds = os.path.join(ROOT, "tests", "fuzz", "corpus", target.removeprefix("fuzz_"))
    if not os.path.isdir(seeds) or not os.listdir(seeds):
        return f"{target}: it has no seeds in {seeds}"
    if not os.access(os.path.join(build, target), os.X_OK):
        return f"{target}: it was not built"
    grown = os.path.join(ROOT, "build", "fuzz-corpus", target)
    os.makedirs(grown, exist_ok=True)
    status, said = run(["nice", "-n", "19", os.path.join(build, target), f"-max_total_time={FUZZ_S}", "-timeout=60",
                        "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={LOGS}/{target}-", grown, seeds],
                       f"{target}.log", FUZZ_S + 300)
    return f"{target} ended with {status}:\n{said[-2000:]}" if status else None


# --- integration and fault tests ---

def pytest(preset, within_s, *options):
    folders = [folder for folder in ("tests/integration", "tests/fault") if os.path.isdir(os.path.join(ROOT, folder))]
    count = Count()
    report = os.path.join(LOGS, f"integration-{preset}.xml")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(report)
    sandbox = Sandbox(SANDBOX)
    sandbox.down(say=lambda _: None)
    environment = {"DOMICILE_SANDBOX": SANDBOX, "DOMICILE_BIN": os.path.join(ROOT, "build", preset)}
    status, said = run(["tools/sandbox", "up", SANDBOX], f"sandbox-{preset}.log", 120, **environment)
    if status:
        return Count(0, [f"the sandbox of {preset} does not come up:\n{said[-3000:]}"])
    try:
        status, said = run(["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short",
                            "--timeout=180", f"--junitxml={report}", *options, *folders],
                           f"integration-{preset}.log", within_s, **environment)
    finally:
        Sandbox(SANDBOX).down(say=lambda _: None)
    for case in cases(report, count):
        name = f"{case.get('classname')}.{case.get('name')}"
        bad = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        if bad is None:
            count.passed += 1
        else:
            count.failures.append(f"{name} {bad.tag}: {(bad.get('message') or '')[:300]}")
    if status not in (0, 1) and not count.failures:
        count.failures.append(f"pytest ended with {status}:\n{said[-2000:]}")
    count.failures += sanitizer_reports(preset)
    return count


def sanitizer_reports(preset):
    """What the sanitizers wrote into the gateways' logs, which are kept beside the others."""
    failures = []
    for gateway in Sandbox(SANDBOX).gateways.values():
        with contextlib.suppress(FileNotFoundError):
            kept = shutil.copy(gateway.log, os.path.join(LOGS, f"{preset}-{os.path.basename(gateway.log)}"))
            with open(kept, encoding="utf-8", errors="replace") as log:
                failures += [f"{kept}: {line.strip()[:300]}" for line in log if SANITIZER.search(line)][:5]
    return failures


def stage_integration_release():
    """real PostgreSQL, real TLS, real faults"""
    return pytest("release", 600)


def stage_integration_asan():
    """the same against ASan programs, without the tests marked slow"""
    return pytest("asan", 600, "-m", "not slow")


STAGES = {name[6:].replace("_", "-"): stage for name, stage in list(globals().items()) if name.startswith("stage_")}


BESIDE = {"check", "fuzz"}  # read only, and let everybody else go first: what follows waits most of its time


@contextlib.contextmanager
def addresses_free():
    """The sandbox's addresses are fixed: one that runs in build/sandbox is stopped meanwhile, with its data kept."""
    sandbox = Sandbox(DEFAULT)
    was_up = bool(sandbox.running())
    if was_up:
        print("test: the sandbox in build/sandbox is stopped meanwhile")
        sandbox.down(say=lambda _: None)
    try:
        Sandbox(SANDBOX).down(say=lambda _: None)
        sandbox.refuse_taken_addresses()
        yield
    finally:
        if was_up:
            status, said = run(["tools/sandbox", "up", "--keep"], "sandbox-kept.log", 120)
            print("test: the sandbox in build/sandbox is up again" if status == 0 else f"test: {said}")


def outcome_of(name):
    """What the stage counted, and how long it took."""
    began = time.monotonic()
    try:
        count = STAGES[name]()
    except Failure as failure:
        count = Count(0, [str(failure)])
    except Exception as error:  # a stage that breaks has failed, and the rest go on
        count = Count(0, [f"{name} broke: {error!r}"])
    if count.passed + len(count.failures) == 0:
        count.failures.append(f"{name} counted nothing")
    return count, time.monotonic() - began


def tell(name, count, seconds):
    for failure in count.failures:
        print(f"    FAILED {failure}".replace("\n", "\n        "))
    print(f"{name:20} {count.passed} passed, {len(count.failures)} failed in {seconds:.0f} s", flush=True)


def run_stages(names):
    counts, beside = [], {}
    with ThreadPoolExecutor() as pool:
        for name in names:
            if name in BESIDE:
                print(f"{name:20} {STAGES[name].__doc__} ... beside what follows", flush=True)
                beside[name] = pool.submit(outcome_of, name)
                continue
            print(f"{name:20} {STAGES[name].__doc__} ...", flush=True)
            count, seconds = outcome_of(name)
            tell("", count, seconds)
            counts.append(count)
        for name, running in beside.items():
            count, seconds = running.result()
            tell(name, count, seconds)
            counts.append(count)
    return sum(count.passed for count in counts), [failure for count in counts for failure in count.failures]


def main(arguments):
    parser = argparse.ArgumentParser(prog="tools/test", description=__doc__,
                                     epilog=f"Stages: {', '.join(STAGES)}. The logs are in build/test-logs.")
    parser.add_argument("stage", nargs="*", metavar="STAGE", help="only these stages (default: all, in order)")
    names = parser.parse_args(arguments).stage or list(STAGES)
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        parser.error(f'there is no stage "{unknown[0]}"; there are {", ".join(STAGES)}')
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    began = time.monotonic()
    try:
        with addresses_free() if any(name == "demo" or "integration" in name for name in names) else contextlib.nullcontext():
            passed, failures = run_stages(names)
    except Failure as failure:
        print(f"test: {failure}")
        passed, failures = 0, [str(failure)]
    print(f"logs: build/test-logs; {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
