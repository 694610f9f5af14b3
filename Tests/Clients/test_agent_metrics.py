"""What agents do, as metrics: from OpenTelemetry's SDK, and once where a call went through Reeve as well."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from gateway_kit import FIRST, MINI_PRICE, PINNED, openai_agent, providers, running, scrape, script
from reeve_server import ENGINES, Server, until
from test_metrics import total, value

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module", params=ENGINES)
def reeve(request, main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = {"mini": {"targets": [FIRST], "price": MINI_PRICE, "contextTokens": 1000}}
    settings = {"providers": providers(main, backup), "models": models}
    with running(tmp_path_factory.mktemp("agent-metrics"), settings, request.param) as server:
        yield server


@pytest.fixture
def asker(reeve: Server, name: str):
    return openai_agent(reeve, f"asker-{name}")


@pytest.fixture
def tracer(reeve: Server, asker) -> Iterator[trace.Tracer]:
    exporter = OTLPSpanExporter(f"{reeve.url}/v1/traces", headers={"authorization": f"Bearer {asker.key}"})
    provider = TracerProvider(resource=Resource.create({"service.name": "asker"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("tests")
    provider.shutdown()


def chat(tracer: trace.Tracer, input: int, output: int, **more: str) -> None:
    said = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": PINNED, "gen_ai.usage.input_tokens": input,
        "gen_ai.usage.output_tokens": output,
    }
    with tracer.start_as_current_span("chat", attributes=said | more):
        pass


def tokens(reeve: Server, agent: str) -> float:
    return total(scrape(reeve), "agent_tokens_consumed_total", agent=agent)


def test_spans_feed_the_metrics(reeve: Server, asker, tracer) -> None:
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        chat(tracer, 700, 50)
        for found in ("a", "a", "b"):
            said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "grep"}
            with tracer.start_as_current_span("grep", attributes=said | {"gen_ai.tool.call.arguments": found}):
                pass
        with pytest.raises(TimeoutError), tracer.start_as_current_span("slow", attributes=said):
            raise TimeoutError("too long")
        for name in ("search_memory", "upsert_memory"):
            with tracer.start_as_current_span(name, attributes={"gen_ai.operation.name": name}):
                pass
    until(lambda: total(scrape(reeve), "agent_memory_operations_total", agent=asker.agent) == 2, 10, "the spans")
    now = scrape(reeve)
    assert value(now, "agent_tokens_consumed_total", model=PINNED, type="input", agent=asker.agent) == 700
    assert value(now, "agent_tokens_consumed_total", model=PINNED, type="output", agent=asker.agent) == 50
    assert value(now, "agent_tool_calls_total", agent=asker.agent, tool="grep", status="success") == 3
    assert value(now, "agent_tool_calls_total", agent=asker.agent, tool="grep", status="timeout") == 1
    assert value(now, "agent_tool_repeat_calls_total", agent=asker.agent, tool="grep") == 1
    for operation in ("search", "write"):
        labels = {"agent": asker.agent, "operation": operation}
        assert value(now, "agent_memory_operations_total", status="success", **labels) == 1
        assert value(now, "agent_memory_operation_duration_seconds_count", **labels) == 1
    # The catalogue knows the provider's own name of the model.
    assert value(now, "agent_context_utilization_ratio", model=PINNED, agent=asker.agent) == 0.7


def test_a_call_that_both_tell_of_counts_once(reeve: Server, asker, tracer, main: str) -> None:
    script(main, {"usage": {"input": 300, "output": 40}})
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span:
        context = span.get_span_context()
        parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
        asker.ask(extra_headers={"traceparent": parent})
        span.set_attributes({"gen_ai.usage.input_tokens": 300, "gen_ai.usage.output_tokens": 40})
    # Without a trace that is passed on, by what it used.
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span:
        asker.ask()
        span.set_attributes({"gen_ai.usage.input_tokens": 300, "gen_ai.usage.output_tokens": 40})
    # And one that went elsewhere, which shows that the others were looked at.
    chat(tracer, 5, 0)
    until(lambda: tokens(reeve, asker.agent) == 2 * 340 + 5, 10, "the last span")
    assert total(scrape(reeve), "reeve_model_calls_total", agent=asker.agent) == 2


def test_what_is_sent_again_is_not_counted_again(reeve: Server, asker, tracer) -> None:
    spans = []
    tracer.span_processor.on_end = lambda span: spans.append(span)
    chat(tracer, 11, 0)
    exporter = OTLPSpanExporter(f"{reeve.url}/v1/traces", headers={"authorization": f"Bearer {asker.key}"})
    for _ in range(3):
        exporter.export(spans)
    until(lambda: tokens(reeve, asker.agent) == 11, 10, "the span")
    with tracer.start_as_current_span("chat") as span:
        span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100})
        span.set_status(Status(StatusCode.OK))
    exporter.export(spans)
    until(lambda: tokens(reeve, asker.agent) == 111, 10, "the next span")
    exporter.shutdown()


def test_a_conversation_by_header(reeve: Server, asker) -> None:
    before = value(scrape(reeve), "agent_sessions_open") or 0
    for _ in range(2):
        asker.ask(extra_headers={"x-reeve-session": f"s-{asker.agent}"})
    assert value(scrape(reeve), "agent_sessions_open") == before + 1
