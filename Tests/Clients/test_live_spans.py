"""A run is seen while it runs: pending spans from the real SDK, and what becomes of them when a process is killed."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from pathlib import Path

import pytest
from gateway_kit import PINNED, openai_agent, running, script, serving
from reeve_server import BINARY, die_with_parent, until

# Traces are kept beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "traces.md"
# As the guide gives it to users.
PROCESSOR = re.search(r"```python\n(# live_spans\.py.*?)```", GUIDE.read_text(), re.S)[1]

AGENT = textwrap.dedent("""
    import sys, time
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from live_spans import LiveSpans

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=200))
    provider.add_span_processor(LiveSpans(OTLPSpanExporter()))
    tracer = provider.get_tracer("agent")
    with tracer.start_as_current_span("invoke_agent clerk", attributes={"gen_ai.operation.name": "invoke_agent"}) as run:
        print(format(run.get_span_context().trace_id, "032x"), flush=True)
        with tracer.start_as_current_span("read the letters"):
            pass
        with tracer.start_as_current_span("write the answer"):
            # Until somebody says so, or is not there to say it.
            sys.stdin.readline() or time.sleep(60)
    provider.shutdown()
""")


@pytest.fixture
def program(tmp_path):
    (tmp_path / "live_spans.py").write_text(PROCESSOR)
    path = tmp_path / "agent.py"
    path.write_text(AGENT)
    return path


def environment(url: str, key: str) -> dict[str, str]:
    return os.environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{key}",
        "OTEL_SERVICE_NAME": "clerk",
    }


def begun(program: Path, url: str, key: str) -> tuple[subprocess.Popen, str]:
    """The agent's process, and the trace that it works in."""
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=environment(url, key),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    return process, process.stdout.readline().strip()


def trace_of(api, trace: str) -> dict | None:
    reply = api.send("GET", f"/api/v1/traces/{trace}")
    return reply.json() if reply.status_code == 200 else None


def states(document: dict) -> dict[str, str]:
    return {span["name"]: span["state"] for span in document["spans"]}


def once(api, trace: str, wanted: dict[str, str], seconds: float = 10) -> dict:
    """The trace, once its spans are in these states."""

    def look():
        document = trace_of(api, trace)
        return document if document and states(document) == wanted else None

    return until(look, seconds, f"the states {wanted}")


RUNNING = {"invoke_agent clerk": "running", "read the letters": "ended", "write the answer": "running"}
ENDED = dict.fromkeys(RUNNING, "ended")
LOST = RUNNING | {"invoke_agent clerk": "lost", "write the answer": "lost"}


def test_a_run_is_seen_within_a_second_and_then_ends(server, admin, agent, program):
    process, trace = begun(program, server.url, agent.key)
    since = time.monotonic()
    document = once(admin, trace, RUNNING)
    assert time.monotonic() - since < 2, "half of that is the test's own"
    assert document["state"] == "running"
    spans = {span["name"]: span for span in document["spans"]}
    current = spans["write the answer"]
    assert document["currentSpanId"] == current["spanId"]
    assert current["endTime"] is None and current["durationMs"] is None and current["elapsedMs"] >= 0
    assert current["parentSpanId"] == spans["invoke_agent clerk"]["spanId"]
    assert current["agent"] == agent.agent
    detail = admin.get(f"/api/v1/traces/{trace}/spans/{spans['invoke_agent clerk']['spanId']}")
    assert detail["state"] == "running" and detail["attributes"] == {"gen_ai.operation.name": "invoke_agent"}
    process.communicate("go on\n", timeout=20)
    ended = once(admin, trace, ENDED)
    assert ended["state"] == "ended" and ended["currentSpanId"] is None
    assert len(ended["spans"]) == 3, "no span stands twice"


