"""A fleet at work whose agents write the secrets that they were given wherever anything can be written. Afterwards the
values stand in no file, no log, no database and no answer, in none of the forms that Reeve looks for; and whoever runs
the fleet was told of each."""

import base64
import http.server
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse

import hvac
import pytest
import requests

from gateway_kit import served, started
from reeve_server import BINARY, ENGINES, die_with_parent, environment, until

ON_ENGINES = ENGINES
TRACE = "5af7651916cd43dd8448eb211c80319c"
NOW = str(time.time_ns())

# The doors at which a value is written. Each has a secret of its own, so that each has to raise an alert of its own.
DOORS = """logs loki otlp-logs own-log spans metrics event heartbeat task output failure deliverable bundle flag config
    schedule incident postmortem alert silence pagerduty message query path correlation idempotency prompt answer
    upstream-error stream file run-output work-output work-file vault-note ofrep promql key-name label""".split()


def forms(value):
    """Every form of a value that Reeve promises to find, where it is long enough to be told from ordinary text."""
    raw = value.encode()
    found, texts = {raw}, {value}
    for _ in range(3):
        texts = {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in texts for ascii in (False, True)}
        found |= {text.encode() for text in texts}
    found |= {urllib.parse.quote(value, safe=safe).encode() for safe in ("", "/", "!*'()")}
    found |= {urllib.parse.quote_plus(value).encode(), raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw)
        first, end = (shift * 8 + 5) // 6, (shift + len(raw)) * 8 // 6
        found |= {text[first:end], text[first:end].translate(bytes.maketrans(b"+/", b"-_"))}
    return {form for form in found if len(form) >= 8}


def echoes(value):
    """The value as a careless program writes it: each time in another form."""
    raw = value.encode()
    return [
        f"got {value} here", f"Basic {base64.b64encode(b'user:' + raw).decode()}",
        f"url=?q={urllib.parse.quote(value)}",
        f"hex {raw.hex()} HEX {raw.hex().upper()}", f"json {json.dumps({'key': value})}",
        f"form {urllib.parse.quote_plus(value)}", f"url-safe {base64.urlsafe_b64encode(raw).decode()}",
    ]  # fmt: skip


class Planted:
    def __init__(self, folder, engine):
        # Quotes, a slash, a space and more than ASCII: what each way of writing changes.
        self.values = {door: f'{door} "p4/ss wörd+{secrets.token_hex(8)}' for door in DOORS}
        self.needles = {form: door for door, value in self.values.items() for form in forms(value)}
        # What looks like a key of somebody else's, and is no secret of Reeve's.
        self.tokens = {door: "ghp_" + secrets.token_hex(18) for door in DOORS}
        self.needles |= {value.encode(): f"{door}'s token" for door, value in self.tokens.items()}
        self.folder, self.engine = folder, engine
        self.hooks = []

    def path(self, door):
        return f"project/leak/{door}"

    def find(self, content):
        return sorted({self.needles[needle] for needle in self.needles if needle in content})

    def known(self, door):
        return " | ".join(echoes(self.values[door]))

    def all(self, door):
        return f"{self.tokens[door]} | {self.known(door)}"


@pytest.fixture(scope="module")
def fleet(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"planted-{engine}")
    planted = Planted(folder, engine)

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            planted.hooks.append(body)
            status, reply, kind = 200, b"{}", "application/json"
            if self.path.startswith("/v1/"):
                document = json.loads(body)
                status, reply = answer(planted, document["messages"][-1]["content"])
                if document.get("stream"):
                    reply, kind = streamed(planted), "text/event-stream"
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    with served(Hook) as url:
        (folder / "provider.key").write_text("not-a-real-key-of-anybody\n")
        settings = {
            "log": {"level": "debug"},
            "providers": {"main": {"kind": "openai", "baseURL": f"{url}/v1", "apiKeyFile": "provider.key"}},
            "models": {"m": {"targets": [{"provider": "main", "model": "gpt-4o-mini-2024-07-18"}]}},
            "alerts": {
                "receivers": [{"name": "web", "kind": "webhook", "url": f"{url}/hook", "allowPrivate": True}],
                "route": {"receiver": "web", "groupWait": "0s", "groupInterval": "1s", "groupBy": ["alertname"]},
            },
        }
        server = started(folder, settings, engine)
        planted.server, planted.admin = server, server.api()
        try:
            plant(planted)
            leak(planted)
            yield planted
        finally:
            if server.process.poll() is None:
                server.kill()


