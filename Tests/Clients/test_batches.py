"""Files and batches through Reeve, by the providers' own clients, on scripted models."""

import json
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest

from gateway_kit import (
    FIRST, SECOND, anthropic_of, asked, bearer, deadlines, openai_of, providers, received, running, script, started,
)
from reeve_server import ENGINES, Server, until

CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.usefixtures("plain")


def settings_of(main: str, backup: str) -> dict:
    common = {"price": {"input": 0.15, "output": 0.60}, "deadlines": deadlines(total=20)}
    # A breaker that opens early would hide what a batch does by itself.
    breaker = {"failures": 10, "openSeconds": 1}
    return {
        "providers": providers(main, backup),
        "models": {
            "gpt-4o-mini": {**common, "targets": [FIRST], "breaker": breaker},
            "claude": {**common, "targets": [SECOND]},
        },
        "batches": {"parallel": 4, "fileBytes": 100_000, "keptBytes": 1_000_000, "lines": 200},
    }


@pytest.fixture(scope="module", params=ENGINES)
def reeve(
    main: str, backup: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("batches"), settings_of(main, backup), request.param) as server:
        yield server


def openai_as(server: Server, agent: str) -> openai.OpenAI:
    """With a new key of the agent's."""
    return openai_of(server, server.make_agent(agent).key)


def anthropic_as(server: Server, agent: str) -> anthropic.Anthropic:
    return anthropic_of(server, server.make_agent(agent).key)


def line(custom_id: str, text: str = "hello there", model: str = "gpt-4o-mini", **more) -> dict:
    body = {"model": model, "messages": asked(text)}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body, **more}


def jsonl(*lines: dict | str) -> bytes:
    return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in lines).encode() + b"\n"


def upload(client: openai.OpenAI, *lines: dict | str):
    return client.files.create(file=("requests.jsonl", jsonl(*lines)), purpose="batch")


def start(client: openai.OpenAI, *lines: dict | str, endpoint: str = CHAT, **more):
    return client.batches.create(
        input_file_id=upload(client, *lines).id, endpoint=endpoint, completion_window="24h", **more
    )


ENDED = ("completed", "failed", "expired", "cancelled")


def ended(client: openai.OpenAI, batch_id: str, seconds: float = 30):
    return until(
        lambda: (b := client.batches.retrieve(batch_id)).status in ENDED and b, seconds, f"the end of {batch_id}"
    )


def content(client: openai.OpenAI, file_id: str) -> dict[str, dict]:
    rows = [json.loads(row) for row in client.files.content(file_id).text.splitlines()]
    return {row["custom_id"]: row for row in rows}


# MARK: OpenAI


def test_a_batch_from_upload_to_results(reeve: Server, chat: openai.OpenAI, main: str) -> None:
    batch = start(
        chat, line("a"), line("b", "good bye"), metadata={"night": "1"}, extra_headers={"x-reeve-tags": "nightly"}
    )
    assert batch.id.startswith("batch_") and batch.status == "validating" and batch.object == "batch"
    assert batch.expires_at - batch.created_at == 86400
    done = ended(chat, batch.id)
    assert (done.status, done.metadata, done.model) == ("completed", {"night": "1"}, "gpt-4o-mini")
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (2, 2, 0)
    assert done.error_file_id is None and done.errors is None
    assert done.in_progress_at and done.finalizing_at and done.completed_at and not done.cancelled_at
    results = content(chat, done.output_file_id)
    assert list(results) == ["a", "b"]
    answer = results["b"]
    assert answer["error"] is None and answer["id"].startswith("batch_req_")
    assert answer["response"]["status_code"] == 200
    assert answer["response"]["body"]["choices"][0]["message"]["content"] == "You said: good bye"
    # The call is the agent's, as any other, and names the batch.
    call = reeve.api().get(f"/api/v1/calls/{answer['response']['request_id']}")
    assert (call["agent"], call["status"], call["tags"]) == ("writer", "done", [batch.id, "nightly"])
    assert call["cost"]["nanoUSD"] > 0
    output = chat.files.retrieve(done.output_file_id)
    assert output.purpose == "batch_output" and output.bytes == len(chat.files.content(output.id).content)


