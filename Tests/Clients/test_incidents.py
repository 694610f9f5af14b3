"""Incidents as programs, people at a terminal and people at a page meet them."""

import json
import subprocess

import pytest

from browser_page import logged_in
from reeve_server import BINARY, environment, until

PATH = "/api/v1/incidents"
SECTIONS = ["## Impact", "## Timeline", "## Contributing factors", "## Action items"]


@pytest.fixture
def command(server, tmp_path):
    """Runs `reeve …` against the server, and wants its exit status."""

    def run(*arguments, status=0):
        done = subprocess.run(
            [BINARY, *arguments], env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key, NO_COLOR="1"),
            capture_output=True, text=True, timeout=60, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run


def opened(api, name, **more):
    body = {"title": f"It broke: {name}", "severity": "critical", "subjects": [f"agent:{name}"], **more}
    return api.post(PATH, body, 201)


def story(api, incident):
    return [(entry["kind"], entry["action"]) for entry in api.get(f"{PATH}/{incident}/timeline?limit=200")["items"]]


def test_the_timeline_follows_the_fleet_and_the_postmortem_tells_it(operator, agent, name):
    incident = opened(operator, agent.agent)["id"]
    # What becomes of the agent and its work stands in the timeline without anybody writing it down.
    task = operator.create(name)["id"]
    claim = agent.claim(name)
    claim.write("fail", 200, **{"class": "permanent", "message": "no disk left"})
    operator.post(f"/api/v1/agents/{agent.agent}/pause", {"reason": "it fails"})
    until(lambda: ("agent", "agent.paused") in story(operator, incident), 10, "the pause in the timeline")
    told = story(operator, incident)
    assert any(kind == "task" for kind, _ in told), told

    operator.post(f"{PATH}/{incident}/milestones", {"milestone": "acknowledged"}, 200)
    operator.post(f"{PATH}/{incident}/milestones", {"milestone": "contained", "note": "the agent is paused"}, 200)
    shown = operator.post(f"{PATH}/{incident}/milestones", {"milestone": "resolved"}, 200)
    reached = {name for name, at in shown["milestones"].items() if at}
    assert reached == {"detectedAt", "acknowledgedAt", "containedAt", "resolvedAt"}

    detail = operator.get(f"{PATH}/{incident}")
    assert {"state", "severity", "alerts", "milestones", "timeline"} <= detail.keys()
    assert all({"time", "kind", "action", "target", "actor"} <= entry.keys() for entry in detail["timeline"])
    analysis = operator.get(f"{PATH}/{incident}/analysis")
    assert sum(analysis["impact"]["tasks"].values()) >= 1, analysis
    reply = operator.send("GET", f"{PATH}/{incident}/postmortem")
    assert reply.headers["content-type"].startswith("text/markdown")
    assert [section for section in SECTIONS if section not in reply.text] == []
    assert f"task:{task}" in reply.text and "agent.paused" in reply.text
    operator.post(f"/api/v1/agents/{agent.agent}/resume", {})


def test_two_people_do_not_overwrite_each_other(operator, name):
    incident = opened(operator, name)["id"]
    draft = operator.send("GET", f"{PATH}/{incident}/postmortem")
    headers = {"if-match": draft.headers["etag"], "content-type": "text/markdown"}
    mine, theirs = (draft.text + word for word in ("\nmine\n", "\ntheirs\n"))
    path = f"{PATH}/{incident}/postmortem"
    assert operator.send("PUT", path, data=mine.encode(), headers=headers).status_code == 200
    assert operator.send("PUT", path, data=theirs.encode(), headers=headers).status_code == 412
    assert "mine" in operator.send("GET", path).text


