"""The scripted model, asked by the providers' own clients: answers, streams, tools, counts, and every fault."""

import json
import os
import subprocess
import time
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from gateway_kit import HELLO, TOOL, finish_of, script, serving, text_of
from reeve_server import BINARY

MODEL = "scripted-2026-01-01"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(autouse=True)
def plain(address: str) -> None:
    script(address)


@pytest.fixture(scope="module")
def chat(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, timeout=10)


@pytest.fixture(scope="module")
def claude(address: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=address, api_key="any", max_retries=0, timeout=10)


def test_chat_answers_and_counts(chat: openai.OpenAI) -> None:
    answer = chat.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content == "You said: hello there"
    assert answer.choices[0].finish_reason == "stop"
    # "Be", " brief.", "hello", " there"; "You", " said:", " hello", " there"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 4, 8)


def test_chat_streams(chat: openai.OpenAI) -> None:
    chunks = list(
        chat.chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert text_of(chunks) == "You said: hello there"
    assert finish_of(chunks) == "stop"
    assert chunks[-1].usage.total_tokens == 8
    silent = list(chat.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert all(c.usage is None for c in silent)


def test_chat_calls_tools(chat: openai.OpenAI) -> None:
    answer = chat.chat.completions.create(model=MODEL, messages=HELLO, tools=[TOOL], tool_choice="required")
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"city": "text", "days": 1})
    brought = [
        *HELLO,
        answer.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    told = chat.chat.completions.create(model=MODEL, messages=brought, tools=[TOOL])
    assert (told.choices[0].message.content, told.choices[0].finish_reason) == ("The tool has answered: rain", "stop")
    stream = chat.chat.completions.create(
        model=MODEL, messages=HELLO, tools=[TOOL], tool_choice="required", stream=True
    )
    deltas = [c.choices[0].delta.tool_calls[0] for c in stream if c.choices[0].delta.tool_calls]
    assert deltas[0].function.name == "look_up"
    assert json.loads("".join(d.function.arguments for d in deltas)) == {"city": "text", "days": 1}


def test_chat_keeps_to_a_schema_and_a_bound(chat: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    answer = chat.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content) == {"answer": "text"}
    short = chat.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=2)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("You said:", "length")
    assert short.usage.completion_tokens == 2
    stopped = chat.chat.completions.create(model=MODEL, messages=HELLO, stop=[" there"])
    assert stopped.choices[0].message.content == "You said: hello"


