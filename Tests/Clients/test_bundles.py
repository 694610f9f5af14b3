"""What agents run with: folders that are checked, pushed, compared, taken back, and taken up by a real program."""

import json
import subprocess
import sys

import pytest

from reeve_server import BINARY, die_with_parent, environment, until

ON_ENGINES = ["sqlite"]

MANIFEST = """models:
  main: {model}
prompts:
  system: prompts/system.md
tools:
  - tools/search.yaml
parameters:
  temperature: 0.2
limits:
  maxTokensPerCall: 4000
secrets:
  search: secret://org/search
"""
TOOL = """name: search
description: Looks things up
inputSchema:
  type: object
  properties:
    query: {type: string}
"""


def bundle(folder, prompt="You look things up.\n", model="gpt-4o-2024-08-06"):
    for path, text in {
        "agent.yaml": MANIFEST.replace("{model}", model), "prompts/system.md": prompt, "tools/search.yaml": TOOL,
    }.items():  # fmt: skip
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def run(*arguments, server=None, key=None):
    where = environment(REEVE_URL=server.url, REEVE_KEY=key or server.admin_key) if server else environment()
    words = [BINARY, "config", *map(str, arguments)]
    return subprocess.run(words, env=where, capture_output=True, text=True, timeout=60)


@pytest.fixture
def config(server):
    """Runs `reeve config … --json` against the server."""

    def call(*arguments):
        done = run(*arguments, "--json", server=server)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return call


def test_lint_says_what_is_wrong_without_a_server(tmp_path):
    good = run("lint", bundle(tmp_path / "good"))
    assert (good.returncode, good.stdout) == (0, "nothing is wrong\n")
    bad = bundle(tmp_path / "bad", model="claude-sonnet-4")
    (bad / "agent.yaml").write_text((bad / "agent.yaml").read_text().replace("limits:", "limit:"))
    (bad / "tools/search.yaml").unlink()
    secret = "sk-" + "ant-api03-Zx81kQw92LmNv73RtYb64Pc"
    (bad / "prompts/system.md").write_text(f"Use this:\n{secret}\n")
    told = run("lint", bad)
    assert told.returncode == 1
    shown = [line.removeprefix(f"{bad}/").split(":", 4) for line in told.stdout.splitlines()]
    assert {f"{file}:{line}{rule}" for file, line, _, rule, _ in shown} == {
        "agent.yaml:2 unpinned-model", "agent.yaml:6 missing-tool", "agent.yaml:9 unknown-key",
        "prompts/system.md:2 secret-value",
    }  # fmt: skip
    assert secret not in told.stdout + told.stderr
    report = json.loads(run("lint", bad, "--sarif").stdout)
    assert report["version"] == "2.1.0"
    assert {result["ruleId"] for result in report["runs"][0]["results"]} == {
        "unpinned-model", "missing-tool", "unknown-key", "secret-value",
    }  # fmt: skip
    assert run("lint", tmp_path / "nowhere").returncode == 2
    assert run("lint", bad, "--nonsense").returncode == 2


