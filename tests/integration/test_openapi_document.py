"""docs/openapi.yaml in itself: its references, its schemas, its examples, and the errors that it names. No server."""
import re
from pathlib import Path

import problems
import pytest
from jsonschema import Draft202012Validator
from openapi import METHODS, Contract

CONTRACT = Contract()
DOCUMENT = CONTRACT.document
TYPE = "urn:domicile:error:"
ROUTES = re.compile(r'^X\(METHOD_(\w+), "([^"]+)", \w+\)', re.MULTILINE)


def nodes(value, path=()):
    """Every mapping of the document, with the keys that lead to it."""
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from nodes(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nodes(item, (*path, index))


NODES = [(path, node) for path, node in nodes(DOCUMENT) if "example" not in path]
REFERENCES = [node["$ref"] for _, node in NODES if isinstance(node.get("$ref"), str)]
OPERATIONS = list(CONTRACT.operations.values())


def schemas():
    """Every schema that stands for itself: those of the components, and those given in place."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        yield f"schemas/{name}", schema
    for path, node in NODES:
        if "schema" in node and "properties" not in path[-1:]:
            yield "/".join(map(str, path)), node["schema"]


def media_types():
    for path, node in NODES:
        if path[-1:] == ("content",):
            for name, media in node.items():
                yield "/".join(map(str, (*path, name))), media


def examples():
    for name, media in media_types():
        if "example" in media:
            yield name, media["schema"], media["example"]
        for each, example in media.get("examples", {}).items():
            yield f"{name} {each}", media["schema"], example["value"]


EXAMPLES = list(examples())


def slugs(schema):
    """What the schema allows as a problem's type, by constant or enumeration, without the general list."""
    for path, node in nodes(schema):
        if path[-2:] == ("properties", "type"):
            for value in node.get("enum", [node.get("const")]):
                if isinstance(value, str) and value.startswith(TYPE):
                    yield value.removeprefix(TYPE)


def problem_responses():
    """(where, status, schema) of every response that is a problem of one status."""
    for operation in OPERATIONS:
        for status, response in operation.spec["responses"].items():
            media = CONTRACT.resolve(response).get("content", {}).get("application/problem+json")
            if media and status != "default":
                yield f"{operation.id} {status}", int(status), media["schema"]


def test_every_answer_has_its_requests_id():
    for operation in OPERATIONS:
        for status, response in operation.spec["responses"].items():
            headers = CONTRACT.resolve(response).get("headers", {})
            assert CONTRACT.resolve(headers.get("X-Request-Id", {})).get("required"), f"{operation.id} {status}"


def test_it_is_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["title"] and DOCUMENT["info"]["version"]
    assert set(DOCUMENT) <= {"openapi", "info", "servers", "security", "tags", "paths", "components"}
    assert len(OPERATIONS) > 10


def test_every_reference_leads_somewhere_and_everything_is_referred_to():
    for reference in REFERENCES:
        assert reference.startswith("#/components/"), reference
        CONTRACT.resolver.resolve(reference)
    defined = {f"#/components/{kind}/{name}" for kind in DOCUMENT["components"] if kind != "securitySchemes"
               for name in DOCUMENT["components"][kind]}
    assert defined == set(REFERENCES)


@pytest.mark.parametrize("where, schema", list(schemas()))
def test_every_schema_is_one(where, schema):
    Draft202012Validator.check_schema(schema)


def test_every_object_is_closed():
    """Only a form (RFC 6749 3.2: unknown parameters are ignored) and what others close may have more members."""
    open_ones = [path for path, node in NODES
                 if node.get("type") == "object" and "properties" in node
                 and node.get("additionalProperties") is not False]
    assert open_ones == [
        ("paths", "/oauth/token", "post", "requestBody", "content", "application/x-www-form-urlencoded", "schema"),
        ("components", "schemas", "ProblemMembers")]
    assert {name for name, schema in DOCUMENT["components"]["schemas"].items()
            if schema.get("$ref") == "#/components/schemas/ProblemMembers"
            and schema["unevaluatedProperties"] is False} == {"Problem", "AcknowledgementProblem"}


@pytest.mark.parametrize("where, schema, example", EXAMPLES)
def test_every_example_fits_its_schema(where, schema, example):
    assert not CONTRACT.errors(schema, example)


@pytest.mark.parametrize("where, schema, example", [each for each in EXAMPLES if isinstance(each[2], dict)])
def test_no_example_fits_with_a_member_more(where, schema, example):
    if "x-www-form-urlencoded" not in where:
        assert CONTRACT.errors(schema, {**example, "surprise": 1})


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.id for operation in OPERATIONS])
def test_every_operation_says_what_it_is(operation):
    spec, responses = operation.spec, operation.spec["responses"]
    assert re.fullmatch(r"[a-z]+[A-Za-z]*", operation.id)
    assert spec["summary"] and not spec["summary"].endswith(".")
    assert set(spec["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert responses["default"] == {"$ref": "#/components/responses/Problem"}
    assert [status for status in responses if status[0] in "23"]
    if operation.needs_token:
        assert {"401", "421"} <= set(responses)
    if operation.path.startswith("/v1/customers"):
        assert {"403", "503"} <= set(responses)
    if "application/json" in CONTRACT.resolve(spec.get("requestBody", {})).get("content", {}):
        assert {"400", "413", "415"} <= set(responses)


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.id for operation in OPERATIONS])
def test_the_parameters_of_a_path_are_declared(operation):
    declared = {parameter["name"] for parameter in operation.parameters_in("path")}
    assert declared == set(re.findall(r"\{(\w+)\}", operation.path))
    assert all(parameter["required"] is True for parameter in operation.parameters_in("path"))
    assert all(parameter["description"] and parameter["schema"] for parameter in operation.parameters)


def test_the_errors_are_those_of_error_def():
    assert DOCUMENT["components"]["schemas"]["ErrorType"]["enum"] == [TYPE + slug for slug in problems.STATUS]


@pytest.mark.parametrize("where, status, schema", list(problem_responses()))
def test_every_named_error_has_the_status_of_its_response(where, status, schema):
    named = list(slugs(CONTRACT.resolve(schema)))
    assert all(problems.STATUS[slug] == status for slug in named), named
    general = {"400": "issueToken 400", "500": where if status == 500 else None, "503": "showReadiness 503"}
    assert named or where == general.get(str(status)), "say which errors"


def test_the_paths_are_those_of_the_route_table():
    table = "".join((Path(problems.ROOT) / "src/api" / name).read_text() for name in ("routes.def", "status_routes.def"))
    routed = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in ROUTES.findall(table)}
    described = {(operation.method, re.sub(r"\{\w+\}", "{}", operation.path)) for operation in OPERATIONS}
    assert described - {pair for pair in described if pair[0] == "HEAD"} == routed
    assert all(("GET", path) in described for method, path in described if method == "HEAD")
    assert {method for item in DOCUMENT["paths"].values() for method in item} <= {*METHODS, "parameters", "servers"}


KEY = DOCUMENT["components"]["schemas"]["Key"]


@pytest.mark.parametrize("key", ["a", "a/b", "..a", "a..", "a/..b", "...", "é", "x" * 512, "a\nb", " "])
def test_a_key_that_fits(key):
    assert not CONTRACT.errors(KEY, key)


@pytest.mark.parametrize("key", ["", ".", "..", "a/..", "../a", "a/./b", "a\n/..", "a\x00b", "x" * 513])
def test_a_key_that_does_not(key):
    assert CONTRACT.errors(KEY, key)
