"""The page in a real browser: headless Chromium, driven as a person would, mostly by the keyboard."""

import time

import pytest
from selenium.webdriver.common.keys import Keys

from browser_page import Page, forget, logged_in
from reeve_server import until

ON_ENGINES = ["sqlite"]
PAGES = [
    "/", "/agents", "/tasks", "/queues", "/reviews", "/events", "/audit", "/schedules", "/calls", "/costs", "/models",
    "/budgets",
]


@pytest.fixture
def page(driver, server):
    """Logged in by a fresh one-time link, with a desk's window in light colours."""
    with logged_in(driver, server) as page:
        yield page


def test_the_printed_link_logs_in_once(driver, server):
    forget(driver)
    page = Page(driver, server.url)
    driver.get(server.url + "/tasks")
    assert "login" in driver.current_url or page.has("input[name=key]"), "a stranger sees the login"
    driver.get(server.login_link)
    until(lambda: page.has("main[data-page=fleet]"), 15, "the fleet after the login")
    forget(driver)
    driver.get(server.login_link)
    assert page.has("input[name=key]"), "the link worked twice"


def test_a_key_logs_in_as_well(driver, server):
    forget(driver)
    page = Page(driver, server.url)
    driver.get(server.url + "/login")
    page.find("input[name=key]").send_keys(server.admin_key, Keys.ENTER)
    until(lambda: page.has("main[data-page=fleet]"), 15, "the fleet after the login")


def test_a_task_moves_live_without_a_reload(page, admin, agent, name):
    made = admin.create(name, title="watch me move")
    page.open(f"/tasks?queue={name}")
    row = f"#row-{made['id']}"
    assert page.attribute(row, "data-state") == "ready"
    page.script("window.neverReloaded = true")
    claim = agent.claim(name)
    claim.beat(progress=0.4, note="on my way")
    until(lambda: page.attribute(row, "data-state") == "running", 5, "a running task in the list")
    second = admin.create(name, title="me too")
    until(lambda: page.has(f"#row-{second['id']}"), 5, "the new task in the list")
    claim.complete()
    until(lambda: page.attribute(row, "data-state") == "done", 5, "a done task in the list")
    assert page.script("return window.neverReloaded") is True
    page.shot("tasks")


def test_a_tasks_page_tells_its_story(page, admin, agent, name):
    made = admin.create(name, title="a story")
    page.open(f"/tasks/{made['id']}")
    assert page.attribute("#task-head", "data-state") == "ready"
    admin.post(f"/api/v1/tasks/{made['id']}/hold", {"reason": "the lawyer reads it"})
    until(lambda: "the lawyer reads it" in page.find("main").text, 5, "the reason why it does not run")
    admin.post(f"/api/v1/tasks/{made['id']}/resume")
    claim = agent.claim(name)
    claim.deliver("story.md", "# Once upon a time")
    until(lambda: page.attribute("#task-head", "data-state") == "running", 5, "running")
    claim.complete()
    until(lambda: page.attribute("#task-head", "data-state") == "done", 5, "done")
    until(lambda: "Once upon a time" in page.find("main").text, 5, "the deliverable")
    assert page.has('[data-attempt="1"]')
    page.shot("task")


def in_review(admin, agent, name, title, text):
    made = admin.create(name, title=title, review=True)
    claim = agent.claim(name)
    claim.deliver("brief.md", text)
    claim.submit()
    return made["id"]


def test_a_deliverable_is_approved_by_keyboard(page, admin, agent, name):
    task_id = in_review(admin, agent, name, "approve me", "# A brief\n\nGood enough.")
    page.open(f"/reviews?task={task_id}")
    until(lambda: page.attribute("#review", "data-task-id") == task_id, 5, "the task in the inbox")
    assert "Good enough." in page.find("#review").text
    page.shot("reviews")
    page.keys("a")
    admin.await_state(task_id, "done", seconds=10)
    until(lambda: page.attribute("#review", "data-task-id") != task_id, 5, "the inbox without it")


def test_changes_are_asked_for_and_their_difference_is_shown(page, admin, agent, name):
    task_id = in_review(admin, agent, name, "improve me", "# A brief\n\nToo short.\n")
    page.open(f"/reviews?task={task_id}")
    until(lambda: page.attribute("#review", "data-task-id") == task_id, 5, "the task in the inbox")
    page.keys("r")
    until(lambda: page.script("return document.activeElement?.id") == "comment", 5, "the cursor in the remark")
    page.keys("Say more about patents.")
    page.chord(Keys.CONTROL, Keys.ENTER)
    admin.await_state(task_id, "ready", seconds=10)
    claim = agent.claim(name)
    assert "Say more about patents." in str(claim.task["feedback"])
    claim.deliver("brief.md", "# A brief\n\nWith a word on patents.\n")
    claim.submit()
    page.open(f"/reviews?task={task_id}")
    until(lambda: page.attribute("#review", "data-task-id") == task_id, 5, "the second revision in the inbox")
    assert "Say more about patents." in page.find("#review").text
    until(lambda: page.has('#review tr[data-op="+"]'), 10, "the difference between the revisions")
    page.shot("review-diff")
    page.keys("a")
    admin.await_state(task_id, "done", seconds=10)