def test_a_folder_is_pushed_compared_and_rolled_back(server, config, name, tmp_path):
    folder = bundle(tmp_path / "bundle")
    one = config("push", folder, "--agent", name, "-m", "first")
    assert one["message"] == "first" and one["author"] and len(one["version"]) == 64
    assert config("push", folder, "--agent", name, "-m", "again")["version"] == one["version"]
    bundle(folder, prompt="You look things up, politely.\n")
    two = config("push", folder, "--agent", name, "-m", "politer")
    assert [item["version"] for item in config("versions", name)["items"]] == [two["version"], one["version"]]
    shown = run("diff", name, one["version"][:8], two["version"], server=server).stdout
    assert "--- a/prompts/system.md\n+++ b/prompts/system.md\n" in shown
    assert "-You look things up.\n+You look things up, politely." in shown
    blame = config("blame", name, "prompts/system.md")
    assert [line["version"] for line in blame["items"]] == [two["version"]]
    assert {line["version"] for line in config("blame", name, "agent.yaml")["items"]} == {one["version"]}

    state = next(item for item in config("status", "--limit", 500)["items"] if item["agent"] == name)
    assert (state["desired"], state["reported"], state["behind"]) == (two["version"], None, True)
    back = config("rollback", name, "--to", one["version"], "-m", "two was too polite")
    assert back["version"] == one["version"] and back["message"] == "two was too polite"
    pulled = config("pull", name, tmp_path / "pulled")
    assert pulled["version"] == one["version"]
    assert (tmp_path / "pulled/prompts/system.md").read_text() == "You look things up.\n"
    config("pull", name, tmp_path / "second", "--version", two["version"])
    assert (tmp_path / "second/prompts/system.md").read_text() == "You look things up, politely.\n"
    rows = server.api().get("/api/v1/audit?limit=500")["items"]
    rows = [row for row in rows if row["action"] == "bundle.rolled_back"]
    assert any("two was too polite" in json.dumps(row) for row in rows)


def test_what_lint_refuses_push_refuses_too(server, admin, name, tmp_path):
    folder = bundle(tmp_path / "bundle", model="gpt-4o")
    done = run("push", folder, "--agent", name, server=server)
    assert done.returncode == 1
    assert "agent.yaml:2:9: unpinned-model" in done.stderr
    assert admin.send("GET", f"/api/v1/agents/{name}").status_code == 404


def test_agents_pull_by_etag_and_only_their_own(server, config, agent, other, tmp_path):
    pushed = config("push", bundle(tmp_path / "bundle"), "--agent", agent.agent, "-m", "first")
    path = f"/api/v1/agents/{agent.agent}/config"
    got = agent.send("GET", path)
    assert got.json()["version"] == pushed["version"]
    assert {file["path"] for file in got.json()["files"]} == {"agent.yaml", "prompts/system.md", "tools/search.yaml"}
    assert agent.send("GET", path, headers={"If-None-Match": got.headers["etag"]}).status_code == 304
    other.refused("GET", path, status=403, code="forbidden")
    beat = agent.post("/api/events/ingest", {"type": "agent.heartbeat", "configVersion": pushed["version"]}, 200)
    assert beat["config"]["desired"] == pushed["version"]
    assert server.api().get(f"/api/v1/agents/{agent.agent}")["config"] == {
        "desired": pushed["version"], "reported": pushed["version"], "behind": False,
    }  # fmt: skip


def test_values_are_set_above_a_bundle_and_explained(server, config, name, tmp_path):
    pushed = config("push", bundle(tmp_path / "bundle"), "--agent", name, "-m", "first")
    found = config("explain", name, "parameters.temperature")
    assert (found["value"], found["layer"], found["version"]) == (0.2, "default", pushed["version"])
    assert found["author"] and found["flag"] is None
    config("set", name, "parameters.temperature", "0.4", "--layer", "environment")
    config("set", name, "limits.maxTokensPerCall", "9000", "--layer", "user", "--user", "ann")
    assert config("explain", name, "parameters.temperature")["layer"] == "environment"
    raised = config("explain", name, "limits.maxTokensPerCall", "--user", "ann")
    assert (raised["value"], raised["layer"], raised["rule"]) == (4000, "default", "minimum")
    assert [layer["layer"] for layer in raised["layers"]] == ["default", "user"]
    config("set", name, "limits.maxTokensPerCall", "10", "--layer", "user", "--user", "ann")
    lowered = config("explain", name, "limits.maxTokensPerCall", "--user", "ann")
    assert (lowered["value"], lowered["layer"]) == (10, "user")
    config("unset", name, "limits.maxTokensPerCall", "--layer", "user", "--user", "ann")
    assert config("explain", name, "limits.maxTokensPerCall", "--user", "ann")["layer"] == "default"
    assert run("explain", name, "limits.nonsense", server=server).returncode == 1
    assert run("set", name, "models.main", "gpt-4o", "--layer", "environment", server=server).returncode == 1
    assert run("set", name, "models.main", "gpt-4o-2024-08-06", "--layer", "user", server=server).returncode == 2


