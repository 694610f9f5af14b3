"""A caller may ask for a tier, or for what its task asks for; the record has the model that was really asked."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from gateway_kit import (
    CLAUDE, FIRST, PINNED, SECOND, anthropic_of, asked, explained, openai_of, providers, received, record_of, running,
    text_of,
)
from reeve_server import Api, Server, until

HELLO = asked("hello there")
ON_ENGINES = ["sqlite"]
pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture(scope="module")
def reeve(main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    own = {"kind": "openai", "baseURL": f"{main}/v1", "keyPolicy": "strict_user"}
    models = {
        "ours": {"targets": [{"provider": "own", "model": PINNED}], "tier": "cheap", "price": {"input": 9, "output": 9}},
        # Named as its target is: what the caller said must be replaced all the same.
        PINNED: {"targets": [FIRST], "tier": "cheap", "price": {"input": 1, "output": 2}},
        "later": {"targets": [SECOND], "tier": "cheap", "price": {"input": 3, "output": 3}},
        "large": {"targets": [SECOND], "tier": "premium", "price": {"input": 10, "output": 20}},
    }
    settings = {
        "providers": providers(main, backup, own=own),
        "models": models,
        "taskTypes": {"verdict": {"tier": "premium"}},
    }
    with running(tmp_path_factory.mktemp("tiers"), settings) as server:
        yield server


def record(reeve: Server, answer) -> dict:
    return record_of(reeve, answer.headers["x-reeve-call"])


def said(chat: openai.OpenAI, model: str, **headers: str):
    return chat.chat.completions.with_raw_response.create(model=model, messages=HELLO, extra_headers=headers)


def told(claude: anthropic.Anthropic, model: str, **headers: str):
    return claude.messages.with_raw_response.create(
        model=model, max_tokens=20, messages=HELLO, extra_headers=headers
    )


@pytest.mark.parametrize("name_", ["tier:cheap", "cheap"])
def test_a_tier_is_its_first_model_that_the_caller_may_use(
    reeve: Server, main: str, chat: openai.OpenAI, claude: anthropic.Anthropic, name_: str
) -> None:
    for answer in (said(chat, name_), told(claude, name_)):
        found = record(reeve, answer)
        # `ours` takes callers with a key of their own alone.
        assert (found["model"], found["tier"], found["asked"]) == (PINNED, "cheap", name_)
        assert found["target"] == f"main/{PINNED}" and received(main)[-1]["body"]["model"] == PINNED
        used = found["usage"]["buckets"]
        assert found["cost"]["nanoUSD"] == used["input"] * 1_000 + used["output"] * 2_000
        assert f'asked for "{PINNED}" by the name "{name_}"' in explained(reeve, found["id"])[0]["text"]


def test_tiers_at_every_door(reeve: Server, backup: str, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    stream = chat.chat.completions.create(model="tier:premium", messages=HELLO, stream=True)
    assert text_of(stream)
    assert chat.responses.create(model="tier:premium", input="hello there").output_text
    with claude.messages.stream(model="tier:premium", max_tokens=20, messages=HELLO) as events:
        assert events.get_final_text()
    assert claude.messages.count_tokens(model="tier:premium", messages=HELLO).input_tokens > 0
    assert chat.embeddings.create(model="tier:cheap", input="hello").data
    calls = until(
        lambda: len(items := reeve.api().get("/api/v1/calls?model=large")["items"]) == 4 and items, what="their records"
    )
    assert {(call["model"], call["asked"], call["target"]) for call in calls} == {
        ("large", "tier:premium", f"backup/{CLAUDE}")
    }
    assert all(item["body"]["model"] == CLAUDE for item in received(backup))


def test_budgets_count_the_real_model_s_price(reeve: Server, name: str) -> None:
    agent = reeve.make_agent(name)
    limit = {"limit": {"usd": 1}, "period": "total", "mode": "strict"}
    reeve.api().call("PUT", f"/api/v1/budgets/agent:{name}", limit)
    cost = record(reeve, said(openai_of(reeve, agent.key), "tier:premium"))["cost"]["nanoUSD"]
    assert cost > 0 and cost % 10_000 == 0
    assert reeve.api().get(f"/api/v1/budgets/agent:{name}")["settled"]["nanoUSD"] == cost
    costs = reeve.api().get("/api/v1/costs?by=model")["items"]
    assert not [line for line in costs if str(line).find("tier:") >= 0], "costs are the models'"


def test_tiers_that_nobody_has(reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    for model in ("tier:standard", "standard", "tier:none", "tier:"):
        with pytest.raises(openai.NotFoundError) as refused:
            said(chat, model)
        assert refused.value.code == "model_not_found"
        with pytest.raises(anthropic.NotFoundError) as refusal:
            told(claude, model)
        assert refusal.value.body["error"]["type"] == "not_found_error"


def test_tiers_are_no_models_of_the_list(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    names = ["ours", PINNED, "later", "large"]
    assert [model.id for model in chat.models.list()] == names
    assert [model.id for model in claude.models.list()] == names
    assert chat.models.retrieve("tier:cheap").id == claude.models.retrieve("tier:cheap").id == "tier:cheap"
    with pytest.raises(openai.NotFoundError):
        chat.models.retrieve("tier:standard")


def held(reeve: Server, name: str, **fields) -> tuple[Api, str]:
    """An agent with one task of a queue of its own."""
    task = reeve.api().create(name, **fields)
    agent = reeve.make_agent(f"agent-{name}")
    assert agent.claim(name).id == task["id"]
    return agent, task["id"]


@pytest.mark.parametrize(
    ("fields", "model"),
    [({"type": "verdict"}, "large"), ({"tier": "cheap"}, PINNED), ({"model": "later"}, "later")],
    ids=["type", "tier", "model"],
)
def test_a_call_may_ask_for_what_its_task_asks_for(reeve: Server, name: str, fields: dict, model: str) -> None:
    agent, task = held(reeve, name, **fields)
    # The one task that the agent holds, whether it is named or not.
    for headers in ({}, {"x-reeve-task": task}):
        for answer in (
            said(openai_of(reeve, agent.key), "tier:task", **headers),
            told(anthropic_of(reeve, agent.key), "tier:task", **headers),
        ):
            found = record(reeve, answer)
            assert (found["model"], found["asked"], found["task"]) == (model, "tier:task", task)
    # What the claim itself said is a name for the same.
    assert said(openai_of(reeve, agent.key), reeve.api().task(task)["model"]).status_code == 200


def test_what_a_task_asks_for_is_known_after_a_start(reeve: Server, name: str) -> None:
    agent, _ = held(reeve, name, model="later", leaseSeconds=60)
    reeve.kill()
    reeve.start()
    assert record(reeve, said(openai_of(reeve, agent.key), "tier:task"))["model"] == "later"


def test_a_call_whose_task_says_nothing(reeve: Server, name: str) -> None:
    agent, task = held(reeve, name)
    idle = reeve.make_agent(f"idle-{name}")
    waiting = reeve.api().create(f"waiting-{name}", tier="cheap")["id"]
    cases = [
        (agent, {}, 404, "asks for no model"), (idle, {}, 404, "belongs to no task"),
        (idle, {"x-reeve-task": waiting}, 503, "not known to be claimed"),
    ]
    for caller, headers, status, words in cases:
        with pytest.raises(openai.APIStatusError, match=words) as refused:
            said(openai_of(reeve, caller.key), "tier:task", **headers)
        with pytest.raises(anthropic.APIStatusError, match=words) as refusal:
            told(anthropic_of(reeve, caller.key), "tier:task", **headers)
        assert (refused.value.status_code, refusal.value.status_code) == (status, status)
