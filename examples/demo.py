#!/usr/bin/env python3
"""The demo fleet: five agents that read the licences which every Debian system carries.

Started by script/run; by hand: REEVE_URL=http://127.0.0.1:7070 python3 examples/demo.py --data-dir ./reeve-data

It makes a key for each agent, creates the graph of tasks (one extract and one brief per licence, one comparison of
them all) unless the project has tasks already, sets budgets, and starts the agents under `reeve run`, which restarts
one that dies. The agents ask their models through Reeve, with a Reeve key; a provider's key, where there is one, is the
server's alone (see demo_models.py).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from reeve_agent import Reeve, Refused

HERE = Path(__file__).resolve().parent
LICENCES = Path("/usr/share/common-licenses")
PROJECT = "licences"
AGENTS = [
    ("extractor-1", "extractor.py"),
    ("extractor-2", "extractor.py"),
    ("writer-1", "writer.py"),
    ("writer-2", "writer.py"),
    ("comparer-1", "comparer.py"),
]
# What all of them may spend with models, and the one that is kept short, to show what comes of that.
CAPPED = "writer-2"
BUDGETS = {
    f"project:{PROJECT}": {"limit": {"usd": 1}, "period": "day"},
    f"agent:{CAPPED}": {"limit": {"calls": 2, "usd": 0.05}, "period": "total"},
}
TASK_BUDGET = {"usd": 0.02, "steps": 10}
# The keys of providers, which no agent needs to have.
PROVIDER_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
STATEMENTS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["section", "text", "words"],
        "additionalProperties": False,
        "properties": {
            "section": {"type": "string"},
            "text": {"type": "string", "minLength": 1},
            "words": {"type": "integer", "minimum": 0},
        },
    },
}
OBLIGATIONS_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": [
        "licence",
        "words",
        "sentences",
        "sections",
        "obligations",
        "permissions",
        "prohibitions",
        "disclaimers",
        "conditions",
    ],
    "additionalProperties": False,
    "properties": {
        "licence": {"type": "string", "minLength": 1},
        "words": {"type": "integer", "minimum": 1},
        "sentences": {"type": "integer", "minimum": 1},
        "sections": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["heading", "words"],
                "properties": {"heading": {"type": "string"}, "words": {"type": "integer", "minimum": 0}},
            },
        },
        "obligations": STATEMENTS,
        "permissions": STATEMENTS,
        "prohibitions": STATEMENTS,
        "disclaimers": STATEMENTS,
        "conditions": STATEMENTS,
    },
}


def licences(folder=LICENCES):
    """The texts, each once: GPL is a link to GPL-3."""
    return sorted({path.resolve() for path in Path(folder).iterdir() if path.is_file()})


def graph(texts, lease_seconds=30):
    """The tasks of the demo, each naming by its `ref` what it depends on."""
    tasks, briefs = [], []
    for path in texts:
        name = path.name
        common = {"project": PROJECT, "leaseSeconds": lease_seconds, "maxAttempts": 3, "budget": TASK_BUDGET}
        tasks.append(
            {
                **common,
                "ref": f"extract-{name}",
                "queue": "extract",
                "type": "licence.extract",
                "title": f"Extract what {name} obliges to",
                "input": {"name": name, "path": str(path)},
                "deliverableSchema": OBLIGATIONS_SCHEMA,
            }
        )
        tasks.append(
            {
                **common,
                "ref": f"brief-{name}",
                "queue": "brief",
                "type": "licence.brief",
                "title": f"Write a brief on {name}",
                "input": {"name": name},
                "dependsOn": [f"extract-{name}"],
                "review": {"approvals": 1, "maxRounds": 5},
            }
        )
        briefs.append(f"brief-{name}")
    tasks.append(
        {
            "project": PROJECT,
            "ref": "compare",
            "queue": "compare",
            "type": "licence.compare",
            "title": f"Compare {len(texts)} licences",
            "input": {"licences": [path.name for path in texts]},
            "leaseSeconds": lease_seconds,
            "maxAttempts": 3,
            "dependsOn": briefs,
        }
    )
    return {"tasks": tasks}


def wait_for_key(path, seconds=30):
    """The admin key, which the server writes at its first start."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if path.exists() and path.read_text().strip():
            return path.read_text().strip()
        time.sleep(0.1)
    sys.exit(f"demo: there is no admin key in {path}")


