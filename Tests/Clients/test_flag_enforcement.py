"""What flags say of models, tools and tokens, enforced by the gateway at once: through both SDKs."""

import time
from collections.abc import Iterator

import anthropic
import openai
import pytest

from gateway_kit import (
    CLAUDE, FIRST, PINNED, ROUND_PRICE, SECOND, TOOL, asked, deadlines, providers, received, record_of, running, script,
)
from reeve_server import Server, until

pytestmark = pytest.mark.usefixtures("plain")
SHELL = {"type": "function", "function": {"name": "shell", "parameters": {"type": "object"}}}
CALLS_SHELL = {"contains": "shell", "say": "Let me look.", "calls": [{"name": "shell", "arguments": {"command": "ls"}}]}


@pytest.fixture(scope="module")
def reeve(main: str, backup: str, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    common = {"price": ROUND_PRICE, "deadlines": deadlines()}
    settings = {
        "providers": providers(main, backup),
        "models": {PINNED: {**common, "targets": [FIRST]}, CLAUDE: {**common, "targets": [SECOND]}},
    }
    with running(tmp_path_factory.mktemp("enforced"), settings, engine) as server:
        yield server


@pytest.fixture
def flag(reeve: Server) -> Iterator:
    """Makes a flag of one key; it is gone behind the test."""
    made = []

    def make(key: str, **more) -> None:
        made.append(key)
        reeve.api().call("PUT", f"/api/v1/flags/{key}", more)

    yield make
    for key in set(made):
        reeve.api().call("DELETE", f"/api/v1/flags/{key}")


def no_shell(**more) -> dict:
    return {
        "type": "boolean", "variants": {"on": True, "off": False}, "defaultVariant": "off", "configKey": "tools.shell",
        **more,
    }


def test_a_route_is_another_providers_from_the_next_call_on(
    reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic, main: str, backup: str, flag
) -> None:
    def ask() -> openai.types.chat.ChatCompletion:
        return chat.chat.completions.with_raw_response.create(model=PINNED, messages=asked("hello"))

    assert "x-reeve-config" not in ask().headers
    before = len(received(main))
    flag(
        "route", type="string", variants={"mini": PINNED, "claude": CLAUDE}, defaultVariant="claude",
        configKey="models.main",
    )
    began = time.monotonic()
    until(lambda: "x-reeve-config" in ask().headers, seconds=1, what="the flag's effect")
    assert time.monotonic() - began < 1
    routed = ask()
    assert routed.headers["x-reeve-config"] == "models.main; layer=flag; flag=route; variant=claude"
    assert routed.parse().choices[0].message.content == "You said: hello"
    assert record_of(reeve, routed.headers["x-reeve-call"])["target"] == f"backup/{CLAUDE}"
    assert [item["body"]["model"] for item in received(main)[before:]] == [PINNED] * (len(received(main)) - before)
    message = claude.messages.create(model="main", max_tokens=50, messages=asked("hello"))
    assert message.content[0].text == "You said: hello"
    assert received(backup)[-1]["body"]["model"] == CLAUDE


def test_a_tool_is_taken_out_and_its_calls_go_nowhere(
    reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic, main: str, backup: str, flag
) -> None:
    script(main, CALLS_SHELL)
    script(backup, CALLS_SHELL)
    both = {"model": PINNED, "messages": asked("use the shell"), "tools": [SHELL, TOOL]}
    assert chat.chat.completions.create(**both).choices[0].message.tool_calls[0].function.name == "shell"
    flag("no-shell", **no_shell())
    with pytest.raises(openai.PermissionDeniedError) as refused:
        chat.chat.completions.create(**both)
    assert refused.value.code == "tool_not_permitted" and "no-shell" in str(refused.value)
    # It was not offered, and the rest went on as it was.
    assert received(main)[-1]["body"]["tools"] == [TOOL]
    names = []
    with pytest.raises(openai.APIError) as broken:
        for chunk in chat.chat.completions.create(**both, stream=True):
            names += [call.function.name for call in chunk.choices[0].delta.tool_calls or []]
    assert names == [] and broken.value.code == "tool_not_permitted"
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("shell", "look_up")]
    words = []
    with pytest.raises(anthropic.APIStatusError) as ended:
        with claude.messages.stream(
            model=CLAUDE, max_tokens=99, messages=asked("use the shell"), tools=tools
        ) as stream:
            for event in stream:
                words.append(getattr(getattr(event, "content_block", None), "type", ""))
    assert "tool_use" not in words and "permission_error" in str(ended.value.body)
    assert [tool["name"] for tool in received(backup)[-1]["body"]["tools"]] == ["look_up"]
    before = len(received(main))
    with pytest.raises(openai.PermissionDeniedError):
        chat.chat.completions.create(**both, tool_choice={"type": "function", "function": {"name": "shell"}})
    assert len(received(main)) == before
    flag("no-shell", **no_shell(defaultVariant="on"))
    assert chat.chat.completions.create(**both).choices[0].message.tool_calls


