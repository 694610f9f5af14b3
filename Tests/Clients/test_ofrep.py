"""Flags through OpenFeature's own SDK and its OFREP provider, and through an SSE client."""

import json
import subprocess
import threading
import time
import uuid

import pytest
import requests
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from reeve_server import BINARY, environment, until


@pytest.fixture
def admin(server):
    return server.api()


@pytest.fixture
def client(server, admin):
    """OpenFeature's client with an agent's key."""
    name = f"flags-{uuid.uuid4().hex[:8]}"
    key = server.make_key("agent", name, name)
    domain = uuid.uuid4().hex
    api.set_provider(
        OFREPProvider(server.url, headers_factory=lambda: {"Authorization": f"Bearer {key}"}), domain
    )
    found = api.get_client(domain)
    found.key = key
    return found


def put(admin, flag, **headers):
    key = f"flag-{uuid.uuid4().hex[:8]}"
    admin.call("PUT", f"/api/v1/flags/{key}", flag, headers=headers or None)
    return key


def switch(**more):
    return {"type": "boolean", "variants": {"on": True, "off": False}, "defaultVariant": "off", **more}


def test_every_type_and_every_reason(client, admin):
    toggle = put(admin, switch(rules=[{"id": "beta", "when": {"plan": {"in": ["beta"]}}, "variant": "on"}]))
    plain = client.get_boolean_details(toggle, True)
    assert (plain.value, plain.reason, plain.variant) == (False, Reason.STATIC, "off")
    context = EvaluationContext("user-1", {"plan": "beta"})
    match = client.get_boolean_details(toggle, False, context)
    assert (match.value, match.reason, match.variant) == (True, Reason.TARGETING_MATCH, "on")
    assert match.flag_metadata["rule"] == "beta" and match.flag_metadata["flagVersion"] == 1
    admin.post(f"/api/v1/flags/{toggle}/off", {"reason": "test"})
    assert client.get_boolean_details(toggle, True, context).reason == Reason.DISABLED

    text = put(admin, {"type": "string", "variants": {"a": "small", "b": "large"}, "defaultVariant": "b"})
    assert client.get_string_value(text, "none") == "large"
    number = put(admin, {"type": "number", "variants": {"few": 5, "half": 0.5, "one": 1.0}, "defaultVariant": "few"})
    assert client.get_integer_value(number, 0) == 5
    for variant, wanted in (("half", 0.5), ("one", 1.0)):
        flag = admin.get(f"/api/v1/flags/{number}")
        admin.call("PUT", f"/api/v1/flags/{number}", {**flag, "defaultVariant": variant})
        found = client.get_float_details(number, 0.0)
        assert (found.value, found.error_code) == (wanted, None)
    thing = put(
        admin, {"type": "object", "variants": {"x": {"tokens": 5, "tools": ["web"]}, "y": [1]}, "defaultVariant": "x"}
    )
    assert client.get_object_value(thing, {}) == {"tokens": 5, "tools": ["web"]}


def test_errors_leave_the_programs_own_default(client, admin):
    missing = client.get_boolean_details("no-such-flag", True)
    assert (missing.value, missing.error_code) == (True, ErrorCode.FLAG_NOT_FOUND)
    split = put(admin, switch(rules=[{"split": {"on": 50, "off": 50}}]))
    nobody = client.get_boolean_details(split, True)
    assert (nobody.value, nobody.error_code) == (True, ErrorCode.TARGETING_KEY_MISSING)
    wrong = client.get_boolean_details(split, True, EvaluationContext("u", {"sessionId": 7}))
    assert wrong.error_code == ErrorCode.INVALID_CONTEXT
    assert client.get_string_details(split, "x", EvaluationContext("u")).error_code == ErrorCode.TYPE_MISMATCH
    assert client.get_boolean_details(split, True, EvaluationContext("u")).reason == Reason.SPLIT


def test_a_share_grows_and_nobody_loses_it(client, admin):
    key = put(admin, switch(rules=[{"id": "share", "split": {"on": 10, "off": 90}}]))

    def those_with():
        return {n for n in range(400) if client.get_boolean_value(key, False, EvaluationContext(f"user-{n}"))}

    before = those_with()
    assert 15 <= len(before) <= 75
    flag = admin.get(f"/api/v1/flags/{key}")
    admin.call("PUT", f"/api/v1/flags/{key}", {**flag, "rules": [{"id": "share", "split": {"on": 40, "off": 60}}]})
    after = those_with()
    assert before < after and 110 <= len(after) <= 210


