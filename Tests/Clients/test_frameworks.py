"""Programs written with LiteLLM and LangChain, pointed at Reeve and otherwise as they were."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator

# LiteLLM would fetch a list of prices from the net as it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import anthropic  # noqa: E402
import litellm  # noqa: E402
import openai  # noqa: E402
import pytest  # noqa: E402
from langchain.agents import create_agent  # noqa: E402
from langchain_anthropic import ChatAnthropic  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from langchain_openai import ChatOpenAI, OpenAIEmbeddings  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from gateway_kit import (  # noqa: E402
    CLAUDE, FIRST, MINI_PRICE, PINNED, SECOND, TOOL, Server, asked, providers, received, running, script,
)
from reeve_server import until  # noqa: E402

pytestmark = pytest.mark.usefixtures("plain")
SAID = "You said: hello there"
# Two tokens in at 150 billionths of a dollar each, four out at 600.
COST = 2 * 150 + 4 * 600
MAIN, BACKUP = f"main/{PINNED}", f"backup/{CLAUDE}"


class Weather(BaseModel):
    """What the weather is."""

    city: str
    days: int


@tool
def look_up(city: str, days: int) -> str:
    """Tells the weather of a city."""
    return f"rain over {city} for {days} days"


@pytest.fixture(scope="module")
def reeve(main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # What the tests make fail must not open a breaker for the next one.
    priced = {"price": MINI_PRICE, "breaker": {"failures": 10, "callsMin": 10_000}}
    models = {
        "mini": {**priced, "targets": [FIRST]},
        "haiku": {**priced, "targets": [SECOND]},
        "steady": {**priced, "targets": [FIRST, SECOND], "retries": 0},
        "firm": {**priced, "targets": [FIRST, SECOND], "retries": 0},
        "limited-litellm": {**priced, "targets": [FIRST]},
        "limited-langchain": {**priced, "targets": [FIRST]},
    }
    with running(tmp_path_factory.mktemp("frameworks"), {"providers": providers(main, backup), "models": models}) as it:
        yield it


class Asker:
    """An agent of the test's own, whose calls are the test's."""

    def __init__(self, reeve: Server, name: str):
        self.reeve, self.name = reeve, name
        self.key = reeve.make_agent(name).key

    def lite(self, model: str) -> dict:
        """What LiteLLM needs to know: `openai/…` and `anthropic/…` speak that dialect to the address."""
        base = self.reeve.url if model.startswith("anthropic/") else f"{self.reeve.url}/v1"
        return {"model": model, "api_base": base, "api_key": self.key}

    def lang(self, model: str, **more: object) -> ChatOpenAI | ChatAnthropic:
        dialect, _, name = model.partition("/")
        if dialect == "anthropic":
            return ChatAnthropic(model=name, base_url=self.reeve.url, api_key=self.key, max_tokens=100, **more)
        if dialect == "responses":
            more["use_responses_api"] = True
        # Of an address that is not OpenAI's own it asks for no usage of streams, unless it is told to.
        more.setdefault("stream_usage", True)
        return ChatOpenAI(model=name, base_url=f"{self.reeve.url}/v1", api_key=self.key, **more)

    def books(self, count: int) -> list[dict]:
        """The records of its calls, the first one first, when they are whole."""

        def whole() -> list[dict] | None:
            items = self.reeve.api().get(f"/api/v1/calls?agent={self.name}&limit=100")["items"]
            ended = [item["status"] != "running" for item in items]
            return items if len(ended) == count and all(ended) else None

        items = until(whole, what=f"{count} calls of {self.name}")
        return [self.reeve.api().get(f"/api/v1/calls/{item['id']}") for item in items[::-1]]

    def check_books(self, *counts: tuple[int, int], target: str) -> None:
        """One call for each pair of tokens in and out, priced to the last billionth, at the target."""
        for record, (given, said) in zip(self.books(len(counts)), counts, strict=True):
            buckets = record["usage"]["buckets"]
            assert (record["status"], record["target"]) == ("done", target), record
            assert (buckets["input"], buckets["output"], record["usage"]["estimated"]) == (given, said, False)
            assert record["cost"]["nanoUSD"] == given * 150 + said * 600


@pytest.fixture(scope="module")
def together() -> Iterator:
    """Runs a coroutine. There is one loop for all tests, as the frameworks keep their connections over calls."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def asker(reeve: Server, name: str) -> Asker:
    return Asker(reeve, name)


