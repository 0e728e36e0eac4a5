# SPDX-License-Identifier: ISC
"""The two parts of the OpenAPI document, and whether a request and its reply are as it
says: as much of JSON Schema as the document uses, and no more."""
import json
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load(program):
    with open(os.path.join(TOP, program, "api", "openapi.json"),
              encoding="utf-8") as f:
        return json.load(f)


# What pneu-mailbox serves, what pneu manage adds, and both as it serves them.
MAIL, MANAGE, DOC = load("mailbox"), load("mgmt"), load("mailbox")
DOC["paths"].update(MANAGE["paths"])
DOC["components"]["schemas"] = {
    **MANAGE["components"]["schemas"], **DOC["components"]["schemas"]}

TYPES = {"string": str, "object": dict, "array": list, "boolean": bool,
         "integer": int, "null": type(None)}
KNOWN = {"type", "properties", "required", "additionalProperties", "items",
         "enum", "const", "minimum", "maximum", "minItems", "maxItems",
         "oneOf", "allOf", "$ref", "description", "format"}


def resolve(schema):
    while "$ref" in schema:
        at = DOC
        for name in schema["$ref"][2:].split("/"):
            at = at[name]
        schema = at
    return schema


def fault(schema, value, at="$"):
    """What is wrong with the value, or None."""
    schema = resolve(schema)
    assert set(schema) <= KNOWN, schema
    for part in schema.get("allOf", []):
        found = fault(part, value, at)
        if found:
            return found
    if "oneOf" in schema and sum(
            fault(s, value, at) is None for s in schema["oneOf"]) != 1:
        return "%s: none or many of oneOf: %r" % (at, value)
    if "type" in schema:
        names = schema["type"]
        names = names if isinstance(names, list) else [names]
        if not any(isinstance(value, TYPES[n]) and not (
                n == "integer" and isinstance(value, bool)) for n in names):
            return "%s: not %s: %r" % (at, names, value)
    if "enum" in schema and value not in schema["enum"]:
        return "%s: not one of %s: %r" % (at, schema["enum"], value)
    if "const" in schema and value != schema["const"]:
        return "%s: not %r: %r" % (at, schema["const"], value)
    if isinstance(value, int) and not (
            schema.get("minimum", value) <= value <=
            schema.get("maximum", value)):
        return "%s: out of range: %r" % (at, value)
    if schema.get("format") == "date-time" and isinstance(value, str) and \
            not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
        return "%s: not a time: %r" % (at, value)
    if isinstance(value, list):
        if not (schema.get("minItems", 0) <= len(value) <=
                schema.get("maxItems", len(value))):
            return "%s: too few or too many" % at
        for i, v in enumerate(value):
            found = fault(schema.get("items", {}), v, "%s[%d]" % (at, i))
            if found:
                return found
    if isinstance(value, dict):
        return fault_of_object(schema, value, at)
    return None


def fault_of_object(schema, value, at):
    for name in schema.get("required", []):
        if name not in value:
            return "%s: no %s" % (at, name)
    for name, v in value.items():
        if name in schema.get("properties", {}):
            found = fault(schema["properties"][name], v, at + "." + name)
            if found:
                return found
        elif schema.get("additionalProperties") is False:
            return "%s: %s is not described" % (at, name)
    return None


def operations(doc=DOC):
    for path, item in doc["paths"].items():
        for method, op in item.items():
            yield method.upper(), path, op


def operation(method, path):
    """The operation that a request is for, or None."""
    method = "GET" if method == "HEAD" else method
    path = path.split("?")[0]
    if "%00" in path:  # no path has that
        return None
    for m, pattern, op in sorted(operations(), key=lambda o: o[1].count("{")):
        if m == method and re.fullmatch(
                re.sub(r"{\w+}", "[^/]+", pattern), path):
            return op
    return None


def codes(op):
    """{code: status} of its problems."""
    return {code: int(status) for status, r in op["responses"].items()
            if "application/problem+json" in r.get("content", {})
            for code in r["content"]["application/problem+json"]["schema"]
            ["properties"]["code"]["enum"]}


def check_reply(method, path, status, content_type, data):
    """Raises AssertionError where the reply is not as described."""
    op = operation(method, path)
    where = "%s %s: %d" % (method, path, status)
    problem = resolve(DOC["components"]["schemas"]["Problem"])
    if op is None:
        if method == "OPTIONS" and status == 204:  # CORS
            return
        assert status in (404, 405), where
        assert fault(problem, json.loads(data)) is None, where
        return
    response = op["responses"].get(str(status))
    if response is None:
        assert status in (400, 408, 429, 500, 503, 507), where + ": not described"
        response = op["responses"]["default"]
    content = resolve(response).get("content")
    if content is None or method == "HEAD":
        assert data == b"", where
        return
    kind = content_type.split(";")[0]
    assert kind in content or "*/*" in content, where + ": " + kind
    schema = content.get(kind, {}).get("schema")
    if schema is not None:
        found = fault(schema, json.loads(data))
        assert found is None, where + ": " + found