def test_a_session_keeps_what_it_began_with(client, admin):
    pinned, live = put(admin, switch(mode="pinned")), put(admin, switch(mode="live"))
    session = EvaluationContext("user-1", {"sessionId": uuid.uuid4().hex})
    for key in (pinned, live):
        assert client.get_boolean_value(key, True, session) is False
        admin.call("PUT", f"/api/v1/flags/{key}", {**admin.get(f"/api/v1/flags/{key}"), "defaultVariant": "on"})
    kept = client.get_boolean_details(pinned, True, session)
    assert kept.value is False and kept.flag_metadata["pinned"] is True
    assert client.get_boolean_value(live, False, session) is True
    other = EvaluationContext("user-1", {"sessionId": uuid.uuid4().hex})
    assert client.get_boolean_value(pinned, False, other) is True


def test_edits_are_refused_that_would_overwrite_or_contradict(admin, server):
    key = put(admin, switch())
    reply = admin.send("GET", f"/api/v1/flags/{key}")
    tag = reply.headers["etag"]
    admin.call("PUT", f"/api/v1/flags/{key}", switch(enabled=False), headers={"If-Match": tag})
    admin.refused(
        "PUT", f"/api/v1/flags/{key}", switch(), status=412, code="precondition_failed", headers={"If-Match": tag}
    )
    problem = admin.refused("PUT", f"/api/v1/flags/{key}", switch(defaultVariant="maybe"), status=422, code="invalid")
    assert problem["field"] == "defaultVariant"
    assert admin.get(f"/api/v1/flags/{key}")["version"] == 2
    history = admin.get(f"/api/v1/flags/{key}/history")["items"]
    assert [item["version"] for item in history] == [2, 1]
    assert {"path": "enabled", "from": True, "to": False} in history[0]["changes"]


def test_bulk_etag_and_the_stream_of_changes(client, admin, server):
    key = put(admin, switch())
    headers = {"Authorization": f"Bearer {client.key}"}

    def bulk(etag=None, query="", **context):
        extra = {"If-None-Match": etag} if etag else {}
        url = f"{server.url}/ofrep/v1/evaluate/flags{query}"
        return requests.post(url, json={"context": context}, headers={**headers, **extra}, timeout=20)

    first = bulk(targetingKey="a")
    tag = first.headers["etag"]
    assert bulk(tag, targetingKey="a").status_code == 304
    assert bulk(tag, targetingKey="b").status_code == 200
    stream = first.json()["eventStreams"][0]
    assert stream["type"] == "sse" and stream["inactivityDelaySec"] == 120

    def listen(told, opened, url, **options):
        with requests.get(url, stream=True, timeout=30, **options) as reply:
            opened.append(reply.status_code)
            for line in reply.iter_lines():
                if line.startswith(b"data:"):
                    told.append((time.monotonic(), json.loads(line[5:])))
                    return

    listeners = []
    own = f"{server.url}/ofrep/v1/stream"
    # By the address that was given, with the key and without; and by the key alone.
    for url, options in ((stream["url"], {"headers": headers}), (stream["url"], {}), (own, {"headers": headers})):
        told, opened = [], []
        thread = threading.Thread(target=listen, args=(told, opened, url), kwargs=options)
        thread.start()
        listeners.append((thread, told, opened))
    for _, _, opened in listeners:
        until(lambda opened=opened: opened == [200], what="an open stream")
    begun = time.monotonic()
    admin.post(f"/api/v1/flags/{key}/off", {"reason": "test"})
    for thread, told, _ in listeners:
        thread.join(10)
        at, message = told[0]
        assert message["type"] == "refetchEvaluation" and message["etag"] and message["lastModified"] > 0
        assert at - begun < 2
        again = bulk(tag, f"?flagConfigEtag={message['etag']}", targetingKey="a")
        assert again.status_code == 200
        assert {flag["key"]: flag for flag in again.json()["flags"]}[key]["reason"] == "DISABLED"
    for url in (own, f"{own}/ticket", stream["url"] + "0"):
        assert requests.get(url, timeout=10).status_code == 401


def test_the_command_line(server, admin, tmp_path):
    key = f"cli-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "flag.json"
    file.write_text(json.dumps({"key": key, **switch(rules=[{"when": {"plan": "pro"}, "variant": "on"}])}))

    def run(*arguments, status=0):
        ended = subprocess.run(
            [BINARY, "flags", *arguments, "--json"],
            env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key, NO_COLOR="1"),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == status, ended.stderr
        return json.loads(ended.stdout)

    assert run("set", str(file), "--reason", "a trial")["version"] == 1
    assert run("get", key)["defaultVariant"] == "off"
    assert run("evaluate", key, "--context", '{"plan": "pro"}')["variant"] == "on"
    assert run("off", key, "--reason", "it hurts")["enabled"] is False
    assert run("on", key)["enabled"] is True
    assert [item["act"] for item in run("history", key)["items"]] == ["switched_on", "switched_off", "created"]
    assert key in [item["key"] for item in run("list", "--limit", "500")["items"]]
    assert run("delete", key) == {"deleted": key}
    assert run("get", key, status=1)["code"] == "not_found"