@pytest.mark.parametrize(
    "endpoint, body",
    [
        ("/v1/responses", {"model": "gpt-4o-mini", "input": "hello there"}),
        ("/v1/embeddings", {"model": "gpt-4o-mini", "input": ["hello"]}),
        (CHAT, {"model": "claude", "messages": asked("hello there")}),
    ],
)
def test_every_endpoint(chat: openai.OpenAI, endpoint: str, body: dict) -> None:
    request = {"custom_id": "x", "method": "POST", "url": endpoint, "body": body}
    done = ended(chat, start(chat, request, endpoint=endpoint).id)
    assert done.status == "completed", done
    answer = content(chat, done.output_file_id)["x"]["response"]["body"]
    kind = {"/v1/responses": "response", "/v1/embeddings": "list", CHAT: "chat.completion"}[endpoint]
    assert answer["object"] == kind


def test_bad_lines_are_told_and_the_others_are_answered(chat: openai.OpenAI, main: str) -> None:
    before = len(received(main))
    batch = start(
        chat, line("good"), "{no json", '["a list"]', line("good"), {**line("w"), "url": "/v1/embeddings"},
        {**line("m"), "method": "GET"}, {k: v for k, v in line("n").items() if k != "custom_id"},
        {**line("s"), "body": {**line("s")["body"], "stream": True}}, {**line("o"), "body": None},
        line("unknown", model="nobody"), {"custom_id": "empty", "method": "POST", "url": CHAT, "body": {}},
    )
    done = ended(chat, batch.id)
    assert done.status == "completed"
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (11, 1, 10)
    assert list(content(chat, done.output_file_id)) == ["good"]
    rows = [json.loads(row) for row in chat.files.content(done.error_file_id).text.splitlines()]
    told = [(row["custom_id"], (row["error"] or {}).get("code")) for row in rows]
    assert told == [
        (None, "invalid_json_line"), (None, "invalid_json_line"), ("good", "duplicate_custom_id"),
        ("w", "url_mismatch"), ("m", "invalid_method"), (None, "missing_required_parameter"),
        ("s", "invalid_request"), ("o", "invalid_request"), ("unknown", None), ("empty", None),
    ]
    # What a door refuses stands there as it was refused.
    assert rows[-2]["response"]["status_code"] == 404
    assert rows[-2]["response"]["body"]["error"]["code"] == "model_not_found"
    assert rows[-1]["response"]["status_code"] == 400
    assert [(flaw.line, flaw.code) for flaw in done.errors.data][:2] == [
        (2, "invalid_json_line"), (3, "invalid_json_line"),
    ]
    assert len(received(main)) == before + 1


@pytest.mark.parametrize(
    "lines, code",
    [([""], "empty_file"), (["{no json"], "invalid_json_line"), ([line(f"n{i}") for i in range(201)], "too_many_tasks")],
)
def test_a_file_of_which_nothing_can_be_asked(chat: openai.OpenAI, lines: list, code: str) -> None:
    done = ended(chat, start(chat, *lines).id)
    assert (done.status, done.output_file_id) == ("failed", None)
    assert done.failed_at and done.errors.data[0].code == code


