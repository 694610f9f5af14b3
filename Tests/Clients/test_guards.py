"""What stands around a model call: the cache, calls that are the same, runs in circles, input, output, keys."""

import concurrent.futures
import json
import time
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from gateway_kit import (
    CLAUDE, FIRST, HELLO, PINNED, ROUND_PRICE, SECOND, TOOL, arguments_of, asked, bearer, deadlines, explained,
    finish_of, openai_of, post, providers, received, record_of, running, script, text_of,
)
from reeve_server import Server, until

pytestmark = pytest.mark.usefixtures("plain")
SECRET = "sk-ant-" + "Ab1Cd2Ef3Gh4" * 3


@pytest.fixture(scope="module")
def reeve(main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("guards")
    for name in ("platform", "ann", "acme"):
        (folder / name).write_text(f"sk-key-of-{name}\n")
    keys = {
        "users": {"ann": {"apiKeyFile": "ann"}},
        "organisations": {"acme": {"apiKeyFile": "acme", "members": ["bob"]}},
    }
    owned = {"kind": "openai", "baseURL": f"{main}/v1", "apiKeyFile": "platform", "keys": keys}
    common = {"price": ROUND_PRICE, "deadlines": deadlines()}
    clean = {"secrets": True, "personalData": True}
    models = {
        "plain": {"tier": "cheap", "targets": [FIRST]},
        "kept": {"targets": [FIRST], "cache": True},
        "keptclaude": {"targets": [SECOND], "cache": {"scope": "shared", "ttlSeconds": 1}},
        "keptboth": {"targets": [FIRST, SECOND], "cache": True, "retries": 0},
        "single": {"targets": [FIRST], "singleFlight": True},
        "windowed": {"targets": [FIRST], "contextTokens": 100},
        "checked": {"targets": [FIRST], "input": {"refuse": ["DROP\\s+TABLE"], "bodyBytes": 2000, "depth": 8}},
        "clean": {"targets": [FIRST], "output": clean},
        "cleanclaude": {"targets": [SECOND], "output": clean},
        "judged": {
            "targets": [FIRST, SECOND], "breaker": {"openSeconds": 60},
            "quality": {"rules": ["empty", "invalid_json", "refusal", "truncated"], "openBelow": 0.5},
        },
        "owned": {"targets": [{"provider": "owned", "model": PINNED}]},
        "strict": {"targets": [{"provider": "strict", "model": PINNED}]},
        "either": {"targets": [{"provider": "strict", "model": PINNED}, SECOND]},
    }
    settings = {
        "providers": providers(main, backup, owned=owned, strict={**owned, "keyPolicy": "strict_user"}),
        "models": {name: {**common, **model} for name, model in models.items()},
        "loops": {"sameCalls": 5, "sameReplies": 6, "holdSeconds": 3600},
    }
    with running(folder, settings) as server:
        yield server


# The cache


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_same_call_is_answered_from_memory(reeve: Server, key: str, main: str, is_streamed: bool) -> None:
    body = {"model": "kept", "messages": asked(f"keep this {is_streamed}"), "stream": is_streamed}
    first = post(reeve, key, body)
    before = len(received(main))
    # The order of members, and how they are escaped, makes no other call.
    second = post(reeve, key, dict(reversed(body.items())))
    assert (first.headers["x-reeve-cache"], second.headers["x-reeve-cache"]) == ("miss", "hit")
    assert first.content == second.content and first.headers["content-type"] == second.headers["content-type"]
    assert first.headers["x-reeve-call"] != second.headers["x-reeve-call"]
    assert len(received(main)) == before
    miss, hit = (record_of(reeve, reply.headers["x-reeve-call"]) for reply in (first, second))
    assert (miss["cache"], hit["cache"], hit["status"]) == ("miss", "hit", "done")
    assert hit["cost"]["nanoUSD"] == 0 and hit["savedNanoUSD"] == miss["cost"]["nanoUSD"] > 0
    assert hit["attempts"] == [] and sum(hit["usage"]["buckets"].values() or [0]) == 0
    assert any("cache gave that answer" in step["text"] for step in explained(reeve, hit["id"]))


def test_each_sdk_reads_what_was_kept(chat: openai.OpenAI, claude: anthropic.Anthropic, backup: str) -> None:
    for _ in range(2):
        chunks = list(chat.chat.completions.create(model="kept", messages=asked("a stream"), stream=True))
        assert text_of(chunks) == "You said: a stream"
        with chat.responses.stream(model="kept", input="a response") as stream:
            assert stream.get_final_response().output_text == "You said: a response"
        with claude.messages.stream(model="keptclaude", max_tokens=9, messages=asked("a message")) as stream:
            assert stream.get_final_text() == "You said: a message"
        across = chat.chat.completions.create(model="keptclaude", messages=asked("across"))
        assert across.choices[0].message.content == "You said: across"
        assert len(chat.embeddings.create(model="kept", input=["a", "b"]).data) == 2


def test_who_shares_answers(reeve: Server, key: str, main: str) -> None:
    other = reeve.make_agent("another").key
    body = {"model": "kept", "messages": asked("whose")}
    assert [post(reeve, k, body).headers["x-reeve-cache"] for k in (key, other, key)] == ["miss", "miss", "hit"]
    body = {"model": "keptclaude", "messages": asked("ours")}
    assert [post(reeve, k, body).headers["x-reeve-cache"] for k in (key, other)] == ["miss", "hit"]
    # After a second it is forgotten.
    until(lambda: post(reeve, other, body).headers["x-reeve-cache"] == "miss", what="the end of its time")


def test_what_is_not_kept(reeve: Server, key: str, main: str, backup: str) -> None:
    def verdicts(body: dict, **headers: str) -> list[str]:
        return [post(reeve, key, body, **headers).headers["x-reeve-cache"] for _ in range(2)]

    plain = {"model": "kept", "messages": asked("fresh")}
    assert verdicts(plain, cache_control="no-cache") == ["miss", "miss"]
    # What was asked anew is kept for the next one.
    assert verdicts(plain) == ["hit", "hit"]
    assert verdicts({**plain, "messages": asked("secret")}, cache_control="no-store") == ["miss", "miss"]
    assert verdicts({**plain, "messages": asked("secret")}) == ["miss", "hit"]
    searching = {**plain, "tools": [{"type": "web_search"}]}
    assert verdicts(searching) == ["miss", "miss"]
    assert verdicts({**plain, "tools": [TOOL]}) == ["miss", "hit"]
    script(main, {"fault": {"status": 500}})
    assert verdicts({**plain, "messages": asked("an error")}) == ["miss", "miss"]
    # What another target than the first said is not the model's answer.
    assert verdicts({"model": "keptboth", "messages": asked("fallback")}) == ["miss", "miss"]
    script(main, {"say": "one two three", "fault": {"cutAfter": 3}})
    broken = {**plain, "messages": asked("broken"), "stream": True}
    assert verdicts(broken) == ["miss", "miss"]


# Calls that are the same


@pytest.mark.parametrize("is_streamed", [False, True])
def test_calls_that_are_the_same_are_made_once(reeve: Server, key: str, main: str, is_streamed: bool) -> None:
    script(main, {"fault": {"delaySeconds": 0.7}})
    body = {"model": "single", "messages": asked(f"all at once {is_streamed}"), "stream": is_streamed}
    before = len(received(main))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: post(reeve, key, body), range(6)))
    assert len({reply.content for reply in replies}) == 1 and all(r.status_code == 200 for r in replies)
    assert len(received(main)) == before + 1
    records = [record_of(reeve, reply.headers["x-reeve-call"]) for reply in replies]
    assert sorted(str(record["cache"]) for record in records) == ["None"] + ["shared"] * 5
    assert sum(record["cost"]["nanoUSD"] for record in records) == max(r["savedNanoUSD"] for r in records)
    # It is no cache: the next one asks again.
    post(reeve, key, body)
    assert len(received(main)) == before + 2


