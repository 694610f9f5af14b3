"""Model calls through Reeve, by the providers' own clients: both dialects, across them, and what targets do wrong."""

import json
import time
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from gateway_kit import (
    CLAUDE, FIRST, HELLO, MINI_PRICE, PINNED, SECOND, TOOL, asked, bearer, counted, deadlines, explained, finish_of,
    post, providers, received, record_of, running, script, text_of,
)
from reeve_server import Server, until

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module")
def reeve(main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "main.key").write_text("sk-the-providers-own\n")
    priced = {"price": MINI_PRICE, "deadlines": deadlines(0.5, 0.5)}
    patient = {**priced, "targets": [FIRST, SECOND], "breaker": {"failures": 10}}
    known = providers(main, backup, nobody={"kind": "openai", "baseURL": "http://127.0.0.1:9/v1"})
    known["main"]["apiKeyFile"] = "main.key"
    models = {
        "gpt-4o-mini": {**priced, "tier": "cheap", "targets": [FIRST]},
        "claude": {**priced, "targets": [SECOND]},
        "steady": patient,
        "watched": patient,
        "lost": {"targets": [{"provider": "nobody", "model": PINNED}], "deadlines": deadlines(0.5, 0.5)},
        "free": {"targets": [FIRST], "unpriced": "refuse"},
    }
    with running(folder, {"providers": known, "models": models}) as server:
        yield server


def test_chat_goes_on_as_it_came(chat: openai.OpenAI, main: str) -> None:
    reply = chat.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO, user="ü 1")
    answer = reply.parse()
    assert answer.choices[0].message.content == "You said: hello there"
    assert answer.usage.total_tokens == 8
    assert reply.headers["x-reeve-call"].startswith("call_")
    last = received(main)[-1]
    assert last["body"]["model"] == PINNED and last["body"]["user"] == "ü 1"


def test_bytes_are_the_same_but_for_the_model(reeve: Server, key: str, main: str) -> None:
    body = '{ "messages" : [{"role":"user","content":"h\\u00e9\\n"}],"temperature":1.0, "model":"gpt-4o-mini" , "x":[1e2]}'
    reply = httpx.post(f"{reeve.url}/v1/chat/completions", content=body, headers=bearer(key))
    assert reply.status_code == 200, reply.text
    last = received(main)[-1]
    assert last["text"] == body.replace('"gpt-4o-mini"', f'"{PINNED}"')
    headers = {name.lower(): value for name, value in last["headers"].items()}
    assert headers["authorization"] == "Bearer sk-the-providers-own"
    assert key not in json.dumps(last)


