"""Prometheus' text format 0.0.4, read strictly: what a scraper would forgive is an error here."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class Family:
    """`samples` is {(name, labels): value}; labels are a tuple of pairs, in the order of the line."""

    def __init__(self, name, text):
        self.name, self.help, self.type = name, text, None
        self.samples = {}

    def names(self):
        return {self.name + suffix for suffix in SUFFIXES.get(self.type, ("",))}


def labels_of(text):
    found, at = [], 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        assert match, f"labels that are none: {text}"
        found.append(match.groups())
        at = match.end()
    assert len({name for name, _ in found}) == len(found), f"a label stands twice: {text}"
    return tuple(found)


def parse(text):
    """{name: Family}. HELP, TYPE, then the samples of each family, and no family twice."""
    assert text.endswith("\n"), "the last line has no end"
    families, family = {}, None
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            name, _, words = line[7:].partition(" ")
            assert re.fullmatch(NAME, name) and words.strip(), f"HELP without its text: {line}"
            assert name not in families, f"{name} has a second HELP"
            assert family is None or family.samples, f"{family.name} has no sample"
            family = families[name] = Family(name, words)
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            assert family and name == family.name, f"TYPE of another family than the HELP above it: {line}"
            assert family.type is None and not family.samples, f"{name} has a second TYPE, or a late one"
            assert kind in ("counter", "gauge", "histogram", "summary"), line
            family.type = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no sample: {line!r}"
            name, labels, value = match.group(1), labels_of(match.group(2)), float(match.group(3))
            assert family and family.type and name in family.names(), f"a sample outside of its family: {line}"
            assert (name, labels) not in family.samples, f"{name} stands twice: {line}"
            family.samples[name, labels] = value
    assert family and family.samples
    return families


def scrape(gateway):
    answer = gateway.status.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    return answer.body.decode()


def series(families):
    return {sample: value for family in families.values() for sample, value in family.samples.items()}


def total(gateway, name, **labels):
    """The sum of the series of that name which have these labels."""
    return sum(value for (sample, pairs), value in series(parse(scrape(gateway))).items()
               if sample == name and labels.items() <= dict(pairs).items())
