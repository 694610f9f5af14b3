"""Keys that Reeve keeps and its gateway uses: the agent never sees them, a new version is used by the next call, and
nobody else pays in silence."""

import http.server
import json
import threading
from collections.abc import Iterator

import openai
import pytest

from gateway_kit import openai_agent, openai_of, post, record_of, running, served, started, text_of
from reeve_server import ENGINES, Server, until

MODEL = "gpt-4o-mini-2024-07-18"
PLATFORM, NEWER, ANNS, SPENT, ORGS = (
    f"sk-{name}-" + "5e1f" * 8 for name in ("platform", "newer", "anns", "spent", "orgs")
)


class Provider(http.server.BaseHTTPRequestHandler):
    """Tells good keys from bad ones, and remembers which came."""

    good: set[str] = set()
    came: list[str] = []
    go_on = threading.Event()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        type(self).came.append(key)
        if key == SPENT:
            return self.answer(429, {"error": {"code": "insufficient_quota", "message": "no money left"}})
        if key not in self.good:
            return self.answer(401, {"error": {"code": "invalid_api_key", "message": f"{key} is wrong"}})
        if body.get("stream"):
            return self.stream()
        message = {"role": "assistant", "content": "hello"}
        self.answer(
            200,
            {
                "id": "c", "object": "chat.completion", "created": 1, "model": MODEL,
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5},
            },
        )

    def answer(self, status: int, document: dict):
        sent = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def stream(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()

        def say(delta: dict, reason: str | None = None):
            chunk = {
                "id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            }
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()

        say({"role": "assistant", "content": "one "})
        self.go_on.wait(10)
        say({"content": "two"})
        say({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with served(Provider) as url:
        yield url


@pytest.fixture(autouse=True)
def fresh():
    Provider.good = {PLATFORM, NEWER, ANNS, ORGS}
    Provider.came = []
    Provider.go_on.clear()


def settings(url: str) -> dict:
    def provider(**more) -> dict:
        return {"kind": "openai", "baseURL": f"{url}/v1", **more}

    everyone = {"*": {"apiKeySecret": "secret://user/{user}/openai"}}
    kept = {"apiKeySecret": "secret://platform/openai"}
    organisations = {"acme": {"apiKeySecret": "secret://org/openai", "members": ["member"]}}
    providers = {
        "plain": provider(**kept),
        "brought": provider(**kept, keys={"users": everyone, "organisations": organisations}),
        "strict": provider(keyPolicy="strict_user", keys={"users": everyone}),
        "lenient": provider(**kept, keyFallbackOn=["absent", "expired", "quota"], keys={"users": everyone}),
        "project": provider(**kept, keys={"projects": {"*": {"apiKeySecret": "secret://project/{project}/openai"}}}),
    }
    model = {"price": {"input": 1, "output": 2}, "retries": 0}
    models = {name: {**model, "targets": [{"provider": name, "model": MODEL}]} for name in providers}
    # Another provider, whose key the platform pays for, is no way out of a user's own bad key.
    models["two"] = {
        **model, "targets": [{"provider": "brought", "model": MODEL}, {"provider": "plain", "model": MODEL}],
    }
    return {"providers": providers, "models": models}


@pytest.fixture(scope="module", params=ENGINES)
def reeve(request, provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gateway-secrets")
    with running(folder, settings(provider), request.param) as server:
        yield server


def keep(server: Server, path: str, value: str) -> int:
    return server.api().call("PUT", f"/api/v1/secrets/{path}", {"value": value}, 200)["version"]


def forget(server: Server, *paths: str):
    for path in paths:
        server.api().send("DELETE", f"/api/v1/secrets/{path}?all=true")


def holders(server: Server, path: str) -> dict:
    return {one["actor"]: one["version"] for one in server.api().get(f"/api/v1/secrets/{path}")["holders"]}


def readings(server: Server, path: str) -> list[dict]:
    found, after = [], "0"
    while after is not None:
        page = server.api().get(f"/api/v1/audit?limit=500&after={after}")
        found += [entry for entry in page["items"] if entry["target"] == f"secret:{path}"]
        after = page["next"]
    return [entry for entry in found if entry["action"] == "secret.read"]


def refusal(agent, model: str) -> dict:
    with pytest.raises(openai.APIStatusError) as refused:
        agent.ask(model)
    return {"status": refused.value.status_code, **refused.value.body}


def decision_of(server: Server, reply) -> dict:
    call = record_of(server, reply.headers["x-reeve-call"])["id"]
    return until(
        lambda: server.api().get(f"/api/v1/calls/{call}/explain").get("decision"), what="the decision of a call"
    )


def keys_of(server: Server, reply) -> dict:
    return decision_of(server, reply)["keys"]


def test_the_platforms_key_is_kept_and_a_new_version_is_used_at_once(reeve: Server):
    forget(reeve, "platform/openai")
    agent = openai_agent(reeve, "writer")
    told = refusal(agent, "plain")
    assert (told["status"], told["code"]) == (502, "provider_key_missing")
    assert "secret://platform/openai" in told["message"] and Provider.came == []

    keep(reeve, "platform/openai", PLATFORM + "\n")
    replies = [agent.ask("plain") for _ in range(5)]
    assert Provider.came == [PLATFORM] * 5
    assert keys_of(reeve, replies[0]) == {f"plain/{MODEL}": "platform (secret://platform/openai, version 1)"}
    assert all(PLATFORM not in reply.text and PLATFORM not in str(reply.headers) for reply in replies)

    assert keep(reeve, "platform/openai", NEWER) == 2
    assert keys_of(reeve, agent.ask("plain")) == {f"plain/{MODEL}": "platform (secret://platform/openai, version 2)"}
    assert Provider.came[5:] == [NEWER]

    # Written down once for each version, and never the value.
    written = readings(reeve, "platform/openai")
    assert [entry["detail"]["version"] for entry in written] == [1, 2]
    assert {entry["actor"] for entry in written} == {"gateway"}
    assert written[0]["detail"]["for"] == "agent:writer"
    assert PLATFORM not in str(written)
    assert holders(reeve, "platform/openai") == {"gateway": 2}


def test_a_stream_goes_on_while_its_key_is_replaced(reeve: Server):
    keep(reeve, "platform/openai", PLATFORM)
    agent = openai_agent(reeve, "streamer")
    stream = agent.chat.chat.completions.create(
        model="plain", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    first = next(stream)
    Provider.good = {NEWER}
    keep(reeve, "platform/openai", NEWER)
    agent.ask("plain")
    Provider.go_on.set()
    assert text_of([first, *stream]) == "one two"
    assert Provider.came == [PLATFORM, NEWER]


def test_who_brings_a_key_pays_with_it(reeve: Server):
    keep(reeve, "platform/openai", PLATFORM)
    forget(reeve, "user/ann/openai", "org/openai")
    ann, member = openai_agent(reeve, "ann"), openai_agent(reeve, "member")
    assert "platform" in keys_of(reeve, ann.ask("brought"))[f"brought/{MODEL}"]
    keep(reeve, "user/ann/openai", ANNS)
    keep(reeve, "org/openai", ORGS)
    reply = ann.ask("brought")
    assert keys_of(reeve, reply) == {f"brought/{MODEL}": "user:ann (secret://user/ann/openai, version 1)"}
    assert keys_of(reeve, member.ask("brought")) == {
        f"brought/{MODEL}": "organisation:acme (secret://org/openai, version 1)"
    }
    assert Provider.came == [PLATFORM, ANNS, ORGS]
    # Who calls cannot read what it pays with.
    ann_reads = ann.send("GET", "/api/v1/secrets/user/ann/openai/value")
    assert ann_reads.status_code == 403


def test_strict_users_bring_their_own_or_are_refused(reeve: Server):
    keep(reeve, "platform/openai", PLATFORM)
    forget(reeve, "user/bob/openai")
    bob = openai_agent(reeve, "bob")
    told = refusal(bob, "strict")
    assert (told["status"], told["code"]) == (403, "provider_key_missing")
    keep(reeve, "user/bob/openai", ANNS)
    bob.ask("strict")
    assert Provider.came == [ANNS]


@pytest.mark.parametrize("model", ["brought", "strict", "two"])
def test_a_refused_key_is_told_and_nobody_else_pays(reeve: Server, model: str):
    keep(reeve, "platform/openai", PLATFORM)
    name = f"carl-{model}"
    carl = openai_agent(reeve, name)
    keep(reeve, f"user/{name}/openai", "sk-old-" + "0" * 20)
    told = refusal(carl, model)
    assert (told["status"], told["code"]) == (403, "provider_key_refused"), told
    assert f"secret://user/{name}/openai, version 1" in told["message"] and "sk-old" not in str(told)
    assert Provider.came == ["sk-old-" + "0" * 20]
    # Nothing is wrong with the provider: others' calls go on.
    for _ in range(10):
        refusal(carl, model)
    keep(reeve, f"user/{name}/openai", ANNS)
    carl.ask(model)
    assert Provider.came[-1] == ANNS and PLATFORM not in Provider.came


@pytest.mark.parametrize("bad, word", [("sk-old-" + "0" * 20, "unauthorized"), (SPENT, "quota_exhausted")])
def test_where_the_settings_say_so_the_next_key_is_tried(reeve: Server, bad: str, word: str):
    keep(reeve, "platform/openai", PLATFORM)
    dora = openai_agent(reeve, f"dora-{word}".replace("_", "-"))
    keep(reeve, f"user/{dora.agent}/openai", bad)
    reply = dora.ask("lenient")
    assert Provider.came == [bad, PLATFORM]
    record, decision = record_of(reeve, reply.headers["x-reeve-call"]), decision_of(reeve, reply)
    assert decision["keys"] == {f"lenient/{MODEL}": "platform (secret://platform/openai, version %d)" % (
        reeve.api().get("/api/v1/secrets/platform/openai")["version"]
    )}
    assert [one.split(", ")[-1] for one in decision["keysRefused"]] == [word]
    assert [one["failure"] for one in record["attempts"]] == [word, None]
    reasons = [step.get("reason") for step in decision["steps"] if step["kind"] == "attempt"]
    assert reasons == ["first_choice", "other_key"]


def test_a_deleted_key_stops_calls_until_it_is_forgotten(reeve: Server):
    keep(reeve, "platform/openai", PLATFORM)
    eve = openai_agent(reeve, "eve")
    keep(reeve, "user/eve/openai", ANNS)
    eve.ask("brought")
    reeve.api().send("DELETE", "/api/v1/secrets/user/eve/openai").raise_for_status()
    told = refusal(eve, "brought")
    assert (told["status"], told["code"]) == (403, "provider_key_deleted")
    eve.ask("lenient")
    forget(reeve, "user/eve/openai")
    eve.ask("brought")
    assert Provider.came == [ANNS, PLATFORM, PLATFORM]


def test_projects_have_keys(reeve: Server):
    keep(reeve, "platform/openai", PLATFORM)
    keep(reeve, "project/default/openai", ORGS)
    reply = openai_agent(reeve, "fred").ask("project")
    assert keys_of(reeve, reply) == {f"project/{MODEL}": "project:default (secret://project/default/openai, version 1)"}
    assert Provider.came == [ORGS]
    forget(reeve, "project/default/openai")


def test_what_is_no_key_is_not_sent(reeve: Server):
    keep(reeve, "platform/openai", "two\nlines-of-something")
    told = refusal(openai_agent(reeve, "gina"), "plain")
    assert (told["status"], told["code"]) == (503, "provider_key_unavailable")
    assert Provider.came == [] and "two" not in told["message"]


def test_which_secret_holds_is_told(reeve: Server):
    for path in ("user/hal/github", "project/web/github", "org/github", "platform/github"):
        forget(reeve, path)
    hal = reeve.make_agent("hal")
    address = "/api/v1/secrets/resolve?name=github&user=hal&project=web"
    hal.refused("GET", address, status=404, code="not_found")
    keep(reeve, "platform/github", "platforms-value")
    keep(reeve, "org/github", "orgs-value")
    # What it was not granted is not there for an agent.
    hal.refused("GET", address, status=404, code="not_found")
    reeve.api().call("PUT", "/api/v1/secrets/platform/github/grants", {"agents": ["hal"]}, 200)
    found = hal.get(address)
    assert (found["used"], found["scope"], found["version"]) == ("platform/github", "platform", 1)
    assert [(one["path"], one["state"]) for one in found["looked"]] == [
        ("user/hal/github", "absent"), ("project/web/github", "absent"), ("org/github", "absent"),
        ("platform/github", "used"),
    ]
    assert "value" not in str(found)
    assert reeve.api().get(address)["used"] == "org/github"
    hal.refused("GET", address + "&policy=strict_user", status=404, code="not_found")
    hal.refused("GET", "/api/v1/secrets/resolve?name=github&policy=strict_user", status=422, code="invalid")
    hal.refused("GET", "/api/v1/secrets/resolve", status=422, code="invalid")
    reeve.api().send("DELETE", "/api/v1/secrets/org/github").raise_for_status()
    reeve.api().refused("GET", address, status=409, code="conflict")
    assert reeve.api().get(address + "&fallbackOn=absent,expired")["used"] == "platform/github"


def test_without_the_master_key_no_call_goes_out(provider: str, tmp_path):
    server = started(tmp_path, settings(provider))
    try:
        keep(server, "platform/openai", PLATFORM)
        key = server.make_key("agent", agent="ivy")
        openai_of(server, key).chat.completions.create(model="plain", messages=[{"role": "user", "content": "hi"}])
        server.stop()
        (tmp_path / "data" / "master.key").unlink()
        server.start()
        Provider.came = []
        reply = post(server, key, {"model": "plain", "messages": [{"role": "user", "content": "hi"}]})
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "provider_key_unavailable"), reply.text
        assert Provider.came == []
    finally:
        server.stop()
