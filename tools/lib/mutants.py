"""The one-token changes that a C file allows, a seeded choice among them, and the list of those that change nothing."""
import hashlib
import os
import re
from dataclasses import dataclass

from processes import Failure

TOKEN = re.compile(r"""
    (?P<space>\s+|/\*.*?\*/|//[^\n]*)
  | (?P<macro>^[ \t]*\#(?:[^\n\\]|\\.)*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<char>'(?:[^'\\]|\\.)+')
  | (?P<number>(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?)[uUlL]*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
""", re.X | re.S | re.M)

SWAPS = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "&&": ("||",), "||": ("&&",), "++": ("--",), "--": ("++",), "+=": ("-=",), "-=": ("+=",), "<<": (">>",), ">>": ("<<",),
    "|=": ("&=",), "&=": ("|=",),
}
BINARY = {"+": ("-",), "-": ("+",), "*": ("+",), "/": ("*",), "%": ("/",), "&": ("|",), "|": ("&",)}
NAMES = {"true": ("false",), "false": ("true",), "break": ("continue",), "continue": ("break",)}
NOT_CALLS = {"must", "assert", "static_assert", "_Static_assert", "sizeof", "return", "if", "while", "for", "switch",
             "defined", "va_start", "va_end"}
TYPES = {"char", "int", "unsigned", "long", "short", "bool", "void", "double", "size_t", "const", "static", "struct"}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Change:
    """One token of one line made another: what is drawn, applied and listed. `before` and `after` are the whole line (all
    lines, if the token spans more than one), without their indent: so the list survives lines that move."""
    path: str
    line: int
    function: str
    start: int
    end: int
    replacement: str
    before: str
    after: str

    def key(self):
        return (self.path, self.function, self.before, self.after)

    def applied_to(self, text):
        return text[:self.start] + self.replacement + text[self.end:]

    def words(self):
        return f"{self.path}:{self.line} {self.function}: `{self.before}` made `{self.after}`"


def tokens_of(text):
    found = [Token(match.lastgroup, match.group(), match.start()) for match in TOKEN.finditer(text)]
    return [token for token in found if token.kind not in ("space", "macro")]


def functions_of(text):
    """(start, end, name, type) of each function; the house's format puts its braces into column 0."""
    head = re.compile(r"^([A-Za-z_][\w \t*]*?[ *])(\w+)\(([^;{}]*)\)\s*\n\{\n(.*?)^\}", re.M | re.S)
    return [(match.start(4), match.end(4), match.group(2), match.group(1).replace("static", "").strip())
            for match in head.finditer(text)]


