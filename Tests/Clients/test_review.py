"""Nobody approves what they did not see, and nobody approves their own work."""

import hashlib

import pytest


def submitted(admin, agent, name, content="words", **fields):
    fields.setdefault("review", True)
    admin.create(name, **fields)
    claim = agent.claim(name)
    delivered = claim.deliver("brief.md", content)
    claim.submit()
    assert admin.state(claim.id) == "in_review"
    return claim, delivered["sha256"]


def test_submit_says_what_is_under_review(admin, agent, name):
    admin.create(name, review=True)
    claim = agent.claim(name)
    delivered = claim.deliver("brief.md", "words")
    reply = claim.submit()
    assert delivered["sha256"] in str(reply)
    claim.refused("heartbeat", status=409)


def test_completing_a_task_under_review_is_refused(admin, agent, name):
    admin.create(name, review=True)
    claim = agent.claim(name)
    claim.deliver("brief.md", "words")
    problem = claim.refused("complete", status=409, code="bad_transition", output=1)
    assert "submit" in problem["allowed"]
    assert admin.state(claim.id) == "running"


def test_approval_ends_the_task(admin, operator, agent, name):
    claim, sha256 = submitted(admin, agent, name)
    operator.review(claim.id, "approve", sha256)
    assert admin.state(claim.id) == "done"


def test_a_verdict_on_other_content_is_refused(admin, operator, agent, name):
    claim, _ = submitted(admin, agent, name)
    stale = hashlib.sha256(b"what I saw yesterday").hexdigest()
    operator.review(claim.id, "approve", stale, expect=409)
    operator.review(claim.id, "changes", stale, "x", expect=409)
    assert admin.state(claim.id) == "in_review"
    operator.refused("POST", f"/api/v1/tasks/{claim.id}/review", {"verdict": "approve"}, status=422)


def test_the_author_does_not_review(admin, agent, name):
    claim, sha256 = submitted(admin, agent, name)
    problem = agent.review(claim.id, "approve", sha256, expect=403)
    assert problem["code"]
    assert admin.state(claim.id) == "in_review"


def test_an_operator_who_did_the_work_does_not_review_it(admin, server, name):
    worker = server.api(server.make_key("operator"))
    admin.create(name, review=True)
    (item,) = worker.post("/api/v1/tasks/claim", {"queues": [name], "limit": 1, "agent": f"hand-of-{name}"}, 200)[
        "items"
    ]
    task_id = item["task"]["id"]
    delivered = worker.post(
        f"/api/v1/tasks/{task_id}/deliverables",
        {"fence": item["fence"], "name": "a.md", "contentType": "text/markdown", "content": "mine"},
    )
    worker.post(f"/api/v1/tasks/{task_id}/submit", {"fence": item["fence"]})
    worker.review(task_id, "approve", delivered["sha256"], expect=403)
    admin.review(task_id, "approve", delivered["sha256"])


def test_changes_go_back_with_the_remark_and_come_again(admin, operator, agent, name):
    claim, sha256 = submitted(admin, agent, name, "first try")
    operator.review(claim.id, "changes", sha256, "mention the patents")
    back = admin.task(claim.id)
    assert back["state"] == "ready" and back["attempts"] == 0
    again = agent.claim(name)
    assert again.id == claim.id and again.fence > claim.fence
    assert "mention the patents" in str(again.task["feedback"])
    second = again.deliver("brief.md", "second try, with patents")
    assert second["revision"] == 2
    again.submit()
    # The first verdict's content is not what is there now.
    operator.review(claim.id, "approve", sha256, expect=409)
    operator.review(claim.id, "approve", second["sha256"])
    assert admin.state(claim.id) == "done"


def test_the_rounds_are_bounded(admin, operator, agent, name):
    claim, sha256 = submitted(admin, agent, name, "try 1", review={"approvals": 1, "maxRounds": 2})
    operator.review(claim.id, "changes", sha256, "no")
    for number in range(2, 6):
        if admin.state(claim.id) == "held":
            break
        again = agent.claim(name)
        sha256 = again.deliver("brief.md", f"try {number}")["sha256"]
        again.submit()
        operator.review(claim.id, "changes", sha256, "no")
    else:
        pytest.fail("it went round and round")
    assert number <= 4
    assert agent.claim_all(name) == []


def test_several_approvals_come_from_several_people(admin, operator, server, agent, name):
    claim, sha256 = submitted(admin, agent, name, review={"approvals": 2})
    operator.review(claim.id, "approve", sha256)
    operator.send("POST", f"/api/v1/tasks/{claim.id}/review", json={"verdict": "approve", "sha256": sha256})
    assert admin.state(claim.id) == "in_review", "one person approved twice"
    server.api(server.make_key("operator")).review(claim.id, "approve", sha256)
    assert admin.state(claim.id) == "done"


def test_a_rejected_task_is_set_aside(admin, operator, agent, name):
    claim, sha256 = submitted(admin, agent, name)
    operator.review(claim.id, "reject", sha256, "not this way")
    assert admin.state(claim.id) in ("held", "failed")
    assert agent.claim_all(name) == []


def test_several_deliverables_are_judged_by_the_submissions_digest(admin, operator, agent, name):
    admin.create(name, review=True)
    claim = agent.claim(name)
    digests = {file: claim.deliver(file, f"content of {file}")["sha256"] for file in ("b.md", "a.md")}
    reply = claim.submit()
    lines = sorted(f"{file} {sha256}" for file, sha256 in digests.items())
    candidates = {hashlib.sha256(text.encode()).hexdigest() for text in ("\n".join(lines), "\n".join(lines) + "\n")}
    sha256 = next((value for value in candidates if value in str(reply)), None)
    assert sha256, f"submit's reply has none of {candidates}: {reply}"
    operator.review(claim.id, "approve", digests["a.md"], expect=409)
    operator.review(claim.id, "approve", sha256)
    assert admin.state(claim.id) == "done"


def test_nothing_to_review_cannot_be_submitted(admin, agent, name):
    admin.create(name, review=True)
    claim = agent.claim(name)
    problem = claim.write("submit", 422)
    assert problem["code"]
    assert admin.state(claim.id) in ("claimed", "running")


def test_viewers_do_not_review(admin, viewer, agent, name):
    claim, sha256 = submitted(admin, agent, name)
    viewer.review(claim.id, "approve", sha256, expect=403)
    assert admin.state(claim.id) == "in_review"


def test_a_verdict_must_be_one_of_three(admin, operator, agent, name):
    claim, sha256 = submitted(admin, agent, name)
    operator.review(claim.id, "perhaps", sha256, expect=422)
    assert admin.state(claim.id) == "in_review"