def answer(planted, asked):
    """What the provider says: it repeats what it should not."""
    if "fail" in asked:
        return 400, json.dumps({"error": {"message": planted.all("upstream-error"), "type": "bad"}}).encode()
    reply = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": planted.all("answer")}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
    }  # fmt: skip
    return 200, json.dumps(reply).encode()


def streamed(planted):
    """The same in pieces of a few characters."""
    text = planted.all("stream")
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    chunks = [{"delta": {"role": "assistant", "content": text[at : at + 3]}} for at in range(0, len(text), 3)]
    chunks.append({"delta": {}, "finish_reason": "stop"})
    events = [{**head, "choices": [{"index": 0, "finish_reason": None, **chunk}]} for chunk in chunks]
    events.append({**head, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}})
    return "".join(f"data: {line}\n\n" for line in [*map(json.dumps, events), "[DONE]"]).encode()


def plant(planted):
    """By each way in which secrets come: Reeve's own interface, Vault's, and an import."""
    server, admin = planted.server, planted.admin
    kv = hvac.Client(url=server.url, token=server.admin_key).secrets.kv.v2
    for number, (door, value) in enumerate(planted.values.items()):
        if number % 2:
            admin.call("PUT", f"/api/v1/secrets/{planted.path(door)}", {"value": value}, 200)
        else:
            kv.create_or_update_secret(path=planted.path(door), secret={"value": value})
    planted.values["imported"] = "imported-" + secrets.token_hex(12)
    planted.needles |= {form: "imported" for form in forms(planted.values["imported"])}
    file = planted.folder.parent / f"{planted.folder.name}.env"
    file.write_text(f"imported={planted.values['imported']}\n")
    command(planted, "secrets", "import", str(file), "--to", "project/leak")
    file.unlink()


def command(planted, *arguments, key=None, check=True):
    where = environment(REEVE_URL=planted.server.url, REEVE_KEY=key or planted.server.admin_key, NO_COLOR="1")
    done = subprocess.run([BINARY, *arguments], env=where, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def leak(planted):
    server, admin, all_of = planted.server, planted.admin, planted.all
    planted.agent = agent = server.make_agent("leaker")
    agent.post("/api/events/ingest", {"type": "agent.heartbeat", "statusMessage": all_of("heartbeat")}, 200)
    agent.post("/api/events/ingest", {"type": "note", "text": all_of("event"), all_of("event"): 1}, 200)
    telemetry(planted, agent)
    tasks(planted, agent)
    records(planted)
    calls(planted, agent)
    programs(planted)


def telemetry(planted, agent):
    text = lambda door: {"stringValue": planted.all(door)}  # noqa: E731
    pair = lambda door: {"key": "k", "value": text(door)}  # noqa: E731
    agent.post("/api/v1/logs", [{"message": line} for line in echoes(planted.values["logs"])])
    lines = [[NOW, line] for line in echoes(planted.values["loki"])]
    agent.post("/loki/api/v1/push", {"streams": [{"stream": {"app": planted.values["loki"]}, "values": lines}]})
    agent.post("/v1/logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": NOW, "body": text("otlp-logs"), "attributes": [pair("otlp-logs")]}]}]}]})  # fmt: skip
    span = {
        "traceId": TRACE, "spanId": "b7ad6b7169203331", "name": planted.values["spans"], "startTimeUnixNano": NOW,
        "endTimeUnixNano": NOW, "attributes": [pair("spans")], "status": {"code": 2, "message": planted.all("spans")},
        "events": [{"name": planted.all("spans"), "timeUnixNano": NOW, "attributes": [pair("spans")]}],
    }  # fmt: skip
    agent.post("/v1/traces", {"resourceSpans": [{"resource": {"attributes": [pair("spans")]}, "scopeSpans": [
        {"spans": [span]}]}]})  # fmt: skip
    number = {"timeUnixNano": NOW, "asDouble": 1, "attributes": [{"key": "k", "value": {
        "stringValue": planted.values["metrics"]}}]}  # fmt: skip
    bucket = {"timeUnixNano": NOW, "count": "1", "sum": 1, "bucketCounts": ["1", "0"], "explicitBounds": [5],
              "attributes": number["attributes"]}  # fmt: skip
    agent.post("/v1/metrics", {"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "leaked", "description": planted.all("metrics"), "gauge": {"dataPoints": [number]}},
        {"name": "leaked_histogram", "histogram": {"aggregationTemporality": 2, "dataPoints": [bucket]}},
    ]}]}]})  # fmt: skip


