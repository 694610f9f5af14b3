"""Calls for embeddings that are sent as one: order, money, errors, and who leaves."""

import base64
import concurrent.futures
import struct
import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from gateway_kit import (
    PINNED, ROUND_PRICE, bearer, deadlines, explained, openai_of, post, providers, received, record_of, running, script,
)
from reeve_server import ENGINES, Server, until

pytestmark = pytest.mark.usefixtures("plain")
TARGET = {"provider": "main", "model": PINNED}
COST = 1000  # nano-dollars a token


@pytest.fixture(scope="module", params=ENGINES)
def reeve(request, main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    plain = {"targets": [TARGET], "price": ROUND_PRICE, "deadlines": deadlines(8, 8, 20), "retries": 0}

    def until_full(inputs: int, wait: int = 10_000) -> dict:
        return {**plain, "embeddingBatch": {"maxInputs": inputs, "maxWaitMs": wait}}

    models = {
        "joined": until_full(64, 200),
        "alone": plain,
        "patient": until_full(64, 2000),
        "alike": until_full(2, 2000),
        **{f"full-{inputs}": until_full(inputs) for inputs in (2, 3, 4, 5, 9, 64)},
        "kept": {**plain, "embeddingBatch": {"maxWaitMs": 200}, "cache": True},
    }
    with running(
        tmp_path_factory.mktemp("embeddings"), {"providers": providers(main, backup), "models": models}, request.param
    ) as server:
        yield server


@pytest.fixture
def asker(reeve: Server, name: str):
    agent = reeve.make_agent(f"asker-{name}")
    agent.client = openai_of(reeve, agent.key)
    agent.embed = lambda *inputs, model="joined", **more: agent.client.embeddings.with_raw_response.create(
        model=model, input=inputs[0] if len(inputs) == 1 else list(inputs), **more
    )
    return agent


def together(*works):
    with concurrent.futures.ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def asked(main: str, before: int = 0) -> list[dict]:
    return [item["body"] for item in received(main)[before:]]


def vectors(client: openai.OpenAI, texts: list[str]) -> dict[str, list[float]]:
    """What each text is by itself."""
    reply = client.embeddings.create(model="alone", input=texts)
    return {text: item.embedding for text, item in zip(texts, reply.data)}


def tokens(client: openai.OpenAI, texts: list[str]) -> int:
    """What the provider counts for all of them."""
    return client.embeddings.create(model="alone", input=texts).usage.prompt_tokens


def test_a_hundred_calls_get_their_own_vectors_and_pay_what_was_used(reeve: Server, asker, main: str) -> None:
    texts = [f"text number {n} " + "more " * (n % 7) for n in range(100)]
    expected = vectors(asker.client, texts)
    before = len(received(main))
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(asker.embed, texts))
    for text, reply in zip(texts, replies):
        parsed = reply.parse()
        assert [item.index for item in parsed.data] == [0] and parsed.data[0].embedding == expected[text]
        assert parsed.usage.prompt_tokens == parsed.usage.total_tokens > 0
    sent = asked(main, before)
    assert len(sent) < 50
    assert sorted(text for body in sent for text in (
        [body["input"]] if isinstance(body["input"], str) else body["input"]
    )) == sorted(texts)
    records = [record_of(reeve, reply.headers["x-reeve-call"]) for reply in replies]
    assert len({record["id"] for record in records}) == 100
    assert all(record["status"] == "done" and record["door"] == "openai.embeddings" for record in records)
    whole = tokens(asker.client, texts)
    assert sum(record["usage"]["buckets"]["input"] for record in records) == whole
    assert sum(record["cost"]["nanoUSD"] for record in records) == whole * COST
    assert sum(reply.parse().usage.prompt_tokens for reply in replies) == whole
    for record in records:
        assert record["cost"]["nanoUSD"] == record["usage"]["buckets"]["input"] * COST
        assert record["usage"]["estimated"] is ("batch" in record)
        assert [a["costNanoUSD"] for a in record["attempts"]] == [record["cost"]["nanoUSD"]]

    def summed() -> bool:
        rows = reeve.api().get(f"/api/v1/costs?by=model&agent={asker.agent}")["items"]
        return {row["name"]: row["nanoUSD"] for row in rows}.get("joined") == whole * COST

    until(summed, what="the sums")


