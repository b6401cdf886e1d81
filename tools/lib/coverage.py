"""Which lines and branches of src do the tests run? Builds the preset "coverage", runs the tests, and asks gcov.

Prints a table, a folder a row: lines, branches, and how many of them were run. With --lines FOLDER, each stretch of lines
that no test runs as well. A process that is killed, or that ends by _exit, tells nothing: what only such a process runs
counts as not run. The branch in which must() aborts is not counted: to take it would be a bug."""
import argparse
import collections
import json
import os
import subprocess
import sys

import gates
import mutants
from processes import Failure

ROOT = gates.ROOT
BUILD = os.path.join(ROOT, "build", "coverage")
LABELS = ("unit", "pg", "ssh", "cell")


def notes(ending):
    return [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(BUILD, "src")) for name in names
            if name.endswith(ending)]


def run_tests(labels, jobs):
    """Builds, forgets what earlier runs counted, and runs the tests with these labels."""
    if subprocess.run(["tools/build", "coverage"], cwd=ROOT, check=False).returncode:
        raise Failure("the preset \"coverage\" is not built")
    for path in notes(".gcda"):
        os.unlink(path)
    done = subprocess.run(["ctest", "--test-dir", BUILD, "-j", str(jobs), "--output-on-failure", "--no-tests=error", "-L",
                           "^(" + "|".join(labels) + ")$"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    if done.returncode:
        raise Failure(f"tests fail:\n{done.stdout[-3000:]}")


class File:
    """Of one source file: how often each line ran, and each branch."""

    def __init__(self, path):
        self.lines, self.branches, self.functions = {}, {}, {}
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            self.claims = mutants.lines_of_claims(file.read())

    def take(self, told):
        for line in told["lines"]:
            number = line["line_number"]
            self.lines[number] = self.lines.get(number, 0) + line["count"]
            counts = [] if number in self.claims else [branch["count"] for branch in line["branches"]]
            earlier = self.branches.get(number, [0] * len(counts))
            self.branches[number] = [a + b for a, b in zip(earlier, counts)]
        for function in told["functions"]:
            self.functions[function["start_line"]] = function["name"]

    def missing(self):
        """Stretches of lines that never ran: (first, last, function)."""
        stretches = []
        never = False
        for number in sorted(self.lines):
            if self.lines[number] == 0 and never:
                stretches[-1][1] = number
            elif self.lines[number] == 0:
                stretches.append([number, number, self.function_at(number)])
            never = self.lines[number] == 0
        return stretches

    def half_taken(self):
        """Lines that ran, of which a branch never did."""
        return [number for number, counts in sorted(self.branches.items()) if self.lines[number] and 0 in counts]

    def function_at(self, number):
        return self.functions[max((start for start in self.functions if start <= number), default=min(self.functions))]


def measured():
    """{path from the root: File} of src."""
    files = {path: File(path) for path in gates.sources("src")}  # a build folder remembers files that are gone
    paths = notes(".gcno")
    for at in range(0, len(paths), 40):
        said = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *paths[at:at + 40]], cwd=ROOT,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        for document in said.stdout.splitlines():
            told = json.loads(document)
            for file in told["files"]:
                path = os.path.relpath(os.path.join(told["current_working_directory"], file["file"]), ROOT)
                if path in files:
                    files[path].take(file)
    if not any(file.lines for file in files.values()):
        raise Failure("gcov has nothing to say about src")
    return files


def share(done, total):
    return f"{done} of {total} ({100 * done / total:.1f} %)" if total else "none"


def table(files):
    """Rows of markdown, as docs/testing.md has them."""
    rows = collections.defaultdict(lambda: [0, 0, 0, 0])
    for path, file in files.items():
        if not file.lines:
            continue
        folder = path.split("/")[1] if path.count("/") > 1 else "the mains"
        for row in (rows[folder], rows["all"]):
            row[0] += sum(count > 0 for count in file.lines.values())
            row[1] += len(file.lines)
            row[2] += sum(count > 0 for counts in file.branches.values() for count in counts)
            row[3] += sum(map(len, file.branches.values()))
    order = [*gates.lines_of("src/LAYERS"), "the mains", "all"]
    yield "| folder | lines run | branches run |"
    yield "| --- | --- | --- |"
    for folder in sorted(rows, key=order.index):
        lines, of_lines, branches, of_branches = rows[folder]
        yield f"| {folder} | {share(lines, of_lines)} | {share(branches, of_branches)} |"


def tell_missing(files, folder):
    for path, file in sorted(files.items()):
        if path.split("/")[1] != folder:
            continue
        for first, last, function in file.missing():
            print(f"{path}:{first}{f'-{last}' if last > first else ''}: {function}: never run")
        for number in file.half_taken():
            taken = file.branches[number]
            print(f"{path}:{number}: {file.function_at(number)}: {taken.count(0)} of {len(taken)} branches never taken")


def main(arguments):
    parser = argparse.ArgumentParser(prog="tools/coverage", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label", nargs="*", metavar="LABEL", help=f"of tests: {', '.join(LABELS)} (default: all)")
    parser.add_argument("--lines", action="append", default=[], metavar="FOLDER", help="say which lines of it are not run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="tests at once")
    parser.add_argument("--again", action="store_true", help="run no test: tell what the last run counted")
    options = parser.parse_args(arguments)
    if unknown := [label for label in options.label if label not in LABELS]:
        parser.error(f'there is no label "{unknown[0]}"; there are {", ".join(LABELS)}')
    try:
        if not options.again:
            run_tests(options.label or LABELS, options.jobs)
        files = measured()
    except Failure as failure:
        print(f"coverage: {failure}", file=sys.stderr)
        return 1
    print("\n".join(table(files)))
    for folder in options.lines:
        print()
        tell_missing(files, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
