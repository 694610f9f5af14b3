"""What becomes of a stream that breaks, of a client that leaves, and of calls that a provider's limits hold up."""

import concurrent.futures
import json
import time
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from gateway_kit import (
    CLAUDE, HELLO, PINNED, ROUND_PRICE, TOOL, arguments_of, asked, bearer, deadlines, explained, finish_of, post,
    providers, received, record_of, running, script, text_of,
)
from reeve_server import Server, until

pytestmark = pytest.mark.usefixtures("plain")
SAID = "one two three four five six seven eight"
OTHER = "claude-sonnet-4-5-20250929"


@pytest.fixture(scope="module")
def reeve(main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    plain = {
        "price": ROUND_PRICE, "deadlines": deadlines(2, 0.5), "breaker": {"failures": 10, "callsMin": 10000},
    }

    def target(provider: str, model: str, **more: object) -> dict:
        return {"provider": provider, "model": model, **more}

    known = providers(
        main, backup, second={"kind": "openai", "baseURL": f"{backup}/v1"},
        first={"kind": "anthropic", "baseURL": main},
    )
    models = {
        "across": {"targets": [target("main", PINNED), target("backup", CLAUDE)], "continuation": True},
        "same": {"targets": [target("main", PINNED), target("second", PINNED)], "continuation": True},
        "claudes": {"targets": [target("first", CLAUDE), target("backup", OTHER)], "continuation": True},
        "mixed": {"targets": [target("first", CLAUDE), target("second", PINNED)], "continuation": True},
        "prefilled": {
            "targets": [target("main", PINNED), target("backup", CLAUDE, prefill=True)], "continuation": True,
        },
        "alone": {"targets": [target("main", PINNED)], "continuation": True},
        "drained": {"targets": [target("main", PINNED)], "disconnect": "drain"},
        "dropped": {"targets": [target("main", PINNED)]},
        "capped": {"targets": [target("main", PINNED)], "disconnect": {"drainUpTo": 0.0001}},
        "paced": {"targets": [target("main", PINNED), target("second", PINNED)]},
        "queued": {"targets": [target("main", PINNED)], "queue": {"calls": 2, "waitSeconds": 6}},
        "claudequeued": {"targets": [target("first", CLAUDE)]},
    }
    settings = {"providers": known, "models": {name: {**plain, **model} for name, model in models.items()}}
    with running(tmp_path_factory.mktemp("continuation"), settings) as server:
        yield server


@pytest.fixture(autouse=True)
def well(plain: None, chat: openai.OpenAI, request: pytest.FixtureRequest) -> None:
    """No breaker is near its opening."""
    for model in ("across", "same", "claudes", "mixed", "prefilled", "alone"):
        if "goes_on" in request.node.name or "error" in request.node.name:
            chat.chat.completions.create(model=model, messages=HELLO)


def chatted(chat: openai.OpenAI, model: str, **more: object) -> tuple[str, list]:
    chunks = list(chat.chat.completions.create(model=model, messages=HELLO, stream=True, **more))
    return text_of(chunks), chunks


@pytest.mark.parametrize("model", ["across", "same", "mixed", "claudes"])
@pytest.mark.parametrize("cut", [{"cutAfter": n} for n in range(2, 10)] + [{"stallAfter": 4}])
def test_a_chat_stream_goes_on(chat: openai.OpenAI, main: str, backup: str, model: str, cut: dict) -> None:
    script(main, {"say": SAID, "fault": cut})
    script(backup, {"say": SAID})
    before = len(received(main))
    text, chunks = chatted(chat, model)
    assert text == SAID and len(received(main)) == before + 1
    assert finish_of(chunks) == "stop"
    assert len({c.id for c in chunks}) == 1 and all(c.usage is None for c in chunks)
    # The other target was asked the same, where the first had not said all.
    assert cut.get("cutAfter", 0) > 8 or received(backup)[-1]["body"]["stream"] is True


@pytest.mark.parametrize("model", ["across", "same", "mixed", "claudes"])
@pytest.mark.parametrize("cut", range(2, 12))
def test_a_message_goes_on(
    claude: anthropic.Anthropic, main: str, backup: str, model: str, cut: int
) -> None:
    script(main, {"say": SAID, "reasoning": "hm well", "fault": {"cutAfter": cut}})
    script(backup, {"say": SAID, "reasoning": "hm well"})
    with claude.messages.stream(model=model, max_tokens=50, messages=asked("hello")) as stream:
        message = stream.get_final_message()
    assert "".join(block.text for block in message.content if block.type == "text") == SAID
    assert "".join(block.thinking for block in message.content if block.type == "thinking") == "hm well"
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("model", ["across", "same", "mixed", "claudes"])
@pytest.mark.parametrize("cut", range(2, 12))
def test_a_response_goes_on(chat: openai.OpenAI, main: str, backup: str, model: str, cut: int) -> None:
    script(main, {"say": SAID, "fault": {"cutAfter": cut}})
    script(backup, {"say": SAID})
    numbers = []
    with chat.responses.stream(model=model, input="hello") as stream:
        for event in stream:
            numbers.append(event.sequence_number)
        final = stream.get_final_response()
    assert final.output_text == SAID and final.status == "completed"
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [item.type for item in final.output] == ["message"]


@pytest.mark.parametrize("model", ["across", "same", "mixed"])
@pytest.mark.parametrize("cut", range(2, 5))
def test_calls_of_tools_go_on(chat: openai.OpenAI, main: str, backup: str, model: str, cut: int) -> None:
    script(main, {"fault": {"cutAfter": cut}})
    chunks = chatted(chat, model, tools=[TOOL], tool_choice="required")[1]
    pieces = [call for c in chunks if c.choices for call in c.choices[0].delta.tool_calls or []]
    assert [piece.function.name for piece in pieces if piece.function.name] == ["look_up"]
    assert json.loads(arguments_of(chunks)) == {"city": "text", "days": 1}
    assert finish_of(chunks) == "tool_calls"


def test_another_answer_ends_in_an_error(chat: openai.OpenAI, claude: anthropic.Anthropic, main: str, backup: str) -> None:
    script(main, {"say": SAID, "fault": {"cutAfter": 4}})
    script(backup, {"say": "something else altogether"})
    seen = []
    with pytest.raises(openai.APIError, match="differs"):
        for chunk in chat.chat.completions.create(model="across", messages=HELLO, stream=True):
            seen.append(chunk.choices[0].delta.content or "")
    assert SAID.startswith("".join(seen)) and "something" not in "".join(seen)
    with pytest.raises(anthropic.APIError):
        with claude.messages.stream(model="claudes", max_tokens=50, messages=asked("hello")) as stream:
            for _ in stream:
                pass
    script(backup, {"say": "one two"})
    with pytest.raises(openai.APIError, match="differs"):
        chatted(chat, "same")


def test_where_nobody_is_left_it_ends_in_an_error(chat: openai.OpenAI, main: str, backup: str) -> None:
    script(main, {"say": SAID, "fault": {"cutAfter": 4}})
    script(backup, {"fault": {"status": 500}})
    for model in ("alone", "same", "across"):
        with pytest.raises(openai.APIError):
            chatted(chat, model)


def test_both_attempts_are_booked(reeve: Server, chat: openai.OpenAI, main: str, backup: str) -> None:
    script(main, {"say": SAID, "fault": {"cutAfter": 5}})
    script(backup, {"say": SAID})
    reply = chat.chat.completions.with_raw_response.create(model="same", messages=HELLO, stream=True)
    list(reply.parse())
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert [a["failure"] for a in record["attempts"]] == ["cut", None]
    assert (record["status"], record["target"]) == ("done", f"second/{PINNED}")
    # The second alone used 4 and 8 tokens.
    assert record["usage"]["buckets"]["input"] > 4 and record["usage"]["buckets"]["output"] > 8
    assert record["usage"]["estimated"] is True and record["cost"]["nanoUSD"] > 4 * 1000 + 8 * 2000
    assert any("goes on with the stream" in step["text"] for step in explained(reeve, record["id"]))


def test_a_target_that_goes_on_is_given_the_beginning(chat: openai.OpenAI, main: str, backup: str) -> None:
    script(main, {"say": SAID, "fault": {"cutAfter": 4}})
    script(backup, {"say": " and the rest"})
    text = chatted(chat, "prefilled")[0]
    begun = received(backup)[-1]["body"]["messages"][-1]
    assert begun["role"] == "assistant"
    given = begun["content"] if isinstance(begun["content"], str) else begun["content"][0]["text"]
    assert SAID.startswith(given) and given == given.rstrip()
    assert text == given + " and the rest"


def leaves(reeve: Server, key: str, model: str, is_streamed: bool = True, **more: object) -> str:
    """Asks, and hangs up after the first line; the call's id."""
    body = {"model": model, "messages": HELLO, "stream": is_streamed, **more}
    if is_streamed:
        headers = bearer(key, x_reeve_tags=model)
        with httpx.stream("POST", f"{reeve.url}/v1/chat/completions", json=body, headers=headers) as reply:
            next(reply.iter_lines())
            return reply.headers["x-reeve-call"]
    before = {c["id"] for c in reeve.api().get(f"/api/v1/calls?model={model}&limit=200")["items"]}
    with pytest.raises(httpx.ReadTimeout):
        post(reeve, key, body, timeout=0.3, x_reeve_tags=model)
    return until(
        lambda: [
            c["id"]
            for c in reeve.api().get(f"/api/v1/calls?model={model}&limit=200")["items"]
            if c["id"] not in before
        ],
        what="the call",
    )[0]


def test_who_leaves_takes_the_call_along_or_not(reeve: Server, key: str, main: str) -> None:
    script(main, {"say": SAID, "fault": {"pauseSeconds": 0.1}})
    record = record_of(reeve, leaves(reeve, key, "dropped"))
    assert (record["status"], record["failure"]) == ("canceled", "client_left")
    assert record["usage"]["estimated"] is True and record["durationMs"] < 700
    record = record_of(reeve, leaves(reeve, key, "drained"))
    assert (record["status"], record["failure"]) == ("canceled", "client_left")
    # It was read to its end, where the provider tells the usage.
    assert record["usage"]["estimated"] is False and record["usage"]["buckets"]["output"] == 8
    assert record["durationMs"] > 700


def test_a_call_is_read_on_up_to_an_amount(reeve: Server, key: str, main: str) -> None:
    # Two dollars a million: the cap of 100 microdollars are about 50 tokens with those of the input.
    script(main, {"say": SAID, "fault": {"pauseSeconds": 0.1}})
    short = record_of(reeve, leaves(reeve, key, "capped"))
    script(main, {"say": "word " * 400, "fault": {"pauseSeconds": 0.02}})
    long = record_of(reeve, leaves(reeve, key, "capped"))
    assert long["status"] == "canceled" and long["usage"]["estimated"] is True
    assert 50_000 < long["cost"]["nanoUSD"] < 400_000
    assert long["usage"]["buckets"]["output"] < 200
    assert short["status"] == "canceled"


def test_a_whole_answer_is_drained_where_its_bound_allows(reeve: Server, key: str, main: str) -> None:
    script(main, {"say": SAID, "fault": {"delaySeconds": 0.8}})
    record = record_of(reeve, leaves(reeve, key, "capped", is_streamed=False, max_tokens=5000))
    assert record["status"] == "canceled" and record["durationMs"] < 700
    record = record_of(reeve, leaves(reeve, key, "capped", is_streamed=False, max_tokens=10))
    assert record["status"] == "canceled" and record["usage"]["buckets"]["output"] == 8
    assert record["durationMs"] >= 800


def limits(kind: str, limit: int, remaining: int, reset: str) -> dict:
    return {
        f"x-ratelimit-limit-{kind}": str(limit), f"x-ratelimit-remaining-{kind}": str(remaining),
        f"x-ratelimit-reset-{kind}": reset,
    }


def test_used_up_limits_lead_to_the_next_target(chat: openai.OpenAI, main: str, backup: str) -> None:
    script(main, {"say": "main", "headers": limits("requests", 2, 0, "120s")})
    script(backup, {"say": "second"})
    said = [chat.chat.completions.create(model="paced", messages=HELLO).choices[0].message.content for _ in range(3)]
    assert said == ["main", "second", "second"]


def test_where_there_is_none_calls_wait_in_line(
    reeve: Server, chat: openai.OpenAI, key: str, main: str
) -> None:
    # One in two seconds; none is left.
    script(main, {"headers": limits("requests", 20, 0, "40s"), "times": 1}, {"say": "late"})
    chat.chat.completions.create(model="queued", messages=HELLO)
    done: list[tuple[int, float]] = []

    def ask(number: int) -> int:
        reply = post(reeve, key, {"model": "queued", "messages": HELLO}, x_reeve_tags=f"n{number}")
        done.append((number, time.monotonic()))
        if reply.status_code == 429:
            assert int(reply.headers["retry-after"]) >= 1 and reply.json()["error"]["type"] == "rate_limit_error"
        return reply.status_code

    before = len(received(main))
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        began = time.monotonic()
        asking = []
        for number in range(5):
            asking.append(pool.submit(ask, number))
            # The first two come one behind the other; all have to be there before one is answered.
            if number < 2:
                time.sleep(0.2)
        statuses = [future.result() for future in asking]
    # Two wait, in their order, and are answered; for the others there is no room.
    assert statuses == [200, 200, 429, 429, 429]
    order = [number for number, at in sorted(done, key=lambda entry: entry[1])]
    assert order[-2:] == [0, 1] and len(received(main)) == before + 2
    assert 3 < done[-1][1] - began < 6


def test_anthropics_limits_are_read_too(claude: anthropic.Anthropic, main: str) -> None:
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    headers = {
        "anthropic-ratelimit-input-tokens-limit": "6000", "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": reset,
    }
    script(main, {"headers": headers, "times": 1})
    said = asked("hello there " * 60)
    claude.messages.create(model="claudequeued", max_tokens=5, messages=said)
    began = time.monotonic()
    claude.messages.create(model="claudequeued", max_tokens=5, messages=said)
    assert 1 < time.monotonic() - began < 5


def test_who_waits_in_line_may_leave(reeve: Server, chat: openai.OpenAI, key: str, main: str) -> None:
    script(main, {"headers": limits("requests", 30, 0, "60s"), "times": 1})
    until(lambda: chat.chat.completions.create(model="queued", messages=HELLO), what="an answer")
    before = len(received(main))
    with pytest.raises(httpx.ReadTimeout):
        post(reeve, key, {"model": "queued", "messages": HELLO}, timeout=0.2)
    chat.chat.completions.create(model="queued", messages=HELLO)
    assert len(received(main)) == before + 1
