"""A task's life, as its worker and its operator drive it."""

import threading
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest

from reeve_server import Refused, until


def test_created_claimed_worked_done(admin, agent, name):
    made = admin.create(name, input={"page": 7}, title="read page 7")
    assert made["id"].startswith("task_")
    assert made["state"] == "ready" and made["input"] == {"page": 7}
    assert made["holds"] == [] and made["dependsOn"] == [] and made["deliverables"] == []
    assert made["attempts"] == 0 and made["createdAt"] and made["updatedAt"]

    claim = agent.claim(name)
    assert claim.id == made["id"] and claim.task["state"] == "claimed" and claim.fence >= 1
    assert claim.item["attempt"] and claim.item["leaseExpiresAt"]
    reply = claim.beat(progress=0.5, note="half way", usage={"inputTokens": 10, "outputTokens": 5, "usd": 0.01})
    assert reply["cancel"] is False and reply["pause"] is False and reply["drain"] is False
    assert reply["leaseExpiresAt"] and reply["serverTime"] and reply["nextHeartbeatSeconds"] > 0
    assert {"desired", "etag"} <= set(reply["config"]) and {"remaining", "wrapUp"} <= set(reply["budget"])
    assert reply["messages"] == []
    working = admin.task(made["id"])
    assert working["state"] == "running" and working["agent"] == agent.agent

    claim.complete({"answer": 42})
    done = admin.task(made["id"])
    assert done["state"] == "done" and done["output"] == {"answer": 42}


def test_nothing_to_do_is_an_empty_list(agent, name):
    assert agent.claim_all(name) == []


def test_a_waiting_claim_wakes_as_soon_as_there_is_work(admin, agent, name):
    admin.create(name)
    agent.claim(name).complete()
    result = {}

    def wait_for_work():
        result["items"] = agent.claim_all(name, limit=1, wait=25)
        result["at"] = time.monotonic()

    waiter = threading.Thread(target=wait_for_work)
    waiter.start()
    # The long poll must be on its way before the task is made; the server has no sign of that, so give it a moment.
    waiter.join(0.5)
    assert waiter.is_alive(), "the claim did not wait"
    made = admin.create(name)
    created_at = time.monotonic()
    waiter.join(20)
    assert [item["task"]["id"] for item in result["items"]] == [made["id"]]
    assert result["at"] - created_at < 2, "the waiting claim woke late"


