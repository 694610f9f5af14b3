"""The pages of traces in a real browser: the tree beside the times, the replay, and 50,000 spans."""

import itertools
import json

import pytest
from selenium.webdriver.common.keys import Keys

from browser_page import logged_in
from reeve_server import until

ON_ENGINES = ["sqlite"]
BEGIN = 1_790_000_000_000_000_000
MS = 1_000_000
_traces = itertools.count(1)


@pytest.fixture
def page(driver, server):
    with logged_in(driver, server) as page:
        yield page


@pytest.fixture
def trace():
    return format(0x7BF92F3577B34DA7 << 64 | next(_traces), "032x")


def attributes(**values) -> list[dict]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]


def span(trace, number, parent, name, begin, took, failed=None, **more) -> dict:
    told = {
        "traceId": trace, "spanId": format(number, "016x"), "name": name,
        "startTimeUnixNano": str(BEGIN + begin * MS), "endTimeUnixNano": str(BEGIN + (begin + took) * MS),
        "attributes": attributes(**{key.replace("__", "."): value for key, value in more.items()}),
    }  # fmt: skip
    if parent:
        told["parentSpanId"] = format(parent, "016x")
    if failed:
        told["status"] = {"code": 2, "message": failed}
    return told


def send(server, key, spans):
    api = server.api(key)
    for begin in range(0, len(spans), 10_000):
        resource = {"attributes": attributes(**{"service.name": "writer-service"})}
        scope = {"spans": spans[begin : begin + 10_000]}
        body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})
        reply = api.session.post(
            f"{api.url}/v1/traces", data=body, headers={"content-type": "application/json"}, timeout=120
        )
        assert reply.status_code == 200 and reply.json() in ({}, {"partialSuccess": {}}), reply.text


def story(trace) -> list[dict]:
    """An agent asks its model, looks things up three times, fails once with a tool, and answers."""
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Write a <b>brief</b>."}]}])
    said = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "Here is the brief."}]}])
    return [
        span(trace, 1, None, "invoke_agent scribe", 0, 4000, gen_ai__operation__name="invoke_agent"),
        span(
            trace, 2, 1, "chat large", 50, 900, gen_ai__operation__name="chat", gen_ai__request__model="large",
            gen_ai__usage__input_tokens=1200, gen_ai__usage__output_tokens=300, gen_ai__input__messages=messages,
        ),
        span(trace, 3, 1, "retrieve_docs", 1000, 150, gen_ai__operation__name="retrieval"),
        span(trace, 4, 1, "retrieve_docs", 1160, 150, gen_ai__operation__name="retrieval"),
        span(trace, 5, 1, "retrieve_docs", 1320, 150, gen_ai__operation__name="retrieval"),
        span(
            trace, 6, 1, "execute_tool search", 1500, 700, failed="quota exceeded", gen_ai__operation__name="execute_tool",
            gen_ai__tool__name="search", gen_ai__tool__call__arguments='{"q":"briefs"}',
        ),
        span(trace, 7, 6, "GET /search", 1520, 600, failed="429"),
        span(
            trace, 8, 1, "chat large", 2300, 1600, gen_ai__operation__name="chat", gen_ai__request__model="large",
            gen_ai__usage__input_tokens=2500, gen_ai__usage__output_tokens=700, gen_ai__output__messages=said,
        ),
        span(trace, 9, 99, "a late step", 3950, 20),
    ]  # fmt: skip


def opened(page, trace, suffix=""):
    page.open(f"/traces/{trace}{suffix}")
    until(lambda: page.script("return document.querySelector('#trace, #replay')?.dataset.openedMs"), 60, "the rows")


def text_of(page, selector):
    """Of what may be replaced at any moment."""
    return page.script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)


def names(page):
    return page.script(
        "return [...document.querySelectorAll('.trace-row')].sort((a, b) => a.dataset.place - b.dataset.place)"
        ".map((row) => row.querySelector('.clip').textContent + (row.querySelector('.times')?.textContent ?? ''))"
    )


@pytest.fixture
def told(server, admin, agent, trace):
    send(server, agent.key, story(trace))
    until(lambda: len(spans_of(admin, trace)) == 9, 15, "the spans")
    return trace


def spans_of(api, trace):
    reply = api.send("GET", f"/api/v1/traces/{trace}")
    return reply.json()["spans"] if reply.status_code == 200 else []


