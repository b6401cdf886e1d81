"""Errors as the API promises them: problem+json (RFC 9457), with a slug of src/base/error.def and its status."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r'^X\(E_\w+, "([a-z0-9-]+)", (\d+), \d+, "([^"]*)"\)', re.MULTILINE)

STATUS = {}
TITLE = {}
for _slug, _status, _title in ROW.findall((ROOT / "src/base/error.def").read_text()):
    STATUS[_slug] = int(_status)
    TITLE[_slug] = _title


def refused(answer, slug, **members):
    """Asserts that the answer is that problem, whole and well-formed; `members` are further members it must have.
    Returns the problem."""
    assert answer.slug == slug, f"expected {slug}: {answer}"
    assert answer.status == STATUS[slug], answer
    problem = answer.json()
    assert problem["status"] == answer.status, answer
    assert problem["title"] == TITLE[slug], answer
    assert problem["detail"], answer
    assert re.fullmatch(r"urn:domicile:request:[A-Za-z0-9-]+", problem["instance"]), answer
    if answer.status in (429, 503):
        assert int(answer.header("retry-after")) >= 1, answer
    if answer.status == 401:
        assert answer.header("www-authenticate"), answer
    if answer.status == 405:
        assert answer.header("allow"), answer
    for name, value in members.items():
        assert problem.get(name) == value, f"{name} is not {value!r}: {problem}"
    return problem


def unlike(problem):
    """A problem without what differs from request to request: for comparing two refusals byte for byte."""
    return {name: value for name, value in problem.items() if name != "instance"}