def test_who_followed_a_failure_goes_on_by_itself(reeve: Server, key: str, main: str) -> None:
    script(main, {"times": 1, "fault": {"status": 400, "message": "no", "delaySeconds": 0.7}})
    body = {"model": "single", "messages": asked("failing")}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        statuses = sorted(r.status_code for r in pool.map(lambda _: post(reeve, key, body), range(3)))
    assert statuses == [200, 200, 400]
    # A leader that leaves is no answer either.
    script(main, {"times": 1, "fault": {"delaySeconds": 5}})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        leader = pool.submit(post, reeve, key, {**body, "user": "x"}, timeout=0.8)
        time.sleep(0.3)
        follower = pool.submit(post, reeve, key, {**body, "user": "x"})
        with pytest.raises(httpx.ReadTimeout):
            leader.result()
        assert follower.result().status_code == 200


# Runs in circles


def test_a_run_that_repeats_itself_is_held(reeve: Server, key: str, main: str) -> None:
    chat = openai_of(reeve, key).with_options(default_headers={"x-reeve-session": "circle"}, max_retries=2)
    since = reeve.api().last_seq()
    before = len(received(main))
    for _ in range(4):
        chat.chat.completions.create(model="plain", messages=HELLO)
    with pytest.raises(openai.RateLimitError, match="same call 5 times") as held:
        chat.chat.completions.create(model="plain", messages=HELLO)
    assert held.value.code == "loop_detected" and int(held.value.response.headers["retry-after"]) > 3000
    # The SDK does not hammer, and nothing was asked.
    assert len(received(main)) == before + 4
    with pytest.raises(openai.RateLimitError):
        chat.chat.completions.create(model="plain", messages=asked("something else"))
    # Another session goes on.
    chat.with_options(default_headers={"x-reeve-session": "straight"}).chat.completions.create(
        model="plain", messages=HELLO
    )
    hold = next(h for h in reeve.api().get("/api/v1/loops")["items"] if h["session"] == "circle")
    assert (hold["agent"], hold["cause"], hold["count"], hold["limit"]) == ("writer", "same_calls", 5, 5)
    event = until(
        lambda: [e for e in reeve.api().events(since) if e["type"] == "model.loop_detected"], what="the event"
    )
    assert len(event) == 1 and event[0]["data"]["id"] == hold["id"] and event[0]["agent"] == "writer"
    record = record_of(reeve, held.value.response.headers["x-reeve-call"])
    assert (record["status"], record["failure"], record["httpStatus"]) == ("failed", "loop_detected", 429)
    assert reeve.api(key).send("POST", f"/api/v1/loops/{hold['id']}/release").status_code == 403
    reeve.api().post(f"/api/v1/loops/{hold['id']}/release")
    chat.chat.completions.create(model="plain", messages=HELLO)
    assert reeve.api().refused("POST", f"/api/v1/loops/{hold['id']}/release", status=404)
    assert [e["type"] for e in reeve.api().events(since) if "loop" in e["type"]] == [
        "model.loop_detected", "model.loop_released",
    ]