def test_chat_streams_without_usage_nobody_asked_for(chat: openai.OpenAI, main: str) -> None:
    chunks = list(chat.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True))
    assert text_of(chunks) == "You said: hello there"
    assert all(c.choices and c.usage is None for c in chunks)
    assert received(main)[-1]["body"]["stream_options"] == {"include_usage": True}
    told = list(
        chat.chat.completions.create(
            model="gpt-4o-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert told[-1].usage.total_tokens == 8


def test_messages_and_their_stream(claude: anthropic.Anthropic) -> None:
    said = asked("hello there")
    answer = claude.messages.create(model="claude", max_tokens=50, messages=said)
    assert (answer.content[0].text, answer.stop_reason) == ("You said: hello there", "end_turn")
    with claude.messages.stream(model="claude", max_tokens=50, messages=said) as stream:
        assert "".join(stream.text_stream) == "You said: hello there"
    assert claude.messages.count_tokens(model="claude", messages=said).input_tokens == 2
    assert claude.messages.count_tokens(model="gpt-4o-mini", messages=said).input_tokens > 0


def test_responses_and_embeddings(chat: openai.OpenAI) -> None:
    assert chat.responses.create(model="gpt-4o-mini", input="hello there").output_text == "You said: hello there"
    with chat.responses.stream(model="gpt-4o-mini", input="hello there") as stream:
        assert stream.get_final_response().output_text == "You said: hello there"
    assert len(chat.embeddings.create(model="gpt-4o-mini", input=["a", "b"]).data) == 2


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_chat_client_on_an_anthropic_model(chat: openai.OpenAI, backup: str, is_streamed: bool) -> None:
    if is_streamed:
        chunks = list(chat.chat.completions.create(model="claude", messages=HELLO, stream=True))
        text = text_of(chunks)
        assert all(c.usage is None for c in chunks)
    else:
        answer = chat.chat.completions.create(model="claude", messages=HELLO)
        text = answer.choices[0].message.content
        assert answer.usage.total_tokens == 8
    assert text == "You said: hello there"
    last = received(backup)[-1]["body"]
    assert last["model"] == CLAUDE and last["max_tokens"] >= 1000 and last["system"]


def test_tools_cross_the_dialects(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    answer = chat.chat.completions.create(model="claude", messages=HELLO, tools=[TOOL], tool_choice="required")
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"city": "text", "days": 1})
    tool = {"name": "look_up", "input_schema": TOOL["function"]["parameters"]}
    reply = claude.messages.create(
        model="gpt-4o-mini", max_tokens=50, messages=asked("hi"), tools=[tool], tool_choice={"type": "any"}
    )
    assert (reply.stop_reason, reply.content[-1].input) == ("tool_use", {"city": "text", "days": 1})


def test_responses_on_an_anthropic_model(chat: openai.OpenAI) -> None:
    assert chat.responses.create(model="claude", input="hello there").output_text == "You said: hello there"
    with chat.responses.stream(model="claude", input="hello there") as stream:
        assert stream.get_final_response().output_text == "You said: hello there"


def test_what_is_lost_is_named_or_refused(reeve: Server, key: str) -> None:
    body = {"model": "claude", "messages": HELLO, "logit_bias": {"1": 1}}
    reply = post(reeve, key, body)
    assert reply.status_code == 200 and "logit_bias" in reply.headers["x-reeve-dropped"]
    strict = post(reeve, key, body, x_reeve_translation="strict")
    assert (strict.status_code, strict.json()["error"]["param"]) == (400, "logit_bias")


def test_errors_have_the_dialects_own_shape(reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        chat.chat.completions.create(model="none", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError) as missing:
        claude.messages.create(model="none", max_tokens=5, messages=asked("x"))
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(openai.AuthenticationError) as wrong:
        chat.with_options(api_key="nobody").chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(anthropic.AuthenticationError) as stranger:
        claude.with_options(api_key="nobody").messages.create(model="claude", max_tokens=5, messages=[])
    assert stranger.value.body["error"]["type"] == "authentication_error"
    twice = httpx.post(
        f"{reeve.url}/v1/chat/completions", content='{"model":"a","mod\\u0065l":"b"}', headers=bearer(chat.api_key)
    )
    assert twice.status_code == 400


def test_models_are_listed_in_both_shapes(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    assert [m.id for m in chat.models.list()] == ["gpt-4o-mini", "claude", "steady", "watched", "lost", "free"]
    assert [m.id for m in claude.models.list()] == ["gpt-4o-mini", "claude", "steady", "watched", "lost", "free"]
    assert chat.models.retrieve("claude").id == "claude"


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 529}, {"hang": True}, {"cutAfter": 0}, {"status": 401}])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_before_the_first_byte_a_failure_is_invisible(
    chat: openai.OpenAI, main: str, fault: dict, is_streamed: bool
) -> None:
    script(main, {"fault": fault})
    answer = chat.chat.completions.create(model="steady", messages=HELLO, stream=is_streamed)
    if is_streamed:
        assert text_of(answer) == "You said: hello there"
    else:
        assert answer.choices[0].message.content == "You said: hello there"


@pytest.mark.parametrize("fault", [{"cutAfter": 2}, {"stallAfter": 2}, {"omitEnd": True}])
def test_after_the_first_byte_it_is_told(chat: openai.OpenAI, main: str, fault: dict) -> None:
    script(main, {"fault": fault})
    stream = chat.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True)
    if fault == {"omitEnd": True}:
        # A finish reason without [DONE] is a complete answer.
        assert finish_of(stream) == "stop"
        return
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass


