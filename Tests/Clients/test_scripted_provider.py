"""Scripted models within Reeve: no other process, no key, the same answers; and scripts that are none."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from reeve_server import BINARY, Server, environment, until

ON_ENGINES = ["sqlite"]
HELLO = [{"role": "user", "content": "hello"}]
SCRIPT = """
rules:
  - {contains: weather, say: "It rains."}
  - {contains: broken, fault: {status: 400, message: on purpose}}
"""


def settings(**local: str) -> str:
    price = {"input": 1, "output": 2}
    return json.dumps(
        {
            "providers": {"local": {"kind": "scripted", **local}, "plain": {"kind": "scripted"}},
            "models": {
                "scripted": {"targets": [{"provider": "local", "model": "scripted-2026-01-01"}], "price": price},
                "echo": {"targets": [{"provider": "plain", "model": "scripted-2026-01-01"}], "price": price},
            },
        }
    )


@pytest.fixture(scope="module")
def reeve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("scripted")
    (folder / "drills").mkdir()
    (folder / "drills" / "local.yaml").write_text(SCRIPT)
    (folder / "reeve.yaml").write_text(settings(script="drills/local.yaml"))
    server = Server(folder / "data", arguments=["--config", str(folder / "reeve.yaml")])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(reeve: Server) -> openai.OpenAI:
    key = reeve.make_agent("scripted-caller").key
    return openai.OpenAI(base_url=f"{reeve.url}/v1", api_key=key, max_retries=0)


def test_reeve_answers_itself(reeve: Server, client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="echo", messages=HELLO)
    assert reply.choices[0].message.content == "You said: hello"
    scripted = client.chat.completions.create(
        model="scripted", messages=[{"role": "user", "content": "How is the weather?"}]
    )
    assert scripted.choices[0].message.content == "It rains."

    pieces = client.chat.completions.create(model="echo", messages=HELLO, stream=True)
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == "You said: hello"
    assert client.responses.create(model="echo", input="hello").output_text == "You said: hello"

    caller = anthropic.Anthropic(base_url=reeve.url, api_key=client.api_key, max_retries=0)
    message = caller.messages.create(model="echo", max_tokens=20, messages=HELLO)
    assert message.content[0].text == "You said: hello"


def test_its_calls_are_priced_and_recorded_as_all_others(reeve: Server, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=HELLO)
    usage = raw.parse().usage
    assert usage is not None
    api = reeve.api()
    path = f"/api/v1/calls/{raw.headers['x-reeve-call']}"
    call = until(lambda: (found := api.get(path))["status"] != "running" and found, 5, "the call's record")
    assert call["target"] == "plain/scripted-2026-01-01"
    assert call["cost"]["nanoUSD"] == 1_000 * usage.prompt_tokens + 2_000 * usage.completion_tokens


def test_its_errors_reach_the_caller(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="on purpose"):
        client.chat.completions.create(model="scripted", messages=[{"role": "user", "content": "broken"}])


def test_it_remembers_no_prompts_and_keeps_its_script(reeve: Server, client: openai.OpenAI) -> None:
    """Whoever is on the same machine could ask it."""
    ports = listening_ports(reeve.process.pid)
    others = [port for port in ports if port != int(reeve.url.rsplit(":", 1)[1])]
    # Those of the settings, and the model of drills.
    assert len(others) == 3
    for port in others:
        inside = openai.OpenAI(base_url=f"http://127.0.0.1:{port}", api_key="any", max_retries=0)
        with pytest.raises(openai.NotFoundError):
            inside.get("/scripted/requests", cast_to=object)
        with pytest.raises(openai.NotFoundError):
            inside.put("/scripted/script", cast_to=object, body={"rules": []})


def listening_ports(pid: int) -> list[int]:
    sockets = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    ports = []
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            assert fields[1].startswith("0100007F:"), "it listens for this machine alone"
            ports.append(int(fields[1].split(":")[1], 16))
    return ports


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [{model: x, sings: true}]", "sings"),
        ("rules: {", "YAML"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_script_is_told_before_anything_starts(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "bad.yaml").write_text(text)
    (tmp_path / "reeve.yaml").write_text(settings(script="bad.yaml"))
    config = ["--config", str(tmp_path / "reeve.yaml")]
    for command in (["settings", "check"], ["serve", "--port", "0", "--data-dir", str(tmp_path / "data")]):
        done = subprocess.run(
            [BINARY, *command, *config], env=environment(), capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1, done.stdout
        assert "providers/local/script: bad.yaml: " in done.stderr and words in done.stderr
        assert done.stderr.count("providers/local/script") == 1, done.stderr
    assert not (tmp_path / "data" / "reeve.db").exists()


def test_a_restart_takes_new_ports(reeve: Server, client: openai.OpenAI) -> None:
    reeve.kill()
    reeve.start()
    again = openai.OpenAI(base_url=f"{reeve.url}/v1", api_key=client.api_key, max_retries=0)
    assert again.chat.completions.create(model="echo", messages=HELLO).choices[0].message.content == "You said: hello"