def test_answers_that_say_nothing_new(reeve: Server, claude: anthropic.Anthropic, main: str) -> None:
    script(main, {"say": "I will try again."})
    run = claude.with_options(default_headers={"x-reeve-task": "task_7"})
    for turn in range(6):
        with run.messages.stream(model="plain", max_tokens=20, messages=asked(f"turn {turn}")) as stream:
            assert stream.get_final_text() == "I will try again."
    with pytest.raises(anthropic.RateLimitError, match="all said the same") as held:
        run.messages.create(model="plain", max_tokens=20, messages=asked("turn 7"))
    assert held.value.body["error"]["type"] == "rate_limit_error"
    assert next(h for h in reeve.api().get("/api/v1/loops")["items"] if h["task"] == "task_7")["turns"] == 6


def test_calls_beside_one_another_are_no_loop(reeve: Server, key: str, main: str) -> None:
    script(main, {"fault": {"delaySeconds": 0.5}})
    body = {"model": "plain", "messages": asked("all of you")}
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: post(reeve, key, body, x_reeve_session="storm"), range(12)))
    assert [reply.status_code for reply in replies] == [200] * 12
    # Nor is anything without a name.
    script(main)
    assert [post(reeve, key, body).status_code for _ in range(12)] == [200] * 12


def test_how_full_the_window_is(reeve: Server, key: str) -> None:
    contexts = []
    for turn in range(1, 4):
        reply = post(reeve, key, {"model": "windowed", "messages": asked(("word " * 10 * turn).strip())}, x_reeve_session="w")
        contexts.append(record_of(reeve, reply.headers["x-reeve-call"])["context"])
    assert [c["utilization"] for c in contexts] == [0.1, 0.2, 0.3]
    assert (contexts[0]["turnsLeft"], contexts[2]["growthPerTurn"], contexts[2]["turnsLeft"]) == (None, 10, 7)


# Input and output