@pytest.mark.parametrize("fault", ["cutAfter", "stallAfter"])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude"])
@pytest.mark.parametrize("door", ["chat/completions", "messages"])
def test_what_came_to_its_end_is_whole_however_the_connection_ends(
    reeve: Server, key: str, main: str, backup: str, door: str, model: str, fault: str
) -> None:
    """The provider says that it is done, and then its connection breaks or never ends."""
    body = {"model": model, "messages": asked("hello there"), "stream": True, "max_tokens": 50}
    address, own = (main, "chat/completions") if model == "gpt-4o-mini" else (backup, "messages")
    told = httpx.post(f"{address}/v1/{own}", json={**body, "stream_options": {"include_usage": True}}).text
    script(address, {"fault": {fault: told.count("\n\n")}})
    reply = post(reeve, key, body, door)
    assert "error" not in reply.text and reply.text.rstrip().endswith(
        "[DONE]" if door == "chat/completions" else '{"type":"message_stop"}'
    )
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert (record["status"], [attempt["failure"] for attempt in record["attempts"]]) == ("done", [None])
    assert counted(record) == {"input": 2, "output": 4} and record["usage"]["estimated"] is False


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude"])
def test_counts_of_nothing_are_not_believed(
    reeve: Server, key: str, main: str, backup: str, model: str, is_streamed: bool
) -> None:
    for address in (main, backup):
        script(address, {"usage": {"input": 0, "output": 0}})
    reply = post(reeve, key, {"model": model, "messages": HELLO, "stream": is_streamed})
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert record["usage"]["estimated"] is True
    assert {"input", "output"} == set(counted(record)) and record["cost"]["nanoUSD"] > 0


def test_vectors_are_no_output(reeve: Server, chat: openai.OpenAI, main: str) -> None:
    reply = chat.embeddings.with_raw_response.create(model="gpt-4o-mini", input=["one two", "three"])
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert counted(record) == {"input": 3} and record["cost"]["nanoUSD"] == 3 * 150
    script(main, {"usage": "none"})
    reply = chat.embeddings.with_raw_response.create(model="gpt-4o-mini", input=["one two", "three"])
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert set(counted(record)) == {"input"} and record["usage"]["estimated"] is True


@pytest.mark.parametrize("fault", [{"cutAfter": 2}, {"stallAfter": 2}])
def test_a_message_that_breaks_off_is_told(claude: anthropic.Anthropic, backup: str, fault: dict) -> None:
    script(backup, {"fault": fault})
    with pytest.raises(anthropic.APIError):
        with claude.messages.stream(model="claude", max_tokens=50, messages=asked("hello there you")) as stream:
            for _ in stream:
                pass


def test_a_short_retry_after_is_waited_for(chat: openai.OpenAI, main: str) -> None:
    script(main, {"times": 1, "fault": {"status": 429, "retryAfterSeconds": 1}})
    began = time.monotonic()
    answer = chat.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert answer.choices[0].finish_reason == "stop"
    assert 1 <= time.monotonic() - began < 3


def test_a_providers_error_reaches_a_caller_of_its_dialect(chat: openai.OpenAI, main: str) -> None:
    script(main, {"fault": {"status": 400, "message": "no such voice"}})
    with pytest.raises(openai.BadRequestError, match="no such voice"):
        chat.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    script(main, {"fault": {"status": 401, "message": "sk-the-providers-own is wrong"}})
    with pytest.raises(openai.APIStatusError) as refused:
        chat.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert refused.value.status_code == 502 and "sk-the" not in str(refused.value)