def test_killed_agents_leave_lost_spans_with_their_last_step(tmp_path, engine, program):
    settings = {"telemetry": {"liveSilenceSeconds": 2}}
    with running(tmp_path / "reeve", settings, engine) as server:
        api = server.api()
        agent = server.make_agent("clerk")
        process, trace = begun(program, server.url, agent.key)
        once(api, trace, RUNNING)
        process.send_signal(signal.SIGKILL)
        process.wait()
        document = once(api, trace, LOST, seconds=15)
        assert document["state"] == "lost"
        spans = {span["name"]: span for span in document["spans"]}
        root = api.get(f"/api/v1/traces/{trace}/spans/{spans['invoke_agent clerk']['spanId']}")
        assert root["status"] == "error" and root["attributes"]["reeve.last_step"] == "write the answer"
        assert root["attributes"]["reeve.span.state"] == "lost" and "last known step" in root["statusMessage"]
        assert root["endTime"] is not None
        # A restart of Reeve does not forget, and does not lose them once more.
        assert server.stop() == 0
        server.start()
        assert states(once(server.api(), trace, LOST)) == LOST
        assert len(trace_of(server.api(), trace)["spans"]) == 3


def test_a_killed_reeve_still_knows_what_runs(own_server, program):
    own_server.start()
    agent = own_server.make_agent("clerk")
    process, trace = begun(program, own_server.url, agent.key)
    once(own_server.api(), trace, RUNNING)
    own_server.kill()
    own_server.start()
    document = once(own_server.api(), trace, RUNNING)
    assert document["state"] == "running" and len(document["spans"]) == 3
    process.kill()
    process.wait()


def test_a_killed_reeve_goes_on_with_the_spans_of_tasks(own_server):
    own_server.start()
    api, agent = own_server.api(), own_server.make_agent("clerk")
    task = api.create("letters", type="letter")
    claim = agent.claim("letters")
    trace = task["traceparent"].split("-")[1]
    once(api, trace, {"create task letter": "ended", "task letter": "running"})
    own_server.kill()
    own_server.start()
    api = own_server.api()
    before = once(api, trace, {"create task letter": "ended", "task letter": "running"})
    claim.api.url = own_server.url
    claim.complete()
    after = once(api, trace, {"create task letter": "ended", "task letter": "ended"})
    starts = [next(one["startTime"] for one in it["spans"] if one["name"] == "task letter") for it in (before, after)]
    assert starts[0] == starts[1]


def test_the_end_wins_over_a_loss(tmp_path, engine, program):
    with running(tmp_path / "reeve", {"telemetry": {"liveSilenceSeconds": 1}}, engine) as server:
        agent = server.make_agent("clerk")
        process, trace = begun(program, server.url, agent.key)
        once(server.api(), trace, LOST, seconds=15)
        # It was only slow.
        process.communicate("go on\n", timeout=20)
        ended = once(server.api(), trace, ENDED)
        assert ended["state"] == "ended" and len(ended["spans"]) == 3


