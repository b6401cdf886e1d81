"""The gates: rules of the house that a program can check. tools/check runs them; so does tools/test."""
import hashlib
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from processes import Failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST_LINES = 600
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|system|popen|alloca)\s*\(")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
INTERNAL = re.compile(r'\s*#\s*include\s+"((\w+)/(?:\w+_)?internal\.h)"')
CIRCLES_LEFT = ("base", "cli", "health", "http", "loop", "ssh", "watch")  # folders whose files still use each other


def files(*folders, endings=()):
    """The files that git knows or would add, by folder and ending, as paths from the root."""
    status, listed = outcome(["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard",
                              "--", *folders])
    if status:
        raise Failure(f"git does not list the files: {listed.strip()}")
    kept = sorted(set(path for path in listed.splitlines() if path.endswith(tuple(endings)) or not endings))
    return [path for path in kept if os.path.isfile(os.path.join(ROOT, path))]


def outcome(command, within_s=300):
    """A tool's exit status and what it said."""
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=within_s, check=False)
    except FileNotFoundError:
        raise Failure(f'there is no program "{command[0]}"; run tools/deps') from None
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} did not end within {within_s} s\n"
    return done.returncode, done.stdout or (f"{command[0]} ended with {done.returncode}\n" if done.returncode else "")


def output(command):
    return outcome(command)[1]


def lines_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read().splitlines()


def each_line(paths, question):
    """Complaints "path:line: words" for each line where question(line) has words."""
    return [f"{path}:{number}: {words}" for path in paths for number, line in enumerate(lines_of(path), 1)
            if (words := question(line))]


def sources(*folders):
    return files(*folders, endings=(".c", ".h"))


def scripts(kind):
    found = []
    for path in files("tools", "tests", ".ci"):
        with open(os.path.join(ROOT, path), "rb") as file:
            first = file.readline()
        if (first.startswith(b"#!") and kind.encode() in first) or (kind == "python" and path.endswith(".py")):
            found.append(path)
    return found


def gate_format():
    """The code is laid out by .clang-format."""
    paths = sources("src", "tests")
    said = output(["clang-format", "--dry-run", "-Werror", *paths])
    return sorted(set(re.findall(r"(?m)^(\S+?:\d+):\d+: error: code should be clang-formatted", said))) or said.split("\n")[:-1]


def gate_layers():
    """A folder of src includes only folders above it in src/LAYERS, and no internal header but its own."""
    order = lines_of("src/LAYERS")
    complaints = []
    for path in sources("src"):
        folder = path.split("/")[1] if path.count("/") > 1 else None
        if folder is None:
            continue
        if folder not in order:
            complaints.append(f"{path}: the folder \"{folder}\" is not in src/LAYERS")
            continue
        seen = order[:order.index(folder) + 1]

        def above(line, seen=seen, folder=folder):
            found = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
            if found and found.group(1) in order and found.group(1) not in seen:
                return f'"{folder}" may not include "{found.group(1)}", which is below it in src/LAYERS'
            return None

        complaints += each_line([path], above)
    return complaints + [line for path in sources("src", "tests") for line in foreign_headers(path)]


def foreign_headers(path):
    """An internal header is for its folder, and for the tests that bear the folder's name."""
    def foreign(line):
        found = INTERNAL.match(line)
        if not found:
            return None
        header, folder = found.groups()
        own = rf"src/{folder}/" if path.startswith("src/") else rf"tests/unit/{folder}/|tests/.*/(test|fuzz|bench)_{folder}_"
        return None if re.match(own, path) else f'"{header}" is for the files of src/{folder} alone'

    return each_line([path], foreign)


def objects_of(build, paths):
    """{path: object file} as that build made them; None if one is missing or older than its source."""
    found = {}
    for path in paths:
        folder = path.split("/")[1]
        made = os.path.join(ROOT, "build", build, "src", "CMakeFiles", f"domicile_{folder}.dir", f"{path[4:]}.o")
        if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(os.path.join(ROOT, path)):
            return None
        found[path] = made
    return found


def uses_within(paths, objects):
    """{path: {path: symbol}}: which of these files uses a symbol that another one defines."""
    status, said = outcome(["nm", "-A", "-g", "-P", *[objects[path] for path in paths]])
    if status:
        raise Failure(f"nm cannot read the objects: {said.strip()}")
    sources_of = {objects[path]: path for path in paths}
    symbols = [(sources_of[made], *words.split()[:2]) for made, words in
               (line.split(": ", 1) for line in said.splitlines())]
    defined = {name: path for path, name, kind in symbols if kind != "U" and not name.startswith("__")}
    uses = {path: {} for path in paths}
    for path, name, kind in symbols:
        if kind == "U" and defined.get(name, path) != path:
            uses[path].setdefault(defined[name], name)
    return uses