def test_nobody_there(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        chat.chat.completions.create(model="lost", messages=HELLO)
    assert refused.value.status_code == 502


def test_a_model_without_a_price_may_be_kept_from_being_asked(chat: openai.OpenAI, main: str) -> None:
    before = len(received(main))
    with pytest.raises(openai.BadRequestError) as refused:
        chat.chat.completions.create(model="free", messages=HELLO)
    assert refused.value.code == "price_unknown" and len(received(main)) == before


def test_a_client_that_leaves_takes_its_call_along(reeve: Server, key: str, main: str) -> None:
    script(main, {"fault": {"pauseSeconds": 0.3}})
    body = {"model": "gpt-4o-mini", "messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{reeve.url}/v1/chat/completions", json=body, headers=bearer(key)) as reply:
        next(reply.iter_lines())
    script(main)
    assert post(reeve, key, {**body, "stream": False}).is_success


@pytest.mark.parametrize(
    "body, status",
    [
        ("", 400), ("[]", 400), ('{"model":1}', 400), ('{"model":"gpt-4o-mini","stream":"yes"}', 400),
        ('{"model":"gpt-4o-mini","messages":' + "[" * 200 + "]" * 200 + "}", 400), ('{"model":"x"', 400),
        ('{"messages":[]}', 400), ('{"model":"\ud800"}', 400),
    ],
)
def test_hostile_bodies(reeve: Server, key: str, body: str, status: int) -> None:
    for door in ("chat/completions", "messages", "responses", "embeddings"):
        reply = httpx.post(
            f"{reeve.url}/v1/{door}", content=body.encode("utf-8", "surrogatepass"), headers=bearer(key)
        )
        assert reply.status_code in (status, 404), (door, reply.text)
        assert reply.json()["error"]["message"]


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude"])
def test_every_call_leaves_its_record(reeve: Server, chat: openai.OpenAI, model: str, is_streamed: bool) -> None:
    reply = chat.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, stream=is_streamed,
        extra_headers={"x-reeve-task": "task_7", "x-reeve-session": "s-1", "x-reeve-tags": "nightly,eu"},
    )
    if is_streamed:
        list(reply.parse())
    record = record_of(reeve, reply.headers["x-reeve-call"])
    target = {"gpt-4o-mini": f"main/{PINNED}", "claude": f"backup/{CLAUDE}"}[model]
    assert (record["status"], record["agent"], record["target"]) == ("done", "writer", target)
    assert (record["task"], record["session"], record["tags"]) == ("task_7", "s-1", ["nightly", "eu"])
    assert counted(record) == {"input": 4, "output": 4} and record["usage"]["estimated"] is False
    # Four tokens at 150 billionths of a dollar and four at 600.
    assert record["cost"]["nanoUSD"] == 3000
    assert record["stream"] is is_streamed and record["durationMs"] >= 0
    assert (record["ttftMs"] is not None) is is_streamed


def test_a_record_tells_of_every_attempt(reeve: Server, chat: openai.OpenAI, main: str) -> None:
    script(main, {"fault": {"status": 500}})
    reply = chat.chat.completions.with_raw_response.create(model="watched", messages=HELLO)
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert [a["failure"] for a in record["attempts"]] == ["server_error", "server_error", None]
    assert record["target"] == f"backup/{CLAUDE}"
    assert [step["kind"] for step in explained(reeve, record["id"])].count("attempt") == 3


def test_a_stream_that_breaks_costs_what_was_said(reeve: Server, key: str, main: str) -> None:
    script(main, {"say": "word " * 40, "fault": {"cutAfter": 20}})
    reply = post(reeve, key, {"model": "gpt-4o-mini", "messages": HELLO, "stream": True})
    assert '"error"' in reply.text and "[DONE]" not in reply.text
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert record["status"] == "failed" and record["failure"]
    assert record["usage"]["estimated"] is True and record["cost"]["nanoUSD"] > 0


def test_a_call_without_a_price_has_no_cost(reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        chat.chat.completions.create(model="none", messages=HELLO)
    record = record_of(reeve, refused.value.response.headers["x-reeve-call"])
    assert (record["status"], record["cost"], record["httpStatus"]) == ("failed", None, 404)


def test_calls_are_listed_newest_first(reeve: Server, chat: openai.OpenAI) -> None:
    ids = [
        chat.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO).headers["x-reeve-call"]
        for _ in range(3)
    ]
    listed = reeve.api().get("/api/v1/calls?agent=writer&model=gpt-4o-mini&limit=3")["items"]
    assert [item["id"] for item in listed] == ids[::-1]
    costs = until(lambda: reeve.api().get("/api/v1/costs?by=agent")["items"], what="the costs")
    assert costs[0]["agent"] == "writer" if "agent" in costs[0] else costs
