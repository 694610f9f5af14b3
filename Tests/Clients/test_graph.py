"""Tasks that depend on each other, made in one go."""

import hashlib


def test_a_graph_is_made_at_once_and_answered_in_order(admin, agent, name):
    made = admin.post(
        "/api/v1/tasks/graph",
        {
            "tasks": [
                {
                    "ref": "last",
                    "queue": name,
                    "project": "tests",
                    "type": "t",
                    "title": "3",
                    "dependsOn": ["first", "second"],
                },
                {"ref": "first", "queue": name, "project": "tests", "type": "t", "title": "1"},
                {"ref": "second", "queue": name, "project": "tests", "type": "t", "title": "2", "dependsOn": ["first"]},
            ]
        },
        201,
    )["items"]
    assert [task["title"] for task in made] == ["3", "1", "2"]
    assert [task["state"] for task in made] == ["blocked", "ready", "blocked"]
    last, first, second = made
    assert set(last["dependsOn"]) == {first["id"], second["id"]}
    order = []
    for _ in range(3):
        claim = agent.claim(name)
        order.append(claim.id)
        claim.complete()
    assert order == [first["id"], second["id"], last["id"]]


def test_a_graph_may_stand_on_tasks_that_are_there(admin, agent, name):
    first = admin.create(name)
    made = admin.post(
        "/api/v1/tasks/graph",
        {
            "tasks": [
                {"ref": "a", "queue": name, "project": "tests", "type": "t", "title": "a", "dependsOn": [first["id"]]}
            ]
        },
        201,
    )["items"]
    assert made[0]["state"] == "blocked"
    unmet = admin.explain(made[0]["id"])["unmet"]
    assert [(condition["code"], condition["taskId"]) for condition in unmet if condition["code"] == "dependency"] == [
        ("dependency", first["id"])
    ]
    agent.claim(name).complete()
    assert admin.state(made[0]["id"]) == "ready"


def refused_graph(admin, name, tasks):
    before = admin.last_seq()
    tasks = [{"queue": name, "project": "tests", "type": "t", "title": "x", **task} for task in tasks]
    problem = admin.refused("POST", "/api/v1/tasks/graph", {"tasks": tasks}, status=422)
    assert admin.get(f"/api/v1/tasks?queue={name}")["items"] == []
    assert [event for event in admin.events(before) if event["type"].startswith("task.")] == []
    return problem


def test_a_cycle_makes_nothing(admin, name):
    refused_graph(
        admin,
        name,
        [
            {"ref": "free"},
            {"ref": "a", "dependsOn": ["b"]},
            {"ref": "b", "dependsOn": ["c"]},
            {"ref": "c", "dependsOn": ["a"]},
        ],
    )
    refused_graph(admin, name, [{"ref": "self", "dependsOn": ["self"]}])


def test_an_unknown_ref_makes_nothing(admin, name):
    refused_graph(admin, name, [{"ref": "a"}, {"ref": "b", "dependsOn": ["nobody"]}])
    refused_graph(admin, name, [{"ref": "a"}, {"ref": "b", "dependsOn": ["task_00000000000000000000000000"]}])
    refused_graph(admin, name, [{"ref": "a"}, {"ref": "a"}])


def test_one_bad_task_makes_nothing(admin, name):
    problem = refused_graph(admin, name, [{"ref": "a"}, {"ref": "b", "leaseSeconds": -1}])
    assert "1" in problem.get("field", "") + problem["detail"]