def test_what_may_not_be_sent(reeve: Server, chat: openai.OpenAI, key: str, main: str) -> None:
    before = len(received(main))
    for text in ("please DROP   TABLE users", "\u0044ROP TABLE"):
        with pytest.raises(openai.BadRequestError, match="input/refuse/0") as refused:
            chat.chat.completions.create(model="checked", messages=asked(text))
        assert refused.value.code == "input_refused" and "DROP" not in str(refused.value)
    hidden = '{"model":"checked","messages":[{"role":"user","content":"\\u0044ROP TABLE x"}]}'
    reply = httpx.post(f"{reeve.url}/v1/chat/completions", content=hidden, headers=bearer(key))
    assert reply.status_code == 400
    assert post(reeve, key, {"model": "checked", "messages": asked("x" * 3000)}).status_code == 413
    deep: object = 1
    for _ in range(10):
        deep = [deep]
    assert post(reeve, key, {"model": "checked", "messages": HELLO, "metadata": deep}).status_code == 400
    assert len(received(main)) == before
    assert chat.chat.completions.create(model="checked", messages=asked("drop a table")).choices


LEAK = f"the key is {SECRET} and mail goes to ann@example.com, as said"
CLEAN = "the key is [redacted:anthropic_key] and mail goes to [redacted:email], as said"


@pytest.mark.parametrize("model", ["clean", "cleanclaude"])
def test_secrets_stay_here(
    reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic, main: str, backup: str, model: str
) -> None:
    for address in (main, backup):
        script(address, {"say": LEAK, "reasoning": f"hm {SECRET}"})
    answer = chat.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    assert answer.parse().choices[0].message.content == CLEAN and SECRET not in answer.text
    assert record_of(reeve, answer.headers["x-reeve-call"])["redacted"] == {"anthropic_key": 2, "email": 1}
    chunks = list(chat.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert text_of(chunks) == CLEAN
    assert finish_of(chunks) == "stop"
    assert SECRET not in "".join(c.to_json() for c in chunks)
    with claude.messages.stream(model=model, max_tokens=99, messages=asked("hello")) as stream:
        message = stream.get_final_message()
    assert [block.text for block in message.content if block.type == "text"] == [CLEAN]
    assert SECRET not in message.to_json()
    numbers = []
    with chat.responses.stream(model=model, input="hello") as stream:
        for event in stream:
            numbers.append(event.sequence_number)
            assert SECRET not in event.to_json()
        assert stream.get_final_response().output_text == CLEAN
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_secret_that_ends_a_stream(chat: openai.OpenAI, claude: anthropic.Anthropic, main: str, backup: str) -> None:
    for address in (main, backup):
        script(address, {"say": f"here: {SECRET}"})
    for model in ("clean", "cleanclaude"):
        chunks = list(chat.chat.completions.create(model=model, messages=HELLO, stream=True))
        assert text_of(chunks) == "here: [redacted:anthropic_key]"
        with claude.messages.stream(model=model, max_tokens=99, messages=asked("hello")) as stream:
            assert stream.get_final_text() == "here: [redacted:anthropic_key]"


def test_arguments_are_cleaned_and_whole_answers_stay_as_they_were(
    reeve: Server, key: str, chat: openai.OpenAI, main: str
) -> None:
    script(main, {"calls": [{"name": "look_up", "arguments": {"city": SECRET, "days": 1}}]})
    for is_streamed in (False, True):
        answer = chat.chat.completions.create(model="clean", messages=HELLO, tools=[TOOL], stream=is_streamed)
        if is_streamed:
            arguments = arguments_of(answer)
        else:
            arguments = answer.choices[0].message.tool_calls[0].function.arguments
        assert json.loads(arguments) == {"city": "[redacted:anthropic_key]", "days": 1}
    script(main, {"say": "nothing to hide"})
    mine = post(reeve, key, {"model": "clean", "messages": HELLO})
    direct = httpx.post(f"{main}/v1/chat/completions", json={"model": PINNED, "messages": HELLO})
    same = {"id": None, "created": None}
    assert {**mine.json(), **same} == {**direct.json(), **same} and len(mine.content) == len(direct.content)


def test_answers_are_judged(reeve: Server, chat: openai.OpenAI, main: str, backup: str) -> None:
    def judged(**more: object) -> dict:
        reply = chat.chat.completions.with_raw_response.create(model="judged", messages=HELLO, **more)
        if more.get("stream"):
            list(reply.parse())
        return record_of(reeve, reply.headers["x-reeve-call"])

    assert judged()["quality"] == {"score": 1, "failed": []}
    script(main, {"say": "no json"})
    assert judged(response_format={"type": "json_object"})["quality"] == {"score": 0, "failed": ["invalid_json"]}
    assert judged(max_tokens=1)["quality"]["failed"] == ["truncated"]
    script(main, {"say": ""})
    assert judged(stream=True)["quality"]["failed"] == ["empty"]
    # When half of the last ones were bad the target is left alone.
    for _ in range(10):
        last = judged()
        if last["target"] == f"backup/{CLAUDE}":
            break
    assert last["target"] == f"backup/{CLAUDE}" and last["quality"]["score"] == 1


# Keys and tiers


def test_whose_key_a_call_goes_out_with(reeve: Server, main: str) -> None:
    def sent(agent: str, model: str) -> tuple[str, dict]:
        key = reeve.make_agent(agent).key
        reply = post(reeve, key, {"model": model, "messages": HELLO})
        assert reply.status_code == 200, reply.text
        headers = {name.lower(): value for name, value in received(main)[-1]["headers"].items()}
        return headers.get("authorization", ""), record_of(reeve, reply.headers["x-reeve-call"])["keys"]

    assert sent("ann", "owned") == ("Bearer sk-key-of-ann", {f"owned/{PINNED}": "user:ann"})
    assert sent("bob", "owned") == ("Bearer sk-key-of-acme", {f"owned/{PINNED}": "organisation:acme"})
    assert sent("cid", "owned") == ("Bearer sk-key-of-platform", {f"owned/{PINNED}": "platform"})
    assert sent("ann", "strict") == ("Bearer sk-key-of-ann", {f"strict/{PINNED}": "user:ann"})
    before = len(received(main))
    reply = post(reeve, reeve.make_agent("dan").key, {"model": "strict", "messages": HELLO})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "provider_key_missing")
    # Another provider may do without.
    reply = post(reeve, reeve.make_agent("eve").key, {"model": "either", "messages": HELLO})
    assert reply.status_code == 200 and len(received(main)) == before
    record = record_of(reeve, reply.headers["x-reeve-call"])
    assert record["keys"][f"strict/{PINNED}"] == "refused" and "sk-key" not in json.dumps(record)


