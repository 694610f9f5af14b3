"""Versions that are given to a part first: through the command line and a real worker, on a real server."""

import json
import subprocess
import sys

import pytest

from browser_page import logged_in
from reeve_server import BINARY, die_with_parent, environment, until
from test_bundles import bundle, run

ON_ENGINES = ["sqlite"]

STEPS = ["--step", "0.5:3600:5", "--measure", "failures"]
# Fails where its prompt is rude, and tells which files it was given.
PROGRAM = """
import json, os, pathlib, sys
folder = pathlib.Path(os.environ["REEVE_CONFIG_DIR"])
version = (folder / ".version").read_text()
assert version == os.environ["REEVE_CONFIG_VERSION"]
prompt = (folder / "prompts/system.md").read_text()
print(json.dumps({"version": version, "prompt": prompt}))
sys.exit(65 if "rude" in prompt else 0)
"""


@pytest.fixture
def config(server):
    def call(*arguments):
        done = run(*arguments, "--json", server=server)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture
def worker(server, name, tmp_path):
    """A `reeve work` that runs each task with the version of its claim."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    log = open(tmp_path / "work.log", "w")
    words = ["work", "--queue", name, "--agent", name, "--concurrency", "4", "--", sys.executable, str(program)]
    where = environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key)
    running = subprocess.Popen(
        [BINARY, *words], env=where, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=tmp_path,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    yield running
    running.terminate()
    running.wait(40)
    log.close()


def attempts(admin, tasks):
    found = [admin.get(f"/api/v1/tasks/{task['id']}/attempts")["items"] for task in tasks]
    return [items[0] if items else None for items in found]


def test_a_bad_version_is_taken_back_and_the_old_one_stays(server, config, worker, admin, viewer, name, tmp_path):
    folder = bundle(tmp_path / "bundle")
    one = config("push", folder, "--agent", name, "-m", "first")
    bundle(folder, prompt="Be rude.\n")
    two = config("push", folder, "--agent", name, "-m", "louder", "--rollout", *STEPS)
    assert two["rollout"]["state"] == "running" and two["rollout"]["share"] == 0.5
    assert config("rollout", name)["waitsFor"].startswith("the first task")
    state = next(item for item in config("status", "--limit", 500)["items"] if item["agent"] == name)
    assert state["desired"] == one["version"]
    tasks = [admin.create(name, maxAttempts=1) for _ in range(40)]
    until(lambda: config("rollout", name)["state"] == "taken_back", 90, "the version to be taken back")
    ended = config("rollout", name)
    assert "attempts with the new version failed" in ended["reason"]
    seen = [attempt for attempt in attempts(admin, tasks) if attempt and attempt["endedAt"]]
    assert {(a["arm"], a["bundle"], a["state"]) for a in seen if a["arm"]} == {
        ("new", two["version"], "failed"), ("old", one["version"], "succeeded"),
    }  # fmt: skip
    versions = {item["version"]: item for item in config("versions", name)["items"]}
    assert versions[two["version"]]["takenBack"]["reason"] == ended["reason"]
    assert versions[one["version"]]["takenBack"] is None
    alerts = admin.get("/api/v1/alerts?limit=500")["items"]
    assert any(a["labels"]["alertname"] == "BundleTakenBack" and a["labels"]["agent"] == name for a in alerts)
    page = viewer.send("GET", f"/bundles/{name}").text
    assert 'id="rollout"' in page and "data-taken-back" in page and "Promote" not in page
    done = next(task for task, a in zip(tasks, attempts(admin, tasks)) if a and a["arm"] == "old")
    assert one["version"][:12] in viewer.send("GET", f"/tasks/{done['id']}").text


def test_a_person_promotes_and_goes_back(server, config, viewer, name, tmp_path):
    folder = bundle(tmp_path / "bundle")
    one = config("push", folder, "--agent", name, "-m", "first")
    bundle(folder, prompt="Be brief.\n")
    two = config("push", folder, "--agent", name, "-m", "shorter", "--rollout", "--step", "0.1:60", "--step", "0.5:60")
    bundle(folder, prompt="Be long.\n")
    refused = run("push", folder, "--agent", name, server=server)
    assert refused.returncode == 1 and "is in a roll-out" in refused.stderr
    listed = run("rollouts", server=server).stdout
    assert two["version"][:12] in listed
    words = run("rollout", name, server=server).stdout
    assert "step 1 of 2" in words and "waits for" in words
    assert viewer.send("POST", f"/api/v1/agents/{name}/config/rollout/promote", json={}).status_code == 403
    assert config("rollout", name, "--promote", "-m", "sure")["share"] == 0.5
    ended = config("rollout", name, "--promote")
    assert (ended["state"], ended["unproven"]) == ("finished", True)
    assert server.api().get(f"/api/v1/agents/{name}")["config"]["desired"] == two["version"]
    config("push", folder, "--agent", name, "-m", "longer", "--rollout")
    assert config("rollback", name, "--to", one["version"], "-m", "enough")["version"] == one["version"]
    assert config("rollout", name)["state"] == "canceled"
    assert run("rollout", name, "--cancel", server=server).returncode == 1
    assert run("rollout", name, "--promote", "--cancel", server=server).returncode == 2
    assert run("push", folder, server=server).returncode == 2
    assert run("push", folder, "--agent", name, "--step", "0.1:60", server=server).returncode == 2


def test_one_push_reaches_several_agents(server, config, name, tmp_path):
    folder = bundle(tmp_path / "bundle")
    names = [f"{name}-{number}" for number in range(3)]
    pushed = config("push", folder, "--agents", ",".join(names), "-m", "all")
    assert pushed["agents"] == names
    for one in names:
        assert server.api().get(f"/api/v1/agents/{one}")["config"]["desired"] == pushed["version"]


def test_lint_knows_the_models_of_a_settings_file(tmp_path):
    folder = bundle(tmp_path / "bundle", model="house")
    settings = tmp_path / "reeve.yaml"
    settings.write_text(
        "providers:\n  local: {kind: openai, baseURL: \"http://127.0.0.1:11434/v1\"}\n"
        "models:\n  house:\n    targets: [{provider: local, model: gpt-4o-2024-08-06}]\n"
    )
    assert run("lint", folder).returncode == 1
    done = run("lint", folder, "--settings", settings)
    assert (done.returncode, done.stdout) == (0, "nothing is wrong\n"), done.stderr
    settings.write_text("nonsense: true\n")
    assert run("lint", folder, "--settings", settings).returncode == 2


def test_the_page_says_how_far_it_is(driver, server, admin, name):
    def push(prompt, **more):
        files = [{"path": "agent.yaml", "content": f"prompts: {{system: {prompt}}}\n"}]
        return admin.post(f"/api/v1/agents/{name}/bundles", {"files": files, "message": prompt, **more})["version"]

    push("one")
    new = push("two", rollout={"measures": ["failures"]})
    with logged_in(driver, server) as page:
        for width in (390, 1280):
            page.size(width, 900)
            page.open(f"/bundles/{name}")
            assert page.attribute("#rollout", "data-state") == "running"
            assert page.script("return document.documentElement.scrollWidth <= innerWidth"), width
            page.shot(f"rollout-{width}")
        page.script("window.confirm = () => true")
        for step in range(3):
            page.click("#rollout [data-action=promote]")
            until(lambda: admin.get(f"/api/v1/agents/{name}/config/rollout")["step"] > step + 1 or step == 2, 10, "step")
        until(lambda: admin.get(f"/api/v1/agents/{name}")["config"]["desired"] == new, 10, "the version of all")
        assert admin.get(f"/api/v1/agents/{name}/config/rollout")["unproven"] is True
        assert page.complaints() == []