def test_responses(chat: openai.OpenAI) -> None:
    answer = chat.responses.create(model=MODEL, instructions="Be brief.", input="hello there")
    assert (answer.output_text, answer.status) == ("You said: hello there", "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)
    with chat.responses.stream(model=MODEL, input="hello there") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == "You said: hello there"
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    tool = {"type": "function", **TOOL["function"], "strict": False}
    called = chat.responses.create(model=MODEL, input="hello", tools=[tool], tool_choice="required")
    assert (called.output[0].type, called.output[0].name) == ("function_call", "look_up")


def test_embeddings_and_models(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    one, two = chat.embeddings.create(model=MODEL, input=["red", "blue"], dimensions=16).data
    assert len(one.embedding) == 16 and one.embedding != two.embedding
    assert sum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-5)
    again = chat.embeddings.create(model=MODEL, input="red", dimensions=16, encoding_format="float")
    assert again.data[0].embedding == pytest.approx(one.embedding, abs=1e-6)
    assert [model.id for model in chat.models.list()] == [MODEL]
    assert [model.id for model in claude.models.list()] == [MODEL]


def test_messages(claude: anthropic.Anthropic) -> None:
    asked = {"model": MODEL, "system": "Be brief.", "messages": [{"role": "user", "content": "hello there"}]}
    answer = claude.messages.create(max_tokens=100, **asked)
    assert (answer.content[0].text, answer.stop_reason) == ("You said: hello there", "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)
    assert claude.messages.count_tokens(**asked).input_tokens == 4
    with claude.messages.stream(max_tokens=100, **asked) as stream:
        assert "".join(stream.text_stream) == "You said: hello there"
        assert stream.get_final_message().usage.output_tokens == 4


def test_messages_call_tools_and_think(address: str, claude: anthropic.Anthropic) -> None:
    script(address, {"reasoning": "it rains", "calls": [{"name": "look_up", "arguments": {"city": "Oslo"}}]})
    tool = {"name": "look_up", "input_schema": TOOL["function"]["parameters"]}
    asked = {"model": MODEL, "max_tokens": 100, "tools": [tool], "messages": HELLO[1:]}
    answer = claude.messages.create(**asked)
    assert [block.type for block in answer.content] == ["thinking", "tool_use"]
    assert (answer.stop_reason, answer.content[1].input) == ("tool_use", {"city": "Oslo"})
    with claude.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert (final.content[0].thinking, final.content[1].input) == ("it rains", {"city": "Oslo"})
    script(address)
    result = {"type": "tool_result", "tool_use_id": final.content[1].id, "content": "rain"}
    turns = [{"role": "assistant", "content": final.content[1:]}, {"role": "user", "content": [result]}]
    told = claude.messages.create(**{**asked, "messages": [*HELLO[1:], *turns]})
    assert told.content[0].text == "The tool has answered: rain"


def test_messages_have_the_shape_that_is_asked_for(claude: anthropic.Anthropic) -> None:
    form = {"type": "json_schema", "schema": TOOL["function"]["parameters"]}
    answer = claude.messages.create(
        model=MODEL, max_tokens=50, messages=HELLO[1:], extra_body={"output_config": {"format": form}}
    )
    assert json.loads(answer.content[0].text) == {"city": "text", "days": 1}


def test_a_stream_of_messages_counts_all_in_the_end(address: str) -> None:
    body = {"model": MODEL, "max_tokens": 50, "stream": True, "messages": HELLO[1:]}
    lines = httpx.post(f"{address}/v1/messages", json=body).text.splitlines()
    last = next(json.loads(line[6:]) for line in lines if line.startswith("data:") and "message_delta" in line)
    assert (last["usage"]["input_tokens"], last["usage"]["output_tokens"]) == (2, 4)


@pytest.mark.parametrize("door", ["chat/completions", "messages"])
def test_a_whole_answer_is_one_piece(address: str, door: str) -> None:
    script(address, {"fault": {"cutAfter": 1}})
    body = {"model": MODEL, "max_tokens": 50, "messages": HELLO[1:]}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{address}/v1/{door}", json=body)
    script(address, {"fault": {"stallAfter": 1}})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/{door}", json=body, timeout=0.5)


@pytest.mark.parametrize(
    ("status", "for_chat", "for_claude"),
    [
        (401, openai.AuthenticationError, anthropic.AuthenticationError),
        (404, openai.NotFoundError, anthropic.NotFoundError),
        (429, openai.RateLimitError, anthropic.RateLimitError),
        (500, openai.InternalServerError, anthropic.InternalServerError),
    ],
)
def test_errors_in_each_dialect(
    address: str, chat: openai.OpenAI, claude: anthropic.Anthropic, status: int, for_chat: type, for_claude: type
) -> None:
    script(address, {"fault": {"status": status, "retryAfterSeconds": 7, "message": "on purpose"}})
    with pytest.raises(for_chat) as refused:
        chat.chat.completions.create(model=MODEL, messages=HELLO)
    assert refused.value.response.headers["retry-after"] == "7"
    assert refused.value.body["message"] == "on purpose"
    with pytest.raises(for_claude) as refused:
        claude.messages.create(model=MODEL, max_tokens=10, messages=HELLO[1:])
    assert refused.value.body["error"]["message"] == "on purpose"


def test_a_rule_is_used_up(address: str, chat: openai.OpenAI) -> None:
    script(address, {"times": 1, "fault": {"status": 503}}, {"contains": "hello", "say": "second"}, {"say": "third"})
    with pytest.raises(openai.InternalServerError):
        chat.chat.completions.create(model=MODEL, messages=HELLO)
    assert chat.chat.completions.create(model=MODEL, messages=HELLO).choices[0].message.content == "second"
    other = chat.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "else"}])
    assert other.choices[0].message.content == "third"


