"""The published description, and the server behind it, put to the proof by schemathesis."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ON_ENGINES = ["sqlite"]


def test_the_description_is_complete(server, admin):
    document = admin.get("/api/v1/openapi.json", 200)
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    for path in (
        "/api/events/ingest",
        "/api/v1/keys",
        "/api/v1/agents",
        "/api/v1/tasks",
        "/api/v1/tasks/graph",
        "/api/v1/tasks/claim",
        "/api/v1/tasks/complete",
        "/api/v1/tasks/{id}",
        "/api/v1/tasks/{id}/heartbeat",
        "/api/v1/tasks/{id}/deliverables",
        "/api/v1/tasks/{id}/submit",
        "/api/v1/tasks/{id}/complete",
        "/api/v1/tasks/{id}/fail",
        "/api/v1/tasks/{id}/release",
        "/api/v1/tasks/{id}/park",
        "/api/v1/tasks/{id}/review",
        "/api/v1/tasks/{id}/cancel",
        "/api/v1/tasks/{id}/retry",
        "/api/v1/tasks/{id}/hold",
        "/api/v1/tasks/{id}/resume",
        "/api/v1/tasks/{id}/reassign",
        "/api/v1/tasks/{id}/explain",
        "/api/v1/events",
        "/api/v1/events/stream",
        "/api/v1/deliverables/{id}/content",
    ):
        assert path in paths, path
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation.get("summary"), f"{method} {path} says nothing of itself"
            assert operation.get("responses"), f"{method} {path} names no replies"


def test_every_reference_leads_somewhere(admin):
    document = admin.get("/api/v1/openapi.json", 200)
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    missing = named - set(document["components"]["schemas"])
    assert not missing, f"named and not described: {sorted(missing)}"


# A stream never ends by itself, and a key that is used for the test must stay in force.
LEFT_OUT = ["/api/v1/events/stream", "/api/v1/keys/{id}"]
# The events of a batch are judged one by one, in a reply of 200; and what unknown types of events carry is their own.
# What well-formed random requests name is mostly not there, so that they are refused proves nothing.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false
ensure_resource_availability.enabled = false

[[operations]]
include-path = "/api/events/ingest"
checks.negative_data_rejection.enabled = false

# Vault answers 403 where there is no token, and has the method LIST, which OpenAPI cannot describe.
[[operations]]
include-path-regex = "^/v1/(secret|auth|sys)/"
checks.missing_required_header.enabled = false
checks.allow_header_conformance.enabled = false
"""
HOOKS = """
import ast
import threading

import schemathesis

# CPython 3.11 counts the depth of all threads' syntax trees in one place (python/cpython#106905) and takes a switch of
# threads in the middle of one for a fault; Hypothesis reads lambdas' sources with it, in each of the workers.
parse, one_at_a_time = ast.parse, threading.RLock()

def parse_alone(*arguments, **options):
    with one_at_a_time:
        return parse(*arguments, **options)

ast.parse = parse_alone

def nullable(schema, required):
    # Reeve takes null for a member that may be absent as absent.
    return schema if required or not isinstance(schema, dict) else {"anyOf": [schema, {"type": "null"}]}

def allow_null(schema, components):
    if isinstance(schema, dict):
        reference = schema.get("$ref", "")
        if reference.startswith("#/components/schemas/"):
            schema = components.get(reference.rsplit("/", 1)[1], schema)
        schema = {name: allow_null(part, components) for name, part in schema.items()}
        if isinstance(schema.get("properties"), dict):
            required = schema.get("required", [])
            schema["properties"] = {
                name: nullable(part, name in required) for name, part in schema["properties"].items()}
    elif isinstance(schema, list):
        schema = [allow_null(part, components) for part in schema]
    return schema

@schemathesis.hook
def before_load_schema(context, raw_schema):
    components = raw_schema["components"]["schemas"]
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"] = allow_null(operation["requestBody"], components)

@schemathesis.hook
def map_body(context, body):
    # A long poll for work that never comes would use up the time.
    seconds = body.get("waitSeconds") if isinstance(body, dict) else None
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0.2 < seconds <= 30:
        body["waitSeconds"] = 0
    return body
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("role", ["admin", "agent"])
def test_random_requests_find_no_way_around_the_description(own_server, tmp_path, role):
    """As an admin, who may do everything; and as an agent, to whom most is refused in the documented way.

    On a server of its own: an admin's random requests revoke keys and pause projects.
    """
    server = own_server.start()
    report = tmp_path / "schemathesis.txt"
    (tmp_path / "waits.py").write_text(HOOKS)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    agent = {"agent": "schemathesis"} if role == "agent" else {}
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(tmp_path / "schemathesis.toml"),
        "run",
        f"{server.url}/api/v1/openapi.json",
        "--url",
        server.url,
        "--header",
        f"Authorization: Bearer {server.make_key(role, **agent)}",
        # What every boundary of every field is answered with does not depend on who asks.
        "--phases",
        "examples,coverage,fuzzing" if role == "admin" else "examples,fuzzing",
        "--max-examples",
        "6" if role == "admin" else "3",
        "--seed",
        "1",
        "--generation-deterministic",
        "--request-timeout",
        "20",
        "--workers",
        "2",
        "--no-color",
        "--suppress-health-check",
        "all",
        "--continue-on-failure",
    ]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "waits", "PYTHONPATH": str(tmp_path)}
    with open(report, "w") as file:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=380, cwd=tmp_path, env=environment
        )
    assert done.returncode == 0, report.read_text()[-8000:]
    assert server.is_ready()
