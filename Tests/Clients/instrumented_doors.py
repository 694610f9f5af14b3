"""An agent that asks at every door of Reeve's with the SDKs of OpenAI and Anthropic, both watched by OpenInference.

    instrumented_doors.py URL KEY MODEL

Prints the trace of each call by its name as JSON, once its spans are exported.
"""

import json
import sys

import anthropic
import openai
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

URL, KEY, MODEL = sys.argv[1:]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
CHAT_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": PARAMETERS}}
RESPONSES_TOOL = {"type": "function", "name": "look_up", "parameters": PARAMETERS, "strict": False}
MESSAGES_TOOL = {"name": "look_up", "input_schema": PARAMETERS}
WEATHER = [{"role": "user", "content": "weather in Oslo?"}]
SKY = [{"role": "user", "content": "and the sky?"}]


def main() -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "doors-agent"}))
    exporter = OTLPSpanExporter(f"{URL}/v1/traces", headers={"Authorization": f"Bearer {KEY}"})
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    AnthropicInstrumentor().instrument(tracer_provider=provider)
    chat = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=20)
    claude = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=20)
    calls: dict[str, str] = {}
    tracer = trace.get_tracer("agent")

    def ask(name, method, **options):
        with tracer.start_as_current_span(name) as span:
            calls[name] = format(span.get_span_context().trace_id, "032x")
            headers: dict[str, str] = {}
            propagate.inject(headers)
            answer = method(model=MODEL, extra_headers=headers, **options)
            if options.get("stream"):
                for _ in answer:
                    pass
            return answer

    system = {"role": "system", "content": "Be brief."}
    completions = chat.chat.completions.create
    for name, stream in (("chat", {}), ("chat-stream", {"stream": True})):
        ask(name, completions, messages=[system, *SKY], **stream)
        ask(f"{name}-tool", completions, messages=[system, *WEATHER], tools=[CHAT_TOOL], **stream)
    for name, stream in (("responses", {}), ("responses-stream", {"stream": True})):
        ask(name, chat.responses.create, instructions="Be brief.", input=SKY, **stream)
        ask(f"{name}-tool", chat.responses.create, input=WEATHER, tools=[RESPONSES_TOOL], **stream)
    ask("responses-text", chat.responses.create, input="and the sky?")
    for name, stream in (("messages", {}), ("messages-stream", {"stream": True})):
        messages = {"max_tokens": 100, "system": "Be brief."} | stream
        ask(name, claude.messages.create, messages=SKY, **messages)
        answer = ask(f"{name}-tool", claude.messages.create, messages=WEATHER, tools=[MESSAGES_TOOL], **messages)
    used = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"city": "Oslo", "days": 2}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
    turns = [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    ask("messages-result", claude.messages.create, messages=[*WEATHER, *turns, *SKY], tools=[MESSAGES_TOOL], max_tokens=100)
    ask("embeddings", chat.embeddings.create, input=["the mill", "the weir"])
    ask("embedding", chat.embeddings.create, input="the mill")
    provider.shutdown()
    print(json.dumps(calls))


main()