def test_dependents_see_what_their_parents_made(admin, agent, name):
    parent, _ = admin.post(
        "/api/v1/tasks/graph",
        {
            "tasks": [
                {"ref": "p", "queue": f"{name}-p", "project": "tests", "type": "t", "title": "parent"},
                {
                    "ref": "c",
                    "queue": f"{name}-c",
                    "project": "tests",
                    "type": "t",
                    "title": "child",
                    "dependsOn": ["p"],
                },
            ]
        },
        201,
    )["items"]
    claim = agent.claim(f"{name}-p")
    claim.deliver("draft.md", "one")
    claim.deliver("draft.md", "two")
    claim.deliver("data.json", {"n": [1, 2]}, "application/json")
    claim.complete({"pages": 2})

    child = agent.claim(f"{name}-c")
    (seen,) = child.task["parents"]
    assert seen["id"] == parent["id"] and seen["output"] == {"pages": 2}
    deliverables = {item["name"]: item for item in seen["deliverables"]}
    assert set(deliverables) == {"draft.md", "data.json"}
    content = agent.send("GET", deliverables["draft.md"]["url"].removeprefix(agent.url)).content
    assert content == b"two"
    assert hashlib.sha256(content).hexdigest() == deliverables["draft.md"]["sha256"]
    child.complete()


def test_dependents_see_approved_revisions_only(admin, operator, agent, name):
    admin.post(
        "/api/v1/tasks/graph",
        {
            "tasks": [
                {"ref": "p", "queue": f"{name}-p", "project": "tests", "type": "t", "title": "parent", "review": True},
                {
                    "ref": "c",
                    "queue": f"{name}-c",
                    "project": "tests",
                    "type": "t",
                    "title": "child",
                    "dependsOn": ["p"],
                },
            ]
        },
        201,
    )
    claim = agent.claim(f"{name}-p")
    first = claim.deliver("draft.md", "rejected words")
    claim.submit()
    assert agent.claim_all(f"{name}-c") == [], "a dependent started before the review"
    operator.review(claim.id, "changes", first["sha256"], "better, please")
    again = agent.claim(f"{name}-p")
    second = again.deliver("draft.md", "approved words")
    again.submit()
    assert agent.claim_all(f"{name}-c") == []
    operator.review(claim.id, "approve", second["sha256"])

    child = agent.claim(f"{name}-c")
    (item,) = child.task["parents"][0]["deliverables"]
    assert item["sha256"] == second["sha256"] and item["revision"] == 2
    assert agent.send("GET", item["url"].removeprefix(agent.url)).content == b"approved words"


def test_what_waits_for_a_cancelled_task_does_not_run(admin, agent, name):
    parent, child = admin.post(
        "/api/v1/tasks/graph",
        {
            "tasks": [
                {"ref": "p", "queue": name, "project": "tests", "type": "t", "title": "parent"},
                {"ref": "c", "queue": name, "project": "tests", "type": "t", "title": "child", "dependsOn": ["p"]},
            ]
        },
        201,
    )["items"]
    admin.post(f"/api/v1/tasks/{parent['id']}/cancel")
    assert admin.state(child["id"]) in ("held", "skipped", "failed", "canceled")
    assert agent.claim_all(name) == []


def test_a_long_chain_and_a_wide_fan(admin, agent, name):
    chain = [
        {
            "ref": f"c{i}",
            "queue": name,
            "project": "tests",
            "type": "t",
            "title": f"c{i}",
            "dependsOn": [f"c{i - 1}"] if i else [],
        }
        for i in range(30)
    ]
    fan = [
        {"ref": f"f{i}", "queue": name, "project": "tests", "type": "t", "title": f"f{i}", "dependsOn": ["c29"]}
        for i in range(30)
    ]
    end = {
        "ref": "end",
        "queue": name,
        "project": "tests",
        "type": "t",
        "title": "end",
        "dependsOn": [task["ref"] for task in fan],
    }
    admin.post("/api/v1/tasks/graph", {"tasks": [*fan, end, *chain]}, 201)
    done = []
    while items := agent.claim_all(name, limit=50):
        done += [item["task"]["title"] for item in items]
        agent.post(
            "/api/v1/tasks/complete",
            {"items": [{"id": item["task"]["id"], "fence": item["fence"], "output": None} for item in items]},
            200,
        )
    assert done[:30] == [f"c{i}" for i in range(30)]
    assert set(done[30:60]) == {task["ref"] for task in fan} and done[60:] == ["end"]
