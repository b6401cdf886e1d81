"""docs/openapi.yaml as a contract: what an operation may answer, and requests that break its rules one at a time."""
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, RefResolver

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/openapi.yaml"
METHODS = ("get", "put", "post", "delete", "head", "patch", "options")
# Headers that HTTP itself brings along (RFC 9110, RFC 9112); all others must be declared.
OF_HTTP = {"date", "content-length", "content-type", "transfer-encoding", "connection", "server"}


class Contract:
    def __init__(self):
        self.document = yaml.safe_load(FILE.read_text())
        self.resolver = RefResolver("", self.document)
        self.operations = {}
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    operation = Operation(self, path, method, item)
                    assert operation.id not in self.operations, f"{operation.id} stands twice"
                    self.operations[operation.id] = operation

    def resolve(self, value):
        while isinstance(value, dict) and "$ref" in value:
            value = self.resolver.resolve(value["$ref"])[1]
        return value

    def errors(self, schema, value):
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
                for error in Draft202012Validator(schema, resolver=self.resolver).iter_errors(value)]

    def methods(self, path):
        return {method.upper() for method in METHODS if method in self.document["paths"][path]}


class Operation:
    def __init__(self, contract, path, method, item):
        self.contract, self.path, self.method = contract, path, method.upper()
        self.spec = item[method]
        self.id = self.spec["operationId"]
        self.of_status = "servers" in item  # at an address for operators
        shared = [contract.resolve(parameter) for parameter in item.get("parameters", [])]
        self.parameters = shared + [contract.resolve(parameter) for parameter in self.spec.get("parameters", [])]

    @property
    def needs_token(self):
        return any("bearer" in name.lower() for need in self.spec.get("security", self.contract.document.get(
            "security", [])) for name in need)

    def parameters_in(self, place):
        return [parameter for parameter in self.parameters if parameter["in"] == place]

    def body_schema(self, media="application/json"):
        content = self.contract.resolve(self.spec.get("requestBody", {})).get("content", {})
        return self.contract.resolve(content[media]["schema"]) if media in content else None

    def response(self, status):
        responses = self.spec["responses"]
        for name in (str(status), f"{status // 100}XX", "default"):
            if name in responses:
                return self.contract.resolve(responses[name])
        return None

    def faults(self, answer):
        """What of this answer the contract does not allow, in words; empty when all is well."""
        declared = self.response(answer.status)
        if declared is None:
            return [f"{self.id}: status {answer.status} is not declared"]
        faults = self._header_faults(answer, declared)
        content = declared.get("content", {})
        if self.method == "HEAD" or answer.status in (204, 304):
            return faults + ([f"{self.id}: a body at {answer.status}"] if answer.body else [])
        if not content:
            return faults + ([f"{self.id}: a body where none is declared: {answer}"] if answer.body else [])
        return faults + self._body_faults(answer, content)

    def _header_faults(self, answer, declared):
        known = {name.lower(): self.contract.resolve(header) for name, header in declared.get("headers", {}).items()}
        faults = []
        for name, value in answer.headers:
            if name not in known and name not in OF_HTTP:
                faults.append(f"{self.id} {answer.status}: header {name} is not declared")
            elif name in known:
                schema = self.contract.resolve(known[name].get("schema", {}))
                typed = int(value) if schema.get("type") == "integer" and value.isdigit() else value
                faults += [f"{self.id} {answer.status} header {name}: {error}"
                           for error in self.contract.errors(schema, typed)]
        present = {name for name, _ in answer.headers}
        faults += [f"{self.id} {answer.status}: header {name} is missing" for name, header in known.items()
                   if header.get("required") and name not in present]
        return faults

    def _body_faults(self, answer, content):
        media = (answer.header("content-type") or "").split(";")[0]
        declared = content.get(media) or content.get("*/*")
        if declared is None:
            return [f"{self.id} {answer.status}: media type {media!r} is not declared"]
        schema = declared.get("schema")
        if schema is None or media not in content:
            return []
        if media == "application/x-ndjson":
            return [f"{self.id} {answer.status}: {error}" for line in answer.lines()
                    for error in self.contract.errors(schema, line)]
        if media.endswith("json"):
            return [f"{self.id} {answer.status}: {error}" for error in self.contract.errors(schema, answer.json())]
        return []
