"""An agent whose client of OpenAI's is watched by one of the field's two instrumentations: a program of its own, as
both at once would watch each other.

    instrumented_agent.py openinference|openllmetry URL KEY MODEL

Prints what it did as JSON, once its spans are exported: the calls by their names, with the ids that Reeve gave them.
"""

import json
import sys

import openai
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

DIALECT, URL, KEY, MODEL = sys.argv[1:]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}
# Not one that is sent along: OpenLLMetry loses the whole of such a conversation where nobody keeps images for it.
IMAGE = "https://example.com/a.png"


def instrument(provider: TracerProvider) -> None:
    if DIALECT == "openinference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)


def main() -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": f"{DIALECT}-agent"}))
    exporter = OTLPSpanExporter(f"{URL}/v1/traces", headers={"Authorization": f"Bearer {KEY}"})
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    instrument(provider)
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=20)
    calls: dict[str, str] = {}
    tracer = trace.get_tracer("agent")

    def ask(name: str, **options: object) -> object:
        """OpenLLMetry passes the trace on by itself; OpenInference leaves that to whoever calls."""
        with tracer.start_as_current_span(name) as span:
            calls[name] = format(span.get_span_context().trace_id, "032x")
            headers: dict[str, str] = {}
            if DIALECT == "openinference" and name != "alone":
                propagate.inject(headers)
            return client.chat.completions.create(model=MODEL, extra_headers=headers, **options)

    question = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "weather in Oslo?"}]
    first = ask("tool", messages=question, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    answered = {"role": "assistant", "content": None, "tool_calls": [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
    ]}  # fmt: skip
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"sky": "rain"}'}
    follow_up = {"role": "user", "content": "and the sky?"}
    ask("result", messages=[*question, answered, result, follow_up], tools=[TOOL])
    ask("cached", messages=[{"role": "user", "content": "cached"}])
    ask("alone", messages=[{"role": "user", "content": "alone"}])
    look = [{"type": "text", "text": "look at this"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    ask("image", messages=[{"role": "user", "content": look}])
    for _ in ask("stream", messages=[{"role": "user", "content": "streamed"}], stream=True, stream_options={"include_usage": True}):
        pass
    try:
        ask("error", messages=[{"role": "user", "content": "broken"}])
    except openai.BadRequestError:
        pass
    provider.shutdown()
    print(json.dumps({"calls": calls, "tool": call.id}))


main()
