"""The stages of the test run, each a process of its own: stages.py RESULT STAGE [ARGUMENT...] does one in the checkout that
it stands in, and writes to the file RESULT what it counted. tools/test decides which run, where and beside what."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor

import gates
from processes import Failure
from sandbox import Sandbox

ROOT = gates.ROOT
LOGS = os.environ.get("DOMICILE_TEST_LOGS", os.path.join(ROOT, "build", "test-logs"))
FUZZ_S = 2
UNITS_AT_ONCE = 2 * os.cpu_count()  # most of them wait for servers
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|SUMMARY: \w+Sanitizer|runtime error:")


class Count:
    """What a stage found: how many passed, and a sentence for each that did not."""

    def __init__(self, passed=0, failures=()):
        self.passed, self.failures = passed, list(failures)


def run(command, log, within_s, **environment):
    """Runs a command with its output in LOGS/LOG; returns (exit status, output). It has a moment to clean up when we are
    told to stop."""
    path = os.path.join(LOGS, log)
    with open(path, "wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **environment})
        try:
            status = process.wait(within_s)
        except subprocess.TimeoutExpired:
            out.write(f"\n{command[0]} did not end within {within_s} s\n".encode())
            end(process)
            status = 124
        except KeyboardInterrupt:  # it has been told as well: whoever stops a stage tells all of its processes
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(15)
            process.kill()
            raise
    with open(path, encoding="utf-8", errors="replace") as file:
        return status, file.read()


def end(process):
    process.send_signal(signal.SIGINT)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --- build ---

def stage_build(preset):
    status, said = run(["tools/build", preset], f"build-{preset}.log", 900)
    return Count(0, [f"build of {preset}:\n{said[-3000:]}"]) if status else Count(1)


# --- unit tests ---

def stage_unit(preset, *options):
    report = os.path.join(LOGS, f"unit-{preset}.xml")
    run(["ctest", "--test-dir", f"build/{preset}", "-j", str(UNITS_AT_ONCE), "--output-on-failure", "--no-tests=error",
         "--output-junit", report, "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000",
         *options],
        f"unit-{preset}.log", 1500)
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


# --- the README's other command ---

def stage_demo():
    """The demo tells its whole story, and stops what it left up."""
    count = Count()
    directory = sandbox_of("demo")
    try:
        for command in (["tools/demo"], ["tools/demo", "--down"]):
            status, said = run(command, f"demo{'-down' if len(command) > 1 else ''}.log", 300, DOMICILE_SANDBOX=directory)
            if status:
                count.failures.append(f"{' '.join(command)} ended with {status}:\n{said[-3000:]}")
            else:
                count.passed += 1
        if running := Sandbox(directory).running():
            count.failures.append(f"the demo left {', '.join(running)} running")
    finally:
        Sandbox(directory).down(say=lambda _: None)
    return count


# --- gates and fuzz ---

def stage_check(*without):
    names = [name for name in gates.GATES if name not in without]
    with open(os.path.join(LOGS, "check.log"), "w", encoding="utf-8") as log:
        results = gates.check(names, say=lambda line: print(line, file=log, flush=True))
    failures = [f"gate {name}:\n" + "\n".join(lines[:20]) for name, lines in results.items() if lines]
    return Count(len(results) - len(failures), failures)


def stage_fuzz():
    """Each fuzz target, a few seconds from its seeds."""
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
    status, said = run([os.path.join(build, target), f"-max_total_time={FUZZ_S}", "-timeout=60", "-rss_limit_mb=2048",
                        "-print_final_stats=1", f"-artifact_prefix={LOGS}/{target}-", grown, seeds],
                       f"{target}.log", FUZZ_S + 300)
    return f"{target} ended with {status}:\n{said[-2000:]}" if status else None


# --- integration and fault tests ---

def sandbox_of(name):
    return os.path.join(ROOT, "build", f"test-sandbox-{name}")


def stage_integration(preset, name, *what):
    """pytest on a sandbox of its own: real PostgreSQL, real TLS, real faults."""
    count = Count()
    name = f"{name}-{preset}"
    report = os.path.join(LOGS, f"{name}.xml")
    directory = sandbox_of(name)
    environment = {"DOMICILE_SANDBOX": directory, "DOMICILE_BIN": os.path.join(ROOT, "build", preset)}
    Sandbox(directory).down(say=lambda _: None)
    try:
        status, said = run(["tools/sandbox", "up", directory], f"{name}-sandbox.log", 120, **environment)
        if status:
            return Count(0, [f"the sandbox of {name} does not come up:\n{said[-3000:]}"])
        status, said = run(["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short",
                            "--durations=30", "--timeout=180", f"--junitxml={report}", *what],
                           f"{name}.log", 1500, **environment)
    finally:
        Sandbox(directory).down(say=lambda _: None)
    for case in cases(report, count):
        test = f"{case.get('classname')}.{case.get('name')}"
        bad = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        if bad is None:
            count.passed += 1
        else:
            count.failures.append(f"{test} {bad.tag}: {(bad.get('message') or '')[:300]}")
    if status not in (0, 1) and not count.failures:
        count.failures.append(f"pytest ended with {status}:\n{said[-2000:]}")
    count.failures += sanitizer_reports(name, directory)
    return count


def sanitizer_reports(name, directory):
    """What the sanitizers wrote into the gateways' logs, which are kept beside the others."""
    failures = []
    for gateway in Sandbox(directory).gateways.values():
        with contextlib.suppress(FileNotFoundError):
            kept = shutil.copyfile(gateway.log, os.path.join(LOGS, f"{name}-{os.path.basename(gateway.log)}"))
            with open(kept, encoding="utf-8", errors="replace") as log:
                failures += [f"{kept}: {line.strip()[:300]}" for line in log if SANITIZER.search(line)][:5]
    return failures


STAGES = {name[6:]: stage for name, stage in list(globals().items()) if name.startswith("stage_")}


def main(result, stage, *arguments):
    try:
        count = STAGES[stage](*arguments)
    except KeyboardInterrupt:
        return 130
    except Failure as failure:
        count = Count(0, [str(failure)])
    if count.passed + len(count.failures) == 0:
        count.failures.append(f"{stage} counted nothing")
    with open(result, "w", encoding="utf-8") as file:
        json.dump({"passed": count.passed, "failures": count.failures}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