def closing(tokens, at):
    """The index of the bracket that closes the one at `at`; None if there is none."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += tokens[i].text in ("(", "[", "{")
        depth -= tokens[i].text in (")", "]", "}")
        if depth == 0:
            return i
    return None


def opening(tokens, at):
    depth = 0
    for i in range(at, -1, -1):
        depth += tokens[i].text in (")", "]", "}")
        depth -= tokens[i].text in ("(", "[", "{")
        if depth == 0:
            return i
    return None


class Reader:
    """Looks at one file's tokens and yields (start, end, replacement)s."""

    def __init__(self, text):
        self.text, self.tokens = text, tokens_of(text)
        self.functions = functions_of(text)
        self.skipped = self._claims()

    def function(self, at):
        return next((found for found in self.functions if found[0] <= at < found[1]), (0, 0, "", ""))

    def _claims(self):
        """Tokens within must() and the like: a claim about bugs is not a decision."""
        skipped = set()
        for i, token in enumerate(self.tokens):
            if token.text in ("must", "static_assert", "_Static_assert", "__attribute__"):
                skipped.update(range(i, (closing(self.tokens, i + 1) or i) + 1))
        return skipped

    def _prior(self, i):
        return self.tokens[i - 1] if i > 0 else Token("mark", ";", 0)

    def _after_operand(self, i):
        prior = self._prior(i)
        return prior.kind in ("number", "char") or prior.text in (")", "]") or (
            prior.kind == "name" and prior.text not in TYPES and prior.text not in ("return", "case"))

    def _is_pointer(self, i):
        """A `*` or `&` of a declaration, a cast or an address, not of a sum."""
        return not self._after_operand(i) or self.text[self.tokens[i].at + 1:self.tokens[i].at + 2] != " "

    def _begins_statement(self, i):
        prior = self._prior(i)
        if prior.text in (";", "{", "}", "else", ":"):
            return True
        if prior.text != ")":
            return False
        start = opening(self.tokens, i - 1)
        return start is not None and self._prior(start).text in ("if", "for", "while", "switch")

    def _number(self, i):
        token, prior = self.tokens[i], self._prior(i)
        if "." in token.text or self._is_empty_value(i) or self._is_size(i):
            return
        if prior.text == "-" and not self._after_operand(i - 1):
            yield prior.at, prior.at + 1, ""
            return
        digits = token.text.rstrip("uUlL")
        octal, suffix = re.fullmatch(r"0[0-7]+", digits), token.text[len(digits):]
        value = int(digits, 8 if octal else 0)
        for changed in ((1,) if value == 0 else (value - 1, value + 1)):
            form = f"0{changed:o}" if octal else hex(changed) if digits[:2] in ("0x", "0X") else str(changed)
            yield token.at, token.at + len(token.text), form + suffix

    def _is_empty_value(self, i):
        """`{ 0 }` is how C says "empty"."""
        return self._prior(i).text == "{" and self.tokens[i].text == "0" and self.tokens[i + 1].text == "}"

    def _is_size(self, i):
        """`char text[64];`: the size of a declared array."""
        return (self._prior(i).text == "[" and self.tokens[i + 1].text == "]" and self.tokens[i + 2].text in (";", ",", "=", "[", ")")
                and i > 2 and (self.tokens[i - 3].kind == "name" and self.tokens[i - 3].text not in ("return", "case")
                               or self.tokens[i - 3].text == "*"))

    def _call(self, i):
        """A call that is a statement: gone; an error that is passed on: ignored."""
        token = self.tokens[i]
        if token.text in NOT_CALLS or self.tokens[i + 1].text != "(" or not self._begins_statement(i):
            return
        end = closing(self.tokens, i + 1)
        if end is None or self.tokens[end + 1].text != ";":
            return
        yield token.at, self.tokens[end].at + 1, "(void)0"
        if token.text == "TRY":
            yield token.at, token.at + len("TRY"), "(void)failed"

    def _return(self, i):
        kind, start = self.function(self.tokens[i].at)[3], self.tokens[i + 1]
        end = next(j for j in range(i, len(self.tokens)) if self.tokens[j].text == ";")
        stop = self.tokens[end].at
        if kind == "result" and start.text == "FAIL":
            yield start.at, stop, "OK"
        elif kind == "bool" and start.text not in ("true", "false"):
            yield start.at, stop, f"!({self.text[start.at:stop]})"

    def _condition(self, i):
        """A condition without an operator of its own: `if (is_token(slot))`."""
        if self.tokens[i + 1].text != "(":
            return
        end = closing(self.tokens, i + 1)
        inside = self.tokens[i + 2:end]
        if not any(token.text in SWAPS or token.text == "!" for token in inside):
            start, stop = self.tokens[i + 1].at + 1, self.tokens[end].at
            yield start, stop, f"!({self.text[start:stop]})"

    def _options(self, i):
        token = self.tokens[i]
        stop = token.at + len(token.text)
        if token.kind == "mark":
            swaps = SWAPS.get(token.text, ())
            if token.text in BINARY and self._after_operand(i) and not self._is_pointer(i):
                swaps = BINARY[token.text]
            yield from ((token.at, stop, swap) for swap in swaps)
            if token.text == "!":
                yield token.at, stop, ""
        elif token.kind == "number":
            yield from self._number(i)
        elif token.kind == "char" and re.fullmatch(r"'[a-zA-Z0-9]'", token.text):
            yield token.at, stop, f"'{chr(ord(token.text[1]) + 1)}'"
        elif token.text in NAMES:
            yield from ((token.at, stop, swap) for swap in NAMES[token.text])
        elif token.text == "return":
            yield from self._return(i)
        elif token.text in ("if", "while"):
            yield from self._condition(i)
        elif token.kind == "name":
            yield from self._call(i)

    def groups(self):
        """A list of options for each token that can be changed."""
        for i in range(len(self.tokens) - 3):
            if i not in self.skipped and (options := list(self._options(i))):
                yield options


def lines_of_claims(text):
    """The numbers of the lines of a must() and the like."""
    reader = Reader(text)
    return {text.count("\n", 0, reader.tokens[i].at) + 1 for i in reader.skipped}


def changes_of(root, path):
    """The changes of one file, in groups: a draw takes one of a group."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    reader = Reader(text)
    for options in reader.groups():
        group = []
        for start, end, replacement in options:
            first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
            before = text[first:last]
            after = text[first:start] + replacement + text[end:last]
            group.append(Change(path, text.count("\n", 0, start) + 1, reader.function(start)[2] or "file", start, end,
                                replacement, one_line(before), one_line(after)))
        yield group


def one_line(text):
    return " ".join(text.split())


def rank(seed, *words):
    return hashlib.sha256("\0".join([str(seed), *words]).encode()).digest()


def draw(root, paths, seed):
    """All groups in the seed's order, one change of each. The order hangs on what the lines say and not on where they
    stand, so that a draw of today is much the same tomorrow."""
    ranked, seen = [], {}
    for path in paths:
        for group in changes_of(root, path):
            first = group[0]
            place = (os.path.basename(path), first.function, first.before, first.after)
            seen[place] = seen.get(place, 0) + 1
            words = (*place, str(seen[place]))
            ranked.append((rank(seed, "place", *words), rank(seed, "option", *words)[0], group))
    return [group[option % len(group)] for _, option, group in sorted(ranked, key=lambda entry: entry[0])]


def equivalents(path):
    """Of a file of entries of four lines ("@ PATH FUNCTION", "- LINE", "+ LINE", "= why"): {key: why}."""
    entries = {}
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    for at in range(0, len(lines), 4):
        entry = lines[at:at + 4]
        if [line[:2] for line in entry] != ["@ ", "- ", "+ ", "= "]:
            raise Failure(f'{path}: after "{lines[at]}" four lines "@", "-", "+", "=" are expected')
        place, before, after, why = (line[2:] for line in entry)
        entries[(*place.split(" ", 1), before, after)] = why
    return entries