def test_lists_of_inputs_stay_in_their_order(reeve: Server, asker, main: str) -> None:
    texts = [f"a{n}" for n in range(9)]
    expected = vectors(asker.client, texts)
    before = len(received(main))
    lists = [texts[0:3], texts[3:4], texts[4:9]]
    replies = together(*[lambda part=part: asker.embed(part, model="full-9") for part in lists])
    for part, reply in zip(lists, replies):
        assert [item.embedding for item in reply.parse().data] == [expected[text] for text in part]
    assert len(asked(main, before)) == 1
    record = record_of(reeve, replies[2].headers["x-reeve-call"])
    assert record["batch"] == {"calls": 3, "inputs": 5, "inputsOfAll": 9}
    assert any("2 other calls: 5 of 9 inputs" in step["text"] for step in explained(reeve, record["id"]))


def test_only_what_is_alike_is_joined(reeve: Server, asker, main: str) -> None:
    before = len(received(main))
    replies = together(
        *[
            lambda text=text, more=more: asker.embed(text, **{"model": "alike", **more})
            for text, more in {
                "one": {"dimensions": 8}, "two": {"dimensions": 8}, "three": {"dimensions": 16},
                "four": {"encoding_format": "base64"}, "five": {"user": "ann"}, "six": {"model": "alone"},
            }.items()
        ]
    )
    assert [len(reply.parse().data[0].embedding) for reply in replies[:3]] == [8, 8, 16]
    sent = asked(main, before)
    assert len(sent) == 5 and sorted(sorted(b["input"]) for b in sent if isinstance(b["input"], list)) != []
    pairs = [body["input"] for body in sent if isinstance(body["input"], list) and len(body["input"]) == 2]
    assert [sorted(pair) for pair in pairs] == [["one", "two"]]


def test_packed_vectors_are_handed_on_as_they_came(reeve: Server, asker) -> None:
    def packed(text: str) -> bytes:
        reply = post(
            reeve, asker.key, {"model": "joined", "input": text, "encoding_format": "base64"}, "embeddings")
        return base64.b64decode(reply.json()["data"][0]["embedding"])

    one, two = together(lambda: packed("one"), lambda: packed("two"))
    assert len(one) == len(two) == 32 and one != two
    plain = post(reeve, asker.key, {"model": "alone", "input": "one", "encoding_format": "float"}, "embeddings")
    assert list(struct.unpack("<8f", one)) == pytest.approx(plain.json()["data"][0]["embedding"], abs=1e-6)


def test_a_full_batch_does_not_wait(reeve: Server, asker, main: str) -> None:
    before = len(received(main))
    began = time.monotonic()
    lists = [[f"x{n}" for n in range(40)], [f"y{n}" for n in range(24)]]
    together(*[lambda part=part: asker.embed(part, model="full-64") for part in lists])
    assert time.monotonic() - began < 8 and len(asked(main, before)) == 1
    # As many as a batch may have are sent as they came.
    before = len(received(main))
    asker.embed([f"z{n}" for n in range(64)], model="full-64")
    assert len(asked(main, before)[0]["input"]) == 64


def test_one_bad_input_does_not_fail_the_others(reeve: Server, asker, main: str) -> None:
    script(main, {"contains": "bad", "fault": {"status": 400, "message": "this input is bad"}})
    before = len(received(main))

    def embed(text: str):
        try:
            return asker.embed(text, model="full-3").headers["x-reeve-call"]
        except openai.BadRequestError as error:
            assert "this input is bad" in str(error)
            return error.response.headers["x-reeve-call"]

    def later(text: str):
        # The script looks at the first input.
        until(lambda: reeve.api().get(f"/api/v1/calls?agent={asker.agent}")["items"], what="the first call")
        return embed(text)

    calls = together(lambda: later("good one"), lambda: embed("bad"), lambda: later("good two"))
    records = [record_of(reeve, call) for call in calls]
    assert [record["status"] for record in records] == ["done", "failed", "done"]
    assert [record["failure"] for record in records] == [None, "invalid_request", None]
    assert records[1]["cost"] is None and all(len(record["attempts"]) == 2 for record in records), records
    assert [record["cost"]["nanoUSD"] for record in (records[0], records[2])] == [2 * COST, 2 * COST]
    assert all(record["usage"]["estimated"] is False for record in (records[0], records[2]))
    assert len(asked(main, before)) == 4


def test_errors_of_the_provider_are_everybodys(reeve: Server, asker, main: str) -> None:
    script(main, {"fault": {"status": 500, "message": "down"}})
    before = len(received(main))

    def embed(text: str) -> openai.InternalServerError:
        with pytest.raises(openai.InternalServerError) as caught:
            asker.embed(text, model="full-4")
        return caught.value

    errors = together(*[lambda n=n: embed(f"text {n}") for n in range(4)])
    assert len(asked(main, before)) == 1
    calls = [error.response.headers["x-reeve-call"] for error in errors]
    assert len(set(calls)) == 4
    for call in calls:
        record = record_of(reeve, call)
        assert (record["status"], record["failure"], record["cost"]) == ("failed", "server_error", None)
        assert [attempt["costNanoUSD"] for attempt in record["attempts"]] == [0]