def test_the_command_sees_an_incident_from_its_beginning_to_its_postmortem(command, name):
    made = json.loads(
        command("incidents", "open", f"It broke: {name}", "--severity", "warning", "--subject", f"agent:{name}", "--json")
    )
    incident = made["id"]
    assert incident in command("incident", "list", "--state", "open")
    assert "acknowledged" in command("incidents", "ack", incident, "--note", "mine")
    command("incidents", "note", incident, "It is the disk")
    command("incidents", "status", incident, "We are looking at it.")
    command("incidents", "milestone", incident, "contained")
    shown = command("incidents", "show", incident)
    for part in (f"It broke: {name}", "We are looking at it.", "It is the disk", f"agent:{name}", "contained"):
        assert part in shown
    assert "resolved" in command("incidents", "resolve", incident)
    text = command("incidents", "postmortem", incident)
    assert [section for section in SECTIONS if section not in text] == []
    command("incidents", "postmortem", incident, "--publish")
    assert json.loads(command("incidents", "show", incident, "--json"))["state"] == "postmortem"
    assert json.loads(command("incidents", "report", "--json"))["incidents"] >= 1
    command("incidents", "milestone", incident, "nonsense", status=1)
    command("incidents", "show", "incident_x", status=1)
    command("incidents", "postmortem", incident, "--publish", "--waive", "no", status=2)


def press(page, selector):
    """A click that the word of what was done before does not catch."""
    until(lambda: page.has(selector), 10, selector)
    page.script("document.querySelector(arguments[0]).click()", selector)


def test_the_room_is_live_and_acts(driver, server, operator, name):
    incident = opened(operator, name, note="since <b>noon</b>")["id"]
    with logged_in(driver, server) as page:
        page.open("/incidents")
        assert page.has(f"[data-incident='{incident}']")
        page.open(f"/incidents/{incident}")
        assert page.attribute("#incident-head", "data-state") == "detected"
        press(page, "[data-action='acknowledged']")
        until(lambda: page.attribute("#incident-head", "data-state") == "acknowledged", 10, "the acknowledgement")
        # Somebody else writes; what I began to write stays.
        page.find("#status-form textarea").send_keys("We are")
        operator.post(f"{PATH}/{incident}/notes", {"text": f"a note of {name}"}, 201)
        until(lambda: f"a note of {name}" in page.find("#incident-timeline").text, 10, "the other's note")
        assert page.find("#status-form textarea").get_attribute("value") == "We are"
        page.find("#status-form textarea").send_keys(" looking at it.")
        press(page, "#status-form button")
        until(lambda: page.has("#incident-told"), 10, "what stakeholders are told")
        assert page.find("#incident-told").text == "We are looking at it."
        for field, text in (("summary", "A larger disk"), ("owner", "ada")):
            page.find(f"#item-form [name={field}]").send_keys(text)
        press(page, "#item-form button")
        until(lambda: page.has("[data-item='1']"), 10, "the action item")
        press(page, "[data-item='1'] [data-action='done']")
        until(lambda: page.attribute("[data-item='1']", "data-state") == "done", 10, "the item's end")
        page.find("#postmortem-form textarea").send_keys("\nWe learnt something.")
        press(page, "#postmortem-form button")
        until(lambda: "We learnt something." in operator.send("GET", f"{PATH}/{incident}/postmortem").text, 10, "the edit")
        press(page, "[data-action='resolved']")
        until(lambda: page.has("#publish-form"), 10, "the end")
        press(page, "#publish-form button")
        until(lambda: page.attribute("#incident-head", "data-state") == "postmortem", 10, "the publication")
        shots(page, f"/incidents/{incident}", "incident")
        shots(page, "/incidents", "incidents")
        shots(page, "/incidents/report", "incident-report")
        # On a phone each time stands beside its milestone.
        cells = "#report-times tbody tr:first-child td.num"
        labels = page.script("return [...document.querySelectorAll(arguments[0])].map((e) => e.dataset.label)", cells)
        assert labels[:3] == ["Incidents", "Detected", "Acknowledged"] and len(labels) == 7, labels


