"""A server that is killed in the middle of a roll-out goes on with it: each task counts once, and the verdict is the
one that the tasks gave."""

import time

from reeve_server import until

ON_ENGINES = ["sqlite", "postgres"]

# The second gate asks for more than the first two waves have, so that all of theirs is counted before it is passed. A
# person is asked after four times the time, which is more than the kills take.
STEPS = [
    {"share": 0.3, "seconds": 10, "unitsMin": 3, "margin": 1},
    {"share": 0.6, "seconds": 20, "unitsMin": 60, "margin": 1},
]
# Behind the last failure: before the look that sees it, at it, and behind it (there is one every two seconds).
DELAYS = [0, 0.4, 0.9, 1.4, 1.9, 2.3]


class Rollout:
    """An agent whose tasks run with either of two versions, and what they are known to have run with."""

    def __init__(self, server, agent, steps):
        self.server, self.agent, self.path = server, agent, f"/api/v1/agents/{agent}/config/rollout"
        self.worker = server.make_agent(agent)
        self.old = self.push("one")
        self.new = self.push("two", {"measures": ["failures"], "steps": steps})
        self.given = {"new": 0, "old": 0}
        self.ended = {"new": 0, "old": 0}

    def push(self, prompt, rollout=None):
        files = [{"path": "agent.yaml", "content": f"prompts: {{system: {prompt}}}\n"}]
        body = {"files": files, "message": prompt, **({"rollout": rollout} if rollout else {})}
        return self.server.api().post(f"/api/v1/agents/{self.agent}/bundles", body, 201)["version"]

    def claim(self, count):
        api = self.server.api()
        for _ in range(count):
            api.create(self.agent, maxAttempts=1)
        body = {"queues": [self.agent], "limit": count, "takesBundle": True}
        claims = self.worker.post("/api/v1/tasks/claim", body, 200)["items"]
        assert len(claims) == count
        for claim in claims:
            self.given[claim["bundle"]["arm"]] += 1
        return claims

    def end(self, claims, failing=()):
        for claim in claims:
            arm = claim["bundle"]["arm"]
            verb, more = ("fail", {"class": "permanent"}) if arm in failing else ("complete", {})
            self.worker.post(f"/api/v1/tasks/{claim['task']['id']}/{verb}", {"fence": claim["fence"], **more}, 200)
            self.ended[arm] += 1

    def show(self):
        return self.server.api().get(self.path)

    def restart(self):
        self.server.kill()
        self.server.start()

    def counts(self):
        shown = self.show()
        sides = shown["measures"]["failures"]
        return {
            "begun": {"new": shown["begunNew"], "old": shown["begun"] - shown["begunNew"]},
            "ended": {arm: sides[arm]["units"] for arm in ("new", "old")},
        }

    def is_counted(self):
        return self.counts() == {"begun": self.given, "ended": self.ended}

    def desired(self):
        return self.server.api().get(f"/api/v1/agents/{self.agent}")["config"]["desired"]

    def told(self):
        """What the log says of it, and which of that the audit log has too."""
        api = self.server.api()
        events = [event["type"] for event in api.events() if event.get("agent") == self.agent]
        rows = api.get(f"/api/v1/audit?limit=500&target=agent:{self.agent}")["items"]
        audit = [row["action"] for row in rows if row["target"] == f"agent:{self.agent}"]
        return {
            kind: (events.count(kind), audit.count(kind))
            for kind in ("bundle.rollout_advanced", "bundle.rolled_out", "bundle.taken_back")
        }


def test_a_good_version_is_given_to_all_though_the_server_is_killed_between_the_steps(own_server, name):
    own_server.start()
    rollout = Rollout(own_server, name, STEPS)
    first = rollout.claim(40)
    rollout.restart()
    rollout.end(first[:20])
    rollout.restart()
    rollout.end(first[20:])
    # Behind the gate, as soon as anybody can know of it.
    until(lambda: rollout.show()["step"] == 2, 30, "the second step", every=0.01)
    rollout.restart()
    assert rollout.show()["step"] == 2
    second = rollout.claim(40)
    for part, delay in ((second[:10], 0.3), (second[10:25], 1.1), (second[25:], 1.9)):
        rollout.end(part)
        time.sleep(delay)
        rollout.restart()
    until(rollout.is_counted, 30, lambda: f"{rollout.given}, {rollout.ended}, not {rollout.counts()}")
    assert (rollout.show()["state"], rollout.desired()) == ("running", rollout.old)
    # What was counted is not counted again by whoever comes next.
    rollout.restart()
    time.sleep(2.5)
    assert rollout.is_counted(), rollout.counts()
    rollout.end(rollout.claim(90))
    rollout.restart()
    until(lambda: rollout.show()["state"] == "finished", 60, lambda: f"the end: {rollout.show()}", every=0.01)
    ended = rollout.show()
    rollout.restart()
    assert {**rollout.show(), "waitsFor": None} == {**ended, "waitsFor": None}
    assert rollout.desired() == rollout.new
    # Nobody asked for these two, so they are no entries of the audit log.
    told = rollout.told()
    assert [told[kind][0] for kind in told] == [1, 1, 0], told


def test_a_bad_version_is_taken_back_once_though_the_server_is_killed_while_it_does_so(own_server, name):
    own_server.start()
    for number, delay in enumerate(DELAYS):
        agent = f"{name}-{number}"
        rollout = Rollout(own_server, agent, [{"share": 0.5, "seconds": 600, "unitsMin": 5}])
        claims = rollout.claim(40)
        rollout.end(claims, failing=("new",))
        time.sleep(delay)
        rollout.restart()
        until(lambda one=rollout: one.show()["state"] == "taken_back", 30, "the version to be taken back", every=0.01)
        rollout.restart()
        ended = rollout.show()
        assert ended["state"] == "taken_back", (delay, ended)
        # A look in between may have seen enough before all had ended.
        counts, sides = rollout.counts(), ended["measures"]["failures"]
        assert counts["begun"] == rollout.given and counts["ended"]["new"] <= rollout.ended["new"], (delay, counts)
        assert (sides["new"]["failed"], sides["old"]["failed"]) == (counts["ended"]["new"], 0)
        assert rollout.desired() == rollout.old
        told = rollout.told()
        assert list(told.values()) == [(0, 0), (0, 0), (1, 1)], (delay, told)
        versions = own_server.api().get(f"/api/v1/agents/{agent}/bundles")["items"]
        assert [v["version"] for v in versions if v["takenBack"]] == [rollout.new]
        alerts = own_server.api().get("/api/v1/alerts?limit=500")["items"]
        labels = [a["labels"] for a in alerts if a["labels"].get("alertname") == "BundleTakenBack"]
        assert len([one for one in labels if one["agent"] == agent]) == 1, labels
        # What comes after it is given to nobody's side.
        assert own_server.api().create(agent)["id"]
        body = {"queues": [agent], "limit": 1, "takesBundle": True}
        after = rollout.worker.post("/api/v1/tasks/claim", body, 200)["items"][0]["bundle"]
        assert (after["version"], after["arm"]) == (rollout.old, None)