def test_files(chat: openai.OpenAI) -> None:
    made = [upload(chat, line(f"f{i}")) for i in range(3)]
    assert made[0].id.startswith("file-") and made[0].object == "file" and made[0].filename == "requests.jsonl"
    assert chat.files.content(made[0].id).content == jsonl(line("f0")) and made[0].bytes == len(jsonl(line("f0")))
    newest = [f.id for f in chat.files.list(purpose="batch", limit=2)]
    assert newest[:3] == [f.id for f in made[::-1]]
    assert [f.id for f in chat.files.list(order="asc", after=made[1].id)][0] == made[2].id
    assert all(f.purpose == "batch_output" for f in chat.files.list(purpose="batch_output"))
    kept = chat.files.create(
        file=("x.jsonl", b"{}"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert kept.expires_at - kept.created_at == 3600
    assert chat.files.delete(made[0].id).deleted is True
    with pytest.raises(openai.NotFoundError):
        chat.files.retrieve(made[0].id)


def test_what_is_refused(reeve: Server, chat: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as purpose:
        chat.files.create(file=("x", b"{}"), purpose="vision")
    assert purpose.value.param == "purpose"
    with pytest.raises(openai.APIStatusError) as large:
        chat.files.create(file=("x", b"x" * 100_001), purpose="batch")
    assert large.value.status_code == 413
    with pytest.raises(openai.APIStatusError) as huge:
        chat.files.create(file=("x", b"x" * 400_000), purpose="batch")
    assert huge.value.status_code == 413
    file = upload(chat, line("a")).id
    for wrong, param in (
        ({"endpoint": "/v1/completions"}, "endpoint"), ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after.seconds"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            chat.batches.create(
                **{"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", **wrong}  # type: ignore
            )
        assert refused.value.param == param, refused.value.body
    with pytest.raises(openai.NotFoundError):
        chat.batches.create(input_file_id="file-none", endpoint=CHAT, completion_window="24h")
    with pytest.raises(openai.NotFoundError):
        chat.batches.retrieve("batch_none")
    with pytest.raises(openai.AuthenticationError):
        chat.with_options(api_key="nobody").files.list()
    reply = httpx.post(f"{reeve.url}/v1/files", json={}, headers=bearer(chat.api_key))
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")


def test_room_for_files_is_bounded(reeve: Server) -> None:
    client = openai_as(reeve, "hoarder")
    for _ in range(10):
        client.files.create(file=("x", b"x" * 99_000), purpose="batch")
    with pytest.raises(openai.BadRequestError) as full:
        client.files.create(file=("x", b"x" * 99_000), purpose="batch")
    assert full.value.code == "file_quota"


def test_others_files_and_batches_are_not_there(reeve: Server, chat: openai.OpenAI) -> None:
    other = openai_as(reeve, "stranger")
    batch = start(chat, line("a"))
    done = ended(chat, batch.id)
    for ask in (
        lambda: other.files.retrieve(done.input_file_id), lambda: other.files.content(done.output_file_id),
        lambda: other.files.delete(done.output_file_id), lambda: other.batches.retrieve(batch.id),
        lambda: other.batches.cancel(batch.id),
        lambda: other.batches.create(
            input_file_id=done.input_file_id, endpoint=CHAT, completion_window="24h"
        ),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()
    assert list(other.files.list()) == [] and list(other.batches.list()) == []
    # A second key of the same agent sees them.
    again = openai_as(reeve, "writer")
    assert again.batches.retrieve(batch.id).status == "completed"
    assert batch.id in [b.id for b in again.batches.list(limit=1)]


def test_cancel_keeps_what_was_answered(chat: openai.OpenAI, main: str) -> None:
    script(main, {"contains": "slow", "fault": {"delaySeconds": 1.5}})
    batch = start(chat, *[line(f"q{i}", "quick") for i in range(3)], *[line(f"s{i}", "slow") for i in range(60)])
    until(lambda: chat.batches.retrieve(batch.id).request_counts.completed >= 3, what="the quick ones")
    cancelling = chat.batches.cancel(batch.id)
    assert cancelling.status == "cancelling" and cancelling.cancelling_at
    assert chat.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = ended(chat, batch.id)
    assert done.status == "cancelled" and done.cancelled_at
    answered, left = content(chat, done.output_file_id), content(chat, done.error_file_id)
    assert {"q0", "q1", "q2"} <= set(answered) and len(answered) + len(left) == 63
    assert done.request_counts.completed == len(answered) < 20
    assert {row["error"]["code"] for row in left.values()} == {"batch_cancelled"}
    finished = ended(chat, start(chat, line("a")).id)
    with pytest.raises(openai.ConflictError):
        chat.batches.cancel(finished.id)


def test_a_provider_that_limits_is_waited_for(chat: openai.OpenAI, main: str) -> None:
    script(main, {"times": 3, "fault": {"status": 429, "retryAfterSeconds": 4}})
    done = ended(chat, start(chat, *[line(f"l{i}") for i in range(6)]).id, 60)
    assert (done.status, done.request_counts.completed, done.error_file_id) == ("completed", 6, None)


def test_a_key_that_is_revoked_ends_its_batches(reeve: Server, chat: openai.OpenAI, main: str) -> None:
    script(main, {"fault": {"delaySeconds": 0.7}})
    made = reeve.api().post("/api/v1/keys", {"role": "agent", "name": "short", "agent": "writer"}, 201)
    short = chat.with_options(api_key=made["key"])
    batch = start(short, *[line(f"k{i}") for i in range(30)])
    until(lambda: chat.batches.retrieve(batch.id).request_counts.completed, what="the first answer")
    reeve.api().call("DELETE", f"/api/v1/keys/{made['id']}")
    done = ended(chat, batch.id)
    assert 0 < done.request_counts.completed < 20
    assert done.request_counts.completed + done.request_counts.failed == 30
    left = content(chat, done.error_file_id)
    assert {row["error"]["code"] for row in left.values()} == {"invalid_api_key"}


def test_events_tell_of_batches(reeve: Server, chat: openai.OpenAI) -> None:
    batch = start(chat, line("a"))
    ended(chat, batch.id)
    mine = [e for e in reeve.api().events() if e["data"].get("batchId") == batch.id]
    assert [e["type"] for e in mine] == ["batch.created", "batch.ended"]
    assert mine[1]["agent"] == "writer" and mine[1]["data"]["succeeded"] == 1


def test_an_idempotency_key_makes_one_batch(chat: openai.OpenAI) -> None:
    file = upload(chat, line("a")).id
    ids = {
        chat.batches.create(
            input_file_id=file, endpoint=CHAT, completion_window="24h", extra_headers={"idempotency-key": "once"}
        ).id
        for _ in range(2)
    }
    assert len(ids) == 1


# MARK: Anthropic


def message(custom_id: str, text: str = "hello there", **more) -> dict:
    params = {"model": "claude", "max_tokens": 50, "messages": asked(text), **more}
    return {"custom_id": custom_id, "params": params}


def settled(client: anthropic.Anthropic, batch_id: str):
    return until(
        lambda: (b := client.messages.batches.retrieve(batch_id)).processing_status == "ended" and b, 30, "its end"
    )


def test_a_message_batch_from_request_to_results(
    reeve: Server, claude: anthropic.Anthropic, backup: str
) -> None:
    script(backup, {"contains": "slow", "fault": {"delaySeconds": 0.5}})
    batch = claude.messages.batches.create(
        requests=[message("a"), message("b", "slow"), message("c", model="nobody"), message("d", stream=True)]
    )
    assert batch.id.startswith("msgbatch_") and batch.processing_status == "in_progress"
    assert (batch.request_counts.processing, batch.results_url, batch.type) == (4, None, "message_batch")
    assert (batch.expires_at - batch.created_at).total_seconds() == 86400
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.batches.delete(batch.id)
    done = settled(claude, batch.id)
    counts = done.request_counts
    assert (counts.succeeded, counts.errored, counts.canceled, counts.expired, counts.processing) == (2, 2, 0, 0, 0)
    assert done.ended_at and done.results_url == f"{reeve.url}/v1/messages/batches/{batch.id}/results"
    results = {r.custom_id: r.result for r in claude.messages.batches.results(batch.id)}
    assert results["b"].type == "succeeded" and results["b"].message.content[0].text == "You said: slow"
    assert results["c"].type == "errored" and results["c"].error.error.type == "not_found_error"
    assert results["d"].type == "errored" and results["d"].error.error.type == "invalid_request_error"
    assert claude.messages.batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.batches.retrieve(batch.id)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.batches.results(batch.id)
    # Its files are none that the other dialect's address shows.
    openai_files = openai.OpenAI(base_url=f"{reeve.url}/v1", api_key=claude.api_key).files.list()
    assert all(f.purpose in ("batch", "batch_output") for f in openai_files)


def test_message_batches_are_listed_page_by_page(reeve: Server) -> None:
    claude = anthropic_as(reeve, "lister")
    ids = [claude.messages.batches.create(requests=[message("a")]).id for _ in range(5)]
    assert [b.id for b in claude.messages.batches.list(limit=2)] == ids[::-1]
    page = claude.messages.batches.list(limit=2, before_id=ids[1])
    assert [b.id for b in page.data] == [ids[3], ids[2]] and page.has_more
    other = anthropic_as(reeve, "stranger")
    assert list(other.messages.batches.list()) == []
    with pytest.raises(anthropic.NotFoundError):
        other.messages.batches.retrieve(ids[0])
    with pytest.raises(anthropic.NotFoundError):
        other.messages.batches.cancel(ids[0])
    # What they ask must not be taken for what a later test asks.
    for one in ids:
        settled(claude, one)


def test_a_message_batch_is_cancelled(claude: anthropic.Anthropic, backup: str) -> None:
    script(backup, {"fault": {"delaySeconds": 1}})
    before = len(received(backup))
    batch = claude.messages.batches.create(requests=[message(f"m{i}") for i in range(40)])
    until(lambda: len(received(backup)) > before, what="the first call")
    canceling = claude.messages.batches.cancel(batch.id)
    assert canceling.processing_status == "canceling" and canceling.cancel_initiated_at
    done = settled(claude, batch.id)
    assert done.request_counts.canceled > 20 and done.request_counts.succeeded > 0
    kinds = [r.result.type for r in claude.messages.batches.results(batch.id)]
    assert kinds.count("canceled") == done.request_counts.canceled and len(kinds) == 40


@pytest.mark.parametrize(
    "requests",
    [[], [message("a"), message("a")], [message("a b")], [message("x" * 65)], [{"params": {}}], ["text"]],
)
def test_message_batches_that_are_refused(claude: anthropic.Anthropic, requests: list) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.batches.create(requests=requests)
    assert refused.value.body["error"]["type"] == "invalid_request_error"


# MARK: what survives


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_batch_survives_the_end_of_its_server(main: str, backup: str, tmp_path, engine: str, how: str) -> None:
    server = started(tmp_path, settings_of(main, backup), engine)
    script(main, {"fault": {"delaySeconds": 0.2}})
    before = len(received(main))
    try:
        client = openai_as(server, "writer")
        batch = start(client, *[line(f"r{i}", f"number {i}") for i in range(40)])
        until(lambda: client.batches.retrieve(batch.id).request_counts.completed >= 8, what="a part of the answers")
        server.kill() if how == "kill" else server.stop()
        server.start()
        # PostgreSQL may have other replicas, so the claim of the one that died has to run out.
        done = ended(client, batch.id, 60)
        assert (done.status, done.request_counts.completed) == ("completed", 40)
        results = content(client, done.output_file_id)
        for i in range(40):
            said = results[f"r{i}"]["response"]["body"]["choices"][0]["message"]["content"]
            assert said == f"You said: number {i}"
        # Nothing is asked twice but what was in flight, four at most.
        came = [r["body"]["messages"][0]["content"] for r in received(main)[before:]]
        assert len(set(came)) == 40 and len(came) <= 44
    finally:
        server.stop()