def test_a_trace_is_a_tree_beside_its_times(page, told):
    opened(page, told)
    expected = [
        "invoke_agent scribe", "chat large", "retrieve_docs(3/3)", "execute_tool search", "GET /search", "chat large",
        "a late step",
    ]  # fmt: skip
    assert names(page) == expected
    summary = page.find("#trace-sub").text
    assert "9 spans" in summary and "2 errors" in summary and "4,700 tokens" in summary and "4.00 s" in summary
    assert "parent missing" in page.find(".trace-row:last-child").text
    bars = page.script(
        "return [...document.querySelectorAll('.trace-row')].map((row) =>"
        " [row.querySelector('.trace-bar').style.left, row.querySelector('.trace-bar').style.width])"
    )
    assert bars[0] == ["0%", "100%"] and bars[3] == ["37.5%", "17.5%"]
    page.shot("trace")
    page.scheme("dark")
    page.shot("trace-dark")


def test_a_page_that_is_fetched_anew_keeps_its_rows(page, told):
    opened(page, told)
    page.keys("e")
    before, summary = names(page), page.find("#trace-sub").text
    page.script("document.dispatchEvent(new Event('reeve:settle'))")
    page.script("window.fetched = performance.getEntriesByType('resource').length")
    # As after a reply of a page that comes by itself every 15 seconds.
    until(
        lambda: page.script(
            "return performance.getEntriesByType('resource').slice(window.fetched)"
            ".some((entry) => entry.name.endsWith(location.pathname))"
        ),
        30,
        "the page, fetched anew",
    )
    page.script("document.dispatchEvent(new Event('reeve:settle'))")
    assert names(page) == before and page.find("#trace-sub").text == summary
    assert page.attribute("[data-trace-act=next-error]", "disabled") is None
    assert "quota exceeded" in text_of(page, "#trace-detail")


def test_it_is_walked_by_keyboard_and_errors_are_found(page, told):
    opened(page, told)
    page.keys("e")
    until(lambda: "quota exceeded" in text_of(page, "#trace-detail"), 5, "the first error")
    page.keys("e")
    until(lambda: "GET /search" in text_of(page, "#trace-detail h2"), 5, "the second one")
    page.keys("e")
    until(lambda: "tool search" in text_of(page, "#trace-detail h2"), 5, "the first one again")
    assert page.script("return document.querySelector('.trace-row[aria-selected=true]').textContent").count("search")
    page.keys(Keys.HOME, Keys.ARROW_LEFT)
    assert names(page) == ["invoke_agent scribe", "a late step"]
    page.keys(Keys.ARROW_RIGHT, "jj", Keys.ARROW_RIGHT)
    assert names(page).count("retrieve_docs") == 3
    page.keys(Keys.HOME, "j", Keys.ENTER)
    until(lambda: "Write a <b>brief</b>." in text_of(page, "#trace-detail"), 5, "what the model was asked")
    assert "1,200 input" in text_of(page, "#trace-detail")
    page.shot("trace-detail")
    active = page.attribute(".trace-scroll", "aria-activedescendant")
    assert page.attribute(f"#{active}", "aria-selected") == "true"


def test_a_trace_is_replayed_step_by_step(page, told):
    opened(page, told, "/replay")
    text = lambda: text_of(page, "#replay")  # noqa: E731
    until(lambda: "Write a <b>brief</b>." in text(), 5, "the first step")
    assert "Step 1 of 6" in text() and "1,500 tokens so far" in text()
    page.keys(Keys.ARROW_RIGHT * 4)
    until(lambda: '"q": "briefs"' in text(), 5, "the tool's arguments")
    page.keys(Keys.END)
    until(lambda: "Here is the brief." in text() and "4,700 tokens so far" in text(), 5, "the last step")
    page.shot("replay")
    page.keys(Keys.ARROW_LEFT)
    until(lambda: "Step 5 of 6" in text(), 5, "one back")


def test_what_is_not_there_is_said(page, server, admin):
    for path in ("/traces/" + "0" * 31 + "1", "/traces/nonsense", "/traces/" + "0" * 31 + "1/replay"):
        reply = admin.session.get(admin.url + path, timeout=20)
        assert reply.status_code == 404 and "There is no trace" in reply.text, path
    assert admin.send("GET", "/ui/traces/" + "0" * 31 + "1").status_code == 404
    page.open("/traces?id=nonsense")
    assert "no trace id" in page.find("main").text


def test_who_may_not_see_traces_sees_none(server, agent, viewer, told):
    for path in (f"/traces/{told}", f"/ui/traces/{told}", "/traces", f"/traces/{told}/replay"):
        assert agent.session.get(agent.url + path, timeout=20).status_code == 403
        assert viewer.session.get(viewer.url + path, timeout=20).status_code == 200