def streamed(chat: openai.OpenAI) -> tuple[str, Exception | None]:
    """What came of a stream, and how it ended."""
    text = ""
    try:
        for chunk in chat.chat.completions.create(model=MODEL, messages=HELLO, stream=True):
            text += chunk.choices[0].delta.content or ""
    except Exception as error:  # noqa: BLE001 - any of the client's errors is the answer
        return text, error
    return text, None


def test_streams_break_as_asked(address: str, chat: openai.OpenAI) -> None:
    script(address, {"fault": {"cutAfter": 3}})
    text, error = streamed(chat)
    assert text == "You said:" and isinstance(error, (openai.APIConnectionError, httpx.RemoteProtocolError))
    script(address, {"fault": {"malformedAfter": 3}})
    text, error = streamed(chat)
    assert text == "You said:" and isinstance(error, json.JSONDecodeError)
    hasty = chat.with_options(timeout=0.5)
    script(address, {"fault": {"stallAfter": 3}})
    text, error = streamed(hasty)
    assert text == "You said:" and isinstance(error, (openai.APITimeoutError, httpx.ReadTimeout))
    script(address, {"fault": {"omitEnd": True}})
    with httpx.stream(
        "POST", f"{address}/v1/chat/completions", json={"model": MODEL, "messages": HELLO, "stream": True}
    ) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert '"finish_reason":"stop"' in lines[-1] and "data: [DONE]" not in lines


def test_silence_slowness_and_cuts(address: str, chat: openai.OpenAI) -> None:
    script(address, {"fault": {"hang": True}})
    with pytest.raises(openai.APITimeoutError):
        chat.with_options(timeout=0.5).chat.completions.create(model=MODEL, messages=HELLO)
    script(address, {"fault": {"cutAfter": 0}})
    with pytest.raises(openai.APIConnectionError):
        chat.chat.completions.create(model=MODEL, messages=HELLO)
    script(address, {"fault": {"delaySeconds": 0.3}})
    begun = time.monotonic()
    assert chat.chat.completions.create(model=MODEL, messages=HELLO).choices[0].finish_reason == "stop"
    assert time.monotonic() - begun >= 0.3
    script(address, {"fault": {"pauseSeconds": 0.05}})
    begun = time.monotonic()
    assert streamed(chat) == ("You said: hello there", None)
    assert time.monotonic() - begun >= 0.25


def test_wrong_counts_and_degraded_words(address: str, chat: openai.OpenAI) -> None:
    script(address, {"usage": {"input": 999, "cacheRead": 900}, "fault": {"degraded": True}})
    answer = chat.chat.completions.create(model=MODEL, messages=HELLO)
    assert (answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens) == (999, 900)
    assert "hello" not in answer.choices[0].message.content
    script(address, {"usage": "none"})
    assert chat.chat.completions.create(model=MODEL, messages=HELLO).usage is None


def test_it_shows_what_reached_it_and_reads_a_file(tmp_path: os.PathLike[str]) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("rules:\n  - {say: from the file}\n")
    with serving("--script", str(file)) as address:
        body = b'{ "model":"m",  "messages":[{"role":"user","content":"x"}] }'
        reply = httpx.post(f"{address}/v1/chat/completions", content=body, headers={"authorization": "Bearer k"})
        assert reply.json()["choices"][0]["message"]["content"] == "from the file"
        seen = httpx.get(f"{address}/scripted/requests").json()["items"][0]
    assert seen["body"].encode() == body and seen["headers"]["authorization"] == "Bearer k"
    file.write_text("rules:\n  - {sya: wrong}\n")
    refused = subprocess.run(
        [BINARY, "mock-model", "--port", "0", "--script", str(file)], capture_output=True, text=True, timeout=30
    )
    assert refused.returncode == 2 and "rules/0/sya" in refused.stderr