def tasks(planted, agent):
    admin, all_of = planted.admin, planted.all
    made = {"project": "p", "type": "t", "title": all_of("task")[:200], "input": {"text": all_of("task")}}
    for number in range(2):
        admin.post("/api/v1/tasks", {**made, "queue": f"leaks-{number}"}, 201,
                   headers={"idempotency-key": f"{number}{planted.values['idempotency'].encode().hex()}"})  # fmt: skip
    claim = agent.claim("leaks-0")
    claim.beat(note=all_of("task")[:500], progress=0.5)
    claim.deliver("leak.md", all_of("deliverable"))
    claim.deliver("packed.md", base64.b64encode(all_of("deliverable").encode()).decode())
    claim.complete(output={"text": all_of("output")})
    claim = agent.claim("leaks-1")
    claim.write("fail", errorClass="permanent", message=all_of("failure")[:2_000])
    admin.post("/api/v1/schedules", {
        "name": "leak", "cron": "0 0 1 1 *", "task": {**made, "title": all_of("schedule")[:200], "queue": "later"},
    }, 201)  # fmt: skip


def records(planted):
    admin, all_of, values = planted.admin, planted.all, planted.values
    files = [
        {"path": "agent.yaml", "content": "models: {main: gpt-4o-2024-08-06}\nprompts: {system: p.md}\n"},
        {"path": "p.md", "content": planted.known("bundle")},  # what looks like a key is refused
    ]
    admin.post("/api/v1/agents/leaker/bundles", {"files": files, "message": all_of("bundle")[:400]})
    admin.call("PUT", "/api/v1/flags/leak", {
        "type": "string", "variants": {"a": all_of("flag"), "b": "harmless"}, "defaultVariant": "a",
        "description": all_of("flag")}, 200)  # fmt: skip
    admin.call("PUT", "/api/v1/agents/leaker/config/values/parameters.language", {
        "layer": "environment", "value": values["config"], "reason": all_of("config")[:500]}, 200)  # fmt: skip
    admin.post("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": values["ofrep"], "sessionId": values["ofrep"]}})
    incident = admin.post("/api/v1/incidents", {"title": all_of("incident")[:180], "severity": "info"}, 201)["id"]
    admin.post(f"/api/v1/incidents/{incident}/notes", {"text": all_of("incident")[:2_000]})
    postmortem = admin.send("PUT", f"/api/v1/incidents/{incident}/postmortem", json={"text": all_of("postmortem")})
    planted.postmortem = postmortem.status_code
    admin.post("/api/v2/alerts", [{"labels": {"alertname": "Leak", "severity": "critical"}, "annotations": {
        "summary": all_of("alert")}}])  # fmt: skip
    admin.post("/api/v2/silences", {
        "matchers": [{"name": "x", "value": "y", "isRegex": False, "isEqual": True}], "createdBy": "me",
        "comment": all_of("silence"), "startsAt": "2030-01-01T00:00:00Z", "endsAt": "2030-01-02T00:00:00Z",
    })  # fmt: skip
    key = planted.server.make_key("ingest", "pager")
    requests.post(f"{planted.server.url}/v2/enqueue", timeout=30, json={
        "routing_key": key, "event_action": "trigger", "dedup_key": "d", "payload": {
            "summary": all_of("pagerduty")[:1_000], "severity": "critical", "source": "s"}})  # fmt: skip
    admin.post("/api/v1/agents/leaker/messages", {"text": all_of("message")[:2_000]})
    # A name has no slash, and a path of a secret has some: such a name is refused.
    admin.refused("POST", "/api/v1/keys", {"role": "viewer", "name": values["key-name"]}, status=422, code="invalid")
    admin.send("PUT", f"/api/v1/traces/{TRACE}/labels/{urllib.parse.quote(values['label'], safe='')}")
    for where in ("/tasks", "/api/v1/tasks", "/agents", "/api/v1/logs", "/events", "/traces"):
        admin.session.get(planted.server.url + where, params={
            "q": values["query"], "project": values["query"], "type": values["query"]}, timeout=30)  # fmt: skip
    for where in ("/api/v1/tasks/", "/agents/", "/api/v1/agents/", "/api/v1/flags/", "/nothing/", "/api/v1/queues/"):
        admin.session.get(planted.server.url + where + urllib.parse.quote(values["path"], safe=""), timeout=30)
    admin.session.post(f"{planted.server.url}/api/v1/queues/{urllib.parse.quote(values['path'], safe='')}/pause",
                       json={}, timeout=30)  # fmt: skip
    admin.session.get(f"{planted.server.url}/prometheus/api/v1/query", params={
        "query": f'up{{a="{values["promql"]}"}} +'}, timeout=30)  # fmt: skip
    hexed = values["correlation"].encode().hex()
    beat = {"type": "agent.heartbeat", "agent": "leaker"}
    admin.post("/api/events/ingest", beat, headers={"x-correlation-id": hexed})
    kv = hvac.Client(url=planted.server.url, token=planted.server.admin_key).secrets.kv.v2
    kv.update_metadata(path=planted.path("label"), custom_metadata={"note": values["vault-note"]})