def shortest_circle(uses):
    """The shortest way from a file back to itself, or None."""
    shortest = None
    for start in sorted(uses):
        ways, seen = [[start]], set()
        for way in ways:
            for path in sorted(uses[way[-1]]):
                if path == start:
                    if shortest is None or len(way) < len(shortest):
                        shortest = way
                elif path not in seen:
                    seen.add(path)
                    ways.append(way + [path])
    return shortest


def gate_circles():
    """No file of a folder of src uses another one that uses it. Needs a build: dev, clang or release."""
    paths = [path for path in files("src", endings=(".c",)) if path.count("/") > 1]
    objects = objects_of("dev", paths) or objects_of("clang", paths) or objects_of("release", paths)
    if objects is None:
        return ["no build (dev, clang, release) has objects of all files of src as they are now; run: tools/build dev"]
    complaints = []
    for folder in sorted({path.split("/")[1] for path in paths}):
        own = [path for path in paths if path.startswith(f"src/{folder}/")]
        uses = uses_within(own, objects)
        way = shortest_circle(uses)
        if folder in CIRCLES_LEFT:
            complaints += [] if way else [f"src/{folder}: it has no circle any more; take it out of CIRCLES_LEFT"]
        elif way:
            steps = "".join(f" uses {uses[path][then]} of {os.path.basename(then)}, which"
                            for path, then in zip(way, way[1:] + way[:1]))
            complaints.append(f"{way[0]}: it{steps.removesuffix(', which')}")
    return complaints


def gate_banned():
    """No call that writes without a limit or runs a shell."""
    return each_line(sources("src"), lambda line: (m := BANNED.search(line)) and f'"{m.group(1)}" is banned')


def gate_finished():
    """No mark of unfinished work."""
    paths = [path for path in files("src", "tools", "tests") if "/corpus/" not in path]
    return each_line(paths, lambda line: (m := UNFINISHED.search(line)) and f'"{m.group(1)}": finish it or drop it')


def gate_size():
    """A source file is a room with one purpose."""
    counted = ((path, len(lines_of(path))) for path in sources("src") + scripts("python"))
    return [f"{path}: {count} lines, more than {MOST_LINES}" for path, count in counted if count > MOST_LINES]


HINT_OF = re.compile(r"\b(FAIL|COMPLAIN|COMPLAIN_AT|config_complain|static const char \w*hint\w*\[\] =)\s*(\(?)")
HINT_ARGUMENT = {"FAIL": 1, "COMPLAIN": 1, "COMPLAIN_AT": 2, "config_complain": 3}
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def argument(text, start, wanted):
    """The argument number `wanted` of a call whose arguments begin at start."""
    depth, number, begin, at = 0, 0, start, start
    while at < len(text):
        string = STRING.match(text, at)
        if string:
            at = string.end()
            continue
        if text[at] in ",);" and depth == 0:
            if number == wanted or text[at] != ",":
                return text[begin:at] if number == wanted else ""
            number, begin = number + 1, at + 1
        depth += (text[at] in "([{") - (text[at] in ")]}")
        at += 1
    return ""


def gate_hints():
    """Every hint of an error is a sentence: a capital letter, a command or a name first, and a period at the end."""
    complaints = []
    for path in sources("src"):
        text = "\n".join(lines_of(path))
        for found in HINT_OF.finditer(text):
            hint = argument(text, found.end(), HINT_ARGUMENT.get(found.group(1), 0))
            for string in STRING.findall(re.sub(r'"\s*"', "", hint)):
                if not re.match(r'[A-Z"$/]|\\"|domicile ', string) or not string.endswith("."):
                    complaints.append(f"{path}:{text.count(chr(10), 0, found.start()) + 1}: the hint \"{string}\" is no sentence")
    return complaints


def gate_shell():
    """shellcheck is content with the shell scripts."""
    paths = scripts("bash") + files("src", "tests", "tools", endings=(".sh",))
    return output(["shellcheck", "-x", "-f", "gcc", *sorted(set(paths))]).splitlines()


def gate_python():
    """pyflakes is content with the Python scripts."""
    return output(["/usr/bin/python3", "-m", "pyflakes", *scripts("python")]).splitlines()


