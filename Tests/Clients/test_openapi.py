"""The published description, and the server behind it, put to the proof by schemathesis."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ON_ENGINES = ["sqlite"]


def test_the_description_is_complete(server, admin):
    document = admin.get("/api/v1/openapi.json", 200)
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    for path in ("/api/events/ingest", "/api/v1/keys", "/api/v1/agents", "/api/v1/tasks", "/api/v1/tasks/graph",
                 "/api/v1/tasks/claim", "/api/v1/tasks/complete", "/api/v1/tasks/{id}", "/api/v1/tasks/{id}/heartbeat",
                 "/api/v1/tasks/{id}/deliverables", "/api/v1/tasks/{id}/submit", "/api/v1/tasks/{id}/complete",
                 "/api/v1/tasks/{id}/fail", "/api/v1/tasks/{id}/release", "/api/v1/tasks/{id}/park",
                 "/api/v1/tasks/{id}/review", "/api/v1/tasks/{id}/cancel", "/api/v1/tasks/{id}/retry",
                 "/api/v1/tasks/{id}/hold", "/api/v1/tasks/{id}/resume", "/api/v1/tasks/{id}/reassign",
                 "/api/v1/tasks/{id}/explain", "/api/v1/events", "/api/v1/events/stream",
                 "/api/v1/deliverables/{id}/content"):
        assert path in paths, path
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation.get("summary"), f"{method} {path} says nothing of itself"
            assert operation.get("responses"), f"{method} {path} names no replies"


# A stream never ends by itself, and a key that is used for the test must stay in force.
LEFT_OUT = ["/api/v1/events/stream"]
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
    "allow_header_conformance", "ignored_auth",
]
# Long polls that wait for work which never comes would use up the time.
HOOKS = """
import schemathesis

@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("waitSeconds"), (int, float)) and body["waitSeconds"] > 0.2:
        if not isinstance(body["waitSeconds"], bool) and body["waitSeconds"] <= 30:
            body["waitSeconds"] = 0
    return body
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("role", ["admin", "agent"])
def test_random_requests_find_no_way_around_the_description(server, tmp_path, role):
    """As an admin, who may do everything; and as an agent, to whom most is refused in the documented way."""
    report = tmp_path / "schemathesis.txt"
    (tmp_path / "waits.py").write_text(HOOKS)
    agent = {"agent": "schemathesis"} if role == "agent" else {}
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{server.url}/api/v1/openapi.json", "--url", server.url,
        "--header", f"Authorization: Bearer {server.make_key(role, **agent)}",
        "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", "10" if role == "admin" else "3",
        "--seed", "1", "--generation-deterministic", "--generation-database", "none", "--request-timeout", "20",
        "--workers", "2", "--no-color", "--suppress-health-check", "all", "--continue-on-failure",
    ]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "waits", "PYTHONPATH": str(tmp_path)}
    with open(report, "w") as file:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=380, cwd=tmp_path, env=environment)
    assert done.returncode == 0, report.read_text()[-8000:]
    server.api().get("/api/v1/tasks?limit=1", 200)