def test_a_tier_may_be_asked_for(reeve: Server, chat: openai.OpenAI) -> None:
    for name in ("tier:cheap", "cheap"):
        reply = chat.chat.completions.with_raw_response.create(model=name, messages=HELLO)
        record = record_of(reeve, reply.headers["x-reeve-call"])
        asked = (record["asked"], record["model"], record["tier"], record["target"])
        assert asked == (name, "plain", "cheap", f"main/{PINNED}")
    for name in ("tier:premium", "tier:", "tier:nothing"):
        with pytest.raises(openai.NotFoundError):
            chat.chat.completions.create(model=name, messages=HELLO)


# Kills


@pytest.mark.parametrize("what", ["task", "agent"])
def test_a_kill_stops_the_streams(reeve: Server, main: str, what: str) -> None:
    agent = reeve.make_agent(f"doomed-{what}")
    script(main, {"say": "word " * 200, "fault": {"pauseSeconds": 0.05}})
    agent.claim_all("nothing")
    task = reeve.api().create("doom")
    chat = openai_of(reeve, agent.key).with_options(default_headers={"x-reeve-task": task["id"]}, max_retries=2)
    stream = chat.chat.completions.create(model="plain", messages=HELLO, stream=True)
    call = stream.response.headers["x-reeve-call"]
    next(stream)
    if what == "task":
        reeve.api().post(f"/api/v1/tasks/{task['id']}/cancel")
    else:
        reeve.api().post(f"/api/v1/agents/{agent.agent}/quarantine", {"reason": "it went mad"})
    began = time.monotonic()
    with pytest.raises(openai.APIError, match="stopped"):
        for _ in stream:
            pass
    assert time.monotonic() - began < 1
    record = record_of(reeve, call)
    assert (record["status"], record["failure"]) == ("canceled", "call_stopped")
    assert record["usage"]["estimated"] is True and record["cost"]["nanoUSD"] > 0
