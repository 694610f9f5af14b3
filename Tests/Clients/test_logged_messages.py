"""Messages that OpenTelemetry's SDK sends as log records are what their span says, where it says nothing itself."""

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from reeve_server import until

ON_ENGINES = ["sqlite"]


def text(role: str, content: str) -> dict:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def told(agent, events, **attributes) -> tuple[str, str]:
    """A call to a model with these events, each a log record; the ids of its trace and span."""
    headers = {"Authorization": f"Bearer {agent.key}"}
    spans, logs = TracerProvider(), LoggerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{agent.url}/v1/traces", headers=headers)))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{agent.url}/v1/logs", headers=headers)))
    logger = logs.get_logger("agent")
    with spans.get_tracer("agent").start_as_current_span("chat mini") as span:
        span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": "mini"} | attributes)
        for name, body, members in events:
            logger.emit(
                LogRecord(
                    event_name=name, body=body, attributes=members, severity_number=SeverityNumber.INFO,
                    timestamp=span.start_time,
                )
            )  # fmt: skip
    logs.shutdown()
    spans.shutdown()
    context = span.get_span_context()
    return format(context.trace_id, "032x"), format(context.span_id, "016x")


EACH = [
    ("gen_ai.system.message", {"content": "Be brief."}, {}),
    ("gen_ai.user.message", {"content": "weather in Oslo?"}, {"gen_ai.system": "openai"}),
    ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Rain."}}, {}),
]
TOGETHER = [
    (
        "gen_ai.client.inference.operation.details",
        None,
        {
            "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
            "gen_ai.input.messages": [text("user", "weather in Oslo?")],
            "gen_ai.output.messages": [text("assistant", "Rain.") | {"finish_reason": "stop"}],
            "gen_ai.response.finish_reasons": ["stop"],
        },
    )
]


@pytest.mark.parametrize("events", [EACH, TOGETHER], ids=["one for each", "all in one"])
def test_they_are_the_messages_of_their_span(agent, admin, events):
    trace, span = told(agent, events)

    def look():
        reply = admin.send("GET", f"/api/v1/traces/{trace}/spans/{span}")
        found = reply.json()
        return found if reply.status_code == 200 and found["output"] else None

    found = until(look, 10, "the span with its messages")
    assert found["input"] == [text("system", "Be brief."), text("user", "weather in Oslo?")]
    assert (found["output"], found["finishReasons"]) == ([text("assistant", "Rain.")], ["stop"])
    # They stay what they are: records of the log.
    assert not found["events"]
    logs = until(lambda: admin.get(f"/api/v1/logs?correlationId={trace}")["items"], 10, "the log records")
    assert len(logs) == len(events)


def test_a_span_that_speaks_for_itself_is_believed(agent, admin):
    said = '[{"role":"user","parts":[{"type":"text","content":"mine"}]}]'
    trace, span = told(agent, EACH, **{"gen_ai.input.messages": said})
    path = f"/api/v1/traces/{trace}/spans/{span}"
    found = until(
        lambda: (reply := admin.send("GET", path)).status_code == 200 and reply.json()["output"] and reply.json(), 10, "the span"
    )
    assert (found["input"], found["output"]) == ([text("user", "mine")], [text("assistant", "Rain.")])