def test_the_inbox_is_walked_by_keyboard(page, admin, agent, name):
    tasks = [in_review(admin, agent, name, f"walk {number}", "x") for number in range(3)]
    page.open("/reviews")
    until(lambda: page.has("#review"), 5, "the inbox")
    first = page.attribute("#review", "data-task-id")
    page.keys("j")
    until(lambda: page.attribute("#review", "data-task-id") not in (None, first), 5, "the next one")
    page.keys("k")
    until(lambda: page.attribute("#review", "data-task-id") == first, 5, "the one before")
    for task_id in tasks:
        sha256 = admin.task(task_id)["deliverables"][0]["sha256"]
        admin.review(task_id, "approve", sha256)


def test_an_agent_is_paused_and_the_page_shows_it(page, admin, agent, name):
    agent.post("/api/events/ingest", {"type": "agent.heartbeat", "statusMessage": "counting"}, 200)
    page.open(f"/agents/{agent.agent}")
    assert page.attribute("#agent-head", "data-state") == "idle"
    page.click('#agent-head [data-action="pause-menu"]')
    page.click('#agent-head button[data-action="pause"]')
    until(lambda: admin.get(f"/api/v1/agents/{agent.agent}")["status"] == "paused", 10, "a paused agent")
    until(lambda: page.attribute("#agent-head", "data-state") == "paused", 5, "the page to show it")
    page.shot("agent-paused")
    page.click('#agent-head [data-action="resume"]')
    until(lambda: admin.get(f"/api/v1/agents/{agent.agent}")["status"] == "idle", 10, "the agent back at work")


def test_a_queue_is_paused(page, admin, name):
    admin.create(name)
    page.open("/queues")
    row = f'[data-queue="{name}"]'
    until(lambda: page.has(row), 5, "the queue")
    if page.has(f'{row} [data-action="pause-menu"]'):
        page.click(f'{row} [data-action="pause-menu"]')
    page.click(f'{row} [data-action="pause"]')
    until(lambda: admin.get(f"/api/v1/queues/{name}")["paused"], 10, "a paused queue")
    page.shot("queues")


def test_a_budget_is_seen_as_it_is_set_and_changed(page, admin, name):
    limits = {"usd": 2.5, "calls": 40}
    admin.call("PUT", f"/api/v1/budgets/agent:{name}", {"limit": limits, "period": "day", "mode": "elastic(20%)"})
    admin.call("PUT", f"/api/v1/budgets/task:{name}", {"limit": {"tokens": 0}})
    admin.call("PUT", f"/api/v1/budgets/project:{name}", {"limit": {"usd": 100}, "period": "month", "mode": "observe"})
    page.open("/agents")
    page.keys("g", "b")
    until(lambda: page.has("main[data-page=budgets]"), 10, "the budgets by the keyboard")
    row = f'tr[data-budget="agent:{name}"]'
    until(lambda: page.has(row), 10, "the row of the budget")
    text = page.script(f"return document.querySelector('{row}').textContent")
    assert "$0 of $2.50" in text and "0 of 40 calls" in text and "elastic(20%)" in text and "each day" in text
    assert page.attribute(f'tr[data-budget="task:{name}"]', "data-state") == "failed", "of nothing nothing is left"
    admin.call("PUT", f"/api/v1/budgets/agent:{name}", {"limit": {"usd": 3}, "period": "total", "mode": "strict"})
    until(lambda: "$0 of $3.00" in page.script(f"return document.querySelector('{row}')?.textContent"), 10, "the change")
    page.shot("budgets-light")
    page.scheme("dark")
    page.shot("budgets-dark")
    page.scheme("light")
    page.size(375, 740)
    page.shot("budgets-phone")
    page.size(1360, 900)
    page.click(f'{row} a[href="/calls?agent={name}"]')
    until(lambda: page.has("main[data-page=calls]"), 10, "the budget's calls")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_a_phone(page, admin, agent, name, path):
    admin.create(name + "-with-a-rather-long-name-that-does-not-break", title="A title that goes on " * 6)
    agent.post("/api/events/ingest", {"type": "agent.heartbeat", "statusMessage": "a long message " * 10}, 200)
    page.size(375, 740)
    page.open(path)
    width = page.script("return document.documentElement.scrollWidth")
    # What sticks out: text that does not break is no element of its own.
    wide = page.script("""
        const sticksOut = (element) => element.getBoundingClientRect().left + element.scrollWidth > 375
            && getComputedStyle(element).overflowX === "visible" && element.clientWidth > 0;
        return [...document.querySelectorAll("main *")].filter(sticksOut)
            .map((element) => element.outerHTML.slice(0, 300)).slice(-3)""")
    assert width <= 375, f"{path} is {width} pixels wide on a phone of 375: {wide}"
    page.shot(f"phone{path.replace('/', '-')}")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_dark_face(page, path):
    def brightness():
        colour = page.script("return getComputedStyle(document.body).backgroundColor")
        numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].replace("/", ",").split(",")[:3]]
        return sum(numbers) / 3

    page.open(path)
    light = brightness()
    page.shot(f"light{path.replace('/', '-')}")
    page.scheme("dark")
    page.open(path)
    assert brightness() < 80 < 170 < light
    page.shot(f"dark{path.replace('/', '-')}")