def test_tokens_are_capped_and_refused(
    chat: openai.OpenAI, claude: anthropic.Anthropic, main: str, backup: str, flag
) -> None:
    def limit(key: str, tokens: int) -> None:
        flag("limit", type="number", variants={"low": tokens}, defaultVariant="low", configKey=key)

    words = "one two three four five six seven"
    limit("limits.maxTokens", 4)
    answer = chat.chat.completions.create(model=PINNED, messages=asked(words), max_tokens=1_000)
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (4, "length")
    assert received(main)[-1]["body"]["max_tokens"] == 4
    message = claude.messages.create(model=CLAUDE, max_tokens=1_000, messages=asked(words))
    assert message.usage.output_tokens == 4 and received(backup)[-1]["body"]["max_tokens"] == 4
    assert chat.responses.create(model=PINNED, input=words).usage.output_tokens == 4
    limit("limits.inputTokens", 50)
    before = len(received(main))
    with pytest.raises(openai.BadRequestError) as refused:
        chat.chat.completions.create(model=PINNED, messages=asked("word " * 500))
    assert refused.value.code == "context_length_exceeded" and len(received(main)) == before
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model=CLAUDE, max_tokens=9, messages=asked("word " * 500))


def test_a_session_keeps_what_it_began_with(chat: openai.OpenAI, flag) -> None:
    def ask(session: str) -> str | None:
        reply = chat.chat.completions.with_raw_response.create(
            model=PINNED, messages=asked("hello"), extra_headers={"x-reeve-session": session}
        )
        return reply.headers.get("x-reeve-config")

    def limit(tokens: int) -> None:
        flag(
            "limit", type="number", mode="pinned", variants={f"v{tokens}": tokens}, defaultVariant=f"v{tokens}",
            configKey="limits.maxTokens",
        )

    limit(7)
    assert ask("first").endswith("variant=v7")
    limit(8)
    assert ask("first").endswith("variant=v7") and ask("second").endswith("variant=v8")


def test_a_session_uses_no_more_than_it_may(
    reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic, main: str, flag
) -> None:
    flag(
        "session", type="number", variants={"low": 60}, defaultVariant="low",
        configKey="limits.maxTokensPerSession",
    )
    words = "one two three four five six seven"

    def ask(session: str, **more):
        return chat.chat.completions.create(
            model=PINNED, messages=asked(words), extra_headers={"x-reeve-session": session}, **more
        )

    used = 0
    with pytest.raises(openai.PermissionDeniedError) as refused:
        for _ in range(20):
            used += ask("spent").usage.total_tokens
    assert 0 < used <= 60 and refused.value.code == "session_token_limit"
    for part in ("limits.maxTokensPerSession is 60 tokens", '"session"', f"used {used},", "new session"):
        assert part in refused.value.message
    before = len(received(main))
    with pytest.raises(openai.PermissionDeniedError):
        list(ask("spent", stream=True))
    with pytest.raises(anthropic.PermissionDeniedError):
        claude.messages.create(
            model=PINNED, max_tokens=9, messages=asked(words), extra_headers={"x-reeve-session": "spent"}
        )
    with pytest.raises(openai.PermissionDeniedError):
        chat.responses.create(model=PINNED, input=words, extra_headers={"x-reeve-session": "spent"})
    assert len(received(main)) == before
    stream = ask("streamed", stream=True, stream_options={"include_usage": True})
    usage = [chunk.usage for chunk in stream if chunk.usage][-1]
    assert usage.completion_tokens > 0 and usage.total_tokens <= 60
    assert chat.chat.completions.create(model=PINNED, messages=asked(words)).choices
