"""What the tests of the model gateway share: scripted models, a Reeve before them, the SDKs, and what is on record."""

import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anthropic
import httpx
import openai
from prometheus_client.parser import text_string_to_metric_families

from reeve_server import BINARY, Server, die_with_parent, until

PINNED = "gpt-4o-mini-2024-07-18"
CLAUDE = "claude-haiku-4-5-20251001"
FIRST = {"provider": "main", "model": PINNED}
SECOND = {"provider": "backup", "model": CLAUDE}
# Dollars per million tokens.
MINI_PRICE = {"input": 0.15, "output": 0.60, "cacheRead": 0.075}
ROUND_PRICE = {"input": 1, "output": 2}

# Four tokens for a chat door, two for a messages door, which counts no system prompt that is not there.
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


def asked(word: str) -> list[dict]:
    return [{"role": "user", "content": word}]


# --- Scripted models --------------------------------------------------------------------------------------------------


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """The address of a scripted model of the test's own."""
    process = subprocess.Popen(
        [BINARY, "mock-model", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        line = process.stdout.readline()
        yield re.search(r"http://\S+(?=/v1)", line)[0]
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


@contextmanager
def served(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a provider that is a few lines of Python."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def script(address: str, *rules: dict) -> None:
    """What a scripted model answers from now on; without rules, as it does by itself."""
    httpx.put(f"{address}/scripted/script", json={"rules": list(rules)}).raise_for_status()


def received(address: str) -> list[dict]:
    """The last 1,000 requests that a scripted model got, the newest last: `body` parsed, `text` as it came."""
    items = httpx.get(f"{address}/scripted/requests").json()["items"]
    return [{**item, "text": item["body"], "body": json.loads(item["body"])} for item in items]


# --- A Reeve before them ----------------------------------------------------------------------------------------------


def providers(main: str, backup: str, **more: dict) -> dict:
    """Two of them, one of each dialect, by the addresses of their models."""
    return {
        "main": {"kind": "openai", "baseURL": f"{main}/v1"},
        "backup": {"kind": "anthropic", "baseURL": backup},
        **more,
    }


def deadlines(first_byte: float = 5, inter_token: float = 5, total: float = 10) -> dict:
    return {"firstByteSeconds": first_byte, "interTokenSeconds": inter_token, "totalSeconds": total}


def started(folder: Path, settings: dict, engine: str = "sqlite", **options) -> Server:
    """A Reeve with these settings; its data and its settings file are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reeve.yaml").write_text(json.dumps(settings))
    arguments = ["--config", str(folder / "reeve.yaml")]
    return Server(folder / "data", engine, arguments=arguments, **options).start()


@contextmanager
def running(folder: Path, settings: dict, engine: str = "sqlite", **options) -> Iterator[Server]:
    server = started(folder, settings, engine, **options)
    try:
        yield server
    finally:
        status = server.stop()
    assert status == 0


# --- Who asks ---------------------------------------------------------------------------------------------------------


def openai_of(server: Server, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=20)


def openai_agent(server: Server, name: str):
    """An agent with OpenAI's client as `chat`; `ask(model)` sends it HELLO."""
    agent = server.make_agent(name)
    agent.chat = openai_of(server, agent.key)
    agent.ask = lambda model="mini", **more: agent.chat.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, **more
    )
    return agent


def anthropic_of(server: Server, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=20)


def bearer(key: str, **headers: str) -> dict[str, str]:
    """Headers with a key; `_` in the name of another one stands for `-`."""
    return {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}


def post(
    server: Server, key: str, body: dict, door: str = "chat/completions", timeout: float = 20, **headers: str
) -> httpx.Response:
    """A call without an SDK between."""
    return httpx.post(f"{server.url}/v1/{door}", json=body, headers=bearer(key, **headers), timeout=timeout)


# --- What came, and what is on record ---------------------------------------------------------------------------------


def text_of(chunks: Iterable) -> str:
    """What a chat stream said."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def finish_of(chunks: Iterable) -> str | None:
    """Why a chat stream ended."""
    return [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1]


def arguments_of(chunks: Iterable) -> str:
    """The arguments of the tool that a chat stream called."""
    pieces = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    return "".join(piece.function.arguments or "" for piece in pieces)


def record_of(server: Server, call: str) -> dict:
    """The record of a call; it is there at once, and whole a moment after the answer."""
    assert server.api().get(f"/api/v1/calls/{call}")["id"] == call
    return until(
        lambda: (found := server.api().get(f"/api/v1/calls/{call}"))["status"] != "running" and found, what="its end"
    )


def explained(server: Server, call: str) -> list[dict]:
    """The steps of a call, as they are told to people."""
    return server.api().get(f"/api/v1/calls/{call}/explain")["steps"]


def counted(record: dict) -> dict[str, int]:
    """The buckets of a call's tokens that have any."""
    return {kind: count for kind, count in record["usage"]["buckets"].items() if type(count) is int and count}


def scrape(server: Server, key: str | None = None) -> dict[tuple, float]:
    """Every sample by its name and labels, read by Prometheus' own client."""
    reply = httpx.get(f"{server.url}/metrics", headers=bearer(key or server.admin_key))
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {}
    for family in text_string_to_metric_families(reply.text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family.name
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, f"{key} stands twice"
            samples[key] = sample.value
    return samples