def seed(reeve):
    if reeve.get(f"/api/v1/tasks?project={PROJECT}&limit=1")["items"]:
        return None
    return len(reeve.post("/api/v1/tasks/graph", graph(licences()))["items"])


def enlist(reeve):
    """Makes the agents members of the project, so that what they spend counts there."""
    for name, _ in AGENTS:
        try:
            reeve.post("/api/v1/agents", {"name": name, "project": PROJECT})
        except Refused as refusal:
            if refusal.status != 409:
                raise


def set_budgets(reeve):
    """Those that nobody has set yet: what an operator changed stays."""
    for scope, budget in BUDGETS.items():
        try:
            reeve.get(f"/api/v1/budgets/{scope}")
        except Refused as refusal:
            if refusal.status != 404:
                raise
            reeve.call("PUT", f"/api/v1/budgets/{scope}", budget)


def keys_of_agents(reeve, path):
    """One key per agent, kept in a file that only its owner can read, so that a restart makes no new ones."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        kept = {}
    keys = {}
    for name, _ in AGENTS:
        keys[name] = (
            kept.get(name)
            if is_valid(reeve, kept.get(name))
            else reeve.post("/api/v1/keys", {"role": "agent", "name": f"demo {name}", "agent": name})["key"]
        )
    path.touch(mode=0o600)
    path.write_text(json.dumps(keys))
    return keys


def is_valid(reeve, key):
    if not key:
        return False
    try:
        Reeve(reeve.url, key).get("/api/v1/tasks?limit=1")
        return True
    except Refused:
        return False


def can_supervise(binary):
    return (
        bool(binary)
        and subprocess.run([binary, "run", "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        == 0
    )


def start(name, script, url, key, binary, logs):
    command = [sys.executable, str(HERE / script)]
    if binary:
        command = [binary, "run", "--agent", name, "--", *command]
    kept = {variable: value for variable, value in os.environ.items() if variable not in PROVIDER_KEYS}
    environment = {**kept, "REEVE_URL": url, "REEVE_KEY": key, "PYTHONUNBUFFERED": "1"}
    with open(logs / f"{name}.log", "a") as log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def main():
    options = argparse.ArgumentParser(description="Seeds the demo project and runs its agents until it is stopped.")
    options.add_argument("--url", default=os.environ.get("REEVE_URL", "http://127.0.0.1:7070"))
    options.add_argument("--data-dir", type=Path, default=Path("reeve-data"), help="where the server's admin.key is")
    options.add_argument(
        "--reeve", help="the reeve program, to run the agents under `reeve run`; without it they run alone"
    )
    options = options.parse_args()

    # A stop that comes at any moment ends through `finally`, with the agents stopped.
    def leave(signum, frame):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    parent = os.getppid()
    agents = []
    try:
        reeve = Reeve(options.url, wait_for_key(options.data_dir / "admin.key"))
        logs = options.data_dir / "demo"
        logs.mkdir(exist_ok=True)
        created = seed(reeve)
        enlist(reeve)
        set_budgets(reeve)
        keys = keys_of_agents(reeve, logs / "keys.json")
        binary = options.reeve if can_supervise(options.reeve) else None
        agents = [start(name, script, reeve.url, keys[name], binary, logs) for name, script in AGENTS]
        print(
            f"The demo fleet of {len(agents)} agents is at work"
            + (f" on {created} new tasks" if created else " on the tasks that are there")
            + f"; their output is in {logs}. What they ask of models is on /calls, /costs and /budgets.",
            flush=True,
        )
        # Nothing more to do but to be there: agents end with us, and we with whoever started us.
        while os.getppid() == parent and any(agent.poll() is None for agent in agents):
            time.sleep(1)
    finally:
        stop(agents)


def stop(agents, seconds=12):
    for agent in agents:
        agent.terminate()
    give_up_at = time.monotonic() + seconds
    for agent in agents:
        try:
            agent.wait(timeout=max(0.1, give_up_at - time.monotonic()))
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


if __name__ == "__main__":
    main()