def test_logfires_pending_spans_stand_for_their_parents(server, admin, agent):
    trace, real, parent = uuid.uuid4().hex, uuid.uuid4().hex[:16], uuid.uuid4().hex[:16]
    pending = {
        "traceId": trace,
        "spanId": uuid.uuid4().hex[:16],
        "parentSpanId": real,
        "name": "running agent",
        "startTimeUnixNano": str(time.time_ns()),
        "endTimeUnixNano": str(time.time_ns()),
        "attributes": [
            {"key": "logfire.span_type", "value": {"stringValue": "pending_span"}},
            {"key": "logfire.pending_parent_id", "value": {"stringValue": parent}},
        ],
    }
    agent.post("/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [pending]}]}]})
    document = once(admin, trace, {"running agent": "running"})
    assert [(span["spanId"], span["parentSpanId"]) for span in document["spans"]] == [(real, parent)]


def test_a_program_under_reeve_run_is_lost_when_it_is_killed(server, admin, agent, program, name):
    """Its agent goes on beating, so only the runner knows."""
    options = ["--agent", agent.agent, "--restart", "never", "--url", server.url, "--key", agent.key]
    process = subprocess.Popen(
        [BINARY, "run", *options, "--", sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        trace, pid = None, None
        while not (trace and pid):
            line = process.stdout.readline()
            trace = trace or (found := re.search(r'"message":"([0-9a-f]{32})"', line)) and found[1]
            pid = pid or (found := re.search(r"running as process (\d+)", line)) and int(found[1])
        once(admin, trace, RUNNING)
        os.kill(pid, signal.SIGKILL)
        once(admin, trace, LOST)
    finally:
        process.kill()
        process.wait()


def test_reeve_run_hands_its_trace_on_and_tells_of_the_program(server, admin, agent):
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    command = "import os; print(os.environ['TRACEPARENT'], os.environ['REEVE_CORRELATION_ID'])"
    done = subprocess.run(
        [BINARY, "run", "--agent", agent.agent, "--url", server.url, "--key", agent.key]
        + ["--restart", "never", "--", sys.executable, "-c", command],
        env=os.environ | {"TRACEPARENT": f"00-{trace}-{span}-01", "REEVE_CORRELATION_ID": f"order-{trace}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    handed = re.search(rf"00-{trace}-([0-9a-f]{{16}})-01 order-{trace}", done.stdout)
    assert handed and handed[1] != span, done.stdout + done.stderr
    document = until(lambda: (found := trace_of(admin, trace)) and found["state"] == "ended" and found, what="its end")
    assert [(one["spanId"], one["parentSpanId"], one["agent"]) for one in document["spans"]] == [
        (handed[1], span, agent.agent)
    ]


def test_reeve_work_gives_a_command_its_tasks_trace(server, admin, agent, name):
    order = f"order-{uuid.uuid4().hex}"
    task = admin.create(name, headers={"X-Correlation-ID": order}, type="letter")
    command = "import os; print(os.environ['TRACEPARENT'], os.environ['REEVE_CORRELATION_ID'])"
    done = subprocess.run(
        [BINARY, "work", "--once", "--queue", name, "--agent", agent.agent, "--url", server.url, "--key", agent.key]
        + ["--", sys.executable, "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    trace = task["traceparent"].split("-")[1]
    wanted = {"create task letter", "task letter", "deliverable output.txt"}

    def look():
        document = trace_of(admin, trace)
        names = states(document) if document else {}
        return document if wanted <= set(names) and set(names.values()) == {"ended"} and len(names) == 4 else None

    spans = {span["name"]: span for span in until(look, what="the task's spans")["spans"]}
    run = next(span for name, span in spans.items() if name.startswith("run python"))
    assert run["parentSpanId"] == spans["task letter"]["spanId"]
    made = admin.get(f"/api/v1/tasks/{task['id']}/deliverables")["items"][0]
    text = admin.send("GET", made["url"]).text
    assert text.split() == [f"00-{trace}-{run['spanId']}-01", order]


def test_tasks_and_calls_are_seen_while_they_run(tmp_path, engine):
    with serving() as model:
        settings = {
            "providers": {"main": {"kind": "openai", "baseURL": f"{model}/v1"}},
            "models": {"mini": {"targets": [{"provider": "main", "model": PINNED}]}},
        }
        with running(tmp_path / "reeve", settings, engine) as server:
            api = server.api()
            task = api.create("letters", type="letter")
            agent = openai_agent(server, "clerk")
            claim = agent.claim("letters")
            trace = claim.item["traceparent"].split("-")[1]
            document = once(api, trace, {"create task letter": "ended", "task letter": "running"})
            assert document["state"] == "running"
            script(model, {"fault": {"delaySeconds": 3}})
            asking = threading.Thread(target=agent.ask)
            asking.start()
            document = once(
                api, trace, {"create task letter": "ended", "task letter": "running", "chat mini": "running"}
            )
            current = next(span for span in document["spans"] if span["spanId"] == document["currentSpanId"])
            assert current["name"] == "chat mini" and current["agent"] == "clerk"
            asking.join()
            claim.complete()
            document = until(lambda: (d := trace_of(api, trace))["state"] == "ended" and len(d["spans"]) == 4 and d)
            items = api.get(f"/api/v1/timeline?correlationId={task['correlationId']}")["items"]
            kinds = [item["kind"] for item in items]
            assert kinds[0] == "task" and "call" in kinds and "event" in kinds
            assert [item["time"] for item in items] == sorted(item["time"] for item in items)