PROGRAM = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["REEVE_CONFIG_DIR"])
out = open(sys.argv[1], "a", buffering=1)

def tell(why):
    version = folder / ".version"
    if not version.exists():
        print(json.dumps({"why": why, "version": None}), file=out)
        return
    values = json.loads((folder / ".values.json").read_text())
    print(json.dumps({
        "why": why, "version": version.read_text(), "prompt": (folder / "prompts/system.md").read_text(),
        "temperature": values["parameters.temperature"], "pid": os.getpid(),
    }), file=out)

signal.signal(signal.SIGHUP, lambda *_: tell("signal"))
tell("start")
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("mode, why", [("signal:HUP", "signal"), ("restart", "start")])
def test_a_program_takes_up_what_is_pushed(server, config, name, tmp_path, mode, why):
    program, told = tmp_path / "program.py", tmp_path / "told.jsonl"
    program.write_text(PROGRAM)
    one = config("push", bundle(tmp_path / "bundle"), "--agent", name, "-m", "first")
    log = open(tmp_path / "run.log", "w")
    runner = subprocess.Popen(
        [BINARY, "run", "--agent", name, "--on-config", mode, "--", sys.executable, str(program), str(told)],
        env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key), stdin=subprocess.DEVNULL,
        stdout=log, stderr=log, cwd=tmp_path, preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        def lines():
            return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []

        def reported():
            return server.api().get(f"/api/v1/agents/{name}")["config"]["reported"]

        until(lines, 30, "the program's start")
        assert lines()[0]["version"] == one["version"] and lines()[0]["temperature"] == 0.2
        until(lambda: reported() == one["version"], 30, "the first report")
        bundle(tmp_path / "bundle", prompt="Be brief.\n")
        two = config("push", tmp_path / "bundle", "--agent", name, "-m", "shorter")
        until(lambda: len(lines()) > 1, 40, "the second version")
        second = lines()[1]
        assert (second["why"], second["version"], second["prompt"]) == (why, two["version"], "Be brief.\n")
        assert (second["pid"] == lines()[0]["pid"]) == (mode != "restart")
        until(lambda: reported() == two["version"], 30, "the second report")
        config("set", name, "parameters.temperature", "0.9", "--layer", "environment")
        until(lambda: lines()[-1].get("temperature") == 0.9, 40, "the value that was set")
        assert server.api().get(f"/api/v1/agents/{name}")["config"]["behind"] is False
    finally:
        runner.terminate()
        assert runner.wait(30) is not None
        log.close()


def test_calls_and_attempts_tell_what_they_ran_with(server, config, agent, admin, name, tmp_path):
    pushed = config("push", bundle(tmp_path / "bundle"), "--agent", agent.agent, "-m", "first")
    agent.post("/api/events/ingest", {"type": "agent.heartbeat", "configVersion": pushed["version"]}, 200)
    task = admin.create(name)
    agent.claim(name)
    attempts = admin.get(f"/api/v1/tasks/{task['id']}/attempts")["items"]
    assert [attempt["bundle"] for attempt in attempts] == [pushed["version"]]


def test_the_pages_show_who_is_behind(server, config, viewer, name, tmp_path):
    one = config("push", bundle(tmp_path / "bundle"), "--agent", name, "-m", "first")
    two = config("push", bundle(tmp_path / "bundle", prompt="Be <brief>.\n"), "--agent", name, "-m", "shorter")
    listed = viewer.send("GET", "/bundles").text
    assert f'data-agent="{name}"' in listed and "Upgrade pending" in listed
    shown = viewer.send("GET", f"/bundles/{name}").text
    assert one["version"][:12] in shown and two["version"][:12] in shown
    assert "+Be &lt;brief&gt;." in shown and "shorter" in shown
    assert "upgrade pending" in viewer.send("GET", "/agents?project=default").text