def many(trace, spans=50_000) -> list[dict]:
    """An agent's long day: steps of four, the odd one failing, and a run of five hundred lookups."""
    told = [span(trace, 1, None, "invoke_agent scribe", 0, 5 * spans, gen_ai__operation__name="invoke_agent")]
    number, begin = 2, 0
    while number + 4 <= spans - 500:
        step = number
        told += [
            span(trace, step, 1, f"step {step % 97}", begin, 18, gen_ai__operation__name="invoke_workflow"),
            span(
                trace, step + 1, step, "chat large", begin + 1, 9, gen_ai__operation__name="chat",
                gen_ai__usage__input_tokens=100, gen_ai__usage__output_tokens=10,
            ),
            span(
                trace, step + 2, step, "execute_tool search", begin + 11, 4, gen_ai__operation__name="execute_tool",
                failed="no luck" if step % 9998 == 6 else None,
            ),
            span(trace, step + 3, step, "GET /search", begin + 12, 2),
        ]  # fmt: skip
        number, begin = number + 4, begin + 19
    while number <= spans:
        told.append(span(trace, number, 1, "retrieve_docs", begin, 3, gen_ai__operation__name="retrieval"))
        number, begin = number + 1, begin + 4
    return told


def test_fifty_thousand_spans_open_and_only_what_is_in_sight_is_in_the_page(page, server, admin, agent, trace, capsys):
    send(server, agent.key, many(trace))
    until(lambda: len(spans_of(admin, trace)) == 50_000, 120, "the spans")
    reply = admin.send("GET", f"/ui/traces/{trace}")
    assert len(reply.content) < 4_000_000
    opened(page, trace)
    in_page = int(page.attribute("#trace", "data-drawn-ms"))
    timing = page.script(
        "const [entry] = performance.getEntriesByName(location.origin + document.querySelector('#trace').dataset.source);"
        "return [entry.responseStart - entry.startTime, entry.responseEnd - entry.startTime]"
    )
    with capsys.disabled():
        print(
            f"\n50,000 spans, {len(reply.content) / 1e6:.2f} MB of columns: server {timing[0]:.0f} ms, all bytes"
            f" {timing[1]:.0f} ms, drawn {in_page} ms later (a hint: the server is a debug build, the machine others')"
        )
    assert in_page < 300, "reading the columns and drawing them"
    fetched = "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/ui/traces/')).length"
    assert page.script(fetched) == 1, "what the page asked for ahead is what its script takes"
    assert len(names(page)) < 100
    assert names(page)[1] == "step 2"
    page.keys(Keys.END)
    until(lambda: "retrieve_docs(503/503)" in names(page)[-1], 5, "the end")
    page.keys(Keys.HOME, "e")
    until(lambda: "no luck" in text_of(page, "#trace-detail"), 10, "the first error, wherever it is")
    assert len(names(page)) < 100
    page.click("[data-trace-act=unfold]")
    until(lambda: page.attribute(".trace-scroll", "aria-rowcount") == "50001", 5, "all rows, and the group's")
    page.shot("trace-50000")


def test_a_label_is_added_and_removed_on_the_page(page, admin, told):
    opened(page, told)
    field = page.find("#label-form input")
    field.send_keys("golden", Keys.ENTER)
    until(lambda: page.has('[data-label-name="golden"]'), 10, "the label")
    assert admin.get(f"/api/v1/traces/{told}")["labels"] == ["golden"]
    # The rows were not drawn anew.
    assert len(names(page)) > 1
    page.open("/traces?label=golden")
    assert page.has(f'[data-trace="{told}"]')
    opened(page, told)
    page.click('[data-label-name="golden"] [data-action="unlabel"]')
    until(lambda: not page.has('[data-label-name="golden"]'), 10, "the label to go")
    assert admin.get(f"/api/v1/traces/{told}")["labels"] == []
    assert page.complaints() == []


def test_a_hold_is_put_and_lifted_on_the_page(page, admin):
    page.open("/audit/holds")
    page.find('#hold-form [name="agent"]').send_keys("scribe")
    page.find('#hold-form [name="reason"]').send_keys("case 12", Keys.ENTER)
    until(lambda: page.has('[data-hold][data-state="held"]'), 10, "the hold")
    [hold] = [hold for hold in admin.get("/api/v1/telemetry/holds")["items"] if not hold["liftedAt"]]
    assert (hold["agent"], hold["reason"]) == ("scribe", "case 12")
    page.script("window.confirm = () => true")
    page.click(f'[data-hold="{hold["id"]}"] [data-action="lift"]')
    until(lambda: page.has(f'[data-hold="{hold["id"]}"][data-state="done"]'), 10, "its end")
    assert page.complaints() == []