def test_a_preview_says_what_would_be_touched_and_links_lead_to_the_time(driver, server, operator, agent, name):
    incident = opened(operator, agent.agent, mode="budget-runaway")["id"]
    order = {"action": "pauseAgent", "parameters": {"agents": [agent.agent]}}
    made = operator.post(f"{PATH}/{incident}/containments", order, 201)["id"]
    with logged_in(driver, server) as page:
        page.size(1280, 900)
        page.open(f"/incidents/{incident}")
        width = page.script("return document.querySelector('#containments [data-label=Steps]').offsetWidth")
        assert width >= 190, "what would be done is squeezed"
        page.size(1360, 900)
        press(page, "[data-action='preview']")
        until(lambda: page.has("#preview-radius"), 10, "the preview")
        assert agent.agent in page.find("#preview-radius").text
        shots(page, f"/containments/{made}", "containment-preview")
        page.open(f"/containments/{made}")
        press(page, "[data-action='refuse']")
        until(lambda: operator.get(f"/api/v1/containments/{made}")["state"] == "refused", 10, "the refusal")
        page.open(f"/incidents/{incident}")
        # What the evidence speaks for is proposed until somebody takes it.
        assert "- Proposed: Set a limit for" in operator.send("GET", f"{PATH}/{incident}/postmortem").text
        page.shot("incident-proposals")
        press(page, "[data-proposal^='budget:'] [data-action='take']")
        press(page, "[data-proposal^='budget:'] form button")
        until(lambda: not page.has("[data-proposal^='budget:']"), 10, "that it is taken")
        (item,) = operator.get(f"{PATH}/{incident}/actions")["items"]
        assert item["owner"] == "unassigned" and item["dueOn"] and item["state"] == "open", item
        assert "Proposed: Set a limit" not in operator.send("GET", f"{PATH}/{incident}/postmortem").text
        hrefs = page.script("return [...document.querySelectorAll('#incident-traces a')].map((a) => a.getAttribute('href'))")
        shots(page, f"/incidents/{incident}/timeline", "incident-timeline")
    assert {href.split("?")[0] for href in hrefs} >= {"/traces", "/logs", "/calls", "/events"}
    links = operator.get(f"{PATH}/{incident}")["links"]
    for href in [*hrefs, links["traces"], links["logs"], links["labelledTraces"], links["page"]]:
        reply = operator.send("GET", href)
        assert reply.status_code == 200, href
        if href != links["page"]:
            assert agent.agent in href or incident in href, href


def test_two_become_one_and_the_one_leads_to_the_other(operator, name):
    first, second = opened(operator, f"{name}-a")["id"], opened(operator, f"{name}-b")["id"]
    operator.post(f"{PATH}/{second}/merge", {"into": first}, 200)
    operator.post(f"{PATH}/{second}/merge", {"into": first}, 200)
    assert operator.get(f"{PATH}/{second}")["mergedInto"] == first
    assert f"/incidents/{first}" in operator.send("GET", f"/incidents/{second}").text
    late = operator.send("POST", f"{PATH}/{second}/notes", json={"text": "too late"})
    assert late.status_code == 409 and late.json()["mergedInto"] == first
    assert operator.send("POST", f"{PATH}/{first}/merge", json={"into": first}).status_code == 422
    assert operator.send("POST", f"{PATH}/{first}/merge", json={"into": second}).status_code in (200, 409)


def shots(page, path, name):
    """Fits every width, light and dark; kept as pictures where somebody wants them."""
    for width, scheme in ((1360, "light"), (1360, "dark"), (390, "light")):
        page.size(width, 900 if width > 600 else 844)
        page.scheme(scheme)
        page.open(path)
        assert page.script("return document.documentElement.scrollWidth <= innerWidth"), (path, width)
        page.size(width, max(900, min(4000, page.script("return document.documentElement.scrollHeight"))))
        page.shot(f"{name}-{width}-{scheme}")
    page.size(1360, 900)
    page.scheme("light")
    if name == "incident":
        printed(page)


def printed(page):
    """On paper there are the words, and nothing to press."""
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    visible = "return [...document.querySelectorAll('form, main button, .side, .top')].filter((each) => each.offsetParent).length"
    assert page.script(visible) == 0
    assert page.script("return document.querySelector('#incident-postmortem pre').offsetParent !== null")
    page.shot("incident-print")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