def calls(planted, agent):
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    for asked in ("fail, please", planted.all("prompt")):
        body = {"model": "m", "messages": [{"role": "user", "content": asked}]}
        agent.session.post(f"{planted.server.url}/v1/chat/completions", json=body, headers=headers, timeout=30)
    body |= {"stream": True}
    said = agent.session.post(f"{planted.server.url}/v1/chat/completions", json=body, headers=headers, timeout=30).text
    assert said.count("data: ") > 50 and "[DONE]" in said
    agent.session.post(f"{planted.server.url}/v1/chat/completions", timeout=30, json={
        "model": planted.values["own-log"], "messages": [{"role": "user", "content": "x"}]})  # fmt: skip
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {
        "model": "m", "messages": [{"role": "user", "content": planted.all("file")}]}}  # fmt: skip
    agent.session.post(f"{planted.server.url}/v1/files", data={"purpose": "batch"}, timeout=30, files={
        "file": ("r.jsonl", json.dumps(line).encode())})  # fmt: skip


PROGRAM = """
import base64, json, os, sys, time, urllib.parse, urllib.request
def read(door):
    request = urllib.request.Request(os.environ["REEVE_URL"] + "/api/v1/secrets/project/leak/" + door + "/value",
                                     headers={"authorization": "Bearer " + os.environ["REEVE_KEY"]})
    return json.load(urllib.request.urlopen(request))["data"]["value"]
def tell(value, stream):
    raw = value.encode()
    for text in (value, base64.b64encode(raw).decode(), urllib.parse.quote(value), raw.hex(), json.dumps(value)):
        print("leaked", text, "here", file=stream, flush=True)
    # In pieces, as a stream comes.
    for character in "in pieces " + value:
        stream.write(character); stream.flush()
    print(file=stream, flush=True)
    print("a token " + os.environ["PLANTED_TOKEN"], file=stream, flush=True)
"""


def programs(planted):
    """What runs under `reeve run` and `reeve work` reads a secret, and tells everybody."""
    server, admin = planted.server, planted.admin
    folder = planted.folder / "runner"
    folder.mkdir()
    run, work = (f'tell(read("{door}"), sys.stdout); tell(read("{door}"), sys.stderr)\n' for door in (
        "run-output", "work-output"))  # fmt: skip
    keep = 'open(os.path.join(os.environ["REEVE_OUTPUT_DIR"], "out.txt"), "w").write(read("work-file"))\n'
    (folder / "runner.py").write_text(PROGRAM + run + "time.sleep(600)\n")
    (folder / "worker.py").write_text(PROGRAM + work + keep)
    for door, name in (("run-output", "runner"), ("work-output", "worker"), ("work-file", "worker")):
        admin.call("PUT", f"/api/v1/secrets/{planted.path(door)}/grants/{name}", None, 200)
    made = admin.create("planted-work")
    processes = []
    for name, words in (("runner", ["run"]), ("worker", ["work", "--queue", "planted-work"])):
        key = server.make_key("agent", f"key of {name}", name)
        where = environment(
            REEVE_URL=server.url, REEVE_KEY=key, TMPDIR=str(folder), NO_COLOR="1",
            PLANTED_TOKEN=planted.tokens["run-output"])  # fmt: skip
        # Its own output is the program's: it is the log of whoever started it, and not Reeve's.
        processes.append(subprocess.Popen(
            [BINARY, *words, "--agent", name, "--", sys.executable, f"{name}.py"], env=where, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent))  # fmt: skip
    admin.await_state(made["id"], "done", seconds=60)
    said = lambda: admin.send("GET", "/api/v1/logs?agent=runner&limit=100").text  # noqa: E731
    for name in ("project/leak/run-output", "github_token"):
        until(lambda name=name: f"[redacted:{name}]" in said(), 30, f"{name} in the output of what reeve run started")
    for process in processes:
        process.terminate()
        process.wait(30)