def test_two_agents_never_have_the_same_task(admin, agent, other, name):
    made = {admin.create(name)["id"] for _ in range(30)}
    taken = []

    def work(api):
        while items := api.claim_all(name, limit=3):
            taken.extend(item["task"]["id"] for item in items)

    workers = [threading.Thread(target=work, args=(api,)) for api in (agent, other)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(taken) == 30 and set(taken) == made


def test_the_same_idempotency_key_makes_one_task(admin, name):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = admin.create(name, headers=key)
    assert admin.create(name, headers=key)["id"] == first["id"]
    assert len(admin.get(f"/api/v1/tasks?queue={name}")["items"]) == 1
    problem = admin.create(name, 422, headers=key, priority=3)
    assert problem["code"] == "idempotency_mismatch"


def test_a_repeated_completion_is_answered_alike(admin, agent, name):
    admin.create(name)
    claim = agent.claim(name)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = claim.complete({"n": 1}, headers=key)
    assert claim.complete({"n": 1}, headers=key) == first
    claim.complete({"n": 2}, 422, headers=key)
    assert admin.task(claim.id)["output"] == {"n": 1}


def test_a_stale_fence_changes_nothing(admin, agent, other, name):
    admin.create(name, leaseSeconds=1)
    first = agent.claim(name)
    first.beat()
    second = other.claim(name, wait=10)
    assert second.id == first.id and second.fence > first.fence
    for verb, fields in (
        ("heartbeat", {}),
        ("complete", {"output": "old"}),
        ("submit", {}),
        ("fail", {"class": "retryable", "message": "old"}),
        ("release", {}),
        ("deliverables", {"name": "a.txt", "contentType": "text/plain", "content": "old"}),
    ):
        problem = first.refused(verb, status=409, code="stale_fence", **fields)
        assert problem["currentFence"] == second.fence
    second.complete("new")
    task = admin.task(first.id)
    assert task["output"] == "new" and task["deliverables"] == []


def test_after_a_lost_lease_a_heartbeat_is_gone_and_a_late_result_counts(admin, agent, name):
    admin.create(name, leaseSeconds=1)
    claim = agent.claim(name)
    claim.beat()
    started = time.monotonic()
    admin.await_state(claim.id, "ready", seconds=10)
    assert time.monotonic() - started < 1 + 0.5 + 1, "the lease was swept late"
    claim.refused("heartbeat", status=410, code="lease_lost")
    claim.complete({"late": True})
    task = admin.task(claim.id)
    assert task["state"] == "done" and task["output"] == {"late": True}


def test_a_task_that_loses_three_workers_is_set_aside(admin, agent, name):
    made = admin.create(name, leaseSeconds=1)
    for _ in range(3):
        agent.claim(name, wait=10).beat()
    held = admin.await_state(made["id"], "held", seconds=10)
    assert held["state"] == "held"
    assert agent.claim_all(name) == []


@pytest.mark.parametrize("policy, state", [("hold", "held"), ("fail", "failed")])
def test_what_becomes_of_a_task_whose_worker_is_lost_is_its_own_choice(admin, agent, name, policy, state):
    made = admin.create(name, leaseSeconds=1, onLeaseLost=policy)
    agent.claim(name).beat()
    admin.await_state(made["id"], state)


def test_a_failure_is_tried_again_until_the_attempts_are_used_up(admin, agent, name):
    made = admin.create(name, maxAttempts=2)
    agent.claim(name).write("fail", **{"class": "retryable", "message": "no luck"})
    waiting = admin.task(made["id"])
    assert waiting["state"] == "scheduled" and waiting["attempts"] == 1
    agent.claim(name, wait=20).write("fail", **{"class": "retryable", "message": "no luck again"})
    held = admin.task(made["id"])
    assert held["state"] == "held" and held["attempts"] == 2

    admin.post(f"/api/v1/tasks/{made['id']}/retry")
    agent.claim(name).complete("third time lucky")
    assert admin.state(made["id"]) == "done"


def test_a_permanent_failure_is_not_tried_again(admin, agent, name):
    made = admin.create(name, maxAttempts=5)
    agent.claim(name).write("fail", **{"class": "permanent", "message": "cannot be done"})
    assert admin.state(made["id"]) == "held"
    assert "cannot be done" in str(admin.task(made["id"])) + str(admin.explain(made["id"])) + str(admin.events())


def test_a_providers_failure_does_not_count(admin, agent, name):
    made = admin.create(name, maxAttempts=1)
    agent.claim(name).write("fail", **{"class": "provider", "message": "529"})
    task = admin.task(made["id"])
    assert task["state"] == "scheduled" and task["attempts"] == 0


def test_a_released_task_comes_back_without_counting(admin, agent, name):
    made = admin.create(name)
    agent.claim(name).write("release")
    again = agent.claim(name)
    again.write("release", delaySeconds=600)
    task = admin.task(made["id"])
    assert task["state"] == "scheduled" and task["attempts"] == 0
    assert agent.claim_all(name) == []
    assert any(condition["code"] == "schedule" for condition in admin.explain(made["id"])["unmet"])


def test_a_parked_task_has_no_lease_and_goes_on_when_answered(admin, agent, name):
    made = admin.create(name, leaseSeconds=1)
    claim = agent.claim(name)
    claim.write("park", kind="input", prompt="Which colour?")
    assert admin.state(made["id"]) == "waiting"
    claim.refused("heartbeat", status=409)
    assert not admin.explain(made["id"])["claimable"]
    admin.post(f"/api/v1/tasks/{made['id']}/resume", {"answer": "blue"})
    again = agent.claim(name)
    assert "blue" in str(again.task)
    again.complete()
    assert admin.state(made["id"]) == "done"


def test_a_task_parked_for_a_time_wakes_by_itself(admin, agent, name):
    made = admin.create(name)
    agent.claim(name).write("park", kind="timer", seconds=1)
    assert admin.state(made["id"]) == "waiting"
    agent.claim(name, wait=10).complete()


def test_cancelling_what_nobody_works_on_is_immediate(admin, agent, name):
    made = admin.create(name)
    admin.post(f"/api/v1/tasks/{made['id']}/cancel")
    assert admin.state(made["id"]) == "canceled"
    assert agent.claim_all(name) == []
    admin.refused("POST", f"/api/v1/tasks/{made['id']}/cancel", {}, status=409, code="bad_transition")


def test_a_worker_hears_of_a_cancellation_with_its_next_heartbeat(admin, agent, name):
    made = admin.create(name)
    claim = agent.claim(name)
    claim.beat()
    admin.post(f"/api/v1/tasks/{made['id']}/cancel")
    assert claim.beat()["cancel"] is True
    claim.write("release")
    assert admin.state(made["id"]) == "canceled"
    assert agent.claim_all(name) == []


def test_a_held_task_is_not_handed_out_and_resumes_where_it_was(admin, agent, name):
    made = admin.create(name)
    admin.post(f"/api/v1/tasks/{made['id']}/hold", {"reason": "wait for the lawyer"})
    task = admin.task(made["id"])
    assert task["state"] == "ready" and "paused_task" in str(task["holds"])
    assert agent.claim_all(name) == []
    explained = admin.explain(made["id"])
    assert explained["claimable"] is False
    unmet = [condition for condition in explained["unmet"] if condition["code"] == "paused_task"]
    assert unmet and unmet[0]["detail"] and unmet[0]["liftedBy"]
    admin.post(f"/api/v1/tasks/{made['id']}/resume")
    assert admin.task(made["id"])["holds"] == []
    agent.claim(name).complete()


def test_a_paused_queue_hands_out_nothing_and_says_so(admin, operator, agent, name):
    made = admin.create(name)
    operator.post(f"/api/v1/queues/{name}/pause", {"reason": "full moon"})
    assert agent.claim_all(name) == []
    assert "paused_queue" in [condition["code"] for condition in admin.explain(made["id"])["unmet"]]
    operator.post(f"/api/v1/queues/{name}/resume")
    agent.claim(name).complete()


def test_a_queues_concurrency_is_kept(operator, agent, other, name):
    for _ in range(3):
        operator.create(name)
    operator.call("PATCH", f"/api/v1/queues/{name}", {"concurrency": 1})
    claim = agent.claim(name)
    assert other.claim_all(name) == []
    claim.complete()
    other.claim(name).complete()


def test_several_are_completed_at_once_each_judged_by_itself(admin, agent, name):
    made = [admin.create(name)["id"] for _ in range(3)]
    claims = {item["task"]["id"]: item for item in agent.claim_all(name, limit=3)}
    items = [{"id": task_id, "fence": claims[task_id]["fence"], "output": index} for index, task_id in enumerate(made)]
    items[1]["fence"] += 7
    items.append({"id": "task_00000000000000000000000000", "fence": 1, "output": None})
    reply = agent.post("/api/v1/tasks/complete", {"items": items}, 200)
    assert [admin.state(task_id) for task_id in made] == ["done", "claimed", "done"]
    assert len(reply["items"]) == 4
    assert "stale_fence" in str(reply["items"][1]) and "not_found" in str(reply["items"][3])


def test_priority_goes_first(admin, agent, name):
    low, high = admin.create(name, priority=0), admin.create(name, priority=1000)
    assert agent.claim(name).id == high["id"]
    assert agent.claim(name).id == low["id"]


def test_a_unique_key_has_one_living_task(admin, agent, name):
    first = admin.create(name, uniqueKey=f"only-{name}")
    reply = admin.send(
        "POST",
        "/api/v1/tasks",
        json={"project": "tests", "queue": name, "type": "test", "title": "twin", "uniqueKey": f"only-{name}"},
    )
    # The issue leaves open whether a twin is refused or answered with the first; there must never be two.
    assert reply.status_code == 409 or reply.json()["id"] == first["id"]
    assert len(admin.get(f"/api/v1/tasks?queue={name}")["items"]) == 1
    agent.claim(name).complete()
    admin.create(name, uniqueKey=f"only-{name}")


def test_a_task_for_later_waits_for_its_time(admin, agent, name):
    soon = (datetime.now(timezone.utc) + timedelta(seconds=1.5)).isoformat()
    made = admin.create(name, scheduledFor=soon)
    assert made["state"] == "scheduled"
    assert agent.claim_all(name) == []
    assert agent.claim(name, wait=10).id == made["id"]


def test_an_assigned_task_goes_to_its_agent_alone(admin, agent, other, name):
    made = admin.create(name, agent=agent.agent)
    assert other.claim_all(name) == []
    admin.post(f"/api/v1/tasks/{made['id']}/reassign", {"agent": other.agent})
    assert agent.claim_all(name) == []
    other.claim(name).complete()


def test_what_a_task_requires_an_agent_must_have(admin, operator, agent, other, name):
    made = admin.create(name, requires=[f"lift-{name}"])
    assert agent.claim_all(name) == []
    assert "no_eligible_agent" in [condition["code"] for condition in admin.explain(made["id"])["unmet"]]
    other.post("/api/events/ingest", {"type": "agent.heartbeat", "capabilities": [f"lift-{name}"]}, 200)
    other.claim(name).complete()


def test_reassigning_takes_the_task_from_its_worker(admin, agent, other, name):
    made = admin.create(name)
    claim = agent.claim(name)
    claim.beat()
    admin.post(f"/api/v1/tasks/{made['id']}/reassign", {"agent": other.agent})
    claim.refused("complete", status=409, code="stale_fence", output="too late")
    other.claim(name).complete("mine")
    assert admin.task(made["id"])["output"] == "mine"


def test_a_task_over_its_budget_is_set_aside(admin, agent, name):
    made = admin.create(name, budget={"tokens": 100})
    claim = agent.claim(name)
    reply = claim.beat(usage={"inputTokens": 60, "outputTokens": 30})
    assert reply["budget"]["remaining"]["tokens"] == 10 and reply["budget"]["wrapUp"] is True
    claim.write("heartbeat", usage={"inputTokens": 90, "outputTokens": 60})
    assert admin.state(made["id"]) == "held"


def test_an_attempt_that_takes_too_long_is_ended(admin, agent, name):
    made = admin.create(name, timeoutSeconds=1, leaseSeconds=60, maxAttempts=1)
    claim = agent.claim(name)
    claim.beat()
    admin.await_state(made["id"], "held", seconds=10)
    claim.refused("complete", status=409, output="x")


def test_lists_are_filtered_and_paged(admin, agent, name):
    made = [admin.create(name, project=f"p-{name}", title=f"number {index}")["id"] for index in range(5)]
    agent.claim(name).complete()
    everything = admin.get(f"/api/v1/tasks?queue={name}")["items"]
    assert {task["id"] for task in everything} == set(made)
    assert len(admin.get(f"/api/v1/tasks?queue={name}&status=done")["items"]) == 1
    assert len(admin.get(f"/api/v1/tasks?queue={name}&status=ready,done")["items"]) == 5
    assert len(admin.get(f"/api/v1/tasks?project=p-{name}")["items"]) == 5
    assert len(admin.get(f"/api/v1/tasks?queue={name}&agent={agent.agent}")["items"]) == 1
    found = admin.get(f"/api/v1/tasks?queue={name}&q=number%203")["items"]
    assert [task["title"] for task in found] == ["number 3"]

    seen, after = [], ""
    while True:
        page = admin.get(f"/api/v1/tasks?queue={name}&limit=2&after={after}")
        assert len(page["items"]) <= 2
        seen += [task["id"] for task in page["items"]]
        after = page["next"]
        if not after:
            break
    assert sorted(seen) == sorted(made)
    admin.refused("GET", "/api/v1/tasks?status=sleeping", status=422)


def test_a_verb_that_the_state_does_not_take_names_those_it_takes(admin, name):
    made = admin.create(name)
    problem = admin.refused("POST", f"/api/v1/tasks/{made['id']}/retry", {}, status=409, code="bad_transition")
    assert "claim" in problem["allowed"] or problem["allowed"]
    assert problem["hint"]


def test_any_fenced_write_starts_the_task(admin, agent, name):
    made = admin.create(name)
    agent.claim(name).deliver("note.txt", "first", "text/plain")
    assert admin.state(made["id"]) == "running"


def test_a_lease_is_never_shorter_than_a_second(admin, name):
    with pytest.raises(Refused):
        admin.create(name, leaseSeconds=0.2)
    admin.create(name, 422, leaseSeconds=86_401)
    assert admin.get(f"/api/v1/tasks?queue={name}")["items"] == []


def test_projects_share_a_queue_fairly(admin, agent, name):
    for index in range(6):
        admin.create(name, project=f"big-{name}")
    for index in range(2):
        admin.create(name, project=f"small-{name}")
    first = [agent.claim(name).task["project"] for _ in range(4)]
    assert first.count(f"small-{name}") == 2, f"the small project had to wait behind the big one: {first}"


def test_dead_letters_are_requeued_in_bulk(admin, agent, name):
    made = [admin.create(name)["id"] for _ in range(3)]
    for item in agent.claim_all(name, limit=3):
        agent.post(
            f"/api/v1/tasks/{item['task']['id']}/fail",
            {"fence": item["fence"], "class": "permanent", "message": "dead"},
        )
    assert {task["id"] for task in admin.get(f"/api/v1/tasks?queue={name}&status=held")["items"]} == set(made)
    admin.post("/api/v1/tasks/requeue", {"queue": name})
    until(lambda: len(admin.get(f"/api/v1/tasks?queue={name}&status=ready")["items"]) == 3, 5, "three ready tasks")
