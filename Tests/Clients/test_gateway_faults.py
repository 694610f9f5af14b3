"""Every fault of a provider, met by every door of the official SDKs, streamed and whole, in every order of targets."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import anthropic
import openai
import pytest

from gateway_faults import DOORS, FAULTS, LONG_WAIT, SAID, SAID_TOKENS, SITUATIONS, Fault, Seen
from gateway_kit import (
    CLAUDE, PINNED, ROUND_PRICE, asked, deadlines, record_of, running, script,
)
from reeve_server import Server

# Calls at once: most of a call's time is a wait for something that does not come.
AT_ONCE = 12
# The provider's own key, and a word that only its refusal of it has.
SECRET = "sk-the-providers-own"
# "say", " it:", and the case's number.
ASKED_TOKENS = 3


class Case(NamedTuple):
    number: int
    name: str
    situation: str
    door: str
    kind: str

    @property
    def fault(self) -> Fault:
        return FAULTS[self.name]

    @property
    def seen(self) -> Seen:
        return self.fault.seen(self.situation, self.door)

    @property
    def word(self) -> str:
        return f"c{self.number:04}"

    def __str__(self) -> str:
        return f"{self.name}-{self.situation}-{self.door}-{self.kind}".replace(" ", "_")

    @property
    def targets(self) -> list[str]:
        """Providers in their order; the first one has the fault."""
        own, other = ("anthropic", "openai") if self.door == "messages" else ("openai", "anthropic")
        return {
            "alone": [f"faulty-{own}"], "foreign": [f"faulty-{other}"],
            "same": [f"faulty-{own}", f"well-{own}"], "across": [f"faulty-{own}", f"well-{other}"],
        }[self.situation]


CASES = [
    Case(number, *of)
    for number, of in enumerate(
        of for of in product(FAULTS, SITUATIONS, DOORS, ("streamed", "whole")) if of[3] in FAULTS[of[0]].kinds
    )
]


def target(provider: str) -> dict:
    return {"provider": provider, "model": CLAUDE if provider.endswith("anthropic") else PINNED}


def settings(faulty: str, well: str) -> dict:
    """A model for each case, as a breaker that one case opens must not answer another."""
    providers = {}
    for name, address in (("faulty", faulty), ("well", well)):
        providers[f"{name}-openai"] = {"kind": "openai", "baseURL": f"{address}/v1", "apiKeyFile": "provider.key"}
        providers[f"{name}-anthropic"] = {"kind": "anthropic", "baseURL": address, "apiKeyFile": "provider.key"}
    common = {"price": ROUND_PRICE, "deadlines": deadlines(1.5, 1.5, 20)}
    models = {case.word: {**common, "targets": [target(name) for name in case.targets]} for case in CASES}
    return {"providers": providers, "models": models}


@pytest.fixture(scope="module")
def reeve(main: str, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    script(main, *[{"say": SAID, **case.fault.rule, "contains": case.word} for case in CASES], {"say": SAID})
    script(backup, {"say": SAID})
    folder = tmp_path_factory.mktemp("faults")
    (folder / "provider.key").write_text(SECRET)
    with running(folder, settings(main, backup)) as server:
        yield server


# --- What a client gets -----------------------------------------------------------------------------------------------


@dataclass
class Got:
    call: str = ""
    text: str = ""
    # Why it ended, in the dialect's own word; `None` where nothing said that it was at its end.
    end: str | None = None
    # Tokens of input and output, where the client was told.
    usage: tuple[int, int] | None = None
    error: Exception | None = None


def read_chat(chunk, got: Got) -> None:
    for choice in chunk.choices:
        said = choice.delta if hasattr(choice, "delta") else choice.message
        got.text += said.content or said.refusal or ""
        got.end = choice.finish_reason or got.end
    if chunk.usage:
        got.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)


def read_response(event, got: Got) -> None:
    if event.type == "response.output_text.delta":
        got.text += event.delta
    if event.type in ("response.completed", "response.incomplete"):
        whole = event.response
        said = got.text
        read_whole_response(whole, got)
        assert got.text == said


def read_whole_response(whole, got: Got) -> None:
    parts = [part for item in whole.output for part in item.content]
    got.text = "".join(part.refusal if part.type == "refusal" else part.text for part in parts)
    details = whole.incomplete_details
    got.end = whole.status if details is None else details.reason
    if whole.usage:
        got.usage = (whole.usage.input_tokens, whole.usage.output_tokens)


def read_message(event, got: Got) -> None:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        got.text += event.delta.text
    if event.type == "message_delta":
        got.end = f"{event.delta.stop_reason} without an end"
    if event.type == "message_stop":
        got.end = got.end.removesuffix(" without an end")


def read_whole_message(whole, got: Got) -> None:
    got.text = "".join(block.text for block in whole.content)
    got.end = whole.stop_reason
    got.usage = (whole.usage.input_tokens, whole.usage.output_tokens)


READERS = {
    ("chat", "whole"): read_chat, ("chat", "streamed"): read_chat,
    ("responses", "whole"): read_whole_response, ("responses", "streamed"): read_response,
    ("messages", "whole"): read_whole_message, ("messages", "streamed"): read_message,
}


def ask(case: Case, chat: openai.OpenAI, claude: anthropic.Anthropic) -> Got:
    """One call as a program makes it, and everything that came of it."""
    got = Got()
    said = asked(f"say it: {case.word}")
    read = READERS[case.door, case.kind]
    is_streamed = case.kind == "streamed"
    make, more = {
        "chat": (chat.chat.completions, {"messages": said}),
        "responses": (chat.responses, {"input": said}),
        "messages": (claude.messages, {"messages": said, "max_tokens": 100}),
    }[case.door]
    try:
        reply = make.with_raw_response.create(model=case.word, stream=is_streamed, **more)
        got.call = reply.headers["x-reeve-call"]
        for piece in reply.parse() if is_streamed else [reply.parse()]:
            read(piece, got)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        got.call = got.call or error.response.headers["x-reeve-call"]
        got.error = error
    except (openai.APIError, anthropic.APIError, ValueError) as error:
        got.error = error
    return got


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, reeve: Server, chat: openai.OpenAI, claude: anthropic.Anthropic
) -> Iterator[dict[Case, Future]]:
    """The selected cases, all under way: most of their time they wait."""
    wanted = [item.callspec.params["case"] for item in request.session.items if item.module is request.module]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(ask, case, chat, claude) for case in wanted}


# --- What must have come of it ----------------------------------------------------------------------------------------

# The SDK's exception, by the status; some have classes of their own under it.
ERRORS = {
    400: "BadRequestError", 404: "NotFoundError", 429: "RateLimitError", 502: "InternalServerError",
    500: "InternalServerError", 503: "InternalServerError", 504: "InternalServerError", 529: "InternalServerError",
}
ENDS = {"chat": "stop", "responses": "completed", "messages": "end_turn"}
FILTERED = {"chat": "content_filter", "responses": "content_filter", "messages": "refusal"}
# Some bytes of `SAID` came, and no more than the five pieces that the model sent.
BEGUN_TOKENS = 5


def check_refusal(case: Case, got: Got) -> None:
    """The SDK's own exception, in its dialect's words, and not a byte of an answer."""
    seen, error = case.seen, got.error
    sdk = anthropic if case.door == "messages" else openai
    assert isinstance(error, getattr(sdk, ERRORS[seen.status])), repr(error)
    assert error.status_code == seen.status
    assert (got.text, got.end) == ("", None) and SECRET not in str(error)
    body = error.body["error"] if sdk is anthropic else error.body
    assert body["type"] and body["message"], error.body
    scripted = case.fault.rule.get("fault", {})
    if "message" in scripted and seen.status == scripted["status"]:
        # The provider's own words, where they help.
        assert body["message"] == scripted["message"]
    if case.name == "limited for long":
        assert LONG_WAIT - 5 <= int(error.response.headers["retry-after"]) <= LONG_WAIT
    else:
        assert seen.status not in (400, 404) or "retry-after" not in error.response.headers


def check_broken(case: Case, got: Got) -> None:
    """An answer that began and did not end is no answer: the SDK raises what it raises for an error in a stream."""
    sdk = anthropic if case.door == "messages" else openai
    assert isinstance(got.error, sdk.APIError), (got.error, got)
    assert SAID.startswith(got.text)
    if case.name != "without an end":
        assert got.end is None and len(got.text.split()) <= BEGUN_TOKENS


def check_answer(case: Case, got: Got) -> None:
    if case.name == "garbled later" and case.situation != "foreign" and case.door != "messages":
        # It went on as it came; OpenAI's SDK says what it cannot read, Anthropic's leaves it out.
        assert isinstance(got.error, ValueError) and SAID.startswith(got.text), got
        return
    assert got.error is None, got.error
    ends = FILTERED if case.name == "filtering" else ENDS
    if case.name == "filtering" and case.situation == "foreign" and case.door == "responses":
        # A refusal of Anthropic's is an answer that is complete, with a part `refusal`.
        ends = ENDS
    assert got.end == ends[case.door]
    if case.name == "degraded":
        assert len(got.text.split()) == SAID_TOKENS and set(got.text) == {" ", "x"}
    else:
        assert got.text == SAID


def check_books(case: Case, record: dict) -> None:
    """Tokens at a thousand billionths of a dollar in, and two thousand out."""
    usage, cost = record["usage"], record["cost"]
    if case.seen.is_broken:
        assert usage["estimated"] is True or case.name == "without an end"
        assert cost["nanoUSD"] > 0
    elif not case.seen.is_answer:
        assert cost is None
    elif case.name == "miscounting":
        # What the provider counts is what it bills.
        counts = {"input": 100, "cacheRead": 900, "output": 50}
        assert {kind: usage["buckets"][kind] for kind in counts} == counts and usage["estimated"] is False
        assert cost["nanoUSD"] == 1000 * 1000 + 50 * 2000
    elif case.name == "not counting":
        assert usage["estimated"] is True and cost["nanoUSD"] > 0
    elif case.name != "garbled later":
        assert (usage["buckets"]["input"], usage["buckets"]["output"]) == (ASKED_TOKENS, SAID_TOKENS)
        assert usage["estimated"] is False
        assert cost["nanoUSD"] == ASKED_TOKENS * 1000 + SAID_TOKENS * 2000


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault(case: Case, reeve: Server, outcomes: dict[Case, Future]) -> None:
    got, seen = outcomes[case].result(), case.seen
    if seen.status:
        check_refusal(case, got)
    elif seen.is_broken:
        check_broken(case, got)
    else:
        check_answer(case, got)
    record = record_of(reeve, got.call)
    assert [attempt["failure"] for attempt in record["attempts"]] == list(seen.attempts)
    labels = [f"{name}/{target(name)['model']}" for name in case.targets]
    # Only what is tried at the same target comes before the next one.
    places = [labels.index(attempt["target"]) for attempt in record["attempts"]]
    assert places == sorted(places)
    assert record["stream"] is (case.kind == "streamed") and record["model"] == case.word
    if isinstance(got.error, ValueError):
        # The client went away over what it could not read, or just did not.
        assert record["status"] in ("done", "canceled")
        return
    assert (record["status"], record["failure"]) == ("done" if seen.is_answer else "failed", seen.failure)
    assert record["httpStatus"] == (seen.status or 200)
    if seen.is_answer:
        assert record["target"] == labels[seen.target]
    check_books(case, record)