# --- What was found ---------------------------------------------------------------------------------------------------


def test_no_answer_has_a_value(fleet):
    """Every address that can be read, with the ids that there are, by an operator, a viewer, and an agent."""
    admin, server = fleet.admin, fleet.server
    paths = admin.get("/api/v1/openapi.json")["paths"]
    names = {"name": {"leaker", "runner"}, "key": {"leak"}, "id": {TRACE}, "scope": {"global"}, "label": {"x"}}
    for path in paths:
        if "{" in path or "stream" in path or "get" not in paths[path]:
            continue
        reply = admin.session.get(admin.url + path, params={"limit": 200}, timeout=30)
        if reply.status_code == 200 and "json" in reply.headers.get("content-type", ""):
            for item in (reply.json().get("items") or []) if isinstance(reply.json(), dict) else []:
                if isinstance(item, dict):
                    names["id"].update(str(item[field]) for field in ("id", "traceId") if item.get(field))
                    names["name"].update(str(item["name"]) for field in ("name",) if item.get(field))
    pages = [
        "/", "/agents", "/agents/leaker", "/agents/leaker/config", "/tasks", "/queues", "/events", "/audit", "/calls",
        "/flags", "/flags/leak", "/bundles", "/bundles/leaker", "/secrets", "/secrets/project/leak/prompt", "/traces",
        f"/traces/{TRACE}", "/logs", "/alerts", "/incidents", "/keys", "/schedules", "/metrics", "/sessions",
    ]  # fmt: skip
    found, seen = {}, 0
    for key in (server.admin_key, server.make_key("operator"), server.make_key("viewer"), fleet.agent.key):
        session = requests.Session()
        session.headers["authorization"] = f"Bearer {key}"
        for address in pages + sorted(addresses(paths, names)):
            with session.get(server.url + address, timeout=30, stream=True) as reply:
                content = reply.raw.read(8 << 20, decode_content=True) if "event-stream" not in reply.headers.get(
                    "content-type", "") else b""  # fmt: skip
            seen += reply.status_code == 200
            leaked = fleet.find(content + str(reply.headers).encode())
            if leaked:
                found[address] = leaked
    assert seen > 200, seen
    assert found == {}, found


def addresses(paths, names):
    for path, methods in paths.items():
        if "get" not in methods or path.endswith(("/stream", "/value")) or "/v1/secret/data" in path:
            continue
        if "{" not in path:
            yield path + "?limit=200"
            continue
        parts = [part[1:-1].rstrip("*") for part in path.split("/") if part.startswith("{")]
        if len(parts) == 1:
            for value in sorted(names.get(parts[0], {"project/leak/prompt"}))[:60]:
                yield path.replace("{" + parts[0] + "*}", value).replace(
                    "{" + parts[0] + "}", urllib.parse.quote(value, safe=""))  # fmt: skip


def test_every_door_raised_its_alert_and_the_way_out_stands_there(fleet):
    def raised():
        alerts = fleet.admin.get("/api/v2/alerts")
        return {a["labels"]["secret"]: a for a in alerts if "secret" in a["labels"]}

    # What a provider says in an error goes to whoever asked, and is kept nowhere.
    wanted = {fleet.path(door) for door in DOORS if door != "upstream-error"}
    until(lambda: wanted <= set(raised()), 15, lambda: f"alerts for {sorted(wanted - set(raised()))}")
    for path, alert in raised().items():
        assert alert["annotations"]["rotation"].endswith(path) and alert["annotations"]["page"] == f"/secrets/{path}"
    until(lambda: any(b"SecretLeaked" in body for body in fleet.hooks), 15, "the alert at the webhook")
    told = [body for body in fleet.hooks if b"alertname" in body]
    assert [fleet.find(body) for body in told if fleet.find(body)] == []