def gate_man():
    """mandoc is content with the man pages."""
    pages = [path for path in files("docs/man") if re.search(r"\.[1-8]$", path)]
    return output(["mandoc", "-T", "lint", "-W", "warning", *pages]).splitlines() if pages else []


def gate_links():
    """What a document links to is there."""
    def broken(path):
        text = "\n".join(lines_of(path))
        targets = re.findall(r"\]\(([^)\s]+)\)", text)
        places = [(target, os.path.join(ROOT, os.path.dirname(path), target.partition("#")[0])) for target in targets
                  if not re.match(r"[a-z]+:|#", target)]
        return [f"{path}: there is no {target}" for target, place in places if not os.path.exists(place)]

    return [complaint for path in files(endings=(".md",)) for complaint in broken(path)]


def gate_limits():
    """docs/limits.md has each fixed buffer of characters, and says what it does at its limit."""
    listed = set(re.findall(r"`(\w*\[[^`]+\])`", "\n".join(lines_of("docs/limits.md"))))
    complaints, seen = [], set()
    for path in sources("src"):
        for number, line in enumerate(lines_of(path), 1):
            declared = re.match(r"\s*(?:static )?char (.*;)", line.partition("/*")[0])
            for name, size in re.findall(r"(?<![\w*.])(\w+)((?:\[[^]]+\])+)(?= = |,|;)", declared.group(1) if declared else ""):
                known = {name + size, size} & listed
                seen |= known
                if not known:
                    complaints.append(f"{path}:{number}: {name}{size} is not in docs/limits.md: what happens at its limit?")
    return complaints + [f"docs/limits.md: no file of src has {buffer}" for buffer in sorted(listed - seen)]


def with_headers(path, seen):
    """A file of src and those that it includes, themselves and through others."""
    if path not in seen and os.path.isfile(os.path.join(ROOT, path)):
        seen.add(path)
        for line in lines_of(path):
            if found := re.match(r'\s*#\s*include\s+"([^"]+)"', line):
                for folder in ("src", os.path.dirname(path)):
                    with_headers(os.path.normpath(os.path.join(folder, found.group(1))), seen)
    return seen


def gate_tidy():
    """clang-tidy is content with src. A file is looked at again only when it, what it includes or the checks changed."""
    build = os.path.join(ROOT, "build", "clang")
    if not os.path.exists(os.path.join(build, "compile_commands.json")):
        return ["there is no build/clang/compile_commands.json; run: tools/build clang"]
    cache = os.path.join(ROOT, "build", "tidy")
    os.makedirs(cache, exist_ok=True)
    common = hashlib.sha256()
    for path in (".clang-tidy", "CMakeLists.txt"):
        common.update("\n".join(lines_of(path)).encode())

    def tidy(path):
        key = common.copy()
        for part in sorted(with_headers(path, set())):
            key.update(("\n".join(lines_of(part)) + part).encode())
        seen = os.path.join(cache, f"{path.replace('/', '-')}.{key.hexdigest()[:24]}")
        if os.path.exists(seen):
            return []
        status, said = outcome(["nice", "-n", "19", "clang-tidy", "--quiet", "-p", build, path], 900)
        if status == 0:
            with open(seen, "w", encoding="utf-8"):
                return []
        return re.findall(r"(?m)^.*?(?:error|warning): .*$", said) or [f"{path}: {said.strip()}"]

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = pool.map(tidy, files("src", endings=(".c",)))
    return sorted({line.replace(ROOT + "/", "") for lines in found for line in lines})


GATES = {name[5:]: gate for name, gate in list(globals().items()) if name.startswith("gate_")}


def check(names=(), say=print):
    """Runs the named gates (all, if none is named) and returns {name: complaints}."""
    results = {}
    for name in names or GATES:
        began = time.monotonic()
        complaints = GATES[name]()
        results[name] = complaints
        say(f"{'FAILED' if complaints else 'ok    '} {name:9} {GATES[name].__doc__.splitlines()[0]} "
            f"({time.monotonic() - began:.1f} s)")
        for line in complaints[:40]:
            say(f"       {line}")
        if len(complaints) > 40:
            say(f"       and {len(complaints) - 40} more")
    return results


def main(names):
    unknown = [name for name in names if name not in GATES]
    if unknown:
        print(f"usage: tools/check [{' | '.join(GATES)}]...", file=sys.stderr)
        return 2
    try:
        return 1 if any(check(names).values()) else 0
    except Failure as failure:
        print(f"check: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