HOMES = {"openai/mini": MAIN, "openai/haiku": BACKUP, "anthropic/haiku": BACKUP, "anthropic/mini": MAIN}
every_home = pytest.mark.parametrize(("model", "home"), HOMES.items())
# LangChain speaks OpenAI's newer address too.
LANG_HOMES = HOMES | {"responses/mini": MAIN, "responses/haiku": BACKUP}
every_lang_home = pytest.mark.parametrize(("model", "home"), LANG_HOMES.items())


# --- LiteLLM ----------------------------------------------------------------------------------------------------------


@every_home
def test_litellm_talks(asker: Asker, model: str, home: str) -> None:
    answer = litellm.completion(**asker.lite(model), messages=asked("hello there"))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (SAID, "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)
    chunks = list(
        litellm.completion(
            **asker.lite(model), messages=asked("hello there"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    usage = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)][-1]
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 4)
    asker.check_books((2, 4), (2, 4), target=home)


@every_home
def test_litellm_talks_beside_itself(asker: Asker, together: Callable, model: str, home: str) -> None:
    async def streamed() -> str:
        stream = await litellm.acompletion(**asker.lite(model), messages=asked("hello there"), stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def both() -> list:
        whole = litellm.acompletion(**asker.lite(model), messages=asked("hello there"))
        return await asyncio.gather(whole, streamed())

    whole, text = together(both())
    assert whole.choices[0].message.content == text == SAID
    asker.check_books((2, 4), (2, 4), target=home)


@every_home
def test_litellm_calls_tools(asker: Asker, main: str, backup: str, model: str, home: str) -> None:
    for address in (main, backup):
        script(address, {"times": 1, "calls": [{"name": "look_up", "arguments": {"city": "Oslo", "days": 3}}]})
    messages = asked("how is Oslo?")
    first = litellm.completion(**asker.lite(model), messages=messages, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    assert first.choices[0].finish_reason == "tool_calls" and call.function.name == "look_up"
    told = look_up.invoke(json.loads(call.function.arguments))
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": told}]
    second = litellm.completion(**asker.lite(model), messages=messages, tools=[TOOL])
    assert second.choices[0].message.content == "The tool has answered: rain over Oslo for 3 days"
    counts = [(answer.usage.prompt_tokens, answer.usage.completion_tokens) for answer in (first, second)]
    asker.check_books(*counts, target=home)


@every_home
def test_litellm_answers_in_a_shape(asker: Asker, model: str, home: str) -> None:
    answer = litellm.completion(**asker.lite(model), messages=asked("hello there"), response_format=Weather)
    assert Weather.model_validate_json(answer.choices[0].message.content) == Weather(city="text", days=1)
    asker.check_books((answer.usage.prompt_tokens, answer.usage.completion_tokens), target=home)


def test_litellm_embeds(asker: Asker) -> None:
    reply = litellm.embedding(**asker.lite("openai/mini"), input=["one two", "three"])
    assert [len(item["embedding"]) for item in reply.data] == [8, 8] and reply.usage.prompt_tokens == 3
    asker.check_books((3, 0), target=MAIN)


@pytest.mark.parametrize("model", ["openai/steady", "anthropic/steady"])
def test_litellm_does_not_see_what_fails_behind(asker: Asker, main: str, model: str) -> None:
    script(main, {"fault": {"status": 500}})
    answer = litellm.completion(**asker.lite(model), messages=asked("hello there"))
    assert answer.choices[0].message.content == SAID
    stream = litellm.completion(**asker.lite(model), messages=asked("hello there"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == SAID
    asker.check_books((2, 4), (2, 4), target=BACKUP)
    failed = [attempt["failure"] for record in asker.books(2) for attempt in record["attempts"]]
    assert failed == ["server_error", None] * 2


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_litellm_raises_its_own_errors(reeve: Server, asker: Asker, main: str, dialect: str) -> None:
    reeve.api().call("PUT", f"/api/v1/budgets/agent:{asker.name}", {"limit": {"calls": 1}, "period": "total"})
    model = f"{dialect}/mini"
    litellm.completion(**asker.lite(model), messages=asked("hello there"))
    # It has no class for 402: what is none of its own it calls an error of the connection, the words as they came.
    classes = {"openai": litellm.APIError, "anthropic": litellm.APIConnectionError}
    with pytest.raises(classes[dialect], match=f"The budget of agent:{asker.name}"):
        litellm.completion(**asker.lite(model), messages=asked("hello there"), max_retries=0)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**asker.lite(f"{dialect}/none"), messages=asked("hello there"))
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(**asker.lite(model) | {"api_key": "nobody"}, messages=asked("hello there"))
    statuses = [(record["status"], record["httpStatus"], record["cost"]) for record in asker.books(3)[1:]]
    assert statuses == [("failed", 402, None), ("failed", 404, None)]


# --- LangChain --------------------------------------------------------------------------------------------------------


@every_lang_home
def test_langchain_talks(asker: Asker, model: str, home: str) -> None:
    talker = asker.lang(model)
    answer = talker.invoke("hello there")
    assert answer.text == SAID
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (2, 4)
    whole = None
    for chunk in talker.stream("hello there"):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == SAID
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == (2, 4)
    asker.check_books((2, 4), (2, 4), target=home)


@every_lang_home
def test_langchain_talks_beside_itself(asker: Asker, together: Callable, model: str, home: str) -> None:
    talker = asker.lang(model)

    async def streamed() -> str:
        return "".join([chunk.text async for chunk in talker.astream("hello there")])

    async def both() -> list:
        return await asyncio.gather(talker.ainvoke("hello there"), streamed())

    whole, text = together(both())
    assert whole.text == text == SAID
    asker.check_books((2, 4), (2, 4), target=home)


@every_lang_home
def test_an_agent_of_langchain_uses_its_tool(asker: Asker, main: str, backup: str, model: str, home: str) -> None:
    for address in (main, backup):
        script(address, {"times": 1, "calls": [{"name": "look_up", "arguments": {"city": "Oslo", "days": 3}}]})
    agent = create_agent(asker.lang(model), tools=[look_up])
    done = agent.invoke({"messages": asked("how is Oslo?")})["messages"]
    assert [message.type for message in done] == ["human", "ai", "tool", "ai"]
    assert done[2].content == "rain over Oslo for 3 days"
    assert done[3].text == "The tool has answered: rain over Oslo for 3 days"
    counts = [(m.usage_metadata["input_tokens"], m.usage_metadata["output_tokens"]) for m in (done[1], done[3])]
    asker.check_books(*counts, target=home)


@every_lang_home
def test_an_agent_of_langchain_streams(asker: Asker, main: str, backup: str, model: str, home: str) -> None:
    for address in (main, backup):
        script(address, {"times": 1, "calls": [{"name": "look_up", "arguments": {"city": "Oslo", "days": 3}}]})
    agent = create_agent(asker.lang(model), tools=[look_up])
    pieces = [
        piece.text
        for piece, _ in agent.stream({"messages": asked("how is Oslo?")}, stream_mode="messages")
        if piece.type == "AIMessageChunk"
    ]
    assert "".join(pieces) == "The tool has answered: rain over Oslo for 3 days" and len(pieces) > 5
    assert [record["stream"] for record in asker.books(2)] == [True, True]
    assert [record["target"] for record in asker.books(2)] == [home, home]


@every_lang_home
def test_langchain_answers_in_a_shape(asker: Asker, model: str, home: str) -> None:
    shaped = asker.lang(model).with_structured_output(Weather, include_raw=True).invoke("hello there")
    assert shaped["parsed"] == Weather(city="text", days=1)
    usage = shaped["raw"].usage_metadata
    asker.check_books((usage["input_tokens"], usage["output_tokens"]), target=home)


def test_langchain_embeds(asker: Asker) -> None:
    # It counts tokens with a table that it fetches from the net, unless told not to.
    embedder = OpenAIEmbeddings(
        model="mini", base_url=f"{asker.reeve.url}/v1", api_key=asker.key, check_embedding_ctx_length=False
    )
    assert [len(vector) for vector in embedder.embed_documents(["one two", "three"])] == [8, 8]
    asker.check_books((3, 0), target=MAIN)


@pytest.mark.parametrize("model", ["openai/firm", "anthropic/firm", "responses/firm"])
def test_langchain_does_not_see_what_fails_behind(asker: Asker, main: str, model: str) -> None:
    script(main, {"fault": {"status": 500}})
    talker = asker.lang(model, max_retries=0)
    assert talker.invoke("hello there").text == SAID
    assert "".join(chunk.text for chunk in talker.stream("hello there")) == SAID
    asker.check_books((2, 4), (2, 4), target=BACKUP)
    failed = [attempt["failure"] for record in asker.books(2) for attempt in record["attempts"]]
    assert failed == ["server_error", None] * 2


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "responses"])
def test_langchain_raises_its_clients_errors(reeve: Server, asker: Asker, dialect: str) -> None:
    sdk = anthropic if dialect == "anthropic" else openai
    reeve.api().call("PUT", f"/api/v1/budgets/agent:{asker.name}", {"limit": {"calls": 1}, "period": "total"})
    talker = asker.lang(f"{dialect}/mini")
    talker.invoke("hello there")
    with pytest.raises(sdk.APIStatusError, match=f"agent:{asker.name}") as spent:
        talker.invoke("hello there")
    assert spent.value.status_code == 402
    with pytest.raises(sdk.NotFoundError):
        asker.lang(f"{dialect}/none").invoke("hello there")
    # A client asks again over what may pass; over this it does not.
    statuses = [(record["status"], record["httpStatus"], record["cost"]) for record in asker.books(3)[1:]]
    assert statuses == [("failed", 402, None), ("failed", 404, None)]


# --- Both -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", ["litellm", "langchain"])
def test_a_provider_that_limits_is_waited_for(asker: Asker, main: str, framework: str) -> None:
    """What is too long for Reeve to wait, the framework waits, as Reeve tells it to."""
    script(main, {"times": 1, "fault": {"status": 429, "retryAfterSeconds": 4}})
    model = f"openai/limited-{framework}"
    before, began = len(received(main)), time.monotonic()
    if framework == "litellm":
        litellm.completion(**asker.lite(model), messages=asked("hello there"), max_retries=2)
    else:
        asker.lang(model, max_retries=2).invoke("hello there")
    assert 4 <= time.monotonic() - began < 15 and len(received(main)) == before + 2
    first, second = asker.books(2)
    assert (first["status"], first["httpStatus"], first["failure"]) == ("failed", 429, "rate_limited")
    assert (second["status"], second["cost"]["nanoUSD"]) == ("done", COST)
    script(main, {"fault": {"status": 429, "retryAfterSeconds": 30}})
    with pytest.raises(litellm.RateLimitError if framework == "litellm" else openai.RateLimitError):
        if framework == "litellm":
            litellm.completion(**asker.lite(model), messages=asked("x"), max_retries=0)
        else:
            asker.lang(model, max_retries=0).invoke("x")