def test_what_looks_like_a_key_raised_an_alert_of_its_own(fleet):
    def doors(name):
        alerts = [a["labels"] for a in fleet.admin.get("/api/v2/alerts")]
        return {labels["door"] for labels in alerts if labels.get("format") == name}

    wanted = {"logs", "spans", "metrics", "events", "tasks", "deliverables", "files", "flags", "schedules", "agents",
              "incidents", "silences"}  # fmt: skip
    until(lambda: wanted <= doors("github_token"), 15, lambda: f"alerts of {wanted - doors('github_token')}")
    metrics = fleet.admin.session.get(f"{fleet.server.url}/metrics", timeout=30).text
    assert 'total{kind="github_token",door="logs"}' in metrics and 'total{kind="known",door="logs"}' in metrics


def test_no_export_has_a_value(fleet, tmp_path):
    """What leaves Reeve as a file or a document, by its own program and by others' protocols."""
    admin = fleet.admin
    incident = admin.get("/api/v1/incidents")["items"][0]["id"]
    for words in (
        ["config", "pull", "leaker", str(tmp_path / "bundle")], ["costs", "--csv"], ["logs", "--json"],
        ["events", "list", "--json"], ["audit", "list", "--json"], ["tasks", "list", "--json"], ["trace", TRACE],
        ["calls", "list", "--json"], ["flags", "list", "--json"], ["incidents", "report"],
        ["incidents", "postmortem", incident], ["secrets", "list", "--json"], ["alerts", "list", "--json"],
        ["export", "prometheus", str(tmp_path / "prometheus")], ["export", "grafana", str(tmp_path / "grafana")],
    ):  # fmt: skip
        done = command(fleet, *words, check=False)
        assert done.returncode in (0, 1), (words, done.stderr)
        assert fleet.find((done.stdout + done.stderr).encode()) == [], words
    assert (tmp_path / "bundle" / "p.md").exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and fleet.find(path.read_bytes())] == []

    def read(path, session=admin.session, **query):
        return session.get(fleet.server.url + path, params=query, timeout=30)

    own = fleet.agent.session
    documents = [read(f"/v1/files/{file['id']}/content", own) for file in read("/v1/files", own).json()["data"]]
    assert documents and documents[0].status_code == 200
    documents += [
        read("/metrics"), read("/prometheus/api/v1/query", query="leaked"), read("/prometheus/api/v1/metadata"),
        read("/prometheus/api/v1/series", **{"match[]": '{__name__=~"leaked.*"}'}),
        read("/loki/api/v1/query_range", query='{app=~".+"}', limit=1000), read("/loki/api/v1/label/app/values"),
    ]  # fmt: skip
    for reply in documents:
        assert fleet.find(reply.content) == [], reply.url


def test_no_file_has_a_value(fleet):
    """Last of all, as it stops the server: what is left on the disk, and in the database."""
    server = fleet.server
    time.sleep(3)  # what is written by and by stands in the files by then
    if server.database:
        dump = subprocess.run(["pg_dump", server.database], capture_output=True, timeout=60, check=True).stdout
        assert fleet.find(dump) == [] and b"secret_versions" in dump
    assert files_with_values(fleet) == {}, "while it runs"
    assert server.stop() == 0
    assert files_with_values(fleet) == {}, "after it stopped"
    assert fleet.find("".join(server.output).encode()) == []


def files_with_values(fleet):
    found, count = {}, 0
    for path in fleet.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            count += 1
            content = path.read_bytes()
            # Segments of telemetry are packed.
            for text in (content, unpacked(content)):
                if leaked := fleet.find(text):
                    found[str(path.relative_to(fleet.folder))] = leaked
    assert count > 10
    return found


def unpacked(content):
    """What `zstd` makes of each of its frames in a file."""
    if not shutil.which("zstd") or b"\x28\xb5\x2f\xfd" not in content:
        return b""
    texts = []
    for start in [index for index in range(len(content) - 3) if content[index : index + 4] == b"\x28\xb5\x2f\xfd"]:
        done = subprocess.run(["zstd", "-dc", "--no-check"], input=content[start:], capture_output=True, timeout=30)
        texts.append(done.stdout)
    return b"".join(texts)