def test_walking_through_many_pages_stays_quick(page):
    """Each page has a live stream. One that is left must let go of it: a browser opens six connections to a server."""
    began = time.monotonic()
    for path in PAGES * 2:
        page.open(path)
    assert time.monotonic() - began < 20


def test_the_filter_is_in_the_address(page, admin, agent, name):
    admin.create(name, title="still to do")
    agent.claim(name).complete()
    admin.create(name, title="fresh")
    page.open(f"/tasks?queue={name}&status=done")
    rows = page.script("return [...document.querySelectorAll('[data-row]')].map(row => row.dataset.state)")
    assert rows == ["done"]


TABBABLE = """
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
      .filter((one) => one.tabIndex >= 0 && !one.disabled && one.getClientRects().length > 0);
    return [all.indexOf(document.activeElement), all.length];
"""


def test_everything_can_be_reached_with_the_tab_key(page):
    page.open("/")
    reached, place, count = set(), -1, 0
    for _ in range(30):
        page.keys(Keys.TAB)
        where = page.script("return document.activeElement?.getAttribute('href') || document.activeElement?.tagName")
        if where == "BODY":
            # Behind its last element a page hands the focus to the browser; anywhere else it would be lost.
            assert place == count - 1, f"the focus was lost behind element {place} of {count}"
            break
        place, count = page.script(TABBABLE)
        reached.add(where)
        outline = page.script(
            "const style = getComputedStyle(document.activeElement);"
            "return style.outlineStyle !== 'none' || style.boxShadow !== 'none'"
        )
        assert outline, f"nobody sees that {where} has the focus"
    assert {"/tasks", "/queues", "/reviews"} <= reached, reached


def test_a_row_that_goes_leaves_the_focus_at_its_place(page, admin, agent, name):
    for title in ["first", "second", "third"]:
        admin.create(name, title=title)
    page.open(f"/tasks?queue={name}&status=ready")
    links = "[...document.querySelectorAll('[data-row] a.open')]"
    page.script(f"const link = {links}.find((one) => one.textContent.includes('first')); window.held = link; link.focus()")
    agent.claim(name)
    until(lambda: not page.script("return window.held.isConnected"), 15, "the claimed task to leave the list")
    assert page.script("return document.activeElement.closest('#main') !== null"), "the focus went with the row"


def test_an_empty_page_shows_the_command_that_fills_it(page):
    page.open("/tasks?queue=a-queue-that-nobody-made")
    assert page.has("#task-list .empty, main .empty"), page.find("main").text
    page.open("/schedules")
    assert page.has("main .empty code, main .empty pre") or page.has("[data-schedule]")


def test_text_from_agents_is_text(page, admin, agent, name):
    """A title, a message or a file can carry markup; none of it may become part of the page."""
    evil = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
    agent.post("/api/events/ingest", {"type": "agent.heartbeat", "statusMessage": evil}, 200)
    made = admin.create(name, title=evil, input={"x": evil}, review=True)
    claim = agent.claim(name)
    claim.beat(note=evil)
    delivered = claim.deliver("evil.md", evil)
    claim.submit()
    for path in (
        "/",
        "/tasks",
        f"/tasks/{made['id']}",
        f"/reviews?task={made['id']}",
        "/events",
        f"/agents/{agent.agent}",
    ):
        page.open(path)
        assert page.script("return window.pwned") is None, path
        assert page.script("return document.querySelectorAll('img[src=x]').length") == 0, path
    admin.review(made["id"], "approve", delivered["sha256"])