def test_who_leaves_does_not_take_the_others_along(reeve: Server, asker, main: str) -> None:
    script(main, {"fault": {"delaySeconds": 4}})

    def leave() -> None:
        with pytest.raises(httpx.ReadTimeout):
            # OpenAI's SDK asks for packed vectors.
            body = {"model": "full-2", "input": "who leaves", "encoding_format": "base64"}
            post(reeve, asker.key, body, "embeddings", timeout=2)

    stayed, _ = together(lambda: asker.embed("who stays", model="full-2"), leave)
    assert stayed.parse().data[0].embedding
    calls = until(
        lambda: len(found := reeve.api().get(f"/api/v1/calls?agent={asker.agent}&status=canceled")["items"]) == 1
        and found, what="the call of who left",
    )
    # Its share is booked all the same.
    assert calls[0]["failure"] == "client_left" and calls[0]["cost"]["nanoUSD"] == 2 * COST
    assert record_of(reeve, stayed.headers["x-reeve-call"])["cost"]["nanoUSD"] == 2 * COST


def test_who_leaves_in_time_is_not_sent(reeve: Server, asker, main: str) -> None:
    before = len(received(main))
    with pytest.raises(httpx.ReadTimeout):
        post(reeve, asker.key, {"model": "patient", "input": "gone soon"}, "embeddings", timeout=1)
    calls = until(lambda: reeve.api().get(f"/api/v1/calls?agent={asker.agent}&status=canceled")["items"], what="its end")
    assert calls[0]["cost"] is None and calls[0]["attempts"] == []
    # Who comes later to the same batch is alone in it.
    post(reeve, asker.key, {"model": "patient", "input": "who stays"}, "embeddings")
    assert [body["input"] for body in asked(main, before)] == ["who stays"]


def test_each_holds_and_pays_from_its_own_budget(reeve: Server, asker, name: str) -> None:
    poor = reeve.make_agent(f"poor-{name}")
    reeve.api().call("PUT", f"/api/v1/budgets/agent:{poor.agent}", {"limit": {"usd": 0.000000001}, "period": "total"})
    reeve.api().call("PUT", f"/api/v1/budgets/agent:{asker.agent}", {"limit": {"usd": 1}, "period": "total"})

    def refused() -> int:
        return post(reeve, poor.key, {"model": "joined", "input": "too dear"}, "embeddings").status_code

    status, one, two = together(refused, lambda: asker.embed("one two"), lambda: asker.embed("three"))
    assert status == 402
    standing = reeve.api().get(f"/api/v1/budgets/agent:{asker.agent}")
    assert standing["settled"] == {"nanoUSD": 3 * COST, "tokens": 3, "calls": 2, "steps": 2}
    assert standing["held"]["nanoUSD"] == 0
    assert one.parse().usage.prompt_tokens + two.parse().usage.prompt_tokens == 3


def test_a_provider_that_tells_no_usage(reeve: Server, asker, main: str) -> None:
    script(main, {"usage": "none"})
    replies = together(lambda: asker.embed("one two"), lambda: asker.embed("three"))
    for reply in replies:
        record = record_of(reeve, reply.headers["x-reeve-call"])
        assert record["usage"]["estimated"] is True and record["cost"]["nanoUSD"] > 0


def test_what_was_joined_is_kept_for_each(reeve: Server, asker, main: str) -> None:
    together(lambda: asker.embed("one", model="kept"), lambda: asker.embed("two", model="kept"))
    before = len(received(main))
    reply = asker.embed("two", model="kept")
    assert reply.headers["x-reeve-cache"] == "hit" and asked(main, before) == []
    assert record_of(reeve, reply.headers["x-reeve-call"])["savedNanoUSD"] == COST


def test_what_is_joined_is_counted_once(reeve: Server, asker, main: str) -> None:
    def value(name: str, label: str) -> float:
        text = httpx.get(f"{reeve.url}/metrics", headers=bearer(reeve.admin_key)).text
        lines = [line for line in text.splitlines() if line.startswith(name + "{") and label in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    names = ["embedding_batches_total", "embedding_batched_calls_total"]
    before = [value(f"reeve_gateway_{name}", '"full-5"') for name in names]
    tries = value("reeve_model_attempts_total", 'result="ok"')
    together(*[lambda n=n: asker.embed(f"w{n}", model="full-5") for n in range(5)])
    after = [value(f"reeve_gateway_{name}", '"full-5"') for name in names]
    assert [b - a for a, b in zip(before, after)] == [1, 5]
    # The provider was asked once.
    assert value("reeve_model_attempts_total", 'result="ok"') - tries == 1
